//! Delivery over HTTP against devices that are slow, cut, lie or flood.

mod cancel;
mod construction;
mod headers;
mod leaks;
mod networks;
mod outcomes;
mod payloads;
mod pool;
mod retries;
mod timeouts;
mod tls;
mod versions;

use std::sync::{Arc, atomic::AtomicU64};

use groundswell::{
    artifacts::payload::Payload,
    clock::{Clock, ManualClock},
    core::{
        device::{Address, Endpoint},
        ids::RolloutId,
        outcome::Outcome,
        time::Time,
    },
    delivery::http::{Client, Config, Reuse, Shipment, Target},
};
use uuid::Uuid;

use crate::support::device::Device;

/// 2026-11-24T02:00:00Z.
const START: Time = Time::from_millis(1_795_485_600_000);

fn shipment(payload: Payload) -> Shipment {
    Shipment::new(RolloutId(Uuid::from_u128(7)), "2.0.0", payload).unwrap()
}

fn small() -> Shipment {
    shipment(Payload::from_bytes(&b"hello device"[..]))
}

/// More than any socket buffers take.
fn large() -> Shipment {
    shipment(Payload::from_bytes(vec![7; 32 * 1_024 * 1_024]))
}

fn target(address: Address) -> Target {
    let endpoint =
        Endpoint { id: "pos-1".into(), name: "Lane 1".into(), address, update_path: None };
    Target { endpoint: Arc::new(endpoint), headers: None, idempotency_key: "key-1".to_owned() }
}

fn endpoint(target: &mut Target) -> &mut Endpoint {
    Arc::make_mut(&mut target.endpoint)
}

fn client() -> Client {
    Client::new(Config::default()).unwrap()
}

/// A client whose time a test moves.
fn timed() -> (Client, ManualClock) {
    timed_with(Config::default())
}

fn timed_with(config: Config) -> (Client, ManualClock) {
    let manual = ManualClock::new(START);
    let config = Config { clock: Clock::Manual(manual.clone()), ..config };
    (Client::new(config).unwrap(), manual)
}

async fn push(client: &Client, shipment: &Shipment, device: &Device) -> Outcome {
    push_to(client, shipment, &target(device.address())).await
}

async fn push_to(client: &Client, shipment: &Shipment, target: &Target) -> Outcome {
    client.push(shipment, target, Reuse::Keep, &AtomicU64::new(0)).await
}

/// A push in a task of its own, to be looked at from outside.
fn spawn_push(
    client: &Client,
    shipment: Shipment,
    target: Target,
) -> (tokio::task::JoinHandle<Outcome>, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let (client, counter) = (client.clone(), sent.clone());
    let task =
        tokio::spawn(async move { client.push(&shipment, &target, Reuse::Keep, &counter).await });
    (task, sent)
}
