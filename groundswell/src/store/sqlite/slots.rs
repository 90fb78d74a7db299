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
    DeviceKey, FailedDevice, Member, ReleasedOf, ReleasedSlot, RolloutKey, Sizes, SlotChange,
    SlotRelease, SlotsRead, SlotsWant, StoreError,
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

/// Silent for so long that they are taken for offline, found among those that check in: whoever has
/// no interval is not looked at.
const DOWN_OF_INTERVALS: &str = "device d INDEXED BY device_check_in CROSS JOIN seen m \
     ON m.device = d.key \
     WHERE d.check_in_secs IS NOT NULL AND m.at < ?1 - ?2 * d.check_in_secs";

/// The same, found among those who are silent: whoever was heard of later than the shortest interval
/// asks for is not looked at.
const DOWN_OF_SILENT: &str = "seen m INDEXED BY seen_at CROSS JOIN device d ON d.key = m.device \
     WHERE m.at < ?1 - ?2 * (SELECT min(check_in_secs) FROM device INDEXED BY device_check_in \
     WHERE check_in_secs IS NOT NULL) AND m.at < ?1 - ?2 * d.check_in_secs";

/// How many check in, of an index alone.
const INTERVALS: &str =
    "SELECT count(*) FROM device INDEXED BY device_check_in WHERE check_in_secs IS NOT NULL";

/// How many are silent, of an index alone and no further than to a number.
const SILENT: &str = "SELECT count(*) FROM (SELECT 1 FROM seen INDEXED BY seen_at WHERE at < ?1 - ?2 * \
     (SELECT min(check_in_secs) FROM device INDEXED BY device_check_in \
     WHERE check_in_secs IS NOT NULL) LIMIT ?3)";

/// Looks up as many as check in or as are silent, whichever are fewer: of a fleet that polls nearly
/// all check in and few are silent, and of one that is pushed to it is the other way round.
fn down(connection: &Connection, want: &SlotsWant, now: Time) -> Result<Vec<Member>, StoreError> {
    let terms = [now.as_millis(), i64::from(INTERVALS_MISSED_MAX) * 1_000];
    let count = |sql, of: &[i64]| -> Result<i64, StoreError> {
        let mut count = connection.prepare_cached(sql)?;
        Ok(count.query_row(params_from_iter(of), |row| row.get(0))?)
    };
    let intervals = count(INTERVALS, &[])?;
    if intervals == 0 {
        return Ok(vec![]);
    }
    let silent = count(SILENT, &[terms[0], terms[1], intervals])?;
    let from = if silent < intervals { DOWN_OF_SILENT } else { DOWN_OF_INTERVALS };
    members(connection, want, from, Some(terms))
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
        Ok((DeviceKey(row.get(0)?), domain(&row.get::<_, String>(1)?)?))
    })?;
    for (device, domain) in released {
        if let Ok(at) = failed.binary_search_by_key(&device, |failed| failed.device) {
            failed[at].released.push(domain);
        }
    }
    Ok(failed)
}

pub(super) fn regressed(connection: &Connection) -> Result<Vec<DeviceKey>, StoreError> {
    let sql =
        "SELECT f.device FROM failed_device f JOIN regressed r ON r.assignment = f.assignment";
    all(connection, sql, [], |row| Ok(DeviceKey(row.get(0)?)))
}

/// Whether a device of a rollout lacks the tag of a kind of domains; looks at all of them if none does.
pub(super) fn has_untagged(
    connection: &Connection,
    rollout: RolloutKey,
    per: &Per,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM cohort c \
               JOIN assignment a INDEXED BY assignment_cohort ON a.cohort = c.key \
               WHERE c.rollout = ?1 AND NOT EXISTS (SELECT 1 FROM tag INDEXED BY tag_device \
               WHERE device = a.device AND key = ?2) LIMIT 1";
    Ok(connection.prepare_cached(sql)?.exists(params![rollout.0, tags::key(per)])?)
}

/// Each found by the index, behind the one before: few keys, however many devices have them.
pub(super) fn tag_keys(connection: &Connection, limit: usize) -> Result<Vec<String>, StoreError> {
    let sql = "WITH RECURSIVE k (key) AS (SELECT min(key) FROM tag UNION ALL \
               SELECT (SELECT min(key) FROM tag WHERE key > k.key) FROM k WHERE k.key IS NOT NULL) \
               SELECT key FROM k WHERE key IS NOT NULL LIMIT ?1";
    all(connection, sql, [limit as i64], |row| row.get(0).map_err(StoreError::from))
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

fn domain(stored: &str) -> Result<Domain, StoreError> {
    stored.parse().map_err(|error| StoreError::Damaged(format!("a stored domain: {error}")))
}

/// The last slots that were released, oldest first.
pub(super) fn released(
    connection: &Connection,
    of: ReleasedOf,
    limit: usize,
) -> Result<Vec<ReleasedSlot>, StoreError> {
    let (which, key) = match of {
        ReleasedOf::Device(device) => ("r.device", device.0),
        ReleasedOf::Rollout(rollout) => ("a.rollout", rollout.0),
    };
    // Operators say them one by one: few, whichever way they are found.
    let sql = format!(
        "SELECT d.id, a.rollout, r.domain, r.reason, r.at FROM slot_release r \
         JOIN device d ON d.key = r.device JOIN assignment a ON a.id = r.assignment \
         WHERE {which} = ?1 ORDER BY r.seq DESC LIMIT ?2"
    );
    let mut released = all(connection, &sql, [key, limit as i64], |row| {
        Ok(ReleasedSlot {
            id: row.get(0)?,
            rollout: RolloutKey(row.get(1)?),
            domain: domain(&row.get::<_, String>(2)?)?,
            reason: row.get(3)?,
            at: Time::from_millis(row.get(4)?),
        })
    })?;
    released.reverse();
    Ok(released)
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

/// A device called: what it failed in was no end of it. One that is not well since its update calls
/// as well as others, and goes on keeping its slots. Says whether it kept slots until then.
pub(super) fn called(connection: &Connection, device: i64) -> Result<bool, StoreError> {
    let sql = "DELETE FROM failed_device WHERE device = ?1 AND NOT EXISTS \
               (SELECT 1 FROM regressed r WHERE r.assignment = failed_device.assignment)";
    Ok(connection.prepare_cached(sql)?.execute([device])? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteStore;

    fn store() -> (tempfile::TempDir, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        (dir, store)
    }

    fn plan(store: &SqliteStore, sql: &str) -> Vec<String> {
        let mut explain = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = explain.raw_query();
        let mut steps = vec![];
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get(3).unwrap());
        }
        steps
    }

    #[test]
    fn who_is_down_is_found_among_those_who_check_in_or_among_the_silent() {
        let (_dir, store) = store();
        let of = |from| plan(&store, &format!("SELECT d.key, d.id FROM {from}"))[..2].to_vec();
        assert_eq!(
            of(DOWN_OF_INTERVALS),
            [
                "SEARCH d USING INDEX device_check_in (check_in_secs>?)",
                "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"
            ]
        );
        assert_eq!(of(DOWN_OF_SILENT)[0], "SEARCH m USING COVERING INDEX seen_at (at<?)");
        let covering = "SEARCH device USING COVERING INDEX device_check_in (check_in_secs>?)";
        assert_eq!(plan(&store, INTERVALS), [covering]);
        assert!(
            plan(&store, SILENT)
                .contains(&"SEARCH seen USING COVERING INDEX seen_at (at<?)".to_owned())
        );
    }

    #[test]
    fn both_ways_find_the_same() {
        let (_dir, store) = store();
        // Id, interval, seen at: each on either side of its line, or without one.
        for (id, secs, at) in [
            ("silent", Some(10), Some(69_999)),
            ("just", Some(10), Some(70_000)),
            ("slow", Some(30), Some(69_999)),
            ("never", Some(10), None),
            ("none", None, Some(1)),
            ("old", Some(30), Some(1)),
        ] {
            let sql =
                "INSERT INTO device (id, name, check_in_secs, tags) VALUES (?1, ?1, ?2, '{}')";
            store.connection.execute(sql, params![id, secs]).unwrap();
            let key = store.connection.last_insert_rowid();
            let sql = "INSERT INTO seen (device, at) VALUES (?1, ?2)";
            store.connection.execute(sql, params![key, at]).unwrap();
        }
        let want = SlotsWant {
            pers: [].into(),
            is_held_wanted: false,
            is_size_wanted: false,
            down_at: None,
        };
        let of = |from| {
            let members = members(&store.connection, &want, from, Some([100_000, 3_000])).unwrap();
            let mut ids: Vec<_> = members.into_iter().map(|member| member.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(INTERVALS_MISSED_MAX, 3);
        let all = down(&store.connection, &want, Time::from_millis(100_000)).unwrap();
        assert_eq!(all.len(), 2);
        for from in [DOWN_OF_INTERVALS, DOWN_OF_SILENT] {
            assert_eq!(of(from), ["old".into(), "silent".into()] as [Box<str>; 2], "{from}");
        }
    }
}
