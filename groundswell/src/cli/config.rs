//! `groundswell config`: what the server is set up with, before it is started.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};

use super::{Failure, contexts::environment, print_line, tell_line};
use crate::{
    config::{self, Settings, Shown},
    delivery::http::Client,
};

/// Arguments of `groundswell config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what is wrong with a file of settings and with the environment; read what they name
    Check {
        /// Of which file.
        #[command(flatten)]
        of: Of,
    },
    /// Print every setting, its value and where that comes from; secrets are masked
    Show {
        /// Of which file.
        #[command(flatten)]
        of: Of,

        /// How it is printed
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Print a file with every setting, each commented out, to begin with
    Example,
}

/// The file of settings, as it is said to `serve` or by itself.
#[derive(Debug, clap::Args)]
struct Of {
    #[arg(
        value_name = "FILE",
        conflicts_with = "config",
        help = "The file of settings; that in GROUNDSWELL_CONFIG if none is said"
    )]
    file: Option<PathBuf>,

    /// The same, as `serve` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Of {
    fn file(&self) -> Option<PathBuf> {
        let said = self.file.clone().or_else(|| self.config.clone());
        said.or_else(|| environment("GROUNDSWELL_CONFIG").map(PathBuf::from))
    }
}

/// How settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// As they would stand in the file, with where they come from.
    Text,
    /// A JSON array.
    Json,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let ran = match &args.verb {
        Verb::Check { of } => check(of.file().as_deref()),
        Verb::Show { of, output } => show(of.file().as_deref(), *output),
        Verb::Example => {
            print_line(config::example().trim_end());
            Ok(())
        }
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn check(file: Option<&Path>) -> Result<(), Failure> {
    let settings = gather(file)?;
    let input = |error: anyhow::Error| Failure::input(error);
    let config = settings.resolve(variable).map_err(|error| input(error.into()))?;
    config.setup.check().map_err(|error| input(error.into()))?;
    Client::new(config.http).context("delivery").map_err(input)?;
    if let Some(file) = file.filter(|file| settings.has_secret_in_file() && may_be_read(file)) {
        tell_line(&format!(
            "note: {} has secrets in it, and others may read it: chmod 600, or write where they \
             are (env:NAME, file:PATH)",
            file.display()
        ));
    }
    for (name, meant) in mistyped() {
        tell_line(&format!("note: {name} is no variable of ours; did you mean {meant}?"));
    }
    print_line("nothing is wrong with it");
    Ok(())
}

/// Whether others than the owner and its group may read a file.
fn may_be_read(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

/// Variables of the environment that are none of ours, but look it.
fn mistyped() -> Vec<(String, String)> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("GROUNDSWELL_"));
    let mut found: Vec<_> =
        ours.filter_map(|name| config::meant(&name).map(|meant| (name, meant))).collect();
    found.sort();
    found
}

fn show(file: Option<&Path>, output: Output) -> Result<(), Failure> {
    let shown = gather(file)?.shown();
    if output == Output::Json {
        let text =
            serde_json::to_string_pretty(&shown).context("no JSON").map_err(Failure::disk)?;
        print_line(&text);
        return Ok(());
    }
    let lines: Vec<(String, &Shown)> = shown.iter().map(|shown| (line(shown), shown)).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let width = width.min(LINE_MAX);
    for (line, shown) in lines {
        print_line(&format!("{line:width$}  # {}", shown.from));
    }
    Ok(())
}

/// Where the column of origins begins at the latest.
const LINE_MAX: usize = 60;

fn line(shown: &Shown) -> String {
    match &shown.value {
        Some(value) => format!("{} = {value}", shown.key),
        None => format!("#{} is not set", shown.key),
    }
}

fn gather(file: Option<&Path>) -> Result<Settings, Failure> {
    Settings::gather(file, variable, vec![]).map_err(|error| Failure::input(error.into()))
}

/// A variable of the environment.
pub(super) fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the command line's edge")]
    std::env::var(name).ok()
}
