//! What a device is told.

use std::{sync::Arc, time::Duration};

use groundswell::{
    artifacts::payload::Payload,
    core::{ids::RolloutId, outcome::Answer},
    delivery::http::{Client, Config, Reuse, Shipment, check_header},
};
use http::HeaderMap;
use uuid::Uuid;

use super::{push_to, target};
use crate::support::device::{Device, Do, Seen, reply};

fn headers(given: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let (name, value) = check_header(name, value).unwrap();
        headers.append(name, value);
    }
    headers
}

fn sorted(seen: &Seen) -> Vec<(&str, &str)> {
    let mut sorted: Vec<_> = seen.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    sorted.sort_unstable();
    sorted
}

#[tokio::test]
async fn exactly_these_are_sent() {
    let device = Device::start([reply(200, "", "")]).await;
    let config = Config {
        headers: headers(&[
            ("Authorization", "Bearer of all"),
            ("X-Site", "Denver"),
            ("X-Many", "1"),
            ("X-Many", "2"),
        ]),
        ..Config::default()
    };
    let client = Client::new(config).unwrap();
    let payload = Payload::from_bytes(&b"hello device"[..]);
    let rollout = RolloutId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0007));
    let shipment = Shipment::new(rollout, "2.0.0", payload).unwrap();
    let mut target = target(device.address());
    target.headers = Some(Arc::new(headers(&[("authorization", "Bearer own"), ("X-Own", "yes")])));
    push_to(&client, &shipment, &target).await;
    client.ask(&shipment, &target, Reuse::Close, Duration::from_secs(5)).await;

    let seen = device.seen();
    let host = device.addr.to_string();
    let agent = concat!("groundswell/", env!("CARGO_PKG_VERSION"));
    let mut expected = vec![
        ("authorization", "Bearer own"),
        ("content-length", "12"),
        ("content-type", "application/octet-stream"),
        ("host", &*host),
        ("idempotency-key", "key-1"),
        // printf 'hello device' | openssl dgst -sha256 -binary | base64
        ("repr-digest", "sha-256=:0GjrZxI15YrimQ8dkZyzlzdIkM+//J0EA6CBGi1pVII=:"),
        ("user-agent", agent),
        ("x-device-id", "pos-1"),
        ("x-device-name", "Lane 1"),
        ("x-firmware-version", "2.0.0"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("x-own", "yes"),
        ("x-site", "Denver"),
        ("x-update-id", "01920000-0000-7000-8000-000000000007"),
    ];
    assert_eq!(seen[0].line, "POST /update HTTP/1.1");
    assert_eq!(sorted(&seen[0]), expected);
    expected.retain(|(name, _)| !name.starts_with("content-"));
    expected.insert(1, ("connection", "close"));
    assert_eq!(seen[1].line, "GET /version HTTP/1.1");
    assert_eq!(sorted(&seen[1]), expected);
}

#[tokio::test]
async fn a_hostile_inventory_forges_nothing() {
    let device = Device::start([reply(200, "", "")]).await;
    let client = Client::new(Config::default()).unwrap();
    let payload = Payload::from_bytes(&b""[..]);
    let shipment = Shipment::new(RolloutId(Uuid::nil()), "2.0 \u{f6}", payload).unwrap();
    let mut target = target(device.address());
    super::endpoint(&mut target).id = "a\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1".into();
    super::endpoint(&mut target).name = "50% K\u{f6}ln\0".into();
    target.idempotency_key = "k\nk".into();
    push_to(&client, &shipment, &target).await;
    let seen = device.seen();
    assert_eq!(seen.len(), 1);
    let header = |name| seen[0].header(name).unwrap();
    assert_eq!(header("x-device-id"), "a%0D%0AX-Evil: 1%0D%0A%0D%0AGET / HTTP/1.1");
    assert_eq!(header("x-device-name"), "50%25 K%C3%B6ln%00");
    assert_eq!(header("idempotency-key"), "k%0Ak");
    assert_eq!(header("x-firmware-version"), "2.0 %C3%B6");
    assert_eq!(seen[0].header("x-evil"), None);
}

#[test]
fn a_version_that_is_none_is_refused() {
    for version in ["", " ", "1\n2"] {
        let payload = Payload::from_bytes(&b""[..]);
        assert!(Shipment::new(RolloutId(Uuid::nil()), version, payload).is_err(), "{version:?}");
    }
}

#[tokio::test]
async fn what_comes_back_is_not_kept() {
    let config = Config {
        headers: headers(&[("Authorization", "Bearer of-all"), ("X-Site", "Den")]),
        ..Config::default()
    };
    let client = Client::new(config).unwrap();
    let shipment = super::small();
    let within = Duration::from_secs(5);
    for status in [500, 404] {
        let device = Device::start([vec![Do::Head, Do::Echo(status)]]).await;
        let mut target = target(device.address());
        target.headers = Some(Arc::new(headers(&[("X-Api-Key", "p3rd3vice")])));
        let refused = format!("{:?}", push_to(&client, &shipment, &target).await);
        let unreadable =
            format!("{:?}", client.ask(&shipment, &target, Reuse::Close, within).await);
        for told in [refused, unreadable] {
            assert!(told.contains("authorization: *************"), "{told}");
            assert!(told.contains("x-api-key: *********"), "{told}");
            assert!(told.contains("x-site: Den"), "three letters are no secret: {told}");
            assert!(!told.contains("of-all") && !told.contains("p3rd3vice"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_version_that_is_a_secret_is_not_kept_unless_it_is_ours() {
    let given = [("Authorization", "Basic dTpw"), ("X-Wanted", "2.0.0")];
    let client = Client::new(Config { headers: headers(&given), ..Config::default() }).unwrap();
    for (body, version) in [("1.0 dTpw", "1.0 ****"), ("2.0.0", "2.0.0"), ("1.9.9", "1.9.9")] {
        let device = Device::start([reply(200, "", body)]).await;
        let (target, within) = (target(device.address()), Duration::from_secs(5));
        let answer = client.ask(&super::small(), &target, Reuse::Close, within).await;
        assert_eq!(answer, Answer::Version { version: version.to_owned() });
    }
}
