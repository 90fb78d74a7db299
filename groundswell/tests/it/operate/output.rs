//! Output that cannot be written, and lists with nothing in them.

use std::fs::File;

use groundswell::store::dir::StateDir;

use super::{Desk, assert_told, groundswell};
use crate::program::Ran;

const LISTS: [&[&str]; 4] = [
    &["rollout", "list"],
    &["device", "list"],
    &["release", "list"],
    &["rollout", "show", "1", "--output", "json"],
];

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let desk = Desk::drafted();
    let others: [&[&str]; 4] =
        [&["--help"], &["--version"], &["rollout", "watch", "--help"], &["rollout", "pause", "9"]];
    for args in LISTS.into_iter().chain(others) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = groundswell(desk.dir.path(), args).stdout(full).output().unwrap();
        let ran = Ran::from(output);
        if args.contains(&"pause") {
            // What is refused prints nothing there.
            assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
            continue;
        }
        assert_eq!(ran.code, Some(3), "{args:?}: {ran:?}");
        let why = "error: not all of the output could be written: No space left on device";
        assert!(ran.err.starts_with(why), "{args:?}: {ran:?}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let desk = Desk::drafted();
    for args in LISTS.into_iter().chain([&["--help"][..]]) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = groundswell(desk.dir.path(), args).stdout(writer).output().unwrap();
        let ran = Ran::from(output);
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn an_empty_list_is_no_failure_and_a_note_says_so() {
    let desk = Desk::set();
    for args in [
        &["rollout", "list"][..],
        &["release", "list", "pos"],
        &["release", "list", "pos-ap"],
        &["device", "list", "--select", "id==nobody"],
        &["device", "list", "--after", "zzz"],
    ] {
        let ran = desk.well(args);
        assert_eq!(ran.out, "", "{args:?}");
        assert!(ran.err.starts_with("note: "), "{args:?}: {ran:?}");
    }
    assert_told!(desk.told(&["release", "list", "pos-ap", "--output", "json"]), @"
    exit 0
    --- out
    []
    --- err
    note: there is no release of pos-ap; did you mean `pos-app`?
    ");
    assert_told!(desk.told(&["rollout", "list", "--output", "json"]), @"
    exit 0
    --- out
    []
    --- err
    note: no rollout yet: `groundswell rollout create SPEC` makes one
    ");
}

#[test]
fn only_who_drives_says_so() {
    let desk = Desk::set();
    let _driver = StateDir::lock(&desk.state(), "run").unwrap();
    assert_told!(desk.told(&["run"]), @"
    exit 3
    --- err
    error: groundswell-data is driven by another process (process PID: groundswell run); wait for it to end, or use another directory with --state
    ");
}
