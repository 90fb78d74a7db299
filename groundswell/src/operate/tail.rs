//! What those read who follow what happens in a state directory.

use std::collections::HashMap;

use groundswell_core::{
    ids::{AssignmentId, RolloutId},
    snapshot::Counts,
};

use super::{OperateError, State};
use crate::{
    access::Scope,
    store::{LogRow, RolloutKey, Store as _, StoreError, TailStore as _},
};

impl State {
    /// The number of the last row of the log.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn log_end(&self) -> Result<i64, OperateError> {
        Ok(self.store.log_end()?)
    }

    /// The drivers that there were, the last ones, in order: the last row of the log before each, and what
    /// it is called in the ids of events.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn terms(&self) -> Result<Vec<(i64, String)>, OperateError> {
        Ok(self.store.terms()?)
    }

    /// Hands the rows of the log behind this one to `each`, in order, until it returns `false`: of
    /// all rollouts, or of one.
    ///
    /// # Errors
    /// [`OperateError::Store`], or what `each` returned.
    pub fn for_each_row_after(
        &self,
        seq: i64,
        rollout: Option<RolloutKey>,
        each: &mut dyn FnMut(RolloutKey, LogRow) -> Result<bool, StoreError>,
    ) -> Result<(), OperateError> {
        Ok(self.store.for_each_row_after(seq, rollout, each)?)
    }

    /// The rollouts whose log was pruned up to this row or further, and with which row it begins.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn pruned_since(&self, seq: i64) -> Result<Vec<(RolloutKey, i64)>, OperateError> {
        Ok(self.store.pruned_since(seq)?)
    }

    /// The id of a rollout, and the first row that there is of its log.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn identity_of(&self, key: RolloutKey) -> Result<Option<(RolloutId, i64)>, OperateError> {
        Ok(self.store.identity_of(key)?)
    }

    /// The ids of the devices that these assignments are of, as far as they are there.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn devices_of(
        &self,
        assignments: &[AssignmentId],
    ) -> Result<HashMap<AssignmentId, String>, OperateError> {
        let mut all = HashMap::with_capacity(assignments.len());
        self.store.for_each_device_of(assignments, &mut |id, device| {
            all.insert(id, device);
        })?;
        Ok(all)
    }

    /// Whether there is a rollout of this number, and all that it chooses is in a scope.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn sees_rollout(
        &self,
        key: RolloutKey,
        scope: Option<&Scope>,
    ) -> Result<bool, OperateError> {
        let Some(scope) = scope else { return Ok(true) };
        let record = self.store.rollout(key)?;
        record.map_or(Ok(false), |record| self.is_in_scope(&record, Some(scope)))
    }

    /// Whether a device is there, and in a scope.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn is_device_in(&self, id: &str, scope: &Scope) -> Result<bool, OperateError> {
        Ok(self.store.device(id)?.is_some_and(|device| scope.contains(&device)))
    }

    /// How many rollouts are in which state, and how many assignments.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn count_all(&self) -> Result<(Vec<(String, u64)>, Counts), OperateError> {
        Ok((self.store.count_rollouts()?, self.store.count_assignments()?))
    }
}
