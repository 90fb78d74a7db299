//! Whatever the counts, the waves and the hours: what must never be planned.

use proptest::prelude::*;

use super::*;
use crate::{
    brake::Brake,
    rollout::{Deadline, Membership, OnFailure},
};

prop_compose! {
    fn counts()(
        waiting in (0_u64..60, 0_u64..4, 0_u64..4),
        active in (0_u64..14, 0_u64..25, 0_u64..14),
        good in (0_u64..40, 0_u64..3),
        bad in (0_u64..6, 0_u64..3, 0_u64..3),
        has in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) -> Counts {
        let mut counts = Counts { succeeded: good.0, skipped: good.1, ..Counts::default() };
        // Ends and beginnings are as likely as what is in between.
        if has.0 {
            (counts.queued, counts.away, counts.absent) = waiting;
        }
        if has.1 {
            (counts.delivering, counts.verifying, counts.retrying) = active;
        }
        if has.2 {
            (counts.failed, counts.unreachable, counts.timed_out) = bad;
        }
        counts
    }
}

fn phase() -> impl Strategy<Value = Phase> {
    let later = Some(NOW + HOUR);
    let never = Phase::Closed { by: ClosedBy::Window, opens_at: None };
    prop_oneof![
        3 => Just(OPEN),
        1 => Just(Phase::Open { until: later }),
        1 => Just(Phase::Closed { by: ClosedBy::Freeze(0), opens_at: later }),
        1 => Just(never),
    ]
}

prop_compose! {
    fn cohorts()(
        wave in 0_usize..3,
        zone in prop::sample::select(vec!["UTC", "America/Denver", "Europe/Berlin"]),
        phase in phase(),
        closes in prop::option::weighted(0.2, -1_i64..2),
        counts in counts(),
    ) -> Cohort {
        let closes_for_good_at =
            closes.map(|hours| Time::from_millis(NOW.as_millis() + hours * 3_600_000));
        Cohort { wave, zone: Some(Zone::parse(zone).unwrap()), phase, closes_for_good_at, counts }
    }
}

/// Waves in an order that can come about: passed ones, one in any state, pending ones.
fn waves(passed: usize, current: u8) -> Vec<Wave> {
    let since = NOW - HOUR * 2;
    let current = match current {
        0 => WaveState::Pending,
        1 => WaveState::Open { since },
        2 => WaveState::Soaking { since },
        3 => WaveState::Soaking { since: NOW },
        _ => WaveState::Stopped { at: since },
    };
    let state = |wave: usize| match wave.cmp(&passed) {
        std::cmp::Ordering::Less => WaveState::Passed { at: since },
        std::cmp::Ordering::Equal => current,
        std::cmp::Ordering::Greater => WaveState::Pending,
    };
    (0..3).map(|wave| Wave { state: state(wave), ..Wave::PENDING }).collect()
}

prop_compose! {
    fn snapshots()(
        cohorts in prop::collection::vec(cohorts(), 0..5),
        state in prop_oneof![
            4 => Just(State::Running),
            1 => prop::sample::select(State::ALL.to_vec()),
        ],
        passed in 0_usize..4,
        current in 0_u8..5,
        limits in (0_u32..20, 0_u32..20, 0_u32..20),
        is_stopping in prop::bool::weighted(0.1),
    ) -> Snapshot {
        let mut snapshot = running(Counts::default());
        snapshot.progression.state = state;
        if state == State::Paused {
            snapshot.progression.paused.insert(PauseReason::Operator);
        }
        if matches!(state, State::Draft | State::Preparing | State::Scheduled) {
            snapshot.progression.started_at = None;
        }
        snapshot.progression.waves = waves(passed, current);
        snapshot.cohorts = cohorts;
        snapshot.ahead_max = limits.0;
        snapshot.driver_places = limits.1;
        let next_at = NOW + Duration::from_secs(1);
        snapshot.allowance = Allowance { claims: limits.2, next_at };
        snapshot.is_stopping = is_stopping;
        snapshot
    }
}

prop_compose! {
    fn specs()(
        min_success in prop::option::of(0_u8..=100),
        has_soak: bool,
        deadline in prop::option::weighted(0.3, -1_i64..3),
        brake in prop::option::weighted(0.2, 0_u32..10),
        is_dynamic in prop::bool::weighted(0.2),
        aborts: bool,
        has_rate in prop::bool::weighted(0.3),
    ) -> Spec {
        let mut spec = three_waves();
        for wave in &mut spec.waves {
            wave.min_success = min_success;
            wave.soak = if has_soak { HOUR } else { Duration::ZERO };
        }
        let at = |hours| Time::from_millis(NOW.as_millis() + hours * 3_600_000);
        spec.deadline = deadline.map(|hours| Deadline::At(at(hours)));
        spec.brake = brake.map(Brake::Count);
        if is_dynamic {
            spec.membership = Membership::Dynamic;
        }
        spec.on_failure = if aborts { OnFailure::Abort } else { OnFailure::Pause };
        spec.limits.per_minute = has_rate.then_some(60);
        spec
    }
}

fn check_claims(snapshot: &Snapshot, spec: &Spec, plan: &Plan) -> Result<(), TestCaseError> {
    let claims = u64::from(plan.claims_max);
    let fresh = u64::from(plan.fresh_max);
    let all = snapshot.counts();
    let reached: Counts = plan.open.iter().map(|at| snapshot.cohorts[*at].counts).sum();
    prop_assert!(claims <= reached.waiting() + reached.retrying, "more than there are");
    prop_assert!(fresh <= claims && fresh <= reached.waiting());
    if claims == 0 {
        return Ok(());
    }
    prop_assert_eq!(snapshot.progression.state, State::Running);
    prop_assert!(plan.change.is_none() && !snapshot.is_stopping);
    prop_assert!(all.delivering + claims <= u64::from(10 + snapshot.ahead_max));
    prop_assert!(all.delivering + all.verifying + claims <= 30);
    prop_assert!(fresh == 0 || all.delivering + all.verifying + all.retrying + fresh <= 30);
    prop_assert!(claims <= u64::from(snapshot.driver_places));
    prop_assert!(
        spec.limits.per_minute.is_none() || claims <= u64::from(snapshot.allowance.claims)
    );
    Ok(())
}

/// Cohorts that may be claimed from: their wave was opened and they are open.
fn check_open(snapshot: &Snapshot, spec: &Spec, plan: &Plan) -> Result<(), TestCaseError> {
    for at in &plan.open {
        let cohort = &snapshot.cohorts[*at];
        let counts = &cohort.counts;
        prop_assert!(cohort.phase.is_open(), "cohort {} is closed", at);
        let is_opened = snapshot.progression.waves[cohort.wave].state.is_opened();
        prop_assert!(is_opened || counts.retrying > 0, "cohort {} is of a later wave", at);
        let is_late = matches!(spec.deadline, Some(Deadline::At(at)) if at <= NOW);
        prop_assert!(!is_late || counts.retrying > 0 && plan.fresh_max == 0);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_limit_is_passed_and_nothing_closed_is_opened(snapshot in snapshots(), spec in specs()) {
        let plan = plan(&snapshot, &spec, NOW);
        check_claims(&snapshot, &spec, &plan)?;
        check_open(&snapshot, &spec, &plan)?;
    }

    /// Whoever asks why nothing happens gets an answer.
    #[test]
    fn nothing_waits_without_a_reason(snapshot in snapshots(), spec in specs()) {
        let plan = plan(&snapshot, &spec, NOW);
        let is_ended = snapshot.progression.state.is_ended();
        let is_quiet = plan.claims_max == 0 && plan.change.is_none() && plan.sweep.is_none();
        if is_quiet && !is_ended {
            prop_assert!(!plan.waiting_on.is_empty());
            for reason in &plan.waiting_on {
                prop_assert!(!reason.in_words(NOW).is_empty());
            }
        }
    }

    /// Nobody is left to poll for what only time brings.
    #[test]
    fn what_waits_for_a_time_wakes_by_then(snapshot in snapshots(), spec in specs()) {
        let plan = plan(&snapshot, &spec, NOW);
        prop_assert!(plan.wake_at.is_none_or(|at| at > NOW), "it would be woken again and again");
        for reason in &plan.waiting_on {
            let at = match reason {
                WaitingOn::StartAt { at } => Some(*at),
                WaitingOn::Soak { until, .. } | WaitingOn::Joiners { until } => Some(*until),
                WaitingOn::Hours { opens_at, .. } => *opens_at,
                WaitingOn::Rate { next_at, .. } => Some(*next_at),
                WaitingOn::Away { deadline, .. } => *deadline,
                _ => None,
            };
            let is_awake = at.is_none_or(|at| at <= NOW || plan.wake_at.is_some_and(|wake| wake <= at));
            prop_assert!(is_awake, "{:?} is not woken for", reason);
        }
    }

    /// Changes and sweeps come to an end, and no wave opens before the gate of the one before it.
    #[test]
    fn changes_come_to_rest(snapshot in snapshots(), spec in specs()) {
        let mut snapshot = snapshot;
        for _ in 0..20 {
            let plan = plan(&snapshot, &spec, NOW);
            let progression = &mut snapshot.progression;
            if let Some(change) = plan.change {
                if let Change::OpenWave(wave) = change {
                    let before = &progression.waves[..wave];
                    let passed = |wave: &Wave| matches!(wave.state, WaveState::Passed { .. });
                    prop_assert!(before.iter().all(passed), "wave {wave} opens early");
                }
                let generation = progression.generation;
                change.apply(progression, NOW);
                prop_assert_eq!(progression.generation, generation + 1);
            } else if let Some(sweep) = plan.sweep {
                carry_out(&mut snapshot, &sweep);
            } else {
                return Ok(());
            }
        }
        prop_assert!(false, "no rest: {:?}", snapshot.progression);
    }
}

fn carry_out(snapshot: &mut Snapshot, sweep: &Sweep) {
    for at in &sweep.cohorts {
        let counts = &mut snapshot.cohorts[*at].counts;
        let mut ended = counts.waiting();
        (counts.queued, counts.away, counts.absent) = (0, 0, 0);
        match sweep.why {
            SweepReason::Canceled => ended += std::mem::take(&mut counts.retrying),
            SweepReason::Aborted => {
                ended += counts.active();
                (counts.delivering, counts.verifying, counts.retrying) = (0, 0, 0);
            }
            SweepReason::Deadline | SweepReason::WindowClosed => {}
        }
        counts.skipped += ended;
    }
}
