//! The log of all rollouts as one, for those who follow it; and what is counted of all of them.

use groundswell_core::{
    ids::{AssignmentId, RolloutId},
    snapshot::Counts,
};

use super::{LogRow, RolloutKey, StoreError};

/// The part of [`Store`](super::Store) that is read by those who follow what happens.
pub trait TailStore {
    /// The number of the last row of the log; 0 before the first.
    fn log_end(&self) -> Result<i64, StoreError>;

    /// The drivers that there were, the last ones, in order: the last row of the log before each, and what
    /// it is called.
    fn terms(&self) -> Result<Vec<(i64, String)>, StoreError>;

    /// Hands the rows behind this one to `each`, in order, until it returns `false`: of all rollouts,
    /// or of one. Rows that were pruned and are still there are left out.
    fn for_each_row_after(
        &self,
        seq: i64,
        rollout: Option<RolloutKey>,
        each: &mut dyn FnMut(RolloutKey, LogRow) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;

    /// The rollouts whose log was pruned up to this row or further, and with which row it begins.
    fn pruned_since(&self, seq: i64) -> Result<Vec<(RolloutKey, i64)>, StoreError>;

    /// The id of a rollout, and the first row that there is of its log.
    fn identity_of(&self, rollout: RolloutKey) -> Result<Option<(RolloutId, i64)>, StoreError>;

    /// Hands the ids of the devices that these assignments are of to `each`, as far as they are there.
    fn for_each_device_of(
        &self,
        assignments: &[AssignmentId],
        each: &mut dyn FnMut(AssignmentId, String),
    ) -> Result<(), StoreError>;

    /// How many rollouts are in which state, by its word.
    fn count_rollouts(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// The assignments of all rollouts, counted.
    fn count_assignments(&self) -> Result<Counts, StoreError>;
}
