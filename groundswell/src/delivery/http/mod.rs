//! Delivery over HTTP/1.1: sends a payload to a device, or asks it for its version.
//!
//! Owns connections, their pool, TLS, time-outs, the headers of every request and the reading of
//! answers. Must not know of rollouts' states, of the store or of retries: [`Client::push`] sends
//! once and [`Client::ask`] asks once.
//!
//! An attempt is one future and starts no task: it drives its connection itself. Dropping it
//! cancels it at any instant, and closes its socket; nothing stays behind. (Two short things end
//! by themselves on blocking threads: a name look-up and a read from the disk.)
//!
//! Read [`Client`] first, then `exchange.rs`.

mod answer;
mod client;
mod config;
mod connect;
mod escape;
mod exchange;
mod fault;
mod get;
mod headers;
mod io;
mod pool;
mod request;
mod resolve;
mod secrets;
mod shipment;
mod timers;
mod tls;
mod upload;
mod version;

pub(crate) use self::client::Held;
pub use self::{
    client::{Client, PoolStats},
    config::{Config, ConfigError, PoolLimits, Timeouts, Tls},
    headers::{HeaderError, check_header},
    resolve::{LookupError, Resolver},
    shipment::{Reuse, Shipment, ShipmentError, Target},
};
