//! Writing a batch: what changed, what was heard, and the line of the log.

use groundswell_core::{
    assignment::{Assignment, SkipReason, State},
    bites,
    release::Digest,
    version::VersionKey,
};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::{assign, changed, device, health, log, quarantine, rollback, rollout, rows, slots};
use crate::store::{Batch, Change, StoreError};

/// By the key: any index would have it read the whole round.
pub(super) const UPDATE_RUN: &str = "UPDATE OR ROLLBACK assignment NOT INDEXED SET state = ?3, \
     attempt = ?4, in_doubt = ?5, due_at = ?6, epoch = ?7, changed_at = ?8, away_since = ?9 \
     WHERE id BETWEEN ?1 AND ?2 AND rollout = ?10";

/// The devices of neighboring assignments run this version now, and were heard of.
pub(super) const SAW_RUN: &str = "INSERT INTO seen (device, at, version, version_key) \
     SELECT device, ?3, ?4, ?5 FROM assignment NOT INDEXED WHERE id BETWEEN ?1 AND ?2 AND true \
     ON CONFLICT (device) DO UPDATE SET at = max(coalesce(at, 0), excluded.at), \
     version = coalesce(excluded.version, version), \
     version_key = coalesce(excluded.version_key, version_key)";

/// What the devices of neighboring assignments are known to run is what they ran before, unless that
/// is known already, or is the version of the release. By the key, as above.
pub(super) const RAN_RUN: &str = "INSERT OR IGNORE INTO ran_before (assignment, version) \
     SELECT a.id, s.version FROM assignment a NOT INDEXED JOIN seen s ON s.device = a.device \
     WHERE a.id BETWEEN ?1 AND ?2 AND s.version IS NOT NULL AND s.version IS NOT ?3";

pub(super) fn write(connection: &Connection, batch: &Batch) -> Result<(), StoreError> {
    write_changes(connection, batch)?;
    changed::write_moves(connection, batch.rollout, &batch.moves)?;
    slots::write(connection, batch.rollout, &batch.slots, batch.at)?;
    health::write(connection, batch.rollout, &batch.regressed, batch.at)?;
    for (cohort, counts) in &batch.cohorts {
        assign::set_counts(connection, *cohort, counts)?;
    }
    if let Some(progression) = &batch.progression {
        rollout::set_progression(connection, batch.rollout, progression)?;
    }
    for heard in &batch.heard {
        device::saw(connection, heard.device.0, batch.at, heard.version.as_deref())?;
    }
    if let Some(told) = &batch.told {
        connection
            .prepare_cached("UPDATE rollout SET told = ?2 WHERE key = ?1")?
            .execute(params![batch.rollout.0, rows::to_json(told)?])?;
    }
    for (seq, answer) in &batch.answers {
        rollout::answer(connection, *seq, answer)?;
    }
    log::write(connection, batch.rollout, batch.at, &batch.records)?;
    if let Some(rollback) = &batch.rollback {
        rollback::write(connection, batch.rollout, rollback, batch.at)?;
    }
    Ok(())
}

/// Writes batches that were kept, unless these were written before: whoever did may have died
/// before it could take them away.
pub(super) fn write_kept(connection: &Connection, batches: &[Batch]) -> Result<(), StoreError> {
    let digest = Digest(Sha256::digest(rows::to_json(&batches)?).into()).to_string();
    let sql = "UPDATE driver SET kept = ?1 WHERE kept IS NOT ?1";
    if connection.execute(sql, [digest])? == 0 {
        return Ok(());
    }
    batches.iter().try_for_each(|batch| write(connection, batch))
}

/// Writes the last change of every assignment in the batch, neighbors that went the same way by
/// one statement. A conflict undoes the whole batch, which spares a journal for each statement.
fn write_changes(connection: &Connection, batch: &Batch) -> Result<(), StoreError> {
    let mut last: Vec<&Change> = batch.changes.iter().collect();
    last.sort_by_key(|change| change.id);
    let mut update = connection.prepare_cached(UPDATE_RUN)?;
    let mut explain = connection.prepare_cached(
        "INSERT INTO detail (assignment, text) VALUES (?1, ?2) \
         ON CONFLICT DO UPDATE SET text = excluded.text",
    )?;
    let mut saw = connection.prepare_cached(SAW_RUN)?;
    let mut ran = connection.prepare_cached(RAN_RUN)?;
    let is_kept = last.iter().any(|change| may_change_device(&change.to))
        && can_be_rolled_back(connection, batch)?;
    let clears = last.iter().any(|change| change.to.state == State::Succeeded)
        && quarantine::is_any_failing(connection)?
        && (bites!(BackIsWell) || !is_rollback(connection, batch)?);
    let version_key = batch.version.as_deref().map(VersionKey::of);
    let version_key = version_key.as_ref().map(VersionKey::as_bytes);
    let mut write_run = |first: i64, last: i64, to: &Assignment| -> Result<(), StoreError> {
        let changed = update.execute(params![
            first,
            last,
            rows::code(to.state),
            to.attempt,
            to.in_doubt,
            to.due_at.as_millis(),
            batch.epoch.0,
            batch.at.as_millis(),
            to.away_since.as_millis(),
            batch.rollout.0,
        ])?;
        if changed as i64 != last - first + 1 {
            let what = format!("assignments {first} to {last}: rows are missing");
            return Err(StoreError::Damaged(what));
        }
        // Before it is overwritten: a device that says its version while it is asked was not known
        // to run anything when it was claimed.
        if is_kept && may_change_device(to) {
            ran.execute(params![first, last, batch.version])?;
        }
        if to.state.is_failure() {
            quarantine::failed(connection, (first, last), batch.rollout, batch.at)?;
        } else if clears && to.state == State::Succeeded {
            quarantine::went_well(connection, (first, last))?;
        }
        if shows_version(to.state) {
            saw.execute(params![first, last, batch.at.as_millis(), batch.version, version_key])?;
        }
        Ok(())
    };
    let mut run: Option<(i64, i64, &Assignment)> = None;
    for (at, change) in last.iter().enumerate() {
        if last.get(at + 1).is_some_and(|next| next.id == change.id) {
            continue;
        }
        if let Some(detail) = &change.detail {
            explain.execute(params![change.id.0, detail])?;
        }
        run = Some(match run {
            Some((first, last, to)) if last + 1 == change.id.0 && *to == change.to => {
                (first, change.id.0, to)
            }
            Some((first, last, to)) => {
                write_run(first, last, to)?;
                (change.id.0, change.id.0, &change.to)
            }
            None => (change.id.0, change.id.0, &change.to),
        });
    }
    match run {
        Some((first, last, to)) => write_run(first, last, to),
        None => Ok(()),
    }
}

/// Whether a device that came to this state was heard of, running the release.
const fn shows_version(state: State) -> bool {
    matches!(state, State::Succeeded | State::Skipped(SkipReason::AlreadyCurrent))
}

/// Whether a device at this point may be changed by what it is sent, or may have been.
const fn may_change_device(to: &Assignment) -> bool {
    match to.state {
        State::Delivering => true,
        State::Succeeded | State::Failed(_) | State::TimedOut(_) | State::Canceled => {
            to.attempt > 0
        }
        _ => false,
    }
}

/// Whether another rollout is rolled back by this one: that a device takes what it ran before shows
/// nothing of how it takes what is new.
fn is_rollback(connection: &Connection, batch: &Batch) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM rollout WHERE key = ?1 AND rolls_back IS NOT NULL";
    Ok(connection.prepare_cached(sql)?.exists([batch.rollout.0])?)
}

/// Whether this is a rollout that can be rolled back: a push cannot, because its headers and paths
/// are known to its own command alone.
fn can_be_rolled_back(connection: &Connection, batch: &Batch) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM rollout WHERE key = ?1 AND identity IS NULL";
    Ok(connection.prepare_cached(sql)?.exists([batch.rollout.0])?)
}
