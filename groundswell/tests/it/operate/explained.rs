//! What happened, told by the log.

use std::{fs, time::Duration};

use groundswell::{
    clock::Clock,
    core::rollout::Act,
    sim::Options,
    store::{Answer, Intent, RolloutKey, SqliteStore, Store},
};

use super::driven::Stage;

/// What is told, without times: what differs from run to run.
macro_rules! assert_explained {
    ($told:expr, @$snapshot:literal) => {
        filters().bind(|| insta::assert_snapshot!(undated(&$told), @$snapshot))
    };
}

fn filters() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(\w{3} \d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d UTC", "TO-THE-SECOND");
    settings.add_filter(r"(\w{3} \d{4}-\d\d-\d\d )?\d\d:\d\d UTC", "TIME");
    settings.add_filter(r"\d\d:\d\d:\d\d", "HH:MM:SS");
    settings
}

/// Without the days, of which a test at midnight has two.
fn undated(told: &str) -> String {
    let is_told = |line: &&str| !line.is_empty() && !is_date(line);
    told.lines().filter(is_told).flat_map(|line| [line, "\n"]).collect()
}

fn is_date(line: &str) -> bool {
    line.strip_suffix(" UTC").is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok())
}

#[test]
fn what_happened_is_told_wave_by_wave_and_device_by_device() {
    let stage = Stage::driven(5, Options::default());
    stage.run(&["rollout", "start", "1"]);
    stage.until("completed");
    assert_explained!(stage.told(&["rollout", "explain", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0): completed
      HH:MM:SS  created: pos-app 2.0.0 to every device, progressive
      HH:MM:SS  waves: 1 device, success >= 100 %; then up to 100 %, success >= 90 %
      HH:MM:SS  besides: those away are waited for
      HH:MM:SS  driver 1 took it over
      HH:MM:SS  the operator said start
      HH:MM:SS  prepared: 5 devices: 1 in wave 1, 4 in wave 2
      HH:MM:SS  it begins
      HH:MM:SS  wave 1 of 2 opened: 1 device
      HH:MM:SS  devices: 1 claimed, 1 succeeded
      HH:MM:SS  wave 1 of 2 ended
      HH:MM:SS  gate of wave 1 of 2: go: 1 of 1 succeeded, at least 100 % required
      HH:MM:SS  wave 2 of 2 opened: 4 devices
      HH:MM:SS  devices: 4 claimed, 4 succeeded
      HH:MM:SS  wave 2 of 2 ended
      HH:MM:SS  gate of wave 2 of 2: go: 4 of 4 succeeded, at least 90 % required
      HH:MM:SS  completed: 5 of 5 devices run the release
    ");
    assert_explained!(stage.told(&["rollout", "explain", "1", "pos-0"]), @"
    exit 0
    --- out
    pos-0 in rollout 1 (pos-app 2.0.0)
      HH:MM:SS  chosen, in wave 2 of 2
      HH:MM:SS  it begins
      HH:MM:SS  waits: wave 2 of 2 waits for wave 1: 0 of 1 ended, success >= 100 %
                wanted
      HH:MM:SS  gate of wave 1 of 2: go: 1 of 1 succeeded, at least 100 % required
      HH:MM:SS  wave 2 of 2 opened: 4 devices
      HH:MM:SS  its turn: runs 1.0.0
      HH:MM:SS  claimed for attempt 1
      HH:MM:SS  attempt 1: accepted, HTTP 200; asked for its version until
                TO-THE-SECOND
      HH:MM:SS  reports version 2.0.0: succeeded
    ");
    let json = stage.run(&["rollout", "explain", "1", "pos-0", "--output", "json"]).json();
    assert_eq!((&json["rollout"], &json["device"]), (&1.into(), &"pos-0".into()));
    let lines = json["lines"].as_array().unwrap();
    assert_eq!(lines.last().unwrap()["text"], "reports version 2.0.0: succeeded");
    assert!(lines.iter().all(|line| line["at"].as_i64() > Some(1_700_000_000_000)), "{lines:?}");
}

#[test]
fn why_it_stopped_is_told_and_who_is_not_in_it() {
    let faults = vec!["status:400:1".parse().unwrap()];
    let mut stage = Stage::new(5, Options { faults, ..Options::default() });
    let other = "release = 'pos-app 2.0.0'\nselect = 'id==pos-1'";
    fs::write(stage.dir().join("other.toml"), other).unwrap();
    stage.run(&["rollout", "create", "other.toml"]);
    stage.drive();
    stage.run(&["rollout", "start", "1"]);
    stage.until("paused");
    stage.run(&["rollout", "resume", "1"]);
    assert_explained!(stage.told(&["rollout", "explain", "1"]), @"
    exit 0
    --- out
    rollout 1 (pos-app 2.0.0): paused
      HH:MM:SS  created: pos-app 2.0.0 to every device, progressive
      HH:MM:SS  waves: 1 device, success >= 100 %; then up to 100 %, success >= 90 %
      HH:MM:SS  besides: those away are waited for
      HH:MM:SS  driver 1 took it over
      HH:MM:SS  the operator said start
      HH:MM:SS  prepared: 5 devices: 1 in wave 1, 4 in wave 2
      HH:MM:SS  it begins
      HH:MM:SS  wave 1 of 2 opened: 1 device
      HH:MM:SS  devices: 1 claimed, 1 failed: rejected: HTTP 400 (pos-3)
      HH:MM:SS  gate of wave 1 of 2: stop: 0 of 1 succeeded, at least 100 % required
      HH:MM:SS  paused by the gate
      HH:MM:SS  the operator said resume, and nothing changed: cannot resume a
                paused rollout: the gate of its wave stopped it; advance overrides
                the gate
    ");
    assert_explained!(stage.told(&["rollout", "explain", "1", "pos-3"]), @r#"
    exit 0
    --- out
    pos-3 in rollout 1 (pos-app 2.0.0)
      HH:MM:SS  chosen, in wave 1 of 2
      HH:MM:SS  it begins
      HH:MM:SS  wave 1 of 2 opened: 1 device
      HH:MM:SS  its turn: runs 1.0.0
      HH:MM:SS  claimed for attempt 1
      HH:MM:SS  attempt 1: HTTP 400: {"error":"refused by design"}; failed: rejected
    "#);
    assert_explained!(stage.told(&["rollout", "explain", "1", "pos-0"]), @"
    exit 0
    --- out
    pos-0 in rollout 1 (pos-app 2.0.0)
      HH:MM:SS  chosen, in wave 2 of 2
      HH:MM:SS  it begins
      HH:MM:SS  waits: wave 2 of 2 waits for wave 1: 0 of 1 ended, success >= 100 %
                wanted
      HH:MM:SS  gate of wave 1 of 2: stop: 0 of 1 succeeded, at least 100 % required
      HH:MM:SS  the rollout is paused by the gate
    ");
    assert_explained!(stage.told(&["rollout", "explain", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0): draft
      HH:MM:SS  created: pos-app 2.0.0 to the devices that id==pos-1 selects,
                immediate
    ");
    assert_explained!(stage.told(&["rollout", "explain", "2", "pos-0"]), @"
    exit 0
    --- out
    pos-0 is not in rollout 2 (pos-app 2.0.0), which selects id==pos-1
    ");
    assert_explained!(stage.told(&["rollout", "explain", "1", "pos-9"]), @"
    exit 2
    --- err
    error: there is no device `pos-9`; did you mean `pos-0`?
    ");
    assert_explained!(stage.told(&["rollout", "explain", "3"]), @"
    exit 2
    --- err
    error: there is no rollout `3`: they are numbered 1 to 2; `groundswell rollout list` has them
    ");
}

#[test]
fn a_device_is_told_while_its_driver_writes() {
    let options = Options { latency: Duration::from_millis(20), ..Options::default() };
    let stage = Stage::driven(400, options);
    stage.run(&["rollout", "start", "1"]);
    let (mut told, mut states) = (0, vec![]);
    while states.last().is_none_or(|state| state != "completed") {
        for device in ["pos-0", "pos-399"] {
            let ran = stage.run(&["rollout", "explain", "1", device]);
            // A note would say that what it read does not fit together.
            assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{ran:?}");
            told += usize::from(ran.out.contains("chosen, in wave"));
        }
        states.push(stage.rollout("1")["state"].as_str().unwrap().to_owned());
    }
    assert!(told > 2 && states.iter().any(|state| state == "running"), "{told} {states:?}");
    let ran = stage.run(&["rollout", "explain", "1", "pos-399"]);
    assert!(ran.out.contains("reports version 2.0.0: succeeded"), "{ran:?}");
}

#[test]
fn an_act_on_what_has_moved_on_is_told_though_nobody_drove() {
    let stage = Stage::new(3, Options::default());
    stage.run(&["rollout", "start", "1"]);
    // Somebody had asked a driver, which ended before it looked.
    let database = stage.dir().join("groundswell-data/state.db");
    let (rollout, generation) = (RolloutKey(1), Some(0));
    let intent = Intent::Act { rollout, act: Act::Advance, generation, reason: None };
    let asked =
        SqliteStore::open(&database).unwrap().put_intent(&intent, Clock::System.now()).unwrap();
    let ran = stage.run(&["rollout", "cancel", "1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = stage.told(&["rollout", "explain", "1"]);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = "the operator said advance, and nothing changed: it has moved on since you looked";
    assert!(told.contains(line), "{told}");
    let answer = SqliteStore::open(&database).unwrap().answer_to(asked).unwrap();
    assert!(matches!(answer, Some(Answer::Refused(_))), "{answer:?}");
    let ran = stage.run(&["rollout", "replay", "1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
