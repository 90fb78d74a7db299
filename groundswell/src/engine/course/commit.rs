//! Commits: when what changed is written, what becomes of it if it cannot be, and the end.

use std::time::Duration;

use groundswell_core::{
    assignment::State, bites, event::Kind, log::Record, rollout, time::Time, verify::Mode,
};

use super::{Course, Readiness};
use crate::{
    engine::{
        budgets::Freed,
        fact::{Command, Ending},
        shared::Shared,
        step::DRAIN_MAX,
    },
    store::{Answer, Batch, SlotChange, Told, writer::Job},
};

/// Results that are enough company.
const GATHER_CHANGES_MAX: usize = 1_000;

/// What a rollout waits for is written down no more often: people look no faster.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Course {
    /// Commits when there are claims, when results waited long enough or are many.
    pub(super) fn commit(&mut self, now: Time, shared: &Shared, commands: &mut Vec<Command>) {
        if self.is_committing || self.is_joining || self.has_store_failed {
            return;
        }
        self.acknowledge();
        let is_gathered = self
            .pending_since
            .is_some_and(|since| now.since(since) >= self.manner.gather || now < since);
        let is_worth_it = !self.claiming.is_empty()
            || is_gathered
            || self.pending.len() >= GATHER_CHANGES_MAX
            || self.pending_progression
            || !self.answers.is_empty()
            || self.is_stopping();
        let is_news = self.tell_at().is_some_and(|at| at <= now);
        if !is_news && (!is_worth_it || !self.has_pending()) {
            return;
        }
        self.is_committing = true;
        self.committing_events = std::mem::take(&mut self.events);
        self.committing_away_at = self.pending_away_at.take();
        self.pending_away.clear();
        self.committing_missing = std::mem::take(&mut self.pending_missing);
        let batch = self.batch(now, shared);
        commands.push(Command::Store(Job::Commit(Box::new(batch))));
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
            || self.pending_progression
            || !self.answers.is_empty()
            || !self.heard.is_empty()
            || !self.log.is_empty()
    }

    /// When those who only look are told what it waits for now, if that is something else.
    pub(super) fn tell_at(&self) -> Option<Time> {
        let (at, told) = &self.told;
        let is_driven = self.manner.look_every.is_some() && self.progression.state.is_driven();
        (is_driven && !self.is_stopping() && *told != self.waiting_on).then_some(*at + TELL_EVERY)
    }

    /// Whoever sees where it stands from now on must not see why it stood elsewhere.
    fn tell_others(&mut self, now: Time, has_progressed: bool) -> Option<Told> {
        self.tell_at().filter(|at| *at <= now || has_progressed)?;
        self.told = (now, self.waiting_on.clone());
        let ended_per_sec = self.meter.per_sec(now, self.counts.ended());
        Some(Told { at: now, waiting_on: self.waiting_on.clone(), ended_per_sec })
    }

    /// Whether a cancel forgets what is claimed: never, but for a known mistake.
    pub(super) fn leaves_claims(&self) -> bool {
        bites!(CancelLeavesClaims) && self.progression.state == rollout::State::Canceling
    }

    /// An act is acknowledged when nothing is claimed that was not sent, or may be sent again.
    fn acknowledge(&mut self) {
        let is_handed_back =
            self.claiming.is_empty() && self.ready.is_empty() || self.leaves_claims();
        if self.unacknowledged.is_empty() || !(is_handed_back || self.may_send()) {
            return;
        }
        let state = self.progression.state;
        let open = (self.open.len() + self.watch.len()) as u64;
        for seq in std::mem::take(&mut self.unacknowledged) {
            self.answers.push((seq, Answer::Done { state, open }));
        }
    }

    fn batch(&mut self, now: Time, shared: &Shared) -> Batch {
        let slot = |freed: &Freed| {
            let had_failed = shared.budgets.has_failed(freed.device);
            SlotChange::of(freed.id, freed.fate, had_failed).filter(|_| freed.was_claimed)
        };
        let mut slots: Vec<SlotChange> = self.freed.iter().filter_map(slot).collect();
        slots.append(&mut self.patrol.slots);
        self.patrol.committing();
        self.committing_freed.append(&mut self.freed);
        self.failures.committing();
        self.pending_since = None;
        self.is_sweep_unwritten = false;
        let has_progressed = std::mem::take(&mut self.pending_progression);
        let mut cohorts = std::mem::take(&mut self.cohorts_before);
        for cohort in &mut self.cohorts {
            if std::mem::take(&mut cohort.is_changed) {
                cohorts.push((cohort.record.key, cohort.record.counts));
            }
        }
        // Without a look at its version nobody knows what a device runs.
        let is_version_seen = self.spec.verify.mode == Mode::Version;
        Batch {
            rollout: self.key,
            epoch: self.epoch,
            at: now,
            changes: std::mem::take(&mut self.pending),
            moves: self.changes.commit(),
            slots,
            regressed: std::mem::take(&mut self.patrol.regressed),
            records: self.log.take(now),
            progression: has_progressed.then(|| self.progression.clone()),
            cohorts,
            version: is_version_seen.then(|| self.spec.release.version.as_str().into()),
            heard: std::mem::take(&mut self.heard),
            told: self.tell_others(now, has_progressed),
            answers: std::mem::take(&mut self.answers),
            rollback: self.take_rollback(),
        }
    }

    /// What was claimed in a batch that is not durable was not claimed.
    pub(in crate::engine) fn store_failed(&mut self, now: Time, batch: Option<Batch>) {
        self.has_store_failed = true;
        self.stop.get_or_insert(now);
        self.is_fetching = false;
        self.is_joining = false;
        let Some(mut batch) = batch else { return };
        self.is_committing = false;
        let claims = std::mem::take(&mut self.claiming);
        let stood: Vec<_> = claims.iter().map(|(was, candidate)| (candidate.id, *was)).collect();
        if !stood.is_empty() {
            self.log.push(Record::Unclaimed(stood));
        }
        for (was, candidate) in claims {
            // The claim alone: what became of the attempt before may be in the same batch.
            let claim = batch.changes.iter().rposition(|change| change.id == candidate.id);
            claim.map(|at| batch.changes.remove(at));
            self.slots.free(candidate.endpoint.address.origin());
            self.count(self.cohort_of(&candidate), State::Delivering, was.state);
        }
        for (key, counts) in &mut batch.cohorts {
            if let Some(at) = self.cohort_at.get(key) {
                *counts = self.cohorts[*at].record.counts;
            }
        }
        self.unwritten.push(batch);
    }

    /// Whether devices are still asked for their version: nobody is without the artifact.
    fn is_asking(&self) -> bool {
        self.counts.verifying > 0 && self.readiness != Readiness::Failed
    }

    pub(super) fn end(&mut self, now: Time, shared: &Shared, commands: &mut Vec<Command>) {
        let is_drained = self.stop.is_some_and(|at| now.since(at) >= DRAIN_MAX);
        // What is being written is waited for in any case: the store always comes to an end.
        if (!self.open.is_empty() && !is_drained) || self.is_committing || self.is_joining {
            return;
        }
        if self.has_store_failed {
            let last = self.batch(now, shared);
            let mut batches = std::mem::take(&mut self.unwritten);
            if !last.is_empty() {
                batches.push(last);
            }
            self.ending = Some(Ending::StoreFailed);
            commands.push(Command::Keep(batches));
            commands.push(Command::Close(self.key, Ending::StoreFailed));
            return;
        }
        if self.has_pending() || !self.unacknowledged.is_empty() {
            return;
        }
        let is_alone = self.manner.look_every.is_none();
        let ending = match self.progression.state {
            state if !state.is_driven() => Ending::Ended,
            _ if self.stop.is_some() => Ending::Interrupted,
            rollout::State::Paused if is_alone && !self.is_asking() => Ending::Paused,
            _ => return,
        };
        self.ending = Some(ending);
        if ending == Ending::Interrupted {
            let counts = self.counts;
            self.tell(now, || Kind::RolloutInterrupted { counts });
        }
        if !self.events.is_empty() {
            commands.push(Command::Tell(std::mem::take(&mut self.events)));
        }
        commands.push(Command::Close(self.key, ending));
    }
}
