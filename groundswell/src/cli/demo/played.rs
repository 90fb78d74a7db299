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

use crate::sim::{Event, EventKind};

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
    /// The version that each rollout that rolls it back goes back to, and where that one stands.
    pub(super) rollbacks: Vec<(String, rollout::State)>,
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
    /// The sha-256 of the last body it was sent, before the scenario and by its end.
    pub(super) sha256_before: Option<String>,
    pub(super) sha256: Option<String>,
    /// When it was out of order, in the course of the scenario.
    pub(super) outages: Vec<Outage>,
    /// Its wave, counted from 0, and where it stands; none if it was not chosen.
    pub(super) standing: Option<(usize, State)>,
}

/// From an update that a terminal took to the next version it answered, whatever it took meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) from: Time,
    /// None if it answers none to this day.
    pub(super) to: Option<Time>,
    /// The version that it took first, and the one that it answered.
    pub(super) took: Option<String>,
    pub(super) shown: Option<String>,
}

impl Outage {
    /// Those of `events` that began at `from` or later; a report counts from `started_at`.
    pub(super) fn all(events: &[Event], started_at: Time, from: Time) -> Vec<Self> {
        let mut all: Vec<Self> = vec![];
        for event in events {
            let at = started_at + Duration::from_millis(event.at_ms);
            let open = all.last_mut().filter(|outage| outage.to.is_none());
            match (event.kind, open) {
                (EventKind::Received, None) if at >= from => {
                    let took = event.version.clone();
                    all.push(Self { from: at, to: None, took, shown: None });
                }
                (EventKind::AnsweredVersion, Some(open)) => {
                    (open.to, open.shown) = (Some(at), event.version.clone());
                }
                _ => {}
            }
        }
        all
    }

    /// Whether both were at once, for however short a time.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let ends = |outage: &Self| outage.to.unwrap_or(Time::MAX);
        self.from < ends(other) && other.from < ends(self)
    }
}

impl Part {
    /// Whether it took a version and did not answer it when it answered again.
    pub(super) fn broke(&self) -> bool {
        self.outages.iter().any(|outage| outage.shown != outage.took)
    }

    pub(super) fn region(&self) -> &str {
        self.device.tags.get("region").map_or("", String::as_str)
    }
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
        self.taken().filter(|part| part.after == self.version).count()
    }

    /// Those that were sent it.
    pub(super) fn taken(&self) -> impl Iterator<Item = &Part> {
        self.terminals.iter().filter(|part| !part.received_at.is_empty())
    }

    /// How many were left as they were though they were chosen.
    pub(super) fn skipped(&self) -> usize {
        let is_skipped = |part: &&Part| matches!(part.standing, Some((_, State::Skipped(_))));
        self.terminals.iter().filter(is_skipped).count()
    }
}
