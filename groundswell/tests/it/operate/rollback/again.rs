//! Rollouts that were rolled back and go on, and rollbacks that have to be asked for again.

use std::fs;

use groundswell::{
    core::{ids::Epoch, rollout::State, time::Time},
    sim::Options,
    store::{Batch, RolloutKey, SqliteStore, Store},
};

use super::{super::driven::Stage, ALL, one_line};
use crate::program::pause;

#[test]
fn what_was_rolled_back_can_be_tried_again() {
    // One keeps what it has, so that there is somebody to try again.
    let faults = vec!["status:400:1".parse().unwrap()];
    let mut stage = Stage::new(3, Options { faults, ..Options::default() });
    stage.releases(&["1.0.0"]);
    stage.write("all.toml", &format!("{ALL}\nquarantine_after = 'off'"));
    stage.well(&["rollout", "create", "all.toml"]);
    stage.drive();
    stage.well(&["rollout", "start", "2"]);
    stage.until_of("2", "failed");
    stage.well(&["rollout", "rollback", "2"]);
    stage.until_ended("3");
    assert_eq!(stage.rollout("3")["counts"]["current"], 3, "each was asked, and ran it");
    let retried = stage.told(&["rollout", "retry", "2"]);
    let warning = "it was rolled back by rollout 3; its next round sends the same release again";
    assert!(retried.contains(warning), "{retried}");
    while stage.rollout("2")["round"] != 2 || stage.rollout("2")["ended_at"].is_null() {
        pause();
    }
    let counts = &stage.rollout("2")["counts"];
    assert_eq!((&counts["failed"], &counts["skipped"]), (&3.into(), &0.into()), "{counts}");
    let explained = one_line(&stage.told(&["rollout", "explain", "2"]));
    assert!(explained.contains("it was rolled back by rollout 3"), "{explained}");
    stage.well(&["rollout", "replay", "2"]);
}

/// Version 2.0.0 is everywhere, by rollout 2, where devices ran two versions.
fn of_two_versions() -> Stage {
    let mut stage = Stage::new(3, Options::default());
    stage.releases(&["1.0.0", "1.5.0"]);
    stage.fleet().seed_device("pos-2", "1.5.0");
    stage.well(&["device", "check-in", "pos-2", "--version", "1.5.0"]);
    stage.drive();
    stage.write("all.toml", ALL);
    stage.well(&["rollout", "create", "all.toml"]);
    stage.well(&["rollout", "start", "2"]);
    stage.until_of("2", "completed");
    stage
}

#[test]
fn devices_of_a_rollback_that_was_given_up_can_go_back_by_another() {
    let stage = of_two_versions();
    stage.well(&["rollout", "rollback", "2", "--draft"]);
    let refused = stage.told(&["rollout", "rollback", "2"]);
    let words = "rolled back by rollouts 3 and 4 already; start begins a draft, and retry";
    assert!(refused.contains(words), "{refused}");
    stage.well(&["rollout", "cancel", "4"]);
    // The others are in hand, begun or not.
    let told = stage.told(&["rollout", "rollback", "2", "--dry-run"]);
    let words = ["back to pos-app 1.5.0, 1 device", "2 devices that another rollback has already"];
    assert!(words.iter().all(|words| told.contains(words)), "{told}");
    stage.well(&["rollout", "start", "3"]);
    stage.until_of("3", "completed");
    stage.well(&["rollout", "rollback", "2"]);
    stage.until_of("5", "completed");
    assert_eq!(stage.versions(3), ["1.0.0", "1.0.0", "1.5.0"]);
    let refused = stage.told(&["rollout", "rollback", "2"]);
    assert!(refused.contains("it is rolled back by rollouts 3 and 5 already"), "{refused}");
}

#[test]
fn rollbacks_that_could_not_be_started_are_told_with_those_that_were() {
    let stage = of_two_versions();
    // Two that nobody answers for in time.
    stage.signal("-STOP");
    let ran = stage.run(&["rollout", "rollback", "2"]);
    stage.signal("-CONT");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for words in [
        "rollout 3 is a draft: back to pos-app 1.0.0, 2 devices",
        "rollout 4 is a draft: back to pos-app 1.5.0, 1 device",
        "its start failed: groundswell-data is driven by another process",
        "`groundswell rollout start 3` begins it",
        "`groundswell rollout start 4` begins it",
    ] {
        assert!(ran.out.contains(words), "{ran:?}");
    }
    for number in ["3", "4"] {
        stage.until_of(number, "completed");
    }
    assert_eq!(stage.versions(3), ["1.0.0", "1.0.0", "1.5.0"]);
}

#[test]
fn an_abort_leaves_what_went_wrong_as_it_is() {
    let mut stage = Stage::updated(3);
    stage.releases(&["1.0.0"]);
    stage.kill();
    // It went wrong, and nobody has looked yet who goes back to what.
    let mut store = SqliteStore::open(&stage.dir().join("groundswell-data/state.db")).unwrap();
    let mut progression = store.rollout(RolloutKey(2)).unwrap().unwrap().progression;
    progression.come_to(State::Aborting, Time::ZERO);
    progression.is_to_roll_back = true;
    let now = groundswell::clock::Clock::System.now();
    let batch = Batch::empty(RolloutKey(2), Epoch(9), now);
    store.commit(&Batch { progression: Some(progression), ..batch }).unwrap();
    drop(store);
    let told = stage.told(&["rollout", "abort", "2"]);
    let words = "is aborting, and is not rolled back: devices keep what they have";
    assert!(told.contains(words), "{told}");
    assert!(stage.told(&["rollout", "abort", "2"]).contains("it was aborted before"));
    stage.drive();
    stage.until_of("2", "aborted");
    assert_eq!(stage.rollout("2")["rolled_back_by"], serde_json::json!([]));
    // By hand it still can be.
    stage.well(&["rollout", "rollback", "2"]);
    stage.until_of("3", "completed");
    assert_eq!(stage.versions(3), ["1.0.0"; 3]);
}

#[test]
fn a_rollback_without_its_file_is_paused_and_says_which_one_it_is() {
    let mut stage = Stage::updated(2);
    stage.releases(&["1.0.0"]);
    stage.kill();
    stage.well(&["rollout", "rollback", "2"]);
    let show = ["release", "show", "pos-app", "1.0.0", "--output", "json"];
    let kept = stage.run(&show).json()["path"].as_str().unwrap().to_owned();
    let (kept, aside) = (stage.dir().join(&kept), stage.dir().join("aside.bin"));
    fs::rename(&kept, &aside).unwrap();
    stage.drive();
    stage.until_of("3", "paused");
    let why = one_line(&stage.told(&["rollout", "why", "3"]));
    for words in [
        "paused: the artifact cannot be read",
        " of pos-app 1.0.0 is missing: put it back, or `groundswell release create pos-app 1.0.0 \
         FILE` with the same file; then `groundswell rollout resume 3` goes on",
        "groundswell-data/artifacts/",
    ] {
        assert!(why.contains(words), "{why}");
    }
    fs::rename(&aside, &kept).unwrap();
    let why = one_line(&stage.told(&["rollout", "why", "3"]));
    assert!(why.contains(" of pos-app 1.0.0 is there; `groundswell rollout resume 3`"), "{why}");
    stage.well(&["rollout", "resume", "3"]);
    stage.until_of("3", "completed");
    assert_eq!(stage.versions(2), ["1.0.0"; 2]);
}

#[test]
fn what_shows_no_version_cannot_be_rolled_back_by_itself() {
    let stage = Stage::new(2, Options::default());
    stage.releases(&["1.0.0"]);
    for mode in ["none", "reachable"] {
        let spec = format!("{ALL}\non_failure = 'rollback'\nverify = {{ mode = '{mode}' }}");
        stage.write("blind.toml", &spec);
        let words = format!("with verify.mode = \"{mode}\" nobody is shown which version");
        for verb in ["create", "check"] {
            let ran = stage.run(&["rollout", verb, "blind.toml"]);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(one_line(&ran.told()).contains(&words), "{ran:?}");
        }
    }
}
