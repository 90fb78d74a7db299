//! Devices of waves that soak as the store knows them: who was updated, and who is not well since.

use std::sync::Arc;

use groundswell_core::{budget::Per, ids::AssignmentId};
use serde::{Deserialize, Serialize};

use super::{Candidate, CohortKey, RolloutKey};

/// Which devices that were updated are wanted.
#[derive(Clone, Debug)]
pub struct PatientsWant {
    /// Of which rollout.
    pub rollout: RolloutKey,
    /// Some of a cohort.
    pub page: Option<PatientsPage>,
    /// These as well, as far as they are still those that the rollout left them.
    pub again: Vec<AssignmentId>,
    /// Kinds of failure domains.
    pub pers: Arc<[Per]>,
}

/// A part of a cohort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatientsPage {
    /// Which cohort.
    pub cohort: CohortKey,
    /// Behind this assignment.
    pub after: i64,
    /// How many assignments are looked at, at the most.
    pub limit: usize,
}

/// A device that was updated, and that nothing else was sent to since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patient {
    /// Which one, and how to reach it.
    pub candidate: Candidate,
    /// Whether it is known not to be well.
    pub is_regressed: bool,
    /// Whether it keeps slots for that.
    pub keeps_slots: bool,
    /// What it said by itself since its update, if it said that it is not well.
    pub own_word: Option<Box<str>>,
}

/// Devices that were updated.
#[derive(Debug, Default)]
pub struct Patients {
    /// Those of the page.
    pub page: Vec<Patient>,
    /// The last assignment that was looked at, and whether none is left behind it.
    pub read: Option<(i64, bool)>,
    /// Those that were asked for by name.
    pub again: Vec<Patient>,
}

/// A device that was updated is not well since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regression {
    /// Its assignment.
    pub id: AssignmentId,
    /// What it said.
    pub text: Box<str>,
}
