//! What is seen of a rollout: by decisions, by those who share places, and by people.

use groundswell_core::{
    gate::Tally,
    ids::AssignmentId,
    progress::{self, Progress, WaveProgress},
    rollout::{self, Numbers},
    snapshot::{Allowance, Counts, Snapshot},
    time::Time,
    waiting::WaitingOn,
};

use super::{Course, claim};
use crate::{
    engine::{
        fact::Wake,
        places::{Claimant, Given},
    },
    store::RolloutKey,
};

/// Claims ahead are at most so many times the deliveries that may be open: claims of slow devices
/// would keep these from others for long.
const AHEAD_OF_OPEN: u32 = 4;

impl Course {
    fn ahead(&self) -> u32 {
        self.pace.ahead().min(AHEAD_OF_OPEN.saturating_mul(self.spec.limits.max_in_flight))
    }

    /// What a decision sees.
    pub(in crate::engine) fn snapshot(&mut self, now: Time) -> Snapshot {
        let started_at = self.progression.started_at;
        let spec = &self.spec;
        let cohorts = self.cohorts.iter_mut();
        Snapshot {
            progression: self.progression.clone(),
            cohorts: cohorts.map(|cohort| cohort.snapshot(spec, started_at, now)).collect(),
            checks: self.checks.asked(),
            // What is claimed ahead would leave in a burst.
            ahead_max: if self.rate.is_some() { 0 } else { self.ahead() },
            allowance: self.rate.map_or(Allowance::UNLIMITED, |rate| rate.allowance(now)),
            driver_places: self.places,
            checkup: self.checkup(),
            is_being_written: self.is_being_written() || self.is_looking_back(),
            is_stopping: self.is_stopping(),
        }
    }

    /// What an operator's act is judged by.
    pub(super) fn numbers(&self) -> Numbers {
        let cohorts = self.cohorts.iter().map(|cohort| &cohort.record);
        Numbers::of(&self.progression, cohorts.map(|cohort| (cohort.wave, cohort.counts)))
    }

    /// How far the rollout is; `sent_bytes` is the shell's to count.
    pub(in crate::engine) fn progress(&mut self, now: Time, sent_bytes: u64) -> Progress {
        let ended = self.counts.ended();
        // While nobody is under way it only waits: that makes it no slower.
        let at = if self.counts.active() == 0 { self.decided_at } else { now };
        let ended_per_sec = self.meter.per_sec(at, ended);
        let snapshot = self.snapshot(now);
        let has_no_end = self.waiting_on.iter().any(WaitingOn::has_no_end);
        let eta = progress::eta(&snapshot, &self.spec, ended_per_sec, now).filter(|_| !has_no_end);
        let waves = self.progression.waves.iter().enumerate().map(|(wave, state)| WaveProgress {
            state: state.state,
            verdict: state.verdict(),
            counts: snapshot.counts_of(wave),
        });
        Progress {
            counts: self.counts,
            waves: waves.collect(),
            in_flight: self.open.len() as u32,
            sent_bytes,
            ended_per_sec,
            eta,
            waiting_on: self.waiting_on.clone(),
        }
    }

    /// What it has of the driver's places, and wants of them.
    pub(in crate::engine) fn claimant(&self) -> Claimant {
        let is_running = self.progression.state == rollout::State::Running;
        Claimant {
            open: self.open.len() as u32,
            used: (self.open.len() + self.ready.len() + self.claiming.len()) as u32,
            awaited: self.places_awaited(),
            is_wanting: is_running && self.counts.waiting() + self.counts.retrying > 0,
        }
    }

    /// Who goes first: a higher priority, then the older.
    pub(in crate::engine) fn rank(&self) -> (i64, RolloutKey) {
        (-i64::from(self.spec.priority), self.key)
    }

    /// What it may have of the driver's places.
    pub(in crate::engine) fn give_places(&mut self, given: Given) {
        let Given { places, open_max, is_contested } = given;
        let is_more = places > self.places || open_max > self.open_max;
        let is_limited = self.waiting_on.contains(&WaitingOn::Driver) || !self.ready.is_empty();
        self.is_dirty |= is_more && is_limited;
        self.is_dirty |= is_contested && !self.is_contested && self.is_opening();
        (self.places, self.open_max, self.is_contested) = (places, open_max, is_contested);
    }

    /// Whether a step would do anything.
    pub(in crate::engine) fn is_due(&self, now: Time) -> bool {
        self.is_dirty || self.wake_at().is_some_and(|(at, _)| at <= now)
    }

    /// Why not more happens, as it was decided last.
    pub(in crate::engine) fn waiting_on(&self) -> &[WaitingOn] {
        &self.waiting_on
    }

    /// Its devices, counted.
    pub(in crate::engine) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The numbers of the wave that has not passed.
    pub(in crate::engine) fn tally(&self, wave: usize) -> Tally {
        let cohorts = self.cohorts.iter().filter(|cohort| cohort.record.wave == wave);
        self.spec.tally(&cohorts.map(|cohort| cohort.record.counts).sum())
    }

    /// When the next step is due even if nothing happens, and what for.
    pub(in crate::engine) fn wake_at(&self) -> Wake {
        let may_commit = !self.is_committing && !self.is_joining && !self.has_store_failed;
        let is_pending = may_commit && self.has_pending();
        let flush = self.pending_since.filter(|_| is_pending).map(|at| at + self.manner.gather);
        // After that only a commit is waited for.
        let drained = self.stop.map(|at| at + crate::engine::step::DRAIN_MAX);
        let drained = drained.filter(|at| *at > self.decided_at);
        let asks = if self.may_ask() { self.watch.wake_at() } else { None };
        let is_running = self.progression.state == rollout::State::Running && !self.is_stopping();
        // Those that were due before wait for something else.
        let next = self.later.range((self.decided_at, AssignmentId(i64::MAX))..).next();
        let retry = next.map(|((at, _), _)| *at).filter(|_| is_running);
        // Somebody behind one that is not durable yet is read after that commit.
        let readable = |at: &Time| *at <= self.readable_until(*at);
        let may_read = self.may_fetch() && self.missing_here.len() < claim::PARKED_MAX;
        let away = self.next_away_at.filter(|at| may_read && readable(at));
        let plan = self.wake_at.filter(|_| !self.is_stopping());
        [
            (flush, "flush"),
            (drained, "drain"),
            (asks, "verify"),
            (self.care_at(), "health"),
            (retry, "retry"),
            (away, "away"),
            (plan, "plan"),
            (self.lap_at().filter(|_| may_read), "lap"),
            (self.choose_at(), "choose"),
            (self.look_back_at(), "look back"),
            // Those who look must not see what held before, however long nothing else happens.
            (self.tell_at().filter(|_| may_commit), "tell"),
        ]
        .into_iter()
        .filter_map(|(at, label)| Some((at?, label)))
        .min_by_key(|(at, _)| *at)
    }
}
