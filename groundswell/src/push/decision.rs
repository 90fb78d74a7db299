//! What a push does with what is in its state directory: start, go on, try again, or nothing.
//!
//! [`decide`] is pure: a run acts on it, a dry run tells it. Type to read first: [`Decision`].

use groundswell_core::{
    release::Release,
    rollout::{Progression, Spec, State},
    snapshot::Counts,
};

use super::{PushError, builder::Order};
use crate::store::{RolloutRecord, Store, StoreError, Which};

/// What was asked for, as far as it decides what a push does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) identity: [u8; 32],
    pub(super) has_canaries: bool,
    pub(super) retry_failed: bool,
    pub(super) abandon: bool,
}

/// What is in the state directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Rollouts that have not ended, oldest first; not the drafts of operators.
    unfinished: Vec<RolloutRecord>,
    /// The newest of this identity that is not given up or taken back.
    same: Option<Same>,
}

/// A rollout of the same push.
#[derive(Clone, Debug)]
pub(super) struct Same {
    pub(super) record: RolloutRecord,
    /// The devices of its round.
    pub(super) counts: Counts,
    /// Whether another release went to these devices since: what they run now is not what they did.
    is_overtaken: bool,
}

/// What is done, in this order.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    /// Pushes that were killed while their devices were being written down: nothing was ever sent,
    /// and devices may be missing.
    pub(super) taken_back: Vec<RolloutRecord>,
    pub(super) given_up: Vec<RolloutRecord>,
    pub(super) then: Then,
}

#[derive(Clone, Debug)]
pub(super) enum Then {
    Start,
    GoOn(Box<Same>),
    /// In the next round, with the devices that failed or were given up.
    Retry(Box<Same>),
    Nothing(Box<Same>),
}

/// Why nothing is done at all.
#[derive(Clone, Debug)]
pub(super) enum Refused {
    /// A rollout that an operator has made is not finished.
    OfOperator(Box<RolloutRecord>),
    /// Another push is not finished.
    OtherPush(Box<RolloutRecord>),
    NoCanaries,
    NothingToRetry(&'static str),
}

/// What becomes of a rollout that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    TakenBack,
    GivenUp,
    Left,
}

fn fate(record: &RolloutRecord, asked: &Asked) -> Fate {
    let Progression { state, round, .. } = &record.progression;
    match state {
        // What an operator has made is prepared by its driver, and the operator's to give up.
        _ if record.identity.is_none() || state.is_ended() => Fate::Left,
        // A round behind the first is prepared by whoever drives it.
        State::Draft | State::Preparing if *round == 1 => Fate::TakenBack,
        // Given up before, by a run that was cut short.
        State::Canceling | State::Aborting => Fate::GivenUp,
        _ if asked.abandon => Fate::GivenUp,
        _ => Fate::Left,
    }
}

/// Reads what a push is decided by.
pub(super) fn read(store: &impl Store, asked: &Asked) -> Result<Found, StoreError> {
    let mut unfinished = store.rollouts(Which::Unended)?;
    unfinished.retain(|record| record.identity.is_some() || record.progression.state.is_driven());
    let mut newest = store.find(&asked.identity, None)?;
    while let Some(record) = newest.take_if(|record| fate(record, asked) != Fate::Left) {
        newest = store.find(&asked.identity, Some(record.key))?;
    }
    let same = match newest {
        Some(record) => Some(Same {
            counts: count(store, &record)?,
            is_overtaken: record.progression.state.is_ended() && store.is_overtaken(record.key)?,
            record,
        }),
        None => None,
    };
    Ok(Found { unfinished, same })
}

/// The devices of a rollout's round.
pub(super) fn count(store: &impl Store, record: &RolloutRecord) -> Result<Counts, StoreError> {
    store.count(record.key, record.progression.round)
}

/// Says what a push does.
pub(super) fn decide(found: Found, asked: &Asked) -> Result<Decision, Refused> {
    let Found { unfinished, same } = found;
    let (mut taken_back, mut given_up, mut left) = (vec![], vec![], vec![]);
    for record in unfinished {
        match fate(&record, asked) {
            Fate::TakenBack => taken_back.push(record),
            Fate::GivenUp => given_up.push(record),
            Fate::Left => left.push(record),
        }
    }
    if let Some(record) = left.iter().find(|record| record.identity.is_none()) {
        return Err(Refused::OfOperator(Box::new(record.clone())));
    }
    if let Some(record) = left.into_iter().find(|record| record.identity != Some(asked.identity)) {
        return Err(Refused::OtherPush(Box::new(record)));
    }
    Ok(Decision { taken_back, given_up, then: decide_on(same, asked)? })
}

/// What is done once nothing else is in the way.
fn decide_on(same: Option<Same>, asked: &Asked) -> Result<Then, Refused> {
    let Some(same) = same.map(Box::new) else {
        return if asked.retry_failed {
            Err(Refused::NothingToRetry("this push was not run before"))
        } else {
            Ok(Then::Start)
        };
    };
    let is_ended = same.record.progression.state.is_ended();
    match is_ended {
        true if asked.retry_failed && same.to_retry() == 0 => {
            Err(Refused::NothingToRetry("no device failed"))
        }
        true if asked.retry_failed => Ok(Then::Retry(same)),
        true if same.is_overtaken => Ok(Then::Start),
        true => Ok(Then::Nothing(same)),
        false if asked.has_canaries && same.record.spec.waves.is_empty() => {
            Err(Refused::NoCanaries)
        }
        false => Ok(Then::GoOn(same)),
    }
}

impl Same {
    /// How many devices another round would have.
    pub(super) const fn to_retry(&self) -> u64 {
        self.counts.failures() + self.counts.canceled
    }
}

impl Refused {
    /// As it is told; `count` counts the devices of the rollout that is in the way.
    pub(super) fn tell(
        self,
        order: &Order,
        count: impl FnOnce(&RolloutRecord) -> Result<Counts, StoreError>,
    ) -> Result<PushError, StoreError> {
        let state = order.state.clone();
        Ok(match self {
            Self::OfOperator(record) => {
                let Release { name, version, .. } = record.spec.release;
                PushError::OtherRollout { state, number: record.key.0, name, version }
            }
            Self::OtherPush(record) => {
                let counts = count(&record)?;
                let differs = differences(&record.spec, &order.spec).join(", ").into();
                let Release { name, version, .. } = record.spec.release;
                PushError::OtherUnfinished {
                    state,
                    name,
                    version,
                    rollout: record.id.to_string().into(),
                    ended: counts.ended(),
                    devices: counts.total(),
                    differs,
                }
            }
            Self::NoCanaries => PushError::NoCanaries,
            Self::NothingToRetry(why) => PushError::NothingToRetry(why),
        })
    }
}

/// What tells two pushes apart: parts of the identity, in words.
fn differences(theirs: &Spec, ours: &Spec) -> Vec<&'static str> {
    let (their, our) = (&theirs.release, &ours.release);
    let select = |spec: &Spec| spec.select.clone().unwrap_or_default();
    let parts = [
        ("the content of the file", their.artifact != our.artifact),
        ("version", their.version != our.version),
        ("name", their.name != our.name),
        ("selector", select(theirs) != select(ours)),
    ];
    let differ: Vec<_> = parts.into_iter().filter(|(_, is)| *is).map(|(what, _)| what).collect();
    if differ.is_empty() { vec!["the set of devices and addresses"] } else { differ }
}

#[cfg(test)]
mod tests;
