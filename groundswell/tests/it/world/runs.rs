//! The worlds that are run: some with every test, others by `make sim` and `make sim-long`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::AtomicBool,
};

use super::{Sum, World, long, rhythm::Rhythm, trace::Telling};

/// Steps after which a world is left as it is.
pub(crate) const STEPS_MAX: u64 = 60_000;

/// What goes wrong with one world.
pub(crate) fn attempt(
    seed: u64,
    steps_max: u64,
    telling: Telling,
    stop: &AtomicBool,
) -> Result<Sum, String> {
    let mut world = None;
    let run = || world.insert(World::new(seed, telling)).run(steps_max, stop);
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(|&what| what.to_owned()));
        let what = what.unwrap_or_default();
        let trace = world.map(|world| world.trace.to_string()).unwrap_or_default();
        if what.contains("seed") { what } else { format!("{trace}\n{what}") }
    })
}

/// Runs one world; a failure tells the last that happened, and how to play it again.
pub(crate) fn run(
    seed: u64,
    steps_max: u64,
    telling: Telling,
    stop: &AtomicBool,
) -> Result<Sum, String> {
    attempt(seed, steps_max, telling, stop).map_err(|what| {
        let what = match telling {
            Telling::Nothing => again(seed, steps_max, &what),
            Telling::Kept | Telling::Loud => what,
        };
        format!("{what}\nplay it again: make sim SEED={seed}")
    })
}

/// The same world once more, which tells this time.
fn again(seed: u64, steps_max: u64, what: &str) -> String {
    match attempt(seed, steps_max, Telling::Kept, &AtomicBool::new(false)) {
        Err(told) => told,
        Ok(_) => format!("{what}\nit did not fail a second time: the same seed was another world"),
    }
}

fn go(seed: u64, steps_max: u64) -> Result<Sum, String> {
    run(seed, steps_max, Telling::Nothing, &AtomicBool::new(false))
}

fn is_large(seed: u64) -> bool {
    Rhythm::of(seed).is_large
}

#[test]
fn worlds_keep_the_invariants() {
    let small = (0..).filter(|seed| !is_large(*seed)).take(20);
    let failures: Vec<String> = small.filter_map(|seed| go(seed, STEPS_MAX).err()).collect();
    assert!(failures.is_empty(), "{} failed; the first:\n{}", failures.len(), failures[0]);
}

#[test]
fn a_large_world_keeps_the_invariants() {
    let is_it = |seed: &u64| is_large(*seed) && Rhythm::of(*seed).devices == 2_000;
    let sum = (0..).filter(is_it).take(3).map(|seed| go(seed, 500).unwrap());
    assert!(sum.map(|sum| sum.updates).sum::<u64>() > 1_000, "they are busy");
}

#[test]
fn the_same_seed_is_the_same_world() {
    let small = (0..).filter(|seed| !is_large(*seed)).take(2);
    let large = (0..).filter(|seed| is_large(*seed)).take(1);
    for (seed, steps) in small.map(|seed| (seed, 3_000)).chain(large.map(|seed| (seed, 100))) {
        assert_eq!(go(seed, steps).unwrap(), go(seed, steps).unwrap());
    }
}

/// The worlds that `make sim` asks for: SEED for one, or fresh ones for a while; LONG on all cores
/// and until stopped.
#[test]
#[expect(clippy::disallowed_methods, reason = "what is asked for comes from make")]
fn explore() {
    let asked = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let steps_max = asked("STEPS").unwrap_or(STEPS_MAX);
    if let Some(seed) = asked("SEED") {
        let telling = if asked("LOUD").is_some() { Telling::Loud } else { Telling::Kept };
        match run(seed, steps_max, telling, &AtomicBool::new(false)) {
            Ok(sum) => return println!("seed {seed}: {}", sum.text()),
            Err(failure) => panic!("{failure}"),
        }
    }
    let first = asked("FROM").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs() * 1_000
    });
    let is_long = asked("LONG").is_some();
    let plan = long::Plan {
        first,
        steps_max,
        // Nobody asks: a second's worth, beside those that are always the same.
        secs: asked("SECS").or((!is_long).then_some(1)),
        threads: match asked("THREADS") {
            Some(threads) => threads as usize,
            None if is_long => std::thread::available_parallelism().map_or(1, Into::into),
            None => 1,
        },
        failures: std::env::var_os("FAILURES").map(Into::into),
        commit: std::env::var("COMMIT").unwrap_or_else(|_| "not said".to_owned()),
        failures_max: if is_long { usize::MAX } else { 20 },
    };
    let failed = plan.run();
    assert!(failed.is_empty(), "{} failed; the first:\n{}", failed.len(), failed[0]);
}
