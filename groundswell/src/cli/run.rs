//! `groundswell run`: drives the rollouts of a state directory until it is stopped.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::ValueEnum;
use groundswell_core::{ids::RolloutId, rollout::IN_FLIGHT_LIMIT};

use super::{Failure, follow, out::OUT, wire::Wire};
use crate::{
    Driver,
    drive::{DriveError, IN_FLIGHT_MAX},
    engine::hub::Events,
    store::{SqliteStore, Store, Which, dir::database},
};

/// Arguments of `groundswell run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rollouts are created and steered by `groundswell rollout` in the same state directory, also while \
this runs. Killed at any instant, it goes on where it was when it is started again.

Exit status: 0 stopped by Ctrl-C or SIGTERM, 2 bad input, 3 the state or the disk failed.")]
pub struct Args {
    /// Deliveries open at once, of all rollouts
    #[arg(long, value_name = "N", default_value_t = IN_FLIGHT_MAX,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(IN_FLIGHT_LIMIT)))]
    pub max_in_flight: u32,

    /// How devices are talked to.
    #[command(flatten)]
    pub wire: Wire,

    /// Where the state is kept
    #[arg(
        long,
        value_name = "DIR",
        default_value = crate::store::dir::DEFAULT,
        env = "GROUNDSWELL_STATE",
        help_heading = "State"
    )]
    pub state: PathBuf,

    /// What to print: a line of text for each event, JSON lines, or nothing
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line for each event.
    Text,
    /// Events as JSON lines.
    Events,
    /// Nothing.
    None,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match try_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.about_state(&args.state).tell(),
    }
}

fn try_run(args: &Args) -> Result<(), Failure> {
    super::raise_open_files(args.max_in_flight)?;
    let http = args.wire.config().map_err(|error| Failure::input(error.into()))?;
    let driver = Driver::new(&args.state).http(http).in_flight_max(args.max_in_flight);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("no runtime").map_err(Failure::disk)?;
    let result = runtime.block_on(drive(args, driver));
    // A look-up or a read that hangs is nothing to wait for.
    runtime.shutdown_background();
    result
}

async fn drive(args: &Args, mut driver: Driver) -> Result<(), Failure> {
    follow::listen(driver.stopper()).context("cannot listen for signals").map_err(Failure::disk)?;
    let told = match args.output {
        Output::Text => {
            Some(tokio::spawn(print_text(driver.subscribe_to_durable(), args.state.clone())))
        }
        Output::Events => Some(tokio::spawn(follow::print_events(driver.subscribe()))),
        Output::None => None,
    };
    let begun = driver.begun();
    let driving = tokio::spawn(driver.run());
    if begun.await.is_ok() {
        super::tell_line(&format!("driving {}; Ctrl-C stops", args.state.display()));
    }
    let result = driving.await;
    if let Some(told) = told {
        let _ = told.await;
    }
    OUT.flush().await;
    match result {
        Ok(result) => result.map_err(failure),
        Err(died) => Err(Failure::disk(died.into())),
    }
}

/// One line for each event, with the number of its rollout.
async fn print_text(mut events: Events, state: PathBuf) {
    let mut numbers = BTreeMap::new();
    while let Some(event) = events.recv().await {
        if !numbers.contains_key(&event.rollout) {
            numbers = all_numbers(&state).unwrap_or(numbers);
        }
        let number = numbers.get(&event.rollout).map_or_else(String::new, |key| format!(" #{key}"));
        OUT.print(format!("{}{number} {event}", event.at)).await;
    }
}

/// The number of each rollout of a state directory.
fn all_numbers(state: &Path) -> Option<BTreeMap<RolloutId, i64>> {
    let store = SqliteStore::open_to_read(&database(state)).ok()??;
    let rollouts = store.rollouts(Which::All).ok()?;
    Some(rollouts.into_iter().map(|record| (record.id, record.key.0)).collect())
}

fn failure(error: DriveError) -> Failure {
    match error {
        DriveError::Http(_) => Failure::input(error.into()),
        _ => Failure::disk(error.into()),
    }
}
