//! Whom we trust, and who we are.

use std::time::Duration;

use groundswell::{
    core::outcome::{Fault, Outcome, Permanence},
    delivery::http::{Client, Config, Resolver, Reuse, Tls},
};
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

use super::{large, push_to, small, target};
use crate::support::{
    device::{Device, Do, reply},
    pki::{Authority, Identity},
};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

fn client_with(tls: Tls) -> Client {
    let here = vec!["127.0.0.1".parse().unwrap()];
    let names = ["pos.example", "other.example"].map(|name| (name.to_owned(), Ok(here.clone())));
    let resolver = Resolver::Fixed(std::sync::Arc::new(names.into_iter().collect()));
    Client::new(Config { tls, resolver, ..Config::default() }).unwrap()
}

fn trusting(authority: &Authority) -> Tls {
    Tls { ca_pem: Some(authority.pem()), ..Tls::default() }
}

async fn device_of(identity: &Identity) -> Device {
    Device::start_tls(identity.acceptor(None, BOTH), [reply(200, "", "ok")]).await
}

fn fault(outcome: &Outcome) -> Fault {
    match outcome {
        Outcome::NotSent { fault, detail } => {
            assert!(!detail.is_empty());
            *fault
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn names_and_addresses_are_checked() {
    let authority = Authority::new();
    let device = device_of(&authority.issue(&["pos.example", "127.0.0.1"])).await;
    let client = client_with(trusting(&authority));
    for host in ["pos.example", "127.0.0.1"] {
        let outcome = push_to(&client, &small(), &target(device.address_as(host))).await;
        assert_eq!(outcome, Outcome::Accepted { status: 200 }, "{host}");
    }
    let outcome = push_to(&client, &small(), &target(device.address_as("other.example"))).await;
    assert_eq!(fault(&outcome), Fault::TlsName);
    let named = device_of(&authority.issue(&["pos.example"])).await;
    let outcome = push_to(&client, &small(), &target(named.address())).await;
    assert_eq!(fault(&outcome), Fault::TlsName, "an address that the certificate does not name");
    assert_eq!(Fault::TlsName.permanence(), Permanence::Permanent);
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for() {
    let authority = Authority::new();
    let device = device_of(&authority.issue(&["127.0.0.1"])).await;
    for tls in [trusting(&Authority::new()), Tls::default()] {
        let outcome = push_to(&client_with(tls), &small(), &target(device.address())).await;
        assert_eq!(fault(&outcome), Fault::TlsTrust);
    }
    let insecure = Tls { insecure: true, ..Tls::default() };
    let outcome = push_to(&client_with(insecure), &small(), &target(device.address())).await;
    assert_eq!(outcome, Outcome::Accepted { status: 200 });
    assert_eq!(Fault::TlsTrust.permanence(), Permanence::Permanent);
}

#[tokio::test]
async fn a_certificate_that_has_ended() {
    let authority = Authority::new();
    let device = device_of(&authority.issue_expired(&["127.0.0.1"])).await;
    let client = client_with(trusting(&authority));
    let outcome = push_to(&client, &small(), &target(device.address())).await;
    assert_eq!(fault(&outcome), Fault::TlsExpired);
    assert_eq!(Fault::TlsExpired.permanence(), Permanence::Permanent);
}

#[tokio::test]
async fn both_versions_carry_bodies_of_any_size() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    for version in BOTH {
        let acceptor = identity.acceptor(None, &[version]);
        let device = Device::start_tls(acceptor, [reply(200, "", "ok")]).await;
        let client = client_with(trusting(&authority));
        for shipment in [small(), large(), small()] {
            let outcome = push_to(&client, &shipment, &target(device.address())).await;
            assert_eq!(outcome, Outcome::Accepted { status: 200 });
            let seen = device.seen();
            assert_eq!(&seen.last().unwrap().sha256, shipment.payload().sha256());
        }
        assert_eq!(device.accepted(), 1, "session tickets look like a stale connection");
        let to = target(device.address());
        client.ask(&small(), &to, Reuse::Close, Duration::from_secs(9)).await;
        device.until_open(0).await;
    }
}

#[tokio::test]
async fn a_device_that_knows_only_old_versions() {
    // Alert, TLS 1.1, 2 bytes: fatal, protocol_version (RFC 5246 section 7.2).
    let alert = Do::Write(vec![21, 3, 2, 0, 2, 2, 70]);
    let device = Device::start([vec![alert, Do::Hang]]).await;
    let address = format!("https://{}", device.addr).parse().unwrap();
    let outcome = push_to(&client_with(Tls::default()), &small(), &target(address)).await;
    assert_eq!(fault(&outcome), Fault::TlsVersion);
    // ServerHello that chooses TLS 1.1 (RFC 4346 section 7.4.1.3).
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([9; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    hello[4] = u8::try_from(hello.len() - 5).unwrap();
    hello[8] = u8::try_from(hello.len() - 9).unwrap();
    let device = Device::start([vec![Do::Write(hello), Do::Hang]]).await;
    let address = format!("https://{}", device.addr).parse().unwrap();
    let outcome = push_to(&client_with(Tls::default()), &small(), &target(address)).await;
    assert_eq!(fault(&outcome), Fault::TlsVersion);
}

#[tokio::test]
async fn a_handshake_that_fails_otherwise_may_pass() {
    for script in
        [vec![Do::Close], vec![Do::Write(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Do::Hang]]
    {
        let device = Device::start([script]).await;
        let address = format!("https://{}", device.addr).parse().unwrap();
        let outcome = push_to(&client_with(Tls::default()), &small(), &target(address)).await;
        assert_eq!(fault(&outcome), Fault::TlsHandshake);
    }
    assert_eq!(Fault::TlsHandshake.permanence(), Permanence::Transient);
}

#[tokio::test]
async fn a_device_that_wants_to_know_us() {
    let (authority, fleet) = (Authority::new(), Authority::new());
    let identity = authority.issue(&["127.0.0.1"]);
    let (known, unknown) = (fleet.issue(&["us"]), Authority::new().issue(&["us"]));
    for version in BOTH {
        let acceptor = identity.acceptor(Some(&fleet), &[version]);
        let device = Device::start_tls(acceptor, [reply(200, "", "ok")]).await;
        for (us, trusted) in [(Some(&known), true), (Some(&unknown), false), (None, false)] {
            let pem =
                |us: &Identity| (us.certificate_pem.clone().into(), us.key_pem.clone().into());
            let tls = Tls { identity_pem: us.map(pem), ..trusting(&authority) };
            let client = client_with(tls);
            for shipment in [small(), large(), small(), small()] {
                let outcome = push_to(&client, &shipment, &target(device.address())).await;
                match outcome {
                    Outcome::Accepted { status: 200 } => assert!(trusted),
                    // In TLS 1.3 the refusal comes when the request may already have left, which
                    // nobody looks at then.
                    Outcome::NotSent { fault, detail } => {
                        assert!(!trusted);
                        assert_eq!(fault, Fault::TlsTrust, "{version:?}: {detail}");
                        assert!(!detail.is_empty());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
