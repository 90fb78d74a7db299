//! Failure domains as the store knows them: who is in which, who failed, how large they are.

use std::sync::Arc;

use groundswell_core::{
    budget::{Domain, Fate, Per},
    ids::AssignmentId,
    time::Time,
};
use serde::{Deserialize, Serialize};

use super::{DeviceKey, RolloutKey};

/// The values that a device has, one for each kind of domain that was asked about; none where it
/// has none.
pub type Values = Box<[Option<Box<str>>]>;

/// What became of the slots of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotChange {
    /// The assignment it was under way for.
    pub id: AssignmentId,
    /// Whether it keeps them; otherwise they are free.
    pub is_kept: bool,
}

impl SlotChange {
    /// What is to be written down of a fate. `had_failed` says whether it kept slots before.
    pub fn of(id: AssignmentId, fate: Fate, had_failed: bool) -> Option<Self> {
        match fate {
            Fate::Kept => Some(Self { id, is_kept: true }),
            Fate::Recovered => Some(Self { id, is_kept: false }),
            Fate::Freed if had_failed => Some(Self { id, is_kept: false }),
            Fate::Freed | Fate::HandedBack => None,
        }
    }
}

/// What is wanted to be known of domains.
#[derive(Clone, Debug)]
pub struct SlotsWant {
    /// Their kinds.
    pub pers: Arc<[Per]>,
    /// Whether devices that are under way or failed are wanted.
    pub is_held_wanted: bool,
    /// Whether it is wanted how large domains are.
    pub is_size_wanted: bool,
    /// When it is, if devices that are known to be down are wanted.
    pub down_at: Option<Time>,
}

/// A device, and which domains it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which one.
    pub device: DeviceKey,
    /// Its id.
    pub id: Box<str>,
    /// In which domains.
    pub values: Values,
}

/// Values of a tag, none for no value, and how many devices of the inventory have each.
pub type Sizes = Vec<(Option<Box<str>>, u32)>;

/// What was read of domains.
#[derive(Debug, Default)]
pub struct SlotsRead {
    /// About how many kinds it was asked.
    pub pers: usize,
    /// Devices that are under way for any rollout, or failed; none if they were not asked for.
    pub held: Option<Vec<Member>>,
    /// So many of these, from the first on, are under way; the others failed.
    pub under_way: usize,
    /// For each kind: the devices of the inventory with each value; none if that was not asked for.
    pub sizes: Option<Vec<Sizes>>,
    /// Devices that are known to be down; none if they were not asked for.
    pub down: Option<Vec<Member>>,
}

/// A device that failed, or was given up while it was under way, and was not seen to be well since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDevice {
    /// Which one.
    pub device: DeviceKey,
    /// What it failed in.
    pub assignment: AssignmentId,
    /// When.
    pub at: Time,
    /// Domains in which an operator released its slot.
    pub released: Vec<Domain>,
}

/// What a device failed in since it last took an update well or was released.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    /// The rollouts, oldest first.
    pub rollouts: Vec<RolloutKey>,
    /// When an operator released it last, and why; also of one that failed nothing since.
    pub released: Option<(Time, String)>,
}

/// An operator releases a slot of a device that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRelease {
    /// Of which device.
    pub device: DeviceKey,
    /// What it failed in.
    pub assignment: AssignmentId,
    /// In which domain.
    pub domain: Domain,
    /// Why, in the operator's words.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// A slot that an operator released, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasedSlot {
    /// The id of the device.
    pub id: String,
    /// The rollout in which it had failed.
    pub rollout: RolloutKey,
    /// In which domain.
    pub domain: Domain,
    /// Why, in the operator's words.
    pub reason: String,
    /// When.
    pub at: Time,
}

/// Whose released slots are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleasedOf {
    /// Those of a device, whatever it had failed in.
    Device(DeviceKey),
    /// Those of devices that had failed in a rollout.
    Rollout(RolloutKey),
}
