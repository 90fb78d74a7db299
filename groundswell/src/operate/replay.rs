//! Running the log of a rollout again: the bytes must be the same, and what the store says of the
//! rollout must follow from it.

use std::collections::BTreeSet;

use groundswell_core::{
    log::{Entry, Record, Replay, Report},
    rollout::Spec,
};
use serde_json::{Map, Value};

use super::{OperateError, State};
use crate::{
    clock::zone_database,
    store::{LogRow, RolloutKey, Store, StoreError},
};

/// Longest part of a row that is repeated when it differs, in characters: enough to find it.
const ECHO_MAX: usize = 40;

impl State {
    /// Runs the log of a rollout again.
    ///
    /// # Errors
    /// [`OperateError::Store`] if it cannot be read, or makes no sense.
    pub fn replay(&self, rollout: RolloutKey) -> Result<Report, OperateError> {
        Ok(replay(&self.store, rollout)?)
    }
}

/// Runs the log of a rollout in `store` again, and holds it against what else is stored of it.
///
/// # Errors
/// If the store cannot be read, or a row of the log makes no sense.
pub fn replay(store: &dyn Store, rollout: RolloutKey) -> Result<Report, StoreError> {
    replay_by(store, rollout, &mut |_, _| {})
}

/// The same; `after` looks at each row, and at the replay as it stands after it.
pub(super) fn replay_by(
    store: &dyn Store,
    rollout: RolloutKey,
    after: &mut dyn FnMut(&Replay, &LogRow),
) -> Result<Report, StoreError> {
    let mut replay = Replay::new(zone_database());
    // A driver may commit between two reads: its log and where it stands are read at one moment.
    store.at_once(&mut |store| {
        store.for_each_log_row(rollout, &mut |row| {
            again(&mut replay, &row)?;
            after(&replay, &row);
            Ok(())
        })?;
        hold_end(store, rollout, &mut replay)
    })?;
    Ok(replay.report())
}

/// Runs one row again.
fn again(replay: &mut Replay, LogRow { seq, at, body }: &LogRow) -> Result<(), StoreError> {
    let what = |error| StoreError::Damaged(format!("row {seq} of the log: {error}"));
    let records: Vec<Record> = serde_json::from_str(body).map_err(what)?;
    let found = replay.mismatches();
    let again = replay.entry(&Entry { at: *at, records });
    let text = serde_json::to_string(&again.records).map_err(what)?;
    // What differs in what it says was told.
    if text != *body && replay.mismatches() == found {
        replay.mismatch(written_otherwise(*seq, body, &text));
    }
    Ok(())
}

/// Where two texts differ that say the same.
fn written_otherwise(seq: i64, was: &str, is: &str) -> String {
    let same = was.chars().zip(is.chars()).take_while(|(was, is)| was == is).count();
    let from = |text: &str| -> String { text.chars().skip(same).take(ECHO_MAX).collect() };
    format!(
        "row {seq} of the log says the same, and is not written as this program does: from \
         character {} on it is {} and would be {}",
        same + 1,
        from(was),
        from(is)
    )
}

/// What the log ends with is what else is stored.
fn hold_end(store: &dyn Store, rollout: RolloutKey, replay: &mut Replay) -> Result<(), StoreError> {
    let Some(record) = store.rollout(rollout)? else { return Ok(()) };
    let counts = store.cohorts(rollout, record.progression.round)?;
    let counts = counts.iter().map(|cohort| cohort.counts).sum();
    replay.hold_stored(&record.progression, &counts);
    let (found_by, is) = (store.state_column(rollout)?, record.progression.state);
    if found_by != is.as_str() {
        replay.mismatch(format!("at the end: it is found by the state {found_by}, and is {is}"));
    }
    if let Some(ends) = replay.spec() {
        let differing = differing(&record.spec, ends)?;
        if !differing.is_empty() {
            replay.mismatch(format!("at the end: its spec: {}", differing.join("; ")));
        }
    }
    let mut others = vec![];
    store.for_each_assigned(rollout, &mut |id, device| {
        if let Some(named) = replay.device(id).filter(|named| *named != device) {
            let what = format!("stored is {device}, its log says {named}");
            others.push(format!("at the end: the device of assignment {id}: {what}"));
        }
    })?;
    for what in others {
        replay.mismatch(what);
    }
    Ok(())
}

/// The fields of a spec that differ, each with what is stored and what the log ends with.
fn differing(stored: &Spec, ends: &Spec) -> Result<Vec<String>, StoreError> {
    let value = |spec: &Spec| {
        serde_json::to_value(spec).map_err(|error| StoreError::Damaged(error.to_string()))
    };
    let mut all = vec![];
    compare("", &value(stored)?, &value(ends)?, &mut all);
    Ok(all)
}

fn compare(name: &str, stored: &Value, ends: &Value, all: &mut Vec<String>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match (stored, ends) {
        _ if stored == ends => {}
        (Value::Object(stored), Value::Object(ends)) => {
            let keys: BTreeSet<&String> = stored.keys().chain(ends.keys()).collect();
            for key in keys {
                let of = |all: &Map<String, Value>| all.get(key).cloned().unwrap_or_default();
                compare(&below(key), &of(stored), &of(ends), all);
            }
        }
        (Value::Array(stored), Value::Array(ends)) if stored.len() == ends.len() => {
            for (number, (stored, ends)) in stored.iter().zip(ends).enumerate() {
                compare(&below(&(number + 1).to_string()), stored, ends, all);
            }
        }
        _ => all.push(format!("{name}: stored is {stored}, its log ends with {ends}")),
    }
}

#[cfg(test)]
mod tests {
    use groundswell_core::{
        device::Device,
        ids::RolloutId,
        release::{Digest, Release},
        rollout::Spec,
        time::Time,
    };

    use super::*;
    use crate::store::{CohortName, SqliteStore};

    #[test]
    fn what_is_written_while_a_log_runs_again_is_no_difference() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut driver = SqliteStore::open(&path).unwrap();
        let release = Release {
            name: "pos".to_owned(),
            version: "2".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 1,
        };
        let id = RolloutId(uuid::Uuid::now_v7());
        let rollout = driver.create(id, None, &Spec::immediate(release), Time::ZERO).unwrap();
        let mut add = |id: &str| {
            let device = Device { id: id.to_owned(), ..Device::default() };
            let cohort = CohortName { wave: 0, zone: None };
            driver.add_devices(rollout, &[cohort], &[(&device, 0)], Time::ZERO).unwrap();
        };
        add("pos-1");
        let reader = SqliteStore::open_to_read(&path).unwrap().unwrap();
        let mut rows = 0;
        let mut write_beside = |_: &Replay, _: &LogRow| {
            rows += 1;
            add(&format!("pos-beside-{rows}"));
        };
        let report = replay_by(&reader, rollout, &mut write_beside).unwrap();
        assert_eq!((report.mismatches, report.devices), (vec![], 1));
        let report = replay(&reader, rollout).unwrap();
        assert_eq!((report.mismatches, report.devices), (vec![], 1 + rows));
    }
}
