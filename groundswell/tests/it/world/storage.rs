//! What happens to the store of a driver: it dies in the middle of a job, the power is cut while it
//! writes, the disk is full.

use std::{fs, time::Duration};

use groundswell::{
    core::ids::Epoch,
    engine::{
        fact::Fact,
        takeover::{TakeoverError, recover},
    },
    store::{
        Batch, SqliteStore, Store, StoreError,
        reserve::Reserve,
        writer::{Done, Job, do_job},
    },
};

use super::{
    Event, World,
    driver::{Driver, database},
    rows::Rows,
    trace::tell,
    wal,
};

/// What the database may grow to when the disk is not full: as much as it can.
const PAGES_MAX: u32 = u32::MAX - 1;

/// What of the storage there is beside the database.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    /// Until when the disk is full, in true time.
    full_until: Option<i64>,
    /// The epoch of the driver that began last.
    epoch: Epoch,
    /// What the reserve had when it was taken over, and is not to be told twice.
    told: Option<String>,
    /// Times that the power was cut.
    cuts: u64,
}

impl World {
    /// The store comes to the end of its next job, or not.
    pub(crate) fn store_done(&mut self) {
        let mut driver = self.driver.take().unwrap();
        let job = driver.jobs.pop_front().unwrap();
        self.fill_disk(&mut driver);
        if is_write(&job) {
            if self.faults.torn.comes() {
                return self.cut_power(driver, job);
            }
            if self.faults.job.comes() {
                return self.die_within(driver, job);
            }
        }
        let done = self.carry_out_job(&mut driver.store, job);
        self.driver = Some(driver);
        if let Done::Looked(Ok(Some(_))) = &done {
            self.checker.looked(self.agenda.clock());
        }
        self.facts.push(Fact::Store(done));
    }

    /// The driver dies with the job not committed, or committed and the answer lost.
    fn die_within(&mut self, mut driver: Driver, job: Job) {
        if self.faults.job.dice.percent(50) {
            self.note("job: died, and it was done");
            self.carry_out_job(&mut driver.store, job);
        } else {
            self.note("job: died, and it was not done");
        }
        self.start_later();
    }

    /// What was under way is gone, and a driver is started again later.
    pub(crate) fn start_later(&mut self) {
        self.facts.clear();
        let wait = self.faults.downtime();
        self.agenda.put(wait, Event::Start);
    }

    /// The power is cut while a job is written. What the disk has then is the database of before, and
    /// of the log everything that was acknowledged, and something of what was not.
    fn cut_power(&mut self, mut driver: Driver, job: Job) {
        self.storage.cuts += 1;
        let place = self.dir.path().join(format!("cut-{}", self.storage.cuts));
        fs::create_dir(&place).unwrap();
        let (old, new) = (database(&self.place), database(&place));
        let (old_log, new_log) = (old.with_extension("db-wal"), new.with_extension("db-wal"));
        fs::copy(&old, &new).unwrap();
        let before = wal::whole(&fs::read(&old_log).unwrap());
        // It may have been written whole before the power went.
        let is_whole = self.faults.torn.dice.percent(20);
        if is_whole {
            self.carry_out_job(&mut driver.store, job);
        } else {
            do_job(&mut driver.store, job);
        }
        let mut log = fs::read(&old_log).unwrap();
        let after = wal::whole(&log);
        let from = after.begun_at(&before);
        let how = if is_whole || from == after.to {
            "torn: nothing"
        } else {
            after.damage(&mut log, from, &mut self.faults.torn.dice)
        };
        fs::write(new_log, &log).unwrap();
        drop(driver);
        self.frozen = None;
        self.note(how);
        self.move_to(place);
        self.start_later();
    }

    /// Everybody has the state where it lies now.
    fn move_to(&mut self, place: std::path::PathBuf) {
        let old = std::mem::replace(&mut self.place, place);
        // The reserve is written over blocks of its own, which are as they were.
        let _ = fs::rename(old.join("reserve"), self.place.join("reserve"));
        fs::rename(old.join("artifacts"), self.place.join("artifacts")).unwrap();
        self.desk = SqliteStore::open(&database(&self.place)).unwrap();
        let rows = Rows::open(&database(&self.place));
        let found = rows.integrity();
        self.checker.rows = rows;
        if found != "ok" {
            self.fail(&format!("the database is damaged by a power cut: {found}"));
        }
        fs::remove_dir_all(&old).unwrap();
    }

    /// The disk fills up, and has room again.
    fn fill_disk(&mut self, driver: &mut Driver) {
        let now = self.agenda.now;
        if self.storage.full_until.is_none() && self.faults.disk.comes() {
            let dice = &mut self.faults.disk.dice;
            let max_ms = *dice.pick(&[10, 5_000, 60_000, 1_800_000]);
            self.storage.full_until = Some(now + dice.range(1, max_ms) as i64);
            self.note("disk: full");
        }
        self.look_for_room();
        let is_full = self.is_disk_full();
        if std::mem::replace(&mut driver.is_disk_full, is_full) != is_full {
            set_full(&mut driver.store, is_full);
        }
    }

    fn look_for_room(&mut self) {
        let (now, is_calm) = (self.agenda.now, self.is_calm);
        if self.storage.full_until.is_some_and(|until| until <= now || is_calm) {
            self.storage.full_until = None;
            tell!(self, "{} the disk has room again", self.stamp());
        }
    }

    pub(crate) const fn is_disk_full(&self) -> bool {
        self.storage.full_until.is_some()
    }

    /// A job failed: that must be for lack of room.
    pub(crate) fn refused(&mut self, done: &Done) {
        self.checker.back.refused();
        match error_of(done) {
            Some(StoreError::Disk(_)) if self.is_disk_full() => {
                self.note(if matches!(done, Done::Committed(..)) {
                    "disk: a commit refused"
                } else {
                    "disk: another job refused"
                });
            }
            _ => self.fail(&format!("a job is refused: {done:?}")),
        }
    }

    /// What a driver could not write goes to the reserve, with all that it kept before.
    pub(crate) fn keep(&mut self, batches: Vec<Batch>) {
        let reserve = self.reserve();
        let driver = self.running();
        driver.kept.extend(batches);
        reserve.keep(&driver.kept).unwrap();
        self.note("disk: batches kept");
    }

    pub(crate) fn reserve(&self) -> Reserve {
        Reserve::open(&self.place.join("reserve")).unwrap()
    }

    /// Opens the store for a new driver, with what an earlier one kept; none if it cannot begin now,
    /// and will be started again.
    pub(crate) fn open_store(&mut self) -> Option<(SqliteStore, Epoch)> {
        self.look_for_room();
        let mut store = SqliteStore::open(&database(&self.place)).unwrap();
        set_full(&mut store, self.is_disk_full());
        if self.place.join("reserve").exists() && !self.take_over_kept(&mut store) {
            return None;
        }
        let epoch = store.raise_epoch().unwrap();
        self.storage.epoch = epoch;
        Some((store, epoch))
    }

    /// Says whether what was kept, if anything, is in the database now, and the driver lives.
    pub(crate) fn take_over_kept(&mut self, store: &mut SqliteStore) -> bool {
        let reserve = self.reserve();
        let kept = reserve.kept().unwrap();
        if kept.is_empty() {
            return true;
        }
        let text = serde_json::to_string(&kept).unwrap();
        let is_stale = kept.iter().any(|batch| batch.epoch < self.storage.epoch);
        if self.storage.told.as_ref() != Some(&text) && !is_stale {
            for batch in &kept {
                let breaches = self.checker.before_commit(&self.desk, batch);
                self.breached(&breaches);
            }
        }
        // It may die before it can take them away, and the next one finds them again.
        let job = &mut self.faults.job;
        let dies = !is_stale && job.one_in > 0 && job.dice.percent(40);
        let taken = if dies {
            store.commit_kept(&kept).map_err(TakeoverError::from)
        } else {
            recover(store, &reserve)
        };
        match taken {
            Ok(()) => {}
            Err(TakeoverError::Store(StoreError::Disk(_))) if self.is_disk_full() => {
                self.checker.back.refused();
                self.note("disk: a start waits for room");
                let wait = Duration::from_millis(self.faults.disk.dice.range(1_000, 600_000));
                self.agenda.put(wait, Event::Start);
                return false;
            }
            Err(error) => self.fail(&format!("what was kept is refused: {error:?}")),
        }
        if is_stale {
            self.note("stale: what it kept is left out");
            return true;
        }
        self.tell_kept(&kept, text);
        if dies {
            self.note("disk: died with the kept batches written");
            self.start_later();
        }
        !dies
    }

    /// What was kept became durable, unless it had before.
    fn tell_kept(&mut self, kept: &[Batch], text: String) {
        if self.storage.told.as_ref() == Some(&text) {
            return self.note("disk: kept batches found again");
        }
        self.storage.told = Some(text);
        self.note("disk: kept batches taken over");
        for (at, batch) in kept.iter().enumerate() {
            let is_last = kept[at + 1..].iter().all(|later| later.rollout != batch.rollout);
            self.committed(batch, is_last);
        }
    }
}

fn set_full(store: &mut SqliteStore, is_full: bool) {
    // It never shrinks: one page is as many as it has.
    store.set_pages_max(if is_full { 1 } else { PAGES_MAX }).unwrap();
}

/// Whether a job writes.
pub(crate) const fn is_write(job: &Job) -> bool {
    !matches!(
        job,
        Job::Fetch(_)
            | Job::Read(_)
            | Job::Look { .. }
            | Job::Waiting(..)
            | Job::Slots(_)
            | Job::HasFailed(_)
            | Job::Rollbacks(_)
    )
}

/// Why a job failed, if it did.
pub(crate) const fn error_of(done: &Done) -> Option<&StoreError> {
    match done {
        Done::Fetched(_, Err(error))
        | Done::Committed(_, Err(error))
        | Done::Assigned(_, Err(error))
        | Done::Discarded(_, Err(error))
        | Done::RoundOpened(_, Err(error))
        | Done::Read(_, Err(error))
        | Done::Looked(Err(error))
        | Done::Waiting(_, Err(error))
        | Done::Reviewed(_, Err(error))
        | Done::Patients(_, Err(error))
        | Done::Forgotten(Err(error))
        | Done::Slots(Err(error))
        | Done::HasFailed(_, Err(error))
        | Done::Rollbacks(Err(error))
        | Done::Answered(_, Err(error)) => Some(error),
        _ => None,
    }
}
