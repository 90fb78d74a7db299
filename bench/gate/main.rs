//! How often a healthy rollout is stopped by chance, and how many devices a bad one harms first.
//!
//! ```text
//! cargo run --release --package groundswell-core --example gate -- [--svg FILE] [--rollouts N] [--seed N]
//! ```
//!
//! Rollouts of 2,000 devices, looked at after every result, the same for every rule. Ends with 1 if
//! the regression test stops healthy rollouts more often than it says. Prints tables for
//! bench/RESULTS.md and docs/gates.md; `--svg` writes the picture of the latter.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench: a program of its own that reads its command line and prints"
)]

mod picture;
mod rules;
mod traces;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    env,
    error::Error,
    fs,
    process::ExitCode,
};

use groundswell_core::gate::{
    baseline::{Baseline, Earlier, upper_bound},
    rate::Rate,
    regression::{self, Alpha, Results, Test},
};

use crate::{
    rules::{Group, Regression, Rule, Share},
    traces::{Chance, Harm, Outcomes},
};

const DEVICES: u32 = 2_000;

/// What fails when nothing is wrong, in millionths, wherever rules are compared.
const USUAL_PPM: u32 = 20_000;

/// Rates of bad releases, in millionths.
const BAD_PPM: [u32; 4] = [50_000, 100_000, 300_000, 1_000_000];

/// Rollouts judged directly after every single result, to hold the shorter way to it.
const DIRECT: usize = 20;

struct Options {
    svg: Option<String>,
    rollouts: u32,
    seed: u64,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { svg: None, rollouts: 100_000, seed: 1 };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--svg" => options.svg = Some(value),
            "--rollouts" => options.rollouts = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            _ => {
                return Err(format!("{word} is unknown: --svg FILE, --rollouts N, --seed N").into());
            }
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    let holds = [claim(&options)?, measured(&options)?];
    out_of_order(&options)?;
    let compared = compare(&options)?;
    if let Some(file) = &options.svg {
        fs::write(file, picture::draw(&compared))?;
    }
    if holds.contains(&false) {
        println!("\nThe claim about false stops does not hold.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn test(baseline: Baseline) -> Test {
    regression::Regression { baseline, alpha: Alpha::default() }.prepare()
}

fn given(ppm: u32) -> Result<Test, Box<dyn Error>> {
    Ok(test(Baseline::given(Rate::from_ppm(ppm)?)?))
}

/// Percent of rollouts that are falsely stopped, at most: the upper bound of 99 %.
fn at_most_percent(outcomes: &Outcomes) -> Result<f64, Box<dyn Error>> {
    let bound = upper_bound(outcomes.stopped, outcomes.rollouts(), 99)?;
    Ok(f64::from(bound.ppm()) / 10_000.0)
}

/// Where a test stops if it is asked after every single result.
fn asked_each_time(test: &Test, failures: &[u32]) -> Option<u32> {
    let mut failed = 0;
    (1..=DEVICES).find(|at| {
        failed += u64::from(failures.binary_search(at).is_ok());
        let succeeded = u64::from(*at) - failed;
        test.judge(Results { succeeded, failed, under_way: 0 }).is_stop()
    })
}

/// Rollouts that fail exactly as often as the baseline, the worst that is still healthy.
fn claim(options: &Options) -> Result<bool, Box<dyn Error>> {
    println!(
        "| baseline, and true rate | healthy rollouts | stopped | in 100 | at most (99 %) | alpha |"
    );
    println!("|---|---|---|---|---|---|");
    let mut holds = true;
    for ppm in [1_000, 5_000, 10_000, USUAL_PPM, 50_000, 100_000] {
        let test = given(ppm)?;
        let rule = Regression::new(&test, DEVICES);
        let mut chance = Chance::new(options.seed);
        let mut failures = vec![];
        let mut outcomes = Outcomes::default();
        for rollout in 0..options.rollouts as usize {
            chance.failures(DEVICES, ppm, &mut failures);
            outcomes.take(&rule, &failures, DEVICES);
            if rollout < DIRECT {
                holds &= rule.stops_at(&failures, DEVICES) == asked_each_time(&test, &failures);
            }
        }
        let most = at_most_percent(&outcomes)?;
        holds &= most <= f64::from(Alpha::default().percent());
        let (rate, rollouts, stopped) = (Rate::from_ppm(ppm)?, options.rollouts, outcomes.stopped);
        let percent = outcomes.stopped_percent();
        println!("| {rate} | {rollouts} | {stopped} | {percent:.2} | {most:.2} | 1 |");
    }
    Ok(holds)
}

/// The same with a baseline from earlier results, which is below the true rate one time in twenty.
fn measured(options: &Options) -> Result<bool, Box<dyn Error>> {
    println!(
        "\n| true rate 2 %, baseline from | healthy rollouts | stopped | in 100 | at most (99 %) | 5 % + alpha |"
    );
    println!("|---|---|---|---|---|---|");
    let mut holds = true;
    for results in [500, 1_000, 5_000] {
        let mut chance = Chance::new(options.seed);
        let (mut earlier, mut failures) = (vec![], vec![]);
        let mut rules = BTreeMap::new();
        let mut outcomes = Outcomes::default();
        for _ in 0..options.rollouts {
            chance.failures(results, USUAL_PPM, &mut earlier);
            chance.failures(DEVICES, USUAL_PPM, &mut failures);
            let seen = earlier.len() as u64;
            if let Entry::Vacant(place) = rules.entry(seen) {
                let earlier = Earlier { failures: seen, results: results.into() };
                place.insert(Regression::new(&test(Baseline::measured(earlier)?), DEVICES));
            }
            outcomes.take(&rules[&seen], &failures, DEVICES);
        }
        let most = at_most_percent(&outcomes)?;
        holds &= most <= 6.0;
        let (rollouts, stopped, percent) =
            (options.rollouts, outcomes.stopped, outcomes.stopped_percent());
        println!(
            "| {results} earlier results | {rollouts} | {stopped} | {percent:.2} | {most:.2} | 6 |"
        );
    }
    Ok(holds)
}

/// What comes of leaving out those that are under way, where failures are quicker than successes.
fn out_of_order(options: &Options) -> Result<(), Box<dyn Error>> {
    let test = given(USUAL_PPM)?;
    println!("\n| 100 under way, failures answer first, true rate 2 % | stopped in 100 |");
    println!("|---|---|");
    for (name, rule) in [
        ("those under way counted", Regression::new(&test, DEVICES)),
        ("those under way left out", Regression::misused(&test, DEVICES, 100)),
    ] {
        let outcomes = play(&[&rule], USUAL_PPM, options.rollouts, options.seed).remove(0);
        println!("| {name} | {:.2} |", outcomes.stopped_percent());
    }
    Ok(())
}

fn play(rules: &[&dyn Rule], ppm: u32, rollouts: u32, seed: u64) -> Vec<Outcomes> {
    let mut chance = Chance::new(seed);
    let mut failures = vec![];
    let mut outcomes: Vec<Outcomes> = rules.iter().map(|_| Outcomes::default()).collect();
    for _ in 0..rollouts {
        chance.failures(DEVICES, ppm, &mut failures);
        for (rule, outcomes) in rules.iter().zip(&mut outcomes) {
            outcomes.take(*rule, &failures, DEVICES);
        }
    }
    outcomes
}

/// What one rule did.
struct Compared {
    name: &'static str,
    is_ours: bool,
    false_percent: f64,
    /// By [`BAD_PPM`].
    harm: Vec<Harm>,
}

fn compare(options: &Options) -> Result<Vec<Compared>, Box<dyn Error>> {
    let regression = Regression::new(&given(USUAL_PPM)?, DEVICES);
    let share = |percent| Share { percent, after: 20, is_strict: false };
    let rules: [(&str, &dyn Rule); 6] = [
        ("regression test, 2 %, alpha 1 %", &regression),
        ("5 % after 20", &share(5)),
        ("more than 5 % after 20", &Share { is_strict: true, ..share(5) }),
        ("10 % after 20", &share(10)),
        ("hawkBit, 5 % of groups of 200", &Group { percent: 5, devices: 200 }),
        ("hawkBit, 5 % of one group of 2,000", &Group { percent: 5, devices: DEVICES }),
    ];
    let rules_only = rules.map(|(_, rule)| rule);
    println!("\n| rule | healthy rollouts stopped (2 % fail), in 100 | at most (99 %) |");
    println!("|---|---|---|");
    let mut compared = vec![];
    let healthy = play(&rules_only, USUAL_PPM, options.rollouts, options.seed);
    for ((name, _), outcomes) in rules.iter().zip(healthy) {
        let false_percent = outcomes.stopped_percent();
        println!("| {name} | {false_percent:.2} | {:.2} |", at_most_percent(&outcomes)?);
        let is_ours = compared.is_empty();
        compared.push(Compared { name, is_ours, false_percent, harm: vec![] });
    }
    println!(
        "\nDevices harmed before the stop: median, mean, 95 in 100 at most (never stopped, in 100)\n"
    );
    println!("| rule | 5 % fail | 10 % fail | 30 % fail | all fail |");
    println!("|---|---|---|---|---|");
    for ppm in BAD_PPM {
        let outcomes = play(&rules_only, ppm, options.rollouts / 5, options.seed);
        for (row, outcomes) in compared.iter_mut().zip(outcomes) {
            row.harm.push(outcomes.harm());
        }
    }
    for Compared { name, harm, .. } in &compared {
        let cell = |harm: &Harm| {
            let Harm { median, mean, most, never_percent } = harm;
            format!("{median}, {mean:.1}, {most} ({never_percent:.1})")
        };
        println!("| {name} | {} |", harm.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    Ok(compared)
}
