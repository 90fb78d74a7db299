//! Assignments in the order in which something happened to them, neighbors in one.

use serde::{Deserialize, Serialize};

use crate::ids::AssignmentId;

/// Most assignments that one run may stand for: more than any transaction touches, so that a log
/// that was damaged is not counted through for ever.
const RUN_MAX: i64 = 10_000_000;

/// Ids in order: one stands for itself, a pair for all from its first to its last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ids(Vec<Run>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Run {
    One(i64),
    Many([i64; 2]),
}

impl Run {
    const fn bounds(self) -> (i64, i64) {
        match self {
            Self::One(id) => (id, id),
            Self::Many([first, last]) => (first, last),
        }
    }
}

impl Ids {
    /// One assignment.
    pub fn one(id: AssignmentId) -> Self {
        Self(vec![Run::One(id.0)])
    }

    /// Adds one behind the others.
    pub fn push(&mut self, id: AssignmentId) {
        if let Some(run) = self.0.last_mut() {
            let (first, last) = run.bounds();
            if last.checked_add(1) == Some(id.0) {
                *run = Run::Many([first, id.0]);
                return;
            }
        }
        self.0.push(Run::One(id.0));
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = AssignmentId> + '_ {
        self.0.iter().flat_map(|run| {
            let (first, last) = run.bounds();
            (first..=last.min(first.saturating_add(RUN_MAX))).map(AssignmentId)
        })
    }

    /// Whether it names one.
    pub fn has(&self, id: AssignmentId) -> bool {
        self.0.iter().any(|run| {
            let (first, last) = run.bounds();
            (first..=last).contains(&id.0)
        })
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        let len = |run: &Run| {
            let (first, last) = run.bounds();
            last.saturating_sub(first).saturating_add(1).max(0).unsigned_abs()
        };
        self.0.iter().map(len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<AssignmentId> for Ids {
    fn from_iter<I: IntoIterator<Item = AssignmentId>>(ids: I) -> Self {
        let mut all = Self::default();
        ids.into_iter().for_each(|id| all.push(id));
        all
    }
}
