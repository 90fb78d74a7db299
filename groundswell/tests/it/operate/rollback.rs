//! Rolling back, as operators do it and see it.

mod again;
mod turns;

use std::{fmt::Write as _, fs};

use groundswell::{
    core::{ids::Epoch, rollout::State, time::Time},
    sim::Options,
    store::{Batch, RolloutKey, SqliteStore, Store},
};

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
        (0..count).map(|n| device(n).version).collect()
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
    error: rollout 2 is not rolled back: no release pos-app 1.0.0 is written down, to which 4 devices would go back; `groundswell release create pos-app VERSION FILE` makes it, if that is a version of pos-app: a device is known by one version, whatever it is the version of
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
    error: rollout 2 is not rolled back: it is rolled back by rollout 3 already; start begins a draft, and retry tries devices again that failed there
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
    error: rollout 2 is not rolled back: the artifact of pos-app 1.0.0 is not kept any more, to which 2 devices would go back; `groundswell release create pos-app VERSION FILE` with the same file brings it back
    ");
    fs::rename(&aside, stage.dir().join(&kept)).unwrap();
    // It goes on.
    let waves = format!("{ALL}\n[[waves]]\ncount = 1\nsoak = '9h'\n[[waves]]\npercent = 100");
    stage.write("waves.toml", &waves.replace("2.0.0", "3.0.0"));
    stage.releases(&["3.0.0"]);
    stage.well(&["rollout", "create", "waves.toml"]);
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

#[test]
fn a_fix_that_is_queued_is_not_skipped_for_a_rollback_of_what_it_mends() {
    let stage = Stage::updated(4);
    stage.releases(&["1.0.0", "3.0.0"]);
    let waves = format!("{ALL}\n[[waves]]\ncount = 1\nsoak = '9h'\n[[waves]]\npercent = 100");
    stage.write("fix.toml", &waves.replace("2.0.0", "3.0.0"));
    stage.well(&["rollout", "create", "fix.toml"]);
    stage.well(&["rollout", "start", "3"]);
    while stage.rollout("3")["counts"]["succeeded"] != 1 {
        pause();
    }
    // It is the newer one by its number, and brings what is older.
    assert_told!(stage.told(&["rollout", "rollback", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is rolled back
      rollout 4 is preparing: back to pos-app 1.0.0, 3 devices
    left as they are: 1 device with another version by now
    ");
    stage.until_of("4", "completed");
    let count = |of: &str| stage.versions(4).iter().filter(|version| *version == of).count();
    assert_eq!((count("3.0.0"), count("1.0.0")), (1, 3));
    stage.well(&["rollout", "advance", "3"]);
    stage.until_of("3", "completed");
    assert_eq!(stage.versions(4), ["3.0.0"; 4]);
    assert_eq!(stage.rollout("3")["counts"]["skipped"], 0);
    for number in ["3", "4"] {
        stage.well(&["rollout", "replay", number]);
    }
}

/// Stops after the seventh failure, and goes back.
const BAD: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\nmax_failures = 6\n\
    on_failure = 'rollback'\nretry = { attempts = 1 }\nlimits = { max_in_flight = 4 }\n\
    timeouts = { verifying = '2s' }";

/// A fleet in which every fourth device cannot be reached, and the releases to go back to.
fn with_some_unreachable(count: usize) -> Stage {
    let stage = Stage::new(count, Options::default());
    stage.releases(&["1.0.0"]);
    let mut dead = "id,address,version\n".to_owned();
    for n in (0..count).step_by(4) {
        let _ = writeln!(dead, "pos-{n},http://127.0.0.1:9,1.0.0");
    }
    stage.write("dead.csv", &dead);
    stage.well(&["device", "import", "dead.csv"]);
    stage.write("bad.toml", BAD);
    stage.well(&["rollout", "create", "bad.toml"]);
    stage
}

impl Stage {
    fn until_ended(&self, rollout: &str) {
        while self.rollout(rollout)["ended_at"].is_null() {
            pause();
        }
    }

    /// Those of the devices that can be reached that run something else than 1.0.0.
    fn left_behind(&self, count: usize) -> Vec<usize> {
        let has = |n: &usize| {
            let device = self.fleet().device(&format!("pos-{n}"));
            device.is_some_and(|device| &*device.version != "1.0.0")
        };
        (0..count).filter(has).collect()
    }
}

/// As if the lines were not broken.
fn one_line(told: &str) -> String {
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_rollout_that_goes_wrong_is_rolled_back_by_itself() {
    let mut stage = with_some_unreachable(40);
    stage.drive();
    stage.well(&["rollout", "start", "2"]);
    stage.until_of("2", "aborted");
    let changed = stage.rollout("2")["counts"]["succeeded"].as_u64().unwrap();
    assert!(changed > 0);
    assert_eq!(stage.rollout("2")["rolled_back_by"], serde_json::json!([3]));
    stage.until_ended("3");
    assert_eq!(stage.left_behind(40), [0; 0]);
    let shown = stage.rollout("3");
    assert!(shown["counts"]["succeeded"].as_u64().unwrap() >= changed, "{shown}");
    assert_eq!(shown["spec"]["on_failure"], "pause");
    assert_eq!(shown["spec"]["limits"]["max_in_flight"], 4);
    let told = one_line(&stage.told(&["rollout", "explain", "2"]));
    for words in ["aborted by the brake, to be rolled back", "rolled back by rollout 3: "] {
        assert!(told.contains(words), "{told}");
    }
    let told = one_line(&stage.told(&["rollout", "explain", "3"]));
    let words = "started by rollout 2 (pos-app 2.0.0), which went wrong and is rolled back";
    assert!(told.contains(words), "{told}");
    for number in ["2", "3"] {
        stage.well(&["rollout", "replay", number]);
    }
    assert_told!(stage.told(&["rollout", "rollback", "2"]), @"
    exit 2
    --- err
    error: rollout 2 is not rolled back: it is rolled back by rollout 3 already; start begins a draft, and retry tries devices again that failed there
    ");
}

#[test]
fn a_driver_that_is_killed_loses_no_rollback_and_makes_none_twice() {
    let mut stage = with_some_unreachable(40);
    stage.drive();
    stage.well(&["rollout", "start", "2"]);
    while stage.rollout("2")["counts"]["failed"] == 0 && stage.rollout("2")["state"] != "aborted" {
        pause();
    }
    let mut kills = 0;
    // Wherever it is by then; at last it is let be.
    while stage.run(&["rollout", "show", "3"]).code != Some(0) || kills < 12 {
        stage.drive();
        kills += 1;
        for _ in 0..kills {
            pause();
        }
    }
    stage.until_of("2", "aborted");
    stage.until_ended("3");
    assert_eq!(stage.rollout("2")["rolled_back_by"], serde_json::json!([3]));
    assert_eq!(stage.left_behind(40), [0; 0]);
    stage.well(&["rollout", "replay", "2"]);
    stage.well(&["rollout", "replay", "3"]);
}

#[test]
fn what_a_driver_left_between_the_stop_and_the_rollback_is_rolled_back_by_the_next() {
    let mut stage = Stage::updated(3);
    stage.releases(&["1.0.0"]);
    stage.kill();
    // Nothing is open in it any more, and nobody has looked who goes back to what.
    let path = stage.dir().join("groundswell-data/state.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let mut progression = store.rollout(RolloutKey(2)).unwrap().unwrap().progression;
    progression.come_to(State::Aborting, Time::ZERO);
    progression.is_to_roll_back = true;
    let now = groundswell::clock::Clock::System.now();
    let batch = Batch::empty(RolloutKey(2), Epoch(9), now);
    store.commit(&Batch { progression: Some(progression), ..batch }).unwrap();
    drop(store);
    stage.drive();
    stage.until_of("2", "aborted");
    stage.until_ended("3");
    assert_eq!(stage.versions(3), ["1.0.0"; 3]);
    assert_eq!(stage.rollout("2")["rolled_back_by"], serde_json::json!([3]));
}

#[test]
fn what_could_not_be_rolled_back_is_refused_before_it_begins() {
    let stage = Stage::new(3, Options::default());
    stage.write("bad.toml", BAD);
    assert_told!(stage.told(&["rollout", "create", "bad.toml"]), @r#"
    exit 2
    --- err
    error: on_failure = "rollback": no release pos-app 1.0.0 is written down, to which 3 devices would go back; `groundswell release create pos-app VERSION FILE` makes it, if that is a version of pos-app: a device is known by one version, whatever it is the version of
    "#);
    assert_told!(stage.told(&["rollout", "create", "bad.toml", "--dry-run"]), @r#"
    exit 2
    --- err
    error: on_failure = "rollback": no release pos-app 1.0.0 is written down, to which 3 devices would go back; `groundswell release create pos-app VERSION FILE` makes it, if that is a version of pos-app: a device is known by one version, whatever it is the version of
    "#);
    stage.releases(&["1.0.0"]);
    stage.write("more.csv", "id,address\nnew-1,http://127.0.0.1:9\nnew-2,http://127.0.0.1:9\n");
    stage.well(&["device", "import", "more.csv"]);
    assert_told!(stage.told(&["rollout", "create", "bad.toml"]), @"
    exit 0
    --- out
    rollout 2 is a draft: pos-app 2.0.0, immediate
      id       ID
      select   every device
      devices  5 match now: new-1, pos-2, new-2, ...; who is in it is settled at its start

    warning: on_failure: 2 devices could not be rolled back: nobody knows which version they run
    `groundswell rollout start 2` begins it
    ");
    let all = stage.run(&["rollout", "list", "--output", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 2, "none was written where it was refused");
}
