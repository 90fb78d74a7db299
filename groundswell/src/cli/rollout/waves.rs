//! The waves of a rollout, and of its earlier rounds, as `show` tells them.

use std::fmt::Write as _;

use groundswell_core::{
    brake,
    gate::{Ruling, Verdict},
    time::Time,
};

use super::super::text::{self as words, counts, date, number, text, when};
use crate::operate::{PassedOver, RoundView, RoundWave, Said, WaveView};

/// The waves, and below the table what was said of those that were judged.
pub(super) fn table(waves: &[WaveView]) -> String {
    let columns = [
        number("wave"),
        text("state"),
        number("devices"),
        number("ended"),
        number("succeeded"),
        number("failed"),
    ];
    let row = |wave: &WaveView| {
        let counts = &wave.counts;
        vec![
            wave.number.to_string(),
            wave.state.state.to_string(),
            counts.total().to_string(),
            counts.ended().to_string(),
            (counts.succeeded.saturating_sub(counts.regressed) + counts.current).to_string(),
            counts.harmed().to_string(),
        ]
    };
    let table = words::table(&columns, &waves.iter().map(row).collect::<Vec<_>>());
    table + &ruled(waves.iter())
}

/// What was said of the waves that a gate stopped for good: why nothing goes on.
pub(super) fn stopped(waves: &[WaveView]) -> String {
    let is_stopped = |wave: &&WaveView| {
        wave.verdicts.last().is_some_and(|verdict| verdict.ruling == Ruling::Stop)
    };
    ruled(waves.iter().filter(is_stopped))
}

/// What was said of waves, by their gates, by operators and from outside.
fn ruled<'a>(waves: impl Iterator<Item = &'a WaveView> + Clone) -> String {
    let verdicts = waves.clone().map(|wave| (wave.number, &wave.verdicts[..]));
    let said = waves.clone().flat_map(|wave| wave.said.iter().map(|said| (wave.number, said)));
    let over = waves.flat_map(|wave| wave.passed_over.iter().map(|over| (wave.number, over)));
    below(verdicts) + &outside(said) + &passed_over(over)
}

/// Rounds that have ended, below each other.
pub(super) fn earlier(rounds: &[RoundView], now: Time) -> String {
    let mut told = String::new();
    for round in rounds {
        let RoundView { number: of, state, counts: all, waves, brakes, .. } = round;
        let began = round.started_at.map(|at| format!("began {}, ", when(at, now)));
        let ended = round.ended_at.map(|at| format!(" {}", when(at, now)));
        let (began, ended) = (began.unwrap_or_default(), ended.unwrap_or_default());
        let _ = writeln!(told, "\nround {of}: {began}{state}{ended}");
        let _ = writeln!(told, "  devices  {}: {}", all.total(), counts(all));
        for verdict in brakes {
            let _ = writeln!(told, "  {:<8} {}", verdict.evidence.heading(), braked(verdict));
        }
        if waves.len() > 1 {
            let columns = [number("wave"), text("state")];
            let row =
                |wave: &RoundWave| vec![wave.number.to_string(), wave.state.state.to_string()];
            told.push_str(&words::table(&columns, &waves.iter().map(row).collect::<Vec<_>>()));
            told.push_str(&below(waves.iter().map(|wave| (wave.number, &wave.verdicts[..]))));
        }
    }
    told
}

/// What the brake or the regression test did, or an operator over it, where it stands beside that
/// word.
pub(super) fn braked(verdict: &brake::Verdict) -> String {
    let by = format!(" by the {}", verdict.evidence.by());
    format!("{}, {}", date(verdict.at), verdict.to_string().replacen(&by, "", 1))
}

/// What was said of waves, a line each; where several verdicts were given, each has its time.
fn below<'a>(waves: impl Iterator<Item = (usize, &'a [Verdict])>) -> String {
    let mut told = String::new();
    for (number, given) in waves {
        for (place, verdict) in verdicts(given).into_iter().enumerate() {
            let before = if told.is_empty() { "\n" } else { "" };
            let wave = format!("wave {number}");
            let wave = if place == 0 { wave } else { " ".repeat(wave.len()) };
            let _ = writeln!(told, "{before}  {wave}  {verdict}");
        }
    }
    told
}

/// What external gates said of waves that were ruled, a line each.
fn outside<'a>(said: impl Iterator<Item = (usize, &'a Said)>) -> String {
    let mut told = String::new();
    for (number, Said { gate, asks, answer, at }) in said {
        let at = date(*at);
        let _ = writeln!(told, "  wave {number}  gate {gate}, {at}: {answer} ({asks})");
    }
    told
}

/// External gates that an operator went over, a line each.
fn passed_over<'a>(over: impl Iterator<Item = (usize, &'a PassedOver)>) -> String {
    over.fold(String::new(), |told, (number, PassedOver { gate, asks })| {
        format!("{told}  wave {number}  gate {gate}, not waited for: {asks}\n")
    })
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
