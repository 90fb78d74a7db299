//! Whether the time left that is told can be: no less than what must pass in any case.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use groundswell::{
    core::{
        check::first_turn_ends_at,
        progress::Progress,
        rollout::{Deadline, Progression, Schedule, Spec, WaveState, WhenClosed, ZoneRule},
        time::Time,
    },
    store::RolloutKey,
};

use super::{World, theme::ZONES};

/// The longest time left that is told.
const ETA_MAX: Duration = Duration::from_hours(100 * 24);

/// Windows that do not close within this close then, as far as is looked here.
const MINUTES_MAX: u32 = 31 * 24 * 60;

/// A zone, or none, as an inventory says it.
type DeviceZone = Option<String>;

/// When the only windows of zones close, in rollouts that began then.
#[derive(Debug, Default)]
pub(crate) struct Closings(BTreeMap<(RolloutKey, Time, DeviceZone), Time>);

/// What ends it before all is done.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    /// Nothing is waited for after this.
    deadline: Option<Time>,
    /// From this on devices may be left out that were not begun.
    closes_at: Option<Time>,
}

impl World {
    pub(crate) fn look_at_time_left(&mut self, key: RolloutKey, now: Time) {
        let Some(driver) = self.driver.as_mut() else { return };
        let Some(progress) = driver.engine.progress(key, now, 0) else { return };
        if progress.eta.is_none() {
            return;
        }
        let Some(progression) = driver.engine.progression(key).cloned() else { return };
        let cut = self.cut_of(key, &progression);
        if let Some(why) = fault(self.checker.spec(key), &progress, cut, now) {
            self.fail(&format!("rollout {}: {why}", key.0));
        }
    }

    fn cut_of(&mut self, key: RolloutKey, progression: &Progression) -> Cut {
        let spec = self.checker.spec(key);
        let Some(began_at) = progression.started_at else {
            // Whatever ends it is reckoned from its beginning.
            let is_cut = spec.deadline.is_some() || spec.schedule.when_closed == WhenClosed::End;
            return if is_cut {
                Cut { closes_at: Some(Time::ZERO), ..Cut::default() }
            } else {
                Cut::default()
            };
        };
        let deadline = spec.deadline.map(|deadline| match deadline {
            Deadline::At(at) => at,
            Deadline::After(wait) => began_at + wait,
        });
        let closes_at = (spec.schedule.when_closed == WhenClosed::End).then(|| {
            let zones = match spec.schedule.zone {
                ZoneRule::Fixed(_) => [None].into(),
                ZoneRule::Device { .. } => self.checker.zones_left(key),
            };
            let closings = &mut self.looks.closings;
            let all =
                zones.into_iter().map(|zone| closings.of(key, &spec.schedule, zone, began_at));
            all.min().unwrap_or(Time::MAX)
        });
        Cut { deadline, closes_at }
    }
}

impl Closings {
    fn of(
        &mut self,
        key: RolloutKey,
        schedule: &Schedule,
        zone: DeviceZone,
        began_at: Time,
    ) -> Time {
        *self.0.entry((key, began_at, zone)).or_insert_with_key(|(_, _, zone)| {
            let latest = began_at + Duration::from_mins(u64::from(MINUTES_MAX));
            first_turn_ends_at(schedule, zone.as_deref(), began_at, MINUTES_MAX).unwrap_or(latest)
        })
    }
}

/// Every zone that a device may be in.
pub(crate) fn all_zones() -> BTreeSet<DeviceZone> {
    let named = ZONES.iter().map(|zone| Some((*zone).to_owned()));
    named.chain([None]).collect()
}

/// Why the time left that is told cannot be: it is less than what must pass in any case.
fn fault(spec: &Spec, progress: &Progress, cut: Cut, now: Time) -> Option<String> {
    let eta = progress.eta?.as_secs_f64();
    let of_wave = |at: usize| spec.waves.get(at).map_or(Duration::ZERO, |wave| wave.soak);
    let mut wait = spec.start_at.map_or(Duration::ZERO, |at| at.since(now));
    let (mut left, mut begun) = (0, 0);
    for (at, wave) in progress.waves.iter().enumerate() {
        if let WaveState::Soaking { since } = wave.state {
            wait = wait.max((since + of_wave(at)).since(now));
        } else {
            left += wave.counts.queued + wave.counts.active();
            begun += wave.counts.delivering + wave.counts.verifying;
        }
    }
    let takes = |devices: u64| match devices {
        0 => 0.0,
        devices => devices as f64 / progress.ended_per_sec.max(f64::MIN_POSITIVE),
    };
    let until = |at: Option<Time>| at.map_or(f64::INFINITY, |at| at.since(now).as_secs_f64());
    // What is under way is waited for when the windows are over, too.
    let work = takes(left).min(until(cut.closes_at).max(takes(begun)));
    let least = work.max(wait.as_secs_f64()).min(until(cut.deadline));
    (eta < least * 0.99 - 0.001 || eta > ETA_MAX.as_secs_f64()).then(|| {
        format!(
            "{eta} s are said to be left, with {left} devices to go ({begun} begun) at {} a \
             second, a wait of {wait:?} and {cut:?}: that makes {least} s",
            progress.ended_per_sec
        )
    })
}

#[cfg(test)]
mod tests {
    use groundswell::core::{
        progress::WaveProgress,
        release::{Digest, Release},
        snapshot::Counts,
    };

    use super::*;

    /// 30 devices are begun and 70 are not, at 10 a second.
    fn is_right(eta_secs: u64, cut: Cut) -> bool {
        let spec = Spec::immediate(Release {
            name: "pos".to_owned(),
            version: "2.0.0".to_owned(),
            artifact: Digest([7; 32]),
            artifact_bytes: 12,
        });
        let counts = Counts { queued: 70, verifying: 30, ..Counts::default() };
        let state = WaveState::Open { since: Time::ZERO };
        let waves = vec![WaveProgress { state, verdict: None, counts }];
        let eta = Some(Duration::from_secs(eta_secs));
        let progress = Progress { counts, waves, eta, ended_per_sec: 10.0, ..Progress::default() };
        fault(&spec, &progress, cut, Time::from_millis(60_000)).is_none()
    }

    #[test]
    fn what_ends_it_leaves_less_to_wait_for_and_no_less_than_until_then() {
        let at = |secs: i64| Some(Time::from_millis(60_000 + secs * 1_000));
        let deadline = |secs| Cut { deadline: at(secs), ..Cut::default() };
        let closes = |secs| Cut { closes_at: at(secs), ..Cut::default() };
        assert!(is_right(10, Cut::default()) && !is_right(9, Cut::default()));
        assert!(is_right(6, deadline(6)) && !is_right(5, deadline(6)));
        assert!(is_right(0, deadline(-5)) && !is_right(9, deadline(11)));
        assert!(is_right(6, closes(6)) && !is_right(5, closes(6)));
        // Those who were begun are waited for.
        assert!(is_right(3, closes(-5)) && !is_right(2, closes(-5)));
    }
}
