//! A simulated fleet on one port: for rehearsals, our tests, the demo and the benchmarks.
//!
//! Owns devices that take updates over HTTP, tell their version, reboot, misbehave on request
//! and remember what happened to them, so that a run can be judged from [`Report`]. Knows
//! nothing of the code that sends updates. Start with [`Fleet`]; `docs/sim.md` describes the
//! wire and the report.

mod device;
mod fault;
mod fleet;
mod headers;
mod keys;
mod network;
mod reception;
mod report;
mod serve;
mod visits;
mod wire;

pub use fault::{Fault, FaultError, Kind as FaultKind, Name as FaultName, Rate};
pub use fleet::{Digest, Fleet, Options};
pub use network::Network;
pub use report::{
    Connections, DeviceReport, Event, EventKind, KeyCount, Receptions, Report, Summary,
};
