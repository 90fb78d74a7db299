//! A server, as another program talks to it.
//!
//! Owns connections, time-outs and what is asked again; answers are the views of
//! [`operate`](crate::operate), errors say what to do next. A redirect is not followed: whoever can
//! send one must not get the token. Types to read first: [`Client`], [`ClientError`].

mod access;
mod ask;
mod budgets;
mod devices;
mod error;
mod events;
mod import;
mod releases;
mod rollouts;
mod whoami;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderValue;
use reqwest::{Url, redirect};
use serde::{Deserialize, Serialize};

use self::error::root;
pub use self::{
    access::{AuditPage, AuditWanted, TokenWanted},
    devices::{CheckedIn, DeviceStanding, Waiting},
    error::ClientError,
    events::{Event, EventsWant, Listening},
    import::{ImportedLine, Importing, LineResult},
    releases::{ReleaseShown, Uploaded},
};
use crate::config::small_file;

/// Until a connection stands: what a server behind a slow line takes.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Between two pieces of an answer: an act waits 5 s for its driver, the longest log runs again in
/// less than this.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// How many items are asked for at once.
pub(crate) const PAGE: usize = 1_000;

/// How a server is talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Authorities (PEM) whose certificates are taken, and no others; none: those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to a server that asks for one.
    pub identity: Option<Identity>,
    /// Until a connection stands.
    pub connect_max: Duration,
    /// Between two pieces of an answer.
    pub silence_max: Duration,
    /// How often something is asked that may be asked twice.
    pub tries: u32,
}

/// A certificate of whoever calls, by where its parts are (PEM).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The certificate, and those that lead from it to an authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca: None,
            identity: None,
            connect_max: CONNECT_MAX,
            silence_max: SILENCE_MAX,
            tries: 3,
        }
    }
}

/// A server, and the token that is shown to it. A clone is the same.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    tries: u32,
}

/// Which page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// How many items at the most; as many as the server thinks right if it is not said.
    pub limit: Option<usize>,
    /// What `next` of the page before said.
    pub cursor: Option<String>,
}

impl Client {
    /// The server at `url`, such as `https://updates.example.com`, asked by who has `token`.
    ///
    /// # Errors
    /// [`ClientError::Url`] or [`ClientError::Token`].
    pub fn new(url: &str, token: &str) -> Result<Self, ClientError> {
        Self::with(url, token, &Options::default())
    }

    /// The same, talked to as `options` say.
    ///
    /// # Errors
    /// As [`Client::new`], [`ClientError::Ca`] and [`ClientError::Identity`].
    pub fn with(url: &str, token: &str, options: &Options) -> Result<Self, ClientError> {
        let base = address(url)?;
        let is_word = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let authorization = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut authorization = authorization.ok().filter(|_| is_word).ok_or(ClientError::Token)?;
        authorization.set_sensitive(true);
        let mut http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(options.connect_max)
            .read_timeout(options.silence_max)
            .user_agent(concat!("groundswell/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &options.ca {
            http = http.tls_certs_only(authorities(path)?);
        }
        if let Some(identity) = &options.identity {
            http = http.identity(identity.read()?);
        }
        let http = http.build().map_err(|error| ClientError::Tls(root(&error)))?;
        Ok(Self { http, base, authorization, tries: options.tries.max(1) })
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }
}

impl Identity {
    fn read(&self) -> Result<reqwest::Identity, ClientError> {
        let bad = |path: &Path, why: String| ClientError::Identity { path: path.to_owned(), why };
        let file = |path: &Path| small_file(path).map_err(|why| bad(path, why));
        // A line of its own begins the key, whatever the certificate ends with.
        let pem = [file(&self.cert)?, b"\n".to_vec(), file(&self.key)?].concat();
        reqwest::Identity::from_pem(&pem).map_err(|error| {
            let key = self.key.display();
            bad(&self.cert, format!("with the key in {key} it is no identity: {}", root(&error)))
        })
    }
}

/// What people write of a server, without what is no part of its address.
fn address(url: &str) -> Result<Url, ClientError> {
    let bad = || ClientError::Url(url.to_owned());
    let base = Url::parse(url.trim()).map_err(|_| bad())?;
    let is_plain = base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    let is_web = matches!(base.scheme(), "http" | "https") && base.has_host();
    if is_plain && is_web { Ok(base) } else { Err(bad()) }
}

fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let bad = |why: String| ClientError::Ca { path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&text).map_err(|error| bad(root(&error)))?;
    if found.is_empty() { Err(bad("there is no certificate in it".to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_or_no_token_is_refused_before_anything_is_sent() {
        for good in ["http://127.0.0.1:8080", "https://updates.example.com/fleet/", " http://a "] {
            Client::new(good, "gsw_a.b").unwrap();
        }
        for bad in ["updates.example.com", "ftp://a", "http://", "http://u:p@a", "http://a?x=1", ""]
        {
            assert!(matches!(Client::new(bad, "gsw_a.b"), Err(ClientError::Url(_))), "{bad}");
        }
        for bad in ["", "two words", "a\nb", "ä"] {
            assert!(matches!(Client::new("http://a", bad), Err(ClientError::Token)), "{bad:?}");
        }
        let client = Client::new("http://a:1/", "gsw_a.secret").unwrap();
        assert!(!format!("{client:?}").contains("secret"), "{client:?}");
        assert_eq!(client.url(), "http://a:1");
    }

    #[test]
    fn authorities_that_cannot_be_used_are_told_with_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let options = Options { ca: Some(path.clone()), ..Options::default() };
        let told = || Client::with("https://a", "gsw_a.b", &options).unwrap_err().to_string();
        assert!(told().contains("ca.pem cannot be used: No such file"), "{}", told());
        std::fs::write(&path, "no certificate").unwrap();
        assert!(told().contains("there is no certificate in it"), "{}", told());
    }
}
