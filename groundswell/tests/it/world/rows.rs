//! The rows of the database as they are, read past the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use groundswell::{
    core::{
        assignment::{FailReason, SkipReason, State, Step},
        log::Record,
        snapshot::Counts,
        time::Time,
    },
    store::{DeviceKey, LogRow, RolloutKey},
};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

pub(crate) struct Rows(Connection);

/// An assignment as it is written.
pub(crate) struct Listed {
    pub(crate) id: i64,
    pub(crate) device: String,
    pub(crate) wave: usize,
    pub(crate) state: State,
}

/// A cohort: what it says it has, and what it has.
pub(crate) struct CohortCounts {
    pub(crate) rollout: RolloutKey,
    pub(crate) key: i64,
    pub(crate) said: Counts,
    pub(crate) counted: Counts,
}

impl Rows {
    pub(crate) fn open(path: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self(Connection::open_with_flags(path, flags).unwrap())
    }

    /// `ok`, or what is damaged.
    pub(crate) fn integrity(&self) -> String {
        self.0.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap()
    }

    /// The assignments of a round behind one of them.
    pub(crate) fn behind(&self, rollout: RolloutKey, round: u32, after: i64) -> Vec<Listed> {
        let sql = "SELECT a.id, d.id, c.wave, a.state FROM assignment a \
                   JOIN cohort c ON c.key = a.cohort JOIN device d ON d.key = a.device \
                   WHERE c.rollout = ?1 AND c.round = ?2 AND a.id > ?3 ORDER BY a.id";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let found = statement.query_map(params![rollout.0, round, after], |row| {
            let wave: i64 = row.get(2)?;
            let state = state(row.get(3)?);
            Ok(Listed { id: row.get(0)?, device: row.get(1)?, wave: wave as usize, state })
        });
        found.unwrap().map(Result::unwrap).collect()
    }

    /// The rows of a rollout's log behind one of them.
    pub(crate) fn logged(&self, rollout: RolloutKey, after: i64) -> Vec<LogRow> {
        let sql = "SELECT seq, at, body FROM log WHERE rollout = ?1 AND seq > ?2 ORDER BY seq";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let found = statement.query_map(params![rollout.0, after], |row| {
            let at = Time::from_millis(row.get(1)?);
            Ok(LogRow { seq: row.get(0)?, at, body: row.get(2)? })
        });
        found.unwrap().map(Result::unwrap).collect()
    }

    /// The number of the last row of a rollout's log; 0 if it has none.
    pub(crate) fn logged_to(&self, rollout: RolloutKey) -> i64 {
        let sql = "SELECT coalesce(max(seq), 0) FROM log WHERE rollout = ?1";
        self.0.prepare_cached(sql).unwrap().query_row([rollout.0], |row| row.get(0)).unwrap()
    }

    /// The id of a device.
    pub(crate) fn device(&self, key: DeviceKey) -> String {
        let mut statement = self.0.prepare_cached("SELECT id FROM device WHERE key = ?1").unwrap();
        statement.query_row([key.0], |row| row.get(0)).unwrap()
    }

    /// Devices that keep their slots because they failed.
    pub(crate) fn failed(&self) -> BTreeSet<String> {
        let sql = "SELECT d.id FROM failed_device f JOIN device d ON d.key = f.device";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let found = statement.query_map([], |row| row.get(0));
        found.unwrap().map(Result::unwrap).collect()
    }

    /// Devices that failed rollouts in a row, and how many.
    pub(crate) fn failing(&self) -> BTreeMap<String, usize> {
        let sql = "SELECT d.id, count(*) FROM failed_rollout f JOIN device d ON d.key = f.device \
                   GROUP BY f.device";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let found = statement.query_map([], |row| {
            let failed: i64 = row.get(1)?;
            Ok((row.get(0)?, failed as usize))
        });
        found.unwrap().map(Result::unwrap).collect()
    }

    /// What a device is known to run.
    pub(crate) fn version(&self, id: &str) -> Option<String> {
        let sql = "SELECT s.version FROM device d JOIN seen s ON s.device = d.key WHERE d.id = ?1";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        statement.query_row([id], |row| row.get(0)).optional().unwrap().flatten()
    }

    /// The rollouts that the log of one says roll it back.
    pub(crate) fn rolled_back_by(&self, rollout: RolloutKey) -> BTreeSet<i64> {
        let sql = "SELECT body FROM log WHERE rollout = ?1 AND body LIKE '%rolled_back%'";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let found = statement.query_map([rollout.0], |row| row.get::<_, String>(0)).unwrap();
        let records =
            found.flat_map(|body| -> Vec<Record> { serde_json::from_str(&body.unwrap()).unwrap() });
        let by = records.filter_map(|record| match record {
            Record::RolledBack(told) => Some(told.by),
            _ => None,
        });
        by.flatten().collect()
    }

    /// Every assignment and where it stands, in the order of their ids; and of every cohort the counts
    /// it says it has, and those of its rows.
    pub(crate) fn whole(&self) -> (Vec<(i64, State)>, Vec<CohortCounts>) {
        let mut counted: BTreeMap<i64, Counts> = BTreeMap::new();
        let sql = "SELECT id, cohort, state FROM assignment ORDER BY id";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let found = statement.query_map([], |row| {
            let state = state(row.get(2)?);
            *counted.entry(row.get(1)?).or_default().of_mut(state) += 1;
            Ok((row.get(0)?, state))
        });
        let states = found.unwrap().map(Result::unwrap).collect();
        let sql = "SELECT a.cohort FROM regressed r JOIN assignment a ON a.id = r.assignment";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        for cohort in statement.query_map([], |row| row.get(0)).unwrap() {
            counted.entry(cohort.unwrap()).or_default().regressed += 1;
        }
        let sql = "SELECT rollout, key, counts FROM cohort";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let found = statement.query_map([], |row| {
            let key: i64 = row.get(1)?;
            let said = serde_json::from_str(&row.get::<_, String>(2)?).unwrap();
            let counted = counted.remove(&key).unwrap_or_default();
            Ok(CohortCounts { rollout: RolloutKey(row.get(0)?), key, said, counted })
        });
        let cohorts = found.unwrap().map(Result::unwrap).collect();
        (states, cohorts)
    }
}

/// The codes of states, written down a second time.
fn state(code: i64) -> State {
    match code {
        0 => State::Queued,
        1 => State::Delivering,
        2 => State::Verifying,
        3 => State::Retrying,
        4 => State::Away,
        5 => State::Absent,
        10 => State::Succeeded,
        20 => State::Failed(FailReason::Rejected),
        21 => State::Failed(FailReason::DeviceError),
        22 => State::Failed(FailReason::Transfer),
        23 => State::Failed(FailReason::Verification),
        24 => State::Failed(FailReason::Unreachable),
        30 => State::TimedOut(Step::Delivering),
        31 => State::TimedOut(Step::Verifying),
        40 => State::Canceled,
        50 => State::Skipped(SkipReason::AlreadyCurrent),
        51 => State::Skipped(SkipReason::Offline),
        52 => State::Skipped(SkipReason::NoAddress),
        53 => State::Skipped(SkipReason::Superseded),
        54 => State::Skipped(SkipReason::Downgrade),
        55 => State::Skipped(SkipReason::Deadline),
        56 => State::Skipped(SkipReason::WindowClosed),
        57 => State::Skipped(SkipReason::Quarantined),
        other => panic!("state {other} is none"),
    }
}
