//! What is looked at from outside between two steps: what is told of the time left, whether
//! anybody is starved, and whether a stop has left claims.

use std::{collections::BTreeMap, time::Duration};

use groundswell::{
    core::{
        progress::Progress,
        rollout::{Act, Spec, State, WaveState, WhenClosed},
        time::Time,
        waiting::WaitingOn,
    },
    engine::fact::Fact,
    store::RolloutKey,
};

use super::World;

/// Steps between two looks at what is told.
const LOOK_EVERY: u64 = 20;

/// The longest time left that is told.
const ETA_MAX: Duration = Duration::from_hours(100 * 24);

/// Nobody waits for longer for a place while others take so many: any one that gets free is his. An
/// artifact may take half of this to open.
const STARVES_AFTER: Duration = Duration::from_mins(3);
const TAKEN_MIN: u64 = 20;

#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Who waits for a place and has none: since when, in true time, and what all had sent by then.
    starving: BTreeMap<RolloutKey, (i64, u64)>,
    /// Deliveries that were begun, in all.
    sent: u64,
    /// Rollouts whose stop was acknowledged since the last step.
    pub(crate) stopped: Vec<RolloutKey>,
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
        // Progress has estimates that cost more than the step of a large world.
        if self.rhythm.is_large || !self.steps.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let now = self.now();
        let Some(driver) = self.driver.as_mut() else { return self.looks.starving.clear() };
        let keys: Vec<RolloutKey> = driver.engine.rollouts().collect();
        let told = keys.into_iter().filter_map(|key| {
            let progress = driver.engine.progress(key, now, 0)?;
            let progression = driver.engine.progression(key)?;
            Some((key, progress, progression.state))
        });
        let told: Vec<(RolloutKey, Progress, State)> = told.collect();
        self.looks.starving.retain(|key, _| told.iter().any(|(of, ..)| of == key));
        for (key, progress, state) in told {
            if let Some(why) = eta_fault(self.checker.spec(key), &progress, now) {
                self.fail(&format!("rollout {}: {why}", key.0));
            }
            let is_starved = state == State::Running && is_starved(&progress);
            self.look_at_starving(key, is_starved);
        }
    }

    fn look_at_starving(&mut self, key: RolloutKey, is_starved: bool) {
        let (now, sent) = (self.agenda.now, self.looks.sent);
        if !is_starved {
            self.looks.starving.remove(&key);
            return;
        }
        let (since, before) = *self.looks.starving.entry(key).or_insert((now, sent));
        let (millis, taken) = (now - since, sent - before);
        if millis > STARVES_AFTER.as_millis() as i64 && taken >= TAKEN_MIN {
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
            if is_stopped && claimed > open && !self.checker.is_wanted(key) {
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
fn is_starved(progress: &Progress) -> bool {
    let waits_for = |reason: &WaitingOn| matches!(reason, WaitingOn::Driver);
    let is_held = |reason: &WaitingOn| {
        matches!(reason, WaitingOn::Busy { .. } | WaitingOn::Host { .. } | WaitingOn::Hours { .. })
    };
    let mut opened = progress.waves.iter().filter(|wave| wave.state.is_opened());
    opened.any(|wave| wave.counts.queued > 0)
        && progress.counts.delivering == 0
        && progress.waiting_on.iter().any(waits_for)
        && !progress.waiting_on.iter().any(is_held)
}

/// Why nobody can be waiting for a host alone: places there are held by what is open.
pub(crate) fn host_fault(progress: &Progress, state: State) -> Option<String> {
    let [WaitingOn::Host { devices, .. }] = progress.waiting_on[..] else { return None };
    let is_held = state != State::Running || progress.counts.delivering > 0;
    (!is_held).then(|| format!("{devices} devices wait for a host, and nothing is open to any"))
}

/// Why the time left that is told cannot be: it is less than what must pass in any case.
fn eta_fault(spec: &Spec, progress: &Progress, now: Time) -> Option<String> {
    let eta = progress.eta?;
    let of_wave = |at: usize| spec.waves.get(at).map_or(Duration::ZERO, |wave| wave.soak);
    let mut least = spec.start_at.map_or(Duration::ZERO, |at| at.since(now));
    let mut left = 0;
    for (at, wave) in progress.waves.iter().enumerate() {
        match wave.state {
            WaveState::Soaking { since } => least = least.max((since + of_wave(at)).since(now)),
            _ => left += wave.counts.queued + wave.counts.active(),
        }
    }
    let work_secs = left as f64 / progress.ended_per_sec.max(f64::MIN_POSITIVE);
    // A deadline, or windows that open once, end it before all is done.
    let is_cut = spec.deadline.is_some() || spec.schedule.when_closed == WhenClosed::End;
    let is_short = left > 0 && eta.as_secs_f64() < work_secs * 0.99 - 0.001;
    let is_less = !is_cut && (eta < least || is_short);
    (is_less || eta > ETA_MAX).then(|| {
        format!(
            "{eta:?} are said to be left, with {left} devices to go at {} a second, and a wait \
             of {least:?}",
            progress.ended_per_sec
        )
    })
}
