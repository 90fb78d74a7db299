//! A constant rate of claims, evenly spread.
//!
//! The generic cell rate algorithm in whole nanoseconds: what was not used is kept for a second
//! at the most, so that a driver that wakes late makes up for it and never bursts.

use std::time::Duration;

use crate::{snapshot::Allowance, time::Time};

/// Claims unused for longer than this are lost.
const KEPT_NANOS: i64 = 1_000_000_000;

/// How many claims a rate allows.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    interval_nanos: i64,
    /// When the next claim is due, in nanoseconds since the epoch.
    next_nanos: i64,
}

impl Rate {
    /// A rate that allows its first claim after one interval: a driver that starts again and again
    /// is no faster.
    pub fn new(per_minute: u32, now: Time) -> Self {
        // Rounded up: a limit may be missed by a part in ten thousand, never exceeded.
        let per_minute = u64::from(per_minute.max(1));
        let interval_nanos = 60_000_000_000_u64.div_ceil(per_minute) as i64;
        Self { interval_nanos, next_nanos: nanos(now).saturating_add(interval_nanos) }
    }

    /// What is allowed now.
    pub fn allowance(&self, now: Time) -> Allowance {
        let next = self.next(now);
        let past = nanos(now) - next;
        let claims = if past < 0 { 0 } else { past / self.interval_nanos.max(1) + 1 };
        let next_at = next.saturating_add(claims.saturating_mul(self.interval_nanos));
        Allowance {
            claims: u32::try_from(claims).unwrap_or(u32::MAX),
            next_at: Time::ZERO + Duration::from_nanos(next_at.unsigned_abs()),
        }
    }

    /// Takes note of claims made.
    pub fn used(&mut self, claims: u32, now: Time) {
        let spent = i64::from(claims).saturating_mul(self.interval_nanos);
        self.next_nanos = self.next(now).saturating_add(spent);
    }

    /// Not further back than is kept, nor further ahead than one interval: a clock that was set
    /// back must not stop a rollout.
    fn next(&self, now: Time) -> i64 {
        let now = nanos(now);
        let kept = KEPT_NANOS.max(self.interval_nanos);
        self.next_nanos.clamp(now.saturating_sub(kept), now.saturating_add(kept))
    }
}

const fn nanos(time: Time) -> i64 {
    time.as_millis().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn evenly_spread_and_never_a_burst() {
        let mut rate = Rate::new(60, at(0));
        assert_eq!(rate.allowance(at(0)), Allowance { claims: 0, next_at: at(1_000) });
        assert_eq!(rate.allowance(at(999)).claims, 0);
        assert_eq!(rate.allowance(at(1_000)).claims, 1);
        rate.used(1, at(1_000));
        assert_eq!(rate.allowance(at(1_000)), Allowance { claims: 0, next_at: at(2_000) });
        // After an hour of nothing to do, a second's worth.
        assert_eq!(rate.allowance(at(3_600_000)).claims, 2);
        // A clock that is set back makes it wait no longer than an interval.
        rate.used(2, at(3_600_000));
        assert_eq!(rate.allowance(at(5_000)).next_at, at(6_000));
    }

    #[test]
    fn over_any_minute_no_more_than_the_rate() {
        use proptest::prelude::*;
        proptest!(|(per_minute in 1_u32..20_000, waits in proptest::collection::vec(1_i64..700, 1..200))| {
            let mut rate = Rate::new(per_minute, at(0));
            let (mut now, mut claimed) = (0, 0_u64);
            for wait in waits {
                now += wait;
                let claims = rate.allowance(at(now)).claims;
                claimed += u64::from(claims);
                rate.used(claims, at(now));
                let most = (now as u64 * u64::from(per_minute)).div_ceil(60_000) + 1;
                prop_assert!(claimed <= most, "{claimed} of {most} at {now}");
            }
        });
    }
}
