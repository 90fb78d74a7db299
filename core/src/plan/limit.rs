//! How many devices may be claimed: the least of all limits, and which one it is.

use super::{Plan, course};
use crate::{
    hours::{Phase, Zone},
    rollout::Spec,
    snapshot::{Counts, Snapshot},
    time::Time,
    verify::Mode,
    waiting::WaitingOn,
};

pub(super) fn limit(
    snapshot: &Snapshot,
    spec: &Spec,
    now: Time,
    counts: &Counts,
    mut plan: Plan,
) -> Plan {
    if snapshot.is_stopping {
        plan.waiting_on = vec![WaitingOn::Stopping];
        return plan;
    }
    // It has begun, and then the clock was set back.
    if let Some(at) = spec.start_at.filter(|at| *at > now) {
        plan.waiting_on.insert(0, WaitingOn::StartAt { at });
        plan.wake_by(at);
        return plan;
    }
    let is_over = snapshot.progression.deadline(spec).is_some_and(|at| at <= now);
    let reach = reach(snapshot, spec, is_over, now, &mut plan);
    let limits = &spec.limits;
    let mut least = Least::of(&reach);
    let open_max = u64::from(limits.max_in_flight) + u64::from(snapshot.ahead_max);
    least.narrow(open_max.saturating_sub(counts.delivering), || WaitingOn::InFlight {
        max: limits.max_in_flight,
    });
    let unverified = match spec.verify.mode {
        Mode::None => 0,
        Mode::Version | Mode::Reachable => counts.delivering + counts.verifying,
    };
    let max_unverified = u64::from(limits.max_unverified);
    let unverified_reason = || WaitingOn::Unverified { max: limits.max_unverified };
    least.narrow(max_unverified.saturating_sub(unverified), unverified_reason);
    least.narrow(u64::from(snapshot.driver_places), || WaitingOn::Driver);
    if let Some(per_minute) = limits.per_minute {
        let next_at = snapshot.allowance.next_at;
        let allowed = u64::from(snapshot.allowance.claims);
        let is_held = least.narrow(allowed, || WaitingOn::Rate { per_minute, next_at });
        if is_held {
            plan.wake_by(next_at);
        }
    }
    // A device that is to be tried again is in doubt, too: without this, a release that makes
    // every device answer 503 would be sent to all of them before the first one has failed.
    let fresh_places = max_unverified.saturating_sub(unverified + counts.retrying);
    let fresh_max = least.places.min(reach.fresh).min(fresh_places);
    let is_doubt_least = least.narrow(fresh_max + reach.retrying, unverified_reason);
    // Whatever else holds those that are tried again, this holds all that were not begun.
    let is_held = fresh_places == 0 && reach.fresh > 0;
    let reason = if is_held && !is_doubt_least { Some(unverified_reason()) } else { least.reason };
    if reach.fresh + reach.retrying > 0 {
        plan.waiting_on.splice(0..0, reason);
    }
    others(snapshot, spec, now, counts, &mut plan);
    let narrow = |places: u64| u32::try_from(places).unwrap_or(u32::MAX);
    plan.claims_max = narrow(least.places);
    plan.fresh_max = narrow(fresh_max);
    plan
}

/// What may be claimed as far as waves and hours go.
struct Reach {
    fresh: u64,
    retrying: u64,
}

/// Opens the cohorts whose wave and hours are open; says of the others when they will be.
fn reach(snapshot: &Snapshot, spec: &Spec, is_over: bool, now: Time, plan: &mut Plan) -> Reach {
    let mut reach = Reach { fresh: 0, retrying: 0 };
    let deadline = snapshot.progression.deadline(spec);
    let mut closed: Vec<WaitingOn> = vec![];
    for (at, cohort) in snapshot.cohorts.iter().enumerate() {
        let counts = &cohort.counts;
        let waves = &snapshot.progression.waves;
        let is_opened = waves.get(cohort.wave).is_some_and(|wave| wave.state.is_opened());
        let has_turn = is_opened && !is_over && !cohort.is_closed_for_good(now);
        let waiting = if has_turn { counts.waiting() } else { 0 };
        if waiting + counts.retrying == 0 {
            continue;
        }
        match cohort.phase {
            Phase::Open { until } => {
                reach.fresh += waiting;
                reach.retrying += counts.retrying;
                plan.open.push(at);
                if let Some(at) = until {
                    plan.wake_by(at);
                }
            }
            Phase::Closed { by, opens_at } => {
                if let Some(at) = opens_at {
                    plan.wake_by(at);
                }
                let zone = cohort.zone.clone().unwrap_or_else(Zone::utc);
                let here = waiting.saturating_sub(counts.absent);
                // Only what was begun may go on after the deadline.
                for (devices, deadline) in [(here, deadline), (counts.retrying, None)] {
                    let reason = spec.schedule.hours.reason(by);
                    let of = (devices, zone.clone());
                    let hours = WaitingOn::hours(of, (by, opens_at), reason, deadline);
                    add_closed(&mut closed, hours);
                }
            }
        }
    }
    let is_nobody = |reason: &WaitingOn| {
        matches!(
            reason,
            WaitingOn::Hours { devices: 0, .. } | WaitingOn::Deadline { devices: 0, .. }
        )
    };
    closed.retain(|reason| !is_nobody(reason));
    closed.sort_by_key(|reason| match reason {
        WaitingOn::Hours { opens_at, .. } => opens_at.map_or(i64::MAX, Time::as_millis),
        _ => 0,
    });
    plan.open.sort_by_key(|at| (snapshot.cohorts[*at].wave, *at));
    plan.waiting_on.append(&mut closed);
    reach
}

/// Cohorts of several waves in one zone wait for the same, and all for one deadline.
fn add_closed(closed: &mut Vec<WaitingOn>, more: WaitingOn) {
    for reason in closed.iter_mut() {
        match (reason, &more) {
            (
                WaitingOn::Hours { devices, zone, .. },
                WaitingOn::Hours { devices: count, zone: at, .. },
            ) if zone == at => *devices += count,
            (
                WaitingOn::Deadline { devices, before, .. },
                WaitingOn::Deadline { devices: count, before: what, .. },
            ) if before == what => *devices += count,
            _ => continue,
        }
        return;
    }
    closed.push(more);
}

/// Those that nothing can be done about now.
fn others(snapshot: &Snapshot, spec: &Spec, now: Time, counts: &Counts, plan: &mut Plan) {
    let Counts { away, absent, delivering, verifying, retrying, .. } = *counts;
    if away + absent > 0 {
        let deadline = snapshot.progression.deadline(spec);
        plan.waiting_on.push(WaitingOn::Away { away, absent, deadline });
    }
    if counts.queued == 0 && counts.active() > 0 {
        plan.waiting_on.push(WaitingOn::Active { delivering, verifying, retrying });
    }
    if counts.waiting() + counts.active() == 0
        && let Some(until) = course::joinable_until(snapshot, spec, now)
    {
        plan.waiting_on.push(WaitingOn::Joiners { until });
    }
}

struct Least {
    places: u64,
    reason: Option<WaitingOn>,
}

impl Least {
    const fn of(reach: &Reach) -> Self {
        Self { places: reach.fresh + reach.retrying, reason: None }
    }

    /// Whether this limit is the least so far.
    fn narrow(&mut self, places: u64, reason: impl FnOnce() -> WaitingOn) -> bool {
        let is_less = places < self.places;
        if is_less {
            *self = Self { places, reason: Some(reason()) };
        }
        is_less
    }
}
