//! The server itself: who may talk to it, how it starts and ends.

use groundswell::{
    Driver,
    access::{Kind, Role},
    clock::Clock,
    server::{Server, ServerError},
};
use groundswell_core::time::Time;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{Served, problem, setup};

#[tokio::test]
async fn only_a_good_token_is_answered_and_guessing_is_slowed() {
    let served = Served::start().await;
    let get = |token: &str| served.ask_as(token, Method::GET, "/api/v1/devices").send();
    let viewer = served.token(Role::Viewer, None);
    assert_eq!(get(&viewer).await.unwrap().status(), StatusCode::OK);
    let kind = Kind::Operator { role: Role::Admin, scope: None };
    let expired = served.token_of(kind, Some(Time::from_millis(1)));
    let answer = get(&expired).await.unwrap();
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    let (_, told) = problem(answer, StatusCode::UNAUTHORIZED).await;
    assert_eq!(told["detail"], "the token has expired");
    let end = if viewer.ends_with("AA") { "BA" } else { "AA" };
    let forged = format!("{}{end}", &viewer[..viewer.len() - 2]);
    for _ in 0..10 {
        problem(get(&forged).await.unwrap(), StatusCode::UNAUTHORIZED).await;
    }
    let answer = get(&forged).await.unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(problem(answer, StatusCode::TOO_MANY_REQUESTS).await.0, "too-many-guesses");
    problem(get("gsw_unknown").await.unwrap(), StatusCode::TOO_MANY_REQUESTS).await;
    // Who guessed so often is not told that the last one was right.
    problem(get(&viewer).await.unwrap(), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(get(&served.admin).await.unwrap().status(), StatusCode::OK, "others go on");
    served.stop().await;
}

#[tokio::test]
async fn a_token_that_was_good_once_is_no_guess() {
    let served = Served::start().await;
    let get = |token: &str| served.ask_as(token, Method::GET, "/api/v1/devices").send();
    let kind = Kind::Operator { role: Role::Admin, scope: None };
    let expired = served.token_of(kind, Some(Time::from_millis(1)));
    let revoked = served.token(Role::Viewer, None);
    let id = revoked.strip_prefix("gsw_").unwrap().split('.').next().unwrap();
    let path = format!("/api/v1/tokens/{id}");
    assert!(served.ask(Method::DELETE, &path).send().await.unwrap().status().is_success());
    for _ in 0..12 {
        problem(get(&expired).await.unwrap(), StatusCode::UNAUTHORIZED).await;
        problem(get(&revoked).await.unwrap(), StatusCode::UNAUTHORIZED).await;
    }
    problem(get("gsw_unknown").await.unwrap(), StatusCode::UNAUTHORIZED).await;
    served.stop().await;
}

#[tokio::test]
async fn callers_behind_a_proxy_are_told_apart() {
    let served = Served::start_with(|mut setup| {
        setup.connections.proxies = vec!["127.0.0.1".parse().unwrap()];
        setup.limits.guesses_max = 2;
        setup
    })
    .await;
    let guess = async |from: &str| {
        let request = served.ask_as("gsw_unknown", Method::GET, "/api/v1/devices");
        request.header("x-forwarded-for", from).send().await.unwrap()
    };
    for _ in 0..2 {
        problem(guess("1.2.3.4").await, StatusCode::UNAUTHORIZED).await;
    }
    problem(guess("made up, 1.2.3.4").await, StatusCode::TOO_MANY_REQUESTS).await;
    problem(guess("1.2.3.5").await, StatusCode::UNAUTHORIZED).await;
    served.stop().await;
}

#[tokio::test]
async fn plain_http_is_not_heard_beyond_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(dir.path().join("data"));
    setup.listen = "0.0.0.0:0".parse().unwrap();
    let driver = Driver::new(&setup.data);
    let refused = Server::bind(setup, driver, Clock::System).await.unwrap_err();
    assert!(matches!(refused, ServerError::Plain { .. }), "{refused}");
    assert!(!dir.path().join("data").exists());
}

#[tokio::test]
async fn a_body_of_which_nothing_comes_is_not_waited_for() {
    let served = Served::start_with(|mut setup| {
        setup.connections.stall_max = std::time::Duration::from_millis(300);
        setup
    })
    .await;
    let mut stream = tokio::net::TcpStream::connect(served.address).await.unwrap();
    let head = format!(
        "PUT /api/v1/devices/till-1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\nAuthorization: Bearer {}\r\n\r\n{{",
        served.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("urn:groundswell:problem:stalled"), "{answer}");
    served.stop().await;
}
