//! What comes with a request: JSON bodies and query parameters, read within limits.

use std::{error::Error, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::QueryRejection},
};
use http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use serde::de::DeserializeOwned;

use super::{Api, Problem, unpack};

/// How long a body of JSON may take as a whole: a byte now and then keeps nothing in memory for ever.
const READ_MAX: Duration = Duration::from_secs(30);

/// A JSON body of at most [`Limits::json_bytes_max`](super::Limits), and of at most `BYTES_MAX` where
/// those who call have less to say.
#[derive(Clone, Debug)]
pub(crate) struct JsonBody<T, const BYTES_MAX: usize = { usize::MAX }>(pub(crate) T);

/// Query parameters.
#[derive(Clone, Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<Api> for JsonBody<T, BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let told = "send JSON, with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", told));
        }
        let bytes_max = api.limits().json_bytes_max.min(BYTES_MAX);
        let bytes = tokio::select! {
            read = read(request.into_body(), bytes_max) => read?,
            () = api.clock().sleep(READ_MAX, "a body") => {
                let told = format!("the body has not come whole in {} s", READ_MAX.as_secs());
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "stalled", told));
            }
        };
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

/// Whether it says that it is JSON, which is UTF-8 always (RFC 8259 section 8.1).
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let mut parts =
        kind.unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
    let kind = parts.next().unwrap_or_default();
    let is_utf8 = parts.all(|part| {
        part.strip_prefix("charset=")
            .is_none_or(|of| matches!(of.trim_matches('"'), "utf-8" | "utf8"))
    });
    is_utf8 && (kind == "application/json" || kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use groundswell_core::time::Time;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        api::{Limits, Live},
        clock::{Clock, ManualClock},
        operate::Borders,
        telemetry::Telemetry,
    };

    fn api(clock: Clock) -> Api {
        let live = Live::new(Telemetry::default(), CancellationToken::new());
        Api::new("none".into(), clock, Limits::default(), Borders::default(), live)
    }

    fn request(body: Body) -> Request {
        http::Request::post("/").header("content-type", "application/json").body(body).unwrap()
    }

    #[tokio::test]
    async fn a_body_that_comes_byte_by_byte_is_not_waited_for_beyond_its_time() {
        let clock = ManualClock::new(Time::ZERO);
        let api = api(Clock::Manual(clock.clone()));
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(" "));
        let endless = futures_util::StreamExt::then(endless, |byte| async {
            tokio::task::yield_now().await;
            byte
        });
        // Of a million bytes that would be taken it has a few by then.
        let body = Body::from_stream(endless);
        let reading = tokio::spawn(async move {
            JsonBody::<serde_json::Value>::from_request(request(body), &api)
                .await
                .map(|body| body.0)
        });
        clock.until_waiting("a body").await;
        clock.advance(READ_MAX);
        let problem = reading.await.unwrap().unwrap_err();
        assert_eq!((problem.status, &*problem.title), (408, "stalled"));
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_its_callers_need_it() {
        let api = api(Clock::System);
        let long = || request(Body::from(format!("{{\"a\":\"{}\"}}", "x".repeat(100))));
        let read = JsonBody::<serde_json::Value, 50>::from_request(long(), &api).await;
        assert_eq!(read.unwrap_err().status, 413);
        JsonBody::<serde_json::Value>::from_request(long(), &api).await.unwrap();
    }
}
