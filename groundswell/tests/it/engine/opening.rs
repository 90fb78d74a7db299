//! What goes before what while an artifact is read, and right behind that.

use std::time::Duration;

use groundswell::{
    core::{
        device::Device,
        ids::{AssignmentId, Epoch, RolloutId},
        rollout::{self, Limits, Spec},
        time::Time,
        verify::Mode,
    },
    engine::{
        step::{Command, Engine, Fact, Manner},
        takeover,
    },
    store::{Batch, CohortName, RolloutKey, SqliteStore, Store, writer::do_job},
};

const START: Time = Time::from_millis(1_000);

/// Ten devices that every rollout has.
const DEVICES: u32 = 10;

/// A rollout to so many devices, each with a host of its own.
fn rollout(
    store: &mut SqliteStore,
    (name, devices): (&str, u32),
    priority: i32,
    limits: Limits,
) -> RolloutKey {
    let mut spec = Spec { priority, limits, ..super::spec(Mode::None) };
    name.clone_into(&mut spec.release.name);
    let id = RolloutId(uuid::Uuid::from_u128(u128::from(priority.unsigned_abs())));
    let key = store.create(id, None, &spec, START).unwrap();
    let devices: Vec<Device> = (0..devices)
        .map(|n| Device {
            id: format!("d{n}"),
            name: format!("d{n}"),
            address: Some(format!("http://10.0.0.{n}").parse().unwrap()),
            ..Device::default()
        })
        .collect();
    let assigned: Vec<_> = devices.iter().map(|device| (device, 0)).collect();
    store.add_devices(key, &[CohortName { wave: 0, zone: None }], &assigned, START).unwrap();
    let mut progression = store.rollout(key).unwrap().unwrap().progression;
    progression.state = rollout::State::Scheduled;
    let progression = Some(progression);
    store.commit(&Batch { progression, ..Batch::empty(key, Epoch(0), START) }).unwrap();
    key
}

/// Steps until nothing happens any more; all artifacts but those of `unread` are read at once, and
/// no delivery ends. What was sent, in order.
fn settle(
    engine: &mut Engine,
    store: &mut SqliteStore,
    (mut now, mut facts): (Time, Vec<Fact>),
    unread: Option<RolloutKey>,
) -> Vec<(RolloutKey, AssignmentId, String)> {
    let mut sent = vec![];
    for _ in 0..50 {
        now = now + Duration::from_millis(1);
        for command in engine.step(now, std::mem::take(&mut facts)) {
            match command {
                Command::Store(job) => facts.push(Fact::Store(do_job(store, job))),
                Command::Open(opening) if Some(opening.rollout) != unread => {
                    facts.push(Fact::Opened(opening.rollout));
                }
                Command::Send(sending) => {
                    let device = sending.candidate.endpoint.id.to_string();
                    sent.push((sending.rollout, sending.candidate.id, device));
                }
                _ => {}
            }
        }
    }
    sent
}

/// How many the higher had claimed, and the lower sent to, before the artifact of the higher was
/// read; and to whom the higher sent then.
fn around_the_reading(per_minute: Option<u32>) -> (u64, usize, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
    let limits = Limits { per_minute: None, ..super::spec(Mode::None).limits };
    let low = rollout(&mut store, ("low", DEVICES), 0, limits);
    let high = rollout(&mut store, ("high", DEVICES), 5, Limits { per_minute, ..limits });
    let take = |key| {
        let record = store.rollout(key).unwrap().unwrap();
        takeover::take(&store, record).unwrap()
    };
    let taken = vec![take(low), take(high)];
    let gather = Duration::from_millis(4);
    let manner = Manner { is_heard: true, gather, in_flight_max: 8, look_every: None };
    let mut engine = Engine::new(taken, Epoch(1), manner, START);

    let before = settle(&mut engine, &mut store, (START, vec![]), Some(high));
    assert!(before.iter().all(|(rollout, ..)| *rollout == low), "{before:?}");
    let claimed = engine.counts(high).unwrap().delivering;
    let later = START + Duration::from_millis(50);
    let then = settle(&mut engine, &mut store, (later, vec![Fact::Opened(high)]), None);
    let then = then.into_iter().filter(|(rollout, ..)| *rollout == high);
    (claimed, before.len(), then.map(|(_, _, device)| device).collect())
}

#[test]
fn a_higher_priority_keeps_its_devices_while_its_artifact_is_read() {
    let (claimed, sent, then) = around_the_reading(None);
    // One is the fair share of the lower.
    assert_eq!((claimed, sent), (7, 1));
    assert_eq!(then, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
}

#[test]
fn as_many_are_sent_to_as_may_be_before_any_of_them_answers() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
    let limits =
        Limits { max_in_flight: 230, max_unverified: 1_000, ..super::spec(Mode::None).limits };
    // Several times what one commit claims.
    let key = rollout(&mut store, ("wide", 250), 0, limits);
    let record = store.rollout(key).unwrap().unwrap();
    let taken = vec![takeover::take(&store, record).unwrap()];
    let gather = Duration::ZERO;
    let manner = Manner { is_heard: false, gather, in_flight_max: 1_000, look_every: None };
    let mut engine = Engine::new(taken, Epoch(1), manner, START);
    assert_eq!(settle(&mut engine, &mut store, (START, vec![]), None).len(), 230);
}

#[test]
fn a_constant_rate_is_not_claimed_for_before_its_artifact_is_read() {
    let (claimed, sent, then) = around_the_reading(Some(6_000));
    assert_eq!((claimed, sent), (0, 7));
    // The others have the rest, and nothing was saved up for a burst.
    assert_eq!(then, ["d7"]);
}
