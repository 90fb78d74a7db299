//! The server as a whole: `/api/v1/system`.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{Api, Caller, Problem, routes::Route};
use crate::operate::Disk;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[Route::read("/api/v1/system")];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(system))
}

/// How the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct System {
    /// Its version.
    pub version: String,
    /// Whether it is `ready`, `draining`, or has a `full-disk`.
    pub state: Condition,
    /// For how long it has answered, in seconds.
    pub uptime_secs: u64,
    /// Who drives the rollouts, by its own words; none if nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The number of the database's schema.
    pub schema: i64,
    /// Devices in the inventory; not told to a token with a scope, for they are everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u64>,
    /// Rollouts, by their state; not told to a token with a scope either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollouts: Option<BTreeMap<String, u64>>,
    /// The disk that it writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// How a server is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It drives, and answers.
    Ready,
    /// It is about to end.
    Draining,
    /// It answers, and can write nothing down.
    FullDisk,
}

/// Says how the server is: its version, for how long it runs, who drives, how much it holds and how much
/// room its disk has.
#[utoipa::path(
    get, path = "/api/v1/system", tag = "system",
    responses((status = 200, body = System), (status = "default", body = Problem)),
)]
async fn system(State(api): State<Api>, caller: Caller) -> Result<Json<System>, Problem> {
    let (is_draining, uptime_secs) =
        (api.live().stopping().is_cancelled(), api.live().uptime_secs());
    let is_limited = caller.scope().is_some();
    let system = api.look(move |state, now| {
        let disk = state.disk().ok();
        let condition = match disk {
            _ if is_draining => Condition::Draining,
            Some(disk) if disk.is_full() => Condition::FullDisk,
            _ => Condition::Ready,
        };
        let held = if is_limited { None } else { Some(state.held(now)?) };
        let (devices, rollouts) = held.unzip();
        Ok(System {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: condition,
            uptime_secs,
            // Its path is of the machine, and for whoever may see all of it.
            driver: state.driver().filter(|_| !is_limited),
            schema: state.schema()?,
            devices,
            rollouts,
            disk,
        })
    });
    Ok(Json(system.await?))
}
