//! A rollout written down from its spec.

use std::path::Path;

use groundswell_core::{
    budget::Problem,
    gate::{Tally, Unreachable, baseline::Earlier},
    ids::RolloutId,
    rollout::Spec,
    snapshot::Counts,
    time::Time,
};

use super::{OperateError, State, Unmeetable};
use crate::{
    spec_file::{self, SpecFileError},
    store::{RolloutKey, Store},
};

impl State {
    /// Reads the spec in a file, to be started now or later, with the release that it names.
    ///
    /// # Errors
    /// [`OperateError::Spec`] has all that is wrong with it, [`OperateError::UnknownRelease`] what
    /// there is instead.
    pub fn read_spec(&self, file: &Path, now: Time) -> Result<Spec, OperateError> {
        let spec = self.read_unchecked(file, now)?;
        let mut problems = self.budget_problems(&spec, now)?;
        problems.retain(Problem::is_error);
        if problems.is_empty() {
            return Ok(spec);
        }
        Err(Unmeetable { path: file.to_owned(), problems }.into())
    }

    /// The same, whatever the devices that it chooses make of it.
    pub(super) fn read_unchecked(&self, file: &Path, now: Time) -> Result<Spec, OperateError> {
        let document = spec_file::read(file, now)?;
        let (release, _) = self.find_release(&document.release.name, &document.release.version)?;
        let earlier = if document.asks_for_earlier() {
            let counts = self.store.completed(&release.name)?;
            earlier(&counts, document.unreachable)
        } else {
            Earlier::default()
        };
        let spec = document.into_spec(release, earlier);
        Ok(spec.map_err(|error| SpecFileError::Document(file.to_owned(), error))?)
    }

    /// Writes a rollout down as a draft.
    ///
    /// # Errors
    /// [`OperateError::NoWayBack`] if it is to be rolled back when it goes wrong and could not be,
    /// [`OperateError::Store`].
    pub fn create_rollout(
        &mut self,
        spec: &Spec,
        now: Time,
    ) -> Result<(RolloutKey, RolloutId), OperateError> {
        self.look_ahead(spec, now)?;
        let id = RolloutId(uuid::Uuid::now_v7());
        Ok((self.store.create(id, None, spec, now)?, id))
    }
}

/// What came of devices that were updated before, by the rule for those that could not be reached.
const fn earlier(counts: &Counts, unreachable: Unreachable) -> Earlier {
    let failures = Tally::of(counts, unreachable).failures();
    Earlier { failures, results: failures + counts.succeeded }
}
