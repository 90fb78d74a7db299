//! Failure domains of a story, counted row by row.

use groundswell_core::{
    budget::{Budget, Domain, Fate, Full, NAMED_MAX},
    check::Observation,
    log::Becomes,
    plan::Plan,
    waiting::WaitingOn,
};

use super::world::{Done, Row, World};

/// What a device has to do with its failure domains.
#[derive(Default)]
pub(crate) struct Slots {
    has_failed: bool,
    /// Whether it has because it was not well after its update.
    is_regressed: bool,
    /// Keys of the tags in whose domains an operator released its slot.
    released: Vec<String>,
    /// Whether it waits for a slot, and that was written down.
    is_parked: bool,
}

impl Row {
    fn domain(&self, budget: &Budget) -> Domain {
        let value = self.device.tags.get(budget.per.tag()).cloned();
        Domain { per: budget.per.clone(), value }
    }

    fn keeps_slot(&self, budget: &Budget) -> bool {
        self.slots.has_failed && !self.slots.released.iter().any(|key| key == budget.per.tag())
    }
}

impl Slots {
    /// Whether any is kept because it failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// It is kept because the device is not well after its update.
    pub(crate) fn regress(&mut self) {
        *self = Self { has_failed: true, is_regressed: true, ..Self::default() };
    }

    /// What became of them.
    pub(crate) fn settle(&mut self, fate: Fate) {
        match fate {
            Fate::Freed => *self = Self::default(),
            Fate::Kept => *self = Self { has_failed: true, ..Self::default() },
            Fate::Recovered if self.has_failed => *self = Self::default(),
            Fate::HandedBack | Fate::Recovered => {}
        }
    }
}

impl World {
    /// The first of its domains that has no room for a device.
    pub(crate) fn full(&self, at: usize) -> Option<Full> {
        self.spec.budgets.iter().find_map(|budget| {
            let domain = self.rows[at].domain(budget);
            let in_it = || {
                let rows = self.rows.iter().enumerate().filter(|(other, _)| *other != at);
                let rows = rows.map(|(_, row)| row).chain(&self.gone);
                rows.filter(|row| row.domain(budget) == domain)
            };
            let size = in_it().count() as u32 + 1;
            let under_way = in_it().filter(|row| row.assignment.state.is_active()).count() as u32;
            let is_failed =
                |row: &&Row| !row.assignment.state.is_active() && row.keeps_slot(budget);
            let failed: Vec<String> =
                in_it().filter(is_failed).map(|row| row.device.id.clone()).collect();
            let limit = budget.limit.of(size);
            let is_mended = under_way == 0 && self.rows[at].keeps_slot(budget);
            (!is_mended && under_way + failed.len() as u32 >= limit).then(|| Full {
                domain: domain.to_string(),
                limit,
                under_way,
                failed: failed.len() as u32,
                named: failed.into_iter().take(NAMED_MAX).collect(),
                down: 0,
                down_named: vec![],
            })
        })
    }

    /// That it waits for a slot is written down once.
    pub(crate) fn park_on_domain(&mut self, at: usize) {
        if !std::mem::replace(&mut self.rows[at].slots.is_parked, true) {
            self.log_judged(at, Becomes::Domain);
        }
    }

    pub(crate) fn unpark(&mut self, at: usize) {
        self.rows[at].slots.is_parked = false;
    }

    /// Those that the plan lets go and their domains do not.
    pub(crate) fn tell_of_domains(&mut self, plan: &Plan, members: &[Vec<usize>]) {
        let open = plan.open.iter().flat_map(|cohort| &members[*cohort]);
        let waiting = open.filter(|at| self.rows[**at].assignment.state.is_waiting());
        let full: Vec<Full> = waiting.filter_map(|at| self.full(*at)).collect();
        let devices = full.len() as u64;
        if let Some(full) = full.into_iter().next()
            && plan.claims_max > 0
        {
            self.waiting_on.push(WaitingOn::Domain { devices, full });
        }
    }

    /// A device that failed calls: it is there. That says nothing of one that is not well.
    pub(crate) fn call(&mut self, at: usize) {
        let slots = &mut self.rows[at].slots;
        if slots.has_failed && !slots.is_regressed {
            *slots = Slots::default();
        }
        let device = self.rows[at].device.id.clone();
        self.see(&Observation::Called { device: &device });
    }

    /// One that is regressed answers well again.
    pub(crate) fn recover(&mut self, at: usize) {
        if std::mem::take(&mut self.rows[at].slots).is_regressed {
            let device = self.rows[at].device.id.clone();
            self.see(&Observation::Recovered { device: &device });
        }
    }

    /// `release tag.store=0042 pos-1`
    pub(crate) fn release(&mut self, what: &str) -> Done {
        let (domain, id) = what.rsplit_once(' ').ok_or("release DOMAIN DEVICE")?;
        let domain: Domain = domain.parse().map_err(super::script::words)?;
        let is_it = |row: &Row| row.device.id == id && row.slots.has_failed;
        let row = self.rows.iter_mut().find(|row| is_it(row)).ok_or("it has no slot there")?;
        let key = domain.per.tag().to_owned();
        row.slots.released.push(key.clone());
        self.see(&Observation::Released { device: id, key: &key });
        Ok(())
    }
}
