//! What comes with a request: JSON bodies and query parameters, read within limits.

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::QueryRejection},
};
use http::{StatusCode, Uri, header, request::Parts};
use serde::de::DeserializeOwned;

use super::{Api, Problem};

/// A JSON body of at most [`Limits::json_bytes_max`](super::Limits).
#[derive(Clone, Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// Query parameters.
#[derive(Clone, Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if !is_json(&request) {
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
            let at = error.path().to_string();
            let error = error.into_inner();
            match error.classify() {
                serde_json::error::Category::Data => of_json(&at, &error.to_string()),
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
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(query) => Ok(Self(query.0)),
            Err(error) => Err(at_fault::<T>(&parts.uri, &error)),
        }
    }
}

/// Which parameter it is that cannot be read. Each of ours may be left out, so that each can be read alone.
fn at_fault<T: DeserializeOwned>(uri: &Uri, error: &QueryRejection) -> Problem {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut seen = vec![];
    for pair in pairs {
        let name = pair.split('=').next().unwrap_or_default();
        if seen.contains(&name) {
            return Problem::invalid(name, "is given more than once");
        }
        seen.push(name);
        let Ok(alone) = format!("/?{pair}").parse::<Uri>() else { continue };
        if let Err(error) = Query::<T>::try_from_uri(&alone) {
            return Problem::invalid(name, reason(&error, name));
        }
    }
    Problem::invalid("query", reason(error, "query"))
}

/// What is wrong with a parameter, without what all such errors begin with.
fn reason(error: &QueryRejection, name: &str) -> String {
    let text = error.body_text();
    let text = text.split_once("query string: ").map_or(&*text, |(_, reason)| reason);
    text.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text).to_owned()
}

/// What is wrong with a body that is JSON, and with which part of it.
pub(crate) fn of_json(at: &str, error: &str) -> Problem {
    // A part that lacks is named by the error, and its place by the path.
    let missing = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let error = error.split(" at line ").next().unwrap_or_default();
    match (at, missing) {
        (".", Some(missing)) => Problem::invalid(missing, "is missing"),
        (at, Some(missing)) => Problem::invalid(format!("{at}.{missing}"), "is missing"),
        (at, None) => {
            let field = if at == "." { "body" } else { at };
            // The names of our types are nobody's business.
            let told = match error.split_once("expected struct ") {
                Some((found, _)) => format!("{found}expected an object in {{ }}"),
                None => error.to_owned(),
            };
            Problem::invalid(field, told)
        }
    }
}

/// Reads a body whole.
///
/// # Errors
/// A [`Problem`] with status 413 if it is longer than `bytes_max`.
pub(crate) async fn read(body: Body, bytes_max: usize) -> Result<bytes::Bytes, Problem> {
    to_bytes(body, bytes_max).await.map_err(|error| {
        let error = error.into_inner();
        if error.is::<http_body_util::LengthLimitError>() {
            let told = format!("the body is larger than {bytes_max} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", told)
        } else if is_stall(&*error) {
            let told = "the body stalled: nothing of it came for too long";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "stalled", told)
        } else {
            Problem::bad_request("the body broke off")
        }
    })
}

/// Whether nothing of a body came for too long. Its error is wrapped by each layer that it passes.
fn is_stall(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(<dyn std::error::Error>::is::<tower_http::timeout::TimeoutError>)
}

/// Whether it says that it is JSON, which is UTF-8 always (RFC 8259 section 8.1).
fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let mut parts =
        kind.unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
    let kind = parts.next().unwrap_or_default();
    let is_utf8 = parts.all(|part| {
        part.strip_prefix("charset=")
            .is_none_or(|of| matches!(of.trim_matches('"'), "utf-8" | "utf8"))
    });
    is_utf8 && (kind == "application/json" || kind.ends_with("+json"))
}
