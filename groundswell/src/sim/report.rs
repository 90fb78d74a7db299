//! What the fleet tells about itself afterwards.
//!
//! Owns the report's JSON, for writing and for reading it back in another process. Knows nothing
//! of how it came about. Start with [`Report`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fault::Name;

/// Everything: the whole fleet, and each device by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The fleet as a whole.
    pub fleet: Summary,
    /// Every device that was heard of.
    pub devices: BTreeMap<String, DeviceReport>,
}

/// The fleet as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// When the fleet started, in milliseconds since 1970: what `at_ms` counts from.
    #[serde(default)]
    pub started_at_ms: i64,
    /// Devices that were heard of.
    pub devices: u64,
    /// Requests to devices, answered or not.
    pub requests: u64,
    /// Most requests that were under way at once on one address: what limits per host bound.
    pub requests_per_address_peak: u64,
    /// Requests and connections reset because the device was offline or rebooting.
    pub turned_away: u64,
    /// Bodies of updates.
    pub receptions: Receptions,
    /// The sum of [`DeviceReport::repeated`].
    pub repeated: u64,
    /// Devices that saw more than one Idempotency-Key.
    pub several_keys: u64,
    /// Bytes of all bodies, cut ones included.
    pub bytes: u64,
    /// Connections of devices and of whoever reads the report.
    pub connections: Connections,
    /// How often each fault hit; those that never did are absent.
    pub faults: BTreeMap<Name, u64>,
}

/// Counts of bodies that arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receptions {
    /// Updates of which a body, or the announcement of one, arrived: complete and cut.
    pub count: u64,
    /// The body arrived whole.
    pub complete: u64,
    /// The body did not arrive whole.
    pub cut: u64,
    /// Of the complete ones: refused by the answer, and not installed.
    pub refused: u64,
}

/// Counts of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Accepted since the start.
    pub opened: u64,
    /// Open now.
    pub open: u64,
    /// Most that were open at once.
    pub peak: u64,
    /// Closed at once because they did not come to a loopback address.
    pub refused: u64,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The version it answers.
    pub version: String,
    /// The versions it ran before, oldest first; at most the last 16.
    pub former_versions: Vec<String>,
    /// It is rebooting and answers nothing.
    pub rebooting: bool,
    /// It was taken offline and answers nothing.
    pub offline: bool,
    /// The update that it took last broke it: asked for its version it answers an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken: bool,
    /// Requests for an update, with whatever end.
    pub updates: u64,
    /// Bodies of updates.
    pub receptions: Receptions,
    /// Complete bodies, not refused, of the version that it had taken last, without its having
    /// answered another version in between: updates that nobody had reason to send again.
    pub repeated: u64,
    /// Bytes of all bodies, cut ones included.
    pub bytes: u64,
    /// Of the last complete body that was hashed, in hexadecimal.
    pub sha256: Option<String>,
    /// The last X-Update-ID.
    pub update_id: Option<String>,
    /// Each Idempotency-Key, in the order of its first arrival; at most 16.
    pub keys: Vec<KeyCount>,
    /// Receptions whose key found no place in `keys`.
    pub keys_left_out: u64,
    /// What happened, oldest first; at most the last 64.
    pub events: Vec<Event>,
    /// Older events that were dropped.
    pub events_left_out: u64,
}

/// An Idempotency-Key and how many bodies came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCount {
    /// The key.
    pub key: String,
    /// Bodies, complete or cut.
    pub receptions: u64,
}

/// Something that happened to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the fleet started.
    pub at_ms: u64,
    /// How long before that its request had begun to arrive, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub took_ms: u32,
    /// What.
    pub kind: EventKind,
    /// The Idempotency-Key that came along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The version that was sent, or that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The status that a complete body was answered with; absent if the answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The fault that hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Name>,
    /// How often it happened in a row, for answered versions.
    pub times: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A body arrived whole.
    Received,
    /// A body began and did not arrive whole.
    Cut,
    /// The device answered its version.
    AnsweredVersion,
}
