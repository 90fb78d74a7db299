//! The command line: one file per noun, and the only place that prints.
//!
//! Owns arguments, exit codes and messages. Start with [`Command`].
#![expect(clippy::print_stderr, reason = "the edge where the program talks")]

pub mod sim;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sends software to fleets of devices, in a way that can be proved.
#[derive(Debug, Parser)]
#[command(name = "groundswell", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a simulated fleet on one port, to rehearse against
    Sim(sim::Args),
}

/// The program: reads the command line, does it, and says how it went.
pub fn main() -> ExitCode {
    run(Cli::parse())
}

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Sim(args) => sim::run(&args),
    }
}

/// What went wrong, with its causes, and the exit code that goes with it.
#[derive(Debug)]
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// What was asked for cannot be done as it was asked.
    fn input(error: anyhow::Error) -> Self {
        Self { code: 2, error }
    }

    /// State or disk failed.
    fn disk(error: anyhow::Error) -> Self {
        Self { code: 3, error }
    }

    fn tell(&self) -> ExitCode {
        eprintln!("error: {:#}", self.error);
        ExitCode::from(self.code)
    }
}
