//! Devices that were written: noted while somebody may want to know, and held against a rollout.

use groundswell_core::{device::Device, ids::AssignmentId, snapshot::Counts};
use rusqlite::{Connection, params};

use super::{assign, device, read, rows};
use crate::store::{
    Candidate, ChangeSeq, CohortName, CohortRecord, DeviceKey, Misplaced, Move, Review, Reviewed,
    RolloutKey, StoreError,
};

/// Who wants to know of devices that are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Whether a rollout goes on that devices may join.
    pub(super) joiners: bool,
    /// Whether one goes on whose hours are those of its devices.
    zones: bool,
    /// Whether one goes on that has budgets for failure domains.
    budgets: bool,
}

impl Wanted {
    pub(super) fn find(connection: &Connection) -> Result<Self, StoreError> {
        let sql = "SELECT coalesce(max(json_extract(spec, '$.membership') = 'dynamic'), 0), \
                   coalesce(max(json_extract(spec, '$.schedule.zone.device') IS NOT NULL AND \
                   (json_array_length(spec, '$.schedule.hours.windows') > 0 OR \
                   json_array_length(spec, '$.schedule.hours.freezes') > 0)), 0), \
                   coalesce(max(json_array_length(spec, '$.budgets') > 0), 0) FROM rollout \
                   WHERE state NOT IN ('draft', 'completed', 'failed', 'canceled', 'aborted')";
        Ok(connection.query_row(sql, [], |row| {
            Ok(Self { joiners: row.get(0)?, zones: row.get(1)?, budgets: row.get(2)? })
        })?)
    }

    /// Whether a device is to be noted that is new, or was known as something else.
    pub(super) const fn is_noted(self, is_new: bool) -> bool {
        self.joiners || self.budgets || self.zones && !is_new
    }
}

/// Notes a device behind all others: whoever has read that it was written before reads it again.
pub(super) fn note(connection: &Connection, device: i64) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO changed_device (device) VALUES (?1)";
    connection.prepare_cached(sql)?.execute([device])?;
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    after: ChangeSeq,
    limit: usize,
) -> Result<Vec<(ChangeSeq, DeviceKey)>, StoreError> {
    let sql = "SELECT seq, device FROM changed_device WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    read::all(connection, sql, params![after.0, limit as i64], |row| {
        Ok((ChangeSeq(row.get(0)?), DeviceKey(row.get(1)?)))
    })
}

pub(super) fn forget(connection: &Connection, up_to: ChangeSeq) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM changed_device WHERE seq <= ?1")?.execute([up_to.0])?;
    Ok(())
}

pub(super) fn review(connection: &Connection, review: &Review) -> Result<Reviewed, StoreError> {
    let mut reviewed = Reviewed { round: review.round, ..Reviewed::default() };
    let sql = device::by_key_sql();
    for key in review.devices.iter().filter(|_| review.is_device_wanted) {
        let found = read::all(connection, &sql, [key.0], device::device)?;
        reviewed.devices.extend(found.into_iter().map(|device: Device| (*key, device)));
    }
    let Some(schedule) = &review.schedule else { return Ok(reviewed) };
    let sql = open_sql();
    for key in &review.devices {
        let of = params![key.0, review.rollout.0, review.round];
        for (candidate, wave, zone, device_zone) in read::all(connection, &sql, of, open)? {
            let own = schedule.hours_zone_of(device_zone.as_deref());
            if own.as_ref().map_or("", |zone| zone.name()) == zone {
                continue;
            }
            let name = CohortName { wave, zone: own };
            let to = place(connection, review, name, &mut reviewed.cohorts)?.key;
            reviewed.misplaced.push(Misplaced { candidate, to });
        }
    }
    Ok(reviewed)
}

/// Device, rollout, round.
fn open_sql() -> String {
    format!(
        "SELECT {}, c.wave, c.zone, d.time_zone FROM assignment a INDEXED BY assignment_device \
         JOIN cohort c ON c.key = a.cohort JOIN device d ON d.key = a.device \
         WHERE a.device = ?1 AND a.rollout = ?2 AND c.round = ?3 AND a.state IN ({})",
        rows::CANDIDATE_COLUMNS,
        rows::codes_where(|state| !state.is_terminal())
    )
}

/// An assignment, its wave, the name of the zone it is in, and the device's own.
type Open = (Candidate, usize, String, Option<String>);

fn open(row: &rusqlite::Row<'_>) -> Result<Open, StoreError> {
    let wave: i64 = row.get(rows::CANDIDATE_COLUMN_COUNT)?;
    let zone = row.get(rows::CANDIDATE_COLUMN_COUNT + 1)?;
    let device_zone = row.get(rows::CANDIDATE_COLUMN_COUNT + 2)?;
    Ok((rows::candidate(row)?, wave.unsigned_abs() as usize, zone, device_zone))
}

/// A cohort among those that were found, or in the store.
fn place<'a>(
    connection: &Connection,
    review: &Review,
    CohortName { wave, zone }: CohortName,
    cohorts: &'a mut Vec<CohortRecord>,
) -> Result<&'a CohortRecord, StoreError> {
    let known = cohorts.iter().position(|known| known.wave == wave && known.zone == zone);
    let at = if let Some(at) = known {
        at
    } else {
        let name = CohortName { wave, zone };
        let (key, _) = assign::find(connection, review.rollout, review.round, &name)?;
        let CohortName { wave, zone } = name;
        cohorts.push(CohortRecord { key, wave, zone, counts: Counts::default() });
        cohorts.len() - 1
    };
    Ok(&cohorts[at])
}

/// Assignments belong to other cohorts from now on.
pub(super) fn write_moves(
    connection: &Connection,
    rollout: RolloutKey,
    moves: &[Move],
) -> Result<(), StoreError> {
    let sql = "UPDATE assignment SET cohort = ?2 WHERE id = ?1 AND rollout = ?3";
    let mut update = connection.prepare_cached(sql)?;
    for Move { id: AssignmentId(id), to } in moves {
        if update.execute(params![id, to.0, rollout.0])? != 1 {
            return Err(StoreError::Damaged(format!("assignment {id}: the row is missing")));
        }
    }
    Ok(())
}
