//! `groundswell state`: copies of a state directory, and what of its log is kept.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use groundswell_core::{moment::Moment, time::Time};

use super::{
    Failure,
    state::{self, Told},
    text::{count, date},
};
use crate::{
    clock::Clock,
    operate::{Backup, Pruned},
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
            let backup =
                on.at.dir(on.print, "a state is copied by its machine")?.look()?.backup(file)?;
            on.show(&backup, || copied(&backup))?;
        }
        Verb::Prune { before } => {
            let now = Clock::System.now();
            let before = passed(*before, now)?;
            let dir = on.at.dir(on.print, "a log is taken back by its machine")?;
            let subject = format!("what was before {}", date(before));
            let pruned = dir.change("state.prune", subject, now)?.prune(before)?;
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

/// The time before which a log goes, if it has passed: another one would take all there is, and who
/// writes `-0d` or a year to come rather made a mistake.
fn passed(before: Moment, now: Time) -> Result<Time, Failure> {
    let time = before.resolve(now);
    if time < now {
        return Ok(time);
    }
    Err(Failure::input(anyhow::anyhow!(
        "--before {before} is not in the past: all that was written down would go; name a time that \
         has passed, or an age such as -90d"
    )))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_all_of_a_log_is_refused() {
        let now = Time::from_millis(1_795_615_200_000);
        let ask =
            |text: &str| passed(text.parse().unwrap(), now).map_err(|why| why.error.to_string());
        assert_eq!(ask("-1s"), Ok(Time::from_millis(1_795_615_199_000)));
        assert_eq!(ask("2026-11-25T13:59:59Z"), Ok(Time::from_millis(1_795_615_199_000)));
        for (text, shown) in [
            ("-0d", "-0s"),
            ("2026-11-25T14:00:00Z", "2026-11-25T14:00:00.000Z"),
            ("2062-11-01T00:00:00Z", "2062-11-01T00:00:00.000Z"),
        ] {
            let why = format!(
                "--before {shown} is not in the past: all that was written down would go; name a \
                 time that has passed, or an age such as -90d"
            );
            assert_eq!(ask(text), Err(why));
        }
    }
}
