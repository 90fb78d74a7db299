//! Rollouts that `groundswell run` drives, steered and looked at by other processes.

use std::{fs, path::Path, process::Stdio};

use groundswell::sim::{Fleet, Options};

use super::{Ending, assert_told, groundswell, run};
use crate::program::{Ground, Ran, pause};

const SPEC: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
    [[waves]]\ncount = 1\nmin_success = 100\n[[waves]]\npercent = 100\nmin_success = 90";

/// A fleet, a state directory with a draft for all of it, and a driver.
pub(super) struct Stage {
    ground: Ground,
    driver: Option<Ending>,
}

impl Stage {
    pub(super) fn new(count: usize, options: Options) -> Self {
        let stage = Self { ground: Ground::new(count, options), driver: None };
        fs::write(stage.dir().join("spec.toml"), SPEC).unwrap();
        for args in [
            &["device", "import", "devices.csv"][..],
            &["release", "create", "pos-app", "2.0.0", "pos.bin"],
            &["rollout", "create", "spec.toml"],
        ] {
            assert_eq!(stage.run(args).code, Some(0), "{args:?}");
        }
        stage
    }

    pub(super) fn driven(count: usize, options: Options) -> Self {
        let mut stage = Self::new(count, options);
        stage.drive();
        stage
    }

    pub(super) fn dir(&self) -> &Path {
        self.ground.dir.path()
    }

    pub(super) const fn fleet(&self) -> &Fleet {
        &self.ground.fleet
    }

    /// Starts a driver; one that is there is killed before.
    pub(super) fn drive(&mut self) {
        self.kill();
        let out = fs::File::create(self.dir().join("run.log")).unwrap();
        let mut command = groundswell(self.dir(), &["run"]);
        command.stderr(out.try_clone().unwrap()).stdout(out);
        let mut driver = Ending(command.spawn().unwrap());
        while self.show()["driver"].is_null() {
            let ended = driver.0.try_wait().unwrap();
            let log = || fs::read_to_string(self.dir().join("run.log"));
            assert!(ended.is_none(), "{ended:?}: {:?}", log());
            pause();
        }
        self.driver = Some(driver);
    }

    /// As a kill does.
    pub(super) fn kill(&mut self) {
        self.driver = None;
    }

    /// Stops the driver, or has it go on.
    pub(super) fn signal(&self, signal: &str) {
        stop(self.driver.as_ref().unwrap(), signal);
    }

    pub(super) fn run(&self, args: &[&str]) -> Ran {
        run(self.dir(), args)
    }

    pub(super) fn told(&self, args: &[&str]) -> String {
        self.run(args).told()
    }

    pub(super) fn rollout(&self, number: &str) -> serde_json::Value {
        self.run(&["rollout", "show", number, "--output", "json"]).json()
    }

    fn show(&self) -> serde_json::Value {
        self.rollout("1")
    }

    pub(super) fn until(&self, state: &str) {
        self.until_of("1", state);
    }

    pub(super) fn until_of(&self, rollout: &str, state: &str) {
        while self.rollout(rollout)["state"] != state {
            pause();
        }
    }
}

#[test]
fn wave_by_wave_to_its_end() {
    let stage = Stage::driven(5, Options::default());
    assert_told!(stage.told(&["rollout", "start", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0) is preparing
    ");
    let watched = stage.run(&["rollout", "watch", "1"]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let last = watched.out.lines().last().unwrap_or_default();
    assert!(last.ends_with(" completed: 5 of 5 ended (5 succeeded)"), "{watched:?}");
    assert_told!(stage.told(&["rollout", "show", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, completed
      id       ID
      select   every device
      created  TIME
      began    TIME
      ended    TIME
      devices  5: 5 succeeded

      wave  state   devices  ended  succeeded  failed
         1  passed        1      1          1       0
         2  passed        4      4          4       0

      wave 1  go: 1 of 1 succeeded, at least 100 % required
      wave 2  go: 4 of 4 succeeded, at least 90 % required
    ");
    assert_told!(stage.told(&["rollout", "why", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, completed

    it has ended
    ");
    assert_told!(stage.told(&["rollout", "why", "1", "pos-3"]), @"
    exit 0
    --- out
    pos-3 in rollout 1 (pos-app 2.0.0): succeeded; wave 1 of 2; 1 attempt; since TIME
    ");
    assert_told!(stage.told(&["device", "show", "pos-3"]).replace(&port(&stage), "PORT"), @"
    exit 0
    --- out
    pos-3
      name       Terminal 3
      address    http://127.70.0.4:PORT
      version    2.0.0
      last seen  TIME
      status     unknown

    rollout 1 (pos-app 2.0.0): succeeded; wave 1 of 2; 1 attempt; since TIME
    ");
    assert_told!(stage.told(&["rollout", "retry", "1"]), @"
    exit 2
    --- err
    error: rollout 1: cannot retry a completed rollout: no device failed
    ");
}

fn port(stage: &Stage) -> String {
    stage.ground.fleet.local_addr().port().to_string()
}

/// Rollout 2 of five devices that all refuse it, stopped by the gate of its first wave.
fn stopped() -> Stage {
    let faults = vec!["status:400:1".parse().unwrap()];
    let mut stage = Stage::new(5, Options { faults, ..Options::default() });
    // Nobody is kept from the last wave: it must not be stopped while some of it is under way.
    let ungated = SPEC.replace("\nmin_success = 90", "");
    fs::write(stage.dir().join("spec.toml"), ungated).unwrap();
    assert_eq!(stage.run(&["rollout", "create", "spec.toml"]).code, Some(0));
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage.until_of("2", "paused");
    stage
}

#[test]
fn a_gate_stops_it_and_an_operator_decides() {
    let stage = stopped();
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, paused by the gate
      id       ID
      select   every device
      created  TIME
      began    TIME
      devices  5: 1 failed, 4 queued
      failed   1: 1 rejected

      wave  state    devices  ended  succeeded  failed
         1  stopped        1      1          0       1
         2  pending        4      0          0       0

      wave 1  stop: 0 of 1 succeeded, at least 100 % required

    1 device failed:
      pos-3  failed: rejected: HTTP 400: {"error":"refused by design"}

    paused by the gate: advance overrides it
    "#);
    assert_told!(stage.told(&["rollout", "why", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, paused by the gate

    paused by the gate: advance overrides it

      wave 1  stop: 0 of 1 succeeded, at least 100 % required
    ");
    assert_told!(stage.told(&["rollout", "resume", "2"]), @"
    exit 2
    --- err
    error: rollout 2: cannot resume a paused rollout: the gate of its wave stopped it; advance overrides the gate
    ");
    assert_told!(stage.told(&["rollout", "advance", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is running, on with wave 2 of 2
    ");
    let watched = stage.run(&["rollout", "watch", "2"]);
    assert_eq!(watched.code, Some(1), "{watched:?}");
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, failed
      id       ID
      select   every device
      created  TIME
      began    TIME
      ended    TIME
      devices  5: 5 failed
      failed   5: 5 rejected

      wave  state   devices  ended  succeeded  failed
         1  passed        1      1          0       1
         2  passed        4      4          0       4

      wave 1  TIME, stop: 0 of 1 succeeded, at least 100 % required
              TIME, overridden by the operator
      wave 2  go: 0 of 4 succeeded

    5 devices failed:
      pos-3  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-2  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-1  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-4  failed: rejected: HTTP 400: {"error":"refused by design"}
      pos-0  failed: rejected: HTTP 400: {"error":"refused by design"}
    "#);
    let first = stage.rollout("2")["waves"][0]["verdicts"].clone();
    assert_eq!((&first[0]["ruling"], &first[1]["ruling"]), (&"stop".into(), &"override".into()));
    assert_eq!(first[0]["tally"]["failed"], 1);
    assert_told!(stage.told(&["rollout", "list"]), @"
    exit 0
    --- out
      n  release        strategy     state   devices  ended  failed  created
      1  pos-app 2.0.0  progressive  draft         0      0       0  TIME
      2  pos-app 2.0.0  progressive  failed        5      5       5  TIME
    ");
}

#[test]
fn what_was_ruled_in_the_first_round_stays_in_sight_in_the_next() {
    let stage = stopped();
    stage.run(&["rollout", "advance", "2"]);
    stage.until_of("2", "failed");
    let first = stage.rollout("2")["waves"][0]["verdicts"].clone();
    assert_told!(stage.told(&["rollout", "retry", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is preparing
    ");
    stage.until_of("2", "paused");
    assert_told!(stage.told(&["rollout", "show", "2"]), @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, paused by the gate, round 2
      id       ID
      select   every device
      created  TIME
      began    TIME
      devices  5: 1 failed, 4 queued
      failed   1: 1 rejected

      wave  state    devices  ended  succeeded  failed
         1  stopped        1      1          0       1
         2  pending        4      0          0       0

      wave 1  stop: 0 of 1 succeeded, at least 100 % required

    1 device failed:
      pos-3  failed: rejected: HTTP 400: {"error":"refused by design"}

    round 1: began TIME, failed TIME
      devices  5: 5 failed
      wave  state
         1  passed
         2  passed

      wave 1  TIME, stop: 0 of 1 succeeded, at least 100 % required
              TIME, overridden by the operator
      wave 2  go: 0 of 4 succeeded

    paused by the gate: advance overrides it
    "#);
    let before = &stage.rollout("2")["earlier"][0];
    assert_eq!((&before["number"], &before["state"]), (&1.into(), &"failed".into()));
    assert_eq!(before["waves"][0]["verdicts"], first);
    assert_told!(stage.told(&["rollout", "why", "2", "pos-0"]), @"
    exit 0
    --- out
    pos-0 in rollout 2 (pos-app 2.0.0): queued; wave 2 of 2
      paused by the gate: advance overrides it
      in wave 2 of 2, which is not open
    ");
    assert_told!(stage.told(&["rollout", "abort", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is aborting
    ");
    stage.until_of("2", "aborted");
    assert_told!(stage.told(&["rollout", "why", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, aborted, round 2

    it has ended

      wave 1  stop: 0 of 1 succeeded, at least 100 % required
    ");
}

#[test]
fn who_is_away_is_waited_for_until_it_checks_in() {
    let mut stage = Stage::new(3, Options::default());
    let away = "[{\"id\": \"pos-1\", \"address\": \"ADDRESS\", \"check_in\": \"60s\"}]";
    let shown = stage.run(&["device", "show", "pos-1", "--output", "json"]).json();
    let away = away.replace("ADDRESS", shown["address"].as_str().unwrap());
    fs::write(stage.dir().join("away.json"), away).unwrap();
    assert_eq!(stage.run(&["device", "import", "away.json"]).code, Some(0));
    fs::write(stage.dir().join("wait.toml"), "release = 'pos-app 2.0.0'\noffline = 'wait'")
        .unwrap();
    assert_eq!(stage.run(&["rollout", "create", "wait.toml"]).code, Some(0));
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    let counts = || stage.rollout("2")["counts"].clone();
    while (counts()["succeeded"].as_u64(), counts()["away"].as_u64()) != (Some(2), Some(1)) {
        pause();
    }
    assert_told!(stage.told(&["rollout", "show", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, running
      id       ID
      select   every device
      created  TIME
      began    TIME
      devices  3: 2 succeeded, 1 away

    1 device is away, and due on any contact
    ");
    assert_told!(stage.told(&["rollout", "why", "2", "pos-1"]), @"
    exit 0
    --- out
    pos-1 in rollout 2 (pos-app 2.0.0): away; since TIME
      never seen
    ");
    assert_told!(stage.told(&["device", "check-in", "pos-1"]), @"
    exit 0
    --- out
    pos-1: seen now; 1 rollout waits for it
    ");
    assert_eq!(stage.run(&["rollout", "watch", "2"]).code, Some(0));
}

#[test]
fn a_push_is_looked_at_but_takes_no_acts() {
    let hangs = vec!["hang:1".parse().unwrap()];
    let ground = Ground::new(2, Options { faults: hangs, ..Options::default() });
    let push = ground.push().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _push = Ending(push);
    ground.until(|fleet| fleet.summary().requests == 2);
    let run = |args: &[&str]| run(ground.dir.path(), &[args, &["--state", "state"]].concat());
    while run(&["rollout", "show", "1", "--output", "json"]).json()["counts"]["delivering"] != 2 {
        pause();
    }
    assert_told!(run(&["rollout", "show", "1"]).told(), @"
    exit 0
    --- out
    rollout 1: pos.bin 2.0.0, immediate, running
      id       ID
      select   the devices given to the push
      created  TIME
      began    TIME
      devices  2: 2 claimed or being sent to

    under way: 2 claimed or being sent to
    ");
    assert_told!(run(&["rollout", "pause", "1"]).told(), @"
    exit 2
    --- err
    error: state is driven by a push, which takes no acts (process PID: groundswell push pos.bin 2.0.0): Ctrl-C stops it, and the same push goes on later
    ");
}

#[test]
fn a_process_that_drives_and_does_not_look_is_named() {
    let mut stage = Stage::new(1, Options::default());
    stage.drive();
    let driver = stage.driver.take().unwrap();
    // It has answered once: it has nothing more to write.
    assert_eq!(stage.run(&["rollout", "pause", "1"]).code, Some(2));
    stop(&driver, "-STOP");
    let ran = stage.run(&["rollout", "start", "1"]);
    stop(&driver, "-CONT");
    assert_told!(ran.told(), @"
    exit 3
    --- err
    error: groundswell-data is driven by another process (process PID: groundswell run), which did not answer within 5 s. What was asked stays written down: it is done when that process gets to it, or by the next `groundswell run`
    ");
    // It is done once the driver looks.
    stage.until("completed");
}

fn stop(driver: &Ending, signal: &str) {
    let pid = driver.0.id().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
}
