//! A network that is as bad as it is told to be, changed while the fleet runs.

use std::time::Duration;

use groundswell::sim::{Fleet, Network, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    ACCEPTED,
    Ended::{Closed, Reset},
    HOST, TO_TWO, ask, connect, exchange, fleet, get, manual, post, read_to_end, until, version,
};

fn put(json: &str) -> String {
    post("", json).replace("POST /update", "PUT /sim/network")
}

#[tokio::test]
async fn it_is_changed_by_a_request_and_told_by_another() {
    let fleet = fleet(&[]);
    let (status, told) = ask(&fleet, HOST, &put(r#"{"resets_per_million":1000000}"#)).await;
    assert_eq!(status, 200);
    assert!(told.contains(r#""resets_per_million":1000000"#), "{told}");
    assert_eq!(exchange(&fleet, HOST, &get("/version", "")).await, Reset(String::new()));
    // Whoever asks about the fleet does not come through it.
    assert_eq!(ask(&fleet, HOST, &get("/sim/summary", "")).await.0, 200);
    let (status, told) = ask(&fleet, HOST, &put(r#"{"dealy_ms":1}"#)).await;
    assert!((status, told.contains("unknown field `dealy_ms`")) == (400, true), "{told}");
    assert_eq!(ask(&fleet, HOST, &put(r#"{"delay_ms":600001}"#)).await.0, 400);
    let (status, told) = ask(&fleet, HOST, &get("/sim/network", "")).await;
    assert_eq!(status, 200);
    assert!(told.contains(r#""resets_per_million":1000000"#), "{told}");
}

#[tokio::test]
async fn a_site_that_is_cut_off_is_reached_by_nothing_and_what_was_on_the_way_is_lost() {
    let fleet = fleet(&[]);
    fleet.set_network(Network { cut_off: vec!["127.1.".to_owned()], ..Network::default() });
    let mut stream = connect(&fleet, "127.1.0.1").await;
    stream.write_all(post(TO_TWO, "abc").as_bytes()).await.unwrap();
    assert_eq!(version(&fleet, HOST).await, r#"{"version":"1.0.0"}"#);
    assert!(fleet.device("127.1.0.1").is_none());
    until(|| fleet.summary().connections.open == 1).await;
    fleet.set_network(Network::default());
    assert_eq!(read_to_end(&mut stream).await, Reset(String::new()));
    assert!(fleet.device("127.1.0.1").is_none());
    assert_eq!(ask(&fleet, "127.1.0.1", &post(TO_TWO, "abc")).await, (200, ACCEPTED.to_owned()));
}

#[tokio::test]
async fn pieces_come_late_and_by_and_by() {
    let (manual, clock) = manual();
    let fleet = Fleet::start(Options { clock, ..Options::default() }).unwrap();
    fleet.set_network(Network { delay_ms: 40, bytes_per_sec: 1_000, ..Network::default() });
    let mut stream = connect(&fleet, HOST).await;
    stream.write_all(post(TO_TWO, &"x".repeat(200)).as_bytes()).await.unwrap();
    // The first 100 bytes, then the next ones once these are through.
    assert_eq!(manual.until_waiting("sim network").await, Duration::from_millis(40));
    manual.advance(Duration::from_millis(40));
    assert_eq!(manual.until_waiting("sim network").await, Duration::from_millis(140));
    until(|| {
        manual.advance(Duration::from_millis(140));
        fleet.device(HOST).is_some_and(|device| device.receptions.complete == 1)
    })
    .await;
    let event = &fleet.device(HOST).unwrap().events[0];
    assert!(event.took_ms >= 140, "{event:?}");
}

#[tokio::test]
async fn an_answer_that_comes_twice_is_one_answer_and_then_silence() {
    let fleet = fleet(&["twice"]);
    let mut stream = connect(&fleet, HOST).await;
    stream.write_all(post(TO_TWO, "abc").as_bytes()).await.unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let mut both = vec![0; 2 * answer.len()];
    stream.read_exact(&mut both).await.unwrap();
    assert_eq!(both, answer.repeat(2).as_bytes());
    fleet.stop().await;
    assert_eq!(read_to_end(&mut stream).await, Closed(String::new()));
    assert_eq!(fleet.device(HOST).unwrap().version, "2.0.0");
}
