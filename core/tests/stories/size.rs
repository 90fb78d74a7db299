//! How much is written down of a device that is updated.

#![expect(clippy::unwrap_used, reason = "a test, whose numbers are read")]

use groundswell_core::log::Entry;

use super::{script::Script, world::World};

/// What a device may take, of all that is written down of its rollout.
const BYTES_EACH: usize = 400;

/// The same where every device is decided on twice, once for its claim and once for what the next
/// one waits for then.
const BYTES_EACH_ALONE: usize = 480;

/// The text of a log as it is stored: a row has the time beside the records.
fn bytes(entries: &[Entry]) -> usize {
    let text = |entry: &Entry| serde_json::to_string(&entry.records);
    entries.iter().map(|entry| text(entry).map_or(0, |text| text.len())).sum()
}

/// What is written down of a device of this rollout, all in all.
fn each(fields: &str, devices: usize, steps: impl IntoIterator<Item = String>) -> usize {
    let device =
        format!("device = pos-1..pos-{devices} version=1.0.0 host=http://10.20.30.40:8080");
    let script =
        Script::parse(&format!("{device}\nmax_per_host = 1000\n{fields}\n\nstart\n")).unwrap();
    let mut world = World::new(&script).unwrap();
    for line in script.steps.into_iter().chain(steps) {
        world.step(&line).unwrap();
    }
    world.hold_log().unwrap();
    assert_eq!(world.progression.state.as_str(), "completed", "{}", world.told);
    bytes(&world.book.entries) / devices
}

#[test]
fn a_device_takes_little_of_the_log() {
    // One a second, each answering before the next one is claimed.
    let one_by_one =
        (0..200).flat_map(|_| ["wait 1s".to_owned(), "all succeed".to_owned()]).collect::<Vec<_>>();
    let alone = (0..120).map(|_| "all succeed".to_owned());
    let wave_by_wave = |size: usize| {
        let waves = format!("wave = {size}, soak 1m, success 90\n").repeat(99);
        let steps = (0..100).flat_map(|_| ["all succeed".to_owned(), "wait 1m".to_owned()]);
        each(&format!("{waves}wave = 100%, success 90"), 100 * size, steps)
    };
    let one_at_a_time = each("max_in_flight = 1\nmax_unverified = 1", 120, alone);
    for (what, each, max) in [
        ("one a second", each("per_minute = 60", 200, one_by_one), BYTES_EACH),
        ("100 waves of 3", wave_by_wave(3), BYTES_EACH),
        ("100 waves of 10", wave_by_wave(10), BYTES_EACH),
        ("300 at once", each("", 300, (0..3).map(|_| "all succeed".to_owned())), BYTES_EACH),
        ("8 at once", each("", 8, ["all succeed".to_owned()]), BYTES_EACH),
        ("one at a time", one_at_a_time, BYTES_EACH_ALONE),
    ] {
        println!("{what}: {each} bytes a device");
        assert!(each <= max, "{what}: {each} bytes a device");
    }
}
