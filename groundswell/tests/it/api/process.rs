//! The real program: `groundswell serve` started, stopped, killed and started again.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use groundswell::{clock::Clock, operate::State, sim::Options};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::json;
use crate::program::{Ground, Ran};

/// `groundswell serve`; killed when this is dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

fn serve(data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8", "--data"])
        .arg(data)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Process {
    /// Starts it and waits until it answers.
    fn start(data: &Path) -> Self {
        let mut child = serve(data, &[]).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = told.by_ref().map(Result::unwrap);
        let line = lines.find(|line| line.contains("http://")).unwrap();
        let address = line.split("http://").nth(1).unwrap().split(';').next().unwrap();
        let address = address.parse().unwrap();
        // What it tells later is read, so that it never waits for that.
        std::thread::spawn(move || told.for_each(drop));
        Self { child, address }
    }

    fn signal(&self) {
        self.send("-TERM");
    }

    fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// What it printed, and how it ended.
    fn end(mut self) -> (Option<i32>, String) {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (self.child.wait().unwrap().code(), out)
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_start_makes_a_directory_for_nobody_else_and_prints_a_token_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = Process::start(&data);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    first.signal();
    let (code, out) = first.end();
    assert_eq!(code, Some(0));
    assert!(out.trim().starts_with("gsw_") && out.lines().count() == 1, "{out}");
    let second = Process::start(&data);
    second.signal();
    assert_eq!(second.end(), (Some(0), String::new()));
    // No file holds it in the clear.
    let token = out.trim();
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { fs::read(&path).unwrap() } else { vec![] };
        let is_in = bytes.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!is_in, "{}", path.display());
    }
}

#[test]
fn a_second_server_on_one_directory_is_refused_and_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(dir.path());
    let second = Ran::from(serve(dir.path(), &[]).output().unwrap());
    assert_eq!(second.code, Some(3), "{second:?}");
    let named = format!("process {}", first.child.id());
    assert!(second.err.contains(&named) && second.err.contains("serve"), "{second:?}");
    assert!(TcpStream::connect(first.address).is_ok(), "the first goes on");
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("server.toml");
    fs::write(&file, "listn = \"127.0.0.1:1\"\n").unwrap();
    for (more, told) in [
        (vec!["--listen", "0.0.0.0:0"], "can be reached from other machines"),
        (vec!["--tls-cert", "/nowhere.crt"], "--tls-cert: needs --tls-key, too"),
        (vec!["--allow-network", "10.0.0.1/8"], "with these bits it is 10.0.0.0/8"),
        (vec!["--config", file.to_str().unwrap()], "did you mean listen?"),
        (
            vec!["--tls-cert", "/nowhere.crt", "--tls-key", "/nowhere.key"],
            "/nowhere.crt cannot be read",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        let ran = command.arg("serve").arg("--data").arg(&data).args(&more).output().unwrap();
        let ran = Ran::from(ran);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains(told), "{ran:?}");
    }
    assert!(!data.exists());
}

#[test]
fn settings_are_shown_with_where_they_come_from_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.toml");
    let text = "listen = \"127.0.0.1:7\"\n[delivery.headers]\nX-Key = \"s3cret\"\n";
    fs::write(&file, text).unwrap();
    let config = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        command.arg("config").args(args).env("GROUNDSWELL_MAX_IN_FLIGHT", "7");
        Ran::from(command.env("GROUNDSWELL_LISTN", "x").output().unwrap())
    };
    let path = file.to_str().unwrap();
    let shown = config(&["show", "--config", path, "--output", "json"]);
    let all = shown.json();
    let of = |key: &str| {
        let is_it = |shown: &&Value| shown["key"] == key;
        all.as_array().unwrap().iter().find(is_it).unwrap().clone()
    };
    assert_eq!(of("listen")["from"], path);
    assert_eq!(of("max_in_flight")["from"], "GROUNDSWELL_MAX_IN_FLIGHT");
    assert_eq!(of("data")["from"], "default");
    assert!(!shown.out.contains("s3cret"));
    let text = config(&["show", "--config", path]);
    assert!(text.out.contains("max_in_flight = 7 "), "{text:?}");
    assert!(!text.out.contains("s3cret"));
    assert_eq!(config(&["show", path]).out, text.out);
    assert_eq!(config(&["check", "--config", path]).code, Some(0));
    assert_eq!(config(&["check", "--config", path, path]).code, Some(2));
    let checked = config(&["check", path]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.err.contains("did you mean GROUNDSWELL_LISTEN?"), "{checked:?}");
    assert!(checked.err.contains("has secrets in it"), "{checked:?}");
    fs::write(&file, config(&["example"]).out).unwrap();
    assert_eq!(config(&["check", path]).code, Some(0));
}

/// A server that sends to a device which takes everything and says nothing.
fn with_open_delivery(data: &Path) -> (Process, TcpStream) {
    let device = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Process::start(data);
    let mut state = State::open(data).unwrap();
    let file = data.join("pos.bin");
    fs::write(&file, b"the bytes of an update").unwrap();
    state.create_release("pos", "2.0.0", &file, Clock::System.now()).unwrap();
    let now = Clock::System.now();
    let options = groundswell::inventory::Options::new("x", now);
    let row =
        json!({"id": "till-1", "address": format!("http://{}", device.local_addr().unwrap())});
    let list = groundswell::inventory::read(row.to_string().as_bytes(), &options).unwrap();
    state.import(&list).unwrap();
    let spec = data.join("spec.toml");
    fs::write(&spec, "release = \"pos 2.0.0\"\nstrategy = \"immediate\"\n").unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        let ran = Ran::from(command.args(args).arg("--state").arg(data).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    run(&["rollout", "create", spec.to_str().unwrap()]);
    run(&["rollout", "start", "1"]);
    let (open, _) = device.accept().unwrap();
    (server, open)
}

#[test]
fn told_to_stop_it_closes_its_door_and_waits_for_what_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (server, mut device) = with_open_delivery(dir.path());
    let mut idle = TcpStream::connect(server.address).unwrap();
    idle.write_all(b"GET /docs/style.css HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.signal();
    // A connection that is kept for later is closed, though it could be used again.
    let mut rest = vec![];
    idle.read_to_end(&mut rest).unwrap();
    while TcpStream::connect(server.address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // What is open is not cut off: the device still gets its answer taken.
    let mut request = [0; 4];
    device.read_exact(&mut request).unwrap();
    device.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn told_to_read_anew_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (server, mut device) = with_open_delivery(dir.path());
    server.send("-HUP");
    server.send("-HUP");
    let mut request = [0; 4];
    device.read_exact(&mut request).unwrap();
    for _ in 0..20 {
        assert!(TcpStream::connect(server.address).is_ok());
        std::thread::sleep(Duration::from_millis(5));
    }
    device.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    server.signal();
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn what_is_in_a_directory_that_others_may_enter_is_for_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(data.join("state.db"), "").unwrap();
    let mut child = serve(&data, &[]).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told: Vec<String> = told.take(2).collect();
    let warned =
        told.iter().find(|line| line.contains("may be entered by others (mode 755): chmod 700"));
    assert!(warned.is_some(), "{told:?}");
    for entry in fs::read_dir(&data).unwrap() {
        let metadata = entry.as_ref().unwrap().metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{entry:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn told_twice_it_stops_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _device) = with_open_delivery(dir.path());
    server.signal();
    while TcpStream::connect(server.address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal();
    assert_eq!(server.end().0, Some(130));
}

#[tokio::test]
async fn killed_in_the_middle_of_a_rollout_it_goes_on_where_it_was() {
    let latency = Duration::from_millis(100);
    let ground = tokio::task::spawn_blocking(move || {
        Ground::new(40, Options { latency, ..Options::default() })
    })
    .await
    .unwrap();
    let data = ground.state();
    let server = Process::start(&data);
    let token = {
        let mut state = State::open(&data).unwrap();
        let kind = groundswell::access::Kind::Operator {
            role: groundswell::access::Role::Admin,
            scope: None,
        };
        let now = Clock::System.now();
        let list = fs::read(ground.dir.path().join("devices.csv")).unwrap();
        let options = groundswell::inventory::Options::new("x", now);
        state.import(&groundswell::inventory::read(&list[..], &options).unwrap()).unwrap();
        state.create_release("pos", "2.0.0", &ground.dir.path().join("pos.bin"), now).unwrap();
        state.create_token("test", kind, None, now).unwrap().1.reveal()
    };
    let client = reqwest::Client::new();
    let ask = |address: SocketAddr, method: Method, path: &str| {
        client.request(method, format!("http://{address}/api/v1/{path}")).bearer_auth(&token)
    };
    let spec = json!({"release": "pos 2.0.0", "strategy": "immediate", "limits": {"max_in_flight": 4}, "timeouts": {"verifying": "5s"}});
    let made = ask(server.address, Method::POST, "rollouts").json(&spec).send().await.unwrap();
    json(made, StatusCode::CREATED).await;
    ask(server.address, Method::POST, "rollouts/1/start").send().await.unwrap();
    while ground.fleet.summary().requests < 10 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.kill();
    let server = Process::start(&data);
    loop {
        let shown = ask(server.address, Method::GET, "rollouts/1").send().await.unwrap();
        let shown = json(shown, StatusCode::OK).await;
        if shown["state"] == "completed" {
            break;
        }
        assert_eq!(shown["state"], "running", "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.signal();
    assert_eq!(tokio::task::spawn_blocking(|| server.end().0).await.unwrap(), Some(0));
    tokio::task::spawn_blocking(move || drop(ground)).await.unwrap();
}
