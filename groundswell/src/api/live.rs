//! How the server is: whether it has begun, whether it ends, what it counts, and who listens.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use groundswell_core::time::Time;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::events::{Feed, READERS_MAX};
use crate::telemetry::Telemetry;

/// How the server is, as far as routes have to know.
#[derive(Debug)]
pub struct Live {
    feed: Arc<Feed>,
    stopping: CancellationToken,
    begun: OnceLock<Instant>,
    telemetry: Telemetry,
    /// When rollouts and assignments were last counted.
    pub(super) counted_at: Mutex<Option<Time>>,
}

impl Live {
    /// Of a server that counts there and ends when `stopping` is told; it has not begun.
    pub fn new(telemetry: Telemetry, stopping: CancellationToken) -> Self {
        Self::with_readers(telemetry, stopping, READERS_MAX)
    }

    /// The same with another limit of readers.
    fn with_readers(telemetry: Telemetry, stopping: CancellationToken, readers_max: usize) -> Self {
        Self {
            feed: Arc::new(Feed::new(readers_max)),
            stopping,
            begun: OnceLock::new(),
            telemetry,
            counted_at: Mutex::new(None),
        }
    }

    /// There is a state, and it is driven.
    pub fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// Whether there is a state to be asked.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    /// For how long there has been one.
    pub(super) fn uptime_secs(&self) -> u64 {
        self.begun.get().map_or(0, |begun| begun.elapsed().as_secs())
    }

    /// Told when the server is to end.
    pub(super) const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// What is counted.
    pub(crate) const fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub(super) const fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}
