//! Every route, what it needs, and how they come together.

use std::{collections::HashMap, sync::Arc};

use axum::{Router, middleware};
use groundswell_core::spelling::nearest;
use http::Method;
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi, PathItem, RefOr,
        path::{Operation, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{Api, Problem, guard, operator, problem};
use crate::access::Right;

/// What tokens are called in the document.
const BEARER: &str = "token";

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

/// Every route under `/api/v1`, noun by noun; one that is not here answers nobody.
const NOUNS: &[&[Route]] = &[
    OWN,
    operator::devices::ROUTES,
    operator::rollouts::ROUTES,
    operator::acts::ROUTES,
    operator::whoami::ROUTES,
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
        .merge(operator::whoami::routes())
}

/// The API, as OpenAPI 3.1 has it.
pub fn openapi() -> OpenApi {
    described(parts().into_openapi())
}

/// The document with what the table of routes adds: who may, and how that is shown.
fn described(mut openapi: OpenApi) -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("gsw_...");
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    for (path, item) in &mut openapi.paths.paths {
        for (method, operation) in operations(item) {
            let needs = find(&method, path).map(|route| route.needs);
            if needs != Some(Needs::Nothing) {
                let none: [&str; 0] = [];
                operation.security = Some(vec![SecurityRequirement::new(BEARER, none)]);
            }
            problems_as_sent(operation);
        }
    }
    openapi
}

/// A problem has a media type of its own.
fn problems_as_sent(operation: &mut Operation) {
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("default")
        && let Some(content) = response.content.shift_remove("application/json")
    {
        response.content.insert(problem::MEDIA_TYPE.to_owned(), content);
    }
}

/// The methods of a path that the document describes.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The query parameters of each route that has any.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Arc<HashMap<(Method, String), Vec<String>>>);

impl Parameters {
    fn of(openapi: &mut OpenApi) -> Self {
        let mut all = HashMap::new();
        for (path, item) in &mut openapi.paths.paths {
            for (method, operation) in operations(item) {
                let parameters = operation.parameters.iter().flatten();
                let parameters = parameters.filter_map(|one| match one {
                    RefOr::T(one) => Some(one),
                    RefOr::Ref(_) => None,
                });
                let queried = parameters.filter(|one| one.parameter_in == ParameterIn::Query);
                let names = queried.map(|one| one.name.clone()).collect();
                all.insert((method, path.clone()), names);
            }
        }
        Self(Arc::new(all))
    }

    /// Refuses a query parameter that means nothing here: a filter with a typo would choose
    /// everything.
    pub(super) fn check(&self, method: &Method, path: &str, query: &str) -> Result<(), Problem> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let known = self.0.get(&(method.clone(), path.to_owned()));
        let known = known.map_or(&[][..], Vec::as_slice);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            if !known.iter().any(|known| known == name) {
                let name: String = name.chars().take(64).collect();
                let names = known.iter().map(String::as_str);
                let told = match nearest(&name, names) {
                    Some(meant) => format!("means nothing here; did you mean `{meant}`?"),
                    None if known.is_empty() => "means nothing here; nothing does".to_owned(),
                    None => format!("means nothing here; there is {}", known.join(", ")),
                };
                return Err(Problem::invalid(name, told));
            }
        }
        Ok(())
    }
}

/// Everything that answers.
pub fn router(api: Api) -> Router {
    let (routes, openapi) = parts().split_for_parts();
    let mut openapi = described(openapi);
    let guard = (api.clone(), Parameters::of(&mut openapi));
    let openapi = openapi.to_pretty_json().unwrap_or_default();
    let document = move || std::future::ready(json(openapi.clone()));
    let routes = routes
        .route("/api/v1/openapi.json", axum::routing::get(document))
        .route_layer(middleware::from_fn_with_state(guard, guard::admit))
        .method_not_allowed_fallback(no_method)
        .fallback(nothing);
    routes.layer(middleware::from_fn(guard::name)).with_state(api)
}

fn json(text: String) -> impl axum::response::IntoResponse {
    ([(http::header::CONTENT_TYPE, "application/json")], text)
}

async fn nothing() -> Problem {
    let told = "there is no such place; /docs has what there is";
    Problem::new(http::StatusCode::NOT_FOUND, "no-such-place", told)
}

async fn no_method() -> Problem {
    let told = "this place does not take that method; /docs has what it takes";
    Problem::new(http::StatusCode::METHOD_NOT_ALLOWED, "no-such-method", told)
}
