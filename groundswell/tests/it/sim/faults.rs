//! Each fault as a client sees it, and what it leaves behind.

use std::time::Duration;

use groundswell::sim::{FaultName, Fleet, Options, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    ACCEPTED,
    Ended::{Closed, Reset},
    HOST, TO_TWO, ask, connect, exchange, fleet, manual, post, read_to_end, until, version,
};

#[tokio::test]
async fn refusals_leave_the_version() {
    let fleet = fleet(&["status:429:0", "flaky:2", "wrong-version"]);
    let update = post(TO_TWO, "abc");
    let refused = (503, r#"{"error":"refused by design"}"#.to_owned());
    assert_eq!(ask(&fleet, HOST, &update).await, refused);
    assert_eq!(ask(&fleet, HOST, &update).await, refused);
    assert_eq!(ask(&fleet, HOST, &update).await, (200, ACCEPTED.to_owned()));
    assert_eq!(version(&fleet, HOST).await, r#"{"version":"1.0.0"}"#);
    assert_eq!(ask(&fleet, HOST, &update).await.0, 200);
    let summary = fleet.summary();
    assert_eq!((summary.receptions.refused, summary.repeated), (2, 0));
    assert_eq!(
        summary.faults.into_iter().collect::<Vec<_>>(),
        [(FaultName::Flaky, 2), (FaultName::WrongVersion, 2)]
    );
    let events = fleet.device(HOST).unwrap().events;
    let seen: Vec<_> = events.iter().map(|event| (event.status, event.fault)).collect();
    assert_eq!(seen[1], (Some(503), Some(FaultName::Flaky)));
    assert_eq!(seen[2], (Some(200), Some(FaultName::WrongVersion)));
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    let success = fleet(&["status:204"]);
    assert_eq!(ask(&success, HOST, &post(TO_TWO, "abc")).await, (204, String::new()));
    assert_eq!(success.device(HOST).unwrap().version, "2.0.0");
}

#[tokio::test]
async fn a_lost_answer_leaves_the_update_installed() {
    for (fault, expected) in [
        (
            "truncated",
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n\
             {\"accep",
        ),
        ("malformed", "\u{0}\u{1}\u{fffd}\u{fffd} this is not HTTP \r\n\r\n\r\n"),
    ] {
        let fleet = fleet(&[fault]);
        let ended = exchange(&fleet, HOST, &post(TO_TWO, "abc")).await;
        assert_eq!(ended, Closed(expected.to_owned()));
        let report = fleet.device(HOST).unwrap();
        assert_eq!(report.version, "2.0.0", "{fault}");
        assert_eq!(report.events[0].status, None);
    }
}

#[tokio::test]
async fn a_hanging_device_takes_the_update_and_says_nothing() {
    let fleet = fleet(&["hang"]);
    let mut stream = connect(&fleet, HOST).await;
    stream.write_all(post(TO_TWO, "abc").as_bytes()).await.unwrap();
    until(|| fleet.device(HOST).is_some_and(|device| device.receptions.complete == 1)).await;
    assert_eq!(fleet.summary().connections.open, 1);
    fleet.stop().await;
    assert_eq!(read_to_end(&mut stream).await, Closed(String::new()));
    assert_eq!(fleet.device(HOST).unwrap().version, "2.0.0");
    assert_eq!(fleet.summary().connections.open, 0);
}

#[tokio::test]
async fn resets_come_within_the_body_or_after_it() {
    let fleet = fleet(&["reset"]);
    for number in 0..40 {
        let headers = format!("x-device-id: d{number}\r\n{TO_TWO}");
        let ended = exchange(&fleet, HOST, &post(&headers, "abcdef")).await;
        assert_eq!(ended, Reset(String::new()));
    }
    let report = fleet.report();
    let (cut, whole): (Vec<_>, Vec<_>) =
        report.devices.values().partition(|device| device.receptions.cut == 1);
    assert!(cut.len() > 10 && whole.len() > 10, "{} cut, {} whole", cut.len(), whole.len());
    assert!(cut.iter().all(|device| device.version == "1.0.0"));
    assert!(whole.iter().all(|device| device.version == "2.0.0"));
    // The same seed chooses the same devices.
    let again = super::fleet(&["reset"]);
    for number in (0..40).rev() {
        let headers = format!("x-device-id: d{number}\r\n{TO_TWO}");
        exchange(&again, HOST, &post(&headers, "abcdef")).await;
    }
    let versions = |report: &Report| -> Vec<_> {
        report.devices.values().map(|device| device.version.clone()).collect()
    };
    assert_eq!(versions(&again.report()), versions(&report));
}

#[tokio::test]
async fn slow_devices_read_and_answer_in_drips() {
    let (manual, clock) = manual();
    let faults = vec!["slow".parse().unwrap()];
    let fleet = Fleet::start(Options { faults, clock, ..Options::default() }).unwrap();
    let mut stream = connect(&fleet, HOST).await;
    stream.write_all(post(TO_TWO, "abc").as_bytes()).await.unwrap();
    assert_eq!(manual.until_waiting("sim slow read").await, Duration::from_millis(50));
    manual.advance(Duration::from_millis(50));
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        assert_eq!(manual.until_waiting("sim drip").await, Duration::from_millis(200));
        manual.advance(Duration::from_millis(200));
        answer.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(read_to_end(&mut stream).await, Closed(String::new()));
    assert_eq!(fleet.device(HOST).unwrap().version, "2.0.0");
}

#[tokio::test]
async fn an_endless_answer_goes_on_until_the_client_goes() {
    let (manual, clock) = manual();
    let faults = vec!["endless".parse().unwrap()];
    let fleet = Fleet::start(Options { faults, clock, ..Options::default() }).unwrap();
    let mut stream = connect(&fleet, HOST).await;
    stream.write_all(post(TO_TWO, "abc").as_bytes()).await.unwrap();
    let mut head = [0; 73];
    stream.read_exact(&mut head).await.unwrap();
    assert!(head.ends_with(b"transfer-encoding: chunked\r\n\r\n"));
    for _ in 0..5 {
        let mut chunk = [0; 1031];
        stream.read_exact(&mut chunk).await.unwrap();
        assert!(chunk.starts_with(b"400\r\n") && chunk.ends_with(b"\r\n"));
        manual.until_waiting("sim endless").await;
        manual.advance(Duration::from_millis(100));
    }
    drop(stream);
    until(|| {
        manual.advance(Duration::from_millis(100));
        fleet.summary().connections.open == 0
    })
    .await;
}
