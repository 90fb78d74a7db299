//! The waves of a rollout, and of its earlier rounds, as `show` tells them.

use std::fmt::Write as _;

use groundswell_core::{
    gate::{Ruling, Verdict},
    time::Time,
};

use super::super::text::{self as words, counts, date, number, text, when};
use crate::operate::{RoundView, RoundWave, WaveView};

/// The waves, below each other; where several verdicts were given, each has a line and its time.
pub(super) fn table(waves: &[WaveView]) -> String {
    let columns = [
        number("wave"),
        text("state"),
        number("devices"),
        number("ended"),
        number("succeeded"),
        number("failed"),
        text("verdict"),
    ];
    let row = |wave: &WaveView| {
        let counts = &wave.counts;
        vec![
            wave.number.to_string(),
            wave.state.state.to_string(),
            counts.total().to_string(),
            counts.ended().to_string(),
            (counts.succeeded + counts.current).to_string(),
            counts.failures().to_string(),
        ]
    };
    let rows = waves.iter().flat_map(|wave| with_verdicts(row(wave), &wave.verdicts));
    words::table(&columns, &rows.collect::<Vec<_>>())
}

/// Rounds that have ended, below each other.
pub(super) fn earlier(rounds: &[RoundView], now: Time) -> String {
    let mut told = String::new();
    for round in rounds {
        let RoundView { number: of, state, counts: all, waves, .. } = round;
        let began = round.started_at.map(|at| format!("began {}, ", when(at, now)));
        let ended = round.ended_at.map(|at| format!(" {}", when(at, now)));
        let (began, ended) = (began.unwrap_or_default(), ended.unwrap_or_default());
        let _ = writeln!(told, "\nround {of}: {began}{state}{ended}");
        let _ = writeln!(told, "  devices  {}: {}", all.total(), counts(all));
        if waves.len() > 1 {
            let columns = [number("wave"), text("state"), text("verdict")];
            let row =
                |wave: &RoundWave| vec![wave.number.to_string(), wave.state.state.to_string()];
            let rows = waves.iter().flat_map(|wave| with_verdicts(row(wave), &wave.verdicts));
            told.push_str(&words::table(&columns, &rows.collect::<Vec<_>>()));
        }
    }
    told
}

/// The row of a wave, its first verdict at the end, and the others below.
fn with_verdicts(mut row: Vec<String>, given: &[Verdict]) -> Vec<Vec<String>> {
    let below = vec![String::new(); row.len()];
    let mut verdicts = verdicts(given).into_iter();
    row.push(verdicts.next().unwrap_or_default());
    let others = verdicts.map(|verdict| [below.as_slice(), &[verdict]].concat());
    [row].into_iter().chain(others).collect()
}

fn verdicts(verdicts: &[Verdict]) -> Vec<String> {
    match verdicts {
        [only] => vec![only.to_string()],
        all => {
            let before = [None].into_iter().chain(all.iter().map(Some));
            all.iter().zip(before).map(|(verdict, before)| dated(verdict, before)).collect()
        }
    }
}

/// A verdict with its time; an operator overrides on the numbers that stand above.
fn dated(verdict: &Verdict, before: Option<&Verdict>) -> String {
    let at = date(verdict.at);
    match before {
        Some(before) if verdict.ruling == Ruling::Override && before.tally == verdict.tally => {
            format!("{at}, overridden by the operator")
        }
        _ => format!("{at}, {verdict}"),
    }
}
