//! How devices are talked to: what every command that sends takes for it.

use std::{path::PathBuf, time::Duration};

use super::config::variable;
use crate::{
    config::{ConfigError, Given, Settings},
    delivery::http::Config,
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
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        Settings::gather(None, |_| None, self.given())?.delivery(variable)
    }

    /// What was given, as settings.
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
