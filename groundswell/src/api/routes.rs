//! Every route, what it needs, and how they come together.

use std::{collections::HashMap, sync::Arc};

use axum::{Router, middleware};
use groundswell_core::spelling::nearest;
use http::Method;
use percent_encoding::percent_decode_str;
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi, PathItem, RefOr, Schema,
        path::{Operation, Parameter, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{Api, Problem, device, docs, guard, health, operator, problem};
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
    /// Devices, each about itself, and operators whose role has this right.
    DeviceOr(Right),
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

    /// A route of admins alone.
    pub(super) const fn administer(method: Method, path: &'static str) -> Self {
        Self { method, path, needs: Needs::Right(Right::Administer) }
    }
}

/// Every route under `/api/v1`, noun by noun; one that is not here answers nobody.
const NOUNS: &[&[Route]] = &[
    OWN,
    health::ROUTES,
    operator::devices::ROUTES,
    operator::device_edit::ROUTES,
    operator::import::ROUTES,
    operator::rollouts::ROUTES,
    operator::acts::ROUTES,
    operator::tokens::ROUTES,
    operator::audit::ROUTES,
    device::check_in::ROUTES,
    device::enroll::ROUTES,
    operator::events::ROUTES,
    operator::artifacts::ROUTES,
    operator::uploads::ROUTES,
    operator::releases::ROUTES,
    operator::selectors::ROUTES,
    operator::budgets::ROUTES,
    operator::whoami::ROUTES,
    operator::system::ROUTES,
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
        .merge(operator::device_edit::routes())
        .merge(operator::import::routes())
        .merge(operator::rollouts::routes())
        .merge(operator::acts::routes())
        .merge(operator::tokens::routes())
        .merge(operator::audit::routes())
        .merge(device::check_in::routes())
        .merge(device::enroll::routes())
        .merge(operator::events::routes())
        .merge(health::routes())
        .merge(operator::artifacts::routes())
        .merge(operator::uploads::routes())
        .merge(operator::releases::routes())
        .merge(operator::selectors::routes())
        .merge(operator::budgets::routes())
        .merge(operator::whoami::routes())
        .merge(operator::system::routes())
}

/// The API, as `OpenAPI` 3.1 has it.
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
            name_by_noun(operation);
        }
    }
    openapi
}

/// Names of operations differ across all nouns: `devices_list`.
fn name_by_noun(operation: &mut Operation) {
    let noun = operation.tags.iter().flatten().next();
    if let (Some(noun), Some(id)) = (noun, &operation.operation_id) {
        operation.operation_id = Some(format!("{noun}_{id}"));
    }
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

/// The query parameters of each route that has any, with the most characters that each may have.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Arc<HashMap<(Method, String), Vec<Known>>>);

/// A parameter's name, and the most characters that it may have.
type Known = (String, usize);

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
                let names = queried.map(|one| (one.name.clone(), chars_max(one))).collect();
                all.insert((method, path.clone()), names);
            }
        }
        Self(Arc::new(all))
    }

    /// Refuses a query parameter that means nothing here: a filter with a typo would choose
    /// everything.
    pub(super) fn check(&self, method: &Method, path: &str, query: &str) -> Result<(), Problem> {
        if query.is_empty() {
            return Ok(());
        }
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let known = self.0.get(&(method.clone(), path.to_owned()));
        let known = known.map_or(&[][..], Vec::as_slice);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let found = known.iter().find(|(known, _)| known == name);
            if let Some((_, max)) = found {
                let value = percent_decode_str(value).decode_utf8_lossy();
                if value.chars().count() > *max {
                    return Err(Problem::invalid(name, format!("{max} characters are the most")));
                }
            } else {
                let name: String = name.chars().take(64).collect();
                let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
                let told = match nearest(&name, names.iter().copied()) {
                    Some(meant) => format!("means nothing here; did you mean `{meant}`?"),
                    None if known.is_empty() => "means nothing here; nothing does".to_owned(),
                    None => format!("means nothing here; there is {}", names.join(", ")),
                };
                return Err(Problem::invalid(name, told));
            }
        }
        Ok(())
    }
}

/// The most characters of a parameter, as the document says.
fn chars_max(parameter: &Parameter) -> usize {
    match &parameter.schema {
        Some(RefOr::T(Schema::Object(schema))) => schema.max_length.unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

/// Everything that answers.
pub fn router(api: Api) -> Router {
    let (routes, openapi) = parts().split_for_parts();
    let mut openapi = described(openapi);
    let guard = (api.clone(), Parameters::of(&mut openapi));
    let told = serde_json::to_value(&openapi).unwrap_or_default();
    let openapi = openapi.to_pretty_json().unwrap_or_default();
    let document = move || std::future::ready(json(openapi.clone()));
    let routes = routes
        .route("/api/v1/openapi.json", axum::routing::get(document))
        .route_layer(middleware::from_fn_with_state(guard, guard::admit))
        .merge(docs::routes(&told))
        .method_not_allowed_fallback(no_method)
        .fallback(nothing);
    routes.layer(middleware::from_fn_with_state(api.clone(), guard::around)).with_state(api)
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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// `BLESS=1` (`make bless`) writes the document anew.
    #[test]
    fn the_document_in_the_docs_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let document = openapi().to_pretty_json().unwrap() + "\n";
        #[expect(clippy::disallowed_methods, reason = "this is how a test is told to write")]
        let is_blessed = std::env::var_os("BLESS").is_some();
        if is_blessed {
            fs::write(&path, &document).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == document,
            "docs/openapi.json is an old one; `make bless` writes it anew"
        );
    }

    #[test]
    fn every_route_has_its_place_in_the_document_and_the_other_way_round() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut told = vec![];
        for (path, item) in document["paths"].as_object().unwrap() {
            told.extend(
                item.as_object()
                    .unwrap()
                    .keys()
                    .map(|method| (method.to_ascii_uppercase(), path.clone())),
            );
        }
        let mut known: Vec<(String, String)> = all()
            .filter(|route| route.path != "/api/v1/openapi.json")
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        told.sort();
        known.sort();
        assert_eq!(told, known);
    }
}
