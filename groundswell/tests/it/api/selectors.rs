//! `/api/v1/selectors`, and how long a look by one may take.

use std::time::Duration;

use groundswell::{
    access::Role,
    api::Limits,
    server::Setup,
    store::{SqliteStore, Store as _},
};
use groundswell_core::device::Device;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json, problem};

fn fill(served: &Served, devices: &[Device]) {
    let mut store = SqliteStore::open(&served.data().join("state.db")).unwrap();
    for chunk in devices.chunks(5_000) {
        store.put_devices(&chunk.iter().collect::<Vec<_>>()).unwrap();
    }
}

fn device(number: usize, name: &str, tags: &[(&str, &str)]) -> Device {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let id = format!("till-{number:06}");
    Device { id, name: name.to_owned(), tags, ..Device::default() }
}

async fn ask(served: &Served, token: &str, what: &str, select: &str) -> Value {
    let post = served.ask_as(token, Method::POST, &format!("/api/v1/selectors/{what}"));
    json(post.json(&json!({ "select": select })).send().await.unwrap(), StatusCode::OK).await
}

#[tokio::test]
async fn a_selector_is_read_counted_and_sampled_within_the_scope() {
    let served = Served::start().await;
    let devices: Vec<Device> = (0..10_050)
        .map(|number| match number % 2 {
            0 => device(number, "till", &[("region", "west"), ("store", "1")]),
            _ => device(number, "till", &[("region", "east"), ("secret", "1")]),
        })
        .collect();
    fill(&served, &devices);
    let west = served.token(Role::Viewer, Some("tag.region==west"));
    let admin = served.admin.clone();

    let checked = ask(&served, &admin, "check", "  tag.region == west  ;version<2.0").await;
    assert_eq!(
        checked,
        json!({
            "select": "tag.region==west and version<2.0", "unknown_tags": [],
            "depends_on_now": false,
        })
    );
    let checked = ask(&served, &admin, "check", "tag.secrt==1 and tag.store==1").await;
    assert_eq!(checked["unknown_tags"], json!([{ "key": "secrt", "meant": "secret" }]));
    let checked = ask(&served, &west, "check", "tag.secrt==1 and tag.secret==1").await;
    assert_eq!(checked["unknown_tags"], json!([{ "key": "secret" }, { "key": "secrt" }]));
    let checked = ask(&served, &admin, "check", "regoin==west").await;
    let error = &checked["error"];
    assert_eq!((&error["from"], &error["to"]), (&json!(0), &json!(6)), "{checked}");
    assert!(error["reason"].as_str().unwrap().contains("did you mean `tag.region`?"), "{checked}");
    let checked = ask(&served, &west, "check", "secrte==west").await;
    assert!(!checked.to_string().contains("secret`"), "{checked}");

    for (token, select, count, is_more) in [
        (&admin, "id==till-*", 10_000, true),
        (&west, "id==till-*", 5_025, false),
        (&west, "tag.region==east", 0, false),
        (&admin, "id==till-00000*", 10, false),
    ] {
        let counted = ask(&served, token, "count", select).await;
        assert_eq!(counted, json!({ "count": count, "is_more": is_more }), "{select}");
    }
    let sample = ask(&served, &west, "sample", "id==till-00*").await;
    let devices = sample["devices"].as_array().unwrap();
    assert_eq!((devices.len(), &sample["is_more"]), (20, &json!(true)));
    assert!(devices.iter().all(|device| device["tags"]["region"] == "west"));
    let all = served.ask(Method::POST, "/api/v1/selectors/count").json(&json!({})).send();
    assert_eq!(json(all.await.unwrap(), StatusCode::OK).await["is_more"], true);
    for what in ["count", "sample"] {
        let post = served.ask(Method::POST, &format!("/api/v1/selectors/{what}"));
        let bad = post.json(&json!({ "select": "region==" })).send().await.unwrap();
        let (_, told) = problem(bad, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(told["errors"][0]["field"], "select");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_no_index_serves_is_given_up_and_the_next_look_is_not() {
    let limits = Limits { select_max: Duration::from_millis(20), ..Limits::default() };
    let served = Served::start_with(|setup| Setup { limits, ..setup }).await;
    let name = "a".repeat(200);
    let devices: Vec<Device> = (0..10_000).map(|number| device(number, &name, &[])).collect();
    fill(&served, &devices);
    // Nobody fits, and everybody is held against all of it: seconds of work.
    let slow: Vec<String> = (0..250).map(|number| format!("name==*b{number}*")).collect();
    let slow = json!({ "select": slow.join(" or ") });
    for _ in 0..3 {
        for what in ["count", "sample"] {
            let post = served.ask(Method::POST, &format!("/api/v1/selectors/{what}")).json(&slow);
            let answer = post.send().await.unwrap();
            let (kind, told) = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
            assert_eq!((&*kind, &told["errors"][0]["field"]), ("took-too-long", &json!("select")));
            let quick = ask(&served, &served.admin, "count", "id==till-000001").await;
            assert_eq!(quick["count"], 1);
        }
    }
    let select = slow["select"].as_str().unwrap().replace(' ', "%20");
    let list = served.ask(Method::GET, &format!("/api/v1/devices?select={select}"));
    let (kind, _) = problem(list.send().await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(kind, "took-too-long");
    served.stop().await;
}
