//! What somebody may know who is limited to a part of the fleet.
//!
//! A state that sees as somebody ([`State::see_as`]) leaves the rest out of whatever it tells: names of
//! devices, rollouts by number or release, and numbers that others are counted in. What it decides it
//! decides by all of it.

use std::collections::BTreeSet;

use groundswell_core::{budget::Domain, selector::Selector, time::Time, waiting::WaitingOn};

use super::{OperateError, State};
use crate::{
    access::Scope,
    store::{RolloutKey, RolloutRecord, SelectorStore as _, Store as _, Unfinished},
};

/// Devices of a failure domain that are looked at one by one, to find out whether all of them may be
/// known: more than a store or a street has, some 10 ms.
const LOOKED_AT_MAX: usize = 500;

impl State {
    /// Tells from now on what somebody with this scope may know; none: everything.
    pub fn see_as(&mut self, scope: Option<Scope>) {
        self.sight = scope;
    }

    /// Whether a rollout may be known.
    pub(super) fn sees(&self, rollout: RolloutKey) -> Result<bool, OperateError> {
        self.sees_rollout(rollout, self.sight.as_ref())
    }

    /// Whether a device may be known.
    pub(super) fn sees_device(&self, id: &str) -> Result<bool, OperateError> {
        let Some(scope) = &self.sight else { return Ok(true) };
        self.is_device_in(id, scope)
    }

    /// Whether every device of a failure domain may be known, as far as that can be seen from the
    /// words, or from a look at a few.
    pub(super) fn sees_all_of(&self, domain: &Domain) -> Result<bool, OperateError> {
        let Some(scope) = &self.sight else { return Ok(true) };
        let own = Selector::of_tag(domain.per.tag(), domain.value.as_deref());
        if scope.covers(Some(&own)) {
            return Ok(true);
        }
        if domain.value.is_none() {
            // No index has those that lack a tag.
            return Ok(false);
        }
        let all = self.store.devices(Some(&own), None, LOOKED_AT_MAX + 1, Time::ZERO)?;
        Ok(all.len() <= LOOKED_AT_MAX && all.iter().all(|device| scope.contains(device)))
    }

    fn sees_some_of(&self, domain: &Domain) -> Result<bool, OperateError> {
        let Some(scope) = &self.sight else { return Ok(true) };
        let own = Selector::of_tag(domain.per.tag(), domain.value.as_deref());
        let own = scope.narrow(Some(own));
        Ok(self.store.count_devices_to(Some(&own), 1, Time::ZERO)? > 0)
    }

    /// What is waited for, as it may be known.
    pub(super) fn waits_seen(
        &self,
        reasons: Vec<WaitingOn>,
    ) -> Result<Vec<WaitingOn>, OperateError> {
        if self.sight.is_none() {
            return Ok(reasons);
        }
        reasons.into_iter().map(|reason| self.wait_seen(reason)).collect()
    }

    fn wait_seen(&self, reason: WaitingOn) -> Result<WaitingOn, OperateError> {
        Ok(match reason {
            WaitingOn::Busy { devices, rollout } if !self.sees(RolloutKey(rollout.number))? => {
                WaitingOn::BusyElsewhere { devices }
            }
            WaitingOn::Domain { devices, mut full } => {
                let domain: Domain = full.domain.parse()?;
                if self.sees_all_of(&domain)? {
                    // A driver told it a moment ago: somebody may have moved since.
                    for named in [&mut full.named, &mut full.down_named] {
                        let mut seen = vec![];
                        for id in named.drain(..) {
                            if self.sees_device(&id)? {
                                seen.push(id);
                            }
                        }
                        *named = seen;
                    }
                    return Ok(WaitingOn::Domain { devices, full });
                }
                let domain = self.sees_some_of(&domain)?.then_some(full.domain);
                WaitingOn::DomainElsewhere { devices, domain }
            }
            reason => reason,
        })
    }

    /// Those of these devices of a rollout that may be known: one may have moved since it was chosen.
    pub(super) fn unfinished_seen(
        &self,
        all: Vec<Unfinished>,
    ) -> Result<Vec<Unfinished>, OperateError> {
        let mut seen = vec![];
        for one in all {
            if self.sees_device(&one.device)? {
                seen.push(one);
            }
        }
        Ok(seen)
    }

    /// Those of these rollouts that may be known, by their numbers.
    pub(super) fn rollouts_seen(
        &self,
        numbers: impl IntoIterator<Item = i64>,
    ) -> Result<Vec<i64>, OperateError> {
        let mut seen = vec![];
        for number in numbers {
            if self.sees(RolloutKey(number))? {
                seen.push(number);
            }
        }
        Ok(seen)
    }

    /// The devices of a rollout that may not be known: they moved since they were chosen, or are gone.
    pub(super) fn unseen_of(&self, rollout: RolloutKey) -> Result<BTreeSet<String>, OperateError> {
        let mut unseen = BTreeSet::new();
        if let Some(scope) = &self.sight {
            self.store.for_each_outside(rollout, scope.selector(), &mut |id, _| {
                unseen.insert(id.to_owned());
                true
            })?;
        }
        Ok(unseen)
    }

    /// Refuses what may send something to devices of a rollout, or of the one that it rolls back, if
    /// one of them is by now where whoever wants it may touch nobody.
    ///
    /// # Errors
    /// [`OperateError::HasOthers`].
    pub fn refuse_for_others(&self, record: &RolloutRecord) -> Result<(), OperateError> {
        let Some(scope) = &self.sight else { return Ok(()) };
        let of = record.spec.rolls_back.as_ref().map(|of| RolloutKey(of.number));
        for rollout in [Some(record.key), of].into_iter().flatten() {
            let mut has_others = false;
            self.store.for_each_outside(rollout, scope.selector(), &mut |_, is_there| {
                has_others |= is_there;
                !has_others
            })?;
            if has_others {
                return Err(OperateError::HasOthers { rollout: record.key.0 });
            }
        }
        Ok(())
    }
}
