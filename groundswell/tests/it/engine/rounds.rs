//! The next round of many devices, and deaths of the driver while its rows are written.

use std::{fs, path::Path, time::Duration};

use groundswell::{
    core::{
        assignment::{Assignment, FailReason, State},
        device::Device,
        ids::{AssignmentId, Epoch, RolloutId},
        rollout::{self, Act},
        snapshot::Counts,
        time::Time,
        verify::Mode,
    },
    engine::{
        step::{Command, Engine, Fact, Manner},
        takeover,
    },
    store::{
        Batch, Change, CohortName, Intent, RolloutKey, SqliteStore, Store, Which, writer::do_job,
    },
};

/// As many as take four transactions.
const DEVICES: u64 = 3_100;

const START: Time = Time::from_millis(1_000);
const KEY: RolloutKey = RolloutKey(1);

/// A rollout of two waves in which every device failed.
fn write_failed(path: &Path) {
    let mut store = SqliteStore::open(path).unwrap();
    let spec = super::with_canaries(100, super::spec(Mode::None));
    let key = store.create(RolloutId(uuid::Uuid::nil()), None, &spec, START).unwrap();
    assert_eq!(key, KEY);
    let devices: Vec<Device> = (0..DEVICES)
        .map(|n| Device {
            id: format!("d{n}"),
            name: format!("d{n}"),
            address: Some("http://10.0.0.1".parse().unwrap()),
            ..Device::default()
        })
        .collect();
    let assigned: Vec<_> =
        devices.iter().enumerate().map(|(n, device)| (device, usize::from(n >= 100))).collect();
    let cohorts = [0, 1].map(|wave| CohortName { wave, zone: None });
    store.add_devices(key, &cohorts, &assigned, START).unwrap();
    let state = State::Failed(FailReason::Rejected);
    let to = Assignment { state, attempt: 1, ..Assignment::queued() };
    let change = |id| Change { id: AssignmentId(id as i64), to, detail: None };
    let mut progression = store.rollout(key).unwrap().unwrap().progression;
    progression.state = rollout::State::Failed;
    let cohorts = store.cohorts(key, 1).unwrap().into_iter();
    let failed = |failed| Counts { failed, ..Counts::default() };
    store
        .commit(&Batch {
            changes: (1..=DEVICES).map(change).collect(),
            progression: Some(progression),
            cohorts: cohorts.map(|own| (own.key, failed(own.counts.queued))).collect(),
            ..Batch::empty(key, Epoch(0), START)
        })
        .unwrap();
    assert_eq!(store.count(key, 1).unwrap(), failed(DEVICES));
    want(&mut store, Act::Retry);
}

fn want(store: &mut SqliteStore, act: Act) {
    let intent = Intent::Act { rollout: KEY, act, generation: None, reason: None };
    store.put_intent(&intent, START).unwrap();
}

/// Drives until the rollout stands in `state`, or until the driver dies instead of carrying out
/// another command; how many it carried out.
fn drive(store: &mut SqliteStore, state: rollout::State, dies_after: usize) -> usize {
    let epoch = store.raise_epoch().unwrap();
    let driven = store.rollouts(Which::Driven).unwrap().into_iter();
    let taken = driven.map(|record| takeover::take(store, record).unwrap()).collect();
    let (gather, look_every) = (Duration::from_millis(4), Some(Duration::from_millis(100)));
    let manner = Manner { is_heard: false, gather, in_flight_max: 100, look_every };
    let mut now = START;
    let mut engine = Engine::new(taken, epoch, manner, now);
    let mut facts: Vec<Fact> = vec![];
    let mut carried_out = 0;
    for _ in 0..1_000 {
        now = now + Duration::from_millis(10);
        for command in engine.step(now, std::mem::take(&mut facts)) {
            if carried_out == dies_after {
                return carried_out;
            }
            carried_out += 1;
            if let Command::Store(job) = command {
                facts.push(Fact::Store(do_job(store, job)));
            }
        }
        if store.rollout(KEY).unwrap().unwrap().progression.state == state {
            return carried_out;
        }
    }
    panic!("it does not come to be {state}: {:?}", store.rollout(KEY).unwrap());
}

/// The round is there whole, in this state alone, and counted.
fn assert_whole(store: &SqliteStore, expected: Counts, when: usize) {
    assert_eq!(store.count(KEY, 2).unwrap(), expected, "died after {when} commands");
    let cohorts = store.cohorts(KEY, 2).unwrap();
    let waves: Vec<_> = cohorts.iter().map(|own| (own.wave, own.counts.total())).collect();
    assert_eq!(waves, [(0, 100), (1, DEVICES - 100)], "died after {when} commands");
    assert_eq!(cohorts.into_iter().map(|own| own.counts).sum::<Counts>(), expected);
}

#[test]
fn a_driver_that_dies_between_any_two_chunks_leaves_a_round_that_is_gone_on_with() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (origin, path) = (dir.path().join("origin.db"), dir.path().join("state.db"));
    write_failed(&origin);
    let queued = Counts { queued: DEVICES, ..Counts::default() };
    let canceled = Counts { canceled: DEVICES, ..Counts::default() };
    let mut commands = usize::MAX;
    for dies_after in std::iter::once(usize::MAX).chain(1..40) {
        if dies_after != usize::MAX && dies_after > commands {
            break;
        }
        for is_canceled in [false, true] {
            fs::copy(&origin, &path).unwrap();
            let mut store = SqliteStore::open(&path).unwrap();
            let carried_out = drive(&mut store, rollout::State::Running, dies_after);
            if dies_after == usize::MAX {
                assert!(carried_out >= 7, "written in four chunks: {carried_out}");
                commands = carried_out;
            }
            let is_begun = store.rollout(KEY).unwrap().unwrap().progression.round == 2;
            if is_canceled && is_begun {
                want(&mut store, Act::Cancel);
                drive(&mut store, rollout::State::Canceled, usize::MAX);
                assert_whole(&store, canceled, dies_after);
            } else {
                drive(&mut store, rollout::State::Running, usize::MAX);
                assert_whole(&store, queued, dies_after);
            }
        }
    }
    assert!(commands < 40, "not all deaths were died: {commands}");
}
