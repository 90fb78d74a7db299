//! What a run came to: the account an operator gets.

use std::time::Duration;

use groundswell_core::{
    assignment::State, ids::RolloutId, release::Release, rollout, snapshot::Counts,
};
use serde::Serialize;

use super::PushError;
use crate::{
    causes::with_causes,
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
    /// Devices that ended in this run, and not in one before it.
    pub ended_now: u64,
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
    /// The state, and what stopped it or the status that was answered.
    pub reason: String,
    /// More about it, of the first device; that of others may differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whether that of others does.
    #[serde(skip)]
    pub is_varied: bool,
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

/// What a run knows of itself besides where the rollout stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Devices that had ended when it began.
    pub(super) ended_before: u64,
    pub(super) duration: Duration,
}

pub(super) fn summarize(
    store: &impl Store,
    record: &RolloutRecord,
    ended: Ended,
    run: Run,
) -> Summary {
    let counts = ended.engine.counts(record.key).copied().unwrap_or_default();
    let paused = ended.engine.progression(record.key).map(|progression| &progression.paused);
    let result = match ended.ending {
        Ending::Ended if counts.failures() + counts.canceled == 0 => Result::Completed,
        Ending::Ended => Result::Failed,
        Ending::Paused => Result::Paused,
        Ending::Interrupted => Result::Interrupted,
        Ending::StoreFailed => Result::StoreFailed,
    };
    let mut summary = Summary {
        result,
        paused: paused.into_iter().flatten().copied().collect(),
        rollout: record.id,
        round: record.progression.round,
        release: record.spec.release.clone(),
        counts,
        not_sent: counts.queued,
        ended_now: counts.ended().saturating_sub(run.ended_before),
        duration_ms: run.duration.as_millis() as u64,
        sent_bytes: ended.sent_bytes,
        failures: vec![],
        devices: vec![],
        state_error: ended.error.map(|error| with_causes(&error)),
    };
    if result == Result::StoreFailed && !ended.is_kept {
        let lost = "; the last outcomes could not be kept either: the devices concerned are asked \
                    for their version by the next run";
        summary.state_error.get_or_insert_default().push_str(lost);
    }
    let told = add_earlier_rounds(store, record, &mut summary.counts)
        .and_then(|()| list(store, record, &mut summary));
    if let Err(error) = told {
        summary.state_error.get_or_insert_with(|| with_causes(&error));
    }
    summary
}

/// The account of a rollout that an earlier run ended.
pub(super) fn already_done(
    store: &impl Store,
    record: &RolloutRecord,
) -> std::result::Result<Summary, PushError> {
    let mut counts = store.count(record.key, record.progression.round)?;
    add_earlier_rounds(store, record, &mut counts)?;
    let mut summary = Summary {
        result: Result::AlreadyDone,
        paused: vec![],
        rollout: record.id,
        round: record.progression.round,
        release: record.spec.release.clone(),
        counts,
        not_sent: counts.queued,
        ended_now: 0,
        duration_ms: 0,
        sent_bytes: 0,
        failures: vec![],
        devices: vec![],
        state_error: None,
    };
    list(store, record, &mut summary)?;
    Ok(summary)
}

/// The account is of all devices: those that an earlier round ended well with have it, too.
fn add_earlier_rounds(
    store: &impl Store,
    record: &RolloutRecord,
    counts: &mut Counts,
) -> std::result::Result<(), crate::store::StoreError> {
    let before = store.counts_before(record.key, record.progression.round)?;
    counts.succeeded += before.succeeded;
    counts.current += before.current;
    counts.skipped += before.skipped;
    Ok(())
}

fn list(
    store: &impl Store,
    record: &RolloutRecord,
    summary: &mut Summary,
) -> std::result::Result<(), crate::store::StoreError> {
    let mut groups = Groups::default();
    let devices = &mut summary.devices;
    store.for_each_unfinished(record.key, summary.round, &mut |device| {
        if device.state.is_failure() || device.state == State::Canceled {
            groups.add(&device);
        }
        devices.push(device);
    })?;
    summary.failures = groups.in_order();
    Ok(())
}

#[derive(Debug, Default)]
struct Groups(hashbrown::HashMap<String, FailureGroup>);

impl Groups {
    fn add(&mut self, device: &Unfinished) {
        let (mut reason, detail) = reason(device);
        if self.0.len() >= GROUPS_MAX && !self.0.contains_key(&reason) {
            "other reasons".clone_into(&mut reason);
        }
        let group = self.0.entry(reason.clone()).or_insert_with(|| FailureGroup {
            reason,
            detail: detail.clone(),
            is_varied: false,
            devices: 0,
            examples: vec![],
        });
        group.is_varied |= group.detail != detail;
        group.devices += 1;
        if group.examples.len() < EXAMPLES {
            group.examples.push(device.device.clone());
        }
    }

    fn in_order(self) -> Vec<FailureGroup> {
        let mut groups: Vec<_> = self.0.into_values().collect();
        groups.sort_by(|a, b| b.devices.cmp(&a.devices).then_with(|| a.reason.cmp(&b.reason)));
        groups
    }
}

/// What devices are grouped by (the state, and the fault or the status), and what each of them
/// says in its own words: these may name times, numbers and devices, and would tear groups apart.
fn reason(device: &Unfinished) -> (String, Option<String>) {
    const CHARS_MAX: usize = 100;
    let Some(line) = device.detail.as_deref().and_then(|detail| detail.lines().next()) else {
        return (device.state.to_string(), None);
    };
    let short = |text: &str| -> String {
        let mut short: String = text.chars().take(CHARS_MAX).collect();
        short.push_str(if text.chars().nth(CHARS_MAX).is_some() { "..." } else { "" });
        short
    };
    // What we say ends at the first colon; after that follows what the device or the system said.
    // A fault that was met while asking for the version is told after a colon of its own.
    let ours = line.strip_prefix(SILENT).map_or(0, |_| SILENT.len());
    let (what, detail) = match line[ours..].split_once(": ") {
        Some((what, detail)) => (&line[..ours + what.len()], Some(short(detail))),
        None => (line, None),
    };
    (format!("{}: {}", device.state, short(what)), detail)
}

/// How the core begins to tell of a device that did not say its version.
const SILENT: &str = "no answer to the question for its version: ";

#[cfg(test)]
mod tests {
    use groundswell_core::assignment::FailReason;

    use super::*;

    #[test]
    fn words_of_devices_do_not_tear_groups_apart() {
        let mut groups = Groups::default();
        let details = [
            r#"HTTP 503: {"error":"busy","at":1}"#,
            r#"HTTP 503: {"error":"busy","at":2}"#,
            "HTTP 503",
            "HTTP 500: broken",
            "no answer to the question for its version: connection reset: os error 104",
            "no answer to the question for its version: connection reset: broken pipe",
            "reports version 1.0.0, not 2.0.0",
        ];
        for (n, detail) in details.iter().enumerate() {
            groups.add(&Unfinished {
                device: format!("pos-{n}"),
                state: State::Failed(FailReason::DeviceError),
                attempts: 3,
                detail: Some((*detail).to_owned()),
            });
        }
        let told: Vec<_> = groups
            .in_order()
            .into_iter()
            .map(|group| (group.devices, group.reason, group.detail, group.is_varied))
            .collect();
        let of = |devices, reason: &str, detail: Option<&str>, is_varied| {
            let reason = format!("failed: device error: {reason}");
            (devices, reason, detail.map(str::to_owned), is_varied)
        };
        assert_eq!(
            told,
            [
                of(3, "HTTP 503", Some(r#"{"error":"busy","at":1}"#), true),
                of(
                    2,
                    "no answer to the question for its version: connection reset",
                    Some("os error 104"),
                    true
                ),
                of(1, "HTTP 500", Some("broken"), false),
                of(1, "reports version 1.0.0, not 2.0.0", None, false),
            ]
        );
    }
}
