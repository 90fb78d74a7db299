//! Uploads in parts: begun, added to, asked about, given up.

use axum::{
    Json,
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use groundswell_core::release::Digest;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::Instrument as _;
use utoipa::ToSchema;

use super::{
    super::super::{
        Api, Caller, Problem,
        body::JsonBody,
        created::Key,
        receive::{Receiving, drain, failed, receive},
        uploads::Turn,
    },
    OfNoUse, differs, keep, located, promised, require_bytes, sealed, there,
};
use crate::{artifacts::arriving::is_upload_id, operate::ArtifactView, store::Upload};

/// How much of an upload is there.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// An artifact that is to be uploaded.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUpload {
    /// The sha-256 of all of it, in hex.
    #[schema(value_type = String, pattern = "^[0-9a-fA-F]{64}$")]
    pub digest: Digest,
    /// How long all of it is.
    pub bytes: u64,
}

/// An artifact on its way here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadView {
    /// The upload's id.
    pub upload: String,
    /// How much of it has arrived: where to go on.
    pub offset: u64,
    /// How long all of it is.
    pub bytes: u64,
    /// The sha-256 of all of it, in hex.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Digest,
}

impl UploadView {
    fn of(upload: &Upload, offset: u64) -> Self {
        let Upload { id, digest, bytes, .. } = upload;
        Self { upload: id.clone(), offset, bytes: *bytes, digest: *digest }
    }

    fn answer(self, status: StatusCode) -> Response {
        let (at, offset) = (format!("/api/v1/artifacts/uploads/{}", self.upload), self.offset);
        let response = located((status, Json(self)).into_response(), status, &at);
        with_offset(response, offset)
    }
}

/// Opens an upload (201), or answers with the artifact if it is there (200).
#[utoipa::path(
    post, path = "/api/v1/artifacts", tag = "artifacts", request_body = NewUpload,
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255)),
    responses(
        (status = 200, body = ArtifactView), (status = 201, body = UploadView),
        (status = "default", body = Problem),
    ),
)]
pub(super) async fn begin(
    api: Api,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewUpload>,
) -> Result<Response, Problem> {
    let (NewUpload { digest, bytes }, limits) = (new.clone(), api.limits().clone());
    if bytes > limits.artifact_bytes_max {
        let told = format!("at most {} bytes are taken", limits.artifact_bytes_max);
        return Err(Problem::invalid("bytes", told));
    }
    let key = Key::of(&headers, "artifact.upload", &new)?;
    let known = api.created(&caller, key.as_ref())?;
    if let Some(there) = there(&api, digest, bytes).await? {
        return Ok((StatusCode::OK, Json(there)).into_response());
    }
    if let Some(known) = known {
        let told = "the upload of this Idempotency-Key has ended; begin one under another key";
        let (upload, offset) =
            own(&api, &caller, &known).map_err(|_| Problem::conflict("upload-ended", told))?;
        return Ok(UploadView::of(&upload, offset).answer(StatusCode::CREATED));
    }
    let (id, token, begun_at) = (uuid::Uuid::now_v7().to_string(), caller.id().clone(), api.now());
    let change = caller.change(begun_at, "artifact.upload", format!("artifact {digest}"));
    let change = change.between(None, Some(json!({ "upload": id, "bytes": bytes })));
    let created = key.map(|key| key.by(&caller, id.clone(), begun_at));
    let upload = Upload { id, digest, bytes, token, begun_at };
    let view = UploadView::of(&upload, 0);
    api.change(change, created, move |state, _| state.begin_upload(&upload, limits.uploads_max))
        .await?;
    Ok(view.answer(StatusCode::CREATED))
}

/// Says how much of an upload has arrived.
#[utoipa::path(
    get, path = "/api/v1/artifacts/uploads/{id}", tag = "artifacts",
    params(("id" = String, Path)),
    responses((status = 200, body = UploadView), (status = "default", body = Problem)),
)]
pub(super) async fn show(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (upload, offset) = own(&api, &caller, &id)?;
    Ok(UploadView::of(&upload, offset).answer(StatusCode::OK))
}

/// Adds to an upload from where it is (200). With the last of it the digest is checked, and the
/// artifact is there (201).
#[utoipa::path(
    patch, path = "/api/v1/artifacts/uploads/{id}", tag = "artifacts",
    params(
        ("id" = String, Path),
        ("Upload-Offset" = u64, Header, description = "How much has arrived: where this goes on"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = UploadView), (status = 201, body = ArtifactView),
        (status = "default", body = Problem),
    ),
)]
pub(super) async fn append(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (upload, receiving) = match admit(&api, &caller, &id, &headers).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            drain(body).await;
            return Ok(refused);
        }
    };
    let is_allowed = || api.judge_again(&caller);
    let (received, result) = receive(receiving, body, upload.bytes, is_allowed).await;
    let Some(mut received) = received else { return Err(Problem::internal()) };
    let offset = received.file.bytes();
    received.with.hashed = received.file.hashed();
    if let Err(problem) = result {
        return Ok(with_offset(problem.into_response(), offset));
    }
    if offset < upload.bytes {
        // What is acknowledged is not lost by a power cut.
        let synced = tokio::task::spawn_blocking(move || received.file.sync());
        synced.await.map_err(|_| Problem::internal())?.map_err(|error| failed(&error))?;
        return Ok(UploadView::of(&upload, offset).answer(StatusCode::OK));
    }
    // It ends also if the caller does not wait for that.
    let finishing = async move { finish(&api, &caller, &upload, received).await };
    tokio::spawn(finishing.in_current_span()).await.unwrap_or_else(|died| {
        tracing::error!("the end of an upload died: {died}");
        Err(Problem::internal())
    })
}

/// Gives an upload up.
#[utoipa::path(
    delete, path = "/api/v1/artifacts/uploads/{id}", tag = "artifacts",
    params(("id" = String, Path)),
    responses((status = 204, description = "It is gone"), (status = "default", body = Problem)),
)]
pub(super) async fn give_up(
    api: Api,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    own(&api, &caller, &id)?;
    let mut turn = api.uploads().turn(&id).ok_or_else(busy)?;
    let (upload, _) = own(&api, &caller, &id)?;
    turn.hashed = None;
    let about = format!("artifact {}", upload.digest);
    let change = caller.change(api.now(), "artifact.give_up", about);
    let change = change.between(Some(json!({ "upload": id })), None);
    api.change(change, None, move |state, _| {
        let (artifacts, _turn) = (state.artifacts()?, turn);
        state.end_upload(Some(&id), || artifacts.discard(&id))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The upload that is gone on with, or why not.
async fn admit(
    api: &Api,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
) -> Result<(Upload, Receiving<Turn>), Response> {
    let refuse = |problem: Problem| problem.into_response();
    own(api, caller, id).map_err(refuse)?;
    require_bytes(headers).map_err(refuse)?;
    let given = given_offset(headers).map_err(refuse)?;
    let mut turn = api.uploads().turn(id).ok_or_else(|| refuse(busy()))?;
    // Whoever had the turn before may have ended it.
    let (upload, _) = own(api, caller, id).map_err(refuse)?;
    let artifacts = api.glance(|state, _| state.artifacts()).map_err(refuse)?;
    let (hashed, named) = (turn.hashed.take(), id.to_owned());
    let opened = tokio::task::spawn_blocking(move || artifacts.arriving(&named, hashed)).await;
    let opened = opened.map_err(|_| refuse(Problem::internal()))?;
    let file = opened.map_err(|error| refuse(failed(&error)))?;
    turn.hashed = file.hashed();
    let offset = file.bytes();
    if given != offset {
        let told = format!("{offset} bytes have arrived, not {given}: go on from there");
        let problem = Problem::conflict("wrong-offset", told);
        return Err(with_offset(refuse(problem), offset));
    }
    let room = upload.bytes.saturating_sub(offset);
    if promised(headers).is_some_and(|bytes| bytes > room) {
        let told = format!("{room} bytes are missing, and this would be more");
        return Err(with_offset(refuse(Problem::invalid("Content-Length", told)), offset));
    }
    Ok((upload, Receiving { file, with: turn }))
}

/// How much has arrived, as the caller has it. Said twice, or with a sign, it may have been meant in
/// another way.
pub(in crate::api) fn given_offset(headers: &HeaderMap) -> Result<u64, Problem> {
    let mut given = headers.get_all(OFFSET).into_iter();
    let offset = match (given.next(), given.next()) {
        (Some(offset), None) => offset.to_str().ok(),
        _ => None,
    };
    let offset = offset.filter(|offset| offset.bytes().all(|byte| byte.is_ascii_digit()));
    offset.and_then(|offset| offset.parse().ok()).ok_or_else(|| {
        let told = "say once how much has arrived, in bytes: where this goes on";
        Problem::invalid("Upload-Offset", told)
    })
}

/// An upload that the caller began, and how much of it has arrived.
fn own(api: &Api, caller: &Caller, id: &str) -> Result<(Upload, u64), Problem> {
    let told = || Problem::not_found("there is no such upload: it has ended, or was never begun");
    if !is_upload_id(id) {
        return Err(told());
    }
    let found = api.glance(|state, _| state.upload(id))?;
    found.filter(|(upload, _)| upload.token == *caller.id()).ok_or_else(told)
}

/// All of it is here: it is what was promised, or it is gone.
async fn finish(
    api: &Api,
    caller: &Caller,
    upload: &Upload,
    received: Receiving<Turn>,
) -> Result<Response, Problem> {
    let (mut received, found) = sealed(received).await?;
    if found == upload.digest {
        return keep(api, caller, received, found, Some(upload.id.clone())).await;
    }
    received.with.hashed = None;
    let about = format!("artifact {}", upload.digest);
    let change = caller.change(api.now(), "artifact.refuse", about);
    let change = change.between(None, Some(json!({ "upload": upload.id, "found": found })));
    let id = upload.id.clone();
    api.change(change, None, move |state, _| {
        state.end_upload(Some(&id), || received.file.discard())
    })
    .await?;
    Err(differs(upload.digest, found))
}

impl OfNoUse for Turn {
    fn done(&mut self) {
        self.hashed = None;
    }
}

fn busy() -> Problem {
    let told = "another request adds to this upload; wait for its end, and ask where it is";
    Problem::conflict("busy", told)
}

fn with_offset(mut response: Response, offset: u64) -> Response {
    response.headers_mut().insert(OFFSET, HeaderValue::from(offset));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_said_once_and_in_digits() {
        let given = |values: &[&'static str]| {
            let all = values.iter().map(|value| (OFFSET, HeaderValue::from_static(value)));
            given_offset(&all.collect())
        };
        assert_eq!(given(&["4096"]), Ok(4096));
        assert_eq!(given(&["0"]), Ok(0));
        for bad in [&[][..], &[""], &["+5"], &["-0"], &["5", "6"], &["5", "5"], &["5, 5"], &["0x5"]]
        {
            assert_eq!(given(bad).unwrap_err().errors[0].field, "Upload-Offset", "{bad:?}");
        }
    }
}
