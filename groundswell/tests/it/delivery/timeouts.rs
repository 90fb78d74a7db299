//! The time-out of each step, on a clock that is moved by hand.

use std::{
    io::Write, net::TcpStream as StdStream, sync::atomic::Ordering::Relaxed, time::Duration,
};

use groundswell::{
    clock::ManualClock,
    core::outcome::{Answer, Fault, Outcome},
    delivery::http::{Client, Config, Reuse, Target, Timeouts},
};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{large, shipment, small, spawn_push, target, timed, timed_with};
use crate::support::device::{Device, Do, answer};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Waits for the step, checks that one millisecond less is not enough, and lets the time pass.
async fn let_pass(manual: &ManualClock, label: &str, wait: Duration) {
    assert_eq!(manual.until_waiting(label).await, wait, "{label}");
    manual.advance(wait.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(manual.until_waiting(label).await, Duration::from_millis(1));
    manual.advance(Duration::from_millis(1));
}

/// Lets what has arrived be read: the runtime looks at its sockets every few dozen turns.
async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

fn not_sent(outcome: &Outcome) -> Fault {
    match outcome {
        Outcome::NotSent { fault, .. } => *fault,
        other => panic!("{other:?}"),
    }
}

fn unknown(outcome: &Outcome) -> Fault {
    match outcome {
        Outcome::Unknown { fault, .. } => *fault,
        other => panic!("{other:?}"),
    }
}

fn start(client: &Client, to: Target) -> JoinHandle<Outcome> {
    spawn_push(client, small(), to).0
}

/// A listener that takes no more connections, and what keeps it so.
fn full_listener() -> (Socket, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
    listener.bind(&SockAddr::from(any)).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let waiting = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&addr);
        socket
    });
    let waiting = waiting.collect();
    (listener, waiting)
}

#[tokio::test]
async fn connecting() {
    let (listener, _waiting) = full_listener();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let (client, manual) = timed();
    let pushing = start(&client, target(format!("http://{addr}").parse().unwrap()));
    let_pass(&manual, "connect", secs(10)).await;
    assert_eq!(not_sent(&pushing.await.unwrap()), Fault::ConnectTimeout);
    assert!(manual.waiting().is_empty());
}

#[tokio::test]
async fn a_tls_handshake_is_part_of_connecting() {
    let device = Device::start([vec![Do::Hang]]).await;
    let address = format!("https://{}", device.addr).parse().unwrap();
    let (client, manual) = timed();
    let pushing = start(&client, target(address));
    let_pass(&manual, "connect", secs(10)).await;
    assert_eq!(not_sent(&pushing.await.unwrap()), Fault::ConnectTimeout);
    device.until_open(0).await;
}

#[tokio::test]
async fn an_upload_that_stands_still() {
    // More than the buffers of a connection hold.
    const STEP: u64 = 12 * 1_024 * 1_024;
    let meet = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let step = [Do::Body(STEP), Do::Meet(meet.clone())];
    let script = [vec![Do::Head], step.to_vec(), step.to_vec(), vec![Do::Freeze]].concat();
    let device = Device::start([script]).await;
    let (client, manual) = timed();
    let (pushing, sent) = spawn_push(&client, large(), target(device.address()));
    manual.until_waiting("upload").await;
    manual.advance(secs(20));
    meet.wait().await;
    meet.wait().await;
    settle().await;
    // The last byte left 20 s after the timer was set: it is set anew for just these.
    assert_eq!(manual.until_waiting("upload").await, secs(10));
    manual.advance(secs(10));
    let_pass(&manual, "upload", secs(20)).await;
    assert_eq!(not_sent(&pushing.await.unwrap()), Fault::UploadStalled);
    assert!((1..large().payload().len()).contains(&sent.load(Relaxed)));
}

#[tokio::test]
async fn an_upload_that_moves_may_take_as_long_as_it_likes() {
    // Each step is more than the buffers of a connection hold.
    const STEP: u64 = 16 * 1_024 * 1_024;
    let meet = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let mut script = vec![Do::Head];
    for _ in 0..5 {
        script.extend([Do::Body(STEP), Do::Meet(meet.clone()), Do::Meet(meet.clone())]);
    }
    script.extend([Do::Rest, Do::Write(answer(200, "", ""))]);
    let device = Device::start_unhashed([script]).await;
    let (client, manual) = timed();
    let shipment = shipment(super::payloads::synthetic(6 * STEP));
    let (pushing, _) = spawn_push(&client, shipment, target(device.address()));
    for _ in 0..5 {
        meet.wait().await;
        manual.until_waiting("upload").await;
        manual.advance(secs(29));
        meet.wait().await;
    }
    assert_eq!(pushing.await.unwrap(), Outcome::Accepted { status: 200 });
}

#[tokio::test]
async fn an_answer_that_does_not_come() {
    let device = Device::start([vec![Do::Head, Do::Rest, Do::Hang]]).await;
    let (client, manual) = timed();
    let pushing = start(&client, target(device.address()));
    let_pass(&manual, "response", secs(30)).await;
    assert_eq!(unknown(&pushing.await.unwrap()), Fault::ResponseTimeout);
    device.until_open(0).await;
}

#[tokio::test]
async fn a_large_body_gets_a_minute_for_its_answer() {
    let device = Device::start_unhashed([vec![Do::Head, Do::Rest, Do::Hang]]).await;
    let payload = super::payloads::synthetic(100 * 1_024 * 1_024 + 1);
    let (client, manual) = timed();
    let (pushing, _) = spawn_push(&client, shipment(payload), target(device.address()));
    let_pass(&manual, "response", secs(60)).await;
    assert_eq!(unknown(&pushing.await.unwrap()), Fault::ResponseTimeout);
}

#[tokio::test]
async fn a_head_that_trickles_in_is_not_waited_for() {
    let device = Device::start([vec![
        Do::Head,
        Do::Rest,
        Do::Write(b"HTTP/1.1 200 OK\r\nContent-".to_vec()),
        Do::Hang,
    ]])
    .await;
    let (client, manual) = timed();
    let pushing = start(&client, target(device.address()));
    let_pass(&manual, "response", secs(30)).await;
    assert_eq!(unknown(&pushing.await.unwrap()), Fault::ResponseTimeout);
}

#[tokio::test]
async fn a_body_that_trickles_in_has_its_own_limit() {
    let go = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    for (status, ends_unknown) in [(200, true), (500, false)] {
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 9\r\n\r\n").into_bytes();
        let device = Device::start([vec![
            Do::Head,
            Do::Rest,
            Do::Write(head),
            Do::Meet(go.clone()),
            Do::Write(b"x".to_vec()),
            Do::Meet(go.clone()),
            Do::Hang,
        ]])
        .await;
        let (client, manual) = timed();
        let pushing = start(&client, target(device.address()));
        assert_eq!(manual.until_waiting("response-body").await, secs(30));
        manual.advance(secs(29));
        // A byte does not set the timer anew.
        go.wait().await;
        go.wait().await;
        settle().await;
        assert_eq!(manual.until_waiting("response-body").await, secs(1));
        manual.advance(secs(1));
        let outcome = pushing.await.unwrap();
        if ends_unknown {
            assert_eq!(unknown(&outcome), Fault::BodyTimeout);
        } else {
            assert!(matches!(outcome, Outcome::Refused { status: 500, .. }), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_ends_the_upload_though_the_device_reads_on() {
    let refusal = b"HTTP/1.1 413 x\r\nContent-Length: 9\r\n\r\nhalf".to_vec();
    let device = Device::start([vec![Do::Head, Do::Body(1), Do::Write(refusal), Do::Rest]]).await;
    let (client, manual) = timed();
    let (pushing, sent) = spawn_push(&client, large(), target(device.address()));
    assert_eq!(manual.until_waiting("response-body").await, secs(30));
    settle().await;
    assert!(sent.load(Relaxed) < large().payload().len(), "all of it was sent");
    manual.advance(secs(30));
    let detail = "half".to_owned();
    let refused = Outcome::Refused { status: 413, retry_after: None, detail };
    assert_eq!(pushing.await.unwrap(), refused);
}

#[tokio::test]
async fn the_attempt_as_a_whole() {
    let device = Device::start([vec![Do::Head, Do::Rest, Do::Hang]]).await;
    let timeouts = Timeouts { attempt: Some(secs(12)), ..Timeouts::default() };
    let (client, manual) = timed_with(Config { timeouts, ..Config::default() });
    let pushing = start(&client, target(device.address()));
    device.until_seen(1).await;
    let_pass(&manual, "attempt", secs(12)).await;
    assert_eq!(unknown(&pushing.await.unwrap()), Fault::AttemptTimeout);

    let (listener, _waiting) = full_listener();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let pushing = start(&client, target(format!("http://{addr}").parse().unwrap()));
    manual.until_waiting("connect").await;
    manual.advance(secs(9));
    settle().await;
    assert!(!pushing.is_finished());
    let timeouts = Timeouts { attempt: Some(secs(3)), ..Timeouts::default() };
    let (client, manual) = timed_with(Config { timeouts, ..Config::default() });
    let pushing = start(&client, target(format!("http://{addr}").parse().unwrap()));
    let_pass(&manual, "attempt", secs(3)).await;
    assert_eq!(not_sent(&pushing.await.unwrap()), Fault::AttemptTimeout);
}

#[tokio::test]
async fn a_question_ends_in_time_wherever_it_stands() {
    let ask = |client: &Client, to: Target| {
        let client = client.clone();
        tokio::spawn(async move { client.ask(&small(), &to, Reuse::Keep, secs(5)).await })
    };
    let body = Do::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1.2".to_vec());
    let table = [
        (vec![Do::Head, Do::Hang], Fault::ResponseTimeout),
        (vec![Do::Head, body, Do::Hang], Fault::BodyTimeout),
    ];
    for (script, expected) in table {
        let device = Device::start([script]).await;
        let (client, manual) = timed();
        let asking = ask(&client, target(device.address()));
        device.until_open(1).await;
        // Let the answer's head arrive before time passes.
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if manual.waiting().is_empty() { std::task::Poll::Pending } else { ().into() }
        })
        .await;
        settle().await;
        let_pass(&manual, "question", secs(5)).await;
        match asking.await.unwrap() {
            Answer::Silent { fault, .. } => assert_eq!(fault, expected),
            other => panic!("{other:?}"),
        }
        device.until_open(0).await;
    }
}

#[tokio::test]
async fn each_address_of_a_name_gets_its_share_of_the_time() {
    let (listener, _waiting) = full_listener();
    let port = listener.local_addr().unwrap().as_socket().unwrap().port();
    // The second address is that of a device on the same port.
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let answering = tokio::spawn(async move {
        let (tcp, _) = second.accept().await.unwrap();
        let mut tcp: StdStream = tcp.into_std().unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        tcp
    });
    let both = vec!["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    let names = [("pos".to_owned(), Ok(both))].into_iter().collect();
    let resolver = groundswell::delivery::http::Resolver::Fixed(std::sync::Arc::new(names));
    let (client, manual) = timed_with(Config { resolver, ..Config::default() });
    let pushing = start(&client, target(format!("http://pos:{port}").parse().unwrap()));
    let_pass(&manual, "connect", secs(5)).await;
    let outcome = pushing.await.unwrap();
    assert_eq!(outcome, Outcome::Accepted { status: 200 });
    drop(answering.await.unwrap());
}
