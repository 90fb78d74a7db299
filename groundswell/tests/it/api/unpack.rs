//! Bodies that come compressed.

use async_compression::{
    Level,
    tokio::write::{GzipEncoder, ZstdEncoder},
    zstd::CParameter,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{
    served_process::Program,
    support::{Served, json, problem},
};

/// Of a bomb: what it is unpacked to.
const BOMB_MIB: usize = 1_024;

/// More than a server takes that holds a mebibyte of a body and a window of 8 MiB.
const GROWN_KIB_MAX: u64 = 48 << 10;

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut into = GzipEncoder::new(vec![]);
    into.write_all(bytes).await.unwrap();
    into.shutdown().await.unwrap();
    into.into_inner()
}

async fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut into = ZstdEncoder::new(vec![]);
    into.write_all(bytes).await.unwrap();
    into.shutdown().await.unwrap();
    into.into_inner()
}

/// A small body that is unpacked to a gibibyte of blanks.
async fn bombs() -> [(&'static str, Vec<u8>); 2] {
    let blanks = vec![b' '; 1 << 20];
    // Members one behind the other are one body.
    let gzip = gzip(&blanks).await.repeat(BOMB_MIB);
    let mut zstd = ZstdEncoder::with_quality(vec![], Level::Fastest);
    for _ in 0..BOMB_MIB {
        zstd.write_all(&blanks).await.unwrap();
    }
    zstd.shutdown().await.unwrap();
    let bombs = [("gzip", gzip), ("zstd", zstd.into_inner())];
    assert!(bombs.iter().all(|(_, bomb)| bomb.len() < 2 << 20));
    bombs
}

async fn put(served: &Served, coding: &str, body: Vec<u8>) -> Response {
    let put = served.ask(Method::PUT, "/api/v1/devices/till-1");
    let put = put.header("content-type", "application/json").header("content-encoding", coding);
    put.body(body).send().await.unwrap()
}

#[tokio::test]
async fn a_body_is_taken_compressed_as_well() {
    let served = Served::start().await;
    let spec = |name: &str| json!({"name": name, "tags": {"a": "x".repeat(200)}}).to_string();
    let (one, two) = (spec("one"), spec("two"));
    for (coding, name, body) in [
        ("identity", "one", one.clone().into_bytes()),
        ("gzip", "two", gzip(two.as_bytes()).await),
        ("X-Gzip", "one", gzip(one.as_bytes()).await),
        ("zstd", "two", zstd(two.as_bytes()).await),
        // In members, as what compresses by several threads writes it.
        (
            "gzip",
            "one",
            [gzip(&one.as_bytes()[..9]).await, gzip(&one.as_bytes()[9..]).await].concat(),
        ),
    ] {
        let status = if served.get("/api/v1/devices").await["devices"] == json!([]) {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let made = json(put(&served, coding, body).await, status).await;
        assert_eq!(made["name"], name, "{coding}");
    }
    served.stop().await;
}

#[tokio::test]
async fn lines_of_an_import_come_compressed() {
    let served = Served::start().await;
    let mut body = String::new();
    for number in 0..5_000 {
        body.push_str(&json!({"id": format!("till-{number}")}).to_string());
        body.push('\n');
    }
    let import = async |coding: &str, body: Vec<u8>| -> Vec<Value> {
        let request = served.ask(Method::POST, "/api/v1/devices/import");
        let request = request.header("content-type", "application/x-ndjson");
        let answer = request.header("content-encoding", coding).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let text = answer.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let told = import("zstd", zstd(body.as_bytes()).await).await;
    assert_eq!(told.len(), 5_000);
    assert!(told.iter().all(|line| line["result"] == "created"));
    let told = import("gzip", gzip(body.as_bytes()).await).await;
    assert!(told.iter().all(|line| line["result"] == "same"));
    // What comes before the end of it is written, and the end is told.
    let mut packed = gzip(body.as_bytes()).await;
    packed.truncate(packed.len() / 2);
    let told = import("gzip", packed).await;
    let last = told.last().unwrap();
    assert_eq!((&last["result"], &told[0]["result"]), (&json!("error"), &json!("same")), "{last}");
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_compressed_as_it_says_is_refused() {
    let served = Served::start().await;
    let body = json!({"tags": {"a": "x".repeat(9_000)}}).to_string();
    let (gzipped, zstandard) = (gzip(body.as_bytes()).await, zstd(body.as_bytes()).await);
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let mut garbled = gzipped.clone();
    *garbled.last_mut().unwrap() ^= 1;
    let mut behind = gzipped.clone();
    behind.extend_from_slice(b"and more");
    for (what, coding, body) in [
        ("another coding", "gzip", zstandard.clone()),
        ("none", "gzip", body.clone().into_bytes()),
        ("half of it", "gzip", half(&gzipped)),
        ("another sum", "gzip", garbled),
        ("something behind it", "gzip", behind),
        ("another coding", "zstd", gzipped.clone()),
        ("half of it", "zstd", half(&zstandard)),
    ] {
        let answer = put(&served, coding, body).await;
        let (kind, told) = problem(answer, StatusCode::BAD_REQUEST).await;
        assert_eq!(kind, "bad-request", "{what} as {coding}");
        let told = told["detail"].as_str().unwrap();
        assert!(told.contains("Content-Encoding"), "{what} as {coding}: {told}");
    }
    for coding in ["br", "deflate", "gzip, gzip", "x"] {
        let answer = put(&served, coding, gzipped.clone()).await;
        assert_eq!(answer.headers()["accept-encoding"], "gzip, zstd", "{coding}");
        let (kind, _) = problem(answer, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
        assert_eq!(kind, "unknown-encoding", "{coding}");
    }
    // Who is not known is not told, and what is uploaded is never unpacked.
    let unknown = served.ask_as("gsw_no", Method::PUT, "/api/v1/devices/till-1");
    let unknown = unknown.header("content-encoding", "br").body("x").send().await.unwrap();
    problem(unknown, StatusCode::UNAUTHORIZED).await;
    let upload = served.ask(Method::PUT, &format!("/api/v1/artifacts/{}", "a".repeat(64)));
    let upload = upload.header("content-type", "application/octet-stream");
    let upload = upload.header("content-encoding", "gzip").body(gzipped).send().await.unwrap();
    assert_eq!(problem(upload, StatusCode::UNSUPPORTED_MEDIA_TYPE).await.0, "not-bytes");
    assert_eq!(served.get("/api/v1/devices").await["devices"], json!([]));
    served.stop().await;
}

#[tokio::test]
async fn a_bomb_is_refused_and_takes_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let served = Program::start(&dir.path().join("data"), None);
    let send = |method, path: &str, kind: &str, coding: &str, body: Vec<u8>| {
        let request = served.ask(method, path).header("content-type", kind);
        request.header("content-encoding", coding).body(body).send()
    };
    let bombs = bombs().await;
    let before = served.peak_kib();
    for (coding, bomb) in &bombs {
        let path = "/api/v1/devices/till-1";
        let put = send(Method::PUT, path, "application/json", coding, bomb.clone()).await.unwrap();
        assert_eq!(problem(put, StatusCode::PAYLOAD_TOO_LARGE).await.0, "too-large", "{coding}");
        // Here it is one line, and longer than any may be.
        let path = "/api/v1/devices/import";
        let kind = "application/x-ndjson";
        let import = send(Method::POST, path, kind, coding, bomb.clone()).await.unwrap();
        assert_eq!(import.status(), StatusCode::OK);
        let told = import.text().await.unwrap();
        assert!(told.contains("longer than") && told.lines().count() == 1, "{told}");
    }
    // A window that nobody needs for a body.
    let window = [CParameter::window_log(27)];
    let mut wide = ZstdEncoder::with_quality_and_params(vec![], Level::Fastest, &window);
    wide.write_all(&vec![b' '; 1 << 20]).await.unwrap();
    wide.flush().await.unwrap();
    wide.shutdown().await.unwrap();
    let wide = wide.into_inner();
    let path = "/api/v1/devices/till-1";
    let put = send(Method::PUT, path, "application/json", "zstd", wide).await.unwrap();
    problem(put, StatusCode::BAD_REQUEST).await;
    let grown = served.peak_kib().saturating_sub(before);
    assert!(grown < GROWN_KIB_MAX, "{grown} KiB more");
    served.kill();
}
