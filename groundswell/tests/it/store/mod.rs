//! What every store must do, run against each adapter.

use groundswell::{
    core::{
        assignment::{Assignment, FailReason, State},
        brake::Brake,
        device::Device,
        ids::{AssignmentId, Epoch, RolloutId},
        release::{Digest, Release},
        retry,
        rollout::{self, Limits, Spec, Verify},
        snapshot::Counts,
        time::Time,
    },
    store::{Batch, Change, Cursor, RolloutKey, SqliteStore, Store, StoreError},
};

const NOW: Time = Time::from_millis(1_000_000);

fn spec() -> Spec {
    Spec {
        release: Release {
            name: "pos".to_owned(),
            version: "2.0.0".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 12,
        },
        select: None,
        limits: Limits::default(),
        retry: retry::Policy::default(),
        verify: Verify::default(),
        brake: Brake::default(),
        canary: 0,
    }
}

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

fn rollout(store: &mut impl Store, count: usize) -> RolloutKey {
    let identity = [count as u8; 32];
    let key = store.create(RolloutId(uuid::Uuid::now_v7()), &identity, &spec(), NOW).unwrap();
    let devices = devices(count);
    store.add_devices(key, &devices.iter().collect::<Vec<_>>()).unwrap();
    let mut progression = store.find(&identity).unwrap().unwrap().progression;
    assert_eq!(progression.state, rollout::State::Preparing);
    progression.state = rollout::State::Running;
    let batch = Batch { progression: Some(progression), ..batch(key, vec![]) };
    store.commit(&batch).unwrap();
    key
}

fn batch(rollout: RolloutKey, changes: Vec<Change>) -> Batch {
    Batch { rollout, epoch: Epoch(1), at: NOW, changes, progression: None }
}

fn to(id: AssignmentId, state: State, attempt: u32, due_ms: i64) -> Change {
    let due_at = Time::from_millis(due_ms);
    Change { id, to: Assignment { state, attempt, in_doubt: false, due_at }, detail: None }
}

fn ids(store: &impl Store, key: RolloutKey) -> Vec<AssignmentId> {
    let page = store.candidates(key, 1, Cursor::default(), NOW, 10_000, 10_000).unwrap();
    page.candidates.iter().map(|candidate| candidate.id).collect()
}

/// Runs a check against a fresh store of every kind.
fn each(check: impl Fn(&mut SqliteStore)) {
    let dir = tempfile::tempdir().unwrap();
    check(&mut SqliteStore::open(&dir.path().join("state.db")).unwrap());
}

#[test]
fn candidates_come_in_order_and_once() {
    each(|store| {
        let key = rollout(store, 10);
        let first = store.candidates(key, 1, Cursor::default(), NOW, 4, 4).unwrap();
        let names: Vec<_> =
            first.candidates.iter().map(|candidate| candidate.endpoint.id.to_string()).collect();
        assert_eq!(names, ["pos-0", "pos-1", "pos-2", "pos-3"]);
        assert!(!first.is_queue_read);
        let rest = store.candidates(key, 1, first.cursor, NOW, 100, 100).unwrap();
        assert_eq!((rest.candidates.len(), rest.is_queue_read), (6, true));
        let none = store.candidates(key, 1, rest.cursor, NOW, 100, 100).unwrap();
        assert!(none.candidates.is_empty());
    });
}

#[test]
fn what_is_to_be_tried_again_comes_first_and_when_due() {
    each(|store| {
        let key = rollout(store, 5);
        let all = ids(store, key);
        let now = NOW.as_millis();
        store
            .commit(&batch(
                key,
                vec![
                    to(all[3], State::Retrying, 1, now - 5),
                    to(all[4], State::Retrying, 1, now + 700),
                ],
            ))
            .unwrap();
        let page = store.candidates(key, 1, Cursor::default(), NOW, 2, 2).unwrap();
        let found: Vec<_> = page.candidates.iter().map(|candidate| candidate.id).collect();
        assert_eq!(found, [all[3], all[0]]);
        assert_eq!(page.next_retry_at, Some(Time::from_millis(now + 700)));
        let later = Time::from_millis(now + 700);
        let page = store.candidates(key, 1, page.cursor, later, 2, 2).unwrap();
        assert_eq!(page.candidates[0].id, all[4]);
        assert_eq!(page.next_retry_at, None);
    });
}

#[test]
fn a_batch_is_written_whole_and_its_last_word_counts() {
    each(|store| {
        let key = rollout(store, 6);
        let all = ids(store, key);
        let mut changes: Vec<_> = all.iter().map(|id| to(*id, State::Delivering, 1, 0)).collect();
        changes.push(to(all[1], State::Succeeded, 1, 0));
        changes.push(to(all[2], State::Verifying, 1, 99));
        changes.push(to(all[2], State::Succeeded, 1, 0));
        changes.push(Change {
            detail: Some("HTTP 404".into()),
            ..to(all[4], State::Failed(FailReason::Rejected), 1, 0)
        });
        store.commit(&batch(key, changes)).unwrap();
        let counts = store.counts(key, 1).unwrap();
        assert_eq!(counts, Counts { delivering: 3, succeeded: 2, failed: 1, ..Counts::default() });
        let mut unfinished = vec![];
        store.for_each_unfinished(key, 1, &mut |device| unfinished.push(device)).unwrap();
        assert_eq!(unfinished.len(), 4);
        assert_eq!(unfinished[2].detail.as_deref(), Some("HTTP 404"));
        let open: Vec<_> =
            store.open(key, 1).unwrap().iter().map(|candidate| candidate.id).collect();
        assert_eq!(open, [all[0], all[3], all[5]]);
    });
}

#[test]
fn a_batch_with_a_row_that_is_not_there_changes_nothing() {
    each(|store| {
        let key = rollout(store, 3);
        let all = ids(store, key);
        let changes = vec![
            to(all[0], State::Delivering, 1, 0),
            to(AssignmentId(all[2].0 + 1), State::Delivering, 1, 0),
        ];
        let refused = store.commit(&batch(key, changes));
        assert!(matches!(refused, Err(StoreError::Damaged(_))), "{refused:?}");
        assert_eq!(store.counts(key, 1).unwrap().queued, 3);
    });
}

#[test]
fn a_device_has_at_most_one_active_assignment() {
    each(|store| {
        let first = rollout(store, 2);
        let second = rollout(store, 3);
        let (first_ids, second_ids) = (ids(store, first), ids(store, second));
        store.commit(&batch(first, vec![to(first_ids[0], State::Delivering, 1, 0)])).unwrap();
        let refused =
            store.commit(&batch(second, vec![to(second_ids[0], State::Delivering, 1, 0)]));
        assert!(refused.is_err());
        assert_eq!(store.counts(second, 1).unwrap().queued, 3);
        store.commit(&batch(first, vec![to(first_ids[0], State::Succeeded, 1, 0)])).unwrap();
        store.commit(&batch(second, vec![to(second_ids[0], State::Delivering, 1, 0)])).unwrap();
    });
}

#[test]
fn a_round_has_rows_of_its_own_for_those_that_failed() {
    each(|store| {
        let key = rollout(store, 4);
        let all = ids(store, key);
        let failed = State::Failed(FailReason::Transfer);
        store
            .commit(&batch(
                key,
                vec![
                    to(all[0], State::Succeeded, 1, 0),
                    to(all[1], failed, 3, 0),
                    to(all[2], State::Succeeded, 1, 0),
                    to(all[3], State::Failed(FailReason::Unreachable), 3, 0),
                ],
            ))
            .unwrap();
        assert_eq!(store.open_round(key, NOW).unwrap(), 2);
        assert_eq!(store.counts(key, 2).unwrap(), Counts { queued: 2, ..Counts::default() });
        let before = store.counts(key, 1).unwrap();
        assert_eq!((before.succeeded, before.failed, before.unreachable), (2, 1, 1));
        let page = store.candidates(key, 2, Cursor::default(), NOW, 9, 9).unwrap();
        let names: Vec<_> =
            page.candidates.iter().map(|candidate| candidate.endpoint.id.to_string()).collect();
        assert_eq!(names, ["pos-1", "pos-3"]);
    });
}

#[test]
fn a_rollout_given_up_is_not_found_again() {
    each(|store| {
        let key = rollout(store, 4);
        let all = ids(store, key);
        store
            .commit(&batch(
                key,
                vec![to(all[0], State::Succeeded, 1, 0), to(all[1], State::Verifying, 1, 9)],
            ))
            .unwrap();
        assert_eq!(store.unfinished().unwrap().len(), 1);
        let counts = store.cancel(key, NOW).unwrap();
        assert_eq!(counts, Counts { succeeded: 1, canceled: 3, ..Counts::default() });
        assert!(store.find(&[4; 32]).unwrap().is_none());
        assert!(store.unfinished().unwrap().is_empty());
    });
}

#[test]
fn epochs_rise_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    assert_eq!(SqliteStore::open(&path).unwrap().raise_epoch().unwrap(), Epoch(1));
    assert_eq!(SqliteStore::open(&path).unwrap().raise_epoch().unwrap(), Epoch(2));
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    drop(SqliteStore::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }), "{refused}");
}

#[test]
fn what_is_no_database_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    std::fs::write(&path, vec![b'x'; 9_000]).unwrap();
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged(_)), "{refused}");
}
