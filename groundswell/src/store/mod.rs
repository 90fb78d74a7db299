//! What is durable: devices, rollouts, assignments and the log of what happened to them.
//!
//! Owns [`Store`], the store in the words of the domain, and the values that pass through it. It
//! decides nothing: it writes down what was decided, whole or not at all. Row types stay in the
//! adapters. Type to read first: [`Batch`].

mod access;
mod artifacts;
mod changed;
pub mod dir;
mod fleet;
mod health;
pub mod reserve;
mod selectors;
mod slots;
pub mod sqlite;
mod tail;
mod trouble;
mod values;
pub mod writer;

use std::path::Path;

use groundswell_core::{
    assignment::State,
    device::Device,
    ids::{AssignmentId, Epoch, RolloutId},
    log::Record,
    release::Release,
    rollback::Changed,
    rollout::Spec,
    selector::Selector,
    snapshot::Counts,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    access::{AccessStore, Attribution, AuditEnd, Created},
    artifacts::{Along, ArtifactStore, MadeRelease, Removal, Upload},
    changed::{ChangeSeq, Misplaced, Move, Review, Reviewed},
    fleet::{Calling, CheckedIn, Enrolled, FleetStore, Health, Removed, Revoked, Written},
    health::{Patient, Patients, PatientsPage, PatientsWant, Regression},
    selectors::SelectorStore,
    slots::{
        FailedDevice, Failing, Member, ReleasedOf, ReleasedSlot, Sizes, SlotChange, SlotRelease,
        SlotsRead, SlotsWant, Values,
    },
    sqlite::{Interrupt, SqliteStore},
    tail::TailStore,
    trouble::TroubleStore,
    values::{
        Answer, Assign, AssignmentRow, AssignmentsPage, AssignmentsWant, Batch, Candidate, Change,
        CohortKey, CohortName, CohortRecord, Cursor, DETAIL_BYTES_MAX, DeviceKey, Heard,
        INTENTS_MAX, Intent, IntentSeq, Known, LogRow, NewRollout, Page, QueueRead, QueueWant,
        Rollback, RolloutKey, RolloutRecord, RoundCursor, Standing, Told, Unfinished, Want,
    },
};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room, or the medium fails: nothing can be written for now.
    #[error("the state cannot be written (disk full or failing)")]
    Disk(#[source] rusqlite::Error),
    /// Written by a newer version of the program.
    #[error("the state was written by a newer version (schema {found}, this one knows {known})")]
    Newer {
        /// The schema found.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// What was read makes no sense.
    #[error("the state is damaged: {0}")]
    Damaged(String),
    /// Anything else the database says.
    #[error("the state database failed")]
    Database(#[source] rusqlite::Error),
    /// Another driver has begun since: what this one still wants to write would undo its work.
    #[error("another process has taken the state over (driver {}, this is {})", current.0, own.0)]
    Stale {
        /// The epoch of the driver that wanted to write.
        own: Epoch,
        /// The epoch of the driver that began last.
        current: Epoch,
    },
    /// Somebody has created something under this key since it was looked for.
    #[error("something was created under this key meanwhile")]
    CreatedMeanwhile,
    /// What is changed is not what it was when whoever changes it looked.
    #[error("it has changed since it was looked at")]
    ChangedMeanwhile,
    /// The thread that writes died of a panic, which is a defect of this program.
    #[error("the state was not written: the thread that writes it died of a defect")]
    WriterDied,
}

impl StoreError {
    /// Whether the database says that the disk is full; it does not always call it that.
    pub fn is_of_full_disk(&self) -> bool {
        let full = Some(rusqlite::ErrorCode::DiskFull);
        matches!(self, Self::Disk(error) if error.sqlite_error_code() == full)
    }

    /// Whether it was stopped because it took too long.
    pub fn is_interrupted(&self) -> bool {
        let interrupted = Some(rusqlite::ErrorCode::OperationInterrupted);
        matches!(self, Self::Database(error) if error.sqlite_error_code() == interrupted)
    }

    /// Whether another process keeps the database to itself for longer than it is waited for.
    pub fn is_busy(&self) -> bool {
        let busy = Some(rusqlite::ErrorCode::DatabaseBusy);
        matches!(self, Self::Database(error) if error.sqlite_error_code() == busy)
    }
}

/// What takes an assignment and the id of its device.
pub type EachAssigned<'a> = &'a mut dyn FnMut(AssignmentId, &str);

/// What takes a device that a rollout changed, and what it ran and runs.
pub type EachChanged<'a> = &'a mut dyn FnMut(Chosen<'_>, Changed<'_>);

/// A device that a selector chose, as far as dividing it into waves needs.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// Its row.
    pub key: DeviceKey,
    /// Its id.
    pub id: &'a str,
    /// Its time zone.
    pub time_zone: Option<&'a str>,
    /// Whether it listens somewhere.
    pub has_address: bool,
}

/// Devices that a selector chose and that are alike, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Their time zone.
    pub time_zone: Option<String>,
    /// Whether they listen somewhere.
    pub has_address: bool,
    /// How many they are.
    pub devices: u64,
}

/// What putting devices into the inventory did to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Put {
    /// Devices that were not known.
    pub new: u64,
    /// Devices of which something else was known. When they were last heard of, and the version
    /// they ran then, does not count: both change with every contact.
    pub changed: u64,
    /// Devices of which the same was known.
    pub same: u64,
}

/// A device was heard of: it answered us, or called us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact<'a> {
    /// Its id.
    pub device: &'a str,
    /// When.
    pub at: Time,
    /// The version it said it runs, if it said so.
    pub version: Option<&'a str>,
}

/// The store in the words of the domain. Every method is one transaction.
pub trait Store: Send + TroubleStore + AccessStore + ArtifactStore + SelectorStore {
    /// Reads several things as they are at one moment, whoever writes meanwhile: `read` sees nothing
    /// of what is written after its first look. While it lasts, what others write cannot be put
    /// from the log of the database back into it, and that log grows.
    fn at_once(
        &self,
        read: &mut dyn FnMut(&dyn Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Raises the epoch: what an earlier driver claimed is told apart from now on, and this handle
    /// is its driver's. Once another handle has raised it, this one writes no more of what a driver
    /// does: that is [`StoreError::Stale`]. It may still read.
    fn raise_epoch(&mut self) -> Result<Epoch, StoreError>;

    /// The newest rollout of this identity that was not given up; with `before` the newest of those
    /// that are older.
    fn find(
        &self,
        identity: &[u8; 32],
        before: Option<RolloutKey>,
    ) -> Result<Option<RolloutRecord>, StoreError>;

    /// A rollout by its key.
    fn rollout(&self, key: RolloutKey) -> Result<Option<RolloutRecord>, StoreError>;

    /// The rollouts that are wanted, oldest first.
    fn rollouts(&self, which: Which) -> Result<Vec<RolloutRecord>, StoreError>;

    /// Writes down a rollout as a draft, without devices.
    fn create(
        &mut self,
        id: RolloutId,
        identity: Option<&[u8; 32]>,
        spec: &Spec,
        now: Time,
    ) -> Result<RolloutKey, StoreError>;

    /// Assigns devices of the inventory to the cohorts of a round, and returns these with the
    /// devices added counted. Unless they are `all_new`, those that the round has are left out.
    fn assign(
        &mut self,
        rollout: RolloutKey,
        round: u32,
        cohorts: &[CohortName],
        devices: &[Assign],
        all_new: bool,
        now: Time,
    ) -> Result<Vec<CohortRecord>, StoreError>;

    /// Writes devices to the inventory and assigns each to the cohort at the place beside it.
    fn add_devices(
        &mut self,
        rollout: RolloutKey,
        cohorts: &[CohortName],
        devices: &[(&Device, usize)],
        now: Time,
    ) -> Result<(), StoreError>;

    /// Puts devices into the inventory, or brings them up to date, whoever wrote them last.
    ///
    /// An imported `last_seen` never moves a later one back. An imported version takes the place
    /// of the one known if it is no older, by the times both were last seen, or if nothing tells.
    fn put_devices(&mut self, devices: &[&Device]) -> Result<Put, StoreError>;

    /// The row of the device of this id.
    fn device_key(&self, id: &str) -> Result<Option<DeviceKey>, StoreError>;

    /// Hands every device that the selector chooses at `now` to `each`, in the order of their rows.
    fn for_each_chosen(
        &self,
        select: Option<&Selector>,
        now: Time,
        each: &mut dyn FnMut(Chosen<'_>),
    ) -> Result<(), StoreError>;

    /// Hands every device that a rollout sent to, in any round, to `each`, in the order of their rows.
    fn for_each_changed(
        &self,
        rollout: RolloutKey,
        each: EachChanged<'_>,
    ) -> Result<(), StoreError>;

    /// The rollouts that roll this one back, oldest first.
    fn rollbacks(&self, of: RolloutKey) -> Result<Vec<RolloutRecord>, StoreError>;

    /// Writes down the rollouts that roll one back, if it has the generation, and so many rollbacks,
    /// that whoever wants it has seen; none otherwise.
    fn roll_back(
        &mut self,
        of: RolloutKey,
        seen: (u64, usize),
        rollback: &Rollback,
        now: Time,
    ) -> Result<Option<Vec<RolloutKey>>, StoreError>;

    /// Writes a release down, and says whether it was new; one of this name and version that is
    /// there already is left as it is.
    fn put_release(&mut self, release: &Release, now: Time) -> Result<bool, StoreError>;

    /// All releases, or those of a name; by name, then as they were written down.
    fn releases(&self, name: Option<&str>) -> Result<Vec<(Release, Time)>, StoreError>;

    /// The device of this id.
    fn device(&self, id: &str) -> Result<Option<Device>, StoreError>;

    /// At most `limit` devices of the inventory, in the order of their ids, behind the id `after`;
    /// with a selector only those that it chooses at `now`.
    fn devices(
        &self,
        select: Option<&Selector>,
        after: Option<&str>,
        limit: usize,
        now: Time,
    ) -> Result<Vec<Device>, StoreError>;

    /// How many devices the inventory has, or how many the selector chooses at `now`.
    fn count_devices(&self, select: Option<&Selector>, now: Time) -> Result<u64, StoreError>;

    /// The devices that the selector chooses at `now`, counted by what dividing them into waves
    /// needs to know.
    fn count_chosen(&self, select: Option<&Selector>, now: Time) -> Result<Vec<Alike>, StoreError>;

    /// The devices that the selector chooses at `now`, counted by the version that they are known to
    /// run.
    fn count_versions(
        &self,
        select: Option<&Selector>,
        now: Time,
    ) -> Result<Vec<(Option<String>, u64)>, StoreError>;

    /// Notes contacts in their order. The last word of a device counts; devices that are not in
    /// the inventory are passed over.
    fn saw(&mut self, contacts: &[Contact<'_>]) -> Result<(), StoreError>;

    /// Replaces what is to happen: a run that goes on takes its own limits.
    fn set_spec(&mut self, rollout: RolloutKey, spec: &Spec, now: Time) -> Result<(), StoreError>;

    /// Writes a record of which nothing follows into a rollout's log.
    fn note(&mut self, rollout: RolloutKey, record: &Record, now: Time) -> Result<(), StoreError>;

    /// Hands the rows of a rollout's log to `each`, in order; an error of it ends that.
    fn for_each_log_row(
        &self,
        rollout: RolloutKey,
        each: &mut dyn FnMut(LogRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// The state that a rollout is found by, which is written down beside where it stands.
    fn state_column(&self, rollout: RolloutKey) -> Result<String, StoreError>;

    /// Hands every assignment of a rollout, in all rounds, to `each` with the id of its device.
    fn for_each_assigned(&self, of: RolloutKey, each: EachAssigned<'_>) -> Result<(), StoreError>;

    /// Puts `base` in the place of row `seq` of a rollout's log, which begins with it from then on.
    /// Says how many bytes of text it is.
    fn shorten_log(
        &mut self,
        rollout: RolloutKey,
        seq: i64,
        base: &Record,
    ) -> Result<u64, StoreError>;

    /// Removes at most `limit` rows before the beginning of a rollout's log, and says how many
    /// these were.
    fn prune_log(&mut self, rollout: RolloutKey, limit: usize) -> Result<usize, StoreError>;

    /// Copies everything to `file`, which is empty, as it is at one moment, and looks whether the
    /// copy is whole.
    fn copy_to(&self, file: &Path) -> Result<(), StoreError>;

    /// Removes at most `limit` assignments of a rollout that is being prepared, and says how many
    /// these were; with none left, its cohorts go, too.
    fn discard(
        &mut self,
        rollout: RolloutKey,
        limit: usize,
        now: Time,
    ) -> Result<usize, StoreError>;

    /// Removes a rollout that has no assignments.
    fn remove(&mut self, rollout: RolloutKey) -> Result<(), StoreError>;

    /// Opens the next round of a push, whole: writes rows for the devices that failed, or were given
    /// up, in the round before, and with them `spec` and `batch`, which says where it stands then.
    /// The first `canaries` are wave 0 and the others wave 1, or all wave 0 if there are to be none.
    /// Says how many these are; with none, nothing is written.
    fn open_round(&mut self, spec: &Spec, batch: &Batch, canaries: u32) -> Result<u64, StoreError>;

    /// Writes at most `limit` rows of round `round` for the devices that failed, or were given up, in
    /// the one before, each in its wave again, and says from where to go on; none once all are
    /// written. Those that the round has already are left as they are, so that it can be begun anew.
    fn extend_round(
        &mut self,
        rollout: RolloutKey,
        round: u32,
        from: Option<RoundCursor>,
        limit: usize,
        now: Time,
    ) -> Result<Option<RoundCursor>, StoreError>;

    /// The cohorts of a round, with their devices counted.
    fn cohorts(&self, rollout: RolloutKey, round: u32) -> Result<Vec<CohortRecord>, StoreError>;

    /// The devices of all completed rollouts of a release name, counted: what came of what went well
    /// enough.
    fn completed(&self, release_name: &str) -> Result<Counts, StoreError>;

    /// The devices of a round, counted one by one.
    fn count(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError>;

    /// The devices that earlier rounds ended well with, and that are in no later one, counted.
    fn counts_before(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError>;

    /// Whether a later rollout was begun for any of its devices, so that what this one ended with
    /// says nothing of what they run now.
    fn is_overtaken(&self, rollout: RolloutKey) -> Result<bool, StoreError>;

    /// The assignments of a rollout that are active.
    fn active(&self, rollout: RolloutKey) -> Result<Vec<Candidate>, StoreError>;

    /// Rollouts of the same release name that are newer and were started; of rollbacks only those
    /// that roll back the round that it is in.
    fn rivals(&self, rollout: RolloutKey) -> Result<Vec<RolloutKey>, StoreError>;

    /// The candidates that are wanted.
    fn candidates(&self, want: &Want) -> Result<Page, StoreError>;

    /// The assignments of a device that wait for it, with their rollouts.
    fn waiting(&self, device: DeviceKey) -> Result<Vec<(RolloutKey, Candidate)>, StoreError>;

    /// Every assignment of a device, in all rounds of all rollouts, oldest first.
    fn standings(&self, device: DeviceKey) -> Result<Vec<Standing>, StoreError>;

    /// Writes a batch and its log entry, durably, whole or not at all.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Writes batches that were kept while nothing could be written: all of them or none, and once,
    /// however often they are handed over. Those of a driver that another one has taken over from
    /// are [`StoreError::Stale`].
    fn commit_kept(&mut self, batches: &[Batch]) -> Result<(), StoreError>;

    /// Hands every device of a round that has not got the release to `each`, in order.
    fn for_each_unfinished(
        &self,
        rollout: RolloutKey,
        round: u32,
        each: &mut dyn FnMut(Unfinished),
    ) -> Result<(), StoreError>;

    /// At most `limit` devices of a round that failed, in order.
    fn failures(
        &self,
        rollout: RolloutKey,
        round: u32,
        limit: usize,
    ) -> Result<Vec<Unfinished>, StoreError>;

    /// The devices of a round that failed, or were left as they were though they do not run the
    /// release, counted by how they ended; the most first.
    fn count_short(&self, rollout: RolloutKey, round: u32)
    -> Result<Vec<(State, u64)>, StoreError>;

    /// How many of the devices of a round that were canceled had been begun.
    fn count_canceled_begun(&self, rollout: RolloutKey, round: u32) -> Result<u64, StoreError>;

    /// Assignments of a round, page by page; it looks at a bounded number of rows.
    fn assignments(&self, want: &AssignmentsWant<'_>) -> Result<AssignmentsPage, StoreError>;

    /// At most `limit` devices of a rollout that are sent to or asked for their version, in order.
    fn open(&self, rollout: RolloutKey, limit: usize) -> Result<Vec<Unfinished>, StoreError>;

    /// Writes down what somebody wants of the driver.
    fn put_intent(&mut self, intent: &Intent, now: Time) -> Result<IntentSeq, StoreError>;

    /// What nobody has answered yet, oldest first, at most [`INTENTS_MAX`].
    fn intents(&self) -> Result<Vec<(IntentSeq, Intent)>, StoreError>;

    /// The acts on a rollout that nobody has answered yet, oldest first.
    fn acts_wanted(&self, rollout: RolloutKey) -> Result<Vec<(IntentSeq, Intent)>, StoreError>;

    /// Answers an intent that changes nothing. With every answer, also of a batch, old ones go: those
    /// asked a day before the newest, but for the last thousand.
    fn answer(&mut self, seq: IntentSeq, answer: &Answer) -> Result<(), StoreError>;

    /// The answer to an intent, once there is one.
    fn answer_to(&self, seq: IntentSeq) -> Result<Option<Answer>, StoreError>;

    /// At most `limit` devices that were written behind this change while a rollout went on to which
    /// that may matter, in the order of their last changes.
    fn changed_devices(
        &self,
        after: ChangeSeq,
        limit: usize,
    ) -> Result<Vec<(ChangeSeq, DeviceKey)>, StoreError>;

    /// Forgets changes up to this one; a device that was written again since is not forgotten.
    fn forget_changed(&mut self, up_to: ChangeSeq) -> Result<(), StoreError>;

    /// Holds devices against a rollout, and makes the cohorts that they belong to.
    fn review(&mut self, review: &Review) -> Result<Reviewed, StoreError>;

    /// A number that is another one when another process has written since; this is where a driver
    /// that another one has taken over from learns of it, if it has nothing to write.
    fn foreign_version(&self) -> Result<i64, StoreError>;
}

/// Which rollouts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that have not ended, drafts among them.
    Unended,
    /// Those that a driver has something to do for, now or later.
    Driven,
}
