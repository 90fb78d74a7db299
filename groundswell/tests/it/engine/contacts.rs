//! Devices that are heard of: while they are read as away, by a clock that is set back, while they
//! are asked.

use std::path::Path;

use groundswell::{
    core::{
        assignment::{Assignment, State},
        ids::{AssignmentId, Epoch},
        outcome::{Answer, Outcome},
        rollout::{Offline, Spec},
        snapshot::Counts,
        time::Time,
        verify::Mode,
    },
    engine::step::{Command, Fact},
    store::{
        Batch, Change, DeviceKey, Intent, IntentSeq, Store,
        writer::{Done, Job},
    },
};

use super::World;

const DUE: Time = Time::from_millis(1_010);

const HOUR: i64 = 3_600_000;

/// A device that is away, and was heard of.
fn one_away(seed: u64, dir: &Path) -> (World, DeviceKey, IntentSeq) {
    let spec = Spec { offline: Offline::Wait, ..super::spec(Mode::None) };
    let mut world = World::new(seed, 1, spec, dir);
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
    (world, device, seq)
}

#[test]
fn it_is_read_again_once_that_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, device, seq) = one_away(800, dir.path());

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

/// Whether it is sent to within a second of its contact, by a clock that was an hour ahead when
/// those that are away were read; that read may be told only after the clock was set back.
fn is_sent_to_once_heard_of(seed: u64, is_told_late: bool) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, device, seq) = one_away(seed, dir.path());
    let due_at = Time::from_millis(world.now + 2 * HOUR);
    let mut changes = vec![Change {
        id: AssignmentId(1),
        to: world.store.waiting(device).unwrap()[0].1.assignment,
        detail: None,
    }];
    changes[0].to.due_at = due_at;
    let key = world.record.key;
    world.store.commit(&Batch { changes, ..Batch::empty(key, Epoch(0), world.now()) }).unwrap();
    let now = world.now;
    world.now += HOUR;
    let mut engine = world.engine();
    let (mut facts, mut late, mut is_sent) = (vec![], vec![], false);
    for step in 0..1_000 {
        if step == 20 {
            world.now = now;
        }
        if step == 21 {
            facts.append(&mut late);
        }
        if step == 30 {
            let waiting = Done::Waiting(seq, world.store.waiting(device));
            facts.push(Fact::Store(waiting));
        }
        world.now += 1;
        for command in engine.step(world.now(), std::mem::take(&mut facts)) {
            match command {
                Command::Store(job @ Job::Fetch(_)) if is_told_late && step < 20 => {
                    late.push(world.store_does(job));
                }
                Command::Store(job) => facts.push(world.store_does(job)),
                Command::Open(opening) => facts.push(Fact::Opened(opening.rollout)),
                Command::Send(_) => is_sent = true,
                _ => {}
            }
        }
        assert!(!is_sent || step > 30, "it was sent to before it was heard of");
    }
    is_sent
}

#[test]
fn it_is_due_at_once_by_a_clock_that_was_set_back() {
    assert!(is_sent_to_once_heard_of(801, false));
    assert!(is_sent_to_once_heard_of(802, true), "it was being read then");
}

#[test]
fn what_it_shows_while_it_is_asked_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(803, 1, super::spec(Mode::Version), dir.path());
    let mut engine = world.engine();
    let (mut facts, mut asked) = (vec![], 0);
    for _ in 0..5_000 {
        world.now += 1;
        let key = world.record.key;
        for command in engine.step(world.now(), std::mem::take(&mut facts)) {
            match command {
                Command::Store(job) => facts.push(world.store_does(job)),
                Command::Open(opening) => facts.push(Fact::Opened(opening.rollout)),
                Command::Send(sending) => {
                    let outcome = Outcome::Accepted { status: 200 };
                    facts.push(Fact::Delivered(key, sending.candidate.id, outcome));
                }
                Command::Ask(_, question) => {
                    asked += 1;
                    let answer = Answer::Version { version: format!("0.{asked}") };
                    facts.push(Fact::Asked(key, question.candidate.id, answer));
                }
                _ => {}
            }
        }
    }
    assert!(asked > 1, "it was asked {asked} times");
    assert_eq!(world.counts(), Counts { verifying: 1, ..Counts::default() });
    assert_eq!(world.store.device("d0").unwrap().unwrap().version, Some(format!("0.{asked}")));
}
