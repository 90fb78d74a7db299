//! `groundswell demo`, as `make demo` plays it, only faster.

use std::process::Command;

use crate::program::Ran;

#[test]
fn the_demo_plays_seven_scenarios_and_each_does_what_it_says() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    let ran = Ran::from(demo.args(["demo", "--headless", "--speed", "3000"]).output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!ran.out.contains('\x1b'), "there are colors: {ran:?}");
    let lines = || ran.out.lines();
    assert!(lines().all(|line| line.chars().count() <= 100), "{ran:?}");
    let headlines: Vec<&str> = lines().filter(|line| line.contains(" of 7  ")).collect();
    insta::assert_snapshot!(headlines.join("\n"), @"
    1 of 7  immediate: now, to every terminal that is online
    2 of 7  scheduled: between two and four at night, by each terminal's own clock
    3 of 7  progressive: one terminal, then half of them, then all
    4 of 7  on_connect: each terminal when it is there
    5 of 7  region: only the terminals of one region
    6 of 7  firmware: only the terminals that run something older than 2.10.0
    7 of 7  undo: a release that breaks terminals is stopped, and taken back
    ");
    let gates: Vec<&str> =
        lines().filter_map(|line| line.split_once("  gate of ")).map(|(_, gate)| gate).collect();
    insta::assert_snapshot!(gates.join("\n"), @"
    wave 1 of 3: go: 1 of 1 succeeded, at least 95 % required
    wave 2 of 3: go: 2 of 2 succeeded, at least 95 % required
    wave 3 of 3: go: 3 of 3 succeeded, at least 95 % required
    ");
    assert!(lines().any(|line| line.contains("waits: window opens 02:00 America/Denver, in ")));
    assert!(lines().any(|line| line.contains(" failed where 2 % fail: evidence ")));
    let harmed = lines().find_map(|line| line.split_once("  harmed: ")).unwrap().1;
    let mut harmed: Vec<&str> = harmed.split(", ").collect();
    harmed.sort_unstable();
    assert_eq!(harmed, ["pos-atlanta-01", "pos-denver-01", "pos-nyc-01"]);
    for back in ["1 terminal to go back to 2.10.0", "pos-nyc-01           runs 2.10.0 again"] {
        assert!(lines().any(|line| line.ends_with(back)), "{back}: {ran:?}");
    }
    let outcomes = lines().skip_while(|line| *line != "What each terminal went through");
    let outcomes: Vec<String> = outcomes.skip(2).take(11).map(without_minute).collect();
    insta::assert_snapshot!("outcomes", outcomes.join("\n"));
    let last = ran.out.trim_end().lines().last().unwrap();
    assert!(last.starts_with("All seven did what they say: "), "{last}");
}

/// The minute in which a window's update came depends on the machine.
fn without_minute(row: &str) -> String {
    match row.find(':') {
        Some(at) => format!("{}HH:MM{}", &row[..at - 2], &row[at + 3..]),
        None => row.to_owned(),
    }
}
