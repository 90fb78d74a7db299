//! Before the first byte is sent: take the state directory, keep the artifact, and find out
//! whether this push starts, goes on, or is done.

use groundswell_core::{
    device::Device,
    event::{Event, Kind},
    ids::{Epoch, RolloutId},
    log::Record,
    release::Digest,
    rollout::{Act, Acted, Numbers, Progression, Refusal, act, end_preparing, judge_anew},
    time::Time,
};

use super::{
    PushError, Summary,
    builder::Order,
    decision::{Then, count, decide, read},
    identity::identity,
    summary,
};
use crate::{
    artifacts::{
        payload::Payload,
        store::{ArtifactError, Artifacts, Kept},
    },
    engine::{
        beside::{acted, looked_at},
        giving_up::give_up,
        takeover::{numbers, recover},
    },
    store::{
        Batch, CohortName, RolloutRecord, SqliteStore, Store, StoreError, dir::StateDir,
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
    let asked = order.asked(identity);
    let decision = match decide(read(&store, &asked)?, &asked) {
        Ok(decision) => decision,
        Err(refused) => return Err(refused.tell(order, |record| count(&store, record))?),
    };
    for record in decision.taken_back {
        while store.discard(record.key, DISCARD)? == DISCARD {}
        store.remove(record.key)?;
    }
    for record in decision.given_up {
        let canceled = abandon(&mut store, record, epoch, now)?;
        order.canceled.push(canceled);
    }
    let record = match decision.then {
        Then::Nothing(same) => {
            let summary = summary::already_done(&store, &same.record)?;
            return Ok(Beginning::AlreadyDone(Box::new(summary)));
        }
        Then::Start => create(&mut store, order, &identity, now)?,
        Then::GoOn(same) => go_on(&mut store, order, same.record, now)?,
        Then::Retry(same) => retry(&mut store, order, same.record, now)?,
    };
    order.entries = vec![];
    Ok(Beginning::Begun(Box::new(Begun { dir, record, store, epoch, reserve, artifact })))
}

/// Gives a push up, and returns what is told of it.
fn abandon(
    store: &mut SqliteStore,
    record: RolloutRecord,
    epoch: Epoch,
    now: Time,
) -> Result<Event, PushError> {
    let (rollout, release) = (record.id, record.spec.release.clone());
    let counts = give_up(store, record, epoch, now)?;
    tracing::warn!(
        "gave up {} {}: {} devices had ended, {} are canceled",
        release.name,
        release.version,
        counts.ended() - counts.canceled,
        counts.canceled
    );
    Ok(Event { at: now, rollout, kind: Kind::RolloutCanceled { counts } })
}

/// Goes on with a rollout, by the limits of this run.
fn go_on(
    store: &mut SqliteStore,
    order: &Order,
    mut record: RolloutRecord,
    now: Time,
) -> Result<RolloutRecord, PushError> {
    if order.retry_failed {
        tracing::warn!("--retry-failed waits until the rollout has ended: it goes on where it was");
    }
    put_devices(store, order)?;
    let numbers = numbers(store, &record)?;
    let mut records = looked_at(store, &record)?;
    let waves = std::mem::replace(&mut record.spec, order.spec.clone()).waves;
    record.spec.waves = waves;
    // Without `--canary` the others do not wait for the verdict over the canaries.
    let waives_gate = order.canary == 0;
    let asked = judge_anew(&record.progression, &record.spec, &numbers, waives_gate, now);
    record.progression = changed(asked).map_err(lost)?;
    records.extend([Record::TakenUp { waives_gate }, Record::stands(&record.progression)]);
    store.set_spec(record.key, &record.spec)?;
    store.commit(&standing(&record, records, now))?;
    Ok(record)
}

/// Opens the next round for the devices that failed. The waves are this run's, whatever those were
/// that the round before had.
fn retry(
    store: &mut SqliteStore,
    order: &Order,
    mut record: RolloutRecord,
    now: Time,
) -> Result<RolloutRecord, PushError> {
    put_devices(store, order)?;
    let numbers = numbers(store, &record)?;
    let mut records = looked_at(store, &record)?;
    record.spec = order.spec.clone();
    let asked = act(&record.progression, &record.spec, &numbers, Act::Retry, now);
    record.progression = changed(asked).map_err(PushError::NothingToRetry)?;
    records.extend(acted(Act::Retry, None, Ok(&record.progression)));
    end_preparing(&mut record.progression);
    store.open_round(&record.spec, &standing(&record, records, now), order.canary)?;
    Ok(record)
}

/// Devices are shared by all rollouts: another one may have written other addresses since, and
/// whoever runs a push again may have corrected a path. Both must not decide where this goes.
fn put_devices(store: &mut SqliteStore, order: &Order) -> Result<(), PushError> {
    for chunk in order.entries.chunks(CHUNK) {
        let devices: Vec<&Device> = chunk.iter().map(|entry| &entry.device).collect();
        store.put_devices(&devices)?;
    }
    Ok(())
}

/// Where a rollout stands after an act that cannot have been done before.
fn changed(asked: Result<Acted, Refusal>) -> Result<Progression, &'static str> {
    match asked {
        Ok(Acted::Changed(progression)) => Ok(*progression),
        Ok(Acted::Already(why)) | Err(Refusal { why, .. }) => Err(why),
    }
}

/// What says where a rollout stands, and what is written down of how it came there.
fn standing(record: &RolloutRecord, records: Vec<Record>, now: Time) -> Batch {
    let progression = Some(record.progression.clone());
    Batch { records, progression, ..Batch::empty(record.key, Epoch(0), now) }
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
    let asked = act(&record.progression, &record.spec, &Numbers::default(), Act::Start, now);
    record.progression = changed(asked).map_err(lost)?;
    // Rows of a choice that is known are kept when it is given up before it begins.
    let mut records = vec![];
    records.extend(acted(Act::Start, None, Ok(&record.progression)));
    record.progression.prepared = Some(Digest(*identity).to_string());
    records.push(Record::Chosen(record.progression.prepared.clone()));
    store.commit(&standing(&record, records, now))?;
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
    let mut records = looked_at(store, &record)?;
    end_preparing(&mut record.progression);
    records.extend([Record::Prepared, Record::stands(&record.progression)]);
    record.devices = order.entries.len() as u64;
    store.commit(&standing(&record, records, now))?;
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
