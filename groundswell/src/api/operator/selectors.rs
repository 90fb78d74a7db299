//! Selectors before they are used: `/api/v1/selectors`.

use axum::Json;
use groundswell_core::selector::Selector;
use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{Api, Caller, Problem, body::JsonBody, routes::Route};
use crate::operate::{Counted, Sample, SelectorChecked};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::asking(Method::POST, "/api/v1/selectors/check"),
    Route::asking(Method::POST, "/api/v1/selectors/count"),
    Route::asking(Method::POST, "/api/v1/selectors/sample"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(check)).routes(routes!(count)).routes(routes!(sample))
}

/// A text that is to be a selector.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The text, such as `tag.region==west and version<2.2.0`.
    pub select: String,
}

/// Which devices.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// A selector; none chooses every device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096)]
    pub select: Option<String>,
}

impl Selection {
    /// The devices of it that the caller may see.
    fn narrowed(&self, caller: &Caller) -> Result<Option<Selector>, Problem> {
        let select = self.select.as_deref().map(Selector::parse).transpose();
        let select = select.map_err(|error| Problem::invalid("select", error.to_string()))?;
        Ok(caller.narrow(select))
    }
}

/// Says whether a text is a selector: how it is kept, or what is wrong with it and where.
#[utoipa::path(
    post, path = "/api/v1/selectors/check", tag = "selectors", request_body = Written,
    responses((status = 200, body = SelectorChecked), (status = "default", body = Problem)),
)]
async fn check(
    api: Api,
    caller: Caller,
    JsonBody(written): JsonBody<Written>,
) -> Result<Json<SelectorChecked>, Problem> {
    let checked = api
        .look_within(move |state, now| state.check_selector(&written.select, caller.scope(), now));
    Ok(Json(checked.await?))
}

/// Counts the devices that a selector chooses, no further than to 10,000.
#[utoipa::path(
    post, path = "/api/v1/selectors/count", tag = "selectors", request_body = Selection,
    responses((status = 200, body = Counted), (status = "default", body = Problem)),
)]
async fn count(
    api: Api,
    caller: Caller,
    JsonBody(selection): JsonBody<Selection>,
) -> Result<Json<Counted>, Problem> {
    let select = selection.narrowed(&caller)?;
    let counted = api.look_within(move |state, now| state.count_to_max(select.as_ref(), now));
    Ok(Json(counted.await?))
}

/// Shows the first 20 of the devices that a selector chooses.
#[utoipa::path(
    post, path = "/api/v1/selectors/sample", tag = "selectors", request_body = Selection,
    responses((status = 200, body = Sample), (status = "default", body = Problem)),
)]
async fn sample(
    api: Api,
    caller: Caller,
    JsonBody(selection): JsonBody<Selection>,
) -> Result<Json<Sample>, Problem> {
    let select = selection.narrowed(&caller)?;
    let sample = api.look_within(move |state, now| state.sample(select.as_ref(), now));
    Ok(Json(sample.await?))
}
