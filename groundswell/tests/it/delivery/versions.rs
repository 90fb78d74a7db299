//! Asking a device for its version.

use std::time::Duration;

use groundswell::{
    core::outcome::{Answer, Fault},
    delivery::http::{Client, Config, Reuse},
};

use super::{small, target};
use crate::support::device::{Device, Do, Script, reply};

async fn ask_with(config: Config, script: Script) -> Answer {
    let device = Device::start([script]).await;
    let client = Client::new(config).unwrap();
    let within = Duration::from_mins(1);
    client.ask(&small(), &target(device.address()), Reuse::Keep, within).await
}

async fn ask(script: Script) -> Answer {
    ask_with(Config::default(), script).await
}

fn version(version: &str) -> Answer {
    Answer::Version { version: version.to_owned() }
}

#[tokio::test]
async fn the_version_is_read_wherever_it_usually_stands() {
    assert_eq!(ask(reply(200, "", "2.0.0\n")).await, version("2.0.0"));
    assert_eq!(ask(reply(200, "", r#"{"version":"2.0.0"}"#)).await, version("2.0.0"));
    assert_eq!(ask(reply(200, "", r#"{"firmware_version":"2.0.0"}"#)).await, version("2.0.0"));
}

#[tokio::test]
async fn or_where_the_operator_says() {
    let config = Config {
        verify_path: "/api/status".to_owned(),
        version_pointer: Some("/software/0/version".to_owned()),
        ..Config::default()
    };
    let body = r#"{"version":"os","software":[{"version":"2.0.0"}]}"#;
    let device = Device::start([reply(200, "", body)]).await;
    let client = Client::new(config).unwrap();
    let within = Duration::from_mins(1);
    let answer = client.ask(&small(), &target(device.address()), Reuse::Keep, within).await;
    assert_eq!(answer, version("2.0.0"));
    let seen = &device.seen()[0];
    assert_eq!((&*seen.line, seen.body_bytes), ("GET /api/status HTTP/1.1", 0));
}

#[tokio::test]
async fn an_answer_without_a_version_is_unreadable() {
    for (status, body, expected) in [
        (404, "no\x1bsuch", "no\\x1bsuch"),
        (503, "", ""),
        (204, "", ""),
        (200, "", "the answer is empty"),
        (200, "{}", "neither version nor firmware_version in the answer"),
        (200, "<html>", "the answer is a page, not a version"),
    ] {
        let detail = expected.to_owned();
        assert_eq!(ask(reply(status, "", body)).await, Answer::Unreadable { status, detail });
    }
}

#[tokio::test]
async fn no_complete_answer_is_silence() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n2.0".to_vec();
    let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n".to_vec();
    for (script, expected) in [
        (vec![Do::Head, Do::Close], Fault::Reset),
        (vec![Do::Head, Do::Write(head), Do::Close], Fault::Reset),
        (vec![Do::Head, Do::Write(b"hello\r\n\r\n".to_vec()), Do::Close], Fault::Malformed),
        (vec![Do::Head, Do::Write(endless), Do::WriteForever(b"2.0.0")], Fault::Oversized),
    ] {
        match ask(script).await {
            Answer::Silent { fault, .. } => assert_eq!(fault, expected),
            other => panic!("{other:?}"),
        }
    }
}
