//! `groundswell push`: one release to a whole fleet.
//!
//! Owns the arguments, what is asked on a terminal, Ctrl-C and the exit codes; the push itself is
//! [`crate::Push`].

mod args;
mod confirm;
mod display;
mod drive;
mod read;

use std::process::ExitCode;

use anyhow::Context as _;

pub use self::args::Args;
use self::args::Output;
use super::{Failure, follow::EXIT_INTERRUPTED};
use crate::{
    Push,
    push::{PushError, PushResult, Summary},
};

/// Above this many devices a terminal asks first.
const ASK_ABOVE: usize = 100;

pub(super) fn run(args: &Args) -> ExitCode {
    match try_run(args) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.about_state(&args.state).tell(),
    }
}

fn try_run(args: &Args) -> Result<u8, Failure> {
    super::raise_open_files(args.max_in_flight)?;
    let push = read::push(args)?;
    if args.dry_run {
        return dry_run(args, &push);
    }
    if !args.yes && push.devices() > ASK_ABOVE {
        let is_agreed = confirm::confirm(&question(args, &push)).map_err(Failure::input)?;
        if !is_agreed {
            super::tell_line("nothing was sent");
            return Ok(EXIT_INTERRUPTED);
        }
    }
    let runtime = runtime(&push).context("no runtime").map_err(Failure::disk)?;
    let summary = runtime.block_on(drive::drive(args.output, push));
    // A look-up or a read that hangs is nothing to wait for.
    runtime.shutdown_background();
    Ok(exit_code(&summary?))
}

fn dry_run(args: &Args, push: &Push) -> Result<u8, Failure> {
    let plan = push.dry_run().map_err(failure)?;
    let text = match args.output {
        Output::Text => plan.to_string(),
        Output::Json => serde_json::to_string_pretty(&plan).map_err(unwritable)?,
        Output::Events => serde_json::to_string(&plan).map_err(unwritable)?,
    };
    super::print_line(&text);
    Ok(if plan.is_refused() { 2 } else { 0 })
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::disk(error.into())
}

/// From this many devices to a host on, connections are mostly used again.
const DEVICES_PER_HOST_SHARED: usize = 2;

/// On two cores, one for the connections and one for the database are all there is, and more
/// threads would only pass work around, unless every device wants a connection of its own: opening
/// and closing these is more than one core can do beside.
fn runtime(push: &Push) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let is_shared = push.devices() >= DEVICES_PER_HOST_SHARED * push.hosts();
    let threads = if is_shared { cores - 1 } else { cores };
    let mut builder = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    builder.enable_all().build()
}

/// What is asked above [`ASK_ABOVE`] devices.
fn question(args: &Args, push: &Push) -> String {
    let (file, version, devices) = (args.file.display(), &args.version, push.devices());
    format!("push {file} as version {version} to {devices} devices?")
}

fn exit_code(summary: &Summary) -> u8 {
    match summary.result {
        PushResult::Interrupted => EXIT_INTERRUPTED,
        PushResult::StoreFailed => 3,
        _ if summary.is_success() => 0,
        _ => 1,
    }
}

fn failure(error: PushError) -> Failure {
    use crate::artifacts::store::ArtifactError;
    let is_state = matches!(
        error,
        PushError::State(_)
            | PushError::Store(_)
            | PushError::Run(_)
            | PushError::Artifact(ArtifactError::Keep { .. })
    );
    if is_state { Failure::disk(error.into()) } else { Failure::input(error.into()) }
}
