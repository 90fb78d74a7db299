//! What a reader wants, and may see.

use std::collections::HashMap;

use groundswell_core::time::Time;
use parking_lot::Mutex;

use super::{
    super::{Api, Problem},
    event::Kind,
};
use crate::{
    access::Scope,
    operate::{OperateError, State},
    store::RolloutKey,
};

/// Rollouts of which it is kept whether they are seen.
const SEEN_MAX: usize = 10_000;

/// Which events are told.
#[derive(Debug)]
pub(crate) struct Filter {
    key: FilterKey,
    scope: Option<Scope>,
    /// Whether a rollout is in the scope, of those that were asked for.
    seen: Mutex<HashMap<i64, bool>>,
}

/// Readers with the same key are told the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FilterKey {
    /// By their numbers, in order; none: all.
    rollouts: Option<Vec<i64>>,
    /// A bit for each kind.
    kinds: u64,
    scope: Option<String>,
}

impl Filter {
    /// Events of these rollouts (none: of all) and kinds (none: all), in a scope.
    pub(crate) fn new(rollouts: Option<Vec<i64>>, kinds: &[Kind], scope: Option<&Scope>) -> Self {
        let rollouts = rollouts.map(|mut rollouts| {
            rollouts.sort_unstable();
            rollouts.dedup();
            rollouts
        });
        let bits = kinds.iter().fold(0, |bits, kind| bits | kind.bit());
        let kinds = if kinds.is_empty() { u64::MAX } else { bits };
        let key = FilterKey { rollouts, kinds, scope: scope.map(ToString::to_string) };
        Self { key, scope: scope.cloned(), seen: Mutex::default() }
    }

    pub(super) const fn key(&self) -> &FilterKey {
        &self.key
    }

    /// Whether everything there is is told.
    pub(super) const fn is_all(&self) -> bool {
        self.key.rollouts.is_none() && self.key.kinds == u64::MAX && self.scope.is_none()
    }

    /// The rollout, if it is one only.
    pub(super) fn only(&self) -> Option<RolloutKey> {
        match self.key.rollouts.as_deref() {
            Some([one]) => Some(RolloutKey(*one)),
            _ => None,
        }
    }

    /// Whether it wants any of these kinds of a rollout, if it may see it.
    pub(super) fn wants(&self, rollout: i64, kinds: u64) -> bool {
        let named = |rollouts: &Vec<i64>| rollouts.binary_search(&rollout).is_ok();
        self.key.kinds & kinds != 0 && self.key.rollouts.as_ref().is_none_or(named)
    }

    /// Whether it may see a rollout.
    pub(super) fn sees(&self, state: &State, rollout: i64) -> Result<bool, OperateError> {
        self.sees_by(rollout, |scope| state.sees_rollout(RolloutKey(rollout), Some(scope)))
    }

    /// The same by a look of its own, if one is needed.
    pub(super) fn sees_beside(&self, api: &Api, rollout: i64) -> Result<bool, Problem> {
        self.sees_by(rollout, |scope| {
            api.glance(|state, _: Time| state.sees_rollout(RolloutKey(rollout), Some(scope)))
        })
    }

    fn sees_by<E>(
        &self,
        rollout: i64,
        look: impl FnOnce(&Scope) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let Some(scope) = &self.scope else { return Ok(true) };
        if let Some(is_seen) = self.seen.lock().get(&rollout) {
            return Ok(*is_seen);
        }
        let is_seen = look(scope)?;
        let mut seen = self.seen.lock();
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        seen.insert(rollout, is_seen);
        Ok(is_seen)
    }

    /// What a rollout chooses was changed: it is to be looked at again.
    pub(super) fn forget(&self, rollout: i64) {
        if self.scope.is_some() {
            self.seen.lock().remove(&rollout);
        }
    }
}
