//! Devices.

use groundswell_core::time::Time;
use http::Method;
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, PAGE, Page};
use crate::{
    api::operator::devices::Devices,
    operate::{DeviceSpec, DeviceView, DeviceWhy, FailingView, Part, SlotReleaseView},
};

/// Where a device stands in every rollout that has it, and what it failed in.
#[derive(Clone, Debug, Deserialize)]
pub struct DeviceStanding {
    /// What it failed in since it last took an update well.
    #[serde(flatten)]
    pub failing: FailingView,
    /// Slots in failure domains that operators released, the last ones, oldest first.
    #[serde(default)]
    pub slots_released: Vec<SlotReleaseView>,
    /// Where it stands in each rollout that has it, newest first.
    pub rollouts: Vec<DeviceWhy>,
}

/// What a device is told that checked in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CheckedIn {
    /// The time at the server.
    pub at: Time,
    /// The rollouts that have it and are not done with it, oldest first.
    pub waits: Vec<Waiting>,
}

/// A rollout that is not done with a device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Waiting {
    /// The rollout's number.
    pub rollout: i64,
    /// Where the device stands in it, such as `queued`.
    pub state: String,
}

#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    select: Option<&'a str>,
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
    #[serde(default)]
    is_more: bool,
}

#[derive(Serialize)]
struct Seen<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

#[derive(Serialize)]
struct Because<'a> {
    reason: &'a str,
}

impl Client {
    /// A page of the devices that `select` chooses, in the order of their ids.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn devices(&self, select: Option<&str>, page: &Page) -> Result<Devices, ClientError> {
        self.get(&["devices"]).query_if("select", select).page(page).read().await
    }

    /// At most `limit` devices behind the id `after`, and how many there are in all, or are chosen.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn part(
        &self,
        select: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Part, ClientError> {
        let (mut devices, mut cursor) = (vec![], None);
        loop {
            let wanted = (limit - devices.len()).min(PAGE);
            let page = Page { limit: Some(wanted), cursor };
            let ask = self.get(&["devices"]).query_if("select", select).query_if("after", after);
            let more: Devices = ask.page(&page).read().await?;
            devices.extend(more.devices);
            cursor = more.next;
            if cursor.is_none() || devices.len() >= limit {
                break;
            }
        }
        let next = devices.last().filter(|_| cursor.is_some()).map(|last| last.id.clone());
        let (of, is_of_more) = match (after, &next) {
            (None, None) => (devices.len() as u64, false),
            _ => self.count_devices(select).await?,
        };
        Ok(Part { devices, of, is_of_more, next })
    }

    /// How many devices `select` chooses, and whether there are more than were counted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn count_devices(&self, select: Option<&str>) -> Result<(u64, bool), ClientError> {
        let ask = self.post(&["selectors", "count"]).json(&Asked { select }).repeatable();
        let Counted { count, is_more } = ask.read().await?;
        Ok((count, is_more))
    }

    /// A device.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn device(&self, id: &str) -> Result<DeviceView, ClientError> {
        self.get(&["devices", id]).read().await
    }

    /// Writes a device down, or changes all that operators say of it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_device(&self, id: &str, spec: &DeviceSpec) -> Result<DeviceView, ClientError> {
        self.ask(Method::PUT, &["devices", id]).json(spec).repeatable().read().await
    }

    /// Takes a device out of the inventory.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_device(&self, id: &str) -> Result<(), ClientError> {
        self.ask(Method::DELETE, &["devices", id]).answer().await.map(drop)
    }

    /// Why a device is where it is in every rollout that has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn device_standing(&self, id: &str) -> Result<DeviceStanding, ClientError> {
        self.get(&["devices", id, "why"]).read().await
    }

    /// Lets a device that failed rollouts in a row take part again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release_device(&self, id: &str, reason: &str) -> Result<FailingView, ClientError> {
        self.post(&["devices", id, "release"]).json(&Because { reason }).read().await
    }

    /// Says that a device is there: by its own token, or by that of an operator.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn check_in(
        &self,
        id: &str,
        version: Option<&str>,
    ) -> Result<CheckedIn, ClientError> {
        self.post(&["devices", id, "check-in"]).json(&Seen { version }).repeatable().read().await
    }
}
