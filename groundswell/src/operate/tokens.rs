//! Tokens: made, listed and revoked, each within what its maker may see.

use groundswell_core::time::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeviceSpec, OperateError, State};
use crate::{
    access::{Kind, NAME_CHARS_MAX, Scope, Secret, Token, TokenId},
    store::{AccessStore as _, FleetStore as _, Revoked, Store as _},
};

/// Most devices that one enrollment token is good for: a fleet.
pub const USES_MAX: u64 = 1_000_000;

/// Tokens looked at in one read.
const READ: usize = 500;

/// A token as it is shown: never its secret, nor what is kept of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its id: the part of the token between `gsw_` and the dot.
    pub id: String,
    /// Whose it is, or what for.
    pub name: String,
    /// Who has it, and what it may.
    #[serde(flatten)]
    pub kind: Kind,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Time,
    /// From when on it is no good; none: it never ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub revoked_at: Option<Time>,
    /// When it was last shown, within a minute. Of a device's token that is when the device was last
    /// seen, and not told here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub last_used_at: Option<Time>,
    /// Devices that were enrolled by it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub uses: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
const fn is_none(uses: &u64) -> bool {
    *uses == 0
}

/// A token that was made, with its secret: the only time that it is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token.
    #[serde(flatten)]
    pub token: TokenView,
    /// What its holder shows. It is kept nowhere: who loses it needs another token.
    pub secret: String,
}

impl TokenView {
    /// A token as it is shown.
    pub fn of(token: &Token) -> Self {
        let Token {
            id, name, kind, created_at, expires_at, revoked_at, last_used_at, uses, ..
        } = token.clone();
        let id = id.0;
        Self { id, name, kind, created_at, expires_at, revoked_at, last_used_at, uses }
    }
}

impl State {
    /// Makes a token that is kept by nobody yet.
    ///
    /// # Errors
    /// [`OperateError::TokenName`] or [`OperateError::NoRandomness`].
    pub fn mint_token(
        name: &str,
        kind: Kind,
        expires_at: Option<Time>,
        now: Time,
    ) -> Result<(Token, Secret), OperateError> {
        let name = name.trim();
        let is_plain = !name.chars().any(char::is_control);
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !is_plain {
            return Err(OperateError::TokenName { max: NAME_CHARS_MAX });
        }
        let secret = Secret::mint().map_err(OperateError::NoRandomness)?;
        let token = Token {
            id: secret.id().clone(),
            hash: secret.hash(),
            name: name.to_owned(),
            kind,
            created_at: now,
            expires_at,
            revoked_at: None,
            last_used_at: None,
            uses: 0,
        };
        Ok((token, secret))
    }

    /// Writes a token down.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn put_token(&mut self, token: &Token) -> Result<(), OperateError> {
        Ok(self.store.put_token(token)?)
    }

    /// What a token may that somebody with this scope makes: no more than its maker, and only what
    /// can be.
    ///
    /// # Errors
    /// [`OperateError::UnknownDevice`], [`OperateError::Fault`] or [`OperateError::OutOfScope`].
    pub fn allowed_kind(&self, kind: Kind, scope: Option<&Scope>) -> Result<Kind, OperateError> {
        match kind {
            Kind::Operator { role, scope: given } => {
                let scope = match (scope, given) {
                    (None, given) => given,
                    (Some(own), None) => Some(own.clone()),
                    (Some(own), Some(given)) => Some(both(own, &given)?),
                };
                Ok(Kind::Operator { role, scope })
            }
            Kind::Device { device } => {
                let known = self.store.device(&device)?;
                let is_seen = |known| scope.is_none_or(|scope: &Scope| scope.contains(known));
                if known.as_ref().is_some_and(is_seen) {
                    return Ok(Kind::Device { device });
                }
                Err(OperateError::UnknownDevice { id: device, meant: None })
            }
            Kind::Enrollment { uses_max, tags, tags_allowed } => {
                if uses_max == 0 || uses_max > USES_MAX {
                    return Err(OperateError::Uses { max: USES_MAX });
                }
                let keys = tags_allowed.iter().map(|key| (key.clone(), "any".to_owned()));
                let most = keys.chain(tags.clone()).collect();
                DeviceSpec { tags: most, ..DeviceSpec::default() }.device("any")?;
                if scope.is_some_and(|scope| !scope.holds_by_tags(&tags)) {
                    return Err(OperateError::OutOfScope);
                }
                Ok(Kind::Enrollment { uses_max, tags, tags_allowed })
            }
        }
    }

    /// Whether somebody with this scope may know of a token.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn is_token_seen(
        &self,
        token: &Token,
        scope: Option<&Scope>,
    ) -> Result<bool, OperateError> {
        let Some(own) = scope else { return Ok(true) };
        Ok(match &token.kind {
            Kind::Operator { scope, .. } => {
                scope.as_ref().is_some_and(|scope| own.covers(Some(scope.selector())))
            }
            Kind::Device { device } => {
                self.store.device(device)?.is_some_and(|device| own.contains(&device))
            }
            Kind::Enrollment { tags, .. } => own.holds_by_tags(tags),
        })
    }

    /// At most `limit` tokens that somebody with this scope may know of, behind the id `after`, and
    /// the id behind which there may be more. Those of devices only if they are wanted.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn token_page(
        &self,
        after: Option<&str>,
        limit: usize,
        with_devices: bool,
        scope: Option<&Scope>,
    ) -> Result<(Vec<TokenView>, Option<String>), OperateError> {
        let mut found = vec![];
        let mut after = after.map(|id| TokenId(id.to_owned()));
        loop {
            let read = self.store.tokens(after.as_ref(), READ, with_devices)?;
            let is_end = read.len() < READ;
            for token in read {
                if found.len() == limit {
                    let last = found.last().map(|token: &TokenView| token.id.clone());
                    return Ok((found, last));
                }
                if self.is_token_seen(&token, scope)? {
                    found.push(TokenView::of(&token));
                }
                after = Some(token.id);
            }
            if is_end {
                return Ok((found, None));
            }
        }
    }

    /// Revokes a token, and says whether it was not before.
    ///
    /// # Errors
    /// [`OperateError::UnknownToken`], or [`OperateError::LastAdmin`] if nobody could administer
    /// without it.
    pub fn revoke_token(&mut self, id: &TokenId, now: Time) -> Result<bool, OperateError> {
        if self.store.token(id)?.is_none() {
            return Err(OperateError::UnknownToken { id: id.0.clone() });
        }
        match self.store.revoke_token(id, now)? {
            Revoked::Done => Ok(true),
            Revoked::Already => Ok(false),
            Revoked::Last => Err(OperateError::LastAdmin),
        }
    }
}

/// What is in both scopes.
fn both(own: &Scope, given: &Scope) -> Result<Scope, OperateError> {
    let text = own.narrow(Some(given.selector().clone())).to_string();
    // Only its length can be wrong with it.
    Scope::parse(&text).map_err(|error| OperateError::Scope(error.to_string()))
}
