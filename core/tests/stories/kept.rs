//! Logs of some stories that were kept: an earlier build of these decisions wrote them, so that a
//! decision that changes is seen, and its version raised.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::{fs, path::PathBuf};

use groundswell_core::log::{Entry, Replay};

/// Stories of every strategy, and of what has the most ways to go.
const KEPT: [&str; 8] = [
    "progressive.txt",
    "window_and_gate.txt",
    "on_connect.txt",
    "joiners.txt",
    "retry.txt",
    "superseded_downgrade.txt",
    "rate.txt",
    "brake.txt",
];

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    folder.join(name).with_extension("jsonl")
}

/// Runs the kept log of a story again; writes it anew instead if that is wanted.
pub(crate) fn hold(name: &str, entries: &[Entry], zones: &str, is_blessed: bool) {
    if !KEPT.contains(&name) {
        return;
    }
    let path = path(name);
    if is_blessed {
        let lines = entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n");
        return fs::write(path, lines.collect::<String>()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    let mut replay = Replay::new(zones);
    for line in kept.lines() {
        let entry: Entry = serde_json::from_str(line).unwrap();
        let again = serde_json::to_string(&replay.entry(&entry)).unwrap();
        assert_eq!(again, line, "{name}: {WHAT_TO_DO}");
    }
    let report = replay.report();
    assert_eq!(report.mismatches, [], "{name}: {WHAT_TO_DO}");
    assert!(
        report.other_decisions.is_empty(),
        "{name}: BLESS=1 writes the logs of these decisions"
    );
}

const WHAT_TO_DO: &str = "an earlier build decided otherwise on the same input, or wrote it otherwise: \
     if that is meant, raise `log::DECISIONS` and write the logs anew by BLESS=1";
