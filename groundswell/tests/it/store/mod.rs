//! What every store must do, run against each adapter.

mod changed;
mod cohorts;
mod commits;
mod epochs;
mod intents;
mod queue;
mod random;
mod rollbacks;
mod rollouts;
mod schema;

use groundswell::{
    core::{
        assignment::{Assignment, State},
        device::Device,
        hours::Zone,
        ids::{AssignmentId, Epoch, RolloutId},
        release::{Digest, Release},
        rollout::{self, Spec},
        snapshot::Counts,
        time::Time,
    },
    store::{
        Batch, Candidate, Change, CohortKey, CohortName, CohortRecord, Cursor, QueueWant,
        RolloutKey, RolloutRecord, SqliteStore, Store, Want,
    },
};

const NOW: Time = Time::from_millis(1_000_000);

fn release() -> Release {
    Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    }
}

fn spec() -> Spec {
    Spec::immediate(release())
}

/// `pos-0`, `pos-1`, ...
fn devices(count: usize) -> Vec<Device> {
    let device = |n: usize| Device {
        id: format!("pos-{n}"),
        name: format!("Terminal {n}"),
        address: Some(format!("http://127.0.0.{}:9100", n % 250 + 1).parse().unwrap()),
        last_seen: Some(Time::from_millis(n as i64)),
        ..Device::default()
    };
    (0..count).map(device).collect()
}

fn cohort(wave: usize, zone: Option<&str>) -> CohortName {
    CohortName { wave, zone: zone.map(|name| Zone::parse(name).unwrap()) }
}

/// A rollout that has no devices yet.
fn draft(store: &mut impl Store, identity: Option<&[u8; 32]>, spec: &Spec) -> RolloutKey {
    store.create(RolloutId(uuid::Uuid::now_v7()), identity, spec, NOW).unwrap()
}

/// A rollout that goes on, of `count` devices in one cohort.
fn rollout_of(store: &mut impl Store, count: usize) -> RolloutKey {
    let key = draft(store, Some(&[count as u8; 32]), &spec());
    let devices = devices(count);
    let devices: Vec<_> = devices.iter().map(|device| (device, 0)).collect();
    store.add_devices(key, &[cohort(0, None)], &devices, NOW).unwrap();
    set_state(store, key, rollout::State::Running);
    key
}

fn set_state(store: &mut impl Store, key: RolloutKey, state: rollout::State) {
    let mut progression = store.rollout(key).unwrap().unwrap().progression;
    progression.state = state;
    store.commit(&Batch { progression: Some(progression), ..batch(key, vec![]) }).unwrap();
}

fn batch(rollout: RolloutKey, changes: Vec<Change>) -> Batch {
    Batch { changes, ..Batch::empty(rollout, Epoch(1), NOW) }
}

fn to(id: AssignmentId, state: State, attempt: u32, due_ms: i64) -> Change {
    let due_at = Time::from_millis(due_ms);
    let is_missing = matches!(state, State::Away | State::Absent);
    let away_since = if is_missing { NOW } else { Time::ZERO };
    let to = Assignment { state, attempt, in_doubt: false, due_at, away_since };
    Change { id, to, detail: None }
}

/// Those of a rollout that fell due by now, and nobody else.
fn want(rollout: RolloutKey) -> Want {
    Want {
        rollout,
        cursor: Cursor::default(),
        until: NOW,
        limit: 10_000,
        refresh: vec![],
        recall: vec![],
        queue: None,
        is_known_wanted: false,
        rivals: vec![],
        pers: [].into(),
    }
}

/// The queue of a cohort from its beginning.
const fn queue_of(cohort: CohortKey) -> QueueWant {
    QueueWant { cohort, after: 0, limit: 10_000, is_sweep: false }
}

/// Everybody of a cohort who was not begun.
fn waiting_of(store: &impl Store, rollout: RolloutKey, cohort: CohortKey) -> Vec<Candidate> {
    let queue = Some(QueueWant { is_sweep: true, ..queue_of(cohort) });
    let nobody = Time::from_millis(-1);
    let page = store.candidates(&Want { queue, until: nobody, ..want(rollout) }).unwrap();
    page.candidates
}

/// The assignments of a round of which none was begun yet.
fn ids(store: &impl Store, key: RolloutKey, round: u32) -> Vec<AssignmentId> {
    let cohorts = store.cohorts(key, round).unwrap();
    let mut ids: Vec<_> = cohorts
        .iter()
        .flat_map(|cohort| waiting_of(store, key, cohort.key))
        .map(|candidate| candidate.id)
        .collect();
    ids.sort_unstable();
    ids
}

fn names(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| &*candidate.endpoint.id).collect()
}

fn sum(cohorts: &[CohortRecord]) -> Counts {
    cohorts.iter().map(|cohort| cohort.counts).sum()
}

fn queued(queued: u64) -> Counts {
    Counts { queued, ..Counts::default() }
}

/// Runs a check against a fresh store of every kind.
fn each(check: impl Fn(&mut SqliteStore)) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    check(&mut SqliteStore::open(&dir.path().join("state.db")).unwrap());
}

/// Writes the rows of a round, at most `limit` at once, and says in how many goes.
fn write_round(store: &mut SqliteStore, key: RolloutKey, round: u32, limit: usize) -> usize {
    let (mut from, mut goes) = (None, 0);
    loop {
        goes += 1;
        let before = store.count(key, round).unwrap().total();
        from = store.extend_round(key, round, from, limit, NOW).unwrap();
        assert!(store.count(key, round).unwrap().total() - before <= limit as u64);
        if from.is_none() {
            return goes;
        }
    }
}

/// Opens the next round of a push, and says how many devices it has.
fn open_round(store: &mut SqliteStore, key: RolloutKey, canaries: u32) -> u64 {
    let RolloutRecord { spec, mut progression, .. } = store.rollout(key).unwrap().unwrap();
    progression.round += 1;
    let batch = Batch { progression: Some(progression), ..batch(key, vec![]) };
    store.open_round(&spec, &batch, canaries).unwrap()
}
