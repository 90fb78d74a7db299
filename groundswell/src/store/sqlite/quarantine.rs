//! Devices that failed rollouts in a row: counted by the rollouts, forgotten once one went well.
//!
//! After how many a device is left out is the core's to say.

use groundswell_core::{bites, time::Time};
use rusqlite::{Connection, OptionalExtension, params};

use super::read::all;
use crate::store::{DeviceKey, Failing, RolloutKey, StoreError};

/// Whether any device has failed a rollout since it last took one well.
pub(super) fn is_any_failing(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM failed_rollout LIMIT 1")?.exists([])?)
}

/// The devices of neighboring assignments failed a rollout.
pub(super) const FAILED_RUN: &str = "INSERT OR IGNORE INTO failed_rollout (device, rollout, at) \
     SELECT device, ?3, ?4 FROM assignment NOT INDEXED WHERE id BETWEEN ?1 AND ?2";

/// They took an update well. By the key, as above.
pub(super) const WELL_RUN: &str = "DELETE FROM failed_rollout WHERE device IN \
     (SELECT device FROM assignment NOT INDEXED WHERE id BETWEEN ?1 AND ?2)";

pub(super) fn failed(
    connection: &Connection,
    (first, last): (i64, i64),
    rollout: RolloutKey,
    at: Time,
) -> Result<(), StoreError> {
    let of = params![first, last, rollout.0, at.as_millis()];
    connection.prepare_cached(FAILED_RUN)?.execute(of)?;
    Ok(())
}

pub(super) fn went_well(
    connection: &Connection,
    (first, last): (i64, i64),
) -> Result<(), StoreError> {
    connection.prepare_cached(WELL_RUN)?.execute([first, last])?;
    Ok(())
}

/// What a device failed in, oldest first, and its last release.
pub(super) fn of(connection: &Connection, device: DeviceKey) -> Result<Failing, StoreError> {
    let sql = "SELECT rollout FROM failed_rollout WHERE device = ?1 ORDER BY at, rollout";
    let rollouts = all(connection, sql, [device.0], |row| Ok(RolloutKey(row.get(0)?)))?;
    let sql = "SELECT at, reason FROM device_release WHERE device = ?1 ORDER BY seq DESC LIMIT 1";
    let released = connection
        .query_row(sql, [device.0], |row| Ok((Time::from_millis(row.get(0)?), row.get(1)?)))
        .optional()?;
    Ok(Failing { rollouts, released })
}

/// Forgets what a device failed in, and keeps why.
pub(super) fn release(
    connection: &Connection,
    device: DeviceKey,
    reason: &str,
    now: Time,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO device_release (device, rollouts, reason, at) SELECT ?1, count(*), ?2, ?3 \
               FROM failed_rollout WHERE device = ?1";
    connection.execute(sql, params![device.0, reason, now.as_millis()])?;
    if !bites!(ReleasedLeftOut) {
        connection.execute("DELETE FROM failed_rollout WHERE device = ?1", [device.0])?;
    }
    Ok(())
}
