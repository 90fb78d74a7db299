//! A server in this process, and what is said to it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use groundswell::{
    Driver,
    access::{Kind, Role, Scope},
    api::Limits,
    clock::{Clock, ManualClock},
    networks::{Networks, Own},
    operate::State,
    server::{ConnectionLimits, Server, ServerError, Setup},
};
use groundswell_core::time::Time;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A server that answers, over a state directory of its own.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    /// The token of its first admin.
    pub(super) admin: String,
    stop: CancellationToken,
    running: JoinHandle<Result<(), ServerError>>,
    dir: tempfile::TempDir,
}

/// Rules by which the devices of tests may be connected to, which are on this machine.
pub(super) fn here() -> Networks {
    let allow = ["127.0.0.0/8", "::1/128"].map(|text| text.parse().unwrap());
    Networks::new(allow.to_vec(), Own::System)
}

/// What a server of tests is set up with, in `data`.
pub(super) fn setup(data: PathBuf) -> Setup {
    Setup {
        listen: "127.0.0.1:0".parse().unwrap(),
        data,
        tls: None,
        allow_plain: false,
        limits: Limits::default(),
        connections: ConnectionLimits::default(),
        networks: here(),
        gate_secrets: vec![],
    }
}

impl Served {
    pub(super) async fn start() -> Self {
        Self::start_with(|setup| setup).await
    }

    pub(super) async fn start_with(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None, Clock::System, change).await
    }

    /// One whose API goes by this clock; the rollouts go by that of the machine.
    pub(super) async fn start_by(clock: Clock, change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None, clock, change).await
    }

    /// Starts one where another was stopped, whose admin is known.
    pub(super) async fn again(dir: tempfile::TempDir, admin: String) -> Self {
        Self::start_in(dir, Some(admin), Clock::System, |setup| setup).await
    }

    async fn start_in(
        dir: tempfile::TempDir,
        admin: Option<String>,
        clock: Clock,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let setup = change(setup(dir.path().join("data")));
        let driver = Driver::new(&setup.data).called("serve");
        let server = Server::bind(setup, driver, clock).await.unwrap();
        let address = server.address().unwrap();
        let stop = CancellationToken::new();
        let (begun, is_begun) = oneshot::channel();
        let running = tokio::spawn(server.run(stop.clone(), move |first| {
            let _ = begun.send(first.map(|secret| secret.reveal()));
        }));
        let admin = is_begun.await.unwrap().or(admin).unwrap();
        Self { address, admin, stop, running, dir }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A token of an operator.
    pub(super) fn token(&self, role: Role, scope: Option<&str>) -> String {
        let scope = scope.map(|scope| Scope::parse(scope).unwrap());
        self.token_of(Kind::Operator { role, scope }, None)
    }

    pub(super) fn token_of(&self, kind: Kind, expires_at: Option<Time>) -> String {
        let mut state = State::open(&self.data()).unwrap();
        let now = Clock::System.now();
        state.create_token("test", kind, expires_at, now).unwrap().1.reveal()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request by the first admin.
    pub(super) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.ask_as(&self.admin, method, path)
    }

    pub(super) fn ask_as(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        reqwest::Client::new().request(method, self.url(path)).bearer_auth(token)
    }

    /// Reads something as the first admin.
    pub(super) async fn get(&self, path: &str) -> Value {
        json(self.ask(Method::GET, path).send().await.unwrap(), StatusCode::OK).await
    }

    /// Stops it, and keeps its directory as long as the answer is kept.
    pub(super) async fn stop_keeping(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.dir
    }

    /// Stops it, and moves its clock once somebody waits for `label`; waits until it has ended.
    pub(super) async fn stop_by(self, clock: &ManualClock, label: &str, by: Duration) {
        let moved = async {
            clock.until_waiting(label).await;
            clock.advance(by);
        };
        tokio::join!(self.stop(), moved);
    }

    /// Stops it, and waits until it has ended.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// The body of an answer that has to have this status.
pub(super) async fn json(answer: Response, status: StatusCode) -> Value {
    let (found, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(found, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// What kind of problem an answer with this status is.
pub(super) async fn problem(answer: Response, status: StatusCode) -> (String, Value) {
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "application/problem+json");
    let body = json(answer, status).await;
    assert_eq!(body["status"], status.as_u16());
    let kind = body["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    (kind, body)
}
