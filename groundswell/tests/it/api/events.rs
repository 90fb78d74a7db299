//! `/api/v1/events`: what is told, to whom, and what becomes of those who do not listen.

use std::time::{Duration, Instant};

use groundswell::{
    access::Role,
    clock::{Clock, ManualClock},
    core::{
        assignment::{self, Assignment, Fact},
        ids::AssignmentId,
        log::{Happened, Record},
        time::Time,
    },
    operate::State,
    sim::{Fleet, Options},
    store::{RolloutKey, SqliteStore, Store as _, dir},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::support::{Served, json, problem};

/// What takes longer than this does not happen at all.
const PATIENCE: Duration = Duration::from_mins(1);

/// One who listens, and goes on where it was.
struct Listener {
    answer: Option<reqwest::Response>,
    path: String,
    token: String,
    text: String,
    last: String,
    told: Vec<(String, Value)>,
}

impl Listener {
    async fn start(served: &Served, token: &str, path: &str) -> Self {
        let (path, token) = (path.to_owned(), token.to_owned());
        let (text, last) = (String::new(), String::new());
        let mut listener = Self { answer: None, path, token, text, last, told: vec![] };
        listener.connect(served).await;
        listener
    }

    async fn connect(&mut self, served: &Served) {
        let mut request = served.ask_as(&self.token, Method::GET, &self.path);
        if !self.last.is_empty() {
            request = request.header("last-event-id", &self.last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        self.answer = Some(answer);
        self.text.clear();
    }

    /// Goes on until what was told holds, or the stream ends; says which.
    async fn until(&mut self, holds: impl Fn(&Self) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if holds(self) {
                return true;
            }
            let answer = self.answer.as_mut().unwrap();
            let chunk =
                tokio::time::timeout(PATIENCE.saturating_sub(begun.elapsed()), answer.chunk());
            let chunk =
                chunk.await.unwrap_or_else(|_| panic!("waited in vain: {:?}", self.told.last()));
            let Ok(Some(bytes)) = chunk else { return false };
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                self.block(block.trim_end());
                // Whatever comes in the same piece is taken in only if it is wanted.
                if holds(self) {
                    return true;
                }
            }
        }
    }

    fn block(&mut self, block: &str) {
        let field =
            |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if let Some(id) = field("id") {
            id.clone_into(&mut self.last);
        }
        if let Some(data) = field("data") {
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(field("event"), data["kind"].as_str());
            self.told.push((self.last.clone(), data));
        }
    }

    fn has(&self, kind: &str) -> bool {
        self.told.iter().any(|(_, data)| data["kind"] == kind)
    }

    fn kinds(&self) -> Vec<&str> {
        self.told.iter().map(|(_, data)| data["kind"].as_str().unwrap()).collect()
    }
}

/// Devices of a simulated fleet, half of them in each region, and a release.
async fn stage(served: &Served, count: usize) -> Fleet {
    let fleet = Fleet::start(Options::default()).unwrap();
    let address = format!("http://127.80.0.1:{}", fleet.local_addr().port());
    for number in 0..count {
        let region = if number % 2 == 0 { "west" } else { "east" };
        let spec = json!({"address": address, "tags": {"region": region}});
        let path = format!("/api/v1/devices/till-{number:02}");
        let put = served.ask(Method::PUT, &path).json(&spec).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED);
    }
    release(served);
    fleet
}

fn release(served: &Served) {
    let file = served.data().join("pos.bin");
    std::fs::write(&file, b"the bytes of an update").unwrap();
    let mut state = State::open(&served.data()).unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
}

async fn create(served: &Served, token: &str, document: Value) -> i64 {
    let request = served.ask_as(token, Method::POST, "/api/v1/rollouts").json(&document);
    json(request.send().await.unwrap(), StatusCode::CREATED).await["number"].as_i64().unwrap()
}

async fn act(served: &Served, number: i64, verb: &str) {
    let path = format!("/api/v1/rollouts/{number}/{verb}");
    json(served.ask(Method::POST, &path).send().await.unwrap(), StatusCode::OK).await;
}

fn two_waves() -> Value {
    json!({
        "release": "pos 2.0.0", "strategy": "progressive",
        "waves": [{"percent": 30, "min_success": 90}, {"percent": 100}],
    })
}

/// A draft that chooses nobody, whose log is written by the test.
async fn draft(served: &Served) -> i64 {
    release(served);
    let document = json!({"release": "pos 2.0.0", "select": "id==nobody"});
    create(served, &served.admin, document).await
}

/// Writes `rows` rows of a thousand events each to the log of a rollout.
fn flood(served: &Served, rollout: i64, rows: i64) {
    let mut store = SqliteStore::open(&dir::database(&served.data())).unwrap();
    for row in 0..rows {
        let to =
            Assignment { state: assignment::State::Delivering, attempt: 1, ..Assignment::queued() };
        let now = Clock::System.now();
        let first = AssignmentId(1_000_000 + row * 1_000);
        let mut happened = Happened::to_one(first, Fact::Claimed, &to, Time::ZERO, now);
        happened.ids = (0..1_000).map(|at| AssignmentId(first.0 + at)).collect();
        store.note(RolloutKey(rollout), &Record::Happened(happened), now).unwrap();
    }
}

#[tokio::test]
async fn a_rollout_is_told_without_gap_or_double_over_reconnects() {
    let served = Served::start().await;
    let _fleet = stage(&served, 60).await;
    let mut cut = Listener::start(&served, &served.admin, "/api/v1/events").await;
    assert!(cut.until(|listener| !listener.last.is_empty()).await, "a place to go on from");
    let number = create(&served, &served.admin, two_waves()).await;
    act(&served, number, "start").await;
    // Cut off at places that the pace of the machine draws, and once before the first event.
    for told in [0, 7, 40, 90] {
        assert!(cut.until(|listener| listener.told.len() >= told).await);
        cut.answer = None;
        cut.connect(&served).await;
    }
    assert!(cut.until(|listener| listener.has("rollout_completed")).await);
    let path = format!("/api/v1/events?since=begin&rollout={number}");
    let mut whole = Listener::start(&served, &served.admin, &path).await;
    assert!(whole.until(|listener| listener.has("rollout_completed")).await);
    assert_eq!(cut.told, whole.told);
    let ids: Vec<(i64, u32)> = whole
        .told
        .iter()
        .map(|(id, _)| {
            // The driver's name comes behind it.
            let (seq, index) = id.split('-').next().unwrap().split_once('.').unwrap();
            (seq.parse().unwrap(), index.parse().unwrap())
        })
        .collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let succeeded = whole.told.iter().filter(|(_, data)| data["state"] == "succeeded");
    let mut devices: Vec<&str> =
        succeeded.map(|(_, data)| data["device"].as_str().unwrap()).collect();
    devices.sort_unstable();
    devices.dedup();
    assert_eq!(devices.len(), 60);
    let course =
        ["rollout_created", "operator_acted", "rollout_prepared", "rollout_began", "wave_opened"];
    let mut kinds = whole.kinds().into_iter();
    assert!(course.iter().all(|kind| kinds.any(|found| found == *kind)), "{:?}", whole.kinds());
    let ruled = whole.told.iter().find(|(_, data)| data["kind"] == "gate_ruled").unwrap();
    assert_eq!((&ruled.1["ruling"], &ruled.1["succeeded"]), (&json!("go"), &json!(18)));
    served.stop().await;
}

#[tokio::test]
async fn only_what_was_asked_for_and_may_be_seen_is_told() {
    let served = Served::start().await;
    let _fleet = stage(&served, 10).await;
    let west = served.token(Role::Operator, Some("tag.region==west"));
    let begin = "/api/v1/events";
    let mut scoped = Listener::start(&served, &west, begin).await;
    let waves = "/api/v1/events?kind=wave_opened&kind=rollout_completed";
    let mut waves = Listener::start(&served, &served.admin, waves).await;
    let all = create(&served, &served.admin, two_waves()).await;
    let own = create(&served, &west, two_waves()).await;
    let of_own = format!("/api/v1/events?rollout={own}");
    let mut of_own = Listener::start(&served, &served.admin, &of_own).await;
    act(&served, all, "start").await;
    assert!(waves.until(|listener| listener.has("rollout_completed")).await);
    act(&served, own, "start").await;
    for listener in [&mut scoped, &mut of_own] {
        assert!(listener.until(|listener| listener.has("rollout_completed")).await);
        let is_own = |(_, data): &(String, Value)| data["rollout"] == own;
        assert!(listener.told.iter().all(is_own), "{:?}", listener.told);
    }
    assert_eq!(scoped.told[0].1["kind"], "rollout_created", "it was created while it listened");
    let both = |listener: &Listener| {
        listener.told.iter().filter(|(_, d)| d["kind"] == "rollout_completed").count() == 2
    };
    assert!(waves.until(both).await);
    assert!(waves.kinds().iter().all(|kind| ["wave_opened", "rollout_completed"].contains(kind)));
    let mut again = Listener::start(&served, &west, "/api/v1/events?since=begin").await;
    assert!(again.until(|listener| listener.has("rollout_completed")).await);
    assert_eq!(again.told, scoped.told);
    let path = format!("/api/v1/events?rollout={all}");
    let hidden = served.ask_as(&west, Method::GET, &path).send().await.unwrap();
    problem(hidden, StatusCode::NOT_FOUND).await;
    let ahead = served.ask(Method::GET, "/api/v1/events?after=999999.0").send().await.unwrap();
    problem(ahead, StatusCode::UNPROCESSABLE_ENTITY).await;
    served.stop().await;
}

#[tokio::test]
async fn a_revoked_token_hears_nothing_more() {
    let served = Served::start().await;
    let number = draft(&served).await;
    let token = served.token(Role::Viewer, None);
    let mut listener = Listener::start(&served, &token, "/api/v1/events").await;
    flood(&served, number, 1);
    assert!(listener.until(|listener| listener.told.len() == 1_000).await);
    let id = token.strip_prefix("gsw_").unwrap().split('.').next().unwrap();
    let revoked = served.ask(Method::DELETE, &format!("/api/v1/tokens/{id}")).send();
    assert!(revoked.await.unwrap().status().is_success());
    // Though nothing is told it ends, and what comes then is not for it.
    assert!(!listener.until(|_| false).await);
    flood(&served, number, 1);
    let again = served.ask_as(&token, Method::GET, "/api/v1/events").send().await.unwrap();
    problem(again, StatusCode::UNAUTHORIZED).await;
    assert_eq!(listener.told.len(), 1_000);
    served.stop().await;
}

#[tokio::test]
async fn an_id_of_the_state_before_it_was_put_back_is_refused() {
    let served = Served::start().await;
    let number = draft(&served).await;
    let path = "/api/v1/events?since=begin";
    let mut listener = Listener::start(&served, &served.admin, path).await;
    assert!(listener.until(|listener| listener.has("rollout_created")).await);
    let before = listener.last.clone();
    let copied = served.data().with_extension("copy");
    State::look(&served.data()).unwrap().backup(&copied).unwrap();
    flood(&served, number, 1);
    assert!(listener.until(|listener| listener.told.len() > 1_000).await);
    let lost = listener.last.clone();
    drop(listener);
    let (data, admin) = (served.data(), served.admin.clone());
    let kept = served.stop_keeping().await;
    for name in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    std::fs::copy(&copied, data.join("state.db")).unwrap();
    let served = Served::again(kept, admin).await;
    // It goes on further than the state that was left.
    flood(&served, number, 2);
    for (id, status) in [(&before, StatusCode::OK), (&lost, StatusCode::GONE)] {
        let path = format!("/api/v1/events?after={id}");
        let answer = served.ask(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{id}");
        if status == StatusCode::GONE {
            assert_eq!(problem(answer, status).await.0, "other-state");
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn what_was_pruned_behind_an_id_is_said() {
    let served = Served::start().await;
    let _fleet = stage(&served, 10).await;
    let number = create(&served, &served.admin, two_waves()).await;
    act(&served, number, "start").await;
    let path = "/api/v1/events?since=begin";
    let mut listener = Listener::start(&served, &served.admin, path).await;
    assert!(listener.until(|listener| listener.has("wave_opened")).await);
    let early = listener.last.clone();
    assert!(listener.until(|listener| listener.has("rollout_completed")).await);
    let mut state = State::open(&served.data()).unwrap();
    let later = Time::from_millis(Clock::System.now().as_millis() + 1_000);
    let pruned = state.prune(later).unwrap();
    assert!(pruned[0].rows > 0 && pruned[0].kept.is_none(), "{pruned:?}");
    let path = format!("/api/v1/events?after={early}");
    let gone = served.ask(Method::GET, &path).send().await.unwrap();
    let (kind, told) = problem(gone, StatusCode::GONE).await;
    assert_eq!(kind, "pruned");
    let detail = told["detail"].as_str().unwrap();
    let from = detail.split("go on after ").nth(1).unwrap().split(',').next().unwrap();
    let path = format!("/api/v1/events?after={from}");
    let mut on = Listener::start(&served, &served.admin, &path).await;
    create(&served, &served.admin, two_waves()).await;
    assert!(on.until(|listener| listener.told.len() == 1).await);
    assert_eq!(on.told[0].1["kind"], "rollout_created");
    let mut begin = Listener::start(&served, &served.admin, "/api/v1/events?since=begin").await;
    assert!(begin.until(|listener| listener.has("rollout_created")).await);
    assert_eq!(begin.kinds(), ["log_pruned", "rollout_created"]);
    served.stop().await;
}

/// A connection that takes little and asks for events.
async fn deaf(served: &Served) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(served.address).await.unwrap();
    let head = format!(
        "GET /api/v1/events?since=begin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        served.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // From here on it listens, and takes no more.
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    stream
}

/// Waits until a number of the server is as wanted. It tells what was a moment ago, by its clock.
async fn until_metric(served: &Served, clock: Option<&ManualClock>, name: &str, wanted: f64) {
    let begun = Instant::now();
    loop {
        if let Some(clock) = clock {
            clock.advance(Duration::from_secs(1));
        }
        let text = served.ask(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        if (value - wanted).abs() < 0.1 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{name} is {value}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server whose time stands still until it is moved.
async fn still() -> (Served, ManualClock) {
    let clock = ManualClock::new(Clock::System.now());
    let served = Served::start_by(Clock::Manual(clock.clone()), |setup| setup).await;
    (served, clock)
}

/// How long an answer may not be taken.
const STALL_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_is_cut_off_and_slows_nobody() {
    let (served, clock) = still().await;
    let number = draft(&served).await;
    flood(&served, number, 60);
    let mut listener = Listener::start(&served, &served.admin, "/api/v1/events").await;
    let mut deaf = deaf(&served).await;
    clock.until_waiting("an answer to be taken").await;
    let cut_at = clock.now() + STALL_MAX;
    flood(&served, number, 1);
    clock.until_waiting("what the log has to tell").await;
    clock.advance(Duration::from_millis(50));
    assert!(listener.until(|listener| listener.told.len() == 1_000).await);
    clock.advance(cut_at.since(clock.now()));
    let stalled = "groundswell_http_stalled_connections_total";
    until_metric(&served, None, stalled, 1.0).await;
    until_metric(&served, Some(&clock), "groundswell_event_readers", 1.0).await;
    // What had left before is all that there is, and it is not the whole.
    let mut taken = vec![];
    let _ = deaf.read_to_end(&mut taken).await;
    assert!(taken.len() < 6 << 20, "{}", taken.len());
    served.stop_by(&clock, "readers to end", Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_answers_of_a_connection_that_is_not_taken_ends_it() {
    let (served, clock) = still().await;
    let number = draft(&served).await;
    flood(&served, number, 60);
    let stream = TokioIo::new(TcpStream::connect(served.address).await.unwrap());
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let mut connection = tokio::spawn(connection);
    let request = http::Request::get(served.url("/api/v1/events?since=begin"))
        .header("authorization", format!("Bearer {}", served.admin))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    // Its window is full, and nobody opens it; the connection itself is alive.
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let ended = loop {
        clock.advance(Duration::from_secs(1));
        tokio::select! {
            ended = &mut connection => break ended,
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    };
    ended.unwrap().unwrap_err();
    until_metric(&served, Some(&clock), "groundswell_event_readers", 0.0).await;
    drop(answer);
    served.stop_by(&clock, "readers to end", Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_listens_keeps_a_server_from_its_end() {
    let (served, clock) = still().await;
    let number = draft(&served).await;
    flood(&served, number, 60);
    let _deaf = deaf(&served).await;
    let mut listener = Listener::start(&served, &served.admin, "/api/v1/events").await;
    // A second, and not the time that requests have.
    served.stop_by(&clock, "readers to end", Duration::from_secs(1)).await;
    assert!(!listener.until(|_| false).await);
}

#[tokio::test]
async fn many_listen_and_all_are_told_the_same() {
    let served = Served::start().await;
    let number = draft(&served).await;
    let mut listeners = vec![];
    for at in 0..200 {
        let path =
            if at % 2 == 0 { "/api/v1/events" } else { "/api/v1/events?kind=operator_acted" };
        listeners.push(Listener::start(&served, &served.admin, path).await);
    }
    flood(&served, number, 2);
    act(&served, number, "cancel").await;
    let mut told = vec![];
    for mut listener in listeners {
        assert!(listener.until(|listener| listener.has("operator_acted")).await);
        told.push(listener.told);
    }
    let changed = told[0].iter().filter(|(_, data)| data["kind"] == "device_changed").count();
    assert_eq!((changed, told[1].len()), (2_000, 1));
    assert!(told.iter().step_by(2).all(|told_to| *told_to == told[0]));
    assert!(told.iter().skip(1).step_by(2).all(|told_to| *told_to == told[1]));
    served.stop().await;
}

#[tokio::test]
async fn health_is_told_to_everybody_and_numbers_to_operators() {
    let served = Served::start().await;
    let client = reqwest::Client::new();
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = client.get(served.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.text().await.unwrap(), text);
    }
    let nobody = client.get(served.url("/metrics")).send().await.unwrap();
    problem(nobody, StatusCode::UNAUTHORIZED).await;
    let west = served.token(Role::Viewer, Some("tag.region==west"));
    let scoped = served.ask_as(&west, Method::GET, "/metrics").send().await.unwrap();
    problem(scoped, StatusCode::FORBIDDEN).await;
    let fleet = stage(&served, 12).await;
    let number = create(&served, &served.admin, two_waves()).await;
    act(&served, number, "start").await;
    until_metric(&served, None, "groundswell_rollouts{state=\"completed\"}", 1.0).await;
    drop(fleet);
    let route = "groundswell_http_requests_total{method=\"PUT\",route=\"/api/v1/devices/{id}\",status=\"201\"}";
    for (name, value) in [
        ("groundswell_assignments{state=\"succeeded\"}", 12.0),
        ("groundswell_attempts_total{outcome=\"accepted\"}", 12.0),
        ("groundswell_delivery_duration_seconds_count", 12.0),
        ("groundswell_sent_bytes_total", 12.0 * 22.0),
        ("groundswell_open_deliveries", 0.0),
        (route, 12.0),
    ] {
        until_metric(&served, None, name, value).await;
    }
    let text = served.ask(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let commits = "\ngroundswell_store_commit_duration_seconds_count ";
    assert!(text.contains(commits) && !text.contains(&format!("{commits}0\n")), "{text}");
    served.stop().await;
}
