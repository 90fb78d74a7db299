//! Addresses that may not be connected to, however they are come by.

use std::{
    collections::VecDeque,
    net::{IpAddr, TcpListener},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use groundswell::{
    core::outcome::{Fault, Outcome, Permanence},
    delivery::http::{Client, Config, Resolver, Reuse},
    networks::{Networks, Own},
};
use parking_lot::Mutex;

use super::{push_to, small, target, timed_with};
use crate::support::device::{Device, reply};

/// Where devices of these tests may be, and where nobody may.
const GOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const BAD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

fn config(turns: &[&[IpAddr]]) -> Config {
    let networks = Networks::new(vec!["127.0.0.1/32".parse().unwrap()], Own::System);
    let turns: VecDeque<Vec<IpAddr>> = turns.iter().map(|turn| turn.to_vec()).collect();
    let resolver = Resolver::InTurn(Arc::new(Mutex::new(turns)));
    Config { networks: Some(networks), resolver, ..Config::default() }
}

fn refused(outcome: &Outcome, what: &str) {
    let Outcome::NotSent { fault: Fault::AddressRefused, detail } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(detail.contains(what), "{detail}");
}

/// The port of a device where nobody may be, and whether somebody came.
fn trap(port: u16) -> TcpListener {
    let listener = TcpListener::bind((BAD, port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn nobody_came(trap: &TcpListener) {
    let came = trap.accept().map_err(|error| error.kind());
    assert!(matches!(came, Err(std::io::ErrorKind::WouldBlock)), "{came:?}");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_leads_nowhere() {
    let device = Device::start([reply(200, "", "")]).await;
    let trap = trap(device.addr.port());
    let (client, clock) = timed_with(config(&[&[GOOD], &[BAD]]));
    let target = target(device.address_as("till.example"));
    let push = |shipment| {
        let (client, target) = (client.clone(), target.clone());
        async move { client.push(&shipment, &target, Reuse::Close, &AtomicU64::new(0)).await }
    };
    assert_eq!(push(small()).await, Outcome::Accepted { status: 200 });
    // The answer of the name server is asked for anew.
    clock.advance(Duration::from_secs(11));
    refused(&push(small()).await, "127.0.0.2 is this machine's own (loopback)");
    nobody_came(&trap);
    assert_eq!(Fault::AddressRefused.permanence(), Permanence::Permanent);
}

#[tokio::test]
async fn of_several_addresses_only_good_ones_are_tried() {
    let device = Device::start([reply(200, "", "")]).await;
    let trap = trap(device.addr.port());
    let client = Client::new(config(&[&[BAD, GOOD]])).unwrap();
    let outcome = push_to(&client, &small(), &target(device.address_as("till.example"))).await;
    assert_eq!(outcome, Outcome::Accepted { status: 200 });
    nobody_came(&trap);
}

#[tokio::test]
async fn what_is_written_is_judged_in_every_form() {
    let device = Device::start([reply(200, "", "")]).await;
    let trap = trap(device.addr.port());
    let client = Client::new(config(&[&[BAD]])).unwrap();
    for (host, what) in [
        ("127.0.0.2", "loopback"),
        ("[::ffff:127.0.0.2]", "127.0.0.2"),
        // Names that the operating system reads as numbers are judged once they are looked up.
        ("0x7f000002", "loopback"),
        ("metadata.google.internal", "metadata"),
        ("169.254.169.254", "metadata"),
        ("[64:ff9b::a9fe:a9fe]", "metadata"),
        ("0.0.0.0", "unspecified"),
    ] {
        let outcome = push_to(&client, &small(), &target(device.address_as(host))).await;
        refused(&outcome, what);
    }
    nobody_came(&trap);
    // Whoever works at this machine may send where they like.
    let free = Client::new(Config::default()).unwrap();
    let outcome = push_to(&free, &small(), &target(device.address())).await;
    assert_eq!(outcome, Outcome::Accepted { status: 200 });
}
