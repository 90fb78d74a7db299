//! Many worlds, one after the other on every core, and what they came to.
#![expect(clippy::print_stdout, reason = "whoever runs them reads how far they are")]

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs::OpenOptions,
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use groundswell::core::assignment::State;

use super::{Sum, coverage::Coverage, runs, scenario::Scenario, trace::Telling};

/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How often it is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Failures that are kept to be shown; the others are counted, and written to the file.
const SHOWN_MAX: usize = 20;

/// Failures that are made smaller, each of which takes as long as many worlds.
const SHRUNK_MAX: usize = 3;

/// Worlds that are told as the slowest.
const SLOWEST: usize = 5;

/// What is to be run.
pub(crate) struct Plan {
    /// The first seed; the others follow it.
    pub(crate) first: u64,
    pub(crate) steps_max: u64,
    /// How many worlds, if not for some time.
    pub(crate) worlds: Option<u64>,
    /// How long; until stopped if it does not say.
    pub(crate) secs: Option<u64>,
    pub(crate) threads: usize,
    /// The file that failures are written to.
    pub(crate) failures: Option<PathBuf>,
    /// What they were made of.
    pub(crate) commit: String,
    /// It goes on until so many worlds have failed.
    pub(crate) failures_max: usize,
}

/// What worlds came to, all together.
#[derive(Default)]
struct Totals {
    worlds: u64,
    unfinished: u64,
    updates: u64,
    steps: u64,
    drivers: u64,
    ends: BTreeMap<State, u64>,
    coverage: Coverage,
    /// What went wrong in them, as it should.
    happened: BTreeMap<&'static str, u64>,
    /// Those that took the longest, and what they came to: where speed is to be looked for.
    slowest: BTreeMap<Reverse<(Duration, u64)>, u64>,
    failed: usize,
    failures: Vec<String>,
}

impl Totals {
    fn add(&mut self, seed: u64, sum: Sum, took: Duration) {
        self.worlds += 1;
        self.slowest.insert(Reverse((took, seed)), sum.updates);
        if self.slowest.len() > SLOWEST {
            self.slowest.pop_last();
        }
        self.unfinished += u64::from(!sum.is_whole);
        self.updates += sum.updates;
        self.steps += sum.steps;
        self.drivers += sum.drivers;
        for (state, count) in sum.ends {
            *self.ends.entry(state).or_default() += count;
        }
        for (what, count) in sum.happened {
            *self.happened.entry(what).or_default() += count;
        }
        self.coverage.add(sum.coverage);
    }

    fn line(&self, elapsed: Duration) -> String {
        let Self { worlds, unfinished, updates, steps, drivers, failed, .. } = self;
        let speed = *updates as f64 / elapsed.as_secs_f64().max(0.001);
        let secs = elapsed.as_secs();
        format!(
            "{worlds} worlds ({unfinished} left unfinished, {failed} failed), {updates} \
             device-updates, {steps} steps, {drivers} drivers in {secs} s: \
             {speed:.0} device-updates/s"
        )
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.coverage)?;
        for (state, count) in &self.ends {
            writeln!(f, "{count:>12} {state}")?;
        }
        for (what, count) in &self.happened {
            writeln!(f, "{count:>12} {what}")?;
        }
        for (Reverse((took, seed)), updates) in &self.slowest {
            let secs = took.as_secs_f64();
            writeln!(f, "{secs:>10.1} s took seed {seed}: {updates} device-updates")?;
        }
        Ok(())
    }
}

impl Plan {
    /// Runs worlds until it is time, or somebody interrupts it; returns what failed.
    pub(crate) fn run(&self) -> Vec<String> {
        let (stop, seed) = (Arc::new(AtomicBool::new(false)), AtomicU64::new(self.first));
        let totals = Mutex::new(Totals::default());
        let began = Instant::now();
        println!("worlds from seed {}, {} at a time", self.first, self.threads);
        if self.secs.is_none() && self.worlds.is_none() {
            stop_when_interrupted(Arc::clone(&stop));
        }
        std::thread::scope(|scope| {
            let work = || scope.spawn(|| self.work(&seed, &totals, &stop));
            let workers: Vec<_> = (0..self.threads).map(|_| work()).collect();
            let mut told = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK_EVERY);
                let elapsed = began.elapsed();
                let is_time = self.secs.is_some_and(|secs| elapsed.as_secs() >= secs)
                    || workers.iter().all(std::thread::ScopedJoinHandle::is_finished);
                let totals = totals.lock().unwrap();
                if is_time || totals.failed >= self.failures_max {
                    stop.store(true, Ordering::Relaxed);
                } else if elapsed >= told + TELL_EVERY {
                    told = elapsed;
                    println!("{}", totals.line(elapsed));
                }
            }
        });
        let totals = totals.into_inner().unwrap();
        println!("{}\n{totals}", totals.line(began.elapsed()));
        totals.failures
    }

    fn work(&self, seed: &AtomicU64, totals: &Mutex<Totals>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let seed = seed.fetch_add(1, Ordering::Relaxed);
            if self.worlds.is_some_and(|worlds| seed - self.first >= worlds) {
                return;
            }
            let scenario = Scenario { steps_max: self.steps_max, ..Scenario::of(seed) };
            let began = Instant::now();
            let result = if totals.lock().unwrap().failed < SHRUNK_MAX {
                runs::run_and_shrink(&scenario, &self.commit, stop)
            } else {
                runs::run(&scenario, &self.commit, Telling::Nothing, stop)
            };
            let mut totals = totals.lock().unwrap();
            match result {
                Ok(sum) => totals.add(seed, sum, began.elapsed()),
                Err(failure) => {
                    totals.failed += 1;
                    println!("seed {seed} failed: {}", last_words(&failure));
                    self.write_down(seed, &failure);
                    if totals.failures.len() < SHOWN_MAX {
                        totals.failures.push(failure);
                    }
                }
            }
        }
    }

    /// A failure goes to a file at once, should the run never come to its end.
    fn write_down(&self, seed: u64, failure: &str) {
        let Some(path) = &self.failures else { return };
        let mut text = String::new();
        let Self { commit, steps_max, .. } = self;
        let _ = writeln!(text, "== seed {seed}, commit {commit}, steps at most {steps_max}");
        let _ = writeln!(text, "{failure}\n");
        let file = OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            println!("{} cannot be written: {error}", path.display());
        }
    }
}

/// From now on an interrupt lets every world end where it is.
fn stop_when_interrupted(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = tokio::signal::ctrl_c().await;
            stop.store(true, Ordering::Relaxed);
        });
    });
}

fn last_words(failure: &str) -> String {
    let lines = failure.lines().filter(|line| !line.starts_with("  ") && !line.is_empty());
    lines.take(2).collect::<Vec<_>>().join(" | ").chars().take(400).collect()
}
