//! `/api/v1/tokens`: made within what their maker may, shown once, revoked at once.

use std::collections::{BTreeMap, BTreeSet};

use groundswell::access::{Kind, Role};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json, problem};

async fn make(served: &Served, by: &str, body: &Value) -> Response {
    served.ask_as(by, Method::POST, "/api/v1/tokens").json(body).send().await.unwrap()
}

async fn with_devices(served: &Served) {
    for (id, region) in [("till-1", "west"), ("till-2", "east")] {
        let spec = json!({"tags": {"region": region}});
        let put = served.ask(Method::PUT, &format!("/api/v1/devices/{id}")).json(&spec);
        assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_secret_is_shown_once_and_good_until_it_is_revoked() {
    let served = Served::start().await;
    let body = json!({"name": "night shift", "kind": "operator", "role": "viewer"});
    let made = json(make(&served, &served.admin, &body).await, StatusCode::CREATED).await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let look = || served.ask_as(secret, Method::GET, "/api/v1/devices").send();
    assert_eq!(look().await.unwrap().status(), StatusCode::OK);

    let path = format!("/api/v1/tokens/{id}");
    let hidden = secret.split_once('.').unwrap().1;
    for path in [&*path, "/api/v1/tokens", "/api/v1/audit"] {
        let shown = served.get(path).await.to_string();
        assert!(shown.contains(id), "{path}: {shown}");
        assert!(!shown.contains(hidden) && !shown.contains("\"hash\":[0-9]"), "{path}: {shown}");
        let bytes = std::fs::read(served.data().join("state.db")).unwrap();
        assert!(!bytes.windows(hidden.len()).any(|part| part == hidden.as_bytes()));
    }
    let revoke = || served.ask(Method::DELETE, &path).send();
    let revoked = json(revoke().await.unwrap(), StatusCode::OK).await;
    assert!(revoked["revoked_at"].is_i64(), "{revoked}");
    problem(look().await.unwrap(), StatusCode::UNAUTHORIZED).await;
    let again = json(revoke().await.unwrap(), StatusCode::OK).await;
    assert_eq!(again, revoked, "it stays as it is");
    let entries = served.get("/api/v1/audit?action=token.revoke").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 1, "{entries}");
    served.stop().await;
}

#[tokio::test]
async fn the_last_admin_of_all_stays() {
    let served = Served::start().await;
    let first = served.admin[4..].split_once('.').unwrap().0.to_owned();
    let revoke =
        |by: String| served.ask_as(&by, Method::DELETE, &format!("/api/v1/tokens/{first}")).send();
    served.token(Role::Admin, Some("tag.region==west"));
    served.token(Role::Operator, None);
    let kind = Kind::Operator { role: Role::Admin, scope: None };
    served.token_of(kind, Some(groundswell_core::time::Time::from_millis(1)));
    let refused = problem(revoke(served.admin.clone()).await.unwrap(), StatusCode::CONFLICT).await;
    assert_eq!(refused.0, "last-admin", "neither a scope, nor another role, nor an expired one");
    served.get("/api/v1/devices").await;
    let second = served.token(Role::Admin, None);
    json(revoke(second.clone()).await.unwrap(), StatusCode::OK).await;
    problem(
        served.ask(Method::GET, "/api/v1/devices").send().await.unwrap(),
        StatusCode::UNAUTHORIZED,
    )
    .await;
    served.stop().await;
}

#[tokio::test]
async fn whoever_has_a_scope_hands_nothing_out_beyond_it() {
    let served = Served::start().await;
    with_devices(&served).await;
    let west = served.token(Role::Admin, Some("tag.region==west"));
    let everything = served.token(Role::Viewer, None);
    let operator = |scope: Option<&str>| {
        let mut body = json!({"name": "n", "kind": "operator", "role": "admin"});
        if let Some(scope) = scope {
            body["scope"] = json!(scope);
        }
        body
    };
    for (given, is) in [
        (None, "tag.region==west"),
        (Some("tag.ring==1"), "tag.region==west and tag.ring==1"),
        (Some("tag.region==east or id==x"), "tag.region==west and (tag.region==east or id==x)"),
    ] {
        let made = json(make(&served, &west, &operator(given)).await, StatusCode::CREATED).await;
        assert_eq!(made["scope"], is);
    }
    let device = |id: &str| json!({"name": "n", "kind": "device", "device": id});
    json(make(&served, &west, &device("till-1")).await, StatusCode::CREATED).await;
    for other in ["till-2", "nobody"] {
        problem(make(&served, &west, &device(other)).await, StatusCode::NOT_FOUND).await;
    }
    let enroll =
        |tags: Value| json!({"name": "n", "kind": "enrollment", "uses_max": 2, "tags": tags});
    json(make(&served, &west, &enroll(json!({"region": "west"}))).await, StatusCode::CREATED).await;
    for tags in [json!({}), json!({"region": "east"}), json!({"ring": "1"})] {
        let refused = make(&served, &west, &enroll(tags)).await;
        let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], "tags");
    }
    // It sees what it may hand out, and nothing else.
    let listed = served.ask_as(&west, Method::GET, "/api/v1/tokens?devices=true").send();
    let listed = json(listed.await.unwrap(), StatusCode::OK).await;
    let tokens = listed["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 6, "its own, three, a device's and an enrollment's: {listed}");
    let other = everything[4..].split_once('.').unwrap().0;
    for method in [Method::GET, Method::DELETE] {
        let asked = served.ask_as(&west, method, &format!("/api/v1/tokens/{other}")).send();
        problem(asked.await.unwrap(), StatusCode::NOT_FOUND).await;
    }
    for path in ["/api/v1/audit", "/api/v1/audit/verify"] {
        let asked = served.ask_as(&west, Method::GET, path).send().await.unwrap();
        problem(asked, StatusCode::FORBIDDEN).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told_by_its_field() {
    let served = Served::start().await;
    for (body, field) in [
        (json!({"name": "n", "kind": "operator"}), "role"),
        (json!({"name": " ", "kind": "operator", "role": "viewer"}), "name"),
        (json!({"name": "n", "kind": "operator", "role": "viewer", "scope": "version<2"}), "scope"),
        (json!({"name": "n", "kind": "operator", "role": "viewer", "device": "x"}), "device"),
        (json!({"name": "n", "kind": "device"}), "device"),
        (json!({"name": "n", "kind": "enrollment"}), "uses_max"),
        (json!({"name": "n", "kind": "enrollment", "uses_max": 0}), "uses_max"),
        (json!({"name": "n", "kind": "enrollment", "uses_max": 1, "tags": {"": "x"}}), "tags."),
        (
            json!({"name": "n", "kind": "operator", "role": "viewer", "expires_in_secs": 0}),
            "expires_in_secs",
        ),
    ] {
        let refused = make(&served, &served.admin, &body).await;
        let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], field, "{body}: {told}");
    }
    let body = json!({"name": "n", "kind": "operator", "role": "viewer"});
    let make = || {
        let request = served.ask(Method::POST, "/api/v1/tokens").json(&body);
        request.header("idempotency-key", "one").send()
    };
    json(make().await.unwrap(), StatusCode::CREATED).await;
    let again = problem(make().await.unwrap(), StatusCode::CONFLICT).await;
    assert_eq!(again.0, "shown-before", "no second token, and no second look at the first");
    served.stop().await;
}

#[tokio::test]
async fn pages_follow_each_other() {
    let served = Served::start().await;
    for _ in 0..7 {
        served.token_of(
            Kind::Enrollment { uses_max: 1, tags: BTreeMap::new(), tags_allowed: BTreeSet::new() },
            None,
        );
    }
    let (mut seen, mut path) = (vec![], "/api/v1/tokens?limit=3".to_owned());
    loop {
        let page = served.get(&path).await;
        let ids = page["tokens"].as_array().unwrap().iter();
        seen.extend(ids.map(|token| token["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/tokens?limit=3&cursor={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (8, &sorted));
    served.stop().await;
}
