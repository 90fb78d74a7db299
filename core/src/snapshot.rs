//! What a decision sees of a rollout: counts, never a list of its devices.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::{
    assignment::{SkipReason, State},
    gate::external::Asked,
    health::Checkup,
    hours::{Phase, Zone},
    rollout::Progression,
    time::Time,
};

/// How many devices are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Not begun.
    pub queued: u64,
    /// Not there when their turn came; their wave waits for them.
    pub away: u64,
    /// Not there for so long that their wave does not wait for them.
    pub absent: u64,
    /// Claimed, or being sent to.
    pub delivering: u64,
    /// Sent to, and asked which version they run.
    pub verifying: u64,
    /// To be tried again later.
    pub retrying: u64,
    /// Updated.
    pub succeeded: u64,
    /// Found to run the release already, and left as they were.
    pub current: u64,
    /// Left as they were for another reason.
    pub skipped: u64,
    /// Failed for another reason than `unreachable`.
    pub failed: u64,
    /// Failed because they could not be reached.
    pub unreachable: u64,
    /// Gave no answer in time.
    pub timed_out: u64,
    /// Given up by the operator.
    pub canceled: u64,
    /// Of those updated, the ones that were found not to be well since.
    pub regressed: u64,
}

impl Counts {
    /// The place where devices in `state` are counted.
    pub const fn of_mut(&mut self, state: State) -> &mut u64 {
        use crate::assignment::FailReason::Unreachable;
        match state {
            State::Queued => &mut self.queued,
            State::Away => &mut self.away,
            State::Absent => &mut self.absent,
            State::Delivering => &mut self.delivering,
            State::Verifying => &mut self.verifying,
            State::Retrying => &mut self.retrying,
            State::Succeeded => &mut self.succeeded,
            State::Skipped(SkipReason::AlreadyCurrent) => &mut self.current,
            State::Skipped(_) => &mut self.skipped,
            State::Failed(Unreachable) => &mut self.unreachable,
            State::Failed(_) => &mut self.failed,
            State::TimedOut(_) => &mut self.timed_out,
            State::Canceled => &mut self.canceled,
        }
    }

    /// Counts one device that went from one state to another.
    pub const fn shift(&mut self, from: State, to: State) {
        let counted = self.of_mut(from);
        *counted = counted.saturating_sub(1);
        *self.of_mut(to) += 1;
    }

    /// The numbers, in the order of the fields.
    pub const fn to_array(&self) -> [u64; 14] {
        let Self {
            queued,
            away,
            absent,
            delivering,
            verifying,
            retrying,
            succeeded,
            current,
            skipped,
            failed,
            unreachable,
            timed_out,
            canceled,
            regressed,
        } = *self;
        [
            queued,
            away,
            absent,
            delivering,
            verifying,
            retrying,
            succeeded,
            current,
            skipped,
            failed,
            unreachable,
            timed_out,
            canceled,
            regressed,
        ]
    }

    /// What [`Counts::to_array`] gave.
    pub const fn from_array(counts: [u64; 14]) -> Self {
        let [
            queued,
            away,
            absent,
            delivering,
            verifying,
            retrying,
            succeeded,
            current,
            skipped,
            failed,
            unreachable,
            timed_out,
            canceled,
            regressed,
        ] = counts;
        Self {
            queued,
            away,
            absent,
            delivering,
            verifying,
            retrying,
            succeeded,
            current,
            skipped,
            failed,
            unreachable,
            timed_out,
            canceled,
            regressed,
        }
    }

    /// All devices.
    pub const fn total(&self) -> u64 {
        self.waiting() + self.active() + self.ended()
    }

    /// Devices not begun: queued, or not there.
    pub const fn waiting(&self) -> u64 {
        self.queued + self.away + self.absent
    }

    /// Devices begun and not ended.
    pub const fn active(&self) -> u64 {
        self.delivering + self.verifying + self.retrying
    }

    /// Devices in a terminal state.
    pub const fn ended(&self) -> u64 {
        self.succeeded + self.current + self.skipped + self.failures() + self.canceled
    }

    /// Devices that ended without the release: failed, unreachable or timed out.
    pub const fn failures(&self) -> u64 {
        self.failed + self.unreachable + self.timed_out
    }

    /// The same, and those that were updated and are not well since.
    pub const fn harmed(&self) -> u64 {
        self.failures() + self.regressed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.queued += more.queued;
        self.away += more.away;
        self.absent += more.absent;
        self.delivering += more.delivering;
        self.verifying += more.verifying;
        self.retrying += more.retrying;
        self.succeeded += more.succeeded;
        self.current += more.current;
        self.skipped += more.skipped;
        self.failed += more.failed;
        self.unreachable += more.unreachable;
        self.timed_out += more.timed_out;
        self.canceled += more.canceled;
        self.regressed += more.regressed;
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, counts| {
            sum += counts;
            sum
        })
    }
}

/// The devices of one wave whose hours are judged in one time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// The wave, counted from 0.
    pub wave: usize,
    /// In whose zone their hours are judged; none if there is nothing to judge.
    pub zone: Option<Zone>,
    /// Whether they may be touched now, and until or from when.
    pub phase: Phase,
    /// When they had their turn and the rest is left as it is, if the spec says so.
    pub closes_for_good_at: Option<Time>,
    /// The devices, counted.
    pub counts: Counts,
}

impl Cohort {
    /// Whether they had their one window, and those not begun are left as they are.
    pub fn is_closed_for_good(&self, now: Time) -> bool {
        self.closes_for_good_at.is_some_and(|at| at <= now)
    }
}

/// What [`crate::plan::plan`] decides on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where the rollout stands.
    pub progression: Progression,
    /// Its devices, by wave and time zone.
    pub cohorts: Vec<Cohort>,
    /// What is known of the checks that were asked, in the order of the spec.
    pub checks: Vec<Asked>,
    /// How many claims may be made beyond those that are open.
    pub ahead_max: u32,
    /// Claims that the constant rate allows now, and when it allows the next.
    pub allowance: Allowance,
    /// Places for deliveries that the driver has left for this rollout.
    pub driver_places: u32,
    /// How far it is known how the devices of the wave that soaks are.
    #[serde(default)]
    pub checkup: Checkup,
    /// Whether devices are being written down: nothing is judged that they might speak against.
    pub is_being_written: bool,
    /// No new claims: the operator interrupted the run, or the store cannot be written.
    pub is_stopping: bool,
}

impl Snapshot {
    /// All devices of the round, counted.
    pub fn counts(&self) -> Counts {
        self.cohorts.iter().map(|cohort| cohort.counts).sum()
    }

    /// The devices of one wave, counted.
    pub fn counts_of(&self, wave: usize) -> Counts {
        self.cohorts.iter().filter(|cohort| cohort.wave == wave).map(|cohort| cohort.counts).sum()
    }
}

/// What a constant rate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Claims allowed now.
    pub claims: u32,
    /// When the next one is, once these are used up.
    pub next_at: Time,
}

impl Allowance {
    /// No rate to keep to.
    pub const UNLIMITED: Self = Self { claims: u32::MAX, next_at: Time::ZERO };
}
