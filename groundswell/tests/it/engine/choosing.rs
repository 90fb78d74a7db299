//! Rollouts whose devices are chosen one after the other.

use std::time::Duration;

use groundswell::{
    core::{
        ids::{Epoch, RolloutId},
        rollout::{self, Spec},
        time::Time,
        verify::Mode,
    },
    engine::{
        step::{Command, Engine, Fact, Manner},
        takeover,
    },
    store::{Batch, RolloutKey, SqliteStore, Store, writer::do_job},
};

const START: Time = Time::from_millis(1_000);

/// A rollout whose devices are not chosen yet.
fn preparing(store: &mut SqliteStore, name: &str) -> RolloutKey {
    let mut spec: Spec = super::spec(Mode::None);
    name.clone_into(&mut spec.release.name);
    let id = RolloutId(uuid::Uuid::from_u128(name.len() as u128));
    let key = store.create(id, None, &spec, START).unwrap();
    let mut progression = store.rollout(key).unwrap().unwrap().progression;
    progression.state = rollout::State::Preparing;
    let progression = Some(progression);
    store.commit(&Batch { progression, ..Batch::empty(key, Epoch(0), START) }).unwrap();
    key
}

/// Steps for so long, and says whose devices are wanted to be chosen.
fn steps(
    engine: &mut Engine,
    store: &mut SqliteStore,
    (from, steps): (Time, u32),
    mut facts: Vec<Fact>,
) -> Vec<RolloutKey> {
    let mut chosen = vec![];
    for millis in 0..steps {
        let now = from + Duration::from_millis(millis.into());
        for command in engine.step(now, std::mem::take(&mut facts)) {
            match command {
                Command::Store(job) => facts.push(Fact::Store(do_job(store, job))),
                Command::Choose(key, _) => chosen.push(key),
                _ => {}
            }
        }
    }
    chosen
}

#[test]
fn one_that_waits_for_its_turn_again_does_not_wake_the_driver() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
    let (first, second) = (preparing(&mut store, "a"), preparing(&mut store, "bc"));
    let take = |key| {
        let record = store.rollout(key).unwrap().unwrap();
        takeover::take(&store, record).unwrap()
    };
    let taken = vec![take(first), take(second)];
    let gather = Duration::from_millis(4);
    let manner = Manner { is_heard: false, gather, in_flight_max: 8, look_every: None };
    let mut engine = Engine::new(taken, Epoch(1), manner, START);

    let secs = |secs| START + Duration::from_secs(secs);
    let wanted = |engine: &mut Engine, store: &mut _, from, failed: Option<RolloutKey>| {
        let facts = failed.map(|key| Fact::Chosen(key, None)).into_iter().collect();
        steps(engine, store, (from, 20), facts)
    };
    assert_eq!(wanted(&mut engine, &mut store, secs(0), None), [first]);
    assert_eq!(wanted(&mut engine, &mut store, secs(1), Some(first)), [second]);
    assert_eq!(wanted(&mut engine, &mut store, secs(2), Some(second)), []);
    // Both are due again, and the first takes its time.
    assert_eq!(wanted(&mut engine, &mut store, secs(20), None), [first]);
    let (now, wake_at) = (secs(20) + Duration::from_millis(19), engine.wake_at());
    assert!(wake_at.is_none_or(|(at, _)| at > now), "{wake_at:?} at {now:?}");
    assert_eq!(wanted(&mut engine, &mut store, secs(30), Some(first)), [second]);
}
