//! The devices of one wave and zone, as far as a driver has them in memory; and what a decision
//! sees of them, whoever asks.

use std::collections::VecDeque;

use groundswell_core::{
    bites,
    hours::{Phase, Zone},
    ids::AssignmentId,
    rollout::Spec,
    snapshot,
    time::Time,
};

use hashbrown::HashSet;

use crate::store::{Candidate, CohortRecord};

/// An answer about hours that names no end is asked for again after this long: well within the
/// horizon that it holds for.
const PHASE_MAX: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// A cohort, and its candidates.
#[derive(Debug)]
pub(crate) struct Cohort {
    pub(super) record: CohortRecord,
    /// Candidates that were not begun before.
    pub(super) fresh: VecDeque<Candidate>,
    /// Those of which something else may be known by now; asked again before they are claimed.
    pub(super) stale: VecDeque<Candidate>,
    /// The last queued assignment that was read.
    pub(super) read_to: i64,
    pub(super) is_read: bool,
    /// Queued devices that were left in the store because too many wait for failure domains already,
    /// and those of them that the lap under way has not come to.
    pub(super) passed: HashSet<AssignmentId>,
    pub(super) lapped: HashSet<AssignmentId>,
    /// The last queued assignment that was read in the first lap.
    pub(super) first_lap_to: i64,
    /// The last assignment that was read to be ended.
    pub(super) swept_to: i64,
    pub(super) is_swept: bool,
    /// Whether its counts are not as they were last written.
    pub(super) is_changed: bool,
    phase: Option<(Phase, Time, Time)>,
    closes_for_good_at: Option<(Time, Option<Time>)>,
}

impl Cohort {
    pub(crate) fn new(record: CohortRecord) -> Self {
        Self {
            record,
            fresh: VecDeque::new(),
            stale: VecDeque::new(),
            read_to: 0,
            is_read: false,
            passed: HashSet::new(),
            lapped: HashSet::new(),
            first_lap_to: 0,
            swept_to: 0,
            is_swept: false,
            is_changed: false,
            phase: None,
            closes_for_good_at: None,
        }
    }

    /// What is known of its candidates may have changed.
    pub(super) fn expire(&mut self) {
        self.stale.append(&mut self.fresh);
    }

    /// The queue was read up to there.
    pub(super) fn read_on(&mut self, last: i64, is_end: bool) {
        (self.read_to, self.is_read) = (last, is_end);
        self.first_lap_to = self.first_lap_to.max(last);
        if is_end {
            // Whoever was not found is not queued any more.
            self.lapped.clear();
        }
    }

    /// Whether one that was read of the queue is not dealt with already: it is new, or was left in
    /// the store. To be asked before [`Cohort::read_on`].
    pub(super) fn takes(&mut self, id: AssignmentId) -> bool {
        id.0 > self.first_lap_to || self.lapped.remove(&id)
    }

    /// Has those who were left in the store read again.
    pub(super) fn read_again(&mut self) {
        self.lapped = std::mem::take(&mut self.passed);
        (self.read_to, self.is_read) = (0, false);
    }

    /// Whether its devices may be touched now; looked up anew only when the answer may change.
    pub(super) fn phase(&mut self, spec: &Spec, now: Time) -> Phase {
        let Some(zone) = &self.record.zone else { return Phase::Open { until: None } };
        if let Some((phase, from, until)) = self.phase
            && (from..until).contains(&now)
        {
            return phase;
        }
        let hours = &spec.schedule.hours;
        let phase =
            if bites!(WindowInUtc) { hours.at(&Zone::utc(), now) } else { hours.at(zone, now) };
        let until = phase.changes_at().unwrap_or(Time::MAX).min(now + PHASE_MAX);
        self.phase = Some((phase, now, until));
        phase
    }

    /// As a decision sees it.
    pub(crate) fn snapshot(
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use groundswell_core::{
        hours::{ClosedBy, Hours, Zone},
        release::{Digest, Release},
        rollout::{Schedule, WhenClosed},
        snapshot::Counts,
    };

    use super::*;
    use crate::store::CohortKey;

    /// Monday, 2025-11-24, 00:00 in UTC.
    const MONDAY: Time = Time::from_millis(1_763_942_400_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> Time {
        MONDAY + HOUR * hours
    }

    fn spec(windows: &[&str], when_closed: WhenClosed) -> Spec {
        let release = Release {
            name: "pos".to_owned(),
            version: "2".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 12,
        };
        let windows = windows.iter().map(|window| window.parse().unwrap()).collect();
        let hours = Hours { windows, freezes: vec![] };
        let schedule = Schedule { hours, when_closed, ..Schedule::default() };
        Spec { schedule, ..Spec::immediate(release) }
    }

    fn cohort(zone: Option<&str>) -> Cohort {
        let counts = Counts { queued: 3, ..Counts::default() };
        let zone = zone.map(|name| Zone::parse(name).unwrap());
        Cohort::new(CohortRecord { key: CohortKey(1), wave: 2, zone, counts })
    }

    #[test]
    fn without_hours_to_judge_it_is_always_open() {
        let spec = spec(&[], WhenClosed::End);
        let seen = cohort(None).snapshot(&spec, Some(MONDAY), at(5));
        assert_eq!(seen.phase, Phase::Open { until: None });
        assert_eq!((seen.wave, seen.counts.queued, seen.closes_for_good_at), (2, 3, None));
    }

    #[test]
    fn an_answer_about_hours_is_kept_while_it_holds_and_no_longer() {
        let spec = spec(&["mon 02:00-04:00"], WhenClosed::Wait);
        let mut kept = cohort(Some("UTC"));
        // Forth, and back again: a clock may be set back.
        for hours in [0, 1, 2, 3, 4, 5, 170, 171, 172, 3, 1, 0] {
            for minutes in [0, 30, 59] {
                let now = at(hours) + Duration::from_mins(minutes);
                let anew = cohort(Some("UTC")).phase(&spec, now);
                let kept = kept.phase(&spec, now);
                assert_eq!(kept.is_open(), anew.is_open(), "hour {hours}:{minutes}");
                assert_eq!(kept.changes_at(), anew.changes_at(), "hour {hours}:{minutes}");
            }
        }
        let opens_at = Some(at(2));
        let closed = Phase::Closed { by: ClosedBy::Window, opens_at };
        assert_eq!(kept.phase(&spec, at(1)), closed);
        assert_eq!(kept.phase(&spec, at(2)), Phase::Open { until: Some(at(4)) });
    }

    #[test]
    fn hours_are_judged_in_the_zone_of_the_cohort() {
        let spec = spec(&["mon 02:00-04:00"], WhenClosed::Wait);
        // Monday 02:00 in Tokyo is Sunday 17:00 in UTC.
        let early = MONDAY - HOUR * 7;
        assert!(cohort(Some("Asia/Tokyo")).phase(&spec, early).is_open());
        assert!(!cohort(Some("UTC")).phase(&spec, early).is_open());
    }

    #[test]
    fn the_one_window_of_a_rollout_is_the_first_after_it_started() {
        let end = spec(&["mon 02:00-04:00"], WhenClosed::End);
        let closes = |cohort: &mut Cohort, started_at| {
            cohort.snapshot(&end, started_at, at(1)).closes_for_good_at
        };
        let mut cohort = cohort(Some("UTC"));
        assert_eq!(closes(&mut cohort, None), None, "it has not started");
        assert_eq!(closes(&mut cohort, Some(at(0))), Some(at(4)));
        assert_eq!(closes(&mut cohort, Some(at(3))), Some(at(4)), "begun in the middle of it");
        // The next round starts anew.
        assert_eq!(closes(&mut cohort, Some(at(5))), Some(at(4 + 168)));
        let wait = spec(&["mon 02:00-04:00"], WhenClosed::Wait);
        let mut other = self::cohort(Some("UTC"));
        assert_eq!(other.snapshot(&wait, Some(at(0)), at(1)).closes_for_good_at, None);
    }
}
