//! How long a rollout takes yet.
//!
//! Owns the estimate from counts, hours and a rate. It promises nothing that waits for an operator,
//! or for devices that are away: nobody knows how long. Type to read first: [`Work`].

use std::time::Duration;

use crate::{
    gate::{self, Opinion},
    hours::{Phase, Zone},
    rollout::{Spec, State, WaveState},
    snapshot::Snapshot,
    time::Time,
};

/// Longer than this, no estimate is of any use.
const ETA_MAX: Duration = Duration::from_hours(100 * 24);

/// Time left until the rollout has ended, if devices go on to end at `per_sec` while they may be
/// touched: waves one after the other, each with its soak; the zones of a wave side by side, each
/// in its hours, at one rate for all. Nothing is begun after the deadline. `None` while it cannot
/// be told: devices are away, or an operator has to decide; or if it is beyond any use (100 days).
pub fn eta(snapshot: &Snapshot, spec: &Spec, per_sec: f64, now: Time) -> Option<Duration> {
    let progression = &snapshot.progression;
    let is_going = matches!(progression.state, State::Scheduled | State::Running);
    let counts = snapshot.counts();
    if !is_going || counts.away + counts.absent > 0 {
        return None;
    }
    let deadline = progression.deadline(spec);
    let mut at = spec.start_at.map_or(now, |start_at| start_at.max(now));
    for (wave, state) in progression.waves.iter().enumerate() {
        if waits_for_operator(snapshot, spec, wave) {
            return None;
        }
        // Nobody knows when a gate outside says go.
        let is_asked_for = spec.external(wave).next().is_some();
        if is_asked_for && !matches!(state.state, WaveState::Passed { .. }) {
            return None;
        }
        let (soak, _) = spec.gate(wave);
        let ended = || Work::of_wave(snapshot, wave, per_sec)?.end(spec, deadline, at);
        at = match state.state {
            WaveState::Passed { .. } => ended()?,
            WaveState::Soaking { since } => at.max(since + soak),
            WaveState::Stopped { .. } => return None,
            WaveState::Pending | WaveState::Open { .. } => ended()? + soak,
        };
    }
    // Nobody is left for a gate to hold back then.
    let at = deadline.map_or(at, |deadline| at.min(deadline.max(now)));
    if bites!(EtaNegative) {
        // What has passed since it began is taken off what is left, without a look below zero.
        let began_at = progression.started_at.unwrap_or(now).as_millis();
        let left_millis = at.as_millis() - now.as_millis() - (now.as_millis() - began_at);
        return Some(Duration::from_millis(left_millis as u64));
    }
    let eta = at.since(now);
    (eta <= ETA_MAX).then_some(eta)
}

/// Whether a wave has ended with nothing that its gate could judge by, and others wait behind it.
fn waits_for_operator(snapshot: &Snapshot, spec: &Spec, wave: usize) -> bool {
    let progression = &snapshot.progression;
    let is_unruled =
        matches!(progression.waves[wave].state, WaveState::Open { .. } | WaveState::Soaking { .. });
    if !is_unruled || wave + 1 == progression.waves.len() {
        return false;
    }
    let tally = spec.tally(&snapshot.counts_of(wave));
    tally.open == 0 && gate::judge(&tally, spec.gate(wave).1) == Opinion::NotYet
}

/// What is left to do in a wave.
struct Work<'a> {
    /// For those who are under way whatever the hour.
    begun: Duration,
    /// For those who have to be sent to, by zone, in the order in which they are claimed.
    zones: Vec<ZoneWork<'a>>,
}

struct ZoneWork<'a> {
    zone: Option<&'a Zone>,
    left: Duration,
    closes_for_good_at: Option<Time>,
    /// Whether they may be touched, since it was last asked.
    phase: Phase,
}

impl<'a> Work<'a> {
    /// None if there is work, and no rate to do it at.
    fn of_wave(snapshot: &'a Snapshot, wave: usize, per_sec: f64) -> Option<Self> {
        let takes = |devices: u64| match devices {
            0 => Some(Duration::ZERO),
            _ if per_sec <= 0.0 => None,
            _ => Duration::try_from_secs_f64(devices as f64 / per_sec).ok(),
        };
        let counts = snapshot.counts_of(wave);
        let mut work = Self { begun: takes(counts.delivering + counts.verifying)?, zones: vec![] };
        for cohort in snapshot.cohorts.iter().filter(|cohort| cohort.wave == wave) {
            let left = takes(cohort.counts.queued + cohort.counts.retrying)?;
            if left > Duration::ZERO {
                let zone = cohort.zone.as_ref();
                let (closes_for_good_at, phase) = (cohort.closes_for_good_at, cohort.phase);
                work.zones.push(ZoneWork { zone, left, closes_for_good_at, phase });
            }
        }
        Some(work)
    }

    /// When all of it is done that begins at `from`: one machine sends to all zones, so those that
    /// are open at once share its rate, the first before the others.
    fn end(mut self, spec: &Spec, deadline: Option<Time>, from: Time) -> Option<Time> {
        let mut at = from + self.begun;
        for work in &mut self.zones {
            work.look(spec, at);
        }
        loop {
            self.zones.retain(|work| work.is_left(at));
            if self.zones.is_empty() || deadline.is_some_and(|deadline| deadline <= at) {
                return Some(at);
            }
            let next = self.zones.iter().filter_map(ZoneWork::changes_at).min();
            let at_most = next.map_or(Duration::MAX, |next| next.since(at));
            let open = self.zones.iter_mut().find(|work| work.phase.is_open());
            at = match open {
                Some(work) => {
                    let done = work.left.min(at_most);
                    work.left -= done;
                    at + done
                }
                // With none that opens any more, what is left ends with the deadline.
                None => next.or(deadline)?,
            };
            if at.since(from) > ETA_MAX {
                return None;
            }
            for work in &mut self.zones {
                if work.phase.changes_at().is_some_and(|changes_at| changes_at <= at) {
                    work.look(spec, at);
                }
            }
        }
    }
}

impl ZoneWork<'_> {
    fn look(&mut self, spec: &Spec, at: Time) {
        self.phase = match self.zone {
            Some(zone) => spec.schedule.hours.at(zone, at),
            None => Phase::Open { until: None },
        };
    }

    fn is_left(&self, at: Time) -> bool {
        self.left > Duration::ZERO && self.closes_for_good_at.is_none_or(|closes_at| closes_at > at)
    }

    /// When to look again at who may be sent to.
    fn changes_at(&self) -> Option<Time> {
        self.phase.changes_at().into_iter().chain(self.closes_for_good_at).min()
    }
}

#[cfg(test)]
mod tests;
