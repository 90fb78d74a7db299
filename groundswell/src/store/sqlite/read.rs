//! Reading: rollouts, counts, and where a device stands.

use groundswell_core::{
    assignment::Assignment, ids::AssignmentId, rollout::State, snapshot::Counts, time::Time,
};
use rusqlite::{Connection, Params, params};

use super::{ended::is_unfinished, health, rows};
use crate::store::{
    CohortKey, CohortRecord, DeviceKey, EachAssigned, RolloutKey, RolloutRecord, Standing,
    StoreError, Which,
};

pub(super) fn find(
    connection: &Connection,
    identity: &[u8; 32],
    before: Option<RolloutKey>,
) -> Result<Option<RolloutRecord>, StoreError> {
    let sql = format!(
        "SELECT {} FROM rollout WHERE identity = ?1 AND state NOT IN ('canceled', 'aborted') \
         AND key < ?2 ORDER BY key DESC LIMIT 1",
        rows::ROLLOUT_COLUMNS
    );
    let before = before.map_or(i64::MAX, |key| key.0);
    Ok(all(connection, &sql, params![identity, before], rows::rollout)?.pop())
}

pub(super) fn rollout(
    connection: &Connection,
    key: RolloutKey,
) -> Result<Option<RolloutRecord>, StoreError> {
    let sql = format!("SELECT {} FROM rollout WHERE key = ?1", rows::ROLLOUT_COLUMNS);
    Ok(all(connection, &sql, [key.0], rows::rollout)?.pop())
}

/// The state that a rollout is found by.
pub(super) fn state_column(connection: &Connection, key: RolloutKey) -> Result<String, StoreError> {
    let sql = "SELECT state FROM rollout WHERE key = ?1";
    Ok(connection.query_row(sql, [key.0], |row| row.get(0))?)
}

/// Every assignment of a rollout, with the id of its device.
pub(super) fn for_each_assigned(
    connection: &Connection,
    key: RolloutKey,
    each: EachAssigned<'_>,
) -> Result<(), StoreError> {
    let sql = "SELECT a.id, d.id FROM cohort c JOIN assignment a ON a.cohort = c.key \
               JOIN device d ON d.key = a.device WHERE c.rollout = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([key.0])?;
    while let Some(row) = found.next()? {
        let device = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        each(AssignmentId(row.get(0)?), device);
    }
    Ok(())
}

pub(super) fn rollouts(
    connection: &Connection,
    which: Which,
) -> Result<Vec<RolloutRecord>, StoreError> {
    let states: Vec<String> = State::ALL
        .into_iter()
        .filter(|state| match which {
            Which::All => true,
            Which::Unended => !state.is_ended(),
            Which::Driven => state.is_driven(),
        })
        .map(|state| format!("'{state}'"))
        .collect();
    let sql = format!(
        "SELECT {} FROM rollout WHERE state IN ({}) ORDER BY key",
        rows::ROLLOUT_COLUMNS,
        states.join(", ")
    );
    all(connection, &sql, [], rows::rollout)
}

/// A rollback takes devices over from the round that it rolls back while that goes on, and from none
/// that begins later.
pub(super) fn rivals(
    connection: &Connection,
    rollout: RolloutKey,
) -> Result<Vec<RolloutKey>, StoreError> {
    let ended = State::ALL.into_iter().filter(|state| state.is_ended());
    let ended: Vec<String> = ended.map(|state| format!("'{state}'")).collect();
    let ended = ended.join(", ");
    let sql = format!(
        "SELECT newer.key FROM rollout own JOIN rollout newer ON newer.key > own.key \
               AND json_extract(newer.spec, '$.release.name') = \
               json_extract(own.spec, '$.release.name') \
               AND json_extract(newer.progression, '$.started_at') IS NOT NULL \
               AND (newer.rolls_back IS NULL OR newer.rolls_back = own.key \
               AND own.state NOT IN ({ended}) \
               AND newer.created_at >= json_extract(own.progression, '$.started_at')) \
               WHERE own.key = ?1 ORDER BY newer.key"
    );
    all(connection, &sql, [rollout.0], |row| Ok(RolloutKey(row.get(0)?)))
}

pub(super) fn cohorts(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<Vec<CohortRecord>, StoreError> {
    let sql = "SELECT key, wave, zone, counts FROM cohort WHERE rollout = ?1 AND round = ?2 \
               ORDER BY wave, zone";
    all(connection, sql, params![rollout.0, round], |row| {
        Ok(CohortRecord {
            key: CohortKey(row.get(0)?),
            wave: row.get::<_, i64>(1)?.unsigned_abs() as usize,
            zone: rows::zone(&row.get::<_, String>(2)?)?,
            counts: rows::json(&row.get::<_, String>(3)?)?,
        })
    })
}

pub(super) fn completed(connection: &Connection, release_name: &str) -> Result<Counts, StoreError> {
    let sql = "SELECT c.counts FROM rollout r JOIN cohort c ON c.rollout = r.key \
               WHERE r.state = 'completed' AND json_extract(r.spec, '$.release.name') = ?1";
    let counts = all(connection, sql, [release_name], |row| {
        rows::json::<Counts>(&row.get::<_, String>(0)?)
    })?;
    Ok(counts.into_iter().sum())
}

/// The assignments of the rounds that a condition holds for.
fn of_rounds(condition: &str) -> String {
    format!(
        "SELECT a.state, count(*) FROM cohort c \
         JOIN assignment a INDEXED BY assignment_cohort ON a.cohort = c.key \
         WHERE c.rollout = ?1 AND {condition} GROUP BY a.state"
    )
}

pub(super) fn count(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<Counts, StoreError> {
    let counts = tally(connection, &of_rounds("c.round = ?2"), params![rollout.0, round])?;
    Ok(Counts { regressed: health::count(connection, rollout, round)?, ..counts })
}

pub(super) fn counts_before(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<Counts, StoreError> {
    // All others have gone on to the next round: those, too, that are not well since their update.
    let well = rows::codes_where(|state| !is_unfinished(state));
    let sql = of_rounds(&format!(
        "c.round < ?2 AND a.state IN ({well}) \
         AND NOT EXISTS (SELECT 1 FROM regressed r WHERE r.assignment = a.id)"
    ));
    tally(connection, &sql, params![rollout.0, round])
}

pub(super) fn tally(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let read = |row: &rusqlite::Row<'_>| -> Result<(i64, i64), StoreError> {
        Ok((row.get(0)?, row.get(1)?))
    };
    for (code, count) in all(connection, sql, params, read)? {
        *counts.of_mut(rows::state(code)?) += count.unsigned_abs();
    }
    Ok(counts)
}

pub(super) fn is_overtaken(
    connection: &Connection,
    rollout: RolloutKey,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM assignment later WHERE later.rollout > ?1 \
               AND later.attempt > 0 AND later.device IN \
               (SELECT device FROM assignment WHERE rollout = ?1))";
    Ok(connection.query_row(sql, [rollout.0], |row| row.get(0))?)
}

pub(super) fn standings(
    connection: &Connection,
    device: DeviceKey,
) -> Result<Vec<Standing>, StoreError> {
    let sql = "SELECT a.rollout, c.round, c.wave, c.zone, a.state, a.attempt, a.in_doubt, \
               a.due_at, a.away_since, a.changed_at, t.text, a.id, r.text \
               FROM assignment a INDEXED BY assignment_device JOIN cohort c ON c.key = a.cohort \
               LEFT JOIN detail t ON t.assignment = a.id \
               LEFT JOIN regressed r ON r.assignment = a.id WHERE a.device = ?1 ORDER BY a.id";
    let time = |millis: i64| Time::from_millis(millis);
    all(connection, sql, [device.0], |row| {
        Ok(Standing {
            id: AssignmentId(row.get(11)?),
            rollout: RolloutKey(row.get(0)?),
            round: row.get(1)?,
            wave: row.get::<_, i64>(2)?.unsigned_abs() as usize,
            zone: rows::zone(&row.get::<_, String>(3)?)?,
            assignment: Assignment {
                state: rows::state(row.get(4)?)?,
                attempt: row.get(5)?,
                in_doubt: row.get(6)?,
                due_at: time(row.get(7)?),
                away_since: time(row.get(8)?),
            },
            changed_at: Some(time(row.get(9)?)).filter(|at| *at > Time::ZERO),
            detail: row.get(10)?,
            regressed: row.get(12)?,
        })
    })
}

pub(super) fn all<T>(
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
