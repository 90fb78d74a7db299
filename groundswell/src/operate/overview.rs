//! How far a rollout is and what it waits for, worked out from what is written down.

use groundswell_core::{
    assignment, brake,
    health::Checkup,
    ids::{RolloutId, RolloutName},
    plan, progress,
    release::Release,
    rollout::{self, PauseReason},
    snapshot::{Allowance, Counts, Snapshot},
    time::Time,
    waiting::WaitingOn,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    OperateError, State,
    schema::{CountsSchema, ReleaseSchema, RolloutStateSchema},
    waves::{PassedOver, RoundView, Said, Stand, WaveView},
};
use crate::{
    engine::cohort::Cohort,
    store::{RolloutKey, RolloutRecord, Store, TroubleStore as _, Unfinished},
};

/// Devices that failed and are shown.
pub const FAILURES_SHOWN: usize = 10;

/// A rollout as it stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// Its number.
    pub number: i64,
    /// Its id.
    #[schema(value_type = String)]
    pub id: RolloutId,
    /// What it sends.
    #[schema(value_type = ReleaseSchema)]
    pub release: Release,
    /// By which plan.
    #[schema(value_type = String)]
    pub strategy: rollout::Strategy,
    /// Which devices, in the canonical text; none: every one, or those given to a push.
    pub select: Option<String>,
    /// The rollout that it rolls back.
    #[schema(value_type = Option<Object>)]
    pub rolls_back: Option<RolloutName>,
    /// Whether it is rolled back by itself once what is open has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_to_roll_back: bool,
    /// The rollouts that roll it back, by their numbers.
    pub rolled_back_by: Vec<i64>,
    /// Whether it is what `groundswell push` wrote down for itself.
    pub is_push: bool,
    /// Where it stands.
    #[schema(value_type = RolloutStateSchema)]
    pub state: rollout::State,
    /// Why it is paused.
    #[schema(value_type = Vec<String>)]
    pub paused: Vec<PauseReason>,
    /// Why it failed, if not for devices that did: it has none.
    pub failed_because: Option<String>,
    /// Which round it is in, counted from 1.
    pub round: u32,
    /// When it was written down.
    #[schema(value_type = i64)]
    pub created_at: Time,
    /// When it began to run.
    #[schema(value_type = Option<i64>)]
    pub started_at: Option<Time>,
    /// When it ended.
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<Time>,
    /// When nothing is begun any more.
    #[schema(value_type = Option<i64>)]
    pub deadline: Option<Time>,
    /// The devices of the round, counted.
    #[schema(value_type = CountsSchema)]
    pub counts: Counts,
    /// Those that earlier rounds ended well with, once [`State::look_back`] has counted them.
    #[schema(value_type = Option<CountsSchema>)]
    pub before: Option<Counts>,
    /// Its waves, in order.
    pub waves: Vec<WaveView>,
    /// The rounds before this one that are kept, oldest first.
    pub earlier: Vec<RoundView>,
    /// What the brake did in this round, and operators over it, in order.
    #[schema(value_type = Vec<Object>)]
    pub brakes: Vec<brake::Verdict>,
    /// Why not more happens, the most telling reason first.
    #[schema(value_type = Vec<Object>)]
    pub waiting_on: Vec<WaitingOn>,
    /// Seconds left at the rate observed; none while it cannot be told.
    pub eta_secs: Option<u64>,
    /// Devices that failed, by how; the most first. Known once [`State::look_at_failures`] counted.
    pub failed: Vec<Reason>,
    /// Devices that were left as they were with another release on them, by why; the most first.
    /// Known once [`State::look_at_failures`] counted.
    pub skipped: Vec<Reason>,
    /// How many of the canceled had been begun. Known once [`State::look_at_failures`] counted.
    pub canceled_begun: Option<u64>,
    /// Some of the devices that failed, once [`State::look_at_failures`] has found them.
    pub failures: Vec<Unfinished>,
    /// Some of those that were updated and are not well since, each with what it said; found with
    /// these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regressed: Vec<Unfinished>,
    /// Who holds the state directory to drive it, by its own words; none if nobody does.
    pub driver: Option<String>,
    /// Whether it drives now: one that waits for room on the disk does not.
    pub is_driven: bool,
    /// When a driver last wrote down what it waits for, if nobody drives it now.
    #[schema(value_type = Option<i64>)]
    pub told_at: Option<Time>,
}

/// Devices that ended the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// How: `rejected`, `timed out verifying`, `offline`.
    pub reason: String,
    /// How many.
    pub devices: u64,
}

impl Overview {
    /// Without what takes a look at single devices to tell.
    #[must_use]
    pub fn without_looks(self) -> Self {
        let (failed, skipped, failures, regressed) = (vec![], vec![], vec![], vec![]);
        Self { before: None, canceled_begun: None, failed, skipped, failures, regressed, ..self }
    }

    /// The place of the wave that opens next; none if the last one was opened.
    pub fn next_wave(&self) -> Option<usize> {
        self.waves.iter().position(|wave| wave.state.state == rollout::WaveStand::Pending)
    }

    /// The place of the first wave that has not passed; none if all have.
    pub fn current(&self) -> Option<usize> {
        self.waves.iter().position(|wave| wave.state.state != rollout::WaveStand::Passed)
    }
}

fn by_reason(counted: Vec<(assignment::State, u64)>) -> Vec<Reason> {
    let reason = |(state, devices): (assignment::State, u64)| Reason {
        reason: match state {
            assignment::State::TimedOut(_) => state.as_str().replace(':', ""),
            _ => state.as_str().rsplit(": ").next().unwrap_or_default().to_owned(),
        },
        devices,
    };
    counted.into_iter().map(reason).collect()
}

/// Whether only a driver knows that a rollout waits for this: who has its devices and places, and
/// who was asked.
const fn is_drivers(reason: &WaitingOn) -> bool {
    use WaitingOn::{Busy, Confirming, Domain, Driver, Health, Host, InFlight, Rate};
    matches!(
        reason,
        Busy { .. }
            | Confirming
            | Domain { .. }
            | Driver
            | Health { .. }
            | Host { .. }
            | InFlight { .. }
            | Rate { .. }
    )
}

/// What checks have answered only a driver knows: a reason as it told it, or none if it knows that
/// this check is not waited for.
fn as_told(reason: WaitingOn, told: &[WaitingOn]) -> Option<WaitingOn> {
    let WaitingOn::Check { wave: of, check: asked, .. } = &reason else { return Some(reason) };
    let mut is_told_of = false;
    for told in told {
        match told {
            WaitingOn::Check { wave, check, .. } if wave == of && check == asked => {
                return Some(told.clone());
            }
            WaitingOn::Check { wave, .. }
            | WaitingOn::Approval { wave, .. }
            | WaitingOn::Health { wave, .. } => {
                is_told_of |= wave == of;
            }
            _ => {}
        }
    }
    (!is_told_of).then_some(reason)
}

impl State {
    /// How far a rollout is, by what it takes no look at single devices to tell. `per_sec` is how
    /// many devices end in a second as whoever looks more than once observed it; 0 if nobody did.
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
            state: Stand::of(stands.state, progression.state, progression.ended_at),
            verdicts: stands.verdicts.clone(),
            approved_at: stands.approved.as_ref().map(|approval| approval.at),
            approved_because: stands.approved.as_ref().and_then(|approval| approval.reason.clone()),
            passed_over: PassedOver::of(stands.verdict(), &spec.gates),
            said: (stands.evidence.iter())
                .map(|said| Said::of(said, &spec.gates, stands.approved.as_ref()))
                .collect(),
            counts: snapshot.counts_of(wave),
        });
        // Nobody knows when those come back who are away.
        let is_moving = counts.queued + counts.active() > 0;
        // Its driver knows more: who is busy, how fast it goes, what places are left.
        let driver = self.driver();
        let is_driven = driver.is_some() && self.is_driven();
        let told = record.told.as_ref().filter(|_| progression.state.is_driven());
        let told_at = told.filter(|_| !is_driven).map(|told| told.at);
        let told = told.filter(|_| is_driven);
        let per_sec = if per_sec > 0.0 { per_sec } else { told.map_or(0.0, |t| t.ended_per_sec) };
        let mut waiting_on: Vec<WaitingOn> =
            told.into_iter().flat_map(|told| told.waiting_on.clone()).filter(is_drivers).collect();
        let planned = plan::plan(&snapshot, spec, now).waiting_on;
        let told = told.map_or(&[][..], |told| &told.waiting_on);
        let planned = planned.into_iter().filter(|reason| !is_drivers(reason));
        waiting_on.extend(planned.filter_map(|reason| as_told(reason, told)));
        let is_moving = is_moving && is_driven && !waiting_on.iter().any(WaitingOn::has_no_end);
        let waiting_on = self.waits_seen(waiting_on)?;
        let eta = progress::eta(&snapshot, spec, per_sec, now).filter(|_| is_moving);
        Ok(Overview {
            number: key.0,
            id: record.id,
            release: spec.release.clone(),
            strategy: spec.strategy,
            select: spec.select.clone().filter(|select| !select.is_empty()),
            rolls_back: spec.rolls_back.clone(),
            is_to_roll_back: progression.is_to_roll_back,
            rolled_back_by: self.rolled_back_by(*key)?,
            is_push: record.identity.is_some(),
            state: progression.state,
            paused: progression.paused.iter().copied().collect(),
            failed_because: progression.no_device.then(|| spec.no_device()),
            round: progression.round,
            created_at: record.created_at,
            started_at: progression.started_at,
            ended_at: progression.ended_at,
            deadline: progression.deadline(spec),
            counts,
            before: None,
            waves: waves.collect(),
            earlier: progression.earlier.iter().map(|round| RoundView::from(&**round)).collect(),
            brakes: progression.brakes.clone(),
            waiting_on,
            eta_secs: eta.map(|eta| eta.as_secs()),
            failed: vec![],
            skipped: vec![],
            canceled_begun: None,
            failures: vec![],
            regressed: vec![],
            driver,
            is_driven,
            told_at,
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

    /// Counts the devices that failed or were skipped, by why, and finds some of those that failed:
    /// it looks at these alone.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn look_at_failures(&self, overview: &mut Overview) -> Result<(), OperateError> {
        let (rollout, round) = (RolloutKey(overview.number), overview.round);
        if overview.counts.failures() + overview.counts.skipped > 0 {
            let reasons = self.store.count_short(rollout, round)?.into_iter();
            let (failed, skipped) = reasons.partition(|(state, _)| state.is_failure());
            (overview.failed, overview.skipped) = (by_reason(failed), by_reason(skipped));
        }
        if overview.counts.canceled > 0 {
            overview.canceled_begun = Some(self.store.count_canceled_begun(rollout, round)?);
        }
        if overview.counts.failures() > 0 {
            let failures = self.store.failures(rollout, round, FAILURES_SHOWN)?;
            overview.failures = self.unfinished_seen(failures)?;
        }
        if overview.counts.regressed > 0 {
            let regressed = self.store.regressed(rollout, round, FAILURES_SHOWN)?;
            overview.regressed = self.unfinished_seen(regressed)?;
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
            cohorts: cohorts
                .into_iter()
                .map(|record| Cohort::new(record).snapshot(spec, started_at, now))
                .collect(),
            checks: vec![],
            ahead_max: 0,
            allowance: Allowance::UNLIMITED,
            driver_places: u32::MAX,
            checkup: Checkup::Done,
            is_being_written: false,
            is_stopping: false,
        })
    }
}
