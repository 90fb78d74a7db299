//! What came of a question to a server.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Decimal;
use crate::{hours::echo, outcome::Fault};

/// Longest text that is taken for a value: a state or a version, not a page.
pub const VALUE_BYTES_MAX: usize = 256;

/// A value in an answer, or what one is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A number, as exact as it was written.
    Number(Decimal),
    /// A text of at most [`VALUE_BYTES_MAX`] bytes.
    Text(String),
    /// True or false.
    Bool(bool),
}

impl fmt::Display for Value {
    /// As it is written in JSON; a long text is cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "\"{}\"", echo(text)),
            Self::Bool(is) => is.fmt(f),
        }
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A whole answer of this status, with the value that was asked for.
    Value(u16, Value),
    /// A whole answer of this status, of which no value was wanted, or whose status is another one
    /// than wanted: nothing was read of it then.
    Status(u16),
    /// A whole answer of this status without a value that can be compared.
    Unreadable(u16, Unread),
    /// No whole answer.
    Silent(Fault),
    /// It was not asked: a header has no value that could be read.
    NoSecret(String),
}

/// Why there is no value in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// It is not JSON.
    NotJson,
    /// Nothing stands where the value was looked for.
    Missing,
    /// Something stands there that is no value.
    Kind(Kind),
    /// A text longer than [`VALUE_BYTES_MAX`], or one that cannot be printed.
    Text,
    /// A number of more digits than are read, NaN or infinite.
    Number,
    /// It is not what Prometheus answers.
    NotPrometheus,
    /// The query has no result just now.
    Empty,
    /// The query has so many results where one is wanted.
    Several(u32),
}

/// What stands where a value was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `null`
    Null,
    /// A list.
    List,
    /// An object.
    Object,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "no JSON",
            Self::Missing => "nothing in that place",
            Self::Kind(Kind::Null) => "null in that place",
            Self::Kind(Kind::List) => "a list in that place",
            Self::Kind(Kind::Object) => "an object in that place",
            Self::Text => "a text that is too long or cannot be printed",
            Self::Number => "no number that can be compared",
            Self::NotPrometheus => "no result of a query",
            Self::Empty => "no result of the query",
            Self::Several(count) => return write!(f, "{count} results of the query, not one"),
        })
    }
}

impl Answer {
    /// Its kind, and its status if it has one: where both stay the same, it is the same news.
    pub const fn gist(&self) -> (u8, u16) {
        match self {
            Self::Value(status, _) => (0, *status),
            Self::Status(status) => (1, *status),
            Self::Unreadable(status, _) => (2, *status),
            Self::Silent(_) => (3, 0),
            Self::NoSecret(_) => (4, 0),
        }
    }
}

impl fmt::Display for Answer {
    /// Such as `HTTP 200, 0.02`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(status, value) => write!(f, "HTTP {status}, {value}"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Unreadable(status, why) => write!(f, "HTTP {status}, {why}"),
            Self::Silent(fault) => f.write_str(fault.as_str()),
            Self::NoSecret(name) => write!(f, "not asked, the header {name} has no value here"),
        }
    }
}
