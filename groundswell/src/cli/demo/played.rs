//! What came about in one scenario, as the terminals and the store tell it.
//!
//! Owns the evidence by which a scenario is judged and shown; none of it is what the driver said
//! while it went on. Type to read first: [`Played`].

use std::time::Duration;

use groundswell_core::{
    assignment::State,
    device::Device,
    hours::Zone,
    rollout::{self, Wave},
    time::Time,
};

/// One scenario as it came about.
#[derive(Clone, Debug)]
pub(super) struct Played {
    /// What was to be sent.
    pub(super) version: String,
    /// The sha-256 of its bytes, in hexadecimal.
    pub(super) sha256: String,
    /// When the rollout was started, and when it had ended.
    pub(super) from: Time,
    pub(super) to: Time,
    /// How long that took by the wall clock of whoever watched.
    pub(super) took: Duration,
    /// Where the rollout stands in the end.
    pub(super) state: rollout::State,
    /// Its waves.
    pub(super) waves: Vec<Wave>,
    /// All terminals, in the order of the inventory.
    pub(super) terminals: Vec<Part>,
}

/// What became of a terminal in a scenario.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// As the inventory had it in the beginning.
    pub(super) device: Device,
    pub(super) zone: Zone,
    /// Whether it was online when the rollout was started.
    pub(super) was_online: bool,
    /// When it came online in the course of it.
    pub(super) came_online_at: Option<Time>,
    /// The version it ran, and the one it runs.
    pub(super) before: String,
    pub(super) after: String,
    /// Requests for an update that it saw, of whatever version and with whatever end.
    pub(super) requests: u64,
    /// When bodies of this version had arrived.
    pub(super) received_at: Vec<Time>,
    /// The sha-256 of the last body it was sent.
    pub(super) sha256: Option<String>,
    /// Its wave, counted from 0, and where it stands; none if it was not chosen.
    pub(super) standing: Option<(usize, State)>,
}

impl Played {
    /// The receptions, as they came.
    pub(super) fn receptions(&self) -> Vec<(Time, &Part)> {
        let each = |part: &'_ Part| part.received_at.clone();
        let mut all: Vec<(Time, &Part)> = self
            .terminals
            .iter()
            .flat_map(|part| each(part).into_iter().map(move |at| (at, part)))
            .collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }

    /// Those that were chosen.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &Part> {
        self.terminals.iter().filter(|part| part.standing.is_some())
    }

    /// How many run what was sent.
    pub(super) fn updated(&self) -> usize {
        self.terminals.iter().filter(|part| !part.received_at.is_empty()).count()
    }

    /// How many were left as they were though they were chosen.
    pub(super) fn skipped(&self) -> usize {
        let is_skipped = |part: &&Part| matches!(part.standing, Some((_, State::Skipped(_))));
        self.terminals.iter().filter(is_skipped).count()
    }
}
