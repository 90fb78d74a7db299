//! A state directory as a whole: what is in it, and how much room there is.

use std::{collections::BTreeMap, io};

use groundswell_core::time::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::store::{Store as _, TailStore as _};

/// What is left of a full disk: a commit or two may still go, the next one does not.
const FULL_BYTES: u64 = 1 << 20;

/// The disk that a state directory is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Bytes that it has.
    pub bytes: u64,
}

impl Disk {
    /// Whether nothing more can be written down.
    pub const fn is_full(&self) -> bool {
        self.free_bytes < FULL_BYTES
    }
}

impl State {
    /// The disk that it is on.
    ///
    /// # Errors
    /// An IO error of the directory.
    pub fn disk(&self) -> io::Result<Disk> {
        let disk = rustix::fs::statvfs(&self.path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Disk { free_bytes: bytes(disk.f_bavail), bytes: bytes(disk.f_blocks) })
    }

    /// How many devices are in its inventory, and how many rollouts are in which state.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn held(&self, now: Time) -> Result<(u64, BTreeMap<String, u64>), OperateError> {
        let devices = self.store.count_devices(None, now)?;
        Ok((devices, self.store.count_rollouts()?.into_iter().collect()))
    }

    /// The number of the schema that its database has.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn schema(&self) -> Result<i64, OperateError> {
        Ok(self.store.schema()?)
    }
}
