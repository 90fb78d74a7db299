//! Those who wait for a domain and are alike: what holds for the first of them holds for all.

use std::collections::BTreeSet;

use super::parked::Ticket;
use crate::budget::Limit;

/// By which rules a rollout judges a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) limit: Limit,
    pub(super) counts_down: bool,
}

/// As what a device is counted in a domain; the first of these that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It holds a slot, and is being updated.
    UnderWay,
    /// It holds a slot, has failed and was not seen to recover.
    Failed,
    /// A candidate that waits elsewhere keeps a slot for it.
    Reserved,
    /// The same, and it is known to be down.
    ReservedDown,
    /// It is known to be down.
    Down,
    /// Not at all.
    Absent,
}

impl Kind {
    /// Whether it counts against a limit.
    pub(super) const fn counts(self, counts_down: bool) -> bool {
        match self {
            Self::UnderWay | Self::Failed | Self::Reserved | Self::ReservedDown => true,
            Self::Down => counts_down,
            Self::Absent => false,
        }
    }

    /// Whether it counts, and goes on counting when all that is under way has ended.
    pub(super) const fn lasts(self, counts_down: bool) -> bool {
        match self {
            Self::Failed => true,
            Self::ReservedDown | Self::Down => counts_down,
            Self::UnderWay | Self::Reserved | Self::Absent => false,
        }
    }
}

/// Candidates of the same terms, whose devices are counted as the same, oldest first.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) terms: Terms,
    pub(super) kind: Kind,
    pub(super) waiting: BTreeSet<Ticket>,
    /// Whether they were seen to be stuck, and so keep nothing elsewhere.
    pub(super) is_stuck: bool,
}
