//! The records, one after the other as things happened.

use serde::{Deserialize, Serialize};

use super::{Base, Ids, Relative, Stands, Step};
use crate::{
    assignment::{Assignment, Fact, SkipReason, State},
    health::Said,
    hours::Zone,
    ids::{AssignmentId, Epoch},
    lint::Finding,
    rollback::Survey,
    rollout::{Act, Progression, Spec, Wish},
    snapshot::Counts,
    time::Time,
};

/// What one transaction wrote down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written.
    pub at: Time,
    /// What happened, in order.
    pub records: Vec<Record>,
}

/// One thing that happened, or was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// So many milliseconds before the entry was written it is for all that follows, up to the next
    /// such record; without one it is that time.
    At(i64),
    /// What is to happen, from now on. The first one makes the rollout a draft.
    Spec(Box<Spec>),
    /// Older entries were pruned; this is what follows from them.
    Base(Box<Base>),
    /// A driver took the rollout over; what the one before had in memory is gone.
    Taken(Taken),
    /// Somebody changes the rollout while nobody drives it.
    Beside(Beside),
    /// The devices were chosen, or are chosen anew.
    Chosen(Option<String>),
    /// Assignments were written down.
    Listed(Listed),
    /// Assignments were taken back before anything was done for them.
    Unlisted(Ids),
    /// The driver counts these from now on, on top of those it did.
    Added(Vec<CohortCounts>),
    /// The driver counts these from now on, and no others.
    Counted(Vec<CohortCounts>),
    /// All devices of the round are written down.
    Prepared,
    /// The hours of these are judged in another zone since; they stay in their wave.
    Moved(Moved),
    /// Devices that were claimed for the first time, by name.
    Met(Vec<Met>),
    /// What was decided on counts.
    Step(Box<Relative<Step>>),
    /// What was decided on devices whose turn had come.
    Judged(Judged),
    /// What happened to devices.
    Happened(Happened),
    /// Devices that were updated were found not to be well since.
    Regressed(Regressed),
    /// The claims of these did not become durable: they stand where they stood before.
    Unclaimed(Vec<(AssignmentId, Assignment)>),
    /// An operator wanted something.
    Acted(Acted),
    /// Somebody took the rollout up again by the spec as it is now: what had stopped it is judged
    /// anew; whether the gate of the current wave was waived.
    TakenUp {
        /// Whether the gate of the current wave is waived.
        waives_gate: bool,
    },
    /// The artifact cannot be sent, for this reason.
    Unsendable(String),
    /// The clock was set back; before that it was this time.
    SetBack(Time),
    /// It began as the rollback of the rollout of this number, which went wrong.
    StartedBy(i64),
    /// It is rolled back by other rollouts.
    RolledBack(RolledBack),
    /// What whoever starts it is told before.
    Warned(Vec<Finding>),
    /// The rollout stands there since.
    Stands(Box<Relative<Stands>>),
}

impl Record {
    /// Leaves out what devices said of a fact: the same follows from what is left.
    pub fn forget_text(&mut self) {
        if let Self::Happened(happened) = self {
            super::fact::shorten(&mut happened.fact, 0);
        }
    }

    /// Where a rollout stands since `now`, the time of the record; whatever is said of that before.
    pub fn stands(progression: &Progression, now: Time) -> Self {
        Self::stands_since(None, progression, now)
    }

    /// The same, if the log says that it stood there before.
    pub fn stands_since(was: Option<&Progression>, is: &Progression, now: Time) -> Self {
        Self::Stands(Box::new(Relative::to(Stands::between(was, is), now)))
    }
}

/// A driver, as far as its decisions depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Which one.
    pub epoch: Epoch,
    /// The version of its decisions.
    pub decisions: u32,
    /// The version of its time zone database.
    pub zones: String,
    /// The devices, as it found them counted.
    pub cohorts: Vec<CohortCounts>,
}

/// Somebody who changes a rollout that nobody drives, as far as what is decided depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// The version of the decisions.
    pub decisions: u32,
    /// The version of the time zone database.
    pub zones: String,
}

/// The devices of one wave and zone, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortCounts {
    /// The wave, counted from 0.
    #[serde(rename = "w")]
    pub wave: usize,
    /// The zone; none if no hours are judged.
    #[serde(rename = "z", default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// The devices.
    #[serde(rename = "c", with = "super::step::short_counts")]
    pub counts: Counts,
}

/// Assignments that were written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// In which round.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub round: u32,
    /// In which wave, counted from 0.
    pub wave: usize,
    /// In which zone; none if no hours are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// `Queued`, or where they ended before they began.
    #[serde(default = "queued", skip_serializing_if = "is_queued")]
    pub state: State,
    /// Which ones.
    pub ids: Ids,
}

/// Assignments whose devices are in another zone than they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// In which zone their hours are judged since.
    pub zone: Zone,
    /// Which ones.
    pub ids: Ids,
}

const fn queued() -> State {
    State::Queued
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_queued(state: &State) -> bool {
    *state == State::Queued
}

/// A device by name: assignment, the device's id, and the host it listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met(pub i64, pub String, pub String);

/// What was known of devices whose turn had come, and what became of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Which ones.
    pub ids: Ids,
    /// Whether there was no way to reach them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_address: bool,
    /// What was known of them, if anybody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownOf>,
    /// When each was last heard of, in milliseconds before now; none if never. Those at the end that
    /// never were are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<Option<i64>>,
    /// What became of them.
    #[serde(default, skip_serializing_if = "Becomes::is_claimed")]
    pub becomes: Becomes,
}

/// What is known of several devices alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownOf {
    /// How often they check in, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in: Option<u64>,
    /// The version they run, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
    /// Whether a newer rollout of the same release name has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
    /// Rollouts that they failed in a row.
    #[serde(default, skip_serializing_if = "is_none_failed")]
    pub failed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_none_failed(failed: &u32) -> bool {
    *failed == 0
}

/// What became of a device whose turn had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// It is claimed.
    #[default]
    Claimed,
    /// It waits for a place on its host.
    Host,
    /// It waits for a slot in one of its failure domains.
    Domain,
    /// It waits for the rollout that has it, the one of this number.
    Busy(i64),
    /// It is left as it is.
    Skipped(SkipReason),
    /// It is not there.
    Away,
}

/// Something that happened to devices, and where they stand since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Happened {
    /// What.
    pub fact: Fact,
    /// The state.
    pub to: State,
    /// Attempts that count.
    pub attempt: u32,
    /// When they are due, in milliseconds from then.
    pub due: Option<i64>,
    /// Whether an update may have arrived of which nothing is known.
    pub doubt: bool,
    /// Since when they are away, in milliseconds before then.
    pub away: Option<i64>,
    /// They may be due no sooner, in milliseconds from then: others were read up to there.
    pub floor: Option<i64>,
    /// Which ones.
    pub ids: Ids,
}

/// The same as it is written: without what is as a rule.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "f", with = "super::fact")]
    fact: Fact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<State>,
    #[serde(rename = "n", default = "first", skip_serializing_if = "is_first")]
    attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    doubt: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    away: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<i64>,
    ids: Ids,
}

impl From<Happened> for Written {
    fn from(happened: Happened) -> Self {
        let Happened { fact, to, attempt, due, doubt, away, floor, ids } = happened;
        let to = Some(to).filter(|to| super::short::usual(&fact) != Some(*to));
        Self { fact, to, attempt, due, doubt, away, floor, ids }
    }
}

impl TryFrom<Written> for Happened {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { fact, to, attempt, due, doubt, away, floor, ids } = written;
        let to = to.or_else(|| super::short::usual(&fact));
        let to = to.ok_or("it is not said where a fact led")?;
        Ok(Self { fact, to, attempt, due, doubt, away, floor, ids })
    }
}

impl Becomes {
    const fn is_claimed(&self) -> bool {
        matches!(self, Self::Claimed)
    }
}

const fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_first(number: &u32) -> bool {
    *number == 1
}

impl Happened {
    /// What happened to one device at this time.
    pub fn to_one(id: AssignmentId, fact: Fact, to: &Assignment, floor: Time, now: Time) -> Self {
        let since = |at: Time| at.as_millis().wrapping_sub(now.as_millis());
        let set = |at: Time| (at != Time::ZERO).then(|| since(at));
        let Assignment { state, attempt, in_doubt, due_at, away_since } = *to;
        let away = set(away_since).map(i64::wrapping_neg);
        let (due, floor, ids) = (set(due_at), set(floor), Ids::one(id));
        Self { fact, to: state, attempt, due, doubt: in_doubt, away, floor, ids }
    }

    /// Where they stand since, if that was at this time.
    pub fn assignment(&self, now: Time) -> Assignment {
        Assignment {
            state: self.to,
            attempt: self.attempt,
            in_doubt: self.doubt,
            due_at: at(self.due, now),
            away_since: at(self.away.map(i64::wrapping_neg), now),
        }
    }

    /// When they may be due at the soonest, if it was at this time.
    pub fn floor(&self, now: Time) -> Time {
        at(self.floor, now)
    }

    /// Whether the same happened to others, which stand alike since.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let key = |h: &Self| (h.to, h.attempt, h.due, h.doubt, h.away, h.floor);
        key(self) == key(other) && self.fact == other.fact
    }
}

fn at(from_now: Option<i64>, now: Time) -> Time {
    from_now.map_or(Time::ZERO, |millis| Time::from_millis(now.as_millis().wrapping_add(millis)))
}

/// What was written down when a rollout was rolled back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The rollouts that do it, by their numbers.
    pub by: Vec<i64>,
    /// Where its devices go, and who is left out.
    pub survey: Survey,
    /// Versions that devices ran of which no release is written down: they stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Devices that were updated and are not well since: what they said last, and how many bad answers
/// in a row that made. Their assignments stay where they ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regressed {
    /// In which wave, counted from 0.
    pub wave: usize,
    /// In which zone; none if no hours are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// What they said last.
    pub said: Said,
    /// How many bad answers in a row that was.
    #[serde(rename = "n", default = "first", skip_serializing_if = "is_first")]
    pub times: u32,
    /// Which ones.
    pub ids: Ids,
}

impl Regressed {
    /// Whether others of the same cohort said the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let key = |r: &Self| (r.wave, r.times);
        key(self) == key(other) && self.zone == other.zone && self.said == other.said
    }
}

/// What an operator wanted, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// What.
    pub act: Act,
    /// The generation that whoever wanted it had seen; it is refused of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Why it is wanted, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why nothing changed, if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Acted {
    /// What was wanted, and what became of it.
    pub fn of(wish: Wish<'_>, refused: Option<String>) -> Self {
        let Wish { act, seen, reason } = wish;
        Self { act, seen, reason: reason.map(str::to_owned), refused }
    }

    /// What was wanted.
    pub(super) fn wish(&self) -> Wish<'_> {
        Wish { act: self.act, seen: self.seen, reason: self.reason.as_deref() }
    }
}
