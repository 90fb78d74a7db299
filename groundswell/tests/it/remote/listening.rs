//! Events that go on where they were cut off, and lines of an import.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::Request,
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::stream;
use groundswell::client::{ClientError, EventsWant, LineResult};

use super::{Other, answer, problem};

const SSE: (&str, &str) = ("content-type", "text/event-stream");

#[tokio::test]
async fn a_stream_that_is_cut_off_goes_on_behind_the_last_id() {
    let seen: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let events = move |request: Request| {
        let id = request.headers().get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
        let mut seen = noted.lock().unwrap();
        seen.push(id);
        let parts: &[&str] = match seen.len() {
            // Cut off in the middle of an event, which is what comes behind the one before.
            1 => &[
                "retry: 1\nid: 4.0\n\nid: 4.1\nevent: a\nda",
                "ta: {\"n\":1}\n\nid: 4.2\nevent: b\ndata: {",
            ],
            2 => &["id: 4.2\nevent: b\ndata: {\"n\":2}\n\nid: 5.0\n\n"],
            3 => &[],
            _ => &["id: 6.0\nevent: c\ndata: {\"n\":3}\n\n"],
        };
        let parts: Vec<_> =
            parts.iter().map(|part| Ok::<_, std::io::Error>(Bytes::from(*part))).collect();
        async move { answer(200, &[SSE], Body::from_stream(stream::iter(parts))) }
    };
    let server = Other::start(Router::new().route("/api/v1/events", get(events))).await;
    let want = EventsWant {
        rollouts: vec!["7".to_owned()],
        kinds: vec!["a".to_owned(), "b".to_owned()],
        from_begin: true,
        after: None,
    };
    let mut listening = server.client().listen(want);
    for (kind, number) in [("a", 1), ("b", 2), ("c", 3)] {
        let event = listening.next().await.unwrap();
        assert_eq!((&*event.kind, &event.data["n"]), (kind, &serde_json::json!(number)));
    }
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(*seen.lock().unwrap(), [None, id("4.1"), id("5.0"), id("5.0")]);
    let asked = server.asked();
    assert_eq!(asked[0], "GET /api/v1/events?rollout=7&kind=a&kind=b&since=begin");
    assert_eq!(asked[1], "GET /api/v1/events?rollout=7&kind=a&kind=b");
}

#[tokio::test]
async fn a_log_that_was_pruned_is_told_and_not_asked_for_again() {
    let pruned = || async { problem(410, "pruned", "it begins with 9.0", &[]) };
    let server = Other::start(Router::new().route("/api/v1/events", get(pruned))).await;
    let want = EventsWant { after: Some("4.1".to_owned()), ..EventsWant::default() };
    let refused = server.client().listen(want).next().await.unwrap_err();
    assert_eq!(refused.to_string(), "it begins with 9.0");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn results_of_an_import_are_told_line_by_line() {
    let import = |body: String| async move {
        assert_eq!(body, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
        let parts = [
            "{\"line\":1,\"id\":\"a\",\"result\":\"crea",
            "ted\"}\n{\"line\":2,\"result\":\"error\",\"detail\":\"no\"}\n",
        ];
        let parts = parts.map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        answer(200, &[], Body::from_stream(stream::iter(parts)))
    };
    let server = Other::start(Router::new().route("/api/v1/devices/import", post(import))).await;
    let lines = ["{\"id\":\"a\"}\n", "{\"id\":\"b\"}\n"];
    let lines = lines.map(|line| Ok::<_, std::io::Error>(Bytes::from(line)));
    let mut importing = server.client().import(stream::iter(lines)).await.unwrap();
    let first = importing.next().await.unwrap().unwrap();
    assert_eq!((first.line, first.result), (1, LineResult::Created));
    let second = importing.next().await.unwrap().unwrap();
    assert_eq!((second.result, second.detail.as_deref()), (LineResult::Error, Some("no")));
    assert_eq!(importing.next().await, Ok(None));
}

#[tokio::test]
async fn an_answer_to_an_import_that_breaks_off_is_no_success() {
    let import = || async { answer(200, &[], "{\"line\":1,\"result\":\"same\"}\n{\"line\":2") };
    let server = Other::start(Router::new().route("/api/v1/devices/import", post(import))).await;
    let none = stream::empty::<Result<Bytes, std::io::Error>>();
    let mut importing = server.client().import(none).await.unwrap();
    importing.next().await.unwrap().unwrap();
    let broken = importing.next().await.unwrap_err();
    assert!(matches!(broken, ClientError::Broken { .. }), "{broken}");
}
