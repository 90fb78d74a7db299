//! `/api/v1/audit`: who did what, and that nobody changed it since.

use groundswell::access::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json, problem};

async fn put(served: &Served, by: &str, id: &str, region: &str) {
    let spec = json!({"tags": {"region": region}});
    let path = format!("/api/v1/devices/{id}");
    let put = served.ask_as(by, Method::PUT, &path).json(&spec).send().await.unwrap();
    assert!(put.status().is_success());
}

fn numbers(page: &Value) -> Vec<i64> {
    let entries = page["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn every_change_is_there_with_who_from_where_and_what_it_was() {
    let served = Served::start().await;
    let operator = served.token(Role::Operator, None);
    put(&served, &served.admin, "till-1", "west").await;
    put(&served, &operator, "till-1", "east").await;
    put(&served, &operator, "till-2", "east").await;
    // What is refused is no change.
    let bad =
        served.ask(Method::PUT, "/api/v1/devices/till-3").json(&json!({"address": "ftp://x"}));
    problem(bad.send().await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;

    let all = served.get("/api/v1/audit").await;
    assert_eq!(numbers(&all), [4, 3, 2, 1], "newest first; the first is of the first token");
    let changed = &all["entries"][1];
    assert_eq!(changed["action"], "device.change");
    assert_eq!(changed["subject"], "device till-1");
    assert_eq!(changed["from"], "127.0.0.1");
    assert!(changed["who"].as_str().unwrap().starts_with("test ("), "{changed}");
    assert_eq!(changed["before"]["tags"]["region"], "west");
    assert_eq!(changed["after"]["tags"]["region"], "east");
    assert!(changed["request"].is_string());

    let of = async |query: &str| numbers(&served.get(&format!("/api/v1/audit?{query}")).await);
    assert_eq!(of("after=0").await, [1, 2, 3, 4]);
    assert_eq!(of("after=3").await, [4]);
    assert_eq!(of("before=3").await, [2, 1]);
    assert_eq!(of("before=1").await, [0_i64; 0]);
    for query in ["before=0", "after=1&before=3"] {
        let path = format!("/api/v1/audit?{query}");
        let refused = served.ask(Method::GET, &path).send().await.unwrap();
        let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], "before");
    }
    assert_eq!(of("who=test").await, [4, 3]);
    assert_eq!(of("action=device").await, [4, 3, 2]);
    assert_eq!(of("action=device.create").await, [4, 2]);
    assert_eq!(of("action=dev").await, [0_i64; 0]);
    assert_eq!(of("subject=device+till-1").await, [3, 2]);
    let pages = [("limit=2", [4, 3, 2, 1], 3), ("after=0&limit=2", [1, 2, 3, 4], 2)];
    for (query, expected, up_to) in pages {
        let page = served.get(&format!("/api/v1/audit?{query}")).await;
        assert_eq!(page["up_to"], up_to, "{query}");
        let next = page["next"].as_str().unwrap();
        let rest = of(&format!("{query}&cursor={next}")).await;
        assert_eq!([numbers(&page), rest].concat(), expected);
    }
    served.stop().await;
}

#[tokio::test]
async fn what_is_done_to_rollouts_is_there_too() {
    let served = Served::start().await;
    // Nobody listens there: it goes on for as long as this takes.
    let spec = json!({"address": "http://127.0.0.1:9"});
    for id in ["till-1", "till-2"] {
        let put = served.ask(Method::PUT, &format!("/api/v1/devices/{id}")).json(&spec);
        assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    }
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = groundswell::operate::State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, groundswell::clock::Clock::System.now()).unwrap();
    let post = async |path: &str, body: &Value| {
        let answer = served.ask(Method::POST, path).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    };
    let waves = json!([{"count": 1, "soak": "1h"}, {"percent": 100}]);
    post("/api/v1/rollouts", &json!({"release": "pos 2.0.0", "waves": waves})).await;
    post("/api/v1/rollouts/1/start", &json!({})).await;
    post("/api/v1/rollouts/1/pause", &json!({})).await;
    let all = served.get("/api/v1/audit?subject=rollout&after=0").await;
    let entries = all["entries"].as_array().unwrap();
    let actions: Vec<&str> = entries.iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["rollout.create", "rollout.start", "rollout.pause"]);
    // What the driver refuses was asked for all the same, and is not there as if it were done.
    let retry = served.ask(Method::POST, "/api/v1/rollouts/1/retry").send().await.unwrap();
    assert_eq!(retry.status(), StatusCode::CONFLICT);
    let all = served.get("/api/v1/audit?action=rollout.retry&after=0").await;
    let entries = all["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{all}");
    assert_eq!(entries[0].get("after"), None);
    assert!(entries[1]["after"]["not_done"].as_str().unwrap().contains("retry"), "{all}");
    served.stop().await;
}

#[tokio::test]
async fn verify_finds_what_was_changed_and_a_kept_head_what_was_cut_off() {
    let served = Served::start().await;
    for number in 0..5 {
        put(&served, &served.admin, &format!("till-{number}"), "west").await;
    }
    let verify = async |query: &str| served.get(&format!("/api/v1/audit/verify{query}")).await;
    let whole = verify("").await;
    assert_eq!((&whole["is_whole"], &whole["entries"]), (&json!(true), &json!(6)));
    let kept = format!("?seq=6&hash={}", whole["hash"].as_str().unwrap());
    assert_eq!(verify(&kept).await["is_as_kept"], true);
    let bad = served.ask(Method::GET, "/api/v1/audit/verify?seq=5").send().await.unwrap();
    problem(bad, StatusCode::UNPROCESSABLE_ENTITY).await;

    let database = rusqlite::Connection::open(served.data().join("state.db")).unwrap();
    let change = |sql: &str| database.execute_batch(sql).unwrap();
    change("CREATE TABLE copy AS SELECT * FROM audit");
    for (sql, fault) in [
        (
            "UPDATE audit SET body = replace(body, 'till-2', 'till-9') WHERE seq = 4",
            "entry 4 is not",
        ),
        ("DELETE FROM audit WHERE seq = 2", "behind entry 1 comes entry 3"),
        ("UPDATE audit SET hash = x'00' WHERE seq = 4", "entry 4 is not"),
        ("UPDATE audit SET seq = 9 WHERE seq = 1", "behind entry 0 comes entry 2"),
        (
            "INSERT INTO audit (seq, body, hash) VALUES (-1, '', x'')",
            "behind entry 0 comes entry -1",
        ),
    ] {
        change(sql);
        let found = verify("").await;
        assert_eq!(found["is_whole"], false, "{sql}");
        assert!(found["fault"].as_str().unwrap().contains(fault), "{sql}: {found}");
        change("DELETE FROM audit; INSERT INTO audit SELECT * FROM copy");
    }
    for cut in
        ["DELETE FROM audit WHERE seq = 6", "DELETE FROM audit WHERE seq > 2", "DELETE FROM audit"]
    {
        change(cut);
        let found = verify(&kept).await;
        assert_eq!((&found["is_whole"], &found["is_as_kept"]), (&json!(false), &json!(false)));
        assert!(found["fault"].as_str().unwrap().contains("entry 6 was the last one"), "{found}");
    }
    // What is written afterwards does not hide it.
    put(&served, &served.admin, "till-6", "west").await;
    let found = verify("").await;
    assert!(found["fault"].as_str().unwrap().contains("behind entry 0 comes entry 7"), "{found}");
    // Whoever writes all of it anew writes that, too: then only a head that was kept elsewhere tells.
    change("DELETE FROM audit; DELETE FROM audit_end");
    assert_eq!(verify("").await["is_whole"], true);
    assert_eq!(verify(&kept).await["is_as_kept"], false);
    served.stop().await;
}

#[tokio::test]
async fn only_admins_read_it() {
    let served = Served::start().await;
    for role in [Role::Viewer, Role::Operator, Role::Approver] {
        let token = served.token(role, None);
        let asked = served.ask_as(&token, Method::GET, "/api/v1/audit").send().await.unwrap();
        problem(asked, StatusCode::FORBIDDEN).await;
    }
    let asked = served.ask(Method::GET, "/api/v1/audit").send().await.unwrap();
    json(asked, StatusCode::OK).await;
    served.stop().await;
}
