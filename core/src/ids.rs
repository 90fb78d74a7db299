//! Names of things, so that one kind can never be taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::release::Release;

/// One rollout; sent to devices as `X-Update-ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub Uuid);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One device in one round of one rollout: the key of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AssignmentId(pub i64);

impl fmt::Display for AssignmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Raised at every start of a driver: tells its claims from those of one that died.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub i64);

/// A rollout as people know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutName {
    /// Its id.
    pub id: RolloutId,
    /// Its number in its state directory.
    pub number: i64,
    /// The name of its release.
    pub name: String,
    /// The version of its release.
    pub version: String,
}

impl RolloutName {
    /// The name of a rollout that sends a release.
    pub fn of(id: RolloutId, number: i64, release: &Release) -> Self {
        Self { id, number, name: release.name.clone(), version: release.version.clone() }
    }
}

impl fmt::Display for RolloutName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, name, version, .. } = self;
        write!(f, "rollout {number} ({name} {version})")
    }
}
