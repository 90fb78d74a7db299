//! What is wrong with a rollout, told before it starts.

use std::{fmt::Write as _, fs};

use groundswell::sim::Options;

use super::{Desk, assert_told, driven::Stage};

#[test]
fn of_a_sound_spec_it_says_so() {
    let desk = Desk::set();
    desk.keep("south.toml", "release = 'pos-app 2.0.0'\nselect = 'tag.region==south'");
    assert_told!(desk.told(&["rollout", "check", "south.toml"]), @"
    exit 0
    --- out
    south.toml: pos-app 2.0.0 to 3 devices: nothing is wrong with it
    ");
    assert_told!(desk.told(&["rollout", "check", "south.toml", "--output", "json"]), @r#"
    exit 0
    --- out
    {
      "errors": 0,
      "warnings": 0,
      "release": {
        "name": "pos-app",
        "version": "2.0.0",
        "artifact": "1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98",
        "artifact_bytes": 12
      },
      "devices": 3,
      "findings": []
    }
    "#);
    assert_told!(desk.told(&["rollout", "list"]), @"
    exit 0
    --- err
    note: no rollout yet: `groundswell rollout create SPEC` makes one
    ");
}

const ALL_WRONG: &str = "release = 'pos-app 2.0.0'
select = 'tag.region==north'
windows = ['02:00-02:30']
freezes = ['2020-01-01..2020-01-02']
on_failure = 'rollback'
[[budgets]]
per = 'tag.region'
max_percent = 1
[[waves]]
select = 'id==nobody'
soak = '1h'
[[waves]]
percent = 100
[timeouts]
verifying = '1h'";

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let desk = Desk::set();
    desk.keep("bad.toml", ALL_WRONG);
    let artifacts = desk.state().join("artifacts");
    for file in fs::read_dir(&artifacts).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert_told!(desk.told(&["rollout", "check", "bad.toml"]), @r#"
    exit 2
    --- out
    bad.toml: pos-app 2.0.0 to 6 devices: 4 errors and 3 warnings
      error: release: the artifact of pos-app 2.0.0 is not kept any more; `groundswell release create pos-app 2.0.0 FILE` with the same file brings it back
      error: waves[1].select: no device that is chosen matches id==nobody, so the first devices would be those of a later wave; choose others, or leave this wave out
      error: budgets[1].max_percent: 1 % of the 6 devices of tag.region=north is less than one, so none of them could ever be sent to; write max = 1, or max_percent = 17 or more
      error: on_failure: no release pos-app 1.0.0, 3.0.0 is written down, to which 6 devices would go back; `groundswell release create pos-app VERSION FILE` makes it, if that is a version of pos-app: a device is known by one version, whatever it is the version of
      warning: release: 1 of 6 devices runs 3.0.0, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well
      warning: on_failure: "rollback" follows when something stops it, and nothing does: no wave has min_success, no gate has on_false = "stop", and there is neither max_failures nor a regression test; add one of them
      warning: windows[1]: 02:00-02:30 lasts 30m, and one update may take 1h by its time-outs (timeouts.delivering and timeouts.verifying): devices would still be busy when it has closed; write a longer window, or shorter time-outs
    "#);
    let json = desk.run(&["rollout", "check", "bad.toml", "--output", "json"]);
    assert_eq!(json.code, Some(2), "{json:?}");
    let json = json.json();
    let findings = json["findings"].as_array().unwrap();
    let codes: Vec<&str> = findings.iter().map(|of| of["code"].as_str().unwrap()).collect();
    let errors = ["missing_artifact", "empty_wave", "budget", "no_way_back"];
    let warnings = ["newer_version", "never_rolled_back", "short_window"];
    assert_eq!(codes, [&errors[..], &warnings[..]].concat());
    assert_eq!((&json["errors"], &json["warnings"]), (&4.into(), &3.into()));
}

#[test]
fn what_is_no_spec_or_no_release() {
    let desk = Desk::set();
    desk.keep("other.toml", "release = 'pos-app 2.0.1'\nselect = 'tag.region==moon'");
    assert_told!(desk.told(&["rollout", "check", "other.toml"]), @"
    exit 2
    --- out
    other.toml: 1 error
      error: release: there is no release pos-app 2.0.1; there is pos-app 2.0.0
    ");
    desk.keep("broken.toml", "release = 'pos-app 2.0.0'\npriority = 'high'");
    assert_told!(desk.told(&["rollout", "check", "broken.toml"]), @r#"
    exit 2
    --- err
    error: broken.toml: 1 mistake
      priority: must be a whole number from -2147483648 to 2147483647, not "high"
    "#);
}

/// A draft is looked at again when it is started: what was well then may not be any more.
#[test]
fn start_refuses_errors_whoever_drives() {
    let desk = Desk::drafted();
    let artifacts = desk.state().join("artifacts");
    let artifact = fs::read_dir(&artifacts).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&artifact).unwrap();
    assert_told!(desk.told(&["rollout", "start", "1"]), @"
    exit 2
    --- err
    error: rollout 1 does not start: there is 1 error in what it would do now
      error: release: the artifact of pos-app 2.0.0 is not kept any more; `groundswell release create pos-app 2.0.0 FILE` with the same file brings it back
      warning: release: 1 of 6 devices runs 3.0.0, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well
    ");
    assert_eq!(desk.run(&["rollout", "show", "1", "--output", "json"]).json()["state"], "draft");
    fs::write(&artifact, "new software").unwrap();
    assert_eq!(desk.run(&["rollout", "start", "1"]).code, Some(0));

    let stage = Stage::driven(3, Options::default());
    fs::write(stage.dir().join("none.toml"), "release = 'pos-app 2.0.0'\nselect = 'id==x'")
        .unwrap();
    assert_told!(stage.told(&["rollout", "create", "none.toml"]), @"
    exit 0
    --- out
    rollout 2 is a draft: pos-app 2.0.0, immediate
      id       ID
      select   id==x
      devices  none matches now; who is in it is settled at its start

    error: select: no device matches id==x now; started like this, it would fail
    `groundswell rollout start 2` refuses it as things are now
    ");
    assert_told!(stage.told(&["rollout", "start", "2"]), @"
    exit 2
    --- err
    error: rollout 2 does not start: there is 1 error in what it would do now
      error: select: no device matches id==x now; started like this, it would fail
    ");
    assert_eq!(stage.rollout("2")["state"], "draft");
}

#[test]
fn warnings_are_shown_at_the_start_and_told_afterwards() {
    let stage = Stage::driven(3, Options::default());
    let mut spec = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n".to_owned();
    for wave in ["count = 3", "count = 1", "percent = 100"] {
        writeln!(spec, "[[waves]]\n{wave}").unwrap();
    }
    fs::write(stage.dir().join("many.toml"), spec).unwrap();
    assert_told!(stage.told(&["rollout", "create", "many.toml"]), @"
    exit 0
    --- out
    rollout 2 is a draft: pos-app 2.0.0, progressive
      id       ID
      select   every device
      devices  3 match now; who is in it is settled at its start

      wave  devices  gate  first
         1        3  none  pos-2, pos-1, pos-0
         2        0  none
         3        0  none

    warning: waves[2].count: it has no device, and passes without having shown anything; leave it out if that is not meant
    warning: waves[3].percent: it has no device: the waves before it take all of them
    `groundswell rollout start 2` begins it
    ");
    assert_told!(stage.told(&["rollout", "start", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is preparing
    warning: waves[2].count: it has no device, and passes without having shown anything; leave it out if that is not meant
    warning: waves[3].percent: it has no device: the waves before it take all of them
    ");
    stage.until_of("2", "completed");
    let explained = stage.run(&["rollout", "explain", "2"]).out;
    let words = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    let warned = "warned before its start: waves[2].count: it has no device";
    assert!(words.contains(warned), "{explained}");
    assert!(words.find(warned) < words.find("the operator said start"), "{explained}");
    assert_eq!(stage.run(&["rollout", "replay", "2"]).code, Some(0));
    // Said again, it is refused for where it stands, and nothing is looked at.
    assert_told!(stage.told(&["rollout", "start", "2"]), @"
    exit 2
    --- err
    error: rollout 2: cannot start a completed rollout: retry tries what failed again; for all else create another one
    ");
}

/// Programs read mistakes where they read findings.
#[test]
fn mistakes_in_a_spec_are_findings_to_programs() {
    let desk = Desk::set();
    desk.keep("wrong.toml", "release = 'pos-app 2.0.0'\nwindws = []\npriority = 'high'");
    assert_told!(desk.told(&["rollout", "check", "wrong.toml", "--output", "json"]), @r#"
    exit 2
    --- out
    {
      "errors": 2,
      "warnings": 0,
      "release": null,
      "devices": null,
      "findings": [
        {
          "severity": "error",
          "code": "mistake",
          "field": "",
          "text": "unknown field \"windws\"; did you mean \"windows\"?"
        },
        {
          "severity": "error",
          "code": "mistake",
          "field": "priority",
          "text": "must be a whole number from -2147483648 to 2147483647, not \"high\""
        }
      ]
    }
    "#);
    desk.keep("broken.toml", "release = ");
    let ran = desk.run(&["rollout", "check", "broken.toml", "--output", "json"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let found = ran.json();
    assert_eq!(found["errors"], 1);
    let text = found["findings"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("line 1, column "), "{found}");
    // What cannot be read at all is told as ever.
    let ran = desk.run(&["rollout", "check", "none.toml", "--output", "json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
}

#[test]
fn a_tag_in_a_budget_that_no_device_has_is_looked_up() {
    let desk = Desk::set();
    let spec = "release = 'pos-app 2.0.0'\nallow_downgrade = true\n\
                budgets = [{ per = 'tag.Region', max = 1 }]";
    desk.keep("b.toml", spec);
    assert_told!(desk.told(&["rollout", "check", "b.toml"]), @"
    exit 2
    --- out
    b.toml: pos-app 2.0.0 to 10 devices: 1 error
      error: budgets[1].per: no device of the inventory has tag.Region; did you mean tag.region?
    ");
    assert_told!(desk.told(&["rollout", "create", "b.toml"]), @"
    exit 2
    --- err
    error: b.toml: 1 mistake
      budgets[1].per: no device of the inventory has tag.Region; did you mean tag.region?
    ");
}
