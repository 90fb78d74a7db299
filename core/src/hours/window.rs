//! Hours of the day, daily or on some days of the week.
//!
//! Owns their text form. What they mean on a given date is [`super::Hours`]'s business.

use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Days, echo,
    wall::{DAY_MILLIS, MINUTE_MILLIS},
};

/// A minute of a wall clock, `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// `00:00`, the start of a day.
    pub const START: Self = Self(0);

    /// `24:00`, the end of a day.
    pub const END: Self = Self(24 * 60);

    /// The time with this hour and minute; `None` beyond `24:00`.
    pub const fn new(hour: u16, minute: u16) -> Option<Self> {
        if hour < 24 && minute < 60 || hour == 24 && minute == 0 {
            Some(Self(hour * 60 + minute))
        } else {
            None
        }
    }

    /// Minutes since `00:00`, as the wall clock counts them.
    pub const fn minutes(self) -> u16 {
        self.0
    }

    fn millis(self) -> i64 {
        i64::from(self.0) * MINUTE_MILLIS
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = WindowError;

    /// Reads `02:00`; the hour may have one digit.
    fn from_str(text: &str) -> Result<Self, WindowError> {
        text.split_once(':')
            .filter(|(hour, minute)| (1..=2).contains(&hour.len()) && minute.len() == 2)
            // Rust reads `+2` as a number; people do not write hours that way.
            .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'))
            .and_then(|(hour, minute)| Self::new(hour.parse().ok()?, minute.parse().ok()?))
            .ok_or_else(|| WindowError::Time(echo(text)))
    }
}

/// Hours during which a device may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    days: Days,
    from: TimeOfDay,
    to: TimeOfDay,
}

impl Window {
    /// Hours that begin on these days. If `to` is not after `from` they go over midnight.
    ///
    /// # Errors
    /// Refused are hours that begin at `24:00` or as they end.
    pub fn new(days: Days, from: TimeOfDay, to: TimeOfDay) -> Result<Self, WindowError> {
        if from == to {
            return Err(WindowError::NoTime(from));
        }
        if from == TimeOfDay::END {
            return Err(WindowError::BeginsAtEnd);
        }
        // One way to write midnight at the end, so that equal windows are equal.
        let to = if to == TimeOfDay::START { TimeOfDay::END } else { to };
        Ok(Self { days, from, to })
    }

    /// The days on which it begins.
    pub const fn days(&self) -> Days {
        self.days
    }

    /// When it begins.
    pub const fn from(&self) -> TimeOfDay {
        self.from
    }

    /// When it ends: on the next day if this is before [`Self::from`].
    pub const fn to(&self) -> TimeOfDay {
        self.to
    }

    /// What the wall clock shows during the window that begins on a date (a number of days since
    /// 1970-01-01), in wall-clock milliseconds; `None` if none begins then.
    pub(super) fn on(self, day: i64) -> Option<Range<i64>> {
        let midnight = day * DAY_MILLIS;
        let next_day = if self.to < self.from { DAY_MILLIS } else { 0 };
        self.days
            .contains_date(day)
            .then(|| midnight + self.from.millis()..midnight + self.to.millis() + next_day)
    }
}

/// Why a text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Not hours at all.
    #[error("`{0}` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00")]
    Shape(String),
    /// Not a weekday.
    #[error(
        "`{0}` is no day of the week; write Mon, Tue, Wed, Thu, Fri, Sat or Sun, as in \
             Mon-Fri 22:00-06:00"
    )]
    Day(String),
    /// Not a time of day.
    #[error(
        "`{0}` is no time of day; write hours and minutes from 00:00 to 24:00, as in \
             02:00-04:00"
    )]
    Time(String),
    /// Ends as it begins.
    #[error("a window from {0} to {0} lasts no time; for the whole day write 00:00-24:00")]
    NoTime(TimeOfDay),
    /// Begins at the end of a day.
    #[error("a window cannot begin at 24:00; write 00:00 of the next day, as in 00:00-04:00")]
    BeginsAtEnd,
}

impl FromStr for Window {
    type Err = WindowError;

    /// Reads hours, such as `22:00-06:00`, with the days they begin on before them unless they
    /// are daily.
    fn from_str(text: &str) -> Result<Self, WindowError> {
        let shape = || WindowError::Shape(echo(text));
        let trimmed = text.trim();
        let (days, hours) = match trimmed.rsplit_once(char::is_whitespace) {
            Some((days, hours)) => (Some(days), hours),
            None => (None, trimmed),
        };
        let (from, to) = hours.split_once('-').ok_or_else(shape)?;
        if !hours.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(shape());
        }
        let days = days.map_or(Ok(Days::ALL), Days::parse)?;
        Self::new(days, from.parse()?, to.parse()?)
    }
}

impl fmt::Display for Window {
    /// The text that reads back as the same window; daily ones have no days.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != Days::ALL {
            write!(f, "{} ", self.days)?;
        }
        write!(f, "{}-{}", self.from, self.to)
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
