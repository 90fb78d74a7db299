//! Whether a device may be touched now, and when that changes.
//!
//! Owns the type a rollout is written with and the answer it gets. The search itself is in
//! `sweep`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Freeze, Window, Zone, sweep::Sweep};
use crate::time::Time;

/// How far ahead is looked: two years and more, so that what comes once a year (a frozen season, a
/// clock change that makes a window impossible) is looked past, and the work stays bounded.
pub const HORIZON: Duration = Duration::from_hours(800 * 24);

/// Most windows of one rollout: one for each day and night is 14.
pub const WINDOWS_MAX: usize = 64;

/// Most freezes of one rollout: one a week for years.
pub const FREEZES_MAX: usize = 256;

/// When devices may be touched: inside a window, if there are any, and outside of every freeze.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Lists")]
pub struct Hours {
    /// Any of these; none means any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// None of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
}

/// [`Hours`] before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    #[serde(default)]
    windows: Vec<Window>,
    #[serde(default)]
    freezes: Vec<Freeze>,
}

/// Why lists of windows and freezes are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// More than [`WINDOWS_MAX`].
    #[error("{0} windows are more than the {WINDOWS_MAX} there may be")]
    Windows(usize),
    /// More than [`FREEZES_MAX`].
    #[error("{0} freezes are more than the {FREEZES_MAX} there may be")]
    Freezes(usize),
}

impl TryFrom<Lists> for Hours {
    type Error = HoursError;

    fn try_from(Lists { windows, freezes }: Lists) -> Result<Self, HoursError> {
        Self::new(windows, freezes)
    }
}

/// Whether devices of a zone may be touched. An answer holds from the instant it was asked for
/// until the one it names (exclusive), so it may be kept that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// They may.
    Open {
        /// The first instant at which they may not; `None` if there is none before the
        /// [`HORIZON`].
        until: Option<Time>,
    },
    /// They may not.
    Closed {
        /// What forbids it.
        by: ClosedBy,
        /// The first instant at which they may; `None` if there is none before the [`HORIZON`].
        opens_at: Option<Time>,
    },
}

impl Phase {
    /// Whether devices may be touched.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// When to ask again: the first instant at which it is the other way around. If there is none,
    /// ask again before the [`HORIZON`] is reached.
    pub const fn changes_at(self) -> Option<Time> {
        match self {
            Self::Open { until } => until,
            Self::Closed { opens_at, .. } => opens_at,
        }
    }
}

/// What keeps devices closed; a freeze is named even if no window is open either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// No window is open.
    Window,
    /// The first freeze in the list that holds now, by its index. By the time devices open,
    /// others may have held as well.
    Freeze(usize),
}

impl Hours {
    /// Windows and freezes, checked for their number.
    ///
    /// # Errors
    /// [`HoursError`] says which are too many.
    pub fn new(windows: Vec<Window>, freezes: Vec<Freeze>) -> Result<Self, HoursError> {
        if windows.len() > WINDOWS_MAX {
            return Err(HoursError::Windows(windows.len()));
        }
        if freezes.len() > FREEZES_MAX {
            return Err(HoursError::Freezes(freezes.len()));
        }
        Ok(Self { windows, freezes })
    }

    /// Why there is a freeze, if it is one that closes and that was said.
    pub fn reason(&self, by: ClosedBy) -> Option<String> {
        let ClosedBy::Freeze(at) = by else { return None };
        self.freezes.get(at).and_then(Freeze::reason).map(str::to_owned)
    }

    /// Whether devices may be touched at any time.
    pub fn is_always_open(&self) -> bool {
        self.windows.is_empty() && self.freezes.is_empty()
    }

    /// Whether devices of a zone may be touched at an instant, and when that changes.
    pub fn at(&self, zone: &Zone, now: Time) -> Phase {
        if self.is_always_open() {
            return Phase::Open { until: None };
        }
        let mut sweep = Sweep::new(self, zone, now);
        let by = match sweep.frozen_by() {
            Some(index) => ClosedBy::Freeze(index),
            None if sweep.is_in_window() => return Phase::Open { until: sweep.closing() },
            None => ClosedBy::Window,
        };
        Phase::Closed { by, opens_at: sweep.opening() }
    }

    /// The first instant, `now` or later, at which devices of a zone may be touched; `None` if
    /// there is none before the [`HORIZON`].
    pub fn next_opening(&self, zone: &Zone, now: Time) -> Option<Time> {
        match self.at(zone, now) {
            Phase::Open { .. } => Some(now),
            Phase::Closed { opens_at, .. } => opens_at,
        }
    }
}
