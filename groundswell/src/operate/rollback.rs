//! A rollout rolled back: by one rollout for each release that its devices go back to.

use groundswell_core::{
    ids::{RolloutId, RolloutName},
    release::Release,
    rollback::{self, By, Otherwise, Refusal, Releases, Survey},
    rollout::{self, Act, OnFailure, Progression, Spec},
    time::Time,
    verify::Mode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Acting, OperateError, State,
    schema::{ReleaseSchema, RolloutStateSchema},
};
use crate::{
    engine::{choose, takeover::numbers},
    store::{NewRollout, Rollback, RolloutKey, RolloutRecord, Store, dir},
};

/// What came of rolling a rollout back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RolledBack {
    /// The rollout that is rolled back.
    #[schema(value_type = Object)]
    pub rolls_back: RolloutName,
    /// The rollouts that do it, one for each release that devices go back to.
    pub by: Vec<RollbackView>,
    /// Devices that are left as they are, because nobody knows what they ran.
    pub unknown: u64,
    /// Those that run something else by now.
    pub moved_on: u64,
    /// Those that run what they ran before already.
    pub is_back: u64,
    /// Those that were never reached.
    pub untouched: u64,
    /// Those that another rollback brings back already.
    #[serde(default)]
    pub in_hand: u64,
    /// Who drives, by its own words; none if nobody does, or nothing was begun.
    pub driver: Option<String>,
}

/// A rollout that rolls another one back, before its devices are written down.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RollbackView {
    /// Its number; none of a dry run.
    pub number: Option<i64>,
    /// Its id; none of a dry run.
    #[schema(value_type = Option<String>)]
    pub id: Option<RolloutId>,
    /// What its devices go back to.
    #[schema(value_type = ReleaseSchema)]
    pub release: Release,
    /// How many these are now.
    pub devices: u64,
    /// Where it stands; none of a dry run.
    #[schema(value_type = Option<RolloutStateSchema>)]
    pub state: Option<rollout::State>,
    /// Why it was not started, or nobody said that it was, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_started: Option<String>,
}

impl RolledBack {
    /// Devices that are left as they are, in words.
    pub fn left_out(&self) -> Vec<String> {
        let Self { unknown, moved_on, is_back, untouched, in_hand, .. } = *self;
        let survey = Survey { unknown, moved_on, is_back, untouched, in_hand, ..Survey::default() };
        survey.left_out()
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Write nothing.
    DryRun,
    /// Write drafts.
    Draft,
    /// Start them.
    Start,
}

impl State {
    /// Rolls a rollout back: writes down a rollout for each release that its devices go back to, all
    /// or none, and starts these. One that could not be started is told with the reason, and stays
    /// a draft; the others go on.
    ///
    /// # Errors
    /// [`OperateError::NotRolledBack`] says why it makes no sense, or what is missing; nothing is
    /// written then.
    pub fn roll_back(
        &mut self,
        record: &RolloutRecord,
        otherwise: &Otherwise,
        extent: Extent,
        now: Time,
    ) -> Result<RolledBack, OperateError> {
        let name = record.name();
        let refuse = |refusal| OperateError::NotRolledBack { rollout: record.key.0, refusal };
        let seen = (record.progression.generation, self.store.rollbacks(record.key)?.len());
        self.may_roll_back(record)?.map_err(refuse)?;
        let mut survey = self.survey(record)?;
        let by: Vec<By> = self.store.rollbacks(record.key)?.into_iter().map(by).collect();
        survey.leave_to(&by, &record.progression).map_err(refuse)?;
        let releases = self.releases_for(&record.spec.release.name, &survey)?.map_err(refuse)?;
        let mut told = RolledBack {
            rolls_back: name.clone(),
            by: vec![],
            unknown: survey.unknown,
            moved_on: survey.moved_on,
            is_back: survey.is_back,
            untouched: survey.untouched,
            in_hand: survey.in_hand,
            driver: None,
        };
        let rollouts = releases.into_iter().map(|(release, devices)| {
            told.by.push(RollbackView {
                number: None,
                id: None,
                release: release.clone(),
                devices,
                state: None,
                not_started: None,
            });
            draft(rollback::spec(&record.spec, name.clone(), release, otherwise))
        });
        let rollback = Rollback { rollouts: rollouts.collect(), survey, missing: vec![] };
        if extent == Extent::DryRun {
            return Ok(told);
        }
        let written = self.store.roll_back(record.key, seen, &rollback, now)?;
        let keys = written.ok_or(OperateError::MovedOn { rollout: record.key.0 })?;
        for ((view, key), new) in told.by.iter_mut().zip(keys).zip(&rollback.rollouts) {
            (view.number, view.id) = (Some(key.0), Some(new.id));
            view.state = Some(rollout::State::Draft);
            if extent == Extent::Start {
                told.driver = self.start_back(key, view, now).or(told.driver);
            }
        }
        Ok(told)
    }

    /// Starts a rollback that is written down, and says who drives. What keeps it from starting keeps
    /// none of the others: it is told of this one, which can be started later.
    fn start_back(
        &mut self,
        key: RolloutKey,
        view: &mut RollbackView,
        now: Time,
    ) -> Option<String> {
        match self.act(key, Act::Start, now) {
            Ok(Acting { state, driver, .. }) => {
                view.state = Some(state);
                driver
            }
            Err(error) => {
                view.not_started = Some(in_a_chain(&error));
                // Who gave no answer in time may have done it since.
                if let Ok(record) = self.known(key) {
                    view.state = Some(record.progression.state);
                }
                None
            }
        }
    }

    /// Whether a rollout of this spec could be rolled back if it went wrong now, if that is what is
    /// wanted of it: each version that its devices run has to be a release whose artifact is kept, and
    /// they have to show their versions.
    /// Says how many of its devices run nobody knows what, and could not go back.
    ///
    /// # Errors
    /// [`OperateError::NoWayBack`] says what is missing.
    pub fn look_ahead(&self, spec: &Spec, now: Time) -> Result<u64, OperateError> {
        if spec.on_failure != OnFailure::Rollback {
            return Ok(0);
        }
        let mode = spec.verify.mode;
        if mode != Mode::Version {
            return Err(OperateError::NoWayBack { refusal: Refusal::Unseen(mode) });
        }
        let select = spec.select.as_deref().map(choose::parse).transpose()?;
        let mut survey = Survey::default();
        for (version, devices) in self.store.count_versions(select.as_ref(), now)? {
            match version {
                Some(version) if version == spec.release.version => {}
                Some(version) => drop(survey.to.insert(version, devices)),
                None => survey.unknown += devices,
            }
        }
        match self.releases_for(&spec.release.name, &survey)? {
            // There is nobody who would have to go back, as far as is known.
            Ok(_) | Err(Refusal::Nobody(_)) => Ok(survey.unknown),
            Err(refusal) => Err(OperateError::NoWayBack { refusal }),
        }
    }

    /// Whether a rollout may be rolled back now, by where it stands.
    fn may_roll_back(&self, record: &RolloutRecord) -> Result<Result<(), Refusal>, OperateError> {
        if record.identity.is_some() {
            return Ok(Err(Refusal::Push));
        }
        let counts = numbers(&self.store, record)?.all;
        Ok(rollback::may_begin(&record.progression, &counts))
    }

    /// Where the devices of a rollout would go.
    fn survey(&self, record: &RolloutRecord) -> Result<Survey, OperateError> {
        let mut survey = Survey::default();
        let version = &record.spec.release.version;
        self.store.for_each_changed(record.key, &mut |_, changed| survey.add(&changed, version))?;
        Ok(survey)
    }

    /// The releases that devices go back to, and how many devices to each; all of them must be
    /// there, with what they send.
    pub(super) fn releases_for(
        &self,
        name: &str,
        survey: &Survey,
    ) -> Result<Result<Vec<(Release, u64)>, Refusal>, OperateError> {
        let known = self.store.releases(Some(name))?;
        let known: Vec<Release> = known.into_iter().map(|(release, _)| release).collect();
        let Releases { found, missing } = rollback::releases(survey, &known);
        if found.is_empty() && missing.is_empty() {
            return Ok(Err(Refusal::Nobody(survey.clone())));
        }
        let versions = |of: &[(&str, u64)]| of.iter().map(|(of, _)| (*of).to_owned()).collect();
        let devices = |of: &[(&str, u64)]| of.iter().map(|(_, devices)| devices).sum();
        let name = name.to_owned();
        if !missing.is_empty() {
            let (versions, devices) = (versions(&missing), devices(&missing));
            return Ok(Err(Refusal::NoRelease { name, versions, devices }));
        }
        let artifacts = dir::artifacts(&self.path);
        let is_gone = |release: &Release| !artifacts.join(release.artifact.to_string()).exists();
        let gone = found.iter().filter(|(release, _)| is_gone(release));
        let gone: Vec<_> =
            gone.map(|(release, devices)| (release.version.as_str(), *devices)).collect();
        if !gone.is_empty() {
            let (versions, devices) = (versions(&gone), devices(&gone));
            return Ok(Err(Refusal::NoArtifact { name, versions, devices }));
        }
        Ok(Ok(found))
    }

    /// The rollouts that roll this one back, by their numbers.
    pub(super) fn rolled_back_by(&self, rollout: RolloutKey) -> Result<Vec<i64>, OperateError> {
        let by = self.store.rollbacks(rollout)?.into_iter();
        Ok(by.map(|record| record.key.0).collect())
    }
}

/// Why something went wrong, with what led to it.
fn in_a_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// A rollout that rolls another one back, as it stands.
fn by(record: RolloutRecord) -> By {
    By {
        number: record.key.0,
        version: record.spec.release.version,
        state: record.progression.state,
        created_at: record.created_at,
    }
}

/// A rollout that is not started yet.
fn draft(spec: Spec) -> NewRollout {
    let progression = Progression::draft(&spec);
    NewRollout { id: RolloutId(uuid::Uuid::now_v7()), spec, progression, records: vec![] }
}
