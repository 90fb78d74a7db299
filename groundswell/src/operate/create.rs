//! A rollout written down from its spec.

use std::path::Path;

use groundswell_core::{
    budget::Problem,
    document::{Document, Tree},
    gate::{Tally, Unreachable, baseline::Earlier},
    ids::RolloutId,
    rollout::{self, Spec},
    selector::Selector,
    snapshot::Counts,
    time::Time,
};

use super::{OperateError, State, Unmeetable};
use crate::{
    access::Scope,
    spec_file::{self, SpecFileError},
    store::{RolloutKey, Store, Which},
};

/// What a document is called that came in no file.
const SENT: &str = "the document";

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
        Err(unmeetable(file, problems))
    }

    /// The same, whatever the devices that it chooses make of it.
    pub(super) fn read_unchecked(&self, file: &Path, now: Time) -> Result<Spec, OperateError> {
        self.spec_from(file, spec_file::read(file, now)?)
    }

    /// Reads a document, to be started now or later, with the release that it names; of the devices
    /// that it chooses those in a scope alone.
    ///
    /// # Errors
    /// As [`State::read_spec`].
    pub fn spec_of(
        &self,
        document: &Tree,
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<Spec, OperateError> {
        let spec = self.unchecked(document, scope, now)?;
        let mut problems = self.budget_problems(&spec, now)?;
        problems.retain(Problem::is_error);
        if problems.is_empty() { Ok(spec) } else { Err(unmeetable(Path::new(SENT), problems)) }
    }

    /// The same, whatever the devices that it chooses make of it.
    pub(super) fn unchecked(
        &self,
        document: &Tree,
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<Spec, OperateError> {
        let mut spec = self.spec_from(Path::new(SENT), Document::read_at(document, now)?)?;
        self.judge_gates(&spec)?;
        if let Some(scope) = scope {
            let select = spec.select.as_deref().filter(|select| !select.is_empty());
            let select = select.map(Selector::parse).transpose().map_err(OperateError::Selector)?;
            spec.select = Some(scope.narrow(select).to_string());
        }
        Ok(spec)
    }

    fn spec_from(&self, file: &Path, document: Document) -> Result<Spec, OperateError> {
        let (release, _) = self.find_release(&document.release.name, &document.release.version)?;
        let earlier = if document.asks_for_earlier() {
            let counts = self.completed(&release.name)?;
            earlier(&counts, document.unreachable)
        } else {
            Earlier::default()
        };
        let spec = document.into_spec(release, earlier);
        Ok(spec.map_err(|error| SpecFileError::Document(file.to_owned(), error))?)
    }

    /// What came of completed rollouts of a release name, of those that may be known.
    fn completed(&self, name: &str) -> Result<Counts, OperateError> {
        if self.sight.is_none() {
            return Ok(self.store.completed(name)?);
        }
        let mut counts: Vec<Counts> = vec![];
        for record in self.store.rollouts(Which::All)? {
            let is_meant = record.progression.state == rollout::State::Completed
                && record.spec.release.name == name;
            if is_meant && self.is_in_scope(&record, self.sight.as_ref())? {
                for round in 1..=record.progression.round {
                    let cohorts = self.store.cohorts(record.key, round)?;
                    counts.extend(cohorts.iter().map(|cohort| cohort.counts));
                }
            }
        }
        Ok(counts.into_iter().sum())
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
        let id = RolloutId(uuid::Uuid::now_v7());
        Ok((self.create_rollout_as(id, spec, now)?, id))
    }

    /// The same with an id that nothing else has.
    ///
    /// # Errors
    /// As [`State::create_rollout`].
    pub fn create_rollout_as(
        &mut self,
        id: RolloutId,
        spec: &Spec,
        now: Time,
    ) -> Result<RolloutKey, OperateError> {
        self.judge_gates(spec)?;
        self.look_ahead(spec, now)?;
        Ok(self.store.create(id, None, spec, now)?)
    }
}

/// What came of devices that were updated before, by the rule for those that could not be reached.
const fn earlier(counts: &Counts, unreachable: Unreachable) -> Earlier {
    let failures = Tally::of(counts, unreachable).failures();
    Earlier { failures, results: failures + counts.succeeded }
}

fn unmeetable(file: &Path, problems: Vec<Problem>) -> OperateError {
    Unmeetable { path: file.to_owned(), problems }.into()
}
