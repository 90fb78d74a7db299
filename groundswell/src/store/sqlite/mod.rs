//! The store in one `SQLite` file.
//!
//! Write-ahead log, `synchronous=FULL`: what a commit returned from survives a power cut. Changes
//! of neighboring assignments that went the same way are one statement, which is what keeps a
//! device-update at a few microseconds.

mod access;
mod artifacts;
mod assign;
mod assignments;
mod changed;
mod commit;
mod copy;
mod device;
mod ended;
mod epoch;
mod fleet;
mod health;
mod interrupt;
mod listing;
mod log;
mod open;
mod quarantine;
mod queue;
mod read;
mod reader;
mod release;
mod rollback;
mod rollout;
mod round;
mod rows;
mod selector;
mod selectors;
mod slots;
mod tags;
mod tail;
mod trouble;
mod turns;

use std::{path::Path, sync::Arc};

use groundswell_core::{
    assignment::State,
    device::Device,
    ids::{Epoch, RolloutId},
    log::Record,
    release::Release,
    rollout::Spec,
    selector::Selector,
    snapshot::Counts,
    time::Time,
};
use rusqlite::Connection;

pub use self::interrupt::Interrupt;
use self::turns::Turns;

use super::{
    Alike, Answer, Assign, AssignmentsPage, AssignmentsWant, Attribution, Batch, Candidate,
    ChangeSeq, Chosen, CohortName, CohortRecord, Contact, DeviceKey, EachAssigned, EachChanged,
    Intent, IntentSeq, LogRow, Page, Put, Review, Reviewed, Rollback, RolloutKey, RolloutRecord,
    RoundCursor, Standing, Store, StoreError, Unfinished, Want, Which,
};

/// A store in one `SQLite` file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    /// Whose turn it is to write, of all handles of this process.
    turns: Arc<Turns>,
    /// That of the driver whose handle this is; nobody's unless it raised one.
    epoch: Option<Epoch>,
    /// By whom the next transaction is, if somebody said so.
    attribution: Option<Box<Attribution>>,
    /// What the next transaction has to find said of a device, if somebody said so.
    expected: Option<Box<Device>>,
}

impl Store for SqliteStore {
    fn at_once(
        &self,
        read: &mut dyn FnMut(&dyn Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            // Part of what is read at once already.
            return read(self);
        }
        let moment = self.connection.unchecked_transaction()?;
        read(self)?;
        Ok(moment.commit()?)
    }

    fn raise_epoch(&mut self) -> Result<Epoch, StoreError> {
        self.become_driver()
    }

    fn find(
        &self,
        identity: &[u8; 32],
        before: Option<RolloutKey>,
    ) -> Result<Option<RolloutRecord>, StoreError> {
        read::find(&self.connection, identity, before)
    }

    fn rollout(&self, key: RolloutKey) -> Result<Option<RolloutRecord>, StoreError> {
        read::rollout(&self.connection, key)
    }

    fn rollouts(&self, which: Which) -> Result<Vec<RolloutRecord>, StoreError> {
        read::rollouts(&self.connection, which)
    }

    fn create(
        &mut self,
        id: RolloutId,
        identity: Option<&[u8; 32]>,
        spec: &Spec,
        now: Time,
    ) -> Result<RolloutKey, StoreError> {
        let transaction = self.write()?;
        let key = rollout::create(&transaction, id, identity, spec, now)?;
        transaction.commit()?;
        Ok(key)
    }

    fn assign(
        &mut self,
        rollout: RolloutKey,
        round: u32,
        cohorts: &[CohortName],
        devices: &[Assign],
        all_new: bool,
        now: Time,
    ) -> Result<Vec<CohortRecord>, StoreError> {
        let transaction = self.write()?;
        let mut assigner = assign::Assigner::new(&transaction, rollout, round, cohorts);
        for device in devices {
            if all_new { assigner.add(device)? } else { assigner.add_if_new(device, 1)? }
        }
        let added = assigner.finish(now)?;
        transaction.commit()?;
        Ok(added)
    }

    fn add_devices(
        &mut self,
        rollout: RolloutKey,
        cohorts: &[CohortName],
        devices: &[(&Device, usize)],
        now: Time,
    ) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let mut assigner = assign::Assigner::new(&transaction, rollout, 1, cohorts);
        for (device, cohort) in devices {
            let device = DeviceKey(device::upsert(&transaction, device)?.0);
            assigner.add(&Assign { device, cohort: *cohort, state: State::Queued })?;
        }
        assigner.finish(now)?;
        transaction.commit()
    }

    fn put_devices(&mut self, devices: &[&Device]) -> Result<Put, StoreError> {
        self.within(|transaction| device::put(transaction, devices))
    }

    fn device_key(&self, id: &str) -> Result<Option<DeviceKey>, StoreError> {
        Ok(device::key_of(&self.connection, id)?.map(DeviceKey))
    }

    fn for_each_chosen(
        &self,
        select: Option<&Selector>,
        now: Time,
        each: &mut dyn FnMut(Chosen<'_>),
    ) -> Result<(), StoreError> {
        device::for_each_chosen(&self.connection, select, now, each)
    }

    fn for_each_changed(
        &self,
        rollout: RolloutKey,
        each: EachChanged<'_>,
    ) -> Result<(), StoreError> {
        rollback::for_each_changed(&self.connection, rollout, each)
    }

    fn rollbacks(&self, of: RolloutKey) -> Result<Vec<RolloutRecord>, StoreError> {
        rollback::of(&self.connection, of)
    }

    fn roll_back(
        &mut self,
        of: RolloutKey,
        (generation, rollbacks): (u64, usize),
        rollback: &Rollback,
        now: Time,
    ) -> Result<Option<Vec<RolloutKey>>, StoreError> {
        let transaction = self.write()?;
        if !rollback::is_as_seen(&transaction, of, generation, rollbacks)? {
            return Ok(None);
        }
        let by = rollback::write(&transaction, of, rollback, now)?;
        transaction.commit()?;
        Ok(Some(by))
    }

    fn put_release(&mut self, release: &Release, now: Time) -> Result<bool, StoreError> {
        self.within(|transaction| release::put(transaction, release, now))
    }

    fn releases(&self, name: Option<&str>) -> Result<Vec<(Release, Time)>, StoreError> {
        release::list(&self.connection, name)
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
        listing::list(&self.connection, select, after, limit, now)
    }

    fn count_devices(&self, select: Option<&Selector>, now: Time) -> Result<u64, StoreError> {
        device::count(&self.connection, select, now)
    }

    fn count_chosen(&self, select: Option<&Selector>, now: Time) -> Result<Vec<Alike>, StoreError> {
        device::count_chosen(&self.connection, select, now)
    }

    fn count_versions(
        &self,
        select: Option<&Selector>,
        now: Time,
    ) -> Result<Vec<(Option<String>, u64)>, StoreError> {
        device::count_versions(&self.connection, select, now)
    }

    fn saw(&mut self, contacts: &[Contact<'_>]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        device::saw_each(&transaction, contacts)?;
        transaction.commit()
    }

    fn note(&mut self, rollout: RolloutKey, record: &Record, now: Time) -> Result<(), StoreError> {
        self.within(|transaction| {
            log::write(transaction, rollout, now, std::slice::from_ref(record))
        })
    }

    fn set_spec(&mut self, rollout: RolloutKey, spec: &Spec, now: Time) -> Result<(), StoreError> {
        let transaction = self.write()?;
        rollout::set_spec(&transaction, rollout, spec, now)?;
        transaction.commit()
    }

    fn for_each_log_row(
        &self,
        rollout: RolloutKey,
        each: &mut dyn FnMut(LogRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        log::for_each(&self.connection, rollout, each)
    }

    fn state_column(&self, rollout: RolloutKey) -> Result<String, StoreError> {
        read::state_column(&self.connection, rollout)
    }

    fn for_each_assigned(&self, of: RolloutKey, each: EachAssigned<'_>) -> Result<(), StoreError> {
        read::for_each_assigned(&self.connection, of, each)
    }

    fn shorten_log(
        &mut self,
        rollout: RolloutKey,
        seq: i64,
        base: &Record,
    ) -> Result<u64, StoreError> {
        self.within(|transaction| log::shorten(transaction, rollout, seq, base))
    }

    fn prune_log(&mut self, rollout: RolloutKey, limit: usize) -> Result<usize, StoreError> {
        log::prune(&self.connection, rollout, limit)
    }

    fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        copy::copy_to(&self.connection, file)
    }

    fn discard(
        &mut self,
        rollout: RolloutKey,
        limit: usize,
        now: Time,
    ) -> Result<usize, StoreError> {
        let transaction = self.write()?;
        let removed = rollout::discard(&transaction, rollout, limit, now)?;
        transaction.commit()?;
        Ok(removed)
    }

    fn remove(&mut self, rollout: RolloutKey) -> Result<(), StoreError> {
        let transaction = self.write()?;
        rollout::remove(&transaction, rollout)?;
        transaction.commit()
    }

    fn open_round(&mut self, spec: &Spec, batch: &Batch, canaries: u32) -> Result<u64, StoreError> {
        let transaction = self.write()?;
        rollout::set_spec(&transaction, batch.rollout, spec, batch.at)?;
        commit::write(&transaction, batch)?;
        let devices = round::open(&transaction, batch, canaries)?;
        if devices > 0 {
            transaction.commit()?;
        }
        Ok(devices)
    }

    fn extend_round(
        &mut self,
        rollout: RolloutKey,
        round: u32,
        from: Option<RoundCursor>,
        limit: usize,
        now: Time,
    ) -> Result<Option<RoundCursor>, StoreError> {
        let transaction = self.write()?;
        let next = round::extend(&transaction, rollout, round, from, limit, now)?;
        transaction.commit()?;
        Ok(next)
    }

    fn cohorts(&self, rollout: RolloutKey, round: u32) -> Result<Vec<CohortRecord>, StoreError> {
        read::cohorts(&self.connection, rollout, round)
    }

    fn completed(&self, release_name: &str) -> Result<Counts, StoreError> {
        read::completed(&self.connection, release_name)
    }

    fn count(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError> {
        read::count(&self.connection, rollout, round)
    }

    fn counts_before(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError> {
        read::counts_before(&self.connection, rollout, round)
    }

    fn is_overtaken(&self, rollout: RolloutKey) -> Result<bool, StoreError> {
        read::is_overtaken(&self.connection, rollout)
    }

    fn active(&self, rollout: RolloutKey) -> Result<Vec<Candidate>, StoreError> {
        queue::active(&self.connection, rollout)
    }

    fn rivals(&self, rollout: RolloutKey) -> Result<Vec<RolloutKey>, StoreError> {
        read::rivals(&self.connection, rollout)
    }

    fn candidates(&self, want: &Want) -> Result<Page, StoreError> {
        queue::candidates(&self.connection, want)
    }

    fn waiting(&self, device: DeviceKey) -> Result<Vec<(RolloutKey, Candidate)>, StoreError> {
        queue::waiting(&self.connection, device)
    }

    fn standings(&self, device: DeviceKey) -> Result<Vec<Standing>, StoreError> {
        read::standings(&self.connection, device)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.within(|connection| commit::write(connection, batch))
    }

    fn commit_kept(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let current = epoch::current(&transaction)?;
        if let Some(stale) = batches.iter().find(|batch| batch.epoch < current) {
            return Err(StoreError::Stale { own: stale.epoch, current });
        }
        commit::write_kept(&transaction, batches)?;
        transaction.commit()
    }

    fn for_each_unfinished(
        &self,
        rollout: RolloutKey,
        round: u32,
        each: &mut dyn FnMut(Unfinished),
    ) -> Result<(), StoreError> {
        ended::for_each_unfinished(&self.connection, rollout, round, each)
    }

    fn failures(
        &self,
        rollout: RolloutKey,
        round: u32,
        limit: usize,
    ) -> Result<Vec<Unfinished>, StoreError> {
        ended::failures(&self.connection, rollout, round, limit)
    }

    fn count_short(
        &self,
        rollout: RolloutKey,
        round: u32,
    ) -> Result<Vec<(State, u64)>, StoreError> {
        ended::count_short(&self.connection, rollout, round)
    }

    fn count_canceled_begun(&self, rollout: RolloutKey, round: u32) -> Result<u64, StoreError> {
        ended::count_canceled_begun(&self.connection, rollout, round)
    }

    fn assignments(&self, want: &AssignmentsWant<'_>) -> Result<AssignmentsPage, StoreError> {
        assignments::page(&self.connection, want)
    }

    fn open(&self, rollout: RolloutKey, limit: usize) -> Result<Vec<Unfinished>, StoreError> {
        ended::open(&self.connection, rollout, limit)
    }

    fn put_intent(&mut self, intent: &Intent, now: Time) -> Result<IntentSeq, StoreError> {
        self.within(|transaction| rollout::put_intent(transaction, intent, now))
    }

    fn intents(&self) -> Result<Vec<(IntentSeq, Intent)>, StoreError> {
        rollout::intents(&self.connection)
    }

    fn acts_wanted(&self, rollout: RolloutKey) -> Result<Vec<(IntentSeq, Intent)>, StoreError> {
        rollout::acts_wanted(&self.connection, rollout)
    }

    fn answer(&mut self, seq: IntentSeq, answer: &Answer) -> Result<(), StoreError> {
        self.within(|connection| rollout::answer(connection, seq, answer))
    }

    fn answer_to(&self, seq: IntentSeq) -> Result<Option<Answer>, StoreError> {
        rollout::answer_to(&self.connection, seq)
    }

    fn changed_devices(
        &self,
        after: ChangeSeq,
        limit: usize,
    ) -> Result<Vec<(ChangeSeq, DeviceKey)>, StoreError> {
        changed::list(&self.connection, after, limit)
    }

    fn forget_changed(&mut self, up_to: ChangeSeq) -> Result<(), StoreError> {
        self.within(|connection| changed::forget(connection, up_to))
    }

    fn review(&mut self, review: &Review) -> Result<Reviewed, StoreError> {
        self.within(|connection| changed::review(connection, review))
    }

    fn foreign_version(&self) -> Result<i64, StoreError> {
        epoch::foreign_version(&self.connection, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_commit_and_fetch_runs_is_found_by_key_or_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        let pers = ["tag.store".parse().unwrap()];
        let plain = queue::Shape { is_known: false, rivals: &[], pers: &[] };
        let full = queue::Shape { is_known: true, rivals: &[RolloutKey(7)], pers: &pers };
        let key = "SEARCH assignment USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        let of_assignment = "SEARCH a USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        let queued = "SEARCH a USING INDEX assignment_cohort (cohort=? AND rowid>?)";
        let before = "SEARCH assignment USING INDEX assignment_cohort (cohort=? AND rowid>?)";
        let due = "SEARCH a USING INDEX assignment_due (rollout=? AND due_at>? AND due_at<?)";
        for (sql, found_by) in [
            (commit::UPDATE_RUN.to_owned(), key),
            (commit::SAW_RUN.to_owned(), key),
            (commit::RAN_RUN.to_owned(), of_assignment),
            (plain.queue_sql(false), queued),
            (full.queue_sql(true), queued),
            (round::BEFORE.to_owned(), before),
            (plain.due_sql(), due),
            (full.due_sql(), due),
        ] {
            let mut explain =
                store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let detail: String = explain.raw_query().next().unwrap().unwrap().get(3).unwrap();
            assert_eq!(detail, found_by, "{sql}");
        }
    }
}
