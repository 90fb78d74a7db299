//! Files that are sent in parts, and go on after a cut.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    routing::{get, post},
};

use super::{Other, answer, problem};

const PART: usize = 8 << 20;

#[tokio::test]
async fn a_file_goes_on_from_where_it_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pos.bin");
    let bytes: Vec<u8> = (0..PART * 2 + 1_000).map(|at| (at % 251) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let kept: Arc<Mutex<(Vec<u8>, u32)>> = Arc::default();
    let len = bytes.len();
    let (known, taken) = (Arc::clone(&kept), Arc::clone(&kept));
    let append = move |request: Request| {
        let kept = Arc::clone(&taken);
        async move {
            let offset: usize =
                request.headers()["upload-offset"].to_str().unwrap().parse().unwrap();
            let part = to_bytes(request.into_body(), PART).await.unwrap();
            let mut kept = kept.lock().unwrap();
            kept.1 += 1;
            if offset != kept.0.len() {
                return problem(409, "offset", "not there", &[]);
            }
            // Of the second part only a half gets there before the cut.
            let got = if kept.1 == 2 { part.len() / 2 } else { part.len() };
            kept.0.extend_from_slice(&part[..got]);
            match kept.1 {
                2 => problem(409, "offset", "cut", &[]),
                _ if kept.0.len() == len => answer(201, &[], "{}"),
                _ => answer(200, &[], "{}"),
            }
        }
    };
    let offset = move || {
        let offset = known.lock().unwrap().0.len();
        async move { answer(200, &[], format!("{{\"offset\":{offset}}}")) }
    };
    let routes = Router::new()
        .route("/api/v1/artifacts", post(|| async { r#"{"upload":"u1","offset":0}"# }))
        .route("/api/v1/artifacts/uploads/u1", get(offset).patch(append));
    let server = Other::start(routes).await;
    let uploaded = server.client().upload(&path).await.unwrap();
    assert_eq!(uploaded.bytes, len as u64);
    assert!(kept.lock().unwrap().0 == bytes, "the very bytes, once");
    let asked = server.asked();
    let sent = asked.iter().filter(|line| line.starts_with("PATCH")).count();
    assert_eq!((asked.len(), sent), (5, 3), "{asked:?}");
}

#[tokio::test]
async fn a_file_that_is_there_already_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pos.bin");
    std::fs::write(&path, b"new software").unwrap();
    let there = r#"{"digest":"aa","bytes":12,"releases":[]}"#;
    let routes = Router::new().route("/api/v1/artifacts", post(move || async move { there }));
    let server = Other::start(routes).await;
    assert_eq!(server.client().upload(&path).await.unwrap().bytes, 12);
    assert_eq!(server.asked().len(), 1);
    let refused = server.client().upload(&dir.path().join("gone")).await.unwrap_err();
    assert!(refused.to_string().contains("gone cannot be read: No such file"), "{refused}");
}

#[tokio::test]
async fn an_upload_that_somebody_else_is_at_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pos.bin");
    std::fs::write(&path, b"new software").unwrap();
    let busy = Arc::new(Mutex::new(0));
    let append = move || {
        *busy.lock().unwrap() += 1;
        // More often than cuts in a row are taken.
        let is_free = *busy.lock().unwrap() > 7;
        async move {
            if is_free { answer(201, &[], "{}") } else { problem(409, "busy", "another", &[]) }
        }
    };
    let offset = || async { answer(200, &[], r#"{"offset":0}"#) };
    let routes = Router::new()
        .route("/api/v1/artifacts", post(|| async { r#"{"upload":"u1","offset":0}"# }))
        .route("/api/v1/artifacts/uploads/u1", get(offset).patch(append));
    let server = Other::start(routes).await;
    assert_eq!(server.client().upload(&path).await.unwrap().bytes, 12);
}
