use std::collections::BTreeSet;

use super::*;
use crate::{
    brake::Brake,
    release::{Digest, Release},
    retry,
    rollout::{Limits, Progression, Verify},
};

fn spec() -> Spec {
    Spec {
        release: Release {
            name: "pos".to_owned(),
            version: "2.0.0".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 12,
        },
        select: None,
        limits: Limits { max_in_flight: 10, max_unverified: 30, max_per_host: 10 },
        retry: retry::Policy::default(),
        verify: Verify::default(),
        brake: Brake::default(),
        canary: 0,
    }
}

fn snapshot(counts: Counts) -> Snapshot {
    let progression = Progression {
        state: State::Running,
        paused: BTreeSet::new(),
        has_canary_passed: true,
        round: 1,
    };
    Snapshot { progression, counts, ahead_max: 5, is_stopping: false }
}

fn before_canaries(counts: Counts) -> Snapshot {
    let mut snapshot = snapshot(counts);
    snapshot.progression.has_canary_passed = false;
    snapshot
}

#[test]
fn the_least_limit_holds_and_is_named() {
    let counts = Counts { queued: 100, delivering: 4, ..Counts::default() };
    let plan_now = plan(&snapshot(counts), &spec());
    assert_eq!((plan_now.claims_max, plan_now.fresh_max), (11, 11));
    assert_eq!(plan_now.waiting_on, [WaitingOn::InFlight { max: 10 }]);

    let counts = Counts { queued: 100, delivering: 4, verifying: 24, ..Counts::default() };
    let plan_now = plan(&snapshot(counts), &spec());
    assert_eq!(plan_now.claims_max, 2);
    assert_eq!(plan_now.waiting_on, [WaitingOn::Unverified { max: 30 }]);

    let counts_again = Counts { queued: 100, retrying: 28, ..Counts::default() };
    let plan_now = plan(&snapshot(counts_again), &spec());
    assert_eq!((plan_now.claims_max, plan_now.fresh_max), (15, 2), "those in doubt hold places");

    let mut unverified = spec();
    unverified.verify.mode = Mode::None;
    assert_eq!(plan(&snapshot(counts), &unverified).claims_max, 11);

    let counts = Counts { queued: 3, ..Counts::default() };
    let plan_now = plan(&snapshot(counts), &spec());
    assert_eq!((plan_now.claims_max, plan_now.waiting_on), (3, vec![]));
}

#[test]
fn stopping_claims_nothing() {
    let mut snapshot = snapshot(Counts { queued: 100, ..Counts::default() });
    snapshot.is_stopping = true;
    let plan = plan(&snapshot, &spec());
    assert_eq!((plan.claims_max, plan.waiting_on), (0, vec![WaitingOn::Stopping]));
}

#[test]
fn the_end_is_told_apart_by_failures() {
    let done = Counts { succeeded: 9, skipped: 1, ..Counts::default() };
    assert_eq!(plan(&snapshot(done), &spec()).change, Some(Change::Complete));
    let failed = Counts { succeeded: 9, unreachable: 1, ..Counts::default() };
    assert_eq!(plan(&snapshot(failed), &spec()).change, Some(Change::Fail));
    let open = Counts { succeeded: 9, retrying: 1, ..Counts::default() };
    assert_eq!(plan(&snapshot(open), &spec()).change, None);
}

#[test]
fn the_brake_stops_claims_with_its_evidence() {
    let counts = Counts { queued: 500, succeeded: 50, failed: 10, ..Counts::default() };
    let plan = plan(&snapshot(counts), &spec());
    let Some(Change::Pause { reason, evidence }) = plan.change else { panic!("{plan:?}") };
    assert_eq!((reason, plan.claims_max), (PauseReason::Brake, 0));
    assert_eq!(evidence.to_string(), "10 of 60 devices failed, allowed are 10 %");
}

#[test]
fn canaries_go_first_and_alone() {
    let spec = Spec { canary: 3, ..spec() };
    let at = |counts| {
        let plan = plan(&before_canaries(counts), &spec);
        (plan.claims_max, plan.fresh_max, plan.change)
    };
    let queued = Counts { queued: 100, ..Counts::default() };
    assert_eq!(at(queued), (3, 3, None));
    let two_open = Counts { queued: 98, delivering: 1, verifying: 1, ..queued };
    assert_eq!(at(two_open), (1, 1, None));
    let one_again = Counts { queued: 97, retrying: 1, succeeded: 2, ..queued };
    assert_eq!(at(one_again), (1, 0, None), "only the canary may be tried again");
    let passed = Counts { queued: 97, succeeded: 2, skipped: 1, ..queued };
    assert_eq!(at(passed), (0, 0, Some(Change::PassCanary)));
    let failed = Counts { queued: 98, delivering: 1, failed: 1, ..queued };
    assert!(matches!(at(failed), (0, 0, Some(Change::Pause { reason: PauseReason::Canary, .. }))));
}

#[test]
fn more_canaries_than_devices_are_all_of_them() {
    let spec = Spec { canary: 30, ..spec() };
    let counts = Counts { queued: 2, succeeded: 1, ..Counts::default() };
    assert_eq!(plan(&before_canaries(counts), &spec).change, None);
    let counts = Counts { succeeded: 3, ..Counts::default() };
    assert_eq!(plan(&before_canaries(counts), &spec).change, Some(Change::Complete));
}

/// Whatever the counts, no limit is passed and nothing is claimed that is not there.
#[test]
fn no_limit_is_ever_passed() {
    use proptest::prelude::*;
    proptest!(|(queued in 0_u64..200, delivering in 0_u64..40, verifying in 0_u64..60,
                retrying in 0_u64..40, succeeded in 0_u64..200, failed in 0_u64..20,
                canary in 0_u32..20, has_passed: bool, ahead_max in 0_u32..100)| {
        let counts =
            Counts { queued, delivering, verifying, retrying, succeeded, failed, ..Counts::default() };
        let spec = Spec { canary, ..spec() };
        let mut snapshot = snapshot(counts);
        snapshot.ahead_max = ahead_max;
        snapshot.progression.has_canary_passed = has_passed || canary == 0;
        let plan = plan(&snapshot, &spec);
        let claims = u64::from(plan.claims_max);
        prop_assert!(u64::from(plan.fresh_max) <= claims.min(queued));
        prop_assert!(claims <= queued + retrying);
        if claims > 0 {
            prop_assert!(plan.change.is_none());
            prop_assert!(delivering + claims <= u64::from(10 + ahead_max));
            prop_assert!(delivering + verifying + claims <= 30);
            let fresh = u64::from(plan.fresh_max);
            prop_assert!(fresh == 0 || delivering + verifying + retrying + fresh <= 30);
            prop_assert!(spec.brake.judge(&counts).is_none());
        }
        if !snapshot.progression.has_canary_passed {
            let begun = counts.total() - queued;
            prop_assert!(begun + u64::from(plan.fresh_max) <= begun.max(u64::from(canary)));
        }
    });
}
