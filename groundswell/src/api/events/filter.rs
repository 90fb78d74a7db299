//! What a reader wants, and may see.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use groundswell_core::time::Time;
use parking_lot::Mutex;

use super::{
    super::{Api, Problem},
    event::Kind,
    page::{DEVICE_KINDS, Mark},
};
use crate::{
    access::Scope,
    operate::{OperateError, State},
    store::RolloutKey,
};

/// Rollouts of which it is kept whether they are seen.
const SEEN_MAX: usize = 10_000;

/// How long it is kept whether devices are seen: so long one that leaves the scope may still be told
/// of.
const DEVICES_FOR: Duration = Duration::from_secs(1);

/// Which events are told.
#[derive(Debug)]
pub(crate) struct Filter {
    key: FilterKey,
    scope: Option<Scope>,
    /// Whether a rollout is in the scope, of those that were asked for.
    seen: Mutex<HashMap<i64, bool>>,
    devices: Mutex<Devices>,
}

/// Whether devices are in the scope, of those that were asked for since.
#[derive(Debug)]
struct Devices {
    since: Instant,
    seen: HashMap<Arc<str>, bool>,
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
        let devices = Mutex::new(Devices { since: Instant::now(), seen: HashMap::new() });
        Self { key, scope: scope.cloned(), seen: Mutex::default(), devices }
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

    /// Whether it may see a device, none for one that nobody knows any more: a rollout that it sees may
    /// have devices that moved out of its scope since.
    pub(super) fn sees_device(
        &self,
        state: &State,
        id: Option<&Arc<str>>,
    ) -> Result<bool, OperateError> {
        self.sees_device_by(id, |scope, id| state.is_device_in(id, scope))
    }

    /// Whether it may see what an event is about, by looks of its own, if these are needed.
    pub(super) fn sees_beside(&self, api: &Api, mark: &Mark) -> Result<bool, Problem> {
        let rollout = RolloutKey(mark.rollout);
        let is_seen = self.sees_by(mark.rollout, |scope| {
            api.glance(|state, _: Time| state.sees_rollout(rollout, Some(scope)))
        })?;
        if !is_seen || mark.kind.bit() & DEVICE_KINDS == 0 {
            return Ok(is_seen);
        }
        self.sees_device_by(mark.device.as_ref(), |scope, id| {
            api.glance(|state, _: Time| state.is_device_in(id, scope))
        })
    }

    fn sees_device_by<E>(
        &self,
        id: Option<&Arc<str>>,
        look: impl FnOnce(&Scope, &str) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let Some(scope) = &self.scope else { return Ok(true) };
        let Some(id) = id else { return Ok(false) };
        {
            let mut devices = self.devices.lock();
            if devices.since.elapsed() >= DEVICES_FOR || devices.seen.len() >= SEEN_MAX {
                *devices = Devices { since: Instant::now(), seen: HashMap::new() };
            }
            if let Some(is_seen) = devices.seen.get(id) {
                return Ok(*is_seen);
            }
        }
        let is_seen = look(scope, id)?;
        self.devices.lock().seen.insert(id.clone(), is_seen);
        Ok(is_seen)
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
