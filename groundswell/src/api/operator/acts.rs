//! What operators do to a rollout: `POST /api/v1/rollouts/{rollout}/{verb}`.

use axum::{Json, extract::Path};
use groundswell_core::{
    rollback::Otherwise,
    rollout::{Act, goes_over_approval},
    time::Time,
};
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        Api, Caller, Problem,
        body::JsonBody,
        routes::{Needs, Route},
        state_tag::{IfMatch, changed_meanwhile},
    },
    rollouts::{find, tag_of},
};
use crate::{
    access::{Change, Right},
    operate::{Acting, Extent, OperateError, RolledBack, State as Kept},
    store::RolloutRecord,
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

/// Somebody who wants something of a rollout.
struct Asker {
    caller: Caller,
    rollout: String,
    headers: HeaderMap,
}

impl Asker {
    /// The rollout, if the caller may see it.
    async fn find(&self, api: &Api) -> Result<RolloutRecord, Problem> {
        let (caller, rollout) = (self.caller.clone(), self.rollout.clone());
        api.look(move |state, _| find(state, &caller, &rollout)).await
    }

    /// Does something to the rollout as it is now, if that is what the caller saw and `may` does not
    /// mind. With it goes the generation, of which alone it is to be done.
    async fn change<T: Send + 'static>(
        self,
        api: &Api,
        change: Change,
        may: impl FnOnce(&Caller, &RolloutRecord) -> Result<(), Problem> + Send + 'static,
        act: impl FnOnce(&mut Kept, &RolloutRecord, Option<u64>, Time) -> Result<T, OperateError>
        + Send
        + 'static,
    ) -> Result<T, Problem> {
        let Self { caller, rollout, headers } = self;
        let is_bound = names_a_state(&headers);
        let done = api.change(change, None, move |state, now| {
            let record = find(state, &caller, &rollout)?;
            let checked = tag_of(&record).require(&headers).and_then(|()| may(&caller, &record));
            if let Err(problem) = checked {
                return Ok(Err(problem));
            }
            match act(state, &record, Some(record.progression.generation), now) {
                Err(OperateError::MovedOn { .. }) if is_bound => Ok(Err(changed_meanwhile())),
                done => done.map(Ok),
            }
        });
        done.await?
    }
}

/// Whether only a state that was seen will do, and not any.
fn names_a_state(headers: &HeaderMap) -> bool {
    headers.get_all(header::IF_MATCH).iter().any(|tags| tags.as_bytes().trim_ascii() != b"*")
}

async fn act(api: Api, asker: Asker, act: Act) -> Result<Json<Acting>, Problem> {
    let record = asker.find(&api).await?;
    let subject = format!("rollout {}", record.key.0);
    let change = asker.caller.change(api.now(), &format!("rollout.{act}"), subject);
    let before = serde_json::json!({ "state": record.progression.state });
    let change = change.between(Some(before), None);
    let is_bound = names_a_state(&asker.headers);
    // What only stops sends nothing to anybody.
    let may_send = !matches!(act, Act::Pause | Act::Cancel | Act::Abort);
    let may = move |caller: &Caller, record: &RolloutRecord| match act {
        Act::Advance => may_advance(caller, record),
        _ => Ok(()),
    };
    let done = asker.change(&api, change, may, move |state, record, seen, now| {
        if may_send {
            state.refuse_for_others(record)?;
        }
        // Said again after others came first, most acts mean the same; going on does not.
        let seen = seen.filter(|_| is_bound || act == Act::Advance);
        state.act_seen(record.key, act, seen, now)
    });
    Ok(Json(done.await?))
}

/// Going over an approval takes whoever could give it.
fn may_advance(caller: &Caller, record: &RolloutRecord) -> Result<(), Problem> {
    let is_missing = goes_over_approval(&record.progression, &record.spec);
    if !is_missing || caller.require(Right::Approve).is_ok() {
        return Ok(());
    }
    let told = format!(
        "a gate asks for an approval of what is behind this wave, and nobody gave it: have it \
         approved first. To go over that takes one of: {}",
        Right::Approve.who()
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", told))
}

macro_rules! acts {
    ($($name:ident, $verb:literal, $act:expr, $words:literal;)*) => {$(
        #[doc = $words]
        #[utoipa::path(
            post, path = concat!("/api/v1/rollouts/{rollout}/", $verb), tag = "rollouts",
            params(("rollout" = String, Path), IfMatch),
            responses((status = 200, body = Acting), (status = "default", body = Problem)),
        )]
        async fn $name(
            api: Api,
            caller: Caller,
            Path(rollout): Path<String>,
            headers: HeaderMap,
        ) -> Result<Json<Acting>, Problem> {
            act(api, Asker { caller, rollout, headers }, $act).await
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
    params(("rollout" = String, Path), IfMatch), request_body = Approval,
    responses((status = 200, body = Acting), (status = "default", body = Problem)),
)]
async fn approve(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
    headers: HeaderMap,
    JsonBody(approval): JsonBody<Approval>,
) -> Result<Json<Acting>, Problem> {
    let asker = Asker { caller, rollout, headers };
    let subject = format!("rollout {}", asker.find(&api).await?.key.0);
    let change = asker.caller.change(api.now(), "rollout.approve", subject);
    let change = change.between(None, serde_json::to_value(&approval).ok());
    let may = |_: &Caller, _: &RolloutRecord| Ok(());
    let approved = asker.change(&api, change, may, move |state, record, seen, now| {
        state.refuse_for_others(record)?;
        state.approve(record.key, approval.wave, approval.reason.as_deref(), seen, now)
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
    params(("rollout" = String, Path), IfMatch), request_body = Rollback,
    responses((status = 200, body = RolledBack), (status = "default", body = Problem)),
)]
async fn roll_back(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
    headers: HeaderMap,
    JsonBody(rollback): JsonBody<Rollback>,
) -> Result<Json<RolledBack>, Problem> {
    let asker = Asker { caller, rollout, headers };
    let subject = format!("rollout {}", asker.find(&api).await?.key.0);
    let change = asker.caller.change(api.now(), "rollout.rollback", subject);
    let change = change.between(None, serde_json::to_value(&rollback).ok());
    let extent = match rollback.extent {
        HowFar::DryRun => Extent::DryRun,
        HowFar::Draft => Extent::Draft,
        HowFar::Start => Extent::Start,
    };
    let Rollback { at_any_hour, max_in_flight, .. } = rollback;
    let otherwise = Otherwise { at_any_hour, max_in_flight };
    let may = |_: &Caller, _: &RolloutRecord| Ok(());
    let done = asker.change(&api, change, may, move |state, record, _, now| {
        state.refuse_for_others(record)?;
        state.roll_back(record, &otherwise, extent, now)
    });
    Ok(Json(done.await?))
}
