//! Failure domains of which devices are out of order: `/api/v1/budgets`.

use axum::Json;
use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        Api, Caller, Problem,
        body::{JsonBody, Params},
        page::{Paging, cursor},
        routes::Route,
    },
    device_edit::{TRIES, restless},
    devices::find,
};
use crate::operate::{DomainView, OperateError, SlotReleased, State};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] =
    &[Route::read("/api/v1/budgets"), Route::operate(Method::POST, "/api/v1/budgets/release")];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(release))
}

/// A page of failure domains of which a device is out of order, in order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Budgets {
    /// The domains.
    pub domains: Vec<DomainView>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Lists the failure domains of which devices are out of order, for the budgets of rollouts that
/// have not ended.
#[utoipa::path(
    get, path = "/api/v1/budgets", tag = "budgets", params(Paging),
    responses((status = 200, body = Budgets), (status = "default", body = Problem)),
)]
async fn list(
    api: Api,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Budgets>, Problem> {
    let (limit, after) = (paging.limit()?, paging.after()?);
    let page = api.look(move |state, now| {
        match state.budget_page(after.as_deref(), limit, caller.scope(), now) {
            Err(OperateError::Domain(_)) => Err(OperateError::Cursor),
            page => page,
        }
    });
    let (domains, next) = page.await?;
    Ok(Json(Budgets { domains, next: next.as_deref().map(cursor) }))
}

/// Whose slot is freed where, and why.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotWanted {
    /// The domain, such as `tag.store=0042` or `tag.store: none`.
    #[schema(max_length = 1024)]
    pub domain: String,
    /// The device, by its id.
    #[schema(max_length = 256)]
    pub device: String,
    /// Why it does no harm there.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Frees the slot that a device which failed keeps in a domain.
#[utoipa::path(
    post, path = "/api/v1/budgets/release", tag = "budgets", request_body = SlotWanted,
    responses((status = 200, body = SlotReleased), (status = "default", body = Problem)),
)]
async fn release(
    api: Api,
    caller: Caller,
    JsonBody(wanted): JsonBody<SlotWanted>,
) -> Result<Json<SlotReleased>, Problem> {
    for _ in 0..TRIES {
        let device = find(&api, &caller, &wanted.device).await?;
        let subject = format!("device {}", wanted.device);
        let change = caller.change(api.now(), "budget.release", subject);
        let change = change.between(None, serde_json::to_value(&wanted).ok());
        let SlotWanted { domain, device: id, reason } = wanted.clone();
        let act = move |state: &mut State, now| state.release_slot(&domain, &id, &reason, now);
        if let Some(released) = api.change_as_seen(device, change, act).await? {
            return Ok(Json(released));
        }
    }
    Err(restless())
}
