//! Devices that take an update and fail afterwards, over real sockets.

use std::time::Duration;

use groundswell::{
    core::{
        gate::Ruling,
        rollout::{Act, WaveState},
        snapshot::Counts,
        waiting::WaitingOn,
    },
    operate::State,
    sim::Options,
    store::RolloutKey,
};

use super::site::Site;

const NOW: &str = "2026-03-02T12:00:00Z";

const SPEC: &str = "release = 'pos-app 2.0.0'
    salt = 'fixed'
    health = { check = 'url', every = '1m', failures = 3 }
    waves = [{ select = 'tag.pilot==yes', soak = '30m', min_success = 60 }, { percent = 100 }]";

fn site(options: Options) -> Site {
    let site = Site::new(NOW, options);
    site.import(
        "id,address,version,tag.pilot,tag.store
        pos-1,@,1.0.0,yes,s1
        pos-2,@,1.0.0,yes,s2
        pos-3,@,1.0.0,yes,s3
        pos-4,@,1.0.0,no,s1
        pos-5,@,1.0.0,no,s2
        pos-6,@,1.0.0,no,s3",
    );
    site.release("2.0.0");
    site
}

fn mins(mins: u64) -> Duration {
    Duration::from_mins(mins)
}

/// Lets time pass in steps in which nobody is asked twice.
async fn pass(site: &Site, by: Duration) {
    let end = site.now() + by;
    while site.now() < end {
        site.pass_to(site.now() + Duration::from_secs(15)).await;
    }
}

/// Until the first wave soaks.
async fn until_soaking(site: &Site, key: RolloutKey) {
    site.until("it does not soak", || {
        matches!(site.record(key).progression.waves[0].state, WaveState::Soaking { .. })
    })
    .await;
}

fn replays(site: &Site, key: RolloutKey) {
    let state = State::look(&site.path()).unwrap();
    let report = state.replay(key).unwrap();
    assert_eq!(report.mismatches, []);
}

#[tokio::test]
async fn a_release_that_devices_sicken_of_is_stopped_in_its_soak() {
    let faults = vec!["sickens".parse().unwrap()];
    let site = site(Options { faults, ..Options::default() });
    let driving = site.drive().await;
    let key = site.begin(SPEC).await;
    until_soaking(&site, key).await;
    let began = site.now();
    site.until_state(key, "paused").await;
    // Two of three are enough to make 60 % impossible; the questions are spread over a minute.
    let verdict = site.record(key).progression.waves[0].verdict().unwrap();
    assert_eq!((verdict.ruling, verdict.tally.regressed), (Ruling::Stop, 2));
    let took = verdict.at.since(began);
    assert!(took > mins(2) && took < mins(5), "{took:?}");
    assert_eq!(
        site.counts(key),
        Counts { succeeded: 3, regressed: 2, queued: 3, ..Counts::default() }
    );
    assert_eq!(site.received().len(), 3);
    driving.stop().await;
    replays(&site, key);
}

#[tokio::test]
async fn a_driver_that_starts_in_the_middle_counts_anew_and_forgets_nobody() {
    let site = site(Options::default());
    let driving = site.drive().await;
    let key = site.begin(SPEC).await;
    until_soaking(&site, key).await;
    site.settle().await;
    site.fleet.set_offline("pos-1", true);
    pass(&site, Duration::from_secs(90)).await;
    assert_eq!(site.counts(key).regressed, 0);
    driving.kill().await;
    let driving = site.drive().await;
    pass(&site, mins(1)).await;
    assert_eq!(site.counts(key).regressed, 0, "what was answered before does not count");
    pass(&site, mins(3)).await;
    assert_eq!(site.counts(key).regressed, 1);
    driving.kill().await;
    let driving = site.drive().await;
    site.fleet.set_offline("pos-1", false);
    pass(&site, mins(5)).await;
    assert_eq!(site.counts(key).regressed, 1, "the mark stays, and comes once");
    // Its last wave has no gate that would put up with one.
    site.until_state(key, "failed").await;
    let verdict = site.record(key).progression.waves[0].verdict().unwrap();
    assert_eq!((verdict.tally.succeeded, verdict.tally.regressed), (2, 1));
    driving.stop().await;
    replays(&site, key);
}

#[tokio::test]
async fn a_soak_that_passed_without_a_driver_opens_nothing() {
    let site = site(Options::default());
    let driving = site.drive().await;
    let key = site.begin(SPEC).await;
    until_soaking(&site, key).await;
    site.settle().await;
    driving.kill().await;
    for id in ["pos-1", "pos-2"] {
        site.fleet.set_offline(id, true);
    }
    site.clock.advance(mins(31));
    let driving = site.drive().await;
    site.until("it says what it waits for", || {
        let waiting = site.overview(key).waiting_on;
        waiting.iter().any(|reason| matches!(reason, WaitingOn::Health { .. }))
    })
    .await;
    pass(&site, mins(4)).await;
    site.until_state(key, "paused").await;
    let verdict = site.record(key).progression.waves[0].verdict().unwrap();
    assert_eq!((verdict.ruling, verdict.tally.regressed), (Ruling::Stop, 2));
    assert_eq!(site.received().len(), 3, "nobody of the next wave");
    driving.stop().await;
    replays(&site, key);
}

#[tokio::test]
async fn another_version_is_no_hiccup_and_a_retry_sends_again() {
    let site = site(Options::default());
    let driving = site.drive().await;
    let spec = SPEC.replace("'url'", "'version'").replace("60", "80");
    let key = site.begin(&(spec + "\nverify = { first = true }\non_failure = 'abort'")).await;
    until_soaking(&site, key).await;
    site.settle().await;
    site.fleet.seed_device("pos-2", "1.0.0");
    site.until_state(key, "aborted").await;
    assert_eq!(site.counts(key).regressed, 1);
    let had = site.received().len();
    site.act(key, Act::Retry).await.unwrap();
    until_soaking(&site, key).await;
    assert_eq!(site.receivers()[had..], ["pos-2"]);
    assert_eq!(site.before(key), Counts { succeeded: 2, ..Counts::default() });
    driving.stop().await;
    replays(&site, key);
}

#[tokio::test]
async fn who_was_sent_something_else_since_is_not_asked() {
    let site = site(Options::default());
    site.release_of("till", "7.0.0");
    let driving = site.drive().await;
    let key = site.begin(&SPEC.replace("'url'", "'version'")).await;
    until_soaking(&site, key).await;
    site.settle().await;
    let other = site.begin("release = 'till 7.0.0'\nselect = 'id==pos-1'").await;
    site.until_state(other, "completed").await;
    site.until_state(key, "completed").await;
    assert_eq!(site.counts(key), Counts { succeeded: 6, ..Counts::default() });
    driving.stop().await;
}

#[tokio::test]
async fn one_that_is_not_well_keeps_its_slot_until_it_is() {
    let site = site(Options::default());
    site.release_of("till", "7.0.0");
    let driving = site.drive().await;
    let key = site.begin(SPEC).await;
    until_soaking(&site, key).await;
    site.settle().await;
    site.fleet.set_offline("pos-1", true);
    pass(&site, mins(5)).await;
    assert_eq!(site.counts(key).regressed, 1);
    let other = site
        .begin(
            "release = 'till 7.0.0'\nselect = 'id==pos-4'\n\
             budgets = [{ per = 'tag.store', max = 1 }]",
        )
        .await;
    pass(&site, mins(3)).await;
    assert_eq!(site.counts(other).queued, 1, "its store has one that is out of order");
    site.fleet.set_offline("pos-1", false);
    site.until_state(other, "completed").await;
    assert!(site.stands(key) == "running" && site.counts(key).regressed == 1);
    driving.stop().await;
    replays(&site, key);
}

#[tokio::test]
async fn a_store_of_which_more_than_may_are_not_well_is_rolled_back_one_after_the_other() {
    let faults = vec!["sickens".parse().unwrap()];
    let site = Site::new(NOW, Options { faults, ..Options::default() });
    site.import(
        "id,address,version,tag.store
        pos-1,@,1.0.0,s1
        pos-2,@,1.0.0,s1",
    );
    site.release("1.0.0");
    site.release("2.0.0");
    for device in ["pos-1", "pos-2"] {
        site.fleet.seed_device(device, "1.0.0");
    }
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            salt = 'fixed'
            on_failure = 'rollback'
            health = { check = 'url', every = '1m', failures = 3 }
            budgets = [{ per = 'tag.store', max = 1 }]
            waves = [{ percent = 100, soak = '30m', min_success = 30 }]",
        )
        .await;
    until_soaking(&site, key).await;
    // Both have gone well, one after the other, before any of them falls ill.
    site.until_state(key, "aborted").await;
    assert_eq!(site.counts(key).regressed, 2);
    let rollback = RolloutKey(key.0 + 1);
    site.until_state(rollback, "completed").await;
    assert_eq!(site.counts(rollback), Counts { succeeded: 2, ..Counts::default() });
    for device in ["pos-1", "pos-2"] {
        assert_eq!(site.fleet.device(device).unwrap().version, "1.0.0");
    }
    driving.stop().await;
    replays(&site, key);
    replays(&site, rollback);
}
