use std::time::Duration;

use super::*;
use crate::{
    brake::Brake,
    budget::{Domain, Per},
    gate::external::{By, External},
    hours::{Freeze, Hours, Window},
    release::{Digest, Release},
    rollout::{Deadline, Membership, WaveSize, WaveSpec},
    verify::Mode,
};

/// Wednesday 2026-11-25, 14:00 UTC.
const NOW: Time = Time::from_millis(1_795_615_200_000);

fn spec() -> Spec {
    Spec::immediate(Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    })
}

/// Ten chosen devices of twenty, of which nothing is to be told.
fn facts() -> Facts {
    Facts {
        now: NOW,
        inventory: 20,
        devices: 10,
        waves: vec![Some(10)],
        zones: vec![],
        versions: vec![(Some("1.0.0".to_owned()), 9), (None, 1)],
        has_artifact: true,
        way_back: Ok(0),
        budgets: vec![],
    }
}

fn told(spec: &Spec, facts: &Facts) -> String {
    let findings = findings(spec, facts);
    let lines = findings.iter().map(|finding| format!("{}: {finding}", finding.severity));
    lines.collect::<Vec<_>>().join("\n")
}

fn wave(size: WaveSize, soak: Duration, min_success: Option<u8>) -> WaveSpec {
    WaveSpec { size, soak, min_success }
}

fn zone(name: &str) -> Zone {
    Zone::find(name).unwrap()
}

fn with_hours(windows: &[&str], freezes: &[&str]) -> Spec {
    let mut spec = spec();
    let windows: Vec<Window> = windows.iter().map(|text| text.parse().unwrap()).collect();
    let freezes: Vec<Freeze> = freezes.iter().map(|text| text.parse().unwrap()).collect();
    spec.schedule.hours = Hours::new(windows, freezes).unwrap();
    spec
}

fn in_oslo() -> Facts {
    Facts { zones: vec![(zone("Europe/Oslo"), 10)], ..facts() }
}

#[test]
fn of_a_sound_spec_nothing_is_told() {
    assert_eq!(told(&spec(), &facts()), "");
    assert_eq!(told(&with_hours(&["02:00-04:00"], &["2027-01-01..2027-01-02"]), &in_oslo()), "");
}

#[test]
fn the_release() {
    let gone = Facts { has_artifact: false, ..facts() };
    insta::assert_snapshot!(told(&spec(), &gone), @"error: release: the artifact of pos 2.0.0 is not kept any more; `groundswell release create pos 2.0.0 FILE` with the same file brings it back");
    let versions = |of: &[(&str, u64)]| {
        of.iter().map(|(version, devices)| (Some((*version).to_owned()), *devices)).collect()
    };
    let some =
        Facts { versions: versions(&[("1.9.9", 7), ("2.0.1", 1), ("10.0.0", 2)]), ..facts() };
    insta::assert_snapshot!(told(&spec(), &some), @"warning: release: 3 of 10 devices run versions up to 10.0.0, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well");
    let one = Facts { versions: versions(&[("2.0.0", 9), ("2.0.1", 1)]), ..facts() };
    insta::assert_snapshot!(told(&spec(), &one), @"warning: release: 1 of 10 devices runs 2.0.1, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well");
    let all = Facts { versions: versions(&[("2.0.1", 10)]), ..facts() };
    insta::assert_snapshot!(told(&spec(), &all), @"error: release: every device that is chosen runs 2.0.1, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well");
    let allowed = Spec { allow_downgrade: true, ..spec() };
    assert_eq!(told(&allowed, &all), "");
}

#[test]
fn the_selector() {
    let nobody = Facts { devices: 0, waves: vec![Some(0)], versions: vec![], ..facts() };
    let mut spec = spec();
    spec.select = Some("tag.region==moon".to_owned());
    insta::assert_snapshot!(told(&spec, &nobody), @"error: select: no device matches tag.region==moon now; started like this, it would fail");
    let dynamic = Spec { membership: Membership::Dynamic, ..spec.clone() };
    insta::assert_snapshot!(told(&dynamic, &nobody), @"warning: select: no device matches tag.region==moon now; started like this, it waits for some to join");
    // Of a small inventory everything is what is meant.
    for (inventory, is_told) in [(EVERYTHING_MIN - 1, false), (EVERYTHING_MIN, true)] {
        let all = Facts { inventory, devices: inventory, ..facts() };
        assert_eq!(!told(&spec, &all).is_empty(), is_told, "{inventory}");
        let everybody = Spec { select: None, ..spec.clone() };
        assert_eq!(told(&everybody, &all), "", "without a selector it is meant");
    }
    let all = Facts { inventory: 500, devices: 500, ..facts() };
    insta::assert_snapshot!(told(&spec, &all), @"warning: select: tag.region==moon matches all 500 devices of the inventory; if that is meant, leave select out");
}

#[test]
fn waves() {
    let hour = Duration::from_hours(1);
    let mut spec = spec();
    spec.waves = vec![
        wave(WaveSize::Select("tag.canary==yes".to_owned()), hour, Some(100)),
        wave(WaveSize::Percent(5), hour, Some(95)),
        wave(WaveSize::Percent(100), Duration::ZERO, None),
    ];
    let facts = |waves: [Option<u64>; 3]| Facts { waves: waves.to_vec(), ..facts() };
    assert_eq!(told(&spec, &facts([Some(1), Some(1), Some(8)])), "");
    assert_eq!(told(&spec, &facts([Some(1), None, None])), "", "only the draw can tell");
    insta::assert_snapshot!(told(&spec, &facts([Some(0), Some(1), Some(9)])), @"error: waves[1].select: no device that is chosen matches tag.canary==yes, so the first devices would be those of a later wave; choose others, or leave this wave out");
    insta::assert_snapshot!(told(&spec, &facts([Some(1), Some(0), Some(9)])), @"warning: waves[2].percent: it has no device, and passes without having shown anything; leave it out if that is not meant");
    let nobody = Facts { devices: 0, ..facts([Some(0); 3]) };
    assert!(!told(&spec, &nobody).contains("waves["), "once is enough");
}

#[test]
fn what_would_stop_it() {
    let many = |devices| Facts { devices, inventory: 5_000, waves: vec![None; 2], ..facts() };
    let waves = |min_success: [Option<u8>; 2]| {
        let [first, last] = min_success;
        let waves = vec![
            wave(WaveSize::Percent(1), Duration::ZERO, first),
            wave(WaveSize::Percent(100), Duration::ZERO, last),
        ];
        Spec { waves, ..spec() }
    };
    insta::assert_snapshot!(told(&spec(), &many(1_001)), @"warning: waves: 1001 devices and nothing that would stop it: no wave before the last has min_success or a gate, and there is neither max_failures nor a regression test; add one of them");
    for (spec, devices, is_told) in [
        (spec(), 1_000, false),
        (waves([None, None]), 1_001, true),
        (waves([Some(90), None]), 1_001, false),
        (waves([None, Some(90)]), 1_001, true),
        (Spec { brake: Some(Brake::Percent(10)), ..spec() }, 1_001, false),
    ] {
        assert_eq!(!told(&spec, &many(devices)).is_empty(), is_told, "{spec:?}, {devices}");
    }
}

#[test]
fn hours_that_never_open() {
    let mut past = with_hours(&["02:00-04:00"], &[]);
    past.deadline = Some(Deadline::After(Duration::from_hours(4)));
    insta::assert_snapshot!(told(&past, &in_oslo()), @"error: windows: in Europe/Oslo the first opening, Thu 2026-11-26 02:00, is not before the deadline: 10 of 10 devices are never touched; write other hours");
    let mut both = in_oslo();
    both.zones = vec![(zone("Asia/Tokyo"), 4), (zone("Europe/Oslo"), 6)];
    insta::assert_snapshot!(told(&past, &both), @"warning: windows: in Europe/Oslo the first opening, Thu 2026-11-26 02:00, is not before the deadline: 6 of 10 devices are never touched; write other hours");
    let frozen = with_hours(&[], &["2026-01-01..2036-01-01"]);
    insta::assert_snapshot!(told(&frozen, &in_oslo()), @"
    error: freezes: in Europe/Oslo no window opens again outside of a freeze: 10 of 10 devices are never touched; write other hours
    warning: freezes[1]: 2026-01-01..2036-01-01 holds in Europe/Oslo when it may begin: nothing is begun there before it is over
    ");
    let in_time = Spec { deadline: Some(Deadline::After(Duration::from_hours(24))), ..past };
    assert_eq!(told(&in_time, &in_oslo()), "");
}

#[test]
fn windows_shorter_than_an_update() {
    let mut spec = with_hours(&["02:00-04:00", "Sat 23:50-00:10"], &[]);
    spec.verify.timeout = Duration::from_mins(15);
    spec.delivery_timeout = Some(Duration::from_mins(5));
    assert_eq!(told(&spec, &in_oslo()), "", "just as long");
    spec.delivery_timeout = Some(Duration::from_mins(6));
    insta::assert_snapshot!(told(&spec, &in_oslo()), @"warning: windows[2]: Sat 23:50-00:10 lasts 20m, and one update may take 21m by its time-outs (timeouts.delivering and timeouts.verifying): devices would still be busy when it has closed; write a longer window, or shorter time-outs");
    spec.verify.mode = Mode::None;
    assert_eq!(told(&spec, &in_oslo()), "", "nothing is waited for");
}

#[test]
fn freezes_inside_of_the_plan() {
    let hour = Duration::from_hours(1);
    let freeze = "2026-11-27..2026-11-30";
    let soaks = |hours: u32, freezes: &[&str], windows: &[&str]| {
        let mut spec = with_hours(windows, freezes);
        spec.waves = vec![
            wave(WaveSize::Count(1), hour * hours, Some(100)),
            wave(WaveSize::Percent(100), hour * 99, None),
        ];
        (spec, Facts { waves: vec![Some(1), Some(9)], ..in_oslo() })
    };
    let told = |(spec, facts): (Spec, Facts)| told(&spec, &facts);
    // It begins at 15:00 in Oslo; the freeze 33 hours later. What soaks last holds up nothing.
    assert_eq!(told(soaks(32, &[freeze], &[])), "");
    insta::assert_snapshot!(told(soaks(33, &[freeze], &[])), @"warning: freezes[1]: 2026-11-27..2026-11-30 begins in Europe/Oslo at Fri 2026-11-27 00:00, and it ends at Tue 2026-12-01 00:00 at the soonest: what has had no turn by then waits until the freeze is over");
    // One night is enough for both waves, or the second one waits for the next.
    assert_eq!(told(soaks(1, &[freeze], &["02:00-04:00"])), "");
    insta::assert_snapshot!(told(soaks(2, &[freeze], &["02:00-04:00"])), @"warning: freezes[1]: 2026-11-27..2026-11-30 begins in Europe/Oslo at Fri 2026-11-27 00:00, and it ends at Tue 2026-12-01 02:00 at the soonest: what has had no turn by then waits until the freeze is over");
    insta::assert_snapshot!(told(soaks(0, &["2026-11-20..2026-11-26"], &[])), @"warning: freezes[1]: 2026-11-20..2026-11-26 holds in Europe/Oslo when it may begin: nothing is begun there before it is over");
    // A rate makes it long: 120 devices a night.
    let (mut slow, mut facts) = soaks(0, &["2026-12-01..2026-12-05"], &["02:00-04:00"]);
    slow.limits.per_minute = Some(1);
    assert_eq!(told((slow.clone(), facts.clone())), "");
    (facts.devices, facts.waves) = (900, vec![Some(1), Some(899)]);
    insta::assert_snapshot!(told((slow, facts)), @"warning: freezes[1]: 2026-12-01..2026-12-05 begins in Europe/Oslo at Tue 2026-12-01 00:00, and it ends at Tue 2026-12-08 02:58 at the soonest: what has had no turn by then waits until the freeze is over");
}

#[test]
fn budgets_and_the_way_back() {
    let per: Per = "tag.store".parse().unwrap();
    let domain = Domain { per: per.clone(), value: Some("07".to_owned()) };
    let room = Problem::NoRoom { budget: 1, percent: 10, domain, devices: Some(3), more: 0 };
    let bites = Problem::NeverBites { budget: 2, per, largest: Some(3) };
    let facts = Facts { budgets: vec![bites, room], way_back: Ok(3), ..facts() };
    insta::assert_snapshot!(told(&spec(), &facts), @"
    error: budgets[1].max_percent: 10 % of the 3 devices of tag.store=07 is less than one, so none of them could ever be sent to; write max = 1, or max_percent = 34 or more
    warning: budgets[2]: never holds anything back, because no domain of tag.store has more than 3 devices; write a lower limit, or leave this budget out
    warning: on_failure: 3 devices could not be rolled back: nobody knows which version they run
    ");
    let refusal = Refusal::NoRelease {
        name: "pos".to_owned(),
        versions: vec!["1.0.0".to_owned()],
        devices: 9,
    };
    let facts = Facts { way_back: Err(refusal), budgets: vec![], ..facts };
    insta::assert_snapshot!(told(&spec(), &facts), @"error: on_failure: no release pos 1.0.0 is written down, to which 9 devices would go back; `groundswell release create pos VERSION FILE` makes it, if that is a version of pos: a device is known by one version, whatever it is the version of");
}

#[test]
fn programs_read_what_people_do() {
    let gone = Facts { has_artifact: false, ..facts() };
    let json = serde_json::to_string(&findings(&spec(), &gone)).unwrap();
    assert!(
        json.starts_with(r#"[{"severity":"error","code":"missing_artifact","field":"release","#),
        "{json}"
    );
}

#[test]
fn a_rollback_that_nothing_would_set_off() {
    use crate::rollout::OnFailure;
    let rolled = Spec { on_failure: OnFailure::Rollback, ..spec() };
    let told_of = |spec: &Spec| told(spec, &facts());
    insta::assert_snapshot!(told_of(&rolled), @r#"warning: on_failure: "rollback" follows when something stops it, and nothing does: no wave has min_success, no gate has on_false = "stop", and there is neither max_failures nor a regression test; add one of them"#);
    let waves = |min_success| vec![wave(WaveSize::Percent(100), Duration::ZERO, min_success)];
    assert_eq!(
        told_of(&Spec { waves: waves(Some(90)), ..rolled.clone() }),
        "",
        "the last one, too"
    );
    assert_ne!(told_of(&Spec { waves: waves(None), ..rolled.clone() }), "");
    assert_eq!(told_of(&Spec { brake: Some(Brake::Count(3)), ..rolled.clone() }), "");
    // An approval holds back, and never stops.
    let gates = vec![External { by: By::Approval, waves: vec![] }];
    assert_ne!(told_of(&Spec { gates, ..rolled.clone() }), "");
    let paused = Spec { on_failure: OnFailure::Pause, ..rolled };
    assert_eq!(told_of(&paused), "", "it is paused by hand, or ends");
}
