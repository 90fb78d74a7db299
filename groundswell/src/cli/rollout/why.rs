//! `groundswell rollout why`: of a rollout, or of one device in it.

use std::fmt::Write as _;

use groundswell_core::{assignment::State as Standing, rollout::PauseReason, time::Time};

use super::{
    super::{
        state::{self, Told},
        text::{count, date, when},
    },
    show, waves,
};
use crate::{
    clock::Clock,
    operate::{DeviceWhy, Overview},
};

pub(super) fn why(on: &state::On, rollout: &str, device: Option<&str>) -> Result<(), Told> {
    let (place, now) = (on.place()?, Clock::System.now());
    let overview = place.overview(rollout, now)?;
    if let Some(id) = device {
        let why = place.why(rollout, id, now)?;
        on.show(&why, || of_device(on, &overview, id, &why, now))?;
        return Ok(());
    }
    on.show(&overview, || {
        let waits = show::waits(on, &overview, now);
        let waits = if waits.is_empty() { nothing(&overview) } else { waits };
        let stopped = waves::stopped(&overview.waves);
        let (braked, linked) = (braked(&overview), linked(&overview));
        let words = format!("{}\n{}", show::headline(&overview), waits.trim_end());
        let parts = [&stopped, &braked, &linked].map(|part| part.trim_matches('\n'));
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.fold(words, |words, part| format!("{words}\n\n{part}"))
    })?;
    Ok(())
}

/// What the brake and the regression test did, and operators over it; the reason that holds has the last of a pause.
fn braked(overview: &Overview) -> String {
    let is_waiting = overview.paused.contains(&PauseReason::Brake)
        || overview.paused.contains(&PauseReason::Regression);
    let told = overview.brakes.len() - usize::from(is_waiting && !overview.brakes.is_empty());
    let mut words = String::new();
    for verdict in &overview.brakes[..told] {
        let _ = write!(words, "\n{}, {verdict}", date(verdict.at));
    }
    if words.is_empty() { words } else { format!("\n{words}") }
}

/// The rollouts that it rolls back, or that roll it back.
fn linked(overview: &Overview) -> String {
    let of = overview.rolls_back.as_ref().map(|of| format!("it rolls back {of}"));
    let by = show::by_others(overview).map(|by| format!("it is rolled back {by}"));
    of.into_iter().chain(by).fold(String::new(), |words, line| format!("{words}\n\n{line}"))
}

fn nothing(overview: &Overview) -> String {
    let words =
        if overview.state.is_ended() { "it has ended" } else { "it goes on as its limits allow" };
    format!("\n{words}")
}

fn of_device(on: &state::On, overview: &Overview, id: &str, why: &DeviceWhy, now: Time) -> String {
    let DeviceWhy { rollout, name, version, state, wave, of, .. } = why;
    let rollout = format!("rollout {rollout} ({name} {version})");
    match (state, wave) {
        (Some(_), _) => format!("{id} in {}", of_rollout(on, id, why, now)),
        (None, wave) if why.would_be => {
            let mut words = match wave {
                Some(wave) if *of > 1 => {
                    format!("{id} would be in wave {wave} of {of} of {rollout}")
                }
                Some(_) => format!("{id} would be in {rollout}"),
                None => format!("{id} would be in {rollout}; its wave is drawn at the start"),
            };
            for sentence in show::sentences(&why.waiting_on, now) {
                let _ = write!(words, "\n  {sentence}");
            }
            words
        }
        (None, _) => not_in(id, overview),
    }
}

/// A device that a rollout does not have.
pub(super) fn not_in(id: &str, overview: &Overview) -> String {
    let Overview { number, release, .. } = overview;
    let (name, version) = (&release.name, &release.version);
    if let Some(of) = &overview.rolls_back {
        return format!(
            "{id} is not in rollout {number} ({name} {version}), which has the devices that ran \
             that before {of} changed them"
        );
    }
    let select = overview.select.as_deref().unwrap_or("every device");
    format!("{id} is not in rollout {number} ({name} {version}), which selects {select}")
}

/// Where a device stands in a rollout, and what it waits for.
pub(in super::super) fn of_rollout(on: &state::On, id: &str, why: &DeviceWhy, now: Time) -> String {
    let DeviceWhy { rollout, name, version, wave, of, attempts, .. } = why;
    let mut words = format!("rollout {rollout} ({name} {version}): ");
    words.push_str(why.state.map_or("not in it", Standing::as_str));
    if let Some(detail) = &why.detail {
        let _ = write!(words, ": {detail}");
    }
    if let Some(said) = &why.regressed {
        let _ = write!(words, ", regressed: {said}");
    }
    if let (Some(wave), true) = (wave, *of > 1) {
        let _ = write!(words, "; wave {wave} of {of}");
    }
    if *attempts > 0 {
        let _ = write!(words, "; {}", count(u64::from(*attempts), "attempt"));
    }
    if let Some(at) = why.changed_at {
        let _ = write!(words, "; since {}", when(at, now));
    }
    words.push('\n');
    for sentence in show::sentences(&why.waiting_on, now) {
        let _ = writeln!(words, "  {sentence}");
    }
    if let Some(outlook) = why.outlook {
        let end = Standing::Skipped(outlook);
        let _ =
            writeln!(words, "  as things are it will be left as it is when its turn comes ({end})");
    }
    if let Some(failed) = &why.failed_in_row {
        let _ = writeln!(words, "  {}", left_out(on, id, failed));
    }
    words
}

/// Why a device is left out that keeps failing, and who can change that.
fn left_out(on: &state::On, id: &str, failed: &[i64]) -> String {
    let Some(failed) = failed_in_row(failed) else {
        return "what it had failed is forgotten since: the next rollout has it".to_owned();
    };
    let release = on.command(&format!("device release {id} --reason TEXT"));
    format!("it failed {failed}; {release} lets it take part again")
}

/// Such as `3 rollouts in a row, the last one rollout 4`.
pub(in super::super) fn failed_in_row(rollouts: &[i64]) -> Option<String> {
    let newest = rollouts.last()?;
    Some(match rollouts.len() {
        1 => format!("rollout {newest}"),
        many => format!("{many} rollouts in a row, the last one rollout {newest}"),
    })
}
