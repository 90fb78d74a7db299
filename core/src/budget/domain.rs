//! What divides a fleet into failure domains, and the name of one of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    device::{ValueError, check_label},
    hours::echo,
    selector::Field,
};

/// What devices of one domain have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Per {
    /// The value of the tag of this key; written `tag.KEY`, by the rules of a selector.
    Tag(String),
}

/// Why a text says nothing that devices could have in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PerError {
    /// It is not a tag.
    #[error(
        "`{0}` is no tag; write tag. and the key of one, such as tag.store, or tag.\"opened in\" \
         if the key has blanks"
    )]
    NoTag(String),
    /// It would be one with `tag.` before it.
    #[error("`{0}` is no tag; did you mean tag.{0}?")]
    Bare(String),
    /// No device has such a key.
    #[error("{0}")]
    Key(#[from] ValueError),
}

impl Per {
    /// The key of the tag whose values divide devices.
    pub fn tag(&self) -> &str {
        match self {
            Self::Tag(key) => key,
        }
    }
}

impl fmt::Display for Per {
    /// [`Per::from_str`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(key) => Field::Tag(key.as_str().into()).fmt(f),
        }
    }
}

impl FromStr for Per {
    type Err = PerError;

    fn from_str(text: &str) -> Result<Self, PerError> {
        let text = text.trim();
        match Field::parse(text) {
            Ok(Field::Tag(key)) => {
                check_label("the key", &key)?;
                Ok(Self::Tag(key.into()))
            }
            _ if !text.starts_with("tag.") && Field::parse(&format!("tag.{text}")).is_ok() => {
                Err(PerError::Bare(echo(text)))
            }
            _ => Err(PerError::NoTag(echo(text))),
        }
    }
}

impl Serialize for Per {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Per {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// One failure domain: `tag.store=0042`. Devices that lack the tag are together one domain,
/// `tag.store: none`: what they have to do with each other nobody knows, so they are taken for
/// devices that fail together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain {
    /// What its devices have in common.
    pub per: Per,
    /// The value that they have; none for those that have no value.
    pub value: Option<String>,
}

/// A text that names no domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no failure domain; write one such as tag.store=0042 or \"tag.store: none\"")]
pub struct DomainError(String);

/// What stands for the value of devices that have none.
const NONE: &str = ": none";

impl fmt::Display for Domain {
    /// [`Domain::from_str`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.per),
            None => write!(f, "{}{NONE}", self.per),
        }
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    /// The key is the shortest there can be: a key with `=` in it is quoted, so its quote is not
    /// closed before that.
    fn from_str(text: &str) -> Result<Self, DomainError> {
        let valued = text.match_indices('=').find_map(|(at, _)| {
            let per = text[..at].parse().ok()?;
            Some(Self { per, value: Some(text[at + 1..].to_owned()) })
        });
        let bare = || {
            let per = text.strip_suffix(NONE)?.parse().ok()?;
            Some(Self { per, value: None })
        };
        valued.or_else(bare).ok_or_else(|| DomainError(echo(text)))
    }
}
