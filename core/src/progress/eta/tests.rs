//! Estimates, against a clerk who goes through it minute by minute.

use proptest::prelude::*;

use super::*;
use crate::{
    hours::Hours,
    rollout::{Deadline, Progression, WaveSize, WaveSpec},
    snapshot::{Allowance, Cohort, Counts},
};

fn spec(waves: &[(u64, u8)]) -> Spec {
    let release = crate::release::Release {
        name: "pos".to_owned(),
        version: "2".to_owned(),
        artifact: crate::release::Digest([7; 32]),
        artifact_bytes: 1,
    };
    let wave = |(soak, percent): &(u64, u8)| WaveSpec {
        size: WaveSize::Percent(*percent),
        soak: Duration::from_secs(*soak),
        min_success: Some(90),
    };
    Spec { waves: waves.iter().map(wave).collect(), ..Spec::immediate(release) }
}

fn snapshot(spec: &Spec, queued: &[u64], zone: Option<&Zone>) -> Snapshot {
    let cohort = |(wave, queued): (usize, &u64)| Cohort {
        wave,
        zone: zone.cloned(),
        phase: Phase::Open { until: None },
        closes_for_good_at: None,
        counts: Counts { queued: *queued, ..Counts::default() },
    };
    let progression = Progression {
        state: State::Running,
        started_at: Some(Time::ZERO),
        ..Progression::draft(spec)
    };
    Snapshot {
        progression,
        cohorts: queued.iter().enumerate().map(cohort).collect(),
        checks: vec![],
        ahead_max: 5,
        allowance: Allowance::UNLIMITED,
        driver_places: 100,
        checkup: crate::health::Checkup::Done,
        is_being_written: false,
        is_stopping: false,
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn no_rate_no_eta_and_never_a_negative_one() {
    let spec = spec(&[]);
    let now = Time::from_millis(5_000);
    let of = |queued, rate| eta(&snapshot(&spec, &[queued], None), &spec, rate, now);
    assert_eq!(of(10, 0.0), None);
    assert_eq!(of(0, 0.0), Some(secs(0)));
    assert_eq!(of(10, 5.0), Some(secs(2)));
    assert_eq!(of(u64::MAX, 1.0), None);
}

#[test]
fn waves_come_one_after_the_other_each_with_its_soak() {
    let spec = spec(&[(60, 10), (30, 100)]);
    let mut snapshot = snapshot(&spec, &[10, 90], None);
    let now = Time::from_millis(0);
    assert_eq!(eta(&snapshot, &spec, 1.0, now), Some(secs(10 + 60 + 90 + 30)));
    snapshot.progression.waves[0].state = WaveState::Soaking { since: now };
    snapshot.cohorts[0].counts = Counts { succeeded: 10, ..Counts::default() };
    let later = now + Duration::from_secs(45);
    assert_eq!(eta(&snapshot, &spec, 1.0, later), Some(secs(15 + 90 + 30)));
    snapshot.progression.waves[0].state = WaveState::Stopped { at: now };
    assert_eq!(eta(&snapshot, &spec, 1.0, later), None);
}

#[test]
fn work_goes_on_only_within_hours() {
    let mut spec = spec(&[]);
    spec.schedule.hours = Hours { windows: vec!["02:00-03:00".parse().unwrap()], freezes: vec![] };
    let utc = Zone::utc();
    let snapshot = snapshot(&spec, &[5_400], Some(&utc));
    // An hour of work tonight, half an hour tomorrow night.
    let midnight = Time::from_millis(0);
    assert_eq!(eta(&snapshot, &spec, 1.0, midnight), Some(secs(26 * 3_600 + 1_800)));
}

#[test]
fn zones_wait_side_by_side() {
    // 2026-11-25T18:24:00Z: open in UTC, and elsewhere at 17:00 there.
    let now = Time::from_millis(1_795_631_040_000);
    let mut spec = spec(&[]);
    spec.schedule.hours = Hours { windows: vec!["17:00-19:00".parse().unwrap()], freezes: vec![] };
    let names = [
        "UTC",
        "America/Denver",
        "America/New_York",
        "Asia/Tokyo",
        "Europe/Berlin",
        "Pacific/Auckland",
    ];
    let mut snapshot = snapshot(&spec, &[1; 6], None);
    for (cohort, name) in snapshot.cohorts.iter_mut().zip(names) {
        (cohort.wave, cohort.zone) = (0, Some(Zone::parse(name).unwrap()));
    }
    // Berlin's window closed at 18:00 UTC: tomorrow's is the last to open.
    let last = secs(21 * 3_600 + 36 * 60);
    assert_eq!(eta(&snapshot, &spec, 1.0, now), Some(last + secs(1)));
}

#[test]
fn none_while_an_operator_or_someone_away_is_waited_for() {
    let spec = spec(&[(60, 10), (30, 100)]);
    let now = Time::from_millis(0);
    let mut skipped = snapshot(&spec, &[0, 90], None);
    skipped.cohorts[0].counts.skipped = 10;
    skipped.progression.waves[0].state = WaveState::Soaking { since: now };
    assert_eq!(eta(&skipped, &spec, 1.0, now), None);
    skipped.cohorts[0].counts.succeeded = 1;
    assert_eq!(eta(&skipped, &spec, 1.0, now), Some(secs(60 + 90 + 30)));
    for away in [Counts { away: 1, ..Counts::default() }, Counts { absent: 1, ..Counts::default() }]
    {
        let mut snapshot = snapshot(&spec, &[10, 90], None);
        snapshot.cohorts[1].counts += away;
        assert_eq!(eta(&snapshot, &spec, 1.0, now), None);
    }
}

#[test]
fn nothing_is_begun_after_the_deadline_or_the_last_window() {
    let now = Time::from_millis(0);
    let mut spec = spec(&[]);
    spec.deadline = Some(Deadline::At(now + secs(600)));
    assert_eq!(eta(&snapshot(&spec, &[5_400], None), &spec, 1.0, now), Some(secs(600)));
    spec.schedule.hours = Hours { windows: vec!["02:00-03:00".parse().unwrap()], freezes: vec![] };
    let utc = Zone::utc();
    assert_eq!(eta(&snapshot(&spec, &[1], Some(&utc)), &spec, 1.0, now), Some(secs(600)));
    spec.deadline = None;
    let mut once = snapshot(&spec, &[5_400], Some(&utc));
    once.cohorts[0].closes_for_good_at = Some(now + secs(3 * 3_600));
    assert_eq!(eta(&once, &spec, 1.0, now), Some(secs(3 * 3_600)));
}

/// Goes through it minute by minute: the first zone that is open has one device done.
fn by_the_clerk(snapshot: &Snapshot, spec: &Spec, now: Time) -> Duration {
    let mut at = now;
    for wave in 0..snapshot.progression.waves.len() {
        let of_wave = snapshot.cohorts.iter().filter(|cohort| cohort.wave == wave);
        let mut left: Vec<(Zone, u64)> =
            of_wave.map(|cohort| (cohort.zone.clone().unwrap(), cohort.counts.queued)).collect();
        while left.iter().any(|(_, devices)| *devices > 0) {
            let is_open = |zone: &Zone| spec.schedule.hours.at(zone, at).is_open();
            let next = left.iter_mut().find(|(zone, devices)| *devices > 0 && is_open(zone));
            if let Some((_, devices)) = next {
                *devices -= 1;
            }
            at = at + secs(60);
        }
        at = at + spec.gate(wave).0;
    }
    at.since(now)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_the_clerk_says(
        devices in prop::collection::vec((0..2_usize, 0..6_usize, 1..400_u64), 1..6),
        from_hour in 0..24_u32,
        hours in 1..5_u32,
        minute in 0..1_440_i64,
        soak_minutes in 0..120_u64,
    ) {
        let names = ["UTC", "America/Denver", "Asia/Tokyo", "Asia/Kolkata", "Pacific/Auckland", "Europe/Berlin"];
        let mut spec = spec(&[(60 * soak_minutes, 10), (60 * soak_minutes, 100)]);
        let window = format!("{from_hour:02}:00-{:02}:00", (from_hour + hours) % 24);
        spec.schedule.hours = Hours { windows: vec![window.parse().unwrap()], freezes: vec![] };
        let mut queued: Vec<(usize, usize, u64)> = devices;
        queued.sort_unstable();
        queued.dedup_by_key(|(wave, zone, _)| (*wave, *zone));
        let counts: Vec<u64> = queued.iter().map(|(_, _, devices)| *devices).collect();
        let mut snapshot = snapshot(&spec, &counts, None);
        for (cohort, (wave, zone, _)) in snapshot.cohorts.iter_mut().zip(&queued) {
            (cohort.wave, cohort.zone) = (*wave, Some(Zone::parse(names[*zone]).unwrap()));
        }
        let now = Time::from_millis(1_795_564_800_000 + minute * 60_000);
        let clerk = by_the_clerk(&snapshot, &spec, now);
        let eta = eta(&snapshot, &spec, 1.0 / 60.0, now).unwrap();
        prop_assert!(eta.abs_diff(clerk) < secs(1), "{eta:?}, and {clerk:?} by the clerk");
    }
}
