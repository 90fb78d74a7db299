//! `/api/v1/rollouts`: written down, steered and looked at, with devices that answer.

use std::time::Duration;

use groundswell::{access::Role, clock::Clock, operate::State};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json, problem};

async fn with_release(served: &Served, devices: usize) {
    for number in 0..devices {
        let region = if number % 2 == 0 { "west" } else { "east" };
        let spec = json!({"address": "http://127.0.0.1:9", "tags": {"region": region}});
        let path = format!("/api/v1/devices/till-{number:02}");
        let put = served.ask(Method::PUT, &path).json(&spec).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
    }
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
}

fn document() -> Value {
    json!({
        "release": "pos 2.0.0",
        "strategy": "progressive",
        "waves": [
            {"count": 1, "soak": "1h", "min_success": 90}, {"percent": 50}, {"percent": 100},
        ],
    })
}

#[tokio::test]
async fn a_rollout_is_created_once_under_a_key_and_steered() {
    let served = Served::start().await;
    with_release(&served, 8).await;
    let create = |body: Value, key: &str| {
        let request = served.ask(Method::POST, "/api/v1/rollouts").json(&body);
        request.header("idempotency-key", key).send()
    };
    let made = create(document(), "build-17").await.unwrap();
    assert_eq!(made.headers()["location"], "/api/v1/rollouts/1");
    let made = json(made, StatusCode::CREATED).await;
    assert_eq!((&made["number"], &made["state"]), (&json!(1), &json!("draft")));
    let again = json(create(document(), "build-17").await.unwrap(), StatusCode::CREATED).await;
    assert_eq!(again["number"], 1, "the same key creates nothing else");
    let mut other = document();
    other["waves"][0]["min_success"] = json!(80);
    problem(create(other, "build-17").await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    let second = json(create(document(), "build-18").await.unwrap(), StatusCode::CREATED).await;
    assert_eq!(second["number"], 2);

    let act = |verb: &str, role_token: &str| {
        let path = format!("/api/v1/rollouts/1/{verb}");
        served.ask_as(role_token, Method::POST, &path).send()
    };
    let viewer = served.token(Role::Viewer, None);
    let (kind, told) = problem(act("start", &viewer).await.unwrap(), StatusCode::FORBIDDEN).await;
    assert_eq!(kind, "forbidden");
    assert!(told["detail"].as_str().unwrap().contains("operator, admin"), "{told}");
    let acting = json(act("start", &served.admin).await.unwrap(), StatusCode::OK).await;
    assert!(["preparing", "running"].contains(&acting["state"].as_str().unwrap()), "{acting}");
    // What is paused while it is prepared stands there once it is.
    prepared(&served).await;
    let paused = json(act("pause", &served.admin).await.unwrap(), StatusCode::OK).await;
    assert_eq!(paused["state"], "paused");
    let again = json(act("pause", &served.admin).await.unwrap(), StatusCode::OK).await;
    assert!(again["already"].is_string(), "{again}");
    json(act("cancel", &served.admin).await.unwrap(), StatusCode::OK).await;
    let (kind, _) =
        problem(act("resume", &served.admin).await.unwrap(), StatusCode::CONFLICT).await;
    assert_eq!(kind, "refused");
    served.stop().await;
}

#[tokio::test]
async fn an_act_goes_ahead_only_for_who_saw_where_the_rollout_stands() {
    let served = Served::start().await;
    with_release(&served, 4).await;
    let made = served.ask(Method::POST, "/api/v1/rollouts").json(&document()).send().await.unwrap();
    let draft = made.headers()["etag"].to_str().unwrap().to_owned();
    json(made, StatusCode::CREATED).await;
    let act = |verb: &str, seen: &str| {
        let request = served.ask(Method::POST, &format!("/api/v1/rollouts/1/{verb}"));
        request.header("if-match", seen).json(&json!({})).send()
    };
    let tag = async || {
        let shown = served.ask(Method::GET, "/api/v1/rollouts/1").send().await.unwrap();
        shown.headers()["etag"].to_str().unwrap().to_owned()
    };
    assert_eq!(tag().await, draft);
    for verb in ["start", "cancel", "advance", "approve", "rollback"] {
        let refused = act(verb, "\"x\"").await.unwrap();
        let (kind, _) = problem(refused, StatusCode::PRECONDITION_FAILED).await;
        assert_eq!(kind, "changed-meanwhile", "{verb}");
    }
    assert_eq!(served.get("/api/v1/rollouts/1").await["state"], "draft");
    json(act("start", &draft).await.unwrap(), StatusCode::OK).await;
    assert_ne!(tag().await, draft);
    problem(act("pause", &draft).await.unwrap(), StatusCode::PRECONDITION_FAILED).await;
    prepared(&served).await;
    // It may open its wave in the middle of this.
    while act("pause", &tag().await).await.unwrap().status() == StatusCode::PRECONDITION_FAILED {}
    assert_eq!(served.get("/api/v1/rollouts/1").await["state"], "paused");
    json(act("cancel", "*").await.unwrap(), StatusCode::OK).await;
    served.stop().await;
}

#[tokio::test]
async fn whoever_may_not_approve_cannot_go_over_an_approval() {
    let served = Served::start().await;
    with_release(&served, 4).await;
    let mut with_gate = document();
    with_gate["gates"] = json!([{"kind": "approval", "waves": [1]}]);
    for document in [with_gate, document()] {
        let made = served.ask(Method::POST, "/api/v1/rollouts").json(&document).send().await;
        json(made.unwrap(), StatusCode::CREATED).await;
    }
    let act = async |token: &str, number: u32, verb: &str| {
        let path = format!("/api/v1/rollouts/{number}/{verb}");
        served.ask_as(token, Method::POST, &path).send().await.unwrap().status()
    };
    let operator = served.token(Role::Operator, None);
    // Before a wave is open there is nothing to go over.
    let advance = async |token: &str, number: u32| {
        assert_eq!(act(&operator, number, "start").await, StatusCode::OK);
        loop {
            match act(token, number, "advance").await {
                StatusCode::CONFLICT => tokio::time::sleep(Duration::from_millis(20)).await,
                status => return status,
            }
        }
    };
    assert_eq!(advance(&operator, 1).await, StatusCode::FORBIDDEN);
    let approver = served.token(Role::Approver, None);
    let viewer = served.token(Role::Viewer, None);
    for token in [&operator, &approver, &viewer] {
        assert_eq!(act(token, 1, "advance").await, StatusCode::FORBIDDEN);
    }
    let waves = served.get("/api/v1/rollouts/1/waves").await;
    assert_eq!(waves["waves"][1]["state"], "pending", "{waves}");
    assert_eq!(act(&served.admin, 1, "advance").await, StatusCode::OK);
    assert_eq!(act(&operator, 1, "cancel").await, StatusCode::OK);
    assert_eq!(advance(&operator, 2).await, StatusCode::OK, "nobody asks for an approval");
    served.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_told_part_by_part() {
    let served = Served::start().await;
    with_release(&served, 2).await;
    let post = |path: &str, body: Value| served.ask(Method::POST, path).json(&body).send();
    let mut bad = document();
    bad["waves"][0]["min_success"] = json!(190);
    bad["waves"][0]["soak"] = json!("soon");
    let answer = post("/api/v1/rollouts", bad).await.unwrap();
    let (_, told) = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    let mut fields: Vec<&str> =
        told["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["waves[1].min_success", "waves[1].soak"], "{told}");
    let checked = json(post("/api/v1/rollouts/check", document()).await.unwrap(), StatusCode::OK);
    assert_eq!(checked.await["devices"], 2);
    let mut unknown = document();
    unknown["release"] = json!("pos 3.0.0");
    problem(post("/api/v1/rollouts", unknown).await.unwrap(), StatusCode::NOT_FOUND).await;
    assert_eq!(served.get("/api/v1/rollouts").await["rollouts"], json!([]));
    served.stop().await;
}

#[tokio::test]
async fn assignments_are_paged_by_state_and_wave() {
    let served = Served::start().await;
    with_release(&served, 8).await;
    let post = |path: &str, body: Value| served.ask(Method::POST, path).json(&body).send();
    json(post("/api/v1/rollouts", document()).await.unwrap(), StatusCode::CREATED).await;
    served.ask(Method::POST, "/api/v1/rollouts/1/start").send().await.unwrap();
    // Nobody listens there: the first device is tried, and the others stay queued.
    let mut seen = vec![];
    for _ in 0..200 {
        seen = pages(&served, "/api/v1/rollouts/1/assignments?limit=3").await;
        if seen.len() == 8 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut devices: Vec<String> =
        seen.iter().map(|row| row["device"].as_str().unwrap().to_owned()).collect();
    let waves: Vec<u64> = seen.iter().map(|row| row["wave"].as_u64().unwrap()).collect();
    assert_eq!(waves, [1, 2, 2, 2, 3, 3, 3, 3], "in the order of waves");
    devices.sort();
    assert_eq!(devices, (0..8).map(|n| format!("till-{n:02}")).collect::<Vec<_>>());
    let queued = pages(&served, "/api/v1/rollouts/1/assignments?state=queued&wave=3&limit=2").await;
    assert_eq!(queued.len(), 4);
    let failed = pages(&served, "/api/v1/rollouts/1/assignments?state=failed").await;
    assert!(failed.len() <= 1);
    let path = "/api/v1/rollouts/1/assignments?state=faild";
    let answer = served.ask(Method::GET, path).send().await.unwrap();
    let (_, told) = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(told["errors"][0]["field"], "state");
    let why = served.get("/api/v1/rollouts/1/devices/till-01/why").await;
    assert_eq!(why["rollout"], 1);
    let waits = served.get("/api/v1/rollouts/1/waiting-on").await;
    assert!(waits["waiting_on"].is_array());
    served.get("/api/v1/rollouts/1/explain").await;
    let report = served.get("/api/v1/rollouts/1/replay").await;
    assert_eq!(report["mismatches_in_all"], 0, "{report}");
    served.stop().await;
}

#[tokio::test]
async fn a_scoped_token_sees_and_touches_only_rollouts_of_its_devices() {
    let served = Served::start().await;
    with_release(&served, 6).await;
    let west = served.token(Role::Operator, Some("tag.region==west"));
    let post = |token: &str, path: &str, body: &Value| {
        served.ask_as(token, Method::POST, path).json(body).send()
    };
    json(post(&served.admin, "/api/v1/rollouts", &document()).await.unwrap(), StatusCode::CREATED)
        .await;
    let own =
        json(post(&west, "/api/v1/rollouts", &document()).await.unwrap(), StatusCode::CREATED);
    let own = own.await;
    assert_eq!(own["select"], "tag.region==west", "it chooses nobody else");
    let get = |path: &str| served.ask_as(&west, Method::GET, path).send();
    let list = json(get("/api/v1/rollouts").await.unwrap(), StatusCode::OK).await;
    assert_eq!(list["rollouts"].as_array().unwrap().len(), 1);
    assert_eq!(list["rollouts"][0]["number"], own["number"]);
    problem(get("/api/v1/rollouts/1").await.unwrap(), StatusCode::NOT_FOUND).await;
    problem(get("/api/v1/rollouts/99").await.unwrap(), StatusCode::NOT_FOUND).await;
    let start = post(&west, "/api/v1/rollouts/1/start", &json!({})).await.unwrap();
    problem(start, StatusCode::NOT_FOUND).await;
    problem(get("/api/v1/rollouts/2/devices/till-01/why").await.unwrap(), StatusCode::NOT_FOUND)
        .await;
    json(get("/api/v1/rollouts/2/devices/till-02/why").await.unwrap(), StatusCode::OK).await;
    let forecast = post(&west, "/api/v1/rollouts/forecast", &document()).await.unwrap();
    assert_eq!(json(forecast, StatusCode::OK).await["devices"], 3);
    served.stop().await;
}

/// Waits until the devices of the first rollout are written down.
async fn prepared(served: &Served) {
    while served.get("/api/v1/rollouts/1").await["state"] == "preparing" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pages(served: &Served, path: &str) -> Vec<Value> {
    let (mut all, mut next) = (vec![], path.to_owned());
    loop {
        let page = served.get(&next).await;
        all.extend(page["assignments"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return all,
        }
    }
}
