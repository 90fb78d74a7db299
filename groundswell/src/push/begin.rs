//! Before the first byte is sent: take the state directory, keep the artifact, and find out
//! whether this push starts, goes on, or is done.

use groundswell_core::{
    device::Device,
    event::{Event, Kind},
    ids::{Epoch, RolloutId},
    rollout::{Spec, State},
    time::Time,
};

use super::{PushError, Summary, builder::Order, identity::identity, summary};
use crate::{
    artifacts::{
        payload::Payload,
        store::{ArtifactError, Artifacts, Kept},
    },
    store::{
        Batch, RolloutRecord, SqliteStore, Store, StoreError, dir::StateDir, reserve::Reserve,
    },
};

/// Devices written down in one transaction: some 20 ms of it.
const CHUNK: usize = 4_000;

/// A push that holds its state directory.
pub(super) struct Begun {
    pub(super) dir: StateDir,
    pub(super) record: RolloutRecord,
    pub(super) store: SqliteStore,
    pub(super) epoch: Epoch,
    pub(super) reserve: Reserve,
    artifact: Kept,
}

pub(super) enum Beginning {
    Begun(Box<Begun>),
    AlreadyDone(Box<Summary>),
}

impl Begun {
    pub(super) fn payload(&self) -> Result<Payload, PushError> {
        let Kept { path, digest, .. } = &self.artifact;
        Payload::from_hashed_file(path, digest.0)
            .map_err(|source| ArtifactError::Read { path: path.clone(), source }.into())
    }
}

pub(super) async fn begin(order: &mut Order) -> Result<Beginning, PushError> {
    let taken = std::mem::replace(order, order.emptied());
    let work = tokio::task::spawn_blocking(move || {
        let mut taken = taken;
        let beginning = begin_blocking(&mut taken);
        (taken, beginning)
    });
    let (taken, beginning) = work.await.map_err(|error| PushError::Run(error.into()))?;
    *order = taken;
    beginning
}

fn begin_blocking(order: &mut Order) -> Result<Beginning, PushError> {
    let now = order.http.clock.now();
    let what = format!("push {} {}", order.spec.release.name, order.spec.release.version);
    let dir = StateDir::lock(&order.state, &what)?;
    let reserve = dir.reserve()?;
    let mut store = SqliteStore::open(&dir.database())?;
    recover(&mut store, &reserve)?;
    let artifact = Artifacts::open(dir.artifacts())?.keep(&order.file)?;
    order.spec.release.artifact = artifact.digest;
    order.spec.release.artifact_bytes = artifact.bytes;
    order.spec.select.get_or_insert_with(String::new);
    let identity = identity(&order.spec.release, order.spec.select.as_deref(), &order.entries);
    let epoch = store.raise_epoch()?;
    let found = settle_unfinished(&mut store, order, &identity, now)?;
    let record = match found {
        Some(record) if record.progression.state.is_ended() && !order.retry_failed => {
            let summary = summary::already_done(&store, &record)?;
            return Ok(Beginning::AlreadyDone(Box::new(summary)));
        }
        Some(record) => go_on(&mut store, order, record, now)?,
        None if order.retry_failed => {
            return Err(PushError::NothingToRetry("this push was not run before"));
        }
        None => create(&mut store, order, &identity, now)?,
    };
    order.entries = vec![];
    Ok(Beginning::Begun(Box::new(Begun { dir, record, store, epoch, reserve, artifact })))
}

/// Writes to the database what an earlier run could not.
fn recover(store: &mut SqliteStore, reserve: &Reserve) -> Result<(), PushError> {
    let batches: Vec<Batch> = reserve.kept().map_err(PushError::Run)?;
    for batch in &batches {
        store.commit(batch)?;
    }
    if !batches.is_empty() {
        tracing::info!("took over what was kept when the disk was full");
        reserve.clear().map_err(PushError::Run)?;
    }
    Ok(())
}

/// Gives up or refuses other rollouts that are not finished, and returns this one if it is known.
fn settle_unfinished(
    store: &mut SqliteStore,
    order: &mut Order,
    identity: &[u8; 32],
    now: Time,
) -> Result<Option<RolloutRecord>, PushError> {
    for record in store.unfinished()? {
        let is_other = record.identity != *identity;
        if record.progression.state == State::Preparing {
            // Nothing was ever sent for it, and it may lack devices.
            store.discard(record.key)?;
        } else if order.abandon {
            let counts = store.cancel(record.key, now)?;
            let kind = Kind::RolloutCanceled { counts };
            order.canceled.push(Event { at: now, rollout: record.id, kind });
            let release = &record.spec.release;
            tracing::warn!(
                "gave up {} {}: {} devices had ended, {} are canceled",
                release.name,
                release.version,
                counts.ended() - counts.canceled,
                counts.canceled
            );
        } else if is_other {
            let counts = store.counts(record.key, record.progression.round)?;
            let differs = differences(&record.spec, &order.spec).join(", ");
            return Err(PushError::OtherUnfinished {
                state: order.state.clone(),
                name: record.spec.release.name,
                version: record.spec.release.version,
                rollout: record.id.to_string().into(),
                ended: counts.ended(),
                devices: counts.total(),
                differs: differs.into(),
            });
        }
    }
    let found = store.find(identity)?;
    if let Some(record) = &found
        && record.progression.state.is_ended()
        && !order.retry_failed
        && store.is_overtaken(record.key)?
    {
        // Another release went to these devices since: what they run now is not what they did.
        return Ok(None);
    }
    if order.retry_failed && found.as_ref().is_some_and(|found| !found.progression.state.is_ended())
    {
        tracing::warn!("--retry-failed waits until the rollout has ended: it goes on where it was");
    }
    Ok(found)
}

/// What tells two pushes apart: parts of the identity, in words.
fn differences(theirs: &Spec, ours: &Spec) -> Vec<&'static str> {
    let (their, our) = (&theirs.release, &ours.release);
    let select = |spec: &Spec| spec.select.clone().unwrap_or_default();
    let parts = [
        ("the content of the file", their.artifact != our.artifact),
        ("version", their.version != our.version),
        ("name", their.name != our.name),
        ("selector", select(theirs) != select(ours)),
    ];
    let differ: Vec<_> = parts.into_iter().filter(|(_, is)| *is).map(|(what, _)| what).collect();
    if differ.is_empty() { vec!["the set of devices and addresses"] } else { differ }
}

/// Goes on with a rollout, by the limits of this run.
fn go_on(
    store: &mut SqliteStore,
    order: &Order,
    mut record: RolloutRecord,
    now: Time,
) -> Result<RolloutRecord, PushError> {
    // Devices are shared by all rollouts: another one may have written other addresses since, and
    // whoever runs a push again may have corrected a path. Both must not decide where this goes.
    for chunk in order.entries.chunks(CHUNK) {
        let devices: Vec<&Device> = chunk.iter().map(|entry| &entry.device).collect();
        store.put_devices(&devices)?;
    }
    let had_canaries = record.spec.canary > 0;
    record.spec = order.spec.clone();
    if order.spec.canary > 0 && !had_canaries && !record.progression.state.is_ended() {
        // The verdict over those that were begun comes before any other.
        record.progression.has_canary_passed = false;
        store.commit(&Batch {
            rollout: record.key,
            epoch: Epoch(0),
            at: now,
            changes: vec![],
            progression: Some(record.progression.clone()),
        })?;
    }
    store.set_spec(record.key, &record.spec)?;
    if record.progression.state.is_ended() && store.open_round(record.key, now)? == 0 {
        return Err(PushError::NothingToRetry("no device failed"));
    }
    let identity = record.identity;
    store.find(&identity)?.ok_or_else(|| lost("a rollout vanished"))
}

fn create(
    store: &mut SqliteStore,
    order: &Order,
    identity: &[u8; 32],
    now: Time,
) -> Result<RolloutRecord, PushError> {
    let id = RolloutId(uuid::Uuid::now_v7());
    let key = store.create(id, identity, &order.spec, now)?;
    for chunk in order.entries.chunks(CHUNK) {
        let devices: Vec<&Device> = chunk.iter().map(|entry| &entry.device).collect();
        store.add_devices(key, &devices)?;
    }
    let mut record = store.find(identity)?.ok_or_else(|| lost("a new rollout vanished"))?;
    record.progression.state = State::Running;
    store.commit(&Batch {
        rollout: key,
        epoch: Epoch(0),
        at: now,
        changes: vec![],
        progression: Some(record.progression.clone()),
    })?;
    Ok(record)
}

fn lost(what: &str) -> PushError {
    StoreError::Damaged(what.to_owned()).into()
}

impl Order {
    /// What stands in while the order itself is worked on elsewhere.
    fn emptied(&self) -> Self {
        Self {
            file: self.file.clone(),
            state: self.state.clone(),
            spec: self.spec.clone(),
            entries: vec![],
            headers: crate::engine::shell::DeviceHeaders::new(),
            http: self.http.clone(),
            retry_failed: self.retry_failed,
            abandon: self.abandon,
            canceled: vec![],
        }
    }
}
