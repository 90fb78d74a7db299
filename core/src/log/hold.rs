//! What was counted, what hours were, and who was claimed, held against what follows from the
//! records.

use std::collections::BTreeMap;

use super::{
    CohortCounts,
    book::named,
    difference::{self, Differences, cohort_name, phase},
    replay::Replay,
};
use crate::{
    assignment::{Assignment, State},
    ids::AssignmentId,
    rollout::{Progression, Spec},
    snapshot::{Counts, Snapshot},
};

/// Claims since the last decision on counts.
#[derive(Debug, Default)]
pub(super) struct Claims {
    all: u32,
    /// Those of devices that were not begun before.
    fresh: u32,
}

impl Replay {
    /// Says what does not come out as recorded, if anything.
    pub(super) fn differs(&mut self, what: Option<String>) {
        if let Some(what) = what {
            self.mismatch(what);
        }
    }

    /// What else is stored of the rollout at the end is what its log ends with: where it stands, and
    /// its devices counted.
    pub fn hold_stored(&mut self, stored: &Progression, counts: &Counts) {
        let mut fields = Differences::between("stored is", "its log ends with");
        match self.progression() {
            Some(ends) => fields = difference::progression(fields, stored, ends),
            None => self.mismatch("it is stored, and its log does not tell of it"),
        }
        fields.counts("", counts, &self.counts(stored.round));
        self.differs(fields.sentence("at the end"));
    }

    /// Rows that were counted by the store are those that follow from the records.
    pub(super) fn hold_counts(&mut self, cohorts: &[CohortCounts], what: &str) {
        let found: BTreeMap<_, _> = named(cohorts).collect();
        let follow: BTreeMap<_, _> = self.book.counted(self.round()).into_iter().collect();
        let mut fields = Differences::follows();
        fields.cohorts(&found, &follow);
        self.differs(fields.sentence(what));
    }

    /// What a decision was made on follows from what was recorded before it.
    pub(super) fn hold_input(&mut self, snapshot: &Snapshot, spec: &Spec) {
        let mut seen: BTreeMap<(usize, String), Counts> = BTreeMap::new();
        for cohort in &snapshot.cohorts {
            let zone = cohort.zone.as_ref().map_or("", |zone| zone.name()).to_owned();
            *seen.entry((cohort.wave, zone)).or_default() += cohort.counts;
        }
        let mut fields = Differences::follows();
        fields.cohorts(&seen, self.book.driver());
        self.differs(fields.sentence("devices a decision was made on"));
        if !self.is_same_zones {
            return;
        }
        let now = self.now;
        let started_at = snapshot.progression.started_at;
        let mut fields = Differences::follows();
        for cohort in &snapshot.cohorts {
            let Some(zone) = &cohort.zone else { continue };
            let is = spec.schedule.hours.at(zone, now);
            let closes = started_at.and_then(|at| spec.schedule.closes_for_good_at(zone, at));
            let name = cohort_name(cohort.wave, zone.name());
            if is.is_open() != cohort.phase.is_open() {
                fields.field(&name, (&cohort.phase, &is), |is| phase(*is));
            }
            let ends = format!("{name}, closed for good");
            fields.field(&ends, (&cohort.closes_for_good_at, &closes), |at| {
                at.map_or_else(|| "never".to_owned(), |at| format!("at {at}"))
            });
        }
        self.differs(fields.sentence("hours"));
    }

    /// A claim is one of those that the last decision on counts allows: a driver claims at once, or
    /// decides anew. What the rate allowed is taken as it was recorded: what is left of it shifts with
    /// a clock that goes back a little, which is not written down.
    pub(super) fn hold_claim(&mut self, id: AssignmentId, from: &Assignment) {
        self.claims.all += 1;
        self.claims.fresh += u32::from(from.state != State::Retrying);
        let Claims { all, fresh, .. } = self.claims;
        let plan = &self.frame.plan;
        let (claims_max, fresh_max) = (plan.claims_max, plan.fresh_max);
        let cohorts = plan.open.iter().filter_map(|at| self.frame.cohorts.get(*at));
        let is_open = self.book.cohort(id).is_some_and(|(_, wave, name)| {
            let mut names = cohorts.map(|c| (c.wave, c.zone.as_ref().map_or("", |z| z.name())));
            names.any(|(open, zone)| (open, zone) == (*wave, name.as_str()))
        });
        let with = format!("with that of assignment {id}, and it allows");
        if all > claims_max {
            self.mismatch(format!("claims since the last decision: {all} {with} {claims_max}"));
        }
        if fresh > fresh_max {
            self.mismatch(format!(
                "claims of devices that were not begun, since the last decision: {fresh} {with} \
                 {fresh_max}"
            ));
        }
        if !is_open && let Some((_, wave, zone)) = self.book.cohort(id) {
            let place = cohort_name(*wave, zone);
            self.mismatch(format!("assignment {id} was claimed in {place}, which is not open"));
        }
    }
}
