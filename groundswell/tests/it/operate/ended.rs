//! What is told of rollouts that have ended, and of rounds that have.

use std::fs;

use groundswell::sim::Options;

use super::{assert_told, driven::Stage};

/// Three waves; the first is watched for longer than anybody waits.
const SOAKS: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
    [[waves]]\ncount = 1\nsoak = '9h'\nmin_success = 100\n\
    [[waves]]\npercent = 50\nmin_success = 90\n[[waves]]\npercent = 100";

#[test]
fn waves_of_a_rollout_that_was_given_up_wait_no_more() {
    let stage = Stage::driven(5, Options::default());
    fs::write(stage.dir().join("soaks.toml"), SOAKS).unwrap();
    for (number, act) in [("2", "cancel"), ("3", "abort")] {
        stage.run(&["rollout", "create", "soaks.toml"]);
        stage.run(&["rollout", "start", number]);
        while stage.rollout(number)["waves"][0]["state"] != "soaking" {
            crate::program::pause();
        }
        assert_eq!(stage.run(&["rollout", act, number]).code, Some(0));
        stage.until_of(number, if act == "cancel" { "canceled" } else { "aborted" });
    }
    assert_told!(stage.told(&["rollout", "show", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, canceled
      id       ID
      select   every device
      created  TIME
      began    TIME
      ended    TIME
      devices  5: 1 succeeded, 4 canceled

      wave  state            devices  ended  succeeded  failed
         1  ended by cancel        1      1          1       0
         2  not opened             2      2          0       0
         3  not opened             2      2          0       0
    ");
    assert_told!(stage.told(&["rollout", "show", "3"]), @"
    exit 0
    --- out
    rollout 3: pos-app 2.0.0, progressive, aborted
      id       ID
      select   every device
      created  TIME
      began    TIME
      ended    TIME
      devices  5: 1 succeeded, 4 canceled

      wave  state           devices  ended  succeeded  failed
         1  ended by abort        1      1          1       0
         2  not opened            2      2          0       0
         3  not opened            2      2          0       0
    ");
    let waves = stage.rollout("2")["waves"].clone();
    assert_eq!(waves[0]["state"], "ended_by_cancel");
    assert_eq!(waves[0]["since"], stage.rollout("2")["ended_at"]);
    assert_eq!(waves[1]["state"], "not_opened");
}

#[test]
fn who_failed_and_who_was_skipped_is_counted_by_why() {
    let faults = vec!["status:400:1".parse().unwrap()];
    let mut stage = Stage::new(12, Options { faults, ..Options::default() });
    let others = r#"[{"id": "silent-1"}, {"id": "silent-2"},
        {"id": "ahead", "address": "127.0.0.1:9", "version": "3.0.0"}]"#;
    fs::write(stage.dir().join("others.json"), others).unwrap();
    assert_eq!(stage.run(&["device", "import", "others.json"]).code, Some(0));
    fs::write(stage.dir().join("all.toml"), "release = 'pos-app 2.0.0'\nsalt = 'fixed'").unwrap();
    stage.run(&["rollout", "create", "all.toml"]);
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "failed");
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, failed
      id       ID
      select   every device
      created  TIME
      began    TIME
      ended    TIME
      devices  15: 12 failed, 3 skipped
      failed   12: 12 rejected
      skipped  3: 2 no address, 1 downgrade

    12 devices failed:
      pos-9  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-3  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-8  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-10  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-7  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-11  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-2  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-6  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-1  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-5  failed: rejected: HTTP 400: {"error":"refused by design"}
      and 2 more; `groundswell rollout why 2 DEVICE` says why of any
    "#);
    let shown = stage.rollout("2");
    assert_eq!(shown["failed"].to_string(), r#"[{"devices":12,"reason":"rejected"}]"#);
    assert_eq!(shown["skipped"][1]["reason"], "downgrade");
}

#[test]
fn what_the_brake_did_is_kept_with_its_numbers() {
    let faults = vec!["status:400:1".parse().unwrap()];
    let mut stage = Stage::new(4, Options { faults, ..Options::default() });
    let one_by_one = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
        max_failures = 0\nlimits = { max_in_flight = 1, max_unverified = 1 }";
    for (name, more) in [("pauses", ""), ("aborts", "\non_failure = 'abort'")] {
        fs::write(stage.dir().join(name).with_extension("toml"), format!("{one_by_one}{more}"))
            .unwrap();
        stage.run(&["rollout", "create", &format!("{name}.toml")]);
    }
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "why", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, paused by the brake

    paused by the brake: 1 of 1 devices failed, at most 0 may; advance accepts that
    ");
    assert_eq!(stage.run(&["rollout", "advance", "2"]).code, Some(0));
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, paused by the brake
      id       ID
      select   every device
      created  TIME
      began    TIME
      devices  4: 2 failed, 2 queued
      failed   2: 2 rejected
      brake    TIME, paused: 1 of 1 devices failed, at most 0 may
      brake    TIME, accepted by the operator: 1 of 1 devices failed
      brake    TIME, paused: 1 of 1 devices failed (besides 1 accepted), at most 0 may

    2 devices failed:
      pos-3  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-2  failed: rejected: HTTP 400: {"error":"refused by design"}

    paused by the brake: 1 of 1 devices failed (besides 1 accepted), at most 0 may; advance accepts that
    "#);
    stage.run(&["rollout", "cancel", "2"]);
    stage.until_of("2", "canceled");
    stage.run(&["rollout", "start", "3"]);
    stage.until_of("3", "aborted");
    assert_told!(stage.told(&["rollout", "why", "3"]), @"
    exit 0
    --- out
    rollout 3: pos-app 2.0.0, immediate, aborted

    it has ended

    TIME, aborted by the brake: 1 of 1 devices failed, at most 0 may
    ");
    let brakes = stage.rollout("2")["brakes"].clone();
    assert_eq!(brakes[1]["ruling"], "accept");
    assert_eq!(brakes[1]["evidence"]["failures"], 1);
}

#[test]
fn what_is_open_is_named_and_what_was_begun_is_counted() {
    let reboot = std::time::Duration::from_mins(10);
    let stage = Stage::driven(3, Options { reboot, ..Options::default() });
    let spec = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\nlimits = { max_unverified = 2 }\n\
        timeouts = { verifying = '1h' }";
    fs::write(stage.dir().join("two.toml"), spec).unwrap();
    stage.run(&["rollout", "create", "two.toml"]);
    stage.run(&["rollout", "start", "2"]);
    while stage.rollout("2")["counts"]["verifying"] != 2 {
        crate::program::pause();
    }
    assert_told!(stage.told(&["rollout", "cancel", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is canceling; 2 devices still open:
      pos-2  verifying
      pos-1  verifying
    ");
    let acted = stage.run(&["rollout", "abort", "2", "--output", "json"]).json();
    assert_eq!(acted["open_devices"][1]["state"], "verifying");
    stage.until_of("2", "aborted");
    assert_told!(stage.told(&["rollout", "show", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, aborted
      id       ID
      select   every device
      created  TIME
      began    TIME
      ended    TIME
      devices  3: 3 canceled; 2 of the canceled had been begun
    ");
    assert_eq!(stage.rollout("2")["canceled_begun"], 2);
}
