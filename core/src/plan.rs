//! What happens next in a rollout, how many devices may be claimed now, and why not more.
//!
//! Owns the decision over counts: the course of the waves and their gates, limits, hours, the
//! brake, and the end. Knows no device; which ones are claimed is [`crate::admit`]'s. Every thing
//! that does not happen leaves a reason.

mod course;
mod external;
mod limit;

use serde::{Deserialize, Serialize};

use crate::{
    brake::{self, Evidence, Ruling},
    gate::{Verdict, external::Evidence as Said},
    health::Checkup,
    rollout::{PauseReason, Progression, Spec, State, WaveState},
    snapshot::Snapshot,
    time::Time,
    waiting::WaitingOn,
};

/// What is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How many devices may be claimed, on top of those that are.
    pub claims_max: u32,
    /// How many of these may be devices that were not begun before.
    pub fresh_max: u32,
    /// The cohorts whose devices may be claimed now, in order; by their places in the snapshot.
    pub open: Vec<usize>,
    /// A change of the rollout itself; nothing may be claimed before it is carried out.
    pub change: Option<Change>,
    /// What external gates said, if the change is what they ruled.
    pub evidence: Vec<Said>,
    /// Checks that are to be asked now, by their places in the spec.
    pub ask: Vec<usize>,
    /// Devices to be ended without being sent to.
    pub sweep: Option<Sweep>,
    /// Why not more is claimed, the most telling reason first.
    pub waiting_on: Vec<WaitingOn>,
    /// When to decide again even if nothing happens.
    pub wake_at: Option<Time>,
}

/// A change of the rollout itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Its time has come.
    Begin,
    /// The devices of this wave may be claimed.
    OpenWave(usize),
    /// Every device of this wave ended, or is away for too long.
    Soak(usize),
    /// The gate of this wave has ruled.
    Rule(usize, Verdict),
    /// Stop claiming.
    Pause {
        /// Why.
        reason: PauseReason,
        /// On which numbers, if it is the brake.
        evidence: Option<Evidence>,
    },
    /// Give it up, and stop what is open.
    Abort {
        /// Why.
        reason: PauseReason,
        /// On which numbers, if it is the brake.
        evidence: Option<Evidence>,
        /// Whether it is rolled back after that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rolls_back: bool,
    },
    /// Every device ended, and well enough.
    Complete,
    /// Every device ended, and not well enough.
    Fail,
    /// There is no device, and none may join any more: whoever chose nobody meant somebody.
    NoDevice,
    /// Everything that was open when it was canceled has ended.
    Canceled,
    /// Everything that was open when it was aborted has been stopped.
    Aborted,
}

impl Change {
    /// Whether it is one that devices which are being written down might speak against.
    const fn judges_all(&self) -> bool {
        !matches!(self, Self::Begin | Self::OpenWave(_) | Self::Pause { .. } | Self::Abort { .. })
    }

    /// Carries itself out, with what external gates said if it is what they ruled.
    pub fn apply_with(&self, evidence: &[Said], progression: &mut Progression, now: Time) {
        self.apply(progression, now);
        if let Self::Rule(wave, _) = self
            && let Some(wave) = progression.waves.get_mut(*wave)
        {
            wave.evidence = evidence.to_vec();
        }
    }

    /// Carries itself out; no external gate had a part in it.
    pub fn apply(&self, progression: &mut Progression, now: Time) {
        match *self {
            Self::Begin => {
                progression.started_at = Some(now);
                progression.come_to(State::Running, now);
            }
            Self::OpenWave(wave) => set_wave(progression, wave, WaveState::Open { since: now }),
            Self::Soak(wave) => set_wave(progression, wave, WaveState::Soaking { since: now }),
            Self::Rule(wave, verdict) => {
                let state = match verdict.ruling {
                    crate::gate::Ruling::Stop => WaveState::Stopped { at: now },
                    _ => WaveState::Passed { at: now },
                };
                if let Some(wave) = progression.waves.get_mut(wave) {
                    wave.rule(state, verdict);
                }
            }
            Self::Pause { reason, evidence } => {
                progression.state = State::Paused;
                progression.paused.insert(reason);
                keep(progression, Ruling::Pause, evidence, now);
            }
            Self::Abort { evidence, rolls_back, .. } => {
                progression.is_to_roll_back = rolls_back;
                progression.come_to(State::Aborting, now);
                keep(progression, Ruling::Abort, evidence, now);
            }
            Self::Complete => progression.come_to(State::Completed, now),
            Self::Fail => progression.come_to(State::Failed, now),
            Self::NoDevice => {
                progression.no_device = true;
                progression.come_to(State::Failed, now);
            }
            Self::Canceled => progression.come_to(State::Canceled, now),
            Self::Aborted => progression.come_to(State::Aborted, now),
        }
        progression.generation += 1;
    }
}

/// Takes down what the brake did, if it was the brake.
fn keep(progression: &mut Progression, ruling: Ruling, evidence: Option<Evidence>, at: Time) {
    if let Some(evidence) = evidence {
        brake::Verdict { at, ruling, evidence }.keep(&mut progression.brakes);
    }
}

fn set_wave(progression: &mut Progression, wave: usize, state: WaveState) {
    if let Some(wave) = progression.waves.get_mut(wave) {
        wave.state = state;
    }
}

/// Devices to be ended without being sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// Why.
    pub why: SweepReason,
    /// Of which cohorts, by their places in the snapshot.
    pub cohorts: Vec<usize>,
}

/// Why devices are ended without being sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepReason {
    /// The rollout was canceled: those not begun, and those to be tried again.
    Canceled,
    /// It was aborted: all that have not ended.
    Aborted,
    /// Its deadline has passed: those not begun.
    Deadline,
    /// Their windows have closed: those not begun.
    WindowClosed,
}

/// Decides from counts alone.
pub fn plan(snapshot: &Snapshot, spec: &Spec, now: Time) -> Plan {
    let plan = plan_counted(snapshot, spec, now);
    match plan.change {
        // It is decided again with those who are counted then.
        Some(change) if snapshot.checkup == Checkup::Confirming && change.judges_all() => {
            Plan::waiting(WaitingOn::Confirming)
        }
        Some(change) if snapshot.is_being_written && change.judges_all() => {
            Plan::waiting(if snapshot.progression.is_to_roll_back {
                WaitingOn::LookingBack
            } else {
                WaitingOn::Preparing { done: snapshot.counts().total() }
            })
        }
        _ => plan,
    }
}

fn plan_counted(snapshot: &Snapshot, spec: &Spec, now: Time) -> Plan {
    match snapshot.progression.state {
        State::Draft => Plan::waiting(WaitingOn::Start),
        State::Preparing => Plan::waiting(WaitingOn::Preparing { done: snapshot.counts().total() }),
        State::Scheduled => course::scheduled(snapshot, spec, now),
        State::Running => course::running(snapshot, spec, now),
        State::Paused => course::paused(snapshot, spec, now),
        State::Canceling => course::giving_up(snapshot, SweepReason::Canceled, Change::Canceled),
        State::Aborting => course::giving_up(snapshot, SweepReason::Aborted, Change::Aborted),
        State::Completed | State::Failed | State::Canceled | State::Aborted => Plan::default(),
    }
}

impl Plan {
    fn change(change: Change) -> Self {
        Self { change: Some(change), ..Self::default() }
    }

    fn waiting(reason: WaitingOn) -> Self {
        Self { waiting_on: vec![reason], ..Self::default() }
    }

    fn wake_by(&mut self, at: Time) {
        self.wake_at = Some(self.wake_at.map_or(at, |set| set.min(at)));
    }
}

#[cfg(test)]
mod tests;
