//! A driver that stands still for a while, and wakes up: alone, or when another one has taken over.
//!
//! In production the lock of the directory keeps the other one out for as long as the first is
//! there. This is what holds if it did not: the store refuses the stale one. What it had been told
//! it may send, and had not begun to, is not sent here: nothing but the lock could keep it from that.

use std::{collections::BTreeSet, time::Duration};

use groundswell::{
    core::{
        ids::AssignmentId,
        outcome::{Answer, Fault, Outcome},
        time::Time,
    },
    engine::fact::{Command, Ending, Fact},
    store::{
        Batch, StoreError,
        writer::{Done, Job, do_job},
    },
};

use super::{
    Event, World,
    driver::Driver,
    storage::{error_of, is_write},
};

/// Steps of a stale driver before it must have noticed.
const STEPS_MAX: u32 = 200;

/// A driver that stands still.
#[derive(Debug)]
pub(crate) struct Frozen {
    driver: Driver,
    facts: Vec<Fact>,
    /// What came to it meanwhile.
    held: Vec<Event>,
}

impl World {
    /// The driver stands still; another one may be started.
    pub(crate) fn freeze(&mut self, wait: Duration) {
        if self.frozen.is_some() {
            return;
        }
        let Some(driver) = self.driver.take() else { return };
        self.note("stale: a driver stands still");
        let facts = std::mem::take(&mut self.facts);
        self.frozen = Some(Frozen { driver, facts, held: vec![] });
        self.agenda.put(wait, Event::Thaw);
        let start = self.faults.downtime();
        self.agenda.put(start, Event::Start);
    }

    /// Something came for a driver that is not up.
    pub(crate) fn hold(&mut self, no: u64, event: Event) {
        if let Some(frozen) = self.frozen.as_mut().filter(|frozen| frozen.driver.no == no) {
            frozen.held.push(event);
        }
    }

    /// A driver that stood still wakes up.
    pub(crate) fn thaw(&mut self) {
        let Some(frozen) = self.frozen.take() else { return };
        if frozen.driver.no != self.drivers {
            return self.go_on_stale(frozen);
        }
        self.note("stale: it woke up alone");
        let Frozen { mut driver, facts, held } = frozen;
        driver.up_since = self.agenda.now;
        self.driver = Some(driver);
        self.facts = facts;
        self.looks.began();
        self.checker.turns.woken(self.agenda.clock());
        self.checker.unsettled(self.agenda.clock());
        self.wake_at = Some(self.agenda.now);
        for event in held {
            self.happen(event);
        }
    }

    /// It does not know that another one has taken over, and goes on.
    fn go_on_stale(&mut self, frozen: Frozen) {
        self.note("stale: it woke up behind another");
        let Frozen { mut driver, mut facts, held } = frozen;
        facts.extend(held.into_iter().filter_map(as_fact));
        let mut stale = Stale { now: self.agenda.clock(), unwritten: BTreeSet::new(), facts };
        for _ in 0..STEPS_MAX {
            while let Some(job) = driver.jobs.pop_front() {
                let done = self.refuse(&mut driver, job, &mut stale.unwritten);
                stale.facts.push(Fact::Store(done));
            }
            if stale.facts.is_empty() {
                // Its time goes on without anybody else's.
                let Some((at, _)) = driver.engine.wake_at() else { return };
                stale.now = stale.now.max(at);
            }
            for command in driver.engine.step(stale.now, std::mem::take(&mut stale.facts)) {
                match command {
                    Command::Store(job) => driver.jobs.push_back(job),
                    Command::Send(sending) if stale.unwritten.contains(&sending.candidate.id) => {
                        let id = sending.candidate.id;
                        self.fail(&format!("a stale driver sends {id}, and could not claim it"));
                    }
                    Command::Keep(batches) => self.keep_stale(&batches),
                    Command::End(Ending::StoreFailed) => return self.note("stale: it gave up"),
                    // It may have had nothing to write.
                    Command::End(_) if stale.unwritten.is_empty() => {
                        return self.note("stale: it ended");
                    }
                    Command::End(ending) => {
                        self.fail(&format!("a stale driver ends as if nothing were: {ending:?}"))
                    }
                    other => stale.answer(other),
                }
            }
        }
        self.fail("a stale driver goes on and on");
    }

    /// What a stale driver wants written is not.
    fn refuse(
        &mut self,
        driver: &mut Driver,
        job: Job,
        unwritten: &mut BTreeSet<AssignmentId>,
    ) -> Done {
        let is_write = is_write(&job);
        let done = do_job(&mut driver.store, job);
        match error_of(&done) {
            Some(StoreError::Stale { .. }) => self.note("stale: a job refused"),
            None if is_write => self.fail(&format!("a stale driver wrote: {done:?}")),
            None => {}
            Some(error) => self.fail(&format!("a stale driver is told: {error:?}")),
        }
        if let Done::Committed(batch, Err(_)) = &done {
            unwritten.extend(batch.changes.iter().map(|change| change.id));
        }
        done
    }

    /// The shell keeps nothing that is stale; one that could not tell is noticed at the next start.
    fn keep_stale(&mut self, batches: &[Batch]) {
        let reserve = self.reserve();
        if self.dice.percent(50) && reserve.kept().unwrap().is_empty() {
            reserve.keep(batches).unwrap();
        }
    }
}

struct Stale {
    now: Time,
    /// What it wanted to change, and could not.
    unwritten: BTreeSet<AssignmentId>,
    facts: Vec<Fact>,
}

impl Stale {
    /// What it wants of the world comes to nothing.
    fn answer(&mut self, command: Command) {
        let (fault, detail) = (Fault::Reset, "it stood still".to_owned());
        self.facts.extend(match command {
            Command::Send(sending) => {
                let outcome = Outcome::NotSent { fault, detail };
                Some(Fact::Delivered(sending.rollout, sending.candidate.id, outcome))
            }
            Command::Ask(key, question) => {
                let answer = Answer::Silent { fault, detail };
                Some(Fact::Asked(key, question.candidate.id, answer))
            }
            Command::Open(opening) => Some(Fact::Opened(opening.rollout)),
            Command::Choose(key, _) => Some(Fact::Chosen(key, None)),
            Command::LookBack(key, _) => Some(Fact::LookedBack(key, None)),
            _ => None,
        });
    }
}

/// What came for it while it stood still.
fn as_fact(event: Event) -> Option<Fact> {
    match event {
        Event::Outcome(_, _, fact) => Some(*fact),
        Event::Begin(_, _, sending) => Some(Fact::Returned(sending.rollout, sending.candidate.id)),
        Event::Opened(_, key, _) => Some(Fact::Opened(key)),
        Event::Choose(_, key, _) => Some(Fact::Chosen(key, None)),
        Event::LookBack(_, key, _) => Some(Fact::LookedBack(key, None)),
        _ => None,
    }
}
