//! `/api/v1/devices`.

use groundswell::access::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{Served, json, problem};

#[tokio::test]
async fn a_device_is_written_read_and_changed_by_who_saw_it() {
    let served = Served::start().await;
    let spec = json!({"address": "http://127.0.0.1:9", "tags": {"region": "west"}});
    let path = "/api/v1/devices/till-1";
    let put = served.ask(Method::PUT, path).json(&spec).send().await.unwrap();
    let tag = put.headers()["etag"].to_str().unwrap().to_owned();
    let made = json(put, StatusCode::CREATED).await;
    assert_eq!(made["name"], "till-1");
    assert_eq!(served.get(path).await, made);

    let changed = json!({"name": "Till 1", "tags": {"region": "east"}});
    let change = || served.ask(Method::PUT, path).json(&changed);
    let put = change().header("if-match", "\"another\"").send().await.unwrap();
    assert_eq!(problem(put, StatusCode::PRECONDITION_FAILED).await.0, "changed-meanwhile");
    let put = change().header("if-match", &tag).send().await.unwrap();
    assert_eq!(json(put, StatusCode::OK).await["tags"]["region"], "east");
    let again = served.ask(Method::GET, path).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK, "it is another one since");

    let audited = served.get("/api/v1/audit?limit=1").await;
    let same = served.ask(Method::PUT, path).json(&changed).send().await.unwrap();
    assert!(same.headers().contains_key("etag"));
    assert_eq!(json(same, StatusCode::OK).await["name"], "Till 1");
    assert_eq!(served.get("/api/v1/audit?limit=1").await, audited, "nothing was changed");
    let removed = served.ask(Method::DELETE, path).send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    let put = served.ask(Method::PUT, path).json(&spec).header("if-match", "*").send();
    let (kind, _) = problem(put.await.unwrap(), StatusCode::PRECONDITION_FAILED).await;
    assert_eq!(kind, "changed-meanwhile", "who saw it does not make it anew");
    let gone = served.ask(Method::GET, path).send().await.unwrap();
    problem(gone, StatusCode::NOT_FOUND).await;
    served.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_device_is_told_by_its_field() {
    let served = Served::start().await;
    let put = |body: serde_json::Value| {
        served.ask(Method::PUT, "/api/v1/devices/till-1").json(&body).send()
    };
    for (body, field) in [
        (json!({"address": "ftp://x"}), "address"),
        (json!({"time_zone": "Nowhere/City"}), "time_zone"),
        (json!({"tags": {"": "x"}}), "tags."),
        (json!({"tags": 1}), "tags"),
        (json!({"check_in": "x"}), "check_in"),
        (json!({"nmae": "x"}), "nmae"),
    ] {
        let (kind, problem) =
            problem(put(body.clone()).await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(kind, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    served.stop().await;
}

#[tokio::test]
async fn pages_follow_each_other_and_a_scope_hides_the_others() {
    let served = Served::start().await;
    for number in 0..25 {
        let region = if number % 5 == 0 { "west" } else { "east" };
        let spec = json!({"tags": {"region": region}});
        let path = format!("/api/v1/devices/till-{number:02}");
        served.ask(Method::PUT, &path).json(&spec).send().await.unwrap();
    }
    let mut seen = vec![];
    let mut path = "/api/v1/devices?limit=10".to_owned();
    loop {
        let page = served.get(&path).await;
        let devices = page["devices"].as_array().unwrap();
        seen.extend(devices.iter().map(|device| device["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/devices?limit=10&cursor={next}");
    }
    let all: Vec<String> = (0..25).map(|number| format!("till-{number:02}")).collect();
    assert_eq!(seen, all);
    let behind = served.get("/api/v1/devices?limit=1&after=till-07x").await;
    assert_eq!(behind["devices"][0]["id"], "till-08");

    let west = served.token(Role::Operator, Some("tag.region==west"));
    let get = |path: &str| served.ask_as(&west, Method::GET, path).send();
    let page = json(get("/api/v1/devices").await.unwrap(), StatusCode::OK).await;
    assert_eq!(page["devices"].as_array().unwrap().len(), 5);
    json(get("/api/v1/devices/till-05").await.unwrap(), StatusCode::OK).await;
    problem(get("/api/v1/devices/till-01").await.unwrap(), StatusCode::NOT_FOUND).await;
    let put = |id: &str, region: &str| {
        let spec = json!({"tags": {"region": region}});
        served.ask_as(&west, Method::PUT, &format!("/api/v1/devices/{id}")).json(&spec).send()
    };
    problem(put("till-01", "west").await.unwrap(), StatusCode::NOT_FOUND).await;
    problem(put("till-05", "east").await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    problem(put("new", "east").await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    json(put("new", "west").await.unwrap(), StatusCode::CREATED).await;
    served.stop().await;
}

#[tokio::test]
async fn a_query_parameter_that_means_nothing_is_refused() {
    let served = Served::start().await;
    let get = |path: &str| served.ask(Method::GET, path).send();
    let answer = get("/api/v1/devices?selct=id==x").await.unwrap();
    let (_, told) = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(told["errors"][0]["field"], "selct");
    assert!(told["detail"].as_str().unwrap().contains("did you mean `select`?"), "{told}");
    let answer = get("/api/v1/devices/x?limit=1").await.unwrap();
    problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    served.stop().await;
}

#[tokio::test]
async fn a_device_may_be_called_as_a_place_is() {
    let served = Served::start().await;
    let path = "/api/v1/devices/import";
    let unknown = served.ask(Method::GET, path).send().await.unwrap();
    problem(unknown, StatusCode::NOT_FOUND).await;
    let import = served.ask(Method::POST, path).header("content-type", "application/x-ndjson");
    let import = import.body("{\"id\": \"import\", \"name\": \"One\"}").send().await.unwrap();
    assert!(import.text().await.unwrap().contains("created"));
    assert_eq!(served.get(path).await["name"], "One");
    let head = served.ask(Method::HEAD, path).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let put = served.ask(Method::PUT, path).json(&json!({"name": "Two"})).send().await.unwrap();
    assert_eq!(json(put, StatusCode::OK).await["id"], "import");
    let change = served.ask(Method::PATCH, path).json(&json!({"name": "Three"})).send();
    assert_eq!(json(change.await.unwrap(), StatusCode::OK).await["name"], "Three");
    let tag = served.ask(Method::PUT, &format!("{path}/tags/a")).json(&json!({"value": "b"}));
    assert_eq!(json(tag.send().await.unwrap(), StatusCode::OK).await["tags"]["a"], "b");
    assert_eq!(served.get(&format!("{path}/history")).await["history"], json!([]));
    // Whoever may only look may not write it.
    let viewer = served.token(Role::Viewer, None);
    let refused = served.ask_as(&viewer, Method::DELETE, path).send().await.unwrap();
    problem(refused, StatusCode::FORBIDDEN).await;
    let removed = served.ask(Method::DELETE, path).send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    problem(served.ask(Method::GET, path).send().await.unwrap(), StatusCode::NOT_FOUND).await;
    served.stop().await;
}

#[tokio::test]
async fn a_device_is_written_under_the_id_that_was_asked_for_or_not_at_all() {
    let served = Served::start().await;
    for path in ["/api/v1/devices/%20till-1", "/api/v1/devices/till-1%20"] {
        let put = served.ask(Method::PUT, path).json(&json!({})).send().await.unwrap();
        let (_, told) = problem(put, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], "id", "{told}");
    }
    assert_eq!(served.get("/api/v1/devices").await["devices"], json!([]));
    served.stop().await;
}
