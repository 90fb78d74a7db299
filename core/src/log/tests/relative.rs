//! Records that tell times from their own, and what changed only, are read back whole.

use super::{super::stands::Stands, *};
use crate::{
    brake,
    gate::{
        self, Tally, Unreachable,
        external::{Answer, Approval, Asked, Besides, Evidence, Gates, Reply, Unread, Value},
    },
    plan::Change,
    rollout::{PauseReason, Wave, WaveState},
    waiting::Before,
};

/// Times as they are, and those that there are none before or behind.
fn time() -> impl Strategy<Value = Time> {
    let near = (-90_000_000..90_000_000_i64).prop_map(|ms| NOON.as_millis() + ms);
    prop_oneof![4 => near, 1 => Just(0), 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => 1..9_i64]
        .prop_map(Time::from_millis)
}

fn maybe_time() -> impl Strategy<Value = Option<Time>> {
    proptest::option::of(time())
}

fn counts() -> impl Strategy<Value = Counts> {
    let count = || prop_oneof![3 => Just(0_u64), 1 => 0..1_000_000_u64];
    (proptest::array::uniform13(count()), count()).prop_map(|(states, regressed)| {
        let mut all = [0; 14];
        all[..13].copy_from_slice(&states);
        all[13] = regressed;
        Counts::from_array(all)
    })
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        maybe_time().prop_map(|until| Phase::Open { until }),
        maybe_time().prop_map(|opens_at| Phase::Closed { by: ClosedBy::Window, opens_at }),
        maybe_time().prop_map(|opens_at| Phase::Closed { by: ClosedBy::Freeze(3), opens_at }),
    ]
}

fn cohort() -> impl Strategy<Value = Cohort> {
    let zone = prop_oneof![Just(None), Just(Some("America/Denver")), Just(Some("UTC"))];
    (0..3_usize, zone, phase(), maybe_time(), counts()).prop_map(
        |(wave, zone, phase, closes_for_good_at, counts)| Cohort {
            wave,
            zone: zone.map(|name| Zone::parse(name).unwrap()),
            phase,
            closes_for_good_at,
            counts,
        },
    )
}

const TALLY: Tally = Tally {
    succeeded: 3,
    failed: 1,
    regressed: 1,
    unreachable: 2,
    rule: Unreachable::Wait,
    open: 0,
    of: 6,
};

fn reason() -> impl Strategy<Value = WaitingOn> {
    (0..10_u32, time(), maybe_time()).prop_map(|(kind, at, maybe)| {
        let (devices, zone) = (4, Zone::utc());
        match kind {
            0 => WaitingOn::StartAt { at },
            1 => {
                let (wave, of, until, min_success, tally) = (0, 2, at, Some(90), TALLY);
                WaitingOn::Soak { wave, of, until, min_success, tally }
            }
            2 => {
                let (by, opens_at, reason) = (ClosedBy::Window, maybe, None);
                WaitingOn::Hours { devices, by, opens_at, zone, reason }
            }
            3 => WaitingOn::Deadline { devices, at, before: Before::Window },
            4 => WaitingOn::Rate { per_minute: 60, next_at: at },
            5 => WaitingOn::Away { away: 1, absent: 2, deadline: maybe },
            6 => WaitingOn::Joiners { until: at },
            7 => WaitingOn::InFlight { max: 3 },
            8 => {
                let (check, wants) = ("http https://x".to_owned(), "HTTP 200".to_owned());
                let answer = Some(Answer::Status(503));
                WaitingOn::Check { wave: 0, of: 2, check, wants, answer, again_at: maybe }
            }
            _ => WaitingOn::Version { until: at },
        }
    })
}

fn change() -> impl Strategy<Value = Option<Change>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Change::Begin)),
        1 => Just(Some(Change::OpenWave(1))),
        1 => verdict().prop_map(|verdict| Some(Change::Rule(1, verdict))),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let open = proptest::collection::vec(0..5_usize, 0..3);
    let waits = proptest::collection::vec(reason(), 0..3);
    let ask = proptest::collection::vec(0..3_usize, 0..2);
    (0..3_u32, 0..3_u32, open, change(), (said(), ask), waits, maybe_time()).prop_map(
        |(claims_max, fresh_max, open, change, (evidence, ask), waiting_on, wake_at)| Plan {
            claims_max,
            fresh_max,
            open,
            change,
            evidence,
            ask,
            sweep: None,
            waiting_on,
            wake_at,
        },
    )
}

fn decided() -> impl Strategy<Value = (Snapshot, Plan, Time)> {
    let cohorts = proptest::collection::vec(cohort(), 0..5);
    let rate = prop_oneof![
        Just(Allowance::UNLIMITED),
        (0..9_u32, time()).prop_map(|(claims, next_at)| Allowance { claims, next_at }),
    ];
    let counted = (cohorts, checks());
    (counted, 0..3_u32, rate, 0..3_u32, any::<[bool; 2]>(), checkup(), plan(), time()).prop_map(
        |(
            (cohorts, checks),
            ahead_max,
            allowance,
            places,
            [is_being_written, is_stopping],
            checkup,
            plan,
            now,
        )| {
            let snapshot = Snapshot {
                progression: Progression::draft(&spec()),
                cohorts,
                checks,
                ahead_max,
                allowance,
                driver_places: places,
                checkup,
                is_being_written,
                is_stopping,
            };
            (snapshot, plan, now)
        },
    )
}

fn checkup() -> impl Strategy<Value = Checkup> {
    let all = [Checkup::Done, Checkup::Asking, Checkup::Confirming];
    proptest::sample::select(all.to_vec())
}

fn verdict() -> impl Strategy<Value = gate::Verdict> {
    let besides =
        [Besides::Nothing, Besides::Go(2), Besides::Stop(1), Besides::Unsaid(Gates::of([0, 2]))];
    (time(), proptest::sample::select(besides.to_vec())).prop_map(|(at, besides)| {
        let (ruling, tally, min_success) = (gate::Ruling::Go, TALLY, Some(50));
        gate::Verdict { at, ruling, tally, min_success, besides }
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Status(503)),
        Just(Answer::Value(200, Value::Number("0.02".parse().unwrap()))),
        Just(Answer::Unreadable(200, Unread::Several(2))),
        Just(Answer::Silent(crate::outcome::Fault::Reset)),
    ]
}

fn said() -> impl Strategy<Value = Vec<Evidence>> {
    let said = (0..3_usize, time(), proptest::option::of(answer()));
    let said = said.prop_map(|(gate, at, answer)| Evidence { gate, at, answer });
    proptest::collection::vec(said, 0..2)
}

fn checks() -> impl Strategy<Value = Vec<Asked>> {
    let reply = (time(), time(), answer());
    let reply = reply.prop_map(|(asked_at, at, answer)| Reply { asked_at, at, answer });
    let asked = (0..3_usize, maybe_time(), proptest::option::of(reply));
    let asked = asked.prop_map(|(gate, open_since, reply)| Asked { gate, open_since, reply });
    proptest::collection::vec(asked, 0..3)
}

fn wave() -> impl Strategy<Value = Wave> {
    let state = (0..5_u32, time()).prop_map(|(kind, time)| match kind {
        0 => WaveState::Pending,
        1 => WaveState::Open { since: time },
        2 => WaveState::Soaking { since: time },
        3 => WaveState::Passed { at: time },
        _ => WaveState::Stopped { at: time },
    });
    let reason = proptest::option::of("[a-z ]{1,9}");
    let approved = (maybe_time(), reason)
        .prop_map(|(at, reason)| at.map(|at| Approval { at, reason: reason.clone() }));
    (state, proptest::collection::vec(verdict(), 0..2), approved, said()).prop_map(
        |(state, verdicts, approved, evidence)| Wave { state, verdicts, approved, evidence },
    )
}

fn brakes() -> impl Strategy<Value = Vec<brake::Verdict>> {
    let verdict = time().prop_map(|at| brake::Verdict {
        at,
        ruling: brake::Ruling::Pause,
        evidence: brake::Brake::Count(0).judge(&Counts { failed: 1, ..<_>::default() }, 0).unwrap(),
    });
    proptest::collection::vec(verdict, 0..2)
}

fn progression() -> impl Strategy<Value = Progression> {
    let states = proptest::sample::select(&rollout::State::ALL[..]);
    let paused = proptest::option::of(Just(PauseReason::Gate));
    let prepared = proptest::option::of(Just("digest".to_owned()));
    let waves = proptest::collection::vec(wave(), 1..4);
    let numbers = (0..3_u32, 0..3_u64, 0..3_u64, any::<bool>());
    (states, paused, numbers, maybe_time(), maybe_time(), brakes(), prepared, waves).prop_map(
        |(state, paused, numbers, started_at, ended_at, brakes, prepared, waves)| {
            let (round, generation, failures_accepted, no_device) = numbers;
            Progression {
                state,
                paused: paused.into_iter().collect(),
                round,
                generation,
                started_at,
                ended_at,
                failures_accepted,
                results_accepted: gate::regression::Results {
                    succeeded: failures_accepted,
                    ..<_>::default()
                },
                brakes,
                prepared,
                no_device,
                is_to_roll_back: no_device,
                waves,
                earlier: vec![],
            }
        },
    )
}

fn read_back<T: serde::Serialize + for<'de> serde::Deserialize<'de>>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    /// Steps that are written down as differences are read back whole, whatever they were and
    /// whenever, and from the middle on, too.
    #[test]
    fn steps_are_read_back(all in proptest::collection::vec(decided(), 1..12)) {
        let (mut writer, mut reader) = (Frame::default(), Frame::default());
        for (snapshot, plan, now) in all {
            let step = writer.record(snapshot.clone(), &plan);
            let step = read_back(&Relative::to(step, now)).at(now);
            let (progression, next_at) = (&snapshot.progression, snapshot.allowance.next_at);
            let read = reader.restore(&step.input, progression.clone());
            prop_assert_eq!(read.as_ref(), Some(&snapshot));
            reader.follow(&step.output, next_at);
            prop_assert_eq!(&reader.plan, &plan);
            let mut late = Frame::default();
            let whole = Relative::to(reader.whole(progression.clone()), now);
            let whole = read_back(&whole).at(now);
            prop_assert_eq!(late.restore(&whole.input, progression.clone()), Some(snapshot));
            late.follow(&whole.output, next_at);
            prop_assert_eq!(late.plan, plan);
        }
    }

    /// Where a rollout stands is read back whole, whatever changed of it and whenever.
    #[test]
    fn where_it_stands_is_read_back(
        all in proptest::collection::vec((progression(), time()), 1..8),
    ) {
        let mut was: Option<Progression> = None;
        for (is, now) in all {
            let stands = Relative::to(Stands::between(was.as_ref(), &is), now);
            prop_assert_eq!(read_back(&stands).at(now).after(was.as_ref()), Ok(is.clone()));
            let whole = read_back(&Relative::to(Stands::whole(&is), now)).at(now);
            prop_assert_eq!(whole.after(was.as_ref()), Ok(is.clone()));
            was = Some(is);
        }
    }

    /// Ids come back in the order in which they went.
    #[test]
    fn ids_are_read_back(all in proptest::collection::vec(0..20_i64, 0..60)) {
        let ids: Ids = all.iter().copied().map(AssignmentId).collect();
        let ids = read_back(&ids);
        prop_assert_eq!(ids.iter().map(|id| id.0).collect::<Vec<_>>(), all.clone());
        prop_assert_eq!(ids.len(), all.len() as u64);
        prop_assert!(all.iter().all(|id| ids.has(AssignmentId(*id))));
    }
}

#[test]
fn times_are_told_from_that_of_the_record_and_nothing_is_lost() {
    let soon = |secs| NOON + Duration::from_secs(secs);
    let mut frame = Frame::default();
    let mut snapshot = Snapshot {
        progression: Progression::draft(&spec()),
        cohorts: vec![Cohort {
            wave: 0,
            zone: None,
            phase: Phase::Open { until: Some(soon(60)) },
            closes_for_good_at: Some(soon(90)),
            counts: Counts { queued: 2, ..Counts::default() },
        }],
        checks: vec![],
        ahead_max: 0,
        allowance: Allowance { claims: 0, next_at: soon(1) },
        driver_places: u32::MAX,
        checkup: Checkup::Done,
        is_being_written: false,
        is_stopping: false,
    };
    let waits = |next_at| vec![WaitingOn::Rate { per_minute: 60, next_at }];
    let mut plan = Plan { waiting_on: waits(soon(1)), wake_at: Some(soon(1)), ..Plan::default() };
    let text = |step: Step, now| serde_json::to_string(&Relative::to(step, now)).unwrap();
    assert_eq!(
        text(frame.record(snapshot.clone(), &plan), NOON),
        r#"{"in":{"n":1,"c":[{"i":0,"of":[0,null],"phase":{"open":{"until":60000}},"end":90000,"c":[2]}],"rate":[0,1000]},"out":{"wait":[{"rate":{"per_minute":60,"next_at":1000}}],"wake":1000}}"#
    );
    // What the rate says is in the input, and a time that never comes is not one at the beginning.
    snapshot.cohorts[0].closes_for_good_at = None;
    snapshot.allowance.next_at = soon(2);
    (plan.waiting_on, plan.wake_at) = (waits(soon(2)), Some(soon(2)));
    assert_eq!(
        text(frame.record(snapshot, &plan), soon(1)),
        r#"{"in":{"c":[{"i":0,"end":null}],"rate":[0,1000]},"out":{"wake":1000}}"#
    );
}

#[test]
fn a_rollout_says_where_it_stands_and_then_what_changed() {
    let mut recorder = Recorder::default();
    let mut is = Progression { waves: Progression::pending(100), ..Progression::draft(&spec()) };
    let mut said = |is: &Progression, now| {
        recorder.at(now);
        recorder.stands(is);
        serde_json::to_string(&recorder.take(now)).unwrap()
    };
    assert_eq!(said(&is, NOON), r#"[{"stands":{"n":100}}]"#);
    let now = NOON + Duration::from_secs(5);
    (is.state, is.generation, is.started_at) = (rollout::State::Running, 1, Some(NOON));
    is.waves[3].state = WaveState::Open { since: now };
    assert_eq!(
        said(&is, now),
        r#"[{"stands":{"state":"running","generation":1,"started_at":-5000,"waves":[[3,{"open":0},[]]]}}]"#
    );
    assert_eq!(said(&is, now), r#"[{"stands":{}}]"#);
    is.started_at = None;
    assert_eq!(said(&is, now), r#"[{"stands":{"started_at":null}}]"#);
    // Another driver does not know what was said.
    let (epoch, zones) = (Epoch(2), ZONES.to_owned());
    recorder.taken(Taken { epoch, decisions: DECISIONS, zones, cohorts: vec![] });
    recorder.at(now);
    recorder.stands(&is);
    let text = serde_json::to_string(&recorder.take(now)).unwrap();
    assert!(text.contains(r#""state":"running""#) && text.contains(r#""n":100"#), "{text}");
}

#[test]
fn what_is_said_before_the_time_is_known_is_of_the_time_of_the_entry() {
    let is = Progression { started_at: Some(NOON), ..Progression::draft(&spec()) };
    let mut recorder = Recorder::default();
    recorder.stands(&is);
    recorder.at(NOON + Duration::from_secs(7));
    recorder.stands(&Progression { ended_at: Some(NOON), ..is });
    let records = recorder.take(NOON + Duration::from_secs(9));
    let text = serde_json::to_string(&records).unwrap();
    assert_eq!(
        text,
        r#"[{"stands":{"started_at":-9000,"n":1}},{"at":2000},{"stands":{"ended_at":-7000}}]"#
    );
}

#[test]
fn where_it_stood_is_found_to_make_no_sense() {
    for (text, why) in [
        (
            r#"{"waves":[[1,"pending",[]]]}"#,
            "where it stood makes no sense: it tells of wave 2, and there are 1",
        ),
        (
            r#"{"waves":[[18446744073709551615,"pending",[]]]}"#,
            "where it stood makes no sense: it tells of wave 18446744073709551615, and there are 1",
        ),
        (
            r#"{"n":1000000000000}"#,
            "where it stood makes no sense: it has 1000000000000 waves, the most is 100",
        ),
    ] {
        let mut told = Told::new().entries;
        told.truncate(4);
        let stands = serde_json::from_str(&format!(r#"{{"stands":{text}}}"#)).unwrap();
        told.push(Entry { at: NOON, records: vec![stands] });
        let (mut replay, mut story) = (Replay::new(ZONES), Story::default());
        for entry in &told {
            assert_eq!(replay.entry(entry), *entry, "it is given back as it is");
            story.entry(entry);
        }
        let found: Vec<String> = replay.report().mismatches.into_iter().map(|m| m.what).collect();
        assert_eq!(found, [why]);
        assert_eq!(story.finish().1.mismatches[0].what, why);
    }
    let first = serde_json::from_str(r#"{"stands":{"generation":4}}"#).unwrap();
    let mut replay = Replay::new(ZONES);
    drop(replay.entry(&Entry { at: NOON, records: vec![Record::Spec(Box::new(spec())), first] }));
    let what =
        "where it stood makes no sense: it says what changed, and nothing before says of what";
    assert_eq!(replay.report().mismatches[0].what, what);
}
