//! The operator's verbs, and what came of them in words.

use std::fmt::Write as _;

use groundswell_core::rollout::{Act, PauseReason, State as Stands};
use serde::Serialize;

use super::super::{
    state::{self, Told},
    text::count,
};
use super::check::lines;
use crate::{
    clock::Clock,
    operate::{Acting, OpenDevice, Overview},
};

#[derive(Serialize)]
struct Acted<'a> {
    rollout: i64,
    act: Act,
    #[serde(flatten)]
    acting: &'a Acting,
}

pub(super) fn act(on: &state::On, rollout: &str, act: Act) -> Result<(), Told> {
    let (place, now) = (on.place()?, Clock::System.now());
    let before = place.overview(rollout, now)?;
    let acting = place.act(&before, act, now)?;
    tell(on, act, &before, &acting)
}

/// Approves that the next wave opens; no other one if one is named.
pub(super) fn approve(
    on: &state::On,
    rollout: &str,
    wave: Option<usize>,
    reason: Option<&str>,
) -> Result<(), Told> {
    let (place, now) = (on.place()?, Clock::System.now());
    let before = place.overview(rollout, now)?;
    let acting = place.approve(&before, wave, reason, now)?;
    tell(on, Act::Approve, &before, &acting)
}

fn tell(on: &state::On, act: Act, before: &Overview, acting: &Acting) -> Result<(), Told> {
    let Overview { number, release, .. } = before;
    let name = format!("rollout {number} ({} {})", release.name, release.version);
    on.show(&Acted { rollout: *number, act, acting }, || words(on, act, &name, acting, before))?;
    Ok(())
}

fn words(on: &state::On, act: Act, name: &str, acting: &Acting, before: &Overview) -> String {
    let Acting { state, open, open_devices, already, warnings, driver } = acting;
    let mut words = match already {
        Some(what) => format!("{name} is {state}: {what}"),
        None => format!("{name} is {state}"),
    };
    words.push_str(&lines(warnings, "\n"));
    if act == Act::Pause && *state == Stands::Preparing {
        words.push_str(", and paused once its devices are written down");
    }
    if act == Act::Abort && before.is_to_roll_back && already.is_none() {
        words.push_str(", and is not rolled back: devices keep what they have");
    }
    let of = before.waves.len();
    if let (Act::Advance, Some(wave), None) = (act, before.current(), already)
        && !before.paused.contains(&PauseReason::Brake)
        && !before.paused.contains(&PauseReason::Regression)
        && wave + 1 < of
    {
        let _ = write!(words, ", on with wave {} of {of}", wave + 2);
    }
    if let (Act::Approve, Some(wave), None) = (act, before.next_wave(), already) {
        let wave = wave + 1;
        let _ = write!(words, "; wave {wave} of {of} is approved, and opens once all else says go");
    }
    if *open > 0 && *state != Stands::Running {
        let is_list = !open_devices.is_empty();
        let is = if act == Act::Abort { "open, and stopped" } else { "still open" };
        let colon = if is_list { ":" } else { "" };
        let _ = write!(words, "; {} {is}{colon}", count(*open, "device"));
        for OpenDevice { device, state } in open_devices {
            let _ = write!(words, "\n  {device}  {state}");
        }
        let more = open.saturating_sub(open_devices.len() as u64);
        if is_list && more > 0 {
            let _ = write!(words, "\n  and {more} more");
        }
    }
    if driver.is_none() && state.is_driven() {
        let _ = write!(words, "\nnothing drives {} now: {} does", on.named(), on.command("run"));
    }
    words
}
