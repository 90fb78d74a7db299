//! Devices that were written while rollouts go on: what it means to each of these.
//!
//! Type to read first: [`Review`].

use groundswell_core::{device::Device, ids::AssignmentId, rollout::Schedule};

use super::{Candidate, CohortKey, CohortRecord, DeviceKey, RolloutKey};

/// The number of a change of a device; whatever is written later has a higher one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeSeq(pub i64);

/// What devices that were written mean to a rollout.
#[derive(Clone, Debug)]
pub struct Review {
    /// To which rollout.
    pub rollout: RolloutKey,
    /// In which round.
    pub round: u32,
    /// Which devices.
    pub devices: Vec<DeviceKey>,
    /// By which schedule those that are in the round are in the right cohort; none if they are in
    /// any case.
    pub schedule: Option<Schedule>,
    /// Whether the devices themselves are wanted.
    pub is_device_wanted: bool,
}

/// What came of a [`Review`].
#[derive(Clone, Debug, Default)]
pub struct Reviewed {
    /// The round that was looked at.
    pub round: u32,
    /// The devices, if these were wanted.
    pub devices: Vec<(DeviceKey, Device)>,
    /// Those that are open and in the cohort of another zone than theirs.
    pub misplaced: Vec<Misplaced>,
    /// The cohorts that these belong to, which are there by now; what they have is not counted.
    pub cohorts: Vec<CohortRecord>,
}

/// A device that is in the cohort of a zone that is not its own any more.
#[derive(Clone, Debug)]
pub struct Misplaced {
    /// As it is written down.
    pub candidate: Candidate,
    /// Where it belongs.
    pub to: CohortKey,
}

/// An assignment that belongs to another cohort from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Move {
    /// Which one.
    pub id: AssignmentId,
    /// To which.
    pub to: CohortKey,
}
