//! Who did not get the release, and why: by the index of those that ended short of it.

use groundswell_core::assignment::State;
use rusqlite::{Connection, params};

use super::{read, rows};
use crate::store::{RolloutKey, StoreError, Unfinished};

/// Whether `state` is one that the report of a run lists.
pub(super) fn is_unfinished(state: State) -> bool {
    !matches!(state, State::Succeeded | State::Skipped(_))
}

/// The condition of the index `assignment_short`: it failed, or was left as it was for a reason that
/// somebody may want to know.
const IS_SHORT: &str = "a.state > 19 AND a.state <> 40 AND a.state <> 50";

pub(super) fn for_each_unfinished(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    each: &mut dyn FnMut(Unfinished),
) -> Result<(), StoreError> {
    let sql = unfinished_sql();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![rollout.0, round, -1])?;
    while let Some(row) = rows.next()? {
        each(unfinished(row)?);
    }
    Ok(())
}

pub(super) fn failures(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    limit: usize,
) -> Result<Vec<Unfinished>, StoreError> {
    read::all(connection, &failures_sql(), params![rollout.0, round, limit as i64], unfinished)
}

pub(super) fn count_short(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<Vec<(State, u64)>, StoreError> {
    read::all(connection, &short_sql(), params![rollout.0, round], |row| {
        Ok((rows::state(row.get(0)?)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })
}

/// How many of those that were canceled had been begun: each canceled row is looked at.
pub(super) fn count_canceled_begun(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<u64, StoreError> {
    let canceled = rows::codes_where(|state| state == State::Canceled);
    let sql = format!(
        "SELECT count(*) FROM cohort c JOIN assignment a ON a.cohort = c.key \
         WHERE c.rollout = ?1 AND c.round = ?2 AND a.state IN ({canceled}) AND a.attempt > 0"
    );
    let counts = read::all(connection, &sql, params![rollout.0, round], |row| {
        Ok(row.get::<_, i64>(0)?.unsigned_abs())
    })?;
    Ok(counts.first().copied().unwrap_or(0))
}

/// Those that are sent to or asked, by the index of active assignments.
pub(super) fn open(
    connection: &Connection,
    rollout: RolloutKey,
    limit: usize,
) -> Result<Vec<Unfinished>, StoreError> {
    let sql = "SELECT d.id, a.state, a.attempt, t.text FROM assignment a INDEXED BY \
         assignment_active JOIN device d ON d.key = a.device \
         LEFT JOIN detail t ON t.assignment = a.id \
         WHERE a.state > 0 AND a.state < 4 AND a.rollout = ?1 AND a.state <> ?2 ORDER BY a.id LIMIT ?3";
    let retrying = rows::code(State::Retrying);
    read::all(connection, sql, params![rollout.0, retrying, limit as i64], unfinished)
}

/// Rollout, round, how many (-1: all).
fn unfinished_sql() -> String {
    let states = rows::codes_where(is_unfinished);
    format!(
        "SELECT d.id, a.state, a.attempt, t.text FROM cohort c \
         JOIN assignment a ON a.cohort = c.key \
         JOIN device d ON d.key = a.device LEFT JOIN detail t ON t.assignment = a.id \
         WHERE c.rollout = ?1 AND c.round = ?2 AND a.state IN ({states}) ORDER BY a.id LIMIT ?3"
    )
}

/// The rows of a round in the index: rollout, round. The index is used where its own condition
/// is repeated word by word.
fn in_index() -> String {
    format!(
        "FROM cohort c CROSS JOIN assignment a INDEXED BY assignment_short ON a.cohort = c.key \
         AND {IS_SHORT}"
    )
}

/// Rollout, round, how many.
fn failures_sql() -> String {
    let (rows, states) = (in_index(), rows::codes_where(State::is_failure));
    format!(
        "SELECT d.id, a.state, a.attempt, t.text {rows} JOIN device d ON d.key = a.device \
         LEFT JOIN detail t ON t.assignment = a.id \
         WHERE c.rollout = ?1 AND c.round = ?2 AND a.state IN ({states}) ORDER BY a.id LIMIT ?3"
    )
}

/// Rollout, round.
fn short_sql() -> String {
    let rows = in_index();
    format!(
        "SELECT a.state, count(*) {rows} WHERE c.rollout = ?1 AND c.round = ?2 \
         GROUP BY a.state ORDER BY count(*) DESC, a.state"
    )
}

pub(super) fn unfinished(row: &rusqlite::Row<'_>) -> Result<Unfinished, StoreError> {
    Ok(Unfinished {
        device: row.get(0)?,
        state: rows::state(row.get(1)?)?,
        attempts: row.get(2)?,
        detail: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use groundswell_core::assignment::SkipReason;

    use super::*;
    use crate::store::SqliteStore;

    #[test]
    fn who_failed_or_was_skipped_is_found_without_a_look_at_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        let cohorts =
            "SEARCH c USING COVERING INDEX sqlite_autoindex_cohort_1 (rollout=? AND round=?)";
        for (sql, index) in [(failures_sql(), "INDEX"), (short_sql(), "COVERING INDEX")] {
            let mut explain =
                store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut rows = explain.raw_query();
            let mut steps: Vec<String> = vec![];
            while let Some(row) = rows.next().unwrap() {
                steps.push(row.get(3).unwrap());
            }
            let found = format!("SEARCH a USING {index} assignment_short (cohort=? AND state");
            assert_eq!(steps[0], cohorts, "{sql}");
            assert!(steps[1].starts_with(&found), "{sql}: {}", steps[1]);
        }
    }

    #[test]
    fn the_index_has_those_that_failed_or_were_left_for_a_reason() {
        let connection = Connection::open_in_memory().unwrap();
        let sql = format!("SELECT {IS_SHORT} FROM (SELECT ?1 AS state) AS a");
        for state in State::ALL {
            let is_skipped = matches!(state, State::Skipped(_));
            let is_current = state == State::Skipped(SkipReason::AlreadyCurrent);
            let is_short = state.is_failure() || is_skipped && !is_current;
            let found: bool =
                connection.query_row(&sql, [rows::code(state)], |row| row.get(0)).unwrap();
            assert_eq!(found, is_short, "{state}");
        }
    }
}
