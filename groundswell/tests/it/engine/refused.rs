//! What others want while the store refuses what is written.

use std::{path::Path, time::Duration};

use groundswell::{
    core::{
        ids::{AssignmentId, Epoch, RolloutId},
        outcome::Outcome,
        rollout::{Act, Spec, State},
        time::Time,
        verify::Mode,
    },
    engine::{
        step::{Command, Ending, Engine, Fact, Manner},
        takeover,
    },
    store::{
        Batch, ChangeSeq, Intent, RolloutKey, SqliteStore, Store, StoreError,
        writer::{Done, Job, do_job},
    },
};

use super::World;

/// A driver with a commit that stays under way.
struct Held {
    engine: Engine,
    facts: Vec<Fact>,
    commit: Option<Box<Batch>>,
    /// Whether the next commit is the one.
    holds_next: bool,
    open: Vec<AssignmentId>,
    /// What the store was asked to do, apart from looking and commits.
    jobs: Vec<&'static str>,
    ending: Option<Ending>,
}

impl Held {
    fn new(world: &mut World, rollouts: &[RolloutKey]) -> Self {
        let epoch = world.store.raise_epoch().unwrap();
        let take = |key: &RolloutKey| {
            let record = world.store.rollout(*key).unwrap().unwrap();
            takeover::take(&world.store, record).unwrap()
        };
        let taken = rollouts.iter().map(take).collect();
        let gather = Duration::from_millis(4);
        let look_every = Some(Duration::from_millis(100));
        let manner = Manner { is_heard: false, gather, in_flight_max: 8, look_every };
        let engine = Engine::new(taken, epoch, manner, world.now());
        let (facts, jobs, open) = (vec![], vec![], vec![]);
        Self { engine, facts, commit: None, holds_next: false, open, jobs, ending: None }
    }

    fn steps(&mut self, world: &mut World, count: u32) {
        for _ in 0..count {
            world.now += 10;
            for command in self.engine.step(world.now(), std::mem::take(&mut self.facts)) {
                match command {
                    Command::Store(Job::Commit(batch)) if self.holds_next => {
                        self.commit = Some(batch);
                        self.holds_next = false;
                    }
                    Command::Store(job) => {
                        self.jobs.extend(match job {
                            Job::Assign(_) => Some("join"),
                            Job::Read(_) => Some("read"),
                            _ => None,
                        });
                        self.facts.push(Fact::Store(do_job(&mut world.store, job)));
                    }
                    Command::Open(opening) => self.facts.push(Fact::Opened(opening.rollout)),
                    Command::Send(sending) => self.open.push(sending.candidate.id),
                    Command::End(ending) => self.ending = Some(ending),
                    _ => {}
                }
            }
        }
    }

    /// One of those that are open ends, and that stays under way in the store.
    fn holds_a_result(&mut self, world: &mut World) {
        let id = self.open.pop().unwrap();
        let outcome = Outcome::Accepted { status: 200 };
        self.facts.push(Fact::Delivered(world.record.key, id, outcome));
        self.holds_next = true;
        self.steps(world, 9);
        assert!(self.commit.is_some(), "a commit is under way");
    }

    /// What was under way is refused.
    fn is_refused(&mut self) {
        let batch = self.commit.take().unwrap();
        self.facts.push(Fact::Store(Done::Committed(*batch, Err(StoreError::WriterDied))));
    }
}

/// Another process: what a driver writes itself it knows.
fn desk(dir: &Path, seed: u64) -> SqliteStore {
    SqliteStore::open(&dir.join(format!("{seed}.db"))).unwrap()
}

/// A rollout that waits for its time.
fn later(store: &mut SqliteStore) -> RolloutKey {
    let start_at = Some(Time::from_millis(1_000) + Duration::from_hours(1));
    let spec = Spec { start_at, ..super::spec(Mode::None) };
    let id = RolloutId(uuid::Uuid::from_u128(1));
    let key = store.create(id, None, &spec, Time::from_millis(1_000)).unwrap();
    let mut progression = store.rollout(key).unwrap().unwrap().progression;
    progression.state = State::Scheduled;
    let batch = Batch::empty(key, Epoch(0), Time::from_millis(1_000));
    store.commit(&Batch { progression: Some(progression), ..batch }).unwrap();
    key
}

/// What is not written down of a rollout is kept, and it is not taken up again by what is.
#[test]
fn a_rollout_that_the_store_failed_is_not_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(721, 5, super::spec(Mode::None), dir.path());
    let (busy, idle) = (world.record.key, later(&mut world.store));
    let mut held = Held::new(&mut world, &[busy, idle]);
    held.steps(&mut world, 20);
    held.holds_a_result(&mut world);

    // The answer to what was looked for comes last.
    let act = Intent::Act { rollout: idle, act: Act::Pause, generation: None, reason: None };
    desk(dir.path(), 721).put_intent(&act, world.now()).unwrap();
    let looked = do_job(&mut world.store, Job::Look { seen: None, after: ChangeSeq(0) });
    held.is_refused();
    held.steps(&mut world, 5);
    assert_eq!(held.ending, None);
    held.facts.push(Fact::Store(looked));
    held.steps(&mut world, 5);
    assert_eq!(held.jobs, [""; 0]);
}
