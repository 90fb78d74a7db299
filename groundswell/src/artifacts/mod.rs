//! Artifacts: immutable files named by their sha-256.
//!
//! Owns where they are kept ([`store`]), how one arrives in parts ([`arriving`]), and how many pushes
//! read one at the same time ([`payload`]). Must not know who they are sent to.

pub mod arriving;
pub mod payload;
pub mod store;
