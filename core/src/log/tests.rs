//! The log held against itself: what is written is read back, and what was changed is found.

mod changed;
mod cut;
mod moved;
mod relative;

use std::time::Duration;

use proptest::prelude::*;

use super::{step::Frame, *};
use crate::{
    assignment::{Assignment, Fact, SkipReason, State, apply, dice},
    health::Checkup,
    hours::{ClosedBy, Phase, Zone},
    ids::{AssignmentId, Epoch},
    outcome::Outcome,
    plan::{self, Plan},
    release::{Digest, Release},
    rollout::{self, Act, Progression, Spec},
    snapshot::{Allowance, Cohort, Counts, Snapshot},
    time::Time,
    waiting::WaitingOn,
};

const NOON: Time = Time::from_millis(1_763_942_400_000);
const ZONES: &str = "of this test";

fn spec() -> Spec {
    let release = Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    };
    Spec::immediate(release)
}

#[test]
fn a_run_that_nobody_could_have_written_ends() {
    let ids: Ids = serde_json::from_str("[[0,9223372036854775807],[5,3]]").unwrap();
    assert!(ids.iter().count() < 20_000_000);
}

/// A rollout over three devices, written down as a driver does: one succeeds, one is skipped, one
/// is claimed.
struct Told {
    entries: Vec<Entry>,
    recorder: Recorder,
    spec: Spec,
    progression: Progression,
    rows: Vec<Assignment>,
    now: Time,
}

impl Told {
    fn new() -> Self {
        let spec = spec();
        let mut told = Self {
            entries: vec![Entry { at: NOON, records: vec![Record::Spec(Box::new(spec.clone()))] }],
            recorder: Recorder::default(),
            progression: Progression::draft(&spec),
            spec,
            rows: vec![Assignment::queued(); 3],
            now: NOON,
        };
        told.tell();
        told
    }

    fn counts(&self) -> Counts {
        self.rows.iter().fold(Counts::default(), |mut counts, row| {
            *counts.of_mut(row.state) += 1;
            counts
        })
    }

    fn commit(&mut self) {
        self.entries.push(Entry { at: self.now, records: self.recorder.take(self.now) });
        self.now = self.now + Duration::from_secs(1);
        self.recorder.at(self.now);
    }

    fn cohorts(&self) -> Vec<CohortCounts> {
        vec![CohortCounts { wave: 0, zone: None, counts: self.counts() }]
    }

    fn act(&mut self, act: Act) {
        let numbers = rollout::Numbers { all: self.counts(), current: self.counts() };
        let done = rollout::act_seen(&self.progression, &self.spec, &numbers, act.into(), self.now);
        match done {
            Ok(rollout::Acted::Changed(after)) => {
                self.progression = *after;
                self.recorder.acted(act.into(), None);
                self.recorder.stands(&self.progression);
            }
            Ok(rollout::Acted::Already(why)) => {
                self.recorder.acted(act.into(), Some(why.to_owned()));
            }
            Err(why) => self.recorder.acted(act.into(), Some(why)),
        }
    }

    fn decide(&mut self) -> Plan {
        loop {
            let cohort = Cohort {
                wave: 0,
                zone: None,
                phase: Phase::Open { until: None },
                closes_for_good_at: None,
                counts: self.counts(),
            };
            let snapshot = Snapshot {
                progression: self.progression.clone(),
                cohorts: vec![cohort],
                checks: vec![],
                ahead_max: 0,
                allowance: Allowance::UNLIMITED,
                driver_places: u32::MAX,
                checkup: Checkup::Done,
                is_being_written: false,
                is_stopping: false,
            };
            let plan = plan::plan(&snapshot, &self.spec, self.now);
            self.recorder.planned(snapshot, &plan);
            let Some(change) = plan.change else { return plan };
            change.apply(&mut self.progression, self.now);
            self.recorder.stands(&self.progression);
        }
    }

    fn happen(&mut self, row: usize, fact: &Fact) {
        let (id, from) = (AssignmentId(row as i64 + 1), self.rows[row]);
        let to = apply(&from, fact, &self.spec, self.now, dice(id, from.attempt)).unwrap().to;
        self.rows[row] = to;
        self.recorder.decided();
        self.recorder.happened(id, fact, &to, Time::ZERO);
    }

    fn tell(&mut self) {
        self.recorder.at(self.now);
        let (epoch, zones) = (Epoch(1), ZONES.to_owned());
        self.recorder.taken(Taken { epoch, decisions: DECISIONS, zones, cohorts: vec![] });
        self.act(Act::Start);
        self.commit();
        let ids = (1..=3).map(AssignmentId).collect();
        let listed = Listed { round: 1, wave: 0, zone: None, state: State::Queued, ids };
        let entry = Entry { at: self.now, records: vec![Record::Listed(listed)] };
        self.entries.push(entry);
        self.recorder.push(Record::Counted(self.cohorts()));
        self.recorder.push(Record::Prepared);
        rollout::end_preparing(&mut self.progression);
        self.recorder.stands(&self.progression);
        self.commit();
        assert!(self.decide().claims_max > 0);
        for row in 0..2 {
            self.recorder.met(AssignmentId(row as i64 + 1), &format!("till-{row}"), "http://shop");
            self.happen(row, &Fact::Claimed);
        }
        let known = crate::admit::Known { is_superseded: true, ..Default::default() };
        let becomes = Becomes::Skipped(SkipReason::Superseded);
        self.recorder.judged(AssignmentId(3), true, Some(&known), becomes);
        self.happen(2, &Fact::Skipped(SkipReason::Superseded));
        self.recorder.over();
        self.commit();
        self.happen(0, &Fact::Delivered(Outcome::Accepted { status: 200 }));
        self.act(Act::Resume);
        self.act(Act::Pause);
        self.decide();
        self.recorder.over();
        self.commit();
    }

    fn json(&self) -> Vec<String> {
        self.entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect()
    }
}

/// What a replay of these entries comes to, and whether their bytes are the same.
fn replay(entries: &[String]) -> (Report, bool) {
    let mut replay = Replay::new(ZONES);
    let mut is_same = true;
    for text in entries {
        let entry: Entry = serde_json::from_str(text).unwrap();
        is_same &= serde_json::to_string(&replay.entry(&entry)).unwrap() == *text;
    }
    (replay.report(), is_same)
}

#[test]
fn what_was_told_runs_again_to_the_same_bytes() {
    let (report, is_same) = replay(&Told::new().json());
    assert_eq!(report.mismatches, []);
    assert!(is_same);
    let Report { entries, steps, judged, facts, acts, drivers, devices, .. } = report;
    assert_eq!((entries, steps, judged, facts), (6, 4, 1, 4));
    assert_eq!((acts, drivers, devices), (3, 1, 3));
}

#[test]
fn a_log_of_other_decisions_is_replayed_for_its_states() {
    let told = Told::new();
    let text = format!(r#""decisions":{DECISIONS}"#);
    let other: Vec<String> = told
        .json()
        .iter()
        .map(|entry| entry.replace(&text, r#""decisions":99"#).replace(r#""max":"#, r#""max":1"#))
        .collect();
    assert!(other.iter().any(|entry| entry.contains(r#""max":1"#)), "it decides otherwise");
    let mut replay = Replay::new(ZONES);
    for text in &other {
        replay.entry(&serde_json::from_str(text).unwrap());
    }
    let report = replay.report();
    assert_eq!(report.mismatches, []);
    assert_eq!(report.other_decisions.into_iter().collect::<Vec<_>>(), [99]);
    let Report { steps, judged, facts, acts, followed, .. } = report;
    assert_eq!((steps, judged, facts, acts, followed), (0, 0, 0, 0, 12));
    assert_eq!(replay.counts(1), told.counts());
    assert_eq!(replay.progression(), Some(&told.progression));
}

/// Devices that all answer something else, at length, until they are given up.
#[test]
fn long_answers_leave_room_in_the_log() {
    const DEVICES: i64 = 500;
    let spec = spec();
    let mut recorder = Recorder::default();
    let (mut rows, mut now) = (vec![Assignment::queued(); DEVICES as usize], NOON);
    let (mut bytes, mut attempts) = (0, 0);
    while rows.iter().any(|row| !row.state.is_terminal()) {
        now = now + Duration::from_mins(10);
        recorder.at(now);
        attempts += 1;
        for said in [false, true] {
            for (row, id) in rows.iter_mut().zip(1_000_000..) {
                let detail = format!("{{'error': 'no room', 'trace': '{id}'}}").repeat(30);
                let refused = Outcome::Refused { status: 500, retry_after: None, detail };
                let fact = if said { Fact::Delivered(refused) } else { Fact::Claimed };
                let id = AssignmentId(id);
                let dice = dice(id, row.attempt);
                *row = apply(row, &fact, &spec, now, dice).unwrap().to;
                recorder.happened(id, &fact, row, Time::ZERO);
            }
        }
        bytes += serde_json::to_string(&recorder.take(now)).unwrap().len() as i64;
    }
    assert!(bytes <= 400 * DEVICES, "{} in {attempts} attempts", bytes / DEVICES);
}

#[test]
fn a_claim_that_the_last_decision_does_not_allow_is_found() {
    let told = Told::new();
    let mut replay = Replay::new(ZONES);
    for entry in &told.entries[..4] {
        drop(replay.entry(entry));
    }
    let claimed = apply(&Assignment::queued(), &Fact::Claimed, &told.spec, NOON, 0).unwrap().to;
    let fact = Happened::to_one(AssignmentId(1), Fact::Claimed, &claimed, Time::ZERO, NOON);
    drop(replay.entry(&Entry { at: NOON, records: vec![Record::Happened(fact)] }));
    let found: Vec<String> = replay.report().mismatches.into_iter().map(|m| m.what).collect();
    assert_eq!(
        found,
        [
            "claims since the last decision: 1 with that of assignment 1, and it allows 0",
            "claims of devices that were not begun, since the last decision: 1 with that of \
             assignment 1, and it allows 0",
            "assignment 1 was claimed in wave 1, which is not open",
        ]
    );
}

#[test]
fn an_act_is_judged_by_the_decisions_of_whoever_did_it() {
    let act = |by: Option<u32>| {
        let zones = ZONES.to_owned();
        let refused = Some("it is tired".to_owned());
        let records = [Record::Spec(Box::new(spec()))]
            .into_iter()
            .chain(by.map(|decisions| Record::Beside(Beside { decisions, zones })))
            .chain([Record::Acted(Acted::of(Act::Start.into(), refused))]);
        let mut replay = Replay::new(ZONES);
        drop(replay.entry(&Entry { at: NOON, records: records.collect() }));
        let Report { mismatches_in_all, acts, followed, .. } = replay.report();
        (mismatches_in_all, acts, followed)
    };
    assert_eq!(act(Some(DECISIONS)), (1, 1, 0));
    assert_eq!(act(Some(99)), (0, 0, 1));
    assert_eq!(act(None), (0, 0, 1), "nobody knows by which");
}
