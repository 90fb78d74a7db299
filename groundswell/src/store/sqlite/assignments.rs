//! The assignments of a round, page by page.

use groundswell_core::{assignment::State, time::Time};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::rows;
use crate::store::{AssignmentRow, AssignmentsPage, AssignmentsWant, CohortKey, StoreError};

/// Rows that are looked at for a page, whatever is found: some 20 ms.
const WALK_MAX: usize = 20_000;

/// The states of failures have an index of their own.
const IS_SHORT: &str = "a.state > 19 AND a.state <> 40 AND a.state <> 50";

pub(super) fn page(
    connection: &Connection,
    want: &AssignmentsWant<'_>,
) -> Result<AssignmentsPage, StoreError> {
    let mut found = AssignmentsPage::default();
    let mut left = WALK_MAX;
    for (wave, cohort) in cohorts(connection, want)? {
        let after = match want.after {
            Some((after_wave, after_cohort, _))
                if (wave, cohort.0) < (after_wave, after_cohort.0) =>
            {
                continue;
            }
            Some((_, after_cohort, id)) if cohort == after_cohort => id,
            _ => 0,
        };
        let rows = rows_of(connection, cohort, want.states, after, left.min(want.limit + 1))?;
        for row in rows {
            if found.rows.len() == want.limit || left == 0 {
                return Ok(found);
            }
            left -= 1;
            found.next = Some((wave, cohort, row.id));
            found.rows.push(AssignmentRow { wave, ..row });
        }
        if found.rows.len() == want.limit {
            // Whether there is another one only the next look tells.
            return Ok(found);
        }
    }
    found.next = None;
    Ok(found)
}

/// The cohorts of the round in the order of their waves, with these.
fn cohorts(
    connection: &Connection,
    want: &AssignmentsWant<'_>,
) -> Result<Vec<(usize, CohortKey)>, StoreError> {
    let sql = "SELECT wave, key FROM cohort WHERE rollout = ?1 AND round = ?2 \
               AND (?3 < 0 OR wave = ?3) ORDER BY wave, key";
    let wave = want.wave.map_or(-1, |wave| wave as i64);
    super::read::all(connection, sql, params![want.rollout.0, want.round, wave], |row| {
        Ok((row.get::<_, i64>(0)?.unsigned_abs() as usize, CohortKey(row.get(1)?)))
    })
}

fn rows_of(
    connection: &Connection,
    cohort: CohortKey,
    states: Option<&[State]>,
    after: i64,
    limit: usize,
) -> Result<Vec<AssignmentRow>, StoreError> {
    let codes: Option<Vec<i64>> =
        states.map(|states| states.iter().map(|state| rows::code(*state)).collect());
    let is_short =
        |codes: &Vec<i64>| codes.iter().all(|code| *code > 19 && ![40, 50].contains(code));
    let (index, condition) = match &codes {
        None => ("assignment_cohort", String::new()),
        Some(codes) => {
            let marks = vec!["?"; codes.len()].join(", ");
            let index = if is_short(codes) { "assignment_short" } else { "assignment_cohort" };
            let short = if is_short(codes) { format!("{IS_SHORT} AND ") } else { String::new() };
            (index, format!("AND {short}a.state IN ({marks})"))
        }
    };
    let sql = format!(
        "SELECT a.id, d.id, a.state, a.attempt, a.changed_at, t.text, r.text \
         FROM assignment a INDEXED BY {index} JOIN device d ON d.key = a.device \
         LEFT JOIN detail t ON t.assignment = a.id LEFT JOIN regressed r ON r.assignment = a.id \
         WHERE a.cohort = ? AND a.id > ? {condition} ORDER BY a.id LIMIT ?"
    );
    let mut values = vec![Value::Integer(cohort.0), Value::Integer(after)];
    values.extend(codes.unwrap_or_default().into_iter().map(Value::Integer));
    values.push(Value::Integer(limit as i64));
    super::read::all(connection, &sql, params_from_iter(values), |row| {
        Ok(AssignmentRow {
            id: row.get(0)?,
            device: row.get(1)?,
            wave: 0,
            state: rows::state(row.get(2)?)?,
            attempts: row.get(3)?,
            changed_at: Time::from_millis(row.get(4)?),
            detail: row.get(5)?,
            regressed: row.get(6)?,
        })
    })
}
