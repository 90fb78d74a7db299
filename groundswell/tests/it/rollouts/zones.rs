//! Devices whose time zone is corrected while a rollout goes on.

use std::{fmt::Write as _, time::Duration};

use groundswell::{core::rollout::Act, sim::Options};

use super::site::{Site, time};

/// In the window in UTC; 03:39 in Tokyo.
const NOW: &str = "2026-06-10T18:39:00Z";

const SPEC: &str = "release = 'pos-app 2.0.0'
    windows = ['18:00-18:59']
    limits = { per_minute = 4 }";

/// Eight devices; the odd ones are in the first zone.
fn eight(odd: &str, even: &str) -> String {
    (0..8).fold("id,address,version,time_zone\n".to_owned(), |mut csv, n| {
        let zone = if n % 2 == 1 { odd } else { even };
        writeln!(csv, "pos-{n},@,1.0.0,{zone}").unwrap();
        csv
    })
}

fn is_odd(device: &str) -> bool {
    device.ends_with(['1', '3', '5', '7'])
}

fn site() -> Site {
    let site = Site::new(NOW, Options::default());
    site.import(&eight("UTC", "Asia/Tokyo"));
    site.release("2.0.0");
    site
}

/// Zones were swapped after the first was sent: the even ones are due today, the others when it is
/// their time in Tokyo.
async fn assert_new_hours(site: &Site, key: groundswell::store::RolloutKey) {
    site.settle().await;
    let received = site.receivers();
    assert!(received.len() < 3, "{received:?}");
    assert!(received.iter().skip(1).all(|device| !is_odd(device)), "{received:?}");
    let left = (1..8).step_by(2).map(|n| format!("pos-{n}")).find(|id| !received.contains(id));
    let why = site.waits_for(key, &left.unwrap());
    assert!(why.contains("Asia/Tokyo"), "{why}");
    site.until("the window is not used", || site.received().len() >= 5).await;
    site.pass_to(time("2026-06-10T18:58:00Z")).await;
    let received = site.receivers();
    assert_eq!(received.len(), 5, "{received:?}");
    assert!(received[1..].iter().all(|device| !is_odd(device)), "{received:?}");
    site.pass_to(time("2026-06-11T08:59:00Z")).await;
    assert_eq!(site.receivers().len(), 5);
    site.pass_to(time("2026-06-11T09:00:00Z")).await;
    site.until_state(key, "completed").await;
    assert_eq!(site.receivers().len(), 8);
    assert_eq!(site.counts(key).succeeded, 8);
}

#[tokio::test]
async fn hours_follow_a_device_that_is_imported_again_in_another_zone() {
    let site = site();
    let driving = site.drive().await;
    let key = site.begin(SPEC).await;
    site.until("nobody is sent to", || site.received().len() == 1).await;
    site.import(&eight("Asia/Tokyo", "UTC"));
    assert_new_hours(&site, key).await;
    driving.stop().await;
}

#[tokio::test]
async fn a_driver_that_starts_goes_by_zones_that_changed_while_none_was_up() {
    let site = site();
    let driving = site.drive().await;
    let key = site.begin(SPEC).await;
    site.until("nobody is sent to", || site.received().len() == 1).await;
    driving.kill().await;
    let received = site.receivers();
    site.import(&eight("Asia/Tokyo", "UTC"));
    // Nobody drives: it is told by the zone that the device is in all the same.
    let left = (1..8).step_by(2).map(|n| format!("pos-{n}"));
    for id in left.filter(|id| !received.contains(id) && site.standing(key, id).0 == "queued") {
        let why = site.waits_for(key, &id);
        assert!(why.contains("Asia/Tokyo"), "{why}");
    }
    let driving = site.drive().await;
    assert_new_hours(&site, key).await;
    driving.stop().await;
}

#[tokio::test]
async fn who_is_tried_again_later_or_in_another_round_goes_by_its_zone_then() {
    let site = Site::new(NOW, Options::default());
    site.import("id,address,version,time_zone\npos-0,http://127.0.0.1:9,1.0.0,UTC\n");
    site.release("2.0.0");
    let driving = site.drive().await;
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            windows = ['18:00-18:59']
            offline = 'try'
            retry = { attempts = 2, backoff = '5m', max_backoff = '5m' }",
        )
        .await;
    site.until("it is not tried", || site.standing(key, "pos-0").0 == "retrying").await;
    site.import("id,address,version,time_zone\npos-0,@,1.0.0,Asia/Tokyo\n");
    site.pass(Duration::from_mins(19)).await;
    assert_eq!(site.standing(key, "pos-0").0, "retrying");
    site.pass_to(time("2026-06-11T08:59:00Z")).await;
    assert_eq!(site.standing(key, "pos-0").0, "retrying");
    // The address is the one it had when it was begun.
    site.pass_to(time("2026-06-11T09:01:00Z")).await;
    assert_eq!(site.standing(key, "pos-0").0, "failed: unreachable");
    site.until("it does not end", || site.record(key).progression.state.is_ended()).await;
    site.import("id,address,version,time_zone\npos-0,@,1.0.0,UTC\n");
    site.act(key, Act::Retry).await.unwrap();
    site.pass_to(time("2026-06-11T17:59:00Z")).await;
    assert!(site.received().is_empty());
    site.pass_to(time("2026-06-11T18:10:00Z")).await;
    assert_eq!(site.standing(key, "pos-0").0, "succeeded");
    driving.stop().await;
}
