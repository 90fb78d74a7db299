//! Devices that are out of order, or were.

use groundswell_core::{
    budget::{DomainCount, Per},
    selector::Selector,
    time::Time,
};

use super::{SqliteStore, health, quarantine, slots};
use crate::store::{
    DeviceKey, FailedDevice, Failing, Patients, PatientsWant, ReleasedOf, ReleasedSlot, RolloutKey,
    SlotRelease, SlotsRead, SlotsWant, StoreError, TroubleStore, Unfinished,
};

impl TroubleStore for SqliteStore {
    fn slots(&self, want: &SlotsWant) -> Result<SlotsRead, StoreError> {
        slots::read(&self.connection, want)
    }

    fn chosen_domains(
        &self,
        per: &Per,
        select: Option<&Selector>,
        now: Time,
    ) -> Result<Vec<DomainCount>, StoreError> {
        slots::chosen(&self.connection, per, select, now)
    }

    fn failed_devices(&self, only: Option<DeviceKey>) -> Result<Vec<FailedDevice>, StoreError> {
        slots::failed(&self.connection, only)
    }

    fn regressed_holders(&self) -> Result<Vec<DeviceKey>, StoreError> {
        slots::regressed(&self.connection)
    }

    fn has_untagged(&self, rollout: RolloutKey, per: &Per) -> Result<bool, StoreError> {
        slots::has_untagged(&self.connection, rollout, per)
    }

    fn tag_keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        slots::tag_keys(&self.connection, limit)
    }

    fn release_slot(&mut self, release: &SlotRelease) -> Result<(), StoreError> {
        self.within(|transaction| slots::release(transaction, release))
    }

    fn released_slots(
        &self,
        of: ReleasedOf,
        limit: usize,
    ) -> Result<Vec<ReleasedSlot>, StoreError> {
        slots::released(&self.connection, of, limit)
    }

    fn failing(&self, device: DeviceKey) -> Result<Failing, StoreError> {
        quarantine::of(&self.connection, device)
    }

    fn release_device(
        &mut self,
        device: DeviceKey,
        reason: &str,
        now: Time,
    ) -> Result<(), StoreError> {
        let transaction = self.write()?;
        quarantine::release(&transaction, device, reason, now)?;
        transaction.commit()
    }

    fn regressed(
        &self,
        rollout: RolloutKey,
        round: u32,
        limit: usize,
    ) -> Result<Vec<Unfinished>, StoreError> {
        health::list(&self.connection, rollout, round, limit)
    }

    fn patients(&self, want: &PatientsWant) -> Result<Patients, StoreError> {
        health::patients(&self.connection, want)
    }
}
