//! How devices are talked to: what every command that sends takes for it.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use http::HeaderMap;

use crate::{
    delivery::http::{Config, Timeouts, Tls, check_header},
    units::parse_duration,
};

/// Certificates and secrets are small; anything larger is a mistaken path.
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

/// Headers, paths, time-outs and TLS.
#[derive(Debug, clap::Args)]
pub struct Wire {
    /// Time-out of every step [default: connect 10s, upload without progress 30s, answer 30s,
    /// or 60s for more than 100 MiB]
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "Time-outs")]
    pub timeout: Option<Duration>,

    /// Time-out of an attempt as a whole [default: none]
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "Time-outs")]
    pub attempt_timeout: Option<Duration>,

    /// Where devices take updates
    #[arg(long, value_name = "PATH", default_value = "/update", help_heading = "Device")]
    pub update_path: String,

    /// Where devices report their version
    #[arg(long, value_name = "PATH", default_value = "/version", help_heading = "Device")]
    pub verify_path: String,

    /// JSON pointer to the version in that report, such as /firmware/running
    #[arg(long, value_name = "POINTER", help_heading = "Device")]
    pub verify_pointer: Option<String>,

    // Help of its own, because a doc comment takes the second form for a link.
    #[arg(
        long = "header",
        value_name = "NAME: VALUE",
        help_heading = "Device",
        help = "A header for every request; the value may be env:NAME or file:PATH"
    )]
    pub headers: Vec<String>,

    /// Trust the certificate authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub ca: Option<PathBuf>,

    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "TLS")]
    pub cert: Option<PathBuf>,

    /// Private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub key: Option<PathBuf>,

    /// Do not check the certificates of devices: anybody can pose as one
    #[arg(long, conflicts_with = "ca", help_heading = "TLS")]
    pub insecure: bool,
}

impl Wire {
    /// What was given, read and checked.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let mut headers = HeaderMap::new();
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| anyhow!("--header wants 'Name: value'; this one has no colon"))?;
            let value =
                secret(value.trim()).with_context(|| format!("--header {}", name.trim()))?;
            let (name, value) = check_header(name.trim(), &value)?;
            headers.append(name, value);
        }
        let mut timeouts = self.timeout.map_or_else(Timeouts::default, Timeouts::all);
        timeouts.attempt = self.attempt_timeout;
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((small(cert)?, small(key)?)),
            _ => None,
        };
        Ok(Config {
            headers,
            update_path: self.update_path.clone(),
            verify_path: self.verify_path.clone(),
            version_pointer: self.verify_pointer.clone(),
            timeouts,
            tls: Tls {
                ca_pem: self.ca.as_deref().map(small).transpose()?,
                identity_pem: identity,
                insecure: self.insecure,
            },
            ..Config::default()
        })
    }
}

/// A value, or what `env:NAME` or `file:PATH` stand for, so that secrets need not be seen in the
/// list of processes.
fn secret(value: &str) -> anyhow::Result<String> {
    if let Some(name) = value.strip_prefix("env:") {
        #[expect(clippy::disallowed_methods, reason = "the command line's edge")]
        let value = std::env::var(name);
        return value.map_err(|_| anyhow!("the environment has no readable variable {name}"));
    }
    match value.strip_prefix("file:") {
        Some(path) => {
            let text = String::from_utf8(small(Path::new(path))?)
                .map_err(|_| anyhow!("{path} is not text"))?;
            Ok(text.trim_end().to_owned())
        }
        None => Ok(value.to_owned()),
    }
}

fn small(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![];
    let read = fs::File::open(path)
        .and_then(|file| file.take(SMALL_FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes.len() as u64 > SMALL_FILE_BYTES_MAX {
        return Err(anyhow!("{} is larger than 1 MiB", path.display()));
    }
    Ok(bytes)
}
