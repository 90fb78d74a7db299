//! Devices one by one: changed by who saw them, removed, imported, and heard of when they check in.

use groundswell_core::{assignment::Assignment, device::Device, time::Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{DeviceKey, RolloutKey, StoreError};
use crate::access::{Token, TokenId};

/// What a device as given did to the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// It was not known.
    Created,
    /// Something else was known of it.
    Changed,
    /// The same was known of it.
    Same,
}

/// What came of removing a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Done,
    /// There was none.
    Unknown,
    /// This rollout is sending to it, or asking for its version.
    Active(RolloutKey),
}

/// What came of an enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// The device and its token are there.
    Done,
    /// The enrollment token is used up, or no good any more.
    UsedUp,
    /// There is a device of this id.
    Known,
}

/// What a device said of how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is well.
    Well,
    /// It is not, and what it said.
    Unwell(String),
}

/// A device checked in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedIn {
    /// When.
    pub at: Time,
    /// The version it said it runs, if it said so.
    pub version: Option<String>,
    /// How it said it is, if it said so.
    pub health: Option<Health>,
}

impl CheckedIn {
    /// This, and what was said before where this says nothing.
    #[must_use]
    pub fn over(self, before: Self) -> Self {
        let (version, health) = (self.version.or(before.version), self.health.or(before.health));
        Self { at: self.at, version, health }
    }
}

/// A device that calls, and what waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calling {
    /// Its row.
    pub key: DeviceKey,
    /// Where it listens, as it is kept.
    pub address: Option<String>,
    /// Its time zone.
    pub time_zone: Option<String>,
    /// Its assignments that have not ended, of the rollouts that were asked about.
    pub waits: Vec<(RolloutKey, Assignment)>,
}

/// What became of a token that was to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is revoked.
    Done,
    /// It was before.
    Already,
    /// It is the last one that may administer everything.
    Last,
}

/// The part of a store that knows of single devices. Every method is one transaction.
pub trait FleetStore {
    /// Writes a device down if `before` is still what is said of it; false, and nothing written, if
    /// not. When it was seen and what it runs does not count.
    fn change_device(
        &mut self,
        before: Option<&Device>,
        device: &Device,
    ) -> Result<bool, StoreError>;

    /// Says what operators said of a device when whoever makes the next change looked at it: if they
    /// say something else by the time that is written, nothing is, and the change ends in
    /// [`StoreError::ChangedMeanwhile`]. Forgotten as what [`super::AccessStore::attribute`] said.
    fn expect_device(&mut self, seen: Device);

    /// Takes a device out of the inventory, revokes its tokens, and forgets what it failed in.
    fn remove_device(&mut self, id: &str, now: Time) -> Result<Removed, StoreError>;

    /// Puts devices into the inventory, and says of each what that did. By whom it is done is written
    /// down with how many there were, and what the first ones were and are, as `told`, if there was
    /// anything to do.
    fn import_devices(
        &mut self,
        devices: &[&Device],
        told: &dyn Fn(&Device) -> Value,
    ) -> Result<Vec<Written>, StoreError>;

    /// Notes devices that checked in, and tells a driver of those that rollouts wait for or that keep
    /// slots because they failed. Those that are not in the inventory are passed over.
    fn checked_in(&mut self, devices: &[(Box<str>, CheckedIn)]) -> Result<(), StoreError>;

    /// A device that calls, and what waits for it in these rollouts: one query.
    fn calling(&self, id: &str, rollouts: &[RolloutKey]) -> Result<Option<Calling>, StoreError>;

    /// When a device said that it is not well, and what, unless it was well since.
    fn unwell(&self, device: DeviceKey) -> Result<Option<(Time, String)>, StoreError>;

    /// Writes a new device and its token down, and counts it against the limit of the enrollment.
    fn enroll(
        &mut self,
        by: &TokenId,
        uses_max: u64,
        device: &Device,
        token: &Token,
    ) -> Result<Enrolled, StoreError>;

    /// Revokes a token, unless it is the last one without a scope that may administer.
    fn revoke_token(&mut self, id: &TokenId, now: Time) -> Result<Revoked, StoreError>;
}
