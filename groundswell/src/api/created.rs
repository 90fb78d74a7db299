//! Idempotency-Key: what was created once is not created again.

use groundswell_core::time::Time;
use http::HeaderMap;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Api, Caller, Problem, guard::once};
use crate::store::Created;

/// The header.
const NAME: &str = "Idempotency-Key";

/// Longest key: what callers make of a UUID or of a build's name.
const KEY_BYTES_MAX: usize = 255;

/// A key that the caller chose, with the hash of what it asked under it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    key: String,
    request: [u8; 32],
}

impl Key {
    /// The key of a request that asks for `action` with this body, if it has one.
    pub(crate) fn of(
        headers: &HeaderMap,
        action: &str,
        body: &impl Serialize,
    ) -> Result<Option<Self>, Problem> {
        once(headers, NAME)?;
        let Some(key) = headers.get(NAME) else { return Ok(None) };
        let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
        let told = format!("1 to {KEY_BYTES_MAX} printable characters");
        let key = key.ok_or_else(|| Problem::invalid(NAME, told))?;
        let mut hash = Sha256::new();
        hash.update(action);
        hash.update([0]);
        hash.update(serde_json::to_vec(body).unwrap_or_default());
        Ok(Some(Self { key: key.to_owned(), request: hash.finalize().into() }))
    }

    /// With what is created under it.
    pub(crate) fn by(self, caller: &Caller, subject: String, at: Time) -> Created {
        Created { token: caller.id().clone(), key: self.key, request: self.request, subject, at }
    }
}

impl Api {
    /// What the caller created under a key before; none if it did not.
    pub(crate) fn created(
        &self,
        caller: &Caller,
        key: Option<&Key>,
    ) -> Result<Option<String>, Problem> {
        let Some(key) = key else { return Ok(None) };
        let known = self.glance(|state, now| state.created(caller.id(), &key.key, now))?;
        match known {
            Some(known) if known.request == key.request => Ok(Some(known.subject)),
            Some(_) => Err(Problem::invalid(
                "Idempotency-Key",
                "you used it for something else; every creation takes a key of its own",
            )),
            None => Ok(None),
        }
    }
}
