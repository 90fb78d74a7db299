//! Devices that failed here, which others have to know that leave out who fails too often; and who is
//! about to be left out here for that.
//!
//! What is known of a candidate was read with it, and may be old when its turn comes: the device may
//! have failed elsewhere since, may have taken another update well, or may have been released.

use std::{collections::HashMap, time::Duration};

use groundswell_core::time::Time;

use crate::store::DeviceKey;

/// Whoever is to be left out by what was read before is read again. No longer than this may have passed
/// since: a commit or two, if the store is slow.
const LOOK_MAX: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct Failures {
    pending: Vec<DeviceKey>,
    committing: Vec<DeviceKey>,
    durable: Vec<DeviceKey>,
    /// Devices that are read again before they are left out, and since when.
    doubted: HashMap<DeviceKey, Time>,
}

impl Failures {
    /// A device failed, which is not durable yet.
    pub(super) fn note(&mut self, device: DeviceKey) {
        self.pending.push(device);
    }

    pub(super) fn committing(&mut self) {
        self.committing.append(&mut self.pending);
    }

    pub(super) fn committed(&mut self) {
        self.durable.append(&mut self.committing);
    }

    /// Those who durably failed since this was last asked.
    pub(super) fn take(&mut self) -> Vec<DeviceKey> {
        std::mem::take(&mut self.durable)
    }

    /// A device is to be left out by what is known of it: whether that has to be read again before.
    pub(super) fn doubts(&mut self, device: DeviceKey, now: Time) -> bool {
        if self.doubted.remove(&device).is_some_and(|since| now <= since + LOOK_MAX) {
            return false;
        }
        self.doubted.insert(device, now);
        true
    }

    /// Whether a device was read again for that, so that its turn is now.
    pub(super) fn is_doubted(&self, device: DeviceKey) -> bool {
        self.doubted.contains_key(&device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000);
    const TILL: DeviceKey = DeviceKey(7);

    #[test]
    fn others_are_told_once_it_is_durable() {
        let mut failures = Failures::default();
        failures.note(TILL);
        failures.committed();
        assert_eq!(failures.take(), []);
        failures.committing();
        failures.note(DeviceKey(8));
        failures.committed();
        assert_eq!((failures.take(), failures.take()), (vec![TILL], vec![]));
    }

    #[test]
    fn who_is_to_be_left_out_is_read_again_and_not_for_ever() {
        let mut failures = Failures::default();
        assert!(!failures.is_doubted(TILL));
        assert!(failures.doubts(TILL, NOW) && failures.is_doubted(TILL));
        assert!(!failures.doubts(TILL, NOW + LOOK_MAX) && !failures.is_doubted(TILL));
        assert!(failures.doubts(TILL, NOW));
        let late = NOW + LOOK_MAX + Duration::from_millis(1);
        assert!(failures.doubts(TILL, late));
        assert!(!failures.doubts(TILL, late));
    }
}
