//! How far a rollout is, how fast, and how long it will take.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{snapshot::Counts, time::Time, waiting::WaitingOn};

/// The rate is looked at over this long: short enough to follow a change, long enough not to jump.
const WINDOW: Duration = Duration::from_secs(30);

/// One sample for every so much of the window.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// How far a rollout is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Its devices, counted.
    pub counts: Counts,
    /// Deliveries that are open.
    pub in_flight: u32,
    /// Bytes of artifacts handed to connections by this run, retries included.
    pub sent_bytes: u64,
    /// Devices ended per second, as observed lately.
    pub ended_per_sec: f64,
    /// Time left at that rate; `None` while it cannot be told.
    pub eta: Option<Duration>,
    /// Why not more happens.
    pub waiting_on: Vec<WaitingOn>,
}

/// Observes how many devices ended, and tells the rate.
#[derive(Debug, Default)]
pub struct RateMeter {
    samples: VecDeque<(Time, u64)>,
}

impl RateMeter {
    /// Takes note that `ended` devices had ended at `now`.
    pub fn observe(&mut self, now: Time, ended: u64) {
        match self.samples.back() {
            // A clock that was set back makes old samples worthless.
            Some((last, _)) if now < *last => self.samples.clear(),
            Some((last, _)) if now.since(*last) < SAMPLE_EVERY => return,
            _ => {}
        }
        self.samples.push_back((now, ended));
        while self.samples.len() > 2 && now.since(self.samples[0].0) > WINDOW {
            self.samples.pop_front();
        }
    }

    /// Devices ended per second, up to `now`, when `ended` had; 0 if it cannot be told yet.
    pub fn per_sec(&self, now: Time, ended: u64) -> f64 {
        let Some((first_at, first_ended)) = self.samples.front() else { return 0.0 };
        let secs = now.since(*first_at).as_secs_f64();
        if secs <= 0.0 { 0.0 } else { ended.saturating_sub(*first_ended) as f64 / secs }
    }
}

/// Time for `left` devices at `per_sec`; `None` without a rate, or beyond any use (100 days).
pub fn eta(left: u64, per_sec: f64) -> Option<Duration> {
    const LONGEST_SECS: f64 = 100.0 * 24.0 * 3_600.0;
    if left == 0 {
        return Some(Duration::ZERO);
    }
    let secs = left as f64 / per_sec;
    (per_sec > 0.0 && secs <= LONGEST_SECS).then(|| Duration::from_secs_f64(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let mut meter = RateMeter::default();
        let at = |secs: i64| Time::from_millis(secs * 1_000);
        for sec in 0..100 {
            // 10 a second for a minute, then 2 a second.
            let ended = if sec <= 60 { sec * 10 } else { 600 + (sec - 60) * 2 };
            meter.observe(at(sec), ended as u64);
        }
        let rate = meter.per_sec(at(99), 678);
        assert!((1.9..2.1).contains(&rate), "{rate}");
        assert!(meter.samples.len() < 65);
    }

    #[test]
    fn no_rate_no_eta_and_never_a_negative_one() {
        assert_eq!(eta(10, 0.0), None);
        assert_eq!(eta(0, 0.0), Some(Duration::ZERO));
        assert_eq!(eta(10, 5.0), Some(Duration::from_secs(2)));
        assert_eq!(eta(u64::MAX, 1.0), None);
        let mut meter = RateMeter::default();
        meter.observe(Time::from_millis(5_000), 10);
        assert!(meter.per_sec(Time::from_millis(4_000), 5).abs() < f64::EPSILON);
        meter.observe(Time::from_millis(1_000), 10);
        assert!(meter.per_sec(Time::from_millis(2_000), 12) > 1.9);
    }
}
