//! Devices that failed rollouts in a row, and what an operator says of them.

use groundswell_core::time::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, REASON_CHARS_MAX, State, reason::reason_of};
use crate::store::{Failing, TroubleStore as _};

/// What a device failed in since it last took an update well or was released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailingView {
    /// The rollouts, oldest first: one whose spec says so many or fewer leaves it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_in_row: Vec<i64>,
    /// When an operator released it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub released_at: Option<Time>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_because: Option<String>,
}

impl State {
    /// What a device failed in since it last took an update well or was released.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`].
    pub fn failing(&self, id: &str) -> Result<FailingView, OperateError> {
        let (device, _) = self.find_device(id)?;
        let Failing { rollouts, released } = self.store.failing(device)?;
        let (released_at, released_because) = released.unzip();
        let failed_in_row = self.rollouts_seen(rollouts.into_iter().map(|rollout| rollout.0))?;
        Ok(FailingView { failed_in_row, released_at, released_because })
    }

    /// Forgets what a device failed in: an operator says that it may take part again. Says how many
    /// rollouts these were.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`], [`OperateError::NoRelease`] if it failed nothing,
    /// [`OperateError::ReleaseReason`], or [`OperateError::Label`] for a reason that no terminal
    /// should show.
    pub fn release_device(
        &mut self,
        id: &str,
        reason: &str,
        now: Time,
    ) -> Result<u64, OperateError> {
        let (device, _) = self.find_device(id)?;
        let reason = reason_of(reason, OperateError::ReleaseReason { max: REASON_CHARS_MAX })?;
        let failed = self.store.failing(device)?.rollouts.len() as u64;
        if failed == 0 {
            return Err(OperateError::NoRelease { device: id.to_owned() });
        }
        self.store.release_device(device, reason, now)?;
        Ok(failed)
    }
}
