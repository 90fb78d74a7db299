//! The log as it is kept: run again, pruned, copied, and found to be changed.

use std::{fs, time::Duration};

use groundswell::{clock::Clock, sim::Options};

use super::driven::Stage;

/// Where the tests have the state.
const STATE: &str = "groundswell-data";

fn database(stage: &Stage) -> rusqlite::Connection {
    rusqlite::Connection::open(stage.dir().join(STATE).join("state.db")).unwrap()
}

/// A moment behind all that is written down, as operators write it; it has passed by the time that a
/// program runs which is started then.
fn now() -> String {
    (Clock::System.now() + Duration::from_millis(1)).to_string()
}

fn replay(stage: &Stage) -> (Option<i32>, serde_json::Value) {
    let ran = stage.run(&["rollout", "replay", "1", "--output", "json"]);
    (ran.code, ran.json())
}

#[test]
fn a_log_runs_again_beside_its_driver_and_after_it() {
    let stage = Stage::driven(5, Options::default());
    let (code, report) = replay(&stage);
    assert_eq!((code, &report["drivers"]), (Some(0), &0.into()), "a draft");
    stage.run(&["rollout", "start", "1"]);
    stage.until("completed");
    let (code, report) = replay(&stage);
    assert_eq!((code, &report["mismatches_in_all"]), (Some(0), &0.into()), "{report}");
    assert_eq!((&report["devices"], &report["acts"]), (&5.into(), &1.into()));
    let told = stage.told(&["rollout", "replay", "1"]);
    let first =
        "rollout 1 (pos-app 2.0.0): its log runs again, byte by byte, and ends where it stands";
    assert!(told.contains(first), "{told}");
}

#[test]
fn a_log_that_was_changed_is_found_out_and_kept() {
    let stage = Stage::driven(5, Options::default());
    stage.run(&["rollout", "start", "1"]);
    stage.until("completed");
    let changed = database(&stage)
        .execute(
            "UPDATE log SET body = replace(body, '\"min_success\":90', '\"min_success\":50')",
            [],
        )
        .unwrap();
    assert!(changed > 0);
    let ran = stage.run(&["rollout", "replay", "1"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("does NOT run again"), "{ran:?}");
    let pruned = stage.run(&["state", "prune", "--before", &now()]);
    assert!(pruned.out.contains("rollout 1: all kept: its log does not run again"), "{pruned:?}");
    database(&stage).execute("UPDATE log SET body = '[{\"at\":' WHERE seq = 3", []).unwrap();
    let ran = stage.run(&["rollout", "replay", "1"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("row 3 of the log"), "{ran:?}");
    let pruned = stage.run(&["state", "prune", "--before", &now()]);
    assert_eq!(pruned.code, Some(1), "{pruned:?}");
    assert!(pruned.out.contains("rollout 1: all kept: its log cannot be read: "), "{pruned:?}");
}

#[test]
fn what_is_left_of_a_log_runs_again_while_it_is_driven() {
    let stage = Stage::driven(5, Options::default());
    stage.run(&["rollout", "start", "1"]);
    stage.until("completed");
    let rows = || -> i64 {
        database(&stage).query_row("SELECT count(*) FROM log", [], |row| row.get(0)).unwrap()
    };
    let before = rows();
    let ran = stage.run(&["state", "prune", "--before", "-99d"]);
    assert_eq!((ran.code, rows()), (Some(0), before), "{ran:?}");
    assert!(ran.err.contains("nothing was written down before"), "{ran:?}");
    let bytes = || -> i64 {
        database(&stage)
            .query_row("SELECT sum(length(body)) FROM log", [], |row| row.get(0))
            .unwrap()
    };
    let (bytes_before, later) = (bytes(), now());
    let ran = stage.run(&["state", "prune", "--before", &later, "--output", "json"]);
    assert_eq!((ran.code, rows()), (Some(0), 1), "{ran:?}");
    assert_eq!(ran.json()[0]["bytes"], bytes_before - bytes(), "what was gained");
    let (code, report) = replay(&stage);
    assert_eq!((code, &report["mismatches_in_all"]), (Some(0), &0.into()), "{report}");
    assert_eq!(report["devices"], 5, "those that ended before are there");
    assert_eq!(stage.run(&["state", "prune", "--before", "yesterday"]).code, Some(2));
    let all = stage.run(&["state", "prune", "--before", "-0d"]);
    assert_eq!(all.code, Some(2), "{all:?}");
    assert!(all.err.contains("--before -0s is not in the past"), "{all:?}");
}

#[test]
fn a_copy_is_made_while_it_is_driven_and_is_a_state_of_its_own() {
    let stage = Stage::driven(5, Options::default());
    stage.run(&["rollout", "start", "1"]);
    let ran = stage.run(&["state", "backup", "copy.db"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let again = stage.run(&["state", "backup", "copy.db"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.err.contains("copy.db is there already"), "{again:?}");
    let nowhere = stage.run(&["state", "backup", "nowhere/copy.db"]);
    assert_eq!(nowhere.code, Some(3), "{nowhere:?}");
    stage.until("completed");

    let restored = stage.dir().join("restored");
    fs::create_dir_all(&restored).unwrap();
    fs::copy(stage.dir().join("copy.db"), restored.join("state.db")).unwrap();
    let replayed = stage.run(&["rollout", "replay", "1", "--state", "restored"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let listed = stage.run(&["device", "list", "--state", "restored", "--output", "json"]).json();
    assert_eq!(listed["devices"].as_array().or(listed.as_array()).map(Vec::len), Some(5));
    let names = fs::read_dir(stage.dir()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().contains(".partial")));
}

#[test]
fn what_is_stored_otherwise_than_the_log_says_is_found() {
    let stage = Stage::driven(5, Options::default());
    stage.run(&["rollout", "start", "1"]);
    stage.until("completed");
    let swap = "UPDATE assignment SET device = 6 - device WHERE device < 6";
    for (change, back, sentence) in [
        (
            "UPDATE rollout SET state = 'running'",
            "UPDATE rollout SET state = 'completed'",
            "at the end: it is found by the state running, and is completed",
        ),
        (
            "UPDATE rollout SET progression = json_set(progression, '$.state', 'failed')",
            "UPDATE rollout SET progression = json_set(progression, '$.state', 'completed')",
            "at the end: state: stored is failed, its log ends with completed",
        ),
        (
            "UPDATE rollout SET spec = json_set(spec, '$.limits.max_per_host', 77)",
            "UPDATE rollout SET spec = json_set(spec, '$.limits.max_per_host', 10)",
            "at the end: its spec: limits.max_per_host: stored is 77, its log ends with 10",
        ),
        (
            "UPDATE cohort SET counts = json_set(counts, '$.failed', 1)",
            "UPDATE cohort SET counts = json_set(counts, '$.failed', 0)",
            "at the end: failed: stored is",
        ),
        (swap, swap, "at the end: the device of assignment"),
    ] {
        assert!(database(&stage).execute(change, []).unwrap() > 0, "{change}");
        let ran = stage.run(&["rollout", "replay", "1"]);
        assert_eq!(ran.code, Some(1), "{change}: {ran:?}");
        assert!(ran.out.contains(sentence), "{change}: {ran:?}");
        database(&stage).execute(back, []).unwrap();
        let ran = stage.run(&["rollout", "replay", "1"]);
        assert_eq!(ran.code, Some(0), "{back}: {ran:?}");
    }
}

#[test]
fn what_is_written_down_of_a_device_is_little() {
    // Of 3 devices it is some 400: outcomes come one by one, or two at once.
    let waves = "[[waves]]\ncount = 4\nmin_success = 90\n".repeat(99);
    let waves = format!("{waves}[[waves]]\npercent = 100\nmin_success = 90\n");
    for (what, devices, fields) in [
        ("100 waves of 4", 400, waves.as_str()),
        ("60 a second", 120, "[limits]\nper_minute = 3600\n"),
        // What is written once takes some 1,800 bytes: of fewer than 8 it is more for each.
        ("few", 16, ""),
    ] {
        let stage = Stage::driven(devices, Options::default());
        let spec = format!("release = 'pos-app 2.0.0'\n{fields}");
        fs::write(stage.dir().join("spec.toml"), spec).unwrap();
        assert_eq!(stage.run(&["rollout", "create", "spec.toml"]).code, Some(0), "{what}");
        stage.run(&["rollout", "start", "2"]);
        stage.until_of("2", "completed");
        let bytes: i64 = database(&stage)
            .query_row("SELECT sum(length(body)) FROM log WHERE rollout = 2", [], |row| row.get(0))
            .unwrap();
        assert!(bytes <= 400 * devices as i64, "{what}: {} bytes a device", bytes / devices as i64);
    }
}
