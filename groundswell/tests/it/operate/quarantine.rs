//! Devices that fail one rollout after the other, and are left out.

use std::fs;

use groundswell::sim::Options;

use super::{Desk, assert_told, driven::Stage};
use crate::program::pause;

/// Makes a release, and a rollout of it for every device that has ended.
fn roll_out(stage: &Stage, number: usize, more: &str) {
    let version = format!("3.0.{number}");
    fs::write(stage.dir().join("new.bin"), &version).unwrap();
    let spec = format!("release = 'pos-app {version}'\nsalt = 'fixed'\n{more}");
    fs::write(stage.dir().join("again.toml"), spec).unwrap();
    let number = number.to_string();
    for args in [
        &["release", "create", "pos-app", &version, "new.bin"][..],
        &["rollout", "create", "again.toml"],
        &["rollout", "start", &number],
    ] {
        let ran = stage.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    }
    until_ended(stage, &number);
}

/// One in which every device fails has failed.
fn until_ended(stage: &Stage, number: &str) {
    while !["completed", "failed"].contains(&stage.rollout(number)["state"].as_str().unwrap()) {
        pause();
    }
}

fn counts(stage: &Stage, number: &str) -> (u64, u64) {
    let counts = &stage.rollout(number)["counts"];
    (counts["failed"].as_u64().unwrap(), counts["skipped"].as_u64().unwrap())
}

/// Rollout 1 of the stage stays a draft.
#[test]
fn after_three_failures_in_a_row_a_device_is_left_out_until_it_is_released() {
    let faults = vec!["status:400:1".parse().unwrap()];
    let mut stage = Stage::driven(3, Options { faults, ..Options::default() });
    roll_out(&stage, 2, "");
    roll_out(&stage, 3, "");
    // Another round is of the same rollout, which counts once.
    assert_eq!(stage.run(&["rollout", "retry", "3"]).code, Some(0));
    until_ended(&stage, "3");
    assert_eq!(counts(&stage, "3"), (3, 0), "in its second round");
    roll_out(&stage, 4, "");
    assert_eq!(counts(&stage, "4"), (3, 0), "they had failed two so far");
    stage.drive();
    let requests = stage.fleet().summary().requests;
    roll_out(&stage, 5, "");
    assert_eq!(counts(&stage, "5"), (0, 3));
    assert_eq!(stage.fleet().summary().requests, requests, "nothing was sent");
    assert_told!(stage.told(&["rollout", "show", "5"]), @"
    exit 0
    --- out
    rollout 5: pos-app 3.0.5, immediate, completed
      id       ID
      select   every device
      created  TIME
      began    TIME
      ended    TIME
      devices  3: 3 skipped
      skipped  3: 3 quarantined
    ");
    assert_told!(stage.told(&["rollout", "why", "5", "pos-1"]), @"
    exit 0
    --- out
    pos-1 in rollout 5 (pos-app 3.0.5): skipped: quarantined; since TIME
      it failed 3 rollouts in a row, the last one rollout 4; `groundswell device release pos-1 --reason TEXT` lets it take part again
    ");
    let shown = stage.told(&["device", "show", "pos-1"]);
    let failed = "failed     3 rollouts in a row, the last one rollout 4";
    assert!(shown.contains(failed), "{shown}");
    let explained = stage.run(&["rollout", "explain", "5", "pos-1"]).out;
    assert!(explained.contains("failed 3 rollouts in a row"), "{explained}");
    assert_eq!(stage.run(&["rollout", "replay", "5"]).code, Some(0));

    let release = ["device", "release", "pos-1", "--reason", "new disk"];
    assert_told!(stage.told(&release), @"
    exit 0
    --- out
    pos-1 takes part again; that it failed 3 rollouts in a row is forgotten
    ");
    assert_told!(stage.told(&release), @"
    exit 2
    --- err
    error: pos-1 is left out by no rollout: it failed none since it last took one well
    ");
    let shown = stage.run(&["device", "show", "pos-1", "--output", "json"]).json();
    assert_eq!(shown["released_because"], "new disk");
    let told = stage.told(&["rollout", "why", "5", "pos-1"]);
    let forgotten = "what it had failed is forgotten since: the next rollout has it";
    assert!(told.contains(forgotten), "{told}");
    stage.drive();
    roll_out(&stage, 6, "");
    assert_eq!(counts(&stage, "6"), (1, 2));
    roll_out(&stage, 7, "quarantine_after = 'off'");
    assert_eq!(counts(&stage, "7"), (3, 0), "nobody is left out");
    roll_out(&stage, 8, "quarantine_after = 2");
    assert_eq!(counts(&stage, "8"), (0, 3));
}

/// Rollouts in a row that a device failed, as `device show` has it.
fn failed(stage: &Stage, device: &str) -> Vec<u64> {
    let shown = stage.run(&["device", "show", device, "--output", "json"]).json();
    let numbers = shown["failed_in_row"].as_array().cloned().unwrap_or_default();
    numbers.iter().filter_map(serde_json::Value::as_u64).collect()
}

/// Whoever is not there when it is tried has failed.
const ONCE: &str = "retry = { attempts = 1 }\ntimeouts = { verifying = '300ms' }";

#[test]
fn one_success_and_nothing_is_held_against_a_device_any_more() {
    let stage = Stage::driven(2, Options::default());
    stage.fleet().set_offline("pos-0", true);
    roll_out(&stage, 2, ONCE);
    roll_out(&stage, 3, ONCE);
    assert_eq!((failed(&stage, "pos-0"), failed(&stage, "pos-1")), (vec![2, 3], vec![]));
    stage.fleet().set_offline("pos-0", false);
    roll_out(&stage, 4, ONCE);
    assert_eq!(failed(&stage, "pos-0"), [0; 0]);
    // The next failure is the first one: it is not the third in a row.
    stage.fleet().set_offline("pos-0", true);
    roll_out(&stage, 5, ONCE);
    assert_eq!(failed(&stage, "pos-0"), [5]);
    stage.fleet().set_offline("pos-0", false);
    roll_out(&stage, 6, ONCE);
    assert_eq!(counts(&stage, "6"), (0, 0), "it takes part");
}

#[test]
fn neither_a_rollback_nor_a_push_leaves_anybody_out() {
    let mut stage = Stage::driven(3, Options::default());
    roll_out(&stage, 2, ONCE);
    for device in ["pos-0", "pos-1"] {
        stage.fleet().set_offline(device, true);
    }
    for number in 3..6 {
        roll_out(&stage, number, ONCE);
    }
    for device in ["pos-0", "pos-1"] {
        assert_eq!(failed(&stage, device), [3, 4, 5]);
        stage.fleet().set_offline(device, false);
    }
    roll_out(&stage, 6, ONCE);
    assert_eq!(counts(&stage, "6"), (0, 2), "others do");
    stage.kill();
    let all = fs::read_to_string(stage.dir().join("devices.csv")).unwrap();
    let one = all.lines().filter(|line| !line.starts_with("pos-") || line.starts_with("pos-1,"));
    fs::write(stage.dir().join("one.csv"), one.collect::<Vec<_>>().join("\n")).unwrap();
    let push =
        ["push", "pos.bin", "--devices", "one.csv", "--name", "pos-app", "--version", "9.0.0"];
    let pushed = stage.run(&push);
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    assert_eq!(failed(&stage, "pos-1"), [0; 0]);
    stage.drive();
    for args in
        [&["release", "create", "pos-app", "1.0.0", "pos.bin"][..], &["rollout", "rollback", "2"]]
    {
        let ran = stage.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    }
    stage.until_of("8", "completed");
    assert_eq!(&*stage.fleet().device("pos-0").unwrap().version, "1.0.0");
    assert_eq!(counts(&stage, "8"), (0, 0));
    assert_eq!(failed(&stage, "pos-0"), [3, 4, 5], "what is old shows nothing of what is new");
}

#[test]
fn what_cannot_be_released_is_told() {
    let desk = Desk::set();
    assert_told!(desk.told(&["device", "release", "pos-01", "--reason", "x"]), @"
    exit 2
    --- err
    error: pos-01 is left out by no rollout: it failed none since it last took one well
    ");
    assert_told!(desk.told(&["device", "release", "pos-0x", "--reason", "x"]), @"
    exit 2
    --- err
    error: there is no device `pos-0x`; did you mean `pos-01`?
    ");
    assert_told!(desk.told(&["device", "release", "pos-01", "--reason", " "]), @"
    exit 2
    --- err
    error: --reason: say in 1 to 500 characters why it may take part again
    ");
    assert_told!(desk.told(&["device", "release", "pos-01", "--reason", "new\u{7}disk"]), @"
    exit 2
    --- err
    error: --reason has a control character at byte 3
    ");
}
