//! Devices that were written while a rollout goes on: who may join it, and whose hours are those of
//! another zone since.
//!
//! What was written is held against the rollout by the store, and what follows is decided here. From
//! the time at which it is known that devices were written, nobody is claimed before it is known
//! what that means: their hours may be others. Type to read first: [`Changes`].

use std::collections::{BTreeSet, VecDeque};

use groundswell_core::{
    assignment::State,
    ids::AssignmentId,
    rollout::{Membership, State as RolloutState},
    time::Time,
};
use hashbrown::{HashMap, HashSet};

use super::{Cohort, Course, counted};
use crate::{
    engine::{fact::Command, shared::Shared},
    store::{
        Candidate, CohortKey, CohortRecord, DeviceKey, Misplaced, Move, Review, Reviewed,
        writer::Job,
    },
};

/// Devices held against the rollout in one go: some 10 ms of the writer's time.
const REVIEW_MAX: usize = 1_000;

/// Devices that were written, on the way to what follows from that.
#[derive(Debug)]
pub(super) struct Changes {
    /// Those that were not held against the rollout yet.
    waiting: BTreeSet<DeviceKey>,
    asked: Option<Asked>,
    found: Option<Reviewed>,
    /// Whether it is known which devices were written.
    is_known: bool,
    /// The cohorts of all that were moved: what is read of them may be older. Those of them that are
    /// queued are in memory, whatever is read of the queues.
    moved: HashMap<AssignmentId, CohortKey>,
    /// Those whose rows are to follow with the next commit.
    pending: Vec<Move>,
    is_committing: bool,
}

/// Devices that the store is asked about.
#[derive(Debug)]
struct Asked {
    devices: Vec<DeviceKey>,
    /// Where assignments stand that the store does not know of, or did not when it was asked.
    states: HashMap<AssignmentId, State>,
}

impl Changes {
    pub(super) fn new(is_known: bool) -> Self {
        Self {
            waiting: BTreeSet::new(),
            asked: None,
            found: None,
            is_known,
            moved: HashMap::new(),
            pending: vec![],
            is_committing: false,
        }
    }

    /// An assignment stands there from now on.
    pub(super) fn note(&mut self, id: AssignmentId, state: State) {
        if let Some(asked) = &mut self.asked {
            asked.states.insert(id, state);
        }
    }

    /// Whether it was moved.
    pub(super) fn has_moved(&self, id: AssignmentId) -> bool {
        self.moved.contains_key(&id)
    }

    /// The moves of the next commit.
    pub(super) fn commit(&mut self) -> Vec<Move> {
        self.is_committing = !self.pending.is_empty();
        std::mem::take(&mut self.pending)
    }

    /// They are durable.
    pub(super) const fn committed(&mut self) {
        self.is_committing = false;
    }

    /// Another round begins, with rows of its own.
    pub(super) fn begin_round(&mut self) {
        self.moved.clear();
    }

    fn is_over(&self) -> bool {
        self.waiting.is_empty()
            && self.asked.is_none()
            && self.pending.is_empty()
            && !self.is_committing
    }
}

impl Course {
    /// The cohort of a candidate.
    pub(super) fn cohort_of(&self, candidate: &Candidate) -> CohortKey {
        self.changes.moved.get(&candidate.id).copied().unwrap_or(candidate.cohort)
    }

    /// Its place.
    pub(super) fn place_of(&self, candidate: &Candidate) -> Option<usize> {
        self.cohort_at.get(&self.cohort_of(candidate)).copied()
    }

    /// Devices were written; `is_all` says whether it is known of all of them by now.
    pub(in crate::engine) fn devices_written(
        &mut self,
        devices: impl Iterator<Item = DeviceKey>,
        is_all: bool,
    ) {
        self.is_dirty |= is_all && !self.changes.is_known;
        self.changes.is_known = is_all;
        if self.is_affected() {
            let before = self.changes.waiting.len();
            self.changes.waiting.extend(devices);
            self.is_dirty |= self.changes.waiting.len() > before;
        }
    }

    /// Whether it matters to it that devices are written.
    fn is_affected(&self) -> bool {
        let is_going_on = matches!(
            self.progression.state,
            RolloutState::Preparing
                | RolloutState::Scheduled
                | RolloutState::Running
                | RolloutState::Paused
        );
        let is_dynamic = self.spec.membership == Membership::Dynamic;
        is_going_on && (is_dynamic || self.spec.schedule.follows_devices())
    }

    /// Whether devices may be in another zone than is known.
    pub(super) fn is_zone_unsure(&self) -> bool {
        let Changes { waiting, asked, is_known, .. } = &self.changes;
        let is_unsure = !is_known || !waiting.is_empty() || asked.is_some();
        is_unsure && self.spec.schedule.follows_devices() && self.is_affected()
    }

    /// Whether everything that follows from what is known to be written is durable.
    pub(in crate::engine) fn is_settled(&self) -> bool {
        self.has_joined() && self.changes.is_over()
    }

    /// Has devices held against it that were written, once its own rows are.
    pub(super) fn review(&mut self, commands: &mut Vec<Command>) {
        if !self.is_affected() {
            self.changes.waiting.clear();
        }
        let is_busy = self.is_committing || !self.has_joined() || self.changes.asked.is_some();
        let is_held = self.progression.state == RolloutState::Preparing
            || self.is_stopping()
            || self.has_store_failed;
        let is_unwritten = !self.changes.pending.is_empty();
        if self.changes.waiting.is_empty() || is_busy || is_held || is_unwritten {
            return;
        }
        let mut devices = vec![];
        while devices.len() < REVIEW_MAX
            && let Some(device) = self.changes.waiting.pop_first()
        {
            devices.push(device);
        }
        let states = self.pending.iter().map(|change| (change.id, change.to.state)).collect();
        self.changes.asked = Some(Asked { devices: devices.clone(), states });
        let schedule = &self.spec.schedule;
        commands.push(Command::Store(Job::Review(Review {
            rollout: self.key,
            round: self.progression.round,
            devices,
            schedule: schedule.follows_devices().then(|| schedule.clone()),
            is_device_wanted: self.spec.membership == Membership::Dynamic,
        })));
    }

    /// Devices were held against it.
    pub(in crate::engine) fn reviewed(&mut self, reviewed: Reviewed) {
        if reviewed.round == self.progression.round {
            self.changes.found = Some(reviewed);
        } else if let Some(asked) = self.changes.asked.take() {
            self.changes.waiting.extend(asked.devices);
        }
    }

    /// What follows: some may join, and some are of another cohort from now on.
    pub(super) fn follow_devices(&mut self, now: Time, shared: &Shared) {
        // Rows that are read to be ended are those of their cohort.
        if self.sweep_read.is_some() {
            return;
        }
        let Some(found) = self.changes.found.take() else { return };
        let states = self.changes.asked.take().map(|asked| asked.states).unwrap_or_default();
        self.may_join(now, &found.devices);
        if found.misplaced.is_empty() || !self.is_affected() {
            return;
        }
        self.take_in_cohorts(found.cohorts);
        let here = self.waiting_here(shared);
        for Misplaced { mut candidate, to } in found.misplaced {
            let written = candidate.assignment.state;
            let state = states.get(&candidate.id).copied().unwrap_or(written);
            if state.is_terminal() || !self.move_to(&candidate, state, to) {
                continue;
            }
            if state == State::Queued && !here.contains(&candidate.id) {
                candidate.cohort = to;
                self.keep_stale(candidate);
            }
        }
        self.sort_candidates();
        self.pending_since.get_or_insert(now);
    }

    fn take_in_cohorts(&mut self, cohorts: Vec<CohortRecord>) {
        let mut new = vec![];
        for record in cohorts {
            if !self.cohort_at.contains_key(&record.key) {
                new.push(counted(&record));
                self.cohort_at.insert(record.key, self.cohorts.len());
                self.cohorts.push(Cohort::new(record));
            }
        }
        if !new.is_empty() {
            self.log.added(new);
        }
    }

    /// Candidates that are in memory and not claimed.
    fn waiting_here(&self, shared: &Shared) -> HashSet<AssignmentId> {
        let queued =
            self.cohorts.iter().flat_map(|cohort| cohort.fresh.iter().chain(&cohort.stale));
        let parked = self.slots.waiting().chain(shared.waiting_of(self.key));
        let parked = parked.chain(shared.budgets.waiting_of(self.key));
        let all = queued.chain(parked).chain(self.refreshing.values());
        all.map(|candidate| candidate.id).collect()
    }

    /// Takes an assignment that stands there to another cohort; `false` if it is in it already.
    fn move_to(&mut self, candidate: &Candidate, state: State, to: CohortKey) -> bool {
        let id = candidate.id;
        let places = (self.place_of(candidate), self.cohort_at.get(&to).copied());
        let (Some(from_at), Some(to_at)) = places else { return false };
        if from_at == to_at {
            return false;
        }
        let from = &mut self.cohorts[from_at];
        from.left_no_more(id);
        let left = from.record.counts.of_mut(state);
        *left = left.saturating_sub(1);
        from.is_changed = true;
        let into = &mut self.cohorts[to_at];
        *into.record.counts.of_mut(state) += 1;
        into.is_changed = true;
        // It is found if those of this cohort are to be ended.
        into.is_swept = false;
        into.swept_to = into.swept_to.min(id.0 - 1);
        if let Some(zone) = &into.record.zone {
            self.log.moved(id, zone);
        }
        // Its row is read in this cohort once that is written.
        self.pending_away.push((to, id));
        self.changes.moved.insert(id, to);
        self.changes.pending.push(Move { id, to });
        true
    }

    /// Has candidates in memory wait in the queues of their cohorts.
    fn sort_candidates(&mut self) {
        let mut misplaced = vec![];
        for cohort in &mut self.cohorts {
            let (key, moved) = (cohort.record.key, &self.changes.moved);
            let is_own = |id: &AssignmentId| moved.get(id).is_none_or(|to| *to == key);
            for (queue, is_fresh) in [(&mut cohort.fresh, true), (&mut cohort.stale, false)] {
                if queue.iter().all(|candidate| is_own(&candidate.id)) {
                    continue;
                }
                let (own, others) = std::mem::take(queue).into_iter().partition(|c| is_own(&c.id));
                *queue = own;
                let others: VecDeque<Candidate> = others;
                misplaced.extend(others.into_iter().map(|candidate| (candidate, is_fresh)));
            }
        }
        for (candidate, is_fresh) in misplaced {
            if let Some(at) = self.place_of(&candidate) {
                let cohort = &mut self.cohorts[at];
                let queue = if is_fresh { &mut cohort.fresh } else { &mut cohort.stale };
                queue.push_back(candidate);
            }
        }
    }
}
