//! Tokens and the audit log of a state directory.

use groundswell_core::time::Time;

use super::{OperateError, State};
use crate::{
    access::{Kind, Secret, Token, TokenId},
    store::{AccessStore as _, Attribution, Created},
};

impl State {
    /// Says by whom the next change is made: it is in the audit log if, and only if, it is done. Of
    /// what is asked of a driver that is the asking; should it be refused, that is there as well.
    pub fn attribute(&mut self, by: Attribution) {
        self.store.attribute(by);
    }

    /// Forgets what was said of the next change, if none was made.
    pub fn unattribute(&mut self) {
        self.store.unattribute();
    }

    /// The token of this id.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn token(&self, id: &TokenId) -> Result<Option<Token>, OperateError> {
        Ok(self.store.token(id)?)
    }

    /// What was created under a key by the holder of a token, within the last day.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn created(
        &self,
        token: &TokenId,
        key: &str,
        now: Time,
    ) -> Result<Option<Created>, OperateError> {
        Ok(self.store.created(token, key, now)?)
    }

    /// Makes a token. Its secret is in the answer, and nowhere else from then on.
    ///
    /// # Errors
    /// [`OperateError::TokenName`], [`OperateError::NoRandomness`] or [`OperateError::Store`].
    pub fn create_token(
        &mut self,
        name: &str,
        kind: Kind,
        expires_at: Option<Time>,
        now: Time,
    ) -> Result<(Token, Secret), OperateError> {
        let (token, secret) = Self::mint_token(name, kind, expires_at, now)?;
        self.store.put_token(&token)?;
        Ok((token, secret))
    }

    /// Whether anybody was ever given a token of an operator.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn has_operators(&self) -> Result<bool, OperateError> {
        let tokens = self.store.tokens(None, usize::MAX, false)?;
        Ok(tokens.iter().any(|token| matches!(token.kind, Kind::Operator { .. })))
    }

    /// Notes when tokens were last shown.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn note_used(&mut self, used: &[(TokenId, Time)]) -> Result<(), OperateError> {
        Ok(self.store.note_used(used)?)
    }
}
