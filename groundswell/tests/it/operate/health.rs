//! Devices that fail after their update, as operators see them.

use std::fs;

use groundswell::sim::Options;

use super::{assert_told, driven::Stage};

const SPEC: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
    waves = [{ count = 1, soak = '10m', min_success = 60 }, { percent = 100 }]\n\
    health = { check = 'url', every = '1s', failures = 2 }";

#[test]
fn what_regressed_is_told_wherever_it_counts() {
    // The devices of a fleet know no such page.
    let mut stage = Stage::new(5, Options::default());
    fs::write(stage.dir().join("health.toml"), SPEC.replace("'url'", "'url', path = '/other'"))
        .unwrap();
    let created = stage.run(&["rollout", "create", "health.toml"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, paused by the gate
      id       ID
      select   every device
      created  TIME
      began    TIME
      devices  5: 1 regressed after their update, 4 queued

      wave  state    devices  ended  succeeded  failed
         1  stopped        1      1          0       1
         2  pending        4      0          0       0

      wave 1  stop: 0 of 1 succeeded (1 regressed), at least 60 % required

    1 device regressed after the update:
      pos-3  answers 404, 2 times in a row

    paused by the gate: advance overrides it
    "#);
    let first = stage.rollout("2")["regressed"][0]["device"].as_str().unwrap().to_owned();
    assert_told!(stage.told(&["rollout", "why", "2", &first]), @r#"
    exit 0
    --- out
    pos-3 in rollout 2 (pos-app 2.0.0): succeeded, regressed: answers 404, 2 times in a row; wave 1 of 2; 1 attempt; since TIME
    "#);
    let shown = stage.told(&["device", "show", &first]);
    let told = "succeeded, regressed: answers 404, 2 times in a row; wave 1 of 2; 1 attempt";
    assert!(shown.contains(told), "{shown}");
    assert_eq!(stage.run(&["rollout", "replay", "2"]).code, Some(0));
    let explained = stage.told(&["rollout", "explain", "2"]);
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(explained.contains("answers 404, 2 times in a row"), "{explained}");
}
