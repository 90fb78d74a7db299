//! Devices that have their turn in several rollouts, one of which takes them back.

use std::time::Duration;

use groundswell::sim::Options;

use super::{super::driven::Stage, ALL, one_line};
use crate::program::pause;

#[test]
fn a_device_that_moves_on_while_it_waits_for_its_turn_to_go_back_is_left_alone() {
    let reboot = Duration::from_secs(2);
    let stage = Stage::driven(1, Options { reboot, ..Options::default() });
    stage.write("all.toml", ALL);
    stage.releases(&["1.0.0", "3.0.0"]);
    stage.well(&["rollout", "create", "all.toml"]);
    stage.well(&["rollout", "start", "2"]);
    stage.until_of("2", "completed");
    stage.write("fix.toml", &ALL.replace("2.0.0", "3.0.0"));
    stage.well(&["rollout", "create", "fix.toml"]);
    stage.well(&["rollout", "start", "3"]);
    while stage.rollout("3")["counts"]["verifying"] != 1 {
        pause();
    }
    // It does not show the fix before its turn to go back is waited for.
    stage.fleet().set_offline("pos-0", true);
    stage.well(&["rollout", "rollback", "2"]);
    stage.until_of("4", "running");
    while !stage.told(&["rollout", "why", "4", "pos-0"]).contains("busy with rollout 3") {
        pause();
    }
    stage.fleet().set_offline("pos-0", false);
    stage.until_of("4", "completed");
    assert_eq!(stage.versions(1), ["3.0.0"]);
    assert_eq!(stage.rollout("4")["counts"]["skipped"], 1);
    let explained = stage.run(&["rollout", "explain", "4", "pos-0"]).out;
    let words = "neither what rollout 2 (pos-app 2.0.0) sent nor what it ran before that";
    assert!(one_line(&explained).contains(words), "{explained}");
    stage.well(&["rollout", "replay", "4"]);
}

#[test]
fn a_device_that_moves_on_while_it_waits_for_its_host_is_left_alone() {
    let latency = Duration::from_millis(200);
    let stage = Stage::driven(10, Options { latency, ..Options::default() });
    let port = stage.fleet().local_addr().port();
    let behind = (0..10).map(|n| format!("pos-{n},http://127.0.0.1:{port}\n"));
    stage.write("gateway.csv", &format!("id,address\n{}", behind.collect::<String>()));
    stage.well(&["device", "import", "gateway.csv"]);
    let one_by_one = format!("{ALL}\nlimits = {{ max_per_host = 1 }}");
    stage.write("all.toml", &one_by_one);
    stage.releases(&["1.0.0", "3.0.0"]);
    stage.well(&["rollout", "create", "all.toml"]);
    stage.well(&["rollout", "start", "2"]);
    stage.until_of("2", "completed");
    // In another order, and one at a time: most are free again when the rollback comes to them.
    let fix = one_by_one.replace("2.0.0", "3.0.0").replace("fixed", "other");
    stage.write("fix.toml", &fix.replace("max_per_host = 1", "per_minute = 240"));
    stage.well(&["rollout", "create", "fix.toml"]);
    // All wait behind the first on their host, as devices with 2.0.0.
    stage.well(&["rollout", "rollback", "2"]);
    while stage.rollout("4")["counts"]["queued"] != 9 {
        pause();
    }
    stage.well(&["rollout", "start", "3"]);
    stage.until_of("3", "completed");
    stage.until_of("4", "completed");
    assert_eq!(stage.versions(10), ["3.0.0"; 10]);
    assert!(stage.rollout("4")["counts"]["skipped"].as_u64().unwrap() > 0);
    stage.well(&["rollout", "replay", "4"]);
}
