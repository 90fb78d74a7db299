//! What an operator can set, and the defaults.

use std::{fmt, time::Duration};

use groundswell_core::device::{ValueError, check_path};
use http::HeaderMap;

use super::{headers::HeaderError, resolve::Resolver};
use crate::{clock::Clock, networks::Networks};

/// Everything a [`Client`](super::Client) needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sent with every request. Make them with [`check_header`](super::check_header).
    pub headers: HeaderMap,
    /// Where devices take updates, behind their base path.
    pub update_path: String,
    /// Where devices report their version, behind their base path.
    pub verify_path: String,
    /// Where the version stands in a JSON answer (RFC 6901); `None` for the usual places.
    pub version_pointer: Option<String>,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// Whom to trust, and who we are.
    pub tls: Tls,
    /// How many connections are kept for later.
    pub pool: PoolLimits,
    /// Where time comes from.
    pub clock: Clock,
    /// Where addresses of names come from.
    pub resolver: Resolver,
    /// What may be connected to; `None` for everything, as whoever works at this machine may.
    pub networks: Option<Networks>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            update_path: "/update".to_owned(),
            verify_path: "/version".to_owned(),
            version_pointer: None,
            timeouts: Timeouts::default(),
            tls: Tls::default(),
            pool: PoolLimits::default(),
            clock: Clock::default(),
            resolver: Resolver::default(),
            networks: None,
        }
    }
}

impl Config {
    /// Checks what can be checked without touching keys or certificates.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        check_path(&self.update_path)?;
        check_path(&self.verify_path)?;
        for name in self.headers.keys() {
            super::headers::check_name_free(name)?;
        }
        match &self.version_pointer {
            Some(pointer) if !pointer.is_empty() && !pointer.starts_with('/') => {
                return Err(ConfigError::Pointer(pointer.clone()));
            }
            _ => {}
        }
        let Timeouts { connect, upload_stall, response, response_large, response_body, attempt } =
            self.timeouts;
        let all = [connect, upload_stall, response, response_large, response_body];
        if all.into_iter().chain(attempt).any(|wait| wait.is_zero()) {
            return Err(ConfigError::ZeroTimeout);
        }
        Ok(())
    }
}

/// How long each step of an attempt may take. Each one starts when the step before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// The longest the upload may go without a byte leaving.
    pub upload_stall: Duration,
    /// From the last byte sent to the answer's headers.
    pub response: Duration,
    /// The same for bodies over 100 MiB, which a device may be busy writing out.
    pub response_large: Duration,
    /// From the answer's headers to its last byte.
    pub response_body: Duration,
    /// All of it together; `None` for no limit.
    pub attempt: Option<Duration>,
}

/// Bodies over this get [`Timeouts::response_large`]: 100 MiB.
pub(super) const LARGE_BODY_BYTES: u64 = 100 * 1024 * 1024;

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            upload_stall: Duration::from_secs(30),
            response: Duration::from_secs(30),
            response_large: Duration::from_mins(1),
            response_body: Duration::from_secs(30),
            attempt: None,
        }
    }
}

impl Timeouts {
    /// The same for every step; no limit on the whole.
    pub const fn all(wait: Duration) -> Self {
        Self {
            connect: wait,
            upload_stall: wait,
            response: wait,
            response_large: wait,
            response_body: wait,
            attempt: None,
        }
    }

    pub(super) const fn response_for(&self, len: u64) -> Duration {
        if len > LARGE_BODY_BYTES { self.response_large } else { self.response }
    }
}

/// Whom to trust, and who we are. TLS 1.2 is the least, 1.3 is preferred.
#[derive(Clone, Default)]
pub struct Tls {
    /// Certificates of authorities, PEM; they replace the operating system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Our certificate chain and its private key, PEM.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// Takes any certificate for any name. Whoever stands between can then read and change
    /// everything; it is logged as a warning.
    pub insecure: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("ca", &self.ca_pem.is_some())
            .field("identity", &self.identity_pem.is_some())
            .field("insecure", &self.insecure)
            .finish()
    }
}

/// How many connections are kept for later; those unused for longest are closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// In all.
    pub idle_max: usize,
    /// To one scheme, host and port.
    pub idle_per_host: usize,
    /// How long one is kept unused.
    pub idle_for: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { idle_max: 100, idle_per_host: 10, idle_for: Duration::from_secs(90) }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A path that cannot be requested.
    #[error(transparent)]
    Path(#[from] ValueError),
    /// A header that may not be set.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A JSON pointer is empty or starts with a slash.
    #[error("version pointer {0:?} must be empty or start with / (RFC 6901)")]
    Pointer(String),
    /// A path that is no part of a URI.
    #[error("path: {0}")]
    Uri(String),
    /// A time-out of zero would fail everything.
    #[error("a time-out must be longer than zero")]
    ZeroTimeout,
    /// The authorities' PEM could not be read, or holds no certificate.
    #[error("CA certificates: {0}")]
    Ca(String),
    /// Our certificate chain could not be read.
    #[error("client certificate: {0}")]
    Certificate(String),
    /// Our private key could not be read, or belongs to another certificate.
    #[error("client key: {0}")]
    Key(String),
    /// The TLS library refused its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
