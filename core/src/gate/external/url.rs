//! The URL of a server that is asked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::device::{Address, ValueError, check_path};

/// Longest URL, in bytes: the path of an address, and a query as long again.
pub const URL_BYTES_MAX: usize = 2_048;

/// An `http` or `https` URL without user name, password and fragment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url {
    text: String,
    server: Address,
    /// Where the path and what follows it begins.
    target_at: usize,
}

/// A text that is no URL that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than any URL that is asked.
    #[error("it has {0} bytes, the most is {URL_BYTES_MAX}")]
    TooLong(usize),
    /// It says neither http nor https.
    #[error("write it in full, with https:// or http://")]
    NoScheme,
    /// It holds a user name or a password, which are not repeated here.
    #[error("it holds a user name or password; give credentials as headers")]
    Credentials,
    /// Its server or its path cannot be.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Url {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: what one connects to.
    pub const fn server(&self) -> &Address {
        &self.server
    }

    /// Path and query: what is asked for there.
    pub fn target(&self) -> &str {
        match &self.text[self.target_at..] {
            "" => "/",
            target => target,
        }
    }

    /// For people: without its query.
    pub fn shown(&self) -> &str {
        self.text.split('?').next().unwrap_or_default()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong(text.len()));
        }
        let at = text.find("://").ok_or(UrlError::NoScheme)? + "://".len();
        let target_at = text[at..].find(['/', '?']).map_or(text.len(), |slash| at + slash);
        if text[at..target_at].contains('@') {
            return Err(UrlError::Credentials);
        }
        let server = text[..target_at].parse()?;
        let target = &text[target_at..];
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // Both by the rule for paths: what may stand in a request is the same.
        check_path(if path.is_empty() { "/" } else { path })?;
        check_path(&format!("/{query}"))?;
        if path.is_empty() && !target.is_empty() {
            let why = "a / stands between the host and what is asked of it";
            return Err(ValueError::Path { path: "?".to_owned(), why }.into());
        }
        Ok(Self { text: text.to_owned(), server, target_at })
    }
}

impl TryFrom<String> for Url {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        url.text
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
