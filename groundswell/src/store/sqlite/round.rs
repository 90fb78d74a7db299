//! The next round of a rollout: rows for those that ended without the release in the one before.

use groundswell_core::{assignment::State, log, time::Time};
use rusqlite::{Connection, params};

use super::{assign::Assigner, read, rows};
use crate::store::{
    Assign, Batch, CohortName, CohortRecord, DeviceKey, RolloutKey, RoundCursor, StoreError,
};

/// Rows of the round before that are looked at for each that is written at the most: where few
/// failed, looking is what takes the time, and takes a tenth of that of writing.
const LOOKED_FOR_EACH: usize = 8;

/// Cohort, behind id, how many.
pub(super) const BEFORE: &str = "SELECT id, device, state, \
     EXISTS (SELECT 1 FROM regressed r WHERE r.assignment = id) \
     FROM assignment INDEXED BY assignment_cohort WHERE cohort = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

/// Whether the next round is for those that ended like this.
const fn is_tried_again(state: State) -> bool {
    state.is_failure() || matches!(state, State::Canceled)
}

/// Some of the rows, cohort by cohort.
pub(super) fn extend(
    connection: &Connection,
    rollout: RolloutKey,
    round: u32,
    from: Option<RoundCursor>,
    limit: usize,
    now: Time,
) -> Result<Option<RoundCursor>, StoreError> {
    let mut before = read::cohorts(connection, rollout, round - 1)?;
    before.sort_unstable_by_key(|cohort| cohort.key);
    before.retain(|cohort| from.is_none_or(|from| cohort.key >= from.cohort));
    let schedule = read::rollout(connection, rollout)?.map(|record| record.spec.schedule);
    let schedule = schedule.unwrap_or_default();
    let mut names: Vec<CohortName> = vec![];
    let mut devices = vec![];
    let (mut written, mut looked) = (0, 0);
    let mut next = None;
    'cohorts: for record in &before {
        let own = from.filter(|from| from.cohort == record.key);
        let mut after = own.map_or(0, |from| from.after);
        let most = limit * LOOKED_FOR_EACH - looked;
        let found = read::all(connection, BEFORE, params![record.key.0, after, most as i64], row)?;
        let is_end = found.len() < most;
        for (id, device, state, is_regressed) in found {
            if written == limit {
                next = Some(RoundCursor { cohort: record.key, after });
                break 'cohorts;
            }
            after = id;
            looked += 1;
            if is_regressed || is_tried_again(state) {
                written += 1;
                // It may have been in another zone in the round before.
                let zone = if schedule.follows_devices() {
                    schedule.hours_zone_of(zone_of(connection, device)?.as_deref())
                } else {
                    record.zone.clone()
                };
                let cohort = place_of(CohortName { wave: record.wave, zone }, &mut names);
                devices.push(Assign { device, cohort, state: State::Queued });
            }
        }
        if !is_end {
            next = Some(RoundCursor { cohort: record.key, after });
            break;
        }
    }
    let mut assigner = Assigner::new(connection, rollout, round, &names);
    for device in &devices {
        assigner.add_if_new(device, round)?;
    }
    assigner.finish(now)?;
    Ok(next)
}

fn place_of(name: CohortName, names: &mut Vec<CohortName>) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// The zone that a device is in now.
fn zone_of(connection: &Connection, device: DeviceKey) -> Result<Option<String>, StoreError> {
    let sql = "SELECT time_zone FROM device WHERE key = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([device.0], |row| row.get(0))?)
}

fn row(row: &rusqlite::Row<'_>) -> Result<(i64, DeviceKey, State, bool), StoreError> {
    Ok((row.get(0)?, DeviceKey(row.get(1)?), rows::state(row.get(2)?)?, row.get(3)?))
}

/// All of the rows of the round that `batch` begins, divided anew; how many these are.
pub(super) fn open(
    connection: &Connection,
    batch: &Batch,
    canaries: u32,
) -> Result<u64, StoreError> {
    let Some(progression) = &batch.progression else {
        return Err(StoreError::Damaged("a round without a progression".to_owned()));
    };
    let (rollout, round) = (batch.rollout, progression.round);
    let sql = format!(
        "SELECT a.device, c.zone FROM assignment a JOIN cohort c ON c.key = a.cohort \
         WHERE c.rollout = ?1 AND c.round = ?2 AND a.state IN ({}) ORDER BY a.id",
        rows::codes_where(is_tried_again)
    );
    let mut names: Vec<CohortName> = vec![];
    let mut devices = vec![];
    let found = read::all(connection, &sql, params![rollout.0, round - 1], |row| {
        Ok((DeviceKey(row.get(0)?), rows::zone(&row.get::<_, String>(1)?)?))
    })?;
    for (device, zone) in found {
        let wave = usize::from(canaries > 0 && devices.len() >= canaries as usize);
        let name = CohortName { wave, zone };
        let cohort = place_of(name, &mut names);
        devices.push(Assign { device, cohort, state: State::Queued });
    }
    // The round is written whole or not at all, and so has none of them.
    let mut assigner = Assigner::new(connection, rollout, round, &names);
    for device in &devices {
        assigner.add(device)?;
    }
    let cohorts = assigner.finish(batch.at)?;
    let counted = cohorts
        .into_iter()
        .map(|CohortRecord { wave, zone, counts, .. }| log::CohortCounts { wave, zone, counts });
    let records = [
        log::Record::Counted(counted.collect()),
        log::Record::Prepared,
        log::Record::stands(progression, batch.at),
    ];
    super::log::write(connection, rollout, batch.at, &records)?;
    Ok(devices.len() as u64)
}
