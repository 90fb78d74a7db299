//! `groundswell token` and `groundswell audit`, and that every command that changes something is in
//! the audit log.

use serde_json::Value;

use super::{Desk, assert_told};

fn actions(desk: &Desk) -> Vec<String> {
    let ran = desk.well(&["audit", "list", "--after", "0", "--output", "json"]);
    let entries: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    entries
        .iter()
        .map(|entry| {
            assert_eq!(entry["from"], "command line");
            assert!(!entry["who"].as_str().unwrap().is_empty());
            let of = |name: &str| entry[name].as_str().unwrap().to_owned();
            format!("{} {}", of("action"), of("subject"))
        })
        .collect()
}

#[test]
fn every_command_that_changes_something_is_in_the_audit_log() {
    let desk = Desk::drafted();
    for args in [
        &["rollout", "start", "1"][..],
        &["rollout", "pause", "1"],
        &["rollout", "abort", "1"],
        &["device", "check-in", "pos-01"],
    ] {
        desk.well(args);
    }
    // Neither what only looks, nor what is refused.
    desk.well(&["rollout", "show", "1"]);
    desk.well(&["rollout", "create", "spec.toml", "--dry-run"]);
    assert_eq!(desk.run(&["rollout", "start", "9"]).code, Some(2));
    let actions = actions(&desk);
    assert_eq!(
        actions,
        [
            "device.import 10 devices of devices.json",
            "release.create release pos-app 2.0.0",
            "rollout.create a rollout by spec.toml",
            "rollout.start rollout 1",
            "rollout.pause rollout 1",
            "rollout.abort rollout 1",
            "device.check-in device pos-01",
        ]
    );
    assert!(desk.well(&["audit", "verify"]).out.starts_with("whole: 7 entries"));
}

#[test]
fn a_token_is_made_listed_and_revoked() {
    let desk = Desk::set();
    let made =
        desk.well(&["token", "create", "night shift", "--role", "admin", "--output", "json"]);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(secret.starts_with(&format!("gsw_{id}.")));
    for args in [&["token", "list"][..], &["token", "list", "--output", "json"]] {
        let out = desk.well(args).out;
        assert!(out.contains(id) && out.contains("night shift"), "{out}");
        assert!(!out.contains(secret.split_once('.').unwrap().1), "{out}");
    }
    let last = desk.run(&["token", "revoke", id]);
    assert_eq!(last.code, Some(2));
    assert!(last.err.contains("the last token that may administer everything"), "{}", last.err);
    desk.well(&["token", "create", "another", "--role", "admin"]);
    assert_eq!(desk.well(&["token", "revoke", id]).out, format!("{id}: revoked\n"));
    assert_eq!(desk.well(&["token", "revoke", id]).out, format!("{id}: revoked before\n"));
    desk.well(&["token", "create", "a device", "--device", "pos-01"]);
    desk.well(&["token", "create", "site", "--enroll", "5", "--tag", "region=north"]);
    let all = desk.well(&["token", "list", "--devices"]).out;
    assert!(all.contains("device pos-01") && all.contains("enroll 5 tagged region=north"), "{all}");
    assert!(!desk.well(&["token", "list"]).out.contains("pos-01"));
    assert_told!(desk.told(&["token", "revoke", "nothing"]), @"
    exit 2
    --- err
    error: there is no token `nothing`
    ");
    assert_told!(desk.told(&["token", "create", "x", "--device", "nobody"]), @"
    exit 2
    --- err
    error: there is no device `nobody`; import it with `groundswell device import`
    ");
    for bad in [
        &["token", "create", "x"][..],
        &["token", "create", "x", "--role", "king"],
        &["token", "create", "x", "--role", "viewer", "--scope", "version<2"],
        &["token", "create", "x", "--role", "viewer", "--device", "pos-01"],
        &["token", "create", "x", "--enroll", "0"],
        &["token", "create", " ", "--role", "viewer"],
    ] {
        assert_eq!(desk.run(bad).code, Some(2), "{bad:?}");
    }
}

#[test]
fn a_log_that_was_changed_is_told() {
    let desk = Desk::drafted();
    let verified = desk.well(&["audit", "verify", "--output", "json"]).out;
    let verified: Value = serde_json::from_str(&verified).unwrap();
    let (seq, hash) = (verified["entries"].to_string(), verified["hash"].as_str().unwrap());
    let kept = ["audit", "verify", "--seq", &seq, "--hash", hash];
    assert!(desk.well(&kept).out.contains("is the one that was kept"));
    let database = rusqlite::Connection::open(desk.state().join("state.db")).unwrap();
    database.execute("DELETE FROM audit WHERE seq = ?1", [&seq]).unwrap();
    let cut = desk.run(&kept);
    assert_eq!(cut.code, Some(1));
    assert!(cut.out.contains("NOT AS KEPT"), "{}", cut.out);
    database.execute("UPDATE audit SET body = 'x' WHERE seq = 1", []).unwrap();
    let changed = desk.run(&["audit", "verify"]);
    assert_eq!(changed.code, Some(1));
    assert!(changed.out.starts_with("NOT WHOLE: entry 1 is not"), "{}", changed.out);
    assert_told!(desk.told(&["audit", "list", "--action", "nothing"]), @"
    exit 0
    --- err
    note: nothing of that is in the audit log
    ");
}
