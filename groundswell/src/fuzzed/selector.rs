//! Selectors: what is read is written, and read again, as the same, and means what it says.

use std::collections::BTreeSet;

use groundswell_core::{
    device::Device,
    selector::{
        Comparison, Expr, Field, Order, Pattern, Selector, SelectorError, TEXT_BYTES_MAX, Test,
        Value,
    },
};

use super::{NOW, is_plain};
use crate::access::Scope;

/// Longest reason, in bytes: some lines of a terminal.
const REASON_BYTES_MAX: usize = 1_000;

/// Widest line of what is shown of an expression, in characters.
const SHOWN_CHARS_MAX: usize = 88;

/// Devices made for one expression; every further one asks the same again.
const DEVICES_MAX: usize = 24;

/// Holds bytes against what is promised of selectors.
///
/// # Panics
/// If that is broken.
pub fn selector(given: &[u8]) {
    let Ok(text) = str::from_utf8(given) else { return };
    if let Ok(field) = Field::parse(text) {
        assert_eq!(Field::parse(&field.to_string()), Ok(field), "a field is written as another");
    }
    match Selector::parse(text) {
        Ok(selector) => read(&selector),
        Err(error) => refused(text, &error),
    }
    if let Ok(scope) = Scope::parse(text) {
        assert!(scope.covers(Some(&scope.narrow(None))), "a scope does not cover itself");
    }
}

fn read(selector: &Selector) {
    let written = selector.to_string();
    assert!(written.len() <= TEXT_BYTES_MAX, "{} bytes are written", written.len());
    let again = Selector::parse(&written);
    assert_eq!(again.as_ref(), Ok(selector), "written as {written}");
    for device in devices(selector.expr()) {
        if let Some(wanted) = naive(selector.expr(), &device) {
            assert_eq!(selector.matches(&device, NOW), wanted, "{written} of {device:?}");
        }
    }
}

fn refused(text: &str, error: &SelectorError) {
    let (place, reason) = (error.place(), error.reason());
    assert!(place.start <= place.end && place.end <= text.len(), "{place:?}");
    assert!(text.is_char_boundary(place.start) && text.is_char_boundary(place.end), "{place:?}");
    assert!(!reason.is_empty() && is_plain(&reason, REASON_BYTES_MAX), "{reason:?}");
    let shown = error.to_string();
    let lines: Vec<&str> = shown.split('\n').collect();
    assert!(lines.iter().all(|line| is_plain(line, REASON_BYTES_MAX)), "{shown:?}");
    assert!(lines.len() == 1 || lines.len() == 3, "{shown:?}");
    // The place is within what is shown of the expression.
    assert!(lines.iter().skip(1).all(|line| line.chars().count() <= SHOWN_CHARS_MAX), "{shown}");
}

/// Devices of which some are likely to match: each has values that the expression names.
fn devices(expr: &Expr) -> Vec<Device> {
    let mut comparisons = vec![];
    collect(expr, &mut comparisons);
    let mut made = vec![Device { id: "x".to_owned(), ..Device::default() }];
    for offset in 0..comparisons.len().min(DEVICES_MAX) {
        let mut device = Device { id: "x".to_owned(), ..Device::default() };
        for (position, Comparison { field, test }) in comparisons.iter().enumerate() {
            let texts = texts(test);
            let Some(text) = texts.get((position + offset) % texts.len().max(1)) else { continue };
            match field {
                Field::Id => device.id.clone_from(text),
                Field::Name => device.name.clone_from(text),
                Field::Location => device.location = Some(text.clone()),
                Field::TimeZone => device.time_zone = Some(text.clone()),
                Field::Tag(key) if position % 3 != offset % 3 || comparisons.len() == 1 => {
                    device.tags.insert(key.to_string(), text.clone());
                }
                _ => {}
            }
        }
        made.push(device);
    }
    made
}

fn collect<'a>(expr: &'a Expr, into: &mut Vec<&'a Comparison>) {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().for_each(|part| collect(part, into)),
        Expr::Compare(comparison) => into.push(comparison),
    }
}

/// Texts that a test is likely to tell apart.
fn texts(test: &Test) -> Vec<String> {
    match test {
        Test::Present | Test::Absent => vec!["a".to_owned()],
        Test::In(values) | Test::Out(values) => values.iter().filter_map(text).collect(),
        Test::Order(_, value) => {
            text(value).map(|text| vec![text.clone(), format!("{text}0")]).unwrap_or_default()
        }
        Test::Like(pattern) | Test::Unlike(pattern) => {
            let pieces: Vec<&str> = pattern.pieces().collect();
            ["", "z", "ab"].map(|between| pieces.join(between)).to_vec()
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Version { .. } | Value::Moment(_) => None,
    }
}

/// The meaning in the plainest way; none where it is more than texts.
fn naive(expr: &Expr, device: &Device) -> Option<bool> {
    let each = |parts: &[Expr]| -> Option<Vec<bool>> {
        parts.iter().map(|part| naive(part, device)).collect()
    };
    match expr {
        Expr::All(parts) => each(parts).map(|all| !all.contains(&false)),
        Expr::Any(parts) => each(parts).map(|any| any.contains(&true)),
        Expr::Compare(Comparison { field, test }) => {
            let value = match field {
                Field::Id => Some(device.id.as_str()),
                Field::Name => Some(device.name.as_str()),
                Field::Location => device.location.as_deref(),
                Field::TimeZone => device.time_zone.as_deref(),
                Field::Tag(key) => device.tags.get(&**key).map(String::as_str),
                Field::Version | Field::Status | Field::LastSeen | Field::Address => return None,
            };
            holds(test, value)
        }
    }
}

fn holds(test: &Test, found: Option<&str>) -> Option<bool> {
    let is_in = |values: &[Value]| {
        let texts: BTreeSet<String> = values.iter().filter_map(text).collect();
        found.is_some_and(|found| texts.contains(found))
    };
    Some(match test {
        Test::Present => found.is_some(),
        Test::Absent => found.is_none(),
        Test::In(values) => is_in(values),
        Test::Out(values) => !is_in(values),
        Test::Like(pattern) => fits(pattern, found),
        Test::Unlike(pattern) => !fits(pattern, found),
        Test::Order(order, value) => {
            let wanted = text(value)?;
            found.is_some_and(|found| match order {
                Order::Less => found.as_bytes() < wanted.as_bytes(),
                Order::LessOrEqual => found.as_bytes() <= wanted.as_bytes(),
                Order::Greater => found.as_bytes() > wanted.as_bytes(),
                Order::GreaterOrEqual => found.as_bytes() >= wanted.as_bytes(),
            })
        }
    })
}

/// Whether a text fits these pieces with anything between each two: every place of each is tried.
fn fits(pattern: &Pattern, text: Option<&str>) -> bool {
    let Some(text) = text.map(str::as_bytes) else { return false };
    let pieces: Vec<&[u8]> = pattern.pieces().map(str::as_bytes).collect();
    // Where the pieces so far may end.
    let mut ends = BTreeSet::from([0]);
    for (position, piece) in pieces.iter().enumerate() {
        let (is_first, is_last) = (position == 0, position + 1 == pieces.len());
        let Some(from) = ends.first().copied() else { return false };
        let starts = (from..=text.len()).filter(|at| text[*at..].starts_with(piece));
        ends = starts
            .filter(|at| !is_first || *at == 0)
            .map(|at| at + piece.len())
            .filter(|end| !is_last || *end == text.len())
            .collect();
    }
    !ends.is_empty()
}
