//! Readers who stop reading: a pipe whose other end nobody empties, like a terminal after Ctrl-S.

use std::{
    fs::{self, File},
    process::{Child, Stdio},
};

use super::{faulty, ground, interrupt};
use crate::program::Ground;

/// Starts a push whose events nobody reads; there are more of them than a pipe holds.
fn start_unread(ground: &Ground, args: &[&str]) -> Child {
    let err = File::create(ground.dir.path().join("err")).unwrap();
    let mut command = ground.push();
    command.args(["--output", "events", "--yes"]).args(args);
    command.stdout(Stdio::piped()).stderr(err).spawn().unwrap()
}

fn told(ground: &Ground) -> String {
    fs::read_to_string(ground.dir.path().join("err")).unwrap()
}

#[test]
fn every_device_is_updated_though_nobody_reads_and_an_interrupt_ends_it() {
    let ground = ground(1_500);
    let mut child = start_unread(&ground, &[]);
    ground.until(|fleet| fleet.summary().receptions.complete == 1_500);
    assert_eq!(child.try_wait().unwrap(), None, "the last events were dropped");
    interrupt(&child);
    ground.until(|_| told(&ground).contains("Ctrl-C again"));
    let code = child.wait().unwrap().code();
    // Whether it counts as interrupted depends on whether the last result was written by then.
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
}

#[test]
fn a_closed_standard_error_changes_no_exit_status() {
    let ground = ground(1);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = ground.push().args(["--select", "name==nobody"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn two_interrupts_end_it_at_once_though_nobody_reads() {
    let ground = faulty(1_500, "hang:0.05");
    let mut child = start_unread(&ground, &["--max-in-flight", "200"]);
    ground.until(|fleet| fleet.summary().receptions.complete == 1_500);
    interrupt(&child);
    ground.until(|_| told(&ground).contains("Ctrl-C again"));
    assert_eq!(child.try_wait().unwrap(), None);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
