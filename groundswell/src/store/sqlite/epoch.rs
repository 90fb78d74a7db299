//! Who drives: the epoch that the driver that began last has raised.

use groundswell_core::{bites, ids::Epoch};
use rusqlite::Connection;

use crate::store::StoreError;

/// Drivers that are remembered for the ids of events that they gave: whoever has an older one has not
/// listened for long.
const TERMS_MAX: u32 = 1_000;

pub(super) fn raise(connection: &Connection) -> Result<Epoch, StoreError> {
    if bites!(QuarantineLostAtRestart) {
        connection.execute("DELETE FROM failed_rollout", [])?;
    }
    // Chance, and no number: a copy that is driven on counts on from the same one.
    let sql = "INSERT INTO term (id, log_end) \
               SELECT lower(hex(randomblob(4))), ifnull(max(seq), 0) FROM log";
    connection.execute(sql, [])?;
    let sql = "DELETE FROM term WHERE number <= (SELECT max(number) FROM term) - ?1";
    connection.execute(sql, [TERMS_MAX])?;
    let sql = "UPDATE driver SET epoch = epoch + 1 RETURNING epoch";
    Ok(Epoch(connection.query_row(sql, [], |row| row.get(0))?))
}

pub(super) fn current(connection: &Connection) -> Result<Epoch, StoreError> {
    let mut epoch = connection.prepare_cached("SELECT epoch FROM driver")?;
    Ok(Epoch(epoch.query_row([], |row| row.get(0))?))
}

/// Refuses the driver of this epoch if another one has begun since.
pub(super) fn refuse_stale(connection: &Connection, own: Option<Epoch>) -> Result<(), StoreError> {
    let Some(own) = own.filter(|_| !bites!(StaleEpoch)) else { return Ok(()) };
    let current = current(connection)?;
    if current == own { Ok(()) } else { Err(StoreError::Stale { own, current }) }
}

/// What changes when another connection has written; refused to whoever is stale.
pub(super) fn foreign_version(
    connection: &Connection,
    own: Option<Epoch>,
) -> Result<i64, StoreError> {
    refuse_stale(connection, own)?;
    let mut version = connection.prepare_cached("PRAGMA data_version")?;
    Ok(version.query_row([], |row| row.get(0))?)
}
