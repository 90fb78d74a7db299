//! Outside of the process: the program as it is installed, a fleet on real sockets, and everything
//! going wrong that can be done to processes, disks and connections. `make chaos` runs it.
//!
//! A target of its own, and a plain program instead of a test: it runs by the clock for minutes, it
//! wants a machine to itself, and it has to clean up when it is interrupted. So `cargo test` leaves
//! it out. What is judged, and by whom, is in `docs/simulation.md`.
#![expect(clippy::print_stdout, reason = "a program that tells what it did")]

#[path = "../it/world/courses.rs"]
mod courses;
#[path = "../it/world/dice.rs"]
#[expect(dead_code, reason = "shared with the simulated world, which draws in more ways")]
mod dice;
mod driver;
mod ground;
mod judge;
mod mischief;
mod operator;
mod scene;
mod testimony;

use std::{
    fs,
    path::Path,
    process::ExitCode,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use groundswell::{clock::Clock, core::rollout::Act};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    dice::Dice,
    driver::Driver,
    ground::{FleetProcess, Ground, INTERRUPTED, pause},
    judge::{Verdict, judge},
    mischief::Mischief,
    operator::Operator,
};

/// How long everything has to end by itself once nothing goes wrong any more.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// Breaches that are told; one is enough to look.
const BREACHES_TOLD: usize = 20;

/// Real processes, real sockets, and everything going wrong.
#[derive(Debug, clap::Parser)]
struct Args {
    /// What is drawn: the same seed draws the same, but the machine takes its own time
    #[arg(long)]
    seed: Option<u64>,
    /// How long things go wrong, in seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    secs: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| Clock::System.now().as_millis() as u64 % 1_000_000);
    println!("chaos: seed {seed}, {} s", args.secs);
    if let Err(error) = listen_for_interrupts() {
        println!("chaos: cannot listen for signals: {error}");
        return ExitCode::FAILURE;
    }
    let failed = match run(seed, args.secs) {
        Ok(breaches) if breaches.is_empty() => return ExitCode::SUCCESS,
        Ok(breaches) => breaches,
        Err(error) => vec![format!("{error:#}")],
    };
    if INTERRUPTED.load(Relaxed) {
        println!("chaos: interrupted; nothing is judged");
        return ExitCode::from(130);
    }
    for breach in failed.iter().take(BREACHES_TOLD) {
        println!("  {breach}");
    }
    println!("chaos: {} breaches; again: make chaos SEED={seed} SECS={}", failed.len(), args.secs);
    ExitCode::FAILURE
}

fn listen_for_interrupts() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        INTERRUPTED.store(true, Relaxed);
    });
    Ok(())
}

fn run(seed: u64, secs: u64) -> Result<Vec<String>> {
    let ground = Ground::new()?;
    if !ground.has_disk {
        println!("chaos: a tmpfs cannot be mounted here (it takes root): the disk is never full");
    }
    let ended = run_on(&ground, seed, secs);
    let is_fine = ended.as_ref().is_ok_and(Vec::is_empty);
    if !is_fine && !INTERRUPTED.load(Relaxed) {
        let to = std::env::temp_dir().join(format!("groundswell-chaos-{seed}"));
        match ground.keep_evidence(&to) {
            Ok(()) => println!("chaos: what is left is in {}", to.display()),
            Err(error) => println!("chaos: what is left cannot be kept: {error:#}"),
        }
    }
    ended
}

fn run_on(ground: &Ground, seed: u64, secs: u64) -> Result<Vec<String>> {
    let mut dice = Dice::new(seed);
    let fleet = FleetProcess::start(ground, seed, &scene::FAULTS)?;
    set_scene(ground, fleet.port)?;
    let planned = scene::rollouts(&mut dice.fork(), secs);
    let mut mischief = Mischief {
        ground,
        fleet,
        driver: Driver::new(ground),
        operator: Operator::new(ground, dice.fork()),
        dice: dice.fork(),
        done: mischief::Done::default(),
        backups: vec![],
        weather: mischief::Weather::default(),
    };
    mischief.driver.start()?;
    mischief.make(Duration::from_secs(secs), planned)?;
    let silent = settle(&mut mischief)?;
    mischief.driver.stop()?;
    let has_panicked = mischief.driver.has_panicked();
    let Mischief { driver, operator, done, backups, fleet, weather, .. } = mischief;
    let report = fleet.end()?;
    let mut verdict = judge(ground, &report, &operator.acknowledged, &backups, &weather)?;
    verdict.breaches.extend(silent);
    if has_panicked {
        verdict.breaches.push("a driver panicked; its log says where".to_owned());
    }
    tell(&verdict, &driver, &operator, &done, &report);
    Ok(verdict.breaches)
}

fn set_scene(ground: &Ground, port: u16) -> Result<()> {
    fs::write(ground.path("devices.csv"), scene::devices(port))?;
    ground.tell(&["device", "import", "devices.csv"])?;
    for version in scene::VERSIONS {
        let file = format!("pos-{version}.bin");
        write(&ground.path(&file), &scene::bytes_of(version))?;
        ground.tell(&["release", "create", "pos-app", version, &file])?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// Lets everything end, and gives up what does not. Says what did not say why.
fn settle(mischief: &mut Mischief<'_>) -> Result<Vec<String>> {
    mischief.end()?;
    let begun = Instant::now();
    while begun.elapsed() < SETTLE_MAX {
        mischief.driver.ensure_running()?;
        if mischief.operator.look_after()?.is_empty() {
            return Ok(vec![]);
        }
        pause(Duration::from_millis(500))?;
    }
    let unended = mischief.operator.look_after()?;
    let silent = mischief.operator.without_reason(&unended)?;
    for record in &unended {
        mischief.operator.act(record.key.0, Act::Cancel)?;
    }
    let begun = Instant::now();
    while begun.elapsed() < SETTLE_MAX && !mischief.operator.look_after()?.is_empty() {
        pause(Duration::from_millis(500))?;
    }
    Ok(silent)
}

fn tell(
    verdict: &Verdict,
    driver: &Driver<'_>,
    operator: &Operator<'_>,
    done: &mischief::Done,
    report: &groundswell::sim::Report,
) {
    println!(
        "done: {} drivers started, {} killed, {} held, {} stopped, {} ended by a full disk; {} full \
         disks; {} acts, {} acknowledged, {} killed; {} second drivers refused; {} networks, {} cut \
         off; {} copies",
        driver.starts,
        done.kills,
        done.stops,
        done.ends,
        driver.ended_by_full_disk,
        done.full_disks,
        operator.acts,
        operator.acknowledged.len(),
        operator.killed,
        done.refused_drivers,
        done.networks,
        done.cut_offs,
        done.backups,
    );
    let fleet = &report.fleet;
    println!(
        "seen: {} rollouts, {} devices, {} assignments, {} claims, {} bodies ({} whole, {} cut, {} \
         refused), {} updates, {} log rows",
        verdict.rollouts,
        fleet.devices,
        verdict.assignments,
        verdict.deliveries,
        verdict.sent,
        fleet.receptions.complete,
        fleet.receptions.cut,
        fleet.receptions.refused,
        verdict.updates,
        verdict.log_rows,
    );
    let ends: Vec<_> =
        verdict.ends.iter().map(|(state, count)| format!("{count} {state}")).collect();
    println!("ends: {}", ends.join(", "));
    println!("faults: {:?}", fleet.faults);
}
