//! What a server may be told to connect to.

use std::{net::TcpListener, time::Duration};

use groundswell::{
    clock::Clock,
    inventory::{self, Options},
    networks::Networks,
    operate::State,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Served, json, problem};

/// A server by the rules that hold unless somebody says otherwise.
async fn strict() -> Served {
    Served::start_with(|mut setup| {
        setup.networks = Networks::default();
        setup
    })
    .await
}

#[tokio::test]
async fn a_device_is_not_written_down_where_nothing_may_be_connected_to() {
    let served = strict().await;
    for (address, what) in [
        ("http://127.0.0.1:9", "loopback"),
        ("http://localhost:9", "loopback"),
        ("http://[::1]:9", "loopback"),
        ("http://0.0.0.0:9", "unspecified"),
        ("http://169.254.169.254", "metadata"),
        ("http://metadata.google.internal", "metadata"),
        ("http://[::ffff:169.254.169.254]", "metadata"),
        ("http://[2002:a9fe:a9fe::]", "metadata"),
        ("http://[fd00:ec2::254]", "metadata"),
        ("http://[fe80::1]", "link-local"),
        ("http://224.0.0.1", "multicast"),
        ("http://255.255.255.255", "broadcast"),
        ("http://user:secret@10.0.0.7", "credentials"),
    ] {
        let put = served.ask(Method::PUT, "/api/v1/devices/till-1");
        let put = put.json(&json!({"address": address})).send().await.unwrap();
        let (kind, told) = problem(put, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!((&*kind, &told["errors"][0]["field"]), ("invalid", &json!("address")));
        assert!(told["detail"].as_str().unwrap().contains(what), "{address}: {told}");
        assert!(!told.to_string().contains("secret"), "{told}");
    }
    let put = served.ask(Method::PUT, "/api/v1/devices/till-1");
    let put = put.json(&json!({"address": "http://10.0.0.7:9"})).send().await.unwrap();
    json(put, StatusCode::CREATED).await;
    served.stop().await;
}

fn with_release(served: &Served) -> State {
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
    state
}

fn document(gate: &Value) -> Value {
    json!({
        "release": "pos 2.0.0",
        "strategy": "progressive",
        "waves": [{"count": 1}, {"percent": 100}],
        "gates": [gate],
    })
}

#[tokio::test]
async fn a_gate_asks_nobody_and_with_nothing_that_it_may_not() {
    let served = Served::start_with(|mut setup| {
        setup.networks = Networks::default();
        setup.gate_secrets = vec!["env:STATUS_TOKEN".parse().unwrap()];
        setup
    })
    .await;
    let mut state = with_release(&served);
    let device = br#"{"id": "till-1", "address": "http://10.0.0.7"}"#;
    let now = Clock::System.now();
    state.import(&inventory::read(&device[..], &Options::new("x", now)).unwrap()).unwrap();
    let post =
        |path: &str, gate: Value| served.ask(Method::POST, path).json(&document(&gate)).send();
    let bad = "http://169.254.169.254/latest";
    for (gate, field) in [
        (json!({"kind": "http", "url": bad}), "gates[1].url"),
        (
            json!({"kind": "prometheus", "url": bad, "query": "up", "op": "==", "value": 1}),
            "gates[1].url",
        ),
        (
            json!({"kind": "http", "url": "http://status.example",
                   "headers": {"X-Key": "file:/etc/passwd"}}),
            "gates[1].headers.X-Key",
        ),
        (
            json!({"kind": "http", "url": "http://status.example", "headers": {"X": "env:HOME"}}),
            "gates[1].headers.X",
        ),
    ] {
        for path in ["/api/v1/rollouts", "/api/v1/rollouts/check", "/api/v1/rollouts/forecast"] {
            let answer = post(path, gate.clone()).await.unwrap();
            let (_, told) = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
            assert_eq!(told["errors"][0]["field"], field, "{path}: {told}");
        }
    }
    let good = json!({"kind": "http", "url": "http://status.example",
                      "headers": {"Authorization": "env:STATUS_TOKEN"}});
    json(post("/api/v1/rollouts", good).await.unwrap(), StatusCode::CREATED).await;
    served.stop().await;
}

/// Written down by whoever works at the machine, who may: the server does not connect all the same.
#[tokio::test]
async fn a_device_that_may_not_be_connected_to_has_failed_and_is_not_tried_again() {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let served = strict().await;
    let mut state = with_release(&served);
    let device =
        json!({"id": "till-1", "address": format!("http://{}", trap.local_addr().unwrap())});
    let now = Clock::System.now();
    let list = inventory::read(device.to_string().as_bytes(), &Options::new("x", now)).unwrap();
    state.import(&list).unwrap();
    let spec = json!({"release": "pos 2.0.0", "strategy": "immediate"});
    let made = served.ask(Method::POST, "/api/v1/rollouts").json(&spec).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    served.ask(Method::POST, "/api/v1/rollouts/1/start").send().await.unwrap();
    let mut row = Value::Null;
    for _ in 0..500 {
        let page = served.get("/api/v1/rollouts/1/assignments?state=failed").await;
        row = page["assignments"][0].clone();
        if row.is_object() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = row.to_string();
    assert!(told.contains("address may not be connected to from here"), "{told}");
    assert_eq!(row["attempts"], 1, "{told}");
    assert!(trap.accept().is_err(), "somebody came");
    served.stop().await;
}
