//! `groundswell device`.

use std::io::Write;

use super::{Desk, assert_told, groundswell};
use crate::program::Ran;

#[test]
fn without_a_state_it_says_how_one_begins() {
    let desk = Desk::empty();
    assert_told!(of_any_width(&desk.told(&["device", "list"])), @"
    exit 2
    --- err
    error: there is no state in groundswell-data: `groundswell device import` begins one; or name another directory with --state
    ");
    assert_told!(desk.told(&["device", "check-in", "pos-01"]), @"
    exit 2
    --- err
    error: there is no state in groundswell-data: `groundswell device import` begins one; or name another directory with --state
    ");
    assert!(!desk.state().exists(), "looking makes nothing");
}

#[test]
fn imported_again_they_are_known_or_changed() {
    let desk = Desk::empty();
    assert_told!(desk.told(&["device", "import", "devices.json"]), @"
    exit 0
    --- out
    10 devices: 10 new, 0 changed, 0 as known
    ");
    assert_told!(desk.told(&["device", "import", "devices.json"]), @"
    exit 0
    --- out
    10 devices: 0 new, 0 changed, 10 as known
    ");
    let more = r#"[{"id": "pos-01", "address": "10.4.9.9"}, {"id": "pos-11"}]"#;
    let mut import = groundswell(desk.dir.path(), &["device", "import", "-"]);
    let mut import = import
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    import.stdin.take().unwrap().write_all(more.as_bytes()).unwrap();
    let ran = Ran::from(import.wait_with_output().unwrap());
    assert_told!(ran.told(), @"
    exit 0
    --- out
    2 devices: 1 new, 1 changed, 0 as known
    ");
    let json = desk.run(&["device", "import", "devices.json", "--output", "json"]);
    assert_told!(json.told(), @r#"
    exit 0
    --- out
    {
      "new": 0,
      "changed": 1,
      "same": 9,
      "with_headers": 0
    }
    "#);
}

#[test]
fn bad_rows_and_empty_files_are_refused_before_anything_is_written() {
    let desk = Desk::empty();
    desk.keep("bad.json", r#"[{"id": "a"}, {"id": "a", "address": "ftp://x"}, {"name": "b"}]"#);
    assert_told!(desk.told(&["device", "import", "bad.json"]), @r#"
    exit 2
    --- err
    error: bad.json: 2 bad rows
      line 1, row 2: address "ftp://x": only http and https can be sent to; id `a` is already on line 1
      line 1, row 3: id is missing
    Nothing was imported. Correct them and run the same command again.
    "#);
    desk.keep("empty.json", "[]");
    assert_told!(desk.told(&["device", "import", "empty.json"]), @"
    exit 2
    --- err
    error: empty.json has no device in it
    ");
    assert_told!(desk.told(&["device", "import", "none.json"]), @"
    exit 2
    --- err
    error: devices cannot be read from none.json: No such file or directory (os error 2)
    ");
    assert!(!desk.state().exists());
}

#[test]
fn headers_of_devices_are_not_kept_and_that_is_said() {
    let desk = Desk::empty();
    let device = r#"[{"id": "a", "address": "10.0.0.1", "headers": {"Authorization": "s3cr3t"}}]"#;
    desk.keep("secret.json", device);
    let ran = desk.run(&["device", "import", "secret.json"]);
    assert_told!(ran.told(), @"
    exit 0
    --- out
    1 device: 1 new, 0 changed, 0 as known
    --- err
    note: secret.json: 1 device has headers of its own. They may be secrets and are not kept: what every device is to be sent is given to the run, with --header
    ");
    let database = std::fs::read(desk.state().join("state.db")).unwrap();
    let log = std::fs::read(desk.state().join("state.db-wal")).unwrap_or_default();
    let is_there = |bytes: &[u8]| bytes.windows(6).any(|found| found == b"s3cr3t");
    assert!(!is_there(&database) && !is_there(&log), "a secret was stored");
}

/// Without the width of columns: that of an age changes with the hour of the day.
fn of_any_width(told: &str) -> String {
    let narrow = |line: &str| {
        let indent = &line[..line.len() - line.trim_start().len()];
        let columns: Vec<&str> =
            line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        format!("{indent}{}\n", columns.join("  "))
    };
    told.lines().map(narrow).collect()
}

#[test]
fn listed_in_pages() {
    let desk = Desk::set();
    assert_told!(of_any_width(&desk.told(&["device", "list"])), @"
    exit 0
    --- out
      id  version  status  last seen  location  address
      pos-01  1.0.0  unknown  DAYS ago  Oslo  http://10.4.0.1
      pos-02  1.0.0  offline  DAYS ago  -  http://10.4.0.2
      pos-03  1.0.0  never seen  never  -  http://10.4.0.3
      pos-04  3.0.0  never seen  never  -  http://10.4.0.4
      pos-05  1.0.0  never seen  never  -  http://10.4.0.5
      pos-06  1.0.0  never seen  never  -  -
      pos-07  1.0.0  never seen  never  -  http://10.4.0.7
      pos-08  1.0.0  never seen  never  -  http://10.4.0.8
      pos-09  1.0.0  never seen  never  -  http://10.4.0.9
      pos-10  -  never seen  never  -  http://10.4.0.10
    10 devices
    ");
    assert_told!(desk.told(&["device", "list", "--limit", "2", "--after", "pos-07"]), @"
    exit 0
    --- out
      id      version  status      last seen  location  address
      pos-08  1.0.0    never seen  never      -         http://10.4.0.8
      pos-09  1.0.0    never seen  never      -         http://10.4.0.9
    2 of 10 devices; the next: --after pos-09
    ");
    assert_told!(desk.told(&["device", "list", "--limit", "2", "--after", "pos-08"]), @"
    exit 0
    --- out
      id      version  status      last seen  location  address
      pos-09  1.0.0    never seen  never      -         http://10.4.0.9
      pos-10  -        never seen  never      -         http://10.4.0.10
    the last 2 of 10 devices
    ");
    assert_told!(desk.told(&["device", "list", "--select", "tag.region==south"]), @"
    exit 0
    --- out
      id      version  status      last seen  location  address
      pos-07  1.0.0    never seen  never      -         http://10.4.0.7
      pos-08  1.0.0    never seen  never      -         http://10.4.0.8
      pos-09  1.0.0    never seen  never      -         http://10.4.0.9
    3 devices
    ");
    assert_told!(desk.told(&["device", "list", "--select", "tag.region==west"]), @r#"
    exit 0
    --- err
    note: no device matches "tag.region==west"
    "#);
    assert_told!(desk.told(&["device", "list", "--select", "tag.region==south and ("]), @"
    exit 2
    --- err
    error: --select: expected a field such as id, version or tag.region, found the end
      tag.region==south and (
                             ^
    ");
    let json = ["device", "list", "--select", "id==pos-02", "--output", "json"];
    assert_told!(desk.told(&json), @r#"
    exit 0
    --- out
    {
      "devices": [
        {
          "id": "pos-02",
          "name": "pos-02",
          "address": "http://10.4.0.2",
          "version": "1.0.0",
          "check_in": 60,
          "last_seen": MILLIS,
          "status": "offline",
          "tags": {
            "region": "north"
          }
        }
      ],
      "of": 1,
      "next": null
    }
    "#);
}

#[test]
fn what_is_listed_as_json_reads_back() {
    let desk = Desk::set();
    let listed = desk.well(&["device", "list", "--output", "json"]).json();
    desk.keep("again.json", &listed["devices"].to_string());
    assert_told!(desk.told(&["device", "import", "again.json"]), @"
    exit 0
    --- out
    10 devices: 0 new, 0 changed, 10 as known
    ");
}

#[test]
fn shown_with_all_that_is_known() {
    let desk = Desk::drafted();
    assert_told!(desk.told(&["device", "show", "pos-01"]), @"
    exit 0
    --- out
    pos-01
      address    http://10.4.0.1
      version    1.0.0
      location   Oslo
      time zone  Europe/Oslo
      tags       region=north
      last seen  TIME
      status     unknown
    ");
    assert_told!(desk.told(&["device", "show", "pos-06"]), @"
    exit 0
    --- out
    pos-06
      address    none: nothing can be sent to it
      version    1.0.0
      tags       region=north
      last seen  never
      status     never seen
    ");
    assert_told!(desk.told(&["device", "show", "pos-11"]), @"
    exit 2
    --- err
    error: there is no device `pos-11`; did you mean `pos-01`?
    ");
    assert_told!(desk.told(&["device", "show", "terminal"]), @"
    exit 2
    --- err
    error: there is no device `terminal`; import it with `groundswell device import`
    ");
}

#[test]
fn a_check_in_is_noted() {
    let desk = Desk::set();
    assert_told!(desk.told(&["device", "check-in", "pos-02", "--version", "1.1.0"]), @"
    exit 0
    --- out
    pos-02: seen now, runs 1.1.0
    ");
    let shown = desk.well(&["device", "show", "pos-02", "--output", "json"]).json();
    assert_eq!((&shown["status"], &shown["version"]), (&"online".into(), &"1.1.0".into()));
    assert_told!(desk.told(&["device", "check-in", "pos-02", "--version", ""]), @"
    exit 2
    --- err
    error: version is empty
    ");
    assert_told!(desk.told(&["device", "check-in", "pos-2"]), @"
    exit 2
    --- err
    error: there is no device `pos-2`; did you mean `pos-02`?
    ");
}
