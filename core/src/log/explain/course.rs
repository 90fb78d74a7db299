//! What a rollout did, and what its operators did, in words.

use std::{collections::BTreeSet, fmt::Write as _};

use uuid::Uuid;

use crate::{
    event::{Event, Kind, devices_of},
    gate::{Ruling, external::Evidence},
    ids::RolloutId,
    log::{Acted, Listed, RolledBack, replay::Replay},
    plan::{Change, Sweep, SweepReason},
    rollback::rollouts_of,
    rollout::{Progression, Spec, State},
    snapshot::Counts,
    time::Time,
};

/// So many waves are told one by one.
const WAVES_SHOWN: usize = 6;

/// And so many zones.
const ZONES_SHOWN: usize = 3;

/// A change of the rollout; none if it has but one wave, which is all of it.
pub(super) fn change(change: &Change, replay: &Replay) -> Option<String> {
    let is_of_wave = matches!(change, Change::OpenWave(_) | Change::Soak(_) | Change::Rule(..));
    if is_of_wave && replay.spec.as_ref().is_none_or(|spec| spec.waves.is_empty()) {
        return None;
    }
    let of = replay.progression().map_or(1, |progression| progression.waves.len());
    let counted = replay.book.driver();
    let all: Counts = counted.values().copied().sum();
    let of_wave = |wave| {
        let rows = counted.iter().filter(|((of, _), _)| *of == wave);
        rows.map(|(_, counts)| counts.total()).sum()
    };
    let kind = Kind::of_change(change, of, all, replay.spec.as_ref()?, of_wave);
    Some(words(kind, replay.now))
}

/// What was read by each external gate that had a part in it; an approval was told when it was given.
pub(super) fn said(evidence: &[Evidence], spec: &Spec) -> Vec<String> {
    let words = |said: &Evidence| {
        let check = spec.gates.get(said.gate)?.check()?;
        let (number, answer) = (said.gate.saturating_add(1), said.answer.as_ref()?);
        let wants = check.wants();
        Some(format!("external gate {number}, the check {check}: {answer}, {wants} wanted"))
    };
    evidence.iter().filter_map(words).collect()
}

/// As operators read it while it happens.
fn words(kind: Kind, at: Time) -> String {
    Event { at, rollout: RolloutId(Uuid::nil()), kind }.to_string()
}

/// What an operator did, and what came of it at once.
pub(super) fn acted(acted: &Acted, before: &Progression, after: &Progression) -> Vec<String> {
    let because = acted.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let said = format!("the operator said {}{because}", acted.act);
    if let Some(why) = &acted.refused {
        return vec![format!("{said}, and nothing changed: {why}")];
    }
    let mut sentences = vec![said];
    let of = after.waves.len();
    for (wave, (was, is)) in before.waves.iter().zip(&after.waves).enumerate() {
        if let Some(verdict) = is.verdict().filter(|verdict| was.verdict() != Some(*verdict)) {
            let is_gateless = verdict.min_success.is_none() && verdict.ruling == Ruling::Override;
            sentences.push(if is_gateless && of == 1 {
                format!("it is not waited for what is open: {}", verdict.tally)
            } else {
                words(Kind::GateRuled { wave: wave + 1, of, verdict }, verdict.at)
            });
        }
    }
    let accepted = after.failures_accepted.saturating_sub(before.failures_accepted);
    if accepted > 0 && after.round == before.round {
        sentences.push(format!("the failures of {} are accepted", devices_of(accepted)));
    }
    if after.state == State::Paused && before.state == State::Paused {
        let reasons: Vec<String> = after.paused.iter().map(ToString::to_string).collect();
        sentences.push(format!("still paused by the {}", reasons.join(" and the ")));
    }
    sentences
}

/// Where a rollout stands of whose log the older entries were pruned.
pub(super) fn pruned(replay: &Replay) -> Vec<String> {
    let counts: Counts = replay.book.driver().values().copied().sum();
    let is = replay.progression().map_or(State::Draft, |progression| progression.state);
    let counts = [
        (counts.waiting(), "not begun"),
        (counts.active(), "begun"),
        (counts.succeeded + counts.current, "with the release"),
        (counts.skipped, "skipped"),
        (counts.failures(), "failed"),
        (counts.regressed, "regressed since"),
        (counts.canceled, "canceled"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let head = replay.spec.as_ref().map(super::spec::headline).unwrap_or_default();
    let mut sentences = vec![
        "what was written down before this is pruned".to_owned(),
        format!("by then it is {is}: {head}"),
    ];
    if !counts.is_empty() {
        sentences.push(format!("by then its devices: {}", counts.join(", ")));
    }
    sentences
}

/// Whoever goes on with it has another spec.
pub(super) const fn taken_up(waives_gate: bool) -> &'static str {
    if waives_gate {
        "taken up again: what stopped it is judged anew, the gate of its wave is waived"
    } else {
        "taken up again: what stopped it is judged anew"
    }
}

/// Other rollouts bring back what this one took away.
pub(super) fn rolled_back(rolled_back: &RolledBack, replay: &Replay) -> String {
    let RolledBack { by, survey, missing } = rolled_back;
    let name = replay.spec.as_ref().map_or("", |spec| spec.release.name.as_str());
    let mut left_out = survey.left_out();
    let lost: u64 = missing.iter().filter_map(|version| survey.to.get(version)).sum();
    if lost > 0 {
        let versions = missing.join(", ");
        left_out.push(format!("{} ran {name} {versions}, which is no release", devices_of(lost)));
    }
    let goes = survey.to.iter().filter(|(version, _)| !missing.contains(version));
    let goes: Vec<String> = goes.map(|(to, count)| format!("{count} to {name} {to}")).collect();
    let mut words = match by.as_slice() {
        [] => "not rolled back: no device has a release to go back to".to_owned(),
        by => format!("rolled back by {}: {}", rollouts_of(by), goes.join(", ")),
    };
    if !left_out.is_empty() {
        let _ = write!(words, "; left as they are: {}", left_out.join(", "));
    }
    words
}

/// Whether devices that are written down now come to others.
pub(super) fn is_joined(listed: &Listed, replay: &Replay) -> bool {
    replay.progression().is_some_and(|progression| {
        listed.round == progression.round
            && !matches!(progression.state, State::Draft | State::Preparing)
    })
}

/// Devices are ended without being sent to.
pub(super) fn sweep(sweep: &Sweep, replay: &Replay) -> Option<String> {
    match sweep.why {
        // The operator's act, or what aborted it, was told just before.
        SweepReason::Canceled | SweepReason::Aborted => None,
        SweepReason::Deadline => {
            Some("the deadline has passed: nothing is begun any more".to_owned())
        }
        SweepReason::WindowClosed => {
            let cohorts = sweep.cohorts.iter().filter_map(|at| replay.frame.cohorts.get(*at));
            let zones = cohorts.filter_map(|cohort| Some(cohort.zone.as_ref()?.name()));
            let zones: BTreeSet<&str> = zones.collect();
            let more = zones.len().saturating_sub(ZONES_SHOWN);
            let mut shown: Vec<String> =
                zones.into_iter().take(ZONES_SHOWN).map(str::to_owned).collect();
            if more > 0 {
                shown.push(format!("{more} more zones"));
            }
            let zones = shown.join(", ");
            Some(format!("the window has closed for good in {zones}: the rest is left as it is"))
        }
    }
}

/// The devices of a round, wave by wave.
pub(super) fn prepared(replay: &Replay) -> String {
    let of = replay.progression().map_or(1, |progression| progression.waves.len());
    let mut waves = vec![0; of];
    let mut all = 0;
    for ((wave, _), counts) in replay.book.counted(replay.round()) {
        all += counts.total();
        // A log that was changed may name any wave.
        if let Some(count) = waves.get_mut(wave) {
            *count += counts.total();
        }
    }
    let last = waves.iter().rposition(|count| *count > 0);
    waves.truncate(last.map_or(0, |last| last + 1));
    let mut words = match replay.round() {
        0 | 1 => "prepared".to_owned(),
        round => format!("round {round} prepared"),
    };
    let _ = write!(words, ": {}", devices_of(all));
    if of > 1 && !waves.is_empty() {
        let shown = waves.iter().take(WAVES_SHOWN).enumerate();
        let shown: Vec<String> =
            shown.map(|(wave, count)| format!("{count} in wave {}", wave + 1)).collect();
        let _ = write!(words, ": {}", shown.join(", "));
        if waves.len() > WAVES_SHOWN {
            let later: u64 = waves[WAVES_SHOWN..].iter().sum();
            let _ = write!(words, " and {later} in later ones");
        }
    }
    words
}
