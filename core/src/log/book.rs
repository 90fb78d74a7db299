//! The assignments of a rollout as the log tells them.

use std::collections::{BTreeMap, HashMap};

use super::{Base, CohortCounts, Happened, Ids, Listed, Met, Moved, OpenRows, Regressed};
use crate::{
    assignment::{Assignment, State},
    hours::Zone,
    ids::AssignmentId,
    snapshot::Counts,
    time::Time,
};

/// A cohort: round, wave, and the name of its zone.
pub(super) type Name = (u32, usize, String);

/// Every assignment that was written down, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: BTreeMap<AssignmentId, Row>,
    /// Those that the driver has in memory otherwise than they are written down.
    adjusted: BTreeMap<AssignmentId, Assignment>,
    cohorts: Vec<Name>,
    /// The rows of each cohort, counted.
    counts: Vec<Counts>,
    /// What the driver counts: rows that it has not heard of are not in it.
    driver: BTreeMap<(usize, String), Counts>,
    round: u32,
    hosts: HashMap<Box<str>, usize>,
    /// Deliveries open on each host.
    used: Vec<u32>,
    met: HashMap<AssignmentId, (usize, Box<str>)>,
    /// Those that ended before the log begins, counted.
    ended_before: BTreeMap<Name, CohortCounts>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    cohort: usize,
    assignment: Assignment,
}

/// What is kept of a book when older entries are pruned: the parts of [`Base`].
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) open: Vec<OpenRows>,
    pub(super) ended: Vec<(u32, CohortCounts)>,
    pub(super) counted: (u32, Vec<CohortCounts>),
    pub(super) met: Vec<Met>,
    pub(super) adjusted: Vec<(AssignmentId, Assignment)>,
}

fn zone_name(zone: Option<&Zone>) -> String {
    zone.map_or("", Zone::name).to_owned()
}

const fn take_one(counts: &mut Counts, state: State) {
    let counted = counts.of_mut(state);
    *counted = counted.saturating_sub(1);
}

impl Book {
    pub(super) fn list(&mut self, listed: &Listed) {
        let name = (listed.round, listed.wave, zone_name(listed.zone.as_ref()));
        let cohort = self.place_of(name);
        for id in listed.ids.iter() {
            let assignment = Assignment { state: listed.state, ..Assignment::queued() };
            if self.rows.insert(id, Row { cohort, assignment }).is_none() {
                *self.counts[cohort].of_mut(listed.state) += 1;
            }
        }
    }

    fn place_of(&mut self, name: Name) -> usize {
        self.cohorts.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.cohorts.push(name);
            self.counts.push(Counts::default());
            self.cohorts.len() - 1
        })
    }

    /// Takes assignments to the cohort of another zone, wherever they stand; and says which are not
    /// there.
    pub(super) fn relocate(&mut self, moved: &Moved) -> Vec<AssignmentId> {
        let mut missing = vec![];
        for id in moved.ids.iter() {
            let Some(Row { cohort, assignment }) = self.rows.get(&id).copied() else {
                missing.push(id);
                continue;
            };
            let (round, wave, before) = self.cohorts[cohort].clone();
            let after = moved.zone.name().to_owned();
            let to = self.place_of((round, wave, after.clone()));
            let state = assignment.state;
            take_one(&mut self.counts[cohort], state);
            *self.counts[to].of_mut(state) += 1;
            if round == self.round {
                take_one(self.driver.entry((wave, before)).or_default(), state);
                *self.driver.entry((wave, after)).or_default().of_mut(state) += 1;
            }
            self.rows.insert(id, Row { cohort: to, assignment });
        }
        missing
    }

    pub(super) fn unlist(&mut self, ids: impl Iterator<Item = AssignmentId>) {
        for id in ids {
            if let Some(Row { cohort, assignment }) = self.rows.remove(&id) {
                take_one(&mut self.counts[cohort], assignment.state);
            }
        }
    }

    pub(super) fn meet(&mut self, met: &[Met]) {
        for Met(id, device, host) in met {
            let next = self.used.len();
            let place = *self.hosts.entry(host.as_str().into()).or_insert(next);
            if place == next {
                self.used.push(0);
            }
            self.met.insert(AssignmentId(*id), (place, device.as_str().into()));
        }
    }

    pub(super) fn get(&self, id: AssignmentId) -> Option<Assignment> {
        let row = self.rows.get(&id)?;
        Some(self.adjusted.get(&id).copied().unwrap_or(row.assignment))
    }

    pub(super) fn device(&self, id: AssignmentId) -> Option<&str> {
        self.met.get(&id).map(|(_, device)| &**device)
    }

    /// The round, the wave and the name of the zone of an assignment.
    pub(super) fn cohort(&self, id: AssignmentId) -> Option<&Name> {
        self.rows.get(&id).map(|row| &self.cohorts[row.cohort])
    }

    /// Deliveries that are open on the host of a device, if that is known.
    pub(super) fn open_on_host(&self, id: AssignmentId) -> Option<u32> {
        self.met.get(&id).map(|(host, _)| self.used[*host])
    }

    pub(super) fn set(&mut self, id: AssignmentId, to: Assignment) {
        self.adjusted.remove(&id);
        let Some(row) = self.rows.get_mut(&id) else { return };
        let from = std::mem::replace(&mut row.assignment, to).state;
        self.counts[row.cohort].shift(from, to.state);
        let (round, wave, zone) = &self.cohorts[row.cohort];
        if *round == self.round
            && let Some(counts) = self.driver.get_mut(&(*wave, zone.clone()))
        {
            counts.shift(from, to.state);
        }
        if let Some((host, _)) = self.met.get(&id) {
            let is_open = |state: State| u32::from(state == State::Delivering);
            let used = &mut self.used[*host];
            *used = used.saturating_sub(is_open(from)) + is_open(to.state);
        }
    }

    pub(super) fn happened(&mut self, happened: &Happened, now: Time) {
        for id in happened.ids.iter() {
            self.set(id, happened.assignment(now));
        }
    }

    /// Devices that were updated are not well since. Those that ended before the log begins are known
    /// by their numbers only; of the others it is said which were not updated.
    pub(super) fn regressed(&mut self, regressed: &Regressed) -> Vec<AssignmentId> {
        let Regressed { wave, zone, ids, .. } = regressed;
        let name = (self.round, *wave, zone_name(zone.as_ref()));
        let is_updated = |row: &Row| row.assignment.state == State::Succeeded;
        let wrong = ids.iter().filter(|id| self.rows.get(id).is_some_and(|row| !is_updated(row)));
        let wrong = wrong.collect();
        let place = self.place_of(name.clone());
        self.counts[place].regressed += ids.len();
        if let Some(counts) = self.driver.get_mut(&(name.1, name.2)) {
            counts.regressed += ids.len();
        }
        wrong
    }

    /// Lets `change` adjust every assignment in `state`, in the memory of the driver only.
    pub(super) fn adjust(&mut self, state: State, change: impl Fn(Assignment) -> Assignment) {
        let in_state = self.rows.iter().filter(|(_, row)| row.assignment.state == state);
        let adjusted: Vec<_> = in_state
            .map(|(id, row)| (*id, self.adjusted.get(id).copied().unwrap_or(row.assignment)))
            .map(|(id, assignment)| (id, change(assignment)))
            .collect();
        self.adjusted.extend(adjusted);
    }

    /// The memory of a driver is gone.
    pub(super) fn forget_adjusted(&mut self) {
        self.adjusted.clear();
    }

    /// The rows of a round, counted: those cohorts that have any.
    pub(super) fn counted(&self, round: u32) -> Vec<((usize, String), Counts)> {
        let cohorts = self.cohorts.iter().zip(&self.counts);
        let listed = cohorts.map(|(name, counts)| (name, *counts));
        let before = self.ended_before.iter().map(|(name, counted)| (name, counted.counts));
        let mut counted: BTreeMap<(usize, String), Counts> = BTreeMap::new();
        for ((_, wave, zone), counts) in listed.chain(before).filter(|((of, ..), _)| *of == round) {
            if counts.total() + counts.regressed > 0 {
                *counted.entry((*wave, zone.clone())).or_default() += counts;
            }
        }
        counted.into_iter().collect()
    }

    /// What is kept of it when older entries are pruned. Those who have ended are only counted,
    /// unless `may_go`: rows that may still be taken back have to be known one by one.
    pub(super) fn to_base(&self, may_go: bool) -> Kept {
        let mut kept = Kept::default();
        let mut ended = self.ended_before.clone();
        let mut last: Option<usize> = None;
        let zones: Vec<_> = self.cohorts.iter().map(|(_, _, zone)| Zone::find(zone)).collect();
        let mut hosts = vec![""; self.used.len()];
        for (name, place) in &self.hosts {
            hosts[*place] = name;
        }
        for (id, row) in &self.rows {
            let (round, wave, _) = self.cohorts[row.cohort];
            let zone = zones[row.cohort].clone();
            if row.assignment.state.is_terminal() && !may_go {
                let counts = Counts::default();
                let named = CohortCounts { wave, zone, counts };
                let counted = ended.entry(self.cohorts[row.cohort].clone()).or_insert(named);
                *counted.counts.of_mut(row.assignment.state) += 1;
                continue;
            }
            if let Some((host, device)) = self.met.get(id) {
                kept.met.push(Met(id.0, device.to_string(), hosts[*host].to_owned()));
            }
            if let Some(rows) = kept.open.last_mut()
                && last == Some(row.cohort)
                && rows.stands == row.assignment
            {
                rows.of.ids.push(*id);
            } else {
                let of = Listed { round, wave, zone, state: State::Queued, ids: Ids::default() };
                kept.open.push(OpenRows::one(of, *id, row.assignment));
                last = Some(row.cohort);
            }
        }
        for (name, counts) in self.cohorts.iter().zip(&self.counts) {
            if counts.regressed > 0 {
                let (_, wave, zone) = name;
                let (wave, zone, none) = (*wave, Zone::find(zone), Counts::default());
                let named = CohortCounts { wave, zone, counts: none };
                let counted = ended.entry(name.clone()).or_insert(named);
                counted.counts.regressed += counts.regressed;
            }
        }
        kept.ended = ended.into_iter().map(|((round, ..), counted)| (round, counted)).collect();
        let driver = self.driver.iter().map(|((wave, zone), counts)| CohortCounts {
            wave: *wave,
            zone: Zone::find(zone),
            counts: *counts,
        });
        kept.counted = (self.round, driver.collect());
        kept.adjusted = self.adjusted.iter().map(|(id, row)| (*id, *row)).collect();
        kept
    }

    /// The other way.
    pub(super) fn of_base(base: &Base) -> Self {
        let mut book = Self::default();
        for OpenRows { of, stands } in &base.open {
            book.list(of);
            for id in of.ids.iter() {
                book.set(id, *stands);
            }
        }
        for (round, counted) in &base.ended {
            let name = (*round, counted.wave, zone_name(counted.zone.as_ref()));
            book.ended_before.insert(name, counted.clone());
        }
        // After the rows: places on hosts are counted from where they stand.
        book.meet(&base.met);
        for Met(id, ..) in &base.met {
            let is_open = book
                .get(AssignmentId(*id))
                .is_some_and(|assignment| assignment.state == State::Delivering);
            if let (true, Some((host, _))) = (is_open, book.met.get(&AssignmentId(*id))) {
                book.used[*host] += 1;
            }
        }
        book.count(base.counted.0, &base.counted.1);
        book.adjusted = base.adjusted.iter().copied().collect();
        book
    }

    /// The driver counts these from now on, and no others.
    pub(super) fn count(&mut self, round: u32, cohorts: &[CohortCounts]) {
        self.round = round;
        self.driver = named(cohorts).collect();
    }

    /// The driver counts these, too.
    pub(super) fn add(&mut self, cohorts: &[CohortCounts]) {
        for (name, counts) in named(cohorts) {
            *self.driver.entry(name).or_default() += counts;
        }
    }

    /// What the driver counts.
    pub(super) const fn driver(&self) -> &BTreeMap<(usize, String), Counts> {
        &self.driver
    }

    /// How many assignments are in which state, of a round.
    pub(super) fn states(&self, round: u32) -> Counts {
        self.counted(round).into_iter().map(|(_, counts)| counts).sum()
    }

    /// How many assignments there are, with those that ended before the log begins.
    pub(super) fn len(&self) -> u64 {
        let before = self.ended_before.values().map(|counted| counted.counts.total());
        self.rows.len() as u64 + before.sum::<u64>()
    }
}

pub(super) fn named(
    cohorts: &[CohortCounts],
) -> impl Iterator<Item = ((usize, String), Counts)> + '_ {
    cohorts
        .iter()
        .map(|CohortCounts { wave, zone, counts }| ((*wave, zone_name(zone.as_ref())), *counts))
}
