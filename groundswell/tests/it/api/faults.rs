//! What is wrong with a request: told as a problem, with the part at fault.

use groundswell::access::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{Served, problem};

#[tokio::test]
async fn the_part_at_fault_is_named() {
    let served = Served::start().await;
    for (path, field) in [
        ("/api/v1/devices?limit=a", "limit"),
        ("/api/v1/devices?limit=1&limit=2", "limit"),
        ("/api/v1/devices?limit=1&cursor=", "cursor"),
        ("/api/v1/rollouts?state=nowhere", "state"),
        ("/api/v1/rollouts/1/assignments?wave=-1", "wave"),
        ("/api/v1/rollouts/1/assignments?wave=0", "wave"),
        ("/api/v1/audit?after=x&who=a", "after"),
    ] {
        let answer = served.ask(Method::GET, path).send().await.unwrap();
        let (_, told) = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], field, "{path}: {told}");
        assert!(!told["detail"].as_str().unwrap().contains("deserialize"), "{told}");
    }
    let digest = "0".repeat(64);
    for (method, path, body, field) in [
        (Method::POST, "/api/v1/releases", json!({"name": "pos", "artifact": digest}), "version"),
        (Method::PUT, "/api/v1/devices/till-1", json!(null), "body"),
        (Method::PUT, "/api/v1/devices/till-1", json!({"tags": {"a": 1}}), "tags.a"),
        (Method::PUT, "/api/v1/devices/till-1", json!({"colour": "red"}), "colour"),
        (Method::PATCH, "/api/v1/devices/till-1", json!({"check_in": "x"}), "check_in"),
    ] {
        if method == Method::PATCH {
            let put = served.ask(Method::PUT, path).json(&json!({})).send().await.unwrap();
            assert!(put.status().is_success());
        }
        let answer = served.ask(method, path).json(&body).send().await.unwrap();
        let (_, told) = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], field, "{path} {body}: {told}");
        assert!(!told["detail"].as_str().unwrap().contains("struct"), "{told}");
    }
    let put = served.ask(Method::PUT, &format!("/api/v1/artifacts/{digest}"));
    let put = put.header("content-type", "application/octet-stream").body("something else");
    let (kind, told) = problem(put.send().await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!((&*kind, &told["title"]), ("digest-differs", &json!("digest differs")));
    served.stop().await;
}

#[tokio::test]
async fn what_is_no_text_or_said_twice_is_refused_as_a_problem() {
    let served = Served::start().await;
    for (method, path) in [
        (Method::GET, "/api/v1/rollouts/%ff"),
        (Method::PUT, "/api/v1/devices/%ff"),
        (Method::GET, "/docs/%ff"),
    ] {
        let request = served.ask(method, path).json(&json!({}));
        let (kind, _) = problem(request.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
        assert_eq!(kind, "bad-request", "{path}");
    }
    let viewer = served.token(Role::Viewer, None);
    let twice = served.ask(Method::GET, "/api/v1/whoami").bearer_auth(&viewer);
    let (_, told) = problem(twice.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
    assert_eq!(told["errors"][0]["field"], "Authorization", "{told}");
    let new = json!({"digest": "0".repeat(64), "bytes": 1});
    let twice = served.ask(Method::POST, "/api/v1/artifacts").json(&new);
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "b");
    let (_, told) = problem(twice.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
    assert_eq!(told["errors"][0]["field"], "Idempotency-Key", "{told}");
    let put = |kind: &str| {
        let put = served.ask(Method::PUT, "/api/v1/devices/till-1");
        put.header("content-type", kind).body("{}").send()
    };
    let other = put("application/json; charset=utf-16").await.unwrap();
    problem(other, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    assert!(put("application/json; charset=UTF-8").await.unwrap().status().is_success());
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_told_without_the_command_line() {
    let served = Served::start().await;
    for path in ["devices/till-1", "rollouts/1", "releases/pos/1.0"] {
        let answer = served.ask(Method::GET, &format!("/api/v1/{path}")).send().await.unwrap();
        let (_, told) = problem(answer, StatusCode::NOT_FOUND).await;
        assert!(!told["detail"].as_str().unwrap().contains("groundswell"), "{told}");
    }
    served.stop().await;
}
