use std::{fmt::Write as _, time::Duration};

use super::*;
use crate::{
    brake::Brake,
    gate::{
        baseline::Baseline,
        rate::Rate,
        regression::{Alpha, Regression},
    },
    hours::Hours,
    ids::RolloutId,
    release::Digest,
    rollout::{Deadline, WaveSize, WaveSpec},
};

const NOW: Time = Time::from_millis(1_000_000);

fn release(version: &str) -> Release {
    Release {
        name: "pos".to_owned(),
        version: version.to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 1,
    }
}

fn name() -> RolloutName {
    RolloutName::of(RolloutId(uuid::Uuid::nil()), 7, &release("2.0.0"))
}

#[test]
fn where_each_device_goes() {
    let ran = |before, now, has_shown_it| Changed { before, now, has_shown_it, may_have_it: true };
    let away = |before, now| Changed { may_have_it: false, ..ran(before, now, false) };
    for (device, returns) in [
        // It runs what the rollout sent, or nothing that anybody knows.
        (ran(Some("1.0"), Some("2.0"), true), Return::To("1.0")),
        (ran(Some("1.0"), None, true), Return::To("1.0")),
        // It showed the version after it had been given up.
        (ran(Some("1.0"), Some("2.0"), false), Return::To("1.0")),
        // All that it ever showed is what it ran before: it may hold half of the update.
        (ran(Some("1.0"), Some("1.0"), false), Return::To("1.0")),
        // Or it went well, and nothing was shown: what it ran before is what was known before, too.
        (ran(Some("1.0"), Some("1.0"), true), Return::IsBack),
        (ran(Some("1.0"), Some("3.0"), true), Return::MovedOn),
        (ran(Some("1.0"), Some("3.0"), false), Return::MovedOn),
        (ran(None, Some("2.0"), true), Return::Unknown),
        (ran(None, Some("3.0"), false), Return::Unknown),
        (ran(None, None, false), Return::Unknown),
        // It was sent what it ran, by a rollout that does not look.
        (ran(Some("2.0"), Some("2.0"), false), Return::IsBack),
        (ran(Some("2.0"), None, true), Return::IsBack),
        (ran(Some("2.0"), Some("3.0"), false), Return::MovedOn),
        (away(Some("1.0"), Some("1.0")), Return::Untouched),
        (away(None, None), Return::Untouched),
        // It was reached after all.
        (away(Some("1.0"), Some("2.0")), Return::To("1.0")),
    ] {
        assert_eq!(device.returns("2.0"), returns, "{device:?}");
    }
}

#[test]
fn a_survey_counts_each_device_once() {
    let mut survey = Survey::default();
    for (before, now) in [
        (Some("1.0"), "2.0"),
        (Some("1.1"), "2.0"),
        (Some("1.0"), "2.0"),
        (None, "2.0"),
        (Some("1.0"), "9"),
    ] {
        survey
            .add(&Changed { before, now: Some(now), has_shown_it: true, may_have_it: true }, "2.0");
    }
    survey.add(
        &Changed { before: Some("1.0"), now: Some("1.0"), has_shown_it: true, may_have_it: true },
        "2.0",
    );
    let to: Vec<_> = survey.to.iter().map(|(to, count)| (to.as_str(), *count)).collect();
    assert_eq!(to, [("1.0", 2), ("1.1", 1)]);
    assert_eq!(
        survey.left_out(),
        [
            "1 device that ran nobody knows what",
            "1 device with another version by now",
            "1 device with what was there before already"
        ]
    );
    let Releases { found, missing } = releases(&survey, &[release("1.1"), release("2.0")]);
    assert_eq!(found, [(release("1.1"), 1)]);
    assert_eq!(missing, [("1.0", 2)]);
}

fn stands(state: State, round: u32, started_at: Option<Time>) -> Progression {
    Progression { round, started_at, ..Progression { state, ..Progression::blank(1) } }
}

#[test]
fn every_state_and_whether_it_can_be_rolled_back() {
    let mut told = String::new();
    for state in State::ALL {
        let began = stands(state, 1, Some(NOW));
        let may = may_begin(&began, &Counts::default());
        let may = may.map_or_else(|refusal| refusal.to_string(), |()| "yes".to_owned());
        let _ = writeln!(told, "{state}: {may}");
    }
    insta::assert_snapshot!(told, @"
    draft: it never began, and no device was changed
    preparing: it never began, and no device was changed
    scheduled: it never began, and no device was changed
    running: it is running, and goes on changing devices; pause it, or abort it, first
    paused: yes
    completed: yes
    failed: yes
    canceling: it is canceling; wait until it has ended
    canceled: yes
    aborting: it is aborting; wait until it has ended
    aborted: yes
    ");
}

#[test]
fn what_else_speaks_against_it() {
    let none = Counts::default();
    let never = stands(State::Canceled, 1, None);
    assert_eq!(may_begin(&never, &none), Err(Refusal::NeverBegan));
    // In an earlier round it did.
    assert_eq!(may_begin(&stands(State::Canceled, 2, None), &none), Ok(()));
    let next = stands(State::Preparing, 2, None);
    assert_eq!(may_begin(&next, &none), Err(Refusal::GoesOn(State::Preparing)));
    let paused = stands(State::Paused, 1, Some(NOW));
    let open = Counts { verifying: 1, ..none };
    insta::assert_snapshot!(may_begin(&paused, &open).unwrap_err(), @"1 device is still open in it; wait until they have ended, or abort it");
}

#[test]
fn who_is_left_to_others() {
    let by = |number, version: &str, state| By {
        number,
        version: version.to_owned(),
        state,
        created_at: NOW,
    };
    let all = [
        by(8, "1.0", State::Running),
        by(9, "1.1", State::Draft),
        // Given up: as if it had not been.
        by(10, "1.2", State::Canceled),
        by(11, "1.1", State::Aborted),
    ];
    let to = |versions: &[&str]| {
        let to = versions.iter().map(|version| ((*version).to_owned(), 2)).collect();
        Survey { to, is_back: 1, ..Survey::default() }
    };
    let failed = stands(State::Failed, 1, Some(NOW));
    let mut some = to(&["1.0", "1.1", "1.2"]);
    assert_eq!(some.leave_to(&all, &failed), Ok(()));
    assert_eq!(some, Survey { in_hand: 4, ..to(&["1.2"]) });
    for versions in [&["1.0", "1.1"][..], &["1.0"], &[]] {
        let refusal = to(versions).leave_to(&all, &failed).unwrap_err();
        assert_eq!(refusal, Refusal::Already(vec![8, 9]), "{versions:?}");
    }
    let refusal = to(&[]).leave_to(&all[..2], &failed).unwrap_err();
    insta::assert_snapshot!(refusal, @"it is rolled back by rollouts 8 and 9 already; start begins a draft, and retry tries devices again that failed there");
    assert_eq!(to(&["1.2"]).leave_to(&all[2..], &failed), Ok(()));
    assert_eq!(
        to(&[]).leave_to(&all[2..], &failed),
        Ok(()),
        "whoever asks says that nobody is left"
    );
    // Its devices were changed again since.
    let again = stands(State::Failed, 2, Some(NOW + Duration::from_millis(1)));
    let mut changed = to(&["1.0", "1.1"]);
    assert_eq!(changed.leave_to(&all, &again), Ok(()));
    assert_eq!(changed, to(&["1.0", "1.1"]));
}

#[test]
fn refusals_in_words() {
    let survey = Survey { unknown: 3, moved_on: 1, ..Survey::default() };
    let versions = ["1.0", "1.1", "1.2", "1.3", "1.4"].map(str::to_owned).to_vec();
    let pos = || "pos".to_owned();
    let refusals = [
        Refusal::Push,
        Refusal::Unseen(Mode::None),
        Refusal::Nobody(survey),
        Refusal::Nobody(Survey::default()),
        Refusal::NoRelease { name: pos(), versions: versions.clone(), devices: 12 },
        Refusal::NoArtifact { name: pos(), versions: versions[..1].to_vec(), devices: 1 },
    ];
    let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    it is a push: push the version that the devices ran before, with --allow-downgrade if it asks for that
    with verify.mode = "none" nobody is shown which version a device runs, and so who would go back to what; verify.mode = "version" asks for it
    it sent nothing that any device has now: 3 devices that ran nobody knows what, 1 device with another version by now
    it sent nothing that any device has now
    no release pos 1.0, 1.1, 1.2 or 2 other versions is written down, to which 12 devices would go back; `groundswell release create pos VERSION FILE` makes it, if that is a version of pos: a device is known by one version, whatever it is the version of
    the artifact of pos 1.0 is not kept any more, to which 1 device would go back; `groundswell release create pos VERSION FILE` with the same file brings it back
    "#);
}

#[test]
fn it_keeps_to_what_the_other_one_kept_to() {
    let of = Spec {
        strategy: Strategy::Progressive,
        select: Some("tag.region==north".to_owned()),
        start_at: Some(NOW),
        deadline: Some(Deadline::After(Duration::from_hours(1))),
        schedule: Schedule {
            hours: Hours { windows: vec!["22:00-04:00".parse().unwrap()], freezes: vec![] },
            when_closed: WhenClosed::End,
            ..Schedule::default()
        },
        waves: vec![WaveSpec {
            size: WaveSize::Percent(100),
            soak: Duration::from_hours(1),
            min_success: Some(90),
        }],
        membership: Membership::Dynamic,
        brake: Some(Brake::Count(1)),
        regression: Some(Regression {
            baseline: Baseline::given(Rate::from_ppm(20_000).unwrap()).unwrap(),
            alpha: Alpha::default(),
        }),
        on_failure: OnFailure::Abort,
        priority: 3,
        ..Spec::immediate(release("2.0.0"))
    };
    let back = spec(&of, name(), release("1.0.0"), &Otherwise::default());
    assert_eq!(back.check(), Ok(()));
    assert_eq!(back.schedule.hours, of.schedule.hours);
    assert_eq!(
        back,
        Spec {
            rolls_back: Some(name()),
            strategy: Strategy::Scheduled,
            schedule: Schedule { when_closed: WhenClosed::Wait, ..of.schedule.clone() },
            offline: Offline::Try,
            verify: Verify { first: true, ..of.verify },
            brake: Some(Brake::Count(1)),
            regression: of.regression,
            priority: 3,
            allow_downgrade: true,
            ..Spec::immediate(release("1.0.0"))
        }
    );
    let at_once = Otherwise { at_any_hour: true, max_in_flight: Some(7) };
    let back = spec(&of, name(), release("1.0.0"), &at_once);
    assert!(back.schedule.is_always_open());
    assert_eq!((back.strategy, back.limits.max_in_flight), (Strategy::Immediate, 7));
    assert_eq!(
        back.no_device(),
        "no device goes back to this release from rollout 7 (pos 2.0.0) any more"
    );
}
