//! Stopping a look from another thread.

use std::fmt;

use rusqlite::InterruptHandle;

use super::SqliteStore;

/// Stops what its handle of the store is looking up at the moment; what is begun later, it does not
/// touch.
pub struct Interrupt(InterruptHandle);

impl Interrupt {
    /// Stops it: it fails with an error that is
    /// [interrupted](crate::store::StoreError::is_interrupted).
    pub fn now(&self) {
        self.0.interrupt();
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// What stops a look through this handle.
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(self.connection.get_interrupt_handle())
    }
}
