//! Whether a newer rollout keeps a device from an older one: claims and people are told the same.

use groundswell::{
    core::{
        assignment::{Assignment, SkipReason, State},
        ids::Epoch,
        rollout::Progression,
        time::Time,
    },
    operate,
    store::{
        Assign, Batch, Change, CohortName, Cursor, QueueWant, RolloutKey, SqliteStore, Store, Want,
        dir::database,
    },
};

use super::Desk;

const NOW: Time = Time::from_millis(1_764_000_000_000);

/// Rollout 1 and the newer rollout 2, both with one device that waits for its turn.
fn two_rollouts() -> (Desk, SqliteStore) {
    let desk = Desk::drafted();
    desk.well(&["rollout", "create", "spec.toml"]);
    let mut store = SqliteStore::open(&database(&desk.state())).unwrap();
    for rollout in [RolloutKey(1), RolloutKey(2)] {
        add(&mut store, rollout, 1);
    }
    (desk, store)
}

/// Starts a round of a rollout for the device.
fn add(store: &mut SqliteStore, rollout: RolloutKey, round: u32) {
    let device = store.device_key("pos-01").unwrap().unwrap();
    let cohort = CohortName { wave: 0, zone: None };
    let assign = Assign { device, cohort: 0, state: State::Queued };
    store.assign(rollout, round, &[cohort], &[assign], true, NOW).unwrap();
    let spec = store.rollout(rollout).unwrap().unwrap().spec;
    let started = Progression { started_at: Some(NOW), round, ..Progression::draft(&spec) };
    let batch = Batch::empty(rollout, Epoch(1), NOW);
    store.commit(&Batch { progression: Some(started), ..batch }).unwrap();
}

/// The row of the device in the newer rollout comes to a state.
fn comes_to(store: &mut SqliteStore, id: groundswell::core::ids::AssignmentId, state: State) {
    let to = Assignment { state, ..Assignment::queued() };
    let changes = vec![Change { id, to, detail: None }];
    store.commit(&Batch { changes, ..Batch::empty(RolloutKey(2), Epoch(1), NOW) }).unwrap();
}

/// As claims of the older rollout see it, and as people are told of it.
fn is_superseded(desk: &Desk, store: &SqliteStore) -> (bool, bool) {
    let rollout = RolloutKey(1);
    let cohort = store.cohorts(rollout, 1).unwrap()[0].key;
    let queue = QueueWant { cohort, after: 0, limit: 9, is_sweep: false };
    let want = Want {
        rollout,
        cursor: Cursor::default(),
        until: Time::ZERO,
        limit: 9,
        queue: Some(queue),
        refresh: vec![],
        recall: vec![],
        is_known_wanted: true,
        rivals: store.rivals(rollout).unwrap(),
        pers: [].into(),
    };
    let page = store.candidates(&want).unwrap();
    let known = page.candidates[0].known.as_ref().unwrap();
    let state = operate::State::look(&desk.state()).unwrap();
    let why = state.why(&state.find_rollout("1").unwrap(), "pos-01", NOW).unwrap();
    (known.is_superseded, why.outlook == Some(SkipReason::Superseded))
}

#[test]
fn wherever_the_newer_one_has_it() {
    let (desk, mut store) = two_rollouts();
    // Two rollouts, and one row in each.
    let newer = groundswell::core::ids::AssignmentId(2);
    for state in State::ALL {
        comes_to(&mut store, newer, state);
        let has = !matches!(state, State::Canceled | State::Skipped(_))
            || state == State::Skipped(SkipReason::AlreadyCurrent);
        assert_eq!(is_superseded(&desk, &store), (has, has), "{state}");
    }
}

#[test]
fn whatever_became_of_its_next_round() {
    let (desk, mut store) = two_rollouts();
    let [first, second] = [2, 3].map(groundswell::core::ids::AssignmentId);
    comes_to(&mut store, first, State::TimedOut(groundswell::core::assignment::Step::Verifying));
    add(&mut store, RolloutKey(2), 2);
    comes_to(&mut store, second, State::Canceled);
    assert_eq!(is_superseded(&desk, &store), (true, true), "it was sent to in the first round");
}
