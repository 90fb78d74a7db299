//! Divisions over a real inventory: who is in which wave and zone, and that everybody is.

use std::{collections::BTreeMap, path::PathBuf};

use groundswell_core::{
    device::Device,
    hours::Hours,
    ids::RolloutId,
    release::{Digest as Sha, Release},
    rollout::{Schedule, WaveSpec, ZoneRule},
};
use tempfile::TempDir;

use super::*;
use crate::store::{RolloutKey, SqliteStore};

const NOW: Time = Time::from_millis(1_764_000_000_000);

/// Zones of devices; one has none, and one says what is no zone.
const ZONES: [Option<&str>; 4] = [Some("Asia/Tokyo"), Some("Europe/Oslo"), None, Some("Mars/Base")];

fn spec(sizes: &[WaveSize]) -> Spec {
    let release = Release {
        name: "pos".to_owned(),
        version: "2".to_owned(),
        artifact: Sha([7; 32]),
        artifact_bytes: 12,
    };
    let wave = |size: &WaveSize| WaveSpec {
        size: size.clone(),
        soak: std::time::Duration::ZERO,
        min_success: None,
    };
    Spec {
        waves: sizes.iter().map(wave).collect(),
        salt: "salt".to_owned(),
        ..Spec::immediate(release)
    }
}

fn percent(percents: &[u8]) -> Spec {
    spec(&percents.iter().copied().map(WaveSize::Percent).collect::<Vec<_>>())
}

/// Looks at the clock of every device; Berlin's where it has none.
fn with_windows(spec: Spec) -> Spec {
    let windows = vec!["mon 01:00-05:00".parse().unwrap()];
    let otherwise = Zone::parse("Europe/Berlin").unwrap();
    let schedule = Schedule {
        hours: Hours { windows, freezes: vec![] },
        zone: ZoneRule::Device { otherwise },
        ..Schedule::default()
    };
    Spec { schedule, ..spec }
}

fn device(n: usize) -> Device {
    Device {
        id: format!("pos-{n}"),
        address: Some("http://127.0.0.1:9100".parse().unwrap()),
        location: Some(if n.is_multiple_of(5) { "Oslo" } else { "Rome" }.to_owned()),
        time_zone: ZONES[n % ZONES.len()].map(str::to_owned),
        ..Device::default()
    }
}

struct Inventory {
    dir: TempDir,
    store: SqliteStore,
}

impl Inventory {
    fn new(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        let mut inventory = Self { dir, store };
        inventory.put(&(0..count).map(device).collect::<Vec<_>>());
        inventory
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state.db")
    }

    fn put(&mut self, devices: &[Device]) {
        self.store.put_devices(&devices.iter().collect::<Vec<_>>()).unwrap();
    }

    fn choose(&self, spec: &Spec) -> Division {
        choose(&self.store, spec, NOW).unwrap()
    }

    fn ids(&self) -> BTreeMap<DeviceKey, String> {
        let mut ids = BTreeMap::new();
        let mut add = |device: crate::store::Chosen<'_>| {
            ids.insert(device.key, device.id.to_owned());
        };
        self.store.for_each_chosen(None, NOW, &mut add).unwrap();
        ids
    }

    /// The ids of a wave, in the order in which they are written.
    fn wave(&self, division: &Division, wave: usize) -> Vec<String> {
        let ids = self.ids();
        let own = |device: &&Assign| division.cohorts[device.cohort].wave == wave;
        division.devices.iter().filter(own).map(|device| ids[&device.device].clone()).collect()
    }
}

fn sizes(division: &Division, waves: usize) -> Vec<usize> {
    let wave_of = |device: &Assign| division.cohorts[device.cohort].wave;
    (0..waves)
        .map(|wave| division.devices.iter().filter(|device| wave_of(device) == wave).count())
        .collect()
}

#[test]
fn the_devices_of_a_cohort_and_the_cohorts_of_a_wave_lie_together() {
    let inventory = Inventory::new(100);
    let division = inventory.choose(&with_windows(percent(&[10, 50, 100])));
    assert_eq!(sizes(&division, 3), [10, 40, 50]);
    assert!(division.devices.is_sorted_by_key(|device| device.cohort));
    assert!(division.cohorts.is_sorted_by_key(|cohort| cohort.wave));
    let mut names = division.cohorts.clone();
    names.sort_by_key(|name| (name.wave, name.zone.as_ref().map(|zone| zone.name().to_owned())));
    names.dedup();
    assert_eq!(names.len(), division.cohorts.len(), "a cohort is named once");
    let mut chosen: Vec<_> = division.devices.iter().map(|device| device.device).collect();
    chosen.sort_unstable();
    assert_eq!(chosen, inventory.ids().into_keys().collect::<Vec<_>>(), "everybody, and once");
}

#[test]
fn without_waves_all_are_one() {
    let inventory = Inventory::new(9);
    let division = inventory.choose(&spec(&[]));
    assert_eq!(division.cohorts, [CohortName { wave: 0, zone: None }]);
    assert_eq!(division.devices.len(), 9);
    let nobody = Spec { select: Some("id==nobody".to_owned()), ..percent(&[10, 100]) };
    let division = inventory.choose(&nobody);
    assert_eq!((division.cohorts.len(), division.devices.len()), (0, 0));
}

#[test]
fn devices_are_told_apart_by_zone_only_where_hours_are_judged() {
    let inventory = Inventory::new(40);
    let plain = inventory.choose(&percent(&[50, 100]));
    assert!(plain.cohorts.iter().all(|cohort| cohort.zone.is_none()));
    assert_eq!(plain.cohorts.len(), 2);

    let judged = inventory.choose(&with_windows(spec(&[])));
    let mut zones: Vec<_> = judged
        .cohorts
        .iter()
        .enumerate()
        .map(|(at, cohort)| {
            let count = judged.devices.iter().filter(|device| device.cohort == at).count();
            (cohort.zone.as_ref().unwrap().name(), count)
        })
        .collect();
    zones.sort_unstable();
    // Those that have none, and what is none, are judged by the clock of the rollout.
    assert_eq!(zones, [("Asia/Tokyo", 10), ("Europe/Berlin", 20), ("Europe/Oslo", 10)]);

    let mut fixed = with_windows(spec(&[]));
    fixed.schedule.zone = ZoneRule::Fixed(Zone::parse("Asia/Tokyo").unwrap());
    let zone = Some(Zone::parse("Asia/Tokyo").unwrap());
    assert_eq!(inventory.choose(&fixed).cohorts, [CohortName { wave: 0, zone }]);
}

#[test]
fn which_wave_a_device_is_in_does_not_depend_on_hours() {
    let inventory = Inventory::new(60);
    let (plain, judged) = (percent(&[25, 100]), with_windows(percent(&[25, 100])));
    let sorted = |spec: &Spec| {
        let mut wave = inventory.wave(&inventory.choose(spec), 0);
        wave.sort();
        wave
    };
    assert_eq!(sorted(&plain), sorted(&judged));
}

#[test]
fn whoever_cannot_be_sent_to_is_in_its_wave_and_left_as_it_is() {
    let mut inventory = Inventory::new(20);
    let mute = [3, 4, 11].map(|n| Device { address: None, ..device(n) });
    let spec = percent(&[50, 100]);
    let before = inventory.choose(&spec);
    inventory.put(&mute);
    let division = inventory.choose(&spec);
    assert_eq!(sizes(&division, 2), [10, 10]);
    let ids = inventory.ids();
    for (device, was) in division.devices.iter().zip(&before.devices) {
        let is_mute = mute.iter().any(|mute| mute.id == ids[&device.device]);
        let state = if is_mute { State::Skipped(SkipReason::NoAddress) } else { State::Queued };
        assert_eq!(*device, Assign { state, ..*was });
    }
}

#[test]
fn a_wave_takes_what_its_selector_chooses_and_no_wave_before_has() {
    let inventory = Inventory::new(50);
    let select = |text: &str| WaveSize::Select(text.to_owned());
    let waves = [
        WaveSize::Count(3),
        select("location==Oslo"),
        select("location==Oslo,id==pos-1,id==pos-2"),
        select("id==nobody"),
        WaveSize::Percent(100),
    ];
    let division = inventory.choose(&spec(&waves));
    let [first, oslo, both, nobody, rest] = [0, 1, 2, 3, 4].map(|at| inventory.wave(&division, at));
    assert_eq!((first.len(), nobody.len()), (3, 0));
    let is_oslo = |id: &String| id[4..].parse::<usize>().unwrap().is_multiple_of(5);
    let early = first.iter().filter(|id| is_oslo(id)).count();
    assert!(oslo.iter().all(is_oslo));
    assert_eq!(oslo.len(), 10 - early);
    assert!(both.iter().all(|id| id == "pos-1" || id == "pos-2"), "{both:?}");
    let taken = first.len() + oslo.len() + both.len();
    assert_eq!(rest.len(), 50 - taken);
    assert!(!rest.iter().any(is_oslo), "{rest:?}");
    // The selector of the rollout goes before those of its waves.
    let few = Spec { select: Some("location==Rome".to_owned()), ..spec(&waves[1..]) };
    let division = inventory.choose(&few);
    assert_eq!(inventory.wave(&division, 0), [] as [String; 0]);
    assert_eq!(division.devices.len(), 40);
}

#[test]
fn the_digest_is_that_of_the_devices_and_their_places() {
    let mut inventory = Inventory::new(30);
    let spec = with_windows(percent(&[20, 100]));
    let first = inventory.choose(&spec);
    // What makes no difference to who is where: names, addresses, when it is.
    let renamed = Device { name: "Till".to_owned(), ..device(7) };
    inventory.put(&[renamed]);
    let later = choose(&inventory.store, &spec, Time::from_millis(1)).unwrap();
    assert_eq!(later.digest, first.digest);
    assert_eq!((later.cohorts, later.devices), (first.cohorts, first.devices));

    let others = [
        Spec { salt: "another".to_owned(), ..spec.clone() },
        Spec { select: Some("id!=pos-4".to_owned()), ..spec.clone() },
        with_windows(percent(&[30, 100])),
        percent(&[20, 100]),
    ];
    let mut digests: Vec<_> =
        others.iter().map(|other| inventory.choose(other).digest).chain([first.digest]).collect();
    inventory.put(&[Device { time_zone: Some("Europe/Oslo".to_owned()), ..device(0) }]);
    digests.push(inventory.choose(&spec).digest);
    inventory.put(&[device(0), device(30)]);
    digests.push(inventory.choose(&spec).digest);
    let count = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), count, "two of them are the same");
}

/// What is chosen to be shown, by somebody who only looks, is what is written down, in parts.
#[test]
fn a_dry_run_chooses_what_the_rollout_gets() {
    let mut inventory = Inventory::new(77);
    inventory.put(&[Device { address: None, ..device(5) }]);
    let spec = with_windows(percent(&[10, 40, 100]));
    let reader = SqliteStore::open_to_read(&inventory.path()).unwrap().unwrap();
    let shown = choose(&reader, &spec, NOW).unwrap();
    let key = write(&mut inventory.store, &spec, 10);
    let cohorts = inventory.store.cohorts(key, 1).unwrap();
    let mut written: Vec<_> = cohorts
        .iter()
        .map(|cohort| (cohort.wave, cohort.zone.clone(), cohort.counts.total()))
        .collect();
    let counted = shown.cohorts.iter().enumerate().map(|(at, name)| {
        let count = shown.devices.iter().filter(|device| device.cohort == at).count();
        (name.wave, name.zone.clone(), count as u64)
    });
    let mut counted: Vec<_> = counted.collect();
    let by_name = |(wave, zone, _): &(usize, Option<Zone>, u64)| {
        (*wave, zone.as_ref().map(|zone| zone.name().to_owned()))
    };
    written.sort_by_key(by_name);
    counted.sort_by_key(by_name);
    assert_eq!(written, counted);
    // In the same order, too: what goes first is what was shown first.
    let mut rows = vec![];
    for device in &shown.devices {
        let standing = &inventory.store.standings(device.device).unwrap()[0];
        let name = &shown.cohorts[device.cohort];
        assert_eq!((standing.wave, &standing.zone), (name.wave, &name.zone));
        assert_eq!(standing.assignment.state, device.state);
        rows.push(device.device);
    }
    let mut unfinished = vec![];
    let mut add = |device: crate::store::Unfinished| unfinished.push(device.device);
    inventory.store.for_each_unfinished(key, 1, &mut add).unwrap();
    let ids = inventory.ids();
    let queued = shown.devices.iter().filter(|device| device.state == State::Queued);
    assert_eq!(unfinished, queued.map(|device| ids[&device.device].clone()).collect::<Vec<_>>());
}

/// Writes down a rollout, so many devices at a time.
fn write(store: &mut SqliteStore, spec: &Spec, chunk: usize) -> RolloutKey {
    let key = store.create(RolloutId(uuid::Uuid::nil()), None, spec, NOW).unwrap();
    let division = choose(store, spec, NOW).unwrap();
    for devices in division.devices.chunks(chunk) {
        store.assign(key, 1, &division.cohorts, devices, true, NOW).unwrap();
    }
    key
}

#[test]
fn a_stored_selector_that_is_none_is_damage() {
    let inventory = Inventory::new(2);
    for damaged in [
        Spec { select: Some("id==".to_owned()), ..spec(&[]) },
        spec(&[WaveSize::Select("==".to_owned()), WaveSize::Percent(100)]),
    ] {
        let refused = choose(&inventory.store, &damaged, NOW).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged(_)), "{refused}");
    }
}
