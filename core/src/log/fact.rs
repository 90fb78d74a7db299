//! Facts as the log has them: short, because most records are of these.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    assignment::{Fact, SkipReason},
    outcome::{Answer, Fault, Outcome},
    time::Time,
};

/// What a device said of a fact, in bytes: enough to know one answer from another. All of it is kept
/// where the device stands; a log with all of it would be of devices' words.
pub(super) const TEXT_BYTES_MAX: usize = 160;

/// Shortens what people are told of a fact, which nothing is decided by. Of what was cut the end
/// says as much. Returns how many bytes are left.
pub(super) fn shorten(fact: &mut Fact, bytes_max: usize) -> usize {
    let (Fact::Delivered(
        Outcome::Refused { detail: text, .. }
        | Outcome::NotSent { detail: text, .. }
        | Outcome::Unknown { detail: text, .. },
    )
    | Fact::Asked(
        Answer::Unreadable { detail: text, .. } | Answer::Silent { detail: text, .. },
    )) = fact
    else {
        return 0;
    };
    if text.len() <= bytes_max {
        return text.len();
    }
    let mut end = bytes_max.saturating_sub(CUT.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    if bytes_max >= CUT.len() {
        text.push_str(CUT);
    }
    text.len()
}

const CUT: &str = "...";

/// A fault, and more of it for people.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Fate {
    Plain(Fault),
    Told(Fault, String),
}

impl Fate {
    fn of(fault: Fault, detail: &str) -> Self {
        if detail.is_empty() { Self::Plain(fault) } else { Self::Told(fault, detail.to_owned()) }
    }

    fn parts(self) -> (Fault, String) {
        match self {
            Self::Plain(fault) => (fault, String::new()),
            Self::Told(fault, detail) => (fault, detail),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Short {
    Claimed,
    Returned,
    Orphaned,
    Contacted,
    Canceled,
    /// Its delivery was accepted with this status.
    Accepted(u16),
    /// It ran the release before anything was sent.
    Current,
    Refused {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    NotSent(Fate),
    /// Whether it was sent is not known.
    Lost(Fate),
    /// Asked for its version, it shows this one.
    Shows(String),
    Unreadable(u16, String),
    Silent(Fate),
    Skipped(SkipReason),
    Away(Option<Time>),
    Expired(SkipReason),
}

impl From<&Fact> for Short {
    fn from(fact: &Fact) -> Self {
        match fact {
            Fact::Claimed => Self::Claimed,
            Fact::Returned => Self::Returned,
            Fact::Orphaned => Self::Orphaned,
            Fact::Contacted => Self::Contacted,
            Fact::Canceled => Self::Canceled,
            Fact::Skipped(reason) => Self::Skipped(*reason),
            Fact::Away { since } => Self::Away(*since),
            Fact::Expired(reason) => Self::Expired(*reason),
            Fact::Delivered(outcome) => match outcome {
                Outcome::Accepted { status } => Self::Accepted(*status),
                Outcome::AlreadyCurrent => Self::Current,
                Outcome::Refused { status, retry_after, detail } => Self::Refused {
                    status: *status,
                    retry_after: *retry_after,
                    detail: detail.clone(),
                },
                Outcome::NotSent { fault, detail } => Self::NotSent(Fate::of(*fault, detail)),
                Outcome::Unknown { fault, detail } => Self::Lost(Fate::of(*fault, detail)),
            },
            Fact::Asked(answer) => match answer {
                Answer::Version { version } => Self::Shows(version.clone()),
                Answer::Unreadable { status, detail } => Self::Unreadable(*status, detail.clone()),
                Answer::Silent { fault, detail } => Self::Silent(Fate::of(*fault, detail)),
            },
        }
    }
}

impl From<Short> for Fact {
    fn from(short: Short) -> Self {
        match short {
            Short::Claimed => Self::Claimed,
            Short::Returned => Self::Returned,
            Short::Orphaned => Self::Orphaned,
            Short::Contacted => Self::Contacted,
            Short::Canceled => Self::Canceled,
            Short::Skipped(reason) => Self::Skipped(reason),
            Short::Away(since) => Self::Away { since },
            Short::Expired(reason) => Self::Expired(reason),
            Short::Accepted(status) => Self::Delivered(Outcome::Accepted { status }),
            Short::Current => Self::Delivered(Outcome::AlreadyCurrent),
            Short::Refused { status, retry_after, detail } => {
                Self::Delivered(Outcome::Refused { status, retry_after, detail })
            }
            Short::NotSent(fate) => {
                let (fault, detail) = fate.parts();
                Self::Delivered(Outcome::NotSent { fault, detail })
            }
            Short::Lost(fate) => {
                let (fault, detail) = fate.parts();
                Self::Delivered(Outcome::Unknown { fault, detail })
            }
            Short::Shows(version) => Self::Asked(Answer::Version { version }),
            Short::Unreadable(status, detail) => Self::Asked(Answer::Unreadable { status, detail }),
            Short::Silent(fate) => {
                let (fault, detail) = fate.parts();
                Self::Asked(Answer::Silent { fault, detail })
            }
        }
    }
}

pub(super) fn serialize<S: Serializer>(fact: &Fact, to: S) -> Result<S::Ok, S::Error> {
    Short::from(fact).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fact, D::Error> {
    Ok(Short::deserialize(from)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Kept(#[serde(with = "super")] Fact);

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        for (bytes_max, text, is) in [
            (9, "after 3 s", "after 3 s"),
            (8, "after 3 s", "after..."),
            (8, "aft\u{e9}\u{e9} 3 s", "aft\u{e9}..."),
            (0, "after 3 s", ""),
        ] {
            let silent = |detail: &str| {
                Fact::Asked(Answer::Silent { fault: Fault::Reset, detail: detail.to_owned() })
            };
            let mut fact = silent(text);
            shorten(&mut fact, bytes_max);
            assert_eq!(fact, silent(is), "{text} {bytes_max}");
        }
    }

    #[test]
    fn every_fact_is_short_and_read_back() {
        let (fault, long) = (Fault::Reset, "after 3 s".to_owned());
        let detail = String::new;
        for (fact, text) in [
            (Fact::Claimed, r#""claimed""#),
            (Fact::Returned, r#""returned""#),
            (Fact::Orphaned, r#""orphaned""#),
            (Fact::Contacted, r#""contacted""#),
            (Fact::Canceled, r#""canceled""#),
            (Fact::Skipped(SkipReason::Offline), r#"{"skipped":"offline"}"#),
            (Fact::Away { since: None }, r#"{"away":null}"#),
            (Fact::Away { since: Some(Time::from_millis(5)) }, r#"{"away":5}"#),
            (Fact::Expired(SkipReason::Deadline), r#"{"expired":"deadline"}"#),
            (Fact::Delivered(Outcome::Accepted { status: 200 }), r#"{"accepted":200}"#),
            (Fact::Delivered(Outcome::AlreadyCurrent), r#""current""#),
            (
                Fact::Delivered(Outcome::Refused {
                    status: 503,
                    retry_after: None,
                    detail: detail(),
                }),
                r#"{"refused":{"status":503}}"#,
            ),
            (
                Fact::Delivered(Outcome::NotSent { fault, detail: detail() }),
                r#"{"not_sent":"reset"}"#,
            ),
            (
                Fact::Delivered(Outcome::Unknown { fault, detail: long.clone() }),
                r#"{"lost":["reset","after 3 s"]}"#,
            ),
            (Fact::Asked(Answer::Version { version: "2.0.0".to_owned() }), r#"{"shows":"2.0.0"}"#),
            (
                Fact::Asked(Answer::Unreadable { status: 404, detail: long }),
                r#"{"unreadable":[404,"after 3 s"]}"#,
            ),
            (Fact::Asked(Answer::Silent { fault, detail: detail() }), r#"{"silent":"reset"}"#),
        ] {
            assert_eq!(serde_json::to_string(&Kept(fact.clone())).unwrap(), text);
            assert_eq!(serde_json::from_str::<Kept>(text).unwrap().0, fact);
        }
    }
}
