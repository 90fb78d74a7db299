//! The devices of one wave and zone, as far as a driver has them in memory.

use std::collections::VecDeque;

use groundswell_core::{hours::Phase, rollout::Spec, snapshot, time::Time};

use crate::store::{Candidate, CohortRecord};

/// An answer about hours that names no end is asked for again after this long: well within the
/// horizon that it holds for.
const PHASE_MAX: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// A cohort, and its candidates.
#[derive(Debug)]
pub(super) struct Cohort {
    pub(super) record: CohortRecord,
    /// Candidates that were not begun before.
    pub(super) fresh: VecDeque<Candidate>,
    /// Those of which something else may be known by now; asked again before they are claimed.
    pub(super) stale: VecDeque<Candidate>,
    /// The last queued assignment that was read.
    pub(super) read_to: i64,
    pub(super) is_read: bool,
    /// The last assignment that was read to be ended.
    pub(super) swept_to: i64,
    pub(super) is_swept: bool,
    /// Changes that wait for a commit, and those in the one under way.
    pub(super) pending: u32,
    pub(super) committing: u32,
    /// Whether its counts are not as they were last written.
    pub(super) is_changed: bool,
    phase: Option<(Phase, Time, Time)>,
    closes_for_good_at: Option<(Time, Option<Time>)>,
}

impl Cohort {
    pub(super) const fn new(record: CohortRecord) -> Self {
        Self {
            record,
            fresh: VecDeque::new(),
            stale: VecDeque::new(),
            read_to: 0,
            is_read: false,
            swept_to: 0,
            is_swept: false,
            pending: 0,
            committing: 0,
            is_changed: false,
            phase: None,
            closes_for_good_at: None,
        }
    }

    /// What is known of its candidates may have changed.
    pub(super) fn expire(&mut self) {
        self.stale.append(&mut self.fresh);
    }

    /// Whether its devices may be touched now; looked up anew only when the answer may change.
    pub(super) fn phase(&mut self, spec: &Spec, now: Time) -> Phase {
        let Some(zone) = &self.record.zone else { return Phase::Open { until: None } };
        if let Some((phase, from, until)) = self.phase
            && (from..until).contains(&now)
        {
            return phase;
        }
        let phase = spec.schedule.hours.at(zone, now);
        let until = phase.changes_at().unwrap_or(Time::MAX).min(now + PHASE_MAX);
        self.phase = Some((phase, now, until));
        phase
    }

    /// As a decision sees it.
    pub(super) fn snapshot(
        &mut self,
        spec: &Spec,
        started_at: Option<Time>,
        now: Time,
    ) -> snapshot::Cohort {
        snapshot::Cohort {
            wave: self.record.wave,
            phase: self.phase(spec, now),
            closes_for_good_at: self.closes_for_good_at(spec, started_at),
            zone: self.record.zone.clone(),
            counts: self.record.counts,
        }
    }

    fn closes_for_good_at(&mut self, spec: &Spec, started_at: Option<Time>) -> Option<Time> {
        let (zone, started_at) = (self.record.zone.as_ref()?, started_at?);
        match self.closes_for_good_at {
            Some((asked_for, at)) if asked_for == started_at => at,
            _ => {
                let at = spec.schedule.closes_for_good_at(zone, started_at);
                self.closes_for_good_at = Some((started_at, at));
                at
            }
        }
    }
}
