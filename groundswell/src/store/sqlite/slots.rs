//! Failure domains: who is under way, who failed, how large each is.

use std::iter;

use groundswell_core::{
    budget::{Domain, DomainCount, Per},
    ids::AssignmentId,
    presence::INTERVALS_MISSED_MAX,
    selector::Selector,
    time::Time,
};
use hashbrown::HashMap;
use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{
    read::all,
    rows,
    selector::{self, Condition},
    tags,
};
use crate::store::{
    DeviceKey, FailedDevice, Member, RolloutKey, Sizes, SlotChange, SlotRelease, SlotsRead,
    SlotsWant, StoreError,
};

pub(super) fn read(connection: &Connection, want: &SlotsWant) -> Result<SlotsRead, StoreError> {
    let mut found = SlotsRead { pers: want.pers.len(), ..SlotsRead::default() };
    if want.is_held_wanted {
        let mut held = members(connection, want, UNDER_WAY, None)?;
        found.under_way = held.len();
        held.extend(members(connection, want, FAILED, None)?);
        found.held = Some(held);
    }
    if want.is_size_wanted {
        found.sizes = Some(sizes(connection, want)?);
    }
    if let Some(now) = want.down_at {
        found.down = Some(down(connection, want, now)?);
    }
    Ok(found)
}

fn sizes(connection: &Connection, want: &SlotsWant) -> Result<Vec<Sizes>, StoreError> {
    let sql = "SELECT (SELECT count(*) FROM device) - (SELECT count(*) FROM removed)";
    let devices: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let sizes = |per: &Per| {
        let sql = "SELECT value, count(*) FROM tag WHERE key = ?1 GROUP BY value";
        let mut sizes = all(connection, sql, [per.tag()], |row| {
            let value: String = row.get(0)?;
            Ok((Some(value.into_boxed_str()), count(row.get(1)?)))
        })?;
        let with: i64 = sizes.iter().map(|(_, devices)| i64::from(*devices)).sum();
        sizes.push((None, count(devices - with)));
        Ok(sizes)
    };
    want.pers.iter().map(sizes).collect()
}

/// The domains of a kind that chosen devices are in, counted.
pub(super) fn chosen(
    connection: &Connection,
    per: &Per,
    select: Option<&Selector>,
    now: Time,
) -> Result<Vec<DomainCount>, StoreError> {
    let Condition { from, sql, params } = selector::condition(select, now);
    let value = "SELECT value FROM tag INDEXED BY tag_device WHERE device = d.key AND key = ?";
    let sql = format!("SELECT ({value}), count(*) FROM {from} WHERE {sql} GROUP BY 1 ORDER BY 1");
    let params = iter::once(tags::key(per)).chain(params);
    let chosen = all(connection, &sql, params_from_iter(params), |row| {
        Ok((row.get::<_, Option<String>>(0)?.map(String::into_boxed_str), count(row.get(1)?)))
    })?;
    let want = SlotsWant {
        pers: [per.clone()].into(),
        is_held_wanted: false,
        is_size_wanted: true,
        down_at: None,
    };
    let sizes: HashMap<_, _> = sizes(connection, &want)?.into_iter().flatten().collect();
    let counted = |(value, chosen): (Option<Box<str>>, u32)| {
        let devices = sizes.get(&value).copied().unwrap_or(chosen);
        DomainCount { value: value.map(String::from), devices, chosen }
    };
    Ok(chosen.into_iter().map(counted).collect())
}

fn count(devices: i64) -> u32 {
    u32::try_from(devices.max(0)).unwrap_or(u32::MAX)
}

/// Devices, by the index of active assignments: few, however large the fleet.
const UNDER_WAY: &str = "assignment m INDEXED BY assignment_active JOIN device d ON d.key = m.device \
     WHERE m.state > 0 AND m.state < 4";

const FAILED: &str = "failed_device m JOIN device d ON d.key = m.device";

/// Silent for so long that they are taken for offline; whoever was heard of later than the shortest
/// interval asks for is not looked at.
const DOWN: &str = "seen m INDEXED BY seen_at JOIN device d ON d.key = m.device WHERE m.at < ?1 - ?2 * \
     (SELECT min(check_in_secs) FROM device INDEXED BY device_check_in \
     WHERE check_in_secs IS NOT NULL) AND m.at < ?1 - ?2 * d.check_in_secs";

fn down(connection: &Connection, want: &SlotsWant, now: Time) -> Result<Vec<Member>, StoreError> {
    let millis = i64::from(INTERVALS_MISSED_MAX) * 1_000;
    members(connection, want, DOWN, Some([now.as_millis(), millis]))
}

fn members(
    connection: &Connection,
    want: &SlotsWant,
    from: &str,
    first: Option<[i64; 2]>,
) -> Result<Vec<Member>, StoreError> {
    let before: Vec<Value> = first.into_iter().flatten().map(Value::Integer).collect();
    let columns = tags::columns("d.key", want.pers.len(), before.len() + 1);
    let sql = format!("SELECT d.key, d.id{columns} FROM {from}");
    let params = before.into_iter().chain(want.pers.iter().map(tags::key));
    all(connection, &sql, params_from_iter(params), |row| {
        Ok(Member {
            device: DeviceKey(row.get(0)?),
            id: row.get::<_, String>(1)?.into_boxed_str(),
            values: rows::values(row, 2, want.pers.len())?,
        })
    })
}

pub(super) fn failed(
    connection: &Connection,
    only: Option<DeviceKey>,
) -> Result<Vec<FailedDevice>, StoreError> {
    let which = if only.is_some() { "WHERE f.device = ?1" } else { "" };
    let of = || params_from_iter(only.map(|device| device.0));
    let sql = format!("SELECT device, assignment, at FROM failed_device f {which} ORDER BY device");
    let mut failed = all(connection, &sql, of(), |row| {
        let (device, assignment) = (DeviceKey(row.get(0)?), AssignmentId(row.get(1)?));
        let at = Time::from_millis(row.get(2)?);
        Ok(FailedDevice { device, assignment, at, released: vec![] })
    })?;
    let sql = format!(
        "SELECT r.device, r.domain FROM failed_device f JOIN slot_release r \
         ON r.device = f.device AND r.assignment = f.assignment {which}"
    );
    let released = all(connection, &sql, of(), |row| {
        let domain: String = row.get(1)?;
        let domain: Domain = domain
            .parse()
            .map_err(|error| StoreError::Damaged(format!("a stored domain: {error}")))?;
        Ok((DeviceKey(row.get(0)?), domain))
    })?;
    for (device, domain) in released {
        if let Ok(at) = failed.binary_search_by_key(&device, |failed| failed.device) {
            failed[at].released.push(domain);
        }
    }
    Ok(failed)
}

pub(super) fn release(connection: &Connection, release: &SlotRelease) -> Result<(), StoreError> {
    let sql = "INSERT INTO slot_release (device, assignment, domain, reason, at) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let SlotRelease { device, assignment, domain, reason, at } = release;
    let domain = domain.to_string();
    connection.prepare_cached(sql)?.execute(params![
        device.0,
        assignment.0,
        domain,
        reason,
        at.as_millis()
    ])?;
    Ok(())
}

/// Writes down which devices keep their slots from now on, and which do not.
pub(super) fn write(
    connection: &Connection,
    rollout: RolloutKey,
    changes: &[SlotChange],
    at: Time,
) -> Result<(), StoreError> {
    for SlotChange { id, is_kept } in changes {
        let done = if *is_kept {
            let sql = "INSERT INTO failed_device (device, assignment, at) \
                       SELECT device, id, ?3 FROM assignment WHERE id = ?1 AND rollout = ?2 \
                       ON CONFLICT (device) DO UPDATE \
                       SET assignment = excluded.assignment, at = excluded.at";
            connection.prepare_cached(sql)?.execute(params![id.0, rollout.0, at.as_millis()])?
        } else {
            let sql = "DELETE FROM failed_device WHERE device = \
                       (SELECT device FROM assignment WHERE id = ?1 AND rollout = ?2)";
            connection.prepare_cached(sql)?.execute(params![id.0, rollout.0])?;
            1
        };
        if done != 1 {
            return Err(StoreError::Damaged(format!("assignment {}: the row is missing", id.0)));
        }
    }
    Ok(())
}

/// A device was seen to be well; says whether it kept slots until then.
pub(super) fn recovered(connection: &Connection, device: i64) -> Result<bool, StoreError> {
    let sql = "DELETE FROM failed_device WHERE device = ?1";
    Ok(connection.prepare_cached(sql)?.execute([device])? > 0)
}
