//! What an engine is told before its first step.

use super::Engine;
use crate::store::{DeviceKey, FailedDevice, RolloutRecord};

impl Engine {
    /// Devices that a push which nobody drives now has active: nobody else may touch them.
    pub fn keep_from(&mut self, rollout: &RolloutRecord, devices: &[DeviceKey]) {
        self.shared.names.insert(rollout.key, rollout.name());
        for device in devices {
            self.shared.hold(*device, rollout.key);
        }
    }

    /// Devices that failed before: they keep their slots.
    pub fn know_failed(&mut self, failed: Vec<FailedDevice>) {
        self.shared.budgets.know_failed(failed);
    }

    /// Of each rollout no more than so many devices wait for slots in memory, instead of tens of
    /// thousands: to see what happens beyond that.
    pub const fn park_at_most(&mut self, devices: usize) {
        self.shared.budgets.parked_max = devices;
    }
}
