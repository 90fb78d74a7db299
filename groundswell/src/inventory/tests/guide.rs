//! The examples of docs/inventory.md.

use super::*;

const GUIDE: &str = include_str!("../../../../docs/inventory.md");

/// The first block of the guide in this language.
fn block(language: &str) -> &'static str {
    let (_, after) = GUIDE.split_once(&format!("```{language}\n")).unwrap();
    after.split_once("```").unwrap().0
}

#[test]
fn the_three_examples_say_the_same() {
    let json = taken(block("json"));
    assert_eq!(json.entries.len(), 2);
    assert_eq!(json.entries[0].device.version.as_deref(), Some("2.1.4"));
    assert_eq!(json.ignored, IgnoredFields::default());
    assert_eq!(taken(block("jsonl")), json);
    assert_eq!(taken(block("csv")), json);
}

#[test]
fn the_bad_rows_are_told_like_that() {
    let text = "id,address,time_zone,rack
pos-1,10.0.0.1,,1
pos-1,10.0.0.2,,1
pos-2,,America/Nowhere,1
pos-3,10.0.0.3,,1
pos-4,10.0.0.4,,1,1
";
    let options = Options { name: "devices.csv", ..options() };
    let error = read(text.as_bytes(), &options).unwrap_err();
    assert_eq!(error.to_string(), block("text").trim_end());
}

#[test]
fn every_field_is_in_the_guide() {
    for name in FIELD_NAMES {
        assert!(GUIDE.contains(&format!("`{name}`")), "{name}");
    }
}
