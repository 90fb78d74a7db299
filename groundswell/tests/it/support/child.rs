//! Runs a test again in a process of its own, where it can measure the whole process.

use std::process::Command;

const MARKER: &str = "GROUNDSWELL_TEST_CHILD";

/// What the parent handed over, if this is the child.
#[expect(clippy::disallowed_methods, reason = "this is how a child learns that it is one")]
pub(crate) fn argument() -> Option<String> {
    std::env::var(MARKER).ok()
}

/// Runs the test `name` (its whole path) in a child with `argument`; returns what it printed.
pub(crate) fn run(name: &str, argument: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(MARKER, argument);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the child failed:\n{text}\n{errors}");
    assert!(text.contains("1 passed"), "the child ran no test named {name}:\n{text}");
    text
}
