//! What an operator says of a device, as one value that is written and read whole.

use std::{collections::BTreeMap, time::Duration};

use groundswell_core::{device::Device, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeviceView, OperateError, State};
use crate::{
    inventory::{self, BadInventory, Format, Options},
    store::Store as _,
};

/// What an operator says of a device. What it says of itself, its version and when it was seen, is
/// not part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceSpec {
    /// For people; the id if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// Where it listens, such as `http://10.0.0.7:9000`; none if it polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub address: Option<String>,
    /// Where it stands, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub location: Option<String>,
    /// Its time zone, such as `America/Denver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub time_zone: Option<String>,
    /// How often it checks in, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 604_800)]
    pub check_in: Option<u64>,
    /// Free keys and values.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Where it takes updates, if not where the others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub update_path: Option<String>,
}

/// A part of a device that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct DeviceFault {
    /// Which part.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl DeviceSpec {
    /// What an operator said of a device.
    pub fn of(device: &Device) -> Self {
        let Device { name, address, location, time_zone, check_in, tags, update_path, .. } = device;
        Self {
            name: Some(name.clone()),
            address: address.as_ref().map(ToString::to_string),
            location: location.clone(),
            time_zone: time_zone.clone(),
            check_in: check_in.as_ref().map(Duration::as_secs),
            tags: tags.clone(),
            update_path: update_path.clone(),
        }
    }

    /// The device of this id, by the rules of an inventory.
    ///
    /// # Errors
    /// [`DeviceFault`] names the first part that cannot be.
    pub fn device(&self, id: &str) -> Result<Device, DeviceFault> {
        let whole = |detail: String| DeviceFault { field: "body".to_owned(), detail };
        let Ok(serde_json::Value::Object(mut row)) = serde_json::to_value(self) else {
            return Err(whole("it is no device".to_owned()));
        };
        row.insert("id".to_owned(), id.into());
        let row = serde_json::Value::Object(row).to_string();
        let options =
            Options { format: Some(Format::JsonLines), ..Options::new("the device", Time::ZERO) };
        match inventory::read(row.as_bytes(), &options) {
            Ok(inventory) => {
                let entry = inventory.entries.into_iter().next();
                let device = entry.ok_or_else(|| whole("it is no device".to_owned()))?.device;
                // It would be another device than the one that was asked for.
                if device.id == id {
                    return Ok(device);
                }
                let detail = "an id has no blanks at its ends".to_owned();
                Err(DeviceFault { field: "id".to_owned(), detail })
            }
            Err(BadInventory::Rows(bad)) => {
                let reason = bad.first.into_iter().flat_map(|row| row.reasons).next();
                Err(reason.map_or_else(
                    || whole("it is no device".to_owned()),
                    |reason| DeviceFault { field: reason.field(), detail: reason.to_string() },
                ))
            }
            Err(error) => Err(whole(error.to_string())),
        }
    }
}

impl State {
    /// A device, as it is kept and as it is shown.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`].
    pub fn device_view(&self, id: &str, now: Time) -> Result<(Device, DeviceView), OperateError> {
        let (_, device) = self.find_device(id)?;
        Ok((device.clone(), DeviceView::of(device, now)))
    }

    /// At most `limit` devices that `select` chooses, behind the id `after`, and the id behind which
    /// there are more.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn device_page(
        &self,
        select: Option<&groundswell_core::selector::Selector>,
        after: Option<&str>,
        limit: usize,
        now: Time,
    ) -> Result<(Vec<DeviceView>, Option<String>), OperateError> {
        // One more than wanted tells whether there are more.
        let mut found = self.store.devices(select, after, limit + 1, now)?;
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = if is_last { None } else { found.last().map(|device| device.id.clone()) };
        Ok((found.into_iter().map(|device| DeviceView::of(device, now)).collect(), next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_the_id_that_was_asked_for() {
        assert_eq!(DeviceSpec::default().device("till 1").unwrap().id, "till 1");
        for id in [" till-1", "till-1 ", "\u{a0}till-1"] {
            assert_eq!(DeviceSpec::default().device(id).unwrap_err().field, "id", "{id:?}");
        }
    }
}
