//! A point in time as people write it.
//!
//! Owns the text form: an RFC 3339 time, or an age such as `-3m`. Knows no clock; an age becomes a
//! time when the present one is passed in.

use std::{fmt, str::FromStr, time::Duration};

use crate::time::Time;

/// The oldest age that can be written: older than any device.
pub const AGE_MAX: Duration = Duration::from_secs(100 * 365 * DAY_SECS);

const DAY_SECS: u64 = 86_400;

/// Letters of an age and the seconds they stand for, longest first.
const UNITS: [(char, u64); 5] =
    [('w', 7 * DAY_SECS), ('d', DAY_SECS), ('h', 3_600), ('m', 60), ('s', 1)];

/// A point in time, fixed or counted back from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This very time.
    At(Time),
    /// So long before now; whole seconds.
    Ago(Duration),
}

impl Moment {
    /// The time meant, when it is `now`.
    pub fn resolve(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now - age,
        }
    }
}

/// Why a text is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// Begins with `-`, but no age follows.
    #[error("an age is written as -30s, -3m, -12h, -7d or -1d12h")]
    Age,
    /// An age of more than [`AGE_MAX`].
    #[error("an age is at most 100 years")]
    TooOld,
    /// A time beyond those that can be told in every zone.
    #[error("out of range: the last time there is is 9999-12-30T22:00:00Z")]
    Range,
    /// Neither a time nor an age.
    #[error("a time is written as 2026-11-24T02:00:00Z (RFC 3339), or as an age such as -3m")]
    Time,
}

impl FromStr for Moment {
    type Err = MomentError;

    /// Reads an RFC 3339 time (an offset is required; anything finer than a millisecond is cut
    /// off) or an age: `-` and one or more whole numbers with a unit (w, d, h, m, s).
    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Some(age) = text.strip_prefix('-') {
            return parse_age(age).map(Self::Ago);
        }
        // jiff reads far more than RFC 3339; what starts differently may not mean the same to
        // whoever wrote it.
        let starts_with_date = text.len() >= 20
            && text.bytes().take(10).enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !starts_with_date || text.contains('[') {
            return Err(MomentError::Time);
        }
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| why_not(text))?;
        let millis = timestamp.as_nanosecond().div_euclid(1_000_000);
        i64::try_from(millis)
            .map(|millis| Self::At(Time::from_millis(millis)))
            .map_err(|_| MomentError::Time)
    }
}

/// What is wrong with a text that is no time: one whose date, time and offset are in order is out of
/// range.
fn why_not(text: &str) -> MomentError {
    let pieces = jiff::fmt::temporal::Pieces::parse(text);
    let is_well_formed =
        pieces.is_ok_and(|pieces| pieces.time().is_some() && pieces.offset().is_some());
    if is_well_formed { MomentError::Range } else { MomentError::Time }
}

fn parse_age(text: &str) -> Result<Duration, MomentError> {
    let mut secs: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(MomentError::Age)?;
        let (digits, unit_and_rest) = rest.split_at(digits_end);
        let mut chars = unit_and_rest.chars();
        let unit = chars.next().ok_or(MomentError::Age)?;
        let (_, unit_secs) =
            UNITS.iter().find(|(letter, _)| *letter == unit).ok_or(MomentError::Age)?;
        if digits.is_empty() {
            return Err(MomentError::Age);
        }
        let number: u64 = digits.parse().map_err(|_| MomentError::TooOld)?;
        secs = number
            .checked_mul(*unit_secs)
            .and_then(|more| secs.checked_add(more))
            .filter(|secs| *secs <= AGE_MAX.as_secs())
            .ok_or(MomentError::TooOld)?;
        rest = chars.as_str();
    }
    if text.is_empty() { Err(MomentError::Age) } else { Ok(Duration::from_secs(secs)) }
}

impl fmt::Display for Moment {
    /// The shortest text that reads back as the same moment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = match self {
            Self::At(time) => return time.fmt(f),
            Self::Ago(age) => age,
        };
        let mut secs = age.as_secs();
        if secs == 0 {
            return f.write_str("-0s");
        }
        f.write_str("-")?;
        for (letter, unit_secs) in UNITS {
            let count = secs / unit_secs;
            secs %= unit_secs;
            if count > 0 {
                write!(f, "{count}{letter}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_shown() {
        for (text, shown) in [
            ("-3m", "-3m"),
            ("-90s", "-1m30s"),
            ("-0s", "-0s"),
            ("-8d", "-1w1d"),
            ("-1h1h", "-2h"),
            ("2026-11-24T02:00:00Z", "2026-11-24T02:00:00.000Z"),
            ("2026-11-24T02:00:00.123456-07:00", "2026-11-24T09:00:00.123Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.to_string(), shown);
            assert_eq!(shown.parse(), Ok(moment), "{shown}");
        }
    }

    #[test]
    fn refused() {
        for (text, why) in [
            ("", MomentError::Time),
            ("yesterday", MomentError::Time),
            ("2026-11-24", MomentError::Time),
            ("2026-11-24T02:00:00", MomentError::Time),
            ("2026-11-24T02:00:00[UTC]", MomentError::Time),
            ("1764000000", MomentError::Time),
            ("2026-13-24T02:00:00Z", MomentError::Time),
            ("9999-12-31T23:59:59Z", MomentError::Range),
            ("9999-12-31T23:59:59", MomentError::Time),
            ("-", MomentError::Age),
            ("-3", MomentError::Age),
            ("-m", MomentError::Age),
            ("-3y", MomentError::Age),
            ("-3m ", MomentError::Age),
            ("-36501d", MomentError::TooOld),
            ("-99999999999999999999s", MomentError::TooOld),
        ] {
            assert_eq!(text.parse::<Moment>(), Err(why), "{text}");
        }
    }

    #[test]
    fn an_age_counts_back_from_now() {
        let now = Time::from_millis(200_000);
        assert_eq!(Moment::Ago(Duration::from_mins(3)).resolve(now), Time::from_millis(20_000));
        assert_eq!(Moment::At(now).resolve(Time::ZERO), now);
    }
}
