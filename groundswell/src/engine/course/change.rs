//! What a fact changes: the assignment, the counts, what is written down and told of it.

use std::time::Duration;

use groundswell_core::{
    assignment::{self, Assignment, State},
    bites,
    budget::Fate,
    ids::AssignmentId,
    time::Time,
};

use super::Course;
use crate::{
    engine::{budgets::Freed, story},
    store::{Candidate, Change, CohortKey},
};

impl Course {
    /// Applies a fact to an assignment, counts it, and puts what changed among what is pending.
    pub(super) fn change(&mut self, candidate: &mut Candidate, fact: &assignment::Fact, now: Time) {
        let from = candidate.assignment;
        let dice = assignment::dice(candidate.id, from.attempt);
        let transition = match assignment::apply(&from, fact, &self.spec, now, dice) {
            Ok(transition) => transition,
            Err(illegal) => {
                tracing::error!(device = %candidate.endpoint.id, "{illegal}: left as it was");
                return;
            }
        };
        let mut to = transition.to;
        if to == from {
            return;
        }
        let mut floor = Time::ZERO;
        if matches!(to.state, State::Away | State::Absent) {
            let read_to = self.away_floor + Duration::from_millis(1);
            if read_to > to.due_at {
                floor = read_to;
                to = to.no_sooner_than(floor);
            }
            // One that is ended at once is looked for by nobody.
            if !self.is_to_be_ended(self.cohort_of(candidate), to.state) {
                self.sweep_anew(candidate);
                self.pending_away_at = self.pending_away_at.into_iter().chain([to.due_at]).min();
                self.pending_away.push((self.cohort_of(candidate), candidate.id));
            }
        }
        self.log.decided();
        self.log.happened(candidate.id, fact, &to, floor);
        self.count(self.cohort_of(candidate), from.state, to.state);
        self.changes.note(candidate.id, to.state);
        candidate.assignment = to;
        if matches!(from.state, State::Away | State::Absent) {
            self.pending_missing.insert(candidate.id);
            self.missing_here.remove(&candidate.id);
        }
        self.settle_slots(candidate, from.state, to.state);
        if to.state.is_failure() {
            self.failures.note(candidate.device);
        }
        let detail = story::shorten(self.with_doubt(candidate.id, from, to, transition.detail));
        if self.manner.is_heard {
            for kind in story::events(&candidate.endpoint.id, from, to, &detail) {
                self.tell(now, || kind);
            }
        }
        let detail = (!detail.is_empty()).then(|| detail.into_boxed_str());
        if let Some(read) = &mut self.sweep_read {
            read.changed.insert(candidate.id);
        }
        self.pending.push(Change { id: candidate.id, to, detail });
        self.pending_since.get_or_insert(now);
        self.sweep_again(candidate, now);
    }

    /// Notes what becomes of the slots of one that is not under way any more.
    fn settle_slots(&mut self, candidate: &mut Candidate, from: State, to: State) {
        let (device, id) = (candidate.device, candidate.id);
        let mut push = |fate, was_claimed| {
            let is_named = fate == Fate::Kept && !self.slotting.pers.is_empty();
            let name = is_named.then(|| Box::from(&*candidate.endpoint.id));
            self.freed.push(Freed { device, name, id, fate, was_claimed });
        };
        if let Some(fate) = Fate::of(from, to) {
            push(fate, true);
        } else if !to.is_active() && std::mem::take(&mut candidate.has_slots) {
            push(Fate::HandedBack, false);
        } else if to == State::Retrying && bites!(RetryForgetsSlot) {
            push(Fate::Freed, false);
        }
    }

    pub(super) fn count(&mut self, cohort: CohortKey, from: State, to: State) {
        self.counts.shift(from, to);
        if let Some(cohort) = self.cohort_at.get(&cohort).and_then(|at| self.cohorts.get_mut(*at)) {
            cohort.record.counts.shift(from, to);
            cohort.is_changed = true;
        }
    }

    /// A device that was asked because its answer had been lost: both belong to the reason.
    fn with_doubt(
        &mut self,
        id: AssignmentId,
        from: Assignment,
        to: Assignment,
        detail: String,
    ) -> String {
        if to.state == State::Verifying && to.in_doubt && !detail.is_empty() {
            self.doubts.insert(id, detail.as_str().into());
        } else if from.state == State::Verifying
            && from.in_doubt
            && let Some(doubt) = self.doubts.remove(&id)
            && !detail.is_empty()
        {
            return format!("{detail} (its answer was lost: {doubt})");
        }
        detail
    }
}
