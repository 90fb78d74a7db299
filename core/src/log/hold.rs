//! What was counted, and what hours were, held against what follows from the records.

use std::collections::BTreeMap;

use super::{CohortCounts, book::named, replay::Replay};
use crate::{
    rollout::Spec,
    snapshot::{Counts, Snapshot},
};

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
}
