//! What is written down of a rollout, so that it can be told, and run again.
//!
//! Owns the records, their compact form, the recorder that a driver writes them with, and the
//! replay that runs them again. Knows neither rows nor files: whoever keeps the log hands over
//! entries, one for each transaction, in their order.
//!
//! A record says what was known and what was decided on it: a [`Step`] holds counts and the plan
//! made of them, a [`Judged`] what was known of devices whose turn had come, a [`Happened`] what
//! happened to devices and where they stand since. Inputs are kept whole, as differences to the
//! step before: what is read back does not rest on what follows from other records, so that
//! [`Replay`] can hold the two against each other.
//!
//! Types to read first: [`Record`], [`Recorder`], [`Replay`]; [`Story`] tells it in sentences.

mod base;
mod book;
mod devices;
mod difference;
mod explain;
mod fact;
mod hold;
mod ids;
mod record;
mod recorder;
mod relative;
mod replay;
mod short;
mod stands;
mod step;

#[cfg(test)]
mod tests;

pub use self::{
    base::{Base, OpenRows},
    explain::{DeviceStory, Line, Others, Story},
    ids::Ids,
    record::{
        Acted, Becomes, Beside, CohortCounts, Entry, Happened, Judged, KnownOf, Listed, Met, Moved,
        Record, Regressed, RolledBack, Taken,
    },
    recorder::Recorder,
    relative::{Relative, Timed},
    replay::{Mismatch, Replay, Report},
    stands::Stands,
    step::{CohortInput, Input, Output, Step},
};

/// The version of the decisions: raised whenever the same input may lead to another output than it
/// did before. A log of another version is replayed for its states only.
pub const DECISIONS: u32 = 4;
