//! How devices are talked to: what every command that sends takes for it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use http::HeaderMap;

use super::config::variable;
use crate::{
    config::{Given, header_value, small_file},
    delivery::http::{Config, Timeouts, Tls, check_header},
    units::{Span, parse_duration},
};

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

    /// Where devices take updates [default: /update]
    #[arg(long, value_name = "PATH", help_heading = "Device")]
    pub update_path: Option<String>,

    /// Where devices report their version [default: /version]
    #[arg(long, value_name = "PATH", help_heading = "Device")]
    pub verify_path: Option<String>,

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
            let value = header_value(value.trim(), variable)
                .map_err(|why| anyhow!("--header {}: {why}", name.trim()))?;
            let (name, value) = check_header(name.trim(), &value)?;
            headers.append(name, value);
        }
        let mut timeouts = self.timeout.map_or_else(Timeouts::default, Timeouts::all);
        timeouts.attempt = self.attempt_timeout;
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((small(cert)?, small(key)?)),
            _ => None,
        };
        let usual = Config::default();
        Ok(Config {
            headers,
            update_path: self.update_path.clone().unwrap_or(usual.update_path),
            verify_path: self.verify_path.clone().unwrap_or(usual.verify_path),
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

    /// What was given, as settings of a server.
    pub(super) fn given(&self) -> Vec<(&'static str, Given)> {
        let span = |wait: Option<Duration>| wait.map(|wait| Span(wait).to_string());
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let texts = [
            ("delivery.timeout", span(self.timeout)),
            ("delivery.attempt_timeout", span(self.attempt_timeout)),
            ("delivery.update_path", self.update_path.clone()),
            ("delivery.verify_path", self.verify_path.clone()),
            ("delivery.verify_pointer", self.verify_pointer.clone()),
            ("delivery.ca", file(&self.ca)),
            ("delivery.cert", file(&self.cert)),
            ("delivery.key", file(&self.key)),
            ("delivery.insecure", self.insecure.then(|| "true".to_owned())),
        ];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, Given::Text(text?))));
        let headers =
            (!self.headers.is_empty()).then(|| ("delivery.headers", Given::headers(&self.headers)));
        texts.chain(headers).collect()
    }
}

fn small(path: &Path) -> anyhow::Result<Vec<u8>> {
    small_file(path).map_err(|why| anyhow!(why))
}
