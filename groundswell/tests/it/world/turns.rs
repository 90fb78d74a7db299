//! Whether it was a device's turn: not before its wait is over, nor for a rollout that a newer one
//! has taken it from.

use std::{collections::BTreeMap, time::Duration};

use groundswell::{
    core::{
        assignment::{Assignment, SkipReason, State},
        rollout::{Progression, Spec, State as RolloutState},
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
    /// By their ids.
    rows: Vec<Option<Row>>,
    /// The rows of each device, by its number.
    of_device: Vec<Vec<usize>>,
    rollouts: BTreeMap<RolloutKey, Course>,
    /// The latest time at which anything was written, and what it was when the clock was set last:
    /// whoever was due by then, and is handed back, stays due by the clock of that time.
    latest: Time,
    latest_before: Time,
}

#[derive(Debug)]
struct Row {
    rollout: RolloutKey,
    device: usize,
    state: State,
    /// To be tried again no sooner than this.
    due_at: Time,
    /// Whether it was there before its rollout began.
    is_early: bool,
}

#[derive(Debug, Default)]
struct Course {
    name: String,
    /// The one alone that it takes devices from, if it rolls back.
    rolls_back: Option<RolloutKey>,
    /// The round that it rolls back of that one; and its own.
    rolls_back_round: u32,
    round: u32,
    /// Whether it has begun its first round, and since when it is known to keep devices from others.
    has_begun: bool,
    keeps_since: Option<Time>,
    unsettled: u8,
}

impl Turns {
    /// A rollout was created.
    pub(crate) fn rollout(&mut self, key: RolloutKey, spec: &Spec) {
        let name = spec.release.name.clone();
        let rolls_back = spec.rolls_back.as_ref().map(|of| RolloutKey(of.number));
        let of = rolls_back.and_then(|of| self.rollouts.get(&of));
        let rolls_back_round = of.map_or(0, |of| of.round);
        let course = Course { name, rolls_back, rolls_back_round, ..Course::default() };
        self.rollouts.insert(key, course);
    }

    /// A row is there.
    pub(crate) fn listed(&mut self, id: i64, rollout: RolloutKey, device: usize, state: State) {
        let is_early = self.rollouts.get(&rollout).is_some_and(|course| !course.has_begun);
        let (id, due_at) = (id as usize, Time::ZERO);
        if self.rows.len() <= id {
            self.rows.resize_with(id + 1, || None);
        }
        self.of_device.resize_with(self.of_device.len().max(device + 1), Vec::new);
        if self.rows[id].as_ref().is_none_or(|row| row.device != device) {
            self.of_device[device].push(id);
        }
        self.rows[id] = Some(Row { rollout, device, state, due_at, is_early });
    }

    /// A batch of a rollout is durable, and has left it there.
    pub(crate) fn stands(&mut self, key: RolloutKey, progression: &Progression, at: Time) {
        let Some(course) = self.rollouts.get_mut(&key) else { return };
        course.unsettled = course.unsettled.saturating_sub(1);
        self.latest = self.latest.max(at);
        course.round = progression.round;
        if progression.state == RolloutState::Running && !course.has_begun {
            course.has_begun = true;
            course.keeps_since = Some(at);
        }
        if progression.round > 1 {
            course.keeps_since = None;
        }
    }

    /// A row changed; says whether it was its turn.
    pub(crate) fn changed(
        &mut self,
        id: i64,
        device: &str,
        to: &Assignment,
        at: Time,
    ) -> Option<String> {
        let row = self.rows.get(id as usize)?.as_ref()?;
        let is_claim = matches!(to.state, State::Delivering | State::Verifying);
        let breach = match row.state {
            State::Retrying if is_claim && at < row.due_at && self.latest_before < row.due_at => {
                let due_at = row.due_at;
                Some(format!("{device} was tried again, but is to wait until {due_at}"))
            }
            State::Queued | State::Away | State::Absent if is_claim => {
                self.superseded(row, device, at)
            }
            _ => None,
        };
        let is_settled = self.rollouts.get(&row.rollout).is_some_and(|c| c.unsettled == 0);
        let due_at = (to.state == State::Retrying && is_settled).then_some(to.due_at);
        let row = self.rows.get_mut(id as usize)?.as_mut()?;
        (row.state, row.due_at) = (to.state, due_at.unwrap_or_default());
        breach
    }

    fn superseded(&self, row: &Row, device: &str, at: Time) -> Option<String> {
        let own = &self.rollouts[&row.rollout];
        let all = self.of_device[row.device].iter().filter_map(|id| self.rows[*id].as_ref());
        let newer = all.filter(|other| other.device == row.device).find(|other| {
            let course = &self.rollouts[&other.rollout];
            other.rollout > row.rollout
                && course.name == own.name
                && course
                    .rolls_back
                    .is_none_or(|of| of == row.rollout && course.rolls_back_round == own.round)
                && other.is_early
                && keeps(other.state)
                && course.keeps_since.is_some_and(|since| since + SETTLES < at)
        })?;
        let (key, newer) = (row.rollout.0, newer.rollout.0);
        Some(format!("{device} was claimed for rollout {key}, which rollout {newer} supersedes"))
    }

    /// The clock was set: what is to wait by the old one is not known to wait by the new one.
    pub(crate) fn clock_set(&mut self, now: Time) {
        self.latest_before = self.latest;
        self.rows.iter_mut().flatten().for_each(|row| row.due_at = Time::ZERO);
        for course in self.rollouts.values_mut() {
            course.unsettled = UNSETTLED;
        }
        self.woken(now);
    }

    /// The driver goes on after it stood still: what it knows of candidates is as old as that.
    pub(crate) fn woken(&mut self, now: Time) {
        for course in self.rollouts.values_mut() {
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
