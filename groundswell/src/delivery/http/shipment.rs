//! What is sent, and to whom.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use groundswell_core::{
    device::{Endpoint, ValueError, check_label},
    ids::RolloutId,
};
use http::{HeaderMap, HeaderValue};

use super::headers::encode_label;
use crate::artifacts::payload::Payload;

/// What is the same for every device of a rollout. Cheap to clone; its header values are built
/// once.
#[derive(Clone, Debug)]
pub struct Shipment {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    payload: Payload,
    version: Box<str>,
    update_id: HeaderValue,
    version_value: HeaderValue,
    digest: HeaderValue,
}

/// Why a release cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShipmentError {
    /// The version is empty, too long or holds control characters.
    #[error(transparent)]
    Version(#[from] ValueError),
}

impl Shipment {
    /// A release on its way: the rollout's id goes out as `X-Update-ID`, the version as
    /// `X-Firmware-Version`, the payload's sha-256 as `Repr-Digest` (RFC 9530).
    ///
    /// # Errors
    /// The version is empty, longer than
    /// [`LABEL_BYTES_MAX`](groundswell_core::device::LABEL_BYTES_MAX) or holds control characters.
    pub fn new(rollout: RolloutId, version: &str, payload: Payload) -> Result<Self, ShipmentError> {
        check_label("version", version)?;
        let digest = format!("sha-256=:{}:", STANDARD.encode(payload.sha256()));
        let inner = Inner {
            update_id: encode_label(&rollout.to_string()),
            version_value: encode_label(version),
            digest: encode_label(&digest),
            version: version.into(),
            payload,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What is sent.
    pub fn payload(&self) -> &Payload {
        &self.inner.payload
    }

    /// The release's version.
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    pub(super) fn update_id(&self) -> &HeaderValue {
        &self.inner.update_id
    }

    pub(super) fn version_value(&self) -> &HeaderValue {
        &self.inner.version_value
    }

    pub(super) fn digest(&self) -> &HeaderValue {
        &self.inner.digest
    }
}

/// One device, as far as a request to it goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its id and name, sent as `X-Device-ID` and `X-Device-Name`, where it listens, and where it
    /// takes updates, behind its base path; `None` for the path of all.
    pub endpoint: Arc<Endpoint>,
    /// Headers for this device alone; they replace the operator's of the same name. Make them
    /// with [`check_header`](super::check_header).
    pub headers: Option<Arc<HeaderMap>>,
    /// One per assignment, the same on every attempt
    /// (draft-ietf-httpapi-idempotency-key-header).
    pub idempotency_key: String,
}

/// What becomes of a connection after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It is kept for the next request to the same host.
    Keep,
    /// It will not be needed soon: the device is told `Connection: close` and it is closed. An
    /// idle connection is used all the same if there is one.
    Close,
}
