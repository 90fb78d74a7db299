//! Assigning devices to the cohorts of a rollout.

use groundswell_core::{
    assignment::State,
    ids::AssignmentId,
    log::{Ids, Listed, Record},
    snapshot::Counts,
    time::Time,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{log, rows};
use crate::store::{Assign, CohortKey, CohortName, CohortRecord, RolloutKey, StoreError};

/// Rollout, cohort, device, state.
const ASSIGN: &str = "INSERT INTO assignment \
     (rollout, cohort, device, state, attempt, in_doubt, due_at, away_since, epoch, changed_at) \
     VALUES (?1, ?2, ?3, ?4, 0, 0, 0, 0, 0, 0)";

/// Rollout, device, the earliest round that matters.
const IS_THERE: &str = "SELECT 1 FROM assignment a JOIN cohort c ON c.key = a.cohort \
     WHERE a.device = ?2 AND a.rollout = ?1 AND c.round >= ?3";

pub(super) struct Assigner<'a> {
    connection: &'a Connection,
    rollout: RolloutKey,
    round: u32,
    cohorts: Vec<Cohort<'a>>,
    added: u64,
    /// What is written down of it in the log: cohort by its place, and state.
    listed: Vec<(usize, State, Ids)>,
}

struct Cohort<'a> {
    name: &'a CohortName,
    /// Its row and its devices, once one was assigned to it.
    row: Option<(CohortKey, Counts)>,
    added: Counts,
}

impl<'a> Assigner<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        rollout: RolloutKey,
        round: u32,
        cohorts: &'a [CohortName],
    ) -> Self {
        let cohorts =
            cohorts.iter().map(|name| Cohort { name, row: None, added: Counts::default() });
        let (cohorts, listed) = (cohorts.collect(), vec![]);
        Self { connection, rollout, round, cohorts, added: 0, listed }
    }

    /// Assigns a device that the round cannot have yet.
    pub(super) fn add(&mut self, device: &Assign) -> Result<(), StoreError> {
        let cohort = self.cohorts.get_mut(device.cohort);
        let cohort = cohort.ok_or_else(|| StoreError::Damaged("no such cohort".to_owned()))?;
        let (key, counts) = match &mut cohort.row {
            Some(row) => row,
            none => none.insert(find(self.connection, self.rollout, self.round, cohort.name)?),
        };
        *counts.of_mut(device.state) += 1;
        *cohort.added.of_mut(device.state) += 1;
        self.added += 1;
        self.connection.prepare_cached(ASSIGN)?.execute(params![
            self.rollout.0,
            key.0,
            device.device.0,
            rows::code(device.state)
        ])?;
        self.list(device, AssignmentId(self.connection.last_insert_rowid()));
        Ok(())
    }

    fn list(&mut self, device: &Assign, id: AssignmentId) {
        let is_like = |(cohort, state, _): &&mut (usize, State, Ids)| {
            (*cohort, *state) == (device.cohort, device.state)
        };
        match self.listed.iter_mut().rev().find(is_like) {
            Some((_, _, ids)) => ids.push(id),
            None => self.listed.push((device.cohort, device.state, Ids::one(id))),
        }
    }

    /// Assigns a device unless a round has it, from `first_round` on: one that an earlier round ended
    /// well with does not join again.
    pub(super) fn add_if_new(
        &mut self,
        device: &Assign,
        first_round: u32,
    ) -> Result<(), StoreError> {
        let mut is_there = self.connection.prepare_cached(IS_THERE)?;
        if is_there.exists(params![self.rollout.0, device.device.0, first_round])? {
            return Ok(());
        }
        self.add(device)
    }

    /// Writes the counts, and what the log says of it now, and returns the cohorts with the devices added counted.
    pub(super) fn finish(self, now: Time) -> Result<Vec<CohortRecord>, StoreError> {
        let mut added = vec![];
        for Cohort { name, row, added: counts } in &self.cohorts {
            if let Some((key, all)) = row {
                set_counts(self.connection, *key, all)?;
                let CohortName { wave, zone } = (*name).clone();
                added.push(CohortRecord { key: *key, wave, zone, counts: *counts });
            }
        }
        let records: Vec<Record> = self
            .listed
            .into_iter()
            .map(|(cohort, state, ids)| {
                let CohortName { wave, zone } = self.cohorts[cohort].name.clone();
                Record::Listed(Listed { round: self.round, wave, zone, state, ids })
            })
            .collect();
        log::write(self.connection, self.rollout, now, &records)?;
        if self.round == 1 {
            let sql = "UPDATE rollout SET devices = devices + ?2 WHERE key = ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.execute(params![self.rollout.0, self.added as i64])?;
        }
        Ok(added)
    }
}

pub(super) fn set_counts(
    connection: &Connection,
    cohort: CohortKey,
    counts: &Counts,
) -> Result<(), StoreError> {
    let sql = "UPDATE cohort SET counts = ?2 WHERE key = ?1";
    connection.prepare_cached(sql)?.execute(params![cohort.0, rows::to_json(counts)?])?;
    Ok(())
}

/// The row of a cohort, made if it is not there, and its devices so far.
pub(super) fn find(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    name: &CohortName,
) -> Result<(CohortKey, Counts), StoreError> {
    let zone = name.zone.as_ref().map_or("", |zone| zone.name());
    let wave = name.wave as i64;
    let sql = "SELECT key, counts FROM cohort \
               WHERE rollout = ?1 AND round = ?2 AND wave = ?3 AND zone = ?4";
    let found: Option<(i64, String)> = connection
        .prepare_cached(sql)?
        .query_row(params![rollout.0, round, wave, zone], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((key, counts)) = found {
        return Ok((CohortKey(key), rows::json(&counts)?));
    }
    let sql = "INSERT INTO cohort (rollout, round, wave, zone, counts) VALUES (?1, ?2, ?3, ?4, ?5)";
    let counts = Counts::default();
    let json = rows::to_json(&counts)?;
    connection.prepare_cached(sql)?.execute(params![rollout.0, round, wave, zone, json])?;
    Ok((CohortKey(connection.last_insert_rowid()), counts))
}
