//! Time as the decisions see it: a number that was passed in.
//!
//! Owns the one time type that is stored, logged and compared. Knows nothing of clocks: reading
//! one is the business of whoever calls.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, as stored and logged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// The start of the epoch, earlier than anything that is ever due.
    pub const ZERO: Self = Self(0);

    /// Later than anything: what is due then is due when something else happens.
    pub const MAX: Self = Self(i64::MAX);

    /// A time from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Whole milliseconds; a fraction counts as one, so that a wait is never cut short.
fn ceil_millis(duration: Duration) -> i64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(millis).unwrap_or(i64::MAX)
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(ceil_millis(duration)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(ceil_millis(duration)))
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC with milliseconds, such as `2026-11-24T02:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_round_up_and_never_wrap() {
        let time = Time::from_millis(10);
        assert_eq!(time + Duration::from_micros(1), Time::from_millis(11));
        assert_eq!(Time::from_millis(i64::MAX) + Duration::MAX, Time::from_millis(i64::MAX));
        assert_eq!(time.since(Time::from_millis(11)), Duration::ZERO);
    }

    #[test]
    fn shown_as_utc() {
        assert_eq!(Time::from_millis(1_500).to_string(), "1970-01-01T00:00:01.500Z");
    }
}
