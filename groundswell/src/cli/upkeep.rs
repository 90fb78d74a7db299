//! `groundswell state`: copies of a state directory, and what of its log is kept.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use groundswell_core::moment::Moment;

use super::{
    state::{self, Told},
    text::{count, date},
};
use crate::{
    clock::Clock,
    operate::{Backup, Pruned, State},
    units::Bytes,
};

/// Arguments of `groundswell state`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    on: state::On,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Copy the database to a file, as it is at one moment, also while it is driven
    Backup {
        /// The file, which must not be there
        file: PathBuf,
    },
    /// Take back what was written down of rollouts before a time; the rest runs again as before
    Prune {
        /// A time (2026-11-01T00:00:00Z) or an age (-90d)
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        before: Moment,
    },
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(try_run(args))
}

fn try_run(Args { verb, on }: &Args) -> Result<u8, Told> {
    match verb {
        Verb::Backup { file } => {
            let backup = State::look(&on.state)?.backup(file)?;
            on.show(&backup, || copied(&backup))?;
        }
        Verb::Prune { before } => {
            let before = before.resolve(Clock::System.now());
            let pruned = State::open_existing(&on.state)?.prune(before)?;
            let note = pruned
                .is_empty()
                .then(|| format!("nothing was written down before {} that could go", date(before)));
            on.show_list(&pruned, note, || taken_back(&pruned))?;
            if pruned.iter().any(|pruned| pruned.kept.is_some()) {
                return Ok(1);
            }
        }
    }
    Ok(0)
}

fn copied(Backup { file, bytes, artifacts }: &Backup) -> String {
    format!(
        "{}: {}, whole\n\nTo restore it, put it back as state.db into an empty state directory. \
         The files of\nreleases are not in it: they never change, and are in {}.",
        file.display(),
        Bytes(*bytes),
        artifacts.display()
    )
}

fn taken_back(pruned: &[Pruned]) -> String {
    let mut words = String::new();
    for Pruned { rollout, rows, bytes, kept } in pruned {
        let _ = match kept {
            None => writeln!(
                words,
                "rollout {rollout}: {} taken back, {}",
                count(*rows, "entry").replace("entrys", "entries"),
                Bytes(*bytes)
            ),
            Some(why) => writeln!(words, "rollout {rollout}: all kept: {why}"),
        };
    }
    words
}
