//! One device in one round of one rollout, and what follows from what happens to it.
//!
//! Owns the states and [`apply`], the only place that says retry, verify, succeed or fail. Knows
//! nothing of limits (that is [`mod@crate::plan`] and [`crate::admit`]) nor of sockets.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    outcome::{Answer, Fault, Outcome, Permanence, StatusMeaning, classify_status},
    rollout::{Offline, Spec},
    time::Time,
    verify::Mode,
};

/// The first wait before a device that could not be reached is tried without a contact.
const NEXT_TRY_FIRST: Duration = Duration::from_mins(1);

/// The longest: an hour costs a fleet of a million that is away 280 connections a second.
const NEXT_TRY_MAX: Duration = Duration::from_hours(1);

/// Why a device failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// It refused the update for good (3xx, most of 4xx).
    Rejected,
    /// It answered with a passing error until the attempts were used up (5xx, 408, 425, 429).
    DeviceError,
    /// The bytes, or the answer to them, did not get through.
    Transfer,
    /// It was sent the release and does not report its version.
    Verification,
    /// No connection could be made.
    Unreachable,
}

/// The step in which a device gave no answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Sending to it.
    Delivering,
    /// Asking it for its version.
    Verifying,
}

/// Why a device was left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It reported the release's version before anything was sent.
    AlreadyCurrent,
    /// It was known to be offline when its turn came.
    Offline,
    /// It has no address to send to.
    NoAddress,
    /// A newer rollout of the same release name has it.
    Superseded,
    /// It runs a newer version.
    Downgrade,
    /// The deadline passed before its turn came.
    Deadline,
    /// Its window closed before its turn came.
    WindowClosed,
}

impl SkipReason {
    /// Every reason there is.
    pub const ALL: [Self; 7] = [
        Self::AlreadyCurrent,
        Self::Offline,
        Self::NoAddress,
        Self::Superseded,
        Self::Downgrade,
        Self::Deadline,
        Self::WindowClosed,
    ];
}

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not begun.
    Queued,
    /// Not there when its turn came; its wave waits for it until a set time.
    Away,
    /// Not there for so long that its wave does not wait for it any more.
    Absent,
    /// Claimed: it may be sent to, or has been.
    Delivering,
    /// Sent to, and asked which version it runs.
    Verifying,
    /// To be tried again at a set time.
    Retrying,
    /// Updated.
    Succeeded,
    /// Not updated.
    Failed(FailReason),
    /// No answer in time.
    TimedOut(Step),
    /// Given up by the operator.
    Canceled,
    /// Left as it was.
    Skipped(SkipReason),
}

impl State {
    /// Every state there is.
    pub const ALL: [Self; 22] = [
        Self::Queued,
        Self::Away,
        Self::Absent,
        Self::Delivering,
        Self::Verifying,
        Self::Retrying,
        Self::Succeeded,
        Self::Failed(FailReason::Rejected),
        Self::Failed(FailReason::DeviceError),
        Self::Failed(FailReason::Transfer),
        Self::Failed(FailReason::Verification),
        Self::Failed(FailReason::Unreachable),
        Self::TimedOut(Step::Delivering),
        Self::TimedOut(Step::Verifying),
        Self::Canceled,
        Self::Skipped(SkipReason::AlreadyCurrent),
        Self::Skipped(SkipReason::Offline),
        Self::Skipped(SkipReason::NoAddress),
        Self::Skipped(SkipReason::Superseded),
        Self::Skipped(SkipReason::Downgrade),
        Self::Skipped(SkipReason::Deadline),
        Self::Skipped(SkipReason::WindowClosed),
    ];

    /// Whether the device is begun and not ended; it has at most one such assignment.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Delivering | Self::Verifying | Self::Retrying)
    }

    /// Whether it will never change again.
    pub const fn is_terminal(self) -> bool {
        !self.is_waiting() && !self.is_active()
    }

    /// Whether the device is not begun: queued, or not there.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Away | Self::Absent)
    }

    /// Whether it ended without the release.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut(_))
    }

    /// In words, as operators read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Away => "away",
            Self::Absent => "absent",
            Self::Delivering => "delivering",
            Self::Verifying => "verifying",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed(FailReason::Rejected) => "failed: rejected",
            Self::Failed(FailReason::DeviceError) => "failed: device error",
            Self::Failed(FailReason::Transfer) => "failed: transfer",
            Self::Failed(FailReason::Verification) => "failed: verification",
            Self::Failed(FailReason::Unreachable) => "failed: unreachable",
            Self::TimedOut(Step::Delivering) => "timed out: delivering",
            Self::TimedOut(Step::Verifying) => "timed out: verifying",
            Self::Canceled => "canceled",
            Self::Skipped(SkipReason::AlreadyCurrent) => "skipped: already current",
            Self::Skipped(SkipReason::Offline) => "skipped: offline",
            Self::Skipped(SkipReason::NoAddress) => "skipped: no address",
            Self::Skipped(SkipReason::Superseded) => "skipped: superseded",
            Self::Skipped(SkipReason::Downgrade) => "skipped: downgrade",
            Self::Skipped(SkipReason::Deadline) => "skipped: deadline",
            Self::Skipped(SkipReason::WindowClosed) => "skipped: window closed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is durable of an assignment, apart from whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Where it stands.
    pub state: State,
    /// Attempts begun, of those that count: one cut short by the death of the driver does not.
    pub attempt: u32,
    /// Whether an update may have arrived of which we know nothing: verifying after an answer was
    /// lost, or claimed by a driver that died.
    pub in_doubt: bool,
    /// Retrying, away, absent: when it is due. Verifying: the deadline. Otherwise [`Time::ZERO`].
    pub due_at: Time,
    /// Away, absent: since when, as far as is known; kept while it is claimed from there, so that
    /// it can go back. Otherwise [`Time::ZERO`].
    pub away_since: Time,
}

impl Assignment {
    /// A device that was not begun.
    pub const fn queued() -> Self {
        Self {
            state: State::Queued,
            attempt: 0,
            in_doubt: false,
            due_at: Time::ZERO,
            away_since: Time::ZERO,
        }
    }
}

/// What happened to an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// It was admitted: its next attempt may be sent.
    Claimed,
    /// It was claimed and handed back; nothing was sent.
    Returned,
    /// Its delivery ended.
    Delivered(Outcome),
    /// It was asked for its version.
    Asked(Answer),
    /// The driver that had claimed it died; whether it sent is unknown.
    Orphaned,
    /// Its turn came, and it is to be left as it is.
    Skipped(SkipReason),
    /// Its turn came, and it is not there.
    Away {
        /// When it was last there, if that is known.
        since: Option<Time>,
    },
    /// It was away, and has been heard of.
    Contacted,
    /// Nothing is begun any more: the deadline, or its window, has passed.
    Expired(SkipReason),
    /// The operator gave it up.
    Canceled,
}

/// What follows from a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The assignment from now on.
    pub to: Assignment,
    /// Why, for people; empty where the state says it all.
    pub detail: String,
}

/// A fact that cannot happen to an assignment in its state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a device that is {state} cannot be {fact}")]
pub struct Illegal {
    /// The state it is in.
    pub state: State,
    /// What was said to have happened.
    pub fact: &'static str,
}

/// Says what follows from `fact`.
///
/// `spec` is the rollout's, `dice` a number drawn by the caller for the jitter of a retry.
///
/// # Errors
/// [`Illegal`] if the fact cannot happen in this state: a late report never rewrites an end.
pub fn apply(
    assignment: &Assignment,
    fact: &Fact,
    spec: &Spec,
    now: Time,
    dice: u32,
) -> Result<Transition, Illegal> {
    let rule = Rule { assignment, spec, now, dice };
    let illegal = |fact| Illegal { state: assignment.state, fact };
    match (assignment.state, fact) {
        (State::Queued | State::Away | State::Absent | State::Retrying, Fact::Claimed) => {
            Ok(rule.claimed())
        }
        (_, Fact::Claimed) => Err(illegal("claimed")),
        (state, Fact::Skipped(reason)) if state.is_waiting() => {
            Ok(rule.end(State::Skipped(*reason), String::new()))
        }
        (_, Fact::Skipped(_)) => Err(illegal("skipped")),
        (state, Fact::Away { since }) if state.is_waiting() => Ok(rule.away(*since)),
        (_, Fact::Away { .. }) => Err(illegal("waited for")),
        (State::Away | State::Absent, Fact::Contacted) => Ok(rule.contacted()),
        (_, Fact::Contacted) => Err(illegal("heard of again")),
        (state, Fact::Expired(reason)) if state.is_waiting() => Ok(rule.expired(*reason)),
        (_, Fact::Expired(_)) => Err(illegal("given up for lack of time")),
        (State::Delivering, Fact::Returned) => Ok(rule.returned()),
        (_, Fact::Returned) => Err(illegal("handed back")),
        (State::Delivering, Fact::Delivered(outcome)) => Ok(rule.delivered(outcome)),
        (_, Fact::Delivered(_)) => Err(illegal("delivered to")),
        (State::Delivering, Fact::Orphaned) => Ok(rule.orphaned()),
        (_, Fact::Orphaned) => Err(illegal("orphaned")),
        (State::Verifying, Fact::Asked(answer)) => Ok(rule.asked(answer)),
        (_, Fact::Asked(_)) => Err(illegal("asked")),
        (state, Fact::Canceled) if !state.is_terminal() => {
            Ok(rule.end(State::Canceled, String::new()))
        }
        (_, Fact::Canceled) => Err(illegal("canceled")),
    }
}

struct Rule<'a> {
    assignment: &'a Assignment,
    spec: &'a Spec,
    now: Time,
    dice: u32,
}

impl Rule<'_> {
    /// One that may have the update already, of which only its version can tell, is asked first.
    fn claimed(&self) -> Transition {
        if self.assignment.in_doubt && self.spec.verify.mode == Mode::Version {
            return self.verify(self.assignment.attempt, true, String::new());
        }
        let to = Assignment {
            state: State::Delivering,
            attempt: self.assignment.attempt + 1,
            in_doubt: self.assignment.in_doubt,
            due_at: Time::ZERO,
            away_since: self.assignment.away_since,
        };
        Transition { to, detail: String::new() }
    }

    /// Waited for until a contact; its wave waits no longer than `wait_absent`.
    fn away(&self, since: Option<Time>) -> Transition {
        let known = self.assignment.away_since;
        let since = match since {
            _ if known > Time::ZERO => known.min(self.now),
            Some(since) => since.min(self.now),
            None => self.now,
        };
        self.to_away(since, Time::MAX, String::new())
    }

    /// `next_try` is when it is tried even without a contact.
    fn to_away(&self, since: Time, next_try: Time, detail: String) -> Transition {
        let until = since + self.spec.wait_absent;
        let (state, due_at) = if self.now < until {
            (State::Away, until.min(next_try))
        } else {
            (State::Absent, next_try)
        };
        let Assignment { attempt, in_doubt, .. } = *self.assignment;
        Transition {
            to: Assignment { state, attempt, in_doubt, due_at, away_since: since },
            detail,
        }
    }

    /// It is due at once, in the same place of its wave.
    fn contacted(&self) -> Transition {
        let to = Assignment { state: State::Away, due_at: self.now, ..*self.assignment };
        Transition { to, detail: String::new() }
    }

    fn expired(&self, reason: SkipReason) -> Transition {
        let is_missing = matches!(self.assignment.state, State::Away | State::Absent);
        if is_missing && reason == SkipReason::Deadline {
            let detail = "not reached before the deadline".to_owned();
            return self.end(State::Failed(FailReason::Unreachable), detail);
        }
        self.end(State::Skipped(reason), String::new())
    }

    /// Back to where it stood before it was claimed, as if that had not been.
    fn returned(&self) -> Transition {
        let attempt = self.assignment.attempt.saturating_sub(1);
        let in_doubt = self.assignment.in_doubt;
        let away_since = self.assignment.away_since;
        let (state, due_at) = match attempt {
            _ if away_since > Time::ZERO => (State::Away, self.now),
            0 if !in_doubt => (State::Queued, Time::ZERO),
            _ => (State::Retrying, self.now),
        };
        let to = Assignment { state, attempt, in_doubt, due_at, away_since };
        Transition { to, detail: String::new() }
    }

    fn delivered(&self, outcome: &Outcome) -> Transition {
        match outcome {
            Outcome::Accepted { .. } if self.spec.verify.mode == Mode::None => {
                self.end(State::Succeeded, String::new())
            }
            Outcome::Accepted { .. } => self.verify(self.assignment.attempt, false, String::new()),
            Outcome::AlreadyCurrent => {
                self.end(State::Skipped(SkipReason::AlreadyCurrent), String::new())
            }
            Outcome::Refused { status, retry_after, detail } => {
                let detail = with_detail(format!("HTTP {status}"), detail);
                match classify_status(*status) {
                    StatusMeaning::Refused(Permanence::Transient) => {
                        self.retry(*retry_after, State::Failed(FailReason::DeviceError), detail)
                    }
                    _ => self.end(State::Failed(FailReason::Rejected), detail),
                }
            }
            Outcome::NotSent { fault: Fault::Canceled, .. } => {
                self.end(State::Canceled, String::new())
            }
            Outcome::NotSent { fault, detail } => {
                let end = State::Failed(reason_not_sent(*fault));
                let detail = with_detail(fault.to_string(), detail);
                match fault.permanence() {
                    Permanence::Permanent => self.end(end, detail),
                    Permanence::Transient => self.retry(None, end, detail),
                }
            }
            Outcome::Unknown { fault, detail } => {
                self.unknown(*fault, with_detail(fault.to_string(), detail))
            }
        }
    }

    /// The last byte may have left and no complete answer came. Where the version can tell, it
    /// does; otherwise delivery is at least once, protected by the idempotency key.
    fn unknown(&self, fault: Fault, detail: String) -> Transition {
        let is_permanent = fault.permanence() == Permanence::Permanent;
        match self.spec.verify.mode {
            // Without doubt nothing is sent again when another version shows.
            Mode::Version => self.verify(self.assignment.attempt, !is_permanent, detail),
            Mode::None | Mode::Reachable => {
                let end = match fault {
                    Fault::Canceled => State::Canceled,
                    _ if is_permanent => State::Failed(reason_not_sent(fault)),
                    Fault::ResponseTimeout | Fault::BodyTimeout | Fault::AttemptTimeout => {
                        State::TimedOut(Step::Delivering)
                    }
                    _ => State::Failed(FailReason::Transfer),
                };
                if is_permanent { self.end(end, detail) } else { self.retry(None, end, detail) }
            }
        }
    }

    /// The death of a driver is not the device's fault: it uses up no attempt.
    fn orphaned(&self) -> Transition {
        let detail = Fault::DriverDied.to_string();
        let attempt = self.assignment.attempt.saturating_sub(1);
        match self.spec.verify.mode {
            Mode::Version => self.verify(attempt, true, detail),
            Mode::None | Mode::Reachable => {
                let (state, due_at) = (State::Retrying, self.now);
                let to =
                    Assignment { state, attempt, in_doubt: true, due_at, away_since: Time::ZERO };
                Transition { to, detail }
            }
        }
    }

    fn asked(&self, answer: &Answer) -> Transition {
        let expected = &self.spec.release.version;
        let is_lost = self.assignment.in_doubt && self.spec.verify.mode != Mode::Version;
        if is_lost && !matches!(answer, Answer::Silent { .. }) {
            // Begun by a run that went by the version: what the device says now proves nothing.
            let detail = Fault::DriverDied.to_string();
            return self.retry(None, State::Failed(FailReason::Transfer), detail);
        }
        let is_proof = match (self.spec.verify.mode, answer) {
            (_, Answer::Silent { .. }) | (Mode::Version, Answer::Unreadable { .. }) => false,
            (Mode::Version, Answer::Version { version }) => version == expected,
            (Mode::Reachable | Mode::None, _) => true,
        };
        if is_proof {
            return self.end(State::Succeeded, String::new());
        }
        if self.now < self.assignment.due_at {
            return Transition { to: *self.assignment, detail: String::new() };
        }
        match answer {
            Answer::Version { version } => {
                let detail = format!("reports version {version}, not {expected}");
                let end = State::Failed(FailReason::Verification);
                if self.assignment.in_doubt {
                    self.retry(None, end, detail)
                } else {
                    self.end(end, detail)
                }
            }
            Answer::Unreadable { status, detail } => self.end(
                State::Failed(FailReason::Verification),
                with_detail(format!("asked for its version, it answered HTTP {status}"), detail),
            ),
            Answer::Silent { fault, detail } => self.end(
                State::TimedOut(Step::Verifying),
                with_detail(format!("no answer to the question for its version: {fault}"), detail),
            ),
        }
    }

    fn verify(&self, attempt: u32, in_doubt: bool, detail: String) -> Transition {
        let due_at = self.now + self.spec.verify.timeout;
        let state = State::Verifying;
        let to = Assignment { state, attempt, in_doubt, due_at, away_since: Time::ZERO };
        Transition { to, detail }
    }

    fn retry(&self, retry_after: Option<Duration>, end: State, detail: String) -> Transition {
        let attempt = self.assignment.attempt;
        let is_missing =
            end == State::Failed(FailReason::Unreachable) && self.spec.offline == Offline::Wait;
        if is_missing && self.assignment.away_since > Time::ZERO {
            // It was away before it was tried: trying it every second would not bring it back.
            return self.unreachable(detail);
        }
        // Attempt 0 is a claim whose driver died: it is due again, and that uses up nothing.
        let wait = match attempt {
            0 => Some(Duration::ZERO),
            _ => self.spec.retry.wait_after(attempt, retry_after, self.dice),
        };
        match wait {
            Some(wait) => {
                let due_at = self.now + wait;
                let state = State::Retrying;
                let away_since = Time::ZERO;
                let to = Assignment { state, attempt, in_doubt: false, due_at, away_since };
                Transition { to, detail }
            }
            None if is_missing => self.unreachable(detail),
            None => self.end(end, detail),
        }
    }

    /// One that cannot be reached is away: it is tried again, more and more seldom.
    fn unreachable(&self, detail: String) -> Transition {
        let Assignment { attempt, away_since, .. } = *self.assignment;
        let since = if away_since > Time::ZERO { away_since } else { self.now };
        let times = attempt.saturating_sub(self.spec.retry.attempts_max()).min(16);
        let wait = (NEXT_TRY_FIRST * 2_u32.pow(times)).min(NEXT_TRY_MAX);
        self.to_away(since, self.now + wait, detail)
    }

    fn end(&self, state: State, detail: String) -> Transition {
        let to = Assignment { state, attempt: self.assignment.attempt, ..Assignment::queued() };
        Transition { to, detail }
    }
}

const fn reason_not_sent(fault: Fault) -> FailReason {
    match fault {
        Fault::ConnectRefused
        | Fault::Unreachable
        | Fault::ConnectTimeout
        | Fault::DnsFailed
        | Fault::NoSuchName
        | Fault::TlsName
        | Fault::TlsTrust
        | Fault::TlsExpired
        | Fault::TlsVersion
        | Fault::TlsHandshake => FailReason::Unreachable,
        _ => FailReason::Transfer,
    }
}

fn with_detail(what: String, detail: &str) -> String {
    if detail.is_empty() { what } else { format!("{what}: {detail}") }
}

#[cfg(test)]
mod tests;
