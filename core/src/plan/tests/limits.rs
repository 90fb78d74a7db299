//! How many may be claimed, and what says so.

use super::*;
use crate::{
    hours::Zone,
    rollout::Deadline,
    verify::Mode,
    waiting::{Before, WaitingOn},
};

#[test]
fn the_least_limit_holds_and_is_named() {
    let counts = Counts { queued: 100, delivering: 4, ..Counts::default() };
    let now = plan(&running(counts), &spec(), NOW);
    assert_eq!((now.claims_max, now.fresh_max), (11, 11));
    assert_eq!(now.waiting_on, [WaitingOn::InFlight { max: 10 }]);

    let counts = Counts { queued: 100, delivering: 4, verifying: 24, ..Counts::default() };
    let now = plan(&running(counts), &spec(), NOW);
    assert_eq!(now.claims_max, 2);
    assert_eq!(now.waiting_on, [WaitingOn::Unverified { max: 30 }]);
    let mut unverified = spec();
    unverified.verify.mode = Mode::None;
    assert_eq!(plan(&running(counts), &unverified, NOW).claims_max, 11);

    let now = plan(&running(queued(3)), &spec(), NOW);
    assert_eq!((now.claims_max, now.waiting_on), (3, vec![]));
}

#[test]
fn those_in_doubt_hold_places_of_those_not_begun() {
    let counts = Counts { queued: 100, retrying: 28, ..Counts::default() };
    let now = plan(&running(counts), &spec(), NOW);
    assert_eq!((now.claims_max, now.fresh_max), (15, 2));

    let counts = Counts { queued: 100, retrying: 30, ..Counts::default() };
    let now = plan(&running(counts), &spec(), NOW);
    assert_eq!((now.claims_max, now.fresh_max), (15, 0));
    assert_eq!(now.waiting_on, [WaitingOn::Unverified { max: 30 }], "nothing is being sent");
}

#[test]
fn a_rate_says_when_the_next_one_is_due() {
    let mut spec = spec();
    spec.limits.per_minute = Some(30);
    let mut snapshot = running(queued(100));
    let next_at = NOW + Duration::from_secs(2);
    snapshot.allowance = Allowance { claims: 1, next_at };
    let now = plan(&snapshot, &spec, NOW);
    assert_eq!((now.claims_max, now.wake_at), (1, Some(next_at)));
    assert_eq!(now.waiting_on, [WaitingOn::Rate { per_minute: 30, next_at }]);
    // A rate that would allow more than other limits is not what it waits for.
    snapshot.allowance.claims = 50;
    let now = plan(&snapshot, &spec, NOW);
    assert_eq!((now.claims_max, now.wake_at), (15, None));
    // Without one the allowance means nothing.
    snapshot.allowance.claims = 0;
    spec.limits.per_minute = None;
    assert_eq!(plan(&snapshot, &spec, NOW).claims_max, 15);
}

#[test]
fn other_rollouts_may_have_the_places_of_the_driver() {
    let mut snapshot = running(queued(100));
    snapshot.driver_places = 2;
    let now = plan(&snapshot, &spec(), NOW);
    assert_eq!((now.claims_max, now.waiting_on), (2, vec![WaitingOn::Driver]));
}

#[test]
fn stopping_claims_nothing() {
    let mut snapshot = running(queued(100));
    snapshot.is_stopping = true;
    let now = plan(&snapshot, &spec(), NOW);
    assert_eq!((now.claims_max, now.waiting_on), (0, vec![WaitingOn::Stopping]));
    assert!(now.open.is_empty());
}

/// Denver is closed, Berlin is open; London closes for good in a minute.
#[test]
fn hours_are_judged_for_each_cohort() {
    let (denver, berlin) = (zone("America/Denver"), zone("Europe/Berlin"));
    let opens_at = NOW + HOUR * 5;
    let closed = Phase::Closed { by: ClosedBy::Window, opens_at: Some(opens_at) };
    let until = NOW + HOUR;
    let mut snapshot = running(Counts::default());
    snapshot.cohorts = vec![
        Cohort { zone: Some(denver.clone()), phase: closed, ..cohort(0, queued(7)) },
        Cohort {
            zone: Some(berlin),
            phase: Phase::Open { until: Some(until) },
            ..cohort(0, queued(4))
        },
        Cohort { zone: Some(denver.clone()), phase: closed, ..cohort(0, queued(1)) },
    ];
    let now = plan(&snapshot, &spec(), NOW);
    assert_eq!((now.open, now.claims_max, now.wake_at), (vec![1], 4, Some(until)));
    let reason = WaitingOn::Hours {
        devices: 8,
        by: ClosedBy::Window,
        opens_at: Some(opens_at),
        zone: denver,
        reason: None,
    };
    assert_eq!(now.waiting_on, [reason]);
}

#[test]
fn a_deadline_before_the_window_is_named_in_its_place() {
    let denver = zone("America/Denver");
    let opens_at = NOW + 4 * HOUR;
    let closed = Phase::Closed { by: ClosedBy::Window, opens_at: Some(opens_at) };
    let counts = Counts { queued: 7, retrying: 2, ..Counts::default() };
    let mut snapshot = running(Counts::default());
    snapshot.cohorts =
        vec![Cohort { zone: Some(denver.clone()), phase: closed, ..cohort(0, counts) }];
    let hours = |devices| WaitingOn::Hours {
        devices,
        by: ClosedBy::Window,
        opens_at: Some(opens_at),
        zone: denver.clone(),
        reason: None,
    };
    let by = |deadline| Spec { deadline: Some(Deadline::At(deadline)), ..spec() };
    assert_eq!(plan(&snapshot, &by(opens_at + HOUR), NOW).waiting_on, [hours(9)]);
    let at = NOW + HOUR;
    let given_up = WaitingOn::Deadline { devices: 7, at, before: Before::Window };
    assert_eq!(plan(&snapshot, &by(at), NOW).waiting_on, [given_up, hours(2)], "2 were begun");

    // The same of a wave whose soak would be over later.
    let since = NOW - HOUR / 2;
    let soaking = (WaveState::Soaking { since }, succeeded(10));
    let snapshot = super::snapshot(&[soaking, (WaveState::Pending, queued(5))]);
    let spec = Spec { deadline: Some(Deadline::At(NOW + HOUR / 4)), ..three_waves() };
    let before = Before::Wave { wave: 1, of: 2 };
    let given_up = WaitingOn::Deadline { devices: 5, at: NOW + HOUR / 4, before };
    assert_eq!(plan(&snapshot, &spec, NOW).waiting_on, [given_up]);
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

#[test]
fn those_tried_again_keep_to_the_hours_but_not_to_the_deadline() {
    let opens_at = Some(NOW + HOUR);
    let closed = Phase::Closed { by: ClosedBy::Freeze(0), opens_at };
    let again = Counts { retrying: 3, ..Counts::default() };
    let mut snapshot = running(again);
    snapshot.cohorts[0].phase = closed;
    let now = plan(&snapshot, &spec(), NOW);
    assert_eq!((now.claims_max, now.wake_at), (0, opens_at));
    let late = Spec { deadline: Some(Deadline::At(NOW)), ..spec() };
    let now = plan(&running(again), &late, NOW);
    assert_eq!((now.claims_max, now.fresh_max, now.sweep), (3, 0, None));
}

#[test]
fn nothing_is_claimed_that_is_to_be_swept() {
    let mut snapshot = running(queued(9));
    // Closed for good yesterday, and open again: the driver was down.
    snapshot.cohorts[0].closes_for_good_at = Some(NOW - HOUR * 20);
    let now = plan(&snapshot, &spec(), NOW);
    assert_eq!((now.claims_max, now.open.len()), (0, 0));
    assert_eq!(now.sweep, Some(Sweep { why: SweepReason::WindowClosed, cohorts: vec![0] }));
    snapshot.cohorts[0].closes_for_good_at = Some(NOW + HOUR);
    let now = plan(&snapshot, &spec(), NOW);
    assert_eq!((now.claims_max, now.wake_at, now.sweep), (9, Some(NOW + HOUR), None));
}

#[test]
fn those_away_are_named_and_until_when() {
    let counts = Counts { away: 2, absent: 1, verifying: 1, ..Counts::default() };
    let spec = Spec { deadline: Some(Deadline::After(HOUR * 3)), ..spec() };
    let now = plan(&running(counts), &spec, NOW);
    let deadline = Some(NOW + HOUR * 2);
    assert_eq!(
        now.waiting_on,
        [
            WaitingOn::Away { away: 2, absent: 1, deadline },
            WaitingOn::Active { delivering: 0, verifying: 1, retrying: 0 },
        ]
    );
    assert_eq!((now.claims_max, now.wake_at), (3, deadline), "if they are heard of");
}
