//! Writing rollouts down, and taking them back.

use std::collections::BTreeSet;

use groundswell_core::{
    assignment::State,
    device::Device,
    ids::RolloutId,
    rollout::{self, Progression, Spec},
    snapshot::Counts,
    time::Time,
};
use rusqlite::{Connection, params};

use super::{device, read, rows};
use crate::store::{RolloutKey, StoreError};

pub(super) fn rollout(
    connection: &Connection,
    id: RolloutId,
    identity: &[u8; 32],
    spec: &Spec,
    now: Time,
) -> Result<RolloutKey, StoreError> {
    let progression = Progression {
        state: rollout::State::Preparing,
        paused: BTreeSet::new(),
        has_canary_passed: spec.canary == 0,
        round: 1,
    };
    connection.execute(
        "INSERT INTO rollout (id, identity, state, progression, spec, devices, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
        params![
            id.to_string(),
            identity,
            progression.state.as_str(),
            rows::to_json(&progression)?,
            rows::to_json(spec)?,
            now.as_millis(),
        ],
    )?;
    Ok(RolloutKey(connection.last_insert_rowid()))
}

pub(super) fn devices(
    connection: &Connection,
    rollout: RolloutKey,
    devices: &[&Device],
) -> Result<(), StoreError> {
    let mut assign = connection.prepare_cached(
        "INSERT INTO assignment \
         (rollout, round, device, state, attempt, in_doubt, due_at, epoch, changed_at) \
         VALUES (?1, 1, ?2, 0, 0, 0, 0, 0, 0)",
    )?;
    for device in devices {
        let (key, _) = device::upsert(connection, device)?;
        assign.execute(params![rollout.0, key])?;
    }
    let sql = "UPDATE rollout SET devices = devices + ?2 WHERE key = ?1";
    connection.execute(sql, params![rollout.0, devices.len() as i64])?;
    Ok(())
}

pub(super) fn set_progression(
    connection: &Connection,
    rollout: RolloutKey,
    progression: &Progression,
) -> Result<(), StoreError> {
    let sql = "UPDATE rollout SET state = ?2, progression = ?3 WHERE key = ?1";
    let json = rows::to_json(progression)?;
    connection.execute(sql, params![rollout.0, progression.state.as_str(), json])?;
    Ok(())
}

pub(super) fn discard(connection: &Connection, rollout: RolloutKey) -> Result<(), StoreError> {
    connection.execute("DELETE FROM assignment WHERE rollout = ?1", [rollout.0])?;
    connection.execute("DELETE FROM log WHERE rollout = ?1", [rollout.0])?;
    let sql = "DELETE FROM rollout WHERE key = ?1 AND state = 'preparing'";
    match connection.execute(sql, [rollout.0])? {
        1 => Ok(()),
        _ => Err(StoreError::Damaged("a rollout that began was to be discarded".to_owned())),
    }
}

pub(super) fn cancel(
    connection: &Connection,
    rollout: RolloutKey,
    now: Time,
) -> Result<Counts, StoreError> {
    let mut progression = read::progression(connection, rollout)?;
    progression.state = rollout::State::Canceled;
    progression.paused.clear();
    let open = rows::codes_where(|state| !state.is_terminal());
    connection.execute(
        &format!(
            "UPDATE assignment SET state = ?2, due_at = 0, changed_at = ?3 \
             WHERE rollout = ?1 AND state IN ({open})"
        ),
        params![rollout.0, rows::code(State::Canceled), now.as_millis()],
    )?;
    set_progression(connection, rollout, &progression)?;
    note(connection, rollout, now, r#"[{"rollout":"canceled by --abandon"}]"#)?;
    read::counts(connection, rollout, progression.round)
}

pub(super) fn round(
    connection: &Connection,
    rollout: RolloutKey,
    now: Time,
) -> Result<u64, StoreError> {
    let mut progression = read::progression(connection, rollout)?;
    let failed = rows::codes_where(|state| state.is_failure() || state == State::Canceled);
    let devices = connection.execute(
        &format!(
            "INSERT INTO assignment \
             (rollout, round, device, state, attempt, in_doubt, due_at, epoch, changed_at) \
             SELECT rollout, round + 1, device, 0, 0, 0, 0, 0, ?3 FROM assignment \
             WHERE rollout = ?1 AND round = ?2 AND state IN ({failed}) ORDER BY id"
        ),
        params![rollout.0, progression.round, now.as_millis()],
    )?;
    if devices == 0 {
        return Ok(0);
    }
    progression.round += 1;
    progression.state = rollout::State::Running;
    progression.paused.clear();
    progression.has_canary_passed = false;
    set_progression(connection, rollout, &progression)?;
    let body = format!(r#"[{{"round":{},"devices":{devices}}}]"#, progression.round);
    note(connection, rollout, now, &body)?;
    Ok(devices as u64)
}

fn note(
    connection: &Connection,
    rollout: RolloutKey,
    now: Time,
    body: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO log (rollout, at, body) VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![rollout.0, now.as_millis(), body])?;
    Ok(())
}
