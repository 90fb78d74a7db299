//! How the server is: whether it has begun, whether it ends, what it counts, and who listens.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
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
    has_begun: AtomicBool,
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
            has_begun: AtomicBool::new(false),
            telemetry,
            counted_at: Mutex::new(None),
        }
    }

    /// There is a state, and it is driven.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    /// Whether there is a state to be asked.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
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
