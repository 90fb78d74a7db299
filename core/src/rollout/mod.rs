//! A rollout: what is to happen, where it stands, and what an operator may do to it.
//!
//! Types to read first: [`Spec`], [`Progression`], [`Act`].

mod act;
mod limits;
mod progression;
mod prospect;
mod round;
mod spec;
mod stand;

pub use self::{
    act::{
        Act, Acted, MOVED_ON, Numbers, REASON_CHARS_MAX, Refusal, Wish, act, act_seen, act_wished,
        end_preparing, goes_over_approval, judge_anew, unsendable,
    },
    limits::{IN_FLIGHT_LIMIT, Limits, RATE_LIMIT, UNVERIFIED_LIMIT},
    progression::{PauseReason, Progression, State, VERDICTS_MAX, Wave, WaveState},
    prospect::{Never, Times},
    round::{ROUNDS_MAX, Round},
    spec::{
        Deadline, Membership, Offline, OnFailure, QUARANTINE_AFTER, QUARANTINE_AFTER_MAX, Schedule,
        Spec, SpecError, Strategy, VERIFY_TIMEOUT_LIMIT, Verify, WAIT_ABSENT, WAIT_LIMIT,
        WAVES_LIMIT, WaveSize, WaveSpec, WhenClosed, ZoneRule, wave_faults,
    },
    stand::WaveStand,
};
