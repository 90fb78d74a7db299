//! Artifacts: `/api/v1/artifacts`, listed, sent and removed. [`uploads`](super::uploads) takes them in.

use axum::{Json, extract::Path, response::Response};
use groundswell_core::release::Digest;
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    Api, Caller, Problem,
    body::Params,
    download,
    page::{Paging, cursor},
    routes::Route,
};
use crate::operate::ArtifactView;

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::read("/api/v1/artifacts"),
    Route::read("/api/v1/artifacts/{digest}"),
    Route::operate(Method::DELETE, "/api/v1/artifacts/{digest}"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(download, remove))
}

/// A page of artifacts, in the order of their digests.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Artifacts {
    /// The artifacts.
    pub artifacts: Vec<ArtifactView>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Lists the artifacts that are kept, in the order of their digests.
#[utoipa::path(
    get, path = "/api/v1/artifacts", tag = "artifacts", params(Paging),
    responses((status = 200, body = Artifacts), (status = "default", body = Problem)),
)]
async fn list(api: Api, Params(paging): Params<Paging>) -> Result<Json<Artifacts>, Problem> {
    let bad = |_| Problem::invalid("cursor", "take it from `next` of the page before");
    let (limit, after) = (paging.limit()?, paging.after()?);
    let after: Option<Digest> = after.map(|after| after.parse()).transpose().map_err(bad)?;
    let (artifacts, next) = api.look(move |state, _| state.artifact_page(after, limit)).await?;
    Ok(Json(Artifacts { artifacts, next: next.map(|next| cursor(&next.to_string())) }))
}

/// Sends the bytes of an artifact, or one range of them.
#[utoipa::path(
    get, path = "/api/v1/artifacts/{digest}", tag = "artifacts",
    params(
        ("digest" = String, Path, pattern = "^[0-9a-fA-F]{64}$"),
        ("Range" = Option<String>, Header, description = "One range, such as bytes=1024-"),
        ("If-Range" = Option<String>, Header, description = "The ETag that the range goes with"),
        ("If-None-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "It is the one that is known"),
        (status = "default", body = Problem),
    ),
)]
async fn download(
    api: Api,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let digest = read_digest("digest", &digest)?;
    let kept = api.glance(|state, _| state.artifact(digest))?;
    download::answer(kept, &headers).await
}

/// Removes an artifact that no release is made of.
///
/// Not by a token with a scope: an artifact is nobody's
/// device, and whoever sends the same bytes again is answered that they are there, and counts on them.
#[utoipa::path(
    delete, path = "/api/v1/artifacts/{digest}", tag = "artifacts",
    params(("digest" = String, Path, pattern = "^[0-9a-fA-F]{64}$")),
    responses((status = 204, description = "It is gone"), (status = "default", body = Problem)),
)]
async fn remove(
    api: Api,
    caller: Caller,
    Path(digest): Path<String>,
) -> Result<StatusCode, Problem> {
    let digest = read_digest("digest", &digest)?;
    if caller.scope().is_some() {
        let told = "others may count on this artifact: to remove it takes a token without a scope";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", told));
    }
    let kept = api.glance(|state, _| state.artifact(digest))?;
    let change = caller.change(api.now(), "artifact.remove", format!("artifact {digest}"));
    let change = change.between(Some(serde_json::json!({ "bytes": kept.bytes })), None);
    api.change(change, None, move |state, _| state.remove_artifact(digest)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A digest as it was written in a request.
pub(super) fn read_digest(field: &str, text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|error| {
        let error: groundswell_core::release::DigestError = error;
        Problem::invalid(field, error.to_string())
    })
}
