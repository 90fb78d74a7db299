//! `/api/v1/budgets`, with devices that refuse updates.

use groundswell::{
    access::{Kind, Role},
    sim::{Fleet, Options},
};
use groundswell_core::release::Digest;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::support::{Served, json, problem};
use crate::program::pause;

/// Six devices in two stores of two regions; each of them refuses what it is sent.
async fn refusing() -> (Served, Fleet) {
    let faults = vec!["status:400:1".parse().unwrap()];
    let fleet = Fleet::start(Options { faults, ..Options::default() }).unwrap();
    let served = Served::start().await;
    for number in 0..6 {
        let (region, store) = if number < 3 { ("west", "01") } else { ("east", "02") };
        let address = format!("http://127.70.0.{}:{}", number + 1, fleet.local_addr().port());
        let spec = json!({ "address": address, "tags": { "region": region, "store": store } });
        let path = format!("/api/v1/devices/till-{number}");
        json(served.ask(Method::PUT, &path).json(&spec).send().await.unwrap(), StatusCode::CREATED)
            .await;
    }
    let name = Digest(Sha256::digest("software").into()).to_string();
    let put = served.ask(Method::PUT, &format!("/api/v1/artifacts/{name}"));
    let put = put.header("content-type", "application/octet-stream").body("software");
    json(put.send().await.unwrap(), StatusCode::CREATED).await;
    let release = json!({ "name": "pos", "version": "2.0.0", "artifact": name });
    let made = served.ask(Method::POST, "/api/v1/releases").json(&release).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    let document = json!({
        "release": "pos 2.0.0", "strategy": "immediate",
        "budgets": [{ "per": "tag.store", "max": 1 }],
    });
    let made = served.ask(Method::POST, "/api/v1/rollouts").json(&document).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    let start = served.ask(Method::POST, "/api/v1/rollouts/1/start").send().await.unwrap();
    json(start, StatusCode::OK).await;
    (served, fleet)
}

/// The domains, once both have a device that failed.
async fn until_failed(served: &Served) -> Vec<Value> {
    loop {
        let domains = served.get("/api/v1/budgets").await["domains"].as_array().unwrap().clone();
        let is_failed = |domain: &Value| domain["holders"][0]["why"] == "failed";
        if domains.len() == 2 && domains.iter().all(is_failed) {
            return domains;
        }
        pause();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_sees_its_own_holders_and_releases_no_others() {
    let (served, _fleet) = refusing().await;
    let domains = until_failed(&served).await;
    assert_eq!(
        (&domains[0]["domain"], &domains[1]["domain"]),
        (&json!("tag.store=01"), &json!("tag.store=02"))
    );
    assert_eq!(domains[0]["devices"], 3);
    assert_eq!(domains[0]["limits"], json!([{ "rollout": 1, "limit": 1 }]));
    let first = served.get("/api/v1/budgets?limit=1").await;
    assert_eq!(first["domains"], json!([domains[0]]));
    let next = first["next"].as_str().unwrap();
    let second = served.get(&format!("/api/v1/budgets?limit=1&cursor={next}")).await;
    assert_eq!((&second["domains"], second.get("next")), (&json!([domains[1]]), None));
    let bad = served.ask(Method::GET, "/api/v1/budgets?cursor=eHg").send().await.unwrap();
    problem(bad, StatusCode::UNPROCESSABLE_ENTITY).await;

    // One that sees two devices of the first store, of which one may hold it.
    let holder = domains[0]["holders"][0]["device"].as_str().unwrap().to_owned();
    let other = if holder == "till-0" { "till-1" } else { "till-0" };
    let scope = format!("id=in=({holder},{other})");
    let few = served.token(Role::Operator, Some(&scope));
    let seen = served.ask_as(&few, Method::GET, "/api/v1/budgets").send().await.unwrap();
    let seen = json(seen, StatusCode::OK).await;
    let seen = seen["domains"].as_array().unwrap();
    assert_eq!((seen.len(), &seen[0]["devices"]), (1, &json!(2)), "of the third it knows nothing");
    assert_eq!(seen[0]["limits"], json!([]), "nor of the rollout of all");
    let nobody = served.token(Role::Operator, Some(&format!("id=={other}")));
    let seen = served.ask_as(&nobody, Method::GET, "/api/v1/budgets").send().await.unwrap();
    assert_eq!(json(seen, StatusCode::OK).await["domains"], json!([]));

    let release = |token: &str, domain: &str, device: &str, reason: &str| {
        let body = json!({ "domain": domain, "device": device, "reason": reason });
        served.ask_as(token, Method::POST, "/api/v1/budgets/release").json(&body).send()
    };
    let east = domains[1]["holders"][0]["device"].as_str().unwrap();
    let hidden = release(&few, "tag.store=02", east, "x").await.unwrap();
    problem(hidden, StatusCode::NOT_FOUND).await;
    let unknown = release(&few, "tag.store=02", "till-9", "x").await.unwrap();
    let (_, told) = problem(unknown, StatusCode::NOT_FOUND).await;
    assert!(!told["detail"].as_str().unwrap().contains("did you mean"), "{told}");
    let (_, told) = problem(
        release(&few, "tag.store=01", &holder, " ").await.unwrap(),
        StatusCode::UNPROCESSABLE_ENTITY,
    )
    .await;
    assert_eq!(told["errors"][0]["field"], "reason");
    let released = release(&few, "tag.store=01", &holder, "a spare till").await.unwrap();
    let released = json(released, StatusCode::OK).await;
    assert_eq!((&released["device"], &released["is_repeated"]), (&json!(holder), &json!(false)));
    loop {
        // The driver goes by it: the next one of the store is tried, and fails.
        let domains = until_failed(&served).await;
        if domains[0]["holders"][0]["device"] != json!(holder) {
            break;
        }
        pause();
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_failed_and_says_that_it_is_ill_keeps_its_slot() {
    let (served, _fleet) = refusing().await;
    let domains = until_failed(&served).await;
    let west = domains.iter().find(|domain| domain["domain"] == "tag.store=01").unwrap();
    let device = west["holders"][0]["device"].as_str().unwrap().to_owned();
    let token = served.token_of(Kind::Device { device: device.clone() }, None);
    let path = format!("/api/v1/devices/{device}/check-in");
    let says = async |health: &str| {
        let said = served.ask_as(&token, Method::POST, &path).json(&json!({ "health": health }));
        json(said.send().await.unwrap(), StatusCode::OK).await;
    };
    let holders = async || {
        let domains = served.get("/api/v1/budgets").await["domains"].as_array().unwrap().clone();
        let of_west = domains.iter().filter(|domain| domain["domain"] == "tag.store=01");
        let holders = of_west.flat_map(|domain| domain["holders"].as_array().unwrap());
        holders.map(|holder| holder["device"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    says("ill").await;
    let why = format!("/api/v1/devices/{device}/why");
    while served.get(&why).await["unwell"].is_null() {
        pause();
    }
    // It is written down, and time enough to be looked at.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(holders().await, std::slice::from_ref(&device));
    says("healthy").await;
    // The next one of the store is sent to, and fails as well.
    while holders().await == std::slice::from_ref(&device) {
        pause();
    }
    served.stop().await;
}
