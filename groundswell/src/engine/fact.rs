//! What passes between the step and the shell: facts in, commands out.

use std::time::Duration;

use groundswell_core::{
    event::Event,
    ids::AssignmentId,
    outcome::{Answer, Outcome},
    time::Time,
};

use super::watch::Question;
use crate::store::{Batch, Candidate, Cursor, Page};

/// What the engine is told.
#[derive(Debug)]
pub enum Fact {
    /// The candidates that were asked for.
    Fetched(Page),
    /// The batch given last is durable.
    Committed,
    /// The batch given last is not durable, and none will be: the disk is full or failing.
    NotCommitted(Batch),
    /// Candidates cannot be read.
    NotFetched,
    /// A delivery ended.
    Delivered(AssignmentId, Outcome),
    /// A delivery was not begun, because nothing was to be sent any more.
    Returned(AssignmentId),
    /// A question was answered, or not.
    Asked(AssignmentId, Answer),
    /// The operator wants the run to stop.
    Stop,
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Command {
    /// Read candidates.
    Fetch {
        /// From where on.
        cursor: Cursor,
        /// How many at the most.
        limit: usize,
        /// Of these, how many that were not begun before.
        fresh_limit: usize,
        /// Those to be tried again that are due by then.
        until: Time,
    },
    /// Make this durable.
    Commit(Batch),
    /// Deliver to this device.
    Send(Sending),
    /// Ask this device for its version.
    Ask(Question),
    /// Tell whoever listens.
    Tell(Vec<Event>),
    /// Put these where a full disk cannot keep them out.
    Keep(Vec<Batch>),
    /// Nothing is left to do.
    End(Ending),
}

/// One delivery to be made.
#[derive(Debug)]
pub struct Sending {
    /// To whom.
    pub candidate: Candidate,
    /// Whether to ask for the version first, and not to send if it is the release's.
    pub ask_first: bool,
    /// Whether the connection will be needed again soon.
    pub is_kept: bool,
}

/// How a run is driven.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether somebody listens, so that events need to be made at all.
    pub is_heard: bool,
    /// How long results wait for company in a commit: `step::GATHER`, or nothing where the clock
    /// stands still.
    pub gather: Duration,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every device ended.
    Ended,
    /// The rollout stopped itself.
    Paused,
    /// It was told to stop.
    Interrupted,
    /// The state could no longer be written.
    StoreFailed,
}
