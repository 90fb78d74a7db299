//! The same push again, and pushes that were cut short.

use std::time::Duration;

use groundswell::{
    clock::Clock,
    core::{
        brake::Brake,
        rollout::{self, Limits, Verify},
    },
    delivery::http::{Config, Timeouts},
    push::{PushError, PushResult},
    sim::Options,
};

use super::{Stage, cut_short, files_below};

#[tokio::test]
async fn the_same_push_again_is_already_done() {
    let stage = Stage::new(Options::default());
    stage.run(stage.push(10)).await;
    let (again, events) = stage.run(stage.push(10)).await;
    assert_eq!(again.result, PushResult::AlreadyDone);
    assert!(again.is_success() && events.is_empty());
    assert_eq!(stage.fleet.summary().receptions.count, 10);
    // The order of devices makes no difference, one device more does.
    let mut entries = stage.entries(10);
    entries.reverse();
    let (again, _) = stage.run(stage.push(0).devices(entries)).await;
    assert_eq!(again.result, PushResult::AlreadyDone);
    let (more, _) = stage.run(stage.push(11)).await;
    assert_eq!(more.result, PushResult::Completed);
}

#[tokio::test]
async fn going_back_to_an_earlier_release_is_not_already_done() {
    let stage = Stage::new(Options::default());
    let versions = || -> Vec<String> {
        stage.fleet.report().devices.into_values().map(|device| device.version).collect()
    };
    for version in ["2.0.0", "2.1.0", "2.0.0"] {
        let (summary, _) = stage.run(stage.push_version(version, 3)).await;
        assert_eq!(summary.result, PushResult::Completed, "{version}");
        assert_eq!(versions(), [version; 3]);
    }
    let (again, _) = stage.run(stage.push_version("2.0.0", 3)).await;
    assert_eq!(again.result, PushResult::AlreadyDone);
    assert_eq!(stage.fleet.summary().receptions.count, 9);
}

#[tokio::test]
async fn failed_devices_are_tried_again_on_request_and_only_they() {
    let stage = Stage::new(Options::default());
    stage.fleet.set_offline("pos-3", true);
    let (first, _) = stage.run(stage.push(10)).await;
    assert_eq!((first.result, first.counts.failures()), (PushResult::Failed, 1));
    let (again, _) = stage.run(stage.push(10)).await;
    assert_eq!((again.result, again.is_success()), (PushResult::AlreadyDone, false));
    stage.fleet.set_offline("pos-3", false);
    let (round, _) = stage.run(stage.push(10).retry_failed(true)).await;
    assert_eq!((round.result, round.round), (PushResult::Completed, 2));
    assert_eq!((round.counts.total(), round.ended_now), (10, 1));
    assert_eq!(stage.fleet.summary().receptions.complete, 10);
    let operator = groundswell::operate::State::look(&stage.state()).unwrap();
    let progression = operator.find_rollout("1").unwrap().progression;
    let [before] = &progression.earlier[..] else { panic!("{progression:?}") };
    assert_eq!((before.number, before.state), (1, rollout::State::Failed));
    assert_eq!((before.counts.succeeded, before.counts.failures()), (9, 1));
    assert!(before.ended_at <= progression.started_at, "{progression:?}");
    let nothing = stage.push(10).retry_failed(true).build().unwrap().run().await;
    assert!(matches!(nothing, Err(PushError::NothingToRetry(_))), "{nothing:?}");
}

#[tokio::test]
async fn canaries_go_first_among_those_tried_again() {
    let stage = Stage::new(Options::default());
    for n in 0..10 {
        stage.fleet.set_offline(&format!("pos-{n}"), true);
    }
    let all = Brake::Percent(100);
    let (first, _) = stage.run(stage.push(10).max_failures(all)).await;
    assert_eq!(first.counts.failures(), 10);
    let again = stage.push(10).max_failures(all).retry_failed(true).canary(3);
    let (round, _) = stage.run(again).await;
    assert_eq!((round.result, round.round), (PushResult::Paused, 2));
    assert!((1..=3).contains(&round.counts.failures()), "{:?}", round.counts);
    assert_eq!(round.counts.queued + round.counts.failures(), 10, "{:?}", round.counts);
}

#[tokio::test]
async fn without_canary_those_tried_again_go_at_once() {
    let stage = Stage::new(Options::default());
    for n in [1, 6, 7] {
        stage.fleet.set_offline(&format!("pos-{n}"), true);
    }
    let all = Brake::Percent(100);
    let (first, _) = stage.run(stage.push(10).max_failures(all).canary(2)).await;
    assert_eq!((first.result, first.not_sent), (PushResult::Paused, 8));
    let (rest, _) = stage.run(stage.push(10).max_failures(all)).await;
    assert_eq!((rest.result, rest.counts.failures()), (PushResult::Failed, 3));
    for n in [1, 6, 7] {
        stage.fleet.set_offline(&format!("pos-{n}"), false);
    }
    let again = stage.push(10).max_failures(all).retry_failed(true);
    let (round, _) = stage.run(again).await;
    assert_eq!((round.result, round.round, round.ended_now), (PushResult::Completed, 2, 3));
}

#[tokio::test]
async fn canaries_that_come_late_are_refused() {
    let faults = vec!["status:404".parse().unwrap()];
    let stage = Stage::new(Options { faults, ..Options::default() });
    let limits = Limits { max_in_flight: 1, ..Limits::default() };
    let push = |brake| stage.push(300).limits(limits).max_failures(brake);
    let (first, _) = stage.run(push(Brake::Count(3))).await;
    assert_eq!(first.result, PushResult::Paused);
    let sent = stage.fleet.summary().receptions.count;
    let late = push(Brake::Percent(100)).canary(2).build().unwrap();
    let would = late.dry_run().unwrap();
    assert!(would.is_refused(), "{would}");
    let refused = late.run().await.unwrap_err();
    assert!(matches!(refused, PushError::NoCanaries), "{refused}");
    assert_eq!(stage.fleet.summary().receptions.count, sent, "more were sent to");
    // Nothing of that attempt is left behind: without canaries it goes on.
    let (rest, _) = stage.run(push(Brake::Percent(100))).await;
    assert_eq!((rest.result, rest.counts.failed), (PushResult::Failed, 300));
}

#[tokio::test]
async fn a_device_that_is_asked_first_is_not_sent_to_after_a_stop() {
    let latency = Duration::from_secs(3);
    let stage = Stage::new(Options { latency, ..Options::default() });
    let verify = Verify { first: true, ..Verify::default() };
    let push = stage.push(5).verify(verify).build().unwrap();
    let stop = push.stopper();
    let running = tokio::spawn(push.run());
    while stage.fleet.summary().requests < 5 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    let summary = running.await.unwrap().unwrap();
    assert_eq!((summary.result, summary.not_sent), (PushResult::Interrupted, 5));
    assert_eq!(stage.fleet.summary().receptions.count, 0);
}

#[tokio::test]
async fn a_push_cut_short_goes_on_and_sends_to_nobody_twice() {
    let stage = Stage::new(Options { reboot: Duration::from_secs(3), ..Options::default() });
    cut_short(&stage, 400, 100).await;
    let (rest, events) = stage.run(stage.push(400)).await;
    assert_eq!((rest.result, rest.counts.succeeded), (PushResult::Completed, 400));
    assert!(events[0].to_string().contains("goes on"), "{}", events[0]);
    for (id, device) in stage.fleet.report().devices {
        assert_eq!(device.version, "2.0.0");
        assert_eq!(device.repeated, 0, "{id}: {device:?}");
    }
    let told = explained(&stage);
    let is_told = |words: &str| told.iter().any(|line| line.contains(words));
    assert!(is_told("prepared: 400 devices") && is_told("taken up again"), "{told:#?}");
    assert!(is_told("cut short when the driver died"), "{told:#?}");
}

/// What the log of the push tells; it runs again.
fn explained(stage: &Stage) -> Vec<String> {
    let operator = groundswell::operate::State::look(&stage.state()).unwrap();
    let first = operator.find_rollout("1").unwrap();
    assert_eq!(operator.replay(first.key).unwrap().mismatches, []);
    let explained = operator.explain(&first).unwrap();
    assert_eq!(explained.doubt, None);
    explained.lines.into_iter().map(|line| line.text).collect()
}

#[tokio::test]
async fn two_at_once_on_one_directory_are_refused() {
    let stage = Stage::new(Options { reboot: Duration::from_secs(3), ..Options::default() });
    let first = tokio::spawn(stage.push(100).build().unwrap().run());
    while stage.fleet.summary().receptions.count == 0 {
        tokio::task::yield_now().await;
    }
    let second = stage.push(100).build().unwrap().run().await;
    assert!(matches!(second, Err(PushError::State(_))), "{second:?}");
    assert_eq!(first.await.unwrap().unwrap().result, PushResult::Completed);
}

#[tokio::test]
async fn told_to_stop_it_lets_open_deliveries_end_and_goes_on_later() {
    let stage = Stage::new(Options { latency: Duration::from_millis(2), ..Options::default() });
    let push = stage.push(500).build().unwrap();
    let stop = push.stopper();
    let running = tokio::spawn(push.run());
    while stage.fleet.summary().receptions.count < 100 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    let summary = running.await.unwrap().unwrap();
    assert_eq!(summary.result, PushResult::Interrupted);
    assert_eq!(summary.counts.delivering, 0, "{:?}", summary.counts);
    assert!(summary.not_sent > 0);
    let (rest, _) = stage.run(stage.push(500)).await;
    assert_eq!(rest.counts.succeeded, 500);
    assert_eq!(summary.ended_now, summary.counts.ended());
    assert_eq!(rest.ended_now, 500 - summary.counts.ended(), "counted twice");
    assert_eq!(stage.fleet.summary().receptions.count, 500);
}

#[tokio::test]
async fn a_delivery_that_does_not_end_is_waited_for_30_seconds_after_a_stop() {
    let faults = vec!["hang".parse().unwrap()];
    let stage = Stage::new(Options { faults, ..Options::default() });
    stage.take_clock();
    let config = Config { timeouts: Timeouts::all(Duration::from_mins(10)), ..Config::default() };
    let clock = Clock::Manual(stage.clock.clone());
    let push = stage.push(1).http(config).clock(clock).build().unwrap();
    let stop = push.stopper();
    let running = tokio::spawn(push.run());
    while stage.fleet.summary().receptions.count < 1 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    assert_eq!(stage.clock.until_waiting("drain").await, Duration::from_secs(30));
    stage.clock.advance(Duration::from_secs(30));
    let summary = running.await.unwrap().unwrap();
    assert_eq!((summary.result, summary.counts.delivering), (PushResult::Interrupted, 1));
    // What became of it is found out by asking.
    let (rest, _) = stage.run(stage.push(1)).await;
    assert_eq!((rest.counts.succeeded, stage.fleet.summary().receptions.count), (1, 1));
}

#[tokio::test]
async fn nothing_but_the_state_is_left_behind() {
    let stage = Stage::new(Options::default());
    stage.run(stage.push(10)).await;
    assert_eq!(files_below(&stage.state()), ["artifacts", "lock", "reserve", "state.db"],);
    assert_eq!(files_below(&stage.state().join("artifacts")).len(), 1);
}

#[tokio::test]
async fn another_push_that_moved_the_devices_moves_nothing_of_this_one() {
    let (here, there) = (Stage::new(Options::default()), Stage::new(Options::default()));
    here.fleet.set_offline("pos-0", true);
    let (first, _) = here.run(here.push(2)).await;
    assert_eq!(first.counts.failures(), 1);
    // The same ids at other addresses, written to the same state.
    let (other, _) = there.run(there.push(2).name("other").state_dir(here.state())).await;
    assert_eq!(other.counts.succeeded, 2);
    here.fleet.set_offline("pos-0", false);
    let (round, _) = here.run(here.push(2).retry_failed(true)).await;
    assert_eq!((round.result, round.ended_now), (PushResult::Completed, 1));
    assert_eq!(here.fleet.summary().receptions.complete, 2);
    assert_eq!(there.fleet.summary().receptions.complete, 2, "it went to the other address");
}

#[tokio::test]
async fn a_corrected_path_is_taken_when_failed_devices_are_tried_again() {
    let stage = Stage::new(Options::default());
    let with_path = |path: &str| {
        let mut entries = stage.entries(3);
        entries[1].device.update_path = Some(path.to_owned());
        stage.push(0).devices(entries)
    };
    let (first, _) = stage.run(with_path("/mistaken")).await;
    assert_eq!((first.result, first.counts.failed), (PushResult::Failed, 1));
    let (round, _) = stage.run(with_path("/v2/update").retry_failed(true)).await;
    assert_eq!((round.result, round.ended_now), (PushResult::Completed, 1));
    let (again, _) = stage.run(with_path("/v2/update")).await;
    assert_eq!((again.result, again.counts.succeeded), (PushResult::AlreadyDone, 3));
}

#[tokio::test]
async fn two_devices_of_one_id_and_what_is_no_label_are_refused() {
    let stage = Stage::new(Options::default());
    let refused = |change: fn(&mut [groundswell::inventory::Entry])| {
        let mut entries = stage.entries(3);
        change(&mut entries);
        stage.push(0).devices(entries).build().unwrap_err().to_string()
    };
    let twice = refused(|entries| entries[2].device.id = "pos-0".to_owned());
    assert_eq!(twice, "device pos-0 is there twice: an id names one device");
    let control = refused(|entries| entries[1].device.id = "pos\r\n".to_owned());
    assert!(control.starts_with("id "), "{control}");
    let empty = refused(|entries| entries[1].device.id = String::new());
    assert!(empty.starts_with("id "), "{empty}");
    let path = refused(|entries| entries[1].device.update_path = Some("no slash".to_owned()));
    assert!(path.contains("no slash"), "{path}");
}
