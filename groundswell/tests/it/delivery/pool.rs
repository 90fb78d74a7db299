//! Connections that are kept, and those that are not.

use std::{
    io::{Read, Write},
    sync::atomic::AtomicU64,
    time::Duration,
};

use groundswell::{
    core::outcome::{Fault, Outcome},
    delivery::http::{Config, PoolLimits, PoolStats, Reuse},
};

use super::{client, push, push_to, small, target, timed, timed_with};
use crate::support::device::{Device, Do, answer, reply};

const OK: Outcome = Outcome::Accepted { status: 200 };

#[tokio::test]
async fn a_connection_is_used_again() {
    let device =
        Device::start([reply(200, "", "ok"), reply(503, "", "busy"), reply(200, "", "")]).await;
    let client = client();
    for status in [200, 503, 200] {
        let outcome = push(&client, &small(), &device).await;
        assert!(matches!(outcome, Outcome::Accepted { status: got }
            | Outcome::Refused { status: got, .. } if got == status));
        assert_eq!(client.pool_stats(), PoolStats { idle: 1, idle_hosts: 1, open: 1 });
    }
    assert_eq!(device.accepted(), 1);
    client.ask(&small(), &target(device.address()), Reuse::Keep, Duration::from_secs(5)).await;
    assert_eq!(device.accepted(), 1, "questions have connections of their own");
    drop(client);
    device.until_open(0).await;
}

#[tokio::test]
async fn one_that_is_not_needed_again_is_closed() {
    let device = Device::start([reply(200, "", "ok")]).await;
    let (client, sent) = (client(), AtomicU64::new(0));
    let target = target(device.address());
    assert_eq!(client.push(&small(), &target, Reuse::Close, &sent).await, OK);
    assert_eq!(client.pool_stats(), PoolStats::default());
    assert_eq!(device.seen()[0].header("connection"), Some("close"));
    device.until_open(0).await;
    // It takes an idle one all the same.
    assert_eq!(client.push(&small(), &target, Reuse::Keep, &sent).await, OK);
    assert_eq!(client.push(&small(), &target, Reuse::Close, &sent).await, OK);
    assert_eq!(device.accepted(), 2);
    assert_eq!(client.pool_stats(), PoolStats::default());
}

#[tokio::test]
async fn one_the_device_wants_closed_is_not_kept() {
    for close in [
        reply(200, "Connection: close\r\n", "ok"),
        vec![
            Do::Head,
            Do::Rest,
            Do::Write(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ],
    ] {
        let device = Device::start([close]).await;
        let client = client();
        assert_eq!(push(&client, &small(), &device).await, OK);
        assert_eq!(client.pool_stats(), PoolStats::default());
    }
}

#[tokio::test]
async fn a_stale_one_costs_no_attempt() {
    let unasked = [answer(200, "", "ok"), b"HTTP/1.1 408 Timeout\r\n\r\n".to_vec()].concat();
    let stale = [
        vec![Do::Head, Do::Rest, Do::Write(answer(200, "", "ok")), Do::Close],
        vec![Do::Head, Do::Rest, Do::Write(answer(200, "", "ok")), Do::Reset],
        vec![Do::Head, Do::Rest, Do::Write(unasked), Do::Hang],
    ];
    for script in stale {
        let closes = !matches!(script.last(), Some(Do::Hang));
        let device = Device::start([script, reply(201, "", "")]).await;
        let client = client();
        assert_eq!(push(&client, &small(), &device).await, OK);
        if closes {
            device.until_open(0).await;
        }
        assert_eq!(push(&client, &small(), &device).await, Outcome::Accepted { status: 201 });
        assert_eq!((device.accepted(), device.seen().len()), (2, 2));
        assert_eq!(client.pool_stats().open, 1);
    }
}

#[tokio::test]
async fn one_that_was_closed_a_moment_ago_costs_none() {
    // The runtime has not looked at its sockets since: only the kernel knows.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (close, closing) = std::sync::mpsc::channel::<()>();
    let (closed, is_closed) = std::sync::mpsc::channel::<()>();
    let device = std::thread::spawn(move || {
        let answer = |tcp: &mut std::net::TcpStream| {
            let mut request = vec![];
            while !request.ends_with(b"hello device") {
                let mut byte = [0];
                tcp.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            tcp.write_all(&answer(200, "", "")).unwrap();
        };
        let mut first = listener.accept().unwrap().0;
        answer(&mut first);
        closing.recv().unwrap();
        drop(first);
        closed.send(()).unwrap();
        answer(&mut listener.accept().unwrap().0);
    });
    let (client, target) = (client(), target(address));
    assert_eq!(push_to(&client, &small(), &target).await, OK);
    assert_eq!(client.pool_stats().idle, 1);
    close.send(()).unwrap();
    is_closed.recv().unwrap();
    assert_eq!(push_to(&client, &small(), &target).await, OK);
    device.join().unwrap();
}

#[tokio::test]
async fn many_stale_ones_cost_none_either() {
    let barrier = |parties| std::sync::Arc::new(tokio::sync::Barrier::new(parties));
    let (all_here, all_answered) = (barrier(10), barrier(11));
    let script = vec![
        Do::Head,
        Do::Rest,
        Do::Meet(all_here),
        Do::Write(answer(200, "", "")),
        Do::Meet(all_answered.clone()),
        Do::Close,
    ];
    let scripts = std::iter::repeat_n(script, 10).chain([reply(200, "", "")]);
    let device = Device::start(scripts).await;
    let (client, shipment) = (client(), small());
    let pushes = (0..10).map(|_| push(&client, &shipment, &device));
    assert!(futures_util::future::join_all(pushes).await.iter().all(|outcome| *outcome == OK));
    all_answered.wait().await;
    device.until_open(0).await;
    assert_eq!(client.pool_stats(), PoolStats { idle: 10, idle_hosts: 1, open: 10 });
    assert_eq!(push(&client, &shipment, &device).await, OK);
    assert_eq!(client.pool_stats(), PoolStats { idle: 1, idle_hosts: 1, open: 1 });
    assert_eq!((device.accepted(), device.seen().len()), (11, 11));
}

#[tokio::test]
async fn one_that_dies_under_a_request_is_unknown() {
    // Here the request had left: nobody can say what became of it.
    let device = Device::start([reply(200, "", ""), vec![Do::Head, Do::Rest, Do::Close]]).await;
    let client = client();
    assert_eq!(push(&client, &small(), &device).await, OK);
    let outcome = push(&client, &small(), &device).await;
    assert!(matches!(outcome, Outcome::Unknown { fault: Fault::Reset, .. }), "{outcome:?}");
    assert_eq!((device.accepted(), client.pool_stats().open), (1, 0));
}

#[tokio::test]
async fn the_oldest_goes_first() {
    let pool = PoolLimits { idle_max: 3, ..PoolLimits::default() };
    let (client, manual) = timed_with(Config { pool, ..Config::default() });
    let mut devices = vec![];
    for _ in 0..5 {
        let device = Device::start([reply(200, "", "")]).await;
        assert_eq!(push(&client, &small(), &device).await, OK);
        manual.advance(Duration::from_secs(1));
        devices.push(device);
    }
    assert_eq!(client.pool_stats(), PoolStats { idle: 3, idle_hosts: 3, open: 3 });
    devices[0].until_open(0).await;
    devices[1].until_open(0).await;
    assert_eq!(push(&client, &small(), &devices[2]).await, OK);
    assert_eq!(devices[2].accepted(), 1);
}

#[tokio::test]
async fn none_is_kept_longer_than_it_may() {
    let (first, second) =
        (Device::start([reply(200, "", "")]).await, Device::start([reply(200, "", "")]).await);
    let (client, manual) = timed();
    assert_eq!(push(&client, &small(), &first).await, OK);
    manual.advance(Duration::from_secs(89));
    assert_eq!(push(&client, &small(), &first).await, OK);
    assert_eq!(first.accepted(), 1);
    manual.advance(Duration::from_secs(90));
    // A push elsewhere is enough to have it closed.
    assert_eq!(push(&client, &small(), &second).await, OK);
    first.until_open(0).await;
    assert_eq!(client.pool_stats(), PoolStats { idle: 1, idle_hosts: 1, open: 1 });
}
