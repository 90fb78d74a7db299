//! External gates over real sockets: servers that are slow, cut, lie, flood and send elsewhere, and
//! operators who approve from another process.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use groundswell::sim::Options;

use super::{assert_told, driven::Stage};
use crate::program::pause;

/// What a server does with whoever asks.
#[derive(Clone, Debug)]
enum Manner {
    /// Answers with this status and body.
    Says(u16, String),
    /// Says nothing for as long as the connection is open.
    Silent,
    /// Promises more than it sends.
    Cuts,
    /// Speaks something else.
    Lies,
    /// Does not stop.
    Floods,
    /// Sends elsewhere.
    Redirects(SocketAddr),
}

/// A server of this process, and what it was asked.
struct Server {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (manner, asked) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(vec![])));
        let server = Self { address, manner: manner.clone(), asked: asked.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (manner, asked) = (manner.clone(), asked.clone());
                thread::spawn(move || answer(stream.unwrap(), &manner, &asked));
            }
        });
        server
    }

    fn does(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn says(&self, status: u16, body: &str) {
        self.does(Manner::Says(status, body.to_owned()));
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so often.
    fn until_asked(&self, times: usize) {
        for _ in 0..30_000 {
            if self.asked().len() >= times {
                return;
            }
            pause();
        }
        panic!("asked {} times", self.asked().len());
    }
}

/// Errors are those of somebody who went away.
fn answer(mut stream: TcpStream, manner: &Mutex<Manner>, asked: &Mutex<Vec<String>>) {
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    asked.lock().unwrap().push(String::from_utf8(head).unwrap());
    let manner = manner.lock().unwrap().clone();
    let mut write = |text: &str| stream.write_all(text.as_bytes());
    let _ = match manner {
        Manner::Says(status, body) => {
            let len = body.len();
            write(&format!("HTTP/1.1 {status} X\r\ncontent-length: {len}\r\n\r\n{body}"))
        }
        Manner::Silent => {
            let _ = stream.read(&mut byte);
            Ok(())
        }
        Manner::Cuts => write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"level\":0"),
        Manner::Lies => write("220 smtp.example ESMTP\r\n"),
        Manner::Floods => {
            let _ = write("HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b' '; 4096]).is_ok() {}
            Ok(())
        }
        Manner::Redirects(to) => {
            write(&format!("HTTP/1.1 307 X\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n"))
        }
    };
}

const WAVES: &str = "release = 'pos-app 2.0.0'\nsalt = 'fixed'\n\
    [[waves]]\ncount = 1\nmin_success = 100\n[[waves]]\npercent = 100\n";

/// A rollout, number 2, with a gate, that is driven and started.
fn gated(gate: &str) -> Stage {
    let mut stage = Stage::new(5, Options::default());
    fs::write(stage.dir().join("gated.toml"), format!("{WAVES}[[gates]]\n{gate}\n")).unwrap();
    let created = stage.run(&["rollout", "create", "gated.toml"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    stage.drive();
    stage.run(&["rollout", "start", "2"]);
    stage
}

fn until_why(stage: &Stage, what: &str) {
    let mut told = String::new();
    for _ in 0..2_000 {
        told = stage.told(&["rollout", "why", "2"]);
        if told.contains(what) {
            return;
        }
        pause();
    }
    panic!("no `{what}`, but {told}");
}

fn until_state(stage: &Stage, rollout: &str, wanted: &str) {
    for _ in 0..2_000 {
        if stage.rollout(rollout)["state"] == wanted {
            return;
        }
        pause();
    }
    panic!("not {wanted}: {}", stage.told(&["rollout", "show", rollout]));
}

fn wave(stage: &Stage, number: usize) -> String {
    stage.rollout("2")["waves"][number - 1]["state"].as_str().unwrap().to_owned()
}

fn replays(stage: &Stage) {
    let replayed = stage.run(&["rollout", "replay", "2"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
}

#[test]
fn only_a_whole_answer_that_says_go_opens_the_next_wave() {
    let server = Server::start(Manner::Silent);
    let elsewhere = Server::start(Manner::Says(200, r#"{"level":0}"#.to_owned()));
    let url = format!("http://{}/till?site=3", server.address);
    let stage = gated(&format!(
        "kind = 'http'\nurl = '{url}'\npointer = '/level'\nop = '<'\nvalue = 1\ntimeout = '300ms'\n\
         every = '1s'"
    ));
    let page = |body: &str| Manner::Says(200, body.to_owned());
    for (manner, told) in [
        (Manner::Silent, "no answer in time"),
        (Manner::Cuts, "connection reset"),
        (Manner::Lies, "answer is not HTTP"),
        (Manner::Floods, "answer is too large"),
        (Manner::Redirects(elsewhere.address), "HTTP 307, /level < 1 wanted"),
        (Manner::Says(503, r#"{"level":0}"#.to_owned()), "HTTP 503, /level < 1 wanted"),
        (page(r#"{"level":"0"}"#), r#"HTTP 200, "0", /level < 1 wanted"#),
        (page(r#"{"level":null}"#), "HTTP 200, null in that place"),
        (page(r#"{"levels":0}"#), "HTTP 200, nothing in that place"),
        (page("<html>"), "HTTP 200, no JSON"),
        (page(r#"{"level":1}"#), "HTTP 200, 1, /level < 1 wanted"),
    ] {
        server.does(manner.clone());
        until_why(&stage, told);
        assert_eq!(wave(&stage, 2), "pending", "{manner:?}");
    }
    assert!(elsewhere.asked().is_empty(), "it was not followed");
    server.says(200, r#"{"level":0.999999}"#);
    until_state(&stage, "2", "completed");
    let shown = stage.told(&["rollout", "show", "2"]).replace(&server.address.to_string(), "HOST");
    let said: Vec<&str> = shown.lines().filter(|line| line.starts_with("  wave ")).collect();
    assert_told!(said[1..].join("\n"), @"
      wave 1  go: 1 of 1 succeeded, at least 100 % required, 1 external gate says go
      wave 2  go: 4 of 4 succeeded
      wave 1  gate 1, TIME: HTTP 200, 0.999999 (the check http http://HOST/till, /level < 1 wanted)
    ");
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /till?site=3 HTTP/1.1\r\n"), "{asked:?}");
    assert!(!asked[0].to_lowercase().contains("x-device-id"), "{asked:?}");
    replays(&stage);
}

#[test]
fn prometheus_is_asked_with_a_secret_that_nobody_reads() {
    let result = |result: &str| {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#)
    };
    let value = |value: &str| result(&format!(r#"[{{"metric":{{}},"value":[1,"{value}"]}}]"#));
    let server = Server::start(Manner::Says(200, result("[]")));
    let url = format!("http://{}/prom/", server.address);
    let stage = gated(&format!(
        "kind = 'prometheus'\nurl = '{url}'\nquery = 'sum(rate(errors{{a=\"b c\"}}[5m]))'\nop = '<'\n\
         value = 0.01\nevery = '1s'\nheaders = {{ Authorization = 'file:token' }}\non_false = 'stop'"
    ));
    until_why(&stage, "not asked, the header Authorization has no value here");
    assert!(server.asked().is_empty());
    fs::write(stage.dir().join("token"), "Bearer hunter2hunter2\n").unwrap();
    until_why(&stage, "no result of the query");
    server.says(200, &value("NaN"));
    until_why(&stage, "no number that can be compared");
    // Whoever echoes what it was sent is not believed either.
    server.says(200, &value("hunter2hunter2"));
    server.until_asked(server.asked().len() + 1);
    server.says(200, &value("0.01"));
    until_state(&stage, "2", "paused");
    let why = stage.told(&["rollout", "why", "2"]).replace(&url, "URL/");
    assert_told!(why, @r#"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, paused by the gate

    paused by the gate: advance overrides it

      wave 1  stop: 1 of 1 succeeded, at least 100 % required, external gate 1 says stop
      wave 1  gate 1, TIME: HTTP 200, 0.01 (the check prometheus URL/ `sum(rate(errors{a="b c"}[5m]))`, result < 0.01 wanted)
    "#);
    let shown = stage.told(&["rollout", "show", "2"]);
    assert!(shown.contains("external gate 1 says stop"), "{shown}");
    let asked = server.asked();
    let first =
        "GET /prom/api/v1/query?query=sum%28rate%28errors%7Ba%3D%22b%20c%22%7D%5B5m%5D%29%29 ";
    assert!(asked[0].starts_with(first), "{asked:?}");
    assert!(asked[0].contains("hunter2hunter2"), "{asked:?}");
    let explained = stage.told(&["rollout", "explain", "2"]);
    let read = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(read.contains(": HTTP 200, 0.01, result < 0.01 wanted"), "{explained}");
    let log = fs::read_to_string(stage.dir().join("run.log")).unwrap();
    let data = stage.dir().join("groundswell-data");
    let mut kept = vec![shown.into_bytes(), explained.into_bytes(), log.into_bytes()];
    for entry in fs::read_dir(data).unwrap().map(Result::unwrap) {
        kept.extend(fs::read(entry.path()).ok());
    }
    for bytes in kept {
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "a secret was written down");
    }
    replays(&stage);
}

#[test]
fn somebody_approves_beside_a_driver_and_without_one() {
    let mut stage = gated("kind = 'approval'");
    until_why(&stage, "wave 2 of 2 waits for an operator's approval: approve opens it");
    assert_told!(stage.told(&["rollout", "approve", "2", "--wave", "1"]), @"
    exit 2
    --- err
    error: rollout 2: wave 1 is not the one that opens next: that is wave 2 of 2
    ");
    assert_told!(stage.told(&["rollout", "approve", "1"]), @"
    exit 2
    --- err
    error: rollout 1: cannot approve a draft rollout: start it
    ");
    stage.run(&["rollout", "pause", "2"]);
    stage.kill();
    assert_told!(stage.told(&["rollout", "approve", "2", "--reason", "  "]), @"
    exit 2
    --- err
    error: --reason: say in 1 to 500 characters why it may go on, or leave it out
    ");
    let approve = ["rollout", "approve", "2", "--wave", "2", "--reason", "no calls overnight"];
    assert_told!(stage.told(&approve), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is paused; wave 2 of 2 is approved, and opens once all else says go
    nothing drives groundswell-data now: `groundswell run` does
    ");
    stage.drive();
    assert_told!(stage.told(&["rollout", "approve", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is paused: it was approved before
    ");
    assert_eq!(wave(&stage, 2), "pending");
    stage.run(&["rollout", "resume", "2"]);
    until_state(&stage, "2", "completed");
    let wave = &stage.rollout("2")["waves"][0];
    assert!(wave["approved_at"].is_number());
    assert_eq!(wave["approved_because"], "no calls overnight");
    let shown = stage.told(&["rollout", "show", "2"]);
    assert!(shown.contains(": approved: no calls overnight (an operator's approval)"), "{shown}");
    let explained = stage.told(&["rollout", "explain", "2"]);
    assert!(explained.contains("the operator said approve: no calls overnight"), "{explained}");
    assert_told!(stage.told(&["rollout", "approve", "2", "--wave", "2"]), @"
    exit 2
    --- err
    error: rollout 2: wave 2 is not the one that opens next: none is left to be opened
    ");
    assert_told!(stage.told(&["rollout", "approve", "2"]), @"
    exit 2
    --- err
    error: rollout 2: cannot approve a completed rollout: no wave will open any more
    ");
    replays(&stage);
}

/// What was answered before a driver died is asked anew, and what was open then opens nothing.
#[test]
fn a_restart_in_the_middle_of_a_question() {
    let server = Server::start(Manner::Silent);
    let url = format!("http://{}/", server.address);
    let mut stage = gated(&format!("kind = 'http'\nurl = '{url}'\ntimeout = '60s'\nevery = '1h'"));
    server.until_asked(1);
    stage.kill();
    server.says(503, "");
    stage.drive();
    until_why(&stage, "HTTP 503, HTTP 200 wanted; asked again in 59 min");
    stage.kill();
    server.says(200, "");
    stage.drive();
    until_state(&stage, "2", "completed");
    replays(&stage);
}

/// Deliveries go on while a server lets somebody wait.
#[test]
fn who_waits_for_an_answer_holds_nobody_up() {
    let server = Server::start(Manner::Silent);
    let url = format!("http://{}/", server.address);
    let stage = gated(&format!("kind = 'http'\nurl = '{url}'\ntimeout = '60s'"));
    server.until_asked(1);
    stage.run(&["release", "create", "menu", "3.0.0", "pos.bin"]);
    fs::write(stage.dir().join("menu.toml"), "release = 'menu 3.0.0'").unwrap();
    stage.run(&["rollout", "create", "menu.toml"]);
    stage.run(&["rollout", "start", "3"]);
    until_state(&stage, "3", "completed");
    assert_eq!(server.asked().len(), 1, "one question at a time");
    assert_told!(stage.told(&["rollout", "advance", "2"]), @"
    exit 0
    --- out
    rollout 2 (pos-app 2.0.0) is running, on with wave 2 of 2
    ");
    until_state(&stage, "2", "completed");
}

/// Whoever advances over an external gate can read later which one that was.
#[test]
fn an_advance_over_an_external_gate_names_it() {
    let stage = gated("kind = 'approval'");
    until_why(&stage, "wave 2 of 2 waits for an operator's approval: approve opens it");
    stage.run(&["rollout", "advance", "2"]);
    until_state(&stage, "2", "completed");
    let shown = stage.told(&["rollout", "show", "2"]);
    for line in [
        "wave 1  overridden by the operator: 1 of 1 succeeded, at least 100 % required, external gate 1 had not said go",
        "wave 1  gate 1, not waited for: an operator's approval",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let view = stage.rollout("2");
    assert_eq!(view["waves"][0]["passed_over"][0]["asks"], "an operator's approval");
    replays(&stage);
}
