//! Findings about the devices: who is chosen, in which wave, and what would stop the rest.

use super::{Code, EVERYTHING_MIN, Facts, Finding, UNGATED_MAX};
use crate::{
    event::devices_of,
    rollout::{Membership, OnFailure, Spec, WaveSize},
    version::VersionKey,
};

/// Nobody is chosen, or everybody is.
pub(super) fn selector(spec: &Spec, facts: &Facts) -> Option<Finding> {
    let Facts { devices, inventory, .. } = *facts;
    if devices == 0 {
        let what = spec.no_device();
        return Some(match spec.membership {
            Membership::Snapshot => {
                let text = format!("{what} now; started like this, it would fail");
                Finding::error(Code::NoDevice, "select", text)
            }
            Membership::Dynamic => {
                let text = format!("{what} now; started like this, it waits for some to join");
                Finding::warning(Code::NoDevice, "select", text)
            }
        });
    }
    let select = spec.select.as_deref().filter(|select| !select.is_empty())?;
    let is_everything = devices >= inventory && inventory >= EVERYTHING_MIN;
    (is_everything && spec.rolls_back.is_none()).then(|| {
        let text = format!(
            "{select} matches all {} of the inventory; if that is meant, leave select out",
            devices_of(inventory)
        );
        Finding::warning(Code::EveryDevice, "select", text)
    })
}

/// Some run a newer version, and would be left as they are.
pub(super) fn newer(spec: &Spec, facts: &Facts) -> Option<Finding> {
    if spec.allow_downgrade {
        return None;
    }
    let own = VersionKey::of(&spec.release.version);
    let is_newer = |version: &str| VersionKey::of(version) > own;
    let newer = facts.versions.iter().filter_map(|(version, devices)| {
        version.as_deref().filter(|version| is_newer(version)).map(|version| (version, *devices))
    });
    let newer: Vec<(&str, u64)> = newer.collect();
    let devices: u64 = newer.iter().map(|(_, devices)| devices).sum();
    let newest = newer.iter().max_by_key(|(version, _)| VersionKey::of(version))?.0;
    let up_to =
        if newer.len() == 1 { newest.to_owned() } else { format!("versions up to {newest}") };
    let way_out = "allow_downgrade = true sends to them as well";
    Some(if devices >= facts.devices {
        let text = format!(
            "every device that is chosen runs {up_to}, newer than {}, and would be skipped; \
             {way_out}",
            spec.release.version
        );
        Finding::error(Code::NewerVersion, "release", text)
    } else {
        let runs = if devices == 1 { "runs" } else { "run" };
        let text = format!(
            "{devices} of {} {runs} {up_to}, newer than {}, and would be skipped; {way_out}",
            devices_of(facts.devices),
            spec.release.version
        );
        Finding::warning(Code::NewerVersion, "release", text)
    })
}

/// Waves that have nobody, though the rollout has somebody.
pub(super) fn waves(spec: &Spec, facts: &Facts) -> Vec<Finding> {
    if facts.devices == 0 || spec.waves.is_empty() {
        return vec![];
    }
    let is_empty = |(wave, devices): (usize, &Option<u64>)| (*devices == Some(0)).then_some(wave);
    let empty = facts.waves.iter().enumerate().filter_map(is_empty);
    empty.map(|wave| empty_wave(spec, wave)).collect()
}

fn empty_wave(spec: &Spec, wave: usize) -> Finding {
    let size = spec.waves.get(wave).map(|wave| &wave.size);
    let number = wave + 1;
    let field = match size {
        Some(size) => format!("waves[{number}].{}", size.field()),
        None => format!("waves[{number}]"),
    };
    match size {
        // Whoever names the first ones wants nobody else to be the first.
        Some(WaveSize::Select(select)) if wave == 0 => {
            let text = format!(
                "no device that is chosen matches {select}, so the first devices would be those of \
                 a later wave; choose others, or leave this wave out"
            );
            Finding::error(Code::EmptyWave, field, text)
        }
        _ if number == spec.waves.len() => {
            let text = "it has no device: the waves before it take all of them";
            Finding::warning(Code::EmptyWave, field, text)
        }
        _ => {
            let text = "it has no device, and passes without having shown anything; leave it out \
                        if that is not meant";
            Finding::warning(Code::EmptyWave, field, text)
        }
    }
}

/// Many devices, and nothing that would stop the rest of them once some have failed.
pub(super) fn no_gate(spec: &Spec, facts: &Facts) -> Option<Finding> {
    // What is behind the last wave comes too late for anybody.
    let inner = 0..spec.wave_count() - 1;
    let has_gate = inner
        .into_iter()
        .any(|wave| spec.gate(wave).1.is_some() || spec.external(wave).next().is_some());
    let is_stopped = has_gate || spec.brake.is_some() || spec.regression.is_some();
    let is_told = facts.devices > UNGATED_MAX && !is_stopped && spec.rolls_back.is_none();
    is_told.then(|| {
        let text = format!(
            "{} and nothing that would stop it: no wave before the last has min_success or a gate, \
             and there is neither max_failures nor a regression test; add one of them",
            devices_of(facts.devices)
        );
        Finding::warning(Code::NoGate, "waves", text)
    })
}

/// What follows when it goes wrong is said, and nothing could ever say that it does: external gates
/// hold back, and stop only where a comparison that is false means that.
pub(super) fn never_rolled_back(spec: &Spec) -> Option<Finding> {
    let is_judged = (0..spec.wave_count()).any(|wave| spec.gate(wave).1.is_some());
    let is_checked = spec.gates.iter().any(|gate| gate.check().is_some_and(|check| check.stops));
    let is_stopped = is_judged || is_checked || spec.brake.is_some() || spec.regression.is_some();
    (spec.on_failure == OnFailure::Rollback && !is_stopped && spec.rolls_back.is_none()).then(|| {
        let text = "\"rollback\" follows when something stops it, and nothing does: no wave has \
                    min_success, no gate has on_false = \"stop\", and there is neither max_failures \
                    nor a regression test; add one of them";
        Finding::warning(Code::NeverRolledBack, "on_failure", text)
    })
}
