//! Claims: who is claimed next, and where candidates come from.

use groundswell_core::{
    admit::Admission,
    assignment::{self, State},
    plan::Plan,
    rollout,
    time::Time,
};

use super::{Command, Engine};
use crate::store::Candidate;

/// Candidates that may wait for a host in memory; beyond this no more are read, and the run goes
/// on at the pace of those hosts.
const PARKED_MAX: usize = 50_000;

impl Engine {
    /// Claims for the next commit, when sending is about to run out of claims.
    pub(super) fn claim(&mut self, now: Time, plan: &Plan) {
        let is_ample = self.ready.len() as u32 > self.pace.ahead() / 2;
        if self.is_committing || is_ample {
            return;
        }
        let mut fresh_max = plan.fresh_max.saturating_sub(self.canaries_parked);
        let mut places = plan.claims_max;
        while places > 0 {
            let Some(mut candidate) = self.next_admitted(&mut fresh_max) else { break };
            places -= 1;
            self.change(&mut candidate, &assignment::Fact::Claimed, now);
            self.claiming.push(candidate);
        }
    }

    /// The next candidate that has a place on its host: woken ones first, then those begun
    /// before, then at most `fresh_max` others. Canaries that wait for their host use up a place
    /// among the canaries, so that none goes in their stead.
    fn next_admitted(&mut self, fresh_max: &mut u32) -> Option<Candidate> {
        if let Some(candidate) = self.slots.next_woken() {
            self.slots.admit_woken(candidate.endpoint.address.origin());
            if candidate.assignment.state == State::Queued {
                self.canaries_parked = self.canaries_parked.saturating_sub(1);
                *fresh_max = fresh_max.saturating_sub(1);
            }
            return Some(candidate);
        }
        loop {
            let is_fresh = self.begun.is_empty();
            let candidate = match self.begun.pop_front() {
                Some(candidate) => candidate,
                None if *fresh_max > 0 => self.fresh.pop_front()?,
                None => return None,
            };
            let endpoint = candidate.endpoint.clone();
            let admission = self.slots.admit(candidate, endpoint.address.origin());
            let is_canary = is_fresh && !self.progression.has_canary_passed;
            if is_canary && admission == Admission::Parked {
                self.canaries_parked += 1;
            }
            match admission {
                Admission::Claimed(candidate) => {
                    *fresh_max -= u32::from(is_fresh);
                    return Some(candidate);
                }
                Admission::Parked => *fresh_max -= u32::from(is_canary),
            }
        }
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
        let is_fresh_wanted =
            !self.is_queue_read && self.fresh.len() + self.begun.len() < limit / 2;
        let is_due = self.next_retry_at.is_some_and(|at| at <= now);
        if is_fresh_wanted || is_due {
            self.is_fetching = true;
            self.retry_floor = self.retry_floor.max(now);
            let fresh_limit = if is_fresh_wanted { limit } else { 0 };
            commands.push(Command::Fetch { cursor: self.cursor, limit, fresh_limit });
        }
    }

    pub(super) fn may_fetch(&self) -> bool {
        !self.is_fetching
            && !self.is_stopping()
            && self.progression.state == rollout::State::Running
            && self.begun.len() <= self.pace.ahead() as usize
            && self.slots.parked() < PARKED_MAX
    }
}
