//! Other rollouts that are in the way of a push, and what is given up for it.

use std::time::Duration;

use groundswell::{
    access::Change,
    core::{
        event::Kind,
        ids::{Epoch, RolloutId},
        rollout::{Progression, State},
        time::Time,
    },
    operate::{AuditWant, State as Kept},
    push::{PushError, PushResult, Would},
    sim::Options,
    store::{
        Batch, SqliteStore, Store, Which,
        dir::{self, StateDir},
    },
};

use super::{Stage, cut_short};

#[tokio::test]
async fn another_push_is_refused_until_the_first_is_given_up() {
    let stage = Stage::new(Options { reboot: Duration::from_secs(3), ..Options::default() });
    cut_short(&stage, 300, 50).await;
    std::fs::write(stage.file(), b"edited meanwhile").unwrap();
    let refused = stage.push(300).build().unwrap().run().await.unwrap_err();
    assert!(matches!(refused, PushError::OtherUnfinished { .. }), "{refused}");
    assert!(refused.to_string().contains("--abandon"), "{refused}");
    let (done, _) = stage.run(stage.push(300).abandon(true)).await;
    assert_eq!(done.result, PushResult::Completed);
}

#[tokio::test]
async fn who_pushed_is_in_the_audit_log_and_a_push_that_has_nothing_to_do_is_not() {
    let stage = Stage::new(Options { reboot: Duration::from_secs(3), ..Options::default() });
    cut_short(&stage, 30, 5).await;
    let devices = |count| stage.push(count).asked_from("a test");
    stage.run(devices(30)).await;
    stage.run(devices(30)).await;
    let other = stage.push_version("3.0.0", 30).build().unwrap();
    let running = tokio::spawn(other.run());
    while stage.fleet.summary().receptions.count < 35 {
        tokio::task::yield_now().await;
    }
    running.abort();
    running.await.unwrap_err();
    while StateDir::lock(&stage.state(), "test").is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stage.run(stage.push_version("4.0.0", 7).abandon(true)).await;
    let kept = Kept::look(&stage.state()).unwrap();
    let (entries, _) =
        kept.audit_page(&AuditWant { after: Some(0), limit: 100, ..AuditWant::default() }).unwrap();
    let told: Vec<(&str, &str, &str, u64)> = entries
        .iter()
        .map(|entry| {
            let Change { action, subject, from, after, .. } = &entry.change;
            let devices = after.as_ref().unwrap()["devices"].as_u64().unwrap_or(0);
            (action.as_str(), subject.as_str(), from.as_str(), devices)
        })
        .collect();
    let expected = [
        ("push.start", "push pos 2.0.0", "library", 30),
        ("push.go-on", "push pos 2.0.0", "a test", 30),
        ("push.start", "push pos 3.0.0", "library", 30),
        ("rollout.cancel", "rollout 2", "library", 0),
        ("push.start", "push pos 4.0.0", "library", 7),
    ];
    assert_eq!(told, expected);
    let who = groundswell::access::this_user();
    assert!(entries.iter().all(|entry| entry.change.who == who), "{entries:?}");
    assert!(kept.verify_audit(None).unwrap().is_well());
}

/// Writes down where the only push of a state directory stands.
fn set_down(stage: &Stage, change: impl FnOnce(&mut Progression)) {
    let mut store = SqliteStore::open(&dir::database(&stage.state())).unwrap();
    let record = store.rollouts(Which::All).unwrap().remove(0);
    let mut progression = record.progression;
    change(&mut progression);
    let progression = Some(progression);
    let batch = Batch { progression, ..Batch::empty(record.key, Epoch(0), Time::ZERO) };
    store.commit(&batch).unwrap();
}

#[tokio::test]
async fn a_push_given_up_before_it_began_is_told_with_all_its_devices() {
    let stage = Stage::new(Options { reboot: Duration::from_secs(3), ..Options::default() });
    cut_short(&stage, 300, 50).await;
    set_down(&stage, |progression| {
        (progression.state, progression.started_at) = (State::Scheduled, None);
    });
    let (done, events) = stage.run(stage.push_version("3.0.0", 300).abandon(true)).await;
    let Kind::RolloutCanceled { counts } = events[0].kind else { panic!("{}", events[0]) };
    assert_eq!((counts.total(), counts.canceled + counts.succeeded), (300, 300));
    assert_eq!(done.result, PushResult::Completed);
}

#[tokio::test]
async fn a_push_whose_giving_up_was_cut_short_is_not_gone_on_with() {
    for version in ["2.0.0", "3.0.0"] {
        let stage = Stage::new(Options { reboot: Duration::from_secs(3), ..Options::default() });
        cut_short(&stage, 100, 20).await;
        set_down(&stage, |progression| progression.state = State::Canceling);
        let push = || stage.push_version(version, 100);
        let would = push().build().unwrap().dry_run().unwrap().would;
        assert_eq!(would, Would::Start);
        let (done, events) = stage.run(push()).await;
        assert!(matches!(events[0].kind, Kind::RolloutCanceled { .. }), "{}", events[0]);
        assert_eq!((done.result, done.counts.total()), (PushResult::Completed, 100));
    }
}

#[tokio::test]
async fn a_push_that_was_killed_before_its_devices_were_chosen_starts_anew() {
    let stage = Stage::new(Options::default());
    stage.run(stage.push(3)).await;
    set_down(&stage, |progression| progression.state = State::Draft);
    let (done, _) = stage.run(stage.push(3)).await;
    assert_eq!((done.result, done.counts.total()), (PushResult::Completed, 3));
    let store = SqliteStore::open(&dir::database(&stage.state())).unwrap();
    assert_eq!(store.rollouts(Which::All).unwrap().len(), 1, "the draft is left behind");
}

#[tokio::test]
async fn a_rollout_of_an_operator_is_named_with_what_gives_it_up() {
    let stage = Stage::new(Options::default());
    stage.run(stage.push(3)).await;
    let mut store = SqliteStore::open(&dir::database(&stage.state())).unwrap();
    let done = store.rollouts(Which::All).unwrap().remove(0);
    let id = RolloutId(uuid::Uuid::now_v7());
    let draft = store.create(id, None, &done.spec, Time::ZERO).unwrap();
    let push = |abandon| stage.push_version("3.0.0", 3).abandon(abandon).build().unwrap();
    assert_eq!(push(false).dry_run().unwrap().would, Would::Start, "a draft is in nobody's way");
    let progression = Progression { state: State::Paused, ..Progression::draft(&done.spec) };
    let progression = Some(progression);
    store.commit(&Batch { progression, ..Batch::empty(draft, Epoch(0), Time::ZERO) }).unwrap();
    let (number, path) = (draft.0, stage.state().display().to_string());
    for abandon in [false, true] {
        let why = format!(
            "rollout {number} (pos 2.0.0) in {path} is not finished, and is no push: \
             `groundswell run --state {path}` drives it and \
             `groundswell rollout cancel {number} --state {path}` gives it up; \
             or use another directory with --state"
        );
        assert_eq!(push(abandon).run().await.unwrap_err().to_string(), why);
        let would = push(abandon).dry_run().unwrap().would;
        assert_eq!(would, Would::BeRefused { why });
    }
}

#[tokio::test]
async fn a_rollout_that_a_driver_prepares_is_not_taken_for_a_push_cut_short() {
    let stage = Stage::new(Options::default());
    stage.run(stage.push(3)).await;
    let open = || SqliteStore::open(&dir::database(&stage.state())).unwrap();
    // One of an operator in its first round, and the push in its second.
    let mut store = open();
    let done = store.rollouts(Which::All).unwrap().remove(0);
    let id = RolloutId(uuid::Uuid::now_v7());
    let other = store.create(id, None, &done.spec, Time::ZERO).unwrap();
    for (key, round) in [(other, 1), (done.key, 2)] {
        let record = store.rollout(key).unwrap().unwrap();
        let mut progression = record.progression;
        (progression.state, progression.round) = (State::Preparing, round);
        let progression = Some(progression);
        let batch = Batch { progression, ..Batch::empty(key, Epoch(0), Time::ZERO) };
        store.commit(&batch).unwrap();
    }
    drop(store);
    // What an operator has made is the operator's to give up.
    for abandon in [false, true] {
        let push = || stage.push_version("3.0.0", 3).abandon(abandon).build().unwrap();
        assert!(push().dry_run().unwrap().is_refused());
        let refused = push().run().await.unwrap_err();
        let is_other =
            matches!(refused, PushError::OtherRollout { number, .. } if number == other.0);
        let is_own = matches!(refused, PushError::OtherUnfinished { .. });
        assert!(is_other || is_own && !abandon, "{refused}");
    }
    let mut store = open();
    let mut progression = store.rollout(other).unwrap().unwrap().progression;
    progression.state = State::Canceled;
    let progression = Some(progression);
    store.commit(&Batch { progression, ..Batch::empty(other, Epoch(0), Time::ZERO) }).unwrap();
    let push = stage.push_version("3.0.0", 3).build().unwrap();
    assert!(push.dry_run().unwrap().is_refused());
    let refused = push.run().await.unwrap_err();
    assert!(matches!(refused, PushError::OtherUnfinished { .. }), "{refused}");
    let states = || -> Vec<State> {
        let all = store.rollouts(Which::All).unwrap();
        all.into_iter().map(|record| record.progression.state).collect()
    };
    assert_eq!(states(), [State::Preparing, State::Canceled]);
    let (next, _) = stage.run(stage.push_version("3.0.0", 3).abandon(true)).await;
    assert_eq!(next.result, PushResult::Completed);
    assert_eq!(states(), [State::Canceled, State::Canceled, State::Completed]);
}
