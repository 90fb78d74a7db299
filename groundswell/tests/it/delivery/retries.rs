//! Trying again by a policy.

use std::{sync::Arc, time::Duration};

use groundswell::{
    artifacts::payload::Payload,
    clock::{Clock, ManualClock},
    core::{
        outcome::{Fault, Outcome},
        retry::Policy,
    },
    delivery::http::{Config, LookupError, Resolver, Shipment},
    retry::{self, GaveUp, PushError},
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::{push_to, shipment, small, target, timed, timed_with};
use crate::support::device::{Device, Do, Script, reply};

fn policy(attempts: u32, initial_ms: u64, multiplier: f64, cap_secs: u64) -> Policy {
    let (initial, cap) = (Duration::from_millis(initial_ms), Duration::from_secs(cap_secs));
    Policy::new(attempts, initial, multiplier, cap, 0).unwrap()
}

/// Lets the time pass whenever somebody waits to try again, and writes down how long.
fn hurry(manual: ManualClock) -> (Arc<Mutex<Vec<Duration>>>, JoinHandle<()>) {
    let waits = Arc::new(Mutex::new(vec![]));
    let task = tokio::spawn({
        let waits = waits.clone();
        async move {
            loop {
                let wait = manual.until_waiting("retry").await;
                waits.lock().push(wait);
                manual.advance(wait);
            }
        }
    });
    (waits, task)
}

struct Tried {
    result: Result<(), GaveUp<PushError>>,
    waits_ms: Vec<u128>,
    requests: usize,
}

async fn push_by(
    policy: &Policy,
    shipment: &Shipment,
    at_least_once: bool,
    scripts: impl IntoIterator<Item = Script>,
) -> Tried {
    let device = Device::start(scripts).await;
    let (client, manual) = timed();
    let (waits, hurrying) = hurry(manual.clone());
    let target = target(device.address());
    let check = if at_least_once { PushError::check_at_least_once } else { PushError::check };
    let result = retry::run(policy, &Clock::Manual(manual), |_| async {
        check(push_to(&client, shipment, &target).await)
    })
    .await;
    hurrying.abort();
    let seen = device.seen();
    for request in seen.iter().filter(|request| request.body_bytes == shipment.payload().len()) {
        assert_eq!(&request.sha256, shipment.payload().sha256());
        assert_eq!(request.header("idempotency-key"), Some("key-1"));
    }
    let waits_ms = waits.lock().iter().map(Duration::as_millis).collect();
    Tried { result, waits_ms, requests: seen.len() }
}

#[tokio::test]
async fn a_server_error_is_tried_again() {
    let scripts = [reply(500, "", ""), reply(502, "", ""), reply(200, "", "")];
    let tried = push_by(&Policy::default(), &small(), false, scripts).await;
    assert_eq!(tried.result, Ok(()));
    assert_eq!((tried.waits_ms, tried.requests), (vec![1_000, 2_000], 3));
}

#[tokio::test]
async fn a_permanent_error_is_not() {
    for status in [301, 400, 401, 403, 404] {
        let tried = push_by(&Policy::default(), &small(), false, [reply(status, "", "")]).await;
        assert_eq!(tried.result.unwrap_err().attempts, 1);
        assert_eq!((tried.waits_ms, tried.requests), (vec![], 1), "{status}");
    }
}

#[tokio::test]
async fn attempts_are_used_up() {
    for status in [408, 429, 500, 503, 504] {
        let tried = push_by(&Policy::default(), &small(), false, [reply(status, "", "")]).await;
        let gave_up = tried.result.unwrap_err();
        assert_eq!(gave_up.attempts, 3);
        let refused = Outcome::Refused { status, retry_after: None, detail: String::new() };
        assert_eq!(*gave_up.error.outcome(), refused);
        assert_eq!((tried.waits_ms, tried.requests), (vec![1_000, 2_000], 3));
    }
}

#[tokio::test]
async fn schedules_to_the_millisecond() {
    for (policy, waits_ms) in [
        (Policy::default(), vec![1_000, 2_000]),
        (policy(5, 1_000, 2.0, 30), vec![1_000, 2_000, 4_000, 8_000]),
        (policy(5, 500, 1.5, 10), vec![500, 750, 1_125, 1_687]),
    ] {
        let tried = push_by(&policy, &small(), false, [reply(503, "", "")]).await;
        assert_eq!(tried.waits_ms, waits_ms);
    }
}

#[tokio::test]
async fn a_storm_of_failures_is_weathered() {
    let scripts = std::iter::repeat_n(reply(503, "", ""), 5).chain([reply(200, "", "")]);
    let tried = push_by(&policy(6, 1_000, 2.0, 30), &small(), false, scripts).await;
    assert_eq!(tried.result, Ok(()));
    assert_eq!(tried.waits_ms, [1_000, 2_000, 4_000, 8_000, 16_000]);
    assert_eq!((tried.waits_ms.iter().sum::<u128>(), tried.requests), (31_000, 6));
}

#[tokio::test]
async fn the_device_may_ask_for_a_longer_wait() {
    let scripts = [
        reply(503, "Retry-After: 9\r\n", ""),
        // One minute after the clock's start, of which 9 s have passed.
        reply(429, "Retry-After: Tue, 24 Nov 2026 02:01:00 GMT\r\n", ""),
        reply(503, "Retry-After: 9999999\r\n", ""),
        reply(503, "Retry-After: 0\r\n", ""),
        reply(200, "", ""),
    ];
    let tried = push_by(&policy(5, 1_000, 2.0, 30), &small(), false, scripts).await;
    assert_eq!(tried.waits_ms, [9_000, 51_000, 3_600_000, 8_000]);
}

#[tokio::test]
async fn the_body_is_the_same_every_time() {
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    for payload in [Payload::from_bytes(bytes), Payload::from_file(file.path()).unwrap()] {
        let scripts = [
            reply(503, "", ""),
            vec![Do::Head, Do::Body(1_000_000), Do::Reset],
            reply(503, "Connection: close\r\n", ""),
            reply(200, "", ""),
        ];
        let shipment = shipment(payload);
        let tried = push_by(&policy(9, 1, 1.0, 1), &shipment, false, scripts).await;
        assert_eq!((tried.result, tried.requests), (Ok(()), 4));
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_sent_again_only_on_demand() {
    let lost = || [vec![Do::Head, Do::Rest, Do::Close], reply(200, "", "")];
    let tried = push_by(&Policy::default(), &small(), false, lost()).await;
    let gave_up = tried.result.unwrap_err();
    assert_eq!((gave_up.attempts, tried.requests), (1, 1));
    assert!(matches!(gave_up.error.outcome(), Outcome::Unknown { fault: Fault::Reset, .. }));
    let tried = push_by(&Policy::default(), &small(), true, lost()).await;
    assert_eq!((tried.result, tried.requests), (Ok(()), 2));
}

#[tokio::test]
async fn network_failures_by_their_permanence() {
    let down = LookupError::Failed("server failure".to_owned());
    let names = [("down".to_owned(), Err(down))].into_iter().collect();
    let resolver = Resolver::Fixed(Arc::new(names));
    let (client, manual) = timed_with(Config { resolver, ..Config::default() });
    let (_, hurrying) = hurry(manual.clone());
    let clock = Clock::Manual(manual);
    for (address, fault, attempts) in [
        ("http://127.0.0.1:1", Fault::ConnectRefused, 3),
        ("http://down", Fault::DnsFailed, 3),
        ("http://nowhere", Fault::NoSuchName, 1),
    ] {
        let target = target(address.parse().unwrap());
        let result = retry::run(&Policy::default(), &clock, |_| async {
            PushError::check(push_to(&client, &small(), &target).await)
        })
        .await;
        let gave_up = result.unwrap_err();
        assert_eq!(gave_up.attempts, attempts, "{address}");
        match gave_up.error.outcome() {
            Outcome::NotSent { fault: got, .. } => assert_eq!(*got, fault),
            other => panic!("{other:?}"),
        }
    }
    hurrying.abort();
}
