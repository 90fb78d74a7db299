//! What a decision sees of a rollout: counts, never a list of its devices.

use serde::{Deserialize, Serialize};

use crate::{assignment::State, rollout::Progression};

/// How many devices of a round are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Not begun.
    pub queued: u64,
    /// Claimed, or being sent to.
    pub delivering: u64,
    /// Sent to, and asked which version they run.
    pub verifying: u64,
    /// To be tried again later.
    pub retrying: u64,
    /// Updated.
    pub succeeded: u64,
    /// Left as they were, with a reason.
    pub skipped: u64,
    /// Failed for another reason than `unreachable`.
    pub failed: u64,
    /// Failed because they could not be reached.
    pub unreachable: u64,
    /// Gave no answer in time.
    pub timed_out: u64,
    /// Given up by the operator.
    pub canceled: u64,
}

impl Counts {
    /// The place where devices in `state` are counted.
    pub const fn of_mut(&mut self, state: State) -> &mut u64 {
        use crate::assignment::FailReason::Unreachable;
        match state {
            State::Queued => &mut self.queued,
            State::Delivering => &mut self.delivering,
            State::Verifying => &mut self.verifying,
            State::Retrying => &mut self.retrying,
            State::Succeeded => &mut self.succeeded,
            State::Skipped(_) => &mut self.skipped,
            State::Failed(Unreachable) => &mut self.unreachable,
            State::Failed(_) => &mut self.failed,
            State::TimedOut(_) => &mut self.timed_out,
            State::Canceled => &mut self.canceled,
        }
    }

    /// Counts one device that went from one state to another.
    pub const fn shift(&mut self, from: State, to: State) {
        let counted = self.of_mut(from);
        *counted = counted.saturating_sub(1);
        *self.of_mut(to) += 1;
    }

    /// All devices of the round.
    pub const fn total(&self) -> u64 {
        self.queued + self.active() + self.ended()
    }

    /// Devices begun and not ended.
    pub const fn active(&self) -> u64 {
        self.delivering + self.verifying + self.retrying
    }

    /// Devices in a terminal state.
    pub const fn ended(&self) -> u64 {
        self.succeeded + self.skipped + self.failures() + self.canceled
    }

    /// Devices that ended without the release: failed, unreachable or timed out.
    pub const fn failures(&self) -> u64 {
        self.failed + self.unreachable + self.timed_out
    }
}

/// What [`crate::plan::plan`] decides on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where the rollout stands.
    pub progression: Progression,
    /// Its devices, counted.
    pub counts: Counts,
    /// How many claims may be made beyond those that are open.
    pub ahead_max: u32,
    /// No new claims: the operator interrupted the run, or the store cannot be written.
    pub is_stopping: bool,
}
