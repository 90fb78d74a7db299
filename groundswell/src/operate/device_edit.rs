//! A device of the inventory: changed by who saw it, removed, imported, enrolled; and what it went
//! through.

use groundswell_core::{device::Device, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeviceSpec, DeviceView, DeviceWhy, FailingView, OperateError, SlotReleaseView, State};
use crate::{
    access::{Scope, Token, TokenId},
    store::{
        Calling, CheckedIn, Enrolled, FleetStore as _, Removed, RolloutKey, RolloutRecord,
        Store as _, Which, Written,
    },
};

/// A device in a round of a rollout, as its history has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Past {
    /// The rollout's number.
    pub rollout: i64,
    /// The name of its release.
    pub name: String,
    /// The version of its release.
    pub version: String,
    /// In which round.
    pub round: u32,
    /// In which wave, counted from 1.
    pub wave: usize,
    /// Where it stands, such as `succeeded` or `failed: verification`.
    pub state: String,
    /// Attempts that count.
    pub attempts: u32,
    /// Since when it stands there; none if it was never begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub changed_at: Option<Time>,
    /// Why, if there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it said when it was found not to be well after its update, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regressed: Option<String>,
}

/// That a device said that it is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unwell {
    /// When.
    #[schema(value_type = i64)]
    pub at: Time,
    /// What it said.
    pub text: String,
}

/// A device, and why it is where it is in every rollout.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceWhys {
    /// The device.
    #[serde(flatten)]
    pub device: DeviceView,
    /// What it failed in since it last took an update well.
    #[serde(flatten)]
    pub failing: FailingView,
    /// That it said of itself that it is not well, unless it was well since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwell: Option<Unwell>,
    /// Slots in failure domains that operators released, the last ones, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots_released: Vec<SlotReleaseView>,
    /// Where it stands in each rollout that has it, newest first.
    pub rollouts: Vec<DeviceWhy>,
}

/// A device as the audit log tells of it.
pub(super) fn told(device: &Device) -> serde_json::Value {
    serde_json::to_value(DeviceSpec::of(device)).unwrap_or_default()
}

impl State {
    /// The device of this id, if there is one.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn known_device(&self, id: &str) -> Result<Option<Device>, OperateError> {
        Ok(self.store.device(id)?)
    }

    /// Writes a device down if `before` is still what operators say of it; says whether it was.
    ///
    /// # Errors
    /// [`OperateError::Network`] if it may not be where it says, [`OperateError::Store`].
    pub fn change_device(
        &mut self,
        before: Option<&Device>,
        device: &Device,
    ) -> Result<bool, OperateError> {
        self.judge_device(device)?;
        Ok(self.store.change_device(before, device)?)
    }

    /// Says what operators said of a device when whoever makes the next change looked at it: that is
    /// refused if they say something else by the time that it is written, and nothing is.
    pub fn expect_device(&mut self, seen: Device) {
        self.store.expect_device(seen);
    }

    /// Takes a device out of the inventory. Past rollouts still tell of it; its tokens are no good any
    /// more. One that is written again under its id is the same device.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`], or [`OperateError::DeviceBusy`] while a rollout sends to it.
    pub fn remove_device(&mut self, id: &str, now: Time) -> Result<(), OperateError> {
        match self.store.remove_device(id, now)? {
            Removed::Done => Ok(()),
            Removed::Unknown => Err(OperateError::UnknownDevice { id: id.to_owned(), meant: None }),
            Removed::Active(rollout) => {
                let rollout = self.sees(rollout)?.then_some(rollout.0);
                Err(OperateError::DeviceBusy { device: id.to_owned(), rollout })
            }
        }
    }

    /// Puts lines of an import into the inventory, those that somebody with this scope may write, and
    /// says of each what that did; none of what is out of the scope.
    ///
    /// # Errors
    /// [`OperateError::Store`], with nothing written.
    pub fn import_seen(
        &mut self,
        devices: &[Device],
        scope: Option<&Scope>,
    ) -> Result<Vec<Option<Written>>, OperateError> {
        let mut may = Vec::with_capacity(devices.len());
        for device in devices {
            may.push(match scope {
                None => true,
                Some(scope) => {
                    let known = self.store.device(&device.id)?;
                    let is_own = known.is_none_or(|known| scope.contains(&known));
                    is_own && scope.contains(device)
                }
            });
        }
        let all = devices.iter().zip(&may).filter_map(|(device, may)| may.then_some(device));
        let all: Vec<&Device> = all.collect();
        let mut written = self.store.import_devices(&all, &told)?.into_iter();
        Ok(may.into_iter().map(|may| if may { written.next() } else { None }).collect())
    }

    /// The rounds of rollouts that a device was in, newest first, of rollouts that somebody with this
    /// scope sees; and the number before which there are more.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`].
    pub fn device_history(
        &self,
        id: &str,
        before: Option<i64>,
        limit: usize,
        scope: Option<&Scope>,
    ) -> Result<(Vec<Past>, Option<i64>), OperateError> {
        let (key, _) = self.find_device(id)?;
        let mut standings = self.store.standings(key)?;
        standings.sort_by_key(|standing| std::cmp::Reverse(standing.id));
        let (mut found, mut last) = (vec![], None);
        let mut records: hashbrown::HashMap<RolloutKey, Option<RolloutRecord>> =
            hashbrown::HashMap::new();
        for standing in standings {
            if before.is_some_and(|before| standing.id.0 >= before) {
                continue;
            }
            let record = match records.entry(standing.rollout) {
                hashbrown::hash_map::Entry::Occupied(known) => known.into_mut(),
                hashbrown::hash_map::Entry::Vacant(new) => {
                    let record = self.known(standing.rollout)?;
                    let is_seen = self.is_in_scope(&record, scope)?;
                    new.insert(Some(record).filter(|_| is_seen))
                }
            };
            let Some(record) = record else { continue };
            if found.len() == limit {
                return Ok((found, last));
            }
            last = Some(standing.id.0);
            found.push(Past {
                rollout: standing.rollout.0,
                name: record.spec.release.name.clone(),
                version: record.spec.release.version.clone(),
                round: standing.round,
                wave: standing.wave + 1,
                state: standing.assignment.state.to_string(),
                attempts: standing.assignment.attempt,
                changed_at: standing.changed_at,
                detail: standing.detail,
                regressed: standing.regressed,
            });
        }
        Ok((found, None))
    }

    /// Why a device is where it is, in every rollout that somebody with this scope sees.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`].
    pub fn device_whys(
        &self,
        id: &str,
        scope: Option<&Scope>,
        now: Time,
    ) -> Result<DeviceWhys, OperateError> {
        let (key, device) = self.find_device(id)?;
        let mut rollouts = vec![];
        for why in self.whys_of(key, &device, now)? {
            if self.is_in_scope(&self.known(RolloutKey(why.rollout))?, scope)? {
                rollouts.push(why);
            }
        }
        let failing = self.failing(id)?;
        let unwell = self.store.unwell(key)?.map(|(at, text)| Unwell { at, text });
        let slots_released = self.released_slots(id)?;
        let device = DeviceView::of(device, now);
        Ok(DeviceWhys { device, failing, unwell, slots_released, rollouts })
    }

    /// The rollouts that a driver has something to do for, now or later.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn driven(&self) -> Result<Vec<RolloutRecord>, OperateError> {
        Ok(self.store.rollouts(Which::Driven)?)
    }

    /// A device that calls, and what waits for it in these rollouts; none if there is no such device.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn calling(
        &self,
        id: &str,
        rollouts: &[RolloutKey],
    ) -> Result<Option<Calling>, OperateError> {
        Ok(self.store.calling(id, rollouts)?)
    }

    /// Notes devices that checked in.
    ///
    /// # Errors
    /// [`OperateError::Store`], with nothing written.
    pub fn checked_in(&mut self, devices: &[(Box<str>, CheckedIn)]) -> Result<(), OperateError> {
        Ok(self.store.checked_in(devices)?)
    }

    /// Writes a new device and its token down.
    ///
    /// # Errors
    /// [`OperateError::UsedUp`], [`OperateError::DeviceKnown`], or [`OperateError::Network`].
    pub fn enroll(
        &mut self,
        by: &TokenId,
        uses_max: u64,
        device: &Device,
        token: &Token,
    ) -> Result<(), OperateError> {
        self.judge_device(device)?;
        match self.store.enroll(by, uses_max, device, token)? {
            Enrolled::Done => Ok(()),
            Enrolled::UsedUp => Err(OperateError::UsedUp),
            Enrolled::Known => Err(OperateError::DeviceKnown { device: device.id.clone() }),
        }
    }
}
