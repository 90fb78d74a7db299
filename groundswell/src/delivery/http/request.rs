//! Requests, and the size of their heads.

use std::sync::Arc;

use groundswell_core::outcome::Fault;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT},
};

use super::{
    config::Config,
    fault::Failure,
    headers::{check_name_free, encode_label},
    io::Flow,
    secrets::Secrets,
    shipment::{Reuse, Shipment, Target},
    upload::Upload,
};

const DEVICE_ID: HeaderName = HeaderName::from_static("x-device-id");
const DEVICE_NAME: HeaderName = HeaderName::from_static("x-device-name");
const UPDATE_ID: HeaderName = HeaderName::from_static("x-update-id");
const FIRMWARE_VERSION: HeaderName = HeaderName::from_static("x-firmware-version");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Ours, and room for a few of the operator's.
const HEADERS_USUAL: usize = 16;

/// What is the same in every request of a client.
pub(super) struct Requests {
    headers: HeaderMap,
    update: Path,
    verify: Path,
}

struct Path {
    text: Box<str>,
    uri: Uri,
}

impl Path {
    fn new(text: &str) -> Result<Self, http::uri::InvalidUri> {
        Ok(Self { text: text.into(), uri: text.parse()? })
    }
}

/// A request, and what its head will take at least.
pub(super) struct Sendable {
    pub(super) request: Request<Upload>,
    /// Bytes of head and body.
    pub(super) bytes: u64,
}

/// What is asked of a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// POST the payload.
    Update,
    /// GET the version.
    Version,
    /// GET this path, and look at the status.
    Health(&'a str),
}

impl Requests {
    pub(super) fn new(config: &Config) -> Result<Self, http::uri::InvalidUri> {
        let mut headers = HeaderMap::with_capacity(config.headers.len() + 1);
        headers.insert(USER_AGENT, agent());
        replace_all(&mut headers, &config.headers);
        Ok(Self {
            headers,
            update: Path::new(&config.update_path)?,
            verify: Path::new(&config.verify_path)?,
        })
    }

    /// The request for one device, whose body keeps its account in `flow`.
    pub(super) fn build(
        &self,
        kind: Kind<'_>,
        shipment: &Shipment,
        target: &Target,
        reuse: Reuse,
        flow: &Arc<Flow>,
    ) -> Result<Sendable, Failure> {
        let payload = (kind == Kind::Update).then(|| shipment.payload());
        let len = payload.map_or(0, crate::artifacts::payload::Payload::len);
        let mut request = Request::new(Upload::new(payload, flow.clone()));
        *request.uri_mut() = self.uri(kind, target)?;
        let headers = request.headers_mut();
        headers.reserve(HEADERS_USUAL);
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        if let Some(own) = &target.headers {
            for name in own.keys() {
                check_name_free(name).map_err(|error| refuse(&error))?;
            }
            replace_all(headers, own);
        }
        insert_ours(headers, shipment, target)?;
        if reuse == Reuse::Close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if kind == Kind::Update {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
            *request.method_mut() = Method::POST;
        }
        let bytes = head_bytes(&request) + len;
        Ok(Sendable { request, bytes })
    }

    /// What a request to the device carries and nobody else is to read.
    pub(super) fn secrets<'a>(&'a self, target: &'a Target) -> Secrets<'a> {
        Secrets { common: &self.headers, own: target.headers.as_deref() }
    }

    fn uri(&self, kind: Kind<'_>, target: &Target) -> Result<Uri, Failure> {
        let (common, own) = match kind {
            Kind::Update => (&self.update, target.endpoint.update_path.as_deref()),
            Kind::Version => (&self.verify, None),
            Kind::Health(path) => (&self.verify, Some(path)),
        };
        let base = target.endpoint.address.base_path();
        if base.is_empty() && own.is_none() {
            return Ok(common.uri.clone());
        }
        let path = own.unwrap_or(&common.text);
        let whole = [base, path].concat();
        groundswell_core::device::check_path(&whole).map_err(|error| refuse(&error))?;
        Uri::try_from(whole).map_err(|error| refuse(&error))
    }
}

/// Who asks.
pub(super) const fn agent() -> HeaderValue {
    HeaderValue::from_static(concat!("groundswell/", env!("CARGO_PKG_VERSION")))
}

fn refuse(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Fault::BadRequest, error)
}

/// Puts all of `from` in the place of what has the same name.
fn replace_all(headers: &mut HeaderMap, from: &HeaderMap) {
    for name in from.keys() {
        headers.remove(name);
    }
    for (name, value) in from {
        headers.append(name, value.clone());
    }
}

fn insert_ours(
    headers: &mut HeaderMap,
    shipment: &Shipment,
    target: &Target,
) -> Result<(), Failure> {
    let host = HeaderValue::from_str(target.endpoint.address.authority());
    headers.insert(HOST, host.map_err(|error| refuse(&error))?);
    headers.insert(DEVICE_ID, encode_label(&target.endpoint.id));
    headers.insert(DEVICE_NAME, encode_label(&target.endpoint.name));
    headers.insert(UPDATE_ID, shipment.update_id().clone());
    headers.insert(FIRMWARE_VERSION, shipment.version_value().clone());
    headers.insert(REPR_DIGEST, shipment.digest().clone());
    headers.insert(IDEMPOTENCY_KEY, encode_label(&target.idempotency_key));
    Ok(())
}

/// What the head takes on the wire at the least: `POST /update HTTP/1.1`, `name: value` lines and
/// the empty line (RFC 9112 sections 3 and 5).
fn head_bytes(request: &Request<Upload>) -> u64 {
    let target = request.uri().path_and_query().map_or(1, |path| path.as_str().len());
    let line = request.method().as_str().len() + target + " ".len() * 2 + "HTTP/1.1\r\n".len();
    let fields: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    (line + fields + "\r\n".len()) as u64
}
