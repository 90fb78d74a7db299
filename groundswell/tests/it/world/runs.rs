//! The worlds that are run: some with every test, others by `make sim` and `make sim-long`.

use std::{
    cell::Cell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::{Once, atomic::AtomicBool},
    time::{Duration, Instant},
};

use super::{
    Sum, World, long,
    rhythm::Rhythm,
    scenario::{Kind, STEPS_MAX, Scenario},
    shrink::{Failure, shrink},
    trace::Telling,
};

/// Worlds that are run to make one that failed smaller.
const SHRINK_RUNS_MAX: u32 = 400;

/// And for how long.
const SHRINK_MAX: Duration = Duration::from_mins(1);

thread_local! {
    /// Whether a failure is caught, and told later.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs one world, or what is asked for of it; says what goes wrong with it.
pub(crate) fn attempt(
    scenario: &Scenario,
    telling: Telling,
    stop: &AtomicBool,
) -> Result<Sum, Failure> {
    let mut world = None;
    quiet();
    IS_QUIET.set(true);
    let run = || world.insert(World::new(scenario, telling)).run(scenario.steps_max, stop);
    let ran = catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(false);
    ran.map_err(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&said| said.to_owned()));
        let said = said.unwrap_or_default();
        let of_world = |world: World| (world.trace.to_string(), world.steps);
        let (trace, steps) = world.map(of_world).unwrap_or_default();
        // What a world says of itself begins with its trace.
        let what = said.strip_prefix(&trace).unwrap_or(&said).trim_start();
        Failure::new(format!("{trace}\n{what}"), what, steps)
    })
}

/// What fails is told once, at the end, however many worlds are tried.
fn quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                hook(info);
            }
        }));
    });
}

/// Runs one world; a failure tells the last that happened, and how to play it again.
pub(crate) fn run(
    scenario: &Scenario,
    commit: &str,
    telling: Telling,
    stop: &AtomicBool,
) -> Result<Sum, String> {
    attempt(scenario, telling, stop).map_err(|failure| {
        let told = if telling == Telling::Nothing { again(scenario, failure) } else { failure };
        format!("{}\ncommit {commit}\nplay it again: make sim {scenario}", told.text)
    })
}

/// The same, and a failure is made smaller first.
pub(crate) fn run_and_shrink(
    scenario: &Scenario,
    commit: &str,
    stop: &AtomicBool,
) -> Result<Sum, String> {
    attempt(scenario, Telling::Nothing, stop).map_err(|failure| {
        let since = Instant::now();
        let rerun = |smaller: &Scenario| attempt(smaller, Telling::Nothing, stop).err();
        let is_over = || since.elapsed() > SHRINK_MAX;
        let mut smallest = shrink(scenario, failure, SHRINK_RUNS_MAX, rerun, is_over);
        smallest.failure = again(&smallest.scenario, smallest.failure);
        let least = &smallest.scenario;
        format!(
            "{smallest}found as {scenario}, commit {commit}\nplay it again: make sim {least}\n\
             and all of it: make sim {scenario} LOUD=1"
        )
    })
}

/// The same world once more, which tells this time.
fn again(scenario: &Scenario, failure: Failure) -> Failure {
    attempt(scenario, Telling::Kept, &AtomicBool::new(false)).err().unwrap_or_else(|| {
        let why = "it did not fail a second time: the same seed was another world";
        Failure { text: format!("{}\n{why}", failure.text), ..failure }
    })
}

fn go(scenario: &Scenario) -> Result<Sum, String> {
    run_and_shrink(scenario, "not said", &AtomicBool::new(false))
}

fn is_large(seed: u64) -> bool {
    Rhythm::of(seed).is_large
}

#[test]
fn worlds_keep_the_invariants() {
    let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in SMALL {
        assert!(!is_large(seed), "world {seed} is a large one");
        let sum = go(&Scenario::of(seed)).unwrap_or_else(|failure| panic!("{failure}"));
        for (what, times) in sum.happened {
            *happened.entry(what).or_default() += times;
        }
    }
    // What may go wrong does, in one of them at least.
    for what in HAPPENS {
        assert!(happened.contains_key(what), "{what} never happened: {happened:#?}");
    }
}

/// Small worlds that every test runs: quick ones in which all themes and nearly everything that can
/// happen come up. Whoever changes what is drawn looks for others, if something is missing then.
const SMALL: [u64; 21] =
    [0, 3, 5, 8, 21, 29, 31, 36, 44, 48, 64, 68, 73, 76, 79, 84, 87, 89, 107, 110, 148];

/// What must have happened in them.
const HAPPENS: [&str; 32] = [
    "a rollback",
    "crash: between two commands",
    "disk: full",
    "domains: one that failed calls",
    "domains: slots of one are released",
    "gate: asked",
    "health: asked",
    "job: died, and it was done",
    "job: died, and it was not done",
    "operator: several at once",
    "outcome: late",
    "outcome: lost",
    "outcome: told twice",
    "operator: an act while nobody drives",
    "push: begun",
    "quarantine: left out",
    "quarantine: one is released",
    "rollback: by hand",
    "rollback: refused",
    "stale: a driver stands still",
    "stale: a job refused",
    "stale: it gave up",
    "stale: it woke up behind another",
    "theme: none",
    "theme: crowded",
    "theme: night",
    "theme: stops",
    "theme: joiners",
    "theme: gates",
    "theme: hosts",
    "theme: restarts",
    "theme: stores",
];

#[test]
fn a_large_world_keeps_the_invariants() {
    let is_it = |seed: &u64| is_large(*seed) && Rhythm::of(*seed).devices == 2_000;
    let few = |seed| Scenario { steps_max: 500, ..Scenario::of(seed) };
    let sum = (0..).filter(is_it).take(3).map(|seed| go(&few(seed)).unwrap());
    assert!(sum.map(|sum| sum.updates).sum::<u64>() > 1_000, "they are busy");
}

#[test]
fn the_same_seed_is_the_same_world() {
    let small = (0..).filter(|seed| !is_large(*seed)).take(2);
    let large = (0..).filter(|seed| is_large(*seed)).take(1);
    for (seed, steps_max) in small.map(|seed| (seed, 3_000)).chain(large.map(|seed| (seed, 100))) {
        let scenario = Scenario { steps_max, ..Scenario::of(seed) };
        assert_eq!(go(&scenario).unwrap(), go(&scenario).unwrap());
    }
}

#[test]
fn a_failure_is_made_smaller_and_plays_again() {
    let rerun =
        |smaller: &Scenario| attempt(smaller, Telling::Nothing, &AtomicBool::new(false)).err();
    let small = (0..).filter(|seed| !is_large(*seed));
    let planted = small.map(|seed| Scenario { plant: Some(2), ..Scenario::of(seed) });
    let mut failing = planted.filter_map(|scenario| Some((rerun(&scenario)?, scenario)));
    let (failure, scenario) = failing.next().unwrap();
    let kind = failure.kind.clone();
    let smallest = shrink(&scenario, failure, 60, rerun, || false);
    assert_eq!(smallest.failure.kind, kind);
    assert_eq!(kind, "a planted failure behind updates");
    let least = &smallest.scenario;
    assert!(least.steps_max <= smallest.failure.step + 1, "{least}");
    assert!(least.faults.len() < Kind::ALL.len() / 2, "{least}");
    assert!(least.devices_max.is_some() && least.acts_max.is_some(), "{least}");
    // What is told is all it takes.
    let told = least.to_string();
    let value_of = |name: &str| {
        let values = told.split(' ').filter_map(|word| word.split_once('='));
        values.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
    };
    let again = rerun(&Scenario::asked(value_of).unwrap().unwrap()).unwrap();
    assert_eq!((again.step, again.kind), (smallest.failure.step, kind));
}

/// The worlds that `make sim` asks for: SEED for one, and what of it; or fresh ones for SECS; WORLDS
/// for so many; LONG on all cores and until stopped.
#[test]
#[expect(clippy::disallowed_methods, reason = "what is asked for comes from make")]
fn explore() {
    let value_of = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let asked = |name| value_of(name).and_then(|text| text.parse::<u64>().ok());
    let commit = value_of("COMMIT").unwrap_or_else(|| "not said".to_owned());
    if let Some(scenario) = Scenario::asked(value_of).unwrap() {
        let telling = if asked("LOUD").is_some() { Telling::Loud } else { Telling::Kept };
        match run(&scenario, &commit, telling, &AtomicBool::new(false)) {
            Ok(sum) => return println!("{scenario}: {}", sum.text()),
            Err(failure) => panic!("{failure}"),
        }
    }
    let (worlds, secs, is_long) = (asked("WORLDS"), asked("SECS"), asked("LONG").is_some());
    if worlds.is_none() && secs.is_none() && !is_long {
        // Nobody asks: what every test runs is always the same.
        return;
    }
    let first = asked("FROM").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs() * 1_000
    });
    let plan = long::Plan {
        first,
        steps_max: asked("STEPS").unwrap_or(STEPS_MAX),
        worlds,
        secs,
        threads: match asked("THREADS") {
            Some(threads) => threads as usize,
            None if is_long => std::thread::available_parallelism().map_or(1, Into::into),
            None => 1,
        },
        failures: std::env::var_os("FAILURES").map(Into::into),
        commit,
        failures_max: if is_long { usize::MAX } else { 20 },
    };
    let failed = plan.run();
    assert!(failed.is_empty(), "{} failed; the first:\n{}", failed.len(), failed[0]);
}
