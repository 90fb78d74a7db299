//! What a push would do, without doing it.

use std::{fmt, fs::File};

use groundswell_core::{rollout::State, snapshot::Counts};

use super::{PushError, builder::Order, identity::identity};
use crate::{
    artifacts::store::{self, ArtifactError},
    store::{SqliteStore, Store, dir::StateDir},
};

/// Hosts and devices named as examples.
const EXAMPLES: usize = 3;

/// What a push would do.
#[derive(Debug)]
pub struct DryRun {
    /// The release, as operators read it.
    pub release: String,
    /// Size and sha-256 of the file.
    pub artifact: String,
    /// Devices selected.
    pub devices: usize,
    /// Hosts they listen on.
    pub hosts: usize,
    /// The first few of them.
    pub examples: Vec<String>,
    /// What was found in the state directory.
    pub found: Found,
    /// How it would go about it.
    pub manner: String,
}

/// What a push would find in its state directory.
#[derive(Debug)]
pub enum Found {
    /// Nothing of it: it would start.
    Nothing,
    /// It is unfinished: it would go on.
    Unfinished(Counts),
    /// It is finished: nothing would be sent (but for `retry_failed`).
    Finished(Counts),
    /// Another one is unfinished: it would be refused.
    Other(String),
}

pub(super) fn dry_run(order: &Order) -> Result<DryRun, PushError> {
    let unreadable = |source| ArtifactError::Read { path: order.file.clone(), source };
    let file = File::open(&order.file).map_err(unreadable)?;
    let (digest, bytes) = store::hash(file).map_err(unreadable)?;
    let mut release = order.spec.release.clone();
    release.artifact = digest;
    release.artifact_bytes = bytes;
    let select = order.spec.select.clone().unwrap_or_default();
    let identity = identity(&release, Some(&select), &order.entries);
    let hosts: std::collections::BTreeSet<_> = order
        .entries
        .iter()
        .filter_map(|entry| entry.device.address.as_ref())
        .map(groundswell_core::device::Address::origin)
        .collect();
    let limits = order.spec.limits;
    Ok(DryRun {
        release: format!("{} {}", release.name, release.version),
        artifact: format!("{bytes} bytes, sha-256 {digest}"),
        devices: order.entries.len(),
        hosts: hosts.len(),
        examples: order
            .entries
            .iter()
            .take(EXAMPLES)
            .map(|entry| entry.device.id.clone())
            .collect(),
        found: look(order, &identity)?,
        manner: format!(
            "at most {} at once ({} to one host, {} not verified), {} attempts, stop at more than \
             {} failures{}",
            limits.max_in_flight,
            limits.max_per_host,
            limits.max_unverified,
            order.spec.retry.attempts_max(),
            order.spec.brake,
            if order.spec.canary > 0 {
                format!(", {} canaries first", order.spec.canary)
            } else {
                String::new()
            }
        ),
    })
}

fn look(order: &Order, identity: &[u8; 32]) -> Result<Found, PushError> {
    if !order.state.join("state.db").exists() {
        return Ok(Found::Nothing);
    }
    let dir = StateDir::lock(&order.state, "push --dry-run")?;
    let store = SqliteStore::open(&dir.database())?;
    let other = store.unfinished()?.into_iter().find(|record| {
        record.identity != *identity && record.progression.state != State::Preparing
    });
    if let Some(other) = other
        && !order.abandon
    {
        let release = other.spec.release;
        return Ok(Found::Other(format!("{} {}", release.name, release.version)));
    }
    let Some(record) = store.find(identity)? else { return Ok(Found::Nothing) };
    let counts = store.counts(record.key, record.progression.round)?;
    Ok(match record.progression.state {
        State::Preparing => Found::Nothing,
        state if state.is_ended() => Found::Finished(counts),
        _ if order.abandon => Found::Nothing,
        _ => Found::Unfinished(counts),
    })
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, artifact, devices, hosts, examples, found, manner } = self;
        writeln!(f, "dry run: nothing is sent")?;
        writeln!(f, "  release  {release} ({artifact})")?;
        let more = if *devices > examples.len() { ", ..." } else { "" };
        writeln!(f, "  devices  {devices} on {hosts} hosts: {}{more}", examples.join(", "))?;
        writeln!(f, "  manner   {manner}")?;
        match found {
            Found::Nothing => write!(f, "  would    start, and try all {devices} devices"),
            Found::Unfinished(counts) => write!(
                f,
                "  would    go on: {} of {} devices ended, {} are left",
                counts.ended(),
                counts.total(),
                counts.total() - counts.ended()
            ),
            Found::Finished(counts) => write!(
                f,
                "  would    do nothing: already done, {} of {} devices failed{}",
                counts.failures(),
                counts.total(),
                if counts.failures() > 0 { " (--retry-failed tries these again)" } else { "" }
            ),
            Found::Other(release) => write!(
                f,
                "  would    be refused: {release} is not finished (--abandon gives it up)"
            ),
        }
    }
}
