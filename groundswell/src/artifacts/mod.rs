//! Artifacts: immutable files named by their sha-256.
//!
//! Owns where they are kept ([`store`]) and how many pushes read one at the same time ([`payload`]).
//! Must not know who they are sent to.

pub mod payload;
pub mod store;
