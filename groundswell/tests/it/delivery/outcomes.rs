//! What a push comes to, whatever the device does.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use groundswell::{
    core::outcome::{
        Fault, Outcome,
        Permanence::{self, Permanent, Transient},
        StatusMeaning, classify_status,
    },
    delivery::http::{Client, Config, LookupError, Resolver, Reuse},
};
use tokio::net::TcpListener;

use super::{client, large, push, push_to, small, target};
use crate::support::device::{Device, Do, Script, answer, reply};

/// The outcome without its words.
#[derive(Debug, PartialEq, Eq)]
enum Short {
    NotSent(Fault),
    Unknown(Fault),
    Accepted(u16),
    Refused(u16),
}

fn short(outcome: &Outcome) -> Short {
    match *outcome {
        Outcome::NotSent { fault, .. } => Short::NotSent(fault),
        Outcome::Unknown { fault, .. } => Short::Unknown(fault),
        Outcome::Accepted { status } => Short::Accepted(status),
        Outcome::Refused { status, .. } => Short::Refused(status),
        Outcome::AlreadyCurrent => panic!("a push never says so"),
    }
}

async fn outcome_of(script: Script) -> Short {
    let device = Device::start([script]).await;
    short(&push(&client(), &small(), &device).await)
}

fn write(bytes: &[u8]) -> Script {
    vec![Do::Head, Do::Rest, Do::Write(bytes.to_vec()), Do::Close]
}

#[tokio::test]
async fn success() {
    let device = Device::start([reply(200, "", "updated")]).await;
    let sent = AtomicU64::new(99);
    let shipment = small();
    let target = target(device.address());
    let outcome = client().push(&shipment, &target, Reuse::Keep, &sent).await;
    assert_eq!(outcome, Outcome::Accepted { status: 200 });
    assert_eq!(sent.load(Relaxed), 12);
    let seen = &device.seen()[0];
    assert_eq!(seen.line, "POST /update HTTP/1.1");
    assert_eq!((seen.body_bytes, &seen.sha256), (12, shipment.payload().sha256()));
}

#[tokio::test]
async fn every_success_is_one() {
    for status in [200, 201, 202, 206] {
        assert_eq!(outcome_of(reply(status, "", "ok")).await, Short::Accepted(status));
    }
    let no_content = write(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(outcome_of(no_content).await, Short::Accepted(204));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    assert_eq!(outcome_of(write(chunked)).await, Short::Accepted(200));
    assert_eq!(outcome_of(write(b"HTTP/1.1 101 Other\r\n\r\n")).await, Short::Refused(101));
    assert_eq!(outcome_of(write(b"HTTP/1.0 200 OK\r\n\r\nok")).await, Short::Accepted(200));
}

#[tokio::test]
async fn each_bad_status_is_a_refusal_with_its_permanence() {
    let table: [(u16, Permanence); 12] = [
        (301, Permanent),
        (400, Permanent),
        (401, Permanent),
        (403, Permanent),
        (404, Permanent),
        (413, Permanent),
        (408, Transient),
        (429, Transient),
        (500, Transient),
        (502, Transient),
        (503, Transient),
        (504, Transient),
    ];
    for (status, permanence) in table {
        // Wherever it points, nobody goes there.
        let device = Device::start([reply(status, "Location: /other\r\n", "no\x1b[2J")]).await;
        let outcome = push(&client(), &small(), &device).await;
        let detail = "no\\x1b[2J".to_owned();
        assert_eq!(outcome, Outcome::Refused { status, retry_after: None, detail });
        assert_eq!(classify_status(status), StatusMeaning::Refused(permanence), "{status}");
        assert_eq!(device.seen().len(), 1, "{status} was followed or tried again");
    }
}

#[tokio::test]
async fn what_a_refusal_says_is_bounded() {
    let device = Device::start([reply(500, "", &"x".repeat(50_000))]).await;
    match push(&client(), &small(), &device).await {
        Outcome::Refused { status: 500, detail, .. } => assert_eq!(detail, "x".repeat(1_024)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn retry_after_is_handed_on() {
    for (value, secs) in [("7", Some(7)), ("soon", None)] {
        let device = Device::start([reply(503, &format!("Retry-After: {value}\r\n"), "")]).await;
        match push(&client(), &small(), &device).await {
            Outcome::Refused { retry_after, .. } => {
                assert_eq!(retry_after.map(|wait| wait.as_secs()), secs);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = push_to(&client(), &small(), &target(address.parse().unwrap())).await;
    assert_eq!(short(&outcome), Short::NotSent(Fault::ConnectRefused));
}

#[tokio::test]
async fn names() {
    let device = Device::start([reply(200, "", "")]).await;
    let dead = "127.255.255.254".parse().unwrap();
    let fixed = [
        ("down".to_owned(), Err(LookupError::Failed("server failure".to_owned()))),
        ("good".to_owned(), Ok(vec![device.addr.ip()])),
        ("second".to_owned(), Ok(vec![dead, device.addr.ip()])),
        ("empty".to_owned(), Ok(vec![])),
    ];
    let resolver = Resolver::Fixed(std::sync::Arc::new(fixed.into_iter().collect()));
    let client = Client::new(Config { resolver, ..Config::default() }).unwrap();
    for (name, expected) in [
        ("good", Short::Accepted(200)),
        ("second", Short::Accepted(200)),
        ("down", Short::NotSent(Fault::DnsFailed)),
        ("unknown", Short::NotSent(Fault::NoSuchName)),
        ("empty", Short::NotSent(Fault::NoSuchName)),
    ] {
        let outcome = push_to(&client, &small(), &target(device.address_as(name))).await;
        assert_eq!(short(&outcome), expected, "{name}");
    }
    assert_eq!(Fault::DnsFailed.permanence(), Transient);
    assert_eq!(Fault::NoSuchName.permanence(), Permanent);
    assert_eq!(device.seen()[0].header("host"), Some(&*format!("good:{}", device.addr.port())));
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_body_is_not_sent() {
    for end in [Do::Reset, Do::Close] {
        let device = Device::start([vec![Do::Head, Do::Body(100_000), end]]).await;
        let outcome = push(&client(), &large(), &device).await;
        assert_eq!(short(&outcome), Short::NotSent(Fault::Reset));
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown() {
    for end in [Do::Reset, Do::Close] {
        assert_eq!(
            outcome_of(vec![Do::Head, Do::Rest, end.clone()]).await,
            Short::Unknown(Fault::Reset)
        );
        let device = Device::start([vec![Do::Head, Do::Rest, end]]).await;
        let outcome = push(&client(), &large(), &device).await;
        assert_eq!(short(&outcome), Short::Unknown(Fault::Reset));
    }
}

#[tokio::test]
async fn a_small_body_that_left_with_its_head_is_unknown() {
    // The device may have read it all, or nothing: nobody can know.
    let outcome = outcome_of(vec![Do::Head, Do::Reset]).await;
    assert_eq!(outcome, Short::Unknown(Fault::Reset));
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_unknown() {
    for bytes in [
        &b"\x16\x03\x01\x00\x05hello"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let outcome = outcome_of(write(bytes)).await;
        assert_eq!(outcome, Short::Unknown(Fault::Malformed), "{}", bytes.escape_ascii());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off() {
    for bytes in [
        &b"HTTP/1.1 20"[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let outcome = outcome_of(write(bytes)).await;
        assert_eq!(outcome, Short::Unknown(Fault::Reset), "{}", bytes.escape_ascii());
    }
    // A refusal stands once its head is there.
    let device = Device::start([write(b"HTTP/1.1 500 no\r\nContent-Length: 10\r\n\r\nhalf")]).await;
    let outcome = push(&client(), &small(), &device).await;
    let detail = "half".to_owned();
    assert_eq!(outcome, Outcome::Refused { status: 500, retry_after: None, detail });
}

#[tokio::test]
async fn an_endless_answer_is_unknown() {
    let head = "Transfer-Encoding: chunked\r\n\r\n";
    let endless = |start: &str| {
        let start = start.as_bytes().to_vec();
        vec![Do::Head, Do::Rest, Do::Write(start), Do::WriteForever(b"4\r\nmore\r\n")]
    };
    let outcome = outcome_of(endless(&format!("HTTP/1.1 200 OK\r\n{head}"))).await;
    assert_eq!(outcome, Short::Unknown(Fault::Oversized));
    let outcome = outcome_of(endless(&format!("HTTP/1.1 500 no\r\n{head}"))).await;
    assert_eq!(outcome, Short::Refused(500));
    let start = Do::Write(b"HTTP/1.1 200 OK\r\n".to_vec());
    let head = vec![Do::Head, Do::Rest, start.clone(), Do::WriteForever(b"X-Header: more\r\n")];
    assert_eq!(outcome_of(head).await, Short::Unknown(Fault::Oversized));
    let value = [b"X: ".to_vec(), vec![b'x'; 60_000], b"\r\n\r\n".to_vec()].concat();
    let below = vec![Do::Head, Do::Rest, start.clone(), Do::Write(value), Do::Close];
    assert_eq!(outcome_of(below).await, Short::Accepted(200));
    let value = [b"X: ".to_vec(), vec![b'x'; 200_000], b"\r\n\r\n".to_vec()].concat();
    let above = vec![Do::Head, Do::Rest, start.clone(), Do::Write(value), Do::Close];
    assert_eq!(outcome_of(above).await, Short::Unknown(Fault::Oversized));
    let line = vec![Do::Head, Do::Rest, start, Do::WriteForever(b"xxxxxxxx")];
    assert_eq!(outcome_of(line).await, Short::Unknown(Fault::Oversized));
}

#[tokio::test]
async fn informational_answers_without_end_are_a_flood() {
    let hints = b"HTTP/1.1 102 Processing\r\nX-Progress: not much\r\n\r\n";
    let flood = vec![Do::Head, Do::Rest, Do::WriteForever(hints)];
    assert_eq!(outcome_of(flood).await, Short::Unknown(Fault::Oversized));
    let early = Device::start([vec![Do::Head, Do::WriteForever(hints)]]).await;
    let outcome = push(&client(), &large(), &early).await;
    assert_eq!(short(&outcome), Short::NotSent(Fault::Oversized));
}

#[tokio::test]
async fn informational_answers_are_passed_over() {
    let answers = [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec(),
        answer(202, "", "later"),
    ];
    assert_eq!(outcome_of(write(&answers.concat())).await, Short::Accepted(202));
}

#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    for (end, status) in [(Do::Freeze, 413), (Do::Hang, 413), (Do::Close, 413), (Do::Close, 200)] {
        let early = Do::Write(answer(status, "", "too large"));
        let device = Device::start([vec![Do::Head, Do::Body(1), early, end]]).await;
        let (client, shipment) = (client(), large());
        let sent = AtomicU64::new(0);
        let target = target(device.address());
        let outcome = client.push(&shipment, &target, Reuse::Keep, &sent).await;
        let expected = match status {
            // Whoever says so cannot have the file.
            200 => Short::NotSent(Fault::AnsweredEarly),
            _ => Short::Refused(status),
        };
        assert_eq!(short(&outcome), expected);
        assert!(sent.load(Relaxed) < shipment.payload().len(), "all of it was sent");
        assert_eq!(client.pool_stats().open, 0, "the connection was kept");
    }
}

#[tokio::test]
async fn a_device_may_report_progress_while_it_reads() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n10%\r\n";
    let end = b"4\r\n100%\r\n0\r\n\r\n";
    let script = vec![
        Do::Head,
        Do::Body(1_000_000),
        Do::Write(head.to_vec()),
        Do::Rest,
        Do::Write(end.to_vec()),
    ];
    let device = Device::start([script]).await;
    let (client, shipment) = (client(), large());
    assert_eq!(push(&client, &shipment, &device).await, Outcome::Accepted { status: 200 });
    assert_eq!(&device.seen()[0].sha256, shipment.payload().sha256());
    assert_eq!(client.pool_stats().idle, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_read_though_the_device_reset_while_we_wrote() {
    // Closing with unread bytes resets at once: many writes fail before the answer is read.
    let shipment = large();
    for _ in 0..200 {
        let early = Do::Write(answer(507, "", "disk full"));
        let device = Device::start([vec![Do::Head, early, Do::Close]]).await;
        let outcome = push(&client(), &shipment, &device).await;
        let detail = "disk full".to_owned();
        assert_eq!(outcome, Outcome::Refused { status: 507, retry_after: None, detail });
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_goes_nowhere() {
    let device = Device::start([reply(200, "", "")]).await;
    let mut target = target(device.address());
    let headers = [("transfer-encoding".parse().unwrap(), "chunked".parse().unwrap())];
    target.headers = Some(std::sync::Arc::new(headers.into_iter().collect()));
    let outcome = push_to(&client(), &small(), &target).await;
    assert_eq!(short(&outcome), Short::NotSent(Fault::BadRequest));
    assert!(device.seen().is_empty());
}
