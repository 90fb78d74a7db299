//! What comes with a request: JSON bodies and query parameters, read within limits.

use std::error::Error;

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;

use super::{Api, Problem, unpack};

/// A JSON body of at most [`Limits::json_bytes_max`](super::Limits).
#[derive(Clone, Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// Query parameters.
#[derive(Clone, Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let told = "send JSON, with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", told));
        }
        let bytes = read(request.into_body(), api.limits().json_bytes_max).await?;
        // A list would be taken for the members of an object in their order.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|first| *first == b'[')
        {
            return Err(Problem::invalid("body", "an object in { } is wanted, not a list"));
        }
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let field = error.path().to_string();
            let error = error.into_inner();
            match error.classify() {
                serde_json::error::Category::Data => {
                    let field = if field == "." { "body".to_owned() } else { field };
                    Problem::invalid(field, error.to_string())
                }
                _ => Problem::bad_request(format!("the body is no JSON: {error}")),
            }
        })?;
        json.end()
            .map_err(|error| Problem::bad_request(format!("the body is no JSON: {error}")))?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        let told = |error: axum::extract::rejection::QueryRejection| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", error.body_text())
        };
        query.map(|query| Self(query.0)).map_err(told)
    }
}

/// Reads a body whole.
///
/// # Errors
/// A [`Problem`] with status 413 if it is longer than `bytes_max`.
pub(crate) async fn read(body: Body, bytes_max: usize) -> Result<bytes::Bytes, Problem> {
    to_bytes(body, bytes_max).await.map_err(|error| {
        let error = error.into_inner();
        if cause::<http_body_util::LengthLimitError>(&*error).is_some() {
            let told = format!("the body is larger than {bytes_max} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", told)
        } else if cause::<tower_http::timeout::TimeoutError>(&*error).is_some() {
            let told = "the body stalled: nothing of it came for too long";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "stalled", told)
        } else if let Some(broken) = cause::<unpack::Broken>(&*error) {
            Problem::bad_request(broken.to_string())
        } else {
            Problem::bad_request("the body broke off")
        }
    })
}

/// A cause of this kind. An error is wrapped by each layer that it passes.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(<dyn Error>::downcast_ref)
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
