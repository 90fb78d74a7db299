//! Making a client.

use std::time::Duration;

use groundswell::delivery::http::{
    Client, Config, ConfigError, PoolLimits, Reuse, Timeouts, Tls, check_header,
};
use http::HeaderMap;

use super::{push, push_to, small, target};
use crate::support::{
    device::{Device, reply},
    pki::Authority,
};

#[test]
fn the_defaults_are_those_of_the_manual() {
    let config = Config::default();
    assert_eq!((&*config.update_path, &*config.verify_path), ("/update", "/version"));
    assert_eq!(config.version_pointer, None);
    assert!(config.headers.is_empty());
    let secs = Duration::from_secs;
    let timeouts = Timeouts {
        connect: secs(10),
        upload_stall: secs(30),
        response: secs(30),
        response_large: secs(60),
        response_body: secs(30),
        attempt: None,
    };
    assert_eq!(config.timeouts, timeouts);
    let limits = PoolLimits { idle_max: 100, idle_per_host: 10, idle_for: secs(90) };
    assert_eq!(config.pool, limits);
    assert!(!config.tls.insecure && config.tls.ca_pem.is_none());
    assert!(Client::new(config).is_ok());
}

#[test]
fn one_timeout_sets_every_step() {
    let wait = Duration::from_secs(5);
    let Timeouts { connect, upload_stall, response, response_large, response_body, attempt } =
        Timeouts::all(wait);
    assert_eq!([connect, upload_stall, response, response_large, response_body], [wait; 5]);
    assert_eq!(attempt, None);
}

#[tokio::test]
async fn a_custom_client_goes_where_it_is_told() {
    let device = Device::start([reply(200, "", "")]).await;
    let config = Config {
        update_path: "/api/firmware?slot=b".to_owned(),
        headers: HeaderMap::from_iter([check_header("X-Site", "Denver").unwrap()]),
        ..Config::default()
    };
    let client = Client::new(config).unwrap();
    push(&client, &small(), &device).await;
    let mut other = target(device.address_as("127.0.0.1"));
    super::endpoint(&mut other).address = format!("{}/gw/7/", device.address()).parse().unwrap();
    push_to(&client, &small(), &other).await;
    super::endpoint(&mut other).update_path = Some("/own".into());
    push_to(&client, &small(), &other).await;
    client.ask(&small(), &other, Reuse::Keep, Duration::from_secs(5)).await;
    let seen = device.seen();
    let lines: Vec<_> = seen.iter().map(|seen| &*seen.line).collect();
    assert_eq!(
        lines,
        [
            "POST /api/firmware?slot=b HTTP/1.1",
            "POST /gw/7/api/firmware?slot=b HTTP/1.1",
            "POST /gw/7/own HTTP/1.1",
            "GET /gw/7/version HTTP/1.1",
        ]
    );
    assert!(seen.iter().all(|seen| seen.header("x-site") == Some("Denver")));
}

fn refusal(config: Config) -> String {
    Client::new(config).err().unwrap().to_string()
}

#[test]
fn what_cannot_work_is_refused_with_a_reason() {
    let config = Config { update_path: "update".to_owned(), ..Config::default() };
    assert!(refusal(config).contains("must start with /"));
    let config = Config { verify_path: "/a b".to_owned(), ..Config::default() };
    assert!(refusal(config).contains("blanks"));
    let config = Config { version_pointer: Some("a".to_owned()), ..Config::default() };
    assert!(refusal(config).contains("RFC 6901"));
    let timeouts = Timeouts { response: Duration::ZERO, ..Timeouts::default() };
    assert!(refusal(Config { timeouts, ..Config::default() }).contains("longer than zero"));
    let mut headers = HeaderMap::new();
    headers.insert("content-length", "0".parse().unwrap());
    assert!(refusal(Config { headers, ..Config::default() }).contains("content-length"));
}

#[test]
fn certificates_and_keys_that_are_none_are_refused() {
    let with = |tls| Client::new(Config { tls, ..Config::default() });
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["a"]), authority.issue(&["b"]));
    let tls = Tls { ca_pem: Some(b"nothing here".to_vec()), ..Tls::default() };
    assert!(matches!(with(tls), Err(ConfigError::Ca(_))));
    let tls = Tls { ca_pem: Some(one.key_pem.clone().into()), ..Tls::default() };
    assert!(matches!(with(tls), Err(ConfigError::Ca(_))));
    let identity = |chain: &str, key: &str| Tls {
        identity_pem: Some((chain.into(), key.into())),
        ..Tls::default()
    };
    assert!(matches!(with(identity("", &one.key_pem)), Err(ConfigError::Certificate(_))));
    assert!(matches!(with(identity(&one.certificate_pem, "")), Err(ConfigError::Key(_))));
    let mixed = identity(&one.certificate_pem, &other.key_pem);
    assert!(matches!(with(mixed), Err(ConfigError::Key(_))), "a key of another certificate");
    assert!(with(identity(&one.certificate_pem, &one.key_pem)).is_ok());
    let broken = one.key_pem.replace("-----END", "-----");
    let error = with(identity(&one.certificate_pem, &broken)).err().unwrap().to_string();
    assert!(!error.contains(one.key_pem.lines().nth(1).unwrap()), "the key is shown: {error}");
}

#[test]
fn nothing_secret_is_shown() {
    let config = Config {
        headers: HeaderMap::from_iter([check_header("Authorization", "Bearer s3cret").unwrap()]),
        tls: Tls { identity_pem: Some((vec![], b"s3cret".to_vec())), ..Tls::default() },
        ..Config::default()
    };
    assert!(!format!("{config:?}").contains("s3cret"));
}
