//! How devices are sent to: limits, retries, verification, time-outs and the brake.

use std::time::Duration;

use super::{
    Tree,
    reader::{Field, Table},
};
use crate::{
    brake::Brake,
    retry::{ATTEMPTS_LIMIT, BACKOFF_LIMIT, Policy, PolicyError},
    rollout::{
        IN_FLIGHT_LIMIT, Limits, RATE_LIMIT, UNVERIFIED_LIMIT, VERIFY_TIMEOUT_LIMIT, Verify,
    },
    units::Span,
    verify::Mode,
};

pub(super) const MODES: [(&str, Mode); 3] =
    [("version", Mode::Version), ("reachable", Mode::Reachable), ("none", Mode::None)];

/// Shortest time-out: the clock knows no shorter time.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Longest time for one delivery: as long as a device is given to show its version.
const DELIVERY_TIMEOUT_LIMIT: Duration = VERIFY_TIMEOUT_LIMIT;

pub(super) struct Delivery {
    pub(super) limits: Limits,
    pub(super) retry: Policy,
    pub(super) verify: Verify,
    pub(super) timeout: Option<Duration>,
    pub(super) brake: Option<Brake>,
}

pub(super) fn delivery(table: &Table<'_>) -> Delivery {
    let within = |name| table.field(name).and_then(|field| field.table(name));
    let timeouts = within("timeouts");
    let timeout = |name, least, limit, example| {
        let field = timeouts.as_ref().and_then(|timeouts| timeouts.field(name))?;
        field.duration(&(least..=limit), example)
    };
    let delivering = timeout("delivering", TIMEOUT_MIN, DELIVERY_TIMEOUT_LIMIT, "10m");
    let mut verify = within("verify").map(|table| verify(&table)).unwrap_or_default();
    // None at all would leave a device no time to restart, whatever it does.
    if let Some(span) = timeout("verifying", TIMEOUT_MIN, VERIFY_TIMEOUT_LIMIT, "5m") {
        verify.timeout = span;
    }
    Delivery {
        limits: within("limits").map(|table| limits(&table)).unwrap_or_default(),
        retry: within("retry").map(|table| retry(&table)).unwrap_or_default(),
        verify,
        timeout: delivering,
        brake: table.field("max_failures").and_then(|field| brake(&field)),
    }
}

fn limits(table: &Table<'_>) -> Limits {
    let limit = |name, max| table.field(name).and_then(|field| field.whole(1..=max));
    let default = Limits::default();
    Limits {
        max_in_flight: limit("max_in_flight", IN_FLIGHT_LIMIT).unwrap_or(default.max_in_flight),
        max_unverified: limit("max_unverified", UNVERIFIED_LIMIT).unwrap_or(default.max_unverified),
        max_per_host: limit("max_per_host", IN_FLIGHT_LIMIT).unwrap_or(default.max_per_host),
        per_minute: limit("per_minute", RATE_LIMIT),
    }
}

/// The longest wait is not shorter than the first one, unless it was written.
fn retry(table: &Table<'_>) -> Policy {
    let default = Policy::default();
    let wait = |name, example| {
        let field = table.field(name)?;
        field.duration(&(Duration::ZERO..=BACKOFF_LIMIT), example)
    };
    let attempts = table.field("attempts").and_then(|field| field.whole(1..=ATTEMPTS_LIMIT));
    let initial = wait("backoff", "1s").unwrap_or_else(|| default.initial());
    let multiplier = table.field("multiplier").and_then(|field| field.float());
    let cap = wait("max_backoff", "30s").unwrap_or_else(|| default.cap().max(initial));
    let jitter = table.field("jitter_percent").and_then(|field| field.percentage(0..=100));
    let policy = Policy::new(
        attempts.unwrap_or_else(|| default.attempts_max()),
        initial,
        multiplier.unwrap_or_else(|| default.multiplier()),
        cap,
        jitter.unwrap_or_else(|| default.jitter_percent()),
    );
    policy.unwrap_or_else(|error| {
        refuse(table, &error);
        default
    })
}

fn refuse(table: &Table<'_>, error: &PolicyError) {
    let name = match error {
        PolicyError::Attempts(_) => "attempts",
        PolicyError::Multiplier(_) => "multiplier",
        PolicyError::InitialOverCap { .. } => "backoff",
        PolicyError::Cap(_) => "max_backoff",
        PolicyError::Jitter(_) => "jitter_percent",
    };
    let what = match error {
        PolicyError::InitialOverCap { initial, cap } => format!(
            "{} is longer than max_backoff, {}; write max_backoff as well, or a shorter one",
            Span(*initial),
            Span(*cap)
        ),
        PolicyError::Multiplier(multiplier) => {
            format!("must be a number from 1 to 100, not {multiplier}")
        }
        other => other.to_string(),
    };
    match table.field(name) {
        Some(field) => field.refuse(what),
        None => table.refuse(what),
    }
}

fn verify(table: &Table<'_>) -> Verify {
    let default = Verify::default();
    Verify {
        mode: table.field("mode").and_then(|field| field.word(&MODES)).unwrap_or(default.mode),
        first: table.field("first").and_then(|field| field.bool()).unwrap_or(default.first),
        ..default
    }
}

const BRAKE: &str = "a number of devices or a percentage in quotes";

/// A number of devices, or a percentage in quotes.
fn brake(field: &Field<'_>) -> Option<Brake> {
    match field.tree() {
        Tree::Integer(_) => field.whole(0..=u32::MAX).map(Brake::Count),
        // Without a percent sign it is a number, and numbers stand without quotes everywhere.
        Tree::Text(text) if text.trim().ends_with('%') => field.parsed("10%"),
        Tree::Text(text) if text.trim().parse::<u32>().is_ok() => {
            let number = text.trim();
            field.refuse_kind(BRAKE, &format!("{number}, or \"{number}%\" for a percentage"));
            None
        }
        _ => {
            field.refuse_kind(BRAKE, "5 or \"10%\"");
            None
        }
    }
}
