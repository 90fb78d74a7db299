//! The course of a rollout over counts, table by table; then properties over random ones.

mod course;
mod external;
mod limits;
mod random;

use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    hours::{ClosedBy, Phase, Zone},
    release::{Digest, Release},
    rollout::{Limits, Wave, WaveSize, WaveSpec},
    snapshot::{Allowance, Cohort, Counts},
};

const NOW: Time = Time::from_millis(1_764_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const OPEN: Phase = Phase::Open { until: None };

fn spec() -> Spec {
    let release = Release {
        name: "pos".to_owned(),
        version: "2.0.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    };
    let limits =
        Limits { max_in_flight: 10, max_unverified: 30, max_per_host: 10, per_minute: None };
    Spec { limits, ..Spec::immediate(release) }
}

/// The first wave is 10 devices, the second half of all, the third the rest.
fn three_waves() -> Spec {
    let wave = |size| WaveSpec { size, soak: HOUR, min_success: Some(90) };
    let waves =
        vec![wave(WaveSize::Count(10)), wave(WaveSize::Percent(50)), wave(WaveSize::Percent(100))];
    Spec { waves, ..spec() }
}

fn cohort(wave: usize, counts: Counts) -> Cohort {
    Cohort { wave, zone: None, phase: OPEN, closes_for_good_at: None, counts }
}

/// A running rollout whose waves stand so, with devices for each.
fn snapshot(waves: &[(WaveState, Counts)]) -> Snapshot {
    let progression = Progression {
        state: State::Running,
        paused: BTreeSet::new(),
        round: 1,
        generation: 3,
        started_at: Some(NOW - HOUR),
        ended_at: None,
        failures_accepted: 0,
        results_accepted: crate::gate::regression::Results::default(),
        brakes: vec![],
        prepared: None,
        no_device: false,
        is_to_roll_back: false,
        waves: waves.iter().map(|(state, _)| Wave { state: *state, ..Wave::PENDING }).collect(),
        earlier: vec![],
    };
    let cohorts = waves.iter().enumerate().map(|(at, (_, counts))| cohort(at, *counts));
    Snapshot {
        progression,
        cohorts: cohorts.collect(),
        checks: vec![],
        ahead_max: 5,
        allowance: Allowance::UNLIMITED,
        driver_places: u32::MAX,
        checkup: Checkup::Done,
        is_being_written: false,
        is_stopping: false,
    }
}

/// One wave that is open.
fn running(counts: Counts) -> Snapshot {
    snapshot(&[(WaveState::Open { since: NOW }, counts)])
}

fn queued(queued: u64) -> Counts {
    Counts { queued, ..Counts::default() }
}

fn succeeded(succeeded: u64) -> Counts {
    Counts { succeeded, ..Counts::default() }
}

/// Carries changes out until there is none; the last plan, and what was done on the way.
fn settle(snapshot: &mut Snapshot, spec: &Spec, now: Time) -> (Plan, Vec<Change>) {
    let mut done = vec![];
    loop {
        let plan = plan(snapshot, spec, now);
        let Some(change) = plan.change else { return (plan, done) };
        change.apply(&mut snapshot.progression, now);
        done.push(change);
        assert!(done.len() <= 3 * snapshot.progression.waves.len() + 5, "no end: {done:?}");
    }
}
