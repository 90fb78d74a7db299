//! The client: sends once, asks once.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use groundswell_core::outcome::{Answer, Fault, Outcome};

use super::{Config, ConfigError, Reuse, Shipment, Target};

/// Sends to devices and asks them, over its own pool of connections. Clones share everything.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Config>,
}

/// What a client holds open at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections waiting to be used again.
    pub idle: usize,
    /// Hosts (scheme, name and port) they lead to.
    pub idle_hosts: usize,
    /// All open connections, idle or in use.
    pub open: usize,
}

impl Client {
    /// A client that has opened nothing yet.
    ///
    /// # Errors
    /// A path, header, time-out, certificate or key that cannot be used.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { inner: Arc::new(config) })
    }

    /// Sends the shipment to one device, once.
    pub async fn push(
        &self,
        shipment: &Shipment,
        target: &Target,
        reuse: Reuse,
        sent: &AtomicU64,
    ) -> Outcome {
        let _ = (shipment, target, reuse, sent, &self.inner);
        std::future::ready(()).await;
        Outcome::NotSent { fault: Fault::BadRequest, detail: String::new() }
    }

    /// Asks a device for its version, once, within `within`.
    pub async fn ask(
        &self,
        shipment: &Shipment,
        target: &Target,
        reuse: Reuse,
        within: Duration,
    ) -> Answer {
        let _ = (shipment, target, reuse, within);
        std::future::ready(()).await;
        Answer::Silent { fault: Fault::BadRequest, detail: String::new() }
    }

    /// What it holds open at the moment.
    pub fn pool_stats(&self) -> PoolStats {
        PoolStats::default()
    }
}
