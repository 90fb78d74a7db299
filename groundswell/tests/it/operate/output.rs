//! Output that cannot be written, and lists with nothing in them.

use std::fs::File;

use groundswell::{
    core::{ids::Epoch, rollout::State, time::Time, waiting::WaitingOn},
    store::{
        Batch, RolloutKey, SqliteStore, Store, Told,
        dir::{StateDir, database},
    },
};

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

#[test]
fn what_a_driver_said_that_drives_no_more_is_not_told_as_if_it_held() {
    let desk = Desk::drafted();
    desk.well(&["rollout", "start", "1"]);
    let told = Told {
        at: Time::from_millis(1_795_615_200_000),
        waiting_on: vec![WaitingOn::InFlight { max: 20 }],
        ended_per_sec: 3.0,
    };
    let mut store = SqliteStore::open(&database(&desk.state())).unwrap();
    let mut progression = store.rollout(RolloutKey(1)).unwrap().unwrap().progression;
    progression.state = State::Running;
    progression.started_at = Some(told.at);
    let batch = Batch::empty(RolloutKey(1), Epoch(1), told.at);
    store.commit(&Batch { progression: Some(progression), told: Some(told), ..batch }).unwrap();
    let held = StateDir::lock(&desk.state(), "run").unwrap();
    // It has the directory, and waits for room.
    assert_told!(desk.told(&["rollout", "why", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, running
    nothing drives groundswell-data now; what has it waits, as for room on the disk:
      process PID: groundswell run
    a driver last told of it TIME
    ");
    let reserve = held.reserve().unwrap();
    reserve.show_driving();
    assert_told!(desk.told(&["rollout", "why", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, running

    20 deliveries are open, the most allowed
    ");
    drop((reserve, held));
    assert_told!(desk.told(&["rollout", "why", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, running
    nothing drives groundswell-data now: `groundswell run` does
    a driver last told of it TIME
    ");
}
