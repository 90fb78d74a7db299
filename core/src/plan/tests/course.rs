//! When it begins, which wave is next, what its gate says, and when it ends.

use super::*;
use crate::{
    brake::Brake,
    gate::{
        Ruling, Tally, Unreachable,
        baseline::Baseline,
        external::Besides,
        regression::{Regression, Results},
    },
    health,
    rollout::{Deadline, Membership, OnFailure},
    waiting::WaitingOn,
};

const SINCE: WaveState = WaveState::Open { since: NOW };
const SOAKING: WaveState = WaveState::Soaking { since: NOW };
const PASSED: WaveState = WaveState::Passed { at: NOW };
const STOPPED: WaveState = WaveState::Stopped { at: NOW };
const PENDING: WaveState = WaveState::Pending;

/// Three waves, of which the first stands so with these devices.
fn first(state: WaveState, counts: Counts) -> Snapshot {
    snapshot(&[(state, counts), (PENDING, queued(40)), (PENDING, queued(50))])
}

fn ruling(plan: &Plan) -> Option<Ruling> {
    match plan.change {
        Some(Change::Rule(0, verdict)) => Some(verdict.ruling),
        _ => None,
    }
}

#[test]
fn it_begins_when_its_time_has_come() {
    let mut snapshot = running(queued(5));
    snapshot.progression = Progression::draft(&spec());
    assert_eq!(plan(&snapshot, &spec(), NOW).waiting_on, [WaitingOn::Start]);
    snapshot.progression.state = State::Preparing;
    assert_eq!(plan(&snapshot, &spec(), NOW).waiting_on, [WaitingOn::Preparing { done: 5 }]);
    snapshot.progression.state = State::Scheduled;
    let at = NOW + HOUR;
    let spec = Spec { start_at: Some(at), ..spec() };
    let waits = plan(&snapshot, &spec, NOW);
    assert_eq!((waits.waiting_on, waits.wake_at), (vec![WaitingOn::StartAt { at }], Some(at)));
    let (begun, done) = settle(&mut snapshot, &spec, at);
    assert_eq!(done, [Change::Begin, Change::OpenWave(0)]);
    assert_eq!((begun.claims_max, snapshot.progression.started_at), (5, Some(at)));
}

#[test]
fn only_the_devices_of_an_open_wave_are_claimed() {
    let now = plan(&first(SINCE, queued(10)), &three_waves(), NOW);
    assert_eq!((now.open, now.claims_max), (vec![0], 10));
    let min_success = Some(90);
    let reason = WaitingOn::Wave { wave: 0, of: 3, ended: 0, devices: 10, min_success };
    assert_eq!(now.waiting_on, [reason]);
}

#[test]
fn a_wave_ends_soaks_and_is_judged() {
    let spec = three_waves();
    let done = Counts { succeeded: 9, failed: 1, ..Counts::default() };
    let mut snapshot = first(SINCE, done);
    let (soaking, changes) = settle(&mut snapshot, &spec, NOW);
    assert_eq!(changes, [Change::Soak(0)]);
    let until = NOW + HOUR;
    assert_eq!((soaking.claims_max, soaking.wake_at), (0, Some(until)));
    let tally = Tally { succeeded: 9, failed: 1, of: 10, ..Tally::default() };
    let reason = WaitingOn::Soak { wave: 0, of: 3, until, min_success: Some(90), tally };
    assert_eq!(soaking.waiting_on, [reason]);

    let (open, changes) = settle(&mut snapshot, &spec, until);
    let verdict = Verdict {
        at: until,
        ruling: Ruling::Go,
        tally,
        min_success: Some(90),
        besides: Besides::Nothing,
    };
    assert_eq!(changes, [Change::Rule(0, verdict), Change::OpenWave(1)]);
    assert_eq!((open.open, open.claims_max), (vec![1], 15));
    assert_eq!(snapshot.progression.waves[0].verdicts, [verdict]);
}

#[test]
fn what_a_gate_says() {
    let base = Counts::default();
    let spec = three_waves();
    let later = NOW + HOUR;
    for (state, now, counts, says) in [
        (SINCE, NOW, Counts { succeeded: 8, failed: 1, queued: 1, ..base }, None),
        // 90 % cannot be reached any more: nobody waits for the rest.
        (SINCE, NOW, Counts { succeeded: 7, failed: 2, queued: 1, ..base }, Some(Ruling::Stop)),
        (SOAKING, NOW, Counts { succeeded: 7, failed: 2, absent: 1, ..base }, Some(Ruling::Stop)),
        (SOAKING, NOW, Counts { succeeded: 10, ..base }, None),
        (SOAKING, later, Counts { succeeded: 10, ..base }, Some(Ruling::Go)),
        (SOAKING, later, Counts { succeeded: 9, timed_out: 1, ..base }, Some(Ruling::Go)),
        (SOAKING, later, Counts { current: 9, failed: 1, ..base }, Some(Ruling::Go)),
        // Those not reached or left alone are no failures of the release.
        (
            SOAKING,
            later,
            Counts { succeeded: 9, unreachable: 9, skipped: 9, ..base },
            Some(Ruling::Go),
        ),
        // Nothing to judge by is no success.
        (SOAKING, later, Counts { unreachable: 10, ..base }, None),
        (SOAKING, later, Counts { skipped: 10, ..base }, None),
        (SOAKING, later, Counts { absent: 10, ..base }, None),
        // Nobody is in it.
        (SINCE, NOW, base, Some(Ruling::Go)),
    ] {
        let found = plan(&first(state, counts), &spec, now);
        assert_eq!(ruling(&found), says, "{state:?} {counts:?}");
        if says.is_none() {
            assert!(!found.waiting_on.is_empty(), "{state:?} {counts:?}");
        }
    }
}

#[test]
fn those_not_reached_are_judged_where_every_device_is_watched() {
    let strict = Spec { unreachable: Unreachable::Fail, ..three_waves() };
    let some = Counts { unreachable: 2, ..succeeded(8) };
    let all = Counts { unreachable: 10, ..Counts::default() };
    for (counts, apart, judged) in
        [(some, Some(Ruling::Go), Some(Ruling::Stop)), (all, None, Some(Ruling::Stop))]
    {
        let snapshot = first(WaveState::Soaking { since: NOW - HOUR }, counts);
        assert_eq!(ruling(&plan(&snapshot, &three_waves(), NOW)), apart);
        assert_eq!(ruling(&plan(&snapshot, &strict, NOW)), judged);
    }
    // Whoever waits for them is not let through, whatever the others did, and says so.
    for spec in [three_waves(), Spec { waves: vec![], ..three_waves() }] {
        let patient = Spec { unreachable: Unreachable::Wait, ..spec };
        let mut snapshot = first(WaveState::Soaking { since: NOW - HOUR }, some);
        let waits = plan(&snapshot, &patient, NOW);
        assert_eq!(ruling(&waits), None);
        assert!(matches!(waits.waiting_on[..], [WaitingOn::NothingToJudge { wave: 0, .. }]));
        snapshot.cohorts[0].counts = succeeded(8);
        assert_eq!(ruling(&plan(&snapshot, &patient, NOW)), Some(Ruling::Go));
    }
    // Not even the others of the wave are begun once it cannot succeed any more.
    let counts = Counts { unreachable: 2, ..queued(8) };
    assert_eq!(ruling(&plan(&first(SINCE, counts), &strict, NOW)), Some(Ruling::Stop));
}

#[test]
fn those_absent_do_not_hold_their_wave_and_go_on_behind_it() {
    let absent = Counts { succeeded: 9, absent: 1, ..Counts::default() };
    let away = Counts { succeeded: 9, away: 1, ..Counts::default() };
    assert_eq!(plan(&first(SINCE, away), &three_waves(), NOW).change, None);
    let mut snapshot = first(SINCE, absent);
    settle(&mut snapshot, &three_waves(), NOW);
    let (later, changes) = settle(&mut snapshot, &three_waves(), NOW + HOUR);
    assert_eq!(changes.last(), Some(&Change::OpenWave(1)));
    assert_eq!(later.open, [0, 1]);
}

#[test]
fn nothing_to_judge_by_waits_for_an_operator_only_where_something_follows() {
    let nobody = Counts { unreachable: 10, ..Counts::default() };
    let waits = plan(&first(SOAKING, nobody), &three_waves(), NOW + HOUR);
    assert!(matches!(waits.waiting_on[..], [WaitingOn::NothingToJudge { wave: 0, .. }]));
    assert_eq!(waits.change, None);

    for (counts, change) in
        [(nobody, Change::Fail), (Counts { skipped: 10, ..Counts::default() }, Change::Complete)]
    {
        let last = snapshot(&[(PASSED, succeeded(9)), (PASSED, succeeded(9)), (SOAKING, counts)]);
        assert_eq!(plan(&last, &three_waves(), NOW + HOUR).change, Some(change), "{counts:?}");
        // The same where the devices of the waves to come had their end, too.
        let skipped = Counts { skipped: 9, ..Counts::default() };
        let all = snapshot(&[(SOAKING, counts), (PENDING, skipped), (PENDING, skipped)]);
        assert_eq!(plan(&all, &three_waves(), NOW + HOUR).change, Some(change), "{counts:?}");
    }
}

#[test]
fn a_stop_pauses_or_aborts() {
    let bad = Counts { succeeded: 5, failed: 5, ..Counts::default() };
    for (on_failure, state) in [
        (OnFailure::Pause, State::Paused),
        (OnFailure::Abort, State::Aborting),
        (OnFailure::Rollback, State::Aborting),
    ] {
        let spec = Spec { on_failure, ..three_waves() };
        let mut snapshot = first(SINCE, bad);
        let (stopped, _) = settle(&mut snapshot, &spec, NOW);
        assert_eq!((snapshot.progression.state, stopped.claims_max), (state, 0));
        assert!(matches!(snapshot.progression.waves[0].state, WaveState::Stopped { .. }));
        let rolls_back = on_failure == OnFailure::Rollback;
        assert_eq!(snapshot.progression.is_to_roll_back, rolls_back);
    }
}

#[test]
fn what_is_paused_and_would_be_rolled_back_does_not_end_before_it_is_judged() {
    let bad = Counts { succeeded: 5, failed: 5, ..Counts::default() };
    let well = Counts { succeeded: 5, failed: 4, ..Counts::default() };
    let one = Spec { waves: vec![], ..three_waves() };
    let brake = Spec { brake: Some(Brake::Count(4)), ..one.clone() };
    let baseline = Baseline::given("2%".parse().unwrap()).unwrap();
    let regression = Some(Regression { baseline, alpha: <_>::default() });
    let regression = Spec { regression, ..one };
    let cases = [
        (&brake, SINCE, bad, true),
        (&brake, SINCE, well, false),
        (&regression, SINCE, bad, true),
        (&regression, SINCE, Counts { succeeded: 9, ..Counts::default() }, false),
        // The pause came between what the gate said and what follows from it.
        (&brake, STOPPED, well, true),
    ];
    for (spec, wave, counts, is_judged) in cases {
        for on_failure in [OnFailure::Pause, OnFailure::Abort, OnFailure::Rollback] {
            let spec = Spec { on_failure, ..spec.clone() };
            let mut snapshot = snapshot(&[(wave, counts)]);
            snapshot.progression.state = State::Paused;
            snapshot.progression.paused.insert(PauseReason::Operator);
            let is_kept = is_judged && on_failure == OnFailure::Rollback;
            let waits = plan(&snapshot, &spec, NOW);
            assert_eq!(waits.change.is_none(), is_kept, "{on_failure:?} {counts:?}");
            if is_kept {
                assert_eq!(waits.waiting_on, [WaitingOn::Paused(PauseReason::Operator)]);
                snapshot.progression.paused.clear();
                snapshot.progression.state = State::Running;
                settle(&mut snapshot, &spec, NOW);
                assert!(snapshot.progression.is_to_roll_back, "{counts:?}");
            }
        }
    }
}

#[test]
fn what_is_rolled_back_is_stopped_even_if_nothing_is_left_to_stop() {
    let bad = Counts { succeeded: 5, failed: 5, ..Counts::default() };
    let last = [(PASSED, succeeded(9)), (PASSED, succeeded(9)), (SINCE, bad)];
    let regression = Some(Regression {
        baseline: Baseline::given("2%".parse().unwrap()).unwrap(),
        alpha: <_>::default(),
    });
    let spec = Spec { waves: vec![], ..three_waves() };
    let by = |spec: Spec, waves: &[_], on_failure| {
        let spec = Spec { on_failure, ..spec };
        let mut snapshot = snapshot(waves);
        settle(&mut snapshot, &spec, NOW + HOUR);
        (snapshot.progression.state, snapshot.progression.is_to_roll_back)
    };
    for (spec, waves) in [
        (three_waves(), &last[..]),
        (Spec { brake: Some(Brake::Count(4)), ..spec.clone() }, &last[2..]),
        (Spec { regression, ..spec.clone() }, &last[2..]),
    ] {
        assert_eq!(by(spec.clone(), waves, OnFailure::Abort), (State::Failed, false));
        // Nothing is open, and nobody looks who goes back to what here.
        assert_eq!(by(spec, waves, OnFailure::Rollback), (State::Aborted, true));
    }
    // Nothing stopped it.
    assert_eq!(by(spec, &last[2..], OnFailure::Rollback), (State::Failed, false));
}

#[test]
fn it_does_not_end_before_it_is_known_who_goes_back() {
    let progression = Progression {
        state: State::Aborting,
        is_to_roll_back: true,
        ..running(succeeded(3)).progression
    };
    let known = Snapshot { progression, ..running(succeeded(3)) };
    assert_eq!(plan(&known, &spec(), NOW).change, Some(Change::Aborted));
    let unknown = Snapshot { is_being_written: true, ..known };
    let waits = plan(&unknown, &spec(), NOW);
    assert_eq!((waits.change, waits.waiting_on), (None, vec![WaitingOn::LookingBack]));
}

#[test]
fn a_soak_in_which_nobody_was_asked_how_it_is_opens_nothing() {
    let every = Duration::from_mins(1);
    let check = health::Check::Version;
    let health = Some(health::Health { check, every, failures: 3 });
    let spec = Spec { health, ..three_waves() };
    let over = NOW + HOUR + HOUR;
    let at = |counts, checkup| plan(&Snapshot { checkup, ..first(SOAKING, counts) }, &spec, over);
    let well = Counts { succeeded: 10, ..Counts::default() };
    assert_eq!(ruling(&at(well, Checkup::Done)), Some(Ruling::Go));
    let asking = at(well, Checkup::Asking);
    let reason = WaitingOn::Health { wave: 0, of: 3, devices: 10 };
    assert_eq!((asking.change, asking.waiting_on), (None, vec![reason]));
    let confirming = at(well, Checkup::Confirming);
    assert_eq!((confirming.change, confirming.waiting_on), (None, vec![WaitingOn::Confirming]));
    // What can only become worse is no reason to wait, and nobody is asked where nobody was updated.
    let ill = Counts { succeeded: 10, regressed: 9, ..Counts::default() };
    assert_eq!(ruling(&at(ill, Checkup::Asking)), Some(Ruling::Stop));
    let none = Counts { current: 10, ..Counts::default() };
    assert_eq!(ruling(&at(none, Checkup::Asking)), Some(Ruling::Go));
    let unasked = Spec { health: None, ..three_waves() };
    let snapshot = Snapshot { checkup: Checkup::Asking, ..first(SOAKING, well) };
    assert_eq!(ruling(&plan(&snapshot, &unasked, over)), Some(Ruling::Go));
}

#[test]
fn the_brake_stops_claims_with_its_evidence() {
    let counts = Counts { queued: 500, succeeded: 50, failed: 10, ..Counts::default() };
    let braked = Spec { brake: Some(Brake::Percent(10)), ..spec() };
    let mut snapshot = running(counts);
    let now = plan(&snapshot, &braked, NOW);
    let Some(Change::Pause { reason, evidence }) = now.change else { panic!("{now:?}") };
    assert_eq!((reason, now.claims_max), (PauseReason::Brake, 0));
    assert_eq!(evidence.unwrap().to_string(), "10 of 60 devices failed, at most 10 % may");
    settle(&mut snapshot, &braked, NOW);
    let words: Vec<_> =
        plan(&snapshot, &braked, NOW).waiting_on.iter().map(|on| on.in_words(NOW)).collect();
    assert_eq!(
        words,
        ["paused by the brake: 10 of 60 devices failed, at most 10 % may; advance accepts that"]
    );
    let kept = &snapshot.progression.brakes;
    assert_eq!(kept.len(), 1);
    assert_eq!(
        kept[0].to_string(),
        "paused by the brake: 10 of 60 devices failed, at most 10 % may"
    );
    let mut snapshot = running(counts);
    snapshot.progression.failures_accepted = 10;
    assert_eq!(plan(&snapshot, &braked, NOW).change, None, "an operator accepted these");
    let mut aborted = running(counts);
    settle(&mut aborted, &Spec { on_failure: OnFailure::Abort, ..braked.clone() }, NOW);
    let last = aborted.progression.brakes.last().unwrap();
    assert_eq!(last.to_string(), "aborted by the brake: 10 of 60 devices failed, at most 10 % may");
    // When nothing is left to protect there is nothing to stop.
    let over = Counts { queued: 0, ..counts };
    assert!(!matches!(plan(&running(over), &braked, NOW).change, Some(Change::Pause { .. })));
}

#[test]
fn the_end_is_told_apart_by_failures_or_by_gates() {
    let one_failed = Counts { succeeded: 9, unreachable: 1, ..Counts::default() };
    let skipped = Counts { succeeded: 9, skipped: 1, ..Counts::default() };
    let canceled = Counts { succeeded: 9, canceled: 1, ..Counts::default() };
    for (counts, change) in [
        (skipped, Change::Complete),
        (one_failed, Change::Fail),
        (canceled, Change::Fail),
        (Counts::default(), Change::NoDevice),
    ] {
        let (_, changes) = settle(&mut running(counts), &spec(), NOW);
        assert_eq!(changes.last(), Some(&change), "{counts:?}");
    }
    let open = Counts { succeeded: 9, retrying: 1, ..Counts::default() };
    assert_eq!(plan(&running(open), &spec(), NOW).change, None);
    // Gates that all said go have said that it is well enough.
    let gated = |last| snapshot(&[(PASSED, one_failed), (PASSED, skipped), (last, skipped)]);
    assert_eq!(plan(&gated(PASSED), &three_waves(), NOW).change, Some(Change::Complete));
    assert_eq!(plan(&gated(STOPPED), &three_waves(), NOW).change, Some(Change::Fail));
}

#[test]
fn a_deadline_ends_those_not_begun_even_while_paused() {
    let spec = Spec { deadline: Some(Deadline::At(NOW)), ..three_waves() };
    let open = Counts { queued: 4, away: 1, retrying: 1, succeeded: 4, ..Counts::default() };
    let mut snapshot = first(SINCE, open);
    let now = plan(&snapshot, &spec, NOW);
    let all = Some(Sweep { why: SweepReason::Deadline, cohorts: vec![0, 1, 2] });
    assert_eq!((now.sweep, now.claims_max, now.fresh_max), (all.clone(), 1, 0));
    snapshot.progression.state = State::Paused;
    let now = plan(&snapshot, &spec, NOW);
    assert_eq!((now.sweep, now.claims_max), (all, 0));
    let before = plan(&snapshot, &spec, NOW - HOUR);
    assert_eq!((before.sweep, before.wake_at), (None, Some(NOW)));
}

/// What is left when the deadline has swept ends by itself, without opening what has nobody.
#[test]
fn after_a_deadline_it_ends() {
    let spec = Spec { deadline: Some(Deadline::At(NOW)), ..three_waves() };
    let skipped = Counts { skipped: 40, ..Counts::default() };
    let well = Counts { succeeded: 9, skipped: 1, ..Counts::default() };
    let mut snapshot = snapshot(&[(SINCE, well), (PENDING, skipped), (PENDING, skipped)]);
    let (_, changes) = settle(&mut snapshot, &spec, NOW);
    assert_eq!(changes, [Change::Soak(0)]);
    let (_, changes) = settle(&mut snapshot, &spec, NOW + HOUR);
    assert!(matches!(changes[..], [Change::Rule(0, _), Change::Complete]), "{changes:?}");
}

#[test]
fn what_is_paused_ends_when_everything_has_and_every_gate_has_ruled() {
    let mut paused = running(Counts { succeeded: 3, verifying: 1, ..Counts::default() });
    paused.progression.state = State::Paused;
    paused.progression.paused.insert(PauseReason::Operator);
    let reasons = [WaitingOn::Paused(PauseReason::Operator)];
    let now = plan(&paused, &spec(), NOW);
    assert_eq!((now.change, now.claims_max), (None, 0));
    assert_eq!(now.waiting_on, reasons);
    paused.cohorts[0].counts = succeeded(4);
    assert_eq!(plan(&paused, &spec(), NOW).change, Some(Change::Complete));

    let mut gated =
        snapshot(&[(PASSED, succeeded(9)), (PASSED, succeeded(9)), (SINCE, succeeded(9))]);
    gated.progression.state = State::Paused;
    gated.progression.paused.insert(PauseReason::Operator);
    let now = plan(&gated, &three_waves(), NOW);
    assert_eq!((now.change, &now.waiting_on[..]), (None, &reasons[..]), "the last gate is asked");
    let skipped = Counts { skipped: 9, ..Counts::default() };
    let mut stopped = snapshot(&[(STOPPED, succeeded(9)), (PENDING, skipped), (PENDING, skipped)]);
    stopped.progression.state = State::Paused;
    stopped.progression.paused.insert(PauseReason::Gate);
    assert_eq!(plan(&stopped, &three_waves(), NOW).change, Some(Change::Fail));
    gated.progression.started_at = None;
    assert_eq!(plan(&gated, &spec(), NOW).change, None, "what has not begun has no end");
}

#[test]
fn giving_up_ends_what_is_not_begun_and_waits_for_or_stops_the_rest() {
    let counts = Counts { queued: 2, absent: 1, delivering: 3, retrying: 1, ..Counts::default() };
    for (state, why, left, end) in [
        (State::Canceling, SweepReason::Canceled, 3, Change::Canceled),
        (State::Aborting, SweepReason::Aborted, 3, Change::Aborted),
    ] {
        let mut snapshot = running(counts);
        snapshot.progression.state = state;
        let now = plan(&snapshot, &spec(), NOW);
        assert_eq!(now.sweep, Some(Sweep { why, cohorts: vec![0] }));
        assert_eq!((now.claims_max, now.waiting_on), (0, vec![WaitingOn::Ending { open: left }]));
        // Only those that are being sent to are left.
        snapshot.cohorts[0].counts = Counts { delivering: 3, canceled: 4, ..Counts::default() };
        let now = plan(&snapshot, &spec(), NOW);
        assert_eq!((now.sweep.is_some(), now.change), (why == SweepReason::Aborted, None));
        snapshot.cohorts[0].counts = Counts { succeeded: 3, canceled: 4, ..Counts::default() };
        assert_eq!(plan(&snapshot, &spec(), NOW).change, Some(end));
    }
}

#[test]
fn others_may_join_until_the_deadline() {
    let until = NOW + HOUR;
    let spec = Spec {
        membership: Membership::Dynamic,
        deadline: Some(Deadline::At(until)),
        ..three_waves()
    };
    let mut done =
        snapshot(&[(PASSED, succeeded(1)), (PASSED, succeeded(4)), (PASSED, succeeded(5))]);
    let now = plan(&done, &spec, NOW);
    assert_eq!((now.change, now.wake_at), (None, Some(until)));
    assert_eq!(now.waiting_on, [WaitingOn::Joiners { until }]);
    done.progression.state = State::Paused;
    assert_eq!(plan(&done, &spec, NOW).change, None, "nor does a pause end it");
    done.progression.state = State::Running;
    assert_eq!(plan(&done, &spec, until).change, Some(Change::Complete));

    let nobody = Counts::default();
    let mut empty = snapshot(&[(PENDING, nobody), (PENDING, nobody), (PENDING, nobody)]);
    let (waits, changes) = settle(&mut empty, &spec, NOW);
    assert_eq!(changes, [Change::OpenWave(0)], "no gate is passed while nobody is in it");
    assert_eq!(waits.waiting_on, [WaitingOn::Joiners { until }]);
    assert_eq!(plan(&empty, &spec, until).change, Some(Change::NoDevice), "nobody came");
}

#[test]
fn whoever_chose_nobody_is_told_at_once_and_not_that_it_went_well() {
    let mut nobody = snapshot(&[(PENDING, Counts::default()); 3]);
    let spec = Spec { start_at: Some(NOW + HOUR), ..three_waves() };
    for state in [State::Scheduled, State::Running] {
        nobody.progression.state = state;
        assert_eq!(plan(&nobody, &spec, NOW).change, Some(Change::NoDevice), "{state}");
    }
    let (_, changes) = settle(&mut nobody, &spec, NOW);
    assert_eq!(changes, [Change::NoDevice], "no wave is opened, and no gate passed");
    assert_eq!((nobody.progression.state, nobody.progression.no_device), (State::Failed, true));
    // Others may come until its start.
    let dynamic = Spec { membership: Membership::Dynamic, ..spec };
    nobody.progression.state = State::Scheduled;
    assert_eq!(plan(&nobody, &dynamic, NOW).change, None);
}

#[test]
fn a_regression_stops_it_after_any_result() {
    let baseline = Baseline::given("2%".parse().unwrap()).unwrap();
    let regression = Some(Regression { baseline, alpha: <_>::default() });
    let spec = Spec { regression, ..three_waves() };
    let some = Counts { succeeded: 33, failed: 7, queued: 60, ..Counts::default() };
    let reason = |spec: &Spec, counts| match plan(&running(counts), spec, NOW).change {
        Some(Change::Pause { reason, .. }) => Some(reason),
        Some(Change::Abort { .. }) => panic!("nobody wanted that"),
        _ => None,
    };
    assert_eq!(reason(&spec, some), Some(PauseReason::Regression));
    for (counts, why) in [
        (Counts { failed: 1, ..some }, "1 of 34 is no wonder"),
        (Counts { verifying: 300, ..some }, "those under way may all succeed"),
        (Counts { failed: 0, unreachable: 7, ..some }, "those not reached are left out"),
        (Counts { failed: 7, queued: 0, ..some }, "nobody is left to be kept from it"),
    ] {
        assert_eq!(reason(&spec, counts), None, "{why}");
    }
    let current = Counts { succeeded: 0, current: 1_000, ..some };
    assert_eq!(reason(&spec, current), Some(PauseReason::Regression), "they were not tried");
    let strict = Spec { unreachable: Unreachable::Fail, ..spec.clone() };
    let unreachable = Counts { failed: 0, unreachable: 7, ..some };
    assert_eq!(reason(&strict, unreachable), Some(PauseReason::Regression));

    // It says on which numbers, and goes on from what an operator accepted.
    let mut snapshot = running(some);
    let (waits, _) = settle(&mut snapshot, &spec, NOW);
    let words: Vec<_> = waits.waiting_on.iter().map(|reason| reason.in_words(NOW)).collect();
    let told = "paused by the regression test: 7 of 40 devices failed where 2 % fail: evidence 2,040, \
                stops at 100; advance accepts that";
    assert_eq!(words, [told]);
    snapshot.progression.state = State::Running;
    snapshot.progression.paused.clear();
    snapshot.progression.results_accepted = Results { succeeded: 33, failed: 6, under_way: 0 };
    assert_eq!(plan(&snapshot, &spec, NOW).change, None, "1 of 1 since");
    snapshot.cohorts[0].counts.failed += 1;
    assert!(plan(&snapshot, &spec, NOW).change.is_some(), "2 of 2 since");
    let abort = Spec { on_failure: OnFailure::Abort, ..spec };
    assert!(matches!(plan(&running(some), &abort, NOW).change, Some(Change::Abort { .. })));
}
