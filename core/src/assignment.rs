//! One device in one round of one rollout, and what follows from what happens to it.
//!
//! Owns the states and [`apply`], the only place that says retry, verify, succeed or fail. Knows
//! nothing of limits (that is [`mod@crate::plan`] and [`crate::admit`]) nor of sockets.

mod rule;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::rule::apply;
use crate::{
    ids::AssignmentId,
    outcome::{Answer, Outcome},
    rollout::Spec,
    time::Time,
};

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
    /// A newer rollout of the same release name has it; or it was to be rolled back, and somebody else
    /// has changed it since.
    Superseded,
    /// It runs a newer version.
    Downgrade,
    /// The deadline passed before its turn came.
    Deadline,
    /// Its window closed before its turn came.
    WindowClosed,
    /// It failed too many rollouts in a row.
    Quarantined,
}

impl SkipReason {
    /// Every reason there is.
    pub const ALL: [Self; 8] = [
        Self::AlreadyCurrent,
        Self::Offline,
        Self::NoAddress,
        Self::Superseded,
        Self::Downgrade,
        Self::Deadline,
        Self::WindowClosed,
        Self::Quarantined,
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
    pub const ALL: [Self; 23] = [
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
        Self::Skipped(SkipReason::Quarantined),
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

    /// Whether a newer rollout of the same release name in which a device stands so has it, and
    /// keeps it from older ones. What it gave up, or left as it was, it does not.
    pub const fn supersedes(self) -> bool {
        match self {
            Self::Canceled => false,
            Self::Skipped(reason) => matches!(reason, SkipReason::AlreadyCurrent),
            _ => true,
        }
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
            Self::Skipped(SkipReason::Quarantined) => "skipped: quarantined",
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
    /// Retrying, away, absent: when it is due; kept while it is claimed from retrying or absent, so
    /// that it can go back. Verifying: the deadline. Otherwise [`Time::ZERO`].
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

    /// Where it stood before it was claimed: each of the four keeps other times.
    pub fn claimed_from(&self) -> State {
        match (self.away_since > Time::ZERO, self.due_at > Time::ZERO) {
            (false, false) => State::Queued,
            (false, true) => State::Retrying,
            (true, false) => State::Away,
            (true, true) => State::Absent,
        }
    }
}

impl Assignment {
    /// As a driver takes it over: a deadline set by a clock that was ahead is none.
    #[must_use]
    pub fn taken_over(self, spec: &Spec, now: Time) -> Self {
        match self.state {
            State::Verifying => Self { due_at: self.due_at.min(now + spec.verify.timeout), ..self },
            _ => self,
        }
    }

    /// After the clock was set back to `now`: nobody is asked for longer than they would have been.
    #[must_use]
    pub fn set_back(self, before: Time, now: Time) -> Self {
        match self.state {
            State::Verifying => Self { due_at: now + self.due_at.since(before), ..self },
            _ => self,
        }
    }

    /// One that is away is due no sooner than this: others were read up to then.
    #[must_use]
    pub fn no_sooner_than(self, floor: Time) -> Self {
        match self.state {
            State::Away | State::Absent => Self { due_at: self.due_at.max(floor), ..self },
            _ => self,
        }
    }
}

/// A number for the jitter of a retry that follows from the assignment and the attempt, so that the
/// same step gives the same result.
pub const fn dice(id: AssignmentId, attempt: u32) -> u32 {
    // The finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
    let mut mixed =
        (id.0 as u64).wrapping_add((attempt as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
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
