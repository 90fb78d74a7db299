//! One device: changed in part, tagged, removed; and many at once.

use groundswell::{
    access::{Change, Kind, Role},
    clock::Clock,
    operate::{OperateError, State},
    store::{Attribution, StoreError},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json, problem};

async fn put(served: &Served, id: &str, spec: &Value) {
    let put = served.ask(Method::PUT, &format!("/api/v1/devices/{id}")).json(spec);
    assert!(put.send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn a_part_is_changed_by_who_saw_the_whole() {
    let served = Served::start().await;
    put(
        &served,
        "till-1",
        &json!({"name": "Till", "location": "Oslo", "tags": {"a": "1", "b": "2"}}),
    )
    .await;
    let path = "/api/v1/devices/till-1";
    let change = |body: Value| {
        served
            .ask(Method::PATCH, path)
            .header("content-type", "application/merge-patch+json")
            .body(body.to_string())
    };
    let seen = served.ask(Method::GET, path).send().await.unwrap();
    let tag = seen.headers()["etag"].to_str().unwrap().to_owned();
    let body = json!({"location": null, "tags": {"a": null, "c": "3"}});
    let changed = change(body.clone()).header("if-match", &tag).send().await.unwrap();
    let new_tag = changed.headers()["etag"].to_str().unwrap().to_owned();
    let changed = json(changed, StatusCode::OK).await;
    assert_eq!(changed["tags"], json!({"b": "2", "c": "3"}));
    assert_eq!((&changed["name"], &changed["location"]), (&json!("Till"), &Value::Null));
    let stale = change(json!({"name": "x"})).header("if-match", &tag).send().await.unwrap();
    problem(stale, StatusCode::PRECONDITION_FAILED).await;
    let same =
        change(json!({"tags": {"b": "2"}})).header("if-match", &new_tag).send().await.unwrap();
    json(same, StatusCode::OK).await;
    let entries = served.get("/api/v1/audit?action=device.change").await;
    assert_eq!(
        entries["entries"].as_array().unwrap().len(),
        1,
        "what changes nothing is no change"
    );
    for (body, field) in [
        (json!({"nmae": "x"}), "nmae"),
        (json!({"tags": {"b": 7}}), "tags.b"),
        (json!({"address": "ftp://x"}), "address"),
        (json!([]), "body"),
    ] {
        let refused = change(body.clone()).send().await.unwrap();
        let (_, told) = problem(refused, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], field, "{body}: {told}");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_changed_meanwhile_is_neither_removed_nor_released() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({"tags": {"region": "west"}})).await;
    let mut state = State::open(&served.data()).unwrap();
    let seen = state.known_device("till-1").unwrap().unwrap();
    let entry = |device: &str| Attribution {
        change: Change {
            at: Clock::System.now(),
            who: "test".to_owned(),
            from: "here".to_owned(),
            action: "device.remove".to_owned(),
            subject: format!("device {device}"),
            before: None,
            after: None,
            request: None,
        },
        created: None,
    };
    // It moves after whoever removes it looked whether they may.
    put(&served, "till-1", &json!({"tags": {"region": "east"}})).await;
    state.attribute(entry("till-1"));
    state.expect_device(seen);
    let error = state.remove_device("till-1", Clock::System.now()).unwrap_err();
    state.unattribute();
    assert!(matches!(error, OperateError::Store(StoreError::ChangedMeanwhile)), "{error}");
    assert_eq!(served.get("/api/v1/devices/till-1").await["tags"]["region"], "east");
    let entries = served.get("/api/v1/audit?action=device.remove").await;
    assert_eq!(entries["entries"], json!([]));
    // That it was seen or runs something else is not what operators say.
    let seen = state.known_device("till-1").unwrap().unwrap();
    state.check_in("till-1", Some("9.9.9"), Clock::System.now()).unwrap();
    state.attribute(entry("till-1"));
    state.expect_device(seen);
    state.remove_device("till-1", Clock::System.now()).unwrap();
    let entries = served.get("/api/v1/audit?action=device.remove").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn changes_of_many_at_once_are_all_there() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({})).await;
    let tag = |number: usize| {
        let path = format!("/api/v1/devices/till-1/tags/t{number}");
        served.ask(Method::PUT, &path).json(&json!({"value": "x"})).send()
    };
    let done = futures_util::future::join_all((0..6).map(tag)).await;
    for answer in done {
        json(answer.unwrap(), StatusCode::OK).await;
    }
    let device = served.get("/api/v1/devices/till-1").await;
    assert_eq!(device["tags"].as_object().unwrap().len(), 6, "{device}");
    let remove = || served.ask(Method::DELETE, "/api/v1/devices/till-1/tags/t0").send();
    json(remove().await.unwrap(), StatusCode::OK).await;
    problem(remove().await.unwrap(), StatusCode::NOT_FOUND).await;
    served.stop().await;
}

#[tokio::test]
async fn a_scope_holds_for_every_part() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({"tags": {"region": "west"}})).await;
    put(&served, "till-2", &json!({"tags": {"region": "east"}})).await;
    let west = served.token(Role::Operator, Some("tag.region==west"));
    let ask = |method: Method, path: &str| served.ask_as(&west, method, path);
    let out = [
        ask(Method::PATCH, "/api/v1/devices/till-1").json(&json!({"tags": {"region": "east"}})),
        ask(Method::PUT, "/api/v1/devices/till-1/tags/region").json(&json!({"value": "east"})),
        ask(Method::DELETE, "/api/v1/devices/till-1/tags/region"),
    ];
    for request in out {
        problem(request.send().await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let other = [
        ask(Method::PATCH, "/api/v1/devices/till-2").json(&json!({"name": "x"})),
        ask(Method::DELETE, "/api/v1/devices/till-2"),
        ask(Method::PUT, "/api/v1/devices/till-2/tags/a").json(&json!({"value": "b"})),
        ask(Method::GET, "/api/v1/devices/till-2/history"),
        ask(Method::GET, "/api/v1/devices/till-2/why"),
        ask(Method::POST, "/api/v1/devices/till-2/release").json(&json!({"reason": "x"})),
    ];
    for request in other {
        let told = problem(request.send().await.unwrap(), StatusCode::NOT_FOUND).await;
        assert_eq!(told.1["detail"], "there is no device `till-2`");
    }
    // Nor is it told what exists beside.
    let near = problem(
        ask(Method::GET, "/api/v1/devices/till-3").send().await.unwrap(),
        StatusCode::NOT_FOUND,
    );
    assert_eq!(near.await.1["detail"], "there is no device `till-3`");
    served.stop().await;
}

#[tokio::test]
async fn a_device_that_is_removed_is_in_past_rollouts_and_nowhere_else() {
    let served = Served::start().await;
    put(&served, "till-1", &json!({"tags": {"region": "west"}})).await;
    put(&served, "till-2", &json!({"tags": {"region": "west"}})).await;
    let token = served.token_of(Kind::Device { device: "till-1".to_owned() }, None);
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
    let spec = json!({"release": "pos 2.0.0"});
    let made = served.ask(Method::POST, "/api/v1/rollouts").json(&spec).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    served.ask(Method::POST, "/api/v1/rollouts/1/start").send().await.unwrap();
    // They have no address: they are skipped.
    let path = "/api/v1/devices/till-1/history";
    for _ in 0..500 {
        let history = served.get(path).await;
        if history["history"][0]["state"] == "skipped: no address" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(served.get(path).await["history"][0]["rollout"], 1);

    let remove = || served.ask(Method::DELETE, "/api/v1/devices/till-1").send();
    assert_eq!(remove().await.unwrap().status(), StatusCode::NO_CONTENT);
    problem(remove().await.unwrap(), StatusCode::NOT_FOUND).await;
    let gone = served.ask(Method::GET, "/api/v1/devices/till-1").send().await.unwrap();
    problem(gone, StatusCode::NOT_FOUND).await;
    for query in ["", "?select=tag.region==west", "?select=id==till-1", "?select=id==*"] {
        let list = served.get(&format!("/api/v1/devices{query}")).await.to_string();
        assert!(!list.contains("till-1"), "{query}: {list}");
    }
    assert_eq!(state.devices(None, None, 10, Clock::System.now()).unwrap().of, 1);
    let check_in = served.ask_as(&token, Method::POST, "/api/v1/devices/till-1/check-in");
    let check_in = check_in.json(&json!({})).send().await.unwrap();
    problem(check_in, StatusCode::UNAUTHORIZED).await;
    let rows = served.get("/api/v1/rollouts/1/assignments").await;
    let rows = rows["assignments"].as_array().unwrap();
    let mut devices: Vec<_> = rows.iter().map(|row| row["device"].as_str().unwrap()).collect();
    devices.sort_unstable();
    assert_eq!(devices, ["till-1", "till-2"]);
    assert_eq!(served.get("/api/v1/rollouts/1/replay").await["mismatches_in_all"], 0);

    // It is the same one if it comes back.
    let again =
        served.ask(Method::PUT, "/api/v1/devices/till-1").json(&json!({"tags": {"a": "b"}}));
    let again = json(again.send().await.unwrap(), StatusCode::CREATED).await;
    assert_eq!(again["tags"], json!({"a": "b"}));
    assert_eq!(served.get(path).await["history"].as_array().unwrap().len(), 1);
    let list = served.get("/api/v1/devices?select=tag.a==b").await;
    assert_eq!(list["devices"].as_array().unwrap().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn an_import_answers_every_line_and_a_bad_one_stops_no_other() {
    let served = Served::start().await;
    put(&served, "known", &json!({"name": "known", "tags": {"region": "west"}})).await;
    put(&served, "east", &json!({"tags": {"region": "east"}})).await;
    let import = async |token: &str, body: String| {
        let request = served.ask_as(token, Method::POST, "/api/v1/devices/import");
        let request = request.header("content-type", "application/x-ndjson").body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let text = answer.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let mut body = String::from("{\"id\": \"known\", \"tags\": {\"region\": \"west\"}}\n\n");
    body.push_str("{\"id\": \"bad\", \"address\": \"ftp://x\"}\nnonsense\n");
    body.push_str("{\"id\": \"known\", \"name\": \"other\", \"tags\": {\"region\": \"west\"}}\n");
    body.push_str("{\"id\": \"new\", \"colour\": \"red\", \"headers\": {\"x-key\": \"y\"}}");
    let told = import(&served.admin, body).await;
    let short: Vec<_> = told
        .iter()
        .map(|r| (r["line"].as_u64().unwrap(), r["id"].as_str(), r["result"].as_str().unwrap()))
        .collect();
    assert_eq!(
        short,
        [
            (1, Some("known"), "same"),
            (3, Some("bad"), "error"),
            (4, None, "error"),
            (5, Some("known"), "changed"),
            (6, Some("new"), "created"),
        ]
    );
    assert!(told[1]["detail"].as_str().unwrap().contains("ftp"), "{}", told[1]);
    let left_out = told[4]["detail"].as_str().unwrap();
    assert!(left_out.contains("colour") && left_out.contains("headers"), "{left_out}");
    let entries = served.get("/api/v1/audit?action=device.import").await;
    let entry = &entries["entries"][0];
    for (count, expected) in [("new", 1), ("changed", 1), ("same", 1), ("not_told", 0)] {
        assert_eq!(entry["after"][count], expected, "{entry}");
    }
    let (before, after) = (&entry["before"]["devices"], &entry["after"]["devices"]);
    assert_eq!((&before["known"]["name"], &before["new"]), (&json!("known"), &Value::Null));
    assert_eq!((&after["known"]["name"], &after["new"]["name"]), (&json!("other"), &json!("new")));

    let west = served.token(Role::Operator, Some("tag.region==west"));
    let body = "{\"id\": \"east\", \"tags\": {\"region\": \"west\"}}\n\
                {\"id\": \"known\", \"tags\": {\"region\": \"east\"}}\n\
                {\"id\": \"mine\", \"tags\": {\"region\": \"west\"}}\n";
    let told = import(&west, body.to_owned()).await;
    let results: Vec<_> = told.iter().map(|r| r["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["error", "error", "created"]);

    let many: Vec<String> = (0..2_500).map(|n| format!("{{\"id\": \"many-{n}\"}}\n")).collect();
    let many = many.concat();
    let told = import(&served.admin, many).await;
    assert_eq!(told.len(), 2_500);
    assert!(told.iter().all(|result| result["result"] == "created"));
    let entries = served.get("/api/v1/audit?action=device.import&limit=1").await;
    let after = &entries["entries"][0]["after"];
    let told = after["devices"].as_object().unwrap().len() as u64;
    assert_eq!(told, 100, "a large one is not told device by device");
    assert_eq!(after["not_told"].as_u64().unwrap(), after["new"].as_u64().unwrap() - told);
    let wrong = served.ask(Method::POST, "/api/v1/devices/import").json(&json!({})).send().await;
    problem(wrong.unwrap(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    served.stop().await;
}

#[tokio::test]
async fn an_import_is_answered_while_it_is_sent() {
    use futures_util::StreamExt as _;

    let served = Served::start().await;
    let (send, lines) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    let body = futures_util::stream::unfold(lines, |mut lines| async {
        lines.recv().await.map(|line| (line, lines))
    });
    let request = served.ask(Method::POST, "/api/v1/devices/import");
    let request = request.header("content-type", "application/x-ndjson");
    send.send(Ok("{\"id\": \"one\"}\n{\"id\": ".into())).await.unwrap();
    let mut answer =
        request.body(reqwest::Body::wrap_stream(body)).send().await.unwrap().bytes_stream();
    let first = String::from_utf8(answer.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.contains("\"one\"") && first.lines().count() == 1, "{first}");
    send.send(Ok("\"two\"}".into())).await.unwrap();
    drop(send);
    let second = String::from_utf8(answer.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(second.contains("\"two\"") && second.contains("created"), "{second}");
    assert!(answer.next().await.is_none());
    served.stop().await;
}
