//! Devices that are not known yet: they bring an enrollment token, and get one of their own.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use groundswell_core::device::check_label;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem, Source,
    body::JsonBody,
    routes::{Needs, Route},
};
use crate::{
    access::{Kind, NAME_CHARS_MAX},
    operate::{DeviceSpec, DeviceView, State as Kept},
};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] =
    &[Route { method: Method::POST, path: "/api/v1/enroll", needs: Needs::Enrollment }];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(enroll))
}

/// Longest body: a device with many tags.
const BYTES_MAX: usize = 128 << 10;

/// What a device says of itself when it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrollment {
    /// Its id: one that no device has.
    #[schema(min_length = 1, max_length = 256)]
    pub id: String,
    /// For people; the id if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// Keys and values, of keys that the enrollment token allows. Those that it has itself win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub address: Option<String>,
    /// The version it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub version: Option<String>,
}

/// A device that is known from now on.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct EnrolledDevice {
    /// The device.
    pub device: DeviceView,
    /// The id of its token.
    pub token: String,
    /// What it shows from now on. It is kept nowhere, and shown this once.
    pub secret: String,
}

/// Writes a new device down and gives it a token of its own. An id that a device has is refused,
/// whoever that is: an enrollment token is in many hands, and none of them may become somebody else.
#[utoipa::path(
    post, path = "/api/v1/enroll", tag = "check-in", request_body = Enrollment,
    responses((status = 201, body = EnrolledDevice), (status = "default", body = Problem)),
)]
async fn enroll(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(given): JsonBody<Enrollment, BYTES_MAX>,
) -> Result<Response, Problem> {
    let Kind::Enrollment { uses_max, tags, tags_allowed } = caller.token.kind.clone() else {
        return Err(Problem::internal());
    };
    let now = api.now();
    let source = Source(caller.source).network();
    if let Some(wait) = api.enrolling().wait(&source, now) {
        let told = "too many devices enroll from your address; wait before the next";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-enrollments", told);
        return Err(Problem { retry_after_secs: Some(wait.as_secs() + 1), ..problem });
    }
    api.enrolling().note(source, now);
    if let Some(version) = &given.version {
        check_label("version", version)
            .map_err(|error| Problem::invalid("version", error.to_string()))?;
    }
    let Enrollment { id, name, tags: own, address, version } = given;
    // Who is in which scope and which budget is not for devices to say.
    let may_say = |key: &String| tags_allowed.contains(key) || tags.contains_key(key);
    if let Some(key) = own.keys().find(|key| !may_say(key)) {
        let told = "the enrollment token does not allow devices to choose this tag";
        return Err(Problem::invalid(format!("tags.{key}"), told));
    }
    let tags = own.into_iter().chain(tags).collect();
    let spec = DeviceSpec { name, address, tags, ..DeviceSpec::default() };
    let mut device = spec.device(&id)?;
    // As the rules of an inventory have it.
    let id = device.id.clone();
    (device.version, device.last_seen) = (version, Some(now));
    let of: String = id.chars().take(NAME_CHARS_MAX).collect();
    let (token, secret) = Kept::mint_token(&of, Kind::Device { device: id.clone() }, None, now)?;
    let token_id = token.id.0.clone();
    let change = caller.change(now, "device.enroll", format!("device {id}"));
    let after = serde_json::json!({ "device": DeviceSpec::of(&device), "token": token_id });
    let change = change.between(None, Some(after));
    let by = caller.id().clone();
    let view = api.change(change, None, move |state, now| {
        state.enroll(&by, uses_max, &device, &token)?;
        Ok(state.device_view(&device.id, now)?.1)
    });
    let device = view.await?;
    let enrolled = EnrolledDevice { device, token: token_id, secret: secret.reveal() };
    Ok((StatusCode::CREATED, Json(enrolled)).into_response())
}
