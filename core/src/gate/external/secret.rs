//! Where the value of a header is, which is a secret: it is never part of a spec.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::device::check_label;

/// Where a secret is read, anew with each question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretSource {
    /// In this variable of the environment of whoever drives.
    Env(String),
    /// In this file.
    File(String),
}

/// A text that says no place of a secret. What was written may be one: it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a spec holds no secrets; write where the value is: \"env:NAME\" or \"file:PATH\"")]
pub struct SecretError;

impl FromStr for SecretSource {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let (kind, place) = text.split_once(':').ok_or(SecretError)?;
        check_label("the place", place).map_err(|_| SecretError)?;
        match kind {
            "env" if !place.contains(['=', ' ']) => Ok(Self::Env(place.to_owned())),
            "file" => Ok(Self::File(place.to_owned())),
            _ => Err(SecretError),
        }
    }
}

impl TryFrom<String> for SecretSource {
    type Error = SecretError;

    fn try_from(text: String) -> Result<Self, SecretError> {
        text.parse()
    }
}

impl From<SecretSource> for String {
    fn from(source: SecretSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}
