//! Artifacts that arrive: `/api/v1/artifacts/uploads` in parts, `PUT /api/v1/artifacts/{digest}` whole
//! (docs/protocol/artifact-upload.md).

mod parts;
mod whole;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use groundswell_core::release::Digest;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use utoipa_axum::{router::OpenApiRouter, routes};

#[cfg(any(test, feature = "fuzz"))]
pub(in crate::api) use self::parts::given_offset;
pub use self::parts::{NewUpload, UploadView};
use super::super::{
    Api, Caller, Problem,
    receive::{Receiving, failed},
    routes::Route,
};
use crate::{
    artifacts::{arriving::Arriving, store::Artifacts},
    operate::ArtifactView,
};

/// Who may do what here.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::operate(Method::POST, "/api/v1/artifacts"),
    Route::operate(Method::PUT, "/api/v1/artifacts/{digest}"),
    Route::read("/api/v1/artifacts/uploads/{id}"),
    Route::operate(Method::PATCH, "/api/v1/artifacts/uploads/{id}"),
    Route::operate(Method::DELETE, "/api/v1/artifacts/uploads/{id}"),
];

pub(in crate::api) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(parts::begin))
        .routes(routes!(whole::whole))
        .routes(routes!(parts::show, parts::append, parts::give_up))
}

/// Bytes as they are: nothing here unpacks them.
pub(in crate::api) fn require_bytes(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    let is_bytes =
        kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/octet-stream"));
    if is_bytes && text(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity") {
        return Ok(());
    }
    let told = "send the bytes as they are, with Content-Type: application/octet-stream";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-bytes", told))
}

/// How long a body says that it is.
fn promised(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The artifact, if it is there in this length.
async fn there(api: &Api, digest: Digest, bytes: u64) -> Result<Option<ArtifactView>, Problem> {
    api.look(move |state, _| {
        let is_there = state.artifacts()?.find(digest, bytes).is_some();
        if is_there { state.artifact_view(digest).map(Some) } else { Ok(None) }
    })
    .await
}

async fn sealed<T: Send + 'static>(
    received: Receiving<T>,
) -> Result<(Receiving<T>, Digest), Problem> {
    let sealed = tokio::task::spawn_blocking(move || {
        let found = received.file.seal();
        (received, found)
    });
    let (received, found) = sealed.await.map_err(|_| Problem::internal())?;
    Ok((received, found.map_err(|error| failed(&error))?))
}

/// Puts what arrived among the artifacts, and ends its upload if it has one.
async fn keep<T: OfNoUse>(
    api: &Api,
    caller: &Caller,
    received: Receiving<T>,
    digest: Digest,
    upload: Option<String>,
) -> Result<Response, Problem> {
    // The digest of a long one takes a while.
    api.judge_again(caller)?;
    let bytes = received.file.bytes();
    let change = caller.change(api.now(), "artifact.create", format!("artifact {digest}"));
    let change = change.between(None, Some(json!({ "bytes": bytes })));
    let view = api.change(change, None, move |state, _| {
        let artifacts = state.artifacts()?;
        let Receiving { file, mut with } = received;
        state.end_upload(upload.as_deref(), || placed(&file, &artifacts, digest))?;
        with.done();
        state.artifact_view(digest)
    });
    let response = (StatusCode::CREATED, Json(view.await?)).into_response();
    Ok(located(response, StatusCode::CREATED, &format!("/api/v1/artifacts/{digest}")))
}

fn placed(file: &Arriving, artifacts: &Artifacts, digest: Digest) -> std::io::Result<()> {
    file.keep(artifacts, digest).map(drop)
}

/// What goes with a file, and is of no use any more once it is in its place.
trait OfNoUse: Send + 'static {
    fn done(&mut self);
}

fn differs(promised: Digest, found: Digest) -> Problem {
    let told =
        format!("the bytes that came have the sha-256 {found}, not {promised}; they are gone");
    let Problem { errors, detail, .. } = Problem::invalid("digest", told);
    Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "digest-differs", detail) }
}

fn located(mut response: Response, status: StatusCode, at: &str) -> Response {
    if status == StatusCode::CREATED
        && let Ok(at) = at.parse()
    {
        response.headers_mut().insert(header::LOCATION, at);
    }
    response
}
