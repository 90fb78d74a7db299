//! Claims: who is claimed next, and where candidates come from.

use std::time::Duration;

use groundswell_core::{
    admit::{Admission, Class},
    assignment::{self, State},
    plan::Plan,
    rollout,
    time::Time,
};

use super::{Command, Engine};
use crate::store::Candidate;

/// Candidates not begun before that may wait for a host in memory; beyond this no more of them are
/// read, and the run goes on at the pace of those hosts.
const PARKED_MAX: usize = 50_000;

impl Engine {
    /// Claims for the next commit, when sending is about to run out of claims.
    pub(super) fn claim(&mut self, now: Time, plan: &Plan) {
        let is_ample = self.ready.len() as u32 > self.pace.ahead() / 2;
        if self.is_committing || is_ample {
            return;
        }
        let mut fresh_max = plan.fresh_max;
        let mut places = plan.claims_max;
        while places > 0 {
            let Some(mut candidate) = self.next_admitted(&mut fresh_max) else { break };
            places -= 1;
            self.change(&mut candidate, &assignment::Fact::Claimed, now);
            if candidate.assignment.state == State::Verifying {
                // It may have the update already: it is asked before anything is sent.
                self.slots.free(candidate.endpoint.address.origin());
                self.watch.add(candidate, now);
            } else {
                self.claiming.push(candidate);
            }
        }
    }

    /// The next candidate that has a place on its host: those begun before first, then at most
    /// `fresh_max` others, and of each those that waited for their host.
    fn next_admitted(&mut self, fresh_max: &mut u32) -> Option<Candidate> {
        if let Some(candidate) = self.slots.next_woken(Class::Begun) {
            return Some(candidate);
        }
        while let Some(candidate) = self.begun.pop_front() {
            let endpoint = candidate.endpoint.clone();
            let host = endpoint.address.origin();
            if let Admission::Claimed(candidate) = self.slots.admit(candidate, Class::Begun, host) {
                return Some(candidate);
            }
        }
        let candidate = if *fresh_max > 0 { self.next_fresh(*fresh_max) } else { None };
        *fresh_max -= u32::from(candidate.is_some());
        candidate
    }

    /// Canaries that wait for their host use up a place among the canaries, so that none goes in
    /// their stead.
    fn next_fresh(&mut self, fresh_max: u32) -> Option<Candidate> {
        if let Some(candidate) = self.slots.next_woken(Class::Fresh) {
            return Some(candidate);
        }
        let has_canary_passed = self.progression.has_canary_passed;
        while has_canary_passed || fresh_max as usize > self.slots.parked(Class::Fresh) {
            let candidate = self.fresh.pop_front()?;
            let endpoint = candidate.endpoint.clone();
            let host = endpoint.address.origin();
            if let Admission::Claimed(candidate) = self.slots.admit(candidate, Class::Fresh, host) {
                return Some(candidate);
            }
        }
        None
    }

    /// Hands back claims that nothing was sent for.
    pub(super) fn hand_back(&mut self, now: Time) {
        for mut candidate in std::mem::take(&mut self.ready) {
            self.slots.free(candidate.endpoint.address.origin());
            self.change(&mut candidate, &assignment::Fact::Returned, now);
        }
    }

    /// Asks for candidates before they run out, and for those that are due again.
    pub(super) fn fetch(&mut self, now: Time, commands: &mut Vec<Command>) {
        if !self.may_fetch() {
            return;
        }
        let limit = 2 * self.pace.ahead() as usize;
        let is_fresh_wanted = !self.is_queue_read
            && self.fresh.len() + self.begun.len() < limit / 2
            && self.slots.parked(Class::Fresh) < PARKED_MAX;
        let until = self.readable_until(now);
        let is_due = self.next_retry_at.is_some_and(|at| at <= until);
        if is_fresh_wanted || is_due {
            self.is_fetching = true;
            self.retry_floor = self.retry_floor.max(until);
            let fresh_limit = if is_fresh_wanted { limit } else { 0 };
            commands.push(Command::Fetch { cursor: self.cursor, limit, fresh_limit, until });
        }
    }

    /// Up to when those that are to be tried again may be read: what is not durable yet must not
    /// fall behind the cursor, or it would never be read.
    pub(super) fn readable_until(&self, now: Time) -> Time {
        let unwritten = self.pending_retry_at.into_iter().chain(self.committing_retry_at).min();
        match unwritten {
            Some(at) => now.min(at - Duration::from_millis(1)),
            None => now,
        }
    }

    pub(super) fn may_fetch(&self) -> bool {
        !self.is_fetching
            && !self.is_stopping()
            && self.progression.state == rollout::State::Running
            && self.begun.len() <= self.pace.ahead() as usize
    }
}
