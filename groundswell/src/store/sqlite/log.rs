//! The log: one row for each transaction that changed a rollout, its body the JSON of the core's
//! records.

use groundswell_core::{log::Record, time::Time};
use rusqlite::{Connection, params};

use super::rows;
use crate::store::{LogRow, RolloutKey, StoreError};

/// Writes what happened at this time.
pub(super) fn write(
    connection: &Connection,
    rollout: RolloutKey,
    at: Time,
    records: &[Record],
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO log (rollout, at, body) VALUES (?1, ?2, ?3)";
    let body = rows::to_json(&records)?;
    connection.prepare_cached(sql)?.execute(params![rollout.0, at.as_millis(), body])?;
    Ok(())
}

/// Puts `base` in the place of a row, which the log begins with from then on, and says how many bytes
/// of text it is.
pub(super) fn shorten(
    connection: &Connection,
    rollout: RolloutKey,
    seq: i64,
    base: &Record,
) -> Result<u64, StoreError> {
    let sql = "UPDATE log SET body = ?3 WHERE rollout = ?1 AND seq = ?2";
    let body = rows::to_json(&[base])?;
    connection.execute(sql, params![rollout.0, seq, body])?;
    let sql = "UPDATE rollout SET log_from = ?2 WHERE key = ?1";
    connection.execute(sql, params![rollout.0, seq])?;
    Ok(body.len() as u64)
}

/// Removes at most `limit` rows before the beginning, and says how many these were.
pub(super) fn prune(
    connection: &Connection,
    rollout: RolloutKey,
    limit: usize,
) -> Result<usize, StoreError> {
    let sql = "DELETE FROM log WHERE seq IN (SELECT seq FROM log WHERE rollout = ?1 \
               AND seq < (SELECT log_from FROM rollout WHERE key = ?1) ORDER BY seq LIMIT ?2)";
    Ok(connection.execute(sql, params![rollout.0, limit as i64])?)
}

/// Hands the rows of a rollout to `each`, in order.
pub(super) fn for_each(
    connection: &Connection,
    rollout: RolloutKey,
    each: &mut dyn FnMut(LogRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = "SELECT seq, at, body FROM log WHERE rollout = ?1 \
               AND seq >= (SELECT log_from FROM rollout WHERE key = ?1) ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([rollout.0])?;
    while let Some(row) = found.next()? {
        let at = Time::from_millis(row.get(1)?);
        each(LogRow { seq: row.get(0)?, at, body: row.get(2)? })?;
    }
    Ok(())
}
