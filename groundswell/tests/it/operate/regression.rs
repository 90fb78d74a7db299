//! A release that fails more often than it should, as operators see it stopped.

use std::fs;

use groundswell::sim::Options;

use super::{assert_told, driven::Stage};

const ONE_BY_ONE: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
    limits = { max_in_flight = 1, max_unverified = 1 }\n[regression]\nbaseline = '2%'";

#[test]
fn it_is_stopped_after_two_of_two_and_goes_on_if_somebody_says_so() {
    let faults = vec!["status:400:1".parse().unwrap()];
    let mut stage = Stage::new(6, Options { faults, ..Options::default() });
    fs::write(stage.dir().join("test.toml"), ONE_BY_ONE).unwrap();
    stage.run(&["rollout", "create", "test.toml"]);
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "why", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, paused by the regression test

    paused by the regression test: 2 of 2 devices failed where 2 % fail: evidence 826, stops at 100; advance accepts that
    ");
    assert_told!(stage.told(&["rollout", "resume", "2"]), @"
    exit 2
    --- err
    error: rollout 2: cannot resume a paused rollout: the regression test stopped it; advance accepts what came of devices so far
    ");
    assert_told!(stage.told(&["rollout", "advance", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is running
    ");
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, paused by the regression test
      id       ID
      select   every device
      created  TIME
      began    TIME
      devices  6: 4 failed, 2 queued
      failed   4: 4 rejected
      test     TIME, paused: 2 of 2 devices failed where 2 % fail: evidence 826, stops at 100
      test     TIME, accepted by the operator: 2 of 2 devices failed
      test     TIME, paused: 2 of 2 devices failed where 2 % fail: evidence 826, stops at 100

    4 devices failed:
      pos-3  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-2  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-1  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-5  failed: rejected: HTTP 400: {"error":"refused by design"}

    paused by the regression test: 2 of 2 devices failed where 2 % fail: evidence 826, stops at 100; advance accepts that
    "#);
    assert_eq!(stage.rollout("2")["brakes"][1]["ruling"], "accept");
    assert_eq!(stage.run(&["rollout", "replay", "2"]).code, Some(0));
}

#[test]
fn a_baseline_is_measured_on_what_went_well_before() {
    let stage = Stage::driven(600, Options::default());
    let measured = ONE_BY_ONE.replace("2%", "measured");
    fs::write(stage.dir().join("measured.toml"), measured).unwrap();
    assert_told!(stage.told(&["rollout", "create", "measured.toml"]), @"
    exit 2
    --- err
    error: measured.toml: 1 mistake
      regression.baseline: 0 earlier results are too few for a baseline, 500 are the least; give a rate instead
    ");
    stage.run(&["rollout", "start", "1"]);
    stage.until("completed");
    assert_eq!(stage.run(&["rollout", "create", "measured.toml"]).code, Some(0));
    let told = stage.told(&["rollout", "explain", "2"]);
    let words = "stops if more fail than 0.4981 % (the most that 0 failures of 600 leave plausible) explains";
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(words), "{told}");
    assert_eq!(stage.rollout("2")["spec"]["regression"]["baseline"], "measured");
}
