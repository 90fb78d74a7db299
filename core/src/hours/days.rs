//! Days of the week.
//!
//! Owns the set of weekdays a window begins on, and how it is written.

use std::fmt;

use jiff::civil::Weekday;

use super::{WindowError, echo};

const NAMES: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A weekday is written as the first letters of its name.
const NAME_LETTERS: usize = 3;

/// A set of weekdays, never empty: bit 0 is Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// These days; `None` if there are none.
    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Option<Self> {
        let bits = days.into_iter().fold(0, |bits, day| bits | 1 << day.to_monday_zero_offset());
        (bits != 0).then_some(Self(bits))
    }

    /// Whether this day is one of them.
    pub const fn contains(self, day: Weekday) -> bool {
        self.has(day.to_monday_zero_offset() as usize)
    }

    /// Whether a date is on one of them; the number counts days since 1970-01-01, a Thursday.
    pub(super) const fn contains_date(self, day: i64) -> bool {
        self.has((day + 3).rem_euclid(7) as usize)
    }

    const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    /// Reads `Sat,Sun` or `Mon-Fri` or both mixed; `Fri-Mon` goes over the weekend.
    pub(super) fn parse(text: &str) -> Result<Self, WindowError> {
        let mut bits = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (index(first.trim())?, index(last.trim())?);
            let mut at = first;
            bits |= 1 << at;
            while at != last {
                at = (at + 1) % NAMES.len();
                bits |= 1 << at;
            }
        }
        Ok(Self(bits))
    }
}

fn index(text: &str) -> Result<usize, WindowError> {
    NAMES
        .iter()
        .position(|name| {
            text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(&name[..NAME_LETTERS])
        })
        .ok_or_else(|| WindowError::Day(echo(text)))
}

impl fmt::Display for Days {
    /// Three days or more in a row as `Mon-Fri`, other ones one by one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        let mut separator = "";
        while at < NAMES.len() {
            if !self.has(at) {
                at += 1;
                continue;
            }
            let end = (at..NAMES.len()).find(|&day| !self.has(day)).unwrap_or(NAMES.len());
            write!(f, "{separator}{}", &NAMES[at][..NAME_LETTERS])?;
            separator = ",";
            if end - at >= 3 {
                write!(f, "-{}", &NAMES[end - 1][..NAME_LETTERS])?;
                at = end;
            } else {
                at += 1;
            }
        }
        Ok(())
    }
}
