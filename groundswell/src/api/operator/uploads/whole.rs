//! An artifact in one body.

use axum::{
    Json,
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    super::{
        super::{
            Api, Caller, Problem,
            receive::{Receiving, drain, failed, receive},
        },
        artifacts::read_digest,
    },
    OfNoUse, differs, keep, promised, require_bytes, sealed, there,
};
use crate::{
    artifacts::store::Artifacts,
    operate::{ArtifactView, OperateError},
};

/// Takes an artifact whole, in one body: 201 if it is new, 200 if it was there.
#[utoipa::path(
    put, path = "/api/v1/artifacts/{digest}", tag = "artifacts",
    params(("digest" = String, Path, pattern = "^[0-9a-fA-F]{64}$")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = ArtifactView), (status = 201, body = ArtifactView),
        (status = "default", body = Problem),
    ),
)]
pub(super) async fn whole(
    api: Api,
    caller: Caller,
    Path(digest): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let digest = read_digest("digest", &digest)?;
    let place = match admit_whole(&api, &headers) {
        Ok(place) => place,
        Err(problem) => {
            drain(body).await;
            return Err(problem);
        }
    };
    if let Some(bytes) = promised(&headers)
        && let Some(there) = there(&api, digest, bytes).await?
    {
        drain(body).await;
        return Ok((StatusCode::OK, Json(there)).into_response());
    }
    let (artifacts, id) = (api.glance(|state, _| state.artifacts())?, uuid::Uuid::now_v7());
    let opened = tokio::task::spawn_blocking(move || {
        let file = artifacts.arriving_whole(&id.to_string())?;
        Ok::<_, std::io::Error>((file, Discarded { _place: place, artifacts, id: id.to_string() }))
    });
    let opened = opened.await.map_err(|_| Problem::internal())?;
    let (file, with) = opened.map_err(|error| failed(&error))?;
    let receiving = Receiving { file, with };
    let (is_allowed, bytes_max) = (|| api.judge_again(&caller), api.limits().artifact_bytes_max);
    let (received, result) = receive(receiving, body, bytes_max, is_allowed).await;
    result?;
    let received = received.ok_or_else(Problem::internal)?;
    let (received, found) = sealed(received).await?;
    if found != digest {
        return Err(differs(digest, found));
    }
    keep(&api, &caller, received, digest, None).await
}

fn admit_whole(api: &Api, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Problem> {
    require_bytes(headers)?;
    let limits = api.limits();
    if promised(headers).is_some_and(|bytes| bytes > limits.artifact_bytes_max) {
        let told = format!("at most {} bytes are taken", limits.artifact_bytes_max);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", told));
    }
    api.uploads()
        .place()
        .ok_or_else(|| OperateError::TooManyUploads { max: limits.uploads_max }.into())
}

/// A file that is removed when nobody goes on with it; that it was moved away is no error.
#[derive(Debug)]
struct Discarded {
    _place: OwnedSemaphorePermit,
    artifacts: Artifacts,
    id: String,
}

impl Drop for Discarded {
    fn drop(&mut self) {
        if let Err(error) = self.artifacts.discard_whole(&self.id) {
            tracing::warn!("what is left of an upload cannot be removed: {error}");
        }
    }
}

impl OfNoUse for Discarded {
    fn done(&mut self) {}
}
