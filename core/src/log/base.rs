//! What a log begins with whose older entries were pruned.

use serde::{Deserialize, Serialize};

use super::{CohortCounts, Ids, Listed, Met, Relative, Stands, Step};
use crate::{
    assignment::{Assignment, State},
    ids::AssignmentId,
    rollout::{Progression, Spec},
};

/// Everything that follows from the entries before, as far as those behind rest on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// What is to happen.
    pub spec: Spec,
    /// Where the rollout stands.
    pub progression: Progression,
    /// Where it stood when that was written down last, as far as that was elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood: Option<Stands>,
    /// The decisions that the driver was made with, and its time zone database; none before there
    /// was a driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<(u32, String)>,
    /// The last decision that was written down, whole.
    pub step: Relative<Step>,
    /// Assignments that have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenRows>,
    /// Those that have, counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<(u32, CohortCounts)>,
    /// What the driver counts, and in which round.
    pub counted: (u32, Vec<CohortCounts>),
    /// Those of the open that were claimed before, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub met: Vec<Met>,
    /// Those that the driver has in memory otherwise than they are written down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjusted: Vec<(AssignmentId, Assignment)>,
}

/// Assignments of one cohort that stand alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenRows {
    /// Which ones, and of which cohort; its state is that of the assignment.
    #[serde(flatten)]
    pub of: Listed,
    /// Where they stand.
    pub stands: Assignment,
}

impl OpenRows {
    /// One assignment of a cohort.
    pub(super) fn one(of: Listed, id: AssignmentId, stands: Assignment) -> Self {
        Self { of: Listed { state: State::Queued, ids: Ids::one(id), ..of }, stands }
    }
}
