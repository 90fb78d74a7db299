//! Candidates: who is next, who is due again, who is active, who waits for a device.

use groundswell_core::{budget::Per, ids::AssignmentId, time::Time};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value};

use super::{read::all, rows, tags};
use crate::store::{
    Candidate, Cursor, DeviceKey, Page, QueueRead, QueueWant, RolloutKey, StoreError, Want,
};

pub(super) fn active(
    connection: &Connection,
    rollout: RolloutKey,
) -> Result<Vec<Candidate>, StoreError> {
    // By the index of active assignments: few, however large the fleet.
    let sql = format!(
        "SELECT {} FROM assignment a INDEXED BY assignment_active JOIN device d ON d.key = a.device \
         WHERE a.state > 0 AND a.state < 4 AND a.rollout = ?1 ORDER BY a.id",
        rows::CANDIDATE_COLUMNS
    );
    all(connection, &sql, params![rollout.0], rows::candidate)
}

pub(super) fn waiting(
    connection: &Connection,
    device: DeviceKey,
) -> Result<Vec<(RolloutKey, Candidate)>, StoreError> {
    let sql = format!(
        "SELECT {}, a.rollout FROM assignment a INDEXED BY assignment_waiting \
         JOIN device d ON d.key = a.device WHERE a.device = ?1 AND a.state IN (4, 5) ORDER BY a.id",
        rows::CANDIDATE_COLUMNS
    );
    all(connection, &sql, [device.0], |row| {
        Ok((RolloutKey(row.get(rows::CANDIDATE_COLUMN_COUNT)?), rows::candidate(row)?))
    })
}

pub(super) fn candidates(connection: &Connection, want: &Want) -> Result<Page, StoreError> {
    let mut page = Page { cursor: want.cursor, ..Page::default() };
    let shape = Shape { is_known: want.is_known_wanted, rivals: &want.rivals, pers: &want.pers };
    let Cursor { due_at, id } = want.cursor;
    let read = |row: &rusqlite::Row<'_>| shape.read(row);
    let due = [want.rollout.0, due_at.as_millis(), id, want.until.as_millis(), want.limit as i64];
    page.candidates = all(connection, &shape.due_sql(), shape.with_keys(&due), read)?;
    if let Some(last) = page.candidates.last() {
        page.cursor = Cursor { due_at: last.assignment.due_at, id: last.id.0 };
    }
    if let Some(QueueWant { cohort, after, limit, is_sweep }) = want.queue {
        let places = limit.min(want.limit.saturating_sub(page.candidates.len()));
        let sql = shape.queue_sql(is_sweep);
        let of = [cohort.0, after, places as i64];
        let found = all(connection, &sql, shape.with_keys(&of), read)?;
        let last = found.last().map_or(after, |last| last.id.0);
        let is_end = found.len() < places;
        page.queue = Some(QueueRead { cohort, last, is_end, is_sweep });
        page.candidates.extend(found);
    }
    page.refreshed =
        each(connection, &want.refresh, &shape.refresh_sql(), &want.pers, |id, row| {
            let values = rows::values(row, rows::KNOWN_COLUMN_COUNT, want.pers.len())?;
            Ok((id, rows::known_alone(row)?, values))
        })?;
    let called = |id, row: &rusqlite::Row<'_>| Ok((id, read(row)?));
    let called = each(connection, &want.recall, &shape.recall_sql(), &want.pers, called)?;
    let mut called: HashMap<AssignmentId, Candidate> = called.into_iter().collect();
    page.recalled = want.recall.iter().map(|id| (*id, called.remove(id))).collect();
    page.next_due_at = next_due(connection, want.rollout, page.cursor)?;
    Ok(page)
}

/// What a query says of each of these assignments, which are its first parameter; behind it are the keys
/// of tags. There are many, so that all else is done once for all of them.
fn each<T>(
    connection: &Connection,
    ids: &[AssignmentId],
    sql: &str,
    pers: &[Per],
    read: impl Fn(AssignmentId, &rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    if ids.is_empty() {
        return Ok(found);
    }
    let mut statement = connection.prepare_cached(sql)?;
    for (at, per) in pers.iter().enumerate() {
        statement.raw_bind_parameter(at + 2, tags::key(per))?;
    }
    for id in ids {
        statement.raw_bind_parameter(1, id.0)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            found.push(read(*id, row)?);
        }
    }
    Ok(found)
}

/// What is read of each candidate beside itself.
pub(super) struct Shape<'a> {
    pub(super) is_known: bool,
    pub(super) rivals: &'a [RolloutKey],
    pub(super) pers: &'a [Per],
}

impl Shape<'_> {
    /// Parameters, and behind them the keys of tags that are asked about.
    fn with_keys(&self, params: &[i64]) -> impl rusqlite::Params {
        let params = params.iter().map(|param| Value::Integer(*param));
        params_from_iter(params.chain(self.pers.iter().map(tags::key)).collect::<Vec<_>>())
    }

    /// Rollout, behind (due at, id), due by then, how many.
    pub(super) fn due_sql(&self) -> String {
        format!(
            "SELECT {} FROM assignment a INDEXED BY assignment_due \
             JOIN device d ON d.key = a.device {} \
             WHERE a.state IN (4, 5) AND a.rollout = ?1 \
             AND (a.due_at, a.id) > (?2, ?3) AND a.due_at <= ?4 ORDER BY a.due_at, a.id LIMIT ?5",
            self.columns(6),
            self.join()
        )
    }

    /// Cohort, behind id, how many.
    pub(super) fn queue_sql(&self, is_sweep: bool) -> String {
        let states = if is_sweep { "IN (0, 4, 5)" } else { "= 0" };
        format!(
            "SELECT {} FROM assignment a INDEXED BY assignment_cohort \
             JOIN device d ON d.key = a.device {} \
             WHERE a.state {states} AND a.cohort = ?1 AND a.id > ?2 ORDER BY a.id LIMIT ?3",
            self.columns(4),
            self.join()
        )
    }

    /// Assignment.
    pub(super) fn recall_sql(&self) -> String {
        format!(
            "SELECT {} FROM assignment a JOIN device d ON d.key = a.device {} \
             WHERE a.id = ?1 AND a.state = 0",
            self.columns(2),
            self.join()
        )
    }

    /// Assignment.
    pub(super) fn refresh_sql(&self) -> String {
        format!(
            "SELECT {}{} FROM assignment a JOIN device d ON d.key = a.device \
             LEFT JOIN seen s ON s.device = a.device WHERE a.id = ?1",
            self.known_columns(),
            tags::columns("a.device", self.pers.len(), 2)
        )
    }

    fn columns(&self, first_key: usize) -> String {
        let columns = rows::CANDIDATE_COLUMNS;
        let tags = tags::columns("a.device", self.pers.len(), first_key);
        if !self.asks() {
            return format!("{columns}{tags}");
        }
        format!("{columns}, {}{tags}", self.known_columns())
    }

    /// Whether what is known of devices is asked.
    const fn asks(&self) -> bool {
        self.is_known || !self.rivals.is_empty()
    }

    fn known_columns(&self) -> String {
        let rivals: Vec<String> = self.rivals.iter().map(|key| key.0.to_string()).collect();
        let left = rows::codes_where(|state| !state.supersedes());
        format!(
            "s.at, d.check_in_secs, s.version, EXISTS (SELECT 1 FROM assignment r \
             INDEXED BY assignment_device WHERE r.device = a.device AND r.rollout IN ({}) \
             AND r.state NOT IN ({left})), \
             (SELECT count(*) FROM failed_rollout f WHERE f.device = a.device)",
            rivals.join(", ")
        )
    }

    const fn join(&self) -> &'static str {
        if self.asks() { "LEFT JOIN seen s ON s.device = a.device" } else { "" }
    }

    fn read(&self, row: &rusqlite::Row<'_>) -> Result<Candidate, StoreError> {
        let mut candidate = rows::candidate(row)?;
        let mut columns = rows::CANDIDATE_COLUMN_COUNT;
        if self.asks() {
            candidate.known = Some(Box::new(rows::known(row)?));
            columns += rows::KNOWN_COLUMN_COUNT;
        }
        candidate.values = rows::values(row, columns, self.pers.len())?;
        Ok(candidate)
    }
}

fn next_due(
    connection: &Connection,
    rollout: RolloutKey,
    cursor: Cursor,
) -> Result<Option<Time>, StoreError> {
    let due_at: Option<i64> = connection
        .prepare_cached(
            "SELECT due_at FROM assignment INDEXED BY assignment_due \
             WHERE state IN (4, 5) AND rollout = ?1 \
             AND (due_at, id) > (?2, ?3) ORDER BY due_at, id LIMIT 1",
        )?
        .query_row(params![rollout.0, cursor.due_at.as_millis(), cursor.id], |row| row.get(0))
        .optional()?;
    Ok(due_at.map(Time::from_millis))
}
