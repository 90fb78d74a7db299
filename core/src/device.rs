//! A device as an inventory describes it.
//!
//! Owns the checks that make an id, a name, an address and a path safe to store, to print and to
//! put on the wire. Knows nothing of files: reading an inventory is the border's business.

use std::{
    collections::BTreeMap, fmt, net::IpAddr, ops::Range, str::FromStr, sync::Arc, time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    presence::{Presence, presence},
    time::Time,
};

/// Longest id, name, version or other label, in bytes: long enough for any serial number or
/// sentence, short enough that a million of them fit.
pub const LABEL_BYTES_MAX: usize = 256;

/// Longest address or path, in bytes; real ones stay far below.
pub const ADDRESS_BYTES_MAX: usize = 1_024;

/// Most tags on one device.
pub const TAGS_MAX: usize = 64;

/// The thing that is updated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Unique in the inventory.
    pub id: String,
    /// For people; the id if the inventory gives none.
    pub name: String,
    /// Where it listens; `None` for a device that polls.
    pub address: Option<Address>,
    /// The version it ran when it was last heard of. Never a reason to skip it.
    pub version: Option<String>,
    /// Where it stands, in words.
    pub location: Option<String>,
    /// IANA name of its time zone, such as `America/Denver`.
    pub time_zone: Option<String>,
    /// How often it checks in; `None` if that is not known. Whole seconds, within the limits of
    /// [`crate::presence`].
    pub check_in: Option<Duration>,
    /// When it was last heard of; `None` if it never was.
    pub last_seen: Option<Time>,
    /// Free keys and values.
    pub tags: BTreeMap<String, String>,
    /// Where it takes updates, if not where the others do.
    pub update_path: Option<String>,
}

impl Device {
    /// Where it stands, when it is `now`.
    pub fn presence(&self, now: Time) -> Presence {
        presence(self.check_in, self.last_seen, now)
    }
}

/// What is needed of a device to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The device's id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// Where it listens.
    pub address: Address,
    /// Where it takes updates, if not where the others do.
    pub update_path: Option<Box<str>>,
}

/// Why a value of a device was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Nothing in it.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Longer than we take.
    #[error("{what} is {bytes} bytes long, the most is {max}")]
    TooLong {
        /// Which value.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A line feed or another control character, which could forge a header or a terminal line.
    #[error("{what} has a control character at byte {at}")]
    Control {
        /// Which value.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// An address that is no http or https URL of a host.
    #[error("address {address:?}: {why}")]
    Address {
        /// As given, shortened.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A path that cannot be part of a request.
    #[error("path {path:?}: {why}")]
    Path {
        /// As given, shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Checks an id, a name or another short text: not empty, not over [`LABEL_BYTES_MAX`] bytes, no
/// control characters, none that reorder text.
///
/// # Errors
/// Says which of these does not hold, naming the value by `what`.
pub fn check_label(what: &'static str, text: &str) -> Result<(), ValueError> {
    if text.trim().is_empty() {
        return Err(ValueError::Empty(what));
    }
    if text.len() > LABEL_BYTES_MAX {
        return Err(ValueError::TooLong { what, bytes: text.len(), max: LABEL_BYTES_MAX });
    }
    check_printable(what, text)
}

/// Checks that a text holds no control character, which a terminal would obey, and none that
/// reorders what is around it.
///
/// # Errors
/// [`ValueError::Control`], naming the value by `what`.
pub fn check_printable(what: &'static str, text: &str) -> Result<(), ValueError> {
    match text.char_indices().find(|(_, c)| c.is_control() || is_reordering(*c)) {
        Some((at, _)) => Err(ValueError::Control { what, at }),
        None => Ok(()),
    }
}

/// Whether a character changes the order in which those around it are shown (Unicode's explicit
/// directional formatting): an id with one looks like another id.
const fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Checks a request path: starts with `/`, printable ASCII without blanks or `#`.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_path(path: &str) -> Result<(), ValueError> {
    let refuse = |why| Err(ValueError::Path { path: shorten(path), why });
    if !path.starts_with('/') {
        return refuse("it must start with /");
    }
    if path.len() > ADDRESS_BYTES_MAX {
        return refuse("it is longer than 1024 bytes");
    }
    if !path.bytes().all(is_target_byte) {
        return refuse("it may hold only printable ASCII without blanks, quotes, <, > and #");
    }
    Ok(())
}

const fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`')
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Where a device listens: an `http` or `https` URL of a host, with an optional port and base
/// path. Written without a scheme (`10.0.0.5:8080`), it is taken as `http`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// `http://host:port/base`, host in lower case, no trailing slash, no default port.
    text: Box<str>,
    tls: bool,
    host: Range<u16>,
    authority: Range<u16>,
    port: u16,
}

impl Address {
    /// The normalized URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `https`.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host: a name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.text[usize::from(self.host.start)..usize::from(self.host.end)]
    }

    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// The port; 80 or 443 if the address names none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a `Host` header shows them.
    pub fn authority(&self) -> &str {
        &self.text[usize::from(self.authority.start)..usize::from(self.authority.end)]
    }

    /// Scheme, host and port: what one connection goes to, and what `max_per_host` counts.
    pub fn origin(&self) -> &str {
        &self.text[..usize::from(self.authority.end)]
    }

    /// What stands before every request path: empty, or a path without a trailing slash.
    pub fn base_path(&self) -> &str {
        &self.text[usize::from(self.authority.end)..]
    }
}

impl FromStr for Address {
    type Err = ValueError;

    fn from_str(given: &str) -> Result<Self, ValueError> {
        let refuse = |why| ValueError::Address { address: shorten(given), why };
        let trimmed = given.trim();
        if trimmed.is_empty() {
            return Err(ValueError::Empty("address"));
        }
        if trimmed.len() > ADDRESS_BYTES_MAX {
            return Err(refuse("it is longer than 1024 bytes"));
        }
        if !trimmed.bytes().all(is_target_byte) {
            return Err(refuse("it holds a character that no URL has, or a fragment"));
        }
        let (tls, rest) = split_scheme(trimmed).map_err(refuse)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if path.contains('?') {
            return Err(refuse("it has a query"));
        }
        if authority.contains('@') {
            return Err(refuse("it holds a user name or password; give credentials as headers"));
        }
        let (host, port) = split_port(authority).map_err(refuse)?;
        check_host(host).map_err(refuse)?;
        Self::assemble(tls, host, port, path.trim_end_matches('/')).map_err(refuse)
    }
}

fn split_scheme(text: &str) -> Result<(bool, &str), &'static str> {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((false, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok((true, rest)),
        Some(_) => Err("only http and https can be sent to"),
        None => Ok((false, text)),
    }
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets, which are kept.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let host_end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or("a bracket is not closed")? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    match port.strip_prefix(':') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            match digits.parse() {
                Ok(0) | Err(_) => Err("the port must be between 1 and 65535"),
                Ok(port) => Ok((host, Some(port))),
            }
        }
        Some(_) => Err("the port must be a number (an IPv6 address goes in brackets)"),
        None if port.is_empty() => Ok((host, None)),
        None => Err("something stands between the host and the port"),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("it has no host");
    }
    if let Some(bracketed) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match bracketed.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err("what stands in brackets is no IPv6 address"),
        };
    }
    if host.len() > 253 {
        return Err("the host name is longer than 253 bytes");
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Err("the host name holds a character that no host name has");
    }
    let last_label = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last_label.is_empty() || host.starts_with('.') || host.contains("..") {
        return Err("the host name has an empty part");
    }
    // A name never ends in a number (WHATWG URL, "ends in a number"): it is a mistyped address.
    if last_label.bytes().all(|b| b.is_ascii_digit()) && host.parse::<IpAddr>().is_err() {
        return Err("it looks like an IPv4 address but is none");
    }
    Ok(())
}

impl Address {
    fn assemble(
        tls: bool,
        host: &str,
        port: Option<u16>,
        path: &str,
    ) -> Result<Self, &'static str> {
        let default_port = if tls { 443 } else { 80 };
        let port = port.unwrap_or(default_port);
        let scheme = if tls { "https://" } else { "http://" };
        let mut text = String::with_capacity(scheme.len() + host.len() + path.len() + 6);
        text.push_str(scheme);
        text.extend(host.chars().map(|c| c.to_ascii_lowercase()));
        let bracket = usize::from(host.starts_with('['));
        let host_range = scheme.len() + bracket..text.len() - bracket;
        if port != default_port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        let authority_range = scheme.len()..text.len();
        text.push_str(path);
        let narrow = |range: Range<usize>| -> Result<Range<u16>, &'static str> {
            let end = u16::try_from(range.end).map_err(|_| "it is longer than 1024 bytes")?;
            Ok(range.start as u16..end)
        };
        Ok(Self {
            host: narrow(host_range)?,
            authority: narrow(authority_range)?,
            text: text.into_boxed_str(),
            tls,
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalized() {
        let table = [
            ("http://10.0.0.5", "http://10.0.0.5", "10.0.0.5", 80, ""),
            ("10.0.0.5:8080", "http://10.0.0.5:8080", "10.0.0.5", 8080, ""),
            (
                "HTTPS://POS-1.Example.com:443/a/",
                "https://pos-1.example.com/a",
                "pos-1.example.com",
                443,
                "/a",
            ),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443", "2001:db8::1", 8443, ""),
            (" http://gw/dev/7 ", "http://gw/dev/7", "gw", 80, "/dev/7"),
        ];
        for (given, text, host, port, base) in table {
            let address: Address = given.parse().unwrap();
            assert_eq!(
                (address.as_str(), address.host(), address.port(), address.base_path()),
                (text, host, port, base)
            );
            assert_eq!(address.as_str().parse::<Address>().unwrap(), address, "{given}");
        }
        let address: Address = "https://[::1]:8443/x".parse().unwrap();
        assert_eq!(address.authority(), "[::1]:8443");
        assert_eq!(address.origin(), "https://[::1]:8443");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for given in [
            "",
            " ",
            "ftp://a",
            "http://",
            "http://a b",
            "http://u:p@a",
            "http://a?x",
            "http://a#x",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "http://a:x",
            "http://[::1",
            "http://[zz]",
            "http://[::1]x",
            "::1",
            "http://a..b",
            "http://1.2.3.999",
            "http://a\r\nX: y",
            "http://ä",
        ] {
            assert!(given.parse::<Address>().is_err(), "{given:?} was taken");
        }
    }

    #[test]
    fn labels_and_paths() {
        assert_eq!(check_label("id", "pos 1"), Ok(()));
        let escape = Err(ValueError::Control { what: "--reason", at: 4 });
        assert_eq!(check_printable("--reason", "new \u{1b}[31m"), escape);
        assert_eq!(check_printable("--reason", "new \u{202e}ksid"), escape);
        assert_eq!(check_printable("--reason", &"caf\u{e9} ".repeat(100)), Ok(()));
        assert_eq!(check_label("id", "  "), Err(ValueError::Empty("id")));
        assert_eq!(check_label("id", "a\r\nb"), Err(ValueError::Control { what: "id", at: 1 }));
        assert!(matches!(check_label("id", &"x".repeat(257)), Err(ValueError::TooLong { .. })));
        assert_eq!(check_path("/update?slot=b"), Ok(()));
        for path in ["", "update", "/a b", "/a\n", "/ä", "/a#b"] {
            assert!(check_path(path).is_err(), "{path:?} was taken");
        }
    }
}
