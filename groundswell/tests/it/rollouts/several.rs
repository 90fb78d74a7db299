//! Several rollouts at once, and what operators do to them while they run.

use std::{collections::BTreeSet, fmt::Write as _, fs, time::Duration};

use groundswell::{
    core::{
        gate::Ruling,
        rollout::{Act, PauseReason, WaveState},
        snapshot::Counts,
        waiting::WaitingOn,
    },
    operate::State,
    sim::Options,
    store::RolloutKey,
};

use super::site::Site;
use crate::support::device::{Device, reply};

const NOW: &str = "2026-03-02T12:00:00Z";

/// `count` devices `NAME-0` ... of a group, that run 1.0.0.
fn group(name: &str, count: usize) -> String {
    (0..count).fold("id,address,version,tag.group\n".to_owned(), |mut csv, n| {
        writeln!(csv, "{name}-{n},@,1.0.0,{name}").unwrap();
        csv
    })
}

/// The devices that took this version, in the order in which they did.
fn takers(site: &Site, version: &str) -> Vec<String> {
    let received = site.received().into_iter().filter(|(_, _, taken)| taken == version);
    received.map(|(_, device, _)| device).collect()
}

#[tokio::test]
async fn the_higher_priority_goes_first_and_starves_nobody() {
    const PLACES: usize = 8;
    let latency = Duration::from_millis(100);
    let site = Site::new(NOW, Options { latency, ..Options::default() });
    site.import(&group("low", 40));
    site.import(&group("high", 80));
    site.release_of("signage", "2.0.0");
    site.release_of("firmware", "3.0.0");
    let spec = |release, group, priority| {
        format!(
            "release = '{release}'
            select = 'tag.group=={group}'
            priority = {priority}
            limits = {{ max_per_host = 1000 }}
            verify = {{ mode = 'none' }}"
        )
    };
    let low = site.begin(&spec("signage 2.0.0", "low", 0)).await;
    let high = site.begin(&spec("firmware 3.0.0", "high", 5)).await;
    let driving = site.drive_with(|driver| driver.in_flight_max(PLACES as u32)).await;
    site.until_state(low, "completed").await;
    site.until_state(high, "completed").await;
    let received = site.received();
    assert_eq!(received.len(), 120);
    // A device answers `latency` after it has the whole body, so it is open for as long at least.
    for window in received.windows(PLACES + 1) {
        let (first, over) = (&window[0], &window[PLACES]);
        assert!(over.0 >= first.0 + latency, "{first:?} and {over:?} were open at once");
    }
    let last_high = received.iter().rposition(|(_, _, version)| version == "3.0.0").unwrap();
    let low_before = received[..last_high].iter().filter(|(_, _, v)| v == "2.0.0").count();
    assert!((1..=24).contains(&low_before), "{low_before} of the lower priority went before");
    driving.stop().await;
}

/// How many devices of a rollout are busy with others, and the number of one of these, as whoever
/// looks at it is told.
fn busy_with(site: &Site, key: RolloutKey) -> Option<(u64, i64)> {
    site.overview(key).waiting_on.into_iter().find_map(|reason| match reason {
        WaitingOn::Busy { devices, rollout } => Some((devices, rollout.number)),
        _ => None,
    })
}

#[tokio::test]
async fn a_busy_device_is_waited_for() {
    const TIMEOUT: &str = "timeouts = { verifying = '2h' }";
    // Far longer than operators take, whose time goes on as long as they are at it.
    let reboot = Duration::from_mins(30);
    let site = Site::new(NOW, Options { reboot, ..Options::default() });
    site.import(&group("pos", 3));
    for (name, version) in [("signage", "2.0.0"), ("firmware", "3.0.0"), ("os", "4.0.0")] {
        site.release_of(name, version);
    }
    let driving = site.drive().await;
    let first = site.begin(&format!("release = 'signage 2.0.0'\n{TIMEOUT}")).await;
    site.until("nobody has the first", || site.received().len() == 3).await;
    // They came in the other order.
    let lowest = site.begin(&format!("release = 'os 4.0.0'\npriority = -1\n{TIMEOUT}")).await;
    let second = site.begin(&format!("release = 'firmware 3.0.0'\npriority = 3\n{TIMEOUT}")).await;
    for key in [second, lowest] {
        site.until("it waits", || site.stands(key) == "running").await;
    }
    site.settle().await;
    assert_eq!(takers(&site, "2.0.0").len(), 3);
    let name = format!("busy with rollout {} (signage 2.0.0)", first.0);
    for key in [second, lowest] {
        let waits_for = site.waits_for(key, "pos-1");
        assert!(waits_for.contains(&name), "{waits_for}");
    }
    // Nothing else happens, and yet whoever looks at a rollout is told.
    site.pass(Duration::from_secs(2)).await;
    assert_eq!(busy_with(&site, first), None);
    assert_eq!(busy_with(&site, second), Some((3, first.0)));
    assert_eq!(busy_with(&site, lowest), Some((3, first.0)));
    for key in [first, second, lowest] {
        site.pass(reboot).await;
        if key == first {
            site.pass(Duration::from_secs(2)).await;
            assert_eq!(busy_with(&site, second), None);
            assert_eq!(busy_with(&site, lowest), Some((3, second.0)));
        }
        site.until_state(key, "completed").await;
        let counts = site.counts(key);
        assert_eq!(counts, Counts { succeeded: 3, ..Counts::default() });
    }
    for n in 0..3 {
        let device = site.fleet.device(&format!("pos-{n}")).unwrap();
        // Each was seen to run one before it was sent the next.
        assert_eq!(device.former_versions, ["1.0.0", "2.0.0", "3.0.0"]);
        assert_eq!((&*device.version, device.receptions.complete), ("4.0.0", 3));
    }
    driving.stop().await;
}

#[tokio::test]
async fn a_newer_rollout_takes_over_and_none_goes_back() {
    let site = Site::new(NOW, Options::default());
    site.import(&group("pos", 10));
    for version in ["1.5.0", "2.0.0", "2.1.0"] {
        site.release(version);
    }
    let driving = site.drive().await;
    let old = site
        .begin(
            "release = 'pos-app 2.0.0'
            waves = [{ count = 3, soak = '1h' }, { percent = 100 }]",
        )
        .await;
    site.until("the first wave", || site.received().len() == 3).await;
    site.settle().await;
    let new = site.begin("release = 'pos-app 2.1.0'").await;
    site.until_state(new, "completed").await;
    site.pass(Duration::from_hours(2)).await;
    site.until_state(old, "completed").await;
    assert_eq!(site.counts(old), Counts { succeeded: 3, skipped: 7, ..Counts::default() });
    let early: BTreeSet<_> = takers(&site, "2.0.0").into_iter().collect();
    assert_eq!(early.len(), 3);
    assert_eq!(takers(&site, "2.1.0").len(), 10);
    for n in 0..10 {
        let id = format!("pos-{n}");
        let stands = if early.contains(&id) { "succeeded" } else { "skipped: superseded" };
        assert_eq!(site.standing(old, &id).0, stands, "{id}");
    }

    // Somebody of whom nothing is known, or there would be nobody to start it for.
    site.import("id\nmute");
    let back = site.begin("release = 'pos-app 1.5.0'").await;
    site.until_state(back, "completed").await;
    assert_eq!(site.counts(back), Counts { skipped: 11, ..Counts::default() });
    assert_eq!(site.standing(back, "pos-4").0, "skipped: downgrade");
    assert_eq!(takers(&site, "1.5.0").len(), 0);
    let meant = site.begin("release = 'pos-app 1.5.0'\nallow_downgrade = true").await;
    site.until_state(meant, "completed").await;
    assert_eq!(site.counts(meant), Counts { succeeded: 10, skipped: 1, ..Counts::default() });
    assert_eq!(takers(&site, "1.5.0").len(), 10);
    assert_eq!(site.fleet.summary().repeated, 0);
    driving.stop().await;
}

#[tokio::test]
async fn a_gate_stops_and_an_operator_advances() {
    let site = Site::new(NOW, Options::default());
    let refusing = Device::start([reply(404, "", "no")]).await;
    site.import(&group("pos", 6));
    site.import(&format!(
        "id,address,version,tag.group\nbad,{},1.0.0,lab\ngood,@,1.0.0,lab",
        refusing.address()
    ));
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            waves = [
                { select = 'tag.group==lab', min_success = 80 },
                { percent = 100, min_success = 80 },
            ]",
        )
        .await;
    site.until_state(key, "paused").await;
    site.pass(Duration::from_hours(30)).await;
    assert_eq!((site.receivers(), refusing.seen_count()), (vec!["good".to_owned()], 1));
    let stopped = site.record(key).progression;
    assert_eq!(stopped.paused.iter().collect::<Vec<_>>(), [&PauseReason::Gate]);
    assert_eq!(stopped.waves[0].verdict().unwrap().ruling, Ruling::Stop);
    let refused = site.act(key, Act::Resume).await.unwrap_err().to_string();
    assert!(refused.contains("advance overrides the gate"), "{refused}");

    site.act(key, Act::Advance).await.unwrap();
    let verdict = site.record(key).progression.waves[0].verdict().unwrap();
    assert_eq!(verdict.ruling, Ruling::Override);
    assert_eq!((verdict.tally.succeeded, verdict.tally.failed), (1, 1));
    assert_eq!(verdict.min_success, Some(80));
    site.until_state(key, "completed").await;
    let counts = site.counts(key);
    assert_eq!(counts, Counts { succeeded: 7, failed: 1, ..Counts::default() });
    let after: Vec<_> = site.received().into_iter().filter(|(_, id, _)| id != "good").collect();
    assert!(after.len() == 6 && after.iter().all(|(at, ..)| *at >= verdict.at), "{after:?}");
    driving.stop().await;
}

#[tokio::test]
async fn a_retry_is_another_round_for_those_that_failed() {
    let site = Site::new(NOW, Options::default());
    site.import(&group("pos", 8));
    site.release("2.0.0");
    for id in ["pos-2", "pos-5"] {
        site.fleet.set_offline(id, true);
    }
    let driving = site.drive().await;
    let key = site.begin("release = 'pos-app 2.0.0'\nstrategy = 'immediate'").await;
    site.until_state(key, "failed").await;
    // Both reset the connection: their answers, if there were any, are lost.
    let counts = Counts { succeeded: 6, timed_out: 2, ..Counts::default() };
    assert_eq!(site.counts(key), counts);
    // The driver has let go of it; it is taken up again.
    site.settle().await;
    for id in ["pos-2", "pos-5"] {
        site.fleet.set_offline(id, false);
    }
    site.act(key, Act::Retry).await.unwrap();
    site.until_state(key, "completed").await;
    assert_eq!((site.record(key).progression.round, site.before(key).succeeded), (2, 6));
    assert_eq!(site.counts(key), Counts { succeeded: 2, ..Counts::default() });
    let again = site.act(key, Act::Retry).await.unwrap_err().to_string();
    assert!(again.contains("no device failed"), "{again}");
    let receivers = site.receivers();
    assert_eq!(receivers.len(), 8);
    assert_eq!(receivers.into_iter().collect::<BTreeSet<_>>().len(), 8);
    driving.stop().await;
}

#[tokio::test]
async fn devices_join_while_it_runs() {
    let site = Site::new(NOW, Options::default());
    site.import(&group("north", 6));
    site.import(&group("south", 3));
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            select = 'tag.group==north'
            membership = 'dynamic'
            deadline = '30d'
            waves = [{ percent = 50, soak = '1d', min_success = 100 }, { percent = 100 }]",
        )
        .await;
    site.until("the first wave", || site.received().len() == 3).await;
    site.pass(Duration::from_hours(2)).await;
    assert_eq!(site.received().len(), 3);
    // New ones, one that comes to match, and one that does not.
    site.import(&group("north", 26));
    site.import("id,address,version,tag.group\nsouth-0,@,1.0.0,north\nsouth-1,@,1.0.0,east");
    site.settle().await;
    let joined = site.counts(key);
    assert_eq!(joined.total(), 27, "{joined:?}");
    let wave = |number: usize| site.overview(key).waves[number - 1].counts;
    assert!(wave(1).total() > 3, "nobody joined the open wave: {:?}", wave(1));
    assert!(wave(2).total() > 3, "nobody joined the other: {:?}", wave(2));
    // Those of the open wave go at once, the others when it has passed.
    assert_eq!(site.received().len() as u64, wave(1).total());
    site.pass(Duration::from_hours(25)).await;
    assert_eq!(site.received().len(), 27);
    assert!(matches!(site.record(key).progression.waves[0].state, WaveState::Passed { .. }));
    // All have it, and others may come until the deadline.
    assert_eq!(site.stands(key), "running");
    site.import("id,address,version,tag.group\nlate,@,1.0.0,north");
    site.settle().await;
    assert_eq!(site.receivers().last().unwrap(), "late");
    site.pass_to(site.overview(key).deadline.unwrap() + Duration::from_secs(1)).await;
    site.until_state(key, "completed").await;
    site.import("id,address,version,tag.group\ntoo-late,@,1.0.0,north");
    site.settle().await;
    assert_eq!(site.counts(key), Counts { succeeded: 28, ..Counts::default() });
    assert_eq!(site.fleet.summary().receptions.complete, 28);
    driving.stop().await;
}

/// Paused because of its artifact, having sent nothing; what happened to that is told last.
fn assert_unsendable(site: &Site, key: RolloutKey, why: &str) {
    let progression = site.record(key).progression;
    assert_eq!(progression.paused.into_iter().collect::<Vec<_>>(), [PauseReason::Artifact]);
    assert_eq!(site.fleet.summary().requests, 0);
    let state = State::look(&site.path()).unwrap();
    let explained = state.explain(&site.record(key)).unwrap();
    assert_eq!(explained.doubt, None);
    let told = explained.lines.into_iter().map(|line| line.text);
    let told: Vec<String> = told.filter(|text| text.contains("cannot be sent: ")).collect();
    assert!(told.last().is_some_and(|text| text.contains(why)), "{told:?}");
}

#[tokio::test]
async fn an_artifact_that_is_gone_or_damaged_is_not_sent() {
    let site = Site::new(NOW, Options::default());
    site.import(&group("pos", 4));
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site.create("release = 'pos-app 2.0.0'\nstart_at = '2026-03-02T13:00:00Z'");
    let artifact = site.record(key).spec.release.artifact.to_string();
    let artifact = site.path().join("artifacts").join(artifact);
    let bytes = fs::read(&artifact).unwrap();

    fs::remove_file(&artifact).unwrap();
    let refused = site.act(key, Act::Start).await.unwrap_err().to_string();
    assert!(refused.contains("is not kept any more"), "{refused}");
    fs::write(&artifact, &bytes).unwrap();
    site.act(key, Act::Start).await.unwrap();
    site.until_state(key, "scheduled").await;
    fs::remove_file(&artifact).unwrap();
    site.pass(Duration::from_hours(1)).await;
    site.until_state(key, "paused").await;
    site.pass(Duration::from_hours(1)).await;
    assert_unsendable(&site, key, "No such file");

    let mut damaged = bytes.clone();
    damaged[0] ^= 1;
    fs::write(&artifact, damaged).unwrap();
    site.act(key, Act::Resume).await.unwrap();
    site.until_state(key, "paused").await;
    site.settle().await;
    assert_unsendable(&site, key, "it is damaged");

    fs::write(&artifact, bytes).unwrap();
    site.act(key, Act::Resume).await.unwrap();
    site.until_state(key, "completed").await;
    assert_eq!(site.counts(key), Counts { succeeded: 4, ..Counts::default() });
    assert_eq!(takers(&site, "2.0.0").len(), 4);
    driving.stop().await;
}
