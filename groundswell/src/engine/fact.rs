//! What passes between the step and the shell: facts in, commands out.

use std::time::Duration;

use groundswell_core::{
    event::Event,
    gate::external::{self, Check, Ticket},
    health::{self, Said},
    ids::{AssignmentId, RolloutId},
    outcome::{Answer, Outcome},
    release::Release,
    rollout::Spec,
    time::Time,
};

use super::{
    choose::{Division, LookedBack},
    watch::Question,
};
use crate::store::{
    Batch, Candidate, RolloutKey,
    writer::{Done, Job},
};

/// What the engine is told.
#[expect(clippy::large_enum_variant, reason = "moved a few times for each commit, not kept")]
#[derive(Debug)]
pub enum Fact {
    /// The store did something, or could not.
    Store(Done),
    /// The devices of a rollout were chosen, or could not be.
    Chosen(RolloutKey, Option<Box<Division>>),
    /// It was looked up where the devices of a rollout go back to, or could not be.
    LookedBack(RolloutKey, Option<Box<LookedBack>>),
    /// Everything is ready to send for a rollout.
    Opened(RolloutKey),
    /// The artifact of a rollout cannot be sent, and nobody can be asked, for this reason.
    Unsendable(RolloutKey, String),
    /// A delivery ended.
    Delivered(RolloutKey, AssignmentId, Outcome),
    /// A delivery was not begun, because nothing was to be sent any more.
    Returned(RolloutKey, AssignmentId),
    /// A question was answered, or not.
    Asked(RolloutKey, AssignmentId, Answer),
    /// A device was asked how it is, and said this.
    Examined(RolloutKey, AssignmentId, Said),
    /// A check of a rollout was answered, or not.
    Checked(RolloutKey, Ticket, external::Answer),
    /// The operator wants the run to stop.
    Stop,
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Command {
    /// Have the store do this.
    Store(Job),
    /// Choose the devices of a rollout, with a connection of its own.
    Choose(RolloutKey, Box<Spec>),
    /// Look up where the devices go back to that a rollout changed by sending this, with a connection
    /// of its own.
    LookBack(RolloutKey, Box<Release>),
    /// Get ready to send for a rollout.
    Open(Box<Opening>),
    /// Deliver to this device.
    Send(Sending),
    /// Ask this device for its version.
    Ask(RolloutKey, Question),
    /// Ask this device how it is.
    Examine(RolloutKey, Box<Examination>),
    /// Ask the server of a check.
    Check(RolloutKey, Box<Inquiry>),
    /// Stop every delivery and question of a rollout.
    Halt(RolloutKey),
    /// Tell whoever listens.
    Tell(Vec<Event>),
    /// Put these where a full disk cannot keep them out.
    Keep(Vec<Batch>),
    /// A rollout is done with, for now or for good.
    Close(RolloutKey, Ending),
    /// Nothing is left to do.
    End(Ending),
}

/// A device to be asked how it is.
#[derive(Debug)]
pub struct Examination {
    /// Whom.
    pub candidate: Candidate,
    /// What.
    pub check: health::Check,
    /// How long it may take.
    pub within: Duration,
    /// Whether others on this host will be asked soon.
    pub is_host_shared: bool,
}

/// A check to be asked.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Which question; its answer comes with it.
    pub ticket: Ticket,
    /// What is asked.
    pub check: Check,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Opening {
    /// For which rollout.
    pub rollout: RolloutKey,
    /// As devices are told.
    pub id: RolloutId,
    /// The release, and how long a delivery may take.
    pub spec: Spec,
}

/// One delivery to be made.
#[derive(Debug)]
pub struct Sending {
    /// For which rollout.
    pub rollout: RolloutKey,
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
    /// Most deliveries that may be open at once, of all rollouts.
    pub in_flight_max: u32,
    /// How often it is looked what others want; none: nobody can, and the run ends when its
    /// rollouts have ended or are paused.
    pub look_every: Option<Duration>,
}

/// How a run, or a rollout in it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every device ended.
    Ended,
    /// The rollout is paused.
    Paused,
    /// It was told to stop.
    Interrupted,
    /// The state could no longer be written.
    StoreFailed,
}

/// When something is due next, and what for.
pub type Wake = Option<(Time, &'static str)>;
