//! How far a rollout is, how fast, and how long it will take.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    gate::Verdict,
    hours::{Phase, Zone},
    rollout::{Spec, State, WaveState},
    snapshot::{Counts, Snapshot},
    time::Time,
    waiting::WaitingOn,
};

/// The rate is looked at over this long: short enough to follow a change, long enough not to jump.
const WINDOW: Duration = Duration::from_secs(30);

/// One sample for every so much of the window.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// How far a rollout is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Its devices, counted.
    pub counts: Counts,
    /// Its waves, in order.
    pub waves: Vec<WaveProgress>,
    /// Deliveries that are open.
    pub in_flight: u32,
    /// Bytes of artifacts handed to connections by this run, retries included.
    pub sent_bytes: u64,
    /// Devices ended per second, as observed lately.
    pub ended_per_sec: f64,
    /// Time left at that rate; `None` while it cannot be told.
    pub eta: Option<Duration>,
    /// Why not more happens.
    pub waiting_on: Vec<WaitingOn>,
}

/// How far a wave is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveProgress {
    /// Where it stands.
    pub state: WaveState,
    /// What its gate ruled.
    pub verdict: Option<Verdict>,
    /// Its devices, counted.
    pub counts: Counts,
}

/// Observes how many devices ended, and tells the rate.
#[derive(Debug, Default)]
pub struct RateMeter {
    samples: VecDeque<(Time, u64)>,
}

impl RateMeter {
    /// Takes note that `ended` devices had ended at `now`.
    pub fn observe(&mut self, now: Time, ended: u64) {
        match self.samples.back() {
            // A clock that was set back makes old samples worthless.
            Some((last, _)) if now < *last => self.samples.clear(),
            Some((last, _)) if now.since(*last) < SAMPLE_EVERY => return,
            _ => {}
        }
        self.samples.push_back((now, ended));
        while self.samples.len() > 2 && now.since(self.samples[0].0) > WINDOW {
            self.samples.pop_front();
        }
    }

    /// Devices ended per second, up to `now`, when `ended` had; 0 if it cannot be told yet.
    pub fn per_sec(&self, now: Time, ended: u64) -> f64 {
        let Some((first_at, first_ended)) = self.samples.front() else { return 0.0 };
        let secs = now.since(*first_at).as_secs_f64();
        if secs <= 0.0 { 0.0 } else { ended.saturating_sub(*first_ended) as f64 / secs }
    }
}

/// Longer than this, no estimate is of any use.
const ETA_MAX: Duration = Duration::from_hours(100 * 24);

/// Time left until the rollout has ended, if devices go on to end at `per_sec` while they may be
/// touched: waves one after the other, each zone in its hours, each wave with its soak. `None`
/// while it cannot be told (also while a wave waits for devices that are away), or beyond any use
/// (100 days).
pub fn eta(snapshot: &Snapshot, spec: &Spec, per_sec: f64, now: Time) -> Option<Duration> {
    let progression = &snapshot.progression;
    if !matches!(progression.state, State::Scheduled | State::Running) {
        return None;
    }
    let mut at = spec.start_at.map_or(now, |start_at| start_at.max(now));
    for (wave, state) in progression.waves.iter().enumerate() {
        let (soak, _) = spec.gate(wave);
        at = match state.state {
            // Those that were away when it ended are not waited for.
            WaveState::Passed { .. } => end_of(snapshot, spec, wave, per_sec, at)?.max(at),
            WaveState::Soaking { since } => at.max(since + soak),
            WaveState::Stopped { .. } => return None,
            WaveState::Pending | WaveState::Open { .. } => {
                end_of(snapshot, spec, wave, per_sec, at)? + soak
            }
        };
    }
    if bites!(EtaNegative) {
        // What has passed since it began is taken off what is left, without a look below zero.
        let began_at = progression.started_at.unwrap_or(now).as_millis();
        let left_millis = at.as_millis() - now.as_millis() - (now.as_millis() - began_at);
        return Some(Duration::from_millis(left_millis as u64));
    }
    let eta = at.since(now);
    (eta <= ETA_MAX).then_some(eta)
}

/// When the last device of a wave ends that begins at `from`.
fn end_of(snapshot: &Snapshot, spec: &Spec, wave: usize, per_sec: f64, from: Time) -> Option<Time> {
    let mut ends = from;
    for cohort in snapshot.cohorts.iter().filter(|cohort| cohort.wave == wave) {
        if cohort.counts.away > 0 {
            // It is waited for, and nobody knows for how long.
            return None;
        }
        let left = cohort.counts.queued + cohort.counts.active();
        if left == 0 {
            continue;
        }
        if per_sec <= 0.0 {
            return None;
        }
        let secs = left as f64 / per_sec;
        let work = (secs <= ETA_MAX.as_secs_f64()).then(|| Duration::from_secs_f64(secs))?;
        // One machine sends to all zones: those that are open at once share its rate.
        ends = match &cohort.zone {
            None => ends + work,
            Some(zone) => work_through(spec, zone, ends, work)?,
        };
    }
    Some(ends)
}

/// When `work` is done that begins at `from` and goes on only while devices may be touched.
fn work_through(spec: &Spec, zone: &Zone, from: Time, mut work: Duration) -> Option<Time> {
    let mut at = from;
    while at.since(from) <= ETA_MAX {
        match spec.schedule.hours.at(zone, at) {
            Phase::Open { until: Some(until) } if until.since(at) < work => {
                work -= until.since(at);
                at = until;
            }
            Phase::Open { .. } => return Some(at + work),
            Phase::Closed { opens_at, .. } => at = opens_at?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hours::Hours,
        rollout::{Progression, WaveSize, WaveSpec},
        snapshot::{Allowance, Cohort},
    };

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let mut meter = RateMeter::default();
        let at = |secs: i64| Time::from_millis(secs * 1_000);
        for sec in 0..100 {
            // 10 a second for a minute, then 2 a second.
            let ended = if sec <= 60 { sec * 10 } else { 600 + (sec - 60) * 2 };
            meter.observe(at(sec), ended as u64);
        }
        let rate = meter.per_sec(at(99), 678);
        assert!((1.9..2.1).contains(&rate), "{rate}");
        assert!(meter.samples.len() < 65);
    }

    fn spec(waves: &[(u64, u8)]) -> Spec {
        let release = crate::release::Release {
            name: "pos".to_owned(),
            version: "2".to_owned(),
            artifact: crate::release::Digest([7; 32]),
            artifact_bytes: 1,
        };
        let wave = |(soak, percent): &(u64, u8)| WaveSpec {
            size: WaveSize::Percent(*percent),
            soak: Duration::from_secs(*soak),
            min_success: Some(90),
        };
        Spec { waves: waves.iter().map(wave).collect(), ..Spec::immediate(release) }
    }

    fn snapshot(spec: &Spec, queued: &[u64], zone: Option<&Zone>) -> Snapshot {
        let cohort = |(wave, queued): (usize, &u64)| Cohort {
            wave,
            zone: zone.cloned(),
            phase: Phase::Open { until: None },
            closes_for_good_at: None,
            counts: Counts { queued: *queued, ..Counts::default() },
        };
        let progression = Progression { state: State::Running, ..Progression::draft(spec) };
        Snapshot {
            progression,
            cohorts: queued.iter().enumerate().map(cohort).collect(),
            ahead_max: 5,
            allowance: Allowance::UNLIMITED,
            driver_places: 100,
            is_being_written: false,
            is_stopping: false,
        }
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn no_rate_no_eta_and_never_a_negative_one() {
        let spec = spec(&[]);
        let now = Time::from_millis(5_000);
        let of = |queued, rate| eta(&snapshot(&spec, &[queued], None), &spec, rate, now);
        assert_eq!(of(10, 0.0), None);
        assert_eq!(of(0, 0.0), Some(secs(0)));
        assert_eq!(of(10, 5.0), Some(secs(2)));
        assert_eq!(of(u64::MAX, 1.0), None);
        let mut meter = RateMeter::default();
        meter.observe(now, 10);
        assert!(meter.per_sec(Time::from_millis(4_000), 5).abs() < f64::EPSILON);
        meter.observe(Time::from_millis(1_000), 10);
        assert!(meter.per_sec(Time::from_millis(2_000), 12) > 1.9);
    }

    #[test]
    fn waves_come_one_after_the_other_each_with_its_soak() {
        let spec = spec(&[(60, 10), (30, 100)]);
        let mut snapshot = snapshot(&spec, &[10, 90], None);
        let now = Time::from_millis(0);
        assert_eq!(eta(&snapshot, &spec, 1.0, now), Some(secs(10 + 60 + 90 + 30)));
        snapshot.progression.waves[0].state = WaveState::Soaking { since: now };
        snapshot.cohorts[0].counts = Counts { succeeded: 10, ..Counts::default() };
        let later = now + Duration::from_secs(45);
        assert_eq!(eta(&snapshot, &spec, 1.0, later), Some(secs(15 + 90 + 30)));
        snapshot.progression.waves[0].state = WaveState::Stopped { at: now };
        assert_eq!(eta(&snapshot, &spec, 1.0, later), None);
    }

    #[test]
    fn work_goes_on_only_within_hours() {
        let mut spec = spec(&[]);
        spec.schedule.hours =
            Hours { windows: vec!["02:00-03:00".parse().unwrap()], freezes: vec![] };
        let utc = Zone::utc();
        let snapshot = snapshot(&spec, &[5_400], Some(&utc));
        // An hour of work tonight, half an hour tomorrow night.
        let midnight = Time::from_millis(0);
        assert_eq!(eta(&snapshot, &spec, 1.0, midnight), Some(secs(26 * 3_600 + 1_800)));
    }
}
