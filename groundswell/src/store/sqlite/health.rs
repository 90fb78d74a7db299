//! Devices of waves that soak: who was updated, and who is not well since.

use groundswell_core::{assignment::State, ids::AssignmentId, time::Time};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{ended, quarantine, read, rows, tags};
use crate::store::{
    Patient, Patients, PatientsPage, PatientsWant, Regression, RolloutKey, StoreError, Unfinished,
};

/// What is taken over of what a device says of itself, so that no log grows by it; `device show` has the
/// rest.
const OWN_WORD_CHARS: usize = 160;

/// What is read of an assignment: the candidate, whether it is a patient, and what is known of it.
///
/// Whoever was sent something else since says nothing of the release any more; and whoever has no
/// address cannot be asked.
fn columns(pers: usize, first_key: usize) -> String {
    let active = "o.state > 0 AND o.state < 4";
    format!(
        "{}, a.state = {} AND d.address IS NOT NULL AND NOT EXISTS (SELECT 1 FROM assignment o \
         INDEXED BY assignment_device WHERE o.device = a.device AND o.id <> a.id \
         AND ({active} OR o.attempt > 0 AND o.changed_at > a.changed_at)), \
         r.assignment IS NOT NULL, f.assignment IS NOT NULL, \
         substr(u.text, 1, {OWN_WORD_CHARS}){}",
        rows::CANDIDATE_COLUMNS,
        rows::code(State::Succeeded),
        tags::columns("a.device", pers, first_key)
    )
}

const JOINS: &str = "JOIN device d ON d.key = a.device \
     LEFT JOIN regressed r ON r.assignment = a.id \
     LEFT JOIN failed_device f ON f.device = a.device AND f.assignment = a.id \
     LEFT JOIN unwell u ON u.device = a.device AND u.at >= a.changed_at";

/// Cohort, behind id, how many.
fn page_sql(pers: usize) -> String {
    format!(
        "SELECT {} FROM assignment a INDEXED BY assignment_cohort {JOINS} \
         WHERE a.cohort = ?1 AND a.id > ?2 ORDER BY a.id LIMIT ?3",
        columns(pers, 4)
    )
}

/// Assignment, rollout.
fn one_sql(pers: usize) -> String {
    format!(
        "SELECT {} FROM assignment a NOT INDEXED {JOINS} WHERE a.id = ?1 AND a.rollout = ?2",
        columns(pers, 3)
    )
}

pub(super) fn patients(
    connection: &Connection,
    want: &PatientsWant,
) -> Result<Patients, StoreError> {
    let mut found = Patients::default();
    let pers = want.pers.len();
    let with_keys = |of: &[i64]| {
        let of = of.iter().map(|param| Value::Integer(*param));
        params_from_iter(of.chain(want.pers.iter().map(tags::key)).collect::<Vec<_>>())
    };
    let row = |row: &rusqlite::Row<'_>| patient(row, pers);
    if let Some(PatientsPage { cohort, after, limit }) = want.page {
        let of = with_keys(&[cohort.0, after, limit as i64]);
        let looked_at = read::all(connection, &page_sql(pers), of, row)?;
        let last = looked_at.last().map_or(after, |(id, _)| id.0);
        found.read = Some((last, looked_at.len() < limit));
        found.page = looked_at.into_iter().filter_map(|(_, patient)| patient).collect();
    }
    for id in &want.again {
        let of = with_keys(&[id.0, want.rollout.0]);
        let one = read::all(connection, &one_sql(pers), of, row)?;
        found.again.extend(one.into_iter().filter_map(|(_, patient)| patient));
    }
    Ok(found)
}

fn patient(
    row: &rusqlite::Row<'_>,
    pers: usize,
) -> Result<(AssignmentId, Option<Patient>), StoreError> {
    let first = rows::CANDIDATE_COLUMN_COUNT;
    if !row.get::<_, bool>(first)? {
        return Ok((AssignmentId(row.get(0)?), None));
    }
    let mut candidate = rows::candidate(row)?;
    candidate.values = rows::values(row, first + 4, pers)?;
    let (is_regressed, keeps_slots) = (row.get(first + 1)?, row.get(first + 2)?);
    let own_word = row.get::<_, Option<String>>(first + 3)?.map(String::into_boxed_str);
    Ok((candidate.id, Some(Patient { candidate, is_regressed, keeps_slots, own_word })))
}

/// Writes down who is not well since its update: it failed the rollout after all.
pub(super) fn write(
    connection: &Connection,
    rollout: RolloutKey,
    regressed: &[Regression],
    at: Time,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO regressed (assignment, cohort, at, text) \
               SELECT id, cohort, ?3, ?4 FROM assignment WHERE id = ?1 AND rollout = ?2";
    let mut insert = connection.prepare_cached(sql)?;
    for Regression { id, text } in regressed {
        if insert.execute(params![id.0, rollout.0, at.as_millis(), text])? != 1 {
            return Err(StoreError::Damaged(format!("assignment {}: the row is missing", id.0)));
        }
        quarantine::failed(connection, (id.0, id.0), rollout, at)?;
    }
    Ok(())
}

/// How many of a round are not well since their update.
pub(super) fn count(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM cohort c JOIN regressed r ON r.cohort = c.key \
               WHERE c.rollout = ?1 AND c.round = ?2";
    let counted: i64 =
        connection.prepare_cached(sql)?.query_row(params![rollout.0, round], |row| row.get(0))?;
    Ok(counted.unsigned_abs())
}

/// Some of those of a round that are not well since their update, in order, each with what it said.
pub(super) fn list(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    limit: usize,
) -> Result<Vec<Unfinished>, StoreError> {
    let sql = "SELECT d.id, a.state, a.attempt, r.text FROM cohort c \
               JOIN regressed r ON r.cohort = c.key JOIN assignment a ON a.id = r.assignment \
               JOIN device d ON d.key = a.device \
               WHERE c.rollout = ?1 AND c.round = ?2 ORDER BY a.id LIMIT ?3";
    read::all(connection, sql, params![rollout.0, round, limit as i64], ended::unfinished)
}
