//! What a run came to: the account an operator gets.

use std::time::Duration;

use groundswell_core::{
    assignment::State, ids::RolloutId, release::Release, rollout, snapshot::Counts,
};
use serde::Serialize;

use super::PushError;
use crate::{
    engine::{shell::Ended, step::Ending},
    store::{RolloutRecord, Store, Unfinished},
};

/// Devices named as examples of a reason.
const EXAMPLES: usize = 3;

/// Reasons that are told apart; the rest is counted together.
const GROUPS_MAX: usize = 1_000;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    /// Every device has the release.
    Completed,
    /// Every device ended, some failed.
    Failed,
    /// The rollout stopped itself; devices are left that were not sent to.
    Paused,
    /// It was told to stop.
    Interrupted,
    /// The state could no longer be written.
    StoreFailed,
    /// An earlier run had ended it already.
    AlreadyDone,
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How it ended.
    pub result: Result,
    /// Why it stopped by itself, if it did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<rollout::PauseReason>,
    /// Which rollout.
    pub rollout: RolloutId,
    /// Which round of it.
    pub round: u32,
    /// What was sent.
    pub release: Release,
    /// Its devices, counted.
    pub counts: Counts,
    /// Devices that nothing was sent to.
    pub not_sent: u64,
    /// How long this run took, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of the artifact handed to connections by this run, retries included.
    pub sent_bytes: u64,
    /// Failures by reason, the most frequent first.
    pub failures: Vec<FailureGroup>,
    /// Every device that does not have the release, with its reason.
    pub devices: Vec<Unfinished>,
    /// What went wrong with the state, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_error: Option<String>,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureGroup {
    /// The state and the reason.
    pub reason: String,
    /// How many devices.
    pub devices: u64,
    /// The first few of them.
    pub examples: Vec<String>,
}

impl Summary {
    /// Whether every device has the release.
    pub const fn is_success(&self) -> bool {
        matches!(self.result, Result::Completed | Result::AlreadyDone)
            && self.counts.failures() + self.counts.canceled + self.counts.queued == 0
    }
}

pub(super) fn summarize(
    store: &impl Store,
    record: &RolloutRecord,
    ended: Ended,
    duration: Duration,
) -> Summary {
    let result = match ended.ending {
        Ending::Ended if ended.counts.failures() + ended.counts.canceled == 0 => Result::Completed,
        Ending::Ended => Result::Failed,
        Ending::Paused => Result::Paused,
        Ending::Interrupted => Result::Interrupted,
        Ending::StoreFailed => Result::StoreFailed,
    };
    let mut summary = Summary {
        result,
        paused: ended.paused,
        rollout: record.id,
        round: record.progression.round,
        release: record.spec.release.clone(),
        counts: ended.counts,
        not_sent: ended.counts.queued,
        duration_ms: duration.as_millis() as u64,
        sent_bytes: ended.sent_bytes,
        failures: vec![],
        devices: vec![],
        state_error: ended.error.map(|error| chain(&error)),
    };
    if result == Result::StoreFailed && !ended.is_kept {
        let lost = "; the last outcomes could not be kept either: the devices concerned are asked \
                    for their version by the next run";
        summary.state_error.get_or_insert_default().push_str(lost);
    }
    if let Err(error) = list(store, record, &mut summary) {
        summary.state_error.get_or_insert_with(|| chain(&error));
    }
    summary
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The account of a rollout that an earlier run ended.
pub(super) fn already_done(
    store: &impl Store,
    record: &RolloutRecord,
) -> std::result::Result<Summary, PushError> {
    let counts = store.counts(record.key, record.progression.round)?;
    let mut summary = Summary {
        result: Result::AlreadyDone,
        paused: vec![],
        rollout: record.id,
        round: record.progression.round,
        release: record.spec.release.clone(),
        counts,
        not_sent: counts.queued,
        duration_ms: 0,
        sent_bytes: 0,
        failures: vec![],
        devices: vec![],
        state_error: None,
    };
    list(store, record, &mut summary)?;
    Ok(summary)
}

fn list(
    store: &impl Store,
    record: &RolloutRecord,
    summary: &mut Summary,
) -> std::result::Result<(), crate::store::StoreError> {
    let mut groups: hashbrown::HashMap<String, FailureGroup> = hashbrown::HashMap::new();
    let devices = &mut summary.devices;
    store.for_each_unfinished(record.key, summary.round, &mut |device| {
        if device.state.is_failure() || device.state == State::Canceled {
            let mut reason = reason(&device);
            if groups.len() >= GROUPS_MAX && !groups.contains_key(&reason) {
                "other reasons".clone_into(&mut reason);
            }
            let group = groups.entry(reason.clone()).or_insert_with(|| FailureGroup {
                reason,
                devices: 0,
                examples: vec![],
            });
            group.devices += 1;
            if group.examples.len() < EXAMPLES {
                group.examples.push(device.device.clone());
            }
        }
        devices.push(device);
    })?;
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| b.devices.cmp(&a.devices).then_with(|| a.reason.cmp(&b.reason)));
    summary.failures = groups;
    Ok(())
}

/// What devices are grouped by: the state, and the first words of the reason.
fn reason(device: &Unfinished) -> String {
    const CHARS_MAX: usize = 100;
    match device.detail.as_deref().and_then(|detail| detail.lines().next()) {
        Some(detail) => {
            let shown: String = detail.chars().take(CHARS_MAX).collect();
            format!("{}: {shown}", device.state)
        }
        None => device.state.to_string(),
    }
}
