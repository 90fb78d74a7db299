//! `groundswell completions` and `groundswell man`: what shells and `man` want to know of this program.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Failure, examples, print};

/// Arguments of `groundswell completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `groundswell man`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// The directory they are written to; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn completions(args: &Completions) -> ExitCode {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "groundswell", &mut script);
    print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

pub(super) fn man(args: &Man) -> ExitCode {
    let command = examples::with_examples(Cli::command(), "");
    let written = std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(command, &args.directory));
    let told = || format!("{} cannot be written to", args.directory.display());
    match written.with_context(told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::disk(error).tell(),
    }
}
