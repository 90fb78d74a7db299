//! What is durable: devices, rollouts, assignments and the log of what happened to them.
//!
//! Owns [`Store`], the store in the words of the domain, and the values that pass through it. It
//! decides nothing: it writes down what was decided, whole or not at all. Row types stay in the
//! adapters. Type to read first: [`Batch`].

pub mod dir;
pub mod reserve;
pub mod sqlite;
pub mod writer;

use std::sync::Arc;

use groundswell_core::{
    assignment::{Assignment, State},
    device::{Device, Endpoint},
    ids::{AssignmentId, Epoch, RolloutId},
    rollout::{Progression, Spec},
    selector::Selector,
    snapshot::Counts,
    time::Time,
};
use serde::{Deserialize, Serialize};

pub use self::sqlite::SqliteStore;

/// Longest detail of an assignment that is kept, in bytes.
pub const DETAIL_BYTES_MAX: usize = 1_200;

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
    /// The thread that writes died of a panic, which is a defect of this program.
    #[error("the state was not written: the thread that writes it died of a defect")]
    WriterDied,
}

/// The key of a rollout's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutKey(pub i64);

/// A rollout that is written down.
#[derive(Clone, Debug)]
pub struct RolloutRecord {
    /// Its row.
    pub key: RolloutKey,
    /// Its id.
    pub id: RolloutId,
    /// Sha-256 over what makes a push the same push.
    pub identity: [u8; 32],
    /// What is to happen.
    pub spec: Spec,
    /// Where it stands.
    pub progression: Progression,
    /// How many devices it has.
    pub devices: u64,
}

/// A device that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its row.
    pub id: AssignmentId,
    /// Where it stands.
    pub assignment: Assignment,
    /// How to reach it.
    pub endpoint: Arc<Endpoint>,
}

/// How far the candidates of a rollout have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last queued assignment handed out.
    pub queued: i64,
    /// The last retrying one: when it was due, and which.
    pub retrying: (Time, i64),
}

/// Candidates in order: those to be tried again first, as they fell due, then the queued.
#[derive(Debug, Default)]
pub struct Page {
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// From where to read on.
    pub cursor: Cursor,
    /// Whether no queued candidate is left behind the cursor.
    pub is_queue_read: bool,
    /// When the next one that is to be tried again falls due.
    pub next_retry_at: Option<Time>,
}

/// One assignment that changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Which one.
    pub id: AssignmentId,
    /// What it is from now on.
    pub to: Assignment,
    /// Why, if that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
}

/// What is written in one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Of which rollout.
    pub rollout: RolloutKey,
    /// By which driver.
    pub epoch: Epoch,
    /// When.
    pub at: Time,
    /// Assignments, in the order in which they changed; one may come more than once.
    pub changes: Vec<Change>,
    /// Where the rollout stands from now on, if that changed.
    pub progression: Option<Progression>,
}

/// What putting devices into the inventory did to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

/// A device that did not get the release, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The device's id.
    pub device: String,
    /// Where it stands.
    #[serde(serialize_with = "state_as_text")]
    pub state: State,
    /// Attempts that count.
    pub attempts: u32,
    /// Why, if there is more to say.
    pub detail: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn state_as_text<S: serde::Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match state {
        State::Queued => "not sent",
        other => other.as_str(),
    })
}

/// The store in the words of the domain. Every method is one transaction.
pub trait Store: Send {
    /// Raises the epoch: what an earlier driver claimed is told apart from now on.
    fn raise_epoch(&mut self) -> Result<Epoch, StoreError>;

    /// The newest rollout of this identity that was not given up.
    fn find(&self, identity: &[u8; 32]) -> Result<Option<RolloutRecord>, StoreError>;

    /// Rollouts that have not ended, oldest first.
    fn unfinished(&self) -> Result<Vec<RolloutRecord>, StoreError>;

    /// Writes down a rollout in state `preparing`, without devices.
    fn create(
        &mut self,
        id: RolloutId,
        identity: &[u8; 32],
        spec: &Spec,
        now: Time,
    ) -> Result<RolloutKey, StoreError>;

    /// Adds devices to a rollout that is being prepared, and to the inventory.
    fn add_devices(&mut self, rollout: RolloutKey, devices: &[&Device]) -> Result<(), StoreError>;

    /// Puts devices into the inventory, or brings them up to date, whoever wrote them last.
    ///
    /// An imported `last_seen` never moves a later one back. An imported version takes the place
    /// of the one known if it is no older, by the times both were last seen, or if nothing tells.
    fn put_devices(&mut self, devices: &[&Device]) -> Result<Put, StoreError>;

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

    /// Notes contacts in their order. The last word of a device counts; devices that are not in
    /// the inventory are passed over.
    fn saw(&mut self, contacts: &[Contact<'_>]) -> Result<(), StoreError>;

    /// Replaces what is to happen: a run that goes on takes its own limits.
    fn set_spec(&mut self, rollout: RolloutKey, spec: &Spec) -> Result<(), StoreError>;

    /// Removes a rollout that was never more than `preparing`.
    fn discard(&mut self, rollout: RolloutKey) -> Result<(), StoreError>;

    /// Gives up a rollout: everything not ended becomes `canceled`.
    fn cancel(&mut self, rollout: RolloutKey, now: Time) -> Result<Counts, StoreError>;

    /// Opens the next round with new rows for the devices that failed in the last one, and says
    /// how many these are.
    fn open_round(&mut self, rollout: RolloutKey, now: Time) -> Result<u64, StoreError>;

    /// The devices of a round, counted.
    fn counts(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError>;

    /// The devices that earlier rounds ended well with, and that are in no later one, counted.
    fn counts_before(&self, rollout: RolloutKey, round: u32) -> Result<Counts, StoreError>;

    /// Whether a later rollout was begun for any of its devices, so that what this one ended with
    /// says nothing of what they run now.
    fn is_overtaken(&self, rollout: RolloutKey) -> Result<bool, StoreError>;

    /// The assignments that are delivering or verifying.
    fn open(&self, rollout: RolloutKey, round: u32) -> Result<Vec<Candidate>, StoreError>;

    /// At most `limit` candidates behind `cursor` that are due at `now`, of these at most
    /// `fresh_limit` that were not begun before.
    fn candidates(
        &self,
        rollout: RolloutKey,
        round: u32,
        cursor: Cursor,
        now: Time,
        limit: usize,
        fresh_limit: usize,
    ) -> Result<Page, StoreError>;

    /// Writes a batch and its log entry, durably, whole or not at all.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Hands every device of a round that has not got the release to `each`, in order.
    fn for_each_unfinished(
        &self,
        rollout: RolloutKey,
        round: u32,
        each: &mut dyn FnMut(Unfinished),
    ) -> Result<(), StoreError>;
}
