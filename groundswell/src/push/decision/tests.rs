//! What is found and what is asked for, every pair.

use std::fmt::Write as _;

use groundswell_core::{
    ids::RolloutId,
    release::Digest,
    rollout::{WaveSize, WaveSpec},
    time::Time,
};

use super::*;
use crate::store::RolloutKey;

const OWN: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

fn record(number: i64, identity: Option<[u8; 32]>, state: State, round: u32) -> RolloutRecord {
    let version = number.to_string();
    let artifact = Digest([7; 32]);
    let release = Release { name: "pos".to_owned(), version, artifact, artifact_bytes: 12 };
    let spec = Spec::immediate(release);
    let progression = Progression { state, round, ..Progression::draft(&spec) };
    RolloutRecord {
        key: RolloutKey(number),
        id: RolloutId(uuid::Uuid::from_u128(number.unsigned_abs().into())),
        identity,
        spec,
        progression,
        devices: 9,
        created_at: Time::ZERO,
        told: None,
        is_restored: false,
    }
}

/// A rollout of the same push, and whether its devices failed and were sent something else since.
fn same(state: State, failed: u64, is_overtaken: bool) -> Same {
    let counts = Counts { failed, succeeded: 9 - failed, ..Counts::default() };
    Same { record: record(5, Some(OWN), state, 1), counts, is_overtaken }
}

fn nothing_but(same: Same) -> Found {
    let is_ended = same.record.progression.state.is_ended();
    let unfinished = if is_ended { vec![] } else { vec![same.record.clone()] };
    Found { unfinished, same: Some(same) }
}

fn unfinished(records: &[RolloutRecord]) -> Found {
    Found { unfinished: records.to_vec(), same: None }
}

/// What may be found.
fn cases() -> Vec<(&'static str, Found)> {
    let other = |state| record(4, Some(OTHER), state, 1);
    let mut with_waves = same(State::Paused, 1, false);
    let wave = WaveSpec {
        size: WaveSize::Percent(100),
        soak: std::time::Duration::ZERO,
        min_success: None,
    };
    with_waves.record.spec.waves = vec![wave; 2];
    vec![
        ("nothing", Found::default()),
        ("completed", nothing_but(same(State::Completed, 0, false))),
        ("completed, overtaken", nothing_but(same(State::Completed, 0, true))),
        ("failed", nothing_but(same(State::Failed, 2, false))),
        ("failed, overtaken", nothing_but(same(State::Failed, 2, true))),
        ("running", nothing_but(same(State::Running, 0, false))),
        ("paused, with waves", nothing_but(with_waves)),
        ("draft", unfinished(&[record(5, Some(OWN), State::Draft, 1)])),
        ("preparing", unfinished(&[record(5, Some(OWN), State::Preparing, 1)])),
        ("canceling", unfinished(&[record(5, Some(OWN), State::Canceling, 1)])),
        ("other running", unfinished(&[other(State::Running)])),
        ("other preparing", unfinished(&[other(State::Preparing)])),
        ("other in round 2", unfinished(&[record(4, Some(OTHER), State::Preparing, 2)])),
        ("other canceling", unfinished(&[other(State::Canceling)])),
        ("operator's", unfinished(&[record(3, None, State::Preparing, 1)])),
        (
            "other and operator's",
            unfinished(&[other(State::Running), record(3, None, State::Canceling, 1)]),
        ),
    ]
}

/// As `read` has it: what is not left is not looked at again.
fn seen(found: Found, asked: &Asked) -> Found {
    let same = found.same.filter(|same| fate(&same.record, asked) == Fate::Left);
    Found { same, ..found }
}

fn shown(decided: Result<Decision, Refused>) -> String {
    let number = |record: &RolloutRecord| record.key.0.to_string();
    match decided {
        Ok(Decision { taken_back, given_up, then }) => {
            let mut text = String::new();
            for (what, records) in [("take back", taken_back), ("give up", given_up)] {
                for record in records {
                    let _ = write!(text, "{what} {}, ", number(&record));
                }
            }
            text + match then {
                Then::Start => "start",
                Then::GoOn(_) => "go on",
                Then::Retry(_) => "retry",
                Then::Nothing(_) => "nothing",
            }
        }
        Err(Refused::OfOperator(record)) => format!("refused: operator's {}", number(&record)),
        Err(Refused::OtherPush(record)) => format!("refused: push {}", number(&record)),
        Err(Refused::NoCanaries) => "refused: no canaries".to_owned(),
        Err(Refused::NothingToRetry(why)) => format!("refused: nothing to retry: {why}"),
    }
}

#[test]
fn whatever_is_found_and_asked_for() {
    let mut table = String::new();
    for (name, found) in cases() {
        for flags in 0..8 {
            let asked = Asked {
                identity: OWN,
                has_canaries: flags & 1 > 0,
                retry_failed: flags & 2 > 0,
                abandon: flags & 4 > 0,
            };
            let words = [("canary", 1), ("retry", 2), ("abandon", 4)];
            let given = words.iter().filter(|(_, bit)| flags & bit > 0).map(|(word, _)| *word);
            let given: Vec<_> = given.collect();
            let decided = shown(decide(seen(found.clone(), &asked), &asked));
            let _ = writeln!(table, "{name:<20} {:<20} {decided}", given.join(" "));
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}
