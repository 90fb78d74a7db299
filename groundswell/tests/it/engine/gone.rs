//! What changes while devices that are to be ended are being read.

use std::{collections::BTreeMap, time::Duration};

use groundswell::{
    core::{
        ids::AssignmentId,
        outcome::{Fault, Outcome},
        retry,
        rollout::{Act, Deadline, Limits, Offline, Spec},
        snapshot::Counts,
        time::Time,
        verify::Mode,
    },
    engine::step::{Command, Engine, Fact},
    store::{
        Intent, IntentSeq, Store,
        writer::{Done, Job, Looked},
    },
};

use super::World;

/// One delivery at a time, and one attempt each; who cannot be reached is waited for.
fn spec() -> Spec {
    let wait = Duration::from_secs(1);
    let limits = Limits { max_in_flight: 1, max_per_host: 1, ..super::spec(Mode::None).limits };
    let retry = retry::Policy::new(1, wait, 1.0, wait, 0).unwrap();
    Spec { limits, retry, offline: Offline::Wait, ..super::spec(Mode::None) }
}

/// A driver whose store keeps back what it read of those that are to be ended.
#[derive(Default)]
struct Slow {
    facts: Vec<Fact>,
    /// What was read and is not told yet.
    page: Option<Fact>,
    is_kept_back: bool,
    /// Behind whom those that are to be ended were read.
    read_after: Vec<i64>,
    open: Option<AssignmentId>,
    sent: BTreeMap<String, u32>,
}

impl Slow {
    fn steps(&mut self, world: &mut World, engine: &mut Engine, steps: u32) {
        for _ in 0..steps {
            world.now += 1;
            for command in engine.step(world.now(), std::mem::take(&mut self.facts)) {
                match command {
                    Command::Store(job) => {
                        let sweep = match &job {
                            Job::Fetch(want) => want.queue.filter(|queue| queue.is_sweep),
                            _ => None,
                        };
                        self.read_after.extend(sweep.map(|queue| queue.after));
                        let did = world.store_does(job);
                        if sweep.is_some() && self.is_kept_back {
                            self.page = Some(did);
                        } else {
                            self.facts.push(did);
                        }
                    }
                    Command::Open(opening) => self.facts.push(Fact::Opened(opening.rollout)),
                    Command::Send(sending) => {
                        self.open = Some(sending.candidate.id);
                        *self.sent.entry(sending.candidate.endpoint.id.to_string()).or_default() +=
                            1;
                    }
                    _ => {}
                }
            }
        }
    }

    fn tell_page(&mut self) {
        self.is_kept_back = false;
        self.facts.extend(self.page.take());
    }

    /// The one that is open ends.
    fn ends(&mut self, world: &World, outcome: Outcome) {
        let id = self.open.take().unwrap();
        self.facts.push(Fact::Delivered(world.record.key, id, outcome));
    }

    fn act(&mut self, world: &World, act: Act) {
        let intent = Intent::Act { rollout: world.record.key, act, generation: None, reason: None };
        let intents = vec![(IntentSeq(1), intent)];
        let looked = Looked { version: 1, intents, changed: vec![], has_more: false };
        self.facts.push(Fact::Store(Done::Looked(Ok(Some(looked)))));
    }
}

fn unreachable() -> Outcome {
    Outcome::NotSent { fault: Fault::ConnectRefused, detail: String::new() }
}

#[track_caller]
fn assert_canceled(world: &World, canceled: u64) {
    assert_eq!(world.counts(), Counts { canceled, ..Counts::default() });
    assert!(world.store.rollout(world.record.key).unwrap().unwrap().progression.state.is_ended());
}

#[test]
fn one_that_goes_away_while_its_cohort_is_read_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(710, 20, spec(), dir.path());
    let mut engine = world.engine();
    let mut slow = Slow { is_kept_back: true, ..Slow::default() };
    slow.steps(&mut world, &mut engine, 20);
    slow.act(&world, Act::Cancel);
    slow.steps(&mut world, &mut engine, 20);
    assert!(slow.page.is_some(), "its cohort is being read");
    slow.ends(&world, unreachable());
    slow.steps(&mut world, &mut engine, 20);
    slow.tell_page();
    slow.steps(&mut world, &mut engine, 50);
    assert_canceled(&world, 20);
}

#[test]
fn one_that_goes_away_just_before_its_cohort_is_read_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(711, 20, spec(), dir.path());
    let mut engine = world.engine();
    let mut slow = Slow::default();
    slow.steps(&mut world, &mut engine, 20);
    // It is not written down as away when its cohort is read.
    slow.ends(&world, unreachable());
    slow.act(&world, Act::Cancel);
    slow.steps(&mut world, &mut engine, 50);
    assert_canceled(&world, 20);
}

#[test]
fn those_that_are_not_to_be_ended_any_more_are_sent_to_once() {
    const DEVICES: usize = 400;
    let dir = tempfile::tempdir().unwrap();
    let deadline = Time::from_millis(1_000) + Duration::from_hours(1);
    let spec = Spec { deadline: Some(Deadline::At(deadline)), ..spec() };
    let mut world = World::new(712, DEVICES, spec, dir.path());
    let mut engine = world.engine();
    let mut slow = Slow { is_kept_back: true, ..Slow::default() };
    slow.steps(&mut world, &mut engine, 20);
    let now = world.now;
    // By a clock that is ahead it is too late for all of them.
    world.now = deadline.as_millis();
    slow.steps(&mut world, &mut engine, 1);
    assert!(slow.page.is_some(), "they are being read");
    world.now = now;
    slow.steps(&mut world, &mut engine, 1);
    slow.tell_page();
    // One is waited for, so that it does not end with the first of all.
    slow.ends(&world, unreachable());
    for _ in 0..2 * DEVICES {
        slow.steps(&mut world, &mut engine, 1);
        if slow.open.is_some() {
            slow.ends(&world, Outcome::Accepted { status: 200 });
        }
    }
    slow.steps(&mut world, &mut engine, 20);
    assert_eq!(slow.sent.iter().find(|(_, times)| **times > 1), None);
    let Counts { succeeded, skipped, away, .. } = world.counts();
    assert_eq!((away, away + succeeded), (1, slow.sent.len() as u64));
    assert_eq!(away + succeeded + skipped, DEVICES as u64);
    assert!(succeeded > DEVICES as u64 / 2, "{succeeded} were sent to");
}

#[test]
fn one_that_is_ended_as_it_goes_away_is_not_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let deadline = Time::from_millis(1_000) + Duration::from_mins(1);
    let spec = Spec { deadline: Some(Deadline::At(deadline)), ..spec() };
    let mut world = World::new(713, 4_100, spec, dir.path());
    let mut engine = world.engine();
    let mut slow = Slow { is_kept_back: true, ..Slow::default() };
    slow.steps(&mut world, &mut engine, 20);
    world.now = deadline.as_millis();
    slow.steps(&mut world, &mut engine, 5);
    assert!(slow.page.is_some(), "the first of them are read");
    slow.ends(&world, unreachable());
    slow.steps(&mut world, &mut engine, 5);
    slow.tell_page();
    slow.steps(&mut world, &mut engine, 20);
    // The first five had been claimed.
    assert_eq!(slow.read_after, [0, 4_005]);
    let (skipped, unreachable) = (4_099, 1);
    assert_eq!(world.counts(), Counts { skipped, unreachable, ..Counts::default() });
}
