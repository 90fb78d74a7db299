//! Devices: what the inventory says of them, and when they were last heard of.
//!
//! Owns the rows of `device`, `tag` and `seen`. What an inventory says of a device replaces what
//! another one said before; what the device itself was heard to say does not give way to an older
//! import. Knows nothing of rollouts.

use std::{sync::LazyLock, time::Duration};

use groundswell_core::{
    device::{Address, Device},
    selector::Selector,
    time::Time,
    version::VersionKey,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use super::{
    changed::{self, Wanted},
    rows,
    selector::{self, Condition},
    slots,
};
use crate::store::{Alike, Chosen, Contact, DeviceKey, Put, StoreError, Written};

/// Everything a row of the inventory says: whether the row and its tags are as given already, and
/// whether it was taken out.
const FIND: &str = "SELECT key, \
     (name, address, update_path, location, time_zone, check_in_secs) IS (?2, ?3, ?4, ?5, ?6, ?7), \
     tags IS ?8, key IN (SELECT device FROM removed) FROM device WHERE id = ?1";

const INSERT: &str = "INSERT INTO device \
     (id, name, address, update_path, location, time_zone, check_in_secs, tags) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const UPDATE: &str = "UPDATE device SET name = ?2, address = ?3, update_path = ?4, \
     location = ?5, time_zone = ?6, check_in_secs = ?7, tags = ?8 WHERE id = ?1";

/// The columns that [`device`] reads, in its order.
pub(super) const COLUMNS: &str = "d.id, d.name, d.address, d.update_path, d.location, d.time_zone, \
     d.check_in_secs, d.tags, s.at, s.version";

/// Writes a device as it is given now, and returns the key of its row. A row that is as given
/// already is read, not written.
pub(super) fn upsert(
    connection: &Connection,
    device: &Device,
) -> Result<(i64, Written), StoreError> {
    let tags = rows::to_json(&device.tags)?;
    let columns = params![
        device.id,
        device.name,
        device.address.as_ref().map(Address::as_str),
        device.update_path,
        device.location,
        device.time_zone,
        device.check_in.map(whole_secs),
        tags,
    ];
    let found: Option<(i64, bool, bool, bool)> = connection
        .prepare_cached(FIND)?
        .query_row(columns, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let (key, has_tags, written) = match found {
        Some((key, _, has_tags, true)) => {
            connection.prepare_cached("DELETE FROM removed WHERE device = ?1")?.execute([key])?;
            connection.prepare_cached(UPDATE)?.execute(columns)?;
            (key, has_tags, Written::Created)
        }
        Some((key, true, true, _)) => (key, true, Written::Same),
        Some((key, _, has_tags, _)) => {
            connection.prepare_cached(UPDATE)?.execute(columns)?;
            (key, has_tags, Written::Changed)
        }
        None => {
            connection.prepare_cached(INSERT)?.execute(columns)?;
            (connection.last_insert_rowid(), device.tags.is_empty(), Written::Created)
        }
    };
    if !has_tags {
        write_tags(connection, key, device, written)?;
    }
    import_seen(connection, key, device, written)?;
    Ok((key, written))
}

/// An interval in whole seconds, rounded up: no device counts as silent before its time.
fn whole_secs(check_in: Duration) -> i64 {
    let secs = check_in.as_secs().saturating_add(u64::from(check_in.subsec_nanos() > 0));
    i64::try_from(secs).unwrap_or(i64::MAX)
}

fn write_tags(
    connection: &Connection,
    key: i64,
    device: &Device,
    written: Written,
) -> Result<(), StoreError> {
    if written != Written::Created {
        connection.prepare_cached("DELETE FROM tag WHERE device = ?1")?.execute([key])?;
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO tag (key, value, device) VALUES (?1, ?2, ?3)")?;
    for (tag, value) in &device.tags {
        insert.execute(params![tag, value, key])?;
    }
    Ok(())
}

/// When a device was last heard of, and the version it ran then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    at: Option<Time>,
    version: Option<String>,
}

impl Seen {
    /// What is known once an inventory has said `imported`, which is as old as its time tells.
    ///
    /// The later time stands. The imported version counts if none was known, or if nothing tells
    /// how old that one is, or if it is no older: a file that is corrected and read again wins.
    fn with(self, imported: Self) -> Self {
        let is_known_later = self.version.is_some() && self.at.is_some() && imported.at < self.at;
        let (first, second) = if is_known_later {
            (self.version, imported.version)
        } else {
            (imported.version, self.version)
        };
        Self { at: self.at.max(imported.at), version: first.or(second) }
    }
}

fn import_seen(
    connection: &Connection,
    key: i64,
    device: &Device,
    written: Written,
) -> Result<(), StoreError> {
    let imported = Seen { at: device.last_seen, version: device.version.clone() };
    let known = if written == Written::Created { None } else { seen(connection, key)? };
    let known = known.unwrap_or_default();
    let merged = known.clone().with(imported);
    if merged == known { Ok(()) } else { write_seen(connection, key, &merged) }
}

fn seen(connection: &Connection, key: i64) -> Result<Option<Seen>, StoreError> {
    let mut find = connection.prepare_cached("SELECT at, version FROM seen WHERE device = ?1")?;
    let read = |row: &Row<'_>| {
        let at: Option<i64> = row.get(0)?;
        Ok(Seen { at: at.map(Time::from_millis), version: row.get(1)? })
    };
    Ok(find.query_row([key], read).optional()?)
}

fn write_seen(connection: &Connection, key: i64, seen: &Seen) -> Result<(), StoreError> {
    let version_key = seen.version.as_deref().map(VersionKey::of);
    let sql = "INSERT OR REPLACE INTO seen (device, at, version, version_key) \
               VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        key,
        seen.at.map(Time::as_millis),
        seen.version,
        version_key.as_ref().map(VersionKey::as_bytes),
    ])?;
    Ok(())
}

/// Notes that a device was heard of, and which version it said it runs, if it said so.
///
/// The last word counts, also if its time is earlier than the one known: either the clock was set
/// back, or the time known came from an inventory that was wrong.
pub(super) fn saw(
    connection: &Connection,
    key: i64,
    at: Time,
    version: Option<&str>,
) -> Result<(), StoreError> {
    // Nearly every contact: the version is the one known, and its index is not touched.
    let sql = "UPDATE seen SET at = ?2 WHERE device = ?1 AND (?3 IS NULL OR version IS ?3)";
    if connection.prepare_cached(sql)?.execute(params![key, at.as_millis(), version])? == 1 {
        return Ok(());
    }
    let seen = Seen { at: Some(at), version: version.map(str::to_owned) };
    write_seen(connection, key, &seen)
}

pub(super) fn put(connection: &Connection, devices: &[&Device]) -> Result<Put, StoreError> {
    let mut put = Put::default();
    let wanted = Wanted::find(connection)?;
    for device in devices {
        *match put_one(connection, wanted, device)? {
            Written::Created => &mut put.new,
            Written::Changed => &mut put.changed,
            Written::Same => &mut put.same,
        } += 1;
    }
    Ok(put)
}

/// Writes a device, and notes it for those who want to know.
pub(super) fn put_one(
    connection: &Connection,
    wanted: Wanted,
    device: &Device,
) -> Result<Written, StoreError> {
    let (key, written) = upsert(connection, device)?;
    if written != Written::Same && wanted.is_noted(written == Written::Created) {
        changed::note(connection, key)?;
    }
    Ok(written)
}

/// Key.
pub(super) fn by_key_sql() -> String {
    let there = selector::IS_THERE;
    format!("SELECT {COLUMNS} FROM {} WHERE d.key = ?1 AND {there}", selector::FROM)
}

/// Hands every device that is chosen to `each`.
pub(super) fn for_each_chosen(
    connection: &Connection,
    select: Option<&Selector>,
    now: Time,
    each: &mut dyn FnMut(Chosen<'_>),
) -> Result<(), StoreError> {
    let Condition { from, sql: condition, params } = selector::condition(select, now);
    let sql = format!(
        "SELECT d.key, d.id, d.time_zone, d.address IS NOT NULL FROM {from} WHERE {condition} \
         ORDER BY d.key"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(params))?;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let time_zone = row.get_ref(2)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        let key = DeviceKey(row.get(0)?);
        each(Chosen { key, id, time_zone, has_address: row.get(3)? });
    }
    Ok(())
}

/// Notes contacts in their order; those of devices that are not in the inventory are passed over.
pub(super) fn saw_each(
    connection: &Connection,
    contacts: &[Contact<'_>],
) -> Result<(), StoreError> {
    let wanted = Wanted::find(connection)?;
    for contact in contacts {
        if let Some(key) = key_of(connection, contact.device)? {
            saw_one(connection, wanted, key, contact)?;
        }
    }
    Ok(())
}

/// Notes a contact of the device in this row; says whether it kept slots until then.
pub(super) fn saw_one(
    connection: &Connection,
    wanted: Wanted,
    key: i64,
    contact: &Contact<'_>,
) -> Result<bool, StoreError> {
    saw_but(connection, wanted, key, contact)?;
    slots::called(connection, key)
}

/// Notes a contact that is no sign of a recovery.
pub(super) fn saw_but(
    connection: &Connection,
    wanted: Wanted,
    key: i64,
    contact: &Contact<'_>,
) -> Result<(), StoreError> {
    // Those who join are asked about again only if something else is said.
    if wanted.joiners && contact.version.is_some_and(|version| !runs(connection, key, version)) {
        changed::note(connection, key)?;
    }
    saw(connection, key, contact.at, contact.version)
}

/// Whether this is the version that a device is known to run.
fn runs(connection: &Connection, key: i64, version: &str) -> bool {
    let sql = "SELECT 1 FROM seen WHERE device = ?1 AND version = ?2";
    connection
        .prepare_cached(sql)
        .and_then(|mut known| known.exists(params![key, version]))
        .unwrap_or(false)
}

/// The key of the row of a device.
pub(super) fn key_of(connection: &Connection, id: &str) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT key FROM device WHERE id = ?1 AND key NOT IN (SELECT device FROM removed)";
    let mut find = connection.prepare_cached(sql)?;
    Ok(find.query_row([id], |row| row.get(0)).optional()?)
}

/// The device of this id.
pub(super) fn load(connection: &Connection, id: &str) -> Result<Option<Device>, StoreError> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let (from, there) = (selector::FROM, selector::IS_THERE);
        format!("SELECT {COLUMNS} FROM {from} WHERE d.id = ?1 AND {there}")
    });
    let mut statement = connection.prepare_cached(&SQL)?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(device).transpose()
}

/// How many devices are chosen.
pub(super) fn count(
    connection: &Connection,
    select: Option<&Selector>,
    now: Time,
) -> Result<u64, StoreError> {
    let (sql, params) = count_query(select, now);
    let mut statement = connection.prepare(&sql)?;
    let count: i64 = statement.query_row(params_from_iter(params), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

pub(super) fn count_query(select: Option<&Selector>, now: Time) -> (String, Vec<Value>) {
    if select.is_none() {
        // Both by an index, without a look at each.
        let sql = "SELECT (SELECT count(*) FROM device) - (SELECT count(*) FROM removed)";
        return (sql.to_owned(), vec![]);
    }
    let Condition { from, sql, params } = selector::condition(select, now);
    (format!("SELECT count(*) FROM {from} WHERE {sql}"), params)
}

pub(super) fn count_chosen(
    connection: &Connection,
    select: Option<&Selector>,
    now: Time,
) -> Result<Vec<Alike>, StoreError> {
    let Condition { from, sql, params } = selector::condition(select, now);
    let sql = format!(
        "SELECT d.time_zone, d.address IS NOT NULL, count(*) FROM {from} WHERE {sql} \
         GROUP BY 1, 2 ORDER BY 1, 2"
    );
    let mut statement = connection.prepare(&sql)?;
    let alike = statement.query_map(params_from_iter(params), |row| {
        Ok(Alike {
            time_zone: row.get(0)?,
            has_address: row.get(1)?,
            devices: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    Ok(alike.collect::<Result<_, _>>()?)
}

pub(super) fn count_versions(
    connection: &Connection,
    select: Option<&Selector>,
    now: Time,
) -> Result<Vec<(Option<String>, u64)>, StoreError> {
    let Condition { sql, params, .. } = selector::condition(select, now);
    let from = selector::FROM;
    let sql = format!("SELECT s.version, count(*) FROM {from} WHERE {sql} GROUP BY 1 ORDER BY 1");
    let mut statement = connection.prepare(&sql)?;
    let count = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
    Ok(statement.query_map(params_from_iter(params), count)?.collect::<Result<_, _>>()?)
}

pub(super) fn device(row: &Row<'_>) -> Result<Device, StoreError> {
    let address: Option<String> = row.get(2)?;
    let address = address
        .map(|text| text.parse())
        .transpose()
        .map_err(|error| StoreError::Damaged(format!("a stored address: {error}")))?;
    let tags = row.get_ref(7)?.as_str().map_err(rusqlite::Error::from)?;
    let check_in: Option<i64> = row.get(6)?;
    Ok(Device {
        id: row.get(0)?,
        name: row.get(1)?,
        address,
        update_path: row.get(3)?,
        location: row.get(4)?,
        time_zone: row.get(5)?,
        check_in: check_in.map(|secs| Duration::from_secs(secs.unsigned_abs())),
        tags: rows::json(tags)?,
        last_seen: row.get::<_, Option<i64>>(8)?.map(Time::from_millis),
        version: row.get(9)?,
    })
}
