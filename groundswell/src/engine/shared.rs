//! What the rollouts of one driver share: devices, and places for deliveries.
//!
//! A device is active in one rollout at a time. One that is busy elsewhere is parked on the device
//! and handed back, first come first, when it is free.

use groundswell_core::ids::RolloutId;
use hashbrown::{HashMap, hash_map::Entry};

use crate::store::{Candidate, DeviceKey, RolloutKey};

/// Devices that are active, and who waits for them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    active: HashMap<DeviceKey, RolloutKey>,
    waiting: HashMap<DeviceKey, Vec<(RolloutKey, Candidate)>>,
    /// The rollouts that are driven.
    pub(super) ids: HashMap<RolloutKey, RolloutId>,
}

impl Shared {
    /// The other rollout that a device is busy with.
    pub(super) fn busy_with(&self, device: DeviceKey, rollout: RolloutKey) -> Option<RolloutKey> {
        self.active.get(&device).copied().filter(|holder| *holder != rollout)
    }

    /// A device is active in this rollout from now on.
    pub(super) fn hold(&mut self, device: DeviceKey, rollout: RolloutKey) {
        match self.active.entry(device) {
            Entry::Vacant(free) => {
                free.insert(rollout);
            }
            Entry::Occupied(held) => {
                debug_assert_eq!(*held.get(), rollout, "a device is active twice");
            }
        }
    }

    /// Waits for a device that is busy.
    pub(super) fn park(&mut self, rollout: RolloutKey, candidate: Candidate) {
        self.waiting.entry(candidate.device).or_default().push((rollout, candidate));
    }

    /// A device is not active any more; everybody who waited for it is handed back, and whoever
    /// comes second parks again: the first may have lost interest.
    pub(super) fn free(&mut self, device: DeviceKey) -> Vec<(RolloutKey, Candidate)> {
        self.active.remove(&device);
        if self.waiting.is_empty() {
            return vec![];
        }
        self.waiting.remove(&device).unwrap_or_default()
    }

    /// Everybody of a rollout who waits for a device; nobody waits afterwards.
    pub(super) fn withdraw(&mut self, rollout: RolloutKey) -> Vec<Candidate> {
        let mut withdrawn = vec![];
        self.waiting.retain(|_, queue| {
            let (own, others) =
                std::mem::take(queue).into_iter().partition(|(of, _)| *of == rollout);
            *queue = others;
            let own: Vec<(RolloutKey, Candidate)> = own;
            withdrawn.extend(own.into_iter().map(|(_, candidate)| candidate));
            !queue.is_empty()
        });
        withdrawn
    }

    /// The id of a rollout that is driven.
    pub(super) fn id_of(&self, rollout: RolloutKey) -> Option<RolloutId> {
        self.ids.get(&rollout).copied()
    }
}
