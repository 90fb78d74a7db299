//! Servers that do what ours do not.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::{
    Router,
    extract::Request,
    routing::{any, get, post},
};
use groundswell::client::ClientError;
use groundswell_core::rollout::Act;

use super::{Other, answer, problem};
use crate::{operate::groundswell, program::Ran};

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_token_stays_here() {
    let elsewhere = Other::start(Router::new().fallback(any(|| async { "{}" }))).await;
    let to = format!("{}/stolen", elsewhere.url());
    let redirect = move || {
        let to = to.clone();
        async move { answer(307, &[("location", &to)], "") }
    };
    let server = Other::start(Router::new().fallback(any(redirect))).await;
    let refused = server.client().whoami().await.unwrap_err();
    assert!(matches!(refused, ClientError::Redirected { .. }), "{refused}");
    assert!(refused.to_string().contains("where the token is not shown"), "{refused}");
    assert_eq!(elsewhere.asked(), [""; 0], "nobody came");
}

#[tokio::test]
async fn a_server_of_another_version_is_told_with_both_versions() {
    let me = r#"{"version": "9.9.9", "who": "somebody"}"#;
    let routes = Router::new()
        .route("/api/v1/whoami", get(move || async move { me }))
        .route("/api/v1/rollouts/1", get(|| async { r#"{"number": "one"}"# }))
        .fallback(|| async { problem(404, "no-such-place", "there is no such place", &[]) });
    let server = Other::start(routes).await;
    for refused in [
        server.client().rollout("1").await.unwrap_err(),
        server.client().budgets().await.unwrap_err(),
    ] {
        let told = refused.to_string();
        assert!(told.contains("the server is of version 9.9.9, this program of 0.1.0"), "{told}");
        assert!(!refused.is_of_input());
    }
    // It is not asked for its version for ever.
    let refused = server.client().whoami().await.unwrap_err();
    assert!(matches!(refused, ClientError::OtherVersion { .. }), "{refused}");
    let other = Other::start(Router::new().fallback(|| async { answer(502, &[], "<html>") })).await;
    let told = other.client().all_rollouts().await.unwrap_err().to_string();
    assert!(told.contains("answers 502, and not as a Groundswell server does"), "{told}");
}

#[tokio::test]
async fn what_may_be_asked_twice_is_asked_again_and_an_act_is_not() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let busy = || problem(503, "store", "the state cannot be read", &[("retry-after", "0")]);
    let list = move || async move {
        match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => problem(429, "too-many", "wait", &[("retry-after", "0")]),
            1 => busy(),
            _ => answer(200, &[("content-type", "application/json")], r#"{"rollouts": []}"#),
        }
    };
    let late = || async { problem(503, "store", "not now", &[("retry-after", "3600")]) };
    let routes = Router::new()
        .route("/api/v1/rollouts", get(list))
        .route("/api/v1/budgets", get(late))
        .route("/api/v1/rollouts/1/advance", post(move || async move { busy() }));
    let server = Other::start(routes).await;
    assert!(server.client().all_rollouts().await.unwrap().is_empty());
    let before = server.asked().len();
    assert_eq!(before, 3);
    let refused = server.client().act("1", Act::Advance).await.unwrap_err();
    assert!(refused.problem().is_some_and(|problem| problem.status == 503), "{refused}");
    assert_eq!(server.asked().len(), before + 1, "said twice, it would open two waves");
    // Nobody waits for an hour.
    server.client().budgets().await.unwrap_err();
    assert_eq!(server.asked().len(), before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_given_back_as_it_came() {
    let page = |request: Request| async move {
        let is_first = !request.uri().query().unwrap_or_default().contains("cursor=");
        let next = if is_first { r#","next":"!","up_to":5"# } else { r#","up_to":3,"next":"?""# };
        let entry =
            r#"{"seq":6,"at":0,"who":"anna","from":"here","action":"a","subject":"b","hash":""}"#;
        answer(200, &[], format!(r#"{{"devices":[],"entries":[{entry}]{next}}}"#))
    };
    let last = |request: Request| async move {
        let is_first = !request.uri().query().unwrap_or_default().contains("cursor=");
        let next = if is_first { r#","next":"!""# } else { "" };
        answer(200, &[], format!(r#"{{"devices":[],"count":0{next}}}"#))
    };
    let routes = Router::new()
        .route("/api/v1/audit", get(page))
        .route("/api/v1/devices", get(last))
        .route("/api/v1/selectors/count", post(|| async { r#"{"count":0}"# }));
    let server = Other::start(routes).await;
    server.client().part(None, Some("b/1"), 10).await.unwrap();
    let asked: Vec<String> =
        server.asked().into_iter().filter(|line| line.starts_with("GET")).collect();
    let path = "GET /api/v1/devices?after=b%2F1&limit=10";
    assert_eq!(asked, [path.to_owned(), format!("{path}&cursor=%21")]);

    let dir = tempfile::tempdir().unwrap();
    let mut command = groundswell(dir.path(), &["audit", "list", "--limit", "2", "--before", "7"]);
    command.args(["--server", &server.url()]).env("GROUNDSWELL_TOKEN", "gsw_a.b");
    let listed = tokio::task::spawn_blocking(move || Ran::from(command.output().unwrap()));
    let listed = listed.await.unwrap();
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.out.contains("there may be more: --before 3"), "{}", listed.out);
}

#[tokio::test]
async fn ids_are_one_part_of_a_path_whatever_is_in_them() {
    let gone = || async { problem(404, "not-found", "there is no device", &[]) };
    let server = Other::start(Router::new().fallback(any(gone))).await;
    for id in ["a/b", "a?b#c", "ä %2F"] {
        let refused = server.client().device(id).await.unwrap_err();
        assert!(refused.is_of_input());
    }
    assert_eq!(
        server.asked(),
        [
            "GET /api/v1/devices/a%2Fb",
            "GET /api/v1/devices/a%3Fb%23c",
            "GET /api/v1/devices/%C3%A4%20%252F",
        ]
    );
}
