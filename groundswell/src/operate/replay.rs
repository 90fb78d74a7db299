//! Running the log of a rollout again: the bytes must be the same, and what the store says of the
//! rollout must follow from it.

use groundswell_core::log::{Entry, Record, Replay, Report};

use super::{OperateError, State};
use crate::{
    clock::zone_database,
    store::{LogRow, RolloutKey, Store, StoreError},
};

/// Longest part of a record that is repeated when it differs, in characters.
const ECHO_MAX: usize = 300;

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
    let again = replay.entry(&Entry { at: *at, records });
    let text = serde_json::to_string(&again.records).map_err(what)?;
    if text != *body {
        replay.mismatch(format!("row {seq} of the log: {}", first_difference(body, &text)));
    }
    Ok(())
}

/// What the log ends with is what else is stored.
fn hold_end(store: &dyn Store, rollout: RolloutKey, replay: &mut Replay) -> Result<(), StoreError> {
    let Some(record) = store.rollout(rollout)? else { return Ok(()) };
    let round = record.progression.round;
    let ends = replay.progression();
    if ends != Some(&record.progression) {
        let what = format!("it stands at {:?}, and its log ends with {ends:?}", record.progression);
        replay.mismatch(what);
    }
    let counts = store.cohorts(rollout, round)?.iter().map(|cohort| cohort.counts).sum();
    let follow = replay.counts(round);
    if follow != counts {
        replay.mismatch(format!("its devices are {counts:?}, and its log ends with {follow:?}"));
    }
    Ok(())
}

/// From where two texts differ.
fn first_difference(was: &str, is: &str) -> String {
    let same = was.chars().zip(is.chars()).take_while(|(was, is)| was == is).count();
    let from = |text: &str| text.chars().skip(same.saturating_sub(40)).take(ECHO_MAX).collect();
    let (was, is): (String, String) = (from(was), from(is));
    format!("was written as ...{was} and would be written as ...{is}")
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
