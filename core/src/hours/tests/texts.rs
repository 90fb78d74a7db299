//! How windows, freezes and zones are written, and what is said of what is not understood.

use std::{collections::BTreeSet, error::Error, str::FromStr};

use jiff::civil::Weekday;
use proptest::prelude::*;

use crate::hours::*;

fn refusals<T: FromStr<Err: Error>>(texts: &[&str]) -> String {
    let say = |text: &&str| {
        text.parse::<T>().err().map_or_else(|| format!("{text}: read"), |error| error.to_string())
    };
    texts.iter().map(say).collect::<Vec<_>>().join("\n")
}

#[test]
fn windows_are_shown_in_one_way() {
    for (text, shown) in [
        ("02:00-04:00", "02:00-04:00"),
        (" 2:00-4:00 ", "02:00-04:00"),
        ("22:00-06:00", "22:00-06:00"),
        ("22:00-00:00", "22:00-24:00"),
        ("00:00-24:00", "00:00-24:00"),
        ("Sat,Sun 01:00-05:00", "Sat,Sun 01:00-05:00"),
        ("sun, SATURDAY  01:00-05:00", "Sat,Sun 01:00-05:00"),
        ("Mon-Fri 22:00-06:00", "Mon-Fri 22:00-06:00"),
        ("Fri-Mon 22:00-06:00", "Mon,Fri-Sun 22:00-06:00"),
        ("Mon,Tue,Wed,Fri 22:00-06:00", "Mon-Wed,Fri 22:00-06:00"),
        ("Mon-Sun 22:00-06:00", "22:00-06:00"),
        ("Tue-Mon 22:00-06:00", "22:00-06:00"),
    ] {
        let window: Window = text.parse().unwrap();
        assert_eq!(window.to_string(), shown);
        assert_eq!(shown.parse(), Ok(window), "{shown}");
    }
}

proptest! {
    #[test]
    fn windows_read_back(days in 1..128_u8, from in 0..1_440_u16, to in 0..=1_440_u16) {
        let week = Weekday::Monday.cycle_forward().take(7);
        let days: Vec<_> =
            week.filter(|day| days & (1 << day.to_monday_zero_offset()) != 0).collect();
        let time = |minutes: u16| TimeOfDay::new(minutes / 60, minutes % 60).unwrap();
        let of_days = Days::of(days.iter().copied()).unwrap();
        prop_assert!(days.iter().all(|day| of_days.contains(*day)));
        match Window::new(of_days, time(from), time(to)) {
            Ok(window) => prop_assert_eq!(window.to_string().parse(), Ok(window)),
            Err(error) => prop_assert_eq!(error, WindowError::NoTime(time(from))),
        }
    }

    #[test]
    fn no_text_panics(text in "[ -~\u{e9}]{0,40}", near in "[0-9A-Za-z:.,T -]{0,24}") {
        for text in [text, near] {
            let _ = (text.parse::<Window>(), text.parse::<Freeze>(), text.parse::<Zone>());
        }
    }
}

#[test]
fn refused_windows() {
    insta::assert_snapshot!(refusals::<Window>(&[
        "", "always", "02:00", "02:00 - 04:00", "Sat", "Sat,Sun", "Saturn 01:00-05:00",
        "Sat, 01:00-05:00", "02:00-4", "02:00-25:00", "02:60-04:00", "2:0-4:00", "+2:00-04:00",
        "02:00-02:00", "00:00-00:00", "24:00-04:00", "02:00-04:00-06:00",
        &"x".repeat(100), "a\nb-c",
    ]), @r#"
    `` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    `always` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    `02:00` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    `02:00 - 04:00` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    `Sat` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    `Sat,Sun` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    `Saturn` is no day of the week; write Mon, Tue, Wed, Thu, Fri, Sat or Sun, as in Mon-Fri 22:00-06:00
    `` is no day of the week; write Mon, Tue, Wed, Thu, Fri, Sat or Sun, as in Mon-Fri 22:00-06:00
    `4` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00
    `25:00` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00
    `02:60` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00
    `2:0` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00
    `+2:00-04:00` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    a window from 02:00 to 02:00 lasts no time; for the whole day write 00:00-24:00
    a window from 00:00 to 00:00 lasts no time; for the whole day write 00:00-24:00
    a window cannot begin at 24:00; write 00:00 of the next day, as in 00:00-04:00
    `04:00-06:00` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00
    `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    `a\nb-c` is no window; write 02:00-04:00, Mon-Fri 22:00-06:00 or Sat,Sun 01:00-05:00
    "#);
}

#[test]
fn freezes_are_shown_as_written() {
    for text in [
        "2026-12-20..2027-01-02",
        "2026-12-20..2026-12-20",
        "2026-12-24T12:00..2026-12-27T06:00",
        "2026-12-24T12:00..2026-12-27",
        "2026-12-24..2026-12-27T06:00",
    ] {
        let freeze: Freeze = text.parse().unwrap();
        assert_eq!(freeze.to_string(), text);
    }
    assert_eq!(
        " 2026-12-20 .. 2027-01-02 ".parse::<Freeze>().unwrap().to_string(),
        "2026-12-20..2027-01-02"
    );
}

#[test]
fn refused_freezes() {
    insta::assert_snapshot!(refusals::<Freeze>(&[
        "", "Christmas", "2026-12-24", "2026-12-24..", "2026-12-20...2027-01-02",
        "2026-13-01..2027-01-02", "2026-12-20..2027-02-29", "2026-12-24T12:00Z..2026-12-27T06:00Z",
        "2026-12-24T12:00:30..2026-12-27", "2026-12-24T24:00..2026-12-27",
        "2027-01-02..2026-12-20", "2026-12-24T12:00..2026-12-24T12:00",
        "2026-12-24..2026-12-24T00:00",
    ]), @r#"
    `` is no freeze; write 2026-12-20..2027-01-02 (both dates are frozen whole) or 2026-12-24T12:00..2026-12-27T06:00
    `Christmas` is no freeze; write 2026-12-20..2027-01-02 (both dates are frozen whole) or 2026-12-24T12:00..2026-12-27T06:00
    `2026-12-24` is no freeze; write 2026-12-20..2027-01-02 (both dates are frozen whole) or 2026-12-24T12:00..2026-12-27T06:00
    `` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
    `.2027-01-02` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
    `2026-13-01` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
    `2027-02-29` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
    `2026-12-24T12:00Z` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
    `2026-12-24T12:00:30` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
    `2026-12-24T24:00` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
    a freeze from 2027-01-02 to 2026-12-20 would be over as it begins, or before; the earlier one comes first
    a freeze from 2026-12-24T12:00 to 2026-12-24T12:00 would be over as it begins, or before; the earlier one comes first
    a freeze from 2026-12-24 to 2026-12-24T00:00 would be over as it begins, or before; the earlier one comes first
    "#);
}

#[test]
fn every_zone_of_the_database_is_read() {
    let names: BTreeSet<String> = super::naive::zone_names();
    assert!(names.len() > 500);
    for name in names {
        assert_eq!(Zone::parse(&name).unwrap().name(), name);
        assert_eq!(Zone::parse(&name.to_lowercase()).unwrap().name(), name);
    }
    assert_eq!(Zone::parse("utc").unwrap(), Zone::utc());
    assert_eq!(Zone::utc().name(), "UTC");
    assert_ne!(Zone::parse("US/Mountain").unwrap(), Zone::parse("America/Denver").unwrap());
    assert_eq!(format!("{:?}", Zone::utc()), "Zone(\"UTC\")");
}

#[test]
fn refused_zones() {
    insta::assert_snapshot!(refusals::<Zone>(&[
        "", "America/Denvr", "denver", "New York", "Europe/Kyyiv", "CEST", "+02:00",
        "Etc/Unknown", "Local", "../../etc/passwd",
    ]), @r#"
    `` is no time zone; write an IANA name such as America/Denver
    `America/Denvr` is no time zone; did you mean America/Denver?
    `denver` is no time zone; did you mean America/Denver?
    `New York` is no time zone; did you mean America/New_York?
    `Europe/Kyyiv` is no time zone; did you mean Europe/Kyiv?
    `CEST` is no time zone; did you mean CET?
    `+02:00` is no time zone; write an IANA name such as America/Denver
    `Etc/Unknown` is no time zone; write an IANA name such as America/Denver
    `Local` is no time zone; write an IANA name such as America/Denver
    `../../etc/passwd` is no time zone; write an IANA name such as America/Denver
    "#);
}

fn read(json: &str) -> Result<Hours, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn as_data() {
    let json = r#"{"windows":["Mon-Fri 22:00-06:00"],"freezes":["2026-12-20..2027-01-02",{"from":"2026-12-24T12:00","to":"2026-12-27","reason":"year's end"}]}"#;
    let hours = read(json).unwrap();
    assert_eq!(serde_json::to_string(&hours).unwrap(), json);
    assert_eq!(hours.freezes[1].reason(), Some("year's end"));
    let bare: Freeze = serde_json::from_str(r#"{"from":"2026-12-20","to":"2027-01-02"}"#).unwrap();
    assert_eq!(bare, hours.freezes[0]);
    assert_eq!(read("{}").unwrap(), Hours::default());
    assert_eq!(serde_json::to_string(&Hours::default()).unwrap(), "{}");
    let zone: Zone = serde_json::from_str("\"america/denver\"").unwrap();
    assert_eq!(serde_json::to_string(&zone).unwrap(), "\"America/Denver\"");
}

#[test]
fn refused_data() {
    let windows = format!(r#"{{"windows":[{}"00:00-24:00"]}}"#, "\"01:00-02:00\",".repeat(64));
    let freezes = format!(
        r#"{{"freezes":[{0}{0}"2026-12-20..2027-01-02"]}}"#,
        "\"2026-12-20..2027-01-02\",".repeat(128)
    );
    let said = [
        r#"{"windows":["2-4"]}"#,
        r#"{"window":["02:00-04:00"]}"#,
        r#"{"freezes":["Christmas"]}"#,
        r#"{"freezes":[20261220]}"#,
        r#"{"freezes":[{"from":"2026-12-20"}]}"#,
        r#"{"freezes":[{"from":"2026-12-20","to":"2026-12-19"}]}"#,
        r#"{"freezes":[{"from":"2026-12-20","to":"2026-12-29","why":"rest"}]}"#,
        &windows,
        &freezes,
    ]
    .map(|json| read(json).unwrap_err());
    insta::assert_snapshot!(said.join("\n"), @r#"
    `2` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00 at line 1 column 18
    unknown field `window`, expected `windows` or `freezes` at line 1 column 9
    `Christmas` is no freeze; write 2026-12-20..2027-01-02 (both dates are frozen whole) or 2026-12-24T12:00..2026-12-27T06:00 at line 1 column 23
    invalid type: integer `20261220`, expected a freeze such as "2026-12-20..2027-01-02", or a table of from, to and reason at line 1 column 20
    missing field `to` at line 1 column 33
    a freeze from 2026-12-20 to 2026-12-19 would be over as it begins, or before; the earlier one comes first at line 1 column 51
    unknown field `why`, expected one of `from`, `to`, `reason` at line 1 column 56
    65 windows are more than the 64 there may be
    257 freezes are more than the 256 there may be
    "#);
}
