//! Devices one by one: changed, removed, imported, enrolled, and what they say when they check in.

use groundswell_core::{
    assignment::{Assignment, State},
    device::Device,
    time::Time,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value, json};

use super::{
    SqliteStore, access,
    changed::{self, Wanted},
    device, read, rollout, rows, selector,
};
use crate::{
    access::{Change, Kind, Token, TokenId},
    store::{
        Calling, CheckedIn, Contact, DeviceKey, Enrolled, FleetStore, Health, Intent, Put, Removed,
        Revoked, RolloutKey, StoreError, Written,
    },
};

/// Devices of an import that the audit log tells one by one, and how much is told of them: with more of
/// a fleet in each entry the log would be larger than the fleet.
const TOLD_MAX: usize = 100;
const TOLD_BYTES_MAX: usize = 64 * 1024;

/// What an import changed, as far as there is room for it.
#[derive(Default)]
struct Diff {
    before: Map<String, Value>,
    after: Map<String, Value>,
    bytes: usize,
    not_told: u64,
}

impl Diff {
    fn has_room(&self) -> bool {
        self.after.len() < TOLD_MAX && self.bytes < TOLD_BYTES_MAX
    }

    /// Takes down what a device was and is; none of what there is no room for.
    fn note(&mut self, id: &str, was_and_is: Option<(Option<Value>, Value)>) {
        let Some((was, is)) = was_and_is else {
            self.not_told += 1;
            return;
        };
        self.bytes += is.to_string().len() + was.as_ref().map_or(0, |was| was.to_string().len());
        if let Some(was) = was
            && !self.after.contains_key(id)
        {
            self.before.insert(id.to_owned(), was);
        }
        self.after.insert(id.to_owned(), is);
    }

    fn tell(self, change: &mut Change, put: Put) {
        let Self { before, after, not_told, .. } = self;
        change.before = Some(json!({ "devices": before }));
        change.after = Some(json!({
            "new": put.new,
            "changed": put.changed,
            "same": put.same,
            "devices": after,
            "not_told": not_told,
        }));
    }
}

impl FleetStore for SqliteStore {
    fn change_device(
        &mut self,
        before: Option<&Device>,
        device: &Device,
    ) -> Result<bool, StoreError> {
        let transaction = self.write()?;
        let known = device::load(&transaction, &device.id)?;
        if known.as_ref().map(as_said) != before.map(as_said) {
            return Ok(false);
        }
        device::put(&transaction, &[device])?;
        transaction.commit()?;
        Ok(true)
    }

    fn expect_device(&mut self, seen: Device) {
        self.expected = Some(Box::new(seen));
    }

    fn remove_device(&mut self, id: &str, now: Time) -> Result<Removed, StoreError> {
        let transaction = self.write()?;
        let Some(key) = device::key_of(&transaction, id)? else { return Ok(Removed::Unknown) };
        let sql = "SELECT rollout FROM assignment INDEXED BY assignment_active \
                   WHERE device = ?1 AND state > 0 AND state < 4";
        let busy = transaction.query_row(sql, [key], |row| row.get(0)).optional()?;
        if let Some(rollout) = busy {
            return Ok(Removed::Active(RolloutKey(rollout)));
        }
        remove(&transaction, key, id, now)?;
        transaction.commit()?;
        Ok(Removed::Done)
    }

    fn import_devices(
        &mut self,
        devices: &[&Device],
        told: &dyn Fn(&Device) -> Value,
    ) -> Result<Vec<Written>, StoreError> {
        let by = self.attribution.take();
        let mut diff = Diff::default();
        let transaction = self.write()?;
        let wanted = Wanted::find(&transaction)?;
        let mut all = Vec::with_capacity(devices.len());
        let mut put = Put::default();
        for device in devices {
            let is_told = by.is_some() && diff.has_room();
            let before = if is_told { device::load(&transaction, &device.id)? } else { None };
            let written = device::put_one(&transaction, wanted, device)?;
            if written != Written::Same {
                diff.note(&device.id, is_told.then(|| (before.as_ref().map(told), told(device))));
            }
            *match written {
                Written::Created => &mut put.new,
                Written::Changed => &mut put.changed,
                Written::Same => &mut put.same,
            } += 1;
            all.push(written);
        }
        if let Some(mut by) = by.filter(|_| put.new + put.changed > 0) {
            diff.tell(&mut by.change, put);
            access::write_attribution(&transaction, &by)?;
        }
        transaction.commit()?;
        Ok(all)
    }

    fn checked_in(&mut self, devices: &[(Box<str>, CheckedIn)]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let wanted = Wanted::find(&transaction)?;
        for (id, said) in devices {
            if let Some(key) = device::key_of(&transaction, id)? {
                check_in(&transaction, wanted, key, (id, said))?;
            }
        }
        transaction.commit()
    }

    fn calling(&self, id: &str, rollouts: &[RolloutKey]) -> Result<Option<Calling>, StoreError> {
        calling(&self.connection, id, rollouts)
    }

    fn unwell(&self, device: DeviceKey) -> Result<Option<(Time, String)>, StoreError> {
        let sql = "SELECT at, text FROM unwell WHERE device = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok((Time::from_millis(row.get(0)?), row.get(1)?));
        Ok(statement.query_row([device.0], read).optional()?)
    }

    fn enroll(
        &mut self,
        by: &TokenId,
        uses_max: u64,
        device: &Device,
        token: &Token,
    ) -> Result<Enrolled, StoreError> {
        let transaction = self.write()?;
        // Revoked, or run out, since it was looked at: no good any more.
        let sql = "UPDATE token SET uses = uses + 1 WHERE id = ?1 AND uses < ?2 \
                   AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)";
        let uses_max = i64::try_from(uses_max).unwrap_or(i64::MAX);
        let used = params![by.0, uses_max, token.created_at.as_millis()];
        if transaction.execute(sql, used)? == 0 {
            return Ok(Enrolled::UsedUp);
        }
        if device::key_of(&transaction, &device.id)?.is_some() {
            return Ok(Enrolled::Known);
        }
        device::put(&transaction, &[device])?;
        access::put(&transaction, token)?;
        transaction.commit()?;
        Ok(Enrolled::Done)
    }

    fn revoke_token(&mut self, id: &TokenId, now: Time) -> Result<Revoked, StoreError> {
        let transaction = self.write()?;
        let sql = "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL \
                   RETURNING kind";
        let kind: Option<String> = transaction
            .prepare_cached(sql)?
            .query_row(params![id.0, now.as_millis()], |row| row.get(0))
            .optional()?;
        let Some(kind) = kind else { return Ok(Revoked::Already) };
        if administers_all(&rows::json(&kind)?) && !is_anybody_left(&transaction, now)? {
            return Ok(Revoked::Last);
        }
        transaction.commit()?;
        Ok(Revoked::Done)
    }
}

/// Refuses a change by somebody who saw something else of a device.
pub(super) fn refuse_changed(connection: &Connection, seen: &Device) -> Result<(), StoreError> {
    let known = device::load(connection, &seen.id)?;
    if known.as_ref().map(as_said) == Some(as_said(seen)) {
        return Ok(());
    }
    Err(StoreError::ChangedMeanwhile)
}

/// What operators say of a device: what it says of itself does not count.
fn as_said(device: &Device) -> Device {
    Device { version: None, last_seen: None, ..device.clone() }
}

fn administers_all(kind: &Kind) -> bool {
    matches!(kind, Kind::Operator { role: crate::access::Role::Admin, scope: None })
}

/// Whether any token without a scope may administer now.
fn is_anybody_left(connection: &Connection, now: Time) -> Result<bool, StoreError> {
    let sql = "SELECT kind FROM token WHERE device IS NULL AND revoked_at IS NULL \
               AND (expires_at IS NULL OR expires_at > ?1)";
    let kinds: Vec<Kind> =
        read::all(connection, sql, [now.as_millis()], |row| rows::json(&row.get::<_, String>(0)?))?;
    Ok(kinds.iter().any(administers_all))
}

/// Leaves the bare row, which past rollouts tell of by its name.
fn remove(connection: &Connection, key: i64, id: &str, now: Time) -> Result<(), StoreError> {
    for table in ["tag", "seen", "failed_device", "failed_rollout", "unwell"] {
        let sql = format!("DELETE FROM {table} WHERE device = ?1");
        connection.prepare_cached(&sql)?.execute([key])?;
    }
    let sql = "UPDATE device SET address = NULL, update_path = NULL, location = NULL, \
               time_zone = NULL, check_in_secs = NULL, tags = '{}' WHERE key = ?1";
    connection.prepare_cached(sql)?.execute([key])?;
    let sql = "INSERT INTO removed (device, at) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![key, now.as_millis()])?;
    let sql = "UPDATE token SET revoked_at = ?2 WHERE device = ?1 AND revoked_at IS NULL";
    connection.prepare_cached(sql)?.execute(params![id, now.as_millis()])?;
    if Wanted::find(connection)?.is_noted(false) {
        changed::note(connection, key)?;
    }
    Ok(())
}

fn check_in(
    connection: &Connection,
    wanted: Wanted,
    key: i64,
    (id, said): (&str, &CheckedIn),
) -> Result<(), StoreError> {
    let contact = Contact { device: id, at: said.at, version: said.version.as_deref() };
    // Who failed and says itself that it is not well has not recovered.
    let had_failed = match said.health {
        Some(Health::Unwell(_)) => {
            device::saw_but(connection, wanted, key, &contact)?;
            false
        }
        Some(Health::Well) | None => device::saw_one(connection, wanted, key, &contact)?,
    };
    if had_failed || is_waited_for(connection, key)? {
        rollout::put_intent(connection, &Intent::Contact { device: DeviceKey(key) }, said.at)?;
    }
    match &said.health {
        None => {}
        Some(Health::Well) => {
            connection.prepare_cached("DELETE FROM unwell WHERE device = ?1")?.execute([key])?;
        }
        Some(Health::Unwell(text)) => {
            let sql = "INSERT OR REPLACE INTO unwell (device, at, text) VALUES (?1, ?2, ?3)";
            let values = params![key, said.at.as_millis(), text];
            connection.prepare_cached(sql)?.execute(values)?;
        }
    }
    Ok(())
}

/// Whether a rollout waits for a device to be heard of.
fn is_waited_for(connection: &Connection, key: i64) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM assignment INDEXED BY assignment_waiting \
               WHERE device = ?1 AND state IN (4, 5)";
    Ok(connection.prepare_cached(sql)?.exists([key])?)
}

/// Id. The rollouts are numbers: their text is the same as long as the same ones are driven.
fn calling_sql(rollouts: &[RolloutKey]) -> String {
    let there = selector::IS_THERE;
    if rollouts.is_empty() {
        return format!(
            "SELECT d.key, d.address, d.time_zone, NULL FROM device d WHERE d.id = ?1 AND {there}"
        );
    }
    let keys: Vec<String> = rollouts.iter().map(|key| key.0.to_string()).collect();
    format!(
        "SELECT d.key, d.address, d.time_zone, a.rollout, a.state, a.attempt, a.in_doubt, a.due_at, \
         a.away_since FROM device d LEFT JOIN assignment a INDEXED BY assignment_device \
         ON a.device = d.key AND a.rollout IN ({}) AND a.state IN ({}) \
         WHERE d.id = ?1 AND {there} ORDER BY a.id",
        keys.join(", "),
        rows::codes_where(|state: State| !state.is_terminal())
    )
}

fn calling(
    connection: &Connection,
    id: &str,
    rollouts: &[RolloutKey],
) -> Result<Option<Calling>, StoreError> {
    let mut statement = connection.prepare_cached(&calling_sql(rollouts))?;
    let mut found = statement.query([id])?;
    let mut calling: Option<Calling> = None;
    while let Some(row) = found.next()? {
        let calling = match &mut calling {
            Some(calling) => calling,
            none => none.insert(Calling {
                key: DeviceKey(row.get(0)?),
                address: row.get(1)?,
                time_zone: row.get(2)?,
                waits: vec![],
            }),
        };
        let Some(rollout) = row.get(3)? else { continue };
        let time = |column| Ok::<_, rusqlite::Error>(Time::from_millis(row.get(column)?));
        let assignment = Assignment {
            state: rows::state(row.get(4)?)?,
            attempt: row.get(5)?,
            in_doubt: row.get(6)?,
            due_at: time(7)?,
            away_since: time(8)?,
        };
        // The last round of a rollout counts.
        calling.waits.retain(|(known, _)| *known != RolloutKey(rollout));
        calling.waits.push((RolloutKey(rollout), assignment));
    }
    Ok(calling)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(sql: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        let mut explain = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let details = explain.query_map(["x"], |row| row.get::<_, String>(3)).unwrap();
        details.map(Result::unwrap).collect()
    }

    #[test]
    fn what_a_device_that_calls_is_told_is_found_by_indexes() {
        let plan = plan(&calling_sql(&[RolloutKey(7), RolloutKey(9)]));
        let index = "SEARCH d USING INDEX sqlite_autoindex_device_1 (id=?)";
        assert_eq!(plan[0], index, "{plan:?}");
        let index = "SEARCH a USING INDEX assignment_device (device=? AND rollout=?)";
        assert!(plan.iter().any(|step| step.starts_with(index)), "{plan:?}");
    }
}
