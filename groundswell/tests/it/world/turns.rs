//! Whether it was a device's turn: not before its wait is over, nor for a rollout that a newer one
//! has taken it from.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use groundswell::{
    core::{
        assignment::{Assignment, SkipReason, State},
        rollout::{Progression, State as RolloutState},
        time::Time,
    },
    store::RolloutKey,
};

/// What is known of a candidate may be as old as this: it was read, and waited for the store.
const SETTLES: Duration = Duration::from_mins(10);

/// Batches of a rollout that may have been decided on before the clock was set.
const UNSETTLED: u8 = 3;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    rows: HashMap<i64, Row>,
    /// The rows of each device.
    of_device: HashMap<Box<str>, Vec<i64>>,
    rollouts: BTreeMap<RolloutKey, Course>,
}

#[derive(Debug)]
struct Row {
    rollout: RolloutKey,
    device: Box<str>,
    state: State,
    /// To be tried again no sooner than this.
    due_at: Time,
    /// Whether it was there before its rollout began.
    is_early: bool,
}

#[derive(Debug, Default)]
struct Course {
    name: String,
    /// Whether it has begun its first round, and since when it is known to keep devices from others.
    has_begun: bool,
    keeps_since: Option<Time>,
    unsettled: u8,
}

impl Turns {
    /// A rollout of this release name was created.
    pub(crate) fn rollout(&mut self, key: RolloutKey, name: &str) {
        self.rollouts.insert(key, Course { name: name.to_owned(), ..Course::default() });
    }

    /// A row is there.
    pub(crate) fn listed(&mut self, id: i64, rollout: RolloutKey, device: &str, state: State) {
        let is_early = self.rollouts.get(&rollout).is_some_and(|course| !course.has_begun);
        let (device, due_at) = (Box::from(device), Time::ZERO);
        self.of_device.entry(Box::clone(&device)).or_default().push(id);
        self.rows.insert(id, Row { rollout, device, state, due_at, is_early });
    }

    /// A batch of a rollout is durable, and has left it there.
    pub(crate) fn stands(&mut self, key: RolloutKey, progression: &Progression, at: Time) {
        let Some(course) = self.rollouts.get_mut(&key) else { return };
        course.unsettled = course.unsettled.saturating_sub(1);
        if progression.state == RolloutState::Running && !course.has_begun {
            course.has_begun = true;
            course.keeps_since = Some(at);
        }
        if progression.round > 1 {
            course.keeps_since = None;
        }
    }

    /// A row changed; says whether it was its turn.
    pub(crate) fn changed(&mut self, id: i64, to: &Assignment, at: Time) -> Option<String> {
        let row = self.rows.get(&id)?;
        let is_claim = matches!(to.state, State::Delivering | State::Verifying);
        let breach = match row.state {
            State::Retrying if is_claim && at < row.due_at => {
                let (device, due_at) = (&row.device, row.due_at);
                Some(format!("{device} was tried again, but is to wait until {due_at}"))
            }
            State::Queued | State::Away | State::Absent if is_claim => self.superseded(row, at),
            _ => None,
        };
        let is_settled = self.rollouts.get(&row.rollout).is_some_and(|c| c.unsettled == 0);
        let due_at = (to.state == State::Retrying && is_settled).then_some(to.due_at);
        let row = self.rows.get_mut(&id)?;
        (row.state, row.due_at) = (to.state, due_at.unwrap_or_default());
        breach
    }

    fn superseded(&self, row: &Row, at: Time) -> Option<String> {
        let own = &self.rollouts[&row.rollout];
        let newer = self.of_device[&row.device].iter().map(|id| &self.rows[id]).find(|other| {
            let course = &self.rollouts[&other.rollout];
            other.rollout > row.rollout
                && course.name == own.name
                && other.is_early
                && keeps(other.state)
                && course.keeps_since.is_some_and(|since| since + SETTLES < at)
        })?;
        let (device, key, newer) = (&row.device, row.rollout.0, newer.rollout.0);
        Some(format!("{device} was claimed for rollout {key}, which rollout {newer} supersedes"))
    }

    /// The clock was set: what is to wait by the old one is not known to wait by the new one.
    pub(crate) fn clock_set(&mut self, now: Time) {
        self.rows.values_mut().for_each(|row| row.due_at = Time::ZERO);
        for course in self.rollouts.values_mut() {
            course.unsettled = UNSETTLED;
            course.keeps_since = course.keeps_since.map(|since| since.max(now));
        }
    }
}

/// Whether a newer rollout in which a device stands so keeps it from older ones.
const fn keeps(state: State) -> bool {
    match state {
        State::Canceled => false,
        State::Skipped(reason) => matches!(reason, SkipReason::AlreadyCurrent),
        _ => true,
    }
}
