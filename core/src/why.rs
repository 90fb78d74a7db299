//! Why one device of a rollout has not got its turn, or has not ended.
//!
//! Owns the reasons for one device, in the order in which they have to go. Knows neither the other
//! devices nor limits: what is left then is waiting for its turn. Types to read first: [`Subject`],
//! [`Why`].

use crate::{
    admit::{Judged, Judgment, judge},
    assignment::{Assignment, SkipReason, State},
    budget::Full,
    hours::{Phase, Zone},
    ids::RolloutName,
    presence::Presence,
    rollout::{self, Progression, Spec},
    time::Time,
    waiting::{Before, WaitingOn},
};

/// A device in a rollout, with what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Where it stands.
    pub assignment: &'a Assignment,
    /// The wave it is in, counted from 0.
    pub wave: usize,
    /// In whose zone its hours are judged; none if there are none.
    pub zone: Option<&'a Zone>,
    /// Whether it may be touched now.
    pub phase: Phase,
    /// What it is judged by when its turn comes.
    pub judged: Judged<'a>,
    /// Another rollout that it is busy with.
    pub busy_with: Option<&'a RolloutName>,
    /// One of its failure domains that has no room for it.
    pub full: Option<&'a Full>,
}

/// Why a device is where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// What it waits for, the most telling reason first; nothing once it has ended.
    pub waiting_on: Vec<WaitingOn>,
    /// How it ends when its turn comes, as far as is known now.
    pub outlook: Option<SkipReason>,
}

/// Says why a device is where it is. `held_by` is why nothing of the rollout happens unless it is
/// running, as [`crate::plan::plan`] says.
pub fn why(
    subject: &Subject<'_>,
    spec: &Spec,
    progression: &Progression,
    held_by: &[WaitingOn],
    now: Time,
) -> Why {
    let Assignment { state, due_at, .. } = *subject.assignment;
    let only = |reason| Why { waiting_on: vec![reason], outlook: None };
    match state {
        State::Delivering => only(WaitingOn::Delivery),
        State::Verifying => only(WaitingOn::Version { until: due_at }),
        _ if state.is_terminal() => Why::default(),
        _ => {
            let mut waiting_on = match progression.state {
                rollout::State::Running => vec![],
                _ => held_by.to_vec(),
            };
            // One to be tried again goes on after it.
            let deadline = progression.deadline(spec).filter(|_| state.is_waiting());
            waiting_on.extend(own_wave(subject, progression));
            waiting_on.extend(hours(subject, spec, deadline));
            waiting_on.extend(subject.busy_with.map(busy));
            // One to be tried again has its slots.
            let full = subject.full.filter(|_| state.is_waiting());
            waiting_on
                .extend(full.map(|full| WaitingOn::Domain { devices: 1, full: full.clone() }));
            let (presence, outlook) = presence(subject, spec, deadline, now);
            waiting_on.extend(presence);
            if waiting_on.is_empty() {
                waiting_on.push(WaitingOn::Turn);
            }
            Why { waiting_on, outlook }
        }
    }
}

fn own_wave(subject: &Subject<'_>, progression: &Progression) -> Option<WaitingOn> {
    let (wave, of) = (subject.wave, progression.waves.len());
    let is_opened = progression.waves.get(wave).is_some_and(|wave| wave.state.is_opened());
    // One to be tried again goes on whatever became of its wave.
    let waits = subject.assignment.state.is_waiting() && !is_opened && of > 1;
    waits.then_some(WaitingOn::OwnWave { wave, of })
}

fn hours(subject: &Subject<'_>, spec: &Spec, deadline: Option<Time>) -> Option<WaitingOn> {
    let Phase::Closed { by, opens_at } = subject.phase else { return None };
    let zone = subject.zone.cloned().unwrap_or_else(Zone::utc);
    let reason = spec.schedule.hours.reason(by);
    Some(WaitingOn::hours((1, zone), (by, opens_at), reason, deadline))
}

fn busy(rollout: &RolloutName) -> WaitingOn {
    WaitingOn::Busy { devices: 1, rollout: rollout.clone() }
}

/// Whether it is there, and when it is tried again; and how it ends if it is to be left as it is.
fn presence(
    subject: &Subject<'_>,
    spec: &Spec,
    deadline: Option<Time>,
    now: Time,
) -> (Option<WaitingOn>, Option<SkipReason>) {
    let Assignment { state, attempt, due_at, .. } = *subject.assignment;
    let next_try = (due_at > now && due_at < Time::MAX).then(|| match deadline {
        Some(at) if at <= due_at => WaitingOn::Deadline { devices: 1, at, before: Before::Try },
        _ => WaitingOn::NextTry { at: due_at },
    });
    if state == State::Retrying {
        return (next_try, None);
    }
    match judge(&subject.judged, spec) {
        Judgment::Skip(reason) => (None, Some(reason)),
        Judgment::Wait { .. } => (absence(subject.judged.presence), None),
        Judgment::Go if attempt > 0 => (next_try, None),
        Judgment::Go => (None, None),
    }
}

const fn absence(presence: Presence) -> Option<WaitingOn> {
    match presence {
        Presence::Offline { since } => Some(WaitingOn::Offline { since }),
        Presence::NeverSeen { .. } => Some(WaitingOn::NeverSeen),
        Presence::Online | Presence::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RolloutId;
    use crate::{
        assignment::FailReason,
        hours::ClosedBy,
        release::{Digest, Release},
        rollout::{Deadline, Offline, PauseReason, WaveSize, WaveSpec, WaveState},
    };
    use std::time::Duration;

    const NOW: Time = Time::from_millis(1_800_000_000_000);
    const LATER: Time = Time::from_millis(1_800_000_060_000);
    const BEFORE: Time = Time::from_millis(1_799_000_000_000);

    fn spec() -> Spec {
        let release = Release {
            name: "pos".to_owned(),
            version: "2.0.0".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 1,
        };
        let wave = |percent| WaveSpec {
            size: WaveSize::Percent(percent),
            soak: std::time::Duration::ZERO,
            min_success: None,
        };
        let waves = vec![wave(10), wave(100)];
        Spec { waves, offline: Offline::Wait, ..Spec::immediate(release) }
    }

    /// Running, in its first wave.
    fn running(spec: &Spec) -> Progression {
        let mut progression = Progression::draft(spec);
        progression.state = rollout::State::Running;
        progression.waves[0].state = WaveState::Open { since: BEFORE };
        progression
    }

    const HERE: Judged<'static> = Judged {
        presence: Presence::Online,
        last_seen: Some(NOW),
        version: None,
        is_superseded: false,
        failed_in_row: 0,
    };

    fn subject(assignment: &Assignment) -> Subject<'_> {
        Subject {
            assignment,
            wave: 0,
            zone: None,
            phase: Phase::Open { until: None },
            judged: HERE,
            busy_with: None,
            full: None,
        }
    }

    fn of(state: State) -> Assignment {
        Assignment { state, ..Assignment::queued() }
    }

    fn ask(subject: &Subject<'_>) -> Why {
        let spec = spec();
        why(subject, &spec, &running(&spec), &[], NOW)
    }

    fn words(why: &Why) -> Vec<String> {
        why.waiting_on.iter().map(|reason| reason.in_words(NOW)).collect()
    }

    #[test]
    fn every_state_has_its_reason() {
        let tried = |state| Assignment { attempt: 1, due_at: LATER, ..of(state) };
        for state in State::ALL {
            let expected = match state {
                State::Queued => vec!["its turn comes after others of its wave"],
                State::Delivering => vec!["claimed or being sent to"],
                State::Verifying => vec!["sent to, asked for its version until 08:01 UTC"],
                State::Away | State::Absent | State::Retrying => {
                    vec!["tried again at 08:01 UTC, in 1 min"]
                }
                _ => vec![],
            };
            let assignment = if state == State::Queued { of(state) } else { tried(state) };
            let why = ask(&subject(&assignment));
            assert_eq!(words(&why), expected, "{state}");
            assert_eq!(why.outlook, None);
        }
    }

    #[test]
    fn reasons_stand_side_by_side_the_most_telling_first() {
        let away = of(State::Away);
        let zone = Zone::parse("America/Denver").unwrap();
        let (id, name) = (RolloutId(uuid::Uuid::nil()), "till".to_owned());
        let other = RolloutName { id, number: 3, name, version: "2.1.0".to_owned() };
        let subject = Subject {
            wave: 1,
            zone: Some(&zone),
            phase: Phase::Closed { by: ClosedBy::Window, opens_at: Some(LATER) },
            judged: Judged { presence: Presence::Offline { since: BEFORE }, ..HERE },
            busy_with: Some(&other),
            ..subject(&away)
        };
        let spec = spec();
        let paused = Progression { state: rollout::State::Paused, ..running(&spec) };
        let held_by = [WaitingOn::Paused(PauseReason::Operator)];
        let why = why(&subject, &spec, &paused, &held_by, NOW);
        assert_eq!(
            words(&why),
            [
                "paused by the operator: resume goes on",
                "in wave 2 of 2, which is not open",
                "window opens 01:01 America/Denver, in 1 min",
                "busy with rollout 3 (till 2.1.0)",
                "offline since Sun 2027-01-03 18:13 UTC",
            ]
        );
    }

    #[test]
    fn a_deadline_that_comes_before_is_named() {
        let spec = Spec { deadline: Some(Deadline::At(NOW + Duration::from_secs(50))), ..spec() };
        let progression = Progression { started_at: Some(BEFORE), ..running(&spec) };
        let tried = |state| Assignment { attempt: 1, due_at: LATER, ..of(state) };
        let ask = |subject: &Subject<'_>| words(&why(subject, &spec, &progression, &[], NOW));
        assert_eq!(
            ask(&subject(&tried(State::Away))),
            ["its deadline is at 08:00 UTC, in 50 s, before it is tried again"]
        );
        // What was begun may end its attempts.
        assert_eq!(ask(&subject(&tried(State::Retrying))), ["tried again at 08:01 UTC, in 1 min"]);
        let queued = of(State::Queued);
        let phase = Phase::Closed { by: ClosedBy::Window, opens_at: Some(LATER) };
        assert_eq!(
            ask(&Subject { phase, ..subject(&queued) }),
            ["its deadline is at 08:00 UTC, in 50 s, before its window opens"]
        );
    }

    #[test]
    fn what_holds_the_rollout_holds_nobody_who_is_open() {
        let spec = spec();
        let paused = Progression { state: rollout::State::Paused, ..running(&spec) };
        let held_by = [WaitingOn::Paused(PauseReason::Gate)];
        let ask = |state| why(&subject(&of(state)), &spec, &paused, &held_by, NOW).waiting_on;
        assert_eq!(ask(State::Delivering), [WaitingOn::Delivery]);
        assert_eq!(ask(State::Failed(FailReason::Rejected)), []);
        assert_eq!(ask(State::Retrying), held_by);
    }

    #[test]
    fn one_to_be_tried_again_does_not_wait_for_its_wave() {
        let spec = spec();
        let mut progression = running(&spec);
        progression.waves[0].state = WaveState::Stopped { at: BEFORE };
        let retrying = of(State::Retrying);
        let why = why(&subject(&retrying), &spec, &progression, &[], NOW);
        assert_eq!(why.waiting_on, [WaitingOn::Turn]);
    }

    #[test]
    fn how_it_would_end_is_told_before_its_turn() {
        let queued = of(State::Queued);
        let never = Presence::NeverSeen { checks_in: true };
        for (judged, offline, reason, outlook) in [
            (Judged { presence: never, ..HERE }, Offline::Wait, WaitingOn::NeverSeen, None),
            (
                Judged { presence: never, ..HERE },
                Offline::Skip,
                WaitingOn::Turn,
                Some(SkipReason::Offline),
            ),
            (Judged { presence: never, ..HERE }, Offline::Try, WaitingOn::Turn, None),
            (
                Judged { version: Some("3.0.0"), ..HERE },
                Offline::Try,
                WaitingOn::Turn,
                Some(SkipReason::Downgrade),
            ),
            (
                Judged { is_superseded: true, ..HERE },
                Offline::Wait,
                WaitingOn::Turn,
                Some(SkipReason::Superseded),
            ),
        ] {
            let spec = Spec { offline, ..spec() };
            let subject = Subject { judged, ..subject(&queued) };
            let why = why(&subject, &spec, &running(&spec), &[], NOW);
            assert_eq!((why.waiting_on, why.outlook), (vec![reason], outlook), "{judged:?}");
        }
    }
}
