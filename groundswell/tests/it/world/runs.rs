//! The worlds that are run: some with every test, others by `make sim`.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use groundswell::core::assignment::State;

use super::{Sum, World};

/// Steps after which a world is left as it is.
const STEPS_MAX: u64 = 60_000;

/// Runs one world; a failure says how to play it again.
fn run(seed: u64, steps_max: u64, is_loud: bool) -> Result<Sum, String> {
    let mut world = None;
    let run = || world.insert(World::new(seed, is_loud)).run(steps_max);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(sum) => Ok(sum),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|&what| what.to_owned()));
            let trace = world.map(|world| world.trace.to_string()).unwrap_or_default();
            let what = what.unwrap_or_default();
            let what = if what.contains("seed") { what } else { format!("{trace}\n{what}") };
            Err(format!("{what}\nplay it again: make sim SEED={seed}"))
        }
    }
}

#[test]
fn worlds_keep_the_invariants() {
    let failures: Vec<String> =
        (0..20).filter_map(|seed| run(seed, STEPS_MAX, false).err()).collect();
    assert!(failures.is_empty(), "{} failed; the first:\n{}", failures.len(), failures[0]);
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [3, 4] {
        assert_eq!(run(seed, 3_000, false).unwrap(), run(seed, 3_000, false).unwrap());
    }
}

/// The worlds that `make sim` asks for: SEED for one, or fresh ones for a while.
#[test]
#[expect(clippy::disallowed_methods, reason = "what is asked for comes from make")]
fn explore() {
    let asked = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let steps_max = asked("STEPS").unwrap_or(STEPS_MAX);
    if let Some(seed) = asked("SEED") {
        match run(seed, steps_max, asked("LOUD").is_some()) {
            Ok(sum) => return println!("seed {seed}: {sum:?}"),
            Err(failure) => panic!("{failure}"),
        }
    }
    let began = std::time::Instant::now();
    // Nobody asks: one fresh world, beside those that are always the same.
    let seconds = asked("SECS").unwrap_or(1);
    let first = asked("FROM").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs() * 1_000
    });
    let (mut worlds, mut updates, mut steps, mut failures) = (0, 0, 0, vec![]);
    let mut ends: BTreeMap<State, u64> = BTreeMap::new();
    while began.elapsed().as_secs() < seconds && failures.len() < 20 {
        let seed = first + worlds;
        worlds += 1;
        match run(seed, steps_max, false) {
            Ok(sum) => {
                (updates, steps) = (updates + sum.updates, steps + sum.steps);
                for (state, count) in sum.ends {
                    *ends.entry(state).or_default() += count;
                }
            }
            Err(failure) => {
                println!("seed {seed} failed: {}", last_words(&failure));
                failures.push(failure);
            }
        }
    }
    println!("{worlds} worlds from seed {first}: {updates} device-updates, {steps} steps");
    for (state, count) in ends {
        println!("{count:>8} {state}");
    }
    assert!(failures.is_empty(), "{} failed; the first:\n{}", failures.len(), failures[0]);
}

fn last_words(failure: &str) -> String {
    let lines = failure.lines().filter(|line| !line.starts_with("  ") && !line.is_empty());
    lines.take(2).collect::<Vec<_>>().join(" | ").chars().take(400).collect()
}
