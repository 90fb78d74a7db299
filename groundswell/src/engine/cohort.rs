//! The devices of one wave and zone, as far as a driver has them in memory; and what a decision
//! sees of them, whoever asks.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use groundswell_core::{
    bites,
    budget::Domain,
    hours::{Phase, Zone},
    ids::AssignmentId,
    rollout::Spec,
    snapshot,
    time::Time,
};

use hashbrown::{HashMap, HashSet};

use super::budgets::Left;
use crate::store::{Candidate, CohortRecord};

/// Devices of one failure domain that are called back at once, so that one slot of a wide domain does
/// not have all read that wait for it. The number was chosen, not measured.
const CALLED_MAX: usize = 1_000;

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
    pub(super) passed: HashMap<AssignmentId, Left>,
    pub(super) lapped: HashSet<AssignmentId>,
    /// Those that were left and may find a slot now: read one by one.
    pub(super) called: BTreeSet<AssignmentId>,
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
            passed: HashMap::new(),
            lapped: HashSet::new(),
            called: BTreeSet::new(),
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
        id.0 > self.first_lap_to || self.takes_called(id)
    }

    /// The same of one that was read by itself. A lap may have come between.
    pub(super) fn takes_called(&mut self, id: AssignmentId) -> bool {
        self.called.remove(&id) || self.lapped.remove(&id)
    }

    /// Devices that are left in the store, and were seen before.
    pub(super) fn left(&self) -> usize {
        self.passed.len() + self.lapped.len() + self.called.len()
    }

    /// One that was left in the store is in memory, or elsewhere.
    pub(super) fn left_no_more(&mut self, id: AssignmentId) {
        self.passed.remove(&id);
        self.takes_called(id);
    }

    /// Has those who were left in the store read again.
    pub(super) fn read_again(&mut self) {
        self.lapped.extend(self.passed.drain().map(|(id, _)| id));
        self.lapped.extend(std::mem::take(&mut self.called));
        (self.read_to, self.is_read) = (0, false);
    }

    /// Has those read again who were left in the store and may return, in their order; says whether
    /// these are all. It looks at each in memory.
    pub(super) fn call(&mut self, may_return: impl Fn(&Left) -> bool) -> bool {
        let ready = self.passed.iter().filter(|(_, left)| may_return(left));
        let mut ready: Vec<_> = ready.map(|(id, left)| (*id, left.full.clone())).collect();
        ready.sort_unstable_by_key(|(id, _)| *id);
        let mut called: HashMap<Option<Arc<Domain>>, usize> = HashMap::new();
        let mut is_all = true;
        for (id, domain) in ready {
            let count = called.entry(domain).or_default();
            if *count == CALLED_MAX {
                is_all = false;
                continue;
            }
            *count += 1;
            self.passed.remove(&id);
            self.called.insert(id);
        }
        is_all
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
    use crate::store::{CohortKey, DeviceKey};

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

    fn left_at(domain: &str) -> Left {
        let full = (!domain.is_empty()).then(|| Arc::new(domain.parse().unwrap()));
        Left { device: DeviceKey(7), full }
    }

    fn is_full(left: &Left) -> bool {
        left.full.as_ref().is_some_and(|full| full.to_string() == "tag.store=full")
    }

    fn ids(ids: impl IntoIterator<Item = i64>) -> Vec<AssignmentId> {
        ids.into_iter().map(AssignmentId).collect()
    }

    #[test]
    fn those_who_may_return_are_called_in_order_and_the_others_stay() {
        let mut cohort = cohort(None);
        cohort.read_on(9, true);
        for (id, domain) in [(9, "tag.store=free"), (3, "tag.store=full"), (5, "")] {
            cohort.passed.insert(AssignmentId(id), left_at(domain));
        }
        assert!(cohort.call(|left| !is_full(left)), "these are all who may");
        assert_eq!(Vec::from_iter(cohort.called.clone()), ids([5, 9]));
        assert_eq!(cohort.left(), 3);
        assert!(cohort.takes_called(AssignmentId(5)));
        assert!(!cohort.takes_called(AssignmentId(5)), "each is taken once");
        assert!(!cohort.takes_called(AssignmentId(3)), "nobody called it");
        // A lap of all comes before the other one was read: whichever finds it first has it.
        cohort.read_again();
        assert_eq!((cohort.left(), cohort.called.len()), (2, 0));
        assert!(cohort.takes_called(AssignmentId(9)) && !cohort.takes(AssignmentId(9)));
        assert!(cohort.takes(AssignmentId(3)));
    }

    #[test]
    fn no_domain_is_called_at_once_for_a_few_slots() {
        let mut cohort = cohort(None);
        let many = CALLED_MAX as i64 + 2;
        for id in 1..=many {
            cohort.passed.insert(AssignmentId(id), left_at("tag.region=north"));
        }
        cohort.passed.insert(AssignmentId(many + 1), left_at("tag.region=south"));
        assert!(!cohort.call(|_| true), "some are called later");
        let called = Vec::from_iter(cohort.called.clone());
        assert_eq!(called, ids((1..=CALLED_MAX as i64).chain([many + 1])), "the oldest first");
        assert!(cohort.call(|_| true));
        assert_eq!((cohort.called.len(), cohort.passed.len()), (many as usize + 1, 0));
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
