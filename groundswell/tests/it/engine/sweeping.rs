//! Devices that are ended unsent while results keep coming.

use std::{collections::VecDeque, time::Duration};

use groundswell::{
    core::{
        ids::AssignmentId,
        outcome::Outcome,
        rollout::{Deadline, Limits, Spec},
        snapshot::Counts,
        time::Time,
        verify::Mode,
    },
    engine::step::{Command, Engine, Fact},
    store::{Store, writer::Job},
};

use super::World;

const DEVICES: usize = 3_000;
const OPEN: u32 = 100;

/// What a driver over a slow store has under way.
#[derive(Default)]
struct Busy {
    jobs: VecDeque<Job>,
    open: VecDeque<AssignmentId>,
}

impl Busy {
    /// A step; then a millisecond passes in which the store does one thing.
    fn step(&mut self, world: &mut World, engine: &mut Engine, mut facts: Vec<Fact>) -> Vec<Fact> {
        for command in engine.step(world.now(), facts.drain(..)) {
            match command {
                Command::Store(job) => self.jobs.push_back(job),
                Command::Open(opening) => facts.push(Fact::Opened(opening.rollout)),
                Command::Send(sending) => self.open.push_back(sending.candidate.id),
                _ => {}
            }
        }
        world.now += 1;
        facts.extend(self.jobs.pop_front().map(|job| world.store_does(job)));
        facts
    }
}

#[test]
fn a_cohort_that_is_never_quiet_is_swept_at_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_in_flight: OPEN, max_unverified: OPEN, ..Limits::default() };
    let deadline = Time::from_millis(1_000) + Duration::from_millis(300);
    let deadline = Some(Deadline::At(deadline));
    let spec = Spec { limits, deadline, ..super::spec(Mode::None) };
    let spec = Spec { limits: Limits { max_per_host: OPEN, ..limits }, ..spec };
    let mut world = World::new(700, DEVICES, spec, dir.path());
    let mut engine = world.engine();
    let mut busy = Busy::default();
    let mut facts = vec![];
    for _ in 0..300 {
        facts = busy.step(&mut world, &mut engine, facts);
    }
    assert_eq!(busy.open.len(), OPEN as usize);
    // From the deadline on one of those that are open ends in every step.
    for _ in 0..OPEN / 2 {
        facts = busy.step(&mut world, &mut engine, facts);
        let id = busy.open.pop_front().unwrap();
        let outcome = Outcome::Accepted { status: 200 };
        facts.push(Fact::Delivered(world.record.key, id, outcome));
    }
    assert_eq!(busy.open.len() as u32, OPEN / 2);
    let swept = *engine.counts(world.record.key).unwrap();
    assert_eq!((swept.queued, swept.retrying), (0, 0), "{swept:?}");

    while let Some(id) = busy.open.pop_front() {
        let outcome = Outcome::Accepted { status: 200 };
        facts.push(Fact::Delivered(world.record.key, id, outcome));
        facts = busy.step(&mut world, &mut engine, facts);
    }
    for _ in 0..50 {
        facts = busy.step(&mut world, &mut engine, facts);
    }
    let (succeeded, skipped) = (u64::from(OPEN), (DEVICES as u64) - u64::from(OPEN));
    assert_eq!(world.counts(), Counts { succeeded, skipped, ..Counts::default() });
    assert!(world.store.rollout(world.record.key).unwrap().unwrap().progression.state.is_ended());
}
