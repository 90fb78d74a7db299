//! A device that is heard of while it is being read as away.

use groundswell::{
    core::{
        assignment::{Assignment, State},
        ids::{AssignmentId, Epoch},
        rollout::{Offline, Spec},
        snapshot::Counts,
        time::Time,
        verify::Mode,
    },
    engine::step::{Command, Fact},
    store::{
        Batch, Change, Intent, Store,
        writer::{Done, Job},
    },
};

use super::World;

const DUE: Time = Time::from_millis(1_010);

#[test]
fn it_is_read_again_once_that_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec { offline: Offline::Wait, ..super::spec(Mode::None) };
    let mut world = World::new(800, 1, spec, dir.path());
    let key = world.record.key;
    let away_since = Time::from_millis(500);
    let to =
        Assignment { state: State::Away, attempt: 1, in_doubt: false, due_at: DUE, away_since };
    let changes = vec![Change { id: AssignmentId(1), to, detail: None }];
    let cohort = world.store.cohorts(key, 1).unwrap()[0].key;
    let cohorts = vec![(cohort, Counts { away: 1, ..Counts::default() })];
    let away = Batch { changes, cohorts, ..Batch::empty(key, Epoch(0), world.now()) };
    world.store.commit(&away).unwrap();
    let device = world.store.device_key("d0").unwrap().unwrap();
    let seq = world.store.put_intent(&Intent::Contact { device }, world.now()).unwrap();

    let mut engine = world.engine();
    let (mut facts, mut late, mut is_heard, mut sent) = (vec![], vec![], false, 0);
    for _ in 0..200 {
        world.now += 1;
        let now = world.now();
        let commands = engine.step(now, std::mem::take(&mut facts));
        facts.append(&mut late);
        for command in commands {
            match command {
                Command::Store(Job::Fetch(want)) if !is_heard && want.until >= DUE => {
                    is_heard = true;
                    let waiting = Done::Waiting(seq, world.store.waiting(device));
                    facts.push(Fact::Store(waiting));
                    late.push(world.store_does(Job::Fetch(want)));
                }
                Command::Store(job) => facts.push(world.store_does(job)),
                Command::Open(opening) => facts.push(Fact::Opened(opening.rollout)),
                Command::Send(_) => sent += 1,
                _ => {}
            }
        }
    }
    assert_eq!((is_heard, sent), (true, 1));
}
