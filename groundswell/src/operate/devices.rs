//! The inventory of a state directory: import, list, show, check-in.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use groundswell_core::{
    device::{Address, Device, check_label},
    selector::Selector,
    spelling::nearest,
    time::Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeviceWhy, OperateError, State, device_edit::told};
use crate::{
    inventory::Inventory,
    store::{
        AccessStore as _, Contact, DeviceKey, FleetStore as _, Intent, Put, Store, StoreError,
        TroubleStore as _, Written,
    },
};

/// Devices written down in one transaction: some 20 ms of it.
const CHUNK: usize = 1_000;

/// The pause after each, in which a driver that waits gets its turn.
const PAUSE: Duration = Duration::from_millis(2);

/// Most devices of a page.
pub const PAGE_MAX: usize = 10_000;

/// Ids that a mistyped one is compared with, from each place where a like one may stand.
const LIKE_MAX: usize = 500;

/// What came of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// What it did to the inventory.
    #[serde(flatten)]
    pub put: Put,
    /// Devices with headers of their own, which are not kept: they may be secrets.
    pub with_headers: u64,
}

/// A device as it is shown; an inventory of these reads back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceView {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<Address>,
    /// What it runs, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Its time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// How often it checks in, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "secs")]
    #[schema(value_type = Option<u64>)]
    pub check_in: Option<Duration>,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub last_seen: Option<Time>,
    /// Whether it is there: a word of [`groundswell_core::presence::Presence`].
    pub status: Cow<'static, str>,
    /// Free keys and values.
    pub tags: BTreeMap<String, String>,
    /// Where it takes updates, if not where the others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_path: Option<String>,
}

mod secs {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u64(value.map_or(0, |duration| duration.as_secs()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_secs))
    }
}

impl DeviceView {
    pub(crate) fn of(device: Device, now: Time) -> Self {
        let status = device.presence(now).as_str().into();
        let Device { id, name, address, version, location, .. } = device;
        let Device { time_zone, check_in, last_seen, tags, update_path, .. } = device;
        Self {
            id,
            name,
            address,
            version,
            location,
            time_zone,
            check_in,
            last_seen,
            status,
            tags,
            update_path,
        }
    }
}

/// A part of the inventory, in the order of ids.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// The devices.
    pub devices: Vec<DeviceView>,
    /// How many there are in all, or are chosen.
    pub of: u64,
    /// Whether there are more than were counted; a server stops somewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_more: bool,
    /// The id behind which the next page begins; none if this is the last.
    pub next: Option<String>,
}

impl State {
    /// Puts the devices of an inventory into this one. Their headers are left out. By whom is in the audit
    /// log with each transaction that changes something.
    ///
    /// # Errors
    /// [`OperateError::ImportCut`] says how many were written before, and stay; otherwise
    /// [`OperateError::Store`].
    pub fn import(&mut self, inventory: &Inventory) -> Result<Import, OperateError> {
        // Nothing of a list that has such a device is written.
        inventory.entries.iter().try_for_each(|entry| self.judge_device(&entry.device))?;
        let mut put = Put::default();
        let by = self.store.attribution().cloned();
        for chunk in inventory.entries.chunks(CHUNK) {
            let devices: Vec<&Device> = chunk.iter().map(|entry| &entry.device).collect();
            if let Some(by) = by.clone() {
                self.store.attribute(by);
            }
            let written = match self.store.import_devices(&devices, &told) {
                Ok(written) => written,
                Err(error) => return Err(cut(put, inventory.entries.len(), error)),
            };
            for written in written {
                *match written {
                    Written::Created => &mut put.new,
                    Written::Changed => &mut put.changed,
                    Written::Same => &mut put.same,
                } += 1;
            }
            std::thread::sleep(PAUSE);
        }
        let with_headers = inventory.entries.iter().filter(|entry| entry.headers.is_some());
        Ok(Import { put, with_headers: with_headers.count() as u64 })
    }

    /// At most `limit` devices behind the id `after`, of those that `select` chooses.
    ///
    /// # Errors
    /// [`OperateError::Selector`] if it is none.
    pub fn devices(
        &self,
        select: Option<&str>,
        after: Option<&str>,
        limit: usize,
        now: Time,
    ) -> Result<Part, OperateError> {
        let select = select.map(Selector::parse).transpose().map_err(OperateError::Selector)?;
        let limit = limit.min(PAGE_MAX);
        // One more than wanted tells whether there are more.
        let mut found = self.store.devices(select.as_ref(), after, limit + 1, now)?;
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = if is_last { None } else { found.last().map(|device| device.id.clone()) };
        let of = self.store.count_devices(select.as_ref(), now)?;
        let devices = found.into_iter().map(|device| DeviceView::of(device, now)).collect();
        Ok(Part { devices, of, is_of_more: false, next })
    }

    /// A device, and where it stands in each rollout that has it, newest first.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`].
    pub fn device(
        &self,
        id: &str,
        now: Time,
    ) -> Result<(DeviceView, Vec<DeviceWhy>), OperateError> {
        let (key, device) = self.find_device(id)?;
        let standings = self.whys_of(key, &device, now)?;
        Ok((DeviceView::of(device, now), standings))
    }

    /// Notes that a device was heard of, and the version it said it runs. A driver is told if a
    /// rollout waits for it.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`], or [`OperateError::Label`] for what is no version.
    pub fn check_in(
        &mut self,
        id: &str,
        version: Option<&str>,
        now: Time,
    ) -> Result<usize, OperateError> {
        if let Some(version) = version {
            check_label("version", version)?;
        }
        let (device, _) = self.find_device(id)?;
        // Whoever keeps slots because it failed is well by that.
        let had_failed = !self.store.failed_devices(Some(device))?.is_empty();
        self.store.saw(&[Contact { device: id, at: now, version }])?;
        let waiting = self.store.waiting(device)?.len();
        if waiting > 0 || had_failed {
            self.store.put_intent(&Intent::Contact { device }, now)?;
        }
        Ok(waiting)
    }

    pub(super) fn find_device(&self, id: &str) -> Result<(DeviceKey, Device), OperateError> {
        let found = self.store.device_key(id)?.zip(self.store.device(id)?);
        if let Some(found) = found {
            return Ok(found);
        }
        // What was probably meant may be somebody else's.
        let meant = if self.sight.is_some() { None } else { self.meant(id)? };
        Err(OperateError::UnknownDevice { id: id.to_owned(), meant })
    }

    /// The id that was probably meant. A fleet is too large to compare all of them: those are
    /// looked at that stand near it, and the first ones.
    fn meant(&self, id: &str) -> Result<Option<String>, OperateError> {
        let near: String = id.chars().take(id.chars().count().saturating_sub(3)).collect();
        let mut ids = vec![];
        for after in ["", &near] {
            let found = self.store.devices(None, Some(after), LIKE_MAX, Time::ZERO)?;
            ids.extend(found.into_iter().map(|device| device.id));
        }
        Ok(nearest(id, ids.iter().map(String::as_str)).map(str::to_owned))
    }
}

/// An import that ended early; one that kept nothing is like any other write that failed.
const fn cut(put: Put, of: usize, error: StoreError) -> OperateError {
    match (put.new + put.changed + put.same) as usize {
        0 => OperateError::Store(error),
        kept => OperateError::ImportCut { kept, of, error },
    }
}
