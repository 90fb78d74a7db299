//! What stands before every handler: the request's id, who calls, and whether they may.
//!
//! Closed by default: a route that is not in [`routes::all`] answers nobody.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use groundswell_core::time::Time;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use percent_encoding::percent_decode_str;
use tracing::Instrument as _;

use super::{
    Api, Caller, Problem, Source,
    caller::RequestId,
    health,
    problem::Fault,
    routes::{self, Needs, Parameters, Route},
    squeeze, unpack,
};
use crate::access::{Kind, Secret, Token};

/// Longest request id that is taken over from a caller.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Longest address of a request: a selector of 4 KiB, and as much again for how it is written.
const URI_BYTES_MAX: usize = 8 * 1024;

const REQUEST_ID: &str = "x-request-id";

/// What every answer says to a browser.
const SAFETY: [(header::HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
];

/// Stands around every handler: names the request, refuses what no handler would understand, answers
/// in the place of one that died, and counts.
///
/// All of it is one layer, because each layer boxes every request, and what it answers, once more.
pub(super) async fn around(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        path.and_then(|path| routes::find(&method, path))
    };
    request.extensions_mut().insert(route);
    let accepted = request.headers().get(header::ACCEPT_ENCODING);
    // Answers to whoever changes something may hold a secret.
    let accepted = accepted.filter(|_| method == Method::GET).cloned();
    let response = named(request, next).await;
    health::count(&api, &method, route, &response, begun.elapsed());
    match accepted {
        // What a problem says is settled by now.
        Some(accepted) => squeeze::squeeze(&accepted, response).await,
        None => response,
    }
}

/// Names the request, and writes the name into the answer and into problems.
async fn named(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let id = match given {
        Some(id) if is_request_id(id) => id.to_owned(),
        _ => next_request_id(),
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    // Whatever is said of it in the log is said with its name, however little is to be said.
    let span = tracing::error_span!("request", %id);
    let mut response = answered(request, next).instrument(span).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let named = Problem { request_id: Some(id.clone()), ..problem };
        // Headers that a layer in between added stay.
        let kept = response.headers().clone();
        response = named.into_response();
        for (name, value) in &kept {
            if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.reserve(SAFETY.len());
    for (name, value) in SAFETY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// One that no other request has: what this process is, and a number.
fn next_request_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| uuid::Uuid::now_v7().as_u64_pair().1);
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}-{:x}", *PROCESS, LAST.fetch_add(1, Ordering::Relaxed) + 1)
}

pub(super) fn is_request_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(is_plain)
}

/// The answer, also in the place of a handler that died; what it died of is in the log.
async fn answered(request: Request, next: Next) -> Response {
    if let Err(problem) = bound_uri(&request) {
        return problem.into_response();
    }
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|of| {
        let text = of.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| of.downcast_ref::<&str>().copied()).unwrap_or("no words");
        tracing::error!("a handler died: {text}");
        Problem::internal().into_response()
    })
}

/// Refuses addresses that are longer than any of ours or no text, and requests that do not say once to
/// whom they are (RFC 9112 section 3.2): what stands in front may have read another one.
fn bound_uri(request: &Request) -> Result<(), Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Problem::bad_request("say by one Host header to whom this goes"));
    }
    let uri = request.uri();
    if percent_decode_str(uri.path()).decode_utf8().is_err() {
        return Err(Problem::bad_request("the path of the address is no UTF-8"));
    }
    let bytes = uri.path().len() + uri.query().map_or(0, str::len);
    if bytes > URI_BYTES_MAX {
        let told = format!("the address has {bytes} bytes, the most is {URI_BYTES_MAX}");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", told));
    }
    Ok(())
}

/// Finds out who calls, and lets through who may. Nothing of a body is looked at before.
pub(super) async fn admit(
    State((api, parameters)): State<(Api, Parameters)>,
    mut request: Request,
    next: Next,
) -> Response {
    match caller(&api, &parameters, &request) {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(problem) => return problem.into_response(),
    }
    match unpack::unpack(request) {
        Ok(request) => next.run(request).await,
        Err(refused) => *refused,
    }
}

fn caller(
    api: &Api,
    parameters: &Parameters,
    request: &Request,
) -> Result<Option<Caller>, Problem> {
    let route = request.extensions().get::<Option<&'static Route>>().copied().flatten();
    let &Route { needs, path, .. } = route.ok_or_else(Problem::internal)?;
    if needs == Needs::Nothing {
        return Ok(None);
    }
    if !api.live().has_begun() {
        return Err(health::starting());
    }
    once(request.headers(), "Authorization")?;
    let source = request.extensions().get::<Source>().copied().unwrap_or_default();
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let token = authenticate(api, request, source)?;
    let caller = Caller { token, source: source.0, request: request_id.unwrap_or_default() };
    match (needs, &caller.token.kind) {
        (Needs::Nothing, _)
        | (Needs::DeviceOr(_), Kind::Device { .. })
        | (Needs::Enrollment, Kind::Enrollment { .. }) => {}
        (Needs::DeviceOr(_), Kind::Enrollment { .. }) => {
            return Err(forbidden("this takes the token of a device, or of an operator"));
        }
        (Needs::Right(right) | Needs::DeviceOr(right), _) => caller.require(right)?,
        (Needs::Enrollment, _) => return Err(forbidden("this takes an enrollment token")),
    }
    api.note_used(&caller);
    let query = request.uri().query().unwrap_or_default();
    parameters.check(request.method(), path, query)?;
    Ok(Some(caller))
}

/// Refuses a header that is said twice: which of them counts, everybody guesses otherwise.
pub(super) fn once(headers: &HeaderMap, name: &'static str) -> Result<(), Problem> {
    if headers.get_all(name).iter().nth(1).is_none() {
        return Ok(());
    }
    let told = "is said more than once: say it once";
    let fault = Fault { field: name.to_owned(), detail: told.to_owned() };
    let problem = Problem::bad_request(format!("{name} {told}"));
    Err(Problem { errors: vec![fault], ..problem })
}

fn forbidden(told: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", told)
}

/// The token that the request shows, if it is good.
fn authenticate(api: &Api, request: &Request, source: Source) -> Result<Arc<Token>, Problem> {
    let now = api.now();
    let shown = request.headers().get(header::AUTHORIZATION);
    let Some(shown) = shown else {
        return Err(unauthorized("show a token: Authorization: Bearer gsw_..."));
    };
    let secret = shown.to_str().ok().and_then(bearer).and_then(|text| Secret::parse(text).ok());
    let known = match &secret {
        Some(secret) => {
            let id = secret.id();
            api.lately().token(id, || api.glance(|state, _| state.token(id)))?
        }
        None => None,
    };
    let token = judge(api, secret.as_ref(), known, source, now)?;
    token.check(now).map_err(|error| unauthorized(&error.to_string()))?;
    Ok(token)
}

pub(super) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token whose secret was shown. Wrong ones are slowed by where they come from. A right one passes
/// all the same, for others come from there, too, unless it is the one that was guessed at.
fn judge(
    api: &Api,
    secret: Option<&Secret>,
    known: Option<Arc<Token>>,
    source: Source,
    now: Time,
) -> Result<Arc<Token>, Problem> {
    let (guesses, network) = (api.guesses(), source.network());
    // Whether the id or the secret is wrong is nobody's business, nor how long it took to see it.
    let hash = known.as_ref().map_or([0; 32], |token| token.hash);
    let is_right = secret.is_some_and(|secret| secret.is_of(&hash));
    let guess = known.as_ref().map(|token| (network, Some(token.id.clone())));
    let own_wait = guess.as_ref().and_then(|guess| guesses.owed(guess, now));
    let wait = match (known, own_wait) {
        (Some(token), None) if is_right => return Ok(token),
        (_, own_wait) => guesses.wait(&(network, None), now).max(own_wait),
    };
    guesses.note((network, None), now);
    if let (Some(guess), None) = (guess, own_wait) {
        guesses.note(guess, now);
    }
    let Some(wait) = wait else { return Err(unauthorized("the token is not known here")) };
    let told = "too many wrong tokens came from your address; wait before the next";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-guesses", told);
    Err(Problem { retry_after_secs: Some(wait.as_secs() + 1), ..problem })
}

fn unauthorized(told: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", told)
}
