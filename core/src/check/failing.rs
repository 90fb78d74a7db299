//! Which rollouts each device failed in a row, counted once more, and whom that leaves out.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{ids::RolloutId, time::Time};

/// What was known of a device when its turn was judged may be as old as this.
const SETTLES: Duration = Duration::from_mins(10);

/// Devices that failed, by the numbers of the ledger.
#[derive(Debug, Default)]
pub(super) struct Failing(HashMap<u32, Row>);

#[derive(Debug, Default)]
struct Row {
    /// Since it last took an update well, or was released. With the time at which that was written
    /// down, if the rollout did not hold the device then, so that its turn may be under way elsewhere.
    rollouts: BTreeMap<RolloutId, Option<Time>>,
    /// How many these were before they were forgotten last, and when that was.
    forgotten: Option<(usize, Time)>,
}

impl Row {
    /// How many rollouts it may be known to have failed.
    fn most(&self, now: Time) -> usize {
        let before = self.forgotten.filter(|(_, at)| now <= *at + SETTLES);
        before.map_or(0, |(count, _)| count).max(self.rollouts.len())
    }

    /// How many it must be known to have failed.
    fn least(&self, now: Time) -> usize {
        let is_known = |since: &&Option<Time>| since.is_none_or(|at| at + SETTLES < now);
        self.rollouts.values().filter(is_known).count()
    }
}

impl Failing {
    /// A device failed a rollout that held it, whatever it did there before.
    pub(super) fn fail(&mut self, no: u32, rollout: RolloutId) {
        self.0.entry(no).or_default().rollouts.insert(rollout, None);
    }

    /// It failed one that did not: it was updated before, or was waited for in vain.
    pub(super) fn fail_apart(&mut self, no: u32, rollout: RolloutId, now: Time) {
        self.0.entry(no).or_default().rollouts.entry(rollout).or_insert(Some(now));
    }

    /// It took an update well, or an operator says that it may take part again.
    pub(super) fn forget(&mut self, no: u32, now: Time) {
        let Some(row) = self.0.get_mut(&no).filter(|row| !row.rollouts.is_empty()) else { return };
        *row = Row { forgotten: Some((row.most(now), now)), ..Row::default() };
    }

    /// What was known before `now` may be gone by for a while: the clock was set, or whoever decides
    /// stood still.
    pub(super) fn unsettle(&mut self, now: Time) {
        for row in self.0.values_mut() {
            let forgotten = row.forgotten.as_mut().map(|(_, at)| at);
            let times = row.rollouts.values_mut().flatten().chain(forgotten);
            times.for_each(|at| *at = (*at).max(now));
        }
    }

    pub(super) fn count(&self, no: u32) -> usize {
        self.0.get(&no).map_or(0, |row| row.rollouts.len())
    }

    /// Why one should not have been claimed by a rollout that leaves devices out after so many.
    pub(super) fn claimed(&self, no: u32, after: Option<u8>, now: Time) -> Option<String> {
        let (row, after) = (self.0.get(&no)?, usize::from(after?));
        let count = row.rollouts.len();
        (row.least(now) >= after)
            .then(|| format!("it failed {count} rollouts in a row, {after} leave it out"))
    }

    /// Why one should not have been left out.
    pub(super) fn left_out(&self, no: u32, after: Option<u8>, now: Time) -> Option<String> {
        let Some(after) = after.map(usize::from) else {
            return Some("its rollout leaves nobody out".to_owned());
        };
        let (most, count) = (self.0.get(&no).map_or(0, |row| row.most(now)), self.count(no));
        (most < after).then(|| format!("it failed {count} rollouts in a row, {after} leave it out"))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOW: Time = Time::from_millis(1_000_000);
    const LATER: Time = Time::from_millis(1_000_001 + 600_000);

    fn rollout(no: u128) -> RolloutId {
        RolloutId(Uuid::from_u128(no))
    }

    #[test]
    fn a_rollout_counts_once_and_all_are_forgotten_at_once() {
        let mut failing = Failing::default();
        for no in [1, 1, 2] {
            failing.fail(7, rollout(no));
        }
        assert_eq!((failing.count(7), failing.count(8)), (2, 0));
        assert!(failing.claimed(7, Some(2), NOW).is_some());
        assert_eq!(failing.claimed(7, Some(3), NOW), None);
        assert_eq!(failing.claimed(7, None, NOW), None);
        assert_eq!(failing.claimed(8, Some(1), NOW), None);
        failing.forget(7, NOW);
        assert_eq!((failing.count(7), failing.claimed(7, Some(1), NOW)), (0, None));
        failing.fail(7, rollout(2));
        assert_eq!((failing.count(7), failing.claimed(7, Some(2), NOW)), (1, None));
    }

    #[test]
    fn nobody_is_left_out_for_what_is_forgotten_but_by_what_was_known_just_before() {
        let mut failing = Failing::default();
        assert!(failing.left_out(7, Some(1), NOW).is_some());
        failing.fail(7, rollout(1));
        failing.fail(7, rollout(2));
        assert_eq!(failing.left_out(7, Some(2), NOW), None);
        assert!(
            failing.left_out(7, Some(3), NOW).is_some() && failing.left_out(7, None, NOW).is_some()
        );
        failing.forget(7, NOW);
        failing.fail(7, rollout(3));
        failing.forget(7, NOW);
        assert_eq!(failing.left_out(7, Some(2), NOW), None);
        assert!(failing.left_out(7, Some(2), LATER).is_some());
        failing.unsettle(LATER);
        assert_eq!(failing.left_out(7, Some(2), LATER), None);
    }

    #[test]
    fn who_was_not_held_may_be_under_way_elsewhere_but_not_for_long() {
        let mut failing = Failing::default();
        failing.fail(7, rollout(1));
        failing.fail_apart(7, rollout(2), NOW);
        assert_eq!(failing.claimed(7, Some(2), NOW), None);
        assert!(failing.claimed(7, Some(1), NOW).is_some());
        assert!(failing.claimed(7, Some(2), LATER).is_some());
        failing.unsettle(LATER);
        assert_eq!(failing.claimed(7, Some(2), LATER), None);
    }
}
