//! The settings: their names, what each may be, and what they say in the documentation.

use std::{net::SocketAddr, time::Duration};

use groundswell_core::{
    device::check_path, gate::external::SecretSource, rollout::IN_FLIGHT_LIMIT,
};

use super::Given;
use crate::{
    delivery::http::check_header,
    networks::{ALLOWED_MAX, Network},
    units::{parse_bytes, parse_duration},
};

/// Longest wait that can be set: a day is longer than anybody waits for a connection.
const WAIT_MAX: Duration = Duration::from_hours(24);

/// Most connections that can be asked for: what a process may have open at the most, commonly.
const CONNECTIONS_MAX: u64 = 1_000_000;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the file, such as `tls.cert`.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is unless somebody says otherwise; none: nothing.
    pub default: Option<&'static str>,
    /// Its flag of `groundswell serve`; none: it has none.
    pub flag: Option<&'static str>,
    /// What it does.
    pub does: &'static str,
    /// A value that shows how it is written, where there is no default.
    pub example: &'static str,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address and a port.
    Address,
    /// A file or a directory; in the file of settings, one that is relative begins beside it.
    File,
    /// Where on a device something is asked for.
    Path,
    /// A JSON pointer.
    Pointer,
    /// `true` or `false`.
    Switch,
    /// A number within these bounds.
    Number(u64, u64),
    /// A size in bytes, of at least one and at most so many.
    Size(u64),
    /// How long to wait.
    Wait,
    /// A list of networks.
    Networks,
    /// A list of places where secrets are.
    Secrets,
    /// Headers, by name.
    Headers,
}

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    setting("listen", Kind::Address, "127.0.0.1:8080", "--listen", "Where to listen."),
    setting(
        "data",
        Kind::File,
        crate::store::dir::DEFAULT,
        "--data",
        "Where the state is kept; made at the first start, for nobody else to read.",
    ),
    setting(
        "allow_plain_http",
        Kind::Switch,
        "false",
        "--allow-plain-http",
        "Listen without TLS also beyond this machine, where something in front has it.",
    ),
    setting(
        "max_in_flight",
        Kind::Number(1, IN_FLIGHT_LIMIT as u64),
        "1000",
        "--max-in-flight",
        "Deliveries open at once, of all rollouts.",
    ),
    unset(
        "tls.cert",
        Kind::File,
        "--tls-cert",
        "The server's certificate, and those that lead from it to an authority (PEM). Read again \
         when it changes.",
        "server.crt",
    ),
    unset("tls.key", Kind::File, "--tls-key", "The private key of it (PEM).", "server.key"),
    unset(
        "tls.client_ca",
        Kind::File,
        "--client-ca",
        "Let only those connect whose certificate is of an authority in this file (PEM).",
        "clients.crt",
    ),
    bare("limits.json_body", Kind::Size(64 << 20), "1MiB", "Longest JSON body of a request."),
    bare("limits.artifact", Kind::Size(1 << 40), "64GiB", "Longest artifact."),
    bare(
        "limits.uploads",
        Kind::Number(1, 10_000),
        "100",
        "Uploads of artifacts that are under way at once; one that nothing is added to is kept for \
         a day.",
    ),
    bare(
        "limits.select_timeout",
        Kind::Wait,
        "2s",
        "How long devices may be looked for by a selector that no index serves.",
    ),
    bare(
        "limits.wrong_tokens",
        Kind::Number(1, 1_000_000),
        "10",
        "Wrong tokens that one source may show at once; they come back one in 6 s.",
    ),
    bare(
        "limits.enrollments",
        Kind::Number(1, 1_000_000),
        "100",
        "Devices that may enroll from one source at once; they come back one in a second.",
    ),
    bare("connections.max", Kind::Number(1, CONNECTIONS_MAX), "10000", "Connections open at once."),
    bare(
        "connections.per_source",
        Kind::Number(1, CONNECTIONS_MAX),
        "2000",
        "Connections open at once from one address, or one /64 network of IPv6.",
    ),
    bare(
        "connections.head_timeout",
        Kind::Wait,
        "10s",
        "How long the head of a request, or a TLS handshake, may take.",
    ),
    bare(
        "connections.stall_timeout",
        Kind::Wait,
        "30s",
        "How long a body may send nothing, and an answer may not be taken.",
    ),
    unset(
        "connections.proxies",
        Kind::Networks,
        "",
        "Networks of proxies in front of this server. What they say in X-Forwarded-For is believed: \
         callers count by their own addresses and not by the proxy's, also in the audit log.",
        r#"["10.0.0.7/32"]"#,
    ),
    unset(
        "networks.allow",
        Kind::Networks,
        "--allow-network",
        "Networks of devices and gates that may be connected to though they are link-local, of \
         this machine, multicast or of a metadata service (the last only by their very address).",
        r#"["127.0.0.1/32", "169.254.10.0/24"]"#,
    ),
    unset(
        "gates.secrets",
        Kind::Secrets,
        "",
        "Where gates of rollouts may have the values of their headers from; no other file or \
         variable of this machine is read for them.",
        r#"["env:PROMETHEUS_TOKEN", "file:/etc/groundswell/prometheus.token"]"#,
    ),
    unset(
        "delivery.headers",
        Kind::Headers,
        "--header",
        "Headers for every request to a device; a value may be `env:NAME` or `file:PATH`.",
        r#"{ Authorization = "env:DEVICE_TOKEN" }"#,
    ),
    setting(
        "delivery.update_path",
        Kind::Path,
        "/update",
        "--update-path",
        "Where devices take updates.",
    ),
    setting(
        "delivery.verify_path",
        Kind::Path,
        "/version",
        "--verify-path",
        "Where devices report their version.",
    ),
    unset(
        "delivery.verify_pointer",
        Kind::Pointer,
        "--verify-pointer",
        "JSON pointer to the version in that report.",
        "\"/firmware/running\"",
    ),
    unset(
        "delivery.timeout",
        Kind::Wait,
        "--timeout",
        "Time-out of every step; otherwise connect 10s, upload without progress 30s, answer 30s, \
         or 60s for more than 100 MiB.",
        "\"20s\"",
    ),
    unset(
        "delivery.attempt_timeout",
        Kind::Wait,
        "--attempt-timeout",
        "Time-out of an attempt as a whole.",
        "\"15m\"",
    ),
    unset(
        "delivery.ca",
        Kind::File,
        "--ca",
        "Trust the authorities in this file (PEM) for devices, instead of the system's.",
        "devices-ca.crt",
    ),
    unset("delivery.cert", Kind::File, "--cert", "Certificate shown to devices (PEM).", "own.crt"),
    unset("delivery.key", Kind::File, "--key", "Its private key (PEM).", "own.key"),
    setting(
        "delivery.insecure",
        Kind::Switch,
        "false",
        "--insecure",
        "Do not check the certificates of devices: anybody can pose as one.",
    ),
];

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    flag: &'static str,
    does: &'static str,
) -> Setting {
    Setting { key, kind, default: Some(default), flag: Some(flag), does, example: "" }
}

const fn bare(key: &'static str, kind: Kind, default: &'static str, does: &'static str) -> Setting {
    Setting { key, kind, default: Some(default), flag: None, does, example: "" }
}

const fn unset(
    key: &'static str,
    kind: Kind,
    flag: &'static str,
    does: &'static str,
    example: &'static str,
) -> Setting {
    let flag = if flag.is_empty() { None } else { Some(flag) };
    Setting { key, kind, default: None, flag, does, example }
}

impl Setting {
    /// The setting of that name.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Its variable of the environment.
    pub fn variable(&self) -> String {
        format!("GROUNDSWELL_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

impl Kind {
    /// Says what is wrong with a value.
    pub(super) fn check(self, given: &Given) -> Result<(), String> {
        match (self, given) {
            (Self::Networks, Given::List(list)) => {
                if list.len() > ALLOWED_MAX {
                    return Err(format!("there are {}, the most is {ALLOWED_MAX}", list.len()));
                }
                each(list, |text| text.parse::<Network>().map(drop))
            }
            (Self::Secrets, Given::List(list)) => {
                each(list, |text| text.parse::<SecretSource>().map(drop))
            }
            (Self::Headers, Given::Pairs(pairs)) => pairs.iter().try_for_each(|(name, value)| {
                if name.is_empty() {
                    return Err("write 'Name: value'; one has no name, or no colon".to_owned());
                }
                // What stands elsewhere is looked at where it is read.
                let value = if is_elsewhere(value) { "" } else { value };
                check_header(name, value).map(drop).map_err(|error| error.to_string())
            }),
            // What was given may be a secret.
            (Self::Headers, _) => Err(format!("write {}", self.form())),
            (_, Given::Text(text)) => self.check_text(text),
            _ => Err(format!("write {}", self.form())),
        }
    }

    fn check_text(self, text: &str) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let is_good = match self {
            Self::Address => text.parse::<SocketAddr>().is_ok(),
            Self::File => !text.is_empty(),
            Self::Path => return check_path(text).map_err(|error| told(&error)),
            Self::Pointer => text.is_empty() || text.starts_with('/'),
            Self::Switch => matches!(text, "true" | "false"),
            Self::Number(least, most) => {
                text.parse().is_ok_and(|number| (least..=most).contains(&number))
            }
            Self::Size(most) => {
                let bytes = parse_bytes(text).map_err(|error| told(&error))?;
                (1..=most).contains(&bytes)
            }
            Self::Wait => {
                let wait = parse_duration(text).map_err(|error| told(&error))?;
                !wait.is_zero() && wait <= WAIT_MAX
            }
            Self::Networks | Self::Secrets | Self::Headers => false,
        };
        if is_good { Ok(()) } else { Err(format!("{text:?} is not {}", self.form())) }
    }

    /// What is to be written, in words.
    pub(super) fn form(self) -> String {
        match self {
            Self::Address => "an address and a port, as in 127.0.0.1:8080".to_owned(),
            Self::File => "the path of a file or directory".to_owned(),
            Self::Path => "a path that begins with /".to_owned(),
            Self::Pointer => "a JSON pointer that begins with /".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::Size(most) => format!("a size from 1B to {}", crate::units::Bytes(most)),
            Self::Wait => "a time above 0 and up to 24h, as in 30s".to_owned(),
            Self::Networks => "a list of networks, as in [\"10.0.0.0/8\"]".to_owned(),
            Self::Secrets => "a list of env:NAME and file:PATH".to_owned(),
            Self::Headers => "headers by name, as in { Authorization = \"env:TOKEN\" }".to_owned(),
        }
    }

    /// Whether it holds several values.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Networks | Self::Secrets)
    }
}

fn each<E: std::fmt::Display>(
    list: &[String],
    check: impl Fn(&str) -> Result<(), E>,
) -> Result<(), String> {
    list.iter().try_for_each(|text| check(text).map_err(|error| error.to_string()))
}

/// Whether a value says where the value is.
pub(super) fn is_elsewhere(value: &str) -> bool {
    value.starts_with("env:") || value.starts_with("file:")
}
