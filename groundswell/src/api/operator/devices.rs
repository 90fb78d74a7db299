//! Devices: `/api/v1/devices`.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use groundswell_core::{device::Device, selector::Selector};
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem,
    body::{JsonBody, Params},
    page::{Paging, cursor},
    routes::Route,
    state_tag::{IfMatch, StateTag, require_new, require_there},
};
use crate::{
    operate::{DeviceFault, DeviceSpec, DeviceView},
    store::CheckedIn,
};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::read("/api/v1/devices"),
    Route::read("/api/v1/devices/{id}"),
    Route::operate(Method::PUT, "/api/v1/devices/{id}"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, put))
}

/// Which devices.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// A selector, such as `tag.region==west and version<2.2.0`.
    #[param(max_length = 4096)]
    pub select: Option<String>,
    /// Begin behind the device of this id; `cursor` goes before it.
    #[param(max_length = 256)]
    pub after: Option<String>,
}

/// A page of devices, in the order of their ids.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Devices {
    /// The devices.
    pub devices: Vec<DeviceView>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Lists devices in the order of their ids.
#[utoipa::path(
    get, path = "/api/v1/devices", tag = "devices", params(Which, Paging),
    responses((status = 200, body = Devices), (status = "default", body = Problem)),
)]
async fn list(
    api: Api,
    caller: Caller,
    Params(which): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Devices>, Problem> {
    let (limit, after) = (paging.limit()?, paging.after()?.or(which.after));
    let select = which.select.as_deref().map(Selector::parse).transpose();
    let select = select.map_err(|error| Problem::invalid("select", error.to_string()))?;
    let select = caller.narrow(select);
    let page = api.look_within(move |state, now| {
        state.device_page(select.as_ref(), after.as_deref(), limit, now)
    });
    let (devices, next) = page.await?;
    Ok(Json(Devices { devices, next: next.as_deref().map(cursor) }))
}

/// Shows a device.
#[utoipa::path(
    get, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = DeviceView), (status = "default", body = Problem)),
)]
async fn show(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Looked up first: what is written meanwhile is in one of both.
    let said = api.heard().unwritten(&id);
    let device = find(&api, &caller, &id).await?;
    let tag = StateTag::of(&DeviceSpec::of(&device));
    if tag.is_known(&headers) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag.header())]).into_response());
    }
    let view = match said {
        Some(said) => as_heard(&api, device, &said),
        None => DeviceView::of(device, api.now()),
    };
    Ok(([(header::ETAG, tag.header())], Json(view)).into_response())
}

/// Writes a device down, or changes all that operators say of it.
#[utoipa::path(
    put, path = "/api/v1/devices/{id}", tag = "devices",
    params(("id" = String, Path), IfMatch),
    request_body = DeviceSpec,
    responses(
        (status = 200, body = DeviceView), (status = 201, body = DeviceView),
        (status = "default", body = Problem),
    ),
)]
async fn put(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(spec): JsonBody<DeviceSpec>,
) -> Result<Response, Problem> {
    let device = spec.device(&id)?;
    let before = api.glance(|state, _| state.known_device(&id))?;
    if let Some(before) = &before {
        if !caller.sees(before) {
            return Err(unknown(&id));
        }
        StateTag::of(&DeviceSpec::of(before)).require(&headers)?;
    } else {
        require_there(&headers)?;
    }
    require_new(&headers, before.is_some())?;
    if !caller.sees(&device) {
        return Err(Problem::invalid("tags", "with these the device would be out of your scope"));
    }
    let after = DeviceSpec::of(&device);
    if let Some(before) = before.as_ref().filter(|before| DeviceSpec::of(before) == after) {
        // Nothing is changed, so that nobody changed anything.
        let view = DeviceView::of(before.clone(), api.now());
        return Ok(([(header::ETAG, StateTag::of(&after).header())], Json(view)).into_response());
    }
    let json = |spec: &DeviceSpec| serde_json::to_value(spec).ok();
    let was = before.as_ref().and_then(|device| json(&DeviceSpec::of(device)));
    let action = if before.is_some() { "device.change" } else { "device.create" };
    let change = caller.change(api.now(), action, format!("device {id}"));
    let change = change.between(was, json(&after));
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let put = api.change(change, None, move |state, now| {
        if state.change_device(before.as_ref(), &device)? {
            return Ok(Some(state.device_view(&device.id, now)?.1));
        }
        Ok(None)
    });
    let view = put.await?.ok_or_else(|| {
        Problem::conflict("changed-meanwhile", "somebody else just wrote this device; try again")
    })?;
    Ok((status, [(header::ETAG, StateTag::of(&after).header())], Json(view)).into_response())
}

/// A device with what it said a moment ago, which is about to be written.
pub(super) fn as_heard(api: &Api, device: Device, said: &CheckedIn) -> DeviceView {
    let version = said.version.clone().or(device.version);
    DeviceView::of(Device { version, last_seen: Some(said.at), ..device }, api.now())
}

/// The device of this id. One that the caller may not see is as one that is not there.
pub(in crate::api) async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Device, Problem> {
    match api.glance(|state, _| state.known_device(id))? {
        Some(device) if caller.sees(&device) => Ok(device),
        None if caller.scope().is_none() => {
            // What was probably meant takes a while to find out.
            let meant = id.to_owned();
            api.look(move |state, now| Ok(state.device_view(&meant, now)?.0)).await
        }
        // What was probably meant may be out of the scope.
        _ => Err(unknown(id)),
    }
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no device `{id}`"))
}

impl From<DeviceFault> for Problem {
    fn from(fault: DeviceFault) -> Self {
        Self::invalid(fault.field, fault.detail)
    }
}
