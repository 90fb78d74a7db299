//! How far claims run ahead of sending.
//!
//! A claim is durable before anything is sent, and a commit takes its time: so that sending never
//! waits for one, a few devices more are claimed than can be sent to at once. They hold their
//! places, so they are kept few.

use std::time::Duration;

use groundswell_core::time::Time;

/// Fewest claims ahead: what one commit brings to a run that has just begun.
const AHEAD_MIN: u32 = 64;

/// Most claims ahead, whatever the rate: what a killed run leaves in doubt.
const AHEAD_MAX: u32 = 4_096;

/// Claims ahead cover this much of the observed rate, a few commits.
const AHEAD_OF_RATE: Duration = Duration::from_millis(20);

/// The rate is taken over this long.
const WINDOW: Duration = Duration::from_millis(50);

/// Observes how fast devices are sent to.
#[derive(Debug)]
pub(crate) struct Pace {
    window_start: Time,
    sent: u32,
    ahead: u32,
}

impl Pace {
    pub(crate) const fn new(now: Time) -> Self {
        Self { window_start: now, sent: 0, ahead: AHEAD_MIN }
    }

    /// Takes note that `sent` devices were begun to be sent to.
    pub(crate) fn observe(&mut self, now: Time, sent: u32) {
        self.sent += sent;
        let elapsed = now.since(self.window_start);
        if elapsed >= WINDOW || now < self.window_start {
            let share = AHEAD_OF_RATE.as_secs_f64() / elapsed.max(WINDOW).as_secs_f64();
            self.ahead = ((f64::from(self.sent) * share) as u32).clamp(AHEAD_MIN, AHEAD_MAX);
            *self = Self { window_start: now, sent: 0, ahead: self.ahead };
        }
    }

    /// How many devices may be claimed beyond those that can be sent to at once.
    pub(crate) const fn ahead(&self) -> u32 {
        self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_milliseconds_of_the_rate_within_bounds() {
        let mut pace = Pace::new(Time::ZERO);
        assert_eq!(pace.ahead(), AHEAD_MIN);
        pace.observe(Time::from_millis(50), 3_000); // 60,000 a second
        assert_eq!(pace.ahead(), 1_200);
        pace.observe(Time::from_millis(100), 10);
        assert_eq!(pace.ahead(), AHEAD_MIN);
        pace.observe(Time::from_millis(150), 1_000_000);
        assert_eq!(pace.ahead(), AHEAD_MAX);
        pace.observe(Time::from_millis(20), 0); // set back
        assert_eq!(pace.ahead(), AHEAD_MIN);
    }
}
