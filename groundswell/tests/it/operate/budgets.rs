//! Budgets of failure domains, as operators see them kept.

use std::{fmt::Write as _, fs};

use groundswell::sim::Options;

use super::{Desk, assert_told, driven::Stage};
use crate::program::pause;

const ONE_OF_EACH: &str =
    "release = 'pos-app 2.0.0'\nsalt = 'fixed'\nbudgets = [{ per = 'tag.store', max = 1 }]";

/// Gives each of `count` devices of a stage its store: three to each.
fn move_in(stage: &Stage, count: usize) {
    let listed = stage.run(&["device", "list", "--output", "json"]).json();
    let mut lines = String::new();
    for (at, device) in listed["devices"].as_array().unwrap().iter().enumerate().take(count) {
        let mut device = device.clone();
        device["tags"] = serde_json::json!({ "store": format!("{:02}", at / 3) });
        device.as_object_mut().unwrap().remove("status");
        writeln!(lines, "{device}").unwrap();
    }
    fs::write(stage.dir().join("stores.jsonl"), lines).unwrap();
    let ran = stage.run(&["device", "import", "stores.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn begun(options: Options) -> Stage {
    let mut stage = Stage::new(9, options);
    move_in(&stage, 9);
    fs::write(stage.dir().join("budget.toml"), ONE_OF_EACH).unwrap();
    let ran = stage.run(&["rollout", "create", "budget.toml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage
}

/// A text whatever its lines are.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn failed(stage: &Stage) -> u64 {
    stage.rollout("2")["counts"]["failed"].as_u64().unwrap()
}

fn until_failed(stage: &Stage, count: u64) {
    while failed(stage) < count {
        pause();
    }
}

#[test]
fn every_store_stops_at_its_first_failure_until_somebody_says_it_is_well() {
    let faults = vec!["status:400:1".parse().unwrap()];
    let stage = begun(Options { faults, ..Options::default() });
    until_failed(&stage, 3);
    while stage.rollout("2")["waiting_on"].as_array().unwrap().is_empty() {
        pause();
    }
    assert_told!(stage.told(&["rollout", "why", "2"]), @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, immediate, running

    6 devices wait for failure domains, the first for tag.store=02, of which at most 1 device may be out of order: pos-8 failed; each is freed when it is seen to be well, or by budget release
    ");
    assert_told!(stage.told(&["budget", "list"]), @"
    exit 0
    --- out
    tag.store=00, 3 devices: 1 out of order, at most 1 in rollout 2
      pos-2  failed TIME
    tag.store=01, 3 devices: 1 out of order, at most 1 in rollout 2
      pos-3  failed TIME
    tag.store=02, 3 devices: 1 out of order, at most 1 in rollout 2
      pos-8  failed TIME
    ");
    assert_told!(stage.told(&["rollout", "why", "2", "pos-0"]), @"
    exit 0
    --- out
    pos-0 in rollout 2 (pos-app 2.0.0): queued
      1 device waits for tag.store=00, of which at most 1 device may be out of order: pos-2 failed; each is freed when it is seen to be well, or by budget release
    ");
    assert_told!(
        stage.told(&["budget", "release", "tag.store=00", "pos-2", "--reason", "replaced"]), @"
    exit 0
    --- out
    the slot of pos-2 in tag.store=00 is free
    ");
    let shown = stage.told(&["device", "show", "pos-2"]);
    let freed = shown.lines().find(|line| line.contains("slot freed")).unwrap_or_default();
    assert!(freed.contains("  tag.store=00, after rollout 2, 20"), "{shown}");
    assert!(freed.ends_with("): replaced"), "{shown}");
    let shown = stage.run(&["device", "show", "pos-2", "--output", "json"]).json();
    assert_eq!(shown["slots_released"][0]["reason"], "replaced");
    assert_eq!(shown["slots_released"][0]["domain"], "tag.store=00");
    let explained = stage.told(&["rollout", "explain", "2"]);
    let released = "the operator released the slot of pos-2 in tag.store=00: replaced";
    assert!(unwrapped(&explained).contains(released), "{explained}");
    let explained = stage.told(&["rollout", "explain", "2", "pos-2"]);
    let released = "the operator released its slot in tag.store=00: replaced";
    assert!(unwrapped(&explained).contains(released), "{explained}");
    let explained = stage.told(&["rollout", "explain", "2", "pos-3"]);
    assert!(!explained.contains("released"), "it is the other's: {explained}");
    until_failed(&stage, 4);
    assert_told!(stage.told(&["device", "check-in", "pos-3"]), @"
    exit 0
    --- out
    pos-3: seen now
    ");
    until_failed(&stage, 5);
    assert_told!(stage.told(&["budget", "list"]), @"
    exit 0
    --- out
    tag.store=00, 3 devices: 1 out of order, at most 1 in rollout 2
      pos-1  failed TIME
    tag.store=01, 3 devices: 1 out of order, at most 1 in rollout 2
      pos-5  failed TIME
    tag.store=02, 3 devices: 1 out of order, at most 1 in rollout 2
      pos-8  failed TIME
    ");
    assert_eq!(stage.run(&["rollout", "replay", "2"]).code, Some(0));
}

#[test]
fn what_cannot_be_released_is_told() {
    let desk = Desk::set();
    let mut told = vec![];
    for args in [
        &["budget", "release", "store", "pos-01", "--reason", "x"][..],
        &["budget", "release", "tag.region=north", "pos-0x", "--reason", "x"],
        &["budget", "release", "tag.region=south", "pos-01", "--reason", "x"],
        &["budget", "release", "tag.region=north", "pos-01", "--reason", " "],
        &["budget", "release", "tag.region=north", "pos-01", "--reason", "new \u{1b}[2J"],
        &["budget", "release", "tag.region=north", "pos-01", "--reason", "x"],
    ] {
        told.push(desk.told(args));
    }
    assert_told!(told.join("\n"), @r#"
    exit 2
    --- err
    error: `store` names no failure domain; write one such as tag.store=0042 or "tag.store: none"

    exit 2
    --- err
    error: there is no device `pos-0x`; did you mean `pos-01`?

    exit 2
    --- err
    error: pos-01 is not in tag.region=south, but in tag.region=north

    exit 2
    --- err
    error: --reason: say in 1 to 500 characters why it does no harm there

    exit 2
    --- err
    error: --reason has a control character at byte 4

    exit 2
    --- err
    error: pos-01 has no slot in tag.region=north: it did not fail, or was seen to be well since
    "#);
}

/// At no time are two devices of a store under way.
#[test]
fn a_store_is_updated_one_device_at_a_time() {
    let stage = begun(Options::default());
    stage.until_of("2", "completed");
    let report = stage.fleet().report();
    let mut spans: Vec<(usize, u64, u64)> = vec![];
    for at in 0..9 {
        let device = &report.devices[&format!("pos-{at}")];
        let times: Vec<u64> = device.events.iter().map(|event| event.at_ms).collect();
        spans.push((at / 3, *times.iter().min().unwrap(), *times.iter().max().unwrap()));
    }
    for (at, (store, from, to)) in spans.iter().enumerate() {
        for (other, other_from, other_to) in &spans[at + 1..] {
            let is_apart = to <= other_from || other_to <= from;
            assert!(store != other || is_apart, "{spans:?}");
        }
    }
    assert_told!(stage.told(&["budget", "list"]), @"
    exit 0
    --- err
    note: no device of a domain that rollouts have budgets for is out of order
    ");
}

/// A store of which a device is down is left alone by who counts that, and by nobody else.
#[test]
fn a_device_that_is_down_counts_where_the_budget_says_so() {
    let mut stage = Stage::new(9, Options::default());
    move_in(&stage, 9);
    let lines = fs::read_to_string(stage.dir().join("stores.jsonl")).unwrap();
    let silent = lines.lines().next().unwrap().replacen(
        '{',
        "{\"check_in\":\"60s\",\"last_seen\":\"2020-02-01T10:00:00Z\",",
        1,
    );
    fs::write(stage.dir().join("silent.jsonl"), silent).unwrap();
    let ran = stage.run(&["device", "import", "silent.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let counting = ONE_OF_EACH.replace("max = 1", "max = 1, count_down = true");
    fs::write(stage.dir().join("budget.toml"), counting).unwrap();
    stage.run(&["rollout", "create", "budget.toml"]);
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    while stage.rollout("2")["counts"]["succeeded"] != 6 {
        pause();
    }
    while stage.rollout("2")["waiting_on"].as_array().unwrap().is_empty() {
        pause();
    }
    let told = stage.told(&["rollout", "why", "2"]);
    let full = "2 devices wait for failure domains, the first for tag.store=00, of which at most 1 \
                device may be out of order: pos-0 down; who is down counts until it calls, or device \
                check-in says that it did";
    assert!(told.contains(full), "{told}");
    let told = stage.told(&["rollout", "why", "2", "pos-1"]);
    assert!(told.contains("out of order: pos-0 down; who is down"), "{told}");
    let listed = stage.told(&["budget", "list"]);
    assert!(listed.contains("  pos-0  down\n"), "{listed}");
    // By a budget that does not count it they go.
    fs::write(stage.dir().join("other.toml"), ONE_OF_EACH).unwrap();
    stage.run(&["rollout", "create", "other.toml"]);
    stage.run(&["rollout", "start", "3"]);
    stage.until_of("3", "completed");
    assert_eq!(stage.rollout("3")["counts"]["succeeded"], 8);
}

/// A device that took its update and is ill since is told apart from one that failed.
#[test]
fn a_device_that_regressed_is_listed_as_that() {
    let mut stage = Stage::new(3, Options::default());
    move_in(&stage, 3);
    let spec = format!(
        "{ONE_OF_EACH}\nwaves = [{{ count = 1, soak = '10m' }}, {{ percent = 100 }}]\n\
         health = {{ check = 'url', path = '/other', every = '1s', failures = 2 }}"
    );
    fs::write(stage.dir().join("ill.toml"), spec).unwrap();
    assert_eq!(stage.run(&["rollout", "create", "ill.toml"]).code, Some(0));
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    while stage.rollout("2")["counts"]["regressed"] != 1 {
        pause();
    }
    assert_told!(stage.told(&["budget", "list"]), @"
    exit 0
    --- out
    tag.store=00, 3 devices: 1 out of order, at most 1 in rollout 2
      pos-2  regressed TIME
    ");
    let listed = stage.run(&["budget", "list", "--output", "json"]).json();
    assert_eq!(listed[0]["holders"][0]["why"], "regressed");
}

/// Those without a tag are a domain to whoever has some of them, and to nobody else.
#[test]
fn devices_that_lack_a_tag_are_listed_to_whom_they_matter() {
    let faults = vec!["status:400:1".parse().unwrap()];
    let stage = begun(Options { faults, ..Options::default() });
    until_failed(&stage, 3);
    let paired = "release = 'pos-app 2.0.0'\nselect = 'tag.store==00'\n\
                  budgets = [{ per = 'tag.store', max = 2 }, { per = 'tag.pair', max = 1 }]";
    let listed = stage.run(&["device", "list", "--output", "json"]).json();
    let mut lines = String::new();
    for device in listed["devices"].as_array().unwrap().iter().take(3) {
        let mut device = device.clone();
        device["tags"] = serde_json::json!({ "store": "00", "pair": device["id"] });
        device.as_object_mut().unwrap().remove("status");
        writeln!(lines, "{device}").unwrap();
    }
    fs::write(stage.dir().join("pairs.jsonl"), lines).unwrap();
    assert_eq!(stage.run(&["device", "import", "pairs.jsonl"]).code, Some(0));
    fs::write(stage.dir().join("paired.toml"), paired).unwrap();
    assert_eq!(stage.run(&["rollout", "create", "paired.toml"]).code, Some(0));
    let listed = stage.told(&["budget", "list"]);
    assert!(listed.contains("tag.store=01, 3 devices: 1 out of order"), "{listed}");
    assert!(listed.contains("tag.pair=pos-"), "{listed}");
    assert!(!listed.contains("tag.pair: none"), "none of its devices lacks one: {listed}");
    // One that has a device without a pair beside them.
    let spec = paired.replace("'tag.store==00'", "'tag.store==00 or id==pos-3'");
    fs::write(stage.dir().join("mixed.toml"), spec).unwrap();
    let ran = stage.run(&["rollout", "create", "mixed.toml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let listed = stage.told(&["budget", "list"]);
    let rest = "tag.pair: none, 6 devices: 2 out of order, at most 1 in rollout 4\n";
    assert!(listed.contains(rest), "{listed}");
}
