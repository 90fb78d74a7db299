//! What is kept of rounds that have ended, when the next one begins.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Progression, State, Wave};
use crate::{brake, gate::regression::Results, snapshot::Counts, time::Time};

/// Earlier rounds that are kept, the last ones: they are read and written with every change of the
/// rollout, and whoever has retried so often looks at how it went lately. The log has them all.
pub const ROUNDS_MAX: usize = 8;

/// A round that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Counted from 1.
    pub number: u32,
    /// How it ended.
    pub state: State,
    /// When it began to run; none if it was given up before.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Its devices, counted.
    pub counts: Counts,
    /// Its waves, as they were when it ended.
    pub waves: Vec<Wave>,
    /// What the brake did in it, and operators over it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brakes: Vec<brake::Verdict>,
}

impl Progression {
    /// Begins the next round: what this one came to, with its devices counted, is kept beside those
    /// before. Its waves are those of the next round then.
    pub fn begin_round(&mut self, counts: Counts, waves: Vec<Wave>) {
        self.earlier.push(Arc::new(Round {
            number: self.round,
            state: self.state,
            started_at: self.started_at,
            ended_at: self.ended_at,
            counts,
            waves: std::mem::replace(&mut self.waves, waves),
            brakes: std::mem::take(&mut self.brakes),
        }));
        let more = self.earlier.len().saturating_sub(ROUNDS_MAX);
        self.earlier.drain(..more);
        self.state = State::Preparing;
        self.paused.clear();
        self.round += 1;
        self.started_at = None;
        self.ended_at = None;
        self.failures_accepted = 0;
        self.results_accepted = Results::default();
        self.prepared = None;
        self.is_to_roll_back = false;
    }
}
