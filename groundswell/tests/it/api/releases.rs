//! `/api/v1/releases`.

use groundswell::access::Role;
use groundswell_core::release::Digest;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::support::{Served, json, problem};

async fn artifact(served: &Served, text: &str) -> String {
    let name = Digest(Sha256::digest(text).into()).to_string();
    let put = served.ask(Method::PUT, &format!("/api/v1/artifacts/{name}"));
    let put = put.header("content-type", "application/octet-stream").body(text.to_owned());
    json(put.send().await.unwrap(), StatusCode::CREATED).await;
    name
}

#[tokio::test]
async fn a_release_is_made_once_of_an_artifact_that_is_there() {
    let served = Served::start().await;
    let (one, two) = (artifact(&served, "one").await, artifact(&served, "two").await);
    let create = |version: &str, artifact: &str, key: Option<&str>| {
        let body = json!({ "name": "pos/till", "version": version, "artifact": artifact });
        let post = served.ask(Method::POST, "/api/v1/releases").json(&body);
        match key {
            Some(key) => post.header("idempotency-key", key).send(),
            None => post.send(),
        }
    };
    let made = create("2.0.0", &one, Some("build-17")).await.unwrap();
    let at = made.headers()["location"].to_str().unwrap().to_owned();
    let made = json(made, StatusCode::CREATED).await;
    assert_eq!((&made["artifact"], &made["artifact_bytes"]), (&json!(one), &json!(3)));
    assert_eq!((&made["is_kept"], &made["rollouts"]), (&json!(true), &json!([])));
    assert!(made.get("path").is_none(), "where it lies is nobody's business");
    assert_eq!(served.get(&at).await, made);
    json(create("2.0.0", &one, Some("build-17")).await.unwrap(), StatusCode::CREATED).await;
    json(create("2.0.0", &one, None).await.unwrap(), StatusCode::OK).await;
    let (kind, _) = problem(create("2.0.0", &two, None).await.unwrap(), StatusCode::CONFLICT).await;
    assert_eq!(kind, "differs");
    let refused = create("2.1.0", &"0".repeat(64), None).await.unwrap();
    let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(told["errors"][0]["field"], "artifact");
    let refused = create(" ", &one, None).await.unwrap();
    let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(told["errors"][0]["field"], "version");
    let (_, told) = problem(
        served.ask(Method::GET, "/api/v1/releases/pos%2Ftill/2.0.1").send().await.unwrap(),
        StatusCode::NOT_FOUND,
    )
    .await;
    assert!(told["detail"].as_str().unwrap().contains("pos/till 2.0.0"), "{told}");
    served.stop().await;
}

#[tokio::test]
async fn releases_are_paged_and_a_scope_hides_rollouts_of_others() {
    let served = Served::start().await;
    let one = artifact(&served, "one").await;
    for (name, version) in [("b", "1"), ("a", "2"), ("a", "1"), ("c", "1"), ("a", "10")] {
        let body = json!({ "name": name, "version": version, "artifact": one });
        let made = served.ask(Method::POST, "/api/v1/releases").json(&body).send().await.unwrap();
        json(made, StatusCode::CREATED).await;
    }
    for (query, wanted) in [
        ("", vec!["a 1", "a 10", "a 2", "b 1", "c 1"]),
        ("&name=a", vec!["a 1", "a 10", "a 2"]),
        ("&name=x", vec![]),
    ] {
        let (mut seen, mut cursor) = (vec![], String::new());
        loop {
            let page = served.get(&format!("/api/v1/releases?limit=2{query}{cursor}")).await;
            for release in page["releases"].as_array().unwrap() {
                let text = |key: &str| release[key].as_str().unwrap().to_owned();
                seen.push(format!("{} {}", text("name"), text("version")));
            }
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, wanted, "{query}");
    }
    for region in ["west", "east"] {
        let spec = json!({ "tags": { "region": region } });
        let path = format!("/api/v1/devices/till-{region}");
        served.ask(Method::PUT, &path).json(&spec).send().await.unwrap();
        let document = json!({
            "release": "a 1", "strategy": "immediate", "select": format!("tag.region=={region}"),
        });
        let made =
            served.ask(Method::POST, "/api/v1/rollouts").json(&document).send().await.unwrap();
        json(made, StatusCode::CREATED).await;
    }
    assert_eq!(served.get("/api/v1/releases/a/1").await["rollouts"], json!([1, 2]));
    let east = served.token(Role::Viewer, Some("tag.region==east"));
    let shown = served.ask_as(&east, Method::GET, "/api/v1/releases/a/1").send().await.unwrap();
    assert_eq!(json(shown, StatusCode::OK).await["rollouts"], json!([2]));
    served.stop().await;
}
