//! Trying again by a policy: for users of the library who drive their own pushes.
//!
//! Owns the loop and its waits; the policy and its arithmetic are
//! [`groundswell_core::retry`]'s. The engine does not use it: its waits are rows.

use std::{
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use groundswell_core::{
    outcome::{Outcome, Permanence, StatusMeaning, classify_status},
    retry::Policy,
};

use crate::clock::Clock;

/// An error that says whether, and when, trying again can help.
pub trait Retryable {
    /// Whether trying again can help.
    fn permanence(&self) -> Permanence;

    /// How long the other side asked us to wait.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The last error, after the last attempt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gave up after attempt {attempts}")]
pub struct GaveUp<E: std::error::Error + 'static> {
    /// How many attempts there were.
    pub attempts: u32,
    /// What the last one came to.
    #[source]
    pub error: E,
}

/// Runs `op` until it succeeds, fails for good, or the policy's attempts are used up. `op` gets
/// the attempt's number, from 1. Waits go by the clock, labeled `retry`.
///
/// Canceled by dropping it, at any instant.
///
/// # Errors
/// The last error and how many attempts there were.
pub async fn run<T, E, F, Fut>(policy: &Policy, clock: &Clock, mut op: F) -> Result<T, GaveUp<E>>
where
    E: Retryable + std::error::Error + 'static,
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut attempt = 1;
    loop {
        let error = match op(attempt).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let wait = match error.permanence() {
            Permanence::Permanent => None,
            Permanence::Transient => policy.wait_after(attempt, error.retry_after(), roll_dice()),
        };
        let Some(wait) = wait else { return Err(GaveUp { attempts: attempt, error }) };
        clock.sleep(wait, "retry").await;
        attempt += 1;
    }
}

/// A number for jitter; the standard library's hasher keys are random and at hand.
fn roll_dice() -> u32 {
    RandomState::new().hash_one(0_u8) as u32
}

/// A push that did not end in success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushError {
    outcome: Outcome,
    resend_unknown: bool,
}

impl PushError {
    /// Sorts an outcome into success and error. An outcome that is unknown is never tried again:
    /// ask the device for its version first.
    ///
    /// # Errors
    /// Every outcome that is neither accepted nor already current.
    pub fn check(outcome: Outcome) -> Result<(), Self> {
        Self::sort(outcome, false)
    }

    /// As [`PushError::check`], but an unknown outcome is tried again: the device may get the
    /// update more than once, each time with the same `Idempotency-Key`.
    ///
    /// # Errors
    /// Every outcome that is neither accepted nor already current.
    pub fn check_at_least_once(outcome: Outcome) -> Result<(), Self> {
        Self::sort(outcome, true)
    }

    fn sort(outcome: Outcome, resend_unknown: bool) -> Result<(), Self> {
        match outcome {
            Outcome::Accepted { .. } | Outcome::AlreadyCurrent => Ok(()),
            outcome => Err(Self { outcome, resend_unknown }),
        }
    }

    /// What the push came to.
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

impl Retryable for PushError {
    fn permanence(&self) -> Permanence {
        match &self.outcome {
            Outcome::NotSent { fault, .. } => fault.permanence(),
            Outcome::Unknown { fault, .. } if self.resend_unknown => fault.permanence(),
            Outcome::Refused { status, .. } => match classify_status(*status) {
                StatusMeaning::Refused(permanence) => permanence,
                StatusMeaning::Accepted => Permanence::Permanent,
            },
            Outcome::Unknown { .. } | Outcome::Accepted { .. } | Outcome::AlreadyCurrent => {
                Permanence::Permanent
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match &self.outcome {
            Outcome::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl std::error::Error for PushError {}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::NotSent { fault, .. } => write!(f, "not sent: {fault}"),
            Outcome::Unknown { fault, .. } => write!(f, "unknown outcome: {fault}"),
            Outcome::Refused { status, .. } => write!(f, "refused with status {status}"),
            Outcome::Accepted { status } => write!(f, "accepted with status {status}"),
            Outcome::AlreadyCurrent => f.write_str("already current"),
        }
    }
}
