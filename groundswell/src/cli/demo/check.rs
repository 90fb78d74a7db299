//! Whether each scenario did what it says.
//!
//! Judges by what the terminals report and what the store holds, not by what the driver told
//! meanwhile, and with means of its own: wall clocks are read as text, versions as three numbers.
//! A check returns everything that is wrong, in words. Function to read first: [`check`].

use std::time::Duration;

use groundswell_core::{
    assignment::{SkipReason, State},
    gate::Ruling,
    rollout::{self, Wave, WaveState},
    time::Time,
};

use super::{
    played::{Outage, Part, Played},
    scenario::{
        BROKEN, REBOOT_MINUTES, REGION, SOAK_MINUTES, Scenario, Script, THRESHOLD, WAVES, WINDOW,
    },
};

/// All that is wrong with how a scenario was played.
pub(super) fn check(scenario: &Scenario, played: &Played) -> Vec<String> {
    let mut wrong = match scenario.script {
        Script::Watch | Script::Night | Script::Homecoming => completion(played),
        Script::Undoing => retreat(played),
    };
    wrong.extend((scenario.check)(played));
    wrong
}

/// What holds for every scenario that comes to its end.
fn completion(played: &Played) -> Vec<String> {
    let mut wrong = vec![];
    if played.state != rollout::State::Completed {
        wrong.push(format!("the rollout is {}, not completed", played.state));
    }
    for part in &played.terminals {
        wrong.extend(delivery(played, part));
    }
    wrong
}

/// Who receives it does so once, whole, and runs it from then on;
/// who does not hears of nothing.
fn delivery(played: &Played, part: &Part) -> Option<String> {
    let (id, version) = (&part.device.id, &played.version);
    match part.received_at.len() {
        0 if part.requests > 0 => Some(format!("{id} was sent something other than {version}")),
        0 if part.after != part.before => {
            Some(format!("{id} runs {}, and received nothing", part.after))
        }
        1 if part.sha256.as_ref() != Some(&played.sha256) => {
            Some(format!("{id} received other bytes than those of {version}"))
        }
        1 if part.after != *version => {
            Some(format!("{id} received {version} and runs {}", part.after))
        }
        1 if !matches!(part.standing, Some((_, State::Succeeded))) => {
            Some(format!("{id} runs {version}, and the store does not say so"))
        }
        0 | 1 => None,
        count => Some(format!("{id} received {version} {count} times")),
    }
}

/// What holds for every scenario that is stopped and rolled back.
fn retreat(played: &Played) -> Vec<String> {
    let mut wrong = vec![];
    if played.state != rollout::State::Aborted {
        wrong.push(format!("the rollout is {}, not aborted", played.state));
    }
    if played.rollbacks.is_empty() {
        wrong.push("no rollout rolls it back".to_owned());
    }
    for (version, state) in &played.rollbacks {
        if *state != rollout::State::Completed {
            wrong.push(format!("the rollout back to {version} is {state}, not completed"));
        }
    }
    for part in &played.terminals {
        wrong.extend(way_back(played, part));
    }
    wrong
}

/// Whoever received it did so once, and what was there before once after that, whole; whoever did
/// not heard of nothing. All run what they ran.
fn way_back(played: &Played, part: &Part) -> Option<String> {
    let (id, version, before) = (&part.device.id, &played.version, &part.before);
    match (part.received_at.len(), part.requests) {
        _ if part.after != *before => Some(format!("{id} runs {}, not {before} again", part.after)),
        _ if part.sha256 != part.sha256_before => {
            Some(format!("{id} received other bytes than those of {before}"))
        }
        _ if part.outages.iter().any(|outage| outage.to.is_none()) => {
            Some(format!("{id} answers no version to this day"))
        }
        (0, 0) | (1, 2) => None,
        (0, _) => Some(format!("{id} was sent something, and not {version}")),
        (1, all) => Some(format!("{id} was sent to {all} times, not there and back")),
        (count, _) => Some(format!("{id} received {version} {count} times")),
    }
}

/// Exactly those of whom `is_meant` holds received it.
fn exactly(played: &Played, is_meant: impl Fn(&Part) -> bool) -> Vec<String> {
    let each = played.terminals.iter().filter_map(|part| {
        let (id, version) = (&part.device.id, &played.version);
        match (is_meant(part), part.received_at.is_empty()) {
            (true, true) => Some(format!("{id} did not receive {version}")),
            (false, false) => Some(format!("{id} received {version}, and should not have")),
            _ => None,
        }
    });
    each.collect()
}

/// Those that were offline are told to have been skipped for that.
fn offline_skipped(played: &Played) -> impl Iterator<Item = String> {
    let offline = played.terminals.iter().filter(|part| !part.was_online);
    offline.filter_map(|part| match part.standing {
        Some((_, State::Skipped(SkipReason::Offline))) => None,
        Some((_, other)) => Some(format!("{} is {other}, not skipped: offline", part.device.id)),
        None => Some(format!("{} was not chosen", part.device.id)),
    })
}

pub(super) fn immediate(played: &Played) -> Vec<String> {
    let mut wrong = exactly(played, |part| part.was_online);
    wrong.extend(offline_skipped(played));
    wrong
}

pub(super) fn scheduled(played: &Played) -> Vec<String> {
    let mut wrong = immediate(played);
    let (opens, closes) = WINDOW;
    let receptions = played.receptions();
    for (at, part) in &receptions {
        let shown = part.zone.local_text(*at, *at);
        if !(opens..closes).contains(&&*shown) {
            let (id, zone) = (&part.device.id, part.zone.name());
            wrong.push(format!("{id} received it at {shown} of {zone}, not {opens} to {closes}"));
        }
    }
    // By the sun: New York before Chicago, Chicago before Denver, Denver before Seattle.
    let order = ["America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"];
    let turn = |part: &Part| order.iter().position(|zone| *zone == part.zone.name());
    let turns: Vec<_> = receptions.iter().filter_map(|(_, part)| turn(part)).collect();
    if !turns.is_sorted() || !(0..order.len()).all(|zone| turns.contains(&zone)) {
        wrong.push("the time zones did not have their turns from east to west".to_owned());
    }
    wrong
}

pub(super) fn progressive(played: &Played) -> Vec<String> {
    let mut wrong = immediate(played);
    let wave_of = |part: &Part| part.standing.map(|(wave, _)| wave);
    let mut last: Option<Time> = None;
    for (wave, size) in WAVES.iter().enumerate() {
        let number = wave + 1;
        let count = played.terminals.iter().filter(|part| wave_of(part) == Some(wave)).count();
        if count != *size {
            wrong.push(format!("wave {number} has {count} terminals, not {size}"));
        }
        let state = played.waves.get(wave);
        let is_go = |state: &Wave| {
            matches!(state.state, WaveState::Passed { .. })
                && state.verdict().is_some_and(|verdict| verdict.ruling == Ruling::Go)
        };
        if !state.is_some_and(is_go) {
            wrong.push(format!("the gate of wave {number} did not say go"));
        }
        let receptions = played.receptions();
        let own = receptions.iter().filter(|(_, part)| wave_of(part) == Some(wave));
        let own: Vec<Time> = own.map(|(at, _)| *at).collect();
        let watched = Duration::from_mins(REBOOT_MINUTES + SOAK_MINUTES);
        if last.zip(own.first()).is_some_and(|(last, first)| *first < last + watched) {
            wrong.push(format!("wave {number} began before wave {wave} had been watched"));
        }
        last = own.last().copied().or(last);
    }
    wrong
}

pub(super) fn on_connect(played: &Played) -> Vec<String> {
    let mut wrong = exactly(played, |_| true);
    let came: Vec<&Part> = played.terminals.iter().filter(|part| !part.was_online).collect();
    if came.len() < 2 {
        wrong.push("fewer than two terminals were offline: nothing was waited for".to_owned());
    }
    let mut arrivals: Vec<Time> = came.iter().filter_map(|part| part.came_online_at).collect();
    arrivals.sort();
    for part in came {
        let id = &part.device.id;
        let (Some(at), Some(received_at)) = (part.came_online_at, part.received_at.first()) else {
            wrong.push(format!("{id} never came online, or was never sent to"));
            continue;
        };
        if *received_at < at {
            wrong.push(format!("{id} was sent to before it came online"));
        }
        // Whoever comes next is proof that nobody waited for company.
        if arrivals.iter().any(|next| *next > at && next < received_at) {
            wrong.push(format!("{id} was not updated before the next one came online"));
        }
    }
    let first = arrivals.first().copied().unwrap_or(Time::MAX);
    for part in played.terminals.iter().filter(|part| part.was_online) {
        if part.received_at.iter().any(|at| *at > first) {
            wrong.push(format!("{} was online and had to wait", part.device.id));
        }
    }
    wrong
}

pub(super) fn region(played: &Played) -> Vec<String> {
    exactly(played, |part| part.region() == REGION)
}

pub(super) fn firmware(played: &Played) -> Vec<String> {
    let mut wrong = exactly(played, |part| numbers(&part.before) < numbers(THRESHOLD));
    let as_texts = |part: &Part| (part.before.as_str() < THRESHOLD) != part.received_at.is_empty();
    if played.terminals.iter().all(as_texts) {
        wrong.push("comparing versions as texts would have done the same".to_owned());
    }
    wrong
}

pub(super) fn undo(played: &Played) -> Vec<String> {
    let mut wrong = vec![];
    let is_meant = |part: &Part| BROKEN.contains(&&*part.device.id);
    for part in &played.terminals {
        let (id, region) = (&part.device.id, part.region());
        match (is_meant(part), part.broke()) {
            (true, false) => wrong.push(format!("{id} did not break")),
            (false, true) => wrong.push(format!("{id} broke")),
            _ => {}
        }
        if let Some((_, state)) = part.standing
            && state.is_failure() != part.broke()
        {
            let broke = if part.broke() { "it broke" } else { "it did not break" };
            wrong.push(format!("{id} is {state}, and {broke}"));
        }
        // Each that breaks is the first of its region, which has no more to lose then.
        let has_broken =
            played.terminals.iter().any(|part| is_meant(part) && part.region() == region);
        if has_broken && !is_meant(part) && !part.received_at.is_empty() {
            wrong.push(format!("{id} received it, though one of the {region} was out of order"));
        }
    }
    wrong.extend(crowds(played));
    wrong
}

/// Two of one region that were out of order at once.
fn crowds(played: &Played) -> Vec<String> {
    let mut crowds = vec![];
    for (at, part) in played.terminals.iter().enumerate() {
        let of_region = |other: &&Part| other.region() == part.region();
        for other in played.terminals[at + 1..].iter().filter(of_region) {
            let both = |outage: &Outage| other.outages.iter().any(|other| outage.overlaps(other));
            if part.outages.iter().any(both) {
                let (one, two) = (&part.device.id, &other.device.id);
                crowds.push(format!("{one} and {two} were out of order at once"));
            }
        }
    }
    crowds
}

/// A version such as 2.10.0 as its three numbers.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}
