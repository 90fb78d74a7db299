//! What happened to devices, in words: short for many, whole for one.

use crate::{
    assignment::{Assignment, Fact, State, apply, dice},
    ids::AssignmentId,
    outcome::{Answer, Outcome},
    rollout::Spec,
    time::Time,
    waiting::{left, stamp_secs},
};

/// Something that happened to one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happening<'a> {
    pub(super) fact: &'a Fact,
    pub(super) from: Assignment,
    pub(super) to: Assignment,
    pub(super) now: Time,
}

/// Which way devices went, and whether it is worth their names; none if it says nothing.
pub(super) fn way(fact: &Fact, from: Assignment, to: State, spec: &Spec) -> Option<(String, bool)> {
    let plain = |words: &str| Some((words.to_owned(), false));
    let named = |words: &str| Some((with(words, &cause(fact, spec)), true));
    match (fact, to) {
        (Fact::Claimed, State::Verifying) => plain("asked first, as the update may be there"),
        (Fact::Claimed, _) if from.attempt > 0 => plain("tried again"),
        (Fact::Claimed, _) => plain("claimed"),
        (Fact::Returned, _) => plain("handed back, nothing was sent"),
        (Fact::Contacted, _) => plain("heard of again"),
        (Fact::Orphaned, _) => plain("cut short when the driver died"),
        (Fact::Delivered(Outcome::Unknown { .. }), State::Verifying) => {
            named("without a complete answer")
        }
        (_, State::Verifying) => None,
        (Fact::Delivered(_), State::Away | State::Absent) => named("away"),
        (_, State::Away) => plain("away"),
        (_, State::Absent) => plain("away for too long to be waited for"),
        (_, State::Retrying) => named("to be tried again"),
        (_, end) if end.is_failure() => named(end.as_str()),
        (_, end) => plain(end.as_str()),
    }
}

fn with(words: &str, cause: &str) -> String {
    if cause.is_empty() { words.to_owned() } else { format!("{words}: {cause}") }
}

/// Why, in few words that many devices have in common.
fn cause(fact: &Fact, spec: &Spec) -> String {
    match fact {
        Fact::Delivered(Outcome::Refused { status, .. }) => format!("HTTP {status}"),
        Fact::Delivered(Outcome::NotSent { fault, .. } | Outcome::Unknown { fault, .. }) => {
            fault.to_string()
        }
        Fact::Asked(Answer::Version { version }) => {
            format!("reports {version}, not {}", spec.release.version)
        }
        Fact::Asked(Answer::Unreadable { status, .. }) => format!("HTTP {status} and no version"),
        Fact::Asked(Answer::Silent { fault, .. }) => fault.to_string(),
        _ => String::new(),
    }
}

impl Happening<'_> {
    /// What happened to the device of this assignment, and what follows.
    pub(super) fn in_words(&self, id: AssignmentId, spec: &Spec) -> String {
        let Self { fact, from, to, now } = *self;
        let attempt = from.attempt.max(1);
        let again = apply(&from, fact, spec, now, dice(id, from.attempt));
        let detail = again.map(|again| again.detail).unwrap_or_default();
        match fact {
            Fact::Claimed if to.state == State::Verifying => {
                with_end("claimed; the update may be there already", &self.follows())
            }
            Fact::Claimed => format!("claimed for attempt {}", to.attempt),
            Fact::Returned => with_end("handed back, nothing was sent", &self.follows()),
            Fact::Delivered(Outcome::Accepted { status }) => {
                let words = format!("attempt {attempt}: accepted, HTTP {status}");
                with_end(&words, &self.follows())
            }
            Fact::Delivered(Outcome::AlreadyCurrent) => {
                with_end("it runs the release already", &self.follows())
            }
            Fact::Delivered(Outcome::Unknown { .. }) => {
                let words = format!("attempt {attempt}: no complete answer, {detail}");
                with_end(&words, &self.follows())
            }
            Fact::Delivered(_) => {
                with_end(&format!("attempt {attempt}: {detail}"), &self.follows())
            }
            Fact::Asked(Answer::Version { version }) if to.state == State::Succeeded => {
                format!("reports version {version}: succeeded")
            }
            Fact::Asked(_) if detail.is_empty() => with_end("it answers", &self.follows()),
            Fact::Asked(_) => with_end(&detail, &self.follows()),
            Fact::Orphaned => {
                with_end("cut short when the driver died; the update may be there", &self.follows())
            }
            Fact::Contacted => "heard of again, and due now".to_owned(),
            Fact::Away { .. } => self.follows(),
            Fact::Expired(_) | Fact::Skipped(_) | Fact::Canceled => {
                with(to.state.as_str(), &detail)
            }
        }
    }

    /// What the device waits for from now on, or how it ended.
    fn follows(&self) -> String {
        let Self { to, now, .. } = *self;
        let (due, away) = (to.due_at, stamp_secs(to.away_since, now));
        match to.state {
            State::Queued => String::new(),
            State::Delivering => "sent to".to_owned(),
            State::Verifying => format!("asked for its version until {}", stamp_secs(due, now)),
            State::Retrying if due <= now => format!("attempt {} is due now", to.attempt + 1),
            State::Retrying => {
                let (at, wait) = (stamp_secs(due, now), left(due, now));
                format!("attempt {} is due at {at}, in {wait}", to.attempt + 1)
            }
            State::Away if due <= now => "due now".to_owned(),
            State::Away if to.attempt == 0 => {
                format!("away since {away}, waited for until {}", stamp_secs(due, now))
            }
            State::Away | State::Absent if due < Time::MAX => {
                format!("away since {away}, tried again at {}", stamp_secs(due, now))
            }
            State::Away | State::Absent => {
                format!("away since {away}, due on any contact; no wave waits for it")
            }
            end => end.as_str().to_owned(),
        }
    }
}

fn with_end(words: &str, end: &str) -> String {
    if end.is_empty() { words.to_owned() } else { format!("{words}; {end}") }
}
