//! A rollout written down from its spec.

use std::path::Path;

use groundswell_core::{ids::RolloutId, rollout::Spec, time::Time};

use super::{OperateError, State};
use crate::{
    spec_file,
    store::{RolloutKey, Store},
};

impl State {
    /// Reads the spec in a file, to be started now or later, with the release that it names.
    ///
    /// # Errors
    /// [`OperateError::Spec`] has all that is wrong with it, [`OperateError::UnknownRelease`] what
    /// there is instead.
    pub fn read_spec(&self, file: &Path, now: Time) -> Result<Spec, OperateError> {
        let document = spec_file::read(file, now)?;
        let (release, _) = self.find_release(&document.release.name, &document.release.version)?;
        Ok(document.into_spec(release)?)
    }

    /// Writes a rollout down as a draft.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn create_rollout(
        &mut self,
        spec: &Spec,
        now: Time,
    ) -> Result<(RolloutKey, RolloutId), OperateError> {
        let id = RolloutId(uuid::Uuid::now_v7());
        Ok((self.store.create(id, None, spec, now)?, id))
    }
}
