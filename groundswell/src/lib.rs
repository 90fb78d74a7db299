//! Groundswell sends software to fleets of devices, in a way that can be proved.
//!
//! This is the part that touches the world; what is decided is decided in [`groundswell_core`].
//! To push from another program, start with [`Push`].

pub use groundswell_core as core;
pub use groundswell_core::units;

pub mod access;
pub mod api;
pub mod artifacts;
mod causes;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod drive;
pub mod engine;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzzed;
mod inquiry;
pub mod inventory;
pub mod networks;
pub mod operate;
pub mod push;
pub mod retry;
pub mod server;
pub mod sim;
pub mod spec_file;
pub mod store;
pub mod telemetry;

pub use self::{drive::Driver, push::Push};
