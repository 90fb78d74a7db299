//! The promise: around every change of every clock the hours are what a stopwatch would find.
//!
//! What is enough: the answer depends on a zone only through what its wall clock shows, so zones
//! whose clocks show the same around a change (most of Europe, say) share one comparison of every
//! minute; every other name is still asked at a few instants. That leaves some 800 of 5,000 changes
//! in 14 years. In debug builds asking is what takes time, so `at` is asked whenever its own answer says
//! that something changes, a millisecond before that, and every few hours; what it claims for the
//! time between is compared with every minute. A few zones, chosen for how they differ, are asked
//! every hour with every pair of edges, and one test of `random` does the same with windows nobody
//! chose.

use std::collections::BTreeMap;

use jiff::{civil::Weekday, tz::TimeZone};

use super::naive::{DAY_MINUTES, Film, Frozen, Minute, Plain, changes, minute, zone_names};
use crate::hours::Zone;

const YEARS: (i64, i64) = (2024, 2038);

/// Asked most thoroughly: whole hours either way, half an hour (Lord Howe), changes at midnight
/// (Havana, Santiago, Cairo), two hours (Troll), winter time that is called summer time (Dublin),
/// changes by the moon, until 2026 (Casablanca), on a Saturday evening (Nuuk), on Fridays (Cairo), and an
/// odd offset (Chatham).
const THOROUGH: [&str; 10] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Chatham",
];

/// The index of the window across the change.
const ACROSS: usize = 6;

/// Windows that matter at a change: the clock is changed between these two minutes of the day.
fn windows(low: i64, high: i64, weekday: Weekday) -> Vec<Vec<Plain>> {
    let day = |minute: i64| minute.rem_euclid(DAY_MINUTES);
    let daily = |from: i64, to: i64| vec![Plain::daily(day(from), day(to))];
    let weekly =
        |weekday, from, to| vec![Plain { days: vec![weekday], from: day(from), to: day(to) }];
    let middle = i64::midpoint(low, high);
    vec![
        vec![],
        vec![Plain::daily(0, DAY_MINUTES)],
        daily(low - 120, low - 60),  // before
        daily(low - 60, low),        // touching
        daily(low, high),            // the very same
        daily(low + 7, high - 7),    // inside
        daily(low - 45, high + 75),  // across
        daily(middle, high + 120),   // beginning inside
        daily(low - 120, middle),    // ending inside
        daily(high, high + 60),      // touching
        daily(high + 60, low - 60),  // nearly all day
        daily(middle, low),          // nearly all day, beginning inside
        daily(low - 700, low + 700), // half the day, or over midnight
        weekly(weekday, low - 60, high + 60),
        weekly(weekday.previous(), low - 600, high + 60),
        [daily(low - 60, middle), daily(middle, high + 60), daily(high, high + 90)].concat(),
    ]
}

/// Every pair of edges in and around the change.
fn all_pairs(low: i64, high: i64) -> Vec<Vec<Plain>> {
    let middle = i64::midpoint(low, high);
    let edges = [low - 90, low - 15, low, middle, high - 1, high, high + 90];
    let edges = edges.map(|edge| edge.rem_euclid(DAY_MINUTES));
    let pairs = edges.iter().flat_map(|from| edges.iter().map(move |to| (*from, *to)));
    pairs.filter(|(from, to)| from != to).map(|pair| vec![Plain::daily(pair.0, pair.1)]).collect()
}

fn edges(film: &Film) -> (i64, i64, Weekday) {
    let (after, would_be) = film.shown_at_change();
    // Near midnight the two may be on different dates; what matters is their distance.
    let mut ahead = after.of_day - would_be;
    if ahead.abs() > DAY_MINUTES / 2 {
        ahead -= DAY_MINUTES * ahead.signum();
    }
    (would_be.min(would_be + ahead), would_be.max(would_be + ahead), after.weekday)
}

/// A freeze from a little before the change into the repeated hour, or to after the gap.
fn freeze(film: &Film) -> Frozen {
    let (after, _) = film.shown_at_change();
    let from = after.day * DAY_MINUTES + after.of_day - 100;
    let to = from + 115;
    let split = |minutes: i64| (minutes.div_euclid(DAY_MINUTES), minutes.rem_euclid(DAY_MINUTES));
    Frozen(split(from), split(to))
}

/// What the clock shows every few hours for two weeks around a change: who agrees in this, and
/// around the change itself, has the same clock.
fn likeness(name: &str, change: i64) -> (i64, Vec<(i64, i64)>) {
    let rules = jiff::tz::TimeZoneDatabase::bundled().get(name).unwrap();
    let near = [-1, 0];
    let far = (-56..=56).map(|step| step * 180);
    let shown = far.chain(near).map(|at| minute(&rules, change + at));
    (change, shown.map(|minute| (minute.day, minute.of_day)).collect())
}

#[test]
fn around_every_change_of_every_clock() {
    let mut alike: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for name in zone_names() {
        for change in changes(&name, YEARS.0, YEARS.1) {
            alike.entry(likeness(&name, change)).or_default().push(name.clone());
        }
    }
    // The database is what it was believed to be: some 5,000 changes of some 800 kinds.
    assert!(alike.values().map(Vec::len).sum::<usize>() > 5_000);
    for ((change, _), names) in &alike {
        let mut film = Film::shoot(&names[0], *change);
        let (low, high, weekday) = edges(&film);
        let windows = windows(low, high, weekday);
        for windows in &windows {
            film.compare(&film.case(windows, None), 451);
        }
        film.compare(&film.case(&[], Some(freeze(&film))), 451);
        let across = film.case(&windows[ACROSS], Some(freeze(&film)));
        film.compare(&across, 451);
        for name in &names[1..] {
            film.zone = name.parse().unwrap();
            film.compare(&across, 1_500);
        }
    }
}

#[test]
fn thoroughly_around_the_changes_of_a_few() {
    for name in THOROUGH {
        for change in changes(name, 2025, 2027) {
            let film = Film::shoot(name, change);
            let (low, high, weekday) = edges(&film);
            for windows in windows(low, high, weekday).iter().chain(&all_pairs(low, high)) {
                film.compare(&film.case(windows, None), 60);
                film.compare(&film.case(windows, Some(freeze(&film))), 60);
            }
        }
    }
}

/// An hour over midnight, and most of a date: clocks as they were.
#[test]
fn around_changes_of_the_past() {
    for (name, from, to) in [("America/St_Johns", 2009, 2012), ("Pacific/Kwajalein", 1969, 1970)] {
        let found = changes(name, from, to);
        assert!(!found.is_empty(), "{name}");
        for change in found {
            let film = Film::shoot(name, change);
            let (low, high, weekday) = edges(&film);
            for windows in windows(low, high, weekday).iter().chain(&all_pairs(low, high)) {
                film.compare(&film.case(windows, None), 60);
            }
        }
    }
}

/// Changes so near to each other that windows feel both; no clock is known to have had them.
#[test]
fn around_changes_back_to_back() {
    for rules in [
        "AAA0BBB,J100/2,J100/3:30",     // forward, and back into what was left out
        "AAA0BBB,J100/2,J100/5",        // forward, and back a little later
        "AAA0BBB1,J100/2,J100/1:30",    // back, and forward out of what is repeated
        "AAA0BBB1,J100/2,J100/2:15",    // back, and forward soon after
        "AAA0BBB1,J100/0:30,J100/0:15", // back over midnight, and forward
        "AAA0BBB-0:30,J100/2,J100/2:45", // half an hour forward, and back
    ] {
        let rules = TimeZone::posix(rules).unwrap();
        let change = jiff::civil::date(2026, 4, 10).at(2, 0, 0, 0);
        let change = rules.to_timestamp(change).unwrap().as_second() / 60;
        let film = Film::of(Zone::of_rules(rules.clone()), &rules, change);
        let shown = |minute: &Minute| minute.day * DAY_MINUTES + minute.of_day;
        let jumps = film.minutes.windows(2).filter(|two| shown(&two[0]) + 1 != shown(&two[1]));
        assert_eq!(jumps.count(), 2, "{rules:?}");
        for from in (-6..=20).map(|quarter| quarter * 15) {
            for lasts in [15, 45, 60, 90, 150, 240, DAY_MINUTES - 30] {
                let [from, to] = [from, from + lasts].map(|edge: i64| edge.rem_euclid(DAY_MINUTES));
                film.compare(&film.case(&[Plain::daily(from, to)], None), 240);
            }
        }
    }
}
