//! Reading: rollouts, counts, candidates, and who did not get the release.

use groundswell_core::{rollout::Progression, snapshot::Counts, time::Time};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::{is_unfinished, rows};
use crate::store::{Candidate, Cursor, Page, RolloutKey, RolloutRecord, StoreError, Unfinished};

pub(super) fn find(
    connection: &Connection,
    identity: &[u8; 32],
) -> Result<Option<RolloutRecord>, StoreError> {
    let sql = format!(
        "SELECT {} FROM rollout WHERE identity = ?1 AND state <> 'canceled' \
         ORDER BY key DESC LIMIT 1",
        rows::ROLLOUT_COLUMNS
    );
    Ok(all(connection, &sql, [identity], rows::rollout)?.pop())
}

pub(super) fn unfinished(connection: &Connection) -> Result<Vec<RolloutRecord>, StoreError> {
    let sql = format!(
        "SELECT {} FROM rollout WHERE state IN ('preparing', 'running', 'paused') ORDER BY key",
        rows::ROLLOUT_COLUMNS
    );
    all(connection, &sql, [], rows::rollout)
}

pub(super) fn progression(
    connection: &Connection,
    rollout: RolloutKey,
) -> Result<Progression, StoreError> {
    let sql = "SELECT progression FROM rollout WHERE key = ?1";
    let json: Option<String> =
        connection.query_row(sql, [rollout.0], |row| row.get(0)).optional()?;
    json.as_deref()
        .and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| StoreError::Damaged("a rollout has no readable progression".to_owned()))
}

pub(super) fn counts(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<Counts, StoreError> {
    let sql = "SELECT state, count(*) FROM assignment INDEXED BY assignment_round WHERE rollout = ?1 AND round = ?2 \
               GROUP BY state";
    let mut counts = Counts::default();
    let read = |row: &rusqlite::Row<'_>| -> Result<(i64, i64), StoreError> {
        Ok((row.get(0)?, row.get(1)?))
    };
    for (code, count) in all(connection, sql, params![rollout.0, round], read)? {
        *counts.of_mut(rows::state(code)?) += count.unsigned_abs();
    }
    Ok(counts)
}

pub(super) fn open(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<Vec<Candidate>, StoreError> {
    // By the index of active assignments: few, however large the fleet.
    let sql = format!(
        "SELECT {} FROM assignment a INDEXED BY assignment_active JOIN device d ON d.key = a.device \
         WHERE a.state IN (1, 2, 3) AND a.state <> 3 AND a.rollout = ?1 AND a.round = ?2 \
         ORDER BY a.id",
        rows::CANDIDATE_COLUMNS
    );
    all(connection, &sql, params![rollout.0, round], rows::candidate)
}

pub(super) fn candidates(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    cursor: Cursor,
    until: Time,
    limit: usize,
    fresh_limit: usize,
) -> Result<Page, StoreError> {
    let mut page = Page { cursor, ..Page::default() };
    let (retry_at, retry_id) = cursor.retrying;
    page.candidates = all(
        connection,
        &retrying_sql(),
        params![rollout.0, round, retry_at.as_millis(), retry_id, until.as_millis(), limit as i64],
        rows::candidate,
    )?;
    if let Some(last) = page.candidates.last() {
        page.cursor.retrying = (last.assignment.due_at, last.id.0);
    }
    let places = fresh_limit.min(limit - page.candidates.len());
    let queued = all(
        connection,
        &queued_sql(),
        params![rollout.0, round, cursor.queued, places as i64],
        rows::candidate,
    )?;
    page.is_queue_read = queued.len() < places;
    if let Some(last) = queued.last() {
        page.cursor.queued = last.id.0;
    }
    page.candidates.extend(queued);
    page.next_retry_at = next_retry(connection, rollout, round, page.cursor)?;
    Ok(page)
}

/// Rollout, round, behind (due at, id), due by then, how many.
pub(super) fn retrying_sql() -> String {
    format!(
        "SELECT {} FROM assignment a JOIN device d ON d.key = a.device \
         WHERE a.state = 3 AND a.rollout = ?1 AND a.round = ?2 \
         AND (a.due_at, a.id) > (?3, ?4) AND a.due_at <= ?5 ORDER BY a.due_at, a.id LIMIT ?6",
        rows::CANDIDATE_COLUMNS
    )
}

/// Rollout, round, behind id, how many.
pub(super) fn queued_sql() -> String {
    format!(
        "SELECT {} FROM assignment a INDEXED BY assignment_round JOIN device d ON d.key = a.device \
         WHERE a.state = 0 AND a.rollout = ?1 AND a.round = ?2 AND a.id > ?3 \
         ORDER BY a.id LIMIT ?4",
        rows::CANDIDATE_COLUMNS
    )
}

fn next_retry(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    cursor: Cursor,
) -> Result<Option<Time>, StoreError> {
    let (at, id) = cursor.retrying;
    let due_at: Option<i64> = connection
        .prepare_cached(
            "SELECT due_at FROM assignment WHERE state = 3 AND rollout = ?1 AND round = ?2 \
             AND (due_at, id) > (?3, ?4) ORDER BY due_at, id LIMIT 1",
        )?
        .query_row(params![rollout.0, round, at.as_millis(), id], |row| row.get(0))
        .optional()?;
    Ok(due_at.map(Time::from_millis))
}

pub(super) fn for_each_unfinished(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    each: &mut dyn FnMut(Unfinished),
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT d.id, a.state, a.attempt, t.text FROM assignment a \
         JOIN device d ON d.key = a.device LEFT JOIN detail t ON t.assignment = a.id \
         WHERE a.rollout = ?1 AND a.round = ?2 AND a.state IN ({}) ORDER BY a.id",
        rows::codes_where(is_unfinished)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![rollout.0, round])?;
    while let Some(row) = rows.next()? {
        each(Unfinished {
            device: row.get(0)?,
            state: rows::state(row.get(1)?)?,
            attempts: row.get(2)?,
            detail: row.get(3)?,
        });
    }
    Ok(())
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}
