//! What is looked at from outside between two steps: what is told of the time left, whether
//! anybody is starved, and whether a stop has left claims.

use std::{collections::BTreeMap, time::Duration};

use groundswell::{
    core::{
        rollout::{Act, State},
        snapshot::Counts,
        time::Time,
        waiting::WaitingOn,
    },
    engine::{fact::Fact, step::Engine},
    store::RolloutKey,
};

use super::{World, time_left::Closings};

/// Steps between two looks at what is told.
const LOOK_EVERY: u64 = 20;

/// And in a large world, at the time left of one rollout.
const LARGE_TURNS: u64 = 5;

/// Nobody waits for longer for a place while others take so many: any one that gets free is his. An
/// artifact may take half of this to open.
const STARVES_AFTER: Duration = Duration::from_mins(3);
const TAKEN_MIN: u64 = 20;

/// In a large world places get free by the hundred, and many wait for them: then it is this long, and
/// twice as many as there are places.
const LARGE_STARVES_AFTER: Duration = Duration::from_mins(30);

#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Who waits for a place and has none: since when, in true time, what all had sent by then, and
    /// how many of its own were left out.
    starving: BTreeMap<RolloutKey, (i64, u64, u64)>,
    /// Deliveries that were begun, in all.
    sent: u64,
    /// Rollouts whose stop was acknowledged since the last step.
    pub(crate) stopped: Vec<RolloutKey>,
    pub(crate) closings: Closings,
}

impl Looks {
    /// A delivery of a rollout was begun: it is not starved.
    pub(crate) fn sent(&mut self, key: RolloutKey) {
        self.sent += 1;
        self.starving.remove(&key);
    }

    /// A driver was started, or went on after it stood still: nobody could get a place before.
    pub(crate) fn began(&mut self) {
        self.starving.clear();
    }
}

impl World {
    /// After each step.
    pub(crate) fn look(&mut self) {
        self.look_at_stopped();
        if !self.steps.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let now = self.now();
        let Some(driver) = self.driver.as_mut() else { return self.looks.starving.clear() };
        let keys: Vec<RolloutKey> = driver.engine.rollouts().collect();
        let starved = keys.iter().map(|key| is_starved(&mut driver.engine, *key, now));
        let starved: Vec<bool> = starved.collect();
        self.looks.starving.retain(|key, _| keys.contains(key));
        for (key, is_starved) in keys.iter().zip(starved) {
            self.look_at_starving(*key, is_starved);
        }
        // Estimates cost more than the step of a large world: one rollout after the other there.
        let turn = self.steps / LOOK_EVERY;
        if !self.rhythm.is_large {
            for key in keys {
                self.look_at_time_left(key, now);
            }
        } else if !keys.is_empty() && turn.is_multiple_of(LARGE_TURNS) {
            self.look_at_time_left(keys[(turn / LARGE_TURNS) as usize % keys.len()], now);
        }
    }

    fn look_at_starving(&mut self, key: RolloutKey, is_starved: bool) {
        let (now, sent) = (self.agenda.now, self.looks.sent);
        if !is_starved {
            self.looks.starving.remove(&key);
            return;
        }
        let engine = self.driver.as_ref().map(|driver| &driver.engine);
        let counts = engine.and_then(|engine| engine.counts(key));
        let left_out = counts.map_or(0, |counts| counts.skipped + counts.current);
        let entry = self.looks.starving.entry(key).or_insert((now, sent, left_out));
        if entry.2 != left_out {
            // It had places, and found nobody to send to.
            *entry = (now, sent, left_out);
        }
        let (since, before, _) = *entry;
        let (millis, taken) = (now - since, sent - before);
        let (after, taken_min) = if self.rhythm.is_large {
            (LARGE_STARVES_AFTER, u64::from(self.rhythm.in_flight_max) * 2)
        } else {
            (STARVES_AFTER, TAKEN_MIN)
        };
        if millis > after.as_millis() as i64 && taken >= taken_min {
            let (key, secs) = (key.0, millis / 1_000);
            self.fail(&format!(
                "rollout {key} has waited {secs} s for a place, others took {taken} meanwhile"
            ));
        }
    }

    /// A stop was acknowledged: whatever is claimed has left, or is about to be looked at again.
    fn look_at_stopped(&mut self) {
        for key in std::mem::take(&mut self.looks.stopped) {
            let Some(driver) = &self.driver else { return };
            let Some(progression) = driver.engine.progression(key) else { continue };
            let is_stopped =
                matches!(progression.state, State::Paused | State::Canceling | State::Aborting);
            let claimed = driver.engine.counts(key).map_or(0, |counts| counts.delivering);
            let is_known = |fact: &&Fact| match fact {
                Fact::Delivered(of, ..) | Fact::Returned(of, _) => *of == key,
                _ => false,
            };
            let known = self.facts.iter().filter(is_known).count() as u64;
            let open = driver.open_to(key) + known;
            if is_stopped && claimed > open && !self.checker.intents.is_wanted(key) {
                let (key, state) = (key.0, progression.state);
                self.fail(&format!(
                    "rollout {key} is {state}, which was acknowledged, and has {claimed} claims: \
                     nothing was handed out for {} of them",
                    claimed - open
                ));
            }
        }
    }

    /// An act was answered as done.
    pub(crate) fn acknowledged(&mut self, key: RolloutKey, act: Act) {
        if matches!(act, Act::Pause | Act::Cancel | Act::Abort) {
            self.looks.stopped.push(key);
        }
    }
}

/// Whether a rollout could go on, and has not a single place.
fn is_starved(engine: &mut Engine, key: RolloutKey, now: Time) -> bool {
    let is_held = |reason: &WaitingOn| {
        matches!(
            reason,
            WaitingOn::Busy { .. }
                | WaitingOn::Domain { .. }
                | WaitingOn::Host { .. }
                | WaitingOn::Hours { .. }
        )
    };
    let waits = |reasons: &[WaitingOn]| {
        reasons.contains(&WaitingOn::Driver) && !reasons.iter().any(is_held)
    };
    engine.waiting_on(key).is_some_and(waits)
        && engine.counts(key).is_some_and(|counts| counts.delivering == 0)
        && engine.progression(key).is_some_and(|progression| progression.state == State::Running)
        && engine.progress(key, now, 0).is_some_and(|progress| {
            let mut opened = progress.waves.iter().filter(|wave| wave.state.is_opened());
            opened.any(|wave| wave.counts.queued > 0)
        })
}

/// Why nobody can be waiting for a host alone: places there are held by what is open.
pub(crate) fn host_fault(
    waiting_on: &[WaitingOn],
    state: State,
    counts: &Counts,
) -> Option<String> {
    let [WaitingOn::Host { devices, .. }] = waiting_on[..] else { return None };
    let is_held = state != State::Running || counts.delivering > 0;
    (!is_held).then(|| format!("{devices} devices wait for a host, and nothing is open to any"))
}
