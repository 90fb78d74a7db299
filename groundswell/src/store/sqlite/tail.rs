//! The log of all rollouts as one, in the order of its rows.

use groundswell_core::{
    ids::{AssignmentId, RolloutId},
    snapshot::Counts,
    time::Time,
};
use rusqlite::{OptionalExtension as _, params};

use super::{SqliteStore, read, rows};
use crate::store::{LogRow, RolloutKey, StoreError, TailStore};

impl TailStore for SqliteStore {
    fn log_end(&self) -> Result<i64, StoreError> {
        let sql = "SELECT ifnull(max(seq), 0) FROM log";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    fn terms(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let sql = "SELECT log_end, id FROM term ORDER BY number";
        read::all(&self.connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn for_each_row_after(
        &self,
        seq: i64,
        rollout: Option<RolloutKey>,
        each: &mut dyn FnMut(RolloutKey, LogRow) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let of = if rollout.is_some() { "AND l.rollout = ?2" } else { "AND ?2 IS NULL" };
        // The rows are gone through in the order of their numbers, and the rollout of each looked up.
        let sql = format!(
            "SELECT l.seq, l.rollout, l.at, l.body FROM log l CROSS JOIN rollout r \
             ON r.key = l.rollout WHERE l.seq > ?1 AND l.seq >= r.log_from {of} ORDER BY l.seq"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut found = statement.query(params![seq, rollout.map(|key| key.0)])?;
        while let Some(row) = found.next()? {
            let at = Time::from_millis(row.get(2)?);
            let log_row = LogRow { seq: row.get(0)?, at, body: row.get(3)? };
            if !each(RolloutKey(row.get(1)?), log_row)? {
                break;
            }
        }
        Ok(())
    }

    fn pruned_since(&self, seq: i64) -> Result<Vec<(RolloutKey, i64)>, StoreError> {
        let sql = "SELECT key, log_from FROM rollout WHERE log_from > 0 AND log_from >= ?1";
        read::all(&self.connection, sql, [seq], |row| Ok((RolloutKey(row.get(0)?), row.get(1)?)))
    }

    fn identity_of(&self, rollout: RolloutKey) -> Result<Option<(RolloutId, i64)>, StoreError> {
        let sql = "SELECT id, (SELECT ifnull(min(seq), 0) FROM log WHERE rollout = ?1) \
                   FROM rollout WHERE key = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement
            .query_row([rollout.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
            .optional()?;
        let read = |(id, first): (String, i64)| {
            let id = id.parse().map_err(|_| {
                StoreError::Damaged(format!("rollout {}: its id is none", rollout.0))
            })?;
            Ok((RolloutId(id), first))
        };
        found.map(read).transpose()
    }

    fn for_each_device_of(
        &self,
        assignments: &[AssignmentId],
        each: &mut dyn FnMut(AssignmentId, String),
    ) -> Result<(), StoreError> {
        let sql = "SELECT a.id, d.id FROM json_each(?1) j CROSS JOIN assignment a ON a.id = j.value \
                   CROSS JOIN device d ON d.key = a.device";
        let ids: Vec<i64> = assignments.iter().map(|id| id.0).collect();
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = statement.query([rows::to_json(&ids)?])?;
        while let Some(row) = found.next()? {
            each(AssignmentId(row.get(0)?), row.get(1)?);
        }
        Ok(())
    }

    fn count_rollouts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "SELECT state, count(*) FROM rollout GROUP BY state";
        read::all(&self.connection, sql, [], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
        })
    }

    fn count_assignments(&self) -> Result<Counts, StoreError> {
        let counts = read::all(&self.connection, "SELECT counts FROM cohort", [], |row| {
            rows::json::<Counts>(&row.get::<_, String>(0)?)
        })?;
        Ok(counts.into_iter().sum())
    }
}
