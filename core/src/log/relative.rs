//! Times as the log has them: in milliseconds from the time of the record that they are in.
//!
//! They are short that way, and a log reads the same whenever it was written. Every time comes back
//! as it was, the earliest and the latest there are, too.

use serde::{Deserialize, Serialize};

use super::{CohortInput, Input, Output, Step};
use crate::{
    gate::external::{Asked, Evidence, Reply},
    hours::Phase,
    plan::Change,
    rollout::{Wave, WaveState},
    time::Time,
    waiting::WaitingOn,
};

/// Something with times in it.
pub trait Timed {
    /// Hands every time in it to `each`, which may change it.
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time));
}

/// Something whose times are told from the time of its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Relative<T>(T);

impl<T: Timed + Clone> Relative<T> {
    /// What it is in a record of the time `now`.
    pub fn to(mut value: T, now: Time) -> Self {
        value.for_each_time(&mut |time| {
            *time = Time::from_millis(time.as_millis().wrapping_sub(now.as_millis()));
        });
        Self(value)
    }

    /// What it was, in a record of the time `now`.
    pub fn at(&self, now: Time) -> T {
        let mut value = self.0.clone();
        value.for_each_time(&mut |time| {
            *time = Time::from_millis(time.as_millis().wrapping_add(now.as_millis()));
        });
        value
    }

    /// What of it is no time.
    pub const fn timeless(&self) -> &T {
        &self.0
    }
}

impl<T: Timed> Timed for Option<T> {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        if let Some(value) = self {
            value.for_each_time(each);
        }
    }
}

impl<T: Timed> Timed for Vec<T> {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        for value in self {
            value.for_each_time(each);
        }
    }
}

impl Timed for Time {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        each(self);
    }
}

impl Timed for Step {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        let Self { input, output } = self;
        input.for_each_time(each);
        output.for_each_time(each);
    }
}

impl Timed for Input {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        let Self {
            cohorts,
            checks,
            rate,
            cohort_count: _,
            ahead: _,
            places: _,
            stopping: _,
            writing: _,
            checkup: _,
        } = self;
        checks.for_each_time(each);
        cohorts.for_each_time(each);
        if let Some((_, next_at)) = rate {
            each(next_at);
        }
    }
}

impl Timed for CohortInput {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        let Self { phase, closes_for_good_at, place: _, of: _, counts: _ } = self;
        phase.for_each_time(each);
        closes_for_good_at.for_each_time(each);
    }
}

impl Timed for Asked {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        let Self { open_since, reply, gate: _ } = self;
        open_since.for_each_time(each);
        if let Some(Reply { asked_at, at, answer: _ }) = reply {
            each(asked_at);
            each(at);
        }
    }
}

impl Timed for Evidence {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        each(&mut self.at);
    }
}

impl Timed for Phase {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        match self {
            Self::Open { until } => until.for_each_time(each),
            Self::Closed { opens_at, by: _ } => opens_at.for_each_time(each),
        }
    }
}

impl Timed for Output {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        let Self {
            change,
            evidence,
            waiting_on,
            wake_at,
            claims_max: _,
            fresh_max: _,
            open: _,
            ask: _,
            sweep: _,
        } = self;
        evidence.for_each_time(each);
        change.for_each_time(each);
        waiting_on.for_each_time(each);
        wake_at.for_each_time(each);
    }
}

impl Timed for Change {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        match self {
            Self::Rule(_, verdict) => each(&mut verdict.at),
            Self::Begin
            | Self::OpenWave(_)
            | Self::Soak(_)
            | Self::Pause { .. }
            | Self::Abort { .. }
            | Self::Complete
            | Self::Fail
            | Self::NoDevice
            | Self::Canceled
            | Self::Aborted => {}
        }
    }
}

impl Timed for WaitingOn {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        match self {
            Self::StartAt { at } | Self::Deadline { at, .. } | Self::NextTry { at } => each(at),
            Self::Soak { until, .. } | Self::Joiners { until } | Self::Version { until } => {
                each(until);
            }
            Self::Hours { opens_at: at, .. } | Self::Away { deadline: at, .. } => {
                at.for_each_time(each);
            }
            Self::Rate { next_at, .. } => each(next_at),
            Self::Check { again_at, .. } => again_at.for_each_time(each),
            Self::Offline { since } => each(since),
            Self::Stopping
            | Self::Start
            | Self::Preparing { .. }
            | Self::Paused(_)
            | Self::Braked(_)
            | Self::Ending { .. }
            | Self::LookingBack
            | Self::Health { .. }
            | Self::Confirming
            | Self::NothingToJudge { .. }
            | Self::Wave { .. }
            | Self::Approval { .. }
            | Self::InFlight { .. }
            | Self::Driver
            | Self::Unverified { .. }
            | Self::Active { .. }
            | Self::Host { .. }
            | Self::Domain { .. }
            | Self::DomainElsewhere { .. }
            | Self::Busy { .. }
            | Self::BusyElsewhere { .. }
            | Self::NeverSeen
            | Self::Delivery
            | Self::Turn
            | Self::OwnWave { .. } => {}
        }
    }
}

impl Timed for Wave {
    fn for_each_time(&mut self, each: &mut dyn FnMut(&mut Time)) {
        let Self { state, verdicts, approved, evidence } = self;
        match state {
            WaveState::Pending => {}
            WaveState::Open { since } | WaveState::Soaking { since } => each(since),
            WaveState::Passed { at } | WaveState::Stopped { at } => each(at),
        }
        for verdict in verdicts {
            each(&mut verdict.at);
        }
        if let Some(approval) = approved {
            each(&mut approval.at);
        }
        evidence.for_each_time(each);
    }
}
