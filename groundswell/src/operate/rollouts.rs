//! Rollouts: found by what people call them, listed.

use groundswell_core::{
    ids::RolloutId,
    rollout::{self, Strategy},
    snapshot::Counts,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    OperateError, State,
    schema::{CountsSchema, RolloutStateSchema},
};
use crate::store::{RolloutKey, RolloutRecord, Store, StoreError, Which};

/// Fewer letters of an id are taken for a mistake.
const PREFIX_MIN: usize = 4;

/// Ids that are named where several begin alike.
const AMONG_MAX: usize = 4;

/// A rollout in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RolloutView {
    /// Its number.
    pub number: i64,
    /// Its id.
    #[schema(value_type = String)]
    pub id: RolloutId,
    /// The name of its release.
    pub name: String,
    /// The version of its release.
    pub version: String,
    /// By which plan.
    #[schema(value_type = String)]
    pub strategy: Strategy,
    /// Where it stands.
    #[schema(value_type = RolloutStateSchema)]
    pub state: rollout::State,
    /// Which round it is in.
    pub round: u32,
    /// The devices of the round, counted.
    #[schema(value_type = CountsSchema)]
    pub counts: Counts,
    /// When it was written down.
    #[schema(value_type = i64)]
    pub created_at: Time,
}

impl State {
    /// The rollout of a number, of an id, or of what an id begins with.
    ///
    /// # Errors
    /// [`OperateError::UnknownRollout`] or [`OperateError::AmbiguousRollout`].
    pub fn find_rollout(&self, given: &str) -> Result<RolloutRecord, OperateError> {
        if let Ok(number) = given.parse()
            && let Some(found) = self.store.rollout(RolloutKey(number))?
        {
            return Ok(found);
        }
        let mut all = self.store.rollouts(Which::All)?;
        let last = all.last().map(|record| record.key.0);
        let prefix = given.to_ascii_lowercase();
        all.retain(|record| {
            prefix.len() >= PREFIX_MIN && record.id.to_string().starts_with(&prefix)
        });
        let given = given.to_owned();
        if all.len() > 1 {
            let among = all.iter().take(AMONG_MAX);
            let among = among.map(|record| format!("{} is {}", record.key.0, record.id)).collect();
            return Err(OperateError::AmbiguousRollout { given, among });
        }
        all.pop().ok_or(OperateError::UnknownRollout { given, last })
    }

    /// All rollouts, oldest first.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn rollouts(&self) -> Result<Vec<RolloutView>, OperateError> {
        let view = |record: RolloutRecord| -> Result<RolloutView, StoreError> {
            let round = record.progression.round;
            let cohorts = self.store.cohorts(record.key, round)?;
            Ok(RolloutView {
                number: record.key.0,
                id: record.id,
                strategy: record.spec.strategy,
                name: record.spec.release.name,
                version: record.spec.release.version,
                state: record.progression.state,
                round,
                counts: cohorts.iter().map(|cohort| cohort.counts).sum(),
                created_at: record.created_at,
            })
        };
        let all = self.store.rollouts(Which::All)?.into_iter();
        Ok(all.map(view).collect::<Result<_, _>>()?)
    }
}
