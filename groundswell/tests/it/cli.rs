//! What operators read, and what their scripts rely on: words, exit codes, JSON.

mod ask;
mod demo;
mod device;
mod dry_run;
mod memory;
mod stalled;
mod state;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use groundswell::sim::{Fleet, Options};

use crate::program::{Ground, Ran, events, start_into};

/// A snapshot of what was told, without what differs from run to run.
macro_rules! assert_told {
    ($ground:expr, $told:expr, @$snapshot:literal) => {
        filters($ground).bind(|| insta::assert_snapshot!($told, @$snapshot))
    };
}

fn filters(ground: &Ground) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    let port = ground.fleet.local_addr().port();
    let dir = ground.dir.path().to_str().unwrap();
    for (pattern, to) in [
        (dir, "DIR"),
        (&format!(r":{port}\b"), ":PORT"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r"\b\d+\.\d s, ", "TIME, "),
        (r"\d+ devices/s", "RATE devices/s"),
        (r"process \d+", "process PID"),
    ] {
        settings.add_filter(pattern, to);
    }
    settings
}

fn ground(count: usize) -> Ground {
    Ground::new(count, Options::default())
}

fn faulty(count: usize, fault: &str) -> Ground {
    let faults = vec![fault.parse().unwrap()];
    Ground::new(count, Options { faults, ..Options::default() })
}

/// Slow enough to be caught in the act.
fn slow(count: usize) -> Ground {
    Ground::new(count, Options { latency: Duration::from_millis(300), ..Options::default() })
}

fn untouched(fleet: &Fleet) {
    assert_eq!(fleet.summary().requests, 0, "something was sent");
}

#[test]
fn a_dry_run_says_what_would_happen_and_sends_nothing() {
    let ground = ground(12);
    let ran = ground.run(&["--dry-run", "--canary", "2", "--max-failures", "3"]);
    assert_told!(&ground, ran.told(), @r"
    exit 0
    --- out
    dry run: nothing is sent
      release  pos.bin 2.0.0 (12 bytes, sha-256 1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98)
      devices  12 on 12 hosts: pos-0, pos-1, pos-2, ...
      manner   at most 100 at once (10 to one host, 1000 not verified), 3 attempts, stop at more than 3 failures, 2 canaries first
      would    start, and try all 12 devices
    ");
    untouched(&ground.fleet);
    assert!(!ground.state().exists(), "a dry run writes nothing");
}

#[test]
fn every_bad_row_is_named_and_nothing_is_sent() {
    let ground = ground(1);
    let rows = "id,name,address\n\
        pos-1,One,http://127.0.0.1:9\n\
        pos-2,Two,\n\
        pos-1,Again,http://127.0.0.2:9\n\
        ,Nameless,http://127.0.0.3:9\n\
        pos-5,Five,ftp://127.0.0.5\n";
    fs::write(ground.dir.path().join("devices.csv"), rows).unwrap();
    assert_told!(&ground, ground.run(&[]).told(), @r#"
    exit 2
    --- err
    error: devices.csv: 4 bad rows
      line 3: address is missing
      line 4: id `pos-1` is already on line 2
      line 5: id is missing
      line 6: address "ftp://127.0.0.5": only http and https can be sent to
    Nothing was sent. Correct them and run the same command again.
    "#);
    untouched(&ground.fleet);
}

#[test]
fn a_file_that_is_not_there() {
    let ground = ground(1);
    fs::remove_file(ground.dir.path().join("pos.bin")).unwrap();
    assert_told!(&ground, ground.run(&[]).told(), @r"
    exit 2
    --- err
    error: pos.bin cannot be read: No such file or directory (os error 2)
    ");
    fs::remove_file(ground.dir.path().join("devices.csv")).unwrap();
    assert_told!(&ground, ground.run(&[]).told(), @r"
    exit 2
    --- err
    error: devices cannot be read from devices.csv: No such file or directory (os error 2)
    ");
}

#[test]
fn nobody_selected() {
    let ground = ground(3);
    assert_told!(&ground, ground.run(&["--select", "name==nobody"]).told(), @r#"
    exit 2
    --- err
    error: no device is selected: 3 devices were given, none of them matches "name==nobody"
    "#);
    untouched(&ground.fleet);
}

#[test]
fn a_selector_that_cannot_be_read_is_pointed_at() {
    let ground = ground(3);
    assert_told!(&ground, ground.run(&["--select", "name==a and (id=="]).told(), @r"
    exit 2
    --- err
    error: --select: expected a value, found the end
      name==a and (id==
                       ^
    ");
}

#[test]
fn numbers_that_cannot_be_used() {
    let ground = ground(3);
    assert_told!(&ground, ground.run(&["--attempts", "0"]).told(), @r"
    exit 2
    --- err
    error: attempts must be between 1 and 100, not 0
    ");
    assert_told!(&ground, ground.run(&["--backoff-multiplier", "0.5"]).told(), @r"
    exit 2
    --- err
    error: backoff multiplier must be a number between 1 and 100, not 0.5
    ");
    assert_told!(&ground, ground.run(&["--backoff", "60s", "--backoff-max", "30s"]).told(), @"
    exit 2
    --- err
    error: the first backoff (60s) is longer than the longest (30s)
    ");
    assert_told!(&ground, ground.run(&["--max-failures", "x"]).told(), @r#"
    exit 2
    --- err
    error: invalid value 'x' for '--max-failures <N|P%>': "x" is neither a number of devices (5) nor a whole percentage from 0% to 100% (10%)

    For more information, try '--help'.
    "#);
    untouched(&ground.fleet);
}

#[test]
fn success_in_words_and_what_is_done_stays_done() {
    let ground = ground(12);
    assert_told!(&ground, ground.run(&[]).told(), @r"
    exit 0
    --- out
    pos.bin 2.0.0: done
      12 of 12 devices have it; TIME, 144 B sent, RATE devices/s
    ");
    let requests = ground.fleet.summary().requests;
    assert_told!(&ground, ground.run(&[]).told(), @r"
    exit 0
    --- out
    pos.bin 2.0.0: already done
      12 of 12 devices have it
    ");
    assert_told!(&ground, ground.run(&["--dry-run"]).told(), @r"
    exit 0
    --- out
    dry run: nothing is sent
      release  pos.bin 2.0.0 (12 bytes, sha-256 1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98)
      devices  12 on 12 hosts: pos-0, pos-1, pos-2, ...
      manner   at most 100 at once (10 to one host, 1000 not verified), 3 attempts, stop at more than 10 % failures
      would    do nothing: already done, 0 of 12 devices failed
    ");
    assert_told!(&ground, ground.run(&["--retry-failed"]).told(), @r"
    exit 2
    --- err
    error: nothing to retry: no device failed
    ");
    assert_eq!(ground.fleet.summary().requests, requests);
}

#[test]
fn failures_are_grouped_and_tried_again_when_told_to() {
    let ground = faulty(12, "flaky:2:0.2");
    let args = ["--attempts", "2", "--backoff", "10ms", "--max-failures", "9"];
    assert_told!(&ground, ground.run(&args).told(), @r#"
    exit 1
    --- out
    pos.bin 2.0.0: ended with failures
      10 of 12 devices have it; TIME, 168 B sent, RATE devices/s
      2 failed:
            2  failed: device error: HTTP 503: {"error":"refused by design"} (pos-1, pos-2)
      the same command with --retry-failed tries these again
    "#);
    let requests = ground.fleet.summary().requests;
    let again = ground.run(&[&args[..], &["--output", "events"]].concat());
    assert_eq!((again.code, &again.json()["result"]), (Some(1), &"already_done".into()));
    assert!(again.err.ends_with("the same command with --retry-failed tries these again\n"));
    assert_told!(&ground, ground.run(&args).told(), @r#"
    exit 1
    --- out
    pos.bin 2.0.0: already done
      10 of 12 devices have it
      2 failed:
            2  failed: device error: HTTP 503: {"error":"refused by design"} (pos-1, pos-2)
      the same command with --retry-failed tries these again
    "#);
    assert_eq!(ground.fleet.summary().requests, requests);
    assert_told!(&ground, ground.run(&[&args[..], &["--retry-failed"]].concat()).told(), @"
    exit 0
    --- out
    pos.bin 2.0.0: done
      12 of 12 devices have it; TIME, 24 B sent, RATE devices/s
    ");
    assert_eq!(ground.fleet.summary().repeated, 0);
}

#[test]
fn the_brake_stops_a_bad_release() {
    let ground = faulty(60, "status:400");
    let args = ["--max-failures", "4", "--max-in-flight", "1"];
    let ran = ground.run(&args);
    assert_eq!(ran.code, Some(1));
    let sent = ground.fleet.summary().receptions.count;
    assert!((5..30).contains(&sent), "{sent} were sent to");
    for words in [
        "pos.bin 2.0.0: STOPPED: the rest is not sent\n  0 of 60 devices have it; ",
        "failed: rejected: HTTP 400: {\"error\":\"refused by design\"} (pos-0, pos-1, pos-2, ...)\n",
        "  stopped by the brake\n  to go on with the rest: the same command with a higher \
         --max-failures; to give it up: push another release with --abandon\n",
    ] {
        assert!(ran.out.contains(words), "{words} is not in {}", ran.out);
    }
    let again = ground.run(&args);
    assert_eq!(again.code, Some(1));
    assert_eq!(ground.fleet.summary().receptions.count, sent, "stopped stays stopped");
    let higher = ground.run(&["--max-failures", "100%", "--output", "json"]);
    assert_eq!(higher.json()["counts"]["failed"], 60, "{}", higher.json()["counts"]);
    assert_eq!(ground.fleet.summary().receptions.count, 60);
}

#[test]
fn a_canary_that_fails_keeps_the_others_as_they_are() {
    let ground = faulty(30, "status:400");
    // One at a time: the first failure settles it, and the other canary is spared.
    let args = ["--canary", "2", "--max-in-flight", "1"];
    assert_told!(&ground, ground.run(&args).told(), @r#"
    exit 1
    --- out
    pos.bin 2.0.0: STOPPED: the rest is not sent
      0 of 30 devices have it; TIME, 12 B sent, RATE devices/s
      29 not sent
      1 failed:
            1  failed: rejected: HTTP 400: {"error":"refused by design"} (pos-0)
      not every canary succeeded
      to go on with the rest: the same command without --canary; to give it up: push another release with --abandon
    "#);
    assert_eq!(ground.fleet.summary().receptions.count, 1);
    let without = ground.run(&["--max-failures", "100%", "--output", "json"]);
    assert_eq!(without.json()["counts"]["failed"], 30, "{}", without.json()["counts"]);
}

#[test]
fn a_canary_that_succeeds_is_followed_by_the_others() {
    let ground = ground(30);
    let ran = ground.run(&["--canary", "2", "--output", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["counts"]["succeeded"], 30);
}

#[test]
fn json_is_one_object_with_the_counts() {
    let ground = faulty(12, "flaky:2:0.2");
    let ran = ground.run(&["--attempts", "1", "--max-failures", "9", "--output", "json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let mut summary = ran.json();
    summary["duration_ms"] = 0.into();
    summary["sent_bytes"] = 0.into();
    assert_told!(&ground, serde_json::to_string_pretty(&summary).unwrap(), @r#"
    {
      "counts": {
        "absent": 0,
        "away": 0,
        "canceled": 0,
        "current": 0,
        "delivering": 0,
        "failed": 2,
        "queued": 0,
        "regressed": 0,
        "retrying": 0,
        "skipped": 0,
        "succeeded": 10,
        "timed_out": 0,
        "unreachable": 0,
        "verifying": 0
      },
      "devices": [
        {
          "attempts": 1,
          "detail": "HTTP 503: {\"error\":\"refused by design\"}",
          "device": "pos-1",
          "state": "failed: device error"
        },
        {
          "attempts": 1,
          "detail": "HTTP 503: {\"error\":\"refused by design\"}",
          "device": "pos-2",
          "state": "failed: device error"
        }
      ],
      "duration_ms": 0,
      "ended_now": 12,
      "failures": [
        {
          "detail": "{\"error\":\"refused by design\"}",
          "devices": 2,
          "examples": [
            "pos-1",
            "pos-2"
          ],
          "reason": "failed: device error: HTTP 503"
        }
      ],
      "not_sent": 0,
      "release": {
        "artifact": "1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98",
        "artifact_bytes": 12,
        "name": "pos.bin",
        "version": "2.0.0"
      },
      "result": "failed",
      "rollout": "ID",
      "round": 1,
      "sent_bytes": 0
    }
    "#);
}

#[test]
fn certificates_that_are_not_checked_are_warned_of() {
    let ground = ground(1);
    assert_told!(&ground, ground.run(&["--insecure"]).told(), @r"
    exit 0
    --- out
    pos.bin 2.0.0: done
      1 of 1 devices have it; TIME, 12 B sent, RATE devices/s
    --- err
    warning: TLS certificates are NOT checked: anyone on the way to a device can read and replace what is sent to it
    ");
}

#[test]
fn events_are_json_lines_to_the_end() {
    let ground = ground(12);
    let ran = ground.run(&["--output", "events"]);
    assert_told!(&ground, format!("exit {}\n{}", ran.code.unwrap(), ran.err), @r"
    exit 0
    pos.bin 2.0.0: done
      12 of 12 devices have it; TIME, 144 B sent, RATE devices/s
    ");
    let events: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!(count("rollout_started"), 1);
    assert_eq!(count("attempt_started"), 12);
    assert_eq!(count("attempt_succeeded"), 12);
    let told: Vec<_> = events.iter().filter(|event| event["event"] != "progress").collect();
    assert_eq!(told[0]["event"], "rollout_started");
    let [.., end, summary] = &told[..] else { panic!("{told:?}") };
    assert_eq!(end["event"], "rollout_completed");
    assert_eq!(end["counts"]["succeeded"], 12);
    assert_eq!((&summary["event"], &summary["result"]), (&"summary".into(), &"completed".into()));
    assert_eq!((&summary["rollout"], &summary["counts"]), (&end["rollout"], &end["counts"]));
}

#[test]
fn large_deliveries_tell_how_far_they_are() {
    let ground = faulty(1, "slow");
    let bytes = 8 << 20;
    std::fs::write(ground.dir.path().join("pos.bin"), vec![7; bytes]).unwrap();
    let ran = ground.run(&["--output", "events"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let told: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let progress: Vec<_> =
        told.iter().filter(|event| event["event"] == "device_progress").collect();
    assert!(!progress.is_empty(), "{}", ran.out);
    for event in progress {
        assert_eq!((&event["device"], &event["total_bytes"]), (&"pos-0".into(), &bytes.into()));
        assert!(event["sent_bytes"].as_u64().unwrap() <= bytes as u64, "{event}");
    }
}

#[test]
fn a_state_that_another_process_drives() {
    let ground = slow(20);
    let mut first =
        start_into(ground.push().args(["--max-in-flight", "1"]), &ground.dir.path().join("out"));
    ground.until(|fleet| fleet.summary().requests > 0);
    let second = ground.run(&[]);
    let pid = format!("(process {}: groundswell push pos.bin 2.0.0)", first.id());
    assert!(second.err.contains(&pid), "{second:?}");
    assert_told!(&ground, second.told(), @r"
    exit 3
    --- err
    error: DIR/state is driven by another process (process PID: groundswell push pos.bin 2.0.0); wait for it to end, or use another directory with --state
    ");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn another_push_that_is_not_finished() {
    let ground = slow(20);
    let mut first =
        start_into(ground.push().args(["--max-in-flight", "1"]), &ground.dir.path().join("out"));
    ground.until(|fleet| fleet.summary().requests > 0);
    first.kill().unwrap();
    first.wait().unwrap();
    ground.until(|fleet| fleet.summary().connections.open == 0);
    let requests = ground.fleet.summary().requests;
    let other = ground.run(&["--name", "other"]);
    assert_told!(&ground, other.told(), @"
    exit 2
    --- err
    error: another rollout in DIR/state is not finished: pos.bin 2.0.0 (ID), 0 of 20 devices ended; it differs in name; run the same command as then to go on with it, or add --abandon to give it up and start this one
    ");
    assert_eq!(ground.fleet.summary().requests, requests, "something was sent");
    let other = ground.run(&["--name", "other", "--abandon", "--output", "events"]);
    assert_eq!(other.code, Some(0), "{other:?}");
    let account = "warning: gave up pos.bin 2.0.0: 0 devices had ended, 20 are canceled\n";
    assert!(other.err.starts_with(account), "{other:?}");
    let first: serde_json::Value = serde_json::from_str(other.out.lines().next().unwrap()).unwrap();
    assert_eq!(first["event"], "rollout_canceled");
    assert_eq!(first["counts"]["canceled"], 20);
}

/// Starts a push that will be interrupted, and waits until devices are being sent to.
fn started(ground: &Ground, out: &Path) -> Child {
    let args = ["--max-in-flight", "4", "--output", "events"];
    let child = start_into(ground.push().args(args), out);
    ground.until(|fleet| fleet.summary().receptions.complete > 4);
    child
}

pub(crate) fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn one_interrupt_lets_open_deliveries_end_and_the_same_command_goes_on() {
    let ground = slow(40);
    let out = ground.dir.path().join("out");
    let mut child = started(&ground, &out);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", fs::read_to_string(&out).unwrap());
    assert!(fs::read_to_string(&out).unwrap().contains("Ctrl-C again stops at once"));
    let told = events(&out);
    let end = told.iter().find(|event| event["event"] == "rollout_interrupted").unwrap();
    assert_eq!(end["counts"]["delivering"], 0, "{end}");
    let fleet = ground.fleet.summary();
    assert_eq!(fleet.receptions.cut, 0);
    assert!(fleet.receptions.complete < 40);
    let ran = ground.run(&["--output", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["counts"]["succeeded"], 40);
    let fleet = ground.fleet.summary();
    assert_eq!((fleet.repeated, fleet.receptions.complete), (0, 40));
}

#[test]
fn two_interrupts_end_it_at_once() {
    // Nothing that is open would end by itself.
    let ground = faulty(40, "hang");
    let out = ground.dir.path().join("out");
    let mut child = started_hanging(&ground, &out);
    interrupt(&child);
    ground.until(|_| fs::read_to_string(&out).unwrap().contains("Ctrl-C again"));
    assert_eq!(child.try_wait().unwrap(), None);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let told = events(&out);
    assert!(told.iter().all(|event| event["event"] != "rollout_interrupted"), "it waited");
}

fn started_hanging(ground: &Ground, out: &Path) -> Child {
    let child = start_into(ground.push().args(["--output", "events"]), out);
    ground.until(|fleet| fleet.summary().receptions.complete == 40);
    child
}

#[test]
fn secrets_reach_the_device_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
            if head.starts_with("POST") {
                reader.read_exact(&mut [0; 12]).unwrap();
            }
            // It tells everybody what it was told.
            let fields = format!("Content-Length: {}\r\nConnection: close", head.len());
            let answer = format!("HTTP/1.1 400 No\r\n{fields}\r\n\r\n{head}");
            let _ = reader.into_inner().write_all(answer.as_bytes());
            let _ = heads.send(head);
        }
    });
    let ground = ground(1);
    let device = serde_json::json!([{
        "id": "pos-0",
        "address": format!("http://127.0.0.1:{port}"),
        "headers": { "X-Api-Key": "p3rd3vice" },
    }]);
    fs::write(ground.dir.path().join("devices.csv"), device.to_string()).unwrap();
    let mut told = String::new();
    for output in ["text", "json", "events"] {
        let header = "Authorization: Bearer s3cr3t";
        let name = format!("for-{output}");
        let mut command = ground.push();
        command.env("RUST_LOG", "trace").stdin(Stdio::null());
        let args = ["--header", header, "--name", &name, "--output", output, "--insecure"];
        let ran = Ran::from(command.args(args).output().unwrap());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("certificates are NOT checked"), "there is no log: {ran:?}");
        told.push_str(&ran.told());
        let head = received.recv().unwrap().to_ascii_lowercase();
        assert!(head.contains("authorization: bearer s3cr3t\r\n"), "{head}");
        assert!(head.contains("x-api-key: p3rd3vice\r\n"), "{head}");
    }
    let mut files = 0;
    look_below(&ground.state(), &mut |path| {
        files += 1;
        let bytes = fs::read(path).unwrap();
        for secret in ["s3cr3t", "p3rd3vice"] {
            let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!is_there, "{secret} is in {}", path.display());
        }
    });
    assert!(files >= 4, "{files} files are no state");
    assert!(told.contains("authorization: *"), "the echo is not there: {told}");
    assert!(!told.contains("s3cr3t") && !told.contains("p3rd3vice"), "{told}");
}

fn look_below(dir: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { look_below(&path, look) } else { look(&path) }
    }
}
