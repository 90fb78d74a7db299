//! `/api/v1/system` and `/readyz`: how the server is.

use groundswell::access::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    served_process::Program,
    support::{Served, json, problem},
};
use crate::disk::SmallDisk;

#[tokio::test]
async fn it_says_how_it_is_and_what_it_holds() {
    let served = Served::start().await;
    let put = served.ask(Method::PUT, "/api/v1/devices/till-1").json(&json!({}));
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    let system = served.get("/api/v1/system").await;
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(system["state"], "ready");
    assert_eq!((&system["devices"], &system["rollouts"]), (&json!(1), &json!({})));
    assert!(system["driver"].as_str().unwrap().contains("serve"), "{system}");
    assert!(system["schema"].as_i64() > Some(0) && system["uptime_secs"].is_u64(), "{system}");
    assert!(system["disk"]["free_bytes"].as_u64() <= system["disk"]["bytes"].as_u64());
    let scoped = served.token(Role::Viewer, Some("tag.region==west"));
    let told = served.ask_as(&scoped, Method::GET, "/api/v1/system").send().await.unwrap();
    let told = json(told, StatusCode::OK).await;
    assert_eq!(
        (&told["devices"], &told["rollouts"], &told["driver"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    served.stop().await;
}

#[tokio::test]
async fn a_server_whose_disk_is_full_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let Some(disk) = SmallDisk::mount(&data, 64) else { return };
    let program = Program::start(&data, None);
    let ready = async || program.ask(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(ready().await.status(), StatusCode::OK);
    disk.fill();
    let (kind, told) = problem(ready().await, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(kind, "store");
    assert!(told["detail"].as_str().unwrap().contains("disk is full"), "{told}");
    let system = program.ask(Method::GET, "/api/v1/system").send().await.unwrap();
    assert_eq!(json(system, StatusCode::OK).await["state"], "full-disk");
    disk.make_room();
    assert_eq!(ready().await.status(), StatusCode::OK);
}
