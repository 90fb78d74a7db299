//! What is wrong with external gates, apart from what their types rule out.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    By, Check, External, GATES_MAX, HEADERS_MAX, INTERVALS, POINTER_BYTES_MAX, QUERY_BYTES_MAX,
    Question, TIMEOUTS, Wanted,
};
use crate::rollout::SpecError;

/// Longest name of a header.
const NAME_BYTES_MAX: usize = 64;

/// Headers that are ours to set: they say how a request is read, and where it goes.
const OURS: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
];

/// All that is wrong with the external gates of a rollout of so many waves, at most one fault for
/// each.
pub fn gate_faults(gates: &[External], wave_count: usize) -> Vec<SpecError> {
    if gates.len() > GATES_MAX {
        return vec![SpecError::TooManyGates(gates.len())];
    }
    let fault = |(at, gate): (usize, &External)| {
        let (field, why) = fault_of(gate, &gates[..at], wave_count)?;
        Some(SpecError::Gate { gate: at + 1, field, why })
    };
    gates.iter().enumerate().filter_map(fault).collect()
}

fn fault_of(
    gate: &External,
    before: &[External],
    wave_count: usize,
) -> Option<(&'static str, String)> {
    if wave_count < 2 {
        let why = "an external gate stands between two waves, and there is one wave";
        return Some(("waves", why.to_owned()));
    }
    let last = wave_count - 1;
    if let Some(wave) = gate.waves.iter().find(|wave| **wave >= last) {
        let number = wave.saturating_add(1);
        return Some((
            "waves",
            format!(
                "wave {number} has none behind it that a gate could hold back; the last that has is {last}"
            ),
        ));
    }
    if gate.waves.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Some(("waves", "each wave is named once, in order".to_owned()));
    }
    let By::Check(check) = &gate.by else {
        let is_approved = |wave: usize| {
            let is_too =
                |other: &External| other.by == By::Approval && other.is_behind(wave, wave_count);
            gate.is_behind(wave, wave_count) && before.iter().any(is_too)
        };
        let twice = (0..last).find(|wave| is_approved(*wave));
        return twice.map(|wave| {
            ("waves", format!("wave {} waits for an approval already; one will do", wave + 1))
        });
    };
    check_fault(check)
}

fn check_fault(check: &Check) -> Option<(&'static str, String)> {
    let too_long = |text: &str, max: usize| {
        (text.len() > max).then(|| format!("has {} bytes, the most is {max}", text.len()))
    };
    let outside = |span: Duration, range: &RangeInclusive<Duration>| {
        let (least, most) = (crate::units::Span(*range.start()), crate::units::Span(*range.end()));
        (!range.contains(&span)).then(|| format!("must be from {least} to {most}"))
    };
    let of_question = match &check.question {
        Question::Http { status, .. } if !(100..=599).contains(status) => {
            Some(("expect_status", "must be from 100 to 599".to_owned()))
        }
        Question::Http { wanted: None, .. } if check.stops => Some((
            "on_false",
            "there is no comparison that could be false; write pointer, op and value".to_owned(),
        )),
        Question::Http { wanted: Some(Wanted { pointer, .. }), .. } => {
            let is_pointer = pointer.is_empty() || pointer.starts_with('/');
            too_long(pointer, POINTER_BYTES_MAX)
                .or_else(|| (!is_pointer).then(|| "must begin with /".to_owned()))
                .map(|why| ("pointer", why))
        }
        Question::Http { .. } => None,
        Question::Prometheus { query, .. } if query.trim().is_empty() => {
            Some(("query", "is empty".to_owned()))
        }
        Question::Prometheus { url, .. } if url.target().contains('?') => {
            Some(("url", "has a query of its own; write the address of the server".to_owned()))
        }
        Question::Prometheus { test, .. } if !test.is_of_number() => {
            Some(("value", "the result of a query is a number; write one".to_owned()))
        }
        Question::Prometheus { query, .. } => {
            too_long(query, QUERY_BYTES_MAX).map(|why| ("query", why))
        }
    };
    of_question
        .or_else(|| outside(check.timeout, &TIMEOUTS).map(|why| ("timeout", why)))
        .or_else(|| outside(check.every, &INTERVALS).map(|why| ("every", why)))
        .or_else(|| header_fault(check).map(|why| ("headers", why)))
}

fn header_fault(check: &Check) -> Option<String> {
    let count = check.headers.len();
    if count > HEADERS_MAX {
        return Some(format!("there are {count}, the most is {HEADERS_MAX}"));
    }
    let mut lower: Vec<String> = check.headers.keys().map(|name| name.to_lowercase()).collect();
    lower.sort_unstable();
    for name in &lower {
        // RFC 9110 section 5.6.2, without what nobody names a header by.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_token) {
            return Some(format!("\"{}\" is no name of a header", crate::hours::echo(name)));
        }
        if OURS.contains(&name.as_str()) {
            return Some(format!("{name} is not yours to set"));
        }
    }
    let twice = lower.windows(2).find(|pair| pair[0] == pair[1]);
    twice.map(|pair| format!("{} is there twice", pair[0]))
}
