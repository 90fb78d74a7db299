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
    admit::{Admission, Slots},
    assignment::{self, Assignment, State},
    event::{Event, Kind},
    ids::{AssignmentId, Epoch, RolloutId},
    outcome::{Answer, Outcome},
    plan::{self, Plan, WaitingOn},
    progress::{Progress, RateMeter, eta},
    rollout::{self, Progression, Spec},
    snapshot::{Counts, Snapshot},
    time::Time,
    verify,
};
use hashbrown::HashMap;

use super::{
    pace::Pace,
    watch::{Question, Watch},
};
use crate::store::{
    Batch, Candidate, Change, Cursor, DETAIL_BYTES_MAX, Page, RolloutKey, RolloutRecord,
};

/// Results wait at most this long for company in a commit: a few commits' time, so that a busy
/// run writes hundreds at once and a quiet one loses next to nothing.
pub const GATHER: Duration = Duration::from_millis(4);

/// Results that are enough company.
const GATHER_CHANGES_MAX: usize = 1_000;

/// Candidates that may wait for a host in memory; beyond this no more are read, and the run goes
/// on at the pace of those hosts.
const PARKED_MAX: usize = 50_000;

/// How long open deliveries may take to end after the run was told to stop.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What the engine is told.
#[derive(Debug)]
pub enum Fact {
    /// The candidates that were asked for.
    Fetched(Page),
    /// The batch given last is durable.
    Committed,
    /// The batch given last is not durable, and none will be: the disk is full or failing.
    NotCommitted(Batch),
    /// Candidates cannot be read.
    NotFetched,
    /// A delivery ended.
    Delivered(AssignmentId, Outcome),
    /// A question was answered, or not.
    Asked(AssignmentId, Answer),
    /// The operator wants the run to stop.
    Stop,
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Command {
    /// Read candidates.
    Fetch {
        /// From where on.
        cursor: Cursor,
        /// How many at the most.
        limit: usize,
        /// Of these, how many that were not begun before.
        fresh_limit: usize,
    },
    /// Make this durable.
    Commit(Batch),
    /// Deliver to this device.
    Send(Sending),
    /// Ask this device for its version.
    Ask(Question),
    /// Tell whoever listens.
    Tell(Vec<Event>),
    /// Put these where a full disk cannot keep them out.
    Keep(Vec<Batch>),
    /// Nothing is left to do.
    End(Ending),
}

/// One delivery to be made.
#[derive(Debug)]
pub struct Sending {
    /// To whom.
    pub candidate: Candidate,
    /// Whether to ask for the version first, and not to send if it is the release's.
    pub ask_first: bool,
    /// Whether the connection will be needed again soon.
    pub is_kept: bool,
}

/// How a run is driven.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether somebody listens, so that events need to be made at all.
    pub is_heard: bool,
    /// How long results wait for company in a commit: [`GATHER`], or nothing where the clock
    /// stands still.
    pub gather: Duration,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every device ended.
    Ended,
    /// The rollout stopped itself.
    Paused,
    /// It was told to stop.
    Interrupted,
    /// The state could no longer be written.
    StoreFailed,
}

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
    /// Canaries among those that wait for their host.
    canaries_parked: u32,
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
            canaries_parked: 0,
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
        let retry = if self.may_fetch() { self.next_retry_at } else { None };
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
        let dice = dice(candidate.id, from.attempt);
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
        }
        self.counts.shift(from.state, to.state);
        candidate.assignment = to;
        let detail = shorten(transition.detail);
        self.tell_change(now, candidate, from, to, &detail);
        let detail = (!detail.is_empty()).then(|| detail.into_boxed_str());
        self.pending.push(Change { id: candidate.id, to, detail });
        self.pending_since.get_or_insert(now);
    }

    fn tell_change(
        &mut self,
        now: Time,
        candidate: &Candidate,
        from: Assignment,
        to: Assignment,
        detail: &str,
    ) {
        if !self.is_heard {
            return;
        }
        let device = || candidate.endpoint.id.clone();
        let attempt = from.attempt;
        match to.state {
            State::Queued | State::Delivering | State::Canceled => {}
            State::Verifying if to.in_doubt => self.tell(now, || Kind::AttemptUnanswered {
                device: device(),
                attempt,
                detail: detail.to_owned(),
            }),
            State::Verifying => {
                self.tell(now, || Kind::AttemptAccepted { device: device(), attempt });
            }
            State::Succeeded | State::Skipped(_) => {
                let state = to.state;
                self.tell(now, || Kind::AttemptSucceeded { device: device(), attempt, state });
            }
            State::Retrying | State::Failed(_) | State::TimedOut(_) => {
                self.tell(now, || Kind::AttemptFailed {
                    device: device(),
                    attempt,
                    state: to.state,
                    detail: detail.to_owned(),
                });
                if to.state == State::Retrying {
                    self.tell(now, || Kind::WillRetry {
                        device: device(),
                        attempt: to.attempt + 1,
                        due_at: to.due_at,
                    });
                }
            }
        }
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
            match plan.change {
                Some(change) => self.progress_by(now, change),
                None => {
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
    }

    fn progress_by(&mut self, now: Time, change: plan::Change) {
        self.pending_progression = true;
        self.pending_since.get_or_insert(now);
        let counts = self.counts;
        match change {
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

    /// Claims for the next commit, when sending is about to run out of claims.
    fn claim(&mut self, now: Time, plan: &Plan) {
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
    fn hand_back(&mut self, now: Time) {
        for mut candidate in std::mem::take(&mut self.ready) {
            self.slots.free(candidate.endpoint.address.origin());
            self.change(&mut candidate, &assignment::Fact::Returned, now);
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

    fn fetch(&mut self, now: Time, commands: &mut Vec<Command>) {
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

    fn may_fetch(&self) -> bool {
        !self.is_fetching
            && !self.is_stopping()
            && self.progression.state == rollout::State::Running
            && self.begun.len() <= self.pace.ahead() as usize
            && self.slots.parked() < PARKED_MAX
    }

    /// Commits when there are claims, when results waited long enough or are many.
    fn commit(&mut self, now: Time, commands: &mut Vec<Command>) {
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
        let batch = self.batch(now);
        self.committing_retry_at = batch
            .changes
            .iter()
            .filter(|change| change.to.state == State::Retrying)
            .map(|change| change.to.due_at)
            .min();
        commands.push(Command::Commit(batch));
    }

    fn batch(&mut self, now: Time) -> Batch {
        self.pending_since = None;
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
    fn store_failed(&mut self, now: Time, batch: Option<Batch>) {
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

    fn end(&mut self, now: Time, commands: &mut Vec<Command>) {
        let is_drained = self.stop.is_some_and(|at| now.since(at) >= DRAIN_MAX);
        if !self.open.is_empty() && !is_drained {
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
        if self.is_committing || !self.pending.is_empty() || self.pending_progression {
            return;
        }
        let ending = match self.progression.state {
            rollout::State::Completed | rollout::State::Failed => Ending::Ended,
            rollout::State::Canceled => Ending::Ended,
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

    fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }
}

/// A number for the jitter of a retry: the same whenever the same step is run again.
fn dice(id: AssignmentId, attempt: u32) -> u32 {
    // The finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
    let mut mixed =
        (id.0 as u64).wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
}

fn shorten(mut detail: String) -> String {
    if detail.len() > DETAIL_BYTES_MAX {
        let mut end = DETAIL_BYTES_MAX;
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
    }
    detail
}
