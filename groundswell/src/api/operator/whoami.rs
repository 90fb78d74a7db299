//! Who a token is of: `/api/v1/whoami`.

use axum::Json;
use groundswell_core::time::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{Api, Caller, Problem, routes::Route};
use crate::access::Role;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[Route::read("/api/v1/whoami")];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(whoami))
}

/// Who a token is of, and whom it was shown to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// The id of the token.
    pub id: String,
    /// Whose it is, or what for.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// The devices that it is limited to, as a selector; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// From when on it is no good; none: it never ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Time>,
    /// The version of the server.
    pub version: String,
    /// The time at the server.
    #[schema(value_type = i64)]
    pub now: Time,
}

/// Says who the token is of that the request shows, what it may, and which version the server has.
#[utoipa::path(
    get, path = "/api/v1/whoami", tag = "access",
    responses((status = 200, body = WhoAmI), (status = "default", body = Problem)),
)]
async fn whoami(api: Api, caller: Caller) -> Result<Json<WhoAmI>, Problem> {
    // Only operators get here.
    let role = caller.role().ok_or_else(Problem::internal)?;
    let scope = caller.scope().map(ToString::to_string);
    Ok(Json(WhoAmI {
        id: caller.token.id.to_string(),
        role,
        scope,
        expires_at: caller.token.expires_at,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: api.now(),
        name: caller.token.name.clone(),
    }))
}
