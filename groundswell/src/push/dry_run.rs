//! What a push would do, without doing it.

use std::{fmt, fs::File};

use groundswell_core::snapshot::Counts;
use serde::Serialize;

use super::{
    PushError,
    builder::Order,
    decision::{Then, count, decide, read},
    identity::identity,
};
use crate::{
    artifacts::store::{self, ArtifactError},
    delivery::http::Client,
    store::{SqliteStore, dir},
};

/// Hosts and devices named as examples.
const EXAMPLES: usize = 3;

/// What a push would do.
#[derive(Debug, Serialize)]
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
    /// What it would do, by what is in the state directory.
    pub would: Would,
    /// How it would go about it.
    pub manner: String,
}

/// What a push would do with what is in its state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Would {
    /// Start, and try all devices.
    Start,
    /// Go on with what is not finished.
    GoOn {
        /// Its devices, counted.
        counts: Counts,
    },
    /// Try those again that failed.
    Retry {
        /// How many devices these are.
        devices: u64,
    },
    /// Do nothing: it is finished.
    DoNothing {
        /// Its devices, counted.
        counts: Counts,
    },
    /// Be refused.
    BeRefused {
        /// Why.
        why: String,
    },
}

pub(super) fn dry_run(order: &Order) -> Result<DryRun, PushError> {
    // Certificates, keys, headers, paths and time-outs.
    Client::new(order.http.clone())?;
    let unreadable = |source| ArtifactError::Read { path: order.file.clone(), source };
    // Looked at before it is opened: a pipe would be waited for.
    if !order.file.metadata().map_err(unreadable)?.is_file() {
        return Err(ArtifactError::NotAFile { path: order.file.clone() }.into());
    }
    let file = File::open(&order.file).map_err(unreadable)?;
    let (digest, bytes) = store::hash(file).map_err(unreadable)?;
    let mut release = order.spec.release.clone();
    release.artifact = digest;
    release.artifact_bytes = bytes;
    let select = order.spec.select.clone().unwrap_or_default();
    let identity = identity(&release, Some(&select), &order.entries);
    let limits = order.spec.limits;
    Ok(DryRun {
        release: format!("{} {}", release.name, release.version),
        artifact: format!("{bytes} bytes, sha-256 {digest}"),
        devices: order.entries.len(),
        hosts: order.hosts(),
        examples: order
            .entries
            .iter()
            .take(EXAMPLES)
            .map(|entry| entry.device.id.clone())
            .collect(),
        would: look(order, identity)?,
        manner: format!(
            "at most {} at once ({} to one host, {} not verified), {} attempts, stop at more than \
             {} failures{}",
            limits.max_in_flight,
            limits.max_per_host,
            limits.max_unverified,
            order.spec.retry.attempts_max(),
            order.spec.brake.unwrap_or_default(),
            if order.canary > 0 {
                format!(", {} canaries first", order.canary)
            } else {
                String::new()
            }
        ),
    })
}

/// As the run itself would find it, but without the lock: another run may be under way.
fn look(order: &Order, identity: [u8; 32]) -> Result<Would, PushError> {
    let asked = order.asked(identity);
    let store = SqliteStore::open_to_read(&dir::database(&order.state))?;
    let found = store.as_ref().map(|store| read(store, &asked)).transpose()?.unwrap_or_default();
    let refused = match decide(found, &asked) {
        Ok(decision) => return Ok(decision.then.into()),
        Err(refused) => refused,
    };
    let counts = |record: &_| store.as_ref().map_or(Ok(Counts::default()), |s| count(s, record));
    Ok(Would::BeRefused { why: shorten(&refused.tell(order, counts)?) })
}

/// Why a run would be refused, with no more than a line has room for.
fn shorten(error: &PushError) -> String {
    match error {
        PushError::OtherUnfinished { name, version, .. } => {
            format!("{name} {version} is not finished (--abandon gives it up)")
        }
        PushError::NoCanaries => "it began without --canary".to_owned(),
        error => error.to_string(),
    }
}

impl From<Then> for Would {
    fn from(then: Then) -> Self {
        match then {
            Then::Start => Self::Start,
            Then::GoOn(same) => Self::GoOn { counts: same.counts },
            Then::Retry(same) => Self::Retry { devices: same.to_retry() },
            Then::Nothing(same) => Self::DoNothing { counts: same.counts },
        }
    }
}

impl DryRun {
    /// Whether the run itself would be refused.
    pub const fn is_refused(&self) -> bool {
        matches!(self.would, Would::BeRefused { .. })
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, artifact, devices, hosts, examples, would, manner } = self;
        writeln!(f, "dry run: nothing is sent")?;
        writeln!(f, "  release  {release} ({artifact})")?;
        let more = if *devices > examples.len() { ", ..." } else { "" };
        writeln!(f, "  devices  {devices} on {hosts} hosts: {}{more}", examples.join(", "))?;
        writeln!(f, "  manner   {manner}")?;
        match would {
            Would::Start => write!(f, "  would    start, and try all {devices} devices"),
            Would::GoOn { counts } => write!(
                f,
                "  would    go on: {} of {} devices ended, {} are left",
                counts.ended(),
                counts.total(),
                counts.total() - counts.ended()
            ),
            Would::Retry { devices } => {
                write!(f, "  would    try the {devices} devices again that failed")
            }
            Would::DoNothing { counts } => write!(
                f,
                "  would    do nothing: already done, {} of {} devices failed{}",
                counts.failures(),
                counts.total(),
                if counts.failures() > 0 { " (--retry-failed tries these again)" } else { "" }
            ),
            Would::BeRefused { why } => write!(f, "  would    be refused: {why}"),
        }
    }
}
