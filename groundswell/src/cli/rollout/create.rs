//! `groundswell rollout create`: a draft, or what it would be.

use std::{fmt::Write as _, path::Path};

use groundswell_core::{
    document::Tree, hours::Phase, lint::Finding, moment::Moment, rollout::Membership, time::Time,
    units::Span, waiting::left,
};

use super::super::{
    place::SpecFile,
    rollout::check::lines,
    state::{self, Told},
    text::{fields, number, table, text, when},
};
use crate::{
    clock::Clock,
    operate::{Drafted, Forecast, ForecastWave, ForecastZone},
};

pub(super) fn create(on: &state::On, file: &Path, is_dry: bool) -> Result<(), Told> {
    let now = Clock::System.now();
    let drafted = on.place()?.draft(&SpecFile(file), is_dry, now)?;
    on.show(&drafted, || words(on, &drafted, now))?;
    Ok(())
}

fn words(on: &state::On, drafted: &Drafted, now: Time) -> String {
    let Drafted { number, id, forecast, findings, release, .. } = drafted;
    let strategy = said(drafted, "strategy").unwrap_or_default();
    let what = format!("{} {}, {strategy}", release.name, release.version);
    let mut words = match number {
        Some(number) => format!("rollout {number} is a draft: {what}\n"),
        None => format!("dry run, nothing is written: {what}\n"),
    };
    let select = said(drafted, "select").unwrap_or("every device");
    let start_at = said(drafted, "start_at").and_then(|at| at.parse::<Moment>().ok());
    words.push_str(&fields([
        ("id", id.map(|id| id.to_string())),
        ("select", Some(select.to_owned())),
        ("devices", Some(devices(forecast))),
        ("starts", start_at.map(|at| when(at.resolve(now), now))),
    ]));
    words.push_str(&tables(forecast));
    words.push_str(&lines(findings, "\n"));
    if let Some(number) = number {
        let start = on.command(&format!("rollout start {number}"));
        let is_refused = findings.iter().any(Finding::is_error);
        let begins = if is_refused { "refuses it as things are now" } else { "begins it" };
        let _ = write!(words, "\n{start} {begins}");
    }
    words
}

/// What its document says of something.
fn said<'a>(drafted: &'a Drafted, field: &str) -> Option<&'a str> {
    let Tree::Table(spec) = &drafted.spec else { return None };
    match spec.get(field)? {
        Tree::Text(text) => Some(text),
        _ => None,
    }
}

/// Its waves, and the hours of its zones.
pub(super) fn tables(forecast: &Forecast) -> String {
    let mut words = String::new();
    if forecast.has_waves() {
        words.push('\n');
        words.push_str(&waves(&forecast.waves));
    }
    if !forecast.zones.is_empty() {
        words.push('\n');
        words.push_str(&zones(&forecast.zones, forecast.at));
    }
    words
}

pub(super) fn devices(forecast: &Forecast) -> String {
    let Forecast { devices, without_address, waves, membership, .. } = forecast;
    let mut words = match devices {
        0 => "none matches now".to_owned(),
        1 => "1 matches now".to_owned(),
        many => format!("{many} match now"),
    };
    if *without_address > 0 {
        let _ = write!(words, " ({without_address} without an address)");
    }
    let is_told_by_wave = forecast.has_waves();
    if let Some(wave) = waves.first().filter(|wave| !wave.first.is_empty() && !is_told_by_wave) {
        let _ = write!(words, ": {}", first(wave));
    }
    words.push_str(match membership {
        Membership::Snapshot => "; who is in it is settled at its start",
        Membership::Dynamic => "; others may join",
    });
    words
}

fn first(wave: &ForecastWave) -> String {
    let more = if wave.devices > Some(wave.first.len() as u64) { ", ..." } else { "" };
    format!("{}{more}", wave.first.join(", "))
}

fn waves(waves: &[ForecastWave]) -> String {
    let mut columns = vec![number("wave"), number("devices"), text("gate")];
    // Without a draw nobody is named.
    let is_drawn = waves.iter().any(|wave| !wave.first.is_empty());
    if is_drawn {
        columns.push(text("first"));
    }
    let row = |wave: &ForecastWave| {
        let devices = wave.devices.map_or_else(|| "drawn".to_owned(), |count| count.to_string());
        let mut row = vec![wave.number.to_string(), devices, gate(wave)];
        if is_drawn {
            row.push(first(wave));
        }
        row
    };
    table(&columns, &waves.iter().map(row).collect::<Vec<_>>())
}

/// Such as `>= 95 % after 2h`.
fn gate(wave: &ForecastWave) -> String {
    let soak = Span(std::time::Duration::from_secs(wave.soak_secs));
    match (wave.min_success, wave.soak_secs) {
        (None, 0) => "none".to_owned(),
        (None, _) => format!("after {soak}"),
        (Some(percent), 0) => format!(">= {percent} %"),
        (Some(percent), _) => format!(">= {percent} % after {soak}"),
    }
}

fn zones(zones: &[ForecastZone], now: Time) -> String {
    let columns = [text("time zone"), number("devices"), text("hours")];
    let row = |zone: &ForecastZone| {
        vec![zone.zone.name().to_owned(), zone.devices.to_string(), hours(zone, now)]
    };
    table(&columns, &zones.iter().map(row).collect::<Vec<_>>())
}

fn hours(zone: &ForecastZone, now: Time) -> String {
    let local = |at| zone.zone.local_text(at, now);
    match zone.phase {
        Phase::Open { until: None } => "open".to_owned(),
        Phase::Open { until: Some(at) } => format!("open until {}", local(at)),
        Phase::Closed { opens_at: Some(at), .. } => {
            format!("opens {}, in {}", local(at), left(at, now))
        }
        Phase::Closed { opens_at: None, .. } => "never opens".to_owned(),
    }
}
