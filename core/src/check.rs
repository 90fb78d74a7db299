//! What must never happen, as data, and a bookkeeper that notices when it does.
//!
//! Owns the invariants and the [`Ledger`] that is told what really happened. It shares no code with
//! what decides: no plan, no gate, no admission and no search for windows is called here, so that
//! a mistake there is not made twice. Type to read first: [`Invariant`].

mod failing;
mod ledger;
mod odds;
mod outside;
mod rollout;
mod sites;
mod states;
mod wall;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::ledger::Ledger;
use crate::{
    assignment::State,
    gate::{
        Ruling,
        regression::{Evidence, Results},
    },
    ids::RolloutId,
    rollout::Schedule,
    snapshot::Counts,
    time::Time,
};

/// When a device's first turn from then on is over, by the clock on the wall in its IANA time zone;
/// none if that is not within so many minutes.
pub fn first_turn_ends_at(
    schedule: &Schedule,
    zone: Option<&str>,
    from: Time,
    minutes_max: u32,
) -> Option<Time> {
    wall::first_end(schedule, &wall::zone(schedule, zone), from, minutes_max)
}

/// What holds at every moment of every rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// Waves wait for gates.
    Gates,
    /// Limits hold.
    Limits,
    /// A stop is a stop.
    Silence,
    /// Hours are kept.
    Hours,
    /// Nothing is lost, and nothing is sent twice.
    Once,
    /// One end for each device, and the counts add up.
    Ends,
    /// The same input gives the same bytes. A run cannot notice this about itself: it is checked
    /// by running again.
    Replay,
}

impl Invariant {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Gates,
        Self::Limits,
        Self::Silence,
        Self::Hours,
        Self::Once,
        Self::Ends,
        Self::Replay,
    ];

    /// Counted from 1, as published.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// In words, as published.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Gates => {
                "A wave never opens before the gate of the previous one said go or an operator's \
                 advance is recorded; doubt waits, it never advances."
            }
            Self::Limits => {
                "No claim makes open deliveries, devices begun and not known to be well, \
                 deliveries to one host, or devices of a failure domain that are out of order more \
                 than their limit, also across a restart. The world may exceed a limit by itself: \
                 then nothing is claimed. Nor is a device claimed that failed as many rollouts in a \
                 row as leave it out, until one went well or an operator released it; nobody else is \
                 left out for that."
            }
            Self::Silence => {
                "After a pause, a cancel or an abort is acknowledged, nothing is claimed and \
                 nothing unsent is sent."
            }
            Self::Hours => {
                "Nothing is claimed outside of its window or inside of a freeze, judged by the \
                 clock on the device's wall."
            }
            Self::Once => {
                "A restart loses no acknowledged result, only what was claimed is sent, and no \
                 device is sent to again before it refused or showed another version."
            }
            Self::Ends => {
                "Every device of a round comes to exactly one end, which never changes, or is \
                 visibly open with a reason; counts add up; a device is active in one rollout at \
                 most."
            }
            Self::Replay => "Running a logged step again gives the same bytes.",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.number(), self.text())
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which one.
    pub invariant: Invariant,
    /// What happened instead, with its numbers.
    pub what: String,
}

impl fmt::Display for Breach {
    /// Such as `invariant 3: pos-7 was sent to after the stop was acknowledged`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.invariant.number(), self.what)
    }
}

/// What really happened, told once it is durable, in the order in which it became so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation<'a> {
    /// A device was written down for a rollout; it is queued.
    Listed {
        /// For which rollout.
        rollout: RolloutId,
        /// The device's id.
        device: &'a str,
        /// In which wave, counted from 0.
        wave: usize,
    },
    /// A device went from one state to another. From a waiting one, or to be tried again, to an
    /// open one is a claim.
    State {
        /// In which rollout.
        rollout: RolloutId,
        /// The device's id.
        device: &'a str,
        /// Where it stood.
        from: State,
        /// Where it stands.
        to: State,
    },
    /// The first byte of a delivery left.
    Sent {
        /// For which rollout.
        rollout: RolloutId,
        /// The device's id.
        device: &'a str,
    },
    /// A delivery ended, whatever came of it.
    Over {
        /// For which rollout.
        rollout: RolloutId,
        /// The device's id.
        device: &'a str,
    },
    /// A delivery ended without any doubt that the device did not take it: the body did not leave
    /// whole, or it refused.
    NotTaken {
        /// For which rollout.
        rollout: RolloutId,
        /// The device's id.
        device: &'a str,
    },
    /// A device showed which version it runs.
    Showed {
        /// The device's id.
        device: &'a str,
        /// The version.
        version: &'a str,
    },
    /// The devices of a wave may be claimed.
    WaveOpened {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which one, counted from 0.
        wave: usize,
    },
    /// A wave ended, and its soak begins.
    WaveEnded {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which one, counted from 0.
        wave: usize,
    },
    /// An operator said to advance over a wave.
    Advanced {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which one, counted from 0.
        wave: usize,
    },
    /// An operator said to advance over the regression test.
    Accepted {
        /// Of which rollout.
        rollout: RolloutId,
        /// What came of devices before, which it looks at no more.
        results: Results,
    },
    /// The regression test stopped a rollout.
    Regressed {
        /// Which one.
        rollout: RolloutId,
        /// On these numbers.
        evidence: Evidence,
    },
    /// A device that was updated is not well since, and that is written down.
    Unwell {
        /// In which rollout.
        rollout: RolloutId,
        /// The device's id.
        device: &'a str,
    },
    /// The gate of a wave ruled, or an operator's advance took its place.
    GateRuled {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which one, counted from 0.
        wave: usize,
        /// What it said.
        ruling: Ruling,
    },
    /// An operator approved what is behind a wave.
    Approved {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which one, counted from 0.
        wave: usize,
    },
    /// A check was answered.
    Answered {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which gate, by its place in the spec.
        gate: usize,
        /// When it was asked.
        asked_at: Time,
        /// Whether what it said is go, as whoever answered knows.
        is_go: bool,
    },
    /// A pause, a cancel or an abort was acknowledged, or a gate or the brake stopped it.
    Stopped {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// A rollout goes on, and nothing pauses it any more.
    Resumed {
        /// Which one.
        rollout: RolloutId,
    },
    /// What is shown as the numbers of a rollout.
    Counted {
        /// Of which one.
        rollout: RolloutId,
        /// All of its devices in this round.
        counts: &'a Counts,
    },
    /// Nothing is claimed and nothing changes; so many reasons are shown.
    Idle {
        /// In which rollout.
        rollout: RolloutId,
        /// How many.
        reasons: usize,
    },
    /// A rollout came to its end.
    Ended {
        /// Which one.
        rollout: RolloutId,
    },
    /// The next round of a rollout begins; its devices are listed anew.
    RoundBegan {
        /// Of which one.
        rollout: RolloutId,
    },
    /// A device called, and that is written down: what it failed in was no end of it. One that is
    /// not well since its update may call all the same.
    Called {
        /// The device's id.
        device: &'a str,
    },
    /// A device was found to be well, and that is written down.
    Recovered {
        /// The device's id.
        device: &'a str,
    },
    /// An operator released the slot that a device which failed kept in one of its domains.
    Released {
        /// The device's id.
        device: &'a str,
        /// The key of the tag by which that is a domain.
        key: &'a str,
    },
    /// An operator released a device that failed rollouts in a row: it may take part again.
    TakesPart {
        /// The device's id.
        device: &'a str,
    },
    /// The driver was killed and started again.
    Restarted,
}
