//! The course of a rollout: when it begins, which wave is next, what its gate says, when it ends.

use std::time::Duration;

use super::{
    Change, Plan, Sweep, SweepReason,
    external::{self, Soaked},
    limit,
};
use crate::{
    brake::Evidence,
    gate::{self, Opinion, Ruling, Verdict, external::Besides, regression::Results},
    health::Checkup,
    rollout::{Membership, OnFailure, PauseReason, Spec, Wave, WaveState},
    snapshot::{Cohort, Counts, Snapshot},
    time::Time,
    waiting::{Before, WaitingOn},
};

pub(super) fn scheduled(snapshot: &Snapshot, spec: &Spec, now: Time) -> Plan {
    if snapshot.counts().total() == 0 && spec.membership == Membership::Snapshot {
        return Plan::change(Change::NoDevice);
    }
    match spec.start_at {
        Some(at) if at > now => {
            Plan { wake_at: Some(at), ..Plan::waiting(WaitingOn::StartAt { at }) }
        }
        _ => Plan::change(Change::Begin),
    }
}

pub(super) fn paused(snapshot: &Snapshot, spec: &Spec, now: Time) -> Plan {
    let progression = &snapshot.progression;
    let is_unjudged = |(wave, state): (usize, &Wave)| {
        let is_open = matches!(state.state, WaveState::Open { .. } | WaveState::Soaking { .. });
        is_open && spec.gate(wave) != (Duration::ZERO, None)
    };
    // What has not begun has no end; a gate that has not ruled is asked when it goes on, and so is
    // all that would have it rolled back: an end would leave the devices with what they have.
    if progression.started_at.is_some()
        && !progression.waves.iter().enumerate().any(is_unjudged)
        && !is_to_be_stopped(snapshot, spec)
        && let Some(change) = end(snapshot, spec, now)
    {
        return Plan::change(change);
    }
    let braked = progression.brakes.last().map(|verdict| verdict.evidence);
    let reasons = progression.paused.iter().map(|reason| match (reason, braked) {
        (PauseReason::Brake | PauseReason::Regression, Some(evidence)) => {
            WaitingOn::Braked(evidence)
        }
        _ => WaitingOn::Paused(*reason),
    });
    let mut plan = Plan { waiting_on: reasons.collect(), ..Plan::default() };
    sweep(snapshot, spec, now, &mut plan);
    plan
}

/// Whether it is stopped, to be rolled back, as soon as it goes on.
fn is_to_be_stopped(snapshot: &Snapshot, spec: &Spec) -> bool {
    let counts = snapshot.counts();
    let is_stopped = |wave: &Wave| matches!(wave.state, WaveState::Stopped { .. });
    spec.on_failure == OnFailure::Rollback
        && (snapshot.progression.waves.iter().any(is_stopped)
            || brake(snapshot, spec, &counts).is_some()
            || regression(snapshot, spec, &counts).is_some())
}

/// Ends what was not begun; what is open may end, or is ended too if it is aborted.
pub(super) fn giving_up(snapshot: &Snapshot, why: SweepReason, done: Change) -> Plan {
    let counts = snapshot.counts();
    if counts.waiting() + counts.active() == 0 {
        return Plan::change(done);
    }
    let is_left = |cohort: &Cohort| match why {
        SweepReason::Aborted => cohort.counts.waiting() + cohort.counts.active() > 0,
        _ => cohort.counts.waiting() + cohort.counts.retrying > 0,
    };
    let cohorts = cohorts_where(snapshot, is_left);
    Plan {
        sweep: (!cohorts.is_empty()).then_some(Sweep { why, cohorts }),
        ..Plan::waiting(WaitingOn::Ending { open: counts.delivering + counts.verifying })
    }
}

pub(super) fn running(snapshot: &Snapshot, spec: &Spec, now: Time) -> Plan {
    let counts = snapshot.counts();
    if counts.total() == 0
        && let Some(change) = end(snapshot, spec, now)
    {
        return Plan::change(change);
    }
    if let Some(change) = brake(snapshot, spec, &counts) {
        return Plan::change(change);
    }
    if let Some(change) = regression(snapshot, spec, &counts) {
        return Plan::change(change);
    }
    let mut plan = Plan::default();
    sweep(snapshot, spec, now, &mut plan);
    // Waves are judged on what is left when the sweep is done.
    if plan.sweep.is_none() {
        if let Some(change) = wave(snapshot, spec, now, &mut plan) {
            return Plan { evidence: plan.evidence, ..Plan::change(change) };
        }
        if snapshot.progression.current().is_none()
            && let Some(change) = end(snapshot, spec, now)
        {
            return Plan::change(change);
        }
    }
    limit::limit(snapshot, spec, now, &counts, plan)
}

/// Devices whose time is over, whether it is paused or not; or when that will be.
fn sweep(snapshot: &Snapshot, spec: &Spec, now: Time, plan: &mut Plan) {
    let mut end = |why, is_over: &dyn Fn(&Cohort) -> bool| {
        let is_left = |cohort: &Cohort| cohort.counts.waiting() > 0 && is_over(cohort);
        let cohorts = cohorts_where(snapshot, is_left);
        if plan.sweep.is_none() && !cohorts.is_empty() {
            plan.sweep = Some(Sweep { why, cohorts });
        }
    };
    let deadline = snapshot.progression.deadline(spec);
    end(SweepReason::Deadline, &|_| deadline.is_some_and(|at| at <= now));
    end(SweepReason::WindowClosed, &|cohort| cohort.is_closed_for_good(now));
    let closings = snapshot.cohorts.iter().filter_map(|cohort| cohort.closes_for_good_at);
    closings.chain(deadline).filter(|at| *at > now).for_each(|at| plan.wake_by(at));
}

fn cohorts_where(snapshot: &Snapshot, holds: impl Fn(&Cohort) -> bool) -> Vec<usize> {
    let cohorts = snapshot.cohorts.iter().enumerate();
    cohorts.filter(|(_, cohort)| holds(cohort)).map(|(at, _)| at).collect()
}

/// Until when devices may join, if they still may.
pub(super) fn joinable_until(snapshot: &Snapshot, spec: &Spec, now: Time) -> Option<Time> {
    let until = snapshot.progression.deadline(spec).filter(|at| *at > now);
    until.filter(|_| spec.membership == Membership::Dynamic)
}

/// How it ended, once every device has and no other may join.
fn end(snapshot: &Snapshot, spec: &Spec, now: Time) -> Option<Change> {
    let counts = snapshot.counts();
    let is_open = counts.waiting() + counts.active() > 0;
    if is_open || joinable_until(snapshot, spec, now).is_some() {
        return None;
    }
    if counts.total() == 0 {
        return Some(Change::NoDevice);
    }
    let is_gated = !spec.waves.is_empty() && spec.waves.iter().all(|w| w.min_success.is_some());
    let is_well = |(wave, state): (usize, &Wave)| match state.state {
        WaveState::Passed { .. } => true,
        WaveState::Stopped { .. } => false,
        // Its gate never ruled: it had nothing to judge by, and those not reached are no success.
        _ => snapshot.counts_of(wave).harmed() == 0,
    };
    let is_well = if is_gated {
        snapshot.progression.waves.iter().enumerate().all(is_well)
    } else {
        counts.harmed() == 0
    };
    Some(if is_well && counts.canceled == 0 { Change::Complete } else { Change::Fail })
}

fn brake(snapshot: &Snapshot, spec: &Spec, counts: &Counts) -> Option<Change> {
    if !is_stop_of_use(spec, counts) {
        return None;
    }
    let accepted = snapshot.progression.failures_accepted;
    let evidence = spec.brake?.judge(counts, accepted)?;
    Some(stop(spec, PauseReason::Brake, Some(evidence)))
}

/// Whether it makes a difference that it is stopped: where nothing is left to be stopped, only to
/// what is rolled back.
fn is_stop_of_use(spec: &Spec, counts: &Counts) -> bool {
    counts.waiting() + counts.active() > 0 || spec.on_failure == OnFailure::Rollback
}

/// Looked at after every result: that is what the test is made for.
fn regression(snapshot: &Snapshot, spec: &Spec, counts: &Counts) -> Option<Change> {
    if !is_stop_of_use(spec, counts) || bites!(RegressionForgotten) {
        return None;
    }
    let before = &snapshot.progression.results_accepted;
    let mut results = Results::of(&spec.tally(counts), counts, before);
    if bites!(UnderWayForgotten) {
        results.under_way = 0;
    }
    let evidence = spec.regression.as_ref()?.judge(results)?;
    Some(stop(spec, PauseReason::Regression, Some(Evidence::Regression(evidence))))
}

const fn stop(spec: &Spec, reason: PauseReason, evidence: Option<Evidence>) -> Change {
    match spec.on_failure {
        OnFailure::Pause => Change::Pause { reason, evidence },
        OnFailure::Abort => Change::Abort { reason, evidence, rolls_back: false },
        OnFailure::Rollback => Change::Abort { reason, evidence, rolls_back: true },
    }
}

/// Devices that wait in the waves behind this one.
fn waiting_behind(snapshot: &Snapshot, wave: usize) -> u64 {
    let behind = snapshot.cohorts.iter().filter(|cohort| cohort.wave > wave);
    behind.map(|cohort| cohort.counts.waiting()).sum()
}

/// Whether devices of a wave that were to be asked how they are while it soaked were not: time that
/// passed while nobody asked tells nothing of them.
fn is_unasked(snapshot: &Snapshot, spec: &Spec, wave: usize) -> bool {
    spec.health.is_some()
        && snapshot.checkup == Checkup::Asking
        && !spec.gate(wave).0.is_zero()
        && snapshot.counts_of(wave).succeeded > 0
}

/// What the wave that has not passed comes to; or what it waits for, put into `plan`.
fn wave(snapshot: &Snapshot, spec: &Spec, now: Time, plan: &mut Plan) -> Option<Change> {
    let progression = &snapshot.progression;
    let wave = progression.current()?;
    let counts = snapshot.counts_of(wave);
    let judged = if bites!(VerdictOfAll) { snapshot.counts() } else { counts };
    let tally = spec.tally(&judged);
    let (soak, min_success) = spec.gate(wave);
    let of = progression.waves.len();
    let besides = Besides::Nothing;
    let verdict = |ruling| Verdict { at: now, ruling, tally, min_success, besides };
    let rule = |ruling| Change::Rule(wave, verdict(ruling));
    let is_asked_for = spec.external(wave).next().is_some();
    match progression.waves[wave].state {
        // Nobody is left for it: those who are in it had their end without it.
        WaveState::Pending if tally.of > 0 => {
            end(snapshot, spec, now).or(Some(Change::OpenWave(wave)))
        }
        WaveState::Pending => Some(Change::OpenWave(wave)),
        WaveState::Open { .. } if tally.of == 0 => {
            // Of a rollout that nobody is in yet, no wave may be let through unseen.
            let is_awaited =
                snapshot.counts().total() == 0 && joinable_until(snapshot, spec, now).is_some();
            // Who is asked outside is asked whether anybody was in the wave or not.
            let passes = if is_asked_for { Change::Soak(wave) } else { rule(Ruling::Go) };
            (!is_awaited).then_some(passes)
        }
        WaveState::Open { .. } | WaveState::Soaking { .. }
            if gate::is_out_of_reach(&tally, min_success) =>
        {
            Some(rule(Ruling::Stop))
        }
        WaveState::Open { .. } => {
            let is_ended = counts.active() + counts.queued + counts.away == 0;
            if !is_ended && waiting_behind(snapshot, wave) > 0 {
                let (ended, devices) = (counts.ended(), tally.of);
                plan.waiting_on.push(WaitingOn::Wave { wave, of, ended, devices, min_success });
            }
            is_ended.then_some(Change::Soak(wave))
        }
        WaveState::Soaking { since } => {
            if bites!(WaveBeforeGate)
                && progression
                    .waves
                    .get(wave + 1)
                    .is_some_and(|next| next.state == WaveState::Pending)
            {
                return Some(Change::OpenWave(wave + 1));
            }
            let until = since + soak;
            if now < until && !bites!(SoakForgotten) {
                plan.wake_by(until);
                let devices = waiting_behind(snapshot, wave);
                let deadline = snapshot.progression.deadline(spec);
                plan.waiting_on.push(match deadline.filter(|at| devices > 0 && *at <= until) {
                    Some(at) => {
                        let before = Before::Wave { wave: wave + 1, of };
                        WaitingOn::Deadline { devices, at, before }
                    }
                    None => WaitingOn::Soak { wave, of, until, min_success, tally },
                });
                return None;
            }
            match gate::judge(&tally, min_success) {
                Opinion::Go if is_unasked(snapshot, spec, wave) => {
                    let devices = counts.succeeded;
                    plan.waiting_on.push(WaitingOn::Health { wave, of, devices });
                    None
                }
                Opinion::Go if is_asked_for => {
                    let soaked = Soaked { snapshot, spec, wave, until, now };
                    let ruled = external::rule(&soaked, plan);
                    let change = ruled.map(|(ruling, besides)| {
                        Change::Rule(wave, Verdict { besides, ..verdict(ruling) })
                    });
                    // Nobody is left who could be held back.
                    change.or_else(|| end(snapshot, spec, now))
                }
                Opinion::Go => Some(rule(Ruling::Go)),
                Opinion::Stop => Some(rule(Ruling::Stop)),
                Opinion::NotYet if bites!(GateOnNothing) => Some(rule(Ruling::Go)),
                Opinion::NotYet => end(snapshot, spec, now).or_else(|| {
                    if wave + 1 < of {
                        plan.waiting_on.push(WaitingOn::NothingToJudge { wave, of, tally });
                    }
                    None
                }),
            }
        }
        WaveState::Stopped { .. } if spec.on_failure == OnFailure::Rollback => {
            Some(stop(spec, PauseReason::Gate, None))
        }
        WaveState::Stopped { .. } => {
            end(snapshot, spec, now).or_else(|| Some(stop(spec, PauseReason::Gate, None)))
        }
        WaveState::Passed { .. } => None,
    }
}
