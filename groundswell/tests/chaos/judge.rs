//! The judgment over a run: what must be so, whatever went wrong.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use groundswell::{
    clock::Clock,
    core::{assignment::State, log::Acted, snapshot::Counts, time::Time, verify::Mode},
    operate::replay,
    sim::{DeviceReport, EventKind, Report},
    store::{RolloutKey, SqliteStore, Store, Which},
};
use sha2::{Digest as _, Sha256};

use crate::{
    ground::Ground,
    mischief::Weather,
    operator::{Acknowledged, open},
    scene,
    testimony::Testimony,
};

/// The clocks of two commands, and the time that a commit takes on a busy machine, in milliseconds.
const SLACK_MS: i64 = 50;

/// Devices that are read at once.
const PAGE: usize = 1_000;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) breaches: Vec<String>,
    pub(crate) rollouts: usize,
    pub(crate) assignments: u64,
    pub(crate) updates: u64,
    pub(crate) deliveries: u64,
    pub(crate) sent: u64,
    pub(crate) log_rows: u64,
    pub(crate) drivers: u64,
    pub(crate) ends: BTreeMap<String, u64>,
}

/// Judges what is left of a run.
pub(crate) fn judge(
    ground: &Ground,
    report: &Report,
    acknowledged: &[Acknowledged],
    copies: &[PathBuf],
    weather: &Weather,
) -> Result<Verdict> {
    let store = open(ground)?;
    let mut verdict = Verdict::default();
    logs_run_again(&store, "", &mut verdict)?;
    let own = (verdict.log_rows, verdict.drivers);
    for copy in copies {
        copy_is_whole(copy, &mut verdict)?;
    }
    (verdict.log_rows, verdict.drivers) = own;
    counts_add_up(&store, &mut verdict)?;
    let mut testimony = Testimony::read(ground, &store)?;
    let devices = store.devices(None, None, PAGE, Clock::System.now())?;
    testimony.judge(report, &devices, weather);
    verdict.breaches.append(&mut testimony.breaches);
    acts_are_written(&testimony, acknowledged, &mut verdict);
    updates_are_so(&testimony, report, &mut verdict);
    verdict.rollouts = testimony.rollouts.len();
    verdict.sent = testimony.sent;
    verdict.deliveries = testimony.deliveries.values().map(|all| all.len() as u64).sum();
    Ok(verdict)
}

fn logs_run_again(store: &SqliteStore, of: &str, verdict: &mut Verdict) -> Result<()> {
    for record in store.rollouts(Which::All)? {
        let report = replay(store, record.key)?;
        verdict.log_rows += report.entries;
        verdict.drivers = verdict.drivers.max(report.drivers);
        if let Some(first) = report.mismatches.first() {
            let (count, number) = (report.mismatches_in_all, record.key.0);
            let what = format!("{of}the log of rollout {number} has {count} mismatches: {first:?}");
            verdict.breaches.push(format!("invariant 7: {what:.3000}"));
        }
    }
    Ok(())
}

fn copy_is_whole(copy: &Path, verdict: &mut Verdict) -> Result<()> {
    let store = SqliteStore::open_to_read(copy)?.context("a copy is gone")?;
    logs_run_again(&store, "in a copy, ", verdict)
}

fn counts_add_up(store: &SqliteStore, verdict: &mut Verdict) -> Result<()> {
    for record in store.rollouts(Which::All)? {
        let number = record.key.0;
        for round in 1..=record.progression.round {
            let counted = store.count(record.key, round)?;
            let shown: Counts = store.cohorts(record.key, round)?.iter().map(|c| c.counts).sum();
            if counted != shown {
                let what = format!("rollout {number} shows {shown:?}, its devices are {counted:?}");
                verdict.breaches.push(format!("invariant 6: {what}"));
            }
            verdict.assignments += counted.total();
            if counted.ended() != counted.total() {
                let what = format!("rollout {number} has devices that have not ended: {counted:?}");
                verdict.breaches.push(format!("invariant 6: {what}"));
            }
        }
        if !record.progression.state.is_ended() {
            let what = format!("rollout {number} is {} and does not end", record.progression.state);
            verdict.breaches.push(format!("invariant 6: {what}"));
        }
    }
    Ok(())
}

/// Every act that was acknowledged is in the log, and was there when it was acknowledged.
fn acts_are_written(testimony: &Testimony, told: &[Acknowledged], verdict: &mut Verdict) {
    let mut used = vec![false; testimony.acts.len()];
    for act in told {
        let is_it = |(place, (rollout, at, acted)): (usize, &(RolloutKey, Time, Acted))| {
            !used[place]
                && rollout.0 == act.rollout
                && acted.act == act.act
                && acted.refused.is_none()
                && at.as_millis() >= act.asked_at.as_millis() - SLACK_MS
                && at.as_millis() <= act.told_at.as_millis() + SLACK_MS
        };
        match testimony.acts.iter().enumerate().position(is_it) {
            Some(place) => used[place] = true,
            None => verdict.breaches.push(format!("invariant 5: not in the log: {act:?}")),
        }
    }
}

/// Who is said to have been updated was, by its own report, with the right bytes.
fn updates_are_so(testimony: &Testimony, report: &Report, verdict: &mut Verdict) {
    for (id, state) in &testimony.states {
        *verdict.ends.entry(state.to_string()).or_default() += 1;
        if *state != State::Succeeded {
            continue;
        }
        verdict.updates += 1;
        let Some((rollout, device)) = testimony.assignments.get(&id.0) else { continue };
        let spec = &testimony.rollouts[rollout].spec;
        let version = &*spec.release.version;
        let told = report.devices.get(device);
        if !told.is_some_and(|told| has_had(told, version, spec.verify.mode)) {
            let number = rollout.0;
            let what = format!("{device} succeeded in rollout {number}, and knows nothing of it");
            verdict.breaches.push(format!("invariant 5: {what}"));
        }
    }
    for (device, told) in &report.devices {
        let is_spoiled = |status: Option<u16>| status == Some(400);
        if told.events.iter().any(|event| is_spoiled(event.status)) {
            verdict.breaches.push(format!("{device} was sent other bytes than were announced"));
        }
        let last = told.events.iter().rev().find(|event| event.kind == EventKind::Received);
        let Some(version) = last.and_then(|event| event.version.as_deref()) else { continue };
        let wanted = format!("{:x}", HexOf(Sha256::digest(scene::bytes_of(version)).as_slice()));
        if told.sha256.as_deref() != Some(&*wanted) {
            let what = format!("{device} has {:?} for {version}, not {wanted}", told.sha256);
            verdict.breaches.push(what);
        }
    }
}

struct HexOf<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whether a device had a version, as far as the rollout wanted to know.
fn has_had(told: &DeviceReport, version: &str, mode: Mode) -> bool {
    told.events.iter().filter(|event| event.version.as_deref() == Some(version)).any(
        |event| match (event.kind, mode) {
            (EventKind::AnsweredVersion, _) => true,
            (EventKind::Received, Mode::Reachable | Mode::None) => {
                event.status.is_none_or(|status| status < 300)
            }
            _ => false,
        },
    )
}
