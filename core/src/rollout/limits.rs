//! How much may happen at once, and how much may be asked for.

use serde::{Deserialize, Serialize};

/// Most deliveries that may be open at once: beyond this, sockets and memory of one machine end.
pub const IN_FLIGHT_LIMIT: u32 = 10_000;

/// Most devices that may be sent to and not verified.
pub const UNVERIFIED_LIMIT: u32 = 1_000_000;

/// Most devices a minute that a constant rate may ask for: more is no limit on any one machine.
pub const RATE_LIMIT: u32 = 6_000_000;

/// How much may happen at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Open deliveries.
    pub max_in_flight: u32,
    /// Devices sent to and not yet verified (they may all be rebooting) or to be tried again.
    pub max_unverified: u32,
    /// Open deliveries to one host (scheme, name and port): gateways front many devices.
    pub max_per_host: u32,
    /// Attempts begun in a minute, evenly spread.
    pub per_minute: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_in_flight: 100, max_unverified: 1_000, max_per_host: 10, per_minute: None }
    }
}
