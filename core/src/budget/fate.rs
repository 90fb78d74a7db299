//! What becomes of the slots of a device when it is not under way any more.

use crate::assignment::State;

/// What becomes of the slots of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// They are free: it runs the release.
    Freed,
    /// It keeps them until it is seen to be well, or an operator releases them.
    Kept,
    /// It had failed after its update, and was seen to be well: what it kept for that is free.
    Recovered,
    /// It stands as before it was claimed: nothing was sent, or it could not be reached.
    HandedBack,
}

impl Fate {
    /// The fate of the slots of a device whose assignment goes from one state to another; none if
    /// it is as much under way as before.
    ///
    /// One that was given up in the middle keeps them like one that failed: nobody knows how it is.
    pub fn of(from: State, to: State) -> Option<Self> {
        if !from.is_active() || to.is_active() {
            return None;
        }
        Some(match to {
            State::Succeeded | State::Skipped(_) => Self::Freed,
            State::Failed(_) | State::TimedOut(_) | State::Canceled if !bites!(FailedFreed) => {
                Self::Kept
            }
            _ if to.is_terminal() => Self::Freed,
            _ => Self::HandedBack,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::{FailReason, SkipReason, Step};

    #[test]
    fn only_success_frees_and_only_what_was_under_way_has_a_fate() {
        for from in State::ALL {
            for to in State::ALL {
                let fate = Fate::of(from, to);
                if !from.is_active() || to.is_active() {
                    assert_eq!(fate, None, "{from} to {to}");
                }
            }
        }
        let ends = [
            (State::Succeeded, Fate::Freed),
            (State::Skipped(SkipReason::AlreadyCurrent), Fate::Freed),
            (State::Failed(FailReason::Rejected), Fate::Kept),
            (State::Failed(FailReason::Unreachable), Fate::Kept),
            (State::TimedOut(Step::Verifying), Fate::Kept),
            (State::Canceled, Fate::Kept),
            (State::Queued, Fate::HandedBack),
            (State::Away, Fate::HandedBack),
            (State::Absent, Fate::HandedBack),
        ];
        for (to, fate) in ends {
            assert_eq!(Fate::of(State::Verifying, to), Some(fate), "{to}");
        }
    }
}
