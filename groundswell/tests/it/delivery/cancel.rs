//! Stopping at any instant.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use groundswell::{
    clock::Clock,
    core::retry::Policy,
    delivery::http::{PoolStats, Reuse},
    retry::{self, PushError},
};
use tokio_util::sync::CancellationToken;

use super::{client, large, push_to, small, spawn_push, target, timed};
use crate::support::device::{Device, Do, reply};

#[tokio::test]
async fn before_it_begins() {
    let device = Device::start([reply(200, "", "")]).await;
    let (client, sent) = (client(), AtomicU64::new(0));
    let (shipment, target) = (small(), target(device.address()));
    let mut pushing = Box::pin(client.push(&shipment, &target, Reuse::Keep, &sent));
    assert!(futures_util::poll!(&mut pushing).is_pending());
    assert_eq!(client.pool_stats().open, 0, "it has not connected yet");
    drop(pushing);
    device.until_open(0).await;
    assert_eq!((device.seen_count(), client.pool_stats()), (0, PoolStats::default()));
}

#[tokio::test]
async fn in_every_step() {
    let head = Do::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec());
    for (script, label, address) in [
        (vec![Do::Hang], "connect", "https"),
        (vec![Do::Head, Do::Freeze], "upload", "http"),
        (vec![Do::Head, Do::Rest, Do::Hang], "response", "http"),
        (vec![Do::Head, Do::Rest, head, Do::Hang], "response-body", "http"),
    ] {
        let device = Device::start([script]).await;
        let (client, manual) = timed();
        let address = format!("{address}://{}", device.addr).parse().unwrap();
        let shipment = if label == "upload" { large() } else { small() };
        let (pushing, _) = spawn_push(&client, shipment, target(address));
        manual.until_waiting(label).await;
        pushing.abort();
        assert!(pushing.await.unwrap_err().is_cancelled());
        assert_eq!(client.pool_stats(), PoolStats::default(), "{label}");
        assert!(manual.waiting().is_empty(), "{label}: a timer was left");
        if label != "upload" {
            // That device does not read, so it does not see the end either.
            device.until_open(0).await;
        }
    }
}

#[tokio::test]
async fn between_attempts() {
    let device = Device::start([reply(503, "", "")]).await;
    let (client, manual) = timed();
    let (attempts, cancel) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let running = tokio::spawn({
        let (attempts, cancel) = (attempts.clone(), cancel.clone());
        let (clock, target) = (Clock::Manual(manual.clone()), target(device.address()));
        async move {
            let policy = Policy::default();
            let run = retry::run(&policy, &clock, |_| async {
                attempts.fetch_add(1, SeqCst);
                PushError::check(push_to(&client, &small(), &target).await)
            });
            tokio::select! {
                result = run => Some(result),
                () = cancel.cancelled() => None,
            }
        }
    });
    manual.until_waiting("retry").await;
    cancel.cancel();
    assert!(running.await.unwrap().is_none());
    manual.advance(Duration::from_hours(1));
    assert_eq!((attempts.load(SeqCst), device.seen().len()), (1, 1));
    assert!(manual.waiting().is_empty());
}

#[tokio::test]
async fn of_one_of_many_who_read_the_same_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 3_000_000]).unwrap();
    let payload = groundswell::artifacts::payload::Payload::from_file(file.path()).unwrap();
    let shipment = super::shipment(payload);
    let device = Device::start([reply(200, "", "")]).await;
    let client = client();
    for _ in 0..20 {
        let (one, _) = spawn_push(&client, shipment.clone(), target(device.address()));
        let (other, _) = spawn_push(&client, shipment.clone(), target(device.address()));
        tokio::task::yield_now().await;
        one.abort();
        assert!(
            other.await.unwrap() == groundswell::core::outcome::Outcome::Accepted { status: 200 }
        );
    }
}
