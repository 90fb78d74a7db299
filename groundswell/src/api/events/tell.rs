//! Records of the log as events.

use std::{collections::HashMap, sync::Arc};

use groundswell_core::{
    assignment::Fact,
    gate::{Ruling, Verdict},
    health::in_words,
    ids::AssignmentId,
    log::{Happened, Record},
    outcome::{Answer, Outcome},
    plan::Change,
    rollout::{PauseReason, Spec},
    time::Time,
};

use super::event::{Numbers, Told};

/// Hands what a row of the log tells to `each`, in order, with its time.
pub(super) fn tell(
    records: &[Record],
    written_at: Time,
    is_first_row: bool,
    names: &HashMap<AssignmentId, Arc<str>>,
    each: &mut dyn FnMut(Time, Told),
) {
    let mut at = written_at;
    for record in records {
        if let Record::At(ago) = record {
            at = Time::from_millis(written_at.as_millis().saturating_sub(*ago));
            continue;
        }
        let name = |id: AssignmentId| names.get(&id).cloned();
        match record {
            Record::Happened(happened) => {
                let detail = detail(&happened.fact);
                for id in happened.ids.iter() {
                    each(at, changed(happened, name(id), detail.clone()));
                }
            }
            Record::Regressed(regressed) => {
                let detail = in_words(&regressed.said, regressed.times);
                for id in regressed.ids.iter() {
                    each(at, Told::DeviceRegressed { device: name(id), detail: detail.clone() });
                }
            }
            Record::Unclaimed(rows) => {
                for (id, is) in rows {
                    let (state, attempt) = (is.state.to_string(), is.attempt);
                    each(
                        at,
                        Told::DeviceChanged { device: name(*id), state, attempt, detail: None },
                    );
                }
            }
            other => {
                if let Some(told) = one(other, is_first_row) {
                    each(at, told);
                }
            }
        }
    }
}

/// The assignments whose devices are named in what a row tells.
pub(super) fn named(records: &[Record]) -> Vec<AssignmentId> {
    let mut ids = vec![];
    for record in records {
        match record {
            Record::Happened(happened) => ids.extend(happened.ids.iter()),
            Record::Regressed(regressed) => ids.extend(regressed.ids.iter()),
            Record::Unclaimed(rows) => ids.extend(rows.iter().map(|(id, _)| *id)),
            _ => {}
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn changed(happened: &Happened, device: Option<Arc<str>>, detail: Option<String>) -> Told {
    let (state, attempt) = (happened.to.to_string(), happened.attempt);
    Told::DeviceChanged { device, state, attempt, detail }
}

/// What a record tells that is not of single devices.
fn one(record: &Record, is_first_row: bool) -> Option<Told> {
    Some(match record {
        Record::Spec(spec) if is_first_row => {
            let (name, version, strategy) = release(spec);
            Told::RolloutCreated { name, version, strategy }
        }
        Record::Spec(spec) => {
            let (name, version, strategy) = release(spec);
            Told::RolloutChanged { name, version, strategy }
        }
        Record::Base(base) => Told::LogPruned { state: base.progression.state.as_str().to_owned() },
        Record::Taken(taken) => Told::RolloutTakenOver { driver: taken.epoch.0 },
        Record::Acted(acted) => Told::OperatorActed {
            act: acted.act.as_str().to_owned(),
            refused: acted.refused.clone(),
        },
        Record::Listed(listed) => Told::DevicesAdded {
            wave: listed.wave.saturating_add(1),
            round: listed.round,
            devices: listed.ids.len(),
            state: listed.state.to_string(),
        },
        Record::Unlisted(ids) => Told::DevicesRemoved { devices: ids.len() },
        Record::Prepared => Told::RolloutPrepared {},
        Record::Step(step) => change(step.timeless().output.change.as_ref()?),
        Record::Unsendable(why) => Told::RolloutPaused {
            reason: reason(PauseReason::Artifact).to_owned(),
            detail: Some(why.clone()),
        },
        Record::Stands(stands) => {
            Told::RolloutStands { state: stands.timeless().state?.as_str().to_owned() }
        }
        Record::StartedBy(of) => Told::RollbackStarted { of: *of },
        Record::RolledBack(rolled_back) => Told::RolledBack { by: rolled_back.by.clone() },
        _ => return None,
    })
}

fn release(spec: &Spec) -> (String, String, String) {
    let release = &spec.release;
    (release.name.clone(), release.version.clone(), spec.strategy.as_str().to_owned())
}

fn change(change: &Change) -> Told {
    let number = |wave: usize| wave.saturating_add(1);
    match *change {
        Change::Begin => Told::RolloutBegan {},
        Change::OpenWave(wave) => Told::WaveOpened { wave: number(wave) },
        Change::Soak(wave) => Told::WaveEnded { wave: number(wave) },
        Change::Rule(wave, verdict) => ruled(number(wave), &verdict),
        Change::Pause { reason: why, evidence } => Told::RolloutPaused {
            reason: reason(why).to_owned(),
            detail: evidence.map(|evidence| evidence.to_string()),
        },
        Change::Abort { reason: why, evidence, rolls_back } => Told::RolloutAborting {
            reason: reason(why).to_owned(),
            detail: evidence.map(|evidence| evidence.to_string()),
            rolls_back,
        },
        Change::Complete => Told::RolloutCompleted {},
        Change::Fail => Told::RolloutFailed { detail: None },
        Change::NoDevice => Told::RolloutFailed { detail: Some("it has no device".to_owned()) },
        Change::Canceled => Told::RolloutCanceled {},
        Change::Aborted => Told::RolloutAborted {},
    }
}

fn ruled(wave: usize, verdict: &Verdict) -> Told {
    let ruling = match verdict.ruling {
        Ruling::Go => "go",
        Ruling::Stop => "stop",
        Ruling::Override => "override",
    };
    let tally = verdict.tally;
    let numbers = Numbers {
        devices: tally.of,
        succeeded: tally.succeeded,
        failed: tally.failed,
        regressed: tally.regressed,
        unreachable: tally.unreachable,
        open: tally.open,
        min_success: verdict.min_success,
    };
    let (ruling, detail) = (ruling.to_owned(), verdict.to_string());
    Told::GateRuled { wave, ruling, numbers, detail }
}

const fn reason(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::Operator => "operator",
        PauseReason::Gate => "gate",
        PauseReason::Brake => "brake",
        PauseReason::Regression => "regression",
        PauseReason::Artifact => "artifact",
    }
}

/// What a device answered or what went wrong, where the state does not say it all.
fn detail(fact: &Fact) -> Option<String> {
    let with = |what: String, detail: &str| {
        if detail.is_empty() { what } else { format!("{what}: {detail}") }
    };
    match fact {
        Fact::Delivered(Outcome::Refused { status, detail, .. }) => {
            Some(with(format!("HTTP {status}"), detail))
        }
        Fact::Delivered(
            Outcome::NotSent { fault, detail } | Outcome::Unknown { fault, detail },
        )
        | Fact::Asked(Answer::Silent { fault, detail }) => Some(with(fault.to_string(), detail)),
        Fact::Asked(Answer::Unreadable { status, detail }) => {
            Some(with(format!("HTTP {status} and no version"), detail))
        }
        Fact::Asked(Answer::Version { version }) => Some(format!("reports version {version}")),
        Fact::Orphaned => Some("cut short when the driver ended".to_owned()),
        Fact::Returned => Some("handed back, nothing was sent".to_owned()),
        Fact::Contacted => Some("heard of again".to_owned()),
        Fact::Claimed
        | Fact::Canceled
        | Fact::Skipped(_)
        | Fact::Away { .. }
        | Fact::Expired(_)
        | Fact::Delivered(Outcome::Accepted { .. } | Outcome::AlreadyCurrent) => None,
    }
}
