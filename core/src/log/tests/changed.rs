//! Logs that were changed, and what is said of it.

use super::*;

/// What is said of what was told, with `was` replaced by `is`.
fn found(was: &str, is: &str) -> String {
    let told = Told::new().json();
    let changed: Vec<String> = told.iter().map(|text| text.replace(was, is)).collect();
    assert_ne!(changed, told, "{was}");
    let lines = replay(&changed).0.mismatches.into_iter().map(|mismatch| mismatch.to_string());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_changed_is_found_and_told_in_sentences() {
    let all = [
        ("a limit", r#""max":"#, r#""max":1"#),
        ("an act", r#""acted":{"act":"pause"}"#, r#""acted":{"act":"cancel"}"#),
        ("a refusal", r#""refused":"it is not paused""#, r#""refused":"it is tired""#),
        ("a state", r#"{"accepted":200},"#, r#"{"accepted":200},"to":"succeeded","#),
        ("an outcome", r#"{"accepted":200},"#, r#"{"refused":{"status":500}},"to":"verifying","#),
        ("what was known", r#""superseded":true"#, r#""superseded":false"#),
        ("a count", r#""c":[3]"#, r#""c":[4]"#),
        ("a claim that is missing", r#""ids":[[1,2]]"#, r#""ids":[1]"#),
        ("a claim of nobody", r#""ids":[[1,2]]"#, r#""ids":[[1,2],9]"#),
        ("where it stood", r#""generation":2"#, r#""generation":7"#),
        ("a wave", r#"[0,{"open":0},[]]"#, r#"[0,{"passed":5},[]]"#),
        ("a wait", r#""wait":[{"paused":"operator"}]"#, r#""wait":[{"paused":"gate"}]"#),
        ("a change", r#""change":"begin""#, r#""change":"complete""#),
        ("what is open", r#""open":[0]"#, r#""open":[5]"#),
    ];
    let told: Vec<String> =
        all.iter().map(|(what, was, is)| format!("== {what}\n{}", found(was, is))).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    == a limit
    entry 5, 2025-11-24T00:00:02.000Z: a decision: may be claimed: recorded 13, decides 3; may be claimed of those not begun: recorded 13, decides 3
    == an act
    entry 6, 2025-11-24T00:00:03.000Z: where it stands: state: recorded paused, follows canceling; paused by: recorded operator, follows nothing
    == a refusal
    entry 6, 2025-11-24T00:00:03.000Z: the operator said resume: answer: recorded "it is tired", follows "it is not paused"
    == a state
    entry 6, 2025-11-24T00:00:03.000Z: assignment 1, delivering, after HTTP 200: state: recorded succeeded, follows verifying
    entry 6, 2025-11-24T00:00:03.000Z: devices a decision was made on: wave 1, verifying: recorded 1, follows 0; wave 1, succeeded: recorded 0, follows 1
    == an outcome
    entry 6, 2025-11-24T00:00:03.000Z: assignment 1, delivering, after HTTP 500: state: recorded verifying, follows retrying; due: recorded 2025-11-24T00:01:03.000Z, follows 2025-11-24T00:00:04.000Z
    == what was known
    entry 5, 2025-11-24T00:00:02.000Z: assignment 3: its turn: recorded skipped: superseded, follows claimed
    == a count
    entry 4, 2025-11-24T00:00:01.000Z: the driver counted: wave 1, queued: recorded 4, follows 3
    entry 5, 2025-11-24T00:00:02.000Z: a decision: may be claimed: recorded 3, decides 4; may be claimed of those not begun: recorded 3, decides 4
    entry 6, 2025-11-24T00:00:03.000Z: devices a decision was made on: wave 1, queued: recorded 0, follows 1
    == a claim that is missing
    entry 6, 2025-11-24T00:00:03.000Z: devices a decision was made on: wave 1, queued: recorded 0, follows 1; wave 1, delivering: recorded 1, follows 0
    == a claim of nobody
    entry 5, 2025-11-24T00:00:02.000Z: assignment 9: its claim is recorded, and it is not there
    == where it stood
    entry 4, 2025-11-24T00:00:01.000Z: where it stands: generation: recorded 7, follows 2
    entry 5, 2025-11-24T00:00:02.000Z: where it stands: generation: recorded 3, follows 8
    == a wave
    entry 5, 2025-11-24T00:00:02.000Z: where it stands: wave 1: recorded passed since 2025-11-24T00:00:02.005Z, follows open since 2025-11-24T00:00:02.000Z
    == a wait
    entry 6, 2025-11-24T00:00:03.000Z: a decision: waits for: recorded "paused by the gate: advance overrides it", decides "paused by the operator: resume goes on"
    == a change
    entry 5, 2025-11-24T00:00:02.000Z: a decision: change: recorded completed, decides it begins
    entry 5, 2025-11-24T00:00:02.000Z: where it stands: state: recorded running, follows completed; began: recorded 2025-11-24T00:00:02.000Z, follows none; ended: recorded none, follows 2025-11-24T00:00:02.000Z
    == what is open
    entry 5, 2025-11-24T00:00:02.000Z: a decision: open: recorded one that is not there (5), decides wave 1
    entry 5, 2025-11-24T00:00:02.000Z: assignment 1 was claimed in wave 1, which is not open
    entry 5, 2025-11-24T00:00:02.000Z: assignment 2 was claimed in wave 1, which is not open
    "#);
}

#[test]
fn an_entry_that_is_missing_is_found() {
    let told = Told::new().json();
    let without: Vec<String> = told.iter().take(4).chain(&told[5..]).cloned().collect();
    assert!(replay(&without).0.mismatches_in_all > 0);
}

#[test]
fn what_is_stored_otherwise_than_the_log_ends_is_told() {
    let told = Told::new();
    let mut replay = Replay::new(ZONES);
    for entry in &told.entries {
        replay.entry(entry);
    }
    replay.hold_stored(&told.progression, &told.counts());
    assert_eq!(replay.report().mismatches, []);
    let mut stored = told.progression.clone();
    stored.state = rollout::State::Completed;
    stored.waves[0].state = rollout::WaveState::Pending;
    let counts = Counts { succeeded: 3, ..Counts::default() };
    replay.hold_stored(&stored, &counts);
    let lines: Vec<String> = replay.report().mismatches.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    entry 6, 2025-11-24T00:00:03.000Z: at the end: state: stored is completed, its log ends with paused; wave 1: stored is pending, its log ends with open since 2025-11-24T00:00:02.000Z; delivering: stored is 0, its log ends with 1; verifying: stored is 0, its log ends with 1; succeeded: stored is 3, its log ends with 0; skipped: stored is 0, its log ends with 1
    "#);
}

#[test]
fn hours_that_were_taken_for_others_are_told() {
    let mut spec = spec();
    spec.schedule.hours.windows = vec!["02:00-04:00".parse().unwrap()];
    let mut snapshot = Snapshot {
        progression: Progression::draft(&spec),
        cohorts: vec![Cohort {
            wave: 0,
            zone: Some(Zone::utc()),
            phase: Phase::Open { until: Some(NOON) },
            closes_for_good_at: Some(NOON),
            counts: Counts::default(),
        }],
        checks: vec![],
        ahead_max: 0,
        allowance: Allowance::UNLIMITED,
        driver_places: u32::MAX,
        checkup: crate::health::Checkup::Done,
        is_being_written: false,
        is_stopping: false,
    };
    let mut replay = Replay::new(ZONES);
    let beside = Beside { decisions: DECISIONS, zones: ZONES.to_owned() };
    replay.entry(&Entry { at: NOON, records: vec![Record::Beside(beside)] });
    replay.hold_input(&snapshot, &spec);
    snapshot.cohorts[0].counts.queued = 2;
    replay.hold_input(&snapshot, &spec);
    let lines: Vec<String> = replay.report().mismatches.into_iter().map(|m| m.what).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    hours: wave 1 in UTC: recorded open until 2025-11-24T00:00:00.000Z, follows closed until 2025-11-24T02:00:00.000Z; wave 1 in UTC, closed for good: recorded at 2025-11-24T00:00:00.000Z, follows never
    devices a decision was made on: wave 1 in UTC, queued: recorded 2, follows 0
    hours: wave 1 in UTC: recorded open until 2025-11-24T00:00:00.000Z, follows closed until 2025-11-24T02:00:00.000Z; wave 1 in UTC, closed for good: recorded at 2025-11-24T00:00:00.000Z, follows never
    "#);
}

/// A log whose numbers of waves were damaged, a little and beyond all reason: it is told that it does
/// not fit together, whoever reads it.
#[test]
fn a_wave_that_is_not_there_is_told_and_no_panic() {
    let told = Told::new().json();
    for wave in ["7", "18446744073709551615"] {
        for (was, is) in [
            (r#""listed":{"wave":0"#, r#""listed":{"wave":7"#),
            (r#"{"w":0,"#, r#"{"w":7,"#),
            (r#""of":[0,null]"#, r#""of":[7,null]"#),
            (r#""open_wave":0"#, r#""open_wave":7"#),
            (r#""change":"begin""#, r#""change":{"soak":7}"#),
            (r#""change":"begin""#, r#""change":{"rule":[7,[0,"stop",[0,1,0,0,1],50]]}"#),
            (r#"[0,{"open":0},[]]"#, r#"[7,{"open":0},[]]"#),
            (r#"[{"paused":"operator"}]"#, r#"[{"wave":[7,9,0,1,null]}]"#),
            (r#"[{"paused":"operator"}]"#, r#"[{"soak":[7,9,60,null,[0,1,0,0,1]]}]"#),
            (
                r#"[{"paused":"operator"}]"#,
                r#"[{"nothing_to_judge":{"wave":7,"of":9,"tally":{"succeeded":0,"failed":0,"unreachable":0,"open":0,"of":1}}}]"#,
            ),
            (
                r#"[{"paused":"operator"}]"#,
                r#"[{"deadline":{"devices":1,"at":5,"before":{"wave":{"wave":7,"of":9}}}}]"#,
            ),
        ] {
            let changed = |text: &String| text.replace(was, &is.replace('7', wave));
            let changed: Vec<String> = told.iter().map(changed).collect();
            assert_ne!(changed, told, "{was}");
            let found = replay(&changed).0.mismatches;
            assert!(!found.is_empty(), "{is}");
            let mut story = Story::default();
            let devices = (1..=3).map(|id| DeviceStory::new("till", [AssignmentId(id)]));
            let mut devices: Vec<DeviceStory> = devices.collect();
            for text in &changed {
                let entry = serde_json::from_str(text).unwrap();
                story.entry(&entry);
                for device in &mut devices {
                    device.entry(&entry);
                }
            }
            assert!(!story.finish().1.mismatches.is_empty(), "{is}");
            for device in devices {
                assert!(!device.finish().1.mismatches.is_empty(), "{is}");
            }
        }
    }
}
