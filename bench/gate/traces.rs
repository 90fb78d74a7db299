//! Rollouts of chance, the same from the same seed on every machine, and what came of them.

use crate::rules::Rule;

/// A generator of chance numbers: a counter, well mixed (`SplitMix64`; G. Steele, D. Lea and
/// C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Numbers, from 1, of the devices that fail, each with a chance of so many millionths.
    pub(crate) fn failures(&mut self, devices: u32, ppm: u32, failures: &mut Vec<u32>) {
        let below = (u128::from(ppm) << 64) / 1_000_000;
        failures.clear();
        failures.extend((1..=devices).filter(|_| u128::from(self.next()) < below));
    }
}

/// What a rule did to many rollouts.
#[derive(Default)]
pub(crate) struct Outcomes {
    /// Devices that failed in each before it was stopped, or in all of it.
    harmed: Vec<u32>,
    /// Rollouts that were stopped.
    pub(crate) stopped: u64,
}

impl Outcomes {
    pub(crate) fn take(&mut self, rule: &dyn Rule, failures: &[u32], devices: u32) {
        let stop = rule.stops_at(failures, devices);
        self.stopped += u64::from(stop.is_some());
        let last = stop.unwrap_or(devices);
        self.harmed.push(failures.partition_point(|at| *at <= last) as u32);
    }

    pub(crate) fn rollouts(&self) -> u64 {
        self.harmed.len() as u64
    }

    /// Percent of the rollouts that were stopped.
    pub(crate) fn stopped_percent(&self) -> f64 {
        100.0 * self.stopped as f64 / self.rollouts() as f64
    }

    pub(crate) fn harm(mut self) -> Harm {
        self.harmed.sort_unstable();
        let at =
            |percent: usize| self.harmed[(self.harmed.len() * percent / 100).saturating_sub(1)];
        let sum: u64 = self.harmed.iter().map(|harmed| u64::from(*harmed)).sum();
        Harm {
            median: at(50),
            mean: sum as f64 / self.harmed.len() as f64,
            most: at(95),
            never_percent: 100.0 - self.stopped_percent(),
        }
    }
}

/// Devices harmed before a stop.
#[derive(Clone, Copy)]
pub(crate) struct Harm {
    pub(crate) median: u32,
    pub(crate) mean: f64,
    /// In 95 of 100 rollouts not more.
    pub(crate) most: u32,
    /// Percent of the rollouts that were never stopped.
    pub(crate) never_percent: f64,
}
