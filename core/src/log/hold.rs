//! What was counted, what hours were, and who was claimed, held against what follows from the
//! records.

use std::collections::BTreeMap;

use super::{CohortCounts, book::named, replay::Replay};
use crate::{
    assignment::{Assignment, State},
    ids::AssignmentId,
    rollout::Spec,
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
    /// Rows that were counted by the store are those that follow from the records.
    pub(super) fn hold_counts(&mut self, cohorts: &[CohortCounts], what: &str) {
        let mut found: Vec<_> = named(cohorts).filter(|(_, counts)| counts.total() > 0).collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let follow = self.book.counted(self.round());
        if found != follow {
            self.mismatch(format!("{what} {found:?}, and what was recorded gives {follow:?}"));
        }
    }

    /// What a decision was made on follows from what was recorded before it.
    pub(super) fn hold_input(&mut self, snapshot: &Snapshot, spec: &Spec) {
        let mut seen: BTreeMap<(usize, String), Counts> = BTreeMap::new();
        for cohort in &snapshot.cohorts {
            let zone = cohort.zone.as_ref().map_or("", |zone| zone.name()).to_owned();
            *seen.entry((cohort.wave, zone)).or_default() += cohort.counts;
        }
        if seen != *self.book.driver() {
            let follow = self.book.driver().clone();
            self.mismatch(format!("decided on {seen:?}, and what was recorded gives {follow:?}"));
        }
        if !self.is_same_zones {
            return;
        }
        let now = self.now;
        let started_at = snapshot.progression.started_at;
        let mut wrong = vec![];
        for cohort in &snapshot.cohorts {
            let Some(zone) = &cohort.zone else { continue };
            let is_open = spec.schedule.hours.at(zone, now).is_open();
            let closes = started_at.and_then(|at| spec.schedule.closes_for_good_at(zone, at));
            if is_open != cohort.phase.is_open() || closes != cohort.closes_for_good_at {
                wrong.push(format!("hours in {} were taken for {:?}", zone.name(), cohort.phase));
            }
        }
        for what in wrong {
            self.mismatch(what);
        }
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
            let place = if zone.is_empty() { String::new() } else { format!(" in {zone}") };
            let wave = wave + 1;
            self.mismatch(format!(
                "assignment {id} was claimed in wave {wave}{place}, which is not open"
            ));
        }
    }
}
