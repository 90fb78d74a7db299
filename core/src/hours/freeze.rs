//! Ranges of dates during which nothing may be touched.
//!
//! Owns their text form. What they do to windows is [`super::Hours`]'s business.

use std::{fmt, ops::Range, str::FromStr};

use jiff::civil::{Date, DateTime, date};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{echo, wall::DAY_MILLIS};

const EPOCH: Date = date(1970, 1, 1);

/// One end of a freeze, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// A local date, wholly frozen.
    Date(Date),
    /// A local date and time, to the minute: the first frozen one, or the first that is not.
    Minute(DateTime),
}

impl Edge {
    /// What the wall clock shows, in milliseconds since it showed 1970-01-01T00:00.
    fn millis(self) -> i64 {
        let date_time = match self {
            Self::Date(date) => date.to_datetime(jiff::civil::Time::midnight()),
            Self::Minute(date_time) => date_time,
        };
        let epoch = EPOCH.to_datetime(jiff::civil::Time::midnight());
        date_time.duration_since(epoch).as_secs() * 1_000
    }
}

impl FromStr for Edge {
    type Err = FreezeError;

    /// Reads `2026-12-24` or `2026-12-24T12:00`.
    fn from_str(text: &str) -> Result<Self, FreezeError> {
        let form_is = |form: &str| {
            text.len() == form.len()
                && text.bytes().zip(form.bytes()).all(|(byte, like)| match like {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == like,
                })
        };
        let edge = if form_is("0000-00-00") {
            text.parse().ok().map(Self::Date)
        } else if form_is("0000-00-00T00:00") {
            text.parse().ok().map(Self::Minute)
        } else {
            None
        };
        edge.ok_or_else(|| FreezeError::Edge(echo(text)))
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => write!(f, "{date}"),
            Self::Minute(at) => write!(f, "{}T{:02}:{:02}", at.date(), at.hour(), at.minute()),
        }
    }
}

/// A range of local dates, or dates and times, during which nothing may be touched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Freeze {
    from: Edge,
    to: Edge,
    reason: Option<String>,
    local: (i64, i64),
}

impl Freeze {
    /// A freeze between two ends. A date is frozen whole, also as the last one; a time is the
    /// first that is not frozen any more.
    ///
    /// # Errors
    /// [`FreezeError::Order`] if it would end before or as it begins.
    pub fn new(from: Edge, to: Edge, reason: Option<String>) -> Result<Self, FreezeError> {
        let whole_day = if matches!(to, Edge::Date(_)) { DAY_MILLIS } else { 0 };
        let local = (from.millis(), to.millis() + whole_day);
        if local.0 >= local.1 {
            return Err(FreezeError::Order { from, to });
        }
        Ok(Self { from, to, reason, local })
    }

    /// Where it begins.
    pub const fn from(&self) -> Edge {
        self.from
    }

    /// Where it ends.
    pub const fn to(&self) -> Edge {
        self.to
    }

    /// What people are told when it holds something up.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What the wall clock shows while it lasts, in wall-clock milliseconds.
    pub(super) fn local(&self) -> Range<i64> {
        let early_millis = if bites!(FreezeEndsEarly) { 60_000 } else { 0 };
        self.local.0..self.local.1 - early_millis
    }
}

/// Why a text is no freeze.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreezeError {
    /// Not a range at all.
    #[error(
        "`{0}` is no freeze; write 2026-12-20..2027-01-02 (both dates are frozen whole) or \
             2026-12-24T12:00..2026-12-27T06:00"
    )]
    Shape(String),
    /// Not a date, or date and time.
    #[error(
        "`{0}` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: \
             every device judges it by its own clock"
    )]
    Edge(String),
    /// Ends too early.
    #[error(
        "a freeze from {from} to {to} would be over as it begins, or before; the earlier one comes first"
    )]
    Order {
        /// Where it begins.
        from: Edge,
        /// Where it ends.
        to: Edge,
    },
}

impl FromStr for Freeze {
    type Err = FreezeError;

    /// Reads two ends with `..` between them; such a freeze has no reason.
    fn from_str(text: &str) -> Result<Self, FreezeError> {
        let (from, to) = text.split_once("..").ok_or_else(|| FreezeError::Shape(echo(text)))?;
        Self::new(from.trim().parse()?, to.trim().parse()?, None)
    }
}

impl fmt::Display for Freeze {
    /// The range, without the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

/// A freeze as a table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    from: String,
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Serialize for Freeze {
    /// A text, or a table if there is a reason.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.reason.is_none() {
            return serializer.collect_str(self);
        }
        let (from, to) = (self.from.to_string(), self.to.to_string());
        Table { from, to, reason: self.reason.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Freeze {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

/// Tells the two forms apart by itself: serde's untagged enums lose the reason of a refusal.
struct TextOrTable;

impl<'de> de::Visitor<'de> for TextOrTable {
    type Value = Freeze;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a freeze such as \"2026-12-20..2027-01-02\", or a table of from, to and reason",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Freeze, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Freeze, A::Error> {
        let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let edge = |text: &str| text.parse().map_err(de::Error::custom);
        Freeze::new(edge(&table.from)?, edge(&table.to)?, table.reason).map_err(de::Error::custom)
    }
}
