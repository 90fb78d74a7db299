//! A token, as it is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use groundswell_core::time::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Role, Scope};

/// Longest name of a token: what fits a line.
pub const NAME_CHARS_MAX: usize = 100;

/// Which token; says nothing of its secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(pub String);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which one.
    pub id: TokenId,
    /// Sha-256 of its secret.
    pub hash: [u8; 32],
    /// For people: whose it is, or what for.
    pub name: String,
    /// Who has it, and what it may.
    pub kind: Kind,
    /// When it was made.
    pub created_at: Time,
    /// From when on it is no good; none: it never ends by itself.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// When it was last shown, within a minute.
    pub last_used_at: Option<Time>,
    /// Devices that were enrolled by it.
    pub uses: u64,
}

/// Who has a token, and what it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// A person or a pipeline.
    Operator {
        /// What it may.
        role: Role,
        /// The devices that it is limited to; none: all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>)]
        scope: Option<Scope>,
    },
    /// A device: it checks in as itself.
    Device {
        /// Its id.
        device: String,
    },
    /// Devices that are not known yet, which get a token of their own by it.
    Enrollment {
        /// How many it is good for.
        uses_max: u64,
        /// What devices that come by it are tagged with.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        tags: BTreeMap<String, String>,
        /// Keys of tags that they may choose for themselves.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        tags_allowed: BTreeSet<String>,
    },
}

/// Why a token that was once good is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Somebody took it back.
    #[error("the token was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

impl Token {
    /// Whether it may be used at `now`.
    ///
    /// # Errors
    /// [`Unusable`] says why not.
    pub fn check(&self, now: Time) -> Result<(), Unusable> {
        if self.revoked_at.is_some() {
            return Err(Unusable::Revoked);
        }
        if self.expires_at.is_some_and(|at| now >= at) {
            return Err(Unusable::Expired);
        }
        Ok(())
    }
}
