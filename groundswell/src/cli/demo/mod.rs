//! `groundswell demo`: ten terminals of a retail chain, updated in seven ways before your eyes.
//!
//! The terminals are simulated on loopback and time goes faster; the HTTP, the state directory and
//! its driver are those of `groundswell run`. Each scenario is checked by what the terminals
//! report. Start with `scenario::SCENARIOS`.

mod check;
mod paint;
mod performance;
mod played;
mod scenario;
mod stage;
mod table;
mod tell;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use groundswell_core::{time::Time, waiting::span};

use self::{
    paint::Paint,
    performance::Performance,
    played::Played,
    scenario::{REBOOT_MINUTES, SCENARIOS},
    stage::{BEGINS_AT, Stage},
};
use super::{Failure, print_line};
use crate::clock::Clock;

/// The fastest that HTTP on a busy machine can keep up with: windows of two hours last two seconds.
const SPEED_MAX: u32 = 3_600;

/// Arguments of `groundswell demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 every scenario did what it says, 1 one did not (it is named), 130 interrupted.")]
pub struct Args {
    /// Print without colors, also to a terminal
    #[arg(long)]
    headless: bool,

    /// How many times faster than the clock on the wall time goes
    #[arg(long, value_name = "N", default_value_t = 600,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(SPEED_MAX)))]
    speed: u32,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let played = runtime.context("no runtime").and_then(|runtime| {
        let played = runtime.block_on(async {
            tokio::select! {
                played = play(args) => played,
                _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(super::follow::EXIT_INTERRUPTED)),
            }
        });
        // What still hangs is nothing to wait for.
        runtime.shutdown_background();
        played
    });
    match played {
        Ok(code) => code,
        Err(error) => Failure { code: 1, error }.tell(),
    }
}

async fn play(args: &Args) -> anyhow::Result<ExitCode> {
    let paint = Paint { is_plain: args.headless || !super::is_terminal() };
    let begun_at = Clock::System.now();
    let dir = Scratch::new()?;
    let mut stage = Stage::set(&dir.0.join("state"), args.speed)?;
    introduce(&stage, args.speed, paint);
    let mut all = vec![];
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let played =
            Performance { stage: &mut stage, scenario, number: number + 1, paint }.play().await;
        all.push(played.with_context(|| format!("{}: FAILED", scenario.name))?);
    }
    let over_at = stage.clock.now();
    stage.end().await?;
    Ok(conclude(&all, Clock::System.now().since(begun_at), over_at, paint))
}

fn introduce(stage: &Stage, speed: u32, paint: Paint) {
    let second = span(Duration::from_secs(u64::from(speed)));
    print_line(&format!(
        "Ten point-of-sale terminals of a retail chain, simulated on loopback, are updated in seven \
         ways over\nreal HTTP. A second here is {second} there (--speed {speed}); a terminal takes \
         {REBOOT_MINUTES} minutes to install\nand reboot. It is Tuesday, 23:30 in New York.\n"
    ));
    let devices: Vec<_> = stage.terminals.iter().map(|terminal| &terminal.device).collect();
    print_line(&table::inventory(&devices, BEGINS_AT, paint));
}

/// The tables, and how it ends.
fn conclude(
    all: &[(Played, Vec<String>)],
    took: Duration,
    over_at: Time,
    paint: Paint,
) -> ExitCode {
    let played: Vec<Played> = all.iter().map(|(played, _)| played.clone()).collect();
    print_line(&paint.bold("What each terminal went through\n"));
    print_line(&table::outcomes(&played, paint));
    print_line("  02:00: when it came, by the terminal's own clock   w2: in the second wave");
    print_line("  offline: skipped, as it was known to be offline    late: it was waited for");
    print_line(
        "  hurt: 2.12.0 broke it; it is well, and back        back: it took 2.12.0, and is back",
    );
    print_line("  -: it was not chosen                               kept: it was never sent to\n");
    print_line(&paint.bold("How long each scenario took\n"));
    print_line(&table::durations(all, paint));
    let (took, told) = (took.as_secs_f64(), span(over_at.since(BEGINS_AT)));
    let failed = SCENARIOS.iter().zip(all).filter(|(_, (_, wrong))| !wrong.is_empty());
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() {
        print_line(&format!("All seven did what they say: {told} in {took:.0} s."));
        return ExitCode::SUCCESS;
    }
    print_line(&format!("{} of {} did not do what they say.", failed.len(), all.len()));
    for (scenario, (_, wrong)) in failed {
        for wrong in wrong {
            super::tell_line(&format!("FAILED {}: {wrong}", scenario.name));
        }
    }
    ExitCode::from(1)
}

/// A directory that is removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let name = format!("groundswell-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).context("no temporary directory can be made")?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
