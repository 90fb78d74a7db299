//! `--dry-run`: it looks, and touches nothing.

use std::{collections::BTreeMap, fs, time::SystemTime};

use super::{faulty, filters, ground, look_below, slow, untouched};
use crate::program::{Ground, Ran, start_into};

/// Every file of the state with its size and the time it was written.
fn state(ground: &Ground) -> BTreeMap<String, (u64, SystemTime)> {
    let mut files = BTreeMap::new();
    if !ground.state().exists() {
        return files;
    }
    look_below(&ground.state(), &mut |path| {
        let metadata = fs::metadata(path).unwrap();
        let name = path.display().to_string();
        files.insert(name, (metadata.len(), metadata.modified().unwrap()));
    });
    files
}

/// What it would do, by its last line.
fn would(ground: &Ground, args: &[&str]) -> (i32, String) {
    let before = state(ground);
    let ran = ground.run(&[&["--dry-run"], args].concat());
    assert_eq!(state(ground), before, "a dry run wrote something");
    let last = ran.out.lines().last().unwrap_or(&ran.err).trim();
    (ran.code.unwrap(), last.strip_prefix("would").unwrap_or(last).trim().to_owned())
}

fn says(code: i32, words: &str) -> (i32, String) {
    (code, words.to_owned())
}

#[test]
fn what_it_would_do_follows_the_state() {
    let ground = faulty(12, "flaky:2:0.2");
    assert_eq!(would(&ground, &["--retry-failed"]).0, 2);
    ground.run(&["--attempts", "2", "--backoff", "10ms", "--max-failures", "9"]);
    let requests = ground.fleet.summary().requests;
    let done =
        "do nothing: already done, 2 of 12 devices failed (--retry-failed tries these again)";
    assert_eq!(would(&ground, &[]), says(0, done));
    let again = "try the 2 devices again that failed";
    assert_eq!(would(&ground, &["--retry-failed"]), says(0, again));
    let never = "be refused: nothing to retry: this push was not run before";
    assert_eq!(would(&ground, &["--retry-failed", "--name", "other"]), says(2, never));
    assert_eq!(would(&ground, &["--name", "other"]), says(0, "start, and try all 12 devices"));
    ground.run(&["--retry-failed"]);
    let nobody = "be refused: nothing to retry: no device failed";
    assert_eq!(would(&ground, &["--retry-failed"]), says(2, nobody));
    assert!(ground.fleet.summary().requests > requests);
}

#[test]
fn it_looks_on_while_another_process_drives_the_state() {
    let ground = slow(20);
    let mut first =
        start_into(ground.push().args(["--max-in-flight", "1"]), &ground.dir.path().join("out"));
    ground.until(|fleet| fleet.summary().requests > 0);
    let ran = ground.run(&["--dry-run"]);
    assert!(ran.out.contains("would    go on: "), "{ran:?}");
    assert_eq!(ran.code, Some(0));
    let other = ["--dry-run", "--name", "other"];
    let refused = ground.run(&other);
    let why = "be refused: pos.bin 2.0.0 is not finished (--abandon gives it up)";
    assert!(refused.out.contains(why), "{refused:?}");
    assert_eq!(refused.code, Some(2));
    first.kill().unwrap();
    first.wait().unwrap();
    // What a killed process left beside the database is read, too.
    assert_eq!(ground.run(&other).code, Some(2));
    let given_up = ground.run(&[&other[..], &["--abandon"]].concat());
    assert!(given_up.out.contains("would    start"), "{given_up:?}");
    assert_eq!(given_up.code, Some(0));
}

#[test]
fn what_the_run_would_refuse_it_refuses() {
    let ground = ground(1);
    fs::write(ground.dir.path().join("not.pem"), "no certificate").unwrap();
    for args in [["--ca", "not.pem"], ["--timeout", "0s"], ["--verify-pointer", "version"]] {
        let ran = ground.run(&[&["--dry-run"], &args[..]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(ran.err.starts_with("error: "), "{ran:?}");
    }
    untouched(&ground.fleet);
}

#[test]
fn it_speaks_json() {
    let ground = ground(2);
    let ran = ground.run(&["--dry-run", "--output", "json"]);
    filters(&ground).bind(|| {
        insta::assert_snapshot!(ran.out, @r#"
        {
          "release": "pos.bin 2.0.0",
          "artifact": "12 bytes, sha-256 1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98",
          "devices": 2,
          "hosts": 2,
          "examples": [
            "pos-0",
            "pos-1"
          ],
          "would": {
            "kind": "start"
          },
          "manner": "at most 100 at once (10 to one host, 1000 not verified), 3 attempts, stop at more than 10 % failures"
        }
        "#);
    });
    let line = ground.run(&["--dry-run", "--output", "events"]);
    assert_eq!(line.json(), ran.json());
    assert_eq!(line.out.lines().count(), 1);
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let ground = ground(1);
    for file in ["/dev/zero", "/dev/null"] {
        let mut command = ground.push_of(file);
        let ran = Ran::from(command.arg("--dry-run").output().unwrap());
        assert_eq!(ran.code, Some(2), "{file}: {ran:?}");
        assert!(ran.err.contains("is not a regular file"), "{file}: {ran:?}");
    }
}
