//! How far a rollout is, how fast, and how long it will take.

mod eta;

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::eta::eta;
use crate::{gate::Verdict, rollout::WaveState, snapshot::Counts, time::Time, waiting::WaitingOn};

/// The rate is looked at over this long: short enough to follow a change, long enough not to jump.
const WINDOW: Duration = Duration::from_secs(30);

/// One sample for every so much of the window.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// How far a rollout is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Its devices, counted.
    pub counts: Counts,
    /// Its waves, in order.
    pub waves: Vec<WaveProgress>,
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

/// How far a wave is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveProgress {
    /// Where it stands.
    pub state: WaveState,
    /// What its gate ruled.
    pub verdict: Option<Verdict>,
    /// Its devices, counted.
    pub counts: Counts,
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
    fn a_clock_set_back_makes_no_negative_rate() {
        let at = Time::from_millis;
        let mut meter = RateMeter::default();
        meter.observe(at(5_000), 10);
        assert!(meter.per_sec(at(4_000), 5).abs() < f64::EPSILON);
        meter.observe(at(1_000), 10);
        assert!(meter.per_sec(at(2_000), 12) > 1.9);
    }
}
