//! When to try again.
//!
//! Owns the retry policy and its arithmetic. Knows nothing of what is tried; waiting is the
//! caller's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest wait a device may ask for by `Retry-After`; one that asks for more is asked again
/// after an hour all the same, so that no device can park itself for good.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// More attempts than this is a mistake, not a policy.
pub const ATTEMPTS_LIMIT: u32 = 100;

/// The longest backoff that may be configured.
pub const BACKOFF_LIMIT: Duration = Duration::from_hours(24);

/// How often, and after which waits, a transient failure is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    attempts_max: u32,
    initial: Duration,
    multiplier: f64,
    cap: Duration,
    jitter_percent: u8,
}

/// Why a retry policy was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// `attempts_max` is out of range.
    #[error("attempts must be between 1 and {ATTEMPTS_LIMIT}, not {0}")]
    Attempts(u32),
    /// The multiplier would shrink the waits, or is not a number.
    #[error("backoff multiplier must be a number between 1 and 100, not {0}")]
    Multiplier(f64),
    /// The first wait is longer than the longest.
    #[error("the first backoff ({initial:?}) is longer than the longest ({cap:?})")]
    InitialOverCap {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        cap: Duration,
    },
    /// The longest wait is out of range.
    #[error("the longest backoff must be at most 24 h, not {0:?}")]
    Cap(Duration),
    /// Jitter is a percentage.
    #[error("jitter must be between 0 and 100 percent, not {0}")]
    Jitter(u8),
}

impl Default for Policy {
    /// Three attempts: at once, after 1 s, after 2 s more; no jitter.
    fn default() -> Self {
        Self {
            attempts_max: 3,
            initial: Duration::from_secs(1),
            multiplier: 2.0,
            cap: Duration::from_secs(30),
            jitter_percent: 0,
        }
    }
}

impl Policy {
    /// A checked policy.
    ///
    /// # Errors
    /// [`PolicyError`] names the value that cannot be used.
    pub fn new(
        attempts_max: u32,
        initial: Duration,
        multiplier: f64,
        cap: Duration,
        jitter_percent: u8,
    ) -> Result<Self, PolicyError> {
        if attempts_max == 0 || attempts_max > ATTEMPTS_LIMIT {
            return Err(PolicyError::Attempts(attempts_max));
        }
        if !(1.0..=100.0).contains(&multiplier) {
            return Err(PolicyError::Multiplier(multiplier));
        }
        if cap > BACKOFF_LIMIT {
            return Err(PolicyError::Cap(cap));
        }
        if initial > cap {
            return Err(PolicyError::InitialOverCap { initial, cap });
        }
        if jitter_percent > 100 {
            return Err(PolicyError::Jitter(jitter_percent));
        }
        Ok(Self { attempts_max, initial, multiplier, cap, jitter_percent })
    }

    /// How many attempts there are in all, the first one included.
    pub const fn attempts_max(&self) -> u32 {
        self.attempts_max
    }

    /// The longest wait there can be between two attempts.
    pub fn longest_wait(&self) -> Duration {
        self.cap.max(RETRY_AFTER_MAX)
    }

    /// The first wait.
    pub const fn initial(&self) -> Duration {
        self.initial
    }

    /// What each wait is multiplied with to give the next.
    pub const fn multiplier(&self) -> f64 {
        self.multiplier
    }

    /// The longest wait.
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// The most that may be taken off a wait at random, in percent.
    pub const fn jitter_percent(&self) -> u8 {
        self.jitter_percent
    }

    /// The wait between attempt `attempt` (counted from 1), which failed, and the next; `None`
    /// when that was the last one.
    ///
    /// `retry_after` is what the device asked for: the longer of the two holds, at most
    /// [`RETRY_AFTER_MAX`]. `dice` is a number drawn by the caller, uniform over its whole range;
    /// it matters only with jitter, which takes up to that share off the wait.
    pub fn wait_after(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        dice: u32,
    ) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        let backoff = self.backoff(attempt, dice);
        Some(match retry_after {
            Some(asked) => backoff.max(asked.min(RETRY_AFTER_MAX)),
            None => backoff,
        })
    }

    fn backoff(&self, attempt: u32, dice: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let secs = self.initial.as_secs_f64() * self.multiplier.powi(exponent);
        let cap_secs = self.cap.as_secs_f64();
        let secs = if secs.is_finite() { secs.min(cap_secs) } else { cap_secs };
        let share = f64::from(self.jitter_percent) / 100.0 * f64::from(dice) / f64::from(u32::MAX);
        Duration::from_secs_f64(secs * (1.0 - share)).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &Policy) -> Vec<u128> {
        (1..)
            .map_while(|attempt| policy.wait_after(attempt, None, 0))
            .map(|wait| wait.as_micros())
            .collect()
    }

    fn policy(attempts: u32, initial_ms: u64, multiplier: f64, cap_secs: u64) -> Policy {
        Policy::new(
            attempts,
            Duration::from_millis(initial_ms),
            multiplier,
            Duration::from_secs(cap_secs),
            0,
        )
        .unwrap()
    }

    #[test]
    fn schedules_of_the_manual() {
        assert_eq!(waits(&Policy::default()), [1_000_000, 2_000_000]);
        assert_eq!(waits(&policy(5, 1_000, 2.0, 30)), [1_000_000, 2_000_000, 4_000_000, 8_000_000]);
        assert_eq!(waits(&policy(5, 500, 1.5, 10)), [500_000, 750_000, 1_125_000, 1_687_500]);
    }

    #[test]
    fn capped_however_many() {
        let policy = policy(100, 1_000, 100.0, 30);
        assert_eq!(policy.wait_after(99, None, 0), Some(Duration::from_secs(30)));
        assert_eq!(policy.wait_after(100, None, 0), None);
    }

    #[test]
    fn retry_after_is_the_longer_of_the_two_and_bounded() {
        let policy = Policy::default();
        let wait = |secs| policy.wait_after(1, Some(Duration::from_secs(secs)), 0);
        assert_eq!(wait(0), Some(Duration::from_secs(1)));
        assert_eq!(wait(120), Some(Duration::from_mins(2)));
        assert_eq!(wait(1_000_000), Some(RETRY_AFTER_MAX));
        assert_eq!(policy.wait_after(3, Some(Duration::from_secs(1)), 0), None);
    }

    #[test]
    fn jitter_only_shortens() {
        let policy =
            Policy::new(3, Duration::from_secs(10), 1.0, Duration::from_secs(10), 50).unwrap();
        assert_eq!(policy.wait_after(1, None, 0), Some(Duration::from_secs(10)));
        assert_eq!(policy.wait_after(1, None, u32::MAX), Some(Duration::from_secs(5)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let second = Duration::from_secs(1);
        let new = Policy::new;
        assert_eq!(new(0, second, 2.0, second, 0), Err(PolicyError::Attempts(0)));
        assert_eq!(new(101, second, 2.0, second, 0), Err(PolicyError::Attempts(101)));
        assert!(matches!(new(3, second, 0.5, second, 0), Err(PolicyError::Multiplier(_))));
        assert!(matches!(new(3, second, f64::NAN, second, 0), Err(PolicyError::Multiplier(_))));
        assert!(matches!(
            new(3, second * 2, 2.0, second, 0),
            Err(PolicyError::InitialOverCap { .. })
        ));
        assert!(matches!(new(3, second, 2.0, BACKOFF_LIMIT * 2, 0), Err(PolicyError::Cap(_))));
        assert_eq!(new(3, second, 2.0, second, 101), Err(PolicyError::Jitter(101)));
    }
}
