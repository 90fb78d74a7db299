//! What is asked about a selector before it is used.

use groundswell_core::{selector::Selector, time::Time};

use super::{RolloutKey, StoreError};

/// The part of a store that knows how many a selector chooses, roughly, and what it may ask about.
pub trait SelectorStore {
    /// How many devices the selector chooses at `now`, counted no further than to `max`.
    fn count_devices_to(
        &self,
        select: Option<&Selector>,
        max: u64,
        now: Time,
    ) -> Result<u64, StoreError>;

    /// Hands the devices that a rollout has or had in any of its rounds and that the selector, which
    /// does not depend on the time, does not choose to `each` until it says no; with each whether it is
    /// in the inventory. O(devices of the rollout).
    fn for_each_outside(
        &self,
        rollout: RolloutKey,
        select: &Selector,
        each: &mut dyn FnMut(&str, bool) -> bool,
    ) -> Result<(), StoreError>;
}
