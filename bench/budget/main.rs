//! What budgets cost: the same rollout with none, one for each store, and three.
//!
//! ```text
//! cargo run --release --package groundswell --example budget -- [--devices 1000000] [--runs 3] [--wide 1]
//! ```
//!
//! Devices are in stores of ten. The production step and store run on one thread, one job after the
//! other, so that what is measured is what they cost and not what they wait for. Deliveries are
//! thought up: 1,000 are open, and the oldest hundred succeed at a time. Counted are all steps,
//! fetches and commits from the first claim to the last result, for each device.
//!
//! With `--wide 1` there is one budget, 2 % of each of eight regions, and so many are open that it is
//! what they wait for: more than may wait in memory, so that most are left in the store.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench: it prints, and stops where it fails"
)]

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    path::Path,
    time::{Duration, Instant},
};

use groundswell::{
    clock::Clock,
    core::{
        budget::{Budget, Limit},
        device::Device,
        ids::RolloutId,
        outcome::Outcome,
        release::{Digest, Release},
        rollout::{self, Act, Spec},
        verify::Mode,
    },
    engine::{
        choose::choose,
        step::{Command, Engine, Fact, GATHER, LOOK_EVERY, Manner},
        takeover::take,
    },
    store::{
        Intent, SqliteStore, Store, Which,
        writer::{Job, do_job},
    },
};

/// Devices written in one transaction.
const CHUNK: usize = 4_000;

/// Devices of a store.
const STORE: usize = 10;

/// Deliveries that are open, and how many of them end at a time.
const OPEN: u32 = 1_000;
const END: usize = 100;

/// The same where all slots of eight regions are to be taken.
const OPEN_WIDE: u32 = 30_000;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let of = |name: &str, otherwise: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.map_or(otherwise, |at| args[at + 1].parse().unwrap())
    };
    let (devices, runs) = (of("--devices", 1_000_000), of("--runs", 3));
    let is_wide = of("--wide", 0) > 0;
    let narrow: [(&str, &[(&str, Limit)]); 3] = [
        ("none", &[]),
        ("store, max 1", &[("tag.store", Limit::Max(1))]),
        (
            "store, max 1; region, 2 %; pair, max 1",
            &[
                ("tag.store", Limit::Max(1)),
                ("tag.region", Limit::Percent(2)),
                ("tag.pair", Limit::Max(1)),
            ],
        ),
    ];
    let wide: [(&str, &[(&str, Limit)]); 2] =
        [("none", &[]), ("wide, 2 %", &[("tag.wide", Limit::Percent(2))])];
    let (plans, open_max) = if is_wide { (&wide[..], OPEN_WIDE) } else { (&narrow[..], OPEN) };
    println!(
        "| budgets | us for each device, median of {runs} | steps | fetches | commits | times none |"
    );
    println!("|---|---|---|---|---|---|");
    let mut costs: BTreeMap<&str, Vec<Cost>> = BTreeMap::new();
    // One after the other, so that what the machine does meanwhile is the same for all.
    for _ in 0..runs {
        for (name, budgets) in plans {
            costs.entry(name).or_default().push(run(devices, budgets, open_max));
        }
    }
    let mut none = 0.0;
    for (name, _) in plans {
        let runs = costs.get_mut(name).unwrap();
        runs.sort_unstable_by_key(Cost::all);
        let cost = runs[runs.len() / 2];
        let us = |time: Duration| time.as_secs_f64() * 1e6 / devices as f64;
        if none == 0.0 {
            none = us(cost.all());
        }
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            us(cost.all()),
            us(cost.steps),
            us(cost.fetches),
            us(cost.commits),
            us(cost.all()) / none
        );
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    steps: Duration,
    fetches: Duration,
    commits: Duration,
}

impl Cost {
    fn all(&self) -> Duration {
        self.steps + self.fetches + self.commits
    }
}

fn device(n: usize) -> Device {
    let id = format!("pos-{n:07}");
    let store = n / STORE;
    let tags = [("store", store), ("region", store % 50), ("pair", n / 2), ("wide", n % 8)];
    Device {
        name: id.clone(),
        id,
        address: Some(
            format!("http://10.{}.{}.{}:8080", n >> 16, n >> 8 & 255, n & 255).parse().unwrap(),
        ),
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_string())).into(),
        ..Device::default()
    }
}

fn fill(dir: &Path, count: usize, budgets: &[(&str, Limit)], open_max: u32) -> SqliteStore {
    let mut store = SqliteStore::open(&groundswell::store::dir::database(dir)).unwrap();
    for first in (0..count).step_by(CHUNK) {
        let devices: Vec<Device> = (first..count.min(first + CHUNK)).map(device).collect();
        store.put_devices(&devices.iter().collect::<Vec<_>>()).unwrap();
    }
    let release = Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    };
    let mut spec = Spec { strategy: rollout::Strategy::Immediate, ..Spec::immediate(release) };
    "the same for all".clone_into(&mut spec.salt);
    spec.verify.mode = Mode::None;
    spec.limits.max_in_flight = open_max;
    spec.limits.max_unverified = 10 * open_max;
    let budget = |(per, limit): &(&str, Limit)| Budget {
        per: per.parse().unwrap(),
        limit: *limit,
        counts_down: false,
    };
    spec.budgets = budgets.iter().map(budget).collect();
    let now = Clock::System.now();
    let rollout = store.create(RolloutId(uuid::Uuid::now_v7()), None, &spec, now).unwrap();
    let start = Intent::Act { rollout, act: Act::Start, generation: None, reason: None };
    store.put_intent(&start, now).unwrap();
    store
}

fn run(devices: usize, budgets: &[(&str, Limit)], open_max: u32) -> Cost {
    let dir = tempfile::tempdir().unwrap();
    let mut store = fill(dir.path(), devices, budgets, open_max);
    let epoch = store.raise_epoch().unwrap();
    let driven = store.rollouts(Which::Driven).unwrap();
    let taken = driven.into_iter().map(|record| take(&store, record).unwrap()).collect();
    let manner = Manner {
        is_heard: false,
        gather: GATHER,
        in_flight_max: open_max,
        look_every: Some(LOOK_EVERY),
    };
    let mut engine = Engine::new(taken, epoch, manner, Clock::System.now());
    let mut cost = Cost::default();
    let (mut facts, mut open) = (vec![], VecDeque::new());
    let (mut ended, mut has_begun) = (0, false);
    while ended < devices {
        if facts.is_empty() || open.len() >= open_max as usize {
            let count = open.len().min(END);
            facts.extend(open.drain(..count));
        }
        let delivered = facts.iter().filter(|fact| matches!(fact, Fact::Delivered(..))).count();
        let started = Instant::now();
        let commands = engine.step(Clock::System.now(), std::mem::take(&mut facts));
        if has_begun {
            cost.steps += started.elapsed();
        }
        for command in commands {
            match command {
                Command::Store(job) => {
                    let (is_commit, is_fetch) =
                        (matches!(job, Job::Commit(_)), matches!(job, Job::Fetch(_)));
                    let started = Instant::now();
                    facts.push(Fact::Store(do_job(&mut store, job)));
                    if has_begun && is_commit {
                        cost.commits += started.elapsed();
                    } else if has_begun && is_fetch {
                        cost.fetches += started.elapsed();
                    }
                }
                Command::Choose(key, spec) => {
                    let division = choose(&store, &spec, Clock::System.now()).unwrap();
                    facts.push(Fact::Chosen(key, Some(Box::new(division))));
                }
                Command::Open(opening) => facts.push(Fact::Opened(opening.rollout)),
                Command::Send(sending) => {
                    has_begun = true;
                    let accepted = Outcome::Accepted { status: 202 };
                    open.push_back(Fact::Delivered(
                        sending.rollout,
                        sending.candidate.id,
                        accepted,
                    ));
                }
                _ => {}
            }
        }
        ended += delivered;
    }
    cost
}
