//! Releases: `/api/v1/releases`.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use groundswell_core::{
    device::check_label,
    release::{Digest, Release},
    time::Time,
};
use http::{HeaderMap, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem,
    body::{JsonBody, Params},
    created::Key,
    page::{Paging, cursor},
    routes::Route,
};
use crate::{
    operate::{OperateError, ReleaseSchema, ReleaseView},
    store::RolloutKey,
};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::read("/api/v1/releases"),
    Route::operate(Method::POST, "/api/v1/releases"),
    Route::read("/api/v1/releases/{name}/{version}"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show))
}

/// Which releases.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those of this name.
    #[param(max_length = 256)]
    name: Option<String>,
}

/// A release in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    /// The release.
    #[serde(flatten)]
    #[schema(value_type = ReleaseSchema)]
    pub release: Release,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Time,
}

/// A page of releases, in the order of their names and versions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Releases {
    /// The releases.
    pub releases: Vec<Listed>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A release, and what has to do with it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShownRelease {
    /// The release.
    #[serde(flatten)]
    #[schema(value_type = ReleaseSchema)]
    pub release: Release,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Time,
    /// Whether its artifact is kept here.
    pub is_kept: bool,
    /// The rollouts that send it, of those that the caller may see.
    #[schema(value_type = Vec<i64>)]
    pub rollouts: Vec<RolloutKey>,
}

impl From<ReleaseView> for ShownRelease {
    fn from(view: ReleaseView) -> Self {
        let ReleaseView { release, created_at, path, rollouts } = view;
        Self { release, created_at, is_kept: path.is_some(), rollouts }
    }
}

/// Lists releases in the order of their names and versions.
#[utoipa::path(
    get, path = "/api/v1/releases", tag = "releases", params(Which, Paging),
    responses((status = 200, body = Releases), (status = "default", body = Problem)),
)]
async fn list(
    api: Api,
    Params(which): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Releases>, Problem> {
    let bad = |_| Problem::invalid("cursor", "take it from `next` of the page before");
    let (limit, after) = (paging.limit()?, paging.after()?);
    let after: Option<(String, String)> =
        after.map(|after| serde_json::from_str(&after)).transpose().map_err(bad)?;
    let page = api.look(move |state, _| {
        let after = after.as_ref().map(|(name, version)| (name.as_str(), version.as_str()));
        state.release_page(which.name.as_deref(), after, limit)
    });
    let (page, next) = page.await?;
    let listed = |(release, created_at)| Listed { release, created_at };
    let next = next.and_then(|next| serde_json::to_string(&next).ok());
    let releases = page.into_iter().map(listed).collect();
    Ok(Json(Releases { releases, next: next.as_deref().map(cursor) }))
}

/// A release that is to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRelease {
    /// What it is a release of.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// What a device reports once it runs it.
    #[schema(min_length = 1, max_length = 256)]
    pub version: String,
    /// The artifact that it is made of, which is there: the sha-256 of its bytes, in hex.
    #[schema(value_type = String, pattern = "^[0-9a-fA-F]{64}$")]
    pub artifact: Digest,
}

/// Makes a release of an artifact that is there. One of the same artifact is answered as it is (200).
#[utoipa::path(
    post, path = "/api/v1/releases", tag = "releases", request_body = NewRelease,
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255)),
    responses(
        (status = 200, body = ShownRelease), (status = 201, body = ShownRelease),
        (status = "default", body = Problem),
    ),
)]
async fn create(
    api: Api,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewRelease>,
) -> Result<Response, Problem> {
    let NewRelease { name, version, artifact } = new.clone();
    for (field, value) in [("name", &name), ("version", &version)] {
        check_label(field, value).map_err(|error| Problem::invalid(field, error.to_string()))?;
    }
    let key = Key::of(&headers, "release.create", &new)?;
    if api.created(&caller, key.as_ref())?.is_some() {
        return show_as(&api, &caller, name, version, StatusCode::CREATED).await;
    }
    let change = caller.change(api.now(), "release.create", format!("release {name} {version}"));
    let change = change.between(None, serde_json::to_value(&new).ok());
    let subject = format!("{name} {version}");
    let created = key.map(|key| key.by(&caller, subject, api.now()));
    let made = api.change(change, created, move |state, now| {
        match state.make_release(&new.name, &new.version, artifact, now) {
            Err(OperateError::UnknownArtifact { .. }) => Ok(None),
            made => made.map(Some),
        }
    });
    let status = match made.await? {
        Some(true) => StatusCode::CREATED,
        Some(false) => StatusCode::OK,
        None => {
            let told = format!("there is no artifact {artifact} here; upload it first");
            return Err(Problem::invalid("artifact", told));
        }
    };
    show_as(&api, &caller, name, version, status).await
}

/// Shows a release, and which rollouts send it.
#[utoipa::path(
    get, path = "/api/v1/releases/{name}/{version}", tag = "releases",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = ShownRelease), (status = "default", body = Problem)),
)]
async fn show(
    api: Api,
    caller: Caller,
    Path((name, version)): Path<(String, String)>,
) -> Result<Response, Problem> {
    show_as(&api, &caller, name, version, StatusCode::OK).await
}

async fn show_as(
    api: &Api,
    caller: &Caller,
    name: String,
    version: String,
    status: StatusCode,
) -> Result<Response, Problem> {
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let at = format!("/api/v1/releases/{}/{}", part(&name), part(&version));
    let scope = caller.scope().cloned();
    let shown = api.look(move |state, _| state.release_in(&name, &version, scope.as_ref()));
    let shown = ShownRelease::from(shown.await?);
    let mut response = (status, Json(shown)).into_response();
    if status == StatusCode::CREATED
        && let Ok(at) = at.parse()
    {
        response.headers_mut().insert(header::LOCATION, at);
    }
    Ok(response)
}
