//! What is asked about a selector before it is used.

use groundswell_core::{selector::Selector, time::Time};

use super::StoreError;

/// The part of a store that knows how many a selector chooses, roughly, and what it may ask about.
pub trait SelectorStore {
    /// How many devices the selector chooses at `now`, counted no further than to `max`.
    fn count_devices_to(
        &self,
        select: Option<&Selector>,
        max: u64,
        now: Time,
    ) -> Result<u64, StoreError>;
}
