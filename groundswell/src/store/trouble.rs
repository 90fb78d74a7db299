//! Devices that are out of order, or were: who keeps slots of failure domains, who regressed, who is
//! left out.

use groundswell_core::{
    budget::{DomainCount, Per},
    selector::Selector,
    time::Time,
};

use super::{
    DeviceKey, FailedDevice, Failing, Patients, PatientsWant, ReleasedOf, ReleasedSlot, RolloutKey,
    SlotRelease, SlotsRead, SlotsWant, StoreError, Unfinished,
};

/// The part of [`Store`](super::Store) that knows of devices in trouble. Every method is one transaction.
pub trait TroubleStore {
    /// What is known of failure domains.
    fn slots(&self, want: &SlotsWant) -> Result<SlotsRead, StoreError>;

    /// The domains of a kind that devices are in which the selector chooses at `now`, in the order of
    /// their values; those that lack the tag come first.
    fn chosen_domains(
        &self,
        per: &Per,
        select: Option<&Selector>,
        now: Time,
    ) -> Result<Vec<DomainCount>, StoreError>;

    /// Devices that keep their slots because they failed, in the order of their rows.
    /// With a device only that one.
    fn failed_devices(&self, only: Option<DeviceKey>) -> Result<Vec<FailedDevice>, StoreError>;

    /// Devices that keep their slots because they regressed: of those that failed, the ones whose
    /// update went well.
    fn regressed_holders(&self) -> Result<Vec<DeviceKey>, StoreError>;

    /// Whether a rollout has a device that lacks the tag which divides devices into these domains.
    fn has_untagged(&self, rollout: RolloutKey, per: &Per) -> Result<bool, StoreError>;

    /// The first `limit` keys that tags of devices have, in order.
    fn tag_keys(&self, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Writes down that an operator releases a slot of a device that failed.
    fn release_slot(&mut self, release: &SlotRelease) -> Result<(), StoreError>;

    /// The last `limit` slots that operators released, oldest first.
    fn released_slots(&self, of: ReleasedOf, limit: usize)
    -> Result<Vec<ReleasedSlot>, StoreError>;

    /// What a device failed in since it last took an update well or was released.
    fn failing(&self, device: DeviceKey) -> Result<Failing, StoreError>;

    /// Forgets what a device failed in, and writes down why.
    fn release_device(
        &mut self,
        device: DeviceKey,
        reason: &str,
        now: Time,
    ) -> Result<(), StoreError>;

    /// At most `limit` devices of a round that were updated and are not well since, in order, each
    /// with what it said.
    fn regressed(
        &self,
        rollout: RolloutKey,
        round: u32,
        limit: usize,
    ) -> Result<Vec<Unfinished>, StoreError>;

    /// Devices that were updated, and whether they are well since.
    fn patients(&self, want: &PatientsWant) -> Result<Patients, StoreError>;
}
