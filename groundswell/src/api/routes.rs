//! Every route, what it needs, and how they come together.

use axum::{Router, middleware};
use http::Method;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use super::{Api, Problem, guard, health, operator};
use crate::access::Right;

/// Whom a route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody.
    Nothing,
    /// Operators whose role has this right.
    Right(Right),
    /// Devices, each about itself.
    Device,
    /// Whoever has an enrollment token.
    Enrollment,
}

/// A route and whom it answers.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, as the router has it.
    pub path: &'static str,
    /// Whom it answers.
    pub needs: Needs,
}

impl Route {
    /// A route that looks.
    pub(super) const fn read(path: &'static str) -> Self {
        Self::asking(Method::GET, path)
    }

    /// A route that looks, by a method that takes a body.
    pub(super) const fn asking(method: Method, path: &'static str) -> Self {
        Self { method, path, needs: Needs::Right(Right::Read) }
    }

    /// A route of an operator that changes something.
    pub(super) const fn operate(method: Method, path: &'static str) -> Self {
        Self { method, path, needs: Needs::Right(Right::Operate) }
    }
}

/// Every route, noun by noun; one that is not here answers nobody.
const NOUNS: &[&[Route]] = &[
    OWN,
    health::ROUTES,
    operator::devices::ROUTES,
    operator::rollouts::ROUTES,
    operator::acts::ROUTES,
    operator::events::ROUTES,
];

const OWN: &[Route] =
    &[Route { method: Method::GET, path: "/api/v1/openapi.json", needs: Needs::Nothing }];

/// Every route, and whom it answers.
pub fn all() -> impl Iterator<Item = &'static Route> {
    NOUNS.iter().copied().flatten()
}

/// The route of a request. A HEAD is a GET.
pub(super) fn find(method: &Method, path: &str) -> Option<&'static Route> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    all().find(|route| route.method == *method && route.path == path)
}

/// What is said of the API as a whole.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Groundswell",
        description = "Updates fleets of devices. Times are milliseconds since the Unix epoch.",
    ),
    components(schemas(Problem))
)]
struct Whole;

fn parts() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Whole::openapi())
        .merge(operator::devices::routes())
        .merge(operator::rollouts::routes())
        .merge(operator::acts::routes())
        .merge(operator::events::routes())
        .merge(health::routes())
}

/// The API, as OpenAPI 3.1 has it.
pub fn openapi() -> utoipa::openapi::OpenApi {
    parts().into_openapi()
}

/// Everything that answers.
pub fn router(api: Api) -> Router {
    let (routes, openapi) = parts().split_for_parts();
    let openapi = openapi.to_pretty_json().unwrap_or_default();
    let document = move || std::future::ready(json(openapi.clone()));
    let routes = routes
        .route("/api/v1/openapi.json", axum::routing::get(document))
        .route_layer(middleware::from_fn_with_state(api.clone(), guard::admit))
        .method_not_allowed_fallback(no_method)
        .fallback(nothing);
    routes
        .layer(middleware::from_fn(guard::name))
        .layer(middleware::from_fn_with_state(api.clone(), health::measure))
        .with_state(api)
}

fn json(text: String) -> impl axum::response::IntoResponse {
    ([(http::header::CONTENT_TYPE, "application/json")], text)
}

async fn nothing() -> Problem {
    Problem::not_found("there is no such place; /docs has what there is")
}

async fn no_method() -> Problem {
    let told = "this place does not take that method; /docs has what it takes";
    Problem::new(http::StatusCode::METHOD_NOT_ALLOWED, "no-such-method", told)
}
