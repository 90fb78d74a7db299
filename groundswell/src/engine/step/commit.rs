//! Commits: when what changed is written, what becomes of it if it cannot be, and the end.

use groundswell_core::{
    assignment::{Assignment, State},
    event::Kind,
    rollout,
    time::Time,
};

use super::{Command, DRAIN_MAX, Ending, Engine};
use crate::store::Batch;

/// Results that are enough company.
const GATHER_CHANGES_MAX: usize = 1_000;

impl Engine {
    /// Commits when there are claims, when results waited long enough or are many.
    pub(super) fn commit(&mut self, now: Time, commands: &mut Vec<Command>) {
        if self.is_committing || self.has_store_failed {
            return;
        }
        let is_gathered =
            self.pending_since.is_some_and(|since| now.since(since) >= self.gather || now < since);
        let is_worth_it = !self.claiming.is_empty()
            || is_gathered
            || self.pending.len() >= GATHER_CHANGES_MAX
            || self.pending_progression
            || self.is_stopping();
        if !is_worth_it || (self.pending.is_empty() && !self.pending_progression) {
            return;
        }
        self.is_committing = true;
        self.committing_events = std::mem::take(&mut self.events);
        self.committing_retry_at = self.pending_retry_at;
        let batch = self.batch(now);
        commands.push(Command::Commit(batch));
    }

    fn batch(&mut self, now: Time) -> Batch {
        self.pending_since = None;
        self.pending_retry_at = None;
        let has_progressed = std::mem::take(&mut self.pending_progression);
        Batch {
            rollout: self.key,
            epoch: self.epoch,
            at: now,
            changes: std::mem::take(&mut self.pending),
            progression: has_progressed.then(|| self.progression.clone()),
        }
    }

    /// What was claimed in a batch that is not durable was not claimed.
    pub(super) fn store_failed(&mut self, now: Time, batch: Option<Batch>) {
        self.has_store_failed = true;
        self.stop.get_or_insert(now);
        self.is_fetching = false;
        let Some(mut batch) = batch else { return };
        self.is_committing = false;
        for candidate in std::mem::take(&mut self.claiming) {
            batch.changes.retain(|change| change.id != candidate.id);
            self.slots.free(candidate.endpoint.address.origin());
            let was = match candidate.assignment {
                Assignment { attempt: 1, in_doubt: false, .. } => State::Queued,
                _ => State::Retrying,
            };
            self.counts.shift(State::Delivering, was);
        }
        self.unwritten.push(batch);
    }

    pub(super) fn end(&mut self, now: Time, commands: &mut Vec<Command>) {
        let is_drained = self.stop.is_some_and(|at| now.since(at) >= DRAIN_MAX);
        if !self.open.is_empty() && !is_drained {
            return;
        }
        if self.is_committing && !is_drained {
            return;
        }
        if self.has_store_failed {
            let last = self.batch(now);
            let mut batches = std::mem::take(&mut self.unwritten);
            if !last.changes.is_empty() || last.progression.is_some() {
                batches.push(last);
            }
            self.has_ended = true;
            commands.push(Command::Keep(batches));
            commands.push(Command::End(Ending::StoreFailed));
            return;
        }
        if !self.pending.is_empty() || self.pending_progression {
            return;
        }
        let ending = match self.progression.state {
            state if state.is_ended() => Ending::Ended,
            _ if self.stop.is_some() => Ending::Interrupted,
            rollout::State::Paused if self.counts.verifying == 0 => Ending::Paused,
            _ => return,
        };
        self.has_ended = true;
        if ending == Ending::Interrupted {
            let counts = self.counts;
            self.tell(now, || Kind::RolloutInterrupted { counts });
        }
        if !self.events.is_empty() {
            commands.push(Command::Tell(std::mem::take(&mut self.events)));
        }
        commands.push(Command::End(ending));
    }
}
