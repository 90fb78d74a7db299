//! The rollout of a push in the store: begun, taken up again, and tried again.
//!
//! Owns what is written before the first step of a run. It knows no file, no directory and no
//! network: whoever calls holds the store, and has read what is in it. Type to read first:
//! [`Wanted`].

use groundswell_core::{
    device::Device,
    ids::{Epoch, RolloutId},
    log::Record,
    release::Digest,
    rollout::{Act, Acted, Numbers, Progression, Refusal, Spec, act, end_preparing, judge_anew},
    time::Time,
};

use super::PushError;
use crate::{
    engine::{
        beside::{acted, decider, looked_at},
        takeover::numbers,
    },
    store::{Batch, CohortName, RolloutRecord, Store, StoreError},
};

/// Devices written down in one transaction: some 20 ms of it.
const CHUNK: usize = 4_000;

/// What a push is to do.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What makes it the same push.
    pub identity: [u8; 32],
    /// The release, limits and waves.
    pub spec: &'a Spec,
    /// To whom, in this order.
    pub devices: &'a [&'a Device],
    /// How many of the first go before the others.
    pub canaries: u32,
}

/// Goes on with a rollout, by the limits of this run.
///
/// # Errors
/// [`PushError::Store`].
pub fn go_on<S: Store>(
    store: &mut S,
    wanted: &Wanted<'_>,
    mut record: RolloutRecord,
    now: Time,
) -> Result<RolloutRecord, PushError> {
    put_devices(store, wanted)?;
    let numbers = numbers(store, &record)?;
    let mut records = looked_at(store, &record)?;
    let waves = std::mem::replace(&mut record.spec, wanted.spec.clone()).waves;
    record.spec.waves = waves;
    // Without `--canary` the others do not wait for the verdict over the canaries.
    let waives_gate = wanted.canaries == 0;
    let asked = judge_anew(&record.progression, &record.spec, &numbers, waives_gate, now);
    record.progression = changed(asked).map_err(lost)?;
    records.extend([Record::TakenUp { waives_gate }, Record::stands(&record.progression, now)]);
    store.set_spec(record.key, &record.spec, now)?;
    store.commit(&standing(&record, records, now))?;
    Ok(record)
}

/// Opens the next round for the devices that failed. The waves are this run's, whatever those were
/// that the round before had.
///
/// # Errors
/// [`PushError::NothingToRetry`], and [`PushError::Store`].
pub fn retry<S: Store>(
    store: &mut S,
    wanted: &Wanted<'_>,
    mut record: RolloutRecord,
    now: Time,
) -> Result<RolloutRecord, PushError> {
    put_devices(store, wanted)?;
    let numbers = numbers(store, &record)?;
    let mut records = looked_at(store, &record)?;
    record.spec = wanted.spec.clone();
    let asked = act(&record.progression, &record.spec, &numbers, Act::Retry, now);
    record.progression = changed(asked).map_err(PushError::NothingToRetry)?;
    records.extend(acted(Act::Retry.into(), Ok(&record.progression), now));
    end_preparing(&mut record.progression);
    store.open_round(&record.spec, &standing(&record, records, now), wanted.canaries)?;
    Ok(record)
}

/// Devices are shared by all rollouts: another one may have written other addresses since, and
/// whoever runs a push again may have corrected a path. Both must not decide where this goes.
fn put_devices(store: &mut impl Store, wanted: &Wanted<'_>) -> Result<(), PushError> {
    for chunk in wanted.devices.chunks(CHUNK) {
        store.put_devices(chunk)?;
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

/// Begins a rollout. Cut short, it is preparing, and is taken back by whoever comes next.
///
/// # Errors
/// [`PushError::Store`].
pub fn create<S: Store>(
    store: &mut S,
    id: RolloutId,
    wanted: &Wanted<'_>,
    now: Time,
) -> Result<RolloutRecord, PushError> {
    let key = store.create(id, Some(&wanted.identity), wanted.spec, now)?;
    let mut record = store.rollout(key)?.ok_or_else(|| lost("a new rollout vanished"))?;
    let asked = act(&record.progression, &record.spec, &Numbers::default(), Act::Start, now);
    record.progression = changed(asked).map_err(lost)?;
    // Rows of a choice that is known are kept when it is given up before it begins.
    let mut records = vec![decider()];
    records.extend(acted(Act::Start.into(), Ok(&record.progression), now));
    let stood = record.progression.clone();
    record.progression.prepared = Some(Digest(wanted.identity).to_string());
    records.push(Record::Chosen(record.progression.prepared.clone()));
    store.commit(&standing(&record, records, now))?;
    let waves = 0..wanted.spec.wave_count();
    let cohorts: Vec<CohortName> = waves.map(|wave| CohortName { wave, zone: None }).collect();
    let mut number = 0;
    for chunk in wanted.devices.chunks(CHUNK) {
        let devices: Vec<(&Device, usize)> = chunk
            .iter()
            .map(|device| {
                // Canaries are the first of the inventory: whoever wrote it chose them.
                let is_canary = number < wanted.canaries;
                number += 1;
                (*device, if is_canary { 0 } else { cohorts.len() - 1 })
            })
            .collect();
        store.add_devices(key, &cohorts, &devices, now)?;
    }
    let mut records = looked_at(store, &record)?;
    end_preparing(&mut record.progression);
    let stands = Record::stands_since(Some(&stood), &record.progression, now);
    records.extend([Record::Prepared, stands]);
    record.devices = wanted.devices.len() as u64;
    store.commit(&standing(&record, records, now))?;
    Ok(record)
}

fn lost(what: &str) -> PushError {
    StoreError::Damaged(what.to_owned()).into()
}
