//! What is wrong with a rollout before it starts: the facts that the core's findings are made of.
//!
//! Costs counts by indexes; devices are drawn only where a spec is looked at that nobody has started.

use std::path::Path;

use groundswell_core::{
    document::Tree,
    lint::{self, Code, Facts, Finding},
    log::Record,
    release::Release,
    rollback::Refusal,
    rollout::{Progression, Spec, State as Stands},
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Forecast, OperateError, State, schema::ReleaseSchema};
use crate::{
    access::Scope,
    engine::choose,
    spec_file::SpecFileError,
    store::{RolloutKey, RolloutRecord, Store, dir},
};

/// What a spec comes to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// What it sends; none if there is no such release.
    #[schema(value_type = Option<ReleaseSchema>)]
    pub release: Option<Release>,
    /// Devices that are chosen now; none if there is no such release.
    pub devices: Option<u64>,
    /// What is wrong with it, errors first.
    #[schema(value_type = Vec<Object>)]
    pub findings: Vec<Finding>,
}

impl Checked {
    /// What was read of a file that says what cannot be, or is none: every mistake that is told of it, as
    /// a finding, and how many there are beyond these. Nothing if there is no reading it at all.
    pub fn of_mistakes(error: &OperateError) -> Option<(Self, usize)> {
        let mistake = |field: &str, text: &str| Finding::error(Code::Mistake, field, text);
        let (findings, more) = match error {
            OperateError::Spec(SpecFileError::Document(_, error))
            | OperateError::Document(error) => {
                let faults = error.faults().iter();
                let findings = faults.map(|fault| mistake(&fault.path, &fault.what)).collect();
                (findings, error.more())
            }
            OperateError::Spec(SpecFileError::Syntax {
                line, column, message, notation, ..
            }) => {
                let text = format!("line {line}, column {column}: {message} (read as {notation})");
                (vec![mistake("", &text)], 0)
            }
            _ => return None,
        };
        Some((Self { release: None, devices: None, findings }, more))
    }
}

impl State {
    /// Looks at the spec in a file as it would do if it were started `now`.
    ///
    /// # Errors
    /// [`OperateError::Spec`] if it is no spec (see [`Checked::of_mistakes`]); what is wrong with a spec is
    /// no error here.
    pub fn check_file(&self, file: &Path, now: Time) -> Result<Checked, OperateError> {
        self.checked(self.read_unchecked(file, now), now)
    }

    /// Looks at a document as it would do if it were started `now`, for the devices in a scope.
    ///
    /// # Errors
    /// As [`State::check_file`].
    pub fn check_tree(
        &self,
        document: &Tree,
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<Checked, OperateError> {
        self.checked(self.unchecked(document, scope, now), now)
    }

    fn checked(
        &self,
        read: Result<Spec, OperateError>,
        now: Time,
    ) -> Result<Checked, OperateError> {
        let spec = match read {
            Ok(spec) => spec,
            Err(error @ OperateError::UnknownRelease { .. }) => {
                // What else is wrong depends on the release.
                let unknown = Finding::error(Code::UnknownRelease, "release", error.to_string());
                return Ok(Checked { release: None, devices: None, findings: vec![unknown] });
            }
            Err(error) => return Err(error),
        };
        let forecast = self.drawn(&spec, now)?;
        let way_back = self.way_back(&spec, now)?;
        let findings = self.findings(&spec, &forecast, way_back, now)?;
        Ok(Checked { devices: Some(forecast.devices), release: Some(spec.release), findings })
    }

    /// What is wrong with a spec of which the forecast was made.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn check_forecast(
        &self,
        spec: &Spec,
        forecast: &Forecast,
    ) -> Result<Vec<Finding>, OperateError> {
        self.findings(spec, forecast, Ok(forecast.without_way_back), forecast.at)
    }

    /// Looks at a draft that is to be started `now`, and writes down what whoever starts it is told.
    pub(super) fn check_start(
        &mut self,
        rollout: RolloutKey,
        now: Time,
    ) -> Result<Vec<Finding>, OperateError> {
        let record = self.known(rollout)?;
        if record.identity.is_some() || record.progression.state != Stands::Draft {
            return Ok(vec![]);
        }
        let spec = &record.spec;
        let forecast = self.outline(spec, now)?;
        let findings = self.findings(spec, &forecast, self.way_back(spec, now)?, now)?;
        if findings.iter().any(Finding::is_error) {
            return Err(OperateError::Unfit { rollout: rollout.0, findings });
        }
        if !findings.is_empty() {
            self.store.note(rollout, &Record::Warned(findings.clone()), now)?;
        }
        Ok(findings)
    }

    /// Looks at a rollout that is tried again since, and writes down what whoever does it is told.
    pub(super) fn check_retried(
        &mut self,
        rollout: RolloutKey,
        now: Time,
    ) -> Result<Vec<Finding>, OperateError> {
        let has_begun = |by: &RolloutRecord| {
            let Progression { state, started_at, .. } = by.progression;
            started_at.is_some() || state.is_driven()
        };
        let by = self.store.rollbacks(rollout)?.into_iter().filter(has_begun);
        let by: Vec<i64> = by.map(|by| by.key.0).collect();
        let findings: Vec<Finding> = lint::retried(&by).into_iter().collect();
        if !findings.is_empty() {
            self.store.note(rollout, &Record::Warned(findings.clone()), now)?;
        }
        Ok(findings)
    }

    fn way_back(&self, spec: &Spec, now: Time) -> Result<Result<u64, Refusal>, OperateError> {
        match self.look_ahead(spec, now) {
            Ok(unknown) => Ok(Ok(unknown)),
            Err(OperateError::NoWayBack { refusal }) => Ok(Err(refusal)),
            Err(error) => Err(error),
        }
    }

    fn findings(
        &self,
        spec: &Spec,
        forecast: &Forecast,
        way_back: Result<u64, Refusal>,
        now: Time,
    ) -> Result<Vec<Finding>, OperateError> {
        let artifact = dir::artifacts(&self.path).join(spec.release.artifact.to_string());
        // The devices of a rollback are not those of a selector.
        let (versions, budgets) = if spec.rolls_back.is_some() {
            (vec![], vec![])
        } else {
            let select = spec.select.as_deref().map(choose::parse).transpose()?;
            let versions = if spec.allow_downgrade {
                vec![]
            } else {
                self.store.count_versions(select.as_ref(), now)?
            };
            (versions, self.budget_problems(spec, now)?)
        };
        let facts = Facts {
            now,
            // Nobody is told how many there are whom they may not know.
            inventory: match self.sight {
                None => self.store.count_devices(None, now)?,
                Some(_) => u64::MAX,
            },
            devices: forecast.devices,
            waves: forecast.waves.iter().map(|wave| wave.devices).collect(),
            zones: forecast.zones.iter().map(|zone| (zone.zone.clone(), zone.devices)).collect(),
            versions,
            has_artifact: artifact.exists(),
            way_back,
            budgets,
        };
        Ok(lint::findings(spec, &facts))
    }
}
