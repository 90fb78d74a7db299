//! A rollout's way with failure domains: who is given slots, who waits for them, and who is left in the
//! store because too many do. The slots are [`crate::engine::budgets`]'s.

use std::{sync::Arc, time::Duration};

use groundswell_core::{
    assignment::State, budget::Per, log::Becomes, plan::Plan, rollout, time::Time,
};

use super::Course;
use crate::{
    engine::{cohort::Cohort, shared::Shared},
    store::Candidate,
};

/// How often those who were left in the store are looked at again while slots are freed: each of them
/// in memory, and only those are read whose domain has a slot.
const LAP_EVERY: Duration = Duration::from_secs(10);

/// What a rollout knows of its way with failure domains.
#[derive(Debug)]
pub(super) struct Slotting {
    /// The kinds of failure domains that are asked about with every candidate.
    pub(super) pers: Arc<[Per]>,
    /// How many slots had been freed when those who were left in the store were last read again.
    frees: u64,
    /// How often domains had been counted when all of them were.
    recounts: u64,
    /// When that was, and when it is due again.
    lapped_at: Time,
    lap_at: Option<Time>,
    /// The cohorts whose hours were on when it was last decided.
    opened: Vec<usize>,
}

impl Default for Slotting {
    fn default() -> Self {
        Self {
            pers: Arc::from([]),
            frees: 0,
            recounts: 0,
            lapped_at: Time::ZERO,
            lap_at: None,
            opened: vec![],
        }
    }
}

impl Slotting {
    /// The clock was set back: nothing waits longer than it would have.
    pub(super) fn clock_set_back(&mut self, now: Time) {
        self.lapped_at = self.lapped_at.min(now);
        self.lap_at = self.lap_at.map(|_| now);
    }
}

impl Course {
    /// Whether it goes on, with devices that wait, and counts those that are down.
    pub(in crate::engine) fn counts_down(&self) -> bool {
        self.spec.budgets.iter().any(|budget| budget.counts_down)
            && self.progression.state == rollout::State::Running
            && self.counts.waiting() > 0
    }

    /// Whether some of those who were left in the store may go since slots were freed so often.
    pub(in crate::engine) fn may_lap(&self, frees: u64) -> bool {
        self.has_passed() && self.slotting.frees != frees
    }

    /// These kinds of failure domains are asked about with every candidate from now on.
    pub(in crate::engine) fn ask_domains(&mut self, pers: &Arc<[Per]>) {
        if self.slotting.pers != *pers {
            self.slotting.pers = Arc::clone(pers);
            self.is_dirty = true;
            self.forget_fresh();
        }
    }

    /// Whether devices were left in the store because too many wait for slots.
    fn has_passed(&self) -> bool {
        !self.spec.budgets.is_empty() && self.cohorts.iter().any(|cohort| !cohort.passed.is_empty())
    }

    /// When those who were left in the store are read again.
    pub(super) fn lap_at(&self) -> Option<Time> {
        self.slotting.lap_at.filter(|at| *at > self.decided_at)
    }

    /// A candidate that waited for slots has them now.
    pub(in crate::engine) fn slotted(&mut self, candidate: Candidate) {
        // Something else may be known of it by now.
        self.keep_stale(candidate);
    }

    /// Nobody waits for slots, or has them without being claimed: nothing is claimed for a while.
    pub(in crate::engine) fn lay_down_slots(&mut self, shared: &mut Shared) {
        for candidate in shared.budgets.withdraw(self.key) {
            self.keep_stale(candidate);
        }
        let queues = self.cohorts.iter_mut().flat_map(|cohort| {
            let Cohort { fresh, stale, .. } = cohort;
            fresh.iter_mut().chain(stale)
        });
        for candidate in queues.chain(self.refreshing.values_mut()) {
            shared.hand_back(candidate);
        }
    }

    /// Has those who were left in the store read again: all of them once there is room for them, or
    /// once domains were counted again, because devices may be in others. And, no more often than every
    /// [`LAP_EVERY`], once a slot was freed since they were looked at, those who may find one.
    pub(super) fn read_passed(&mut self, now: Time, shared: &Shared) {
        let frees = shared.budgets.frees();
        let has_room = shared.budgets.parked(self.key) * 2 < shared.budgets.parked_max;
        let lap_at = self.slotting.lapped_at + LAP_EVERY;
        let is_due = frees != self.slotting.frees && now >= lap_at;
        self.slotting.lap_at =
            (frees != self.slotting.frees && self.has_passed()).then_some(lap_at);
        if !has_room && !is_due {
            return;
        }
        let recounts = shared.budgets.recounts();
        let is_whole = has_room || recounts != self.slotting.recounts;
        let ready = |cohort: &&mut Cohort| cohort.is_read && !cohort.passed.is_empty();
        let (mut has_lapped, mut is_all) = (false, true);
        for cohort in self.cohorts.iter_mut().filter(ready) {
            has_lapped = true;
            if is_whole {
                cohort.read_again();
            } else {
                let budgets = &self.spec.budgets;
                is_all &= cohort.call(|left| shared.budgets.may_return(left, budgets));
            }
        }
        if has_lapped {
            self.slotting.lapped_at = now;
            // Those who could not be called at once are looked at again, whatever is freed.
            self.slotting.frees = if is_all { frees } else { u64::MAX };
            self.slotting.lap_at = (!is_all).then_some(now + LAP_EVERY);
            self.slotting.recounts = if is_whole { recounts } else { self.slotting.recounts };
        }
    }

    /// Has a candidate take its slots in its failure domains, or wait for them.
    pub(super) fn give_slots(
        &mut self,
        mut candidate: Candidate,
        shared: &mut Shared,
    ) -> Option<Candidate> {
        shared.look_again(&mut candidate, &self.spec.budgets);
        if candidate.has_slots || self.spec.budgets.is_empty() {
            return Some(candidate);
        }
        let (id, has_address, known) =
            (candidate.id, candidate.has_address, candidate.known.clone());
        let (state, cohort) = (candidate.assignment.state, self.place_of(&candidate));
        let left = match shared.budgets.admit(self.key, candidate, &self.spec.budgets) {
            Ok(candidate) => return Some(candidate),
            Err(left) => left,
        };
        // One that was moved is not read in the queue of its cohort: it stays in memory.
        let may_leave = state == State::Queued && !self.changes.has_moved(id);
        if may_leave && shared.budgets.is_crowded(self.key) {
            // It is in the store, and read again when there is room.
            shared.budgets.leave(self.key, left.device);
            if let Some(at) = cohort {
                self.cohorts[at].passed.insert(id, left);
            }
        } else {
            self.log.judged(id, has_address, known.as_deref(), Becomes::Domain);
        }
        None
    }

    /// Who may not go for a while waits for no slots, and has none: others may go meanwhile.
    pub(super) fn lay_down_unneeded(&mut self, plan: &Plan, shared: &mut Shared) {
        let has_closed = self.slotting.opened.iter().any(|at| !plan.open.contains(at));
        if has_closed || !self.may_send() || self.sweep.is_some() {
            self.lay_down_slots(shared);
        }
        self.slotting.opened.clone_from(&plan.open);
    }
}
