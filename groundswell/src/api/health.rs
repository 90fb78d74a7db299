//! Whether the server is well, for whoever starts it, sends to it and watches it.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Method, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, Caller, Problem,
    routes::{Needs, Route},
};

/// Who may do what here.
pub(super) const ROUTES: &[Route] = &[
    Route { method: Method::GET, path: "/healthz", needs: Needs::Nothing },
    Route { method: Method::GET, path: "/readyz", needs: Needs::Nothing },
    Route::read("/metrics"),
];

/// Whoever scrapes more often gets the numbers of a moment ago: they are counted over all rollouts.
const COUNTED_FOR: Duration = Duration::from_secs(1);

/// When to ask again whether it is ready.
const READY_IN_SECS: u64 = 2;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// Says that the process is up, whatever its state.
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Says that it drives, answers, can write down what is done, and is not about to end.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = Problem),
    ),
)]
async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    let live = api.live();
    if live.stopping().is_cancelled() {
        return Err(Problem::unavailable("draining", "the server is about to end", READY_IN_SECS));
    }
    if !live.has_begun() {
        return Err(starting());
    }
    let disk = api.look(|state, _| state.log_end().map(|_| state.disk().ok())).await?;
    if disk.is_some_and(|disk| disk.is_full()) {
        let told = "the disk is full: nothing can be written down; make room on it";
        return Err(Problem::unavailable("store", told, READY_IN_SECS));
    }
    Ok("ready\n")
}

/// There is no state to be asked yet.
pub(super) fn starting() -> Problem {
    let told = "the server takes its state over; try again in a moment";
    Problem::unavailable("starting", told, READY_IN_SECS)
}

/// What is counted, in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = "default", body = Problem),
    ),
)]
async fn metrics(api: Api, caller: Caller) -> Result<Response, Problem> {
    if caller.scope().is_some() {
        let told = "these numbers are of all devices; the token is limited to some";
        return Err(Problem::new(http::StatusCode::FORBIDDEN, "forbidden", told));
    }
    let is_old = {
        let (now, mut counted_at) = (api.now(), api.live().counted_at.lock());
        let is_old = counted_at.is_none_or(|at| now.since(at) >= COUNTED_FOR);
        if is_old {
            *counted_at = Some(now);
        }
        is_old
    };
    if is_old {
        let (rollouts, assignments) = api.look(|state, _| state.count_all()).await?;
        let readers = api.live().feed().readers();
        api.live().telemetry().stand(&rollouts, &assignments, readers);
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, api.live().telemetry().render()).into_response())
}

/// Counts a request to a route of ours, if it is one, and how long it took until its answer began.
pub(super) fn count(
    api: &Api,
    asked: &Method,
    route: Option<&'static Route>,
    response: &Response,
    took: Duration,
) {
    let (path, status) = (route.map_or("none", |route| route.path), response.status().as_u16());
    api.live().telemetry().answered(method(asked), path, status, took);
}

/// The methods there are: what a caller thinks up is not counted by its name.
const fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        api::{Limits, Live, router},
        clock::Clock,
        operate::Borders,
        telemetry::Telemetry,
    };

    #[tokio::test]
    async fn before_it_begins_and_once_it_ends_it_is_not_ready() {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let live = Live::new(Telemetry::on(), stop.clone());
        let (path, borders) = (dir.path().join("none"), Borders::default());
        let api = Api::new(path, Clock::System, Limits::default(), borders, live);
        let router = router(api.clone());
        let ask = async |path: &str| {
            let request =
                http::Request::get(path).header("host", "here").body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let kind = answer.extensions().get::<Problem>().map(|problem| problem.kind.clone());
            let kind = kind.unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned();
            (answer.status().as_u16(), kind)
        };
        let said = |status: u16, kind: &str| (status, kind.to_owned());
        assert_eq!(ask("/healthz").await, said(200, ""));
        assert_eq!(ask("/readyz").await, said(503, "starting"));
        assert_eq!(ask("/api/v1/devices").await, said(503, "starting"));
        api.live().begin();
        assert_eq!(ask("/readyz").await, said(503, "store"), "there is none");
        stop.cancel();
        assert_eq!(ask("/healthz").await, said(200, ""));
        assert_eq!(ask("/readyz").await, said(503, "draining"));
        let text = api.live().telemetry().render();
        let counted =
            "groundswell_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 2";
        assert!(text.contains(counted), "{text}");
    }
}
