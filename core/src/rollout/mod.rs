//! A rollout: what is to happen, where it stands, and what an operator may do to it.
//!
//! Types to read first: [`Spec`], [`Progression`], [`Act`].

mod act;
mod progression;
mod prospect;
mod round;
mod spec;
mod stand;

pub use self::{
    act::{
        Act, Acted, MOVED_ON, Numbers, Refusal, act, act_seen, end_preparing, judge_anew,
        unsendable,
    },
    progression::{PauseReason, Progression, State, VERDICTS_MAX, Wave, WaveState},
    prospect::{Never, Times},
    round::{ROUNDS_MAX, Round},
    spec::{
        Deadline, IN_FLIGHT_LIMIT, Limits, Membership, Offline, OnFailure, QUARANTINE_AFTER,
        QUARANTINE_AFTER_MAX, RATE_LIMIT, Schedule, Spec, SpecError, Strategy, UNVERIFIED_LIMIT,
        VERIFY_TIMEOUT_LIMIT, Verify, WAIT_ABSENT, WAIT_LIMIT, WAVES_LIMIT, WaveSize, WaveSpec,
        WhenClosed, ZoneRule, wave_faults,
    },
    stand::WaveStand,
};
