//! The bytes that are sent, each file named by its sha-256.
//!
//! Must not know who they are sent to. Read [`payload::Payload`] first.

pub mod payload;
