//! A driver that is killed in the middle of a wave, a soak, a window, and of the creation.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use groundswell::{
    core::{rollout::WaveState, snapshot::Counts, time::Time},
    engine::choose,
    operate::State,
    sim::Options,
    store::{Cursor, QueueWant, RolloutKey, Store, Want},
};

use super::{
    process::Town,
    site::{Site, received, time},
};
use crate::kill::Random;

/// Clocks of two processes that were read at different moments.
const UNEVEN: Duration = Duration::from_millis(100);

/// Kills that are tried in each part.
const KILLS: u32 = 4;

#[test]
fn killed_in_waves_and_soaks_it_keeps_to_the_gates() {
    const DEVICES: usize = 300;
    // Slow enough, 16 at a time, that a wave spans its kills.
    let (latency, reboot) = (Duration::from_millis(120), Duration::from_millis(50));
    let town = Town::new(DEVICES, Options { latency, reboot, ..Options::default() });
    let key = town.begin(
        "release = 'pos-app 2.0.0'
        waves = [{ percent = 50, soak = '3s', min_success = 100 }, { percent = 100 }]
        limits = { max_in_flight = 16 }
        timeouts = { verifying = '5s' }",
    );
    let waves = || town.record(key).progression.waves;
    let stages =
        [("the first wave", 0, "open"), ("its soak", 0, "soaking"), ("the last", 1, "open")];
    let mut random = Random(20_260_302);
    let mut cut_short = 0;
    for (stage, wave, state) in stages {
        let is_in = || waves()[wave].state.as_str() == state;
        let mut kills = 0;
        for _ in 0..KILLS {
            let before = town.received();
            let mut running = town.run();
            Town::until(stage, || {
                running.check();
                let is_later = waves()[wave].verdict().is_some();
                let is_there = is_in() && (state == "soaking" || town.received() > before);
                is_later || is_there || town.stands(key) == "completed"
            });
            std::thread::sleep(Duration::from_millis(random.below(200)));
            let was_in = is_in();
            running.kill();
            cut_short += town.counts(key).active();
            kills += u32::from(was_in && is_in());
        }
        assert!(kills > 0, "no kill in {stage}");
    }
    assert!(cut_short > 0, "no kill cut a delivery short");
    let running = town.run();
    town.until_state(key, "completed");
    running.kill();

    assert_eq!(town.counts(key), Counts { succeeded: DEVICES as u64, ..Counts::default() });
    let fleet = town.ground.fleet.summary();
    assert_eq!((fleet.repeated, fleet.several_keys), (0, 0));
    let report = town.ground.fleet.report();
    assert!(report.devices.values().all(|device| device.version == "2.0.0"));
    let [first, last] = &waves()[..] else { panic!("two waves") };
    let verdict = first.verdict().unwrap();
    assert_eq!((verdict.tally.succeeded, verdict.tally.of), (150, 150));
    assert!(matches!(last.state, WaveState::Passed { .. }));
    let mut last_of_first = Time::ZERO;
    for (at, device, _) in received(&town.ground.fleet) {
        if town.wave(key, &device) == 0 {
            last_of_first = last_of_first.max(at);
        } else {
            assert!(at + UNEVEN >= verdict.at, "{device} had it {at}, before {}", verdict.at);
        }
    }
    let soaked = verdict.at.since(last_of_first) + UNEVEN;
    assert!(soaked >= Duration::from_secs(3), "the soak took {soaked:?}");
}

#[test]
fn killed_while_devices_are_written_down_it_has_all_of_them() {
    const DEVICES: usize = 25_000;
    let town = Town::new(DEVICES, Options::default());
    let spec = "release = 'pos-app 2.0.0'
        start_at = '2099-01-01T00:00:00Z'
        waves = [{ count = 7 }, { percent = 10 }, { select = 'id==pos-1*' }, { percent = 100 }]";
    std::fs::write(town.ground.dir.path().join("dry.toml"), spec).unwrap();
    let dry = ["rollout", "create", "dry.toml", "--dry-run", "--output", "json"];
    let key = town.begin(spec);
    let mut random = Random(25_000);
    let written = || -> u64 {
        let cohorts = town.store.cohorts(key, 1).unwrap();
        cohorts.iter().map(|cohort| cohort.counts.total()).sum()
    };
    let mut kills = 0;
    for kill in 0..5 {
        let before = written();
        let mut running = town.run();
        // What is read while it is taken back may be less.
        Town::until("nothing is written", || {
            running.check();
            written() != before || town.stands(key) != "preparing"
        });
        std::thread::sleep(Duration::from_millis(random.below(40)));
        running.kill();
        kills += u32::from((1..DEVICES as u64).contains(&written()));
        if kill == 1 {
            // Others match by then: what was written down is not what would be chosen now.
            let port = town.ground.fleet.local_addr().port();
            let one_more = format!("id,address\npos-1-more,http://127.90.0.1:{port}\n");
            std::fs::write(town.ground.dir.path().join("more.csv"), one_more).unwrap();
            town.tell(&["device", "import", "more.csv"]);
        }
    }
    assert!(kills > 1, "{kills} kills left devices half written");
    let dry = town.tell(&dry).json();
    let running = town.run();
    town.until_state(key, "scheduled");
    running.kill();

    let counts = town.counts(key);
    assert_eq!(counts, Counts { queued: DEVICES as u64 + 1, ..Counts::default() });
    assert_eq!(town.record(key).devices, DEVICES as u64 + 1);
    let waves = waves_of(&town, key);
    assert_eq!(waves, waves_chosen(&town, key));
    // As the operator was told.
    let told = dry["waves"].as_array().unwrap();
    for (wave, told) in told.iter().enumerate() {
        assert_eq!(told["devices"], waves.values().filter(|w| **w == wave).count() as u64);
        for first in told["first"].as_array().unwrap() {
            assert_eq!(waves[first.as_str().unwrap()], wave, "{first}");
        }
    }
    assert_eq!(town.ground.fleet.summary().requests, 0);
}

/// The waves of devices as they are written down.
fn waves_of(town: &Town, key: RolloutKey) -> BTreeMap<String, usize> {
    let mut waves = BTreeMap::new();
    for cohort in town.store.cohorts(key, 1).unwrap() {
        let limit = cohort.counts.total() as usize + 1;
        let queue = QueueWant { cohort: cohort.key, after: 0, limit, is_sweep: false };
        let want = Want {
            rollout: key,
            cursor: Cursor::default(),
            until: Time::ZERO,
            limit,
            queue: Some(queue),
            refresh: vec![],
            recall: vec![],
            is_known_wanted: false,
            rivals: vec![],
            pers: [].into(),
        };
        for candidate in town.store.candidates(&want).unwrap().candidates {
            let before = waves.insert(candidate.endpoint.id.to_string(), cohort.wave);
            assert_eq!(before, None, "{} is there twice", candidate.endpoint.id);
        }
    }
    waves
}

/// The waves that they would be in if they were chosen now.
fn waves_chosen(town: &Town, key: RolloutKey) -> BTreeMap<String, usize> {
    let state = State::look(&town.ground.state()).unwrap();
    assert!(state.driver().is_none());
    let (spec, now) = (town.record(key).spec, Town::now());
    let division = choose::choose(&town.store, &spec, now).unwrap();
    let mut ids = BTreeMap::new();
    let mut each = |device: groundswell::store::Chosen<'_>| {
        ids.insert(device.key, device.id.to_owned());
    };
    town.store.for_each_chosen(None, now, &mut each).unwrap();
    let of = |device: &groundswell::store::Assign| {
        (ids[&device.device].clone(), division.cohorts[device.cohort].wave)
    };
    division.devices.iter().map(of).collect()
}

#[tokio::test]
async fn killed_within_a_window_it_keeps_to_the_hours() {
    const DEVICES: usize = 90;
    // The clock stands still while a device thinks: it has the update, and nobody knows.
    let latency = Duration::from_millis(500);
    let site = Site::new("2026-03-02T00:00:00Z", Options { latency, ..Options::default() });
    let csv = (0..DEVICES).fold("id,address,version,time_zone\n".to_owned(), |mut csv, n| {
        let zone = if n % 3 == 0 { "Europe/Lisbon" } else { "Europe/Berlin" };
        writeln!(csv, "pos-{n},@,1.0.0,{zone}").unwrap();
        csv
    });
    site.import(&csv);
    site.release("2.0.0");
    // One every two seconds: the windows of a night do not suffice for all.
    let key = site
        .begin(
            "release = 'pos-app 2.0.0'
            windows = ['02:00-02:01']
            limits = { per_minute = 30 }",
        )
        .await;
    let mut random = Random(7);
    let (mut kills, mut cut_short) = (0, 0);
    let mut driving = site.drive().await;
    let hours = [("Berlin", "01:00"), ("Lisbon", "02:00")];
    // As many nights as it takes; what the last kill cut short is tried again without one.
    let nights = (2..=20).flat_map(|night| hours.map(|hour| (night, hour)));
    for (night, (zone, opens)) in nights {
        if site.stands(key) == "completed" {
            break;
        }
        let opens_at = time(&format!("2026-03-{night:02}T{opens}:00Z"));
        site.pass_to(opens_at - Duration::from_secs(2)).await;
        let before = site.received().len();
        // Beyond the end of the window, killed in it and around both of its ends.
        let closes_at = opens_at + Duration::from_mins(1);
        while site.now() < closes_at + Duration::from_secs(4) {
            site.settle().await;
            site.clock.advance(Duration::from_millis(900));
            if night < 5 && random.below(4) == 0 {
                for _ in 0..random.below(8) {
                    tokio::time::sleep(Duration::from_micros(random.below(700))).await;
                    tokio::task::yield_now().await;
                }
                driving.kill().await;
                kills += 1;
                cut_short += site.counts(key).active();
                // Time does not wait for the next one.
                site.clock.advance(Duration::from_millis(random.below(1_500)));
                driving = site.drive().await;
            }
        }
        site.settle().await;
        let received = site.received();
        for (at, device, _) in &received[before..] {
            // What was begun just before the end may end just after it.
            let is_inside = *at >= opens_at && *at < closes_at + Duration::from_secs(2);
            assert!(is_inside, "{device} ({zone}) was touched at {at}");
            let is_berlin = !device[4..].parse::<usize>().unwrap().is_multiple_of(3);
            assert_eq!(is_berlin, zone == "Berlin", "{device} at {at}");
        }
    }
    site.until_state(key, "completed").await;
    // Without these the kills would have shown nothing.
    assert!(kills > 20 && cut_short > 0, "{kills} kills cut {cut_short} short");
    let counts = site.counts(key);
    assert_eq!(counts, Counts { succeeded: DEVICES as u64, ..Counts::default() });
    let fleet = site.fleet.summary();
    assert_eq!((fleet.repeated, fleet.several_keys), (0, 0));
    driving.stop().await;
}
