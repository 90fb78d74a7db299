//! `groundswell rollout list` and `show`.

use std::fmt::Write as _;

use groundswell_core::{
    rollback::rollouts_of,
    rollout::{PauseReason, State as Stands},
    time::Time,
    waiting::{WaitingOn, span},
};

use super::super::{
    state,
    text::{count, counts, date, fields, number, table, text, when, whole},
};
use super::{create, waves};
use crate::{
    operate::{Forecast, Overview, Reason, RolloutView},
    store::dir,
};

pub(super) fn list(rollouts: &[RolloutView]) -> String {
    let columns = [
        number("n"),
        text("release"),
        whole("strategy").spare(2),
        whole("state"),
        number("devices"),
        number("ended").spare(3),
        number("failed"),
        whole("created").spare(1),
    ];
    let row = |view: &RolloutView| {
        let counts = &view.counts;
        vec![
            view.number.to_string(),
            format!("{} {}", view.name, view.version),
            view.strategy.to_string(),
            view.state.to_string(),
            counts.total().to_string(),
            counts.ended().to_string(),
            counts.harmed().to_string(),
            date(view.created_at),
        ]
    };
    table(&columns, &rollouts.iter().map(row).collect::<Vec<_>>())
}

/// Zones that are told apart where there is little room.
const ZONES_SHOWN: usize = 3;

/// How far a rollout is, for somebody with little room: zones that wait for their hours are told
/// together if they are many.
pub(super) fn show_briefly(on: &state::On, overview: &Overview, now: Time) -> String {
    let (waiting_on, others) = few_zones(&overview.waiting_on, now);
    let brief = Overview { waiting_on, ..overview.clone() };
    show(on, &brief, None, now) + &others
}

/// The reasons with the first zones that wait for their hours, and what is said of the others.
fn few_zones(waiting_on: &[WaitingOn], now: Time) -> (Vec<WaitingOn>, String) {
    let is_hours = |reason: &&WaitingOn| matches!(reason, WaitingOn::Hours { .. });
    let zones: Vec<&WaitingOn> = waiting_on.iter().filter(is_hours).collect();
    let Some(others @ [_, _, ..]) = zones.get(ZONES_SHOWN..) else {
        return (waiting_on.to_vec(), String::new());
    };
    let few = waiting_on.iter().filter(|reason| !others.iter().any(|other| other == reason));
    let (mut all, mut last) = (0, None);
    for reason in others {
        if let WaitingOn::Hours { devices, opens_at, .. } = reason {
            all += devices;
            last = last.max(*opens_at);
        }
    }
    let last = last.map_or_else(String::new, |at| format!(", the last opens {}", when(at, now)));
    let (zones, devices) = (others.len(), count(all, "device"));
    let others = format!("{zones} more zones wait for their hours{last} ({devices})\n");
    (few.cloned().collect(), others)
}

/// How far a rollout is. One that is not begun is shown with what it would do, if that is given.
pub(super) fn show(
    on: &state::On,
    overview: &Overview,
    forecast: Option<&Forecast>,
    now: Time,
) -> String {
    let mut words = format!("{}\n", headline(overview));
    let told = [
        ("id", Some(overview.id.to_string())),
        ("rolls back", overview.rolls_back.as_ref().map(ToString::to_string)),
        ("select", overview.rolls_back.is_none().then(|| selected(overview))),
        ("created", Some(when(overview.created_at, now))),
        ("began", overview.started_at.map(|at| when(at, now))),
        ("ended", overview.ended_at.map(|at| when(at, now))),
        ("deadline", overview.deadline.map(|at| when(at, now))),
        ("devices", devices(overview).or_else(|| forecast.map(create::devices))),
        ("failed", by_reason(&overview.failed)),
        ("skipped", by_reason(&overview.skipped)),
        ("rolled back", by_others(overview)),
        ("time left", overview.eta_secs.map(time_left)),
    ];
    let brakes = overview.brakes.iter();
    let brakes = brakes.map(|verdict| (verdict.evidence.heading(), Some(waves::braked(verdict))));
    words.push_str(&fields(told.into_iter().chain(brakes)));
    if overview.waves.len() > 1 && overview.counts.total() > 0 {
        words.push('\n');
        words.push_str(&waves::table(&overview.waves));
    }
    words.push_str(&forecast.map(create::tables).unwrap_or_default());
    words.push_str(&failures(on, overview));
    words.push_str(&regressed(on, overview));
    words.push_str(&waves::earlier(&overview.earlier, now));
    words.push_str(&waits(on, overview, now));
    words
}

/// What it is, and where it stands.
pub(super) fn headline(overview: &Overview) -> String {
    let Overview { number, release, strategy, state, round, .. } = overview;
    let mut line =
        format!("rollout {number}: {} {}, {strategy}, {state}", release.name, release.version);
    if !overview.paused.is_empty() {
        let reasons: Vec<String> = overview.paused.iter().map(ToString::to_string).collect();
        let to_be = if *state == Stands::Preparing { ", to be paused" } else { "" };
        let _ = write!(line, "{to_be} by the {}", reasons.join(" and the "));
    }
    if *round > 1 {
        let _ = write!(line, ", round {round}");
    }
    line
}

fn selected(overview: &Overview) -> String {
    let all = if overview.is_push { "the devices given to the push" } else { "every device" };
    overview.select.clone().unwrap_or_else(|| all.to_owned())
}

/// Such as `by rollouts 13 and 14`.
pub(super) fn by_others(overview: &Overview) -> Option<String> {
    let by = &overview.rolled_back_by;
    (!by.is_empty()).then(|| format!("by {}", rollouts_of(by)))
}

fn devices(overview: &Overview) -> Option<String> {
    let total = overview.counts.total();
    if total == 0 {
        return None;
    }
    let mut words = format!("{total}: {}", counts(&overview.counts));
    if let Some(begun @ 1..) = overview.canceled_begun {
        let _ = write!(words, "; {begun} of the canceled had been begun");
    }
    let before = overview.before.map_or(0, |before| before.total());
    if before > 0 {
        let _ = write!(words, "; {} ended well in earlier rounds", count(before, "other"));
    }
    Some(words)
}

fn time_left(secs: u64) -> String {
    format!("about {}", span(std::time::Duration::from_secs(secs)))
}

fn by_reason(reasons: &[Reason]) -> Option<String> {
    let all: u64 = reasons.iter().map(|reason| reason.devices).sum();
    let each = reasons.iter().map(|reason| format!("{} {}", reason.devices, reason.reason));
    (all > 0).then(|| format!("{all}: {}", each.collect::<Vec<_>>().join(", ")))
}

fn failures(on: &state::On, overview: &Overview) -> String {
    if overview.failures.is_empty() {
        return String::new();
    }
    let all = overview.counts.failures();
    let mut words = format!("\n{} failed:\n", count(all, "device"));
    for failed in &overview.failures {
        let _ = write!(words, "  {}  {}", failed.device, failed.state);
        if let Some(detail) = &failed.detail {
            let _ = write!(words, ": {detail}");
        }
        words.push('\n');
    }
    words.push_str(&more(on, overview, all.saturating_sub(overview.failures.len() as u64)));
    words
}

/// Those that were updated and are not well since.
fn regressed(on: &state::On, overview: &Overview) -> String {
    if overview.regressed.is_empty() {
        return String::new();
    }
    let all = overview.counts.regressed;
    let mut words = format!("\n{} regressed after the update:\n", count(all, "device"));
    for regressed in &overview.regressed {
        let detail = regressed.detail.as_deref().unwrap_or_default();
        let _ = writeln!(words, "  {}  {detail}", regressed.device);
    }
    words.push_str(&more(on, overview, all.saturating_sub(overview.regressed.len() as u64)));
    words
}

fn more(on: &state::On, overview: &Overview, more: u64) -> String {
    if more == 0 {
        return String::new();
    }
    let why = on.command(&format!("rollout why {} DEVICE", overview.number));
    format!("  and {more} more; {why} says why of any\n")
}

/// What it waits for, and whether anybody drives it.
pub(super) fn waits(on: &state::On, overview: &Overview, now: Time) -> String {
    let mut words = String::new();
    if let Some(why) = &overview.failed_because {
        let _ = writeln!(words, "\n{why}");
    }
    let reasons = sentences(&overview.waiting_on, now);
    if !reasons.is_empty() {
        words.push('\n');
        for reason in reasons {
            let _ = writeln!(words, "{reason}");
        }
    }
    words.push_str(&unreadable(on, overview));
    match (&overview.driver, overview.state) {
        (_, Stands::Draft) => {
            let start = on.command(&format!("rollout start {}", overview.number));
            let _ = writeln!(words, "{start} begins it");
        }
        (driver, state) if state.is_driven() && !overview.is_driven => {
            let (state, run) = (on.named(), on.command("run"));
            let _ = match driver {
                None => writeln!(words, "nothing drives {state} now: {run} does"),
                Some(driver) => writeln!(
                    words,
                    "nothing drives {state} now; what has it waits, as for room on the disk:\n  {driver}"
                ),
            };
            if let Some(at) = overview.told_at {
                let _ = writeln!(words, "a driver last told of it {}", when(at, now));
            }
        }
        _ => {}
    }
    words
}

/// Which file it is that could not be read, and the way out.
fn unreadable(on: &state::On, overview: &Overview) -> String {
    let Overview { number, release, paused, .. } = overview;
    if !paused.contains(&PauseReason::Artifact) {
        return String::new();
    }
    let (name, version) = (&release.name, &release.version);
    let Some(state) = on.directory() else {
        let resume = on.command(&format!("rollout resume {number}"));
        return format!(
            "the artifact of {name} {version} is to be put back in the server's directory; then {resume} goes \
             on\n"
        );
    };
    let file = dir::artifacts(state).join(release.artifact.to_string());
    let resume = on.command(&format!("rollout resume {number}"));
    if file.exists() {
        return format!("{} of {name} {version} is there; {resume} tries again\n", file.display());
    }
    let create = on.command(&format!("release create {name} {version} FILE"));
    format!(
        "{} of {name} {version} is missing: put it back, or {create} with the same file; then {resume} \
         goes on\n",
        file.display()
    )
}

/// Reasons as sentences.
pub(super) fn sentences(waiting_on: &[WaitingOn], now: Time) -> Vec<String> {
    waiting_on.iter().map(|reason| reason.in_words(now)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use groundswell_core::hours::{ClosedBy, Zone};

    use super::*;

    #[test]
    fn many_zones_are_told_together() {
        let now = Time::from_millis(1_795_615_200_000);
        let names = ["Asia/Tokyo", "Europe/Berlin", "UTC", "America/Denver", "Pacific/Auckland"];
        let hours = |(at, name): (usize, &&str)| WaitingOn::Hours {
            devices: 2,
            by: ClosedBy::Window,
            opens_at: Some(now + Duration::from_hours(1 + at as u64)),
            zone: Zone::parse(name).unwrap(),
            reason: None,
        };
        let mut reasons: Vec<WaitingOn> = names.iter().enumerate().map(hours).collect();
        reasons.push(WaitingOn::Driver);
        let (few, others) = few_zones(&reasons, now);
        assert_eq!(few, [&reasons[..3], &reasons[5..]].concat());
        assert_eq!(
            others,
            "2 more zones wait for their hours, the last opens 2026-11-25 19:00 UTC (in 5 h) \
             (4 devices)\n"
        );
        assert_eq!(few_zones(&reasons[..4], now).0, reasons[..4], "one more takes no more room");
    }
}
