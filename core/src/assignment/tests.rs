use std::{fmt::Write as _, time::Duration};

use super::*;
use crate::{
    outcome::Fault,
    release::{Digest, Release},
    rollout::{Deadline, Offline, Spec, Verify},
    verify::Mode,
};

const NOW: Time = Time::from_millis(1_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn spec(mode: Mode) -> Spec {
    let release = Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    };
    Spec {
        verify: Verify { mode, timeout: MINUTE, first: false },
        deadline: Some(Deadline::At(NOW + HOUR * 48)),
        ..Spec::immediate(release)
    }
}

/// Absent devices are waited for, by their wave for a day.
fn patient() -> Spec {
    Spec { offline: Offline::Wait, ..spec(Mode::Version) }
}

fn in_state(state: State, attempt: u32) -> Assignment {
    let (due_at, away_since) = match state {
        State::Verifying => (NOW + MINUTE, Time::ZERO),
        State::Retrying => (NOW, Time::ZERO),
        State::Away => (NOW + HOUR, NOW - HOUR * 23),
        State::Absent => (Time::MAX, NOW - HOUR * 25),
        _ => (Time::ZERO, Time::ZERO),
    };
    Assignment { state, attempt, in_doubt: false, due_at, away_since }
}

fn next(assignment: &Assignment, fact: &Fact, spec: &Spec, now: Time) -> Assignment {
    apply(assignment, fact, spec, now, 0).unwrap().to
}

fn fault(fault: Fault) -> Outcome {
    Outcome::NotSent { fault, detail: String::new() }
}

fn unknown(fault: Fault) -> Outcome {
    Outcome::Unknown { fault, detail: String::new() }
}

fn refused(status: u16) -> Outcome {
    Outcome::Refused { status, retry_after: None, detail: String::new() }
}

fn version(version: &str) -> Answer {
    Answer::Version { version: version.to_owned() }
}

fn unreadable() -> Answer {
    Answer::Unreadable { status: 404, detail: String::new() }
}

fn silent() -> Answer {
    Answer::Silent { fault: Fault::ConnectRefused, detail: String::new() }
}

/// Every kind of fact, once, with its name.
fn facts() -> Vec<(&'static str, Fact)> {
    vec![
        ("claimed", Fact::Claimed),
        ("returned", Fact::Returned),
        ("delivered", Fact::Delivered(Outcome::Accepted { status: 200 })),
        ("asked", Fact::Asked(version("2.0.0"))),
        ("orphaned", Fact::Orphaned),
        ("skipped", Fact::Skipped(SkipReason::Superseded)),
        ("away", Fact::Away { since: None }),
        ("contacted", Fact::Contacted),
        ("expired: deadline", Fact::Expired(SkipReason::Deadline)),
        ("expired: window", Fact::Expired(SkipReason::WindowClosed)),
        ("canceled", Fact::Canceled),
    ]
}

/// Every pair of a state and a kind of fact: the state that follows, or a refusal.
#[test]
fn every_state_and_fact() {
    let mut table = String::new();
    for state in State::ALL {
        for (name, fact) in facts() {
            match apply(&in_state(state, 1), &fact, &spec(Mode::Version), NOW, 0) {
                Ok(transition) => {
                    let _ = writeln!(table, "{state} + {name} -> {}", transition.to.state);
                    assert!(!state.is_terminal(), "{state} was no end");
                }
                Err(illegal) => assert_eq!(illegal.state, state),
            }
        }
    }
    insta::assert_snapshot!(table);
    let late = apply(&in_state(State::Succeeded, 1), &Fact::Claimed, &spec(Mode::None), NOW, 0);
    assert_eq!(late.unwrap_err().to_string(), "a device that is succeeded cannot be claimed");
}

/// A run may go on with another way of verifying: what is in doubt stays in doubt.
#[test]
fn another_mode_does_not_turn_doubt_into_success_or_a_second_reception() {
    for mode in [Mode::None, Mode::Reachable] {
        let lost = Assignment { in_doubt: true, ..in_state(State::Verifying, 1) };
        let asked = apply(&lost, &Fact::Asked(version("1.0.0")), &spec(mode), NOW, 0).unwrap();
        assert_eq!(asked.to.state, State::Retrying, "the old version proves nothing");
        let asked = apply(&lost, &Fact::Asked(silent()), &spec(mode), NOW, 0).unwrap();
        assert_eq!(asked.to, lost);
    }
    let orphan = Assignment { in_doubt: true, ..in_state(State::Retrying, 0) };
    let claimed = apply(&orphan, &Fact::Claimed, &spec(Mode::Version), NOW, 0).unwrap();
    assert_eq!((claimed.to.state, claimed.to.in_doubt), (State::Verifying, true));
    let claimed = apply(&orphan, &Fact::Claimed, &spec(Mode::None), NOW, 0).unwrap();
    assert_eq!(claimed.to.state, State::Delivering);
}

/// Every outcome in every mode, with attempts left and on the last one.
#[test]
fn every_outcome_in_every_mode() {
    use FailReason::{DeviceError, Rejected, Transfer, Unreachable};
    let retry = State::Retrying;
    let table = [
        // outcome, verify = version: attempts left, last one; verify = none: attempts left, last
        (
            Outcome::Accepted { status: 204 },
            [State::Verifying, State::Verifying, State::Succeeded, State::Succeeded],
        ),
        (Outcome::AlreadyCurrent, [State::Skipped(SkipReason::AlreadyCurrent); 4]),
        (refused(503), [retry, State::Failed(DeviceError), retry, State::Failed(DeviceError)]),
        (refused(429), [retry, State::Failed(DeviceError), retry, State::Failed(DeviceError)]),
        (refused(404), [State::Failed(Rejected); 4]),
        (refused(301), [State::Failed(Rejected); 4]),
        (
            fault(Fault::ConnectRefused),
            [retry, State::Failed(Unreachable), retry, State::Failed(Unreachable)],
        ),
        (fault(Fault::NoSuchName), [State::Failed(Unreachable); 4]),
        (fault(Fault::TlsTrust), [State::Failed(Unreachable); 4]),
        (fault(Fault::Reset), [retry, State::Failed(Transfer), retry, State::Failed(Transfer)]),
        (
            fault(Fault::UploadStalled),
            [retry, State::Failed(Transfer), retry, State::Failed(Transfer)],
        ),
        (
            fault(Fault::LocalExhausted),
            [retry, State::Failed(Transfer), retry, State::Failed(Transfer)],
        ),
        (
            fault(Fault::AnsweredEarly),
            [retry, State::Failed(Transfer), retry, State::Failed(Transfer)],
        ),
        (fault(Fault::Canceled), [State::Canceled; 4]),
        (
            unknown(Fault::Reset),
            [State::Verifying, State::Verifying, retry, State::Failed(Transfer)],
        ),
        (
            unknown(Fault::ResponseTimeout),
            [State::Verifying, State::Verifying, retry, State::TimedOut(Step::Delivering)],
        ),
        (
            unknown(Fault::Malformed),
            [State::Verifying, State::Verifying, retry, State::Failed(Transfer)],
        ),
        (
            unknown(Fault::TlsTrust),
            [
                State::Verifying,
                State::Verifying,
                State::Failed(Unreachable),
                State::Failed(Unreachable),
            ],
        ),
        (
            unknown(Fault::Canceled),
            [State::Verifying, State::Verifying, State::Canceled, State::Canceled],
        ),
    ];
    for (outcome, expected) in table {
        let cases = [(Mode::Version, 1), (Mode::Version, 3), (Mode::None, 1), (Mode::None, 3)];
        for ((mode, attempt), expected) in cases.into_iter().zip(expected) {
            let fact = Fact::Delivered(outcome.clone());
            let result =
                apply(&in_state(State::Delivering, attempt), &fact, &spec(mode), NOW, 0).unwrap();
            assert_eq!(result.to.state, expected, "{outcome:?} {mode:?} attempt {attempt}");
            if !matches!(expected, State::Succeeded | State::Skipped(_) | State::Canceled)
                && outcome != (Outcome::Accepted { status: 204 })
            {
                assert!(!result.detail.is_empty(), "{outcome:?} says nothing");
            }
        }
    }
}

#[test]
fn what_an_answer_means_before_and_at_the_deadline() {
    let verification = State::Failed(FailReason::Verification);
    let table = [
        // answer, in doubt, at the deadline: state
        (version("2.0.0"), false, false, State::Succeeded),
        (version("1.9.9"), false, false, State::Verifying),
        (version("1.9.9"), true, false, State::Verifying),
        (unreadable(), false, false, State::Verifying),
        (silent(), false, false, State::Verifying),
        (version("2.0.0"), true, true, State::Succeeded),
        (version("1.9.9"), false, true, verification),
        (version("1.9.9"), true, true, State::Retrying),
        (unreadable(), false, true, verification),
        (unreadable(), true, true, verification),
        (silent(), false, true, State::TimedOut(Step::Verifying)),
        (silent(), true, true, State::TimedOut(Step::Verifying)),
    ];
    for (answer, in_doubt, is_last, expected) in table {
        let mut assignment = Assignment { in_doubt, ..in_state(State::Verifying, 1) };
        if is_last {
            assignment.due_at = NOW;
        }
        let fact = Fact::Asked(answer.clone());
        let result = apply(&assignment, &fact, &spec(Mode::Version), NOW, 0).unwrap();
        assert_eq!(result.to.state, expected, "{answer:?} doubt {in_doubt} last {is_last}");
    }
    let assignment = in_state(State::Verifying, 1);
    let ask = |answer| {
        apply(&assignment, &Fact::Asked(answer), &spec(Mode::Reachable), NOW, 0).unwrap().to.state
    };
    assert_eq!(ask(unreadable()), State::Succeeded);
    assert_eq!(ask(silent()), State::Verifying);
}

#[test]
fn doubt_on_the_last_attempt_ends_when_the_old_version_shows() {
    let assignment = Assignment { in_doubt: true, due_at: NOW, ..in_state(State::Verifying, 3) };
    let fact = Fact::Asked(version("1.0.0"));
    let result = apply(&assignment, &fact, &spec(Mode::Version), NOW, 0).unwrap();
    assert_eq!(result.to.state, State::Failed(FailReason::Verification));
    assert_eq!(result.detail, "reports version 1.0.0, not 2.0.0");
}

#[test]
fn what_is_permanent_is_never_sent_again_not_even_in_doubt() {
    for permanent in [Fault::Canceled, Fault::TlsTrust] {
        let spec = spec(Mode::Version);
        let sent = in_state(State::Delivering, 1);
        let fact = Fact::Delivered(unknown(permanent));
        let verifying = apply(&sent, &fact, &spec, NOW, 0).unwrap().to;
        let asked = Assignment { due_at: NOW, ..verifying };
        let end = apply(&asked, &Fact::Asked(version("1.0.0")), &spec, NOW, 0).unwrap().to;
        assert_eq!(end.state, State::Failed(FailReason::Verification), "{permanent:?}");
    }
}

#[test]
fn the_death_of_a_driver_uses_up_no_attempt() {
    let claimed = in_state(State::Delivering, 3);
    let version_mode = spec(Mode::Version);
    let orphaned = apply(&claimed, &Fact::Orphaned, &version_mode, NOW, 0).unwrap().to;
    assert_eq!((orphaned.state, orphaned.attempt, orphaned.in_doubt), (State::Verifying, 2, true));
    let asked = Assignment { due_at: NOW, ..orphaned };
    let fact = Fact::Asked(version("1.0.0"));
    let again = apply(&asked, &fact, &version_mode, NOW, 0).unwrap().to;
    assert_eq!((again.state, again.attempt), (State::Retrying, 2));

    let none = apply(&claimed, &Fact::Orphaned, &spec(Mode::None), NOW, 0).unwrap().to;
    assert_eq!((none.state, none.attempt, none.due_at), (State::Retrying, 2, NOW));
    // Even a claim that is handed back then may have been sent to before: it is not "not sent".
    let first = apply(&in_state(State::Delivering, 1), &Fact::Orphaned, &spec(Mode::None), NOW, 0);
    let claimed = apply(&first.unwrap().to, &Fact::Claimed, &spec(Mode::None), NOW, 0).unwrap().to;
    let back = apply(&claimed, &Fact::Returned, &spec(Mode::None), NOW, 0).unwrap().to;
    assert_eq!((back.state, back.attempt), (State::Retrying, 0));
}

#[test]
fn a_claim_handed_back_is_as_if_it_had_not_been() {
    let in_doubt = |assignment| Assignment { in_doubt: true, ..assignment };
    let due_at = |due_at, assignment| Assignment { due_at, ..assignment };
    for before in [
        Assignment::queued(),
        in_state(State::Retrying, 2),
        // Its attempts were cut short by the death of their drivers, and count for nothing.
        in_state(State::Retrying, 0),
        in_doubt(in_state(State::Retrying, 0)),
        due_at(NOW - HOUR, in_state(State::Retrying, 1)),
        due_at(NOW, in_state(State::Away, 0)),
        due_at(NOW, in_state(State::Away, 3)),
        in_doubt(due_at(NOW, in_state(State::Away, 1))),
        due_at(NOW, in_state(State::Absent, 0)),
        due_at(NOW, in_state(State::Absent, 3)),
    ] {
        let claimed = next(&before, &Fact::Claimed, &spec(Mode::None), NOW);
        assert_eq!((claimed.state, claimed.claimed_from()), (State::Delivering, before.state));
        assert_eq!(claimed.attempt, before.attempt + 1);
        assert_eq!(next(&claimed, &Fact::Returned, &spec(Mode::None), NOW), before);
    }
}

#[test]
fn retries_keep_the_schedule_and_what_the_device_asks_for() {
    let spec = spec(Mode::Version);
    let after = |attempt, retry_after| {
        let outcome = Outcome::Refused { status: 503, retry_after, detail: String::new() };
        let assignment = in_state(State::Delivering, attempt);
        let result = apply(&assignment, &Fact::Delivered(outcome), &spec, NOW, 0).unwrap();
        result.to.due_at.since(NOW).as_millis()
    };
    assert_eq!(after(1, None), 1_000);
    assert_eq!(after(2, None), 2_000);
    assert_eq!(after(1, Some(Duration::from_secs(7))), 7_000);
    assert_eq!(after(1, Some(Duration::from_hours(9))), 3_600_000);
}

/// A contact that is lost on the way must not be missed by a wave for longer than `wait_absent`.
#[test]
fn a_wave_waits_for_a_day_after_the_device_was_last_there() {
    let seen = |hours| Some(NOW - HOUR * hours);
    for (since, state, due_at, away_since) in [
        (None, State::Away, NOW + HOUR * 24, NOW),
        (seen(0), State::Away, NOW + HOUR * 24, NOW),
        (seen(23), State::Away, NOW + HOUR, NOW - HOUR * 23),
        // Known to be gone for long: the wave does not wait at all.
        (seen(24), State::Absent, Time::MAX, NOW - HOUR * 24),
        (seen(9_000), State::Absent, Time::MAX, NOW - HOUR * 9_000),
        // A clock that was set back.
        (Some(NOW + HOUR), State::Away, NOW + HOUR * 24, NOW),
    ] {
        let to = next(&Assignment::queued(), &Fact::Away { since }, &patient(), NOW);
        assert_eq!((to.state, to.due_at, to.away_since), (state, due_at, away_since), "{since:?}");
    }
    let away = next(&Assignment::queued(), &Fact::Away { since: None }, &patient(), NOW);
    let later = NOW + HOUR * 24;
    let absent = next(&away, &Fact::Away { since: None }, &patient(), later);
    assert_eq!((absent.state, absent.due_at), (State::Absent, Time::MAX));
    assert_eq!(absent.away_since, NOW, "since the first time, not the last");
    let at_once = Spec { wait_absent: Duration::ZERO, ..patient() };
    let absent = next(&Assignment::queued(), &Fact::Away { since: None }, &at_once, NOW);
    assert_eq!(absent.state, State::Absent);
}

#[test]
fn a_contact_makes_it_due_and_a_claim_that_is_handed_back_leaves_it_so() {
    for state in [State::Away, State::Absent] {
        let there = next(&in_state(state, 0), &Fact::Contacted, &patient(), NOW);
        assert_eq!((there.state, there.due_at), (State::Away, NOW));
        // It may be claimed without a contact, too: when it is tried again.
        for claimable in [there, in_state(state, 0)] {
            let claimed = next(&claimable, &Fact::Claimed, &patient(), NOW);
            assert_eq!((claimed.state, claimed.attempt), (State::Delivering, 1));
            let back = next(&claimed, &Fact::Returned, &patient(), NOW);
            assert_eq!((back.state, back.attempt, back.due_at), (claimable.state, 0, NOW));
            assert_eq!(back.away_since, claimable.away_since);
        }
    }
}

#[test]
fn one_that_cannot_be_reached_is_tried_more_and_more_seldom() {
    let refused = Fact::Delivered(fault(Fault::ConnectRefused));
    let mut assignment = Assignment::queued();
    let mut now = NOW;
    let mut waits = vec![];
    for _ in 0..12 {
        assignment = next(&assignment, &Fact::Claimed, &patient(), now);
        assignment = next(&assignment, &refused, &patient(), now);
        waits.push((assignment.state.as_str(), assignment.due_at.since(now).as_secs()));
        now = assignment.due_at;
    }
    let minutes = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map(|minutes| ("away", minutes * 60));
    assert_eq!(waits[..2], [("retrying", 1), ("retrying", 2)]);
    assert_eq!(waits[2..], minutes);
    assert_eq!(assignment.away_since, NOW + Duration::from_secs(3));

    // After a day its wave goes on without it; it is tried all the same.
    let late = NOW + HOUR * 25;
    let claimed = next(&assignment, &Fact::Claimed, &patient(), late);
    let absent = next(&claimed, &refused, &patient(), late);
    assert_eq!((absent.state, absent.due_at), (State::Absent, late + HOUR));
    // A fault that will not pass by itself is no absence.
    let end = next(&claimed, &Fact::Delivered(fault(Fault::TlsTrust)), &patient(), late);
    assert_eq!(end.state, State::Failed(FailReason::Unreachable));
}

#[test]
fn one_that_answers_is_not_away_any_more() {
    let there = next(&in_state(State::Absent, 0), &Fact::Contacted, &patient(), NOW);
    let claimed = next(&there, &Fact::Claimed, &patient(), NOW);
    for outcome in [refused(503), fault(Fault::Reset)] {
        let again = next(&claimed, &Fact::Delivered(outcome), &patient(), NOW);
        assert_eq!((again.state, again.away_since), (State::Retrying, Time::ZERO));
    }
    // It was not there after all: back it goes, for its wave has waited long enough.
    let gone = Fact::Delivered(fault(Fault::ConnectRefused));
    let again = next(&claimed, &gone, &patient(), NOW);
    assert_eq!((again.state, again.away_since), (State::Absent, there.away_since));
    assert_eq!((again.attempt, again.due_at), (1, NOW + MINUTE));
    let sent = next(&claimed, &Fact::Delivered(Outcome::Accepted { status: 200 }), &patient(), NOW);
    assert_eq!((sent.state, sent.away_since), (State::Verifying, Time::ZERO));
}

#[test]
fn the_end_of_time_tells_those_missing_from_those_whose_turn_did_not_come() {
    use SkipReason::{Deadline, WindowClosed};
    let unreachable = State::Failed(FailReason::Unreachable);
    for (state, reason, end, detail) in [
        (State::Queued, Deadline, State::Skipped(Deadline), ""),
        (State::Away, Deadline, unreachable, "not reached before the deadline"),
        (State::Absent, Deadline, unreachable, "not reached before the deadline"),
        (State::Queued, WindowClosed, State::Skipped(WindowClosed), ""),
        (State::Away, WindowClosed, State::Skipped(WindowClosed), ""),
        (State::Absent, WindowClosed, State::Skipped(WindowClosed), ""),
    ] {
        let fact = Fact::Expired(reason);
        let ended = apply(&in_state(state, 0), &fact, &patient(), NOW, 0).unwrap();
        assert_eq!((ended.to.state, ended.detail.as_str()), (end, detail), "{state} {reason:?}");
    }
}
