//! The devices that the rollouts of one driver share; places for deliveries are
//! [`super::places`]'s.
//!
//! A device is active in one rollout at a time. One that is busy elsewhere is parked on the device
//! and handed back, first come first, when it is free.

use groundswell_core::{bites, budget::Budget, ids::RolloutName};
use hashbrown::{HashMap, hash_map::Entry};

use super::budgets::{Budgets, Freed};
use crate::store::{Candidate, DeviceKey, RolloutKey, SlotsRead};

/// Devices that are active, and who waits for them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// With how many claims that nothing durable has ended: one that was handed back may be claimed
    /// again before that is written.
    active: HashMap<DeviceKey, (RolloutKey, u32)>,
    waiting: HashMap<DeviceKey, Vec<(RolloutKey, Candidate)>>,
    /// The rollouts that are driven.
    pub(super) names: HashMap<RolloutKey, RolloutName>,
    /// The slots of their failure domains.
    pub(super) budgets: Budgets,
}

impl Shared {
    /// The other rollout that a device is busy with.
    pub(super) fn busy_with(&self, device: DeviceKey, rollout: RolloutKey) -> Option<RolloutKey> {
        if bites!(ActiveTwice) {
            return None;
        }
        self.active.get(&device).map(|(holder, _)| *holder).filter(|holder| *holder != rollout)
    }

    /// A device is active in this rollout from now on.
    pub(super) fn hold(&mut self, device: DeviceKey, rollout: RolloutKey) {
        match self.active.entry(device) {
            Entry::Vacant(free) => {
                free.insert((rollout, 1));
            }
            Entry::Occupied(mut held) => {
                let (holder, claims) = held.get_mut();
                debug_assert!(
                    *holder == rollout || bites!(ActiveTwice),
                    "a device is active twice"
                );
                *claims += 1;
            }
        }
    }

    /// Waits for a device that is busy.
    pub(super) fn park(&mut self, rollout: RolloutKey, candidate: Candidate) {
        self.waiting.entry(candidate.device).or_default().push((rollout, candidate));
    }

    /// A device is not active any more, and that is durable; everybody who waited for it is handed
    /// back, and whoever comes second parks again: the first may have lost interest.
    pub(super) fn free(&mut self, device: DeviceKey) -> Vec<(RolloutKey, Candidate)> {
        if let Entry::Occupied(mut held) = self.active.entry(device) {
            held.get_mut().1 -= 1;
            if held.get().1 > 0 {
                return vec![];
            }
            held.remove();
        }
        if self.waiting.is_empty() {
            return vec![];
        }
        self.waiting.remove(&device).unwrap_or_default()
    }

    /// Everybody of a rollout who waits for a device, in order; nobody waits afterwards.
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
        withdrawn.sort_unstable_by_key(|candidate| candidate.id);
        withdrawn
    }

    /// Those of a rollout who wait for a device.
    pub(super) fn waiting_of(&self, rollout: RolloutKey) -> impl Iterator<Item = &Candidate> {
        let all = self.waiting.values().flatten();
        all.filter(move |(of, _)| *of == rollout).map(|(_, candidate)| candidate)
    }

    /// What became of the slots of a device, which is durable. Whoever has claimed it since holds them.
    pub(super) fn settle(&mut self, freed: &Freed) {
        let is_claimed = self.active.contains_key(&freed.device);
        self.budgets.settle(freed, is_claimed);
    }

    /// Takes back slots that were given to a candidate which is not claimed after all. Another
    /// rollout may have claimed the device since, and holds them.
    pub(super) fn hand_back(&mut self, candidate: &mut Candidate) {
        if std::mem::take(&mut candidate.has_slots) && !self.active.contains_key(&candidate.device)
        {
            self.budgets.hand_back(candidate.device);
        }
    }

    /// Takes back the slots of a candidate that was given them, if others that are not bound by
    /// these budgets have filled its domains since.
    pub(super) fn look_again(&mut self, candidate: &mut Candidate, budgets: &[Budget]) {
        if candidate.has_slots && !self.budgets.may_go(candidate, budgets) {
            self.hand_back(candidate);
        }
    }

    /// What was read of failure domains.
    pub(super) fn told_slots(&mut self, read: SlotsRead) {
        self.budgets.told(read, self.active.keys());
    }

    /// The name of a rollout that is driven.
    pub(super) fn name_of(&self, rollout: RolloutKey) -> Option<&RolloutName> {
        self.names.get(&rollout)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use groundswell_core::{
        assignment::Assignment,
        device::Endpoint,
        ids::{AssignmentId, RolloutId},
    };

    use super::*;
    use crate::store::CohortKey;

    const OLD: RolloutKey = RolloutKey(1);
    const NEW: RolloutKey = RolloutKey(2);
    const THIRD: RolloutKey = RolloutKey(3);
    const TILL: DeviceKey = DeviceKey(7);
    const GATE: DeviceKey = DeviceKey(8);

    fn candidate(id: i64, device: DeviceKey) -> Candidate {
        Candidate {
            id: AssignmentId(id),
            device,
            cohort: CohortKey(1),
            assignment: Assignment::queued(),
            endpoint: Arc::new(Endpoint {
                id: "till".into(),
                name: "Till".into(),
                address: "http://127.0.0.1".parse().unwrap(),
                update_path: None,
            }),
            has_address: true,
            known: None,
            values: Box::default(),
            has_slots: false,
        }
    }

    fn ids(handed: Vec<(RolloutKey, Candidate)>) -> Vec<(RolloutKey, i64)> {
        handed.into_iter().map(|(rollout, candidate)| (rollout, candidate.id.0)).collect()
    }

    #[test]
    fn a_device_is_busy_for_others_while_a_rollout_holds_it() {
        let mut shared = Shared::default();
        assert_eq!(shared.busy_with(TILL, NEW), None);
        shared.hold(TILL, OLD);
        // Claimed again before it is durable that the first claim ended.
        shared.hold(TILL, OLD);
        assert_eq!(shared.busy_with(TILL, NEW), Some(OLD));
        assert_eq!(shared.busy_with(TILL, OLD), None);
        assert_eq!(shared.busy_with(GATE, NEW), None);
        assert!(shared.free(TILL).is_empty());
        assert_eq!(shared.busy_with(TILL, NEW), Some(OLD));
        assert!(shared.free(TILL).is_empty());
        assert_eq!(shared.busy_with(TILL, NEW), None);
    }

    #[test]
    fn those_who_waited_are_handed_back_first_come_first_and_once() {
        let mut shared = Shared::default();
        shared.hold(TILL, OLD);
        shared.hold(GATE, OLD);
        shared.park(THIRD, candidate(31, TILL));
        shared.park(NEW, candidate(21, TILL));
        shared.park(NEW, candidate(22, GATE));
        assert_eq!(ids(shared.free(TILL)), [(THIRD, 31), (NEW, 21)]);
        assert_eq!(ids(shared.free(TILL)), []);
        assert_eq!(shared.busy_with(GATE, NEW), Some(OLD));
        assert_eq!(ids(shared.free(GATE)), [(NEW, 22)]);
    }

    #[test]
    fn a_rollout_that_is_done_waits_for_nobody() {
        let mut shared = Shared::default();
        shared.hold(TILL, OLD);
        shared.hold(GATE, OLD);
        shared.park(NEW, candidate(21, TILL));
        shared.park(THIRD, candidate(31, TILL));
        shared.park(NEW, candidate(22, GATE));
        let mut withdrawn: Vec<_> =
            shared.withdraw(NEW).into_iter().map(|candidate| candidate.id.0).collect();
        withdrawn.sort_unstable();
        assert_eq!(withdrawn, [21, 22]);
        assert!(shared.withdraw(NEW).is_empty());
        assert_eq!(ids(shared.free(TILL)), [(THIRD, 31)]);
        assert_eq!(ids(shared.free(GATE)), []);
    }

    #[test]
    fn rollouts_are_known_by_their_names_while_they_are_driven() {
        let mut shared = Shared::default();
        let id = RolloutId(uuid::Uuid::nil());
        let name = RolloutName { id, number: 1, name: "pos".to_owned(), version: "2".to_owned() };
        shared.names.insert(OLD, name.clone());
        assert_eq!((shared.name_of(OLD), shared.name_of(NEW)), (Some(&name), None));
    }
}
