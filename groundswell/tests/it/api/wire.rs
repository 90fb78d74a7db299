//! What comes over the wire as no client of ours would send it, and what a browser is told.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{served_process::Program, support::Served};

/// Longer than anything here takes; whoever waits so long hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is answered until the connection is closed.
async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has heard enough may close before it has heard all.
    let _ = stream.write_all(bytes).await;
    let mut answer = vec![];
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(lines: &str) -> Vec<u8> {
    format!("{}\r\nHost: here\r\nConnection: close\r\n\r\n", lines.replace('\n', "\r\n")).into()
}

#[tokio::test]
async fn odd_requests_are_answered_soberly() {
    let served = Served::start().await;
    let long = "x".repeat(9_000);
    let huge = "x".repeat(70_000);
    let many: Vec<String> = (0..150).map(|n| format!("\nX-{n}: y")).collect();
    let many = many.concat();
    for (what, bytes, wanted) in [
        ("HTTP/1.0", b"GET /docs HTTP/1.0\r\n\r\n".to_vec(), "HTTP/1.0 200"),
        ("absolute form", head("GET http://here/docs HTTP/1.1"), "HTTP/1.1 200"),
        ("no host", b"GET /docs HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("two hosts", head("GET /docs HTTP/1.1\nHost: there"), "HTTP/1.1 400"),
        ("a long address", head(&format!("GET /docs?{long} HTTP/1.1")), "HTTP/1.1 414"),
        ("a huge address", head(&format!("GET /docs?{huge} HTTP/1.1")), "HTTP/1.1 431"),
        ("many headers", head(&format!("GET /docs HTTP/1.1{many}")), "HTTP/1.1 431"),
        ("a huge header", head(&format!("GET /docs HTTP/1.1\nX: {huge}")), "HTTP/1.1 431"),
        ("no header", head("GET /docs HTTP/1.1\nno header"), "HTTP/1.1 400"),
        ("a zero in a header", head("GET /docs HTTP/1.1\nX: a\0b"), "HTTP/1.1 400"),
        ("a blank in a name", head("GET /docs HTTP/1.1\nX : a"), "HTTP/1.1 400"),
        ("a line that goes on", head("GET /docs HTTP/1.1\nX: a\n b"), "HTTP/1.1 400"),
        (
            "two lengths",
            head("GET /docs HTTP/1.1\nContent-Length: 1\nContent-Length: 2"),
            "HTTP/1.1 400",
        ),
        ("a length that is none", head("GET /docs HTTP/1.1\nContent-Length: -1"), "HTTP/1.1 400"),
        (
            "an unknown encoding",
            head("POST /api/v1/rollouts HTTP/1.1\nTransfer-Encoding: x"),
            "HTTP/1.1 400",
        ),
        ("another protocol", b"EHLO here\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("a TLS hello", vec![22, 3, 1, 0, 2, 1, 0, 13, 10, 13, 10], "HTTP/1.1 400"),
        ("a method of its own", head("BREW /api/v1/devices HTTP/1.1"), "HTTP/1.1 405"),
        ("TRACE", head("TRACE /api/v1/devices HTTP/1.1"), "HTTP/1.1 405"),
        ("DELETE", head("DELETE /api/v1/devices HTTP/1.1"), "HTTP/1.1 405"),
        ("CONNECT", head("CONNECT there:443 HTTP/1.1"), "HTTP/1.1 404"),
        ("OPTIONS of everything", head("OPTIONS * HTTP/1.1"), "HTTP/1.1 404"),
        ("a way up", head("GET /docs/../../etc/passwd HTTP/1.1"), "HTTP/1.1 404"),
        (
            "a way up in disguise",
            head("GET /docs/%2e%2e/%2e%2e/etc/passwd HTTP/1.1"),
            "HTTP/1.1 404",
        ),
        ("a byte that is no text", head("GET /api/v1/devices/%ff HTTP/1.1"), "HTTP/1.1 400"),
    ] {
        let answer = say(served.address, &bytes).await;
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.starts_with(wanted), "{what}: {first:?}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{what}: one answer");
    }
    let document = served.get("/api/v1/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "it is there all the same");
    served.stop().await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_that_order() {
    let served = Served::start().await;
    let mut bytes = vec![];
    for path in ["/docs/style.css", "/api/v1/devices", "/docs/problems"] {
        bytes.extend(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").bytes());
    }
    // A body that is a request is no request.
    let inner = "GET /docs HTTP/1.1\r\nHost: here\r\n\r\n";
    let outer =
        format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", inner.len());
    bytes.extend(outer.bytes().chain(inner.bytes()));
    bytes.extend(head("HEAD /docs HTTP/1.1"));
    let answer = say(served.address, &bytes).await;
    let order: Vec<&str> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(order, ["200", "401", "200", "404", "200"]);
    assert!(answer.ends_with("\r\n\r\n"), "a HEAD has no body");
    served.stop().await;
}

#[tokio::test]
async fn who_says_nothing_or_no_whole_head_is_cut_off() {
    let served = Served::start_with(|mut setup| {
        setup.connections.head_max = Duration::from_millis(200);
        setup
    })
    .await;
    let of_http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for begun in
        ["", "P", &of_http2[..20], of_http2, "GET /do", "GET /docs HTTP/1.1\r\nHost: here\r\n"]
    {
        let answer = say(served.address, begun.as_bytes()).await;
        let is_none = answer.is_empty() || answer.starts_with("HTTP/1.1 408");
        assert!(is_none || begun == of_http2, "{begun:?}: {answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn who_is_one_too_many_is_refused_and_counted() {
    let served = Served::start_with(|mut setup| {
        setup.connections.per_source_max = 2;
        setup
    })
    .await;
    // Taken in the order in which they came.
    let held = [(); 2].map(|()| std::net::TcpStream::connect(served.address).unwrap());
    assert_eq!(say(served.address, b"").await, "");
    drop(held);
    let text = loop {
        // They go as soon as the server sees that.
        if let Ok(answer) = served.ask(Method::GET, "/metrics").send().await {
            break answer.text().await.unwrap();
        }
    };
    let name = "\ngroundswell_http_refused_connections_total ";
    let count = text.split(name).nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(count.parse::<f64>().unwrap() >= 1.0, "{text}");
    served.stop().await;
}

#[tokio::test]
async fn a_method_that_a_place_does_not_take_is_told_which_it_takes() {
    let served = Served::start().await;
    for (method, path, wanted) in [
        (Method::DELETE, "/api/v1/devices", "GET,HEAD"),
        (Method::OPTIONS, "/api/v1/devices", "GET,HEAD"),
        (Method::POST, "/docs", "GET,HEAD"),
        (Method::PUT, "/api/v1/rollouts/check", "POST"),
    ] {
        let answer = served.ask(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(answer.headers()["allow"], wanted, "{method} {path}");
    }
    let head = served.ask(Method::HEAD, "/api/v1/devices").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert!(head.bytes().await.unwrap().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_in_the_log_under_the_request_s_id() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let program = Program::start(&data, None);
    let ask = |path: &str, id: &str| program.ask(Method::POST, path).header("x-request-id", id);
    let body = json!({"select": "id==x"});
    let well = ask("/api/v1/selectors/count", "well-1").json(&body).send().await.unwrap();
    assert_eq!(well.status(), StatusCode::OK);
    // What is open goes on; to change something it is opened, on a thread of its own.
    std::fs::rename(data.join("state.db"), dir.path().join("aside")).unwrap();
    std::fs::create_dir(data.join("state.db")).unwrap();
    let body = json!({"name": "ci", "kind": "operator", "role": "viewer"});
    let broken = ask("/api/v1/tokens", "broken-2").json(&body).send().await.unwrap();
    let status = broken.status();
    let told = broken.text().await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    assert!(told.contains("\"request_id\":\"broken-2\""), "{told}");
    let line = program.line_with("broken-2");
    assert!(line.starts_with("error: ") && line.ends_with(" (request id=broken-2)"), "{line}");
}

#[tokio::test]
async fn every_answer_tells_a_browser_to_keep_to_itself() {
    let served = Served::start().await;
    let long = format!("/docs?{}", "x".repeat(9_000));
    for (method, path, status) in [
        (Method::GET, "/docs", StatusCode::OK),
        (Method::GET, "/docs/problems", StatusCode::OK),
        (Method::GET, "/docs/style.css", StatusCode::OK),
        (Method::GET, "/api/v1/devices", StatusCode::OK),
        (Method::GET, "/nowhere", StatusCode::NOT_FOUND),
        (Method::OPTIONS, "/api/v1/devices", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, &long, StatusCode::URI_TOO_LONG),
    ] {
        // As a page of another site would ask.
        let request = served.ask(method, path).header("origin", "https://evil.example");
        let answer = request
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let headers = answer.headers();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        let allows =
            |name: &&reqwest::header::HeaderName| name.as_str().starts_with("access-control");
        assert_eq!(headers.keys().find(allows), None, "{path}");
        assert!(headers.contains_key("x-request-id"), "{path}");
        let is_kept = !path.starts_with("/docs") || status != StatusCode::OK;
        assert_eq!(headers["cache-control"] == "no-store", is_kept, "{path}");
    }
    served.stop().await;
}

async fn squeezed(served: &Served, method: Method, path: &str, how: &str) -> (HeaderMap, Vec<u8>) {
    let answer = served.ask(method, path).header("accept-encoding", how).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    (answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn long_answers_are_compressed_but_none_that_could_hold_a_secret() {
    let served = Served::start().await;
    let path = "/api/v1/openapi.json";
    let (_, plain) = squeezed(&served, Method::GET, path, "identity").await;
    for (how, magic) in [("gzip", &[0x1f, 0x8b][..]), ("zstd", &[0x28, 0xb5, 0x2f, 0xfd][..])] {
        let (headers, bytes) = squeezed(&served, Method::GET, path, how).await;
        assert_eq!(headers["content-encoding"], how);
        assert!(headers["vary"].to_str().unwrap().contains("accept-encoding"));
        assert!(
            bytes.starts_with(magic) && bytes.len() * 4 < plain.len(),
            "{how}: {}",
            bytes.len()
        );
    }
    // Short ones are not, nor what a tag of state belongs to.
    let (headers, _) = squeezed(&served, Method::GET, "/api/v1/devices", "gzip").await;
    assert!(!headers.contains_key("content-encoding"));
    let tags: serde_json::Map<_, _> =
        (0..60).map(|n| (format!("tag-{n}"), json!("a value of some length"))).collect();
    let device = "/api/v1/devices/till-1";
    let put = served.ask(Method::PUT, device).json(&json!({"tags": tags}));
    let put = put.header("accept-encoding", "gzip").send().await.unwrap();
    let (status, headers) = (put.status(), put.headers().clone());
    let body = put.bytes().await.unwrap();
    assert_eq!(status, StatusCode::CREATED);
    assert!(
        body.len() > 1_400 && !headers.contains_key("content-encoding"),
        "no answer to a change"
    );
    let (headers, _) = squeezed(&served, Method::GET, device, "gzip").await;
    assert!(headers.contains_key("etag") && !headers.contains_key("content-encoding"));
    served.stop().await;
}

#[tokio::test]
async fn the_documentation_needs_nobody_else() {
    let served = Served::start().await;
    let read = |path: &'static str| {
        let url = served.url(path);
        async move {
            // No token.
            let answer = reqwest::get(url).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (kind, answer.text().await.unwrap())
        }
    };
    let (kind, page) = read("/docs").await;
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(page.contains("/api/v1/rollouts/{rollout}/waves"), "{page}");
    assert_eq!(read("/docs/style.css").await.0, "text/css");
    let (_, problems) = read("/docs/problems").await;
    assert!(problems.contains("id=\"too-many-guesses\""));
    served.stop().await;
}
