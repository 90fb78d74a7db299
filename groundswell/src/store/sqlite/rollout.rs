//! Rollouts: written down, changed, and what the driver is wanted to do with them.

use std::time::Duration;

use groundswell_core::{
    ids::{AssignmentId, RolloutId},
    log::Record,
    rollout::{Progression, Spec},
    time::Time,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{log, read, rows};
use crate::store::{Answer, INTENTS_MAX, Intent, IntentSeq, RolloutKey, StoreError};

/// Answers are kept for as long as whoever asked may look for them: commands wait for seconds.
const INTENTS_KEPT_FOR: Duration = Duration::from_hours(24);

/// So many are kept for longer, to be looked at when something went wrong.
const INTENTS_KEPT: i64 = 1_000;

/// The oldest that are looked at with each answer: more than one, so that what has gathered goes.
const PRUNE_MAX: i64 = 16;

pub(super) fn create(
    connection: &Connection,
    id: RolloutId,
    identity: Option<&[u8; 32]>,
    spec: &Spec,
    now: Time,
) -> Result<RolloutKey, StoreError> {
    let key = insert(connection, id, identity, spec, &Progression::draft(spec), now)?;
    log::write(connection, key, now, &[Record::Spec(Box::new(spec.clone()))])?;
    Ok(key)
}

/// Writes the row of a rollout, and nothing in its log.
pub(super) fn insert(
    connection: &Connection,
    id: RolloutId,
    identity: Option<&[u8; 32]>,
    spec: &Spec,
    progression: &Progression,
    now: Time,
) -> Result<RolloutKey, StoreError> {
    connection.execute(
        "INSERT INTO rollout \
         (id, identity, state, progression, spec, devices, created_at, rolls_back) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)",
        params![
            id.to_string(),
            identity,
            progression.state.as_str(),
            rows::to_json(progression)?,
            rows::to_json(spec)?,
            now.as_millis(),
            spec.rolls_back.as_ref().map(|of| of.number),
        ],
    )?;
    Ok(RolloutKey(connection.last_insert_rowid()))
}

pub(super) fn set_spec(
    connection: &Connection,
    rollout: RolloutKey,
    spec: &Spec,
    now: Time,
) -> Result<(), StoreError> {
    let sql = "UPDATE rollout SET spec = ?2 WHERE key = ?1";
    connection.execute(sql, params![rollout.0, rows::to_json(spec)?])?;
    log::write(connection, rollout, now, &[Record::Spec(Box::new(spec.clone()))])
}

pub(super) fn set_progression(
    connection: &Connection,
    rollout: RolloutKey,
    progression: &Progression,
) -> Result<(), StoreError> {
    let sql = "UPDATE rollout SET state = ?2, progression = ?3 WHERE key = ?1";
    let json = rows::to_json(progression)?;
    connection.prepare_cached(sql)?.execute(params![
        rollout.0,
        progression.state.as_str(),
        json
    ])?;
    Ok(())
}

/// Takes back rows of a rollout that is being prepared; nothing was sent for them.
pub(super) fn discard(
    connection: &Connection,
    rollout: RolloutKey,
    limit: usize,
    now: Time,
) -> Result<usize, StoreError> {
    let sql = "SELECT a.id FROM assignment a JOIN cohort c ON c.key = a.cohort \
               WHERE c.rollout = ?1 LIMIT ?2";
    let ids: Vec<i64> =
        read::all(connection, sql, params![rollout.0, limit as i64], |row| Ok(row.get(0)?))?;
    let mut delete = connection.prepare_cached("DELETE FROM assignment WHERE id = ?1")?;
    for id in &ids {
        delete.execute([id])?;
    }
    let removed = ids.len();
    let unlisted = Record::Unlisted(ids.into_iter().map(AssignmentId).collect());
    log::write(connection, rollout, now, &[unlisted])?;
    if removed < limit {
        connection.execute("DELETE FROM cohort WHERE rollout = ?1", [rollout.0])?;
        connection.execute("UPDATE rollout SET devices = 0 WHERE key = ?1", [rollout.0])?;
    }
    Ok(removed)
}

/// A rollout without assignments, and what the log says of it.
pub(super) fn remove(connection: &Connection, rollout: RolloutKey) -> Result<(), StoreError> {
    connection.execute("DELETE FROM log WHERE rollout = ?1", [rollout.0])?;
    connection.execute("DELETE FROM rollout WHERE key = ?1", [rollout.0])?;
    Ok(())
}

pub(super) fn put_intent(
    connection: &Connection,
    intent: &Intent,
    now: Time,
) -> Result<IntentSeq, StoreError> {
    let sql = "INSERT INTO intent (at, body) VALUES (?1, ?2)";
    connection.execute(sql, params![now.as_millis(), rows::to_json(intent)?])?;
    Ok(IntentSeq(connection.last_insert_rowid()))
}

pub(super) fn intents(connection: &Connection) -> Result<Vec<(IntentSeq, Intent)>, StoreError> {
    let sql = "SELECT seq, body FROM intent WHERE answer IS NULL ORDER BY seq LIMIT ?1";
    super::read::all(connection, sql, [INTENTS_MAX as i64], |row| {
        Ok((IntentSeq(row.get(0)?), rows::json(&row.get::<_, String>(1)?)?))
    })
}

/// The acts on a rollout that are not answered: however many others wait before them.
pub(super) fn acts_wanted(
    connection: &Connection,
    rollout: RolloutKey,
) -> Result<Vec<(IntentSeq, Intent)>, StoreError> {
    let sql = "SELECT seq, body FROM intent WHERE answer IS NULL \
               AND json_extract(body, '$.act.rollout') = ?1 ORDER BY seq";
    super::read::all(connection, sql, [rollout.0], |row| {
        Ok((IntentSeq(row.get(0)?), rows::json(&row.get::<_, String>(1)?)?))
    })
}

pub(super) fn answer(
    connection: &Connection,
    seq: IntentSeq,
    answer: &Answer,
) -> Result<(), StoreError> {
    let sql = "UPDATE intent SET answer = ?2 WHERE seq = ?1";
    connection.prepare_cached(sql)?.execute(params![seq.0, rows::to_json(answer)?])?;
    prune_intents(connection)
}

/// Forgets the oldest of those that nobody can be waiting for any more.
fn prune_intents(connection: &Connection) -> Result<(), StoreError> {
    let sql = "DELETE FROM intent WHERE seq IN \
               (SELECT old.seq FROM (SELECT seq, at, answer FROM intent ORDER BY seq LIMIT ?3) old, \
               (SELECT seq, at FROM intent ORDER BY seq DESC LIMIT 1) newest \
               WHERE old.answer IS NOT NULL AND old.at < newest.at - ?1 \
               AND old.seq <= newest.seq - ?2)";
    let (kept_ms, kept, looked_at) = (INTENTS_KEPT_FOR.as_millis() as i64, INTENTS_KEPT, PRUNE_MAX);
    connection.prepare_cached(sql)?.execute(params![kept_ms, kept, looked_at])?;
    Ok(())
}

pub(super) fn answer_to(
    connection: &Connection,
    seq: IntentSeq,
) -> Result<Option<Answer>, StoreError> {
    let sql = "SELECT answer FROM intent WHERE seq = ?1";
    let answer: Option<Option<String>> =
        connection.query_row(sql, [seq.0], |row| row.get(0)).optional()?;
    answer.flatten().map(|json| rows::json(&json)).transpose()
}
