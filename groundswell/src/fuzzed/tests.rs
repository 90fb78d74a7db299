//! What is kept in `fuzz/seeds` holds, without any engine.

use std::{collections::BTreeSet, fs, path::Path};

/// A border, and what is promised of it.
type Border = (&'static str, fn(&[u8]));

const BORDERS: [Border; 4] = [
    ("selector", super::selector),
    ("spec", super::spec),
    ("import", super::import),
    ("headers", super::headers),
];

fn seeds(border: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(border);
    let mut seeds: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

/// What is broken by bytes, if anything is.
fn broken(hold: fn(&[u8]), bytes: &[u8]) -> Option<String> {
    let told = std::panic::catch_unwind(|| hold(bytes)).err()?;
    let text = told.downcast_ref::<String>().cloned();
    let text = text.or_else(|| told.downcast_ref::<&str>().map(ToString::to_string));
    Some(format!("{}: {}", bytes.escape_ascii(), text.unwrap_or_default()))
}

#[test]
fn what_is_promised_holds_for_every_seed_and_what_is_cut_of_it() {
    let mut found = vec![];
    for (border, hold) in BORDERS {
        let seeds = seeds(border);
        assert!(seeds.len() >= 8, "{border}: {} seeds", seeds.len());
        for (name, bytes) in seeds {
            let is_whole = broken(hold, &bytes);
            // Most of what is wrong is at an end that comes too early.
            let cuts = (0..bytes.len()).step_by(bytes.len() / 16 + 1);
            let mut cuts = cuts.flat_map(|cut| [&bytes[..cut], &bytes[cut..]]);
            let first = is_whole.or_else(|| cuts.find_map(|part| broken(hold, part)));
            found.extend(first.map(|told| format!("{border}/{name}: {told}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_target_has_its_seeds() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/targets");
    let targets: BTreeSet<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(targets, BORDERS.map(|(border, _)| border.to_owned()).into());
}
