//! What comes with a request: JSON bodies and query parameters, read within limits.

use std::{error::Error, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
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
