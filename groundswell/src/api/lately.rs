//! Tokens of operators that were read a moment ago, so that who asks a thousand times a second does not
//! have the database asked as often.
//!
//! What the server itself writes ends what is kept at once; what another process writes into the same
//! state, such as `token revoke` there, within [`KEPT`].

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::access::{Kind, Token, TokenId};

/// How long a token is kept.
const KEPT: Duration = Duration::from_millis(100);

/// How many are: there are as many operators at once in no fleet.
const TOKENS_MAX: usize = 1_000;

/// Tokens that were read a moment ago.
#[derive(Debug, Default)]
pub(super) struct Lately {
    tokens: Mutex<HashMap<TokenId, Read>>,
    /// How often something was written.
    writes: AtomicU64,
}

#[derive(Debug)]
struct Read {
    token: Arc<Token>,
    /// When it was begun to be read, and how often something had been written by then.
    at: Instant,
    writes: u64,
}

impl Lately {
    /// Something was written: it may have been a token.
    pub(super) fn written(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// The token of this id, by `read` unless it was read a moment ago.
    pub(super) fn token<E>(
        &self,
        id: &TokenId,
        read: impl FnOnce() -> Result<Option<Token>, E>,
    ) -> Result<Option<Arc<Token>>, E> {
        let (at, writes) = (Instant::now(), self.writes.load(Ordering::SeqCst));
        if let Some(known) = self.tokens.lock().get(id)
            && known.writes == writes
            && at.saturating_duration_since(known.at) < KEPT
        {
            return Ok(Some(Arc::clone(&known.token)));
        }
        let Some(token) = read()?.map(Arc::new) else { return Ok(None) };
        // Devices are many, and each calls seldom; those who enroll are counted.
        if matches!(token.kind, Kind::Operator { .. }) {
            let mut tokens = self.tokens.lock();
            if tokens.len() >= TOKENS_MAX {
                tokens.clear();
            }
            tokens.insert(id.clone(), Read { token: Arc::clone(&token), at, writes });
        }
        Ok(Some(token))
    }
}

#[cfg(test)]
mod tests {
    use groundswell_core::time::Time;

    use super::*;
    use crate::access::Role;

    fn token(kind: Kind) -> Token {
        Token {
            id: TokenId("ci".to_owned()),
            hash: [7; 32],
            name: "ci".to_owned(),
            kind,
            created_at: Time::ZERO,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            uses: 0,
        }
    }

    /// How often it is read, if it is asked for twice and `between` happens.
    fn reads(kind: &Kind, between: impl FnOnce(&Lately)) -> usize {
        let (lately, mut reads) = (Lately::default(), 0);
        let mut ask = |lately: &Lately| {
            let id = TokenId("ci".to_owned());
            let read = || {
                reads += 1;
                Ok::<_, ()>(Some(token(kind.clone())))
            };
            assert!(lately.token(&id, read).unwrap().is_some());
        };
        ask(&lately);
        between(&lately);
        ask(&lately);
        reads
    }

    #[test]
    fn a_token_is_read_again_once_something_was_written_or_after_a_while() {
        let operator = Kind::Operator { role: Role::Viewer, scope: None };
        assert_eq!(reads(&operator, |_| {}), 1);
        assert_eq!(reads(&operator, Lately::written), 2);
        let age = |lately: &Lately| {
            for read in lately.tokens.lock().values_mut() {
                read.at -= KEPT;
            }
        };
        assert_eq!(reads(&operator, age), 2);
        let device = Kind::Device { device: "till-1".to_owned() };
        assert_eq!(reads(&device, |_| {}), 2, "there are too many of them");
    }

    #[test]
    fn what_was_written_while_it_was_read_counts() {
        let (lately, id) = (Lately::default(), TokenId("ci".to_owned()));
        let operator = || token(Kind::Operator { role: Role::Viewer, scope: None });
        let read = || {
            lately.written();
            Ok::<_, ()>(Some(operator()))
        };
        lately.token(&id, read).unwrap();
        assert_eq!(lately.token(&id, || Ok::<_, ()>(None)).unwrap(), None, "it is gone");
    }
}
