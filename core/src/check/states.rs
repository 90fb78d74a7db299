//! The states of a device, written down once more: what decides has its own.

use crate::{
    assignment::{FailReason, SkipReason, State},
    snapshot::Counts,
};

pub(super) const fn is_active(state: State) -> bool {
    matches!(state, State::Delivering | State::Verifying | State::Retrying)
}

pub(super) const fn is_end(state: State) -> bool {
    match state {
        State::Succeeded
        | State::Failed(_)
        | State::TimedOut(_)
        | State::Canceled
        | State::Skipped(_) => true,
        State::Queued
        | State::Away
        | State::Absent
        | State::Delivering
        | State::Verifying
        | State::Retrying => false,
    }
}

pub(super) const fn place(counts: &mut Counts, state: State) -> &mut u64 {
    match state {
        State::Queued => &mut counts.queued,
        State::Away => &mut counts.away,
        State::Absent => &mut counts.absent,
        State::Delivering => &mut counts.delivering,
        State::Verifying => &mut counts.verifying,
        State::Retrying => &mut counts.retrying,
        State::Succeeded => &mut counts.succeeded,
        State::Skipped(SkipReason::AlreadyCurrent) => &mut counts.current,
        State::Skipped(_) => &mut counts.skipped,
        State::Failed(FailReason::Unreachable) => &mut counts.unreachable,
        State::Failed(_) => &mut counts.failed,
        State::TimedOut(_) => &mut counts.timed_out,
        State::Canceled => &mut counts.canceled,
    }
}
