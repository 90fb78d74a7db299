//! The six strategies: who gets what, when, how often, in which order.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use groundswell::{
    core::{gate::Ruling, rollout::Act, snapshot::Counts},
    sim::Options,
};

use super::site::{Site, time};

const NOW: &str = "2026-03-02T12:00:00Z";

/// Devices `pos-0` ... that run 1.0.0.
fn ten() -> String {
    (0..10).fold("id,address,version\n".to_owned(), |mut csv, n| {
        writeln!(csv, "pos-{n},@,1.0.0").unwrap();
        csv
    })
}

fn set<T: Into<String>>(ids: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    ids.into_iter().map(Into::into).collect()
}

/// Every device that took an update did so once and runs it; nobody else took any.
fn assert_once(site: &Site, ids: &BTreeSet<String>, version: &str) {
    let received = site.received();
    assert_eq!(received.len(), ids.len(), "{received:?}");
    assert_eq!(set(site.receivers()), *ids);
    for id in ids {
        let device = site.fleet.device(id).unwrap();
        assert_eq!((&*device.version, device.repeated), (version, 0), "{id}");
    }
}

#[tokio::test]
async fn immediate_sends_to_all_at_once() {
    let site = Site::new(NOW, Options::default());
    site.import(&ten());
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site.create("release = 'pos-app 2.0.0'");
    site.settle().await;
    assert_eq!((site.stands(key), site.received().len()), ("draft", 0));
    site.act(key, Act::Start).await.unwrap();
    site.until_state(key, "completed").await;
    site.settle().await;
    assert_once(&site, &set((0..10).map(|n| format!("pos-{n}"))), "2.0.0");
    assert_eq!(site.counts(key), Counts { succeeded: 10, ..Counts::default() });
    driving.stop().await;
}

#[tokio::test]
async fn progressive_waits_for_each_gate() {
    let site = Site::new(NOW, Options::default());
    site.import(&ten());
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            waves = [
                { percent = 10, soak = '1h', min_success = 100 },
                { percent = 50, soak = '2h', min_success = 95 },
                { percent = 100 },
            ]",
        )
        .await;
    let mut had = 0;
    for (wave, (size, soak_hours)) in [(1, 1), (4, 2)].into_iter().enumerate() {
        site.until("the wave is not sent", || site.received().len() == had + size).await;
        site.settle().await;
        had += size;
        let ended_at = site.received().last().unwrap().0;
        let soaked_at = ended_at + Duration::from_hours(soak_hours);
        site.pass_to(soaked_at - Duration::from_mins(1)).await;
        assert_eq!(site.received().len(), had, "the soak of wave {} was cut short", wave + 1);
        assert_eq!(site.record(key).progression.waves[wave].verdict(), None);
        site.pass_to(soaked_at + Duration::from_secs(5)).await;
        let verdict = site.record(key).progression.waves[wave].verdict().unwrap();
        assert_eq!((verdict.ruling, verdict.tally.succeeded), (Ruling::Go, size as u64));
        assert!(verdict.at >= soaked_at, "{} is before {soaked_at}", verdict.at);
        let next = &site.received()[had];
        assert!(next.0 >= verdict.at, "{next:?} is before {verdict}");
    }
    site.until_state(key, "completed").await;
    assert_once(&site, &set((0..10).map(|n| format!("pos-{n}"))), "2.0.0");
    assert_eq!(site.counts(key), Counts { succeeded: 10, ..Counts::default() });
    let waves: Vec<_> = site.overview(key).waves.iter().map(|wave| wave.counts.succeeded).collect();
    assert_eq!(waves, [1, 4, 5]);
    driving.stop().await;
}

#[tokio::test]
async fn scheduled_keeps_to_each_device_s_hours() {
    let site = Site::new("2026-03-07T20:00:00Z", Options::default());
    site.import(
        "id,address,version,time_zone
        berlin-1,@,1.0.0,Europe/Berlin
        berlin-2,@,1.0.0,Europe/Berlin
        york-1,@,1.0.0,America/New_York
        york-2,@,1.0.0,America/New_York
        tokyo-1,@,1.0.0,Asia/Tokyo
        plain-1,@,1.0.0,",
    );
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            strategy = 'scheduled'
            start_at = '2026-03-08T00:00:00Z'
            windows = ['02:00-04:00']
            freezes = [{ from = '2026-03-08T00:00', to = '2026-03-08T02:30', reason = 'stocktake' }]
            time_zone = 'America/Denver'",
        )
        .await;
    site.pass_to(time("2026-03-07T23:59:50Z")).await;
    assert_eq!(site.stands(key), "scheduled");
    site.pass_to(time("2026-03-08T00:00:10Z")).await;
    assert_eq!(site.stands(key), "running");
    let mut had = 0;
    // In America the clock is set forward on that day: the window opens at the change.
    let opens = [
        ("2026-03-08T01:30:00Z", &["berlin-1", "berlin-2"][..]),
        ("2026-03-08T07:00:00Z", &["york-1", "york-2"]),
        ("2026-03-08T09:00:00Z", &["plain-1"]),
        ("2026-03-08T17:00:00Z", &["tokyo-1"]),
    ];
    for (opens_at, who) in opens {
        let opens_at = time(opens_at);
        site.pass_to(opens_at - Duration::from_secs(10)).await;
        assert_eq!(site.received().len(), had, "somebody before {opens_at}");
        site.pass_to(opens_at).await;
        let received = site.received();
        assert_eq!(set(received[had..].iter().map(|r| &*r.1)), set(who.iter().copied()));
        assert!(received[had].0 >= opens_at, "{received:?}");
        had = received.len();
    }
    site.until_state(key, "completed").await;
    for (at, id, _) in site.received() {
        let zone = match id.split_once('-').unwrap().0 {
            "berlin" => "Europe/Berlin",
            "york" => "America/New_York",
            "tokyo" => "Asia/Tokyo",
            _ => "America/Denver",
        };
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap();
        let wall = at.in_tz(zone).unwrap();
        assert!((2..4).contains(&wall.hour()), "{id} was touched at {wall}");
    }
    let all = ["berlin-1", "berlin-2", "york-1", "york-2", "tokyo-1", "plain-1"];
    assert_once(&site, &set(all), "2.0.0");
    driving.stop().await;
}

#[tokio::test]
async fn on_connect_waits_for_each_device_until_the_deadline() {
    let site = Site::new(NOW, Options::default());
    site.import(
        "id,address,version,check_in,last_seen
        pos-there,@,1.0.0,60s,-10s
        pos-back,@,1.0.0,60s,-2d
        pos-new,@,1.0.0,60s,never
        pos-gone,@,1.0.0,60s,-9d",
    );
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            strategy = 'on_connect'
            deadline = '14d'",
        )
        .await;
    site.until("the one that is there", || site.receivers() == ["pos-there"]).await;
    site.pass(Duration::from_hours(3 * 24)).await;
    assert_eq!(site.receivers(), ["pos-there"]);
    assert_eq!(site.waits_for(key, "pos-back"), "offline since Sat 2026-02-28 12:00 UTC");
    // A check-in is reason enough, and at once.
    for (device, more) in [("pos-back", 2), ("pos-new", 3)] {
        let before = site.now();
        assert_eq!(site.state().check_in(device, Some("1.0.0"), before).unwrap(), 1);
        site.settle().await;
        let received = site.received();
        assert_eq!((received.len(), &*received[more - 1].1), (more, device));
        assert!(received[more - 1].0.since(before) < Duration::from_secs(5), "{received:?}");
    }
    let deadline = site.overview(key).deadline.unwrap();
    site.pass_to(deadline - Duration::from_secs(10)).await;
    assert_eq!(site.stands(key), "running");
    site.pass_to(deadline + Duration::from_secs(1)).await;
    site.until_state(key, "failed").await;
    let (stands, why) = site.standing(key, "pos-gone");
    assert_eq!(
        (&*stands, why.as_deref()),
        ("failed: unreachable", Some("not reached before the deadline"))
    );
    assert_once(&site, &set(["pos-there", "pos-back", "pos-new"]), "2.0.0");
    assert_eq!(site.counts(key), Counts { succeeded: 3, unreachable: 1, ..Counts::default() });
    driving.stop().await;
}

#[tokio::test]
async fn a_region_is_sent_to_and_no_other() {
    let site = Site::new(NOW, Options::default());
    site.import(
        "id,address,version,tag.region,tag.lane
        boston-1,@,1.0.0,northeast,1
        boston-2,@,1.0.0,northeast,2
        dallas-1,@,1.0.0,south,1
        nowhere-1,@,1.0.0,,1
        sneaky-1,@,1.0.0,northeast-2,1",
    );
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site.begin("release = 'pos-app 2.0.0'\nselect = 'tag.region==northeast'").await;
    site.until_state(key, "completed").await;
    site.pass(Duration::from_hours(1)).await;
    assert_once(&site, &set(["boston-1", "boston-2"]), "2.0.0");
    for id in ["dallas-1", "nowhere-1", "sneaky-1"] {
        assert_eq!(site.standing(key, id).0, "not in it");
        assert_eq!(site.fleet.device(id).unwrap().version, "1.0.0");
    }
    driving.stop().await;
}

#[tokio::test]
async fn versions_are_compared_as_versions() {
    let site = Site::new(NOW, Options::default());
    site.import(
        "id,address,version
        v1.9,@,1.9.0
        v1.10,@,1.10.0
        v2.1,@,2.1.9
        v2.2rc,@,2.2.0-rc.1
        v2.2,@,2.2.0
        v2.10,@,2.10.0
        unknown,@,",
    );
    site.release("2.2.0");
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.2.0'
            select = 'version<2.2.0'
            waves = [{ select = 'version>1.9.0', soak = '1h' }, { percent = 100 }]",
        )
        .await;
    site.until("the first wave", || site.received().len() == 3).await;
    site.pass(Duration::from_mins(50)).await;
    assert_eq!(set(site.receivers()), set(["v1.10", "v2.1", "v2.2rc"]));
    site.pass(Duration::from_mins(11)).await;
    site.until_state(key, "completed").await;
    assert_once(&site, &set(["v1.9", "v1.10", "v2.1", "v2.2rc"]), "2.2.0");
    assert_eq!(site.receivers().last().unwrap(), "v1.9");
    assert_eq!(site.counts(key), Counts { succeeded: 4, ..Counts::default() });
    for id in ["v2.2", "v2.10", "unknown"] {
        assert_eq!(site.standing(key, id).0, "not in it");
    }
    driving.stop().await;
}
