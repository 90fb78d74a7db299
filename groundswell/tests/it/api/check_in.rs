//! Devices that call: check-in and enrollment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use groundswell::{
    access::{Kind, Role},
    clock::Clock,
    operate::State,
    sim::{Fleet, Options},
};
use groundswell_core::time::Time;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json, problem};

fn device_token(served: &Served, id: &str) -> String {
    served.token_of(Kind::Device { device: id.to_owned() }, None)
}

async fn put(served: &Served, id: &str, spec: &Value) {
    let put = served.ask(Method::PUT, &format!("/api/v1/devices/{id}")).json(spec);
    assert!(put.send().await.unwrap().status().is_success());
}

async fn check_in(served: &Served, token: &str, id: &str, body: &Value) -> Response {
    let path = format!("/api/v1/devices/{id}/check-in");
    served.ask_as(token, Method::POST, &path).json(body).send().await.unwrap()
}

/// Asks until it is so.
async fn until(served: &Served, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let found = served.get(path).await;
        if is_so(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path}: {}", served.get(path).await);
}

#[tokio::test]
async fn a_device_is_seen_by_its_own_token_alone() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({"check_in": 60})).await;
    put(&served, "till-2", &json!({})).await;
    let token = device_token(&served, "till-1");
    let said = json!({"version": "1.2.3", "health": "ill", "text": "hot\u{1b}[2J"});
    let told = json(check_in(&served, &token, "till-1", &said).await, StatusCode::OK).await;
    assert_eq!(told["waits"], json!([]));
    let seen = until(&served, "/api/v1/devices/till-1", |d| d["last_seen"].is_i64()).await;
    assert_eq!((&seen["version"], &seen["status"]), (&json!("1.2.3"), &json!("online")));
    let why = served.get("/api/v1/devices/till-1/why").await;
    assert_eq!(why["unwell"]["text"], "hot [2J");
    json(check_in(&served, &token, "till-1", &json!({"health": "healthy"})).await, StatusCode::OK)
        .await;
    until(&served, "/api/v1/devices/till-1/why", |why| why["unwell"].is_null()).await;
    let seen = served.get("/api/v1/devices/till-1").await;
    assert_eq!(seen["version"], "1.2.3", "what is not said stays");

    problem(check_in(&served, &token, "till-2", &said).await, StatusCode::FORBIDDEN).await;
    let ghost = device_token(&served, "ghost");
    problem(check_in(&served, &ghost, "ghost", &said).await, StatusCode::NOT_FOUND).await;
    for (body, field) in [
        (json!({"version": ""}), "version"),
        (json!({"health": "poorly"}), "health"),
        (json!({"text": "hot"}), "text"),
        (json!({"health": "ill", "text": "x".repeat(2_000)}), "text"),
        (json!({"address": "ftp://x"}), "address"),
    ] {
        let refused = check_in(&served, &token, "till-1", &body).await;
        let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], field, "{body}: {told}");
    }
    served.stop().await;
}

#[tokio::test]
async fn an_operator_says_it_for_a_device_and_that_is_audited() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({"tags": {"region": "west"}})).await;
    let own = device_token(&served, "till-1");
    let said = |version: &str| json!({"version": version});
    json(check_in(&served, &own, "till-1", &said("1.0")).await, StatusCode::OK).await;
    let west = served.token(Role::Operator, Some("tag.region==west"));
    json(check_in(&served, &west, "till-1", &said("2.0")).await, StatusCode::OK).await;
    let seen = served.get("/api/v1/devices?select=version==2.0").await;
    assert_eq!(seen["devices"][0]["id"], "till-1", "written at once: {seen}");
    // What it said itself before that does not come over it.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(served.get("/api/v1/devices/till-1").await["version"], "2.0");
    let log = served.get("/api/v1/audit?action=device.check-in").await;
    let entries = log["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["after"]), (1, &said("2.0")), "{log}");
    let east = served.token(Role::Operator, Some("tag.region==east"));
    problem(check_in(&served, &east, "till-1", &said("3.0")).await, StatusCode::NOT_FOUND).await;
    let viewer = served.token(Role::Viewer, None);
    problem(check_in(&served, &viewer, "till-1", &said("3.0")).await, StatusCode::FORBIDDEN).await;
    problem(check_in(&served, &served.admin, "till-9", &said("3.0")).await, StatusCode::NOT_FOUND)
        .await;
    served.stop().await;
}

#[tokio::test]
async fn what_was_answered_is_written_when_the_server_stops() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({})).await;
    let token = device_token(&served, "till-1");
    json(check_in(&served, &token, "till-1", &json!({"version": "7.0"})).await, StatusCode::OK)
        .await;
    let data = served.data();
    let kept = served.stop_keeping().await;
    let (_, device) = State::look(&data).unwrap().device_view("till-1", Time::ZERO).unwrap();
    assert_eq!(device.version.as_deref(), Some("7.0"));
    drop(kept);
}

#[tokio::test]
async fn a_new_address_is_taken_over_and_audited_once() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({"address": "http://127.0.0.1:9", "tags": {"a": "b"}})).await;
    let token = device_token(&served, "till-1");
    let moved = json!({"address": "10.0.0.9:8000"});
    for _ in 0..3 {
        json(check_in(&served, &token, "till-1", &moved).await, StatusCode::OK).await;
    }
    let device = served.get("/api/v1/devices/till-1").await;
    assert_eq!(device["address"], "http://10.0.0.9:8000");
    assert_eq!(device["tags"]["a"], "b");
    let entries = served.get("/api/v1/audit?action=device.change").await;
    let entries = entries["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["before"]["address"], "http://127.0.0.1:9");
    served.stop().await;
}

#[tokio::test]
async fn a_device_that_moves_all_the_time_is_seen_and_not_followed() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({"address": "http://10.0.0.9:8000"})).await;
    let token = device_token(&served, "till-1");
    let mut refused = None;
    for port in 1..=20 {
        let said = json!({"address": format!("10.0.0.9:{port}"), "version": format!("{port}")});
        let answer = check_in(&served, &token, "till-1", &said).await;
        if answer.status() != StatusCode::OK {
            refused = Some((answer, port));
            break;
        }
    }
    let (answer, port) = refused.unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    let (kind, _) = problem(answer, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!((&*kind, port), ("too-many-moves", 11));
    // At once, although it is not written yet.
    let device = served.get("/api/v1/devices/till-1").await;
    assert_eq!(device["version"], "11");
    assert_eq!(device["address"], "http://10.0.0.9:10");
    // Where it was last it may stay.
    let said = json!({"address": "10.0.0.9:10"});
    json(check_in(&served, &token, "till-1", &said).await, StatusCode::OK).await;
    let entries = served.get("/api/v1/audit?action=device.change").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 10);
    served.stop().await;
}

#[tokio::test]
async fn a_rollout_that_waits_for_the_device_goes_on_when_it_calls() {
    let served = Served::start().await;
    // Nobody listens there, and it was never seen: it is waited for.
    put(&served, "till-1", &json!({"address": "http://127.0.0.1:9", "check_in": 60})).await;
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
    let spec = json!({"release": "pos 2.0.0", "strategy": "on_connect"});
    let made = served.ask(Method::POST, "/api/v1/rollouts").json(&spec).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    let start = served.ask(Method::POST, "/api/v1/rollouts/1/start").send().await.unwrap();
    json(start, StatusCode::OK).await;
    let why = "/api/v1/rollouts/1/devices/till-1/why";
    let waits = until(&served, why, |why| why["state"] == "away").await;
    assert_eq!(waits["attempts"], 0);
    let token = device_token(&served, "till-1");
    let told = json(check_in(&served, &token, "till-1", &json!({})).await, StatusCode::OK).await;
    let waits = &told["waits"][0];
    assert_eq!((&waits["rollout"], &waits["state"]), (&json!(1), &json!("away")), "{told}");
    assert_eq!((&waits["version"], &waits["by_push"]), (&json!("2.0.0"), &json!(true)));
    // Soon it is away again: nobody takes what is sent.
    until(&served, why, |why| why["attempts"].as_u64() > Some(0)).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_says_that_it_is_ill_after_its_update_counts_as_failed() {
    let fleet = Fleet::start(Options::default()).unwrap();
    let served = Served::start().await;
    for number in 1..=2 {
        let address = format!("http://127.70.1.{number}:{}", fleet.local_addr().port());
        put(&served, &format!("till-{number}"), &json!({ "address": address })).await;
    }
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
    // What was said before the update says nothing of it.
    for number in 1..=2 {
        let id = format!("till-{number}");
        let said = json!({ "health": "ill", "text": "an old story" });
        check_in(&served, &device_token(&served, &id), &id, &said).await;
        until(&served, &format!("/api/v1/devices/{id}/why"), |why| why["unwell"].is_object()).await;
    }
    let spec = json!({
        "release": "pos 2.0.0",
        "waves": [{ "count": 1, "soak": "10m", "min_success": 60 }, { "percent": 100 }],
        "health": { "check": "version", "every": "1s", "failures": 2 },
    });
    let made = served.ask(Method::POST, "/api/v1/rollouts").json(&spec).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    let start = served.ask(Method::POST, "/api/v1/rollouts/1/start").send().await.unwrap();
    json(start, StatusCode::OK).await;
    let updated = until(&served, "/api/v1/rollouts/1/assignments?state=succeeded", |found| {
        found["assignments"].as_array().is_some_and(|all| all.len() == 1)
    });
    let id = updated.await["assignments"][0]["device"].as_str().unwrap().to_owned();
    let rollout = until(&served, "/api/v1/rollouts/1", |rollout| {
        rollout["waves"][0]["state"].as_str().is_some_and(|state| state.contains("soak"))
    });
    assert_eq!(rollout.await["counts"]["regressed"], 0);
    let said = json!({ "health": "ill", "text": "the printer is gone" });
    json(check_in(&served, &device_token(&served, &id), &id, &said).await, StatusCode::OK).await;
    let paused = until(&served, "/api/v1/rollouts/1", |rollout| rollout["state"] == "paused").await;
    assert_eq!(paused["counts"]["regressed"], 1);
    let detail = paused["regressed"][0]["detail"].as_str().unwrap();
    assert_eq!(detail, "says that it is not well (the printer is gone), 2 times in a row");
    served.stop().await;
}

#[tokio::test]
async fn a_device_enrolls_once_and_gets_a_token_of_its_own() {
    let served = Served::start().await;
    let tags: BTreeMap<_, _> = [("region".to_owned(), "west".to_owned())].into();
    let tags_allowed: BTreeSet<_> = ["store".to_owned()].into();
    let token = served.token_of(Kind::Enrollment { uses_max: 2, tags, tags_allowed }, None);
    let enroll = async |by: &str, body: Value| {
        served.ask_as(by, Method::POST, "/api/v1/enroll").json(&body).send().await.unwrap()
    };
    let body = json!({
        "id": "till-1", "version": "1.0", "address": "http://10.0.0.7:9000",
        "tags": {"region": "east", "store": "7"},
    });
    // Who is in which scope, budget and rollout is not for it to say.
    let mut chosen = body.clone();
    chosen["tags"]["ring"] = json!("canary");
    let refused = enroll(&token, chosen).await;
    let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(told["errors"][0]["field"], "tags.ring");
    let made = json(enroll(&token, body.clone()).await, StatusCode::CREATED).await;
    assert_eq!(made["device"]["tags"], json!({"region": "west", "store": "7"}));
    let own = made["secret"].as_str().unwrap();
    json(check_in(&served, own, "till-1", &json!({})).await, StatusCode::OK).await;
    // Nobody becomes somebody else.
    assert_eq!(problem(enroll(&token, body).await, StatusCode::CONFLICT).await.0, "device-known");
    put(&served, "till-2", &json!({})).await;
    let known = enroll(&token, json!({"id": "till-2"})).await;
    assert_eq!(problem(known, StatusCode::CONFLICT).await.0, "device-known");
    let bad = enroll(&token, json!({"id": "till-3", "address": "ftp://x"})).await;
    problem(bad, StatusCode::UNPROCESSABLE_ENTITY).await;
    json(enroll(&token, json!({"id": "till-3"})).await, StatusCode::CREATED).await;
    let more = enroll(&token, json!({"id": "till-4"})).await;
    assert_eq!(problem(more, StatusCode::FORBIDDEN).await.0, "used-up");
    problem(
        served.ask(Method::GET, "/api/v1/devices/till-4").send().await.unwrap(),
        StatusCode::NOT_FOUND,
    )
    .await;
    let id = token[4..].split_once('.').unwrap().0;
    assert_eq!(served.get(&format!("/api/v1/tokens/{id}")).await["uses"], 2);
    let entries = served.get("/api/v1/audit?action=device.enroll").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 2, "{entries}");
    served.stop().await;
}

#[tokio::test]
async fn enrolling_is_slowed_for_each_source() {
    let served = Served::start_with(|mut setup| {
        setup.limits.enrollments_max = 3;
        setup
    })
    .await;
    let token = served.token_of(
        Kind::Enrollment { uses_max: 99, tags: BTreeMap::new(), tags_allowed: BTreeSet::new() },
        None,
    );
    let mut slowed = None;
    for number in 0..10 {
        let body = json!({"id": format!("till-{number}")});
        let request = served.ask_as(&token, Method::POST, "/api/v1/enroll").json(&body);
        let answer = request.send().await.unwrap();
        if answer.status() != StatusCode::CREATED {
            slowed = Some((number, answer));
            break;
        }
    }
    let (number, answer) = slowed.unwrap();
    assert!(number >= 3, "{number}");
    assert!(answer.headers().contains_key("retry-after"));
    let slowed = problem(answer, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(slowed.0, "too-many-enrollments");
    served.stop().await;
}
