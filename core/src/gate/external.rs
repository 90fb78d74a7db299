//! Gates outside of a rollout's own numbers: what a check asks, and how its answer is judged.
//!
//! Owns the checks as they are ordered, their limits, and the judgment of one answer. Nothing is
//! asked here: whoever has sockets brings an [`Answer`]. Only a whole answer that can be compared
//! says go or stop. No answer, an error and a value of another type are doubt, and doubt waits.
//!
//! Read [`External`] and [`Check::judge`] first.

mod answer;
mod decimal;
mod faults;
mod notebook;
mod secret;
mod test;
mod url;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    answer::{Answer, Kind, Unread, VALUE_BYTES_MAX, Value},
    decimal::{Decimal, DecimalError},
    faults::gate_faults,
    notebook::{Asked, Notebook, Reply, Ticket},
    secret::{SecretError, SecretSource},
    test::{Op, Test, TestError},
    url::{URL_BYTES_MAX, Url, UrlError},
};
use super::Opinion;
use crate::{device::check_printable, time::Time};

/// Most external gates of a rollout: each is asked again and again while a wave waits, and an
/// operator has to understand which one it is.
pub const GATES_MAX: usize = 8;

/// Longest query: written into a URL it may be three times as long, and servers take 8 KiB.
pub const QUERY_BYTES_MAX: usize = 2_000;

/// Longest JSON pointer: nobody nests deeper in what a health check answers.
pub const POINTER_BYTES_MAX: usize = 256;

/// Most headers of a check.
pub const HEADERS_MAX: usize = 8;

/// So much of an answer is read. One number is wanted of it; who answers more may flood.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long an answer is waited for at the least and at the most. Whoever needs longer is ill.
pub const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_mins(1);

/// How long an answer is waited for, unless the spec says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How long after an answer it is asked again, at the least and at the most.
pub const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(1);

/// How long after an answer it is asked again, unless the spec says otherwise.
pub const EVERY: Duration = Duration::from_secs(30);

/// Whoever asks has so much longer than the time-out to say that there was no answer; a question
/// of which nothing is heard then is asked anew.
pub const GRACE: Duration = Duration::from_secs(5);

/// A gate outside of the rollout's own numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// What says go.
    pub by: By,
    /// The waves it stands behind, counted from 0, in order; empty: each that another one follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<usize>,
}

/// What says go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// An operator.
    Approval,
    /// The answer of a server.
    Check(Box<Check>),
}

/// A question to a server, and what it has to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is asked, and what is wanted of the answer.
    pub question: Question,
    /// Headers that it is asked with, by name; where their values are is said, never what they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretSource>,
    /// How long an answer is waited for, from the look-up of the name to its last byte.
    pub timeout: Duration,
    /// How long after an answer it is asked again.
    pub every: Duration,
    /// Whether a comparison that is false stops the rollout; otherwise it is waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stops: bool,
}

/// What is asked, and what is wanted of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// GET a URL.
    Http {
        /// Of what.
        url: Url,
        /// The status of an answer that counts.
        status: u16,
        /// What is to stand where in its JSON; none: the status is all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wanted: Option<Wanted>,
    },
    /// An instant query: `GET {url}/api/v1/query?query={query}` (the HTTP API of Prometheus).
    Prometheus {
        /// The server, with the path that its API is behind.
        url: Url,
        /// In the language of Prometheus; one with a single number as its result.
        query: String,
        /// What that number has to be.
        test: Test,
    },
}

/// A value in a JSON answer, and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Where it stands (RFC 6901); empty: it is the whole answer.
    pub pointer: String,
    /// What it has to be.
    pub test: Test,
}

/// What an external gate said last of a wave that was ruled, kept beside its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Which gate, by its place in the spec, counted from 0.
    pub gate: usize,
    /// When it was answered, or approved.
    pub at: Time,
    /// What was answered; none: an operator approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// That an operator lets the next wave open, as far as it is up to operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// When.
    pub at: Time,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What external gates add to a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Besides {
    /// Nothing: there is none, or it was not asked.
    #[default]
    Nothing,
    /// So many, all that the wave has, said go.
    Go(u8),
    /// This one said stop, counted from 1.
    Stop(u8),
    /// An operator did not wait for these.
    Unsaid(Gates),
}

/// Some of the external gates of a rollout: a bit for each, the first one the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gates(u8);

const _: () = assert!(GATES_MAX <= u8::BITS as usize, "a bit for each gate");

impl Gates {
    /// Those in these places of the spec, counted from 0.
    pub fn of(places: impl IntoIterator<Item = usize>) -> Self {
        let bit = |place: usize| 1_u8.checked_shl(place as u32).unwrap_or(0);
        Self(places.into_iter().fold(0, |gates, place| gates | bit(place)))
    }

    /// Their places in the spec, counted from 0, in order.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..GATES_MAX).filter(move |place| self.0 & (1 << place) != 0)
    }
}

impl fmt::Display for Gates {
    /// Such as `external gate 2` or `external gates 1 and 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.places().map(|place| (place + 1).to_string()).collect();
        match numbers.split_last() {
            None => f.write_str("no external gate"),
            Some((only, [])) => write!(f, "external gate {only}"),
            Some((last, before)) => write!(f, "external gates {} and {last}", before.join(", ")),
        }
    }
}

impl Besides {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub(crate) const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

impl fmt::Display for Besides {
    /// As it follows the numbers of a verdict; empty if there is nothing to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Go(1) => f.write_str(", 1 external gate says go"),
            Self::Go(count) => write!(f, ", {count} external gates say go"),
            Self::Stop(number) => write!(f, ", external gate {number} says stop"),
            Self::Unsaid(gates) if gates.places().count() == 1 => {
                write!(f, ", {gates} had not said go")
            }
            Self::Unsaid(gates) => write!(f, ", {gates} had not all said go"),
        }
    }
}

impl By {
    /// What kind it is, as it is written.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Check(check) => match check.question {
                Question::Http { .. } => "http",
                Question::Prometheus { .. } => "prometheus",
            },
        }
    }
}

impl External {
    /// Whether it stands behind a wave of a rollout that has so many: after the last one nothing is
    /// left to be kept from.
    pub fn is_behind(&self, wave: usize, of: usize) -> bool {
        wave + 1 < of && (self.waves.is_empty() || self.waves.contains(&wave))
    }

    /// Its check, if a server is asked.
    pub const fn check(&self) -> Option<&Check> {
        match &self.by {
            By::Check(check) => Some(check),
            By::Approval => None,
        }
    }
}

impl fmt::Display for External {
    /// Such as `the check http https://x/health, HTTP 200 wanted` or `an operator's approval`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            By::Approval => f.write_str("an operator's approval"),
            By::Check(check) => write!(f, "the check {check}, {} wanted", check.wants()),
        }
    }
}

impl Check {
    /// What an answer says. Doubt waits: only a whole answer that can be compared says go or stop.
    pub fn judge(&self, answer: &Answer) -> Opinion {
        if bites!(GateErrorMeansGo) && !matches!(answer, Answer::Value(..)) {
            return Opinion::Go;
        }
        let is_true = match (&self.question, answer) {
            (Question::Http { status, wanted: None, .. }, Answer::Status(is)) if is == status => {
                return Opinion::Go;
            }
            (Question::Http { status, wanted: Some(wanted), .. }, Answer::Value(is, value))
                if is == status =>
            {
                wanted.test.holds(value)
            }
            (Question::Prometheus { test, .. }, Answer::Value(200, value)) => test.holds(value),
            _ => return Opinion::NotYet,
        };
        match is_true {
            Some(true) => Opinion::Go,
            Some(false) if self.stops => Opinion::Stop,
            Some(false) | None => Opinion::NotYet,
        }
    }

    /// What is wanted of its answer, in a few words.
    pub fn wants(&self) -> String {
        match &self.question {
            Question::Http { status, wanted: None, .. } => format!("HTTP {status}"),
            Question::Http { wanted: Some(Wanted { pointer, test }), .. } if pointer.is_empty() => {
                format!("answer {test}")
            }
            Question::Http { wanted: Some(Wanted { pointer, test }), .. } => {
                format!("{pointer} {test}")
            }
            Question::Prometheus { test, .. } => format!("result {test}"),
        }
    }

    /// Until when an answer of `at` counts: by then there should be another one.
    pub fn fresh_until(&self, at: Time) -> Time {
        at + self.every + self.timeout + GRACE
    }
}

impl fmt::Display for Check {
    /// Its kind and its URL, without what follows a question mark there: that may be long, and
    /// nobody's business. A query is told as far as it takes to know which one it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.question {
            Question::Http { url, .. } => write!(f, "http {}", url.shown()),
            Question::Prometheus { url, query, .. } => {
                write!(f, "prometheus {} `{}`", url.shown(), shortened(query))
            }
        }
    }
}

/// Characters of a query that are told: one line, beside the URL of its server.
const QUERY_SHOWN_CHARS: usize = 60;

/// A query on one line, cut where it is long.
fn shortened(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().take(QUERY_SHOWN_CHARS).flat_map(printable).collect();
    if line.chars().nth(QUERY_SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A character as a terminal may be sent it.
fn printable(c: char) -> impl Iterator<Item = char> {
    let is_plain = check_printable("", c.encode_utf8(&mut [0; 4])).is_ok();
    let (plain, escaped) = (is_plain.then_some(c), (!is_plain).then(|| c.escape_default()));
    plain.into_iter().chain(escaped.into_iter().flatten())
}

#[cfg(test)]
mod tests;
