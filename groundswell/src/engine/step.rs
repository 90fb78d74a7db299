//! The step: facts in, commands out, nothing touched.
//!
//! Owns the order of everything: which rollouts are driven, who goes first, what they share. What
//! happens within one is its `Course`'s. Its time is what the facts and the clock make of it: a
//! rollout that waits costs nothing but being asked when it is due.

mod news;
mod outset;
mod view;

use std::{collections::BTreeMap, time::Duration};

use groundswell_core::{ids::Epoch, rollout::Progression, time::Time};

pub use self::news::PUSH_ACTS;
pub use super::fact::{
    Command, Ending, Examination, Fact, Inquiry, Manner, Opening, Sending, Wake,
};
use super::{course::Course, places::Places, shared::Shared};
use crate::store::{
    Candidate, ChangeSeq, CohortRecord, Intent, IntentSeq, RolloutKey, RolloutRecord,
    writer::{Done, Job},
};

/// Results wait at most this long for company in a commit: a few commits' time, so that a busy
/// run writes hundreds at once and a quiet one loses next to nothing.
pub const GATHER: Duration = Duration::from_millis(5);

/// How often it is looked what others want of a driver: within this an act is taken up.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long open deliveries may take to end after the run was told to stop.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

/// A clock that goes back by less is only uneven.
const SET_BACK_MIN: Duration = Duration::from_secs(1);

/// A rollout as a driver takes it over.
#[derive(Debug)]
pub struct Taken {
    /// The rollout.
    pub record: RolloutRecord,
    /// Its devices, counted.
    pub cohorts: Vec<CohortRecord>,
    /// Those an earlier driver left active.
    pub active: Vec<Candidate>,
    /// Newer rollouts of the same release name that were started.
    pub rivals: Vec<RolloutKey>,
}

/// A run of all rollouts of a state directory, or of one.
#[derive(Debug)]
pub struct Engine {
    epoch: Epoch,
    manner: Manner,
    courses: BTreeMap<RolloutKey, Course>,
    shared: Shared,
    /// What is to be done to rollouts that are being read.
    wanted: BTreeMap<RolloutKey, Vec<(IntentSeq, Intent)>>,
    /// Intents that were taken up and are not answered yet.
    taken_up: std::collections::BTreeSet<IntentSeq>,
    looked: Look,
    stop: bool,
    ended: Option<Ending>,
    has_ended: bool,
    last_now: Time,
}

/// How far it was looked what others want.
#[derive(Debug)]
struct Look {
    due_at: Time,
    is_looking: bool,
    /// What is written by others that was seen last; none to look in any case.
    version: Option<i64>,
    /// Up to which change it is known what devices were written, and whether these are all.
    read_to: ChangeSeq,
    is_all_read: bool,
    /// Up to where what was written is forgotten, once all that follows from it is durable.
    forgotten_to: ChangeSeq,
    is_forgetting: bool,
}

impl Engine {
    /// Takes over rollouts.
    pub fn new(taken: Vec<Taken>, epoch: Epoch, manner: Manner, now: Time) -> Self {
        let mut engine = Self {
            epoch,
            manner,
            courses: BTreeMap::new(),
            shared: Shared::default(),
            wanted: BTreeMap::new(),
            taken_up: std::collections::BTreeSet::new(),
            looked: Look {
                due_at: now,
                is_looking: false,
                version: None,
                read_to: ChangeSeq::default(),
                is_all_read: manner.look_every.is_none(),
                forgotten_to: ChangeSeq::default(),
                is_forgetting: false,
            },
            stop: false,
            ended: None,
            has_ended: false,
            last_now: now,
        };
        for Taken { record, cohorts, active, rivals } in taken {
            let mut course = Course::new(&record, cohorts, active, epoch, manner, now);
            course.add_rivals(rivals, &mut engine.shared);
            engine.add(course);
        }
        engine.settle_rivals();
        engine
    }

    fn add(&mut self, mut course: Course) {
        course.devices_written(std::iter::empty(), self.looked.is_all_read);
        self.shared.names.insert(course.key, course.name());
        for device in course.active_devices() {
            self.shared.hold(device, course.key);
        }
        if self.shared.budgets.add(&course.spec.budgets) {
            let pers = self.shared.budgets.pers();
            for other in self.courses.values_mut() {
                other.ask_domains(&pers);
            }
        }
        course.ask_domains(&self.shared.budgets.pers());
        self.courses.insert(course.key, course);
    }

    /// Newer rollouts of the same release name that were started supersede older ones, and a rollback
    /// the one alone that it rolls back, in the round that it does: what it brings back is older than
    /// what others wait to send, and who tries again wants the devices that went back.
    fn settle_rivals(&mut self) {
        let has_started = |course: &&Course| course.progression.started_at.is_some();
        let started = self.courses.values().filter(has_started).map(|course| {
            let of = course.spec.rolls_back.as_ref();
            let of = of.map(|of| (of.number, course.created_at));
            (course.key, course.spec.release.name.clone(), of)
        });
        let started: Vec<_> = started.collect();
        for course in self.courses.values_mut() {
            let name = &course.spec.release.name;
            let newer = started.iter().filter(|(key, of, rolls_back)| {
                let takes_over = rolls_back.is_none_or(|(number, at)| {
                    let Progression { state, started_at, .. } = course.progression;
                    number == course.key.0
                        && !state.is_ended()
                        && started_at.is_some_and(|began| at >= began)
                });
                *key > course.key && of == name && takes_over
            });
            course.is_dirty = true;
            course.add_rivals(newer.map(|(key, ..)| *key).collect(), &mut self.shared);
        }
    }

    /// Takes in what happened and says what to do.
    pub fn step(&mut self, now: Time, facts: impl IntoIterator<Item = Fact>) -> Vec<Command> {
        let mut commands = vec![];
        if now + SET_BACK_MIN < self.last_now {
            for course in self.courses.values_mut() {
                course.is_dirty = true;
                course.clock_set_back(self.last_now, now);
            }
            self.looked.due_at = now;
            self.shared.budgets.clock_set_back(now);
        }
        self.last_now = now;
        for fact in facts {
            self.take_in(now, fact, &mut commands);
        }
        if self.has_ended {
            return commands;
        }
        self.step_courses(now, &mut commands);
        self.look(now, &mut commands);
        self.end(&mut commands);
        commands
    }

    /// Lets every rollout take its step: those of a higher priority first, then the older ones.
    fn step_courses(&mut self, now: Time, commands: &mut Vec<Command>) {
        let mut order: Vec<(i64, RolloutKey)> = self.courses.values().map(Course::rank).collect();
        order.sort_unstable();
        let started = self.started();
        self.take_turns(now);
        for (_, key) in &order {
            self.hand_on(*key);
            self.ask_who_waits(*key, commands);
        }
        self.hand_out_slots();
        let claimants = self.courses.values().map(Course::claimant);
        let mut places = Places::new(self.manner.in_flight_max, claimants);
        for (_, key) in &order {
            let Some(course) = self.courses.get_mut(key) else { continue };
            course.give_places(places.begin_turn(&course.claimant()));
            if course.is_due(now) {
                course.step(now, &mut self.shared, commands);
            }
            places.end_turn(&course.claimant());
        }
        self.close();
        if self.started() != started {
            self.settle_rivals();
        }
        let counts_down = self.courses.values().any(Course::counts_down);
        self.shared.budgets.count_down(counts_down);
        if !self.stop
            && let Some(want) = self.shared.budgets.ask(now)
        {
            commands.push(Command::Store(Job::Slots(want)));
        }
    }

    /// Gives slots that are free to who has waited for them for the longest time.
    fn hand_out_slots(&mut self) {
        let frees = self.shared.budgets.frees();
        for course in self.courses.values_mut() {
            // Some of those who were left in the store may go now.
            course.is_dirty |= course.may_lap(frees);
        }
        while let Some((key, mut candidate)) = self.shared.budgets.next_woken() {
            candidate.has_slots = true;
            match self.courses.get_mut(&key).filter(|course| course.ending.is_none()) {
                Some(course) => {
                    course.is_dirty = true;
                    course.slotted(candidate);
                }
                None => self.shared.hand_back(&mut candidate),
            }
        }
    }

    fn started(&self) -> Vec<RolloutKey> {
        let started = self.courses.values().filter(|c| c.progression.started_at.is_some());
        started.map(|course| course.key).collect()
    }

    /// Hands devices that a rollout is durably done with to those who wait for them.
    fn hand_on(&mut self, key: RolloutKey) {
        for device in self.courses.get_mut(&key).map(Course::take_failed).unwrap_or_default() {
            let others = self.courses.values_mut().filter(|course| course.key != key);
            others.for_each(|course| course.note_failed_elsewhere(device));
        }
        let freed = self.courses.get_mut(&key).map(Course::take_freed).unwrap_or_default();
        for freed in freed {
            let mut waiting = vec![];
            if freed.was_claimed {
                waiting = self.shared.free(freed.device);
                let others = self.courses.values_mut().filter(|course| course.key != key);
                others.for_each(|course| course.note_had_elsewhere(freed.device));
            }
            self.shared.settle(&freed);
            for (rollout, candidate) in waiting {
                self.with(rollout, |course| course.woken(candidate));
            }
        }
    }

    /// One rollout after the other chooses its devices.
    fn take_turns(&mut self, now: Time) {
        let preparing = self.courses.values().filter(|course| course.is_preparing(now));
        let first = preparing.min_by_key(|course| course.rank()).map(|course| course.key);
        for course in self.courses.values_mut() {
            let may_prepare = first.is_none_or(|first| first == course.key);
            course.is_dirty |= may_prepare && !course.may_prepare;
            course.may_prepare = may_prepare;
        }
    }

    /// Devices that one rollout has heard of may be what another waits for.
    fn ask_who_waits(&mut self, key: RolloutKey, commands: &mut Vec<Command>) {
        let Some(course) = self.courses.get_mut(&key) else { return };
        let heard = course.take_heard();
        if heard.is_empty() {
            return;
        }
        let others = self.courses.values().filter(|course| course.key != key);
        let waiting: u64 = others.map(|course| course.counts().away + course.counts().absent).sum();
        if waiting > 0 {
            let asked = heard.into_iter().map(|device| Job::Waiting(news::OWN, device));
            commands.extend(asked.map(Command::Store));
        }
    }

    /// Lets go of rollouts that are done with.
    fn close(&mut self) {
        let done: Vec<RolloutKey> = self
            .courses
            .values()
            .filter(|course| course.ending.is_some())
            .map(|course| course.key)
            .collect();
        for key in done {
            drop(self.shared.withdraw(key));
            drop(self.shared.budgets.withdraw(key));
            if let Some(course) = self.courses.get_mut(&key) {
                course.lay_down_slots(&mut self.shared);
            }
            self.hand_on(key);
            let ending = self.courses.get(&key).and_then(|course| course.ending);
            if self.manner.look_every.is_some() && ending == Some(Ending::Ended) {
                self.courses.remove(&key);
                self.shared.names.remove(&key);
            }
            self.ended = match (self.ended, ending) {
                (Some(Ending::StoreFailed), _) => Some(Ending::StoreFailed),
                (_, ending) => ending,
            };
        }
    }

    fn take_in(&mut self, now: Time, fact: Fact, commands: &mut Vec<Command>) {
        match fact {
            Fact::Store(done) => self.store_did(now, done, commands),
            Fact::Chosen(key, division) => {
                self.with(key, |course| course.chosen(now, division));
            }
            Fact::LookedBack(key, found) => {
                self.with(key, |course| course.looked_back(now, found));
            }
            Fact::Opened(key) => self.with(key, Course::opened),
            Fact::Unsendable(key, why) => self.with(key, |course| course.unsendable(now, why)),
            Fact::Delivered(key, id, outcome) => {
                self.with(key, |course| course.delivered(now, id, outcome));
            }
            Fact::Returned(key, id) => self.with(key, |course| course.returned(now, id)),
            Fact::Asked(key, id, answer) => self.with(key, |course| course.asked(now, id, answer)),
            Fact::Examined(key, id, said) => self.with(key, |course| course.examined(id, said)),
            Fact::Checked(key, ticket, answer) => {
                self.with(key, |course| course.checked(now, ticket, answer));
            }
            Fact::Stop => {
                self.stop = true;
                for course in self.courses.values_mut() {
                    course.is_dirty = true;
                    course.stop(now);
                }
            }
        }
    }

    fn with(&mut self, key: RolloutKey, act: impl FnOnce(&mut Course)) {
        if let Some(course) = self.courses.get_mut(&key) {
            course.is_dirty = true;
            course.log.at(self.last_now);
            act(course);
        }
    }

    fn store_did(&mut self, now: Time, done: Done, commands: &mut Vec<Command>) {
        match done {
            Done::Fetched(key, Ok(page)) => self.with(key, |course| course.fetched(now, page)),
            Done::Committed(batch, Ok(())) => {
                for (seq, _) in &batch.answers {
                    self.taken_up.remove(seq);
                }
                if batch.rollback.is_some() {
                    commands.push(Command::Store(Job::Rollbacks(batch.rollout)));
                }
                let Some(course) = self.courses.get_mut(&batch.rollout) else { return };
                course.is_dirty = true;
                let events = course.committed();
                if !events.is_empty() {
                    commands.push(Command::Tell(events));
                }
            }
            Done::Committed(batch, Err(_)) => {
                let key = batch.rollout;
                self.with(key, |course| course.store_failed(now, Some(batch)));
                self.store_failed(now);
            }
            Done::Assigned(key, Ok(added)) => self.with(key, |course| course.assigned(now, added)),
            Done::Discarded(key, Ok(is_done)) => {
                self.with(key, |course| course.discarded(now, is_done));
            }
            Done::RoundOpened(key, Ok(next)) => self.with(key, |course| course.round_opened(next)),
            Done::Read(key, Ok(found)) => self.read(now, key, found, commands),
            Done::Rollbacks(Ok(all)) => self.take_over(now, all),
            Done::Looked(Ok(looked)) => {
                self.looked.is_looking = false;
                if let Some(looked) = looked {
                    self.take_up(now, looked, commands);
                }
            }
            Done::Waiting(seq, Ok(waiting)) => self.contacted(now, seq, waiting, commands),
            Done::Reviewed(key, Ok(reviewed)) => self.with(key, |course| course.reviewed(reviewed)),
            Done::Forgotten(Ok(())) => self.looked.is_forgetting = false,
            Done::Answered(seq, Ok(())) => {
                self.taken_up.remove(&seq);
            }
            Done::Slots(Ok(read)) => {
                self.shared.told_slots(read);
                self.courses.values_mut().for_each(|course| course.is_dirty = true);
            }
            Done::Patients(key, Ok(read)) => self.with(key, |course| course.patients_read(read)),
            Done::HasFailed(device, Ok(failed)) => {
                // What was found of it and is not written was not there to be read.
                let is_finding = |course: &Course| course.is_settling(device, &self.shared.budgets);
                if failed.is_some() || !self.courses.values().any(is_finding) {
                    self.shared.budgets.stands(device, failed);
                }
            }
            Done::Fetched(_, Err(_))
            | Done::Assigned(_, Err(_))
            | Done::Discarded(_, Err(_))
            | Done::RoundOpened(_, Err(_))
            | Done::Read(_, Err(_))
            | Done::Rollbacks(Err(_))
            | Done::Looked(Err(_))
            | Done::Waiting(_, Err(_))
            | Done::Answered(_, Err(_))
            | Done::Slots(Err(_))
            | Done::HasFailed(_, Err(_))
            | Done::Patients(_, Err(_))
            | Done::Reviewed(_, Err(_))
            | Done::Forgotten(Err(_)) => self.store_failed(now),
        }
    }

    fn has_store_failed(&self) -> bool {
        self.ended == Some(Ending::StoreFailed)
    }

    /// Nothing can be written any more: every rollout stops, and keeps what is not durable.
    fn store_failed(&mut self, now: Time) {
        self.stop = true;
        // Also where there is no rollout that could say so.
        self.ended = Some(Ending::StoreFailed);
        self.looked.is_looking = false;
        for course in self.courses.values_mut() {
            course.is_dirty = true;
            course.store_failed(now, None);
        }
    }

    fn end(&mut self, commands: &mut Vec<Command>) {
        let is_done = match self.manner.look_every {
            None => self.courses.values().all(|course| course.ending.is_some()),
            Some(_) => self.stop && self.courses.values().all(|course| course.ending.is_some()),
        };
        if is_done && !self.looked.is_looking {
            self.has_ended = true;
            let nothing = if self.stop { Ending::Interrupted } else { Ending::Ended };
            commands.push(Command::End(self.ended.unwrap_or(nothing)));
        }
    }

    const fn may_look(&self) -> bool {
        !self.looked.is_looking && !self.looked.is_forgetting && !self.stop
    }

    /// When the next step is due even if nothing happens, and what for.
    pub fn wake_at(&self) -> Wake {
        let look = self.manner.look_every.filter(|_| self.may_look());
        let look = look.map(|_| (self.looked.due_at, "look"));
        let slots = self.shared.budgets.wake_at().filter(|_| !self.stop).map(|at| (at, "slots"));
        let going_on = self.courses.values().filter(|course| course.ending.is_none());
        going_on.filter_map(Course::wake_at).chain(look).chain(slots).min_by_key(|(at, _)| *at)
    }
}
