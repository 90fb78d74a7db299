//! How many devices may be claimed now, and why not more.
//!
//! Owns the decision over counts: limits, canaries, the brake, and the end of a rollout. Knows no
//! device; which ones are claimed is [`crate::admit`]'s.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    brake::Evidence,
    rollout::{PauseReason, Spec, State},
    snapshot::{Counts, Snapshot},
    verify::Mode,
};

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How many devices may be claimed, on top of those that are.
    pub claims_max: u32,
    /// How many of these may be devices that were not begun before.
    pub fresh_max: u32,
    /// A change of the rollout itself; nothing may be claimed before it is carried out.
    pub change: Option<Change>,
    /// Why not more is claimed, the most telling reason first.
    pub waiting_on: Vec<WaitingOn>,
}

/// A change of the rollout itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Stop claiming.
    Pause {
        /// Why.
        reason: PauseReason,
        /// On which numbers.
        evidence: Evidence,
    },
    /// All canaries succeeded: the others may follow.
    PassCanary,
    /// Every device ended, none failed.
    Complete,
    /// Every device ended, some failed.
    Fail,
}

/// Why something does not happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingOn {
    /// The run was told to stop.
    Stopping,
    /// The rollout is paused.
    Paused(PauseReason),
    /// The canaries are not through.
    Canary {
        /// How many of them ended.
        ended: u64,
        /// How many there are.
        of: u32,
    },
    /// As many deliveries are open as may be.
    InFlight {
        /// The limit.
        max: u32,
    },
    /// As many devices are sent to and not verified, or to be tried again, as may be.
    Unverified {
        /// The limit.
        max: u32,
    },
    /// Nothing is left to claim; these are still under way.
    Active {
        /// Being sent to.
        delivering: u64,
        /// Asked for their version.
        verifying: u64,
        /// To be tried again.
        retrying: u64,
    },
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("stopping: nothing new is sent"),
            Self::Paused(reason) => write!(f, "paused by the {reason}"),
            Self::Canary { ended, of } => write!(f, "canaries: {ended} of {of} are through"),
            Self::InFlight { max } => write!(f, "{max} deliveries are open, the most allowed"),
            Self::Unverified { max } => {
                write!(f, "{max} devices are begun and not known to be well, the most allowed")
            }
            Self::Active { delivering, verifying, retrying } => write!(
                f,
                "{delivering} being sent to, {verifying} to show their version, \
                 {retrying} to be tried again"
            ),
        }
    }
}

/// Decides from counts alone.
pub fn plan(snapshot: &Snapshot, spec: &Spec) -> Plan {
    let Snapshot { progression, counts, .. } = snapshot;
    match progression.state {
        State::Running => {}
        State::Paused => {
            let waiting_on = progression.paused.iter().copied().map(WaitingOn::Paused).collect();
            return Plan { waiting_on, ..Plan::none(end(counts)) };
        }
        _ => return Plan::none(None),
    }
    let change = end(counts)
        .or_else(|| brake(counts, spec))
        .or_else(|| if progression.has_canary_passed { None } else { canary(counts, spec) });
    if change.is_some() {
        return Plan::none(change);
    }
    limit(snapshot, spec)
}

impl Plan {
    const fn none(change: Option<Change>) -> Self {
        Self { claims_max: 0, fresh_max: 0, change, waiting_on: vec![] }
    }
}

fn end(counts: &Counts) -> Option<Change> {
    if counts.queued + counts.active() > 0 {
        return None;
    }
    Some(if counts.failures() + counts.canceled == 0 { Change::Complete } else { Change::Fail })
}

fn brake(counts: &Counts, spec: &Spec) -> Option<Change> {
    let evidence = spec.brake.judge(counts)?;
    Some(Change::Pause { reason: PauseReason::Brake, evidence })
}

/// The verdict over the canaries, of which as many are begun as are not queued.
fn canary(counts: &Counts, spec: &Spec) -> Option<Change> {
    let canaries = u64::from(spec.canary).min(counts.total());
    if counts.failures() + counts.canceled > 0 {
        let evidence = Evidence {
            failures: counts.failures(),
            unreachable: counts.unreachable,
            ended: counts.ended(),
            allowed: crate::brake::Brake::Count(0),
        };
        return Some(Change::Pause { reason: PauseReason::Canary, evidence });
    }
    (counts.ended() >= canaries).then_some(Change::PassCanary)
}

/// The least of all limits, and which one it is, if any holds claims back.
fn limit(snapshot: &Snapshot, spec: &Spec) -> Plan {
    let Snapshot { progression, counts, ahead_max, is_stopping } = snapshot;
    if *is_stopping {
        return Plan { waiting_on: vec![WaitingOn::Stopping], ..Plan::none(None) };
    }
    let limits = &spec.limits;
    let open_max = u64::from(limits.max_in_flight) + u64::from(*ahead_max);
    let mut least = Least::of(counts);
    least.narrow(
        open_max.saturating_sub(counts.delivering),
        WaitingOn::InFlight { max: limits.max_in_flight },
    );
    let unverified = match spec.verify.mode {
        Mode::None => 0,
        Mode::Version | Mode::Reachable => counts.delivering + counts.verifying,
    };
    let max_unverified = u64::from(limits.max_unverified);
    least.narrow(
        max_unverified.saturating_sub(unverified),
        WaitingOn::Unverified { max: limits.max_unverified },
    );
    // A device that is to be tried again is in doubt, too: without this, a release that makes
    // every device answer 503 would be sent to all of them before the first one has failed.
    let fresh_places = max_unverified.saturating_sub(unverified + counts.retrying);
    let mut fresh_max = least.places.min(counts.queued).min(fresh_places);
    least.narrow(fresh_max + counts.retrying, WaitingOn::Unverified { max: limits.max_unverified });
    if !progression.has_canary_passed {
        let of = spec.canary;
        let begun = counts.total() - counts.queued;
        fresh_max = fresh_max.min(u64::from(of).saturating_sub(begun));
        least.narrow(fresh_max + counts.retrying, WaitingOn::Canary { ended: counts.ended(), of });
    }
    let narrow = |places: u64| u32::try_from(places).unwrap_or(u32::MAX);
    Plan {
        claims_max: narrow(least.places),
        fresh_max: narrow(fresh_max),
        change: None,
        waiting_on: least.reason.into_iter().collect(),
    }
}

struct Least {
    places: u64,
    reason: Option<WaitingOn>,
}

impl Least {
    fn of(counts: &Counts) -> Self {
        let Counts { queued, delivering, verifying, retrying, .. } = *counts;
        let reason = (queued + retrying == 0).then_some(WaitingOn::Active {
            delivering,
            verifying,
            retrying,
        });
        Self { places: queued + retrying, reason }
    }

    fn narrow(&mut self, places: u64, reason: WaitingOn) {
        if places < self.places {
            *self = Self { places, reason: Some(reason) };
        }
    }
}

#[cfg(test)]
mod tests;
