//! The question above 100 devices, on a terminal of its own that `script` makes.

use std::{
    fs::File,
    io::Write,
    process::{Command, Stdio},
};

use super::{ground, untouched};
use crate::program::{Ground, Ran};

/// Runs the push on a terminal, with the devices on standard input, and types an answer.
fn run_on_a_terminal(ground: &Ground, answer: &str) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_groundswell");
    let push =
        format!("{program} push pos.bin --devices - --version 2.0.0 --state state < devices.csv");
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &push, "/dev/null"])
        .current_dir(ground.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = script.stdin.take().unwrap();
    keyboard.write_all(answer.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    drop(keyboard);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn devices_on_standard_input_do_not_answer_for_the_person() {
    let ground = ground(101);
    let (code, told) = run_on_a_terminal(&ground, "no\n");
    let question = "push pos.bin as version 2.0.0 to 101 devices? [y/N]";
    assert!(told.contains(question) && told.contains("nothing was sent"), "{told}");
    assert_eq!(code, Some(130));
    untouched(&ground.fleet);
    let (code, told) = run_on_a_terminal(&ground, "y\n");
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(ground.fleet.summary().receptions.complete, 101);
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let ground = ground(101);
    let devices = File::open(ground.dir.path().join("devices.csv")).unwrap();
    let mut push = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    push.current_dir(ground.dir.path()).stdin(devices);
    push.args(["push", "pos.bin", "--devices", "-", "--version", "2.0.0", "--state", "state"]);
    let ran = Ran::from(push.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ground.fleet.summary().receptions.complete, 101);
}
