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
        (
            DENVER,
            &["01:30-05:00"],
            from,
            to,
            &["2026-11-01T07:30 30 min", "2026-11-01T09:00 180 min"],
        ),
        (DENVER, &["01:59-02:01"], from, to, &["2026-11-01T07:59 1 min", "2026-11-01T09:00 1 min"]),
        (DENVER, &["01:00-02:30"], from, to, &["2026-11-01T07:00 150 min"]),
        (DENVER, &["01:15-01:45"], from, to, &["2026-11-01T07:15 30 min"]),
        (DENVER, &["Sat 22:00-01:30"], from, to, &["2026-11-01T06:00 90 min"]),
        (DENVER, &["Sat 22:00-02:00"], from, to, &["2026-11-01T06:00 180 min"]),
        (
            DENVER,
            &["Sun 01:30-01:00"],
            from,
            "2026-11-02T12:00",
            &["2026-11-01T07:30 30 min", "2026-11-01T09:00 1380 min"],
        ),
        (DENVER, &["02:00-04:00"], from, to, &["2026-11-01T09:00 120 min"]),
        (DENVER, &["Sun 00:00-24:00"], from, to, &["2026-11-01T06:00 1500 min"]),
        (DENVER, &["Sat 22:00-06:00"], from, to, &["2026-11-01T06:00 420 min"]),
    ]);
}

#[test]
fn windows_that_meet_inside_a_repeated_hour() {
    let (from, to) = ("2026-11-01T06:00", "2026-11-02T07:00");
    check(&[
        (
            DENVER,
            &["00:00-01:30", "01:30-05:00"],
            from,
            to,
            &["2026-11-01T06:00 120 min", "2026-11-01T09:00 180 min"],
        ),
        (
            DENVER,
            &["01:30-13:30", "13:30-01:30"],
            from,
            to,
            // Until the hour that is repeated in 2027.
            &["2026-11-01T06:00 120 min", "2026-11-01T09:00 534180 min"],
        ),
        // Either of two that overlap may hold all of it.
        (DENVER, &["01:00-02:00", "01:30-05:00"], from, to, &["2026-11-01T07:00 300 min"]),
        (DENVER, &["01:00-01:45", "01:15-02:00"], from, to, &["2026-11-01T07:00 60 min"]),
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
        (
            "Australia/Lord_Howe",
            &["01:45-04:00"],
            "2026-04-04T13:00",
            "2026-04-05T13:00",
            &["2026-04-04T14:45 15 min", "2026-04-04T15:30 120 min"],
        ),
        (
            "Australia/Lord_Howe",
            &["01:00-01:45"],
            "2026-04-04T13:00",
            "2026-04-05T13:00",
            &["2026-04-04T14:00 45 min"],
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
        (
            "America/Nuuk",
            &["Sat 23:30-01:00"],
            "2026-10-23T01:00",
            "2026-10-26T02:00",
            &["2026-10-25T00:30 30 min", "2026-10-25T02:00 60 min"],
        ),
        (
            "America/Nuuk",
            &["Sat 22:00-23:30"],
            "2026-10-23T01:00",
            "2026-10-26T02:00",
            &["2026-10-24T23:00 90 min"],
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
fn where_what_is_repeated_goes_over_midnight() {
    // 00:01 on Sunday became 23:01 on Saturday at 02:31Z.
    let johns = "America/St_Johns";
    let (from, to) = ("2010-11-06T12:00", "2010-11-07T12:00");
    check(&[
        (johns, &["Sat 22:00-02:00"], from, to, &["2010-11-07T00:30 300 min"]),
        (
            johns,
            &["Sat 23:30-02:00"],
            from,
            to,
            &["2010-11-07T02:00 31 min", "2010-11-07T03:31 119 min"],
        ),
        (
            johns,
            &["Sun 00:00-02:00"],
            from,
            to,
            &["2010-11-07T02:30 1 min", "2010-11-07T03:31 119 min"],
        ),
        (johns, &["Sat 22:00-24:00"], from, to, &["2010-11-07T00:30 120 min"]),
        (
            johns,
            &["00:00-24:00"],
            from,
            to,
            &["2010-11-06T12:00 871 min", "2010-11-07T03:31 509 min"],
        ),
    ]);
}

#[test]
fn where_most_of_a_date_is_repeated() {
    // 00:00 on the 1st became 01:00 on the 30th at 13:00Z: the other side of the date line.
    let atoll = "Pacific/Kwajalein";
    let (from, to) = ("1969-09-29T13:00", "1969-10-01T12:00");
    check(&[
        (atoll, &["Tue 00:00-24:00"], from, to, &["1969-09-29T13:00 2820 min"]),
        (atoll, &["00:00-02:00"], from, to, &["1969-09-29T13:00 120 min"]),
        (
            atoll,
            &["Tue 22:00-06:00"],
            from,
            "1969-10-02T00:00",
            &["1969-09-30T11:00 120 min", "1969-10-01T12:00 360 min"],
        ),
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
