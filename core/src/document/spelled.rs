//! A spec as somebody would write it: in the words of a document, with every default.
//!
//! Owns the way back from [`Spec`] to a [`Tree`] that [`Document::read`](super::Document::read)
//! takes for the same. What no document says is left out.

use std::fmt::Display;

use super::{
    Tree,
    delivery::MODES,
    gates,
    read::{MEMBERSHIPS, OFFLINES, ON_FAILURES, QUARANTINE_OFF, UNREACHABLES},
    reader::word_of,
    regression::MEASURED,
    schedule::WHEN_CLOSED,
};
use crate::{
    brake::Brake,
    budget::{Budget, Limit},
    gate::regression::Regression,
    health::{Check, Health},
    hours::Freeze,
    release::Release,
    rollout::{Deadline, Schedule, Spec, WaveSize, WaveSpec, ZoneRule},
    units::Span,
};

/// A spec in the words of a document (docs/rollout-spec.md).
pub fn spelled(spec: &Spec) -> Tree {
    let Spec { limits, retry, verify, waves, .. } = spec;
    let waves = (!waves.is_empty()).then(|| Tree::List(waves.iter().map(wave).collect()));
    let timeouts = [
        ("delivering", spec.delivery_timeout.map(|span| text(Span(span)))),
        ("verifying", Some(text(Span(verify.timeout)))),
    ];
    let fields = [
        ("release", Some(release(&spec.release))),
        ("select", spec.select.as_ref().filter(|select| !select.is_empty()).map(text)),
        ("strategy", Some(text(spec.strategy))),
        ("start_at", spec.start_at.map(text)),
        ("deadline", spec.deadline.map(deadline)),
        ("waves", waves),
        (
            "gates",
            (!spec.gates.is_empty())
                .then(|| Tree::List(spec.gates.iter().map(gates::spelled).collect())),
        ),
        ("membership", Some(text(word_of(&MEMBERSHIPS, &spec.membership)))),
        ("salt", Some(text(&spec.salt)).filter(|_| !spec.salt.is_empty())),
        ("offline", Some(text(word_of(&OFFLINES, &spec.offline)))),
        ("wait_absent", Some(text(Span(spec.wait_absent)))),
        (
            "limits",
            Some(table([
                ("max_in_flight", Some(number(limits.max_in_flight))),
                ("max_unverified", Some(number(limits.max_unverified))),
                ("max_per_host", Some(number(limits.max_per_host))),
                ("per_minute", limits.per_minute.map(number)),
            ])),
        ),
        ("budgets", budgets(&spec.budgets)),
        (
            "retry",
            Some(table([
                ("attempts", Some(number(retry.attempts_max()))),
                ("backoff", Some(text(Span(retry.initial())))),
                ("multiplier", Some(Tree::Float(retry.multiplier()))),
                ("max_backoff", Some(text(Span(retry.cap())))),
                ("jitter_percent", Some(number(retry.jitter_percent()))),
            ])),
        ),
        (
            "verify",
            Some(table([
                ("mode", Some(text(word_of(&MODES, &verify.mode)))),
                ("first", Some(Tree::Bool(verify.first))),
            ])),
        ),
        ("timeouts", Some(table(timeouts))),
        ("max_failures", spec.brake.map(max_failures)),
        ("regression", spec.regression.as_ref().map(regression)),
        ("health", spec.health.as_ref().map(health)),
        ("on_failure", Some(text(word_of(&ON_FAILURES, &spec.on_failure)))),
        ("unreachable", Some(text(word_of(&UNREACHABLES, &spec.unreachable)))),
        (
            "quarantine_after",
            Some(spec.quarantine_after.map_or_else(|| text(QUARANTINE_OFF), number)),
        ),
        ("priority", Some(number(spec.priority))),
        ("allow_downgrade", Some(Tree::Bool(spec.allow_downgrade))),
    ];
    table(fields.into_iter().chain(schedule(&spec.schedule)))
}

fn table<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Tree>)>) -> Tree {
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Tree::Table(fields.collect())
}

fn text(value: impl Display) -> Tree {
    Tree::Text(value.to_string())
}

fn number(value: impl Into<i128>) -> Tree {
    Tree::Integer(value.into())
}

/// In one text unless a blank is part of a name.
fn release(release: &Release) -> Tree {
    let Release { name, version, .. } = release;
    let is_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    if is_word(name) && is_word(version) {
        return text(format_args!("{name} {version}"));
    }
    table([("name", Some(text(name))), ("version", Some(text(version)))])
}

fn budgets(budgets: &[Budget]) -> Option<Tree> {
    let budget = |Budget { per, limit, counts_down }: &Budget| {
        let limit = match limit {
            Limit::Max(max) => ("max", Some(number(*max))),
            Limit::Percent(percent) => ("max_percent", Some(number(*percent))),
        };
        table([("per", Some(text(per))), limit, ("count_down", Some(Tree::Bool(*counts_down)))])
    };
    (!budgets.is_empty()).then(|| Tree::List(budgets.iter().map(budget).collect()))
}

fn deadline(deadline: Deadline) -> Tree {
    match deadline {
        Deadline::At(time) => text(time),
        Deadline::After(span) => text(Span(span)),
    }
}

fn max_failures(brake: Brake) -> Tree {
    match brake {
        Brake::Count(count) => number(count),
        Brake::Percent(percent) => text(format_args!("{percent}%")),
    }
}

fn regression(Regression { baseline, alpha }: &Regression) -> Tree {
    let baseline = match baseline.of() {
        Some(_) => text(MEASURED),
        None => text(baseline.rate().to_string().replace(' ', "")),
    };
    table([("baseline", Some(baseline)), ("alpha_percent", Some(number(alpha.percent())))])
}

fn health(Health { check, every, failures }: &Health) -> Tree {
    let (check, path) = match check {
        Check::Version => ("version", None),
        Check::Url(path) => ("url", Some(text(path))),
    };
    table([
        ("check", Some(text(check))),
        ("path", path),
        ("every", Some(text(Span(*every)))),
        ("failures", Some(number(*failures))),
    ])
}

fn schedule(schedule: &Schedule) -> [(&'static str, Option<Tree>); 4] {
    let Schedule { hours, zone, when_closed } = schedule;
    let windows: Vec<Tree> = hours.windows.iter().map(text).collect();
    let freezes: Vec<Tree> = hours.freezes.iter().map(freeze).collect();
    let list = |values: Vec<Tree>| (!values.is_empty()).then_some(Tree::List(values));
    let zone = match zone {
        ZoneRule::Device { otherwise } => text(otherwise),
        ZoneRule::Fixed(zone) => table([("fixed", Some(text(zone)))]),
    };
    [
        ("windows", list(windows)),
        ("freezes", list(freezes)),
        ("time_zone", Some(zone)),
        ("when_closed", Some(text(word_of(&WHEN_CLOSED, when_closed)))),
    ]
}

fn freeze(freeze: &Freeze) -> Tree {
    let edges = freeze.to_string();
    match (freeze.reason(), edges.split_once("..")) {
        (Some(reason), Some((from, to))) => table([
            ("from", Some(text(from))),
            ("to", Some(text(to))),
            ("reason", Some(text(reason))),
        ]),
        _ => Tree::Text(edges),
    }
}

fn wave(wave: &WaveSpec) -> Tree {
    let WaveSpec { size, soak, min_success } = wave;
    let size = match size {
        WaveSize::Percent(percent) => ("percent", Some(number(*percent))),
        WaveSize::Count(count) => ("count", Some(number(*count))),
        WaveSize::Select(select) => ("select", Some(text(select))),
    };
    table([size, ("soak", Some(text(Span(*soak)))), ("min_success", min_success.map(number))])
}
