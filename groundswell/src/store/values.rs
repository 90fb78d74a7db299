//! The values that pass through the store.
//!
//! Type to read first: [`Batch`].

use std::sync::Arc;

pub use groundswell_core::admit::Known;
use groundswell_core::{
    assignment::{Assignment, State},
    budget::Per,
    device::Endpoint,
    hours::Zone,
    ids::{AssignmentId, Epoch, RolloutId, RolloutName},
    log::Record,
    rollback::Survey,
    rollout::{Act, Progression, Spec},
    snapshot::Counts,
    time::Time,
    waiting::WaitingOn,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Move, Regression, SlotChange, Values};

/// Longest detail of an assignment that is kept, in bytes.
pub const DETAIL_BYTES_MAX: usize = 1_200;

/// Intents that are read at once: more than people give, and what a driver that was down for long
/// takes up in one go.
pub const INTENTS_MAX: usize = 1_000;

/// The key of a rollout's row, and its number for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RolloutKey(pub i64);

/// The key of a device's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceKey(pub i64);

/// The key of a cohort's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CohortKey(pub i64);

/// A rollout that is written down.
#[derive(Clone, Debug)]
pub struct RolloutRecord {
    /// Its row.
    pub key: RolloutKey,
    /// Its id.
    pub id: RolloutId,
    /// Sha-256 over what makes a push the same push; none for other rollouts.
    pub identity: Option<[u8; 32]>,
    /// What is to happen.
    pub spec: Spec,
    /// Where it stands.
    pub progression: Progression,
    /// How many devices its first round has.
    pub devices: u64,
    /// When it was written down.
    pub created_at: Time,
    /// What its driver last said of it.
    pub told: Option<Told>,
    /// Whether it is of a copy that was put in place of what there was: its devices may have been
    /// sent what is not written down here.
    pub is_restored: bool,
}

impl RolloutRecord {
    /// As people know it.
    pub fn name(&self) -> RolloutName {
        RolloutName::of(self.id, self.key.0, &self.spec.release)
    }
}

/// What a driver says of a rollout, for those who only look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Time,
    /// Why not more happened then.
    pub waiting_on: Vec<WaitingOn>,
    /// Devices ended per second, as observed then.
    pub ended_per_sec: f64,
}

/// The devices of one wave whose hours are judged in one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CohortRecord {
    /// Its row.
    pub key: CohortKey,
    /// The wave, counted from 0.
    pub wave: usize,
    /// The zone; none if no hours are judged.
    pub zone: Option<Zone>,
    /// Its devices, counted.
    pub counts: Counts,
}

/// A device that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its row.
    pub id: AssignmentId,
    /// Which device.
    pub device: DeviceKey,
    /// Of which cohort.
    pub cohort: CohortKey,
    /// Where it stands.
    pub assignment: Assignment,
    /// How to reach it.
    pub endpoint: Arc<Endpoint>,
    /// Whether there is a way to reach it: its address may have been taken away since it was
    /// assigned.
    pub has_address: bool,
    /// What is known of it, where that was asked for.
    pub known: Option<Box<Known>>,
    /// In which failure domains it is, of the kinds that were asked for.
    pub values: Values,
    /// Whether it has its slots in them, and is to be claimed next. Never in the store.
    pub has_slots: bool,
}

/// How far the devices that are away have been read, by when they are due, and which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// When the last one handed out was due.
    pub due_at: Time,
    /// The last one handed out.
    pub id: i64,
}

/// How far the rows of a round have been written, by those of the round before that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundCursor {
    /// The cohort of the round before.
    pub cohort: CohortKey,
    /// The last of its assignments that was looked at.
    pub after: i64,
}

/// Which candidates are wanted.
#[derive(Clone, Debug)]
pub struct Want {
    /// Of which rollout.
    pub rollout: RolloutKey,
    /// Those due behind this.
    pub cursor: Cursor,
    /// Those due by then.
    pub until: Time,
    /// How many in all, at the most.
    pub limit: usize,
    /// Of these, others than those due.
    pub queue: Option<QueueWant>,
    /// These as well, to know what is known of them now.
    pub refresh: Vec<AssignmentId>,
    /// These as well, as far as they are queued.
    pub recall: Vec<AssignmentId>,
    /// Whether what is known of them is wanted, too.
    pub is_known_wanted: bool,
    /// Rollouts that supersede this one.
    pub rivals: Vec<RolloutKey>,
    /// Kinds of failure domains.
    pub pers: Arc<[Per]>,
}

/// Which candidates of a cohort are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueWant {
    /// Of which cohort.
    pub cohort: CohortKey,
    /// Behind this one.
    pub after: i64,
    /// How many at the most.
    pub limit: usize,
    /// Whether those that are away are wanted, too, whenever they are due.
    pub is_sweep: bool,
}

/// Candidates in order: those due first, as they fell due, then the queued.
#[derive(Debug, Default)]
pub struct Page {
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// From where to read on.
    pub cursor: Cursor,
    /// How far the queue of a cohort was read.
    pub queue: Option<QueueRead>,
    /// What is known now of those it was asked for, and in which failure domains they are.
    pub refreshed: Vec<(AssignmentId, Known, Values)>,
    /// Those that were to be recalled; nothing of those that are not queued any more.
    pub recalled: Vec<(AssignmentId, Option<Candidate>)>,
    /// When the next one falls due.
    pub next_due_at: Option<Time>,
}

/// How far the queue of a cohort was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRead {
    /// Of which cohort.
    pub cohort: CohortKey,
    /// The last one read.
    pub last: i64,
    /// Whether none is left behind it.
    pub is_end: bool,
    /// Whether those that are away were read, too.
    pub is_sweep: bool,
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

/// An answer of a device that says something of it beside how its update went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Which one.
    pub device: DeviceKey,
    /// The version it said it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
}

/// A row of the log of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Its number; later rows have a higher one.
    pub seq: i64,
    /// When it was written.
    pub at: Time,
    /// JSON: a list of [`Record`]s.
    pub body: String,
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
    /// Assignments that belong to other cohorts from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// What became of the slots of devices that are not under way any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<SlotChange>,
    /// Devices that were updated and are not well since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regressed: Vec<Regression>,
    /// What is written down of it in the log.
    #[serde(default)]
    pub records: Vec<Record>,
    /// Where the rollout stands from now on, if that changed.
    pub progression: Option<Progression>,
    /// The devices of the cohorts that changed, counted.
    pub cohorts: Vec<(CohortKey, Counts)>,
    /// What devices that succeeded run from now on; none if nobody has looked.
    pub version: Option<Box<str>>,
    /// Devices that were heard of.
    pub heard: Vec<Heard>,
    /// What is said of the rollout, for those who only look.
    #[serde(default)]
    pub told: Option<Told>,
    /// Intents that this carries out.
    pub answers: Vec<(IntentSeq, Answer)>,
    /// The rollouts that roll it back, written down with its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Box<Rollback>>,
}

impl Batch {
    /// A batch that changes nothing.
    pub const fn empty(rollout: RolloutKey, epoch: Epoch, at: Time) -> Self {
        Self {
            rollout,
            epoch,
            at,
            changes: vec![],
            moves: vec![],
            slots: vec![],
            regressed: vec![],
            records: vec![],
            progression: None,
            cohorts: vec![],
            version: None,
            heard: vec![],
            told: None,
            answers: vec![],
            rollback: None,
        }
    }

    /// Whether it changes nothing.
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.moves.is_empty()
            && self.regressed.is_empty()
            && self.records.is_empty()
            && self.progression.is_none()
            && self.heard.is_empty()
            && self.answers.is_empty()
            && self.rollback.is_none()
    }
}

/// A rollout that is to be written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewRollout {
    /// Its id.
    pub id: RolloutId,
    /// What is to happen.
    pub spec: Spec,
    /// Where it stands from the beginning.
    pub progression: Progression,
    /// What led there, for its log; behind its spec.
    pub records: Vec<Record>,
}

/// The rollouts that roll one back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rollback {
    /// One for each release that devices go back to.
    pub rollouts: Vec<NewRollout>,
    /// Where all devices go.
    pub survey: Survey,
    /// Versions of these that there is no release of.
    pub missing: Vec<String>,
}

/// The number of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentSeq(pub i64);

/// What others want of the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// An operator's act.
    Act {
        /// On which rollout.
        rollout: RolloutKey,
        /// Which one.
        act: Act,
        /// The generation that whoever wants it has seen; it is refused of another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<u64>,
        /// Why it is wanted, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A device was heard of that rollouts wait for, or that keeps slots because it failed.
    Contact {
        /// Which one.
        device: DeviceKey,
    },
    /// An operator released a slot of a device that failed; that is written down.
    Released {
        /// Of which device.
        device: DeviceKey,
    },
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done. `open` devices are still being sent to or asked for their version.
    Done {
        /// Where the rollout stands.
        state: groundswell_core::rollout::State,
        /// Devices that are open.
        open: u64,
    },
    /// It had been done before.
    Already(String),
    /// It makes no sense, for this reason.
    Refused(String),
}

/// A device that is to be assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assign {
    /// Which one.
    pub device: DeviceKey,
    /// The place of its cohort in the list given beside.
    pub cohort: usize,
    /// `Queued`, or where it ended before it began.
    pub state: State,
}

/// A wave and a zone that devices are assigned to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CohortName {
    /// The wave, counted from 0.
    pub wave: usize,
    /// The zone; none if no hours are judged.
    pub zone: Option<Zone>,
}

/// One device in one round of one rollout, for whoever asks about the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which assignment it is.
    pub id: AssignmentId,
    /// Of which rollout.
    pub rollout: RolloutKey,
    /// In which round.
    pub round: u32,
    /// In which wave, counted from 0.
    pub wave: usize,
    /// In whose zone its hours are judged; none if no hours are.
    pub zone: Option<Zone>,
    /// Where it stands.
    pub assignment: Assignment,
    /// When that changed; none if it never did.
    pub changed_at: Option<Time>,
    /// Why, if there is more to say.
    pub detail: Option<String>,
    /// What it said when it was found not to be well after its update, if it was.
    pub regressed: Option<String>,
}

/// Which assignments of a round are wanted.
#[derive(Clone, Copy, Debug)]
pub struct AssignmentsWant<'a> {
    /// Of which rollout.
    pub rollout: RolloutKey,
    /// Of which round.
    pub round: u32,
    /// Of which wave, counted from 0; none: of all.
    pub wave: Option<usize>,
    /// In which states; none: in all.
    pub states: Option<&'a [State]>,
    /// Behind which: wave, cohort and id.
    pub after: Option<(usize, CohortKey, i64)>,
    /// How many at the most.
    pub limit: usize,
}

/// Assignments of a round, in the order of waves.
#[derive(Clone, Debug, Default)]
pub struct AssignmentsPage {
    /// The assignments.
    pub rows: Vec<AssignmentRow>,
    /// Behind which there may be more.
    pub next: Option<(usize, CohortKey, i64)>,
}

/// An assignment for whoever reads of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentRow {
    /// Its row.
    pub id: i64,
    /// The device's id.
    pub device: String,
    /// Its wave, counted from 0.
    pub wave: usize,
    /// Where it stands.
    pub state: State,
    /// Attempts that count.
    pub attempts: u32,
    /// Since when it stands there.
    pub changed_at: Time,
    /// Why, if there is more to say.
    pub detail: Option<String>,
    /// What it said when it was found not to be well since, if it was.
    pub regressed: Option<String>,
}

/// A device that did not get the release, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unfinished {
    /// The device's id.
    pub device: String,
    /// Where it stands.
    #[serde(serialize_with = "state_as_text", deserialize_with = "state_of_text")]
    #[schema(value_type = String)]
    pub state: State,
    /// Attempts that count.
    pub attempts: u32,
    /// Why, if there is more to say.
    pub detail: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn state_as_text<S: serde::Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(told(*state))
}

fn state_of_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<State, D::Error> {
    let text = String::deserialize(from)?;
    let found = State::ALL.into_iter().find(|state| told(*state) == text);
    found.ok_or_else(|| serde::de::Error::custom(format!("there is no state `{text}`")))
}

/// A state as reports tell it.
const fn told(state: State) -> &'static str {
    match state {
        State::Queued => "not sent",
        other => other.as_str(),
    }
}
