//! Opening the file: its pragmas, its schema, and who may write to it.

use std::{
    fs::OpenOptions, ops::Deref, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc, thread,
    time::Duration,
};

use groundswell_core::ids::Epoch;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    SqliteStore, access, epoch, fleet, reader,
    turns::{Turn, Turns},
};
use crate::store::StoreError;

/// Numbered, applied in order; a file is never changed once it was released.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001-state.sql"), include_str!("migrations/0002-access.sql")];

/// Pages of the log before it is written back: 16 MiB, so that a busy rollout writes a page back
/// once for many changes, and a restart reads little.
const CHECKPOINT_PAGES: u32 = 4_096;

/// Page cache in KiB. What a rollout touches is a moving window of a few MiB.
const CACHE_KIB: i64 = 16_384;

/// Statements kept prepared; there are fewer.
const STATEMENTS_MAX: usize = 96;

/// How long another process may keep the database to itself.
pub(super) const BUSY_MAX: Duration = Duration::from_secs(5);

/// How long a driver waits for another process that writes, which looks every so often: that process
/// pauses for a moment between what it writes, and a driver that gives up ends.
const DRIVER_BUSY_MAX: Duration = Duration::from_mins(1);
const DRIVER_LOOKS_EVERY: Duration = Duration::from_millis(1);

/// A transaction that writes, while it is its handle's turn.
pub(super) struct Writing<'a> {
    // Ends before the turn does.
    transaction: Transaction<'a>,
    _turn: Turn,
}

impl<'a> Deref for Writing<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl Writing<'_> {
    pub(super) fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit()?)
    }
}

impl SqliteStore {
    /// Opens the database at `path`, making or migrating it as needed.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a schema of a newer program, [`StoreError::Damaged`] for what is
    /// no database, [`StoreError::Disk`] if it cannot be written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // One that SQLite makes is for everybody to read, and what lies beside it like it. If this fails
        // it is there, or SQLite says why it cannot be.
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        reader::keep_plans(&connection)?;
        let turns = Turns::of(path);
        let mut store = Self { connection, turns, epoch: None, attribution: None, expected: None };
        store.migrate()?;
        Ok(store)
    }

    /// Opens the database at `path` to look at it, without making or changing anything in it;
    /// another process may be driving it, or begin to. `None` if there is none, or nothing in it yet.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_to_read(path: &Path) -> Result<Option<Self>, StoreError> {
        // One that cannot be looked for may be there: opening it says why.
        if !path.try_exists().unwrap_or(true) {
            return Ok(None);
        }
        let connection = reader::open(path)?;
        let store = Self {
            connection,
            turns: Arc::default(),
            epoch: None,
            attribution: None,
            expected: None,
        };
        Ok((store.schema()? > 0).then_some(store))
    }

    /// Has the file grow to no more pages than these, or than it has, by this handle: to try what a
    /// full disk does, without one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_pages_max(&self, pages: u32) -> Result<(), StoreError> {
        Ok(self.connection.pragma_update(None, "max_page_count", pages)?)
    }

    /// The schema it was written by.
    pub(crate) fn schema(&self) -> Result<i64, StoreError> {
        let known = MIGRATIONS.len() as i64;
        let found: i64 =
            self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > known { Err(StoreError::Newer { found, known }) } else { Ok(found.max(0)) }
    }

    pub(super) fn migrate(&mut self) -> Result<(), StoreError> {
        let found = self.schema()?;
        for (number, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
            let transaction = self.write()?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", number as i64 + 1)?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// Writes something as a transaction of its own.
    pub(super) fn within<T>(
        &mut self,
        write: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.write()?;
        let done = write(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Begins to write, unless this is the handle of a driver that another one has taken over from.
    pub(super) fn write(&mut self) -> Result<Writing<'_>, StoreError> {
        let own = self.epoch;
        let turn = self.turns.take(own.is_some());
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Nobody else can raise it before this transaction ends.
        epoch::refuse_stale(&transaction, own)?;
        if let Some(seen) = self.expected.take() {
            fleet::refuse_changed(&transaction, &seen)?;
        }
        if let Some(by) = self.attribution.take() {
            access::write_attribution(&transaction, &by)?;
        }
        Ok(Writing { transaction, _turn: turn })
    }

    /// This is the handle of a driver from now on.
    pub(super) fn become_driver(&mut self) -> Result<Epoch, StoreError> {
        let _turn = self.turns.take(true);
        let epoch = epoch::raise(&self.connection)?;
        let until = DRIVER_BUSY_MAX.as_millis() / DRIVER_LOOKS_EVERY.as_millis();
        self.connection.busy_handler(Some(move |looks: i32| {
            thread::sleep(DRIVER_LOOKS_EVERY);
            u128::from(looks.unsigned_abs()) < until
        }))?;
        self.epoch = Some(epoch);
        Ok(epoch)
    }

    /// One that no test has to clear away.
    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        let turns = Arc::default();
        let mut store = Self { connection, turns, epoch: None, attribution: None, expected: None };
        store.migrate().unwrap();
        store
    }
}
