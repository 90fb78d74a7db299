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
use crate::access::Scope;
use crate::engine::choose;
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
            && self.is_in_scope(&found, self.sight.as_ref())?
        {
            return Ok(found);
        }
        let mut all = vec![];
        for record in self.store.rollouts(Which::All)? {
            if self.is_in_scope(&record, self.sight.as_ref())? {
                all.push(record);
            }
        }
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
        let all = self.store.rollouts(Which::All)?.into_iter();
        Ok(all.map(|record| self.rollout_view(record)).collect::<Result<_, _>>()?)
    }

    /// At most `limit` rollouts before this number, newest first, of those that are wanted and in
    /// the scope, and the number before which there are more.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn rollout_page(
        &self,
        before: Option<i64>,
        limit: usize,
        scope: Option<&Scope>,
        is_wanted: &dyn Fn(&RolloutRecord) -> bool,
    ) -> Result<(Vec<RolloutView>, Option<i64>), OperateError> {
        let (mut found, mut has_more) = (vec![], false);
        for record in self.store.rollouts(Which::All)?.into_iter().rev() {
            let is_there = before.is_none_or(|before| record.key.0 < before) && is_wanted(&record);
            if is_there && self.is_in_scope(&record, scope)? {
                if found.len() == limit {
                    has_more = true;
                    break;
                }
                found.push(self.rollout_view(record)?);
            }
        }
        let next = found.last().filter(|_| has_more).map(|last: &RolloutView| last.number);
        Ok((found, next))
    }

    /// Whether all that a rollout chooses is in a scope, as far as its selector says so; a rollback
    /// is where the rollout is that it rolls back.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn is_in_scope(
        &self,
        record: &RolloutRecord,
        scope: Option<&Scope>,
    ) -> Result<bool, OperateError> {
        let Some(scope) = scope else { return Ok(true) };
        if record.identity.is_some() {
            // A push was given its devices by name.
            return Ok(false);
        }
        if let Some(of) = &record.spec.rolls_back {
            let of = self.store.rollout(RolloutKey(of.number))?;
            return of.map_or(Ok(false), |of| self.is_in_scope(&of, Some(scope)));
        }
        let select = record.spec.select.as_deref().filter(|select| !select.is_empty());
        let select = select.map(choose::parse).transpose()?;
        Ok(scope.covers(select.as_ref()))
    }

    fn rollout_view(&self, record: RolloutRecord) -> Result<RolloutView, StoreError> {
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
    }
}
