//! One rollout on its way: what a driver knows of it, and what it does next.
//!
//! What it knows of the fleet are counts by cohort, the devices that are active, and a few
//! candidates; the rest is in the store. Every decision is the core's: [`core::plan`] says what
//! happens next and how many may go, [`core::admit`] which, and [`core::assignment::apply`] what
//! follows from an outcome. Type to read first: [`Course`].
//!
//! [`core::plan`]: groundswell_core::plan
//! [`core::admit`]: groundswell_core::admit
//! [`core::assignment::apply`]: groundswell_core::assignment::apply

mod back;
mod care;
mod change;
mod changed;
mod claim;
mod commit;
mod decide;
mod failures;
mod inquire;
mod join;
mod prepare;
mod slots;
mod sweep;
mod take_in;
mod view;

use std::collections::{BTreeMap, VecDeque};

use groundswell_core::{
    admit::{Rate, Slots},
    assignment::{self, Assignment, State},
    bites,
    event::{Event, Kind},
    gate::external::Notebook,
    ids::{AssignmentId, Epoch, RolloutId, RolloutName},
    log::{CohortCounts, DECISIONS, Recorder, Taken},
    plan::Sweep,
    progress::RateMeter,
    rollout::{self, Progression, Spec},
    snapshot::Counts,
    time::Time,
    waiting::WaitingOn,
};
use hashbrown::{HashMap, HashSet};

use self::{failures::Failures, slots::Slotting, sweep::SweepRead};
use super::{
    beside::counted,
    budgets::Freed,
    cohort::Cohort,
    fact::{Ending, Manner},
    pace::Pace,
    patrol::Patrol,
    shared::Shared,
    watch::Watch,
};
use crate::{
    clock::zone_database,
    store::{
        Batch, Candidate, Change, CohortKey, CohortName, CohortRecord, Cursor, DeviceKey, Heard,
        IntentSeq, RolloutKey, RolloutRecord,
    },
};

/// A rollout that is driven.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) key: RolloutKey,
    pub(super) id: RolloutId,
    pub(super) spec: Spec,
    pub(super) progression: Progression,
    pub(super) created_at: Time,
    epoch: Epoch,
    manner: Manner,
    /// Whether devices may have been sent what is not written down: they are asked first.
    is_restored: bool,

    cohorts: Vec<Cohort>,
    cohort_at: HashMap<CohortKey, usize>,
    /// Cohorts of the round before whose counts are not written yet.
    cohorts_before: Vec<(CohortKey, Counts)>,
    /// All of the round.
    counts: Counts,
    /// Rollouts of the same release name that are newer and were started.
    rivals: Vec<RolloutKey>,

    slots: Slots<Candidate>,
    /// Candidates that were begun before and are due; they go first.
    begun: VecDeque<Candidate>,
    /// Those that are due later.
    later: BTreeMap<(Time, AssignmentId), Candidate>,
    /// How far the devices that are away have been read.
    cursor: Cursor,
    is_fetching: bool,
    /// Those that it is being asked for what is known of them.
    refreshing: HashMap<AssignmentId, Candidate>,
    /// Candidates that are to be ended, while they are being read.
    sweep_read: Option<SweepRead>,
    /// Whether somebody was ended in a sweep and the store does not know yet: whoever reads the queue
    /// now is given them as if they still waited.
    is_sweep_unwritten: bool,
    /// Whether something else may be known by now of those that are being read.
    is_page_outdated: bool,
    /// Whether the clock was set back since they were asked for: the cursor went back with it.
    is_cursor_outdated: bool,
    next_away_at: Option<Time>,
    /// Nobody that is away may fall due before this: it was read up to here.
    away_floor: Time,
    rate: Option<Rate>,
    /// Devices that wait until another rollout is done with them, and which one.
    busy: BTreeMap<DeviceKey, RolloutKey>,
    /// Devices that another rollout was done with since, of a rollback, which leaves them alone if they
    /// run something else by now; and those that failed elsewhere, if they may be left out for that:
    /// what is known of them here may be older.
    had_elsewhere: HashSet<DeviceKey>,

    /// Claimed in the batch that is being committed, and where they stood before.
    claiming: Vec<(Assignment, Candidate)>,
    /// Claimed, durable, not sent.
    ready: VecDeque<Candidate>,
    open: HashMap<AssignmentId, Candidate>,
    watch: Watch,
    /// The devices of the wave that soaks.
    patrol: Patrol,
    /// Devices that are not active any more: as far as that waits for a commit, is in the one under
    /// way, or is durable since the last step. Only then another rollout may claim them.
    freed: Vec<Freed>,
    committing_freed: Vec<Freed>,
    durably_freed: Vec<Freed>,
    failures: Failures,
    /// Its way with failure domains.
    slotting: Slotting,
    preparation: prepare::Preparation,
    /// Which checks were asked, and what they answered.
    checks: Notebook,
    back: back::Back,
    /// Devices that were written since.
    changes: changed::Changes,
    /// Devices that join, and are not written down yet.
    joiners: Vec<(CohortName, DeviceKey, State)>,
    /// Whether the store is assigning devices: no counts may be written meanwhile.
    is_joining: bool,
    sweep: Option<Sweep>,
    /// Whether what is open is to be stopped.
    is_halting: bool,
    readiness: Readiness,

    /// What was met when an answer was lost, for the reason of a failure that follows.
    doubts: HashMap<AssignmentId, Box<str>>,
    pending: Vec<Change>,
    heard: Vec<Heard>,
    /// Devices that were heard of since this was last asked.
    heard_of: Vec<DeviceKey>,
    answers: Vec<(IntentSeq, crate::store::Answer)>,
    /// Acts that are acknowledged once every claim that nothing was sent for is handed back.
    unacknowledged: Vec<IntentSeq>,
    /// What is written down of it with the next commit.
    pub(super) log: Recorder,
    pending_progression: bool,
    pending_since: Option<Time>,
    events: Vec<Event>,
    committing_events: Vec<Event>,
    /// The soonest time at which somebody who is away is due, among what waits for a commit.
    pending_away_at: Option<Time>,
    /// Who they are, for those who are to be ended.
    pending_away: Vec<(CohortKey, AssignmentId)>,
    /// The soonest time in the batch that is being committed.
    committing_away_at: Option<Time>,
    /// Devices that were away and changed, in what waits for a commit and in the one under way: what
    /// is read of them before that is written is not so any more.
    pending_missing: HashSet<AssignmentId>,
    committing_missing: HashSet<AssignmentId>,
    /// Devices that are away and in memory: in a queue, or parked on a host or a device.
    missing_here: HashSet<AssignmentId>,
    is_committing: bool,
    unwritten: Vec<Batch>,

    stop: Option<Time>,
    has_store_failed: bool,
    pub(super) ending: Option<Ending>,
    pace: Pace,
    meter: RateMeter,
    waiting_on: Vec<WaitingOn>,
    /// What of it was last written down for those who only look, and when.
    told: (Time, Vec<WaitingOn>),
    wake_at: Option<Time>,
    /// When it was last decided what happens next.
    decided_at: Time,
    places: u32,
    /// Claims that were allowed and not made when this was last decided.
    unclaimed: u32,
    /// Whether more would have been claimed then, had there not been enough.
    is_put_off: bool,
    /// Whether it is its turn to choose and write down its devices: one at a time, because a choice
    /// is held in memory.
    pub(super) may_prepare: bool,
    /// Whether anything happened since the last step.
    pub(super) is_dirty: bool,
    /// Deliveries that may be open, as far as the driver has places.
    open_max: u32,
    /// Whether other rollouts would take what it leaves.
    is_contested: bool,
}

/// Whether its artifact can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Nobody has asked.
    Closed,
    /// It is being looked at.
    Opening,
    /// It can.
    Open,
    /// It cannot; an operator has to look.
    Failed,
}

impl Course {
    /// Takes over a rollout: `cohorts` are its devices, `active` those an earlier driver left
    /// delivering, verifying or to be tried again.
    pub(super) fn new(
        record: &RolloutRecord,
        cohorts: Vec<CohortRecord>,
        active: Vec<Candidate>,
        epoch: Epoch,
        manner: Manner,
        now: Time,
    ) -> Self {
        let limits = record.spec.limits;
        let told = record.told.as_ref().map(|told| told.waiting_on.clone()).unwrap_or_default();
        let mut course = Self {
            key: record.key,
            id: record.id,
            spec: record.spec.clone(),
            progression: record.progression.clone(),
            created_at: record.created_at,
            is_restored: record.is_restored,
            epoch,
            manner,
            cohorts: vec![],
            cohort_at: HashMap::new(),
            cohorts_before: vec![],
            counts: Counts::default(),
            rivals: vec![],
            slots: Slots::new(limits.max_per_host),
            begun: VecDeque::new(),
            later: BTreeMap::new(),
            cursor: Cursor::default(),
            is_fetching: false,
            refreshing: HashMap::new(),
            sweep_read: None,
            is_sweep_unwritten: false,
            is_page_outdated: false,
            is_cursor_outdated: false,
            next_away_at: None,
            away_floor: Time::ZERO,
            rate: limits.per_minute.map(|per_minute| Rate::new(per_minute, now)),
            busy: BTreeMap::new(),
            had_elsewhere: HashSet::new(),
            claiming: vec![],
            ready: VecDeque::new(),
            open: HashMap::new(),
            watch: Watch::new(limits.max_in_flight, limits.max_per_host),
            patrol: Patrol::new(limits.max_in_flight, limits.max_per_host),
            freed: vec![],
            committing_freed: vec![],
            durably_freed: vec![],
            failures: Failures::default(),
            slotting: Slotting::default(),
            preparation: prepare::Preparation::default(),
            checks: Notebook::default(),
            back: back::Back::default(),
            changes: changed::Changes::new(manner.look_every.is_none()),
            joiners: vec![],
            is_joining: false,
            sweep: None,
            is_halting: false,
            readiness: Readiness::Closed,
            doubts: HashMap::new(),
            pending: vec![],
            heard: vec![],
            heard_of: vec![],
            answers: vec![],
            unacknowledged: vec![],
            log: Recorder::default(),
            pending_progression: false,
            pending_since: None,
            events: vec![],
            committing_events: vec![],
            pending_away_at: None,
            pending_away: vec![],
            committing_away_at: None,
            pending_missing: HashSet::new(),
            committing_missing: HashSet::new(),
            missing_here: HashSet::new(),
            is_committing: false,
            unwritten: vec![],
            stop: None,
            has_store_failed: false,
            ending: None,
            pace: Pace::new(now),
            meter: RateMeter::default(),
            waiting_on: vec![],
            told: (Time::ZERO, told),
            wake_at: None,
            decided_at: Time::ZERO,
            places: u32::MAX,
            unclaimed: 0,
            is_put_off: false,
            may_prepare: true,
            is_dirty: true,
            open_max: u32::MAX,
            is_contested: false,
        };
        course.begin(cohorts, active, now);
        course
    }

    /// Begins where an earlier driver, or nobody, left it.
    fn begin(&mut self, cohorts: Vec<CohortRecord>, active: Vec<Candidate>, now: Time) {
        self.set_cohorts(cohorts);
        if bites!(UnverifiedForgotten) && !active.is_empty() {
            self.spec.limits.max_unverified = u32::MAX;
        }
        self.log.at(now);
        self.log.taken(Taken {
            epoch: self.epoch,
            decisions: DECISIONS,
            zones: zone_database().to_owned(),
            cohorts: self.cohort_counts(),
        });
        self.resume_preparation();
        let state = self.progression.state;
        if state.is_driven() && state != rollout::State::Preparing {
            let devices = self.counts.total();
            let resumed = self.counts.queued != devices;
            self.tell(now, || Kind::RolloutStarted { devices, resumed });
        }
        self.take_over(active, now);
    }

    fn set_cohorts(&mut self, cohorts: Vec<CohortRecord>) {
        // Whoever is away may be due already.
        let away: u64 = cohorts.iter().map(|c| c.counts.away + c.counts.absent).sum();
        self.next_away_at = (away > 0).then_some(Time::ZERO);
        self.counts = cohorts.iter().map(|cohort| cohort.counts).sum();
        self.cohort_at = cohorts.iter().enumerate().map(|(at, cohort)| (cohort.key, at)).collect();
        self.cohorts = cohorts.into_iter().map(Cohort::new).collect();
    }

    /// Its devices, counted, as the log has them.
    fn cohort_counts(&self) -> Vec<CohortCounts> {
        self.cohorts.iter().map(|cohort| counted(&cohort.record)).collect()
    }

    fn take_over(&mut self, active: Vec<Candidate>, now: Time) {
        for mut candidate in active {
            if candidate.assignment.state == State::Delivering {
                self.change(&mut candidate, &assignment::Fact::Orphaned, now);
            }
            match candidate.assignment.state {
                State::Verifying => {
                    candidate.assignment = candidate.assignment.taken_over(&self.spec, now);
                    self.watch.add(candidate, now);
                }
                State::Retrying => {
                    if bites!(BackoffReset) {
                        candidate.assignment.due_at = now;
                    }
                    self.try_later(candidate, now);
                }
                _ => {}
            }
        }
    }

    /// As people know it.
    pub(super) fn name(&self) -> RolloutName {
        RolloutName::of(self.id, self.key.0, &self.spec.release)
    }

    /// Devices that are active, for whoever keeps a device from being active twice.
    pub(super) fn active_devices(&self) -> Vec<DeviceKey> {
        let later = self.later.values().chain(&self.begun);
        later.map(|candidate| candidate.device).chain(self.watch.devices()).collect()
    }

    /// Keeps one that is to be tried again until it is due; no longer than the longest wait, which
    /// a clock that was ahead may have made it.
    fn try_later(&mut self, candidate: Candidate, now: Time) {
        let latest = now + self.spec.retry.longest_wait();
        let due_at = candidate.assignment.due_at.min(latest);
        self.later.insert((due_at, candidate.id), candidate);
    }

    fn tell(&mut self, at: Time, kind: impl FnOnce() -> Kind) {
        if self.manner.is_heard {
            self.events.push(Event { at, rollout: self.id, kind: kind() });
        }
    }

    /// Rollouts that supersede this one, even after they have ended; candidates in memory are
    /// judged by the new list, too.
    pub(super) fn add_rivals(&mut self, rivals: Vec<RolloutKey>, shared: &mut Shared) {
        let new: Vec<_> = rivals.into_iter().filter(|key| !self.rivals.contains(key)).collect();
        if !new.is_empty() {
            self.rivals.extend(new);
            self.take_back_busy(shared);
            self.forget_fresh();
        }
    }

    /// Another rollout is done with a device, and that is durable.
    pub(super) fn note_had_elsewhere(&mut self, device: DeviceKey) {
        if self.spec.rolls_back.is_some() {
            self.had_elsewhere.insert(device);
        }
    }

    /// A device failed another rollout, and that is durable.
    pub(super) fn note_failed_elsewhere(&mut self, device: DeviceKey) {
        if self.spec.quarantine_after.is_some() {
            self.had_elsewhere.insert(device);
        }
    }

    /// Devices that durably failed since this was last asked.
    pub(super) fn take_failed(&mut self) -> Vec<DeviceKey> {
        self.failures.take()
    }

    /// Those that wait for a device that is busy wait for it no more.
    pub(super) fn take_back_busy(&mut self, shared: &mut Shared) {
        for candidate in shared.withdraw(self.key) {
            self.woken(candidate);
        }
    }

    /// Devices that were heard of since this was last asked.
    pub(super) fn take_heard(&mut self) -> Vec<DeviceKey> {
        std::mem::take(&mut self.heard_of)
    }

    /// Devices that are durably not active any more since this was last asked.
    pub(super) fn take_freed(&mut self) -> Vec<Freed> {
        if bites!(FreedTooEarly) {
            self.durably_freed.append(&mut self.committing_freed);
        }
        std::mem::take(&mut self.durably_freed)
    }

    /// Has it looked up anew what is known of candidates that were not begun.
    fn forget_fresh(&mut self) {
        self.is_page_outdated = self.is_fetching;
        let mut parked = self.slots.drain();
        parked.sort_unstable_by_key(|candidate| candidate.id);
        for candidate in parked {
            match candidate.assignment.state {
                State::Retrying => self.begun.push_back(candidate),
                _ => self.keep_fresh(candidate),
            }
        }
        self.cohorts.iter_mut().for_each(Cohort::expire);
    }

    /// Whether anything is asked about a device before it is claimed.
    pub(super) fn asks_what_is_known(&self) -> bool {
        self.spec.asks_what_is_known() || !self.rivals.is_empty() || !self.slotting.pers.is_empty()
    }

    fn keep_stale(&mut self, candidate: Candidate) {
        if !self.asks_what_is_known() {
            return self.keep_fresh(candidate);
        }
        if let Some(at) = self.place_of(&candidate) {
            self.cohorts[at].stale.push_front(candidate);
        }
    }

    fn keep_fresh(&mut self, candidate: Candidate) {
        if let Some(at) = self.place_of(&candidate) {
            self.cohorts[at].fresh.push_front(candidate);
        }
    }

    /// Whether deliveries that have not sent anything yet may do so.
    pub(super) fn may_send(&self) -> bool {
        if bites!(SentAfterPause) && self.progression.state == rollout::State::Paused {
            return true;
        }
        !self.is_stopping() && self.progression.state == rollout::State::Running
    }

    /// Whether devices may be asked for their version.
    fn may_ask(&self) -> bool {
        self.readiness == Readiness::Open
            && !self.is_stopping()
            && self.progression.state != rollout::State::Aborting
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }
}
