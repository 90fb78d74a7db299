//! What the settings come to.

use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use groundswell_core::gate::external::SecretSource;
use http::HeaderMap;

use super::{ConfigError, Fault, Given, Origin, Setting, Settings};
use crate::{
    api::Limits,
    delivery::http::{Config as Http, Timeouts, Tls, check_header},
    networks::{Network, Networks, Own},
    server::{ConnectionLimits, Setup, TlsFiles},
    units::{parse_bytes, parse_duration},
};

/// Certificates and secrets are small; anything larger is a mistaken path.
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

/// A server as it is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub setup: Setup,
    /// Deliveries open at once, of all rollouts.
    pub max_in_flight: u32,
    /// How devices are talked to.
    pub http: Http,
}

impl Settings {
    /// What they come to; reads the files and variables that they name, but no certificate of the
    /// server's own. `variable` is one of the environment.
    ///
    /// # Errors
    /// All that does not go together or cannot be read.
    pub fn resolve(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let mut faults = vec![];
        let tls = self.tls(&mut faults);
        let http = self.http(&variable, &mut faults);
        let (listen, data) = (self.parsed("listen"), self.file("data"));
        let (Some(listen), Some(data), true) = (listen, data, faults.is_empty()) else {
            return Err(ConfigError::Faults(faults));
        };
        let defaults = (Limits::default(), ConnectionLimits::default());
        let limits = Limits {
            json_bytes_max: self.bytes("limits.json_body").unwrap_or_default() as usize,
            artifact_bytes_max: self.bytes("limits.artifact").unwrap_or_default(),
            uploads_max: self.parsed("limits.uploads").unwrap_or(defaults.0.uploads_max),
            select_max: self.wait("limits.select_timeout").unwrap_or(defaults.0.select_max),
            enrollments_max: self
                .parsed("limits.enrollments")
                .unwrap_or(defaults.0.enrollments_max),
            guesses_max: self.parsed("limits.wrong_tokens").unwrap_or(defaults.0.guesses_max),
        };
        let wait = |key, default| self.wait(key).unwrap_or(default);
        let connections = ConnectionLimits {
            max: self.parsed("connections.max").unwrap_or(defaults.1.max),
            per_source_max: self
                .parsed("connections.per_source")
                .unwrap_or(defaults.1.per_source_max),
            head_max: wait("connections.head_timeout", defaults.1.head_max),
            stall_max: wait("connections.stall_timeout", defaults.1.stall_max),
            proxies: self.list::<Network>("connections.proxies"),
        };
        let allow = self.list::<Network>("networks.allow");
        let setup = Setup {
            listen,
            data,
            tls,
            allow_plain: self.is_on("allow_plain_http"),
            limits,
            connections,
            networks: Networks::new(allow, Own::System),
            gate_secrets: self.list::<SecretSource>("gates.secrets"),
        };
        let max_in_flight = self.parsed("max_in_flight").unwrap_or(crate::drive::IN_FLIGHT_MAX);
        Ok(Config { setup, max_in_flight, http })
    }

    /// How devices are talked to, as [`resolve`](Self::resolve) has it, for what is no server.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), of what is about devices.
    pub fn delivery(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Http, ConfigError> {
        let mut faults = vec![];
        let http = self.http(&variable, &mut faults);
        if faults.is_empty() { Ok(http) } else { Err(ConfigError::Faults(faults)) }
    }

    fn tls(&self, faults: &mut Vec<Fault>) -> Option<TlsFiles> {
        self.go_together("tls.cert", "tls.key", faults);
        if self.get("tls.client_ca").is_some() && self.get("tls.cert").is_none() {
            faults.push(self.fault(
                "tls.client_ca",
                "needs tls.cert and tls.key: without TLS \
                 nobody shows a certificate",
            ));
        }
        let (cert, key) = (self.file("tls.cert")?, self.file("tls.key")?);
        Some(TlsFiles { cert, key, client_ca: self.file("tls.client_ca") })
    }

    fn http(&self, variable: &dyn Fn(&str) -> Option<String>, faults: &mut Vec<Fault>) -> Http {
        let mut timeouts =
            self.wait("delivery.timeout").map_or_else(Timeouts::default, Timeouts::all);
        timeouts.attempt = self.wait("delivery.attempt_timeout");
        self.go_together("delivery.cert", "delivery.key", faults);
        let is_insecure = self.is_on("delivery.insecure");
        if is_insecure && self.get("delivery.ca").is_some() {
            faults.push(self.fault("delivery.insecure", "makes no sense with delivery.ca"));
        }
        let mut read = |key: &str| {
            let read = self.file(key).map(|path| small_file(&path));
            read.transpose().unwrap_or_else(|what| {
                faults.push(self.fault(key, &what));
                None
            })
        };
        let identity = read("delivery.cert").zip(read("delivery.key"));
        let ca_pem = read("delivery.ca");
        let text = |key: &str| self.text(key).map(str::to_owned);
        let usual = Http::default();
        Http {
            headers: self.headers(variable, faults),
            update_path: text("delivery.update_path").unwrap_or(usual.update_path),
            verify_path: text("delivery.verify_path").unwrap_or(usual.verify_path),
            version_pointer: text("delivery.verify_pointer"),
            timeouts,
            tls: Tls { ca_pem, identity_pem: identity, insecure: is_insecure },
            ..Http::default()
        }
    }

    fn headers(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        faults: &mut Vec<Fault>,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some((Given::Pairs(pairs), _)) = self.get("delivery.headers") else { return headers };
        for (name, value) in pairs {
            let value = header_value(value, variable);
            let checked = value
                .and_then(|value| check_header(name, &value).map_err(|error| error.to_string()));
            match checked {
                Ok((name, value)) => {
                    headers.append(name, value);
                }
                Err(what) => {
                    faults.push(self.fault("delivery.headers", &format!("{name}: {what}")));
                }
            }
        }
        headers
    }

    fn go_together(&self, one: &str, other: &str, faults: &mut Vec<Fault>) {
        for (there, missing) in [(one, other), (other, one)] {
            let Some((_, origin)) = self.get(there) else { continue };
            if self.get(missing).is_none() {
                let flag = Setting::find(missing).and_then(|setting| setting.flag);
                let flag = flag.filter(|_| matches!(origin, Origin::Flag(_)));
                let missing = flag.unwrap_or(missing);
                faults.push(self.fault(there, &format!("needs {missing}, too")));
            }
        }
    }

    /// A fault of a setting, by where its value comes from.
    fn fault(&self, key: &str, what: &str) -> Fault {
        let at = match self.get(key) {
            Some((_, Origin::Flag(flag))) => (*flag).to_owned(),
            Some((_, origin)) => format!("{key} ({origin})"),
            None => key.to_owned(),
        };
        Fault { at, what: what.to_owned() }
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some((Given::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    // All were checked when they were gathered.

    fn parsed<T: FromStr>(&self, key: &str) -> Option<T> {
        self.text(key)?.parse().ok()
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    fn bytes(&self, key: &str) -> Option<u64> {
        parse_bytes(self.text(key)?).ok()
    }

    fn wait(&self, key: &str) -> Option<Duration> {
        parse_duration(self.text(key)?).ok()
    }

    fn is_on(&self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    fn list<T: FromStr>(&self, key: &str) -> Vec<T> {
        match self.get(key) {
            Some((Given::List(list), _)) => {
                list.iter().filter_map(|text| text.parse().ok()).collect()
            }
            _ => vec![],
        }
    }

    /// Where it is to listen.
    pub fn listen(&self) -> Option<SocketAddr> {
        self.parsed("listen")
    }

    /// Where the state is.
    pub fn data(&self) -> PathBuf {
        self.file("data").unwrap_or_default()
    }
}

/// A header's value, or what `env:NAME` or `file:PATH` stand for, so that secrets need not be seen
/// in a list of processes or in a file of settings.
///
/// # Errors
/// Says what cannot be read; never what is in it.
fn header_value(value: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    if let Some(name) = value.strip_prefix("env:") {
        let told = || format!("the environment has no readable variable {name}");
        return variable(name).ok_or_else(told);
    }
    match value.strip_prefix("file:") {
        Some(path) => {
            let text = String::from_utf8(small_file(Path::new(path))?)
                .map_err(|_| format!("{path} is not text"))?;
            Ok(text.trim_end().to_owned())
        }
        None => Ok(value.to_owned()),
    }
}

/// Reads a certificate, a key or a secret.
///
/// # Errors
/// Says why it cannot be read.
pub fn small_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    let read = fs::File::open(path)
        .and_then(|file| file.take(SMALL_FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if bytes.len() as u64 > SMALL_FILE_BYTES_MAX {
        return Err(format!("{} is larger than 1 MiB", path.display()));
    }
    Ok(bytes)
}
