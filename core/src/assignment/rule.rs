//! What follows from what happens to a device.
//!
//! The only place that says retry, verify, succeed or fail. Looks at one device and the spec, and
//! at nothing else.

use std::time::Duration;

use super::{Assignment, Fact, FailReason, Illegal, SkipReason, State, Step, Transition};
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
        (state, Fact::Delivered(outcome)) if state.is_terminal() && bites!(EndRewritten) => {
            Ok(rule.delivered(outcome))
        }
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
        let due_at = match self.assignment.state {
            State::Retrying | State::Absent => self.assignment.due_at,
            _ => Time::ZERO,
        };
        let to = Assignment {
            state: State::Delivering,
            attempt: self.assignment.attempt + 1,
            due_at,
            ..*self.assignment
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

    /// Back to where it stood before it was claimed, as if that had not been; one that was away is
    /// due at once, because it may have been claimed after a contact.
    fn returned(&self) -> Transition {
        let Assignment { attempt, due_at, .. } = *self.assignment;
        let state = self.assignment.claimed_from();
        let is_missing = matches!(state, State::Away | State::Absent);
        let due_at = if is_missing { self.now } else { due_at };
        let attempt = attempt.saturating_sub(1);
        let to = Assignment { state, attempt, due_at, ..*self.assignment };
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
        if bites!(ResentUnanswered) {
            return self.retry(None, State::Failed(FailReason::Transfer), detail);
        }
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
        | Fault::AddressRefused
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
