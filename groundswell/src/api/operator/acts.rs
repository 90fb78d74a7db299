//! What operators do to a rollout: `POST /api/v1/rollouts/{rollout}/{verb}`.

use axum::{Json, extract::Path};
use groundswell_core::{rollback::Otherwise, rollout::Act};
use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        Api, Caller, Problem,
        body::JsonBody,
        routes::{Needs, Route},
    },
    rollouts::find,
};
use crate::{
    access::Right,
    operate::{Acting, Extent, RolledBack},
};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/start"),
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/pause"),
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/resume"),
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/advance"),
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/retry"),
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/cancel"),
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/abort"),
    Route::operate(Method::POST, "/api/v1/rollouts/{rollout}/rollback"),
    Route {
        method: Method::POST,
        path: "/api/v1/rollouts/{rollout}/approve",
        needs: Needs::Right(Right::Approve),
    },
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(advance))
        .routes(routes!(retry))
        .routes(routes!(cancel))
        .routes(routes!(abort))
        .routes(routes!(roll_back))
        .routes(routes!(approve))
}

async fn act(api: Api, caller: Caller, rollout: String, act: Act) -> Result<Json<Acting>, Problem> {
    let (looked, given) = (caller.clone(), rollout.clone());
    // What only stops sends nothing to anybody.
    let may_send = !matches!(act, Act::Pause | Act::Cancel | Act::Abort);
    let record = api.look(move |state, _| find(state, &looked, &given)).await?;
    let key = record.key;
    let change = caller.change(api.now(), &format!("rollout.{act}"), format!("rollout {}", key.0));
    let before = serde_json::json!({ "state": record.progression.state });
    let change = change.between(Some(before), None);
    let acting = api.change(change, None, move |state, now| {
        if may_send {
            state.refuse_for_others(&record)?;
        }
        state.act(key, act, now)
    });
    Ok(Json(acting.await?))
}

macro_rules! acts {
    ($($name:ident, $verb:literal, $act:expr, $words:literal;)*) => {$(
        #[doc = $words]
        #[utoipa::path(
            post, path = concat!("/api/v1/rollouts/{rollout}/", $verb), tag = "rollouts",
            params(("rollout" = String, Path)),
            responses((status = 200, body = Acting), (status = "default", body = Problem)),
        )]
        async fn $name(
            api: Api,
            caller: Caller,
            Path(rollout): Path<String>,
        ) -> Result<Json<Acting>, Problem> {
            act(api, caller, rollout, $act).await
        }
    )*};
}

acts! {
    start, "start", Act::Start, "Chooses the devices, and begins when its time has come.";
    pause, "pause", Act::Pause, "Begins nothing new until it is resumed; what is open may end.";
    resume, "resume", Act::Resume, "Goes on after a pause.";
    advance, "advance", Act::Advance,
        "Opens the next wave, or accepts the failures so far, whatever the gate says.";
    retry, "retry", Act::Retry, "Tries the devices again that failed or were given up.";
    cancel, "cancel", Act::Cancel, "Begins nothing new, for good; what is open may end.";
    abort, "abort", Act::Abort, "As cancel, and stops what is open.";
}

/// What is approved.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Refuse if it is another wave that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<usize>,
    /// Why it may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// Approves what is behind a wave that has soaked, where a gate asks for it.
#[utoipa::path(
    post, path = "/api/v1/rollouts/{rollout}/approve", tag = "rollouts",
    params(("rollout" = String, Path)), request_body = Approval,
    responses((status = 200, body = Acting), (status = "default", body = Problem)),
)]
async fn approve(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
    JsonBody(approval): JsonBody<Approval>,
) -> Result<Json<Acting>, Problem> {
    let (looked, given) = (caller.clone(), rollout.clone());
    let record = api.look(move |state, _| find(state, &looked, &given)).await?;
    let key = record.key;
    let change = caller.change(api.now(), "rollout.approve", format!("rollout {}", key.0));
    let change = change.between(None, serde_json::to_value(&approval).ok());
    let approved = api.change(change, None, move |state, now| {
        state.refuse_for_others(&record)?;
        state.approve(key, approval.wave, approval.reason.as_deref(), now)
    });
    Ok(Json(approved.await?))
}

/// How a rollout is rolled back.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// `dry_run` writes nothing, `draft` starts nothing; `start` if nothing is said.
    #[serde(default)]
    pub extent: HowFar,
    /// Whatever the windows and freezes of the rollout say.
    #[serde(default)]
    pub at_any_hour: bool,
    /// Most deliveries open at once, if not as many as in that rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub max_in_flight: Option<u32>,
}

/// How far to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HowFar {
    /// Write nothing.
    DryRun,
    /// Write drafts.
    Draft,
    /// Start them.
    #[default]
    Start,
}

/// Brings the devices that a rollout changed back to what they ran before, by other rollouts.
#[utoipa::path(
    post, path = "/api/v1/rollouts/{rollout}/rollback", tag = "rollouts",
    params(("rollout" = String, Path)), request_body = Rollback,
    responses((status = 200, body = RolledBack), (status = "default", body = Problem)),
)]
async fn roll_back(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
    JsonBody(rollback): JsonBody<Rollback>,
) -> Result<Json<RolledBack>, Problem> {
    let (looked, given) = (caller.clone(), rollout.clone());
    let record = api.look(move |state, _| find(state, &looked, &given)).await?;
    let number = record.key.0;
    let change = caller.change(api.now(), "rollout.rollback", format!("rollout {number}"));
    let change = change.between(None, serde_json::to_value(&rollback).ok());
    let extent = match rollback.extent {
        HowFar::DryRun => Extent::DryRun,
        HowFar::Draft => Extent::Draft,
        HowFar::Start => Extent::Start,
    };
    let Rollback { at_any_hour, max_in_flight, .. } = rollback;
    let otherwise = Otherwise { at_any_hour, max_in_flight };
    let done = api.change(change, None, move |state, now| {
        state.refuse_for_others(&record)?;
        state.roll_back(&record, &otherwise, extent, now)
    });
    Ok(Json(done.await?))
}
