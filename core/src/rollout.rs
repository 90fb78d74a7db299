//! A rollout: what is to happen, and where it stands.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{brake::Brake, release::Release, retry, verify};

/// Most deliveries that may be open at once: beyond this, sockets and memory of one machine end.
pub const IN_FLIGHT_LIMIT: u32 = 10_000;

/// Most devices that may be sent to and not verified.
pub const UNVERIFIED_LIMIT: u32 = 1_000_000;

/// Longest time a device may be given to show the new version.
pub const VERIFY_TIMEOUT_LIMIT: Duration = Duration::from_hours(168);

/// What is to happen: one release to the devices selected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What is sent.
    pub release: Release,
    /// The selector that chose the devices, in its canonical text.
    pub select: Option<String>,
    /// How much may happen at once.
    pub limits: Limits,
    /// When a device is tried again.
    pub retry: retry::Policy,
    /// How a device shows that it runs the release.
    pub verify: Verify,
    /// When to stop by itself.
    pub brake: Brake,
    /// This many devices go first; the others only if all of these succeeded. 0: none.
    pub canary: u32,
}

impl Spec {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`SpecError`] names the field.
    pub fn check(&self) -> Result<(), SpecError> {
        let Limits { max_in_flight, max_unverified, max_per_host } = self.limits;
        let in_range = |field, value: u32, max: u32| {
            if (1..=max).contains(&value) {
                Ok(())
            } else {
                Err(SpecError::Range { field, value, max })
            }
        };
        in_range("max_in_flight", max_in_flight, IN_FLIGHT_LIMIT)?;
        in_range("max_unverified", max_unverified, UNVERIFIED_LIMIT)?;
        in_range("max_per_host", max_per_host, IN_FLIGHT_LIMIT)?;
        if self.verify.timeout > VERIFY_TIMEOUT_LIMIT {
            return Err(SpecError::VerifyTimeout(self.verify.timeout));
        }
        Ok(())
    }
}

/// A value of a [`Spec`] that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A limit out of range.
    #[error("{field} must be between 1 and {max}, not {value}")]
    Range {
        /// Which one.
        field: &'static str,
        /// As given.
        value: u32,
        /// The most it may be.
        max: u32,
    },
    /// Too long to wait for one device.
    #[error("verify_timeout must be at most 7 days, not {0:?}")]
    VerifyTimeout(Duration),
}

/// How much may happen at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Open deliveries.
    pub max_in_flight: u32,
    /// Devices sent to and not yet verified (they may all be rebooting) or to be tried again.
    pub max_unverified: u32,
    /// Open deliveries to one host (scheme, name and port): gateways front many devices.
    pub max_per_host: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_in_flight: 100, max_unverified: 1_000, max_per_host: 10 }
    }
}

/// How a device shows that it runs the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// What counts as proof.
    pub mode: verify::Mode,
    /// How long a device has to show it after it was sent to.
    pub timeout: Duration,
    /// Whether a first attempt asks before it sends.
    pub first: bool,
}

impl Default for Verify {
    fn default() -> Self {
        Self { mode: verify::Mode::Version, timeout: Duration::from_mins(1), first: false }
    }
}

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its devices are being written down; nothing is sent.
    Preparing,
    /// Devices are claimed as limits allow.
    Running,
    /// Nothing new is claimed, for the reasons kept beside it.
    Paused,
    /// Every device ended, none of them failed.
    Completed,
    /// Every device ended, some of them failed.
    Failed,
    /// Given up by the operator.
    Canceled,
}

impl State {
    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads what [`State::as_str`] wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Preparing,
            Self::Running,
            Self::Paused,
            Self::Completed,
            Self::Failed,
            Self::Canceled,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }

    /// Whether nothing will ever happen again, except by a next round.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why nothing new is claimed. Reasons stand side by side: one never clears another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// More devices failed than `max_failures` allows.
    Brake,
    /// Not every canary succeeded.
    Canary,
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Brake => "brake",
            Self::Canary => "canary",
        })
    }
}

/// Where a rollout stands, with all that a decision needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progression {
    /// The state.
    pub state: State,
    /// Why it is paused; empty unless it is.
    pub paused: BTreeSet<PauseReason>,
    /// Whether all canaries succeeded, or there are none.
    pub has_canary_passed: bool,
    /// Which round it is in, counted from 1.
    pub round: u32,
}
