//! The rules that are compared: each says at which result it stops a rollout, if at all.

use groundswell_core::gate::regression::{Results, Test};

/// What a rule is held to: where in a rollout it stops.
pub(crate) trait Rule {
    /// The number of the result at which it stops. `failures` are the numbers of those that
    /// failed, from 1 and in order, of `devices` in all.
    fn stops_at(&self, failures: &[u32], devices: u32) -> Option<u32>;
}

/// The regression test, looked at after every result.
///
/// A further success never gives more evidence, so what it says of all results is known from the
/// most successes with which each number of failures stops it: these are asked of the test itself.
pub(crate) struct Regression {
    /// By failures: the test stops with fewer successes than this.
    stops_below: Vec<u32>,
    /// Devices under way, of which the failed answer first and nobody counts the others; 0 if they
    /// are counted.
    uncounted: u32,
}

impl Regression {
    pub(crate) fn new(test: &Test, devices: u32) -> Self {
        let mut stops_below = vec![];
        let mut successes = 0;
        for failed in 0..=devices {
            let stops = |successes: u32| {
                let (succeeded, failed) = (u64::from(successes), u64::from(failed));
                test.judge(Results { succeeded, failed, under_way: 0 }).is_stop()
            };
            while successes <= devices && stops(successes) {
                successes += 1;
            }
            stops_below.push(successes);
        }
        Self { stops_below, uncounted: 0 }
    }

    /// The same, misused: `under_way` devices are begun at a time, those that fail say so at once,
    /// the others all together, and only what has ended is counted.
    pub(crate) fn misused(test: &Test, devices: u32, under_way: u32) -> Self {
        Self { uncounted: under_way, ..Self::new(test, devices) }
    }
}

impl Rule for Regression {
    fn stops_at(&self, failures: &[u32], _: u32) -> Option<u32> {
        let stops = |&(failed, at): &(u32, &u32)| {
            let successes = at - failed;
            let known = successes - successes.checked_rem(self.uncounted).unwrap_or(0);
            known < self.stops_below[failed as usize]
        };
        (1..).zip(failures).find(stops).map(|(_, at)| *at)
    }
}

/// "So many percent failed, once so many results are there."
pub(crate) struct Share {
    pub(crate) percent: u32,
    pub(crate) after: u32,
    /// Whether exactly as many are put up with.
    pub(crate) is_strict: bool,
}

impl Rule for Share {
    fn stops_at(&self, failures: &[u32], devices: u32) -> Option<u32> {
        let stops =
            |failed: u32, at: u32| failed * 100 >= self.percent * at + u32::from(self.is_strict);
        let early = failures.iter().take_while(|at| **at <= self.after).count();
        if self.after <= devices && stops(early as u32, self.after) {
            return Some(self.after);
        }
        let later = (early as u32 + 1..).zip(&failures[early..]);
        later.into_iter().find(|(failed, at)| stops(*failed, **at)).map(|(_, at)| *at)
    }
}

/// hawkBit's: more than so many percent of a group, all its devices counted, failed. Groups follow
/// one another. (`ThresholdRolloutGroupErrorCondition` in eclipse-hawkbit/hawkbit: errors of the
/// group divided by its size, strictly more than the threshold, looked at by a scheduler; here
/// after every result, which stops sooner if anything.)
pub(crate) struct Group {
    pub(crate) percent: u32,
    pub(crate) devices: u32,
}

impl Rule for Group {
    fn stops_at(&self, failures: &[u32], devices: u32) -> Option<u32> {
        let mut group = 0;
        let mut failed = 0;
        for at in failures {
            let current = (at - 1) / self.devices;
            failed = if current == group { failed + 1 } else { 1 };
            group = current;
            let size = self.devices.min(devices - group * self.devices);
            if failed * 100 > self.percent * size {
                return Some(*at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use groundswell_core::gate::{
        baseline::Baseline,
        regression::{self, Alpha},
    };

    use super::*;

    /// By hand: 2 of 2 stop it, 2 of 100 do not.
    #[test]
    fn the_test_and_its_misuse() {
        let asked = regression::Regression {
            baseline: Baseline::given("2%".parse().unwrap()).unwrap(),
            alpha: Alpha::default(),
        };
        let test = asked.prepare();
        let used = Regression::new(&test, 200);
        let misused = Regression::misused(&test, 200, 100);
        assert_eq!(used.stops_at(&[1, 2], 200), Some(2));
        assert_eq!(used.stops_at(&[40, 80], 200), None);
        assert_eq!(misused.stops_at(&[40, 80], 200), Some(80), "98 are under way");
        assert_eq!(misused.stops_at(&[40, 110], 200), None, "100 of them have answered");
    }

    #[test]
    fn shares_and_groups() {
        let share = Share { percent: 5, after: 20, is_strict: false };
        assert_eq!(share.stops_at(&[3], 100), Some(20));
        assert_eq!(share.stops_at(&[21, 40], 100), Some(40));
        let share = Share { is_strict: true, ..share };
        assert_eq!(share.stops_at(&[3], 100), None, "1 of 20 is not more than 5 %");
        assert_eq!(share.stops_at(&[3, 4], 100), Some(20));
        assert_eq!(share.stops_at(&[3, 30], 100), Some(30));
        assert_eq!(share.stops_at(&[3, 40], 100), None);
        let group = Group { percent: 5, devices: 20 };
        assert_eq!(group.stops_at(&[20, 21, 40], 60), Some(40));
        assert_eq!(group.stops_at(&[20, 21, 41], 60), None);
        assert_eq!(group.stops_at(&[20, 21, 41], 50), Some(41), "1 of the last 10");
    }
}
