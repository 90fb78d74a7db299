//! Before the first byte is sent: take the state directory, keep the artifact, and find out
//! whether this push starts, goes on, or is done.

use groundswell_core::{
    device::Device,
    event::{Event, Kind},
    gate::{Ruling, Tally, Verdict},
    ids::{Epoch, RolloutId},
    log::Record,
    release::Release,
    rollout::{PauseReason, Progression, Spec, State, WaveState},
    time::Time,
};

use super::{PushError, Summary, builder::Order, identity::identity, summary};
use crate::{
    artifacts::{
        payload::Payload,
        store::{ArtifactError, Artifacts, Kept},
    },
    engine::takeover::recover,
    store::{
        Batch, CohortName, RolloutRecord, SqliteStore, Store, StoreError, Which, dir::StateDir,
        reserve::Reserve,
    },
};

/// Devices written down in one transaction: some 20 ms of it.
const CHUNK: usize = 4_000;

/// Rows taken back in one transaction.
const DISCARD: usize = 10_000;

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

/// Gives up or refuses other rollouts that are not finished, and returns this one if it is known.
fn settle_unfinished(
    store: &mut SqliteStore,
    order: &mut Order,
    identity: &[u8; 32],
    now: Time,
) -> Result<Option<RolloutRecord>, PushError> {
    let unfinished = store.rollouts(Which::Driven)?;
    if let Some(record) = unfinished.iter().find(|record| record.identity.is_none()) {
        let Release { name, version, .. } = record.spec.release.clone();
        let (state, number) = (order.state.clone(), record.key.0);
        return Err(PushError::OtherRollout { state, number, name, version });
    }
    for record in unfinished {
        let is_other = record.identity != Some(*identity);
        if is_half_written(&record) {
            // Nothing was ever sent for it, and it may lack devices.
            while store.discard(record.key, DISCARD)? == DISCARD {}
            store.remove(record.key)?;
        } else if order.abandon {
            let counts = store.give_up(record.key, now)?;
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
            let counts = store.count(record.key, record.progression.round)?;
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

/// Whether it is a push that was killed while its devices were being written down. Other rollouts
/// are prepared by whoever drives them, and each of their rounds is.
pub(super) const fn is_half_written(record: &RolloutRecord) -> bool {
    let Progression { state, round, .. } = &record.progression;
    record.identity.is_some() && matches!(state, State::Preparing) && *round == 1
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
    let Progression { state, round, .. } = record.progression;
    if !state.is_ended() && order.canary > 0 && record.spec.waves.is_empty() {
        return Err(PushError::NoCanaries);
    }
    let waves = record.spec.waves;
    record.spec = order.spec.clone();
    if state.is_ended() {
        // The waves are this run's, whatever those were that the round before had.
        if store.open_round(record.key, round + 1, Some(order.canary))? == 0 {
            return Err(PushError::NothingToRetry("no device failed"));
        }
        let generation = record.progression.generation + 1;
        record.progression = Progression { round: round + 1, generation, ..ready(&record.spec) };
    } else {
        let counts = store.cohorts(record.key, round)?;
        let canaries = counts.iter().filter(|cohort| cohort.wave == 0).map(|cohort| cohort.counts);
        let tally = order.spec.tally(&canaries.sum());
        record.spec.waves = waves;
        judge_anew(&mut record, order.canary > 0, tally, now);
    }
    store.set_spec(record.key, &record.spec)?;
    set_progression(store, &record, now)?;
    Ok(record)
}

/// What made a rollout stop is judged anew, by the limits of this run. Without `--canary` the
/// others do not wait for the verdict over the canaries.
fn judge_anew(record: &mut RolloutRecord, has_canaries: bool, tally: Tally, now: Time) {
    let progression = &mut record.progression;
    progression.paused.remove(&PauseReason::Gate);
    progression.paused.remove(&PauseReason::Brake);
    progression.paused.remove(&PauseReason::Artifact);
    progression.paused.remove(&PauseReason::Operator);
    if progression.state == State::Paused {
        progression.state = match progression.started_at {
            Some(_) => State::Running,
            None => State::Scheduled,
        };
    }
    for (number, wave) in progression.waves.iter_mut().enumerate() {
        let is_canary = number == 0 && record.spec.waves.len() > 1;
        if let WaveState::Stopped { at } = wave.state {
            wave.state = WaveState::Open { since: at };
            wave.verdict = None;
        }
        if is_canary && !has_canaries && !matches!(wave.state, WaveState::Passed { .. }) {
            let (ruling, min_success) = (Ruling::Override, Some(100));
            wave.state = WaveState::Passed { at: now };
            wave.verdict = Some(Verdict { at: now, ruling, tally, min_success });
        }
    }
    progression.generation += 1;
}

/// A rollout whose devices are written down, and whose time has come.
fn ready(spec: &Spec) -> Progression {
    Progression { state: State::Scheduled, ..Progression::draft(spec) }
}

fn set_progression(
    store: &mut SqliteStore,
    record: &RolloutRecord,
    now: Time,
) -> Result<(), PushError> {
    let progression = Some(record.progression.clone());
    let records = vec![Record::Put(Box::new(record.progression.clone()))];
    store.commit(&Batch { records, progression, ..Batch::empty(record.key, Epoch(0), now) })?;
    Ok(())
}

fn create(
    store: &mut SqliteStore,
    order: &Order,
    identity: &[u8; 32],
    now: Time,
) -> Result<RolloutRecord, PushError> {
    let id = RolloutId(uuid::Uuid::now_v7());
    let key = store.create(id, Some(identity), &order.spec, now)?;
    let mut record = store.rollout(key)?.ok_or_else(|| lost("a new rollout vanished"))?;
    record.progression.state = State::Preparing;
    set_progression(store, &record, now)?;
    let waves = 0..order.spec.wave_count();
    let cohorts: Vec<CohortName> = waves.map(|wave| CohortName { wave, zone: None }).collect();
    let mut number = 0;
    for chunk in order.entries.chunks(CHUNK) {
        let devices: Vec<(&Device, usize)> = chunk
            .iter()
            .map(|entry| {
                // Canaries are the first of the inventory: whoever wrote it chose them.
                let is_canary = number < order.canary;
                number += 1;
                (&entry.device, if is_canary { 0 } else { cohorts.len() - 1 })
            })
            .collect();
        store.add_devices(key, &cohorts, &devices)?;
    }
    record.progression = ready(&order.spec);
    record.devices = order.entries.len() as u64;
    set_progression(store, &record, now)?;
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
            headers: crate::engine::outlet::DeviceHeaders::new(),
            http: self.http.clone(),
            canary: self.canary,
            retry_failed: self.retry_failed,
            abandon: self.abandon,
            canceled: vec![],
        }
    }
}
