//! Claims: who is claimed next, and where candidates come from.

use std::time::Duration;

use groundswell_core::{
    admit::{Admission, Class, Judgment, consider},
    assignment::{self, Assignment, SkipReason, State},
    device::Endpoint,
    ids::AssignmentId,
    log::Becomes,
    plan::Plan,
    rollout,
    time::Time,
};

use super::Course;
use crate::{
    engine::shared::Shared,
    store::{Candidate, QueueWant, Want, writer::Job},
};

/// Candidates not begun before that may wait for a host or a device in memory; beyond this no more
/// of them are read, and the run goes on at the pace of those.
pub(super) const PARKED_MAX: usize = 50_000;

impl Course {
    /// Claims for the next commit, when sending is about to run out of claims.
    pub(super) fn claim(&mut self, now: Time, plan: &Plan, shared: &mut Shared) {
        let is_ample = self.is_ample();
        self.unclaimed = if is_ample { 0 } else { plan.claims_max };
        self.is_put_off = is_ample && !self.is_committing && plan.claims_max > 0;
        if self.is_committing || self.is_joining || is_ample {
            return;
        }
        self.take_due(now, plan);
        if !self.spec.budgets.is_empty() {
            self.read_passed(now, shared);
        }
        let is_unsure = shared.budgets.is_unsure(&self.spec.budgets);
        let mut fresh_max = if is_unsure { 0 } else { plan.fresh_max };
        let mut places = plan.claims_max;
        let mut claims = 0;
        while places > 0 {
            let next = self.next_admitted(now, plan, &mut fresh_max, shared);
            let Some(mut candidate) = next else { break };
            places -= 1;
            claims += 1;
            // One that is tried again is held already.
            let was = candidate.assignment;
            if was.state.is_waiting() && candidate.assignment.attempt == 0 {
                let Endpoint { id, address, .. } = &*candidate.endpoint;
                self.log.met(candidate.id, id, address.origin());
            }
            if !was.state.is_active() {
                shared.hold(candidate.device, self.key);
                shared.budgets.claimed(&candidate, &self.spec.budgets);
                candidate.has_slots = false;
            }
            self.change(&mut candidate, &assignment::Fact::Claimed, now);
            if candidate.assignment.state == State::Verifying {
                // It may have the update already: it is asked before anything is sent.
                self.slots.free(candidate.endpoint.address.origin());
                self.watch.add(candidate, now);
            } else {
                self.claiming.push((was, candidate));
            }
        }
        self.unclaimed = places;
        if let Some(rate) = &mut self.rate {
            rate.used(claims, now);
        }
    }

    /// Whether enough is claimed that was not sent to yet.
    fn is_ample(&self) -> bool {
        self.ready.len() as u32 > self.pace.ahead() / 2
    }

    /// Whether it claimed nothing because there was enough, which has been sent to since: nothing
    /// else may happen until one of them answers.
    pub(super) fn has_run_dry(&self) -> bool {
        self.is_put_off && !self.is_ample()
    }

    /// Places that it will use as soon as its commit, its look for candidates, or the look at its
    /// artifact is done.
    pub(super) fn places_awaited(&self) -> u32 {
        let is_claiming_later = self.is_opening() && !self.may_claim();
        let is_waiting = self.is_committing || self.is_fetching || is_claiming_later;
        if is_waiting { self.unclaimed } else { 0 }
    }

    /// Those that are due again, and whose hours are on.
    fn take_due(&mut self, now: Time, plan: &Plan) {
        let due = self.later.range(..=(now, AssignmentId(i64::MAX)));
        let due: Vec<_> = due.filter(|(_, c)| self.is_open(c, plan)).map(|(at, _)| *at).collect();
        for at in due {
            self.begun.extend(self.later.remove(&at));
        }
    }

    /// The next candidate that has a place on its host: those begun before first, then at most
    /// `fresh_max` others, and of each those that waited for their host.
    fn next_admitted(
        &mut self,
        now: Time,
        plan: &Plan,
        fresh_max: &mut u32,
        shared: &mut Shared,
    ) -> Option<Candidate> {
        while let Some(candidate) = self.slots.next_woken(Class::Begun) {
            if self.is_open(&candidate, plan) {
                return Some(candidate);
            }
            self.slots.free(candidate.endpoint.address.origin());
            self.later.insert((now, candidate.id), candidate);
        }
        while let Some(candidate) = self.begun.pop_front() {
            if !self.is_open(&candidate, plan) {
                self.later.insert((now, candidate.id), candidate);
                continue;
            }
            let endpoint = candidate.endpoint.clone();
            let host = endpoint.address.origin();
            if let Admission::Claimed(candidate) = self.slots.admit(candidate, Class::Begun, host) {
                return Some(candidate);
            }
        }
        if *fresh_max == 0 {
            return None;
        }
        let candidate = self.next_fresh(now, plan, shared);
        *fresh_max -= u32::from(candidate.is_some());
        candidate
    }

    fn is_open(&self, candidate: &Candidate, plan: &Plan) -> bool {
        self.place_of(candidate).is_some_and(|at| plan.open.contains(&at))
    }

    fn next_fresh(&mut self, now: Time, plan: &Plan, shared: &mut Shared) -> Option<Candidate> {
        while let Some(candidate) = self.slots.next_woken(Class::Fresh) {
            let endpoint = candidate.endpoint.clone();
            let is_outdated = self.had_elsewhere.remove(&candidate.device);
            let is_free = !is_outdated && !self.is_busy(&candidate, shared);
            if is_free && self.is_open(&candidate, plan) && shared.budgets.knows(&candidate) {
                if let Some(candidate) = self.give_slots(candidate, shared) {
                    return Some(candidate);
                }
            } else {
                self.keep_stale(candidate);
            }
            self.slots.free(endpoint.address.origin());
        }
        while let Some(candidate) = self.pop_fresh(plan) {
            if self.slots.parked(Class::Fresh) >= PARKED_MAX && !candidate.has_slots {
                self.keep_fresh(candidate);
                return None;
            }
            if let Some(candidate) = self.try_fresh(candidate, now, shared) {
                return Some(candidate);
            }
        }
        None
    }

    /// Whether this one may be claimed: where not it is skipped, or kept where it waits.
    fn try_fresh(
        &mut self,
        mut candidate: Candidate,
        now: Time,
        shared: &mut Shared,
    ) -> Option<Candidate> {
        if !shared.budgets.knows(&candidate) {
            self.keep_stale(candidate);
            return None;
        }
        if self.had_elsewhere.remove(&candidate.device) {
            shared.hand_back(&mut candidate);
            self.keep_stale(candidate);
            return None;
        }
        match self.judge(&candidate, now) {
            Judgment::Go => {}
            Judgment::Skip(SkipReason::Quarantined)
                if self.failures.doubts(candidate.device, now) =>
            {
                shared.hand_back(&mut candidate);
                self.keep_stale(candidate);
                return None;
            }
            Judgment::Skip(reason) => {
                self.log_judged(&candidate, Becomes::Skipped(reason));
                self.change(&mut candidate, &assignment::Fact::Skipped(reason), now);
                return None;
            }
            Judgment::Wait { since } => {
                self.log_judged(&candidate, Becomes::Away);
                self.change(&mut candidate, &assignment::Fact::Away { since }, now);
                return None;
            }
        }
        if let Some(holder) = shared.busy_with(candidate.device, self.key) {
            // Of one that is not driven any more nothing is said rather than something wrong.
            if shared.name_of(holder).is_some() {
                self.log_judged(&candidate, Becomes::Busy(holder.0));
            }
            shared.hand_back(&mut candidate);
            self.busy.insert(candidate.device, holder);
            shared.park(self.key, candidate);
            return None;
        }
        let endpoint = candidate.endpoint.clone();
        let host = endpoint.address.origin();
        if self.slots.has_place(Class::Fresh, host) {
            candidate = self.give_slots(candidate, shared)?;
            self.log_judged(&candidate, Becomes::Claimed);
        } else {
            shared.hand_back(&mut candidate);
            self.log_judged(&candidate, Becomes::Host);
        }
        match self.slots.admit(candidate, Class::Fresh, host) {
            Admission::Claimed(candidate) => Some(candidate),
            Admission::Parked => None,
        }
    }

    fn pop_fresh(&mut self, plan: &Plan) -> Option<Candidate> {
        plan.open.iter().find_map(|at| self.cohorts[*at].fresh.pop_front())
    }

    fn is_busy(&self, candidate: &Candidate, shared: &Shared) -> bool {
        shared.busy_with(candidate.device, self.key).is_some()
    }

    fn judge(&self, candidate: &Candidate, now: Time) -> Judgment {
        let Candidate { has_address, known, assignment, .. } = candidate;
        consider(*has_address, known.as_deref(), assignment.attempt > 0, &self.spec, now)
    }

    fn log_judged(&mut self, candidate: &Candidate, becomes: Becomes) {
        let Candidate { id, has_address, known, .. } = candidate;
        self.log.judged(*id, *has_address, known.as_deref(), becomes);
    }

    /// Hands back claims that nothing was sent for.
    pub(super) fn hand_back(&mut self, now: Time) {
        for mut candidate in std::mem::take(&mut self.ready) {
            self.hand_back_one(&mut candidate, now);
            self.keep(candidate, now);
        }
    }

    /// Hands back claims that nothing was sent for, and whose hours or time are over by now.
    pub(super) fn hand_back_closed(&mut self, now: Time) {
        let is_over = self.progression.deadline(&self.spec).is_some_and(|at| at <= now);
        if self.ready.is_empty() || (self.spec.schedule.is_always_open() && !is_over) {
            return;
        }
        for mut candidate in std::mem::take(&mut self.ready) {
            let at = self.place_of(&candidate);
            let is_open = at.is_some_and(|at| self.cohorts[at].phase(&self.spec, now).is_open());
            // One that was begun before its deadline may end its attempts after it.
            let Assignment { attempt, in_doubt, .. } = candidate.assignment;
            let was_begun =
                attempt > 1 || in_doubt || candidate.assignment.claimed_from() == State::Retrying;
            if is_open && (was_begun || !is_over) {
                self.ready.push_back(candidate);
            } else {
                self.hand_back_one(&mut candidate, now);
                self.keep(candidate, now);
            }
        }
    }

    /// Asks for candidates before they run out, and for those that are due.
    pub(super) fn fetch(&mut self, now: Time, plan: &Plan) -> Option<Job> {
        if self.is_fetching || self.has_store_failed || self.is_being_written() {
            return None;
        }
        if let Some(queue) = self.sweep_want() {
            return Some(self.want(now, queue.limit, Some(queue), vec![], vec![]));
        }
        if !self.may_fetch() {
            return None;
        }
        let limit = 2 * self.pace.ahead() as usize;
        let refresh = self.take_stale(plan, limit);
        let cohort = self.cohort_wanted(plan, limit / 2);
        let is_due = self.missing_here.len() < PARKED_MAX
            && self.next_away_at.is_some_and(|at| at <= self.readable_until(now));
        let recall = self.called_wanted(plan, limit);
        if cohort.is_none() && !is_due && refresh.is_empty() && recall.is_empty() {
            return None;
        }
        let queue = cohort.map(|at| QueueWant {
            cohort: self.cohorts[at].record.key,
            after: self.cohorts[at].read_to,
            limit,
            is_sweep: false,
        });
        Some(self.want(now, limit, queue, refresh, recall))
    }

    fn want(
        &mut self,
        now: Time,
        limit: usize,
        queue: Option<QueueWant>,
        refresh: Vec<AssignmentId>,
        recall: Vec<AssignmentId>,
    ) -> Job {
        self.is_fetching = true;
        let sweep = queue.filter(|queue| queue.is_sweep);
        if let Some(queue) = &sweep {
            self.begin_sweep_read(queue.cohort);
        }
        let is_sweep = sweep.is_some();
        let until = if is_sweep { Time::from_millis(-1) } else { self.readable_until(now) };
        self.away_floor = self.away_floor.max(until);
        Job::Fetch(Want {
            rollout: self.key,
            cursor: self.cursor,
            until,
            limit,
            queue,
            refresh,
            recall,
            is_known_wanted: !is_sweep && self.spec.asks_what_is_known(),
            rivals: if is_sweep { vec![] } else { self.rivals.clone() },
            pers: self.slotting.pers.clone(),
        })
    }

    /// Candidates to be asked again, of the cohorts that are open.
    fn take_stale(&mut self, plan: &Plan, most: usize) -> Vec<AssignmentId> {
        let mut refresh = vec![];
        for at in &plan.open {
            let stale = &mut self.cohorts[*at].stale;
            while refresh.len() < most
                && let Some(candidate) = stale.pop_front()
            {
                refresh.push(candidate.id);
                self.refreshing.insert(candidate.id, candidate);
            }
        }
        refresh
    }

    /// What is known of those who wait for their hours, or for an operator, grows old.
    pub(super) fn expire_closed(&mut self, plan: &Plan) {
        if !self.asks_what_is_known() {
            return;
        }
        for (at, cohort) in self.cohorts.iter_mut().enumerate() {
            if !plan.open.contains(&at) && !cohort.fresh.is_empty() {
                cohort.expire();
            }
        }
    }

    /// The first cohort that is open and has more candidates than are in memory.
    fn cohort_wanted(&self, plan: &Plan, enough: usize) -> Option<usize> {
        let parked = self.slots.parked(Class::Fresh) + self.busy.len();
        if parked >= PARKED_MAX || plan.fresh_max == 0 {
            return None;
        }
        let mut there = self.begun.len();
        for at in &plan.open {
            let cohort = &self.cohorts[*at];
            there += cohort.fresh.len() + cohort.stale.len();
            if there >= enough {
                return None;
            }
            if !cohort.is_read {
                return Some(*at);
            }
        }
        None
    }

    /// Those of the open cohorts who were left in the store and may find a slot now, if there are few
    /// candidates in memory.
    fn called_wanted(&self, plan: &Plan, limit: usize) -> Vec<AssignmentId> {
        let open = || plan.open.iter().map(|at| &self.cohorts[*at]);
        let there: usize = open().map(|cohort| cohort.fresh.len() + cohort.stale.len()).sum();
        if plan.fresh_max == 0 || self.begun.len() + there >= limit / 2 {
            return vec![];
        }
        open().flat_map(|cohort| cohort.called.iter().copied()).take(limit).collect()
    }

    /// Up to when those that are away may be read: what is not durable yet must not fall behind the
    /// cursor, or it would never be read.
    pub(super) fn readable_until(&self, now: Time) -> Time {
        let unwritten = self.pending_away_at.into_iter().chain(self.committing_away_at).min();
        match unwritten {
            Some(at) => now.min(at - Duration::from_millis(1)),
            None => now,
        }
    }

    pub(super) fn may_fetch(&self) -> bool {
        !self.is_fetching
            && !self.is_sweep_unwritten
            && !self.is_being_written()
            && !self.is_stopping()
            && self.progression.state == rollout::State::Running
            && self.begun.len() <= self.pace.ahead() as usize
    }
}
