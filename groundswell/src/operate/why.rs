//! Why a device is where it is, in one rollout or in all that have it.

use groundswell_core::{
    admit::Judged,
    assignment::{self, Assignment, SkipReason},
    device::Device,
    hours::Phase,
    ids::RolloutName,
    plan,
    rollout::{self, Spec},
    time::Time,
    waiting::WaitingOn,
    wave,
    why::{Subject, Why, why},
};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::{
    engine::choose,
    store::{DeviceKey, RolloutKey, RolloutRecord, Standing, Store, TroubleStore as _},
};

/// A device in a rollout, and why it is where it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceWhy {
    /// The rollout's number.
    pub rollout: i64,
    /// The name of its release.
    pub name: String,
    /// The version of its release.
    pub version: String,
    /// Where the device stands in it; none if it is not in it.
    #[schema(value_type = Option<serde_json::Value>)]
    pub state: Option<assignment::State>,
    /// Whether it would be in it if its devices were written down now; they are not yet.
    pub would_be: bool,
    /// Its wave, counted from 1; before devices are written down the one it would be in now, if
    /// that does not depend on the draw.
    pub wave: Option<usize>,
    /// How many waves there are.
    pub of: usize,
    /// Attempts that count.
    pub attempts: u32,
    /// Since when it stands there.
    #[schema(value_type = Option<i64>)]
    pub changed_at: Option<Time>,
    /// Why it stands there, if there is more to say.
    pub detail: Option<String>,
    /// What it said when it was found not to be well after its update, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regressed: Option<String>,
    /// What it waits for, the most telling reason first.
    #[schema(value_type = Vec<Object>)]
    pub waiting_on: Vec<WaitingOn>,
    /// How it ends when its turn comes, as far as is known now.
    #[schema(value_type = Option<String>)]
    pub outlook: Option<SkipReason>,
    /// The rollouts that it failed in a row, oldest first, if it was left out for that or will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_in_row: Option<Vec<i64>>,
}

impl State {
    /// Why a device is where it is in one rollout.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`].
    pub fn why(
        &self,
        record: &RolloutRecord,
        id: &str,
        now: Time,
    ) -> Result<DeviceWhy, OperateError> {
        let (key, device) = self.find_device(id)?;
        let mut all = self.whys_of(key, &device, now)?;
        if let Some(at) = all.iter().position(|why| why.rollout == record.key.0) {
            return Ok(all.swap_remove(at));
        }
        // Nobody is in it before its devices are written down.
        let rollout::Progression { state, round, .. } = &record.progression;
        let is_open =
            matches!(state, rollout::State::Draft | rollout::State::Preparing) && *round == 1;
        if !is_open || !self.would_be(&record.spec, key, &device, now)? {
            return Ok(nowhere(record));
        }
        let is_chosen = |text: &str| Ok(choose::parse(text)?.matches(&device, now));
        let wave = wave::wave_of_one(&record.spec.waves, is_chosen).map_err(OperateError::Store)?;
        let waiting_on = plan::plan(&self.snapshot(record, now)?, &record.spec, now).waiting_on;
        let waiting_on = self.waits_seen(waiting_on)?;
        let wave = wave.map(|wave| wave + 1);
        Ok(DeviceWhy { would_be: true, wave, waiting_on, ..nowhere(record) })
    }

    /// Whether a rollout that has not chosen its devices would choose this one.
    fn would_be(
        &self,
        spec: &Spec,
        key: DeviceKey,
        device: &Device,
        now: Time,
    ) -> Result<bool, OperateError> {
        if spec.rolls_back.is_none() {
            let select = spec.select.as_deref().map(choose::parse).transpose()?;
            return Ok(select.is_none_or(|select| select.matches(device, now)));
        }
        let mut would_be = false;
        choose::for_each(&self.store, spec, now, &mut |chosen| would_be |= chosen.key == key)?;
        Ok(would_be)
    }

    /// Where a device stands in each rollout that has it, newest first, each in its last round.
    pub(super) fn whys_of(
        &self,
        key: DeviceKey,
        device: &Device,
        now: Time,
    ) -> Result<Vec<DeviceWhy>, OperateError> {
        let every = self.store.standings(key)?;
        let mut last: Vec<Standing> = vec![];
        for standing in &every {
            last.retain(|known| known.rollout != standing.rollout);
            last.push(standing.clone());
        }
        let mut records: HashMap<RolloutKey, RolloutRecord> = HashMap::new();
        for standing in &last {
            let record = self.known(standing.rollout)?;
            records.insert(standing.rollout, record);
        }
        last.sort_by_key(|standing| std::cmp::Reverse(standing.rollout));
        let all = Standings { key, every: &every, last: &last, records: &records };
        last.iter().map(|standing| self.why_of(standing, &all, device, now)).collect()
    }

    fn why_of(
        &self,
        standing: &Standing,
        all: &Standings<'_>,
        device: &Device,
        now: Time,
    ) -> Result<DeviceWhy, OperateError> {
        let record = &self.known(standing.rollout)?;
        let (spec, progression) = (&record.spec, &record.progression);
        let Standing { assignment, .. } = standing;
        // The device may be in another zone since: what is open goes by that as soon as it is driven.
        let own = choose::zone_of(spec, device.time_zone.as_deref());
        let zone = if assignment.state.is_terminal() { standing.zone.clone() } else { own };
        let phase = match &zone {
            Some(zone) => spec.schedule.hours.at(zone, now),
            None => Phase::Open { until: None },
        };
        let busy_with = all.busy_with(standing.rollout);
        let failing = self.store.failing(all.key)?.rollouts;
        let full = if assignment.state.is_waiting() {
            self.full_domain(all.key, &device.tags, &spec.budgets, now)?
        } else {
            None
        };
        let subject = Subject {
            assignment,
            wave: standing.wave,
            zone: zone.as_ref(),
            phase,
            judged: Judged {
                presence: device.presence(now),
                last_seen: device.last_seen,
                version: device.version.as_deref(),
                is_superseded: all.is_superseded(&self.store.rivals(record.key)?),
                failed_in_row: failing.len() as u32,
            },
            busy_with: busy_with.as_ref(),
            full: full.as_ref(),
        };
        let held_by = plan::plan(&self.snapshot(record, now)?, spec, now).waiting_on;
        let Why { waiting_on, outlook } = why(&subject, spec, progression, &held_by, now);
        let failed_in_row = is_left_out(assignment.state, outlook)
            .then(|| self.rollouts_seen(failing.iter().map(|rollout| rollout.0)))
            .transpose()?;
        Ok(DeviceWhy {
            state: Some(assignment.state),
            wave: Some(standing.wave + 1),
            attempts: assignment.attempt,
            changed_at: standing.changed_at,
            // What was met before it went well is no reason for that.
            detail: standing
                .detail
                .clone()
                .filter(|_| assignment.state != assignment::State::Succeeded),
            regressed: standing.regressed.clone(),
            waiting_on: self.waits_seen(waiting_on)?,
            outlook,
            failed_in_row,
            ..nowhere(record)
        })
    }

    pub(super) fn known(&self, rollout: RolloutKey) -> Result<RolloutRecord, OperateError> {
        let unknown = || OperateError::UnknownRollout { given: rollout.0.to_string(), last: None };
        self.store.rollout(rollout)?.ok_or_else(unknown)
    }
}

/// Where a device stands in all rollouts that have it: in every round, and in the last of each.
struct Standings<'a> {
    /// The device.
    key: DeviceKey,
    every: &'a [Standing],
    last: &'a [Standing],
    records: &'a HashMap<RolloutKey, RolloutRecord>,
}

impl Standings<'_> {
    /// Whether one of these rollouts has the device, in any of its rounds.
    fn is_superseded(&self, rivals: &[RolloutKey]) -> bool {
        let has = |standing: &&Standing| rivals.contains(&standing.rollout);
        self.every.iter().filter(has).any(|standing| standing.assignment.state.supersedes())
    }

    /// Another rollout that the device is busy with.
    fn busy_with(&self, rollout: RolloutKey) -> Option<RolloutName> {
        let is_busy =
            |other: &&Standing| other.rollout != rollout && other.assignment.state.is_active();
        let other = self.last.iter().find(is_busy)?;
        self.records.get(&other.rollout).map(RolloutRecord::name)
    }
}

/// A device that is not in a rollout.
fn nowhere(record: &RolloutRecord) -> DeviceWhy {
    let release = &record.spec.release;
    DeviceWhy {
        rollout: record.key.0,
        name: release.name.clone(),
        version: release.version.clone(),
        state: None,
        would_be: false,
        wave: None,
        of: record.progression.waves.len(),
        attempts: Assignment::queued().attempt,
        changed_at: None,
        detail: None,
        regressed: None,
        waiting_on: vec![],
        outlook: None,
        failed_in_row: None,
    }
}

/// Whether a device was left out because it keeps failing, or will be.
fn is_left_out(state: assignment::State, outlook: Option<SkipReason>) -> bool {
    let quarantined = SkipReason::Quarantined;
    state == assignment::State::Skipped(quarantined) || outlook == Some(quarantined)
}
