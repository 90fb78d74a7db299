//! Rollouts: `/api/v1/rollouts`, looked at and written down.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use groundswell_core::{document::Tree, ids::RolloutId, log::Report, rollout};
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem,
    body::{JsonBody, Params},
    created::Key,
    page::{Paging, cursor},
    routes::Route,
    state_tag::StateTag,
};
use crate::{
    operate::{
        self, AssignmentView, Checked, DeviceWhy, Drafted, Explained, OperateError, RolloutView,
        Shown,
    },
    store::RolloutRecord,
};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::read("/api/v1/rollouts"),
    Route::operate(Method::POST, "/api/v1/rollouts"),
    Route::asking(Method::POST, "/api/v1/rollouts/check"),
    Route::asking(Method::POST, "/api/v1/rollouts/forecast"),
    Route::read("/api/v1/rollouts/{rollout}"),
    Route::read("/api/v1/rollouts/{rollout}/waves"),
    Route::read("/api/v1/rollouts/{rollout}/waiting-on"),
    Route::read("/api/v1/rollouts/{rollout}/assignments"),
    Route::read("/api/v1/rollouts/{rollout}/explain"),
    Route::read("/api/v1/rollouts/{rollout}/replay"),
    Route::read("/api/v1/rollouts/{rollout}/devices/{id}/explain"),
    Route::read("/api/v1/rollouts/{rollout}/devices/{id}/why"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(check))
        .routes(routes!(forecast))
        .routes(routes!(show))
        .routes(routes!(waves))
        .routes(routes!(waiting_on))
        .routes(routes!(assignments))
        .routes(routes!(explain))
        .routes(routes!(replay))
        .routes(routes!(explain_device))
        .routes(routes!(why))
}

/// The rollout of a number, of an id, or of what an id begins with, if the caller may see it.
pub(super) fn find(
    state: &operate::State,
    caller: &Caller,
    given: &str,
) -> Result<RolloutRecord, OperateError> {
    let unknown = || OperateError::UnknownRollout { given: given.to_owned(), last: None };
    let record = match state.find_rollout(given) {
        // What there is instead is nothing for whoever may not see it.
        Err(OperateError::AmbiguousRollout { .. } | OperateError::UnknownRollout { .. })
            if caller.scope().is_some() =>
        {
            return Err(unknown());
        }
        found => found?,
    };
    if state.is_in_scope(&record, caller.scope())? { Ok(record) } else { Err(unknown()) }
}

/// The tag of where a rollout stands: what operators and gates did to it, and not how far its devices
/// are, so that somebody can still act on one that is under way.
pub(super) fn tag_of(record: &RolloutRecord) -> StateTag {
    let rollout::Progression { state, generation, .. } = &record.progression;
    StateTag::of(&(record.id, state, generation))
}

/// Which rollouts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those that stand there.
    #[param(value_type = Option<String>)]
    state: Option<rollout::State>,
    /// Only those of releases of this name.
    #[param(max_length = 256)]
    release: Option<String>,
}

/// A page of rollouts, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Rollouts {
    /// The rollouts.
    pub rollouts: Vec<RolloutView>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Lists rollouts, newest first.
#[utoipa::path(
    get, path = "/api/v1/rollouts", tag = "rollouts", params(Which, Paging),
    responses((status = 200, body = Rollouts), (status = "default", body = Problem)),
)]
async fn list(
    api: Api,
    caller: Caller,
    Params(which): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Rollouts>, Problem> {
    let (limit, before) = (paging.limit()?, paging.after_number()?);
    let page = api.look(move |state, _| {
        let wanted = |record: &RolloutRecord| {
            which.state.is_none_or(|wanted| record.progression.state == wanted)
                && which.release.as_ref().is_none_or(|name| record.spec.release.name == *name)
        };
        state.rollout_page(before, limit, caller.scope(), &wanted)
    });
    let (rollouts, next) = page.await?;
    Ok(Json(Rollouts { rollouts, next: next.map(|number| cursor(&number.to_string())) }))
}

/// Writes a rollout down as a draft, by its document in JSON.
#[utoipa::path(
    post, path = "/api/v1/rollouts", tag = "rollouts", request_body = Object,
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255)),
    responses((status = 201, body = Shown), (status = "default", body = Problem)),
)]
async fn create(
    api: Api,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(document): JsonBody<Tree>,
) -> Result<Response, Problem> {
    let id = RolloutId(uuid::Uuid::now_v7());
    let key = Key::of(&headers, "rollout.create", &document)?;
    if let Some(known) = api.created(&caller, key.as_ref())? {
        return show_as(&api, &caller, &known, StatusCode::CREATED).await;
    }
    let scope = caller.scope().cloned();
    let (looked, shown) = (document.clone(), id.to_string());
    let spec = api.look(move |state, now| state.spec_of(&looked, scope.as_ref(), now)).await?;
    let change = caller.change(api.now(), "rollout.create", format!("rollout {shown}"));
    let change = change.between(None, serde_json::to_value(&document).ok());
    let created = key.map(|key| key.by(&caller, shown.clone(), api.now()));
    api.change(change, created, move |state, now| state.create_rollout_as(id, &spec, now)).await?;
    show_as(&api, &caller, &shown, StatusCode::CREATED).await
}

/// Says what is wrong with a document, as devices, hours and releases are now; writes nothing.
#[utoipa::path(
    post, path = "/api/v1/rollouts/check", tag = "rollouts", request_body = Object,
    responses((status = 200, body = Checked), (status = "default", body = Problem)),
)]
async fn check(
    api: Api,
    caller: Caller,
    JsonBody(document): JsonBody<Tree>,
) -> Result<Json<Checked>, Problem> {
    let scope = caller.scope().cloned();
    let checked = api.survey(move |state, now| state.check_tree(&document, scope.as_ref(), now));
    Ok(Json(checked.await?))
}

/// Says which devices would be in which wave, if it were started now, and what is wrong with it; writes
/// nothing.
#[utoipa::path(
    post, path = "/api/v1/rollouts/forecast", tag = "rollouts", request_body = Object,
    responses((status = 200, body = Drafted), (status = "default", body = Problem)),
)]
async fn forecast(
    api: Api,
    caller: Caller,
    JsonBody(document): JsonBody<Tree>,
) -> Result<Json<Drafted>, Problem> {
    let scope = caller.scope().cloned();
    let forecast = api.survey(move |state, now| {
        let spec = state.spec_of(&document, scope.as_ref(), now)?;
        state.drafted(&spec, now)
    });
    Ok(Json(forecast.await?))
}

/// Shows how far a rollout is, wave by wave, and what it waits for.
///
/// Its `ETag` is of where it stands, and
/// not of how far its devices are.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}", tag = "rollouts", params(("rollout" = String, Path)),
    responses((status = 200, body = Shown), (status = "default", body = Problem)),
)]
async fn show(api: Api, caller: Caller, Path(rollout): Path<String>) -> Result<Response, Problem> {
    show_as(&api, &caller, &rollout, StatusCode::OK).await
}

/// The answer with a rollout in it.
pub(super) async fn show_as(
    api: &Api,
    caller: &Caller,
    rollout: &str,
    status: StatusCode,
) -> Result<Response, Problem> {
    let (caller, rollout) = (caller.clone(), rollout.to_owned());
    let shown = api.look(move |state, now| {
        let record = find(state, &caller, &rollout)?;
        Ok((tag_of(&record), state.shown(&record, now)?))
    });
    let (tag, shown) = shown.await?;
    let at = format!("/api/v1/rollouts/{}", shown.overview.number);
    let mut response = (status, [(header::ETAG, tag.header())], Json(shown)).into_response();
    if status == StatusCode::CREATED
        && let Ok(at) = at.parse()
    {
        response.headers_mut().insert(header::LOCATION, at);
    }
    Ok(response)
}

/// A page of waves.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waves {
    /// The waves, in order.
    pub waves: Vec<operate::WaveView>,
}

/// Shows the waves of a rollout.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/waves", tag = "rollouts",
    params(("rollout" = String, Path)),
    responses((status = 200, body = Waves), (status = "default", body = Problem)),
)]
async fn waves(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
) -> Result<Json<Waves>, Problem> {
    let waves = api.look(move |state, now| {
        let record = find(state, &caller, &rollout)?;
        Ok(state.overview(&record, 0.0, now)?.waves)
    });
    Ok(Json(Waves { waves: waves.await? }))
}

/// What a rollout waits for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waits {
    /// Why not more happens, the most telling reason first.
    pub waiting_on: Vec<Wait>,
}

/// Something that is waited for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    /// In words.
    pub text: String,
    /// As a value.
    #[schema(value_type = serde_json::Value)]
    pub reason: serde_json::Value,
}

/// Shows what a rollout waits for.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/waiting-on", tag = "rollouts",
    params(("rollout" = String, Path)),
    responses((status = 200, body = Waits), (status = "default", body = Problem)),
)]
async fn waiting_on(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
) -> Result<Json<Waits>, Problem> {
    let waits = api.look(move |state, now| {
        let record = find(state, &caller, &rollout)?;
        let reasons = state.overview(&record, 0.0, now)?.waiting_on.into_iter();
        let wait = |reason: groundswell_core::waiting::WaitingOn| Wait {
            text: reason.in_words(now),
            reason: serde_json::to_value(&reason).unwrap_or_default(),
        };
        Ok(reasons.map(wait).collect())
    });
    Ok(Json(Waits { waiting_on: waits.await? }))
}

/// Which assignments.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfThese {
    /// Only those in this state, such as `queued` or `failed`.
    #[param(max_length = 64)]
    state: Option<String>,
    /// Only those of this wave, counted from 1.
    #[param(minimum = 1)]
    wave: Option<u32>,
}

/// A page of assignments, in the order in which they were written down.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Assignments {
    /// The assignments.
    pub assignments: Vec<AssignmentView>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Lists the assignments of a rollout's round.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/assignments", tag = "rollouts",
    params(("rollout" = String, Path), OfThese, Paging),
    responses((status = 200, body = Assignments), (status = "default", body = Problem)),
)]
async fn assignments(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
    Params(of): Params<OfThese>,
    Params(paging): Params<Paging>,
) -> Result<Json<Assignments>, Problem> {
    let (limit, after) = (paging.limit()?, paging.after()?);
    if of.wave == Some(0) {
        return Err(Problem::invalid("wave", "waves are counted from 1"));
    }
    let states = of.state.as_deref().map(operate::assignment_states).transpose();
    let states = states.map_err(|told| Problem::invalid("state", told))?;
    let page = api.look(move |state, _| {
        let record = find(state, &caller, &rollout)?;
        let wave = of.wave.map(|wave| wave as usize);
        let scope = caller.scope();
        state.assignment_page(&record, states.as_deref(), wave, after.as_deref(), limit, scope)
    });
    let (assignments, next) = page.await?;
    Ok(Json(Assignments { assignments, next: next.as_deref().map(cursor) }))
}

/// Tells what happened to a rollout, when and why.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/explain", tag = "rollouts",
    params(("rollout" = String, Path)),
    responses((status = 200, body = Explained), (status = "default", body = Problem)),
)]
async fn explain(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
) -> Result<Json<Explained>, Problem> {
    let told = api.survey(move |state, _| state.explain(&find(state, &caller, &rollout)?));
    Ok(Json(told.await?))
}

/// Runs the log of a rollout again, decision by decision.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/replay", tag = "rollouts",
    params(("rollout" = String, Path)),
    responses((status = 200, body = Object), (status = "default", body = Problem)),
)]
async fn replay(
    api: Api,
    caller: Caller,
    Path(rollout): Path<String>,
) -> Result<Json<Report>, Problem> {
    let report = api.survey(move |state, _| {
        let record = find(state, &caller, &rollout)?;
        state.replay(record.key)
    });
    Ok(Json(report.await?))
}

/// Tells what happened to a device of a rollout, when and why.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/devices/{id}/explain", tag = "rollouts",
    params(("rollout" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = Explained), (status = "default", body = Problem)),
)]
async fn explain_device(
    api: Api,
    caller: Caller,
    Path((rollout, id)): Path<(String, String)>,
) -> Result<Json<Explained>, Problem> {
    let told = api.survey(move |state, now| {
        let record = find(state, &caller, &rollout)?;
        in_scope(state, &caller, &id, now)?;
        state.explain_device(&record, &id)
    });
    Ok(Json(told.await?))
}

/// Says why a device of a rollout is where it is.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/devices/{id}/why", tag = "rollouts",
    params(("rollout" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = DeviceWhy), (status = "default", body = Problem)),
)]
async fn why(
    api: Api,
    caller: Caller,
    Path((rollout, id)): Path<(String, String)>,
) -> Result<Json<DeviceWhy>, Problem> {
    let why = api.look(move |state, now| {
        let record = find(state, &caller, &rollout)?;
        in_scope(state, &caller, &id, now)?;
        state.why(&record, &id, now)
    });
    Ok(Json(why.await?))
}

/// A device that the caller may not see is as one that is not there.
pub(super) fn in_scope(
    state: &operate::State,
    caller: &Caller,
    id: &str,
    now: groundswell_core::time::Time,
) -> Result<(), OperateError> {
    let (device, _) = state.device_view(id, now)?;
    if caller.sees(&device) {
        return Ok(());
    }
    Err(OperateError::UnknownDevice { id: id.to_owned(), meant: None })
}
