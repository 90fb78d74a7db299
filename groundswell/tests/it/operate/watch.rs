//! `groundswell rollout watch`.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use super::{Desk, Ending, assert_told, groundswell};

#[test]
fn of_one_that_has_ended_it_tells_that_and_ends() {
    let desk = Desk::drafted();
    desk.well(&["rollout", "cancel", "1"]);
    let ran = desk.run(&["rollout", "watch", "1"]);
    assert_told!(ran.told(), @"
    exit 1
    --- out
    TIME canceled
    ");
    let json = desk.run(&["rollout", "watch", "1", "--output", "json"]);
    assert_eq!((json.code, json.out.lines().count()), (Some(1), 1));
    assert_eq!(json.json()["state"], "canceled");
}

#[test]
fn it_tells_changes_by_others_and_nothing_twice() {
    let desk = Desk::drafted();
    let mut command = groundswell(desk.dir.path(), &["rollout", "watch", "1"]);
    let mut watch = Ending(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut told = vec![lines.next().unwrap().unwrap()];
    desk.well(&["rollout", "start", "1"]);
    told.push(lines.next().unwrap().unwrap());
    desk.well(&["rollout", "abort", "1"]);
    told.push(lines.next().unwrap().unwrap());
    assert_told!(told.join("\n"), @"
    TIME draft; not started
    TIME preparing; its devices are being written down: 0 so far; nothing drives it
    TIME aborting; nothing drives it
    ");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let desk = Desk::drafted();
    let mut command = groundswell(desk.dir.path(), &["rollout", "watch", "1"]);
    let mut watch = Ending(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    desk.well(&["rollout", "start", "1"]);
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
    let mut err = String::new();
    watch.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
}
