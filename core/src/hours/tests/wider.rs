//! Freezes, and what lies months ahead.

use super::tables::{hours, time};
use crate::{hours::*, time::Time};

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

fn open(until: &str) -> Phase {
    Phase::Open { until: Some(time(until)) }
}

fn closed(by: ClosedBy, opens_at: &str) -> Phase {
    Phase::Closed { by, opens_at: Some(time(opens_at)) }
}

const FROZEN: ClosedBy = ClosedBy::Freeze(0);

#[test]
fn freezes_beat_windows() {
    let hours = hours(&["02:00-04:00"], &["2026-12-20..2027-01-02"]);
    for (now, phase) in [
        ("2026-12-19T11:30", closed(ClosedBy::Window, "2027-01-03T09:00")),
        ("2026-12-20T06:59", closed(ClosedBy::Window, "2027-01-03T09:00")),
        ("2026-12-20T07:00", closed(FROZEN, "2027-01-03T09:00")),
        ("2026-12-24T09:30", closed(FROZEN, "2027-01-03T09:00")),
        ("2027-01-03T06:59", closed(FROZEN, "2027-01-03T09:00")),
        ("2027-01-03T07:00", closed(ClosedBy::Window, "2027-01-03T09:00")),
        ("2027-01-03T09:00", open("2027-01-03T11:00")),
    ] {
        assert_eq!(hours.at(&zone("America/Denver"), time(now)), phase, "{now}");
    }
}

#[test]
fn a_freeze_may_begin_and_end_inside_a_window() {
    let hours = hours(&["00:00-12:00"], &["2026-12-24T06:00..2026-12-24T07:00"]);
    for (now, phase) in [
        ("2026-12-24T05:00", open("2026-12-24T06:00")),
        ("2026-12-24T06:00", closed(FROZEN, "2026-12-24T07:00")),
        ("2026-12-24T07:00", open("2026-12-24T12:00")),
    ] {
        assert_eq!(hours.at(&Zone::utc(), time(now)), phase, "{now}");
    }
}

#[test]
fn freezes_alone_and_together() {
    let hours = hours(
        &[],
        &["2026-12-24T12:00..2026-12-27T06:00", "2026-12-27..2026-12-31", "2026-12-26..2026-12-26"],
    );
    for (now, phase) in [
        ("2026-12-01T00:00", open("2026-12-24T12:00")),
        ("2026-12-26T00:00", closed(FROZEN, "2027-01-01T00:00")),
        ("2026-12-27T05:59", closed(FROZEN, "2027-01-01T00:00")),
        ("2026-12-27T06:00", closed(ClosedBy::Freeze(1), "2027-01-01T00:00")),
        ("2027-01-01T00:00", Phase::Open { until: None }),
    ] {
        assert_eq!(hours.at(&Zone::utc(), time(now)), phase, "{now}");
    }
}

#[test]
fn both_passes_of_a_repeated_hour_are_frozen() {
    // 02:00 becomes 01:00 at 08:00Z; the freeze is over at 01:30, twice.
    let hours = hours(&[], &["2026-11-01T00:00..2026-11-01T01:30"]);
    for (now, phase) in [
        ("2026-11-01T07:29", closed(FROZEN, "2026-11-01T07:30")),
        ("2026-11-01T07:30", open("2026-11-01T08:00")),
        ("2026-11-01T08:00", closed(FROZEN, "2026-11-01T08:30")),
        ("2026-11-01T08:30", Phase::Open { until: None }),
    ] {
        assert_eq!(hours.at(&zone("America/Denver"), time(now)), phase, "{now}");
    }
}

#[test]
fn never_again_within_the_horizon() {
    let now = time("2026-06-01T00:00");
    let nothing = Phase::Closed { by: FROZEN, opens_at: None };
    let for_years = hours(&["02:00-04:00"], &["2026-01-01..2099-12-31"]);
    assert_eq!(for_years.at(&Zone::utc(), now), nothing);
    assert_eq!(for_years.next_opening(&Zone::utc(), now), None);
    let for_ages = hours(&[], &["0001-01-01..9999-12-31"]);
    assert_eq!(for_ages.at(&zone("Europe/Berlin"), now), nothing);
    // The only hours there are, each of them frozen.
    let every_week: Vec<String> = (0..250)
        .map(|week| jiff::civil::date(2026, 6, 6) + jiff::Span::new().weeks(week))
        .map(|saturday| format!("{saturday}..{saturday}"))
        .collect();
    let every_week: Vec<&str> = every_week.iter().map(String::as_str).collect();
    let saturdays = hours(&["Sat 02:00-04:00"], &every_week);
    let nothing = Phase::Closed { by: ClosedBy::Window, opens_at: None };
    assert_eq!(saturdays.at(&Zone::utc(), now), nothing);
}

#[test]
fn the_horizon_is_where_it_says() {
    let hours = hours(&[], &["2026-01-01..2028-12-31"]);
    let opens = time("2029-01-01T00:00");
    let earliest = opens - HORIZON;
    let just_in = Time::from_millis(earliest.as_millis() + 1);
    assert_eq!(hours.next_opening(&Zone::utc(), earliest), None);
    assert_eq!(hours.next_opening(&Zone::utc(), just_in), Some(opens));
}

#[test]
fn the_horizon_may_lie_in_a_repeated_hour() {
    // 02:00 becomes 01:00 at 08:00Z; what is left of the window begins at 09:00Z.
    let hours = hours(&["01:30-05:00"], &["2026-01-01T00:00..2028-11-05T02:00"]);
    let denver = zone("America/Denver");
    let opens = time("2028-11-05T09:00");
    let earliest = opens - HORIZON;
    let just_in = Time::from_millis(earliest.as_millis() + 1);
    assert_eq!(hours.next_opening(&denver, earliest), None);
    assert_eq!(hours.next_opening(&denver, just_in), Some(opens));
}

#[test]
fn windows_that_fill_every_day_never_close() {
    let now = time("2026-06-01T00:00");
    let forever = Phase::Open { until: None };
    for windows in [
        &["00:00-24:00"][..],
        &["00:00-12:00", "12:00-24:00"],
        &["22:00-06:00", "06:00-22:00"],
        &["Mon-Fri 00:00-24:00", "Sat,Sun 00:00-24:00"],
        &[],
    ] {
        for name in ["UTC", "America/Denver", "Africa/Casablanca", "Australia/Lord_Howe"] {
            assert_eq!(hours(windows, &[]).at(&zone(name), now), forever, "{name} {windows:?}");
        }
    }
    let until_frozen = hours(&["00:00-24:00"], &["2027-12-24..2027-12-26"]);
    assert_eq!(until_frozen.at(&zone("America/Denver"), now), open("2027-12-24T07:00"));
}

/// No clock is set back over midnight to where a window of the whole day would be cut.
#[test]
fn the_whole_day_is_the_whole_day_in_every_zone() {
    let whole_days = hours(&["00:00-24:00"], &[]);
    for name in super::naive::zone_names() {
        for year in (2024..2038).step_by(2) {
            let phase = whole_days.at(&zone(&name), time(&format!("{year}-01-01T12:00")));
            assert_eq!(phase, Phase::Open { until: None }, "{name} {year}");
        }
    }
}

#[test]
fn seams_inside_a_repeated_hour_open_up() {
    // Seams at 01:30: neither window holds the hour, so its second pass is closed.
    let hours = hours(&["01:30-13:30", "13:30-01:30"], &[]);
    let denver = zone("America/Denver");
    for now in ["2026-11-03T00:00", "2026-12-01T12:00", "2027-11-06T12:00"] {
        assert_eq!(hours.at(&denver, time(now)), open("2027-11-07T08:00"), "{now}");
    }
    let during = hours.at(&denver, time("2027-11-07T08:00"));
    assert_eq!(during, closed(ClosedBy::Window, "2027-11-07T09:00"));
    // One more window holds the whole hour: no gap is left.
    let bridged = super::tables::hours(&["00:00-01:40", "01:40-24:00", "01:00-02:00"], &[]);
    for now in ["2026-11-03T00:00", "2027-11-06T12:00"] {
        assert_eq!(bridged.at(&denver, time(now)), Phase::Open { until: None }, "{now}");
    }
}

#[test]
fn times_beyond_the_calendar_are_answered() {
    let hours = hours(&["02:00-04:00"], &["2026-12-20..2027-01-02"]);
    for millis in [i64::MIN, i64::MIN + 1, -1 << 48, 1 << 48, i64::MAX - 1, i64::MAX] {
        let now = Time::from_millis(millis);
        let phase = hours.at(&zone("America/Denver"), now);
        assert!(phase.changes_at().is_none_or(|change| change > now), "{millis} {phase:?}");
    }
}
