//! Whether a device is there, as far as can be told from when it was last heard of.
//!
//! Owns the rule that a device which said how often it checks in is offline after three silent
//! intervals, and the four words for where a device stands. Knows nothing of contacts: who heard
//! of a device, and when, is passed in. Type to read first: [`Presence`].

use std::{fmt, time::Duration};

use crate::time::Time;

/// Shortest interval of check-ins: a fleet that calls more often than this only heats the network.
pub const CHECK_IN_MIN: Duration = Duration::from_secs(1);

/// Longest interval of check-ins: a device that is heard of less than once a week is better
/// described by no interval at all, because three of them say nothing any more.
pub const CHECK_IN_MAX: Duration = Duration::from_hours(7 * 24);

/// Intervals in which a device may be silent before it counts as offline: one check-in lost on the
/// way and one missed to a reboot are daily business.
pub const INTERVALS_MISSED_MAX: u32 = 3;

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Heard of within [`INTERVALS_MISSED_MAX`] intervals.
    Online,
    /// Silent for longer than that.
    Offline {
        /// When it was last heard of.
        since: Time,
    },
    /// Heard of once, but it never said how often it checks in: only trying it tells.
    Unknown,
    /// Never heard of.
    NeverSeen {
        /// Whether it is to check in, and so is waited for instead of tried.
        checks_in: bool,
    },
}

impl Presence {
    /// Every word that [`Presence::as_str`] returns.
    pub const WORDS: [&'static str; 4] = ["online", "offline", "unknown", "never_seen"];

    /// The word, as selectors, columns and wire formats have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline { .. } => "offline",
            Self::Unknown => "unknown",
            Self::NeverSeen { .. } => "never_seen",
        }
    }

    /// Whether there is reason to believe that trying it now is in vain. A device of which nothing
    /// is expected is never away: it is simply tried.
    pub const fn is_away(self) -> bool {
        matches!(self, Self::Offline { .. } | Self::NeverSeen { checks_in: true })
    }
}

impl fmt::Display for Presence {
    /// For people: as the word, with a blank in `never seen`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverSeen { .. } => "never seen",
            other => other.as_str(),
        })
    }
}

/// An interval that no device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckInError {
    /// Below [`CHECK_IN_MIN`] or above [`CHECK_IN_MAX`].
    #[error("the interval of check-ins must be 1 s to 7 days")]
    OutOfRange,
    /// A fraction of a second.
    #[error("the interval of check-ins must be whole seconds")]
    Fraction,
}

/// Checks an interval of check-ins: [`CHECK_IN_MIN`] to [`CHECK_IN_MAX`], whole seconds.
///
/// # Errors
/// Says which of these does not hold.
pub fn check_interval(check_in: Duration) -> Result<(), CheckInError> {
    if check_in.subsec_nanos() != 0 {
        return Err(CheckInError::Fraction);
    }
    if (CHECK_IN_MIN..=CHECK_IN_MAX).contains(&check_in) {
        Ok(())
    } else {
        Err(CheckInError::OutOfRange)
    }
}

/// Where a device stands that is to check in every `check_in`, if it said so, and was heard of at
/// `last_seen`, if ever.
///
/// A `last_seen` after `now`, as when a clock was set back, counts as just heard of.
pub fn presence(check_in: Option<Duration>, last_seen: Option<Time>, now: Time) -> Presence {
    match (check_in, last_seen) {
        (check_in, None) => Presence::NeverSeen { checks_in: check_in.is_some() },
        (None, Some(_)) => Presence::Unknown,
        (Some(check_in), Some(since)) if since < silent_before(check_in, now) => {
            Presence::Offline { since }
        }
        (Some(_), Some(_)) => Presence::Online,
    }
}

/// The time that a device with this interval must have been heard of since to be online at `now`.
fn silent_before(check_in: Duration, now: Time) -> Time {
    now - check_in.saturating_mul(INTERVALS_MISSED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_800_000_000_000);
    const MINUTE: Option<Duration> = Some(Duration::from_mins(1));

    /// Milliseconds before now.
    const fn ago(millis: i64) -> Time {
        Time::from_millis(NOW.as_millis() - millis)
    }

    #[test]
    fn where_a_device_stands() {
        for (check_in, last_seen, word, is_away) in [
            (MINUTE, Some(ago(0)), "online", false),
            (MINUTE, Some(ago(60_000)), "online", false),
            (MINUTE, Some(ago(180_000)), "online", false),
            (MINUTE, Some(ago(180_001)), "offline", true),
            (MINUTE, Some(ago(-5_000)), "online", false),
            (MINUTE, Some(Time::from_millis(i64::MAX)), "online", false),
            (MINUTE, Some(Time::from_millis(i64::MIN)), "offline", true),
            (MINUTE, None, "never_seen", true),
            (Some(CHECK_IN_MIN), Some(ago(3_000)), "online", false),
            (Some(CHECK_IN_MIN), Some(ago(3_001)), "offline", true),
            (Some(CHECK_IN_MAX), Some(ago(21 * 86_400_000)), "online", false),
            (Some(CHECK_IN_MAX), Some(ago(21 * 86_400_000 + 1)), "offline", true),
            (Some(Duration::MAX), Some(ago(1)), "online", false),
            (None, Some(ago(0)), "unknown", false),
            (None, Some(ago(400 * 86_400_000)), "unknown", false),
            (None, Some(ago(-5_000)), "unknown", false),
            (None, None, "never_seen", false),
        ] {
            let found = presence(check_in, last_seen, NOW);
            assert_eq!(found.as_str(), word, "{check_in:?} {last_seen:?}");
            assert_eq!(found.is_away(), is_away, "{check_in:?} {last_seen:?}");
            assert!(Presence::WORDS.contains(&word));
            assert_eq!(found.to_string(), word.replace('_', " "));
        }
        let silent = presence(MINUTE, Some(ago(200_000)), NOW);
        assert_eq!(silent, Presence::Offline { since: ago(200_000) });
    }

    #[test]
    fn intervals() {
        for (check_in, expected) in [
            (CHECK_IN_MIN, Ok(())),
            (CHECK_IN_MAX, Ok(())),
            (Duration::ZERO, Err(CheckInError::OutOfRange)),
            (CHECK_IN_MAX + Duration::from_secs(1), Err(CheckInError::OutOfRange)),
            (Duration::from_millis(1_500), Err(CheckInError::Fraction)),
        ] {
            assert_eq!(check_interval(check_in), expected, "{check_in:?}");
        }
    }
}
