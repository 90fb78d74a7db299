//! Rolling back, as operators do it and see it.

use std::fs;

use groundswell::sim::Options;

use super::{assert_told, driven::Stage};
use crate::program::pause;

const ALL: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'";

impl Stage {
    fn write(&self, name: &str, content: &str) {
        fs::write(self.dir().join(name), content).unwrap();
    }

    fn well(&self, args: &[&str]) {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    }

    /// What the devices themselves say they run.
    fn versions(&self, count: usize) -> Vec<String> {
        let device = |n| self.fleet().device(&format!("pos-{n}")).unwrap();
        (0..count).map(|n| device(n).version.to_string()).collect()
    }

    /// Version 2.0.0 is everywhere, by rollout 2.
    fn updated(count: usize) -> Self {
        let stage = Self::driven(count, Options::default());
        stage.write("all.toml", ALL);
        stage.well(&["rollout", "create", "all.toml"]);
        stage.well(&["rollout", "start", "2"]);
        stage.until_of("2", "completed");
        stage
    }

    fn releases(&self, versions: &[&str]) {
        for version in versions {
            self.well(&["release", "create", "pos-app", version, "pos.bin"]);
        }
    }
}

#[test]
fn what_a_rollout_changed_runs_what_it_ran_before_again() {
    let stage = Stage::updated(4);
    assert_told!(stage.told(&["rollout", "rollback", "2"]), @"
    exit 2
    --- err
    error: rollout 2 is not rolled back: 4 devices ran pos-app 1.0.0, and no such release is written down; `groundswell release create pos-app VERSION FILE` makes it
    ");
    stage.releases(&["1.0.0"]);
    assert_told!(stage.told(&["rollout", "rollback", "2", "--dry-run"]), @"
    exit 0
    --- out
    dry run, nothing is written: rollout 2 (pos-app 2.0.0) can be rolled back
      back to pos-app 1.0.0, 4 devices
    ");
    assert_eq!(stage.versions(4), ["2.0.0"; 4]);
    // Somebody else has changed this one since.
    stage.fleet().seed_device("pos-3", "2.1.0");
    stage.well(&["device", "check-in", "pos-3", "--version", "2.1.0"]);
    assert_told!(stage.told(&["rollout", "rollback", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is rolled back
      rollout 3 is preparing: back to pos-app 1.0.0, 3 devices
    left as they are: 1 device with another version by now
    ");
    stage.until_of("3", "completed");
    assert_eq!(stage.versions(4), ["1.0.0", "1.0.0", "1.0.0", "2.1.0"]);
    assert_told!(stage.told(&["rollout", "show", "3"]), @"
    exit 0
    --- out
    rollout 3: pos-app 1.0.0, immediate, completed
      id          ID
      rolls back  rollout 2 (pos-app 2.0.0)
      created     TIME
      began       TIME
      ended       TIME
      devices     3: 3 succeeded
    ");
    assert_told!(stage.told(&["rollout", "show", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, completed
      id           ID
      select       every device
      created      TIME
      began        TIME
      ended        TIME
      devices      4: 4 succeeded
      rolled back  by rollout 3
    ");
    assert_told!(stage.told(&["rollout", "why", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, completed

    it has ended

    it is rolled back by rollout 3
    ");
    assert_told!(stage.told(&["rollout", "why", "3", "pos-3"]), @"
    exit 0
    --- out
    pos-3 is not in rollout 3 (pos-app 1.0.0), which has the devices that ran that before rollout 2 (pos-app 2.0.0) changed them
    ");
    assert_told!(stage.told(&["rollout", "rollback", "2"]), @"
    exit 2
    --- err
    error: rollout 2 is not rolled back: it is rolled back by rollout 3 already; retry tries devices again that failed there
    ");
    assert_eq!(stage.rollout("2")["rolled_back_by"], serde_json::json!([3]));
    assert_eq!(stage.rollout("3")["rolls_back"]["number"], 2);
    let told = stage.told(&["rollout", "explain", "2"]);
    let link = "rolled back by rollout 3: 3 to pos-app 1.0.0";
    assert!(told.contains(link), "{told}");
    for number in ["2", "3"] {
        stage.well(&["rollout", "replay", number]);
    }
}

#[test]
fn devices_that_ran_several_versions_go_back_by_a_rollout_for_each() {
    let mut stage = Stage::new(5, Options::default());
    stage.releases(&["1.0.0", "1.5.0"]);
    for id in ["pos-3", "pos-4"] {
        stage.fleet().seed_device(id, "1.5.0");
        stage.well(&["device", "check-in", id, "--version", "1.5.0"]);
    }
    stage.drive();
    stage.write("all.toml", ALL);
    stage.well(&["rollout", "create", "all.toml"]);
    stage.well(&["rollout", "start", "2"]);
    stage.until_of("2", "completed");
    assert_told!(stage.told(&["rollout", "rollback", "2", "--draft"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is rolled back
      rollout 3 is a draft: back to pos-app 1.0.0, 3 devices
      rollout 4 is a draft: back to pos-app 1.5.0, 2 devices
    `groundswell rollout start 3` begins it
    `groundswell rollout start 4` begins it
    ");
    assert_told!(stage.told(&["rollout", "show", "4"]), @"
    exit 0
    --- out
    rollout 4: pos-app 1.5.0, immediate, draft
      id          ID
      rolls back  rollout 2 (pos-app 2.0.0)
      created     TIME
      devices     2 match now; who is in it is settled at its start

    not started
    `groundswell rollout start 4` begins it
    ");
    for number in ["3", "4"] {
        stage.well(&["rollout", "start", number]);
        stage.until_of(number, "completed");
    }
    assert_eq!(stage.versions(5), ["1.0.0", "1.0.0", "1.0.0", "1.5.0", "1.5.0"]);
}

#[test]
fn what_cannot_be_rolled_back_is_refused_and_nothing_is_written() {
    let stage = Stage::updated(2);
    stage.releases(&["1.0.0"]);
    assert_told!(stage.told(&["rollout", "rollback", "1"]), @"
    exit 2
    --- err
    error: rollout 1 is not rolled back: it never began, and no device was changed
    ");
    // The file of the release is gone.
    let show = ["release", "show", "pos-app", "1.0.0", "--output", "json"];
    let kept = stage.run(&show).json()["path"].as_str().unwrap().to_owned();
    let aside = stage.dir().join("aside.bin");
    fs::rename(stage.dir().join(&kept), &aside).unwrap();
    assert_told!(stage.told(&["rollout", "rollback", "2"]), @"
    exit 2
    --- err
    error: rollout 2 is not rolled back: 2 devices ran pos-app 1.0.0, whose artifact is not kept any more; `groundswell release create pos-app VERSION FILE` with the same file brings it back
    ");
    fs::rename(&aside, stage.dir().join(&kept)).unwrap();
    // It goes on.
    let slow = format!("{ALL}\n[[waves]]\ncount = 1\nsoak = '9h'\n[[waves]]\npercent = 100");
    stage.write("slow.toml", &slow.replace("2.0.0", "3.0.0"));
    stage.releases(&["3.0.0"]);
    stage.well(&["rollout", "create", "slow.toml"]);
    stage.well(&["rollout", "start", "3"]);
    while stage.rollout("3")["counts"]["succeeded"] != 1 {
        pause();
    }
    assert_told!(stage.told(&["rollout", "rollback", "3"]), @"
    exit 2
    --- err
    error: rollout 3 is not rolled back: it is running, and goes on changing devices; pause it, or abort it, first
    ");
    // Paused, with nobody open in it, it can be.
    stage.well(&["rollout", "pause", "3"]);
    assert_told!(stage.told(&["rollout", "rollback", "3", "--dry-run"]), @"
    exit 0
    --- out
    dry run, nothing is written: rollout 3 (pos-app 3.0.0) can be rolled back
      back to pos-app 2.0.0, 1 device
    ");
    let all = stage.run(&["rollout", "list", "--output", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 3);
}
