//! What is told of a rollout while it runs.
//!
//! Events are the contract: every display, log and program reads these. All but the two kinds of
//! progress are told after they are durable, and none of those is dropped.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    assignment::State,
    brake::Evidence,
    gate::{Ruling, Verdict, external::Besides},
    ids::RolloutId,
    plan::Change,
    progress::Progress,
    rollout::{Act, PauseReason, Spec},
    snapshot::Counts,
    time::Time,
    waiting::{left, stamp},
};

/// Something that happened in a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since the Unix epoch.
    pub at: Time,
    /// In which rollout.
    pub rollout: RolloutId,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Kind {
    /// A run began to drive the rollout.
    RolloutStarted {
        /// Its devices.
        devices: u64,
        /// Whether an earlier run had begun it.
        resumed: bool,
    },
    /// The operator did something to it.
    OperatorActed {
        /// What.
        act: Act,
    },
    /// Its devices are written down.
    RolloutPrepared {
        /// How many there are.
        devices: u64,
    },
    /// Its time has come.
    RolloutBegan,
    /// The devices of a wave may be claimed.
    WaveOpened {
        /// Which one, counted from 1.
        wave: usize,
        /// How many there are.
        of: usize,
        /// Its devices.
        devices: u64,
    },
    /// Every device of a wave ended, or is away for too long.
    WaveEnded {
        /// Which one, counted from 1.
        wave: usize,
        /// How many there are.
        of: usize,
    },
    /// The gate of a wave ruled, or an operator in its place.
    GateRuled {
        /// Which one, counted from 1.
        wave: usize,
        /// How many there are.
        of: usize,
        /// What, and on which numbers.
        verdict: Verdict,
    },
    /// It stopped claiming by itself.
    RolloutPaused {
        /// Why.
        reason: PauseReason,
        /// On which numbers, if it is the brake.
        evidence: Option<Evidence>,
    },
    /// It gave itself up, and stops what is open.
    RolloutAborting {
        /// Why.
        reason: PauseReason,
        /// On which numbers, if it is the brake.
        evidence: Option<Evidence>,
        /// Whether it is rolled back after that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rolls_back: bool,
    },
    /// It was given up, and what was open was stopped.
    RolloutAborted {
        /// Its devices, counted.
        counts: Counts,
    },
    /// A device is not there: it is waited for.
    DeviceAway {
        /// The device's id.
        device: Arc<str>,
        /// Since when, as far as is known.
        since: Time,
        /// What was seen, if it was tried.
        detail: String,
    },
    /// A device ended without an attempt, or its attempt was given up.
    DeviceEnded {
        /// The device's id.
        device: Arc<str>,
        /// The state it ended in.
        state: State,
        /// Why, where the state does not say it all.
        detail: String,
    },
    /// A device that was updated is not well since.
    DeviceRegressed {
        /// The device's id.
        device: Arc<str>,
        /// What it said when it was asked.
        detail: String,
    },
    /// Every device ended, none failed.
    RolloutCompleted {
        /// Its devices, counted.
        counts: Counts,
    },
    /// Every device ended, some failed; or there was none.
    RolloutFailed {
        /// Its devices, counted.
        counts: Counts,
        /// Why, if it is not for those that failed.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// It was given up.
    RolloutCanceled {
        /// Its devices, counted.
        counts: Counts,
    },
    /// The run was told to stop; the rollout goes on when it is driven again.
    RolloutInterrupted {
        /// Its devices, counted.
        counts: Counts,
    },
    /// An attempt begins to be sent.
    AttemptStarted {
        /// The device's id.
        device: Arc<str>,
        /// Counted from 1.
        attempt: u32,
    },
    /// The device took the update and is asked for its version.
    AttemptAccepted {
        /// The device's id.
        device: Arc<str>,
        /// Counted from 1.
        attempt: u32,
    },
    /// No complete answer came: whether the update arrived is found out by asking for the version.
    AttemptUnanswered {
        /// The device's id.
        device: Arc<str>,
        /// Counted from 1.
        attempt: u32,
        /// What was seen instead.
        detail: String,
    },
    /// The device is updated, or was already.
    AttemptSucceeded {
        /// The device's id.
        device: Arc<str>,
        /// Counted from 1.
        attempt: u32,
        /// The state it ended in.
        state: State,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The device's id.
        device: Arc<str>,
        /// Counted from 1.
        attempt: u32,
        /// The state the device is in now: terminal, or to be tried again.
        state: State,
        /// Why.
        detail: String,
    },
    /// A device will be tried again.
    WillRetry {
        /// The device's id.
        device: Arc<str>,
        /// The attempt to come.
        attempt: u32,
        /// When it is due.
        due_at: Time,
    },
    /// How far it is. May be dropped.
    Progress(Progress),
    /// How far one delivery is. May be dropped.
    DeviceProgress {
        /// The device's id.
        device: Arc<str>,
        /// Bytes handed to its connection.
        sent_bytes: u64,
        /// Bytes to send in all.
        total_bytes: u64,
    },
}

impl Kind {
    /// What is told of a change of a rollout that has `of` waves and devices counted so. How many
    /// devices a wave has that opens is asked.
    pub fn of_change(
        change: &Change,
        of: usize,
        counts: Counts,
        spec: &Spec,
        devices: impl FnOnce(usize) -> u64,
    ) -> Self {
        match *change {
            Change::Begin => Self::RolloutBegan,
            Change::OpenWave(wave) => {
                Self::WaveOpened { wave: wave.saturating_add(1), of, devices: devices(wave) }
            }
            Change::Soak(wave) => Self::WaveEnded { wave: wave.saturating_add(1), of },
            Change::Rule(wave, verdict) => {
                Self::GateRuled { wave: wave.saturating_add(1), of, verdict }
            }
            Change::Pause { reason, evidence } => Self::RolloutPaused { reason, evidence },
            Change::Abort { reason, evidence, rolls_back } => {
                Self::RolloutAborting { reason, evidence, rolls_back }
            }
            Change::Complete => Self::RolloutCompleted { counts },
            Change::Fail => Self::RolloutFailed { counts, detail: String::new() },
            Change::NoDevice => Self::RolloutFailed { counts, detail: spec.no_device() },
            Change::Canceled => Self::RolloutCanceled { counts },
            Change::Aborted => Self::RolloutAborted { counts },
        }
    }

    /// Whether a reader who falls behind may miss it.
    pub const fn is_droppable(&self) -> bool {
        matches!(self, Self::Progress(_) | Self::DeviceProgress { .. })
    }
}

fn completed(counts: &Counts) -> String {
    let updated = counts.succeeded.saturating_sub(counts.regressed) + counts.current;
    let text = format!("completed: {updated} of {} run the release", devices_of(counts.total()));
    match counts.regressed {
        0 => text,
        regressed => format!("{text}, {regressed} regressed after their update"),
    }
}

impl fmt::Display for Event {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::RolloutStarted { devices, resumed: false } => {
                write!(f, "rollout {} started: {}", self.rollout, devices_of(*devices))
            }
            Kind::RolloutStarted { devices, resumed: true } => {
                write!(f, "rollout {} goes on: {}", self.rollout, devices_of(*devices))
            }
            Kind::OperatorActed { act } => write!(f, "the operator said {act}"),
            Kind::RolloutPrepared { devices } => {
                write!(f, "prepared: {}", devices_of(*devices))
            }
            Kind::RolloutBegan => f.write_str("it begins"),
            Kind::WaveOpened { wave, of, devices } => {
                write!(f, "wave {wave} of {of} opened: {}", devices_of(*devices))
            }
            Kind::WaveEnded { wave, of } => write!(f, "wave {wave} of {of} ended"),
            Kind::GateRuled { wave, of, verdict } if is_gateless(verdict) => {
                write!(f, "wave {wave} of {of} passed, it has no gate: {}", verdict.tally)
            }
            Kind::GateRuled { wave, of, verdict } => {
                write!(f, "gate of wave {wave} of {of}: {verdict}")
            }
            Kind::RolloutPaused { reason, evidence: Some(evidence) } => {
                write!(f, "paused by the {reason}: {evidence}")
            }
            Kind::RolloutPaused { reason, evidence: None } => write!(f, "paused by the {reason}"),
            Kind::RolloutAborting { reason, evidence, rolls_back } => {
                let back = if *rolls_back { ", to be rolled back" } else { "" };
                write!(f, "aborted by the {reason}{back}")?;
                evidence.as_ref().map_or(Ok(()), |evidence| write!(f, ": {evidence}"))
            }
            Kind::RolloutAborted { counts } => {
                let verb = if counts.canceled == 1 { "was" } else { "were" };
                write!(f, "aborted: {} {verb} given up", devices_of(counts.canceled))
            }
            Kind::DeviceAway { device, since, detail } if detail.is_empty() => {
                write!(f, "{device}: away since {}", stamp(*since, self.at))
            }
            Kind::DeviceAway { device, detail, .. } => {
                write!(f, "{device}: away ({detail})")
            }
            Kind::DeviceEnded { device, state, detail } if detail.is_empty() => {
                write!(f, "{device}: {state}")
            }
            Kind::DeviceEnded { device, state, detail } => {
                write!(f, "{device}: {state} ({detail})")
            }
            Kind::DeviceRegressed { device, detail } => {
                write!(f, "{device}: regressed after its update: {detail}")
            }
            Kind::RolloutCompleted { counts } => f.write_str(&completed(counts)),
            Kind::RolloutFailed { detail, .. } if !detail.is_empty() => {
                write!(f, "failed: {detail}")
            }
            Kind::RolloutFailed { counts, .. } => {
                write!(f, "failed: {} of {} failed", counts.harmed(), devices_of(counts.total()))
            }
            Kind::RolloutCanceled { counts } => {
                let verb = if counts.canceled == 1 { "was" } else { "were" };
                write!(f, "canceled: {} {verb} given up", devices_of(counts.canceled))
            }
            Kind::RolloutInterrupted { counts } => {
                write!(f, "interrupted: {} of {} ended", counts.ended(), devices_of(counts.total()))
            }
            Kind::AttemptStarted { device, attempt } => {
                write!(f, "{device}: attempt {attempt} started")
            }
            Kind::AttemptAccepted { device, attempt } => {
                write!(f, "{device}: attempt {attempt} accepted")
            }
            Kind::AttemptUnanswered { device, attempt, detail } => {
                write!(f, "{device}: attempt {attempt} was not answered ({detail})")
            }
            Kind::AttemptSucceeded { device, attempt, state } => {
                write!(f, "{device}: attempt {attempt} {state}")
            }
            Kind::AttemptFailed { device, attempt, state, detail } => {
                write!(f, "{device}: attempt {attempt} {state}: {detail}")
            }
            Kind::WillRetry { device, attempt, due_at } if *due_at <= self.at => {
                write!(f, "{device}: attempt {attempt} is due now")
            }
            Kind::WillRetry { device, attempt, due_at } => {
                write!(f, "{device}: attempt {attempt} is due in {}", left(*due_at, self.at))
            }
            Kind::Progress(progress) => {
                write!(f, "{} of {}", progress.counts.ended(), progress.counts.total())?;
                match progress.eta {
                    Some(eta) => write!(f, ", about {} s left", round_secs(eta)),
                    None => Ok(()),
                }
            }
            Kind::DeviceProgress { device, sent_bytes, total_bytes } => {
                write!(f, "{device}: {sent_bytes} of {total_bytes} bytes")
            }
        }
    }
}

/// Whether a wave was let through without anything that could have kept it.
fn is_gateless(verdict: &Verdict) -> bool {
    verdict.min_success.is_none()
        && verdict.ruling == Ruling::Go
        && verdict.besides == Besides::Nothing
}

/// Such as `1 device` or `3 devices`.
pub(crate) fn devices_of(count: u64) -> String {
    format!("{count} device{}", if count == 1 { "" } else { "s" })
}

const fn round_secs(duration: Duration) -> u64 {
    duration.as_secs() + if duration.subsec_millis() >= 500 { 1 } else { 0 }
}
