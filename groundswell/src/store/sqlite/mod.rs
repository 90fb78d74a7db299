//! The store in one `SQLite` file.
//!
//! Write-ahead log, `synchronous=FULL`: what a commit returned from survives a power cut. Changes
//! of neighboring assignments that went the same way are one statement, which is what keeps a
//! device-update at a few microseconds.

mod create;
mod device;
mod log;
mod read;
mod rows;
mod selector;

use std::{os::unix::ffi::OsStrExt, path::Path, time::Duration};

use groundswell_core::{
    assignment::{Assignment, State},
    device::Device,
    ids::{Epoch, RolloutId},
    rollout::Spec,
    selector::Selector,
    snapshot::Counts,
    time::Time,
};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::{
    Batch, Candidate, Change, Contact, Cursor, Page, Put, RolloutKey, RolloutRecord, Store,
    StoreError, Unfinished,
};

/// Numbered, applied in order; a file is never changed once it was released.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001-state.sql")];

/// Pages of the log before it is written back: 16 MiB, so that a busy rollout writes a page back
/// once for many changes, and a restart reads little.
const CHECKPOINT_PAGES: u32 = 4_096;

/// Page cache in KiB. What a rollout touches is a moving window of a few MiB.
const CACHE_KIB: i64 = 16_384;

/// Statements kept prepared; there are fewer.
const STATEMENTS_MAX: usize = 64;

/// By the key: any index would have it read the whole round.
const UPDATE_RUN: &str = "UPDATE OR ROLLBACK assignment NOT INDEXED SET state = ?3, attempt = ?4, \
     in_doubt = ?5, due_at = ?6, epoch = ?7, changed_at = ?8 \
     WHERE id BETWEEN ?1 AND ?2 AND rollout = ?9";

/// How long another process may keep the database to itself.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// What means something else in the path of a URI (<https://www.sqlite.org/uri.html>).
const URI_PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// A store in one `SQLite` file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the database at `path`, making or migrating it as needed.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a schema of a newer program, [`StoreError::Damaged`] for what is
    /// no database, [`StoreError::Disk`] if it cannot be written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let mut store = Self { connection };
        store.migrate()?;
        Ok(store)
    }

    /// Opens the database at `path` to look at it, without making, locking or changing anything;
    /// another process may be driving it. `None` if there is none, or nothing in it yet.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_to_read(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let wal = path.with_extension("db-wal");
        // Nobody has it open, and nothing lies beside it: read as it is, it gets no files beside.
        let how = if wal.exists() { "mode=ro" } else { "mode=ro&immutable=1" };
        let name = percent_encode(path.as_os_str().as_bytes(), URI_PATH);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(format!("file:{name}?{how}"), flags)?;
        connection.busy_timeout(BUSY_MAX)?;
        let store = Self { connection };
        Ok((store.schema()? > 0).then_some(store))
    }

    /// The schema it was written by.
    fn schema(&self) -> Result<i64, StoreError> {
        let known = MIGRATIONS.len() as i64;
        let found: i64 =
            self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > known { Err(StoreError::Newer { found, known }) } else { Ok(found.max(0)) }
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let found = self.schema()?;
        for (number, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
            let transaction = self.write()?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", number as i64 + 1)?;
            transaction.commit()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<rusqlite::Transaction<'_>, StoreError> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

impl Store for SqliteStore {
    fn raise_epoch(&mut self) -> Result<Epoch, StoreError> {
        let sql = "UPDATE driver SET epoch = epoch + 1 RETURNING epoch";
        Ok(Epoch(self.connection.query_row(sql, [], |row| row.get(0))?))
    }

    fn find(&self, identity: &[u8; 32]) -> Result<Option<RolloutRecord>, StoreError> {
        read::find(&self.connection, identity)
    }

    fn unfinished(&self) -> Result<Vec<RolloutRecord>, StoreError> {
        read::unfinished(&self.connection)
    }

    fn create(
        &mut self,
        id: RolloutId,
        identity: &[u8; 32],
        spec: &Spec,
        now: Time,
    ) -> Result<RolloutKey, StoreError> {
        create::rollout(&self.connection, id, identity, spec, now)
    }

    fn add_devices(&mut self, rollout: RolloutKey, devices: &[&Device]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        create::devices(&transaction, rollout, devices)?;
        Ok(transaction.commit()?)
    }

    fn put_devices(&mut self, devices: &[&Device]) -> Result<Put, StoreError> {
        let transaction = self.write()?;
        let mut put = Put::default();
        for device in devices {
            *match device::upsert(&transaction, device)?.1 {
                device::Written::New => &mut put.new,
                device::Written::Changed => &mut put.changed,
                device::Written::Same => &mut put.same,
            } += 1;
        }
        transaction.commit()?;
        Ok(put)
    }

    fn device(&self, id: &str) -> Result<Option<Device>, StoreError> {
        device::load(&self.connection, id)
    }

    fn devices(
        &self,
        select: Option<&Selector>,
        after: Option<&str>,
        limit: usize,
        now: Time,
    ) -> Result<Vec<Device>, StoreError> {
        device::list(&self.connection, select, after, limit, now)
    }

    fn count_devices(&self, select: Option<&Selector>, now: Time) -> Result<u64, StoreError> {
        device::count(&self.connection, select, now)
    }

    fn saw(&mut self, contacts: &[Contact<'_>]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        device::saw_each(&transaction, contacts)?;
        Ok(transaction.commit()?)
    }

    fn set_spec(&mut self, rollout: RolloutKey, spec: &Spec) -> Result<(), StoreError> {
        let sql = "UPDATE rollout SET spec = ?2 WHERE key = ?1";
        self.connection.execute(sql, params![rollout.0, rows::to_json(spec)?])?;
        Ok(())
    }

    fn discard(&mut self, rollout: RolloutKey) -> Result<(), StoreError> {
        let transaction = self.write()?;
        create::discard(&transaction, rollout)?;
        Ok(transaction.commit()?)
    }

    fn cancel(&mut self, rollout: RolloutKey, now: Time) -> Result<Counts, StoreError> {
        let transaction = self.write()?;
        let counts = create::cancel(&transaction, rollout, now)?;
        transaction.commit()?;
        Ok(counts)
    }

    fn open_round(&mut self, rollout: RolloutKey, now: Time) -> Result<u64, StoreError> {
        let transaction = self.write()?;
        let devices = create::round(&transaction, rollout, now)?;
        transaction.commit()?;
        Ok(devices)
    }

    fn counts(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError> {
        read::counts(&self.connection, rollout, round)
    }

    fn counts_before(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError> {
        read::counts_before(&self.connection, rollout, round)
    }

    fn is_overtaken(&self, rollout: RolloutKey) -> Result<bool, StoreError> {
        read::is_overtaken(&self.connection, rollout)
    }

    fn open(&self, rollout: RolloutKey, round: u32) -> Result<Vec<Candidate>, StoreError> {
        read::open(&self.connection, rollout, round)
    }

    fn candidates(
        &self,
        rollout: RolloutKey,
        round: u32,
        cursor: Cursor,
        now: Time,
        limit: usize,
        fresh_limit: usize,
    ) -> Result<Page, StoreError> {
        read::candidates(&self.connection, rollout, round, cursor, now, limit, fresh_limit)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let transaction = self.write()?;
        write_changes(&transaction, batch)?;
        if let Some(progression) = &batch.progression {
            create::set_progression(&transaction, batch.rollout, progression)?;
        }
        transaction
            .prepare_cached("INSERT INTO log (rollout, at, body) VALUES (?1, ?2, ?3)")?
            .execute(params![batch.rollout.0, batch.at.as_millis(), log::body(batch)?])?;
        Ok(transaction.commit()?)
    }

    fn for_each_unfinished(
        &self,
        rollout: RolloutKey,
        round: u32,
        each: &mut dyn FnMut(Unfinished),
    ) -> Result<(), StoreError> {
        read::for_each_unfinished(&self.connection, rollout, round, each)
    }
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
            batch.rollout.0,
        ])?;
        if changed as i64 == last - first + 1 {
            Ok(())
        } else {
            Err(StoreError::Damaged(format!("assignments {first} to {last}: rows are missing")))
        }
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

/// Whether `state` is one that the report of a run lists.
fn is_unfinished(state: State) -> bool {
    !matches!(state, State::Succeeded | State::Skipped(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_commit_and_fetch_runs_is_found_by_key_or_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        for (sql, found_by) in [
            (
                UPDATE_RUN.to_owned(),
                "SEARCH assignment USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
            ),
            (
                read::queued_sql(),
                "SEARCH a USING INDEX assignment_round (rollout=? AND round=? AND rowid>?)",
            ),
            (
                read::retrying_sql(),
                "SEARCH a USING INDEX assignment_retrying (rollout=? AND round=? AND due_at>? AND due_at<?)",
            ),
        ] {
            let mut explain =
                store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let detail: String = explain.raw_query().next().unwrap().unwrap().get(3).unwrap();
            assert_eq!(detail, found_by, "{sql}");
        }
    }
}
