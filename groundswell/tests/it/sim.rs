//! The simulated fleet over real sockets, and `groundswell sim` as a program.

mod faults;
mod network;
mod program;

use std::{
    io,
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use groundswell::{
    clock::{Clock, ManualClock},
    core::time::Time,
    sim::{Digest, EventKind, Fleet, Options, Report},
};
use sha2::Digest as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const HOST: &str = "127.0.0.1";

/// How a connection ended, and what came before.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Closed(String),
    Reset(String),
}

use Ended::{Closed, Reset};

fn fleet(faults: &[&str]) -> Fleet {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    Fleet::start(Options { faults, ..Options::default() }).unwrap()
}

fn manual() -> (ManualClock, Clock) {
    let manual = ManualClock::new(Time::from_millis(1_000_000));
    (manual.clone(), Clock::Manual(manual))
}

async fn connect(fleet: &Fleet, host: &str) -> TcpStream {
    let address = (host, fleet.local_addr().port());
    TcpStream::connect(address).await.unwrap()
}

/// Only a broken fleet takes this long; then a test fails instead of waiting forever.
const PATIENCE: Duration = Duration::from_secs(20);

async fn read_to_end(stream: &mut TcpStream) -> Ended {
    let mut bytes = vec![];
    let ended = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match ended.map_err(|error| error.kind()) {
        Ok(_) => Closed(text),
        Err(io::ErrorKind::ConnectionReset) => Reset(text),
        Err(other) => panic!("{other:?} after {text:?}"),
    }
}

/// Lets the fleet go on until `is_so`.
async fn until(mut is_so: impl FnMut() -> bool) {
    let turns = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, turns).await.unwrap();
}

/// Sends raw bytes on a connection of its own and reads until it ends.
async fn exchange(fleet: &Fleet, host: &str, request: &str) -> Ended {
    let mut stream = connect(fleet, host).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    read_to_end(&mut stream).await
}

fn post(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /update HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: d\r\nconnection: close\r\n{headers}\r\n")
}

/// The status and the body of a whole answer.
async fn ask(fleet: &Fleet, host: &str, request: &str) -> (u16, String) {
    match exchange(fleet, host, request).await {
        Closed(text) => {
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            (head[9..12].parse().unwrap(), body.to_owned())
        }
        Reset(text) => panic!("reset after {text:?}"),
    }
}

async fn version(fleet: &Fleet, host: &str) -> String {
    let (status, body) = ask(fleet, host, &get("/version", "")).await;
    assert_eq!(status, 200);
    body
}

const TO_TWO: &str = "x-firmware-version: 2.0.0\r\nidempotency-key: k1\r\nx-update-id: u1\r\n";
const ACCEPTED: &str = r#"{"accepted":true}"#;

#[tokio::test]
async fn devices_are_told_apart_by_header_or_address() {
    let fleet = fleet(&[]);
    let named = format!("x-device-id: caf%C3%A9%201\r\n{TO_TWO}");
    assert_eq!(ask(&fleet, HOST, &post(&named, "abc")).await, (200, ACCEPTED.to_owned()));
    assert_eq!(ask(&fleet, "127.9.8.7", &post(TO_TWO, "abcd")).await.0, 200);
    assert_eq!(version(&fleet, "127.9.8.7").await, r#"{"version":"2.0.0"}"#);
    assert_eq!(version(&fleet, "127.9.8.8").await, r#"{"version":"1.0.0"}"#);
    let report = fleet.report();
    assert_eq!(report.devices.keys().collect::<Vec<_>>(), ["127.9.8.7", "127.9.8.8", "café 1"]);
    assert_eq!(report.devices["café 1"].bytes, 3);
    assert_eq!(report.devices["127.9.8.7"].bytes, 4);
}

#[tokio::test]
async fn ids_that_cannot_be_are_refused() {
    let fleet = fleet(&[]);
    let twice = post("x-device-id: a\r\nx-device-id: a\r\n", "abc");
    let (status, body) = ask(&fleet, HOST, &twice).await;
    assert_eq!(status, 400);
    assert_eq!(body, r#"{"error":"X-Device-ID is there twice, too long or not readable"}"#);
    assert_eq!(ask(&fleet, HOST, &get("/version", "x-device-id: a%00\r\n")).await.0, 400);
    assert_eq!(fleet.summary().devices, 0);
}

#[tokio::test]
async fn other_routes_say_what_there_is() {
    let fleet = fleet(&[]);
    assert_eq!(ask(&fleet, HOST, &get("/deep/down/version", "")).await.0, 200);
    assert_eq!(ask(&fleet, HOST, &get("/update", "")).await.0, 405);
    assert_eq!(ask(&fleet, HOST, &get("/sim/report?device=nobody", "")).await.0, 404);
    let (status, body) = ask(&fleet, HOST, &get("/", "")).await;
    assert_eq!(status, 404);
    assert!(body.contains("POST .../update"), "{body}");
}

#[tokio::test]
async fn the_report_tells_what_happened_in_order() {
    let (manual, clock) = manual();
    let fleet = Fleet::start(Options { clock, ..Options::default() }).unwrap();
    version(&fleet, HOST).await;
    version(&fleet, HOST).await;
    manual.advance(Duration::from_millis(7));
    ask(&fleet, HOST, &post(TO_TWO, "abc")).await;
    ask(&fleet, HOST, &post(TO_TWO, "abc")).await;
    version(&fleet, HOST).await;
    let (_, body) = ask(&fleet, HOST, &get("/sim/report?device=127.0.0.1", "")).await;
    let report: serde_json::Value = serde_json::from_str(&body).unwrap();
    insta::assert_json_snapshot!(report, @r#"
    {
      "bytes": 6,
      "events": [
        {
          "at_ms": 0,
          "kind": "answered_version",
          "times": 2,
          "version": "1.0.0"
        },
        {
          "at_ms": 7,
          "key": "k1",
          "kind": "received",
          "status": 200,
          "times": 1,
          "version": "2.0.0"
        },
        {
          "at_ms": 7,
          "key": "k1",
          "kind": "received",
          "status": 200,
          "times": 1,
          "version": "2.0.0"
        },
        {
          "at_ms": 7,
          "kind": "answered_version",
          "times": 1,
          "version": "2.0.0"
        }
      ],
      "events_left_out": 0,
      "former_versions": [
        "1.0.0"
      ],
      "keys": [
        {
          "key": "k1",
          "receptions": 2
        }
      ],
      "keys_left_out": 0,
      "offline": false,
      "rebooting": false,
      "receptions": {
        "complete": 2,
        "count": 2,
        "cut": 0,
        "refused": 0
      },
      "repeated": 1,
      "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "update_id": "u1",
      "updates": 2,
      "version": "2.0.0"
    }
    "#);
    let (_, body) = ask(&fleet, HOST, &get("/sim/summary", "")).await;
    assert!(body.contains(r#""repeated":1"#), "{body}");
    let (_, body) = ask(&fleet, HOST, &get("/sim/report", "")).await;
    let whole: Report = serde_json::from_str(&body).unwrap();
    assert_eq!(whole.devices, fleet.report().devices);
    assert_eq!(whole.fleet.requests, 5);
}

#[tokio::test]
async fn a_body_that_differs_from_its_digest_is_not_installed() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let fleet = fleet(&[]);
    let digest = STANDARD.encode(sha2::Sha256::digest("abc"));
    let headers = format!("{TO_TWO}repr-digest: sha-256=:{digest}:\r\n");
    let (status, body) = ask(&fleet, HOST, &post(&headers, "abd")).await;
    assert_eq!(status, 400);
    assert_eq!(body, r#"{"error":"the body is not the one Repr-Digest names"}"#);
    assert_eq!(version(&fleet, HOST).await, r#"{"version":"1.0.0"}"#);
    assert_eq!(ask(&fleet, HOST, &post(&headers, "abc")).await.0, 200);
    let report = fleet.device(HOST).unwrap();
    assert_eq!((report.receptions.complete, report.receptions.refused), (2, 1));
    assert_eq!(report.version, "2.0.0");
    let unhashed = Options { digest: Digest::None, ..Options::default() };
    let fleet = Fleet::start(unhashed).unwrap();
    assert_eq!(ask(&fleet, HOST, &post(&headers, "abd")).await.0, 200);
    assert_eq!(fleet.device(HOST).unwrap().sha256, None);
}

#[tokio::test]
async fn a_sample_hashes_one_in_sixteen() {
    let fleet = Fleet::start(Options { digest: Digest::Sample, ..Options::default() }).unwrap();
    for number in 0..33 {
        ask(&fleet, &format!("127.0.1.{number}"), &post("", "abc")).await;
    }
    let report = fleet.report();
    assert_eq!(report.devices.values().filter(|device| device.sha256.is_some()).count(), 3);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_cut() {
    let fleet = fleet(&[]);
    let mut stream = connect(&fleet, HOST).await;
    let begun = post(TO_TWO, "abcdef").replace("content-length: 6", "content-length: 60");
    stream.write_all(begun.as_bytes()).await.unwrap();
    drop(stream);
    until(|| fleet.device(HOST).is_some_and(|device| device.receptions.count > 0)).await;
    let report = fleet.device(HOST).unwrap();
    assert_eq!((report.receptions.cut, report.receptions.complete), (1, 0));
    assert_eq!(report.events[0].kind, EventKind::Cut);
    assert_eq!((report.bytes, report.version.as_str()), (6, "1.0.0"));
}

#[tokio::test]
async fn a_rebooting_device_answers_nothing() {
    let (manual, clock) = manual();
    let reboot = Duration::from_secs(20);
    let fleet = Fleet::start(Options { reboot, clock, ..Options::default() }).unwrap();
    let named = format!("x-device-id: a\r\n{TO_TWO}");
    assert_eq!(ask(&fleet, HOST, &post(&named, "abc")).await.0, 200);
    manual.advance(Duration::from_millis(19_999));
    let ask_version = get("/version", "x-device-id: a\r\n");
    assert_eq!(exchange(&fleet, HOST, &ask_version).await, Reset(String::new()));
    assert_eq!(exchange(&fleet, HOST, &post(&named, "abc")).await, Reset(String::new()));
    assert!(fleet.device("a").unwrap().rebooting);
    assert_eq!(version(&fleet, HOST).await, r#"{"version":"1.0.0"}"#);
    manual.advance(Duration::from_millis(1));
    assert_eq!(ask(&fleet, HOST, &ask_version).await.1, r#"{"version":"2.0.0"}"#);
    let report = fleet.device("a").unwrap();
    assert_eq!((report.updates, report.receptions.count), (1, 1));
    assert_eq!(report.former_versions, ["1.0.0"]);
    assert_eq!(fleet.summary().turned_away, 2);
}

#[tokio::test]
async fn answers_wait_for_the_latency() {
    let (manual, clock) = manual();
    let latency = Duration::from_millis(5);
    let fleet = Fleet::start(Options { latency, clock, ..Options::default() }).unwrap();
    let mut stream = connect(&fleet, HOST).await;
    stream.write_all(post(TO_TWO, "abc").as_bytes()).await.unwrap();
    assert_eq!(manual.until_waiting("sim latency").await, latency);
    assert_eq!(fleet.device(HOST).unwrap().receptions.complete, 1);
    manual.advance(latency);
    assert!(matches!(read_to_end(&mut stream).await, Closed(text) if text.ends_with(ACCEPTED)));
}

#[tokio::test]
async fn offline_devices_reset_and_first_versions_can_be_given() {
    let fleet = fleet(&[]);
    fleet.seed_device("127.0.0.5", "2.3.1");
    fleet.set_offline("127.0.0.6", true);
    fleet.set_offline("a", true);
    assert_eq!(version(&fleet, "127.0.0.5").await, r#"{"version":"2.3.1"}"#);
    let mut stream = connect(&fleet, "127.0.0.6").await;
    assert_eq!(read_to_end(&mut stream).await, Reset(String::new()));
    let named = get("/version", "x-device-id: a\r\n");
    assert_eq!(exchange(&fleet, HOST, &named).await, Reset(String::new()));
    fleet.set_offline("127.0.0.6", false);
    fleet.set_offline("a", false);
    assert_eq!(version(&fleet, "127.0.0.6").await, r#"{"version":"1.0.0"}"#);
    assert_eq!(ask(&fleet, HOST, &named).await.0, 200);
}

#[tokio::test]
async fn only_loopback_is_served_unless_exposed() {
    // Asks the kernel for this machine's own address; nothing is sent.
    let outside = UdpSocket::bind("0.0.0.0:0").unwrap();
    if outside.connect("192.0.2.1:9").is_err() {
        eprintln!("not tested: this machine has no address but loopback");
        return;
    }
    let IpAddr::V4(outside) = outside.local_addr().unwrap().ip() else { unreachable!() };
    let hidden = fleet(&[]);
    let mut stream = connect(&hidden, &outside.to_string()).await;
    assert_eq!(read_to_end(&mut stream).await, Closed(String::new()));
    let connections = hidden.summary().connections;
    assert_eq!((connections.refused, connections.opened), (1, 0));
    let exposed = Fleet::start(Options { expose: true, ..Options::default() }).unwrap();
    assert_eq!(version(&exposed, &outside.to_string()).await, r#"{"version":"1.0.0"}"#);
}

#[tokio::test]
async fn dropping_the_fleet_closes_everything() {
    let fleet = fleet(&[]);
    let address = fleet.local_addr();
    let mut stream = connect(&fleet, HOST).await;
    drop(fleet);
    assert_eq!(read_to_end(&mut stream).await, Closed(String::new()));
    let refused = TcpStream::connect((HOST, address.port())).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}
