//! What becomes of devices, and what is told of it.

use std::time::Duration;

use groundswell::{
    core::{
        brake::Brake,
        event::Kind,
        gate::Ruling,
        retry,
        rollout::{Limits, PauseReason, Verify},
        verify::Mode,
    },
    push::PushResult,
    sim::{DeviceReport, Fault, FaultName, Options},
};

use super::{Stage, story};

fn faults(specs: &[&str]) -> Options {
    let faults = specs.iter().map(|spec| spec.parse::<Fault>().unwrap()).collect();
    Options { faults, ..Options::default() }
}

#[tokio::test]
async fn a_fleet_that_reboots_is_updated_and_verified() {
    let stage = Stage::new(Options { reboot: Duration::from_secs(9), ..Options::default() });
    let (summary, events) = stage.run(stage.push(120)).await;
    assert_eq!(summary.result, PushResult::Completed);
    assert_eq!(summary.counts.succeeded, 120);
    assert!(summary.is_success() && summary.devices.is_empty());
    assert_eq!(summary.sent_bytes, 120 * 12);
    assert!(matches!(events[0].kind, Kind::RolloutStarted { devices: 120, resumed: false }));
    assert!(matches!(events.last().unwrap().kind, Kind::RolloutCompleted { .. }));
    let report = stage.fleet.report();
    assert_eq!(report.fleet.receptions.complete, 120);
    assert_eq!(report.fleet.repeated, 0);
    assert!(report.devices.values().all(|device| device.version == "2.0.0"));
}

#[tokio::test]
async fn a_flaky_device_is_tried_again_on_schedule_with_one_key_and_one_body() {
    let stage = Stage::new(faults(&["flaky:2"]));
    let (summary, events) = stage.run(stage.push(1).verify_by(Mode::None, Duration::ZERO)).await;
    assert_eq!(summary.result, PushResult::Completed);
    insta::assert_snapshot!(story(&events, "pos-0"), @r#"
    +0 ms pos-0: attempt 1 started
    +0 ms pos-0: attempt 1 retrying: HTTP 503: {"error":"refused by design"}
    +0 ms pos-0: attempt 2 is due in 1 s
    +1000 ms pos-0: attempt 2 started
    +1000 ms pos-0: attempt 2 retrying: HTTP 503: {"error":"refused by design"}
    +1000 ms pos-0: attempt 3 is due in 2 s
    +3000 ms pos-0: attempt 3 started
    +3000 ms pos-0: attempt 3 succeeded
    "#);
    let device = stage.fleet.device("pos-0").unwrap();
    assert_eq!(device.keys.len(), 1);
    assert_eq!(device.keys[0].receptions, 3);
    assert_eq!(
        device.sha256.as_deref(),
        Some("1c60cd526d240107251066ccc52eb2c65a04083cde6812a001ac368241f6bf98"),
    );
}

#[tokio::test]
async fn five_refusals_then_success_after_31_seconds() {
    let stage = Stage::new(faults(&["flaky:5"]));
    let policy =
        retry::Policy::new(6, Duration::from_secs(1), 2.0, Duration::from_secs(30), 0).unwrap();
    let push = stage.push(1).verify_by(Mode::None, Duration::ZERO).retry(policy);
    let (summary, events) = stage.run(push).await;
    assert_eq!(summary.result, PushResult::Completed);
    let starts: Vec<_> = events
        .iter()
        .filter(|event| matches!(event.kind, Kind::AttemptStarted { .. }))
        .map(|event| event.at.since(events[0].at).as_secs())
        .collect();
    assert_eq!(starts, [0, 1, 3, 7, 15, 31]);
}

#[tokio::test]
async fn failures_are_grouped_by_reason_with_every_device_listed() {
    let stage = Stage::new(faults(&["status:404"]));
    let (summary, _) = stage.run(stage.push(5)).await;
    assert_eq!(summary.result, PushResult::Failed);
    assert_eq!(summary.counts.failed, 5);
    assert_eq!(summary.failures.len(), 1, "{:?}", summary.failures);
    assert!(summary.failures[0].reason.starts_with("failed: rejected: HTTP 404"));
    assert_eq!(summary.failures[0].examples, ["pos-0", "pos-1", "pos-2"]);
    assert_eq!(summary.devices.len(), 5);
    assert_eq!(stage.fleet.summary().receptions.count, 5, "a 404 is never tried again");
}

#[tokio::test]
async fn a_device_that_keeps_its_old_version_failed_verification() {
    let stage = Stage::new(faults(&["wrong-version"]));
    let (summary, events) = stage.run(stage.push(1)).await;
    assert_eq!(
        summary.failures[0].reason,
        "failed: verification: reports version 1.0.0, not 2.0.0"
    );
    assert_eq!(stage.fleet.summary().receptions.count, 1, "it took the update: sent once");
    let took = events.last().unwrap().at.since(events[0].at);
    assert_eq!(took, Duration::from_mins(1), "it had the whole verify time-out");
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_asking_and_nothing_is_sent_twice() {
    for fault in ["truncated", "malformed"] {
        let stage = Stage::new(faults(&[fault]));
        let (summary, _) = stage.run(stage.push(3)).await;
        assert_eq!(summary.result, PushResult::Completed, "{fault}: {:?}", summary.failures);
        assert_eq!(stage.fleet.summary().receptions.count, 3, "{fault}");
    }
}

#[tokio::test]
async fn what_was_met_when_an_answer_was_lost_belongs_to_the_reason() {
    let reboot = Duration::from_hours(1);
    let stage = Stage::new(Options { reboot, ..faults(&["truncated"]) });
    let (summary, _) = stage.run(stage.push(1)).await;
    assert_eq!(summary.counts.timed_out, 1);
    let detail = summary.devices[0].detail.as_deref().unwrap();
    assert!(detail.contains("(its answer was lost: "), "{detail}");
}

#[tokio::test]
async fn to_be_reachable_is_enough_where_that_is_all_that_is_asked() {
    let reboot = Duration::from_secs(9);
    let stage = Stage::new(Options { reboot, ..faults(&["wrong-version"]) });
    let push = stage.push(3).verify_by(Mode::Reachable, Duration::from_mins(1));
    let (summary, events) = stage.run(push).await;
    assert_eq!((summary.result, summary.counts.succeeded), (PushResult::Completed, 3));
    assert_eq!(stage.fleet.summary().receptions.count, 3);
    let took = events.last().unwrap().at.since(events[0].at);
    assert!(took >= reboot, "it was down for {reboot:?}, the push took {took:?}");
}

#[tokio::test]
async fn the_brake_leaves_the_rest_unsent() {
    let stage = Stage::new(faults(&["status:400"]));
    let limits = Limits { max_in_flight: 5, ..Limits::default() };
    let push = || stage.push(300).limits(limits).max_failures(Brake::Count(3));
    let (summary, events) = stage.run(push()).await;
    assert_eq!(summary.result, PushResult::Paused);
    assert_eq!(summary.paused, [PauseReason::Brake]);
    assert!(summary.not_sent >= 290, "{:?}", summary.counts);
    assert_eq!(summary.not_sent + summary.counts.failed, 300);
    assert_eq!(stage.fleet.summary().receptions.count, summary.counts.failed);
    assert!(events.iter().any(|event| matches!(event.kind, Kind::RolloutPaused { .. })));

    // Again: it stands by its verdict. With more patience, it goes on.
    let (again, _) = stage.run(push()).await;
    assert_eq!((again.result, again.not_sent), (PushResult::Paused, summary.not_sent));
    let (rest, _) = stage.run(push().max_failures(Brake::Count(1_000))).await;
    assert_eq!((rest.result, rest.counts.failed), (PushResult::Failed, 300));
    assert_eq!(stage.fleet.summary().receptions.count, 300, "nobody was sent to twice");
}

#[tokio::test]
async fn canaries_go_first() {
    let stage = Stage::new(Options { reboot: Duration::from_secs(5), ..Options::default() });
    let (summary, events) = stage.run(stage.push(40).canary(4)).await;
    assert_eq!(summary.result, PushResult::Completed, "{:?}", summary.failures);
    let is_go = |event: &groundswell::core::event::Event| match event.kind {
        Kind::GateRuled { wave: 1, of: 2, verdict } => verdict.ruling == Ruling::Go,
        _ => false,
    };
    let passed = events.iter().position(is_go).unwrap();
    let opened: Vec<_> = events
        .iter()
        .filter_map(|event| match event.kind {
            Kind::WaveOpened { wave, of, devices } => Some((wave, of, devices)),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [(1, 2, 4), (2, 2, 36)]);
    let started = |events: &[groundswell::core::event::Event]| {
        events.iter().filter(|event| matches!(event.kind, Kind::AttemptStarted { .. })).count()
    };
    assert_eq!((started(&events[..passed]), started(&events[passed..])), (4, 36));
}

#[tokio::test]
async fn a_canary_that_fails_stops_everything() {
    let stage = Stage::new(Options::default());
    stage.fleet.set_offline("pos-1", true);
    let (summary, _) = stage.run(stage.push(40).canary(4)).await;
    assert_eq!((summary.result, summary.not_sent), (PushResult::Paused, 36));
    assert_eq!(summary.paused, [PauseReason::Gate]);
    assert_eq!(stage.fleet.summary().receptions.complete, 3);
}

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn a_canary_that_cannot_be_reached_did_not_succeed() {
    for unreachable in [1, 4] {
        let stage = Stage::new(Options::default());
        let mut entries = stage.entries(40);
        for entry in &mut entries[..unreachable] {
            entry.device.address = Some(NOWHERE.parse().unwrap());
        }
        let (summary, _) = stage.run(stage.push(0).devices(entries).canary(4)).await;
        assert_eq!((summary.result, summary.not_sent), (PushResult::Paused, 36));
        assert_eq!(summary.paused, [PauseReason::Gate]);
        // The first one that is given up settles it.
        let given_up = summary.counts.unreachable as usize;
        assert!((1..=unreachable).contains(&given_up), "{:?}", summary.counts);
        assert_eq!(stage.fleet.summary().receptions.complete, 4 - unreachable as u64);
    }
}

#[tokio::test]
async fn only_a_device_itself_can_say_that_it_is_current() {
    let stage = Stage::new(Options::default());
    stage.fleet.seed_device("pos-1", "2.0.0");
    let mut entries = stage.entries(3);
    entries[0].device.version = Some("2.0.0".to_owned());
    let verify = Verify { first: true, ..Verify::default() };
    let (summary, _) = stage.run(stage.push(0).devices(entries).verify(verify)).await;
    assert_eq!(summary.result, PushResult::Completed);
    assert_eq!((summary.counts.succeeded, summary.counts.current), (2, 1));
    assert_eq!(stage.fleet.device("pos-0").unwrap().receptions.count, 1);
    assert_eq!(stage.fleet.device("pos-1").unwrap().receptions.count, 0);
}

#[tokio::test]
async fn a_gateway_has_at_most_so_many_deliveries_open() {
    let stage = Stage::new(Options { latency: Duration::from_millis(20), ..Options::default() });
    let port = stage.fleet.local_addr().port();
    let mut entries = stage.entries(200);
    for entry in &mut entries {
        entry.device.address = Some(format!("http://127.0.0.1:{port}").parse().unwrap());
    }
    let limits = Limits { max_per_host: 3, ..Limits::default() };
    let push = stage.push(0).devices(entries).limits(limits);
    let (summary, _) = stage.run(push.verify_by(Mode::None, Duration::ZERO)).await;
    assert_eq!(summary.counts.succeeded, 200);
    let report = stage.fleet.summary();
    assert_eq!(report.requests_per_address_peak, 3, "{report:?}");
    assert!(report.connections.opened <= 6, "{report:?}");
}

/// 30 % of all updates go wrong in some way; every device is accounted for, and what is said of
/// it is true.
#[tokio::test]
async fn chaos_is_accounted_for() {
    let stage = Stage::new(faults(&[
        "status:500:0.04",
        "status:403:0.03",
        "flaky:1:0.05",
        "reset:0.04",
        "hang:0.03",
        "slow:0.02",
        "truncated:0.02",
        "malformed:0.02",
        "endless:0.03",
        "twice:0.03",
        "sickens:0.03",
        "wrong-version:0.03",
        "bricks:0.03",
    ]));
    let push = stage.push(1_000).max_failures(Brake::Percent(100));
    let (summary, events) = stage.run(push).await;
    let counts = summary.counts;
    assert_eq!(counts.ended(), 1_000, "{counts:?}");
    assert_eq!(counts.succeeded + counts.failures(), 1_000);
    assert!(counts.succeeded > 850 && counts.failures() > 20, "{counts:?}");
    let ended = events
        .iter()
        .filter(|event| match &event.kind {
            Kind::AttemptSucceeded { .. } => true,
            Kind::AttemptFailed { state, .. } => state.is_terminal(),
            _ => false,
        })
        .count();
    assert_eq!(ended, 1_000, "every device has one end");
    let report = stage.fleet.report();
    let failed: std::collections::BTreeSet<_> =
        summary.devices.iter().map(|device| device.device.clone()).collect();
    for (id, device) in &report.devices {
        let is_broken = device.events.iter().any(|event| event.fault == Some(FaultName::Bricks));
        let is_well = device.version == "2.0.0" && !is_broken;
        assert_eq!(is_well, !failed.contains(id), "{id}: {device:?}");
    }
    let received: Vec<_> = report.devices.values().flat_map(|device| &device.events).collect();
    for name in FaultName::ALL {
        let told = received.iter().filter(|event| event.fault == Some(name)).count() as u64;
        assert!(told >= 10, "{name:?} hit {told} times");
        assert_eq!(report.fleet.faults.get(&name), Some(&told), "{name:?}");
    }
    for status in [500, 403] {
        let by_design = |event: &&&groundswell::sim::Event| {
            event.fault == Some(FaultName::Status) && event.status == Some(status)
        };
        assert!(received.iter().filter(by_design).count() >= 10, "{status}");
    }
    let sum = |of: fn(&DeviceReport) -> u64| report.devices.values().map(of).sum::<u64>();
    assert_eq!(report.fleet.receptions.count, sum(|device| device.receptions.count));
    assert_eq!(report.fleet.receptions.count, sum(|device| device.updates));
    assert_eq!(sum(|device| device.repeated), 0, "nobody was sent to twice for nothing");
}
