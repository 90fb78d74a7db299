//! `groundswell rollout rollback`: devices go back to what they ran before.

use std::fmt::Write as _;

use groundswell_core::{rollback::Otherwise, rollout::State as Stands};

use super::super::{
    state::{self, Told},
    text::count,
};
use crate::{
    clock::Clock,
    operate::{Extent, RolledBack},
};

/// Arguments of `groundswell rollout rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which rollout: its number, its id, or the beginning of its id
    #[arg(value_name = "N")]
    rollout: String,
    /// Say which devices would go back to what, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write drafts, and start nothing
    #[arg(long, conflicts_with = "dry_run")]
    draft: bool,
    /// Send at any hour, whatever its windows and freezes say
    #[arg(long)]
    now: bool,
    /// Most deliveries open at once, if not as many as in that rollout
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_in_flight: Option<u32>,
}

/// Ends with 2 if one of several could not be started.
pub(super) fn roll_back(on: &state::On, args: &Args) -> Result<u8, Told> {
    let extent = match (args.dry_run, args.draft) {
        (true, _) => Extent::DryRun,
        (false, true) => Extent::Draft,
        (false, false) => Extent::Start,
    };
    let otherwise = Otherwise { at_any_hour: args.now, max_in_flight: args.max_in_flight };
    let now = Clock::System.now();
    let told = on.place()?.roll_back(&args.rollout, &otherwise, extent, now)?;
    on.show(&told, || words(on, &told))?;
    let is_whole = told.by.iter().all(|by| by.not_started.is_none());
    Ok(if is_whole { 0 } else { 2 })
}

fn words(on: &state::On, told: &RolledBack) -> String {
    let mut words = if told.by.iter().any(|by| by.number.is_some()) {
        format!("{} is rolled back", told.rolls_back)
    } else {
        format!("dry run, nothing is written: {} can be rolled back", told.rolls_back)
    };
    for by in &told.by {
        let (release, devices) = (&by.release, count(by.devices, "device"));
        let goes = format!("{} {}, {devices}", release.name, release.version);
        let _ = match (by.number, by.state) {
            (Some(number), Some(state)) => {
                let article = if state == Stands::Draft { "a " } else { "" };
                write!(words, "\n  rollout {number} is {article}{state}: back to {goes}")
            }
            _ => write!(words, "\n  back to {goes}"),
        };
        if let Some(why) = &by.not_started {
            let _ = write!(words, "\n    its start failed: {}", why.replace('\n', "\n    "));
        }
    }
    let left_out = told.left_out();
    if !left_out.is_empty() {
        let _ = write!(words, "\nleft as they are: {}", left_out.join(", "));
    }
    for by in &told.by {
        if let (Some(number), Some(Stands::Draft)) = (by.number, by.state) {
            let start = on.command(&format!("rollout start {number}"));
            let _ = write!(words, "\n{start} begins it");
        }
    }
    let is_begun = told.by.iter().any(|by| by.state.is_some_and(Stands::is_driven));
    if is_begun && told.driver.is_none() {
        let (state, run) = (on.named(), on.command("run"));
        let _ = write!(words, "\nnothing drives {state} now: {run} does");
    }
    words
}
