//! Rolling back: what devices ran before a rollout changed them, and the rollouts that bring it back.
//!
//! Who goes back to what is the core's to say; here is only what it goes by.

use groundswell_core::{
    assignment::{FailReason, State},
    log::{Record, RolledBack},
    rollback::Changed,
    time::Time,
};
use rusqlite::{Connection, OptionalExtension};

use super::{log, read::all, rollout, rows};
use crate::store::{
    Chosen, DeviceKey, EachChanged, Rollback, RolloutKey, RolloutRecord, StoreError,
};

/// Hands every device that a rollout sent to, in any round, to `each`, in the order of their rows.
pub(super) fn for_each_changed(
    connection: &Connection,
    rollout: RolloutKey,
    each: EachChanged<'_>,
) -> Result<(), StoreError> {
    let ended = rows::codes_where(|state| {
        let (succeeded, canceled) = (state == State::Succeeded, state == State::Canceled);
        succeeded || canceled || state.is_failure()
    });
    let well = rows::code(State::Succeeded);
    let away = rows::code(State::Failed(FailReason::Unreachable));
    // Where the version is no part of it, a success shows nothing of what is there.
    let shown = "(SELECT json_extract(own.spec, '$.verify.mode') = 'version' FROM rollout own \
                 WHERE own.key = ?1)";
    // What it ran before the first of its rounds that changed it.
    let sql = format!(
        "WITH sent AS (SELECT a.device AS device, max(a.state = {well} AND {shown}) AS well, \
         max(a.state <> {away} OR a.in_doubt) AS may, \
         min(b.assignment) AS first \
         FROM cohort c JOIN assignment a INDEXED BY assignment_cohort ON a.cohort = c.key \
         LEFT JOIN ran_before b ON b.assignment = a.id \
         WHERE c.rollout = ?1 AND a.attempt > 0 AND a.state IN ({ended}) GROUP BY a.device) \
         SELECT d.key, d.id, d.time_zone, d.address IS NOT NULL, b.version, s.version, sent.well, sent.may \
         FROM sent JOIN device d ON d.key = sent.device \
         LEFT JOIN ran_before b ON b.assignment = sent.first \
         LEFT JOIN seen s ON s.device = d.key \
         WHERE d.key NOT IN (SELECT device FROM removed) ORDER BY d.key"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([rollout.0])?;
    while let Some(row) = found.next()? {
        let text = |column| -> Result<Option<&str>, StoreError> {
            Ok(row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?)
        };
        let id = text(1)?.unwrap_or_default();
        let key = DeviceKey(row.get(0)?);
        let chosen = Chosen { key, id, time_zone: text(2)?, has_address: row.get(3)? };
        each(
            chosen,
            Changed {
                before: text(4)?,
                now: text(5)?,
                has_shown_it: row.get(6)?,
                may_have_it: row.get(7)?,
            },
        );
    }
    Ok(())
}

/// The rollouts that roll this one back, oldest first.
pub(super) fn of(
    connection: &Connection,
    rollout: RolloutKey,
) -> Result<Vec<RolloutRecord>, StoreError> {
    let sql =
        format!("SELECT {} FROM rollout WHERE rolls_back = ?1 ORDER BY key", rows::ROLLOUT_COLUMNS);
    all(connection, &sql, [rollout.0], rows::rollout)
}

/// Whether a rollout still has the generation and the rollbacks that somebody saw.
pub(super) fn is_as_seen(
    connection: &Connection,
    rollout: RolloutKey,
    generation: u64,
    rollbacks: usize,
) -> Result<bool, StoreError> {
    let sql = "SELECT json_extract(progression, '$.generation'), \
               (SELECT count(*) FROM rollout by WHERE by.rolls_back = own.key) \
               FROM rollout own WHERE own.key = ?1";
    let found: Option<(i64, i64)> =
        connection.query_row(sql, [rollout.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found == Some((generation as i64, rollbacks as i64)))
}

/// Writes down the rollouts that roll one back, and in its log which these are.
pub(super) fn write(
    connection: &Connection,
    of: RolloutKey,
    rollback: &Rollback,
    now: Time,
) -> Result<Vec<RolloutKey>, StoreError> {
    let mut by = vec![];
    for new in &rollback.rollouts {
        let key = rollout::insert(connection, new.id, None, &new.spec, &new.progression, now)?;
        let spec = Record::Spec(Box::new(new.spec.clone()));
        let records: Vec<Record> = [spec].into_iter().chain(new.records.iter().cloned()).collect();
        log::write(connection, key, now, &records)?;
        by.push(key);
    }
    let told = RolledBack {
        by: by.iter().map(|key| key.0).collect(),
        survey: rollback.survey.clone(),
        missing: rollback.missing.clone(),
    };
    log::write(connection, of, now, &[Record::RolledBack(told)])?;
    Ok(by)
}
