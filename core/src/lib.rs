//! The decisions of Groundswell, and nothing else.
//!
//! Everything here is a pure function over plain values: no IO, no async, no clock, no randomness,
//! no environment. Ids and the present time are passed in. What may be sent next, what an answer
//! of a device means, when to try again and when to stop are all decided in this crate; the
//! `groundswell` crate gathers the facts and carries the decisions out.
//!
//! Types to read first: [`outcome::Outcome`], [`device::Device`].

#![warn(missing_docs)]

pub mod device;
pub mod ids;
pub mod moment;
pub mod outcome;
pub mod retry;
pub mod selector;
pub mod spelling;
pub mod time;
pub mod verify;
pub mod version;
