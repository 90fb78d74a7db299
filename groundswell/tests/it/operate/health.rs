//! Devices that fail after their update, as operators see them.

use std::fs;

use groundswell::sim::Options;

use super::{assert_told, driven::Stage};

const SPEC: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
    waves = [{ count = 3, soak = '10m', min_success = 60 }, { percent = 100 }]\n\
    health = { check = 'url', every = '1s', failures = 2 }";

#[test]
fn what_regressed_is_told_wherever_it_counts() {
    // The devices of a stage know no such page: they answer 404.
    let mut stage = Stage::new(5, Options::default());
    fs::write(stage.dir().join("health.toml"), SPEC.replace("'url'", "'url', path = '/other'"))
        .unwrap();
    let created = stage.run(&["rollout", "create", "health.toml"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "show", "2"]), @"");
    let first = stage.rollout("2")["regressed"][0]["device"].as_str().unwrap().to_owned();
    assert_told!(stage.told(&["rollout", "why", "2", &first]), @"");
    assert_told!(stage.told(&["device", "show", &first]), @"");
    assert_eq!(stage.run(&["rollout", "replay", "2"]).code, Some(0));
    let explained = stage.told(&["rollout", "explain", "2"]);
    assert!(explained.contains("answers 404, 2 times in a row"), "{explained}");
}
