//! Known mistakes, made on purpose one at a time: each has to be noticed by what looks at a world.
//!
//! Whoever runs the log again would make the same mistake again, so logs are not looked at here:
//! what notices a mistake shares no code with what makes it. A world in which something is noticed
//! is played once more without the mistake, and has to be sound.

use std::{
    io::{Write as _, stdout},
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::{Mutex, atomic::AtomicBool},
    thread,
    time::Instant,
};

use groundswell::core::teeth::{Bug, switch};

use super::{World, driver::database, rhythm::Rhythm, scenario::Scenario, trace::Telling};

/// Worlds after which a mistake is taken to be one that nobody notices.
const SEEDS_MAX: u64 = 600;

/// Steps after which a world is left as it is.
const STEPS_MAX: u64 = 30_000;

/// Mistakes looked at side by side.
const THREADS: usize = 2;

#[derive(Debug)]
struct Found {
    seed: u64,
    by: String,
}

#[derive(Debug)]
struct Trial {
    bug: Bug,
    seeds: u64,
    steps: u64,
    secs: f64,
    found: Result<Found, String>,
}

/// Plays a world with a mistake in it, on a thread of its own so that the mistake stays there: how
/// many steps it took, and what was noticed.
fn play(bug: Option<Bug>, seed: u64, steps_max: u64) -> (u64, Option<String>) {
    let play = move || {
        switch(bug);
        let mut world = World::new(&Scenario::of(seed), Telling::Nothing);
        if bug == Some(Bug::ActiveTwice) {
            allow_active_twice(&world);
        }
        let go = AssertUnwindSafe(|| world.go(steps_max, &AtomicBool::new(false)));
        let failure = catch_unwind(go).err().map(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            first_line(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic"))
        });
        (world.steps, failure)
    };
    thread::spawn(play).join().unwrap()
}

/// The database would refuse it: now nothing is in its way, and the ledger has to see it.
fn allow_active_twice(world: &World) {
    let database = rusqlite::Connection::open(database(&world.place)).unwrap();
    let sql = "DROP INDEX assignment_active; CREATE INDEX assignment_active \
               ON assignment (device) WHERE state > 0 AND state < 4";
    database.execute_batch(sql).unwrap();
}

/// What failed, without the trace in front of it.
fn first_line(failure: &str) -> String {
    let mut lines = failure.lines().filter(|line| !line.starts_with("  ") && !line.is_empty());
    let line = lines.next().unwrap_or_default();
    // Behind that is all that was told of it.
    let cut = line.find(" { rollout").and_then(|at| line[..at].rfind(" ("));
    let cut = cut.or_else(|| line.find(": Progress {"));
    line[..cut.unwrap_or(line.len())].chars().take(150).collect()
}

fn look_for(bug: Bug, first: u64, seeds_max: u64) -> Trial {
    let began = Instant::now();
    let (mut steps, mut seeds) = (0, 0);
    let mut found = Err(format!("nobody noticed in {seeds_max} worlds"));
    // Small worlds: not everything is looked at in large ones.
    let small = (first..).filter(|seed| !Rhythm::of(*seed).is_large);
    for seed in small.take(seeds_max as usize) {
        seeds += 1;
        let (took, failure) = play(Some(bug), seed, STEPS_MAX);
        steps += took;
        let Some(by) = failure else { continue };
        found = match play(None, seed, took + 1).1 {
            None => Ok(Found { seed, by }),
            // What was noticed was no mistake of ours: another world may show it.
            Some(why) => Err(format!("world {seed} fails without it, too: {why}")),
        };
        if found.is_ok() {
            break;
        }
    }
    Trial { bug, seeds, steps, secs: began.elapsed().as_secs_f64(), found }
}

/// Looks for each of these mistakes, several at once; the trials in their order.
fn look_for_all(bugs: &[Bug], first: u64, seeds_max: u64) -> Vec<Trial> {
    let next = Mutex::new(bugs.iter());
    let trials = Mutex::new(vec![]);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let bug = next.lock().unwrap().next().copied();
                    let Some(bug) = bug else { return };
                    let trial = look_for(bug, first, seeds_max);
                    let _ = writeln!(stdout(), "{}", row(&trial));
                    trials.lock().unwrap().push(trial);
                }
            });
        }
    });
    let mut trials = trials.into_inner().unwrap();
    trials.sort_by_key(|trial| trial.bug);
    trials
}

fn row(trial: &Trial) -> String {
    let Trial { bug, seeds, steps, secs, found } = trial;
    let by = match found {
        Ok(Found { seed, by }) => format!("seed {seed}: {by}"),
        Err(why) => format!("NOT FOUND: {why}"),
    };
    let text = bug.text();
    format!("{text:<66} {seeds:>5} seeds {steps:>9} steps {secs:>7.1} s  {by}")
}

/// BUG for one of them by its name, FROM for the first seed, SEEDS for the most worlds of each.
#[test]
#[expect(clippy::disallowed_methods, reason = "what is asked for comes from make")]
fn every_known_mistake_is_noticed() {
    let asked = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name, otherwise| asked(name).map_or(otherwise, |text| text.parse().unwrap());
    let wanted = asked("BUG");
    let is_wanted = |bug: &&Bug| wanted.as_ref().is_none_or(|name| *name == format!("{bug:?}"));
    let bugs: Vec<Bug> = Bug::ALL.iter().filter(is_wanted).copied().collect();
    assert!(!bugs.is_empty(), "no such mistake: {wanted:?}; there are {:?}", Bug::ALL);
    let hook = take_hook();
    // What is noticed is told in one line.
    set_hook(Box::new(|_| {}));
    let trials = look_for_all(&bugs, number("FROM", 1), number("SEEDS", SEEDS_MAX));
    set_hook(hook);
    println!("\nin order:");
    for trial in &trials {
        println!("{}", row(trial));
    }
    let missed: Vec<_> = trials.iter().filter(|trial| trial.found.is_err()).collect();
    assert!(missed.is_empty(), "{} of {} are not found: {missed:#?}", missed.len(), trials.len());
}
