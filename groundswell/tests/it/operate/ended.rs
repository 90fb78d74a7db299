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

      wave  state            devices  ended  succeeded  failed  verdict
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

      wave  state           devices  ended  succeeded  failed  verdict
         1  ended by abort        1      1          1       0
         2  not opened            2      2          0       0
         3  not opened            2      2          0       0
    ");
    let waves = stage.rollout("2")["waves"].clone();
    assert_eq!(waves[0]["state"], "ended_by_cancel");
    assert_eq!(waves[0]["since"], stage.rollout("2")["ended_at"]);
    assert_eq!(waves[1]["state"], "not_opened");
}
