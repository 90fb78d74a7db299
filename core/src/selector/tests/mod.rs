//! What an expression means, what it looks like, and why it is refused.

mod meaning;
mod random;
mod refusals;

use std::{collections::BTreeMap, time::Duration};

use super::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn sample() -> Device {
    Device {
        id: "pos-nyc-01".to_owned(),
        name: "Times Square, lane 1".to_owned(),
        address: Some("10.4.0.11:8080".parse().unwrap()),
        version: Some("2.1.4".to_owned()),
        location: Some("New York".to_owned()),
        time_zone: Some("America/New_York".to_owned()),
        check_in: Some(Duration::from_mins(1)),
        last_seen: Some(NOW - Duration::from_mins(2)),
        tags: BTreeMap::from([
            ("region".to_owned(), "northeast".to_owned()),
            ("lane".to_owned(), "1".to_owned()),
            ("opened in".to_owned(), "O'Hare \"T2\" (100%) * \\".to_owned()),
        ]),
        update_path: None,
    }
}

fn chosen(text: &str, device: &Device) -> bool {
    Selector::parse(text).unwrap_or_else(|error| panic!("{error}")).matches(device, NOW)
}

fn canonical(text: &str) -> String {
    let selector = Selector::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let shown = selector.to_string();
    assert_eq!(Selector::parse(&shown).as_ref(), Ok(&selector), "{shown}");
    shown
}

fn refusal(text: &str) -> String {
    Selector::parse(text).unwrap_err().to_string()
}
