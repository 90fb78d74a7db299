//! `groundswell rollout`: written down, started, looked at, and acted on.

mod acts;
mod check;
mod create;
mod explain;
mod replay;
mod rollback;
mod show;
mod watch;
mod waves;
pub(super) mod why;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use groundswell_core::rollout::Act;

use super::state::{self, Told};
use crate::clock::Clock;

/// Arguments of `groundswell rollout`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rollout N is its number, its id, or what its id begins with.

Exit status: 0 done, 1 a rollout that was watched did not complete, or a log does not \
run again, 2 bad input or refused, \
3 the state or the disk failed, or no driver answered.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    on: state::On,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a rollout down as a draft, by a spec in TOML or JSON
    Create {
        /// What is to happen (docs/rollout-spec.md)
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
        /// Say which devices would be in which wave, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what is wrong with a spec, as devices, hours and releases are now; write nothing
    Check {
        /// What is to happen (docs/rollout-spec.md)
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
    },
    /// Choose the devices, and begin when its time has come
    Start(Of),
    /// Begin nothing new until it is resumed; what is open may end
    Pause(Of),
    /// Go on after a pause
    Resume(Of),
    /// Open the next wave, or accept the failures so far, whatever the gate says
    Advance(Of),
    /// Approve that the next wave opens, where a gate asks for it and the one before has soaked
    Approve {
        /// Which rollout: its number, its id, or the beginning of its id
        #[arg(value_name = "N")]
        rollout: String,
        /// The wave that is to open, as `show` and `why` number it: refuse if another one is next
        #[arg(long, value_name = "NUMBER")]
        wave: Option<usize>,
        /// Why it may go on; it is kept, and told by `show` and `explain`
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Try the devices again that failed or were given up
    Retry(Of),
    /// Begin nothing new, for good; what is open may end
    Cancel(Of),
    /// As cancel, and stop what is open
    Abort(Of),
    /// Bring the devices that it changed back to what they ran before, by another rollout
    #[command(alias = "roll-back")]
    Rollback(rollback::Args),
    /// List rollouts
    List,
    /// Show how far a rollout is, wave by wave, and what it waits for
    Show(Of),
    /// Show it again and again, until it has ended
    Watch(Of),
    /// Say why a rollout does not go on, or why a device of it does not
    Why {
        /// Which rollout
        #[arg(value_name = "N")]
        rollout: String,
        /// The id of a device
        device: Option<String>,
    },
    /// Run the log of a rollout again: decision by decision, byte by byte
    Replay(Of),
    /// Tell what happened to a rollout, or to a device of it, when and why
    Explain {
        /// Which rollout
        #[arg(value_name = "N")]
        rollout: String,
        /// The id of a device
        device: Option<String>,
    },
}

/// A rollout.
#[derive(Debug, clap::Args)]
struct Of {
    /// Which rollout: its number, its id, or the beginning of its id
    #[arg(value_name = "N")]
    rollout: String,
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(try_run(args))
}

fn try_run(Args { verb, on }: &Args) -> Result<u8, Told> {
    match verb {
        Verb::Create { spec, dry_run } => create::create(on, spec, *dry_run)?,
        Verb::Check { spec } => return check::check(on, spec),
        Verb::Start(of) => acts::act(on, &of.rollout, Act::Start)?,
        Verb::Pause(of) => acts::act(on, &of.rollout, Act::Pause)?,
        Verb::Resume(of) => acts::act(on, &of.rollout, Act::Resume)?,
        Verb::Advance(of) => acts::act(on, &of.rollout, Act::Advance)?,
        Verb::Approve { rollout, wave, reason } => {
            acts::approve(on, rollout, *wave, reason.as_deref())?;
        }
        Verb::Retry(of) => acts::act(on, &of.rollout, Act::Retry)?,
        Verb::Cancel(of) => acts::act(on, &of.rollout, Act::Cancel)?,
        Verb::Abort(of) => acts::act(on, &of.rollout, Act::Abort)?,
        Verb::Rollback(args) => return rollback::roll_back(on, args),
        Verb::List => {
            let rollouts = on.place()?.rollouts()?;
            let note = rollouts.is_empty().then(|| {
                format!("no rollout yet: {} makes one", on.command("rollout create SPEC"))
            });
            on.show_list(&rollouts, note, || show::list(&rollouts))?;
        }
        Verb::Show(of) => {
            let now = Clock::System.now();
            let shown = on.place()?.shown(&of.rollout, now)?;
            on.show(&shown, || show::show(on, &shown.overview, shown.outline.as_ref(), now))?;
        }
        Verb::Watch(of) => return watch::watch(on, &of.rollout),
        Verb::Why { rollout, device } => why::why(on, rollout, device.as_deref())?,
        Verb::Replay(of) => return replay::replay(on, &of.rollout),
        Verb::Explain { rollout, device } => explain::explain(on, rollout, device.as_deref())?,
    }
    Ok(0)
}
