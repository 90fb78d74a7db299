//! What is to happen, in words: whatever is otherwise than it is unless somebody says so.

use std::{fmt::Write as _, time::Duration};

use crate::{
    brake::Brake,
    budget::{Budget, Limit},
    event::devices_of,
    gate::{Unreachable, external::External, regression::Regression},
    health::{Check, Health},
    retry,
    rollout::{
        Deadline, Limits, Membership, Offline, OnFailure, QUARANTINE_AFTER, Spec, Verify,
        WAIT_ABSENT, WaveSize, WaveSpec, WhenClosed, ZoneRule,
    },
    time::Time,
    verify::Mode,
    waiting::{span, stamp},
};

/// So many waves, windows or freezes are told one by one.
const SHOWN_MAX: usize = 6;

/// What a rollout sends to whom.
pub(super) fn headline(spec: &Spec) -> String {
    let select = spec.select.as_ref().filter(|select| !select.trim().is_empty());
    let to = match (&spec.rolls_back, select) {
        (Some(of), _) => format!("the devices that ran it before {of}"),
        (None, Some(select)) => format!("the devices that {select} selects"),
        (None, None) => "every device".to_owned(),
    };
    format!("{} {} to {to}, {}", spec.release.name, spec.release.version, spec.strategy)
}

/// Everything else, by heading; a heading that nothing is below says nothing.
pub(super) fn sections(spec: &Spec, now: Time) -> [(&'static str, String); 7] {
    let all = |phrases: Vec<String>| phrases.join(", ");
    [
        ("waves", shown(spec.waves.iter().map(wave), "; then ")),
        ("gates", shown(spec.gates.iter().map(gate), "; ")),
        ("health", spec.health.as_ref().map_or(String::new(), health)),
        ("times", all(times(spec, now))),
        ("hours", all(hours(spec))),
        ("limits", all(limits(spec))),
        ("besides", all(devices(spec))),
    ]
}

fn shown(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let more = all.len().saturating_sub(SHOWN_MAX);
    let mut texts: Vec<String> = all.take(SHOWN_MAX).collect();
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join(between)
}

fn wave(wave: &WaveSpec) -> String {
    let mut text = match &wave.size {
        WaveSize::Percent(percent) => format!("up to {percent} %"),
        WaveSize::Count(count) => devices_of(u64::from(*count)),
        WaveSize::Select(select) => format!("those that {select} selects"),
    };
    if wave.soak > Duration::ZERO {
        let _ = write!(text, ", soak {}", span(wave.soak));
    }
    if let Some(percent) = wave.min_success {
        let _ = write!(text, ", success >= {percent} %");
    }
    text
}

fn gate(gate: &External) -> String {
    let mut text = gate.to_string();
    if gate.check().is_some_and(|check| check.stops) {
        text.push_str(", stops if that is false");
    }
    if !gate.waves.is_empty() {
        let waves: Vec<String> = gate.waves.iter().map(|wave| (wave + 1).to_string()).collect();
        let _ = write!(text, ", behind wave {}", waves.join(" and "));
    }
    text
}

fn health(Health { check, every, failures }: &Health) -> String {
    let check = match check {
        Check::Version => "its version".to_owned(),
        Check::Url(path) => path.clone(),
    };
    let failures = match failures {
        1 => "the first bad answer".to_owned(),
        failures => format!("{failures} bad answers in a row"),
    };
    let every = span(*every);
    format!(
        "while its wave soaks each device is asked for {check} every {every}, regressed after {failures}"
    )
}

fn times(spec: &Spec, now: Time) -> Vec<String> {
    let start = spec.start_at.map(|at| format!("not before {}", stamp(at, now)));
    let deadline = spec.deadline.map(|deadline| match deadline {
        Deadline::At(at) => format!("nothing is begun after {}", stamp(at, now)),
        Deadline::After(after) => {
            format!("nothing is begun later than {} after the start", span(after))
        }
    });
    start.into_iter().chain(deadline).collect()
}

fn hours(spec: &Spec) -> Vec<String> {
    let schedule = &spec.schedule;
    if schedule.is_always_open() {
        return vec![];
    }
    let mut phrases = vec![];
    let windows = shown(schedule.hours.windows.iter().map(ToString::to_string), " and ");
    if !windows.is_empty() {
        phrases.push(format!("only {windows}"));
    }
    let freezes = schedule.hours.freezes.iter().map(|freeze| {
        let reason = freeze.reason().map_or(String::new(), |why| format!(" ({why})"));
        format!("{freeze}{reason}")
    });
    let freezes = shown(freezes, " and ");
    if !freezes.is_empty() {
        phrases.push(format!("not {freezes}"));
    }
    phrases.push(match &schedule.zone {
        ZoneRule::Fixed(zone) => format!("in {zone}"),
        ZoneRule::Device { otherwise } => {
            format!("in each device's time zone, or {otherwise} where it has none")
        }
    });
    if schedule.when_closed == WhenClosed::End {
        phrases.push("and what had no turn by then is left as it is".to_owned());
    }
    phrases
}

fn limits(spec: &Spec) -> Vec<String> {
    let (limits, usual) = (&spec.limits, Limits::default());
    let mut phrases = vec![];
    let mut limit = |is: u32, usual: u32, what: &str| {
        if is != usual {
            phrases.push(format!("at most {is} {what}"));
        }
    };
    limit(limits.max_in_flight, usual.max_in_flight, "open at once");
    limit(limits.max_unverified, usual.max_unverified, "begun and not known to be well");
    limit(limits.max_per_host, usual.max_per_host, "open on one host");
    phrases.extend(spec.budgets.iter().map(|Budget { per, limit, counts_down }| {
        let most = match limit {
            Limit::Max(max) => max.to_string(),
            Limit::Percent(percent) => format!("{percent} %"),
        };
        let down = if *counts_down { ", or down," } else { "" };
        format!("at most {most} of each {per} out of order{down} at once")
    }));
    let attempts = spec.retry.attempts_max();
    if attempts != retry::Policy::default().attempts_max() {
        let plural = if attempts == 1 { "" } else { "s" };
        phrases.push(format!("{attempts} attempt{plural}"));
    }
    phrases.extend(limits.per_minute.map(|rate| format!("{} a minute", devices_of(rate.into()))));
    phrases.extend(spec.delivery_timeout.map(|span_max| format!("{} a delivery", span(span_max))));
    phrases.extend(spec.brake.map(|brake| match brake {
        Brake::Count(count) => format!("stops if more than {} failed", devices_of(count.into())),
        Brake::Percent(percent) => format!("stops if more than {percent} % failed"),
    }));
    phrases.extend(spec.regression.map(|Regression { baseline, alpha }| {
        let percent = alpha.percent();
        format!("stops if more fail than {baseline} explains, wrongly in {percent} of 100 cases")
    }));
    phrases.extend(match spec.on_failure {
        OnFailure::Pause => None,
        OnFailure::Abort => Some("aborted where it would be paused".to_owned()),
        OnFailure::Rollback => Some("rolled back where it would be paused".to_owned()),
    });
    phrases.extend(match spec.unreachable {
        Unreachable::Ignore => None,
        Unreachable::Fail => Some("gates count those not reached as failed".to_owned()),
        Unreachable::Wait => Some("gates wait for those not reached".to_owned()),
    });
    if spec.priority != 0 {
        phrases.push(format!("priority {}", spec.priority));
    }
    phrases
}

fn devices(spec: &Spec) -> Vec<String> {
    let mut phrases: Vec<String> = vec![];
    match spec.offline {
        Offline::Skip => {}
        Offline::Wait if spec.wait_absent == WAIT_ABSENT => {
            phrases.push("those away are waited for".to_owned());
        }
        Offline::Wait => {
            let wait = span(spec.wait_absent);
            phrases.push(format!("those away are waited for, by their wave for {wait}"));
        }
        Offline::Try => phrases.push("those away are tried, too".to_owned()),
    }
    if spec.membership == Membership::Dynamic {
        phrases.push("those that match later join".to_owned());
    }
    match spec.verify.mode {
        Mode::Version => {}
        Mode::Reachable => phrases.push("well if they answer afterwards".to_owned()),
        Mode::None => phrases.push("well if they accept it".to_owned()),
    }
    if spec.verify.timeout != Verify::default().timeout {
        phrases.push(format!("{} to show the version", span(spec.verify.timeout)));
    }
    if spec.verify.first {
        phrases.push("asked for their version before they are sent to".to_owned());
    }
    match spec.quarantine_after {
        None | Some(QUARANTINE_AFTER) => {}
        Some(1) => phrases.push("left out if they failed the rollout before".to_owned()),
        Some(after) => phrases.push(format!("left out if they failed {after} rollouts in a row")),
    }
    if spec.allow_downgrade {
        phrases.push("sent to even if they run a newer version".to_owned());
    }
    phrases
}
