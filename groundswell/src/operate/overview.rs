//! How far a rollout is and what it waits for, worked out from what is written down.

use groundswell_core::{
    gate::Verdict,
    hours::Phase,
    ids::RolloutId,
    plan, progress,
    release::Release,
    rollout::{self, PauseReason, Spec, WaveState},
    snapshot::{Allowance, Cohort, Counts, Snapshot},
    time::Time,
    waiting::WaitingOn,
};
use serde::Serialize;

use super::{OperateError, State};
use crate::store::{CohortRecord, RolloutKey, RolloutRecord, Store, Unfinished};

/// Devices that failed and are shown.
pub const FAILURES_SHOWN: usize = 10;

/// A rollout as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Its number.
    pub number: i64,
    /// Its id.
    pub id: RolloutId,
    /// What it sends.
    pub release: Release,
    /// By which plan.
    pub strategy: rollout::Strategy,
    /// Which devices, in the canonical text; none: every one, or those given to a push.
    pub select: Option<String>,
    /// Whether it is what `groundswell push` wrote down for itself.
    pub is_push: bool,
    /// Where it stands.
    pub state: rollout::State,
    /// Why it is paused.
    pub paused: Vec<PauseReason>,
    /// Why it failed, if not for devices that did: it has none.
    pub failed_because: Option<String>,
    /// Which round it is in, counted from 1.
    pub round: u32,
    /// When it was written down.
    pub created_at: Time,
    /// When it began to run.
    pub started_at: Option<Time>,
    /// When nothing is begun any more.
    pub deadline: Option<Time>,
    /// The devices of the round, counted.
    pub counts: Counts,
    /// Those that earlier rounds ended well with, once [`State::look_back`] has counted them.
    pub before: Option<Counts>,
    /// Its waves, in order.
    pub waves: Vec<WaveView>,
    /// Why not more happens, the most telling reason first.
    pub waiting_on: Vec<WaitingOn>,
    /// Seconds left at the rate observed; none while it cannot be told.
    pub eta_secs: Option<u64>,
    /// Some of the devices that failed, once [`State::look_at_failures`] has found them.
    pub failures: Vec<Unfinished>,
    /// Who drives the state directory, by its own words; none if nobody does.
    pub driver: Option<String>,
}

/// A wave as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaveView {
    /// Counted from 1.
    pub number: usize,
    /// Where it stands.
    #[serde(flatten)]
    pub state: Stand,
    /// What its gate ruled.
    pub verdict: Option<Verdict>,
    /// Its devices, counted.
    pub counts: Counts,
}

/// The state of a wave, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// In one word.
    pub state: &'static str,
    /// Since when; none while its turn has not come.
    pub since: Option<Time>,
}

impl From<WaveState> for Stand {
    fn from(wave: WaveState) -> Self {
        let since = match wave {
            WaveState::Pending => None,
            WaveState::Open { since } | WaveState::Soaking { since } => Some(since),
            WaveState::Passed { at } | WaveState::Stopped { at } => Some(at),
        };
        Self { state: wave.as_str(), since }
    }
}

/// Whether only a driver knows that a rollout waits for this: who has its devices and places.
const fn is_drivers(reason: &WaitingOn) -> bool {
    use WaitingOn::{Busy, Driver, Host, InFlight, Rate};
    matches!(reason, Busy { .. } | Driver | Host { .. } | InFlight { .. } | Rate { .. })
}

impl State {
    /// How far a rollout is, by what it takes no look at single devices to tell. `per_sec` is how many devices end in a second as whoever looks more
    /// than once observed it; 0 if nobody did.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn overview(
        &self,
        record: &RolloutRecord,
        per_sec: f64,
        now: Time,
    ) -> Result<Overview, OperateError> {
        let RolloutRecord { key, spec, progression, .. } = record;
        let snapshot = self.snapshot(record, now)?;
        let counts = snapshot.counts();
        let waves = progression.waves.iter().enumerate();
        let waves = waves.map(|(wave, stands)| WaveView {
            number: wave + 1,
            state: stands.state.into(),
            verdict: stands.verdict,
            counts: snapshot.counts_of(wave),
        });
        // Nobody knows when those come back who are away.
        let is_moving = counts.queued + counts.active() > 0;
        // Its driver knows more: who is busy, how fast it goes, what places are left.
        let driver = self.driver();
        let told =
            record.told.as_ref().filter(|_| driver.is_some() && progression.state.is_driven());
        let per_sec = if per_sec > 0.0 { per_sec } else { told.map_or(0.0, |t| t.ended_per_sec) };
        let eta = progress::eta(&snapshot, spec, per_sec, now).filter(|_| is_moving);
        let mut waiting_on: Vec<WaitingOn> =
            told.into_iter().flat_map(|told| told.waiting_on.clone()).filter(is_drivers).collect();
        let planned = plan::plan(&snapshot, spec, now).waiting_on;
        waiting_on.extend(planned.into_iter().filter(|reason| !is_drivers(reason)));
        Ok(Overview {
            number: key.0,
            id: record.id,
            release: spec.release.clone(),
            strategy: spec.strategy,
            select: spec.select.clone().filter(|select| !select.is_empty()),
            is_push: record.identity.is_some(),
            state: progression.state,
            paused: progression.paused.iter().copied().collect(),
            failed_because: progression.no_device.then(|| spec.no_device()),
            round: progression.round,
            created_at: record.created_at,
            started_at: progression.started_at,
            deadline: progression.deadline(spec),
            counts,
            before: None,
            waves: waves.collect(),
            waiting_on,
            eta_secs: eta.map(|eta| eta.as_secs()),
            failures: vec![],
            driver,
        })
    }

    /// Counts the devices that earlier rounds ended well with: each of them, one by one.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn look_back(&self, overview: &mut Overview) -> Result<(), OperateError> {
        if overview.round > 1 {
            let rollout = RolloutKey(overview.number);
            overview.before = Some(self.store.counts_before(rollout, overview.round)?);
        }
        Ok(())
    }

    /// Finds some of the devices that failed, among all of the round.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn look_at_failures(&self, overview: &mut Overview) -> Result<(), OperateError> {
        if overview.counts.failures() > 0 {
            let rollout = RolloutKey(overview.number);
            overview.failures = self.store.failures(rollout, overview.round, FAILURES_SHOWN)?;
        }
        Ok(())
    }

    /// What a decision would see. From outside nobody knows what a driver shares out among
    /// rollouts, nor how far it claims ahead: both count as no limit.
    pub(super) fn snapshot(
        &self,
        record: &RolloutRecord,
        now: Time,
    ) -> Result<Snapshot, OperateError> {
        let RolloutRecord { spec, progression, .. } = record;
        let cohorts = self.store.cohorts(record.key, progression.round)?;
        let started_at = progression.started_at;
        Ok(Snapshot {
            progression: progression.clone(),
            cohorts: cohorts.into_iter().map(|c| cohort(c, spec, started_at, now)).collect(),
            ahead_max: 0,
            allowance: Allowance::UNLIMITED,
            driver_places: u32::MAX,
            is_stopping: false,
        })
    }
}

fn cohort(record: CohortRecord, spec: &Spec, started_at: Option<Time>, now: Time) -> Cohort {
    let CohortRecord { wave, zone, counts, .. } = record;
    let phase =
        zone.as_ref().map_or(Phase::Open { until: None }, |z| spec.schedule.hours.at(z, now));
    let closes = zone.as_ref().zip(started_at);
    let closes_for_good_at =
        closes.and_then(|(zone, started_at)| spec.schedule.closes_for_good_at(zone, started_at));
    Cohort { wave, zone, phase, closes_for_good_at, counts }
}
