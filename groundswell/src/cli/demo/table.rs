//! The tables of the demo: the terminals as they are, and what became of them.
//!
//! Owns columns and their widths; nothing is wider than 100 characters. Start with [`outcomes`].

use std::fmt::Write as _;

use groundswell_core::{
    assignment::{SkipReason, State},
    device::Device,
    time::Time,
    waiting::span,
};

use super::{
    paint::Paint,
    played::{Part, Played},
    scenario::{SCENARIOS, Scenario, Script},
};

/// The terminals as the inventory has them.
pub(super) fn inventory(devices: &[&Device], now: Time, paint: Paint) -> String {
    let mut table = paint.dim(&format!(
        "  {:<19}  {:<16}  {:<9}  {:<28}  {:<5}  {}\n",
        "terminal", "location", "region", "time zone", "runs", "status"
    ));
    for device in devices {
        let text = |value: Option<&String>| value.map_or("-", String::as_str).to_owned();
        let presence = device.presence(now);
        let status = format!("{presence:<7}");
        let _ = writeln!(
            table,
            "  {:<19}  {:<16}  {:<9}  {:<28}  {:<5}  {}",
            device.id,
            text(device.location.as_ref()),
            text(device.tags.get("region")),
            text(device.time_zone.as_ref()),
            text(device.version.as_ref()),
            if presence.is_away() {
                paint.dim(status.trim_end())
            } else {
                status.trim_end().into()
            },
        );
    }
    table
}

/// What became of each terminal in each scenario, and what it runs now.
pub(super) fn outcomes(played: &[Played], paint: Paint) -> String {
    let Some(last) = played.last() else { return String::new() };
    let columns: Vec<Vec<String>> = SCENARIOS.iter().zip(played).map(column).collect();
    let widths: Vec<usize> = columns.iter().map(|cells| longest(cells)).collect();
    let mut head = format!("  {:<19}", "terminal");
    for (cells, width) in columns.iter().zip(&widths) {
        let _ = write!(head, "  {:<width$}", cells[0]);
    }
    let mut table = paint.dim(&format!("{head}  runs\n"));
    for (at, part) in last.terminals.iter().enumerate() {
        let _ = write!(table, "  {:<19}", part.device.id);
        for ((cells, width), played) in columns.iter().zip(&widths).zip(played) {
            let cell = format!("{:<width$}", cells[at + 1]);
            let part = &played.terminals[at];
            let cell = match (part.received_at.is_empty(), part.broke()) {
                (true, _) => paint.dim(&cell),
                (false, true) => paint.red(&cell),
                (false, false) => paint.green(&cell),
            };
            let _ = write!(table, "  {cell}");
        }
        let _ = writeln!(table, "  {}", part.after);
    }
    table
}

/// The name of a scenario, and what became of each terminal.
fn column((scenario, played): (&Scenario, &Played)) -> Vec<String> {
    let has_waves = played.waves.len() > 1;
    let cells = played.terminals.iter().map(|part| match part.standing {
        Some((wave, _)) if has_waves => format!("{} w{}", cell(part, scenario.script), wave + 1),
        _ => cell(part, scenario.script),
    });
    std::iter::once(scenario.name.to_owned()).chain(cells).collect()
}

fn longest(cells: &[String]) -> usize {
    cells.iter().map(String::len).max().unwrap_or(0)
}

/// What became of a terminal, in at most ten characters.
fn cell(part: &Part, script: Script) -> String {
    if script == Script::Undoing {
        return undo(part).to_owned();
    }
    match (part.received_at.first(), part.standing) {
        (_, None) => "-".to_owned(),
        (Some(at), Some((_, State::Succeeded))) => match script {
            Script::Night => part.zone.local_text(*at, *at),
            Script::Homecoming if !part.was_online => format!("{} late", part.after),
            Script::Watch | Script::Homecoming | Script::Undoing => part.after.clone(),
        },
        (_, Some((_, State::Skipped(SkipReason::Offline)))) => "offline".to_owned(),
        (_, Some((_, State::Skipped(_)))) => "skipped".to_owned(),
        (_, Some(_)) => "FAILED".to_owned(),
    }
}

/// What became of a terminal when a release was taken back, in at most four characters.
fn undo(part: &Part) -> &'static str {
    match (part.received_at.is_empty(), part.broke()) {
        _ if part.after != part.before => "FAIL",
        (true, _) => "kept",
        (false, true) => "hurt",
        (false, false) => "back",
    }
}

/// How long each scenario took, and whether it did what it says.
pub(super) fn durations(played: &[(Played, Vec<String>)], paint: Paint) -> String {
    let mut table = paint.dim(&format!(
        "  {:<11}  {:>9}  {:>7}  {:>7}  {:>14}  {:>9}  {}\n",
        "scenario", "terminals", "updated", "skipped", "demo's clock", "took", "result"
    ));
    for (scenario, (played, wrong)) in SCENARIOS.iter().zip(played) {
        let _ = writeln!(
            table,
            "  {:<11}  {:>9}  {:>7}  {:>7}  {:>14}  {:>7.1} s  {}",
            scenario.name,
            played.chosen().count(),
            played.updated(),
            played.skipped(),
            span(played.to.since(played.from)),
            played.took.as_secs_f64(),
            if wrong.is_empty() { paint.green("ok") } else { paint.red("FAILED") },
        );
    }
    table
}
