//! One device: changed in part, removed, tagged, released, and what it went through.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use groundswell_core::device::Device;
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        Api, Caller, Problem,
        body::{JsonBody, Params, of_json},
        page::{Paging, cursor},
        routes::Route,
        state_tag::{IfMatch, StateTag},
    },
    devices::{as_heard, find},
};
use crate::{
    operate::{DeviceSpec, DeviceView, DeviceWhys, FailingView, Past, State, Unwell},
    store::Health,
};

/// How often a change is tried when others change the same device at the same time.
pub(super) const TRIES: usize = 8;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::operate(Method::PATCH, "/api/v1/devices/{id}"),
    Route::operate(Method::DELETE, "/api/v1/devices/{id}"),
    Route::operate(Method::PUT, "/api/v1/devices/{id}/tags/{key}"),
    Route::operate(Method::DELETE, "/api/v1/devices/{id}/tags/{key}"),
    Route::operate(Method::POST, "/api/v1/devices/{id}/release"),
    Route::read("/api/v1/devices/{id}/history"),
    Route::read("/api/v1/devices/{id}/why"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(patch, remove))
        .routes(routes!(put_tag, remove_tag))
        .routes(routes!(release))
        .routes(routes!(history))
        .routes(routes!(why))
}

/// Changes a part of what operators say of a device: JSON merge patch (RFC 7396) of what PUT takes;
/// `null` takes a field or a tag away.
#[utoipa::path(
    patch, path = "/api/v1/devices/{id}", tag = "devices",
    params(("id" = String, Path), IfMatch),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses((status = 200, body = DeviceView), (status = "default", body = Problem)),
)]
async fn patch(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(patch): JsonBody<Value>,
) -> Result<Response, Problem> {
    if !patch.is_object() {
        return Err(Problem::invalid("body", "a merge patch of a device is an object"));
    }
    let change = |spec: &DeviceSpec| {
        let mut value = serde_json::to_value(spec).map_err(|_| Problem::internal())?;
        merge(&mut value, &patch);
        serde_path_to_error::deserialize(value).map_err(|error| {
            let at = error.path().to_string();
            of_json(&at, &error.into_inner().to_string())
        })
    };
    edit(&api, &caller, &id, &headers, change).await
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// The value of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagValue {
    /// The value.
    #[schema(max_length = 256)]
    pub value: String,
}

/// Tags a device, or gives a tag another value.
#[utoipa::path(
    put, path = "/api/v1/devices/{id}/tags/{key}", tag = "devices",
    params(("id" = String, Path), ("key" = String, Path), IfMatch), request_body = TagValue,
    responses((status = 200, body = DeviceView), (status = "default", body = Problem)),
)]
async fn put_tag(
    api: Api,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
    headers: HeaderMap,
    JsonBody(TagValue { value }): JsonBody<TagValue>,
) -> Result<Response, Problem> {
    let change = |spec: &DeviceSpec| {
        let mut spec = spec.clone();
        spec.tags.insert(key.clone(), value.clone());
        Ok(spec)
    };
    edit(&api, &caller, &id, &headers, change).await
}

/// Takes a tag away from a device.
#[utoipa::path(
    delete, path = "/api/v1/devices/{id}/tags/{key}", tag = "devices",
    params(("id" = String, Path), ("key" = String, Path), IfMatch),
    responses((status = 200, body = DeviceView), (status = "default", body = Problem)),
)]
async fn remove_tag(
    api: Api,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let change = |spec: &DeviceSpec| {
        let mut spec = spec.clone();
        match spec.tags.remove(&key) {
            Some(_) => Ok(spec),
            None => Err(Problem::not_found(format!("{id} has no tag `{key}`"))),
        }
    };
    edit(&api, &caller, &id, &headers, change).await
}

/// Changes what is said of a device as it is at that moment.
async fn edit(
    api: &Api,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    change: impl Fn(&DeviceSpec) -> Result<DeviceSpec, Problem>,
) -> Result<Response, Problem> {
    for _ in 0..TRIES {
        let before = find(api, caller, id).await?;
        let was = DeviceSpec::of(&before);
        StateTag::of(&was).require(headers)?;
        let device = change(&was)?.device(id)?;
        if !caller.sees(&device) {
            let told = "with these the device would be out of your scope";
            return Err(Problem::invalid("tags", told));
        }
        let is = DeviceSpec::of(&device);
        if is == was {
            return Ok(shown(&was, DeviceView::of(before, api.now())));
        }
        if let Some(view) = write(api, caller, before, device).await? {
            return Ok(shown(&is, view));
        }
    }
    Err(restless())
}

/// Whoever changes it is never the first.
pub(in crate::api) fn restless() -> Problem {
    Problem::conflict("changed-meanwhile", "others change this device all the time; try again")
}

/// Writes a device that is changed, unless it is not as it was seen any more.
pub(in crate::api) async fn write(
    api: &Api,
    caller: &Caller,
    before: Device,
    device: Device,
) -> Result<Option<DeviceView>, Problem> {
    let json = |device: &Device| serde_json::to_value(DeviceSpec::of(device)).ok();
    let entry = caller.change(api.now(), "device.change", format!("device {}", device.id));
    let entry = entry.between(json(&before), json(&device));
    api.change(entry, None, move |state, now| {
        if state.change_device(Some(&before), &device)? {
            return Ok(Some(state.device_view(&device.id, now)?.1));
        }
        Ok(None)
    })
    .await
}

fn shown(spec: &DeviceSpec, view: DeviceView) -> Response {
    ([(header::ETAG, StateTag::of(spec).header())], Json(view)).into_response()
}

/// Takes a device out of the inventory. Past rollouts still tell of it, its tokens are revoked, and
/// one that is written again under its id is the same device. Not while a rollout sends to it.
#[utoipa::path(
    delete, path = "/api/v1/devices/{id}", tag = "devices",
    params(("id" = String, Path), IfMatch),
    responses((status = 204), (status = "default", body = Problem)),
)]
async fn remove(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    for _ in 0..TRIES {
        let device = find(&api, &caller, &id).await?;
        let was = DeviceSpec::of(&device);
        StateTag::of(&was).require(&headers)?;
        let change = caller.change(api.now(), "device.remove", format!("device {id}"));
        let change = change.between(serde_json::to_value(&was).ok(), None);
        let of = id.clone();
        let remove = move |state: &mut State, now| state.remove_device(&of, now);
        if api.change_as_seen(device, change, remove).await?.is_some() {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(restless())
}

/// Why a device may take part again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseReason {
    /// Why; kept.
    #[schema(min_length = 1)]
    pub reason: String,
}

/// Lets a device that failed rollouts in a row take part again.
#[utoipa::path(
    post, path = "/api/v1/devices/{id}/release", tag = "devices", params(("id" = String, Path)),
    request_body = ReleaseReason,
    responses((status = 200, body = FailingView), (status = "default", body = Problem)),
)]
async fn release(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(release): JsonBody<ReleaseReason>,
) -> Result<Json<FailingView>, Problem> {
    for _ in 0..TRIES {
        let device = find(&api, &caller, &id).await?;
        let change = caller.change(api.now(), "device.release", format!("device {id}"));
        let change = change.between(None, serde_json::to_value(&release).ok());
        let (of, reason) = (id.clone(), release.reason.clone());
        let act = move |state: &mut State, now| {
            state.release_device(&of, &reason, now)?;
            state.failing(&of)
        };
        if let Some(failing) = api.change_as_seen(device, change, act).await? {
            return Ok(Json(failing));
        }
    }
    Err(restless())
}

/// A page of what a device went through, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// The rounds of rollouts that it was in.
    pub history: Vec<Past>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Lists the rollouts that a device was in, newest first.
#[utoipa::path(
    get, path = "/api/v1/devices/{id}/history", tag = "devices",
    params(("id" = String, Path), Paging),
    responses((status = 200, body = History), (status = "default", body = Problem)),
)]
async fn history(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<History>, Problem> {
    find(&api, &caller, &id).await?;
    let (limit, before) = (paging.limit()?, paging.after_number()?);
    let page = api.look(move |state, _| state.device_history(&id, before, limit, caller.scope()));
    let (history, next) = page.await?;
    Ok(Json(History { history, next: next.map(|number| cursor(&number.to_string())) }))
}

/// Says why a device is where it is in every rollout that has it, and how it is.
#[utoipa::path(
    get, path = "/api/v1/devices/{id}/why", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = DeviceWhys), (status = "default", body = Problem)),
)]
async fn why(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeviceWhys>, Problem> {
    // Looked up first: what is written meanwhile is in one of both.
    let said = api.heard().unwritten(&id);
    let device = find(&api, &caller, &id).await?;
    let whys = api.look(move |state, now| state.device_whys(&id, caller.scope(), now));
    let mut whys = whys.await?;
    if let Some(said) = said {
        whys.device = as_heard(&api, device, &said);
        whys.unwell = match said.health {
            Some(Health::Unwell(text)) => Some(Unwell { at: said.at, text }),
            Some(Health::Well) => None,
            None => whys.unwell,
        };
    }
    Ok(Json(whys))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_is_applied_as_its_rfc_shows() {
        for (mut target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            merge(&mut target, &patch);
            assert_eq!(target, result, "{patch}");
        }
    }
}
