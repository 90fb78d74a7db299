//! The course of a rollout: when it begins, which wave is next, what its gate says, when it ends.

use super::{Change, Plan, Sweep, SweepReason, limit};
use crate::{
    gate::{self, Opinion, Ruling, Tally, Verdict},
    rollout::{Membership, OnFailure, PauseReason, Spec, Wave, WaveState},
    snapshot::{Counts, Snapshot},
    time::Time,
    waiting::WaitingOn,
};

pub(super) fn scheduled(spec: &Spec, now: Time) -> Plan {
    match spec.start_at {
        Some(at) if at > now => {
            Plan { wake_at: Some(at), ..Plan::waiting(WaitingOn::StartAt { at }) }
        }
        _ => Plan::change(Change::Begin),
    }
}

pub(super) fn paused(snapshot: &Snapshot, spec: &Spec) -> Plan {
    let progression = &snapshot.progression;
    let is_unjudged = |(wave, state): (usize, &Wave)| {
        let is_open = !matches!(state.state, WaveState::Passed { .. } | WaveState::Stopped { .. });
        is_open && spec.gate(wave).1.is_some()
    };
    // What has not begun has no end, and a gate that has not ruled is asked when it goes on.
    if progression.started_at.is_some()
        && !progression.waves.iter().enumerate().any(is_unjudged)
        && let Some(change) = end(snapshot, spec, &snapshot.counts())
    {
        return Plan::change(change);
    }
    let reasons = progression.paused.iter().copied().map(WaitingOn::Paused);
    Plan { waiting_on: reasons.collect(), ..Plan::default() }
}

/// Ends what was not begun; what is open may end, or is ended too if it is aborted.
pub(super) fn giving_up(snapshot: &Snapshot, why: SweepReason, done: Change) -> Plan {
    let counts = snapshot.counts();
    if counts.waiting() + counts.active() == 0 {
        return Plan::change(done);
    }
    let is_left = |counts: &Counts| match why {
        SweepReason::Aborted => counts.waiting() + counts.active() > 0,
        _ => counts.waiting() + counts.retrying > 0,
    };
    let cohorts = cohorts_where(snapshot, is_left);
    Plan {
        sweep: (!cohorts.is_empty()).then_some(Sweep { why, cohorts }),
        ..Plan::waiting(WaitingOn::Ending { open: counts.delivering + counts.verifying })
    }
}

pub(super) fn running(snapshot: &Snapshot, spec: &Spec, now: Time) -> Plan {
    let counts = snapshot.counts();
    if let Some(change) = brake(snapshot, spec, &counts) {
        return Plan::change(change);
    }
    let mut plan = Plan::default();
    let deadline = snapshot.progression.deadline(spec);
    if deadline.is_some_and(|at| at <= now) {
        let cohorts = cohorts_where(snapshot, |counts| counts.waiting() > 0);
        plan.sweep =
            (!cohorts.is_empty()).then_some(Sweep { why: SweepReason::Deadline, cohorts });
    } else if let Some(at) = deadline {
        plan.wake_by(at);
    }
    if plan.sweep.is_none() {
        plan.sweep = closed_for_good(snapshot, now);
    }
    if let Some(change) = wave(snapshot, spec, now, &mut plan) {
        return Plan::change(change);
    }
    if snapshot.progression.current().is_none()
        && let Some(change) = end(snapshot, spec, &counts)
        // Others may still join.
        && (spec.membership == Membership::Snapshot || deadline.is_none_or(|at| at <= now))
    {
        return Plan::change(change);
    }
    limit::limit(snapshot, spec, now, &counts, plan)
}

fn cohorts_where(snapshot: &Snapshot, holds: impl Fn(&Counts) -> bool) -> Vec<usize> {
    let cohorts = snapshot.cohorts.iter().enumerate();
    cohorts.filter(|(_, cohort)| holds(&cohort.counts)).map(|(at, _)| at).collect()
}

/// Cohorts whose one window has closed, of devices that had their wave's turn.
fn closed_for_good(snapshot: &Snapshot, now: Time) -> Option<Sweep> {
    let cohorts: Vec<usize> = snapshot
        .cohorts
        .iter()
        .enumerate()
        .filter(|(_, cohort)| cohort.closes_for_good_at.is_some_and(|at| at <= now))
        .filter(|(_, cohort)| cohort.counts.waiting() > 0)
        .map(|(at, _)| at)
        .collect();
    (!cohorts.is_empty()).then_some(Sweep { why: SweepReason::WindowClosed, cohorts })
}

/// How it ended, once every device has.
fn end(snapshot: &Snapshot, spec: &Spec, counts: &Counts) -> Option<Change> {
    if counts.waiting() + counts.active() > 0 {
        return None;
    }
    let is_gated = !spec.waves.is_empty() && spec.waves.iter().all(|w| w.min_success.is_some());
    let is_well = if is_gated {
        let stopped = |wave: &Wave| {
            wave.verdict.is_some_and(|verdict| verdict.ruling == Ruling::Stop)
        };
        !snapshot.progression.waves.iter().any(stopped)
    } else {
        counts.failures() == 0
    };
    Some(if is_well && counts.canceled == 0 { Change::Complete } else { Change::Fail })
}

fn brake(snapshot: &Snapshot, spec: &Spec, counts: &Counts) -> Option<Change> {
    if counts.waiting() + counts.active() == 0 {
        return None;
    }
    let accepted = snapshot.progression.failures_accepted;
    let evidence = spec.brake?.judge(counts, accepted)?;
    Some(stop(spec, PauseReason::Brake, Some(evidence)))
}

const fn stop(
    spec: &Spec,
    reason: PauseReason,
    evidence: Option<crate::brake::Evidence>,
) -> Change {
    match spec.on_failure {
        OnFailure::Pause => Change::Pause { reason, evidence },
        OnFailure::Abort => Change::Abort { reason, evidence },
    }
}

/// What the wave that has not passed comes to; or what it waits for, put into `plan`.
fn wave(snapshot: &Snapshot, spec: &Spec, now: Time, plan: &mut Plan) -> Option<Change> {
    let progression = &snapshot.progression;
    let wave = progression.current()?;
    let counts = snapshot.counts_of(wave);
    let tally = Tally::of(&counts);
    let (soak, min_success) = spec.gate(wave);
    let of = progression.waves.len();
    let rule = |ruling| Change::Rule(wave, Verdict { at: now, ruling, tally, min_success });
    match progression.waves[wave].state {
        WaveState::Pending => Some(Change::OpenWave(wave)),
        WaveState::Open { .. } if tally.of == 0 => Some(rule(Ruling::Go)),
        WaveState::Open { .. } | WaveState::Soaking { .. }
            if gate::is_out_of_reach(&tally, min_success) =>
        {
            Some(rule(Ruling::Stop))
        }
        WaveState::Open { .. } => {
            let is_ended = counts.active() + counts.queued + counts.away == 0;
            let later: u64 = (wave + 1..of).map(|wave| snapshot.counts_of(wave).waiting()).sum();
            if !is_ended && later > 0 {
                let (ended, devices) = (counts.ended(), tally.of);
                plan.waiting_on.push(WaitingOn::Wave { wave, of, ended, devices, min_success });
            }
            is_ended.then_some(Change::Soak(wave))
        }
        WaveState::Soaking { since } => {
            let until = since + soak;
            if now < until {
                plan.wake_by(until);
                plan.waiting_on.push(WaitingOn::Soak { wave, of, until, min_success, tally });
                return None;
            }
            match gate::judge(&tally, min_success) {
                Opinion::Go => Some(rule(Ruling::Go)),
                Opinion::Stop => Some(rule(Ruling::Stop)),
                Opinion::NotYet if wave + 1 == of && counts.waiting() + counts.active() == 0 => {
                    // Nothing would follow: there is nobody to keep it from.
                    Some(rule(Ruling::Go))
                }
                Opinion::NotYet => {
                    plan.waiting_on.push(WaitingOn::NothingToJudge { wave, of, tally });
                    None
                }
            }
        }
        WaveState::Stopped { .. } => end(snapshot, spec, &snapshot.counts())
            .or_else(|| Some(stop(spec, PauseReason::Gate, None))),
        WaveState::Passed { .. } => None,
    }
}
