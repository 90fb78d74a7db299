//! Findings about windows and freezes: none that opens, one too short, one in the way.

use std::time::Duration;

use super::{Code, Facts, Finding};
use crate::{
    event::devices_of,
    hours::{ClosedBy, Hours, Phase, Window, Zone},
    rollout::Spec,
    time::Time,
    units::Span,
    verify::Mode,
};

/// Openings and closings that a forecast goes through: months of nights. What takes longer than
/// that is told to end later than it was followed, which is true.
const STEPS_MAX: usize = 200;

/// When a rollout that is started now may begin.
fn begins_at(spec: &Spec, facts: &Facts) -> Time {
    spec.start_at.map_or(facts.now, |at| at.max(facts.now))
}

/// Zones that do not open any more, or only when it is too late.
pub(super) fn never_open(spec: &Spec, facts: &Facts) -> Option<Finding> {
    let begins = begins_at(spec, facts);
    let deadline = spec.deadline.map(|deadline| deadline.resolve(begins));
    let opens = |zone: &Zone| spec.schedule.hours.next_opening(zone, begins);
    let is_closed = |(zone, _): &&(Zone, u64)| match (opens(zone), deadline) {
        (None, _) => true,
        (Some(at), Some(deadline)) => at >= deadline,
        (Some(_), None) => false,
    };
    let closed: Vec<&(Zone, u64)> = facts.zones.iter().filter(is_closed).collect();
    let (first, _) = closed.first()?;
    let devices: u64 = closed.iter().map(|(_, devices)| devices).sum();
    let when = match opens(first) {
        None => "no window opens again outside of a freeze".to_owned(),
        Some(at) => format!(
            "the first opening, {}, is not before the deadline",
            first.local_text(at, facts.now)
        ),
    };
    let more = match closed.len() {
        1 => String::new(),
        2 => ", and in 1 more zone".to_owned(),
        many => format!(", and in {} more zones", many - 1),
    };
    let is = if devices == 1 { "is" } else { "are" };
    let text = format!(
        "in {}{more} {when}: {} of {} {is} never touched; write other hours",
        first.name(),
        devices,
        devices_of(facts.devices)
    );
    let field = if spec.schedule.hours.windows.is_empty() { "freezes" } else { "windows" };
    Some(if devices >= facts.devices {
        Finding::error(Code::NeverOpen, field, text)
    } else {
        Finding::warning(Code::NeverOpen, field, text)
    })
}

/// How long the update of one device may take by its time-outs.
fn update_max(spec: &Spec) -> Duration {
    let verify = match spec.verify.mode {
        Mode::None => Duration::ZERO,
        _ => spec.verify.timeout,
    };
    spec.delivery_timeout.unwrap_or_default() + verify
}

/// Windows in which an update may not end, though it begins with them.
pub(super) fn short_windows(spec: &Spec) -> Vec<Finding> {
    let update = update_max(spec);
    let windows = spec.schedule.hours.windows.iter().enumerate();
    let short = windows.filter(|(_, window)| length(**window) < update);
    let finding = |(index, window): (usize, &Window)| {
        let text = format!(
            "{window} lasts {}, and one update may take {} by its time-outs (timeouts.delivering \
             and timeouts.verifying): devices would still be busy when it has closed; write a longer \
             window, or shorter time-outs",
            Span(length(*window)),
            Span(update)
        );
        Finding::warning(Code::ShortWindow, format!("windows[{}]", index + 1), text)
    };
    short.map(finding).collect()
}

fn length(window: Window) -> Duration {
    let (from, to) = (u64::from(window.from().minutes()), u64::from(window.to().minutes()));
    let day = if to < from { 24 * 60 } else { 0 };
    Duration::from_mins(to + day - from)
}

/// The first freeze that begins before the rollout can have ended, or holds when it begins.
pub(super) fn freezes(spec: &Spec, facts: &Facts) -> Option<Finding> {
    let only = Hours { windows: vec![], freezes: spec.schedule.hours.freezes.clone() };
    if only.freezes.is_empty() || facts.devices == 0 {
        return None;
    }
    let begins = begins_at(spec, facts);
    let ends = soonest_end(spec, facts, begins);
    let inside = |(zone, _): &(Zone, u64)| match only.at(zone, begins) {
        Phase::Closed { by: ClosedBy::Freeze(freeze), .. } => Some((zone.clone(), freeze, begins)),
        Phase::Open { until: Some(at) } if at < ends => match only.at(zone, at) {
            Phase::Closed { by: ClosedBy::Freeze(freeze), .. } => Some((zone.clone(), freeze, at)),
            _ => None,
        },
        _ => None,
    };
    let (zone, freeze, at) = facts.zones.iter().find_map(inside)?;
    let range = &only.freezes[freeze];
    let reason = range.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let local = |at| zone.local_text(at, facts.now);
    let text = if at <= begins {
        format!(
            "{range}{reason} holds in {} when it may begin: nothing is begun there before it is over",
            zone.name()
        )
    } else {
        format!(
            "{range}{reason} begins in {} at {}, and it ends at {} at the soonest: what has had no \
             turn by then waits until the freeze is over",
            zone.name(),
            local(at),
            local(ends)
        )
    };
    Some(Finding::warning(Code::FreezeInside, format!("freezes[{}]", freeze + 1), text))
}

/// When a rollout has ended at the soonest: what its rate, its soaks and its hours add up to, with
/// updates that take no time and gates that say go at once.
fn soonest_end(spec: &Spec, facts: &Facts, begins: Time) -> Time {
    let mut clock = Walk { spec, facts, at: begins, steps: STEPS_MAX };
    for (wave, devices) in facts.waves.iter().enumerate() {
        if *devices == Some(0) {
            continue;
        }
        let busy = match (spec.limits.per_minute, devices) {
            (Some(per_minute), Some(devices)) => {
                Duration::from_secs(devices.saturating_sub(1) * 60 / u64::from(per_minute.max(1)))
            }
            _ => Duration::ZERO,
        };
        clock.work(busy);
        if wave + 1 < spec.wave_count() {
            clock.at = clock.at + spec.gate(wave).0;
        }
    }
    let deadline = spec.deadline.map(|deadline| deadline.resolve(begins));
    deadline.map_or(clock.at, |deadline| clock.at.min(deadline))
}

/// A clock that runs through the hours of all zones together.
struct Walk<'a> {
    spec: &'a Spec,
    facts: &'a Facts,
    at: Time,
    steps: usize,
}

impl Walk<'_> {
    /// Goes on to where some zone is open, and through so much time in which some zone is.
    fn work(&mut self, mut left: Duration) {
        while self.steps > 0 {
            self.steps -= 1;
            let phases = self.facts.zones.iter();
            let phases: Vec<Phase> =
                phases.map(|(zone, _)| self.spec.schedule.hours.at(zone, self.at)).collect();
            let is_open = phases.iter().any(|phase| phase.is_open());
            let next = phases
                .iter()
                .filter(|phase| phase.is_open() == is_open)
                .map(|phase| phase.changes_at().unwrap_or(Time::MAX));
            if !is_open {
                match next.min() {
                    Some(at) if at < Time::MAX => self.at = at,
                    // Nobody opens any more, which is told elsewhere; or there are no hours.
                    _ => break,
                }
                continue;
            }
            // Another zone may open before the last of these closes, which the next step sees.
            let until = next.max().unwrap_or(Time::MAX);
            if self.at + left <= until {
                break;
            }
            left = left.saturating_sub(until.since(self.at));
            self.at = until;
        }
        self.at = self.at + left;
    }
}
