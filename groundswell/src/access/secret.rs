//! What a holder shows: the token's id and its secret, in one word.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::TokenId;

/// Of which a secret is made: nobody guesses 256 bits.
const SECRET_BYTES: usize = 32;

/// Of which an id is made: enough that a million of them differ.
const ID_BYTES: usize = 9;

/// So that whoever looks for leaked secrets finds ours.
const PREFIX: &str = "gsw_";

/// A token as its holder has it, such as `gsw_5wQb0T1mZk2x_...`. Shown once, kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    id: TokenId,
    secret: [u8; SECRET_BYTES],
}

/// It is not a token of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token: one begins with {PREFIX} and is as long as it was shown")]
pub struct BadSecret;

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// An IO error if the system has no randomness to give.
    pub fn mint() -> Result<Self, std::io::Error> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut id).map_err(std::io::Error::other)?;
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        Ok(Self { id: TokenId(BASE64_URL_SAFE_NO_PAD.encode(id)), secret })
    }

    /// Reads what a holder shows.
    ///
    /// # Errors
    /// [`BadSecret`] without a word of what was given.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let rest = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        let id_chars = ID_BYTES.div_ceil(3) * 4;
        let (id, secret) = rest.split_at_checked(id_chars).ok_or(BadSecret)?;
        let secret = secret.strip_prefix('.').ok_or(BadSecret)?;
        BASE64_URL_SAFE_NO_PAD.decode(id).map_err(|_| BadSecret)?;
        let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).map_err(|_| BadSecret)?;
        let secret = secret.try_into().map_err(|_| BadSecret)?;
        Ok(Self { id: TokenId(id.to_owned()), secret })
    }

    /// Which token it is of.
    pub const fn id(&self) -> &TokenId {
        &self.id
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Whether it is the one of which this was kept. Takes as long whatever differs.
    pub fn is_of(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }

    /// The word that its holder keeps.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}.{}", self.id, BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back_and_nothing_else_does() {
        let secret = Secret::mint().unwrap();
        let shown = secret.reveal();
        assert_eq!(Secret::parse(&shown), Ok(secret.clone()));
        assert!(secret.is_of(&secret.hash()));
        assert!(!Secret::mint().unwrap().is_of(&secret.hash()));
        for cut in 0..shown.len() {
            assert_eq!(Secret::parse(&shown[..cut]), Err(BadSecret), "{cut}");
        }
        for bad in [format!("{shown}A"), shown.replace('.', "_"), shown.replace("gsw_", "gsx_")] {
            assert_eq!(Secret::parse(&bad), Err(BadSecret), "{bad}");
        }
        assert_eq!(Secret::parse("gsw_ääääääääääää.x"), Err(BadSecret));
    }

    #[test]
    fn nobody_prints_it_by_mistake() {
        let secret = Secret::mint().unwrap();
        let printed = format!("{secret:?}");
        let (_, hidden) =
            secret.reveal().split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(!printed.contains(&hidden), "{printed}");
    }
}
