//! The decisions of Groundswell, and nothing else.
//!
//! Everything here is a pure function over plain values: no IO, no async, no clock, no randomness,
//! no environment. Ids and the present time are passed in. What may be sent next, what an answer
//! of a device means, when to try again and when to stop are all decided in this crate; the
//! `groundswell` crate gathers the facts and carries the decisions out.
//!
//! Types to read first: [`rollout::Spec`], [`assignment::State`], [`outcome::Outcome`].

#![warn(missing_docs)]

#[macro_use]
pub mod teeth;

pub mod admit;
pub mod assignment;
pub mod brake;
pub mod budget;
pub mod check;
pub mod device;
pub mod document;
pub mod event;
pub mod gate;
pub mod health;
pub mod hours;
pub mod ids;
pub mod lint;
pub mod log;
pub mod moment;
pub mod outcome;
pub mod plan;
pub mod presence;
pub mod progress;
pub mod release;
pub mod retry;
pub mod rollback;
pub mod rollout;
pub mod selector;
pub mod snapshot;
pub mod spelling;
pub mod time;
pub mod units;
pub mod verify;
pub mod version;
pub mod waiting;
pub mod wave;
pub mod why;
