//! What external gates say of a wave that has soaked.

use super::*;
use crate::{
    gate::{
        Ruling,
        external::{
            Answer, Approval, Asked, Besides, By, Check, Decimal, External, GRACE, Op, Question,
            Reply, Test, Value, Wanted,
        },
    },
    outcome::Fault,
};

const SOAKING: WaveState = WaveState::Soaking { since: NOW };
const PENDING: WaveState = WaveState::Pending;
const EVERY: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

/// When the soak of the first wave has ended.
fn soaked() -> Time {
    NOW + HOUR
}

fn check(stops: bool) -> External {
    let value = Value::Number(Decimal::from(3));
    let wanted = Wanted { pointer: "/level".to_owned(), test: Test::new(Op::Lt, value).unwrap() };
    let url = "https://status.example/till".parse().unwrap();
    let question = Question::Http { url, status: 200, wanted: Some(wanted) };
    let headers = std::collections::BTreeMap::new();
    let check = Check { question, headers, timeout: TIMEOUT, every: EVERY, stops };
    External { by: By::Check(Box::new(check)), waves: vec![] }
}

fn approval() -> External {
    External { by: By::Approval, waves: vec![] }
}

fn gated(gates: Vec<External>) -> Spec {
    Spec { gates, ..three_waves() }
}

/// The first wave has ended well; the others wait behind it.
fn waiting() -> Snapshot {
    snapshot(&[(SOAKING, succeeded(10)), (PENDING, queued(40)), (PENDING, queued(50))])
}

fn level(level: i64) -> Answer {
    Answer::Value(200, Value::Number(Decimal::from(level)))
}

fn reply(gate: usize, asked_at: Time, answer: Answer) -> Asked {
    let at = asked_at + Duration::from_secs(1);
    Asked { gate, open_since: None, reply: Some(Reply { asked_at, at, answer }) }
}

fn ruled(plan: &Plan) -> Option<(Ruling, Besides)> {
    match plan.change {
        Some(Change::Rule(0, verdict)) => Some((verdict.ruling, verdict.besides)),
        None => None,
        other => panic!("{other:?}"),
    }
}

fn words(plan: &Plan, now: Time) -> Vec<String> {
    plan.waiting_on.iter().map(|reason| reason.in_words(now)).collect()
}

#[test]
fn nobody_is_asked_before_the_soak_is_over() {
    let spec = gated(vec![check(false), approval()]);
    let before = plan(&waiting(), &spec, soaked() - Duration::from_millis(1));
    assert!(before.ask.is_empty() && before.change.is_none(), "{before:?}");
    let at_its_end = plan(&waiting(), &spec, soaked());
    assert_eq!((at_its_end.ask.as_slice(), ruled(&at_its_end)), ([0].as_slice(), None));
    insta::assert_snapshot!(words(&at_its_end, soaked()).join("\n"), @r"
    wave 2 of 3 waits for the check http https://status.example/till: no answer yet, /level < 3 wanted; asked now
    wave 2 of 3 waits for an operator's approval: approve opens it
    ");
}

#[test]
fn only_all_of_them_open_the_wave() {
    let spec = gated(vec![check(false), approval(), check(false)]);
    let now = soaked() + Duration::from_secs(2);
    let mut snapshot = waiting();
    snapshot.checks = vec![reply(0, soaked(), level(2)), reply(2, soaked(), level(3))];
    assert_eq!(ruled(&plan(&snapshot, &spec, now)), None);
    snapshot.progression.waves[0].approved = Some(Approval { at: soaked(), reason: None });
    assert_eq!(ruled(&plan(&snapshot, &spec, now)), None, "3 is not less than 3");
    snapshot.checks[1] = reply(2, soaked(), level(0));
    let plan = plan(&snapshot, &spec, now);
    assert_eq!(ruled(&plan), Some((Ruling::Go, Besides::Go(3))));
    let said: Vec<(usize, bool)> =
        plan.evidence.iter().map(|said| (said.gate, said.answer.is_some())).collect();
    assert_eq!(said, [(0, true), (1, false), (2, true)]);
    let change = plan.change.unwrap();
    change.apply_with(&plan.evidence, &mut snapshot.progression, now);
    assert_eq!(snapshot.progression.waves[0].evidence, plan.evidence);
}

#[test]
fn a_stale_answer_opens_nothing() {
    let spec = gated(vec![check(false)]);
    let go = |asked_at| {
        let mut snapshot = waiting();
        snapshot.checks = vec![reply(0, asked_at, level(0))];
        snapshot
    };
    let early = go(soaked() - Duration::from_millis(1));
    let plan_of = |snapshot: &Snapshot, now| plan(snapshot, &spec, now);
    let late = plan_of(&early, soaked() + Duration::from_secs(2));
    assert_eq!((ruled(&late), late.ask.as_slice()), (None, [0].as_slice()), "asked too early");
    let good = go(soaked());
    let fresh_until = soaked() + Duration::from_secs(1) + EVERY + TIMEOUT + GRACE;
    assert!(ruled(&plan_of(&good, fresh_until)).is_some());
    let stale = plan_of(&good, fresh_until + Duration::from_millis(1));
    assert_eq!((ruled(&stale), stale.ask.as_slice()), (None, [0].as_slice()), "too old");
    let of_later = plan_of(&go(soaked() + HOUR), soaked() + Duration::from_secs(2));
    assert_eq!((ruled(&of_later), of_later.ask.as_slice()), (None, [0].as_slice()));
    let mut approved = waiting();
    approved.progression.waves[0].approved = Some(Approval { at: soaked() - HOUR, reason: None });
    let spec = gated(vec![approval()]);
    assert_eq!(ruled(&plan(&approved, &spec, soaked())), None, "approved too early");
}

#[test]
fn one_question_at_a_time_and_again_after_a_while() {
    let spec = gated(vec![check(false)]);
    let mut snapshot = waiting();
    snapshot.checks = vec![Asked { gate: 0, open_since: Some(soaked()), reply: None }];
    let given_up_at = soaked() + TIMEOUT + GRACE;
    let open = plan(&snapshot, &spec, soaked() + TIMEOUT);
    assert_eq!((open.ask.len(), open.wake_at), (0, Some(given_up_at)));
    assert_eq!(plan(&snapshot, &spec, given_up_at).ask, [0], "nobody says anything of it");
    snapshot.checks = vec![reply(0, soaked(), Answer::Status(503))];
    let again_at = soaked() + Duration::from_secs(1) + EVERY;
    let waits = plan(&snapshot, &spec, soaked() + Duration::from_secs(11));
    assert_eq!((waits.ask.len(), waits.wake_at), (0, Some(again_at)));
    insta::assert_snapshot!(words(&waits, soaked() + Duration::from_secs(11))[0], @"wave 2 of 3 waits for the check http https://status.example/till: HTTP 503, /level < 3 wanted; asked again in 20 s");
    assert_eq!(plan(&snapshot, &spec, again_at).ask, [0]);
    snapshot.is_stopping = true;
    assert!(plan(&snapshot, &spec, again_at).ask.is_empty(), "nobody waits for the answer");
}

#[test]
fn false_waits_or_stops_as_it_was_ordered_and_doubt_never_stops() {
    let now = soaked() + Duration::from_secs(2);
    let of = |stops, answer| {
        let mut snapshot = waiting();
        snapshot.checks = vec![reply(0, soaked(), answer)];
        ruled(&plan(&snapshot, &gated(vec![check(stops), approval()]), now))
    };
    assert_eq!(of(false, level(5)), None);
    assert_eq!(of(true, level(5)), Some((Ruling::Stop, Besides::Stop(1))), "nobody has to approve");
    for doubt in [
        Answer::Status(503),
        Answer::Silent(Fault::ConnectRefused),
        Answer::Value(500, Value::Number(Decimal::from(5))),
        Answer::Value(200, Value::Text("5".to_owned())),
    ] {
        assert_eq!(of(true, doubt.clone()), None, "{doubt}");
    }
}

#[test]
fn the_rate_comes_first_and_the_last_wave_is_let_go() {
    let spec = gated(vec![check(true)]);
    let bad = Counts { succeeded: 8, failed: 2, ..Counts::default() };
    let snapshot_of =
        |counts| snapshot(&[(SOAKING, counts), (PENDING, queued(9)), (PENDING, queued(9))]);
    let plan_of = |snapshot: &Snapshot| plan(snapshot, &spec, soaked());
    let stopped = plan_of(&snapshot_of(bad));
    assert_eq!(ruled(&stopped), Some((Ruling::Stop, Besides::Nothing)));
    assert!(plan_of(&snapshot_of(Counts { unreachable: 2, ..Counts::default() })).ask.is_empty());
    let passed = WaveState::Passed { at: NOW };
    let done = [(passed, succeeded(10)), (passed, succeeded(40)), (SOAKING, succeeded(50))];
    let mut last = snapshot(&done);
    let (end, changes) = settle(&mut last, &spec, soaked());
    assert!(end.ask.is_empty() && changes.last() == Some(&Change::Complete), "{changes:?}");
}

/// Nobody in a wave is no reason to open the next one unasked.
#[test]
fn an_empty_wave_is_asked_for_as_well() {
    let spec = gated(vec![approval()]);
    let open = WaveState::Open { since: NOW };
    let mut empty = snapshot(&[(open, queued(0)), (PENDING, queued(40)), (PENDING, queued(50))]);
    let (plan_then, changes) = settle(&mut empty, &spec, soaked());
    assert_eq!(changes, [Change::Soak(0)]);
    assert!(plan_then.change.is_none());
    empty.progression.waves[0].approved = Some(Approval { at: soaked() + HOUR, reason: None });
    let (_, changes) = settle(&mut empty, &spec, soaked() + HOUR);
    assert!(matches!(changes[..], [Change::Rule(0, _), Change::OpenWave(1)]), "{changes:?}");
}

/// Whoever is left for a gate to hold back decides whether it is waited for.
#[test]
fn with_nobody_behind_it_a_gate_is_not_waited_for() {
    let spec = gated(vec![approval()]);
    let done = [(SOAKING, succeeded(10)), (PENDING, queued(0)), (PENDING, queued(0))];
    let mut done = snapshot(&done);
    let (_, changes) = settle(&mut done, &spec, soaked());
    assert_eq!(changes, [Change::Complete]);
}

#[test]
fn a_paused_rollout_asks_nobody() {
    let spec = gated(vec![check(false)]);
    let mut paused = waiting();
    paused.progression.state = State::Paused;
    paused.progression.paused.insert(PauseReason::Operator);
    assert!(plan(&paused, &spec, soaked()).ask.is_empty());
}

/// Whatever is known, nothing but a fresh answer that says go opens a wave; and who waits is asked,
/// or has a time at which it is looked again.
mod random {
    use proptest::prelude::*;

    use super::*;

    fn asked(gate: usize) -> impl Strategy<Value = Option<Asked>> {
        let at = || -20_i64..60;
        let answers = prop::sample::select(vec![
            level(0),
            level(0),
            level(0),
            level(5),
            Answer::Status(200),
            Answer::Silent(Fault::Reset),
        ]);
        let reply = prop::option::of((at(), 0_i64..5, answers));
        prop::option::weighted(0.9, (prop::option::of(at()), reply)).prop_map(move |asked| {
            let (open, reply) = asked?;
            let time = |secs: i64| Time::from_millis(soaked().as_millis() + secs * 1_000);
            let reply = reply.map(|(asked, took, answer)| Reply {
                asked_at: time(asked),
                at: time(asked + took),
                answer,
            });
            Some(Asked { gate, open_since: open.map(time), reply })
        })
    }

    proptest! {
        #[test]
        fn go_takes_all_and_waiting_has_an_end(
            first in asked(0), second in asked(1), later in -5_i64..90, stops in any::<bool>(),
        ) {
            let spec = gated(vec![check(stops), check(false)]);
            let now = Time::from_millis(soaked().as_millis() + later * 1_000);
            let mut snapshot = waiting();
            snapshot.checks = first.into_iter().chain(second).collect();
            let plan = plan(&snapshot, &spec, now);
            let is_go = |gate| snapshot.checks.iter().any(|asked| {
                asked.gate == gate && asked.reply.as_ref().is_some_and(|reply| {
                    let age = now.as_millis() - reply.at.as_millis();
                    reply.answer == level(0)
                        && reply.asked_at >= soaked()
                        && reply.asked_at <= now
                        && (0..=45_000).contains(&age)
                })
            });
            match ruled(&plan) {
                Some((Ruling::Go, _)) => prop_assert!(later >= 0 && is_go(0) && is_go(1)),
                Some(_) => prop_assert!(stops && later >= 0),
                None => {
                    prop_assert!(later < 0 || !(is_go(0) && is_go(1)));
                    prop_assert!(!plan.ask.is_empty() || plan.wake_at.is_some_and(|at| at > now));
                    prop_assert!(!plan.waiting_on.is_empty());
                }
            }
        }
    }
}
