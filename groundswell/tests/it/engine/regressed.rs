//! Devices that are found regressed while it is looked up whether they failed.

use std::time::Duration;

use groundswell::{
    core::{
        budget::{Budget, Limit},
        health::{Check, Health, Said},
        outcome::Outcome,
        rollout::Spec,
        time::Time,
        verify::Mode,
    },
    engine::step::{Command, Fact},
    store::{
        DeviceKey, Store as _, TroubleStore as _,
        writer::{Done, Job},
    },
};

use super::World;

/// Two devices of one domain, one after the other, of which the first regresses in its soak.
fn spec() -> Spec {
    let mut spec = super::with_canaries(1, super::spec(Mode::None));
    (spec.waves[0].soak, spec.waves[0].min_success) = (Duration::from_secs(2), None);
    spec.brake = None;
    spec.health =
        Some(Health { check: Check::Version, every: Duration::from_secs(1), failures: 1 });
    let per = "tag.store".parse().unwrap();
    spec.budgets = vec![Budget { per, limit: Limit::Max(1), counts_down: false }];
    spec
}

/// How many are sent to within ten seconds, if it is read whether the first one failed, for this
/// reason, right before that is written.
fn sent_to(world: &mut World, is_looked_up: bool) -> usize {
    let key = world.record.key;
    let mut engine = world.engine();
    let (mut facts, mut sent, mut found) = (vec![], 0, 0);
    for _ in 0..1_000 {
        world.now += 10;
        for command in engine.step(world.now(), std::mem::take(&mut facts)) {
            match command {
                Command::Store(job) => {
                    if let Job::Commit(batch) = &job
                        && !batch.regressed.is_empty()
                    {
                        found += 1;
                        if is_looked_up {
                            let device = world.store.device_key("d0").unwrap().unwrap();
                            facts.push(Fact::Store(looked_up(world, device)));
                        }
                    }
                    facts.push(world.store_does(job));
                }
                Command::Open(opening) => facts.push(Fact::Opened(opening.rollout)),
                Command::Send(sending) => {
                    sent += 1;
                    let accepted = Outcome::Accepted { status: 200 };
                    facts.push(Fact::Delivered(key, sending.candidate.id, accepted));
                }
                Command::Examine(_, examination) => {
                    let said = Said::Version("1".into());
                    facts.push(Fact::Examined(key, examination.candidate.id, said));
                }
                _ => {}
            }
        }
    }
    assert_eq!(found, 1, "the first one regresses");
    sent
}

fn looked_up(world: &World, device: DeviceKey) -> Done {
    let failed = world.store.failed_devices(Some(device)).unwrap().pop();
    assert!(failed.is_none(), "it is not written yet");
    Done::HasFailed(device, Ok(failed))
}

#[test]
fn what_was_read_before_it_was_written_does_not_free_its_slot() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, is_looked_up) in [(1_000, false), (1_001, true)] {
        let mut world = World::new(seed, 2, spec(), dir.path());
        assert_eq!(sent_to(&mut world, is_looked_up), 1, "looked up: {is_looked_up}");
        assert_eq!(world.store.failed_devices(None).unwrap().len(), 1);
    }
}

#[test]
fn a_call_frees_no_slot_of_one_that_is_regressed() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(1_002, 2, spec(), dir.path());
    sent_to(&mut world, false);
    let contact =
        groundswell::store::Contact { device: "d0", at: Time::from_millis(20_000), version: None };
    groundswell::store::Store::saw(&mut world.store, &[contact]).unwrap();
    assert_eq!(world.store.failed_devices(None).unwrap().len(), 1);
}
