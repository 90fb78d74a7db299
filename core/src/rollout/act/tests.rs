//! The operator's verbs.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use super::*;
use crate::{
    gate::external::Besides,
    hours::Hours,
    release::{Digest, Release},
    rollout::{Deadline, Schedule, Wave, WaveSize, WaveSpec},
};

const NOW: Time = Time::from_millis(1_000_000_000);

fn spec() -> Spec {
    let release = Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    };
    let wave = |size| WaveSpec { size, soak: Duration::ZERO, min_success: Some(95) };
    let waves = vec![wave(WaveSize::Count(5)), wave(WaveSize::Percent(100))];
    Spec { waves, ..Spec::immediate(release) }
}

/// A rollout in a state, with waves as they are then, and its pause reasons.
fn standing(state: State, reasons: &[PauseReason]) -> Progression {
    let mut progression = Progression { state, generation: 7, ..Progression::draft(&spec()) };
    progression.paused = reasons.iter().copied().collect();
    if !matches!(state, State::Draft | State::Preparing | State::Scheduled) {
        progression.started_at = Some(NOW);
        let is_stopped = progression.paused.contains(&PauseReason::Gate);
        progression.waves[0].state = match state {
            _ if is_stopped => WaveState::Stopped { at: NOW },
            _ => WaveState::Open { since: NOW },
        };
    }
    if matches!(state, State::Completed | State::Failed) {
        progression.waves.iter_mut().for_each(|wave| wave.state = WaveState::Passed { at: NOW });
    }
    progression
}

/// Every state there is, and every set of pause reasons.
fn standings() -> Vec<(String, Progression)> {
    use PauseReason::{Brake, Gate, Operator};
    let pauses: [&[PauseReason]; 7] = [
        &[Operator],
        &[Gate],
        &[Brake],
        &[Operator, Gate],
        &[Operator, Brake],
        &[Gate, Brake],
        &[Operator, Gate, Brake],
    ];
    let mut standings = vec![];
    for state in State::ALL {
        match state {
            State::Paused => {
                for reasons in pauses {
                    let progression = standing(state, reasons);
                    standings.push((shown(&progression), progression));
                }
            }
            State::Preparing => {
                standings.push((state.to_string(), standing(state, &[])));
                let held = standing(state, &[Operator]);
                standings.push((shown(&held), held));
            }
            _ => standings.push((state.to_string(), standing(state, &[]))),
        }
    }
    standings
}

fn shown(progression: &Progression) -> String {
    let mut text = progression.state.to_string();
    if !progression.paused.is_empty() {
        let reasons: Vec<_> = progression.paused.iter().map(ToString::to_string).collect();
        let _ = write!(text, "{{{}}}", reasons.join(", "));
    }
    text
}

fn numbers() -> Numbers {
    let current = Counts { succeeded: 3, failed: 1, unreachable: 1, ..Counts::default() };
    let all = Counts { queued: 40, ..current };
    Numbers { all, current }
}

fn ask(progression: &Progression, verb: Act) -> Result<Acted, Refusal> {
    act(progression, &spec(), &numbers(), verb, NOW)
}

fn changed(progression: &Progression, verb: Act) -> Progression {
    match ask(progression, verb) {
        Ok(Acted::Changed(progression)) => *progression,
        other => panic!("{} {verb}: {other:?}", shown(progression)),
    }
}

#[test]
fn every_state_and_act() {
    let mut table = String::new();
    for (name, progression) in standings() {
        for verb in Act::ALL {
            let became = match ask(&progression, verb) {
                Ok(Acted::Changed(to)) => format!("-> {}", shown(&to)),
                Ok(Acted::Already(why)) => format!("already: {why}"),
                Err(refusal) => format!("refused: {refusal}"),
            };
            let _ = writeln!(table, "{name:<29} {verb:<8} {became}");
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

/// A verb that was carried out and comes again, as by a click too many, does no more than once.
/// What still stands in the way is told, and `advance` takes the next obstacle.
#[test]
fn done_twice_is_done_once() {
    for (name, progression) in standings() {
        for verb in Act::ALL {
            let Ok(Acted::Changed(once)) = ask(&progression, verb) else { continue };
            assert_eq!(once.generation, 8, "{name} {verb}");
            let is_next_obstacle = match verb {
                Act::Advance => progression.paused.contains(&PauseReason::Brake),
                Act::Resume => once.state == State::Paused,
                _ => false,
            };
            match ask(&once, verb) {
                Ok(Acted::Already(_)) => {}
                other => assert!(is_next_obstacle, "{name} {verb} twice: {other:?}"),
            }
        }
    }
}

#[test]
fn no_pause_reason_clears_another() {
    for (name, progression) in standings() {
        let before = &progression.paused;
        let left = |cleared: &[PauseReason]| -> BTreeSet<PauseReason> {
            before.iter().copied().filter(|reason| !cleared.contains(reason)).collect()
        };
        for (verb, cleared) in [
            (Act::Pause, [].as_slice()),
            (Act::Resume, &[PauseReason::Operator, PauseReason::Artifact]),
            (Act::Advance, &[PauseReason::Gate, PauseReason::Brake]),
        ] {
            let Ok(Acted::Changed(to)) = ask(&progression, verb) else { continue };
            assert!(to.paused.is_superset(&left(cleared)), "{name} {verb}: {:?}", to.paused);
            // One obstacle at a time.
            assert!(to.paused.len() + 1 >= before.len(), "{name} {verb}: {:?}", to.paused);
            if to.state != State::Preparing {
                assert_eq!(to.state == State::Paused, !to.paused.is_empty(), "{name} {verb}");
            }
        }
    }
}

#[test]
fn advance_is_recorded_with_its_numbers() {
    for state in [WaveState::Open { since: NOW }, WaveState::Stopped { at: NOW }] {
        let mut progression = standing(State::Running, &[]);
        progression.waves[0].state = state;
        let advanced = changed(&progression, Act::Advance);
        assert_eq!(advanced.waves[0].state, WaveState::Passed { at: NOW });
        let verdict = advanced.waves[0].verdict().unwrap();
        assert_eq!(
            (verdict.ruling, verdict.at, verdict.min_success),
            (Ruling::Override, NOW, Some(95))
        );
        assert_eq!(
            verdict.tally,
            crate::gate::Tally::of(&numbers().current, crate::gate::Unreachable::Ignore)
        );
        assert_eq!(advanced.waves[1].state, WaveState::Pending, "the plan opens it");
    }
}

#[test]
fn what_the_gate_said_stays_beside_what_the_operator_said() {
    let tally = crate::gate::Tally { succeeded: 3, failed: 7, of: 10, ..Default::default() };
    let stop = Verdict {
        at: NOW,
        ruling: Ruling::Stop,
        tally,
        min_success: Some(95),
        besides: Besides::Nothing,
    };
    let mut stopped = standing(State::Paused, &[PauseReason::Gate]);
    stopped.waves[0].verdicts = vec![stop];
    let advanced = changed(&stopped, Act::Advance);
    let [first, last] = advanced.waves[0].verdicts[..] else { panic!("{advanced:?}") };
    assert_eq!((first, last.ruling), (stop, Ruling::Override));
    assert_eq!(advanced.waves[0].verdict(), Some(last));
}

#[test]
fn a_wave_keeps_its_last_verdicts_and_no_more() {
    let mut wave = crate::rollout::Wave::PENDING;
    for millis in 0..20 {
        let at = Time::from_millis(millis);
        let tally = crate::gate::Tally::default();
        let verdict = Verdict {
            at,
            ruling: Ruling::Stop,
            tally,
            min_success: None,
            besides: Besides::Nothing,
        };
        wave.rule(WaveState::Stopped { at }, verdict);
    }
    let kept: Vec<i64> = wave.verdicts.iter().map(|verdict| verdict.at.as_millis()).collect();
    assert_eq!(kept, (12..20).collect::<Vec<_>>());
    assert_eq!(wave.state, WaveState::Stopped { at: Time::from_millis(19) });
}

#[test]
fn advance_over_the_brake_accepts_the_failures_and_opens_no_wave() {
    let braked = standing(State::Paused, &[PauseReason::Brake]);
    let advanced = changed(&braked, Act::Advance);
    assert_eq!((advanced.state, advanced.failures_accepted), (State::Running, 2));
    assert_eq!(advanced.waves, braked.waves);
    assert_eq!(advanced.brakes, [], "there is no brake");
}

#[test]
fn what_was_accepted_over_the_brake_is_kept_with_its_numbers() {
    let spec = Spec { brake: Some(crate::brake::Brake::Count(1)), ..spec() };
    let mut braked = standing(State::Paused, &[PauseReason::Brake]);
    for _ in 0..20 {
        let acted = act(&braked, &spec, &numbers(), Act::Advance, NOW).unwrap();
        let Acted::Changed(advanced) = acted else { panic!("{acted:?}") };
        braked = Progression { state: State::Paused, paused: braked.paused, ..*advanced };
    }
    assert_eq!(braked.brakes.len(), crate::brake::VERDICTS_MAX);
    braked.failures_accepted = 0;
    braked.brakes.clear();
    let acted = act(&braked, &spec, &numbers(), Act::Advance, NOW).unwrap();
    let Acted::Changed(advanced) = acted else { panic!("{acted:?}") };
    let words: Vec<_> = advanced.brakes.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["accepted by the operator: 2 of 5 devices failed (1 of them unreachable)"]);
}

#[test]
fn advancing_over_the_regression_test_begins_it_anew() {
    let baseline = crate::gate::baseline::Baseline::given("2%".parse().unwrap()).unwrap();
    let regression = Some(crate::gate::regression::Regression { baseline, alpha: <_>::default() });
    let spec = Spec { regression, ..spec() };
    let stopped = standing(State::Paused, &[PauseReason::Regression]);
    let acted = act(&stopped, &spec, &numbers(), Act::Advance, NOW).unwrap();
    let Acted::Changed(advanced) = acted else { panic!("{acted:?}") };
    let Counts { succeeded, failed, timed_out, .. } = numbers().all;
    let accepted = Results { succeeded, failed: failed + timed_out, under_way: 0 };
    assert_eq!((advanced.state, advanced.results_accepted), (State::Running, accepted));
    let words: Vec<_> = advanced.brakes.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["accepted by the operator: 1 of 4 devices failed"]);
    let refused = act(&stopped, &spec, &numbers(), Act::Resume, NOW).unwrap_err();
    assert!(refused.why.starts_with("the regression test stopped it"), "{}", refused.why);
}

#[test]
fn the_last_wave_has_no_next_one_but_its_stop_can_be_overridden() {
    let mut progression = standing(State::Running, &[]);
    progression.waves[0].state = WaveState::Passed { at: NOW };
    for (state, is_taken) in [
        (WaveState::Open { since: NOW }, false),
        (WaveState::Soaking { since: NOW }, true),
        (WaveState::Stopped { at: NOW }, true),
        (WaveState::Passed { at: NOW }, false),
    ] {
        progression.waves[1].state = state;
        assert_eq!(ask(&progression, Act::Advance).is_ok(), is_taken, "{state:?}");
    }
}

#[test]
fn a_round_begins_from_the_start() {
    let mut ended = standing(State::Failed, &[]);
    ended.failures_accepted = 2;
    ended.results_accepted.failed = 2;
    ended.ended_at = Some(NOW);
    let again = changed(&ended, Act::Retry);
    assert_eq!((again.state, again.round, again.started_at), (State::Preparing, 2, None));
    assert_eq!((again.failures_accepted, again.generation), (0, 8));
    assert_eq!(again.results_accepted, Results::default());
    assert_eq!((&again.waves, again.ended_at), (&Progression::pending(2), None));
    let [first] = &again.earlier[..] else { panic!("{again:?}") };
    assert_eq!((first.number, first.state, first.counts), (1, State::Failed, numbers().all));
    assert_eq!((first.started_at, first.ended_at), (Some(NOW), Some(NOW)));
    assert_eq!(first.waves, ended.waves);

    let well = Numbers { all: Counts { succeeded: 5, ..Counts::default() }, ..numbers() };
    let refusal = act(&ended, &spec(), &well, Act::Retry, NOW).unwrap_err();
    assert_eq!(refusal.why, "no device failed");
}

#[test]
fn the_next_round_has_the_waves_of_its_spec() {
    let ended = standing(State::Failed, &[]);
    let plain = Spec { waves: vec![], ..spec() };
    let Ok(Acted::Changed(again)) = act(&ended, &plain, &numbers(), Act::Retry, NOW) else {
        panic!("refused");
    };
    assert_eq!(again.waves, Progression::pending(1));
}

fn anew(progression: &Progression, waives_gate: bool) -> Result<Acted, Refusal> {
    judge_anew(progression, &spec(), &numbers(), waives_gate, NOW)
}

fn judged_anew(progression: &Progression, waives_gate: bool) -> Progression {
    match anew(progression, waives_gate) {
        Ok(Acted::Changed(progression)) => *progression,
        other => panic!("{}: {other:?}", shown(progression)),
    }
}

#[test]
fn every_state_judged_anew() {
    let waves = |progression: &Progression| -> String {
        let words: Vec<_> = progression.waves.iter().map(|wave| wave.state.as_str()).collect();
        words.join(" ")
    };
    let mut unsendable = standing(State::Paused, &[PauseReason::Artifact]);
    unsendable.started_at = None;
    let unsendable = (shown(&unsendable), unsendable);
    let mut table = String::new();
    for (name, progression) in standings().into_iter().chain([unsendable]) {
        for waives_gate in [false, true] {
            let became = match anew(&progression, waives_gate) {
                Ok(Acted::Changed(to)) => {
                    assert_eq!(to.generation, 8, "{name}");
                    format!("-> {}, {}", shown(&to), waves(&to))
                }
                Ok(Acted::Already(why)) => format!("already: {why}"),
                Err(refusal) => format!("refused: {refusal}"),
            };
            let verb = if waives_gate { "waiving" } else { "judging" };
            let _ = writeln!(table, "{name:<29} {verb} {became}");
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_gate_that_said_stop_is_asked_again_and_its_word_kept() {
    let mut stopped = standing(State::Paused, &[PauseReason::Gate]);
    let at = Time::from_millis(5);
    let tally = crate::gate::Tally::default();
    let verdict = Verdict {
        at,
        ruling: Ruling::Stop,
        tally,
        min_success: Some(95),
        besides: Besides::Nothing,
    };
    stopped.waves[0] =
        Wave { state: WaveState::Stopped { at }, verdicts: vec![verdict], ..Wave::PENDING };
    let again = judged_anew(&stopped, false);
    let open =
        Wave { state: WaveState::Open { since: at }, verdicts: vec![verdict], ..Wave::PENDING };
    assert_eq!(again.waves[0], open);
    let waived = judged_anew(&stopped, true);
    let advanced = changed(&stopped, Act::Advance);
    assert_eq!(waived, advanced, "a gate is waived as by the operator's verb");
}

#[test]
fn the_gate_of_the_last_wave_is_not_waived() {
    let mut progression = standing(State::Running, &[]);
    progression.waves[0].state = WaveState::Passed { at: NOW };
    progression.waves[1].state = WaveState::Stopped { at: NOW };
    let again = judged_anew(&progression, true);
    assert_eq!(again.waves[1].state, WaveState::Open { since: NOW });
}

#[test]
fn numbers_are_of_all_and_of_the_wave_that_has_not_passed() {
    let mut progression = standing(State::Running, &[]);
    progression.waves[0].state = WaveState::Passed { at: NOW };
    progression.waves[1].state = WaveState::Open { since: NOW };
    let counted = |queued| Counts { queued, ..Counts::default() };
    // A wave is counted by zones.
    let cohorts = [(0, counted(1)), (1, counted(10)), (1, counted(100))];
    let numbers = Numbers::of(&progression, cohorts);
    assert_eq!((numbers.all, numbers.current), (counted(111), counted(110)));
    progression.waves[1].state = WaveState::Passed { at: NOW };
    assert_eq!(Numbers::of(&progression, cohorts).current, Counts::default());
}

#[test]
fn the_last_rounds_are_kept_and_no_more() {
    let mut progression = standing(State::Failed, &[]);
    for _ in 0..20 {
        let waves = progression.waves.clone();
        progression.begin_round(Counts::default(), waves);
    }
    let kept: Vec<u32> = progression.earlier.iter().map(|round| round.number).collect();
    assert_eq!((progression.round, kept), (21, (13..=20).collect()));
}

#[test]
fn nothing_is_begun_whose_deadline_has_passed() {
    for (state, verb) in [(State::Draft, Act::Start), (State::Failed, Act::Retry)] {
        let progression = standing(state, &[]);
        for (deadline, is_late) in [
            (Deadline::At(NOW), true),
            (Deadline::At(NOW + Duration::from_millis(1)), false),
            (Deadline::After(Duration::ZERO), false),
        ] {
            let spec = Spec { deadline: Some(deadline), ..spec() };
            let result = act(&progression, &spec, &numbers(), verb, NOW);
            assert_eq!(result.is_err(), is_late, "{verb} {deadline:?}");
        }
    }
}

#[test]
fn nothing_is_begun_that_is_closed_until_its_deadline() {
    let hours = Hours::new(vec![], vec!["1970-01-10..1970-01-20".parse().unwrap()]).unwrap();
    let schedule = Schedule { hours, ..Schedule::default() };
    for (deadline, why) in [
        (
            Some(Deadline::After(Duration::from_hours(24))),
            Some("its freezes hold until its deadline"),
        ),
        (Some(Deadline::After(Duration::from_hours(24 * 30))), None),
        (None, None),
    ] {
        let spec = Spec { deadline, schedule: schedule.clone(), ..spec() };
        let result = act(&standing(State::Draft, &[]), &spec, &numbers(), Act::Start, NOW);
        let refused = result.err().map(|refusal| refusal.why);
        assert_eq!(refused.map(|said| said.split(';').next().unwrap()), why, "{deadline:?}");
    }
}

#[test]
fn what_is_paused_goes_on_where_it_was() {
    for (started_at, state) in [(None, State::Scheduled), (Some(NOW), State::Running)] {
        let mut progression = standing(State::Paused, &[PauseReason::Operator]);
        progression.started_at = started_at;
        assert_eq!(changed(&progression, Act::Resume).state, state);
        progression.state = State::Preparing;
        let prepared = |mut progression: Progression| {
            end_preparing(&mut progression);
            (progression.state, progression.generation)
        };
        let held = prepared(progression.clone());
        assert_eq!(held, (State::Paused, 8), "paused while it was being prepared");
        let resumed = changed(&progression, Act::Resume);
        assert_eq!((resumed.state, prepared(resumed)), (State::Preparing, (state, 9)));
    }
}

/// Every place of a wave that waits for an approval, at a time before the end of its soak and after.
#[test]
fn an_approval_is_taken_where_it_is_waited_for() {
    use crate::gate::external::{Approval, By, External};
    let mut spec = spec();
    spec.waves.insert(1, WaveSpec { soak: Duration::from_mins(10), ..spec.waves[0].clone() });
    spec.gates = vec![External { by: By::Approval, waves: vec![1] }];
    let since = NOW - Duration::from_mins(10);
    let passed = WaveState::Passed { at: since };
    let soaking = |since| WaveState::Soaking { since };
    let approved = || Some(Approval { at: NOW, reason: None });
    let mut table = String::new();
    for (waves, approved, state, paused) in [
        (
            [WaveState::Open { since }, WaveState::Pending, WaveState::Pending],
            None,
            State::Running,
            None,
        ),
        ([soaking(since), WaveState::Pending, WaveState::Pending], None, State::Running, None),
        ([passed, WaveState::Pending, WaveState::Pending], None, State::Running, None),
        ([passed, WaveState::Open { since }, WaveState::Pending], None, State::Running, None),
        (
            [passed, soaking(since + Duration::from_millis(1)), WaveState::Pending],
            None,
            State::Running,
            None,
        ),
        ([passed, soaking(since), WaveState::Pending], None, State::Running, None),
        (
            [passed, soaking(since), WaveState::Pending],
            None,
            State::Paused,
            Some(PauseReason::Operator),
        ),
        (
            [passed, soaking(since), WaveState::Pending],
            None,
            State::Paused,
            Some(PauseReason::Brake),
        ),
        ([passed, soaking(since), WaveState::Pending], approved(), State::Running, None),
        (
            [passed, WaveState::Stopped { at: since }, WaveState::Pending],
            None,
            State::Paused,
            Some(PauseReason::Gate),
        ),
        ([passed, passed, WaveState::Pending], approved(), State::Running, None),
        ([passed, passed, WaveState::Open { since }], approved(), State::Running, None),
        ([passed, passed, passed], approved(), State::Running, None),
    ] {
        let mut progression = Progression { state, ..Progression::draft(&spec) };
        progression.paused.extend(paused);
        for (wave, state) in progression.waves.iter_mut().zip(waves) {
            wave.state = state;
        }
        progression.waves[1].approved = approved;
        let wish = Wish { reason: Some("no calls"), ..Act::Approve.into() };
        let next = progression.next_wave().map_or(0, |next| next + 1);
        let became = match act_wished(&progression, &spec, &numbers(), wish, NOW) {
            Ok(Acted::Changed(to)) => {
                assert_eq!(to.generation, progression.generation + 1);
                assert_eq!(
                    to.waves[1].approved,
                    Some(Approval { at: NOW, reason: Some("no calls".to_owned()) })
                );
                assert_eq!((to.state, &to.paused), (progression.state, &progression.paused));
                "approved".to_owned()
            }
            Ok(Acted::Already(why)) => format!("already: {why}"),
            Err(refusal) => format!("refused: {}", refusal.why),
        };
        let waves: Vec<&str> = progression.waves.iter().map(|wave| wave.state.as_str()).collect();
        let _ = writeln!(table, "{:<26} next {next}, {became}", waves.join(", "));
    }
    insta::assert_snapshot!(table);
}

/// Whoever goes over external gates is told which: a check, and an approval that nobody has given.
#[test]
fn an_advance_names_the_external_gates_that_it_goes_over() {
    use crate::gate::external::{Approval, By, External, Gates};
    let gate = |waves: &[usize]| External { by: By::Approval, waves: waves.to_vec() };
    let check = crate::gate::external::Check {
        question: crate::gate::external::Question::Http {
            url: "http://x/".parse().unwrap(),
            status: 200,
            wanted: None,
        },
        headers: std::collections::BTreeMap::new(),
        timeout: Duration::from_secs(1),
        every: Duration::from_secs(1),
        stops: false,
    };
    let check = External { by: By::Check(Box::new(check)), waves: vec![] };
    let besides = |gates: &[External], approved| {
        let spec = Spec { gates: gates.to_vec(), ..spec() };
        let mut progression = Progression { state: State::Running, ..Progression::draft(&spec) };
        progression.waves[0].state = WaveState::Soaking { since: NOW };
        progression.waves[0].approved = approved;
        match act(&progression, &spec, &numbers(), Act::Advance, NOW) {
            Ok(Acted::Changed(to)) => to.waves[0].verdict().unwrap().besides,
            other => panic!("{other:?}"),
        }
    };
    let unsaid = |places: &[usize]| Besides::Unsaid(Gates::of(places.to_vec()));
    let approved = Some(Approval { at: NOW, reason: None });
    assert_eq!(besides(&[], None), Besides::Nothing);
    assert_eq!(besides(&[gate(&[])], None), unsaid(&[0]));
    assert_eq!(besides(&[gate(&[])], approved.clone()), Besides::Nothing);
    assert_eq!(besides(&[gate(&[]), check.clone()], None), unsaid(&[0, 1]));
    assert_eq!(besides(&[gate(&[]), check.clone()], approved), unsaid(&[1]));
    assert_eq!(besides(&[gate(&[1]), check], None), unsaid(&[1]), "behind another wave");
}

#[test]
fn an_abort_keeps_what_went_wrong_from_being_rolled_back() {
    let mut wrong = Progression { state: State::Aborting, ..Progression::blank(1) };
    wrong.is_to_roll_back = true;
    let (spec, numbers) = (spec(), Numbers::default());
    let acted = act(&wrong, &spec, &numbers, Act::Abort, NOW).unwrap();
    let Acted::Changed(is) = acted else { panic!("{acted:?}") };
    assert_eq!((is.state, is.is_to_roll_back), (State::Aborting, false));
    assert_eq!(is.generation, wrong.generation + 1);
    let again = act(&is, &spec, &numbers, Act::Abort, NOW).unwrap();
    assert_eq!(again, Acted::Already("it was aborted before"));
    // A cancel ends nothing that an abort has not ended already.
    let canceled = act(&wrong, &spec, &numbers, Act::Cancel, NOW).unwrap();
    assert_eq!(canceled, Acted::Already("it was aborted before"));
}

/// It is told exactly of the advances that would pass a wave whose approval is missing.
#[test]
fn an_advance_over_an_approval_is_told_beforehand() {
    use crate::gate::external::{Approval, By, External};
    let gates = vec![External { by: By::Approval, waves: vec![0] }];
    let spec = Spec { gates, ..spec() };
    let mut told = 0;
    for (name, standing) in standings() {
        for approved in [None, Some(Approval { at: NOW, reason: None })] {
            let mut progression = standing.clone();
            progression.waves[0].approved = approved;
            let goes_over = match act(&progression, &spec, &numbers(), Act::Advance, NOW) {
                Ok(Acted::Changed(to)) => {
                    let verdict = to.waves[0].verdict();
                    verdict.is_some_and(|verdict| verdict.besides != Besides::Nothing)
                }
                _ => false,
            };
            assert_eq!(goes_over_approval(&progression, &spec), goes_over, "{name}");
            told += u32::from(goes_over);
        }
    }
    assert!(told > 2, "{told}");
}
