//! Who may do what: every route there is, asked by everybody there is.
//!
//! What is expected follows from what a route needs, and nothing else: a route that is added is
//! asked like the others.

use std::collections::{BTreeMap, BTreeSet};

use groundswell::{
    access::{Kind, Role},
    api::routes::{self, Needs, Route},
    clock::Clock,
    operate::State,
};
use groundswell_core::time::Time;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::Served;

/// Who asks.
struct Asker {
    name: String,
    token: Option<String>,
    who: Who,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    /// Nobody who is known.
    Stranger,
    /// An operator.
    Operator(Role),
    /// An operator who may see none of what there is.
    Blind(Role),
    /// The device that routes are asked about.
    Device,
    /// Another one.
    OtherDevice,
    Enrollment,
}

/// What a path parameter is filled with; anything else with a word that nothing is called.
fn filled(path: &str) -> String {
    let known = [("{id}", "till-1"), ("{rollout}", "1"), ("{key}", "region")];
    let mut path = known.iter().fold(path.to_owned(), |path, (of, is)| path.replace(of, is));
    while let (Some(begin), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(begin..=end, "nothing");
    }
    path
}

fn askers(served: &Served) -> Vec<Asker> {
    let admin = || Kind::Operator { role: Role::Admin, scope: None };
    let revoked = served.token_of(admin(), None);
    let id = groundswell::access::Secret::parse(&revoked).unwrap().id().clone();
    let mut state = State::open(&served.data()).unwrap();
    assert!(state.revoke_token(&id, Clock::System.now()).unwrap());
    let good = served.token(Role::Admin, None);
    let wrong =
        format!("{}{}", &good[..good.len() - 2], if good.ends_with("AA") { "BA" } else { "AA" });
    let device = |id: &str| Some(served.token_of(Kind::Device { device: id.to_owned() }, None));
    let enrollment =
        Kind::Enrollment { uses_max: 9, tags: BTreeMap::new(), tags_allowed: BTreeSet::new() };
    let asker = |name: &str, token, who| Asker { name: name.to_owned(), token, who };
    let mut askers = vec![
        asker("no token", None, Who::Stranger),
        asker("a wrong token", Some(wrong), Who::Stranger),
        asker("no token of ours", Some("something".to_owned()), Who::Stranger),
        asker(
            "an expired token",
            Some(served.token_of(admin(), Some(Time::from_millis(1)))),
            Who::Stranger,
        ),
        asker("a revoked token", Some(revoked), Who::Stranger),
        asker("the device", device("till-1"), Who::Device),
        asker("another device", device("till-2"), Who::OtherDevice),
        asker("an enrollment", Some(served.token_of(enrollment, None)), Who::Enrollment),
    ];
    for role in Role::ALL {
        let name = role.as_str();
        askers.push(asker(name, Some(served.token(role, None)), Who::Operator(role)));
        let scoped = served.token(role, Some("tag.region==nowhere"));
        askers.push(asker(&format!("{name} of nothing"), Some(scoped), Who::Blind(role)));
    }
    askers
}

/// Whether a status is one that this asker may get. `is_of_something` says that the path names
/// something that a scope may hide.
fn is_expected(who: Who, needs: Needs, is_of_something: bool, status: StatusCode) -> bool {
    let is_let_in = status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN;
    match (who, needs) {
        (_, Needs::Nothing)
        | (Who::Device, Needs::DeviceOr(_))
        | (Who::Enrollment, Needs::Enrollment) => is_let_in,
        (Who::Stranger, _) => status == StatusCode::UNAUTHORIZED,
        (Who::Operator(role), Needs::Right(right) | Needs::DeviceOr(right)) if role.may(right) => {
            is_let_in
        }
        (Who::Blind(role), Needs::Right(right) | Needs::DeviceOr(right)) if role.may(right) => {
            // What is there is hidden, or the noun is for nobody with a scope.
            let is_hidden = status == StatusCode::NOT_FOUND || status == StatusCode::FORBIDDEN;
            if is_of_something { is_hidden } else { status != StatusCode::UNAUTHORIZED }
        }
        (Who::OtherDevice, Needs::DeviceOr(_)) if !is_of_something => is_let_in,
        _ => status == StatusCode::FORBIDDEN,
    }
}

async fn ask(served: &Served, asker: &Asker, route: &Route) -> StatusCode {
    let url = served.url(&filled(route.path));
    let request = reqwest::Client::new().request(route.method.clone(), url);
    let request = match &asker.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let with_body = [Method::POST, Method::PUT, Method::PATCH].contains(&route.method);
    let request = if with_body { request.json(&body(route.path)) } else { request };
    // Only the head: what streams is not waited for.
    request.send().await.unwrap().status()
}

/// A body that is taken where a refusal would otherwise hide who asks.
fn body(path: &str) -> serde_json::Value {
    if path.ends_with("/tags/{key}") {
        json!({"value": "west"})
    } else if path == "/api/v1/devices/{id}/release" {
        json!({"reason": "a test"})
    } else {
        json!({})
    }
}

async fn prepare(served: &Served) {
    for id in ["till-1", "till-2"] {
        let spec = json!({"tags": {"region": "west"}});
        let put = served.ask(Method::PUT, &format!("/api/v1/devices/{id}")).json(&spec);
        assert!(put.send().await.unwrap().status().is_success());
    }
}

#[tokio::test]
async fn every_route_answers_whom_it_is_for_and_nobody_else() {
    let served = Served::start_with(|mut setup| {
        setup.limits.guesses_max = 1_000_000;
        setup
    })
    .await;
    prepare(&served).await;
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
    let spec = json!({"release": "pos 2.0.0"});
    let made = served.ask(Method::POST, "/api/v1/rollouts").json(&spec).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let askers = askers(&served);
    let mut wrong = vec![];
    // With the device its tokens go.
    let removes =
        |route: &&Route| route.method == Method::DELETE && route.path == "/api/v1/devices/{id}";
    let (last, first): (Vec<_>, Vec<_>) = routes::all().partition(removes);
    for route in first.into_iter().chain(last) {
        let is_of_something = ["{id}", "{rollout}"].iter().any(|part| route.path.contains(part));
        for asker in &askers {
            // The one before may have removed it.
            if route.method == Method::DELETE {
                prepare(&served).await;
            }
            let status = ask(&served, asker, route).await;
            if !is_expected(asker.who, route.needs, is_of_something, status) {
                let Route { method, path, needs } = route;
                wrong.push(format!("{method} {path} ({needs:?}) by {}: {status}", asker.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    served.stop().await;
}

/// A route that the router has and the table has not is closed; one that only the table has is a
/// mistake.
#[test]
fn the_table_and_the_document_have_the_same_routes() {
    let document = serde_json::to_value(routes::openapi()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let of_table: BTreeSet<String> = routes::all()
        .filter(|route| route.needs != Needs::Nothing)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let missing: Vec<_> = documented
        .difference(&of_table)
        .filter(|route| {
            // What everybody may ask need not be told apart.
            !routes::all().any(|known| **route == format!("{} {}", known.method, known.path))
        })
        .collect();
    assert!(missing.is_empty(), "closed, because nothing says whom they answer: {missing:?}");
    let undocumented: Vec<_> = of_table.difference(&documented).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}
