//! Tokens that end while something is done by them: nothing more of it is written.

use std::{fs, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use groundswell::{
    access::{Kind, Role, Secret},
    clock::Clock,
    operate::State,
};
use groundswell_core::release::Digest;
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, task::JoinHandle};

use super::support::{Served, json, problem};

/// More than is gathered of an upload before it is written.
const PART: usize = (1 << 20) + 1;

type Sent = mpsc::Sender<Result<Bytes, std::io::Error>>;

/// A body that comes bit by bit.
fn body() -> (Sent, Body) {
    let (send, parts) = mpsc::channel(1);
    let parts = futures_util::stream::unfold(parts, |mut parts: mpsc::Receiver<_>| async {
        parts.recv().await.map(|part| (part, parts))
    });
    (send, Body::wrap_stream(parts))
}

fn revoke(served: &Served, token: &str) {
    let id = Secret::parse(token).unwrap().id().clone();
    let mut state = State::open(&served.data()).unwrap();
    assert!(state.revoke_token(&id, Clock::System.now()).unwrap());
}

fn importing(served: &Served, token: &str, body: Body) -> RequestBuilder {
    let request = served.ask_as(token, Method::POST, "/api/v1/devices/import");
    request.header("content-type", "application/x-ndjson").body(body)
}

fn line(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[tokio::test]
async fn an_import_ends_with_its_token_whether_lines_come_or_not() {
    let served = Served::start().await;
    for is_sent in [true, false] {
        let token = served.token(Role::Operator, None);
        let (send, body) = body();
        send.send(Ok("{\"id\": \"before\"}\n".into())).await.unwrap();
        let answer = importing(&served, &token, body).send().await.unwrap();
        let mut answer = answer.bytes_stream();
        assert_eq!(line(&answer.next().await.unwrap().unwrap())["id"], "before");
        revoke(&served, &token);
        if is_sent {
            send.send(Ok("{\"id\": \"after\"}\n".into())).await.unwrap();
        }
        let last = line(&answer.next().await.unwrap().unwrap());
        assert_eq!((&last["line"], &last["result"]), (&json!(2), &json!("error")), "{last}");
        assert!(last["detail"].as_str().unwrap().contains("revoked"), "{last}");
        assert!(answer.next().await.is_none());
        let after = served.ask(Method::GET, "/api/v1/devices/after").send().await.unwrap();
        problem(after, StatusCode::NOT_FOUND).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_token_that_expires_ends_an_import_too() {
    let served = Served::start().await;
    let expires_at = Some(Clock::System.now() + Duration::from_secs(3));
    let kind = Kind::Operator { role: Role::Operator, scope: None };
    let token = served.token_of(kind, expires_at);
    let (_send, body) = body();
    let answer = importing(&served, &token, body).send().await.unwrap();
    // On a machine that takes longer until here there was nothing to expire.
    if answer.status() == StatusCode::OK {
        let last = line(&answer.bytes_stream().next().await.unwrap().unwrap());
        assert!(last["detail"].as_str().unwrap().contains("expired"), "{last}");
    }
    served.stop().await;
}

/// Sends a body by this request in the background.
fn sending(request: RequestBuilder, body: Body) -> JoinHandle<Response> {
    let request = request.header("content-type", "application/octet-stream").body(body);
    tokio::spawn(async move { request.send().await.unwrap() })
}

#[tokio::test]
async fn an_upload_ends_with_its_token() {
    let served = Served::start().await;
    let all = vec![7; 2 * PART];
    let digest = Digest(Sha256::digest(&all).into());
    let part = || Ok(Bytes::from(vec![7; PART]));

    // In parts: what came before stays, nothing comes behind it.
    let token = served.token(Role::Operator, None);
    let opened = json!({ "digest": digest, "bytes": all.len() });
    let opened = served.ask_as(&token, Method::POST, "/api/v1/artifacts").json(&opened);
    let opened = json(opened.send().await.unwrap(), StatusCode::CREATED).await;
    let at = format!("/api/v1/artifacts/uploads/{}", opened["upload"].as_str().unwrap());
    let (send, body) = body();
    let patch = served.ask_as(&token, Method::PATCH, &at).header("upload-offset", 0);
    let answered = sending(patch, body);
    send.send(part()).await.unwrap();
    let arrived = async || {
        let shown = served.ask_as(&token, Method::GET, &at).send().await.unwrap();
        json(shown, StatusCode::OK).await["offset"].as_u64().unwrap()
    };
    while arrived().await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    revoke(&served, &token);
    send.send(part()).await.unwrap();
    drop(send);
    let (kind, _) = problem(answered.await.unwrap(), StatusCode::UNAUTHORIZED).await;
    assert_eq!(kind, "unauthorized");

    // Whole: nothing is there.
    let token = served.token(Role::Operator, None);
    let at = format!("/api/v1/artifacts/{digest}");
    let (send, body) = self::body();
    let answered = sending(served.ask_as(&token, Method::PUT, &at), body);
    let files = || fs::read_dir(served.data().join("artifacts")).unwrap().count();
    let before = files();
    send.send(part()).await.unwrap();
    while files() == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    revoke(&served, &token);
    send.send(part()).await.unwrap();
    drop(send);
    problem(answered.await.unwrap(), StatusCode::UNAUTHORIZED).await;
    let artifact = served.ask(Method::GET, &at).send().await.unwrap();
    problem(artifact, StatusCode::NOT_FOUND).await;
    served.stop().await;
}
