//! What a window means on the days that clocks are changed, by exact instants.

use crate::{hours::*, time::Time};

pub(super) fn time(text: &str) -> Time {
    let timestamp: jiff::Timestamp = format!("{text}:00Z").parse().unwrap();
    Time::from_millis(timestamp.as_millisecond())
}

pub(super) fn hours(windows: &[&str], freezes: &[&str]) -> Hours {
    Hours {
        windows: windows.iter().map(|text| text.parse().unwrap()).collect(),
        freezes: freezes.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

/// What is open from one instant to another: when in UTC, and for how many minutes.
fn openings(hours: &Hours, zone: &str, from: &str, to: &str) -> Vec<String> {
    let zone = Zone::parse(zone).unwrap();
    let (mut at, to) = (time(from), time(to));
    let mut found = vec![];
    while at < to {
        let phase = hours.at(&zone, at);
        let next = phase.changes_at().unwrap_or(to);
        if phase.is_open() {
            let minutes = next.since(at).as_secs() / 60;
            found.push(format!("{} {minutes} min", &at.to_string()[..16]));
        }
        at = next;
    }
    found
}

/// (zone, windows, from, to, what is open).
type Row =
    (&'static str, &'static [&'static str], &'static str, &'static str, &'static [&'static str]);

#[track_caller]
fn check(rows: &[Row]) {
    for (zone, windows, from, to, wanted) in rows {
        let found = openings(&hours(windows, &[]), zone, from, to);
        assert_eq!(found, *wanted, "{zone} {windows:?}");
    }
}

const DENVER: &str = "America/Denver";

#[test]
fn where_the_clock_is_set_forward() {
    // 02:00 becomes 03:00 on the 8th at 09:00Z.
    let (from, to) = ("2026-03-08T07:00", "2026-03-09T06:00");
    check(&[
        (DENVER, &["02:00-04:00"], from, to, &["2026-03-08T09:00 60 min"]),
        (DENVER, &["02:30-04:00"], from, to, &["2026-03-08T09:00 60 min"]),
        (DENVER, &["01:30-02:30"], from, to, &["2026-03-08T08:30 30 min"]),
        (DENVER, &["02:15-02:45"], from, to, &[]),
        (DENVER, &["02:00-03:00"], from, to, &[]),
        (DENVER, &["00:00-04:00"], from, to, &["2026-03-08T07:00 180 min"]),
        (DENVER, &["Sun 00:00-24:00"], from, to, &["2026-03-08T07:00 1380 min"]),
        (DENVER, &["Sun 22:00-06:00"], from, to, &["2026-03-09T04:00 480 min"]),
        (DENVER, &["Sat 22:00-06:00"], from, to, &["2026-03-08T07:00 300 min"]),
    ]);
}

#[test]
fn where_the_clock_is_set_back() {
    // 02:00 becomes 01:00 on the 1st at 08:00Z.
    let (from, to) = ("2026-11-01T06:00", "2026-11-02T07:00");
    check(&[
        (DENVER, &["01:00-02:00"], from, to, &["2026-11-01T07:00 120 min"]),
        (DENVER, &["00:00-04:00"], from, to, &["2026-11-01T06:00 300 min"]),
        (DENVER, &["01:30-02:00"], from, to, &["2026-11-01T07:30 30 min"]),
        (DENVER, &["01:00-01:30"], from, to, &["2026-11-01T07:00 30 min"]),
        (DENVER, &["00:00-01:30"], from, to, &["2026-11-01T06:00 90 min"]),
        (DENVER, &["01:30-05:00"], from, to, &["2026-11-01T07:30 30 min"]),
        (DENVER, &["02:00-04:00"], from, to, &["2026-11-01T09:00 120 min"]),
        (DENVER, &["Sun 00:00-24:00"], from, to, &["2026-11-01T06:00 1500 min"]),
        (DENVER, &["Sat 22:00-06:00"], from, to, &["2026-11-01T06:00 420 min"]),
    ]);
}

#[test]
fn where_clocks_are_changed_otherwise() {
    check(&[
        // Half an hour: 02:00 becomes 01:30, and 02:00 becomes 02:30.
        (
            "Australia/Lord_Howe",
            &["01:30-02:00"],
            "2026-04-04T13:00",
            "2026-04-05T13:00",
            &["2026-04-04T14:30 60 min"],
        ),
        (
            "Australia/Lord_Howe",
            &["01:45-02:00"],
            "2026-04-04T13:00",
            "2026-04-05T13:00",
            &["2026-04-04T14:45 15 min"],
        ),
        ("Australia/Lord_Howe", &["02:00-02:30"], "2026-10-03T13:30", "2026-10-04T13:00", &[]),
        (
            "Australia/Lord_Howe",
            &["02:00-03:00"],
            "2026-10-03T13:30",
            "2026-10-04T13:00",
            &["2026-10-03T15:30 30 min"],
        ),
        // At midnight: 00:00 becomes 01:00 in Havana, and 00:00 becomes 23:00 in Nuuk.
        ("America/Havana", &["Sun 00:00-01:00"], "2026-03-07T05:00", "2026-03-14T04:00", &[]),
        (
            "America/Havana",
            &["Sun 00:00-02:00"],
            "2026-03-07T05:00",
            "2026-03-14T04:00",
            &["2026-03-08T05:00 60 min"],
        ),
        (
            "America/Nuuk",
            &["Sat 23:00-01:00"],
            "2026-10-23T01:00",
            "2026-10-26T02:00",
            &["2026-10-25T00:00 180 min"],
        ),
        (
            "America/Nuuk",
            &["Sun 00:00-04:00"],
            "2026-10-23T01:00",
            "2026-10-26T02:00",
            &["2026-10-25T02:00 240 min"],
        ),
        // Winter time is what is called saving there.
        (
            "Europe/Dublin",
            &["01:00-02:00"],
            "2026-10-24T23:00",
            "2026-10-26T00:00",
            &["2026-10-25T00:00 120 min"],
        ),
        // Back for Ramadan, and forward after it.
        (
            "Africa/Casablanca",
            &["02:00-03:00"],
            "2026-02-14T23:00",
            "2026-02-16T00:00",
            &["2026-02-15T01:00 120 min"],
        ),
        ("Africa/Casablanca", &["02:00-03:00"], "2026-03-22T00:00", "2026-03-22T23:00", &[]),
    ]);
}

#[test]
fn where_a_whole_date_is_missing() {
    // Samoa went from Thursday the 29th to Saturday the 31st at 10:00Z on the 30th.
    let apia = "Pacific/Apia";
    let (from, to) = ("2011-12-29T10:00", "2012-01-06T10:00");
    check(&[
        (apia, &["Fri 02:00-04:00"], from, to, &["2012-01-05T12:00 120 min"]),
        (apia, &["Fri 00:00-24:00"], from, to, &["2012-01-05T10:00 1440 min"]),
        (apia, &["Thu 22:00-06:00"], from, "2012-01-05T00:00", &["2011-12-30T08:00 120 min"]),
        (
            apia,
            &["22:00-06:00"],
            "2011-12-30T00:00",
            "2011-12-31T00:00",
            &["2011-12-30T08:00 480 min"],
        ),
    ]);
}

#[test]
fn several_windows_are_one() {
    let (from, to) = ("2026-06-01T00:00", "2026-06-02T00:00");
    check(&[
        ("UTC", &["02:00-04:00", "03:00-05:00"], from, to, &["2026-06-01T02:00 180 min"]),
        ("UTC", &["04:00-05:00", "02:00-04:00"], from, to, &["2026-06-01T02:00 180 min"]),
        ("UTC", &["02:00-05:00", "03:00-04:00"], from, to, &["2026-06-01T02:00 180 min"]),
        (
            "UTC",
            &["22:00-01:00", "02:00-03:00"],
            from,
            to,
            &["2026-06-01T00:00 60 min", "2026-06-01T02:00 60 min", "2026-06-01T22:00 180 min"],
        ),
        (
            "UTC",
            &["Sat,Sun 01:00-05:00"],
            "2026-06-01T00:00",
            "2026-06-07T12:00",
            &["2026-06-06T01:00 240 min", "2026-06-07T01:00 240 min"],
        ),
    ]);
}

#[test]
fn half_open_to_the_millisecond() {
    let hours = hours(&["02:00-04:00"], &[]);
    let millis_before = |text: &str| Time::from_millis(time(text).as_millis() - 1);
    let (opens, closes) = (time("2026-06-01T02:00"), time("2026-06-01T04:00"));
    let shut = |opens_at| Phase::Closed { by: ClosedBy::Window, opens_at: Some(opens_at) };
    let open = Phase::Open { until: Some(closes) };
    for (now, phase) in [
        (millis_before("2026-06-01T02:00"), shut(opens)),
        (opens, open),
        (millis_before("2026-06-01T04:00"), open),
        (closes, shut(time("2026-06-02T02:00"))),
    ] {
        assert_eq!(hours.at(&Zone::utc(), now), phase, "{now}");
    }
    assert_eq!(hours.next_opening(&Zone::utc(), closes), Some(time("2026-06-02T02:00")));
    let within = millis_before("2026-06-01T04:00");
    assert_eq!(hours.next_opening(&Zone::utc(), within), Some(within));
}
