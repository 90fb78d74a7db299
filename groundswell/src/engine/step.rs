//! The step: facts in, commands out, nothing touched.
//!
//! Owns the order of everything. What it knows of the fleet are counts, the devices that are
//! claimed or being verified, and a few candidates; the rest is in the store. Every decision is
//! the core's: [`core::plan`] says how many may go, [`core::admit`] which, and
//! [`core::assignment::apply`] what follows from an outcome.
//!
//! [`core::plan`]: groundswell_core::plan
//! [`core::admit`]: groundswell_core::admit
//! [`core::assignment::apply`]: groundswell_core::assignment::apply

use std::{collections::VecDeque, time::Duration};

use groundswell_core::{
    admit::Slots,
    assignment::{self, State},
    event::{Event, Kind},
    ids::{AssignmentId, Epoch, RolloutId},
    outcome::{Answer, Outcome},
    plan::{self, WaitingOn},
    progress::{Progress, RateMeter, eta},
    rollout::{self, Progression, Spec},
    snapshot::{Counts, Snapshot},
    time::Time,
    verify,
};
use hashbrown::HashMap;

pub use super::fact::{Command, Ending, Fact, Manner, Sending};
use super::{pace::Pace, story, watch::Watch};
use crate::store::{Batch, Candidate, Change, Cursor, RolloutKey, RolloutRecord};

/// Results wait at most this long for company in a commit: a few commits' time, so that a busy
/// run writes hundreds at once and a quiet one loses next to nothing.
pub const GATHER: Duration = Duration::from_millis(5);

/// How long open deliveries may take to end after the run was told to stop.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

mod claim;
mod commit;

/// A run of one rollout.
#[derive(Debug)]
pub struct Engine {
    key: RolloutKey,
    id: RolloutId,
    spec: Spec,
    epoch: Epoch,
    progression: Progression,
    counts: Counts,
    /// Whether somebody listens, so that events need to be made at all.
    is_heard: bool,
    /// How long results wait for company in a commit.
    gather: Duration,

    slots: Slots<Candidate>,
    /// Candidates that were begun before; they go first.
    begun: VecDeque<Candidate>,
    /// Candidates that were not.
    fresh: VecDeque<Candidate>,
    cursor: Cursor,
    is_fetching: bool,
    is_queue_read: bool,
    next_retry_at: Option<Time>,
    /// Nothing that is to be tried again may fall due before this: it was read up to here.
    retry_floor: Time,

    /// Claimed in the batch that is being committed.
    claiming: Vec<Candidate>,
    /// Claimed, durable, not sent.
    ready: VecDeque<Candidate>,
    open: HashMap<AssignmentId, Candidate>,
    watch: Watch,

    pending: Vec<Change>,
    pending_progression: bool,
    pending_since: Option<Time>,
    events: Vec<Event>,
    committing_events: Vec<Event>,
    /// The soonest retry among what waits for a commit.
    pending_retry_at: Option<Time>,
    /// The soonest retry in the batch that is being committed.
    committing_retry_at: Option<Time>,
    is_committing: bool,
    unwritten: Vec<Batch>,

    stop: Option<Time>,
    has_store_failed: bool,
    has_ended: bool,
    pace: Pace,
    rate: RateMeter,
    waiting_on: Vec<WaitingOn>,
}

impl Engine {
    /// Takes over a rollout: `counts` are its devices, `open` those an earlier driver left
    /// delivering or verifying.
    pub fn new(
        record: &RolloutRecord,
        counts: Counts,
        open: Vec<Candidate>,
        epoch: Epoch,
        Manner { is_heard, gather }: Manner,
        now: Time,
    ) -> Self {
        let limits = record.spec.limits;
        let mut engine = Self {
            key: record.key,
            id: record.id,
            spec: record.spec.clone(),
            epoch,
            progression: record.progression.clone(),
            counts,
            is_heard,
            slots: Slots::new(limits.max_per_host),
            begun: VecDeque::new(),
            fresh: VecDeque::new(),
            gather,
            cursor: Cursor::default(),
            is_fetching: false,
            is_queue_read: false,
            next_retry_at: None,
            retry_floor: Time::ZERO,
            claiming: vec![],
            ready: VecDeque::new(),
            open: HashMap::new(),
            watch: Watch::new(limits.max_in_flight, limits.max_per_host),
            pending: vec![],
            pending_progression: false,
            pending_since: None,
            events: vec![],
            committing_events: vec![],
            pending_retry_at: None,
            committing_retry_at: None,
            is_committing: false,
            unwritten: vec![],
            stop: None,
            has_store_failed: false,
            has_ended: false,
            pace: Pace::new(now),
            rate: RateMeter::default(),
            waiting_on: vec![],
        };
        let resumed = counts.queued != counts.total();
        let devices = counts.total();
        engine.tell(now, || Kind::RolloutStarted { devices, resumed });
        if engine.progression.state == rollout::State::Paused {
            // What made it stop is judged anew, by the limits of this run.
            engine.progression.state = rollout::State::Running;
            engine.progression.paused.clear();
            engine.pending_progression = true;
        }
        if engine.spec.canary == 0 && !engine.progression.has_canary_passed {
            // A run without canaries does not wait for those of an earlier one.
            engine.progression.has_canary_passed = true;
            engine.pending_progression = true;
        }
        engine.take_over(open, now);
        engine
    }

    fn take_over(&mut self, open: Vec<Candidate>, now: Time) {
        for mut candidate in open {
            if candidate.assignment.state == State::Delivering {
                self.change(&mut candidate, &assignment::Fact::Orphaned, now);
            }
            if candidate.assignment.state == State::Verifying {
                // A deadline set by a clock that was ahead is none.
                let latest = now + self.spec.verify.timeout;
                candidate.assignment.due_at = candidate.assignment.due_at.min(latest);
                self.watch.add(candidate, now);
            }
        }
    }

    /// Takes in what happened and says what to do.
    pub fn step(&mut self, now: Time, facts: impl IntoIterator<Item = Fact>) -> Vec<Command> {
        let mut commands = vec![];
        for fact in facts {
            self.take_in(now, fact, &mut commands);
        }
        if self.has_ended {
            return commands;
        }
        self.decide(now);
        self.dispatch(now, &mut commands);
        self.fetch(now, &mut commands);
        self.commit(now, &mut commands);
        self.rate.observe(now, self.counts.ended());
        self.end(now, &mut commands);
        commands
    }

    /// When the next step is due even if nothing happens, and what for.
    pub fn wake_at(&self) -> Option<(Time, &'static str)> {
        let is_going_on = !self.is_stopping();
        let may_commit = !self.is_committing && !self.has_store_failed;
        let flush = self.pending_since.filter(|_| may_commit).map(|at| at + self.gather);
        let drained = self.stop.map(|at| at + DRAIN_MAX);
        let asks = if is_going_on { self.watch.wake_at() } else { None };
        // A retry behind one that is not durable yet is read after that commit.
        let readable = |at: &Time| *at <= self.readable_until(*at);
        let retry = self.next_retry_at.filter(|at| self.may_fetch() && readable(at));
        [(flush, "flush"), (drained, "drain"), (asks, "verify"), (retry, "retry")]
            .into_iter()
            .filter_map(|(at, label)| Some((at?, label)))
            .min_by_key(|(at, _)| *at)
    }

    /// How far the rollout is; `sent_bytes` is the shell's to count.
    pub fn progress(&self, now: Time, sent_bytes: u64) -> Progress {
        let ended = self.counts.ended();
        let ended_per_sec = self.rate.per_sec(now, ended);
        let is_going_on = self.progression.state == rollout::State::Running;
        Progress {
            counts: self.counts,
            in_flight: self.open.len() as u32,
            sent_bytes,
            ended_per_sec,
            eta: if is_going_on { eta(self.counts.total() - ended, ended_per_sec) } else { None },
            waiting_on: self.waiting_on.clone(),
        }
    }

    /// Its devices, counted.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where it stands.
    pub const fn progression(&self) -> &Progression {
        &self.progression
    }

    fn take_in(&mut self, now: Time, fact: Fact, commands: &mut Vec<Command>) {
        match fact {
            Fact::Fetched(page) => {
                self.is_fetching = false;
                self.is_queue_read |= page.is_queue_read;
                self.cursor = page.cursor;
                self.next_retry_at = page.next_retry_at;
                for candidate in page.candidates {
                    match candidate.assignment.state {
                        State::Queued => self.fresh.push_back(candidate),
                        _ => self.begun.push_back(candidate),
                    }
                }
            }
            Fact::Committed => {
                self.is_committing = false;
                self.ready.extend(self.claiming.drain(..));
                let retry_at = self.committing_retry_at.take();
                self.next_retry_at = self.next_retry_at.into_iter().chain(retry_at).min();
                if !self.committing_events.is_empty() {
                    commands.push(Command::Tell(std::mem::take(&mut self.committing_events)));
                }
            }
            Fact::NotCommitted(batch) => self.store_failed(now, Some(batch)),
            Fact::NotFetched => self.store_failed(now, None),
            Fact::Delivered(id, outcome) => self.delivered(now, id, outcome),
            Fact::Returned(id) => self.returned(now, id),
            Fact::Asked(id, answer) => self.asked(now, id, answer),
            Fact::Stop => {
                if self.stop.is_none() {
                    self.stop = Some(now);
                }
            }
        }
    }

    fn delivered(&mut self, now: Time, id: AssignmentId, outcome: Outcome) {
        let Some(mut candidate) = self.open.remove(&id) else { return };
        self.slots.free(candidate.endpoint.address.origin());
        self.change(&mut candidate, &assignment::Fact::Delivered(outcome), now);
        if candidate.assignment.state == State::Verifying {
            self.watch.add(candidate, now);
        }
    }

    fn returned(&mut self, now: Time, id: AssignmentId) {
        let Some(mut candidate) = self.open.remove(&id) else { return };
        self.slots.free(candidate.endpoint.address.origin());
        self.change(&mut candidate, &assignment::Fact::Returned, now);
    }

    fn asked(&mut self, now: Time, id: AssignmentId, answer: Answer) {
        let Some(candidate) = self.watch.answered(id) else { return };
        let mut candidate = candidate.clone();
        self.change(&mut candidate, &assignment::Fact::Asked(answer), now);
        if candidate.assignment.state == State::Verifying {
            self.watch.again(id, now);
        } else {
            self.watch.remove(id);
        }
    }

    /// Applies a fact to an assignment, counts it, and puts what changed among what is pending.
    fn change(&mut self, candidate: &mut Candidate, fact: &assignment::Fact, now: Time) {
        let from = candidate.assignment;
        let dice = story::dice(candidate.id, from.attempt);
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
        if to.state == State::Retrying {
            to.due_at = to.due_at.max(self.retry_floor + Duration::from_millis(1));
            self.pending_retry_at = self.pending_retry_at.into_iter().chain([to.due_at]).min();
        }
        self.counts.shift(from.state, to.state);
        candidate.assignment = to;
        let detail = story::shorten(transition.detail);
        if self.is_heard {
            for kind in story::events(&candidate.endpoint.id, from, to, &detail) {
                self.tell(now, || kind);
            }
        }
        let detail = (!detail.is_empty()).then(|| detail.into_boxed_str());
        self.pending.push(Change { id: candidate.id, to, detail });
        self.pending_since.get_or_insert(now);
    }

    fn tell(&mut self, at: Time, kind: impl FnOnce() -> Kind) {
        if self.is_heard {
            self.events.push(Event { at, rollout: self.id, kind: kind() });
        }
    }

    /// Plans, carries out what concerns the rollout itself, and claims what may be claimed.
    fn decide(&mut self, now: Time) {
        loop {
            let snapshot = Snapshot {
                progression: self.progression.clone(),
                counts: self.counts,
                ahead_max: self.pace.ahead(),
                is_stopping: self.is_stopping(),
            };
            let plan = plan::plan(&snapshot, &self.spec);
            if let Some(change) = plan.change {
                self.progress_by(now, &change);
            } else {
                self.waiting_on.clone_from(&plan.waiting_on);
                if self.is_stopping() || self.progression.state != rollout::State::Running {
                    self.hand_back(now);
                } else {
                    self.claim(now, &plan);
                }
                return;
            }
        }
    }

    fn progress_by(&mut self, now: Time, change: &plan::Change) {
        self.pending_progression = true;
        self.pending_since.get_or_insert(now);
        let counts = self.counts;
        match *change {
            plan::Change::Pause { reason, evidence } => {
                self.progression.state = rollout::State::Paused;
                self.progression.paused.insert(reason);
                self.tell(now, || Kind::RolloutPaused { reason, evidence });
            }
            plan::Change::PassCanary => {
                self.progression.has_canary_passed = true;
                self.tell(now, || Kind::CanaryPassed);
            }
            plan::Change::Complete => {
                self.progression.state = rollout::State::Completed;
                self.progression.paused.clear();
                self.tell(now, || Kind::RolloutCompleted { counts });
            }
            plan::Change::Fail => {
                self.progression.state = rollout::State::Failed;
                self.progression.paused.clear();
                self.tell(now, || Kind::RolloutFailed { counts });
            }
        }
    }

    fn dispatch(&mut self, now: Time, commands: &mut Vec<Command>) {
        let mut begun = vec![];
        let mut sendings = vec![];
        while self.open.len() < self.spec.limits.max_in_flight as usize {
            let Some(candidate) = self.ready.pop_front() else { break };
            let attempt = candidate.assignment.attempt;
            if self.is_heard {
                let kind = Kind::AttemptStarted { device: candidate.endpoint.id.clone(), attempt };
                begun.push(Event { at: now, rollout: self.id, kind });
            }
            let host = candidate.endpoint.address.origin();
            let is_kept = self.spec.verify.mode != verify::Mode::None || self.slots.is_shared(host);
            self.open.insert(candidate.id, candidate.clone());
            let ask_first = self.spec.verify.first && attempt == 1;
            sendings.push(Command::Send(Sending { candidate, ask_first, is_kept }));
        }
        if !begun.is_empty() {
            commands.push(Command::Tell(begun));
        }
        let sent = sendings.len() as u32;
        commands.append(&mut sendings);
        self.pace.observe(now, sent);
        if !self.is_stopping() {
            commands.extend(self.watch.questions(now).into_iter().map(Command::Ask));
        }
    }

    /// Whether deliveries that have not sent anything yet may do so.
    pub fn may_send(&self) -> bool {
        !self.is_stopping() && self.progression.state == rollout::State::Running
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }
}
