use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::{file::parse, *};
use crate::{
    api::Limits,
    delivery::http::Timeouts,
    server::{ConnectionLimits, TlsFiles},
};

fn none(_: &str) -> Option<String> {
    None
}

fn text(value: &str) -> Given {
    Given::Text(value.to_owned())
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn gather(file: Option<&Path>, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Settings::gather(file, |name| variables.get(name).map(|value| (*value).to_owned()), vec![])
}

fn from(settings: &Settings, key: &str) -> (Option<String>, String) {
    let shown = settings.shown().into_iter().find(|shown| shown.key == key).unwrap();
    (shown.value, shown.from)
}

#[test]
fn what_is_said_higher_up_holds() {
    let place = Place::new();
    let file = place.write("server.toml", "listen = \"10.0.0.1:1\"\ndata = \"state\"\n");
    let data = place.0.path().join("state").display().to_string();
    let settings = gather(Some(&file), &[]).unwrap();
    let path = file.display().to_string();
    assert_eq!(from(&settings, "listen"), (Some("\"10.0.0.1:1\"".into()), path.clone()));
    assert_eq!(from(&settings, "data"), (Some(format!("\"{data}\"")), path), "beside the file");
    assert_eq!(from(&settings, "max_in_flight"), (Some("1000".into()), "default".into()));
    assert_eq!(from(&settings, "tls.cert"), (None, "default".into()));

    let variables = |name: &str| (name == "GROUNDSWELL_LISTEN").then(|| "10.0.0.2:2".to_owned());
    let settings = Settings::gather(Some(&file), variables, vec![]).unwrap();
    assert_eq!(from(&settings, "listen").1, "GROUNDSWELL_LISTEN");
    let flags = vec![("listen", text("10.0.0.3:3"))];
    let settings = Settings::gather(Some(&file), variables, flags).unwrap();
    assert_eq!(from(&settings, "listen"), (Some("\"10.0.0.3:3\"".into()), "--listen".into()));
    let config = settings.resolve(none).unwrap();
    assert_eq!(config.setup.listen.to_string(), "10.0.0.3:3");
    assert_eq!(config.setup.data, Path::new(&data));
}

#[test]
fn the_defaults_are_those_of_the_parts() {
    let config = gather(None, &[]).unwrap().resolve(none).unwrap();
    let (setup, limits, connections) =
        (config.setup, Limits::default(), ConnectionLimits::default());
    assert_eq!(format!("{:?}", setup.limits), format!("{limits:?}"));
    assert_eq!(format!("{:?}", setup.connections), format!("{connections:?}"));
    assert_eq!((setup.tls, setup.allow_plain), (None, false));
    assert_eq!(config.max_in_flight, crate::drive::IN_FLIGHT_MAX);
    assert_eq!(config.http.timeouts, Timeouts::default());
    let usual = crate::delivery::http::Config::default();
    assert_eq!(config.http.update_path, usual.update_path);
    assert_eq!(config.http.verify_path, usual.verify_path);
}

#[test]
fn every_setting_is_taken_from_the_environment() {
    let place = Place::new();
    let pem = place.write("some.pem", "x");
    let pem = pem.to_str().unwrap();
    let settings = gather(
        None,
        &[
            ("GROUNDSWELL_TLS_CERT", pem),
            ("GROUNDSWELL_TLS_KEY", pem),
            ("GROUNDSWELL_TLS_CLIENT_CA", pem),
            ("GROUNDSWELL_ALLOW_PLAIN_HTTP", "true"),
            ("GROUNDSWELL_LIMITS_JSON_BODY", "2MiB"),
            ("GROUNDSWELL_CONNECTIONS_HEAD_TIMEOUT", "3s"),
            ("GROUNDSWELL_NETWORKS_ALLOW", "10.0.0.0/8, 127.0.0.1"),
            ("GROUNDSWELL_GATES_SECRETS", "env:A,file:/b"),
            ("GROUNDSWELL_DELIVERY_HEADERS", "Authorization: env:TOKEN\nX-Site: a: b\n"),
            ("GROUNDSWELL_DELIVERY_TIMEOUT", "7s"),
        ],
    );
    let settings = settings.unwrap();
    let token = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
    let config = settings.resolve(token).unwrap();
    let tls = TlsFiles { cert: pem.into(), key: pem.into(), client_ca: Some(pem.into()) };
    assert_eq!(config.setup.tls, Some(tls));
    assert!(config.setup.allow_plain);
    assert_eq!(config.setup.limits.json_bytes_max, 2 << 20);
    assert_eq!(config.setup.connections.head_max.as_secs(), 3);
    assert!(config.setup.networks.judge("127.0.0.1".parse().unwrap()).is_ok());
    assert!(config.setup.networks.judge("127.0.0.2".parse().unwrap()).is_err());
    assert_eq!(config.setup.gate_secrets.len(), 2);
    assert_eq!(config.http.headers["authorization"], "s3cret");
    assert_eq!(config.http.headers["x-site"], "a: b");
    assert_eq!(config.http.timeouts.connect.as_secs(), 7);
}

#[test]
fn secrets_are_masked_wherever_they_are_shown() {
    let place = Place::new();
    let file = place.write(
        "server.toml",
        "[delivery.headers]\nAuthorization = \"Bearer s3cret\"\nX-Key = \"env:KEY\"\n",
    );
    let settings = gather(Some(&file), &[]).unwrap();
    let (value, _) = from(&settings, "delivery.headers");
    let value = value.unwrap();
    assert_eq!(value, r#"{ "Authorization" = "***", "X-Key" = "env:KEY" }"#);
    assert!(settings.has_secret_in_file());
    let config = settings.resolve(|_| Some("other-s3cret".to_owned())).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    let bad = place.write("bad.toml", "[delivery.headers]\nHost = \"s3cret\"\n");
    let told = gather(Some(&bad), &[]).unwrap_err().to_string();
    assert!(told.contains("host") && !told.contains("s3cret"), "{told}");
}

#[test]
fn what_is_no_header_is_refused_and_not_told() {
    let place = Place::new();
    for line in ["s3cret", "B s3cret", "B s3cret: x", ": s3cret"] {
        let told = gather(None, &[("GROUNDSWELL_DELIVERY_HEADERS", line)]).unwrap_err().to_string();
        assert!(told.starts_with("GROUNDSWELL_DELIVERY_HEADERS: "), "{told}");
        let flags = vec![("delivery.headers", Given::headers(&[line.to_owned()]))];
        let by_flag = Settings::gather(None, |_| None, flags).unwrap_err().to_string();
        assert!(by_flag.starts_with("--header: "), "{by_flag}");
        assert!(
            !told.contains("s3cret") && !by_flag.contains("s3cret"),
            "{line}: {told} {by_flag}"
        );
    }
    for text in ["headers = \"s3cret\"", "headers = [\"s3cret\"]", "headers.\"\" = \"s3cret\""] {
        let file = place.write("bad.toml", &format!("[delivery]\n{text}\n"));
        let told = gather(Some(&file), &[]).unwrap_err().to_string();
        assert!(told.contains("line 2: delivery.headers: ") && !told.contains("s3cret"), "{told}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_what_was_meant() {
    for (given, wanted) in [
        ("listn = \"x\"", "f: line 1: there is no setting listn; did you mean listen?"),
        (
            "\n[tls]\ncret = \"x\"",
            "f: line 3: there is no setting tls.cret; did you mean tls.cert?",
        ),
        ("[tsl]\ncert = \"x\"", "f: line 1: there is no setting tsl; did you mean tls?"),
        ("cert = \"x\"", "f: line 1: there is no setting cert; did you mean tls.cert?"),
        ("zzzzzz = 1", "f: line 1: there is no setting zzzzzz"),
        ("tls = 3", "f: line 1: tls: it is a table: [tls]"),
        ("max_in_flight = \"7\"", "f: line 1: max_in_flight: write a number from 1 to 100000"),
        ("max_in_flight = 0", "f: line 1: max_in_flight: \"0\" is not a number from 1 to 100000"),
        ("allow_plain_http = 1", "f: line 1: allow_plain_http: write true or false"),
        (
            "listen = \"localhost\"",
            "f: line 1: listen: \"localhost\" is not an address and a port, as in 127.0.0.1:8080",
        ),
        (
            "[connections]\nhead_timeout = \"0s\"",
            "f: line 2: connections.head_timeout: \"0s\" is not a time above 0 and up to 24h, as in 30s",
        ),
        (
            "[networks]\nallow = [\"10.0.0.1/8\"]",
            "f: line 2: networks.allow: \"10.0.0.1/8\" is no network: with these bits it is 10.0.0.0/8",
        ),
    ] {
        let found = parse(Path::new("f"), given).unwrap();
        let told = ConfigError::Faults(found.faults).to_string();
        let wanted =
            wanted.replace("100000", &groundswell_core::rollout::IN_FLIGHT_LIMIT.to_string());
        assert_eq!(told, wanted, "{given}");
    }
    let told = parse(Path::new("f"), "a = 1\nb = ").unwrap_err().to_string();
    assert!(told.starts_with("f: line 2: "), "{told}");
    // All of it is told, not the first alone.
    let found = parse(Path::new("f"), "listn = 1\nmax_in_flight = 0").unwrap();
    assert_eq!(found.faults.len(), 2);
}

#[test]
fn what_does_not_go_together_is_told_by_where_it_comes_from() {
    for (variables, wanted) in [
        (
            vec![("GROUNDSWELL_TLS_CERT", "x")],
            "tls.cert (GROUNDSWELL_TLS_CERT): needs tls.key, too",
        ),
        (
            vec![("GROUNDSWELL_TLS_CLIENT_CA", "x")],
            "tls.client_ca (GROUNDSWELL_TLS_CLIENT_CA): needs tls.cert and tls.key: without TLS \
             nobody shows a certificate",
        ),
        (
            vec![("GROUNDSWELL_DELIVERY_HEADERS", "A: env:NOBODY_SETS_THIS")],
            "delivery.headers (GROUNDSWELL_DELIVERY_HEADERS): A: the environment has no readable \
             variable NOBODY_SETS_THIS",
        ),
    ] {
        let told = gather(None, &variables).unwrap().resolve(none).unwrap_err().to_string();
        assert_eq!(told, wanted);
    }
}

#[test]
fn variables_that_were_probably_meant_are_found() {
    assert_eq!(meant("GROUNDSWELL_LISTN").as_deref(), Some("GROUNDSWELL_LISTEN"));
    assert_eq!(meant("GROUNDSWELL_LISTEN"), None);
}

#[test]
fn the_example_is_what_it_says_and_holds_every_setting() {
    let all = example();
    let found = parse(Path::new("f"), &all).unwrap();
    assert!(found.given.is_empty() && found.faults.is_empty(), "all of it is commented out");
    let lines = all.lines().map(|line| match line.strip_prefix('#') {
        Some(bare) if !bare.starts_with(' ') => bare,
        _ => line,
    });
    let bare: Vec<&str> = lines.collect();
    let found = parse(Path::new("f"), &bare.join("\n")).unwrap();
    assert_eq!(found.faults, []);
    assert_eq!(found.given.len(), SETTINGS.len());
}

/// `BLESS=1` (`make bless`) writes the page anew.
#[test]
fn the_page_in_the_docs_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/server-config.md");
    #[expect(clippy::disallowed_methods, reason = "this is how a test is told to write")]
    let is_blessed = std::env::var_os("BLESS").is_some();
    if is_blessed {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/server-config.md is an old one; `make bless` writes it anew");
}

proptest! {
    /// No text makes it panic, and what is taken was checked.
    #[test]
    fn any_text_is_a_file_or_none(text in "(\\PC|\n){0,200}") {
        let _ = parse(Path::new("f"), &text);
    }

    #[test]
    fn anything_may_stand_behind_a_setting(
        number in 0..SETTINGS.len(),
        value in "(\"[a-z0-9:/.]{0,20}\"|[0-9]{1,20}|true|\\[\"[a-z0-9:/.]{0,20}\"\\]|\\{ a = \"b\" \\})",
    ) {
        let text = format!("{} = {value}", SETTINGS[number].key);
        if let Ok(found) = parse(Path::new("f"), &text) {
            prop_assert_eq!(found.given.len() + found.faults.len(), 1);
            for (key, given) in found.given {
                prop_assert_eq!(Setting::find(key).unwrap().kind.check(&given), Ok(()));
            }
        }
    }
}
