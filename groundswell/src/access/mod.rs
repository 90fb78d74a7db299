//! Who may do what: tokens, roles, scopes, and the chained log of who did what.
//!
//! Owns the values and the rules; knows neither HTTP nor the database. Nothing here keeps a secret:
//! a token is its id and the hash of its secret. Types to read first: [`Token`], [`Role`].

mod audit;
mod role;
mod scope;
mod secret;
mod token;
mod user;

pub use self::{
    audit::{Chain, ChainBroken, Change, Entry, Hash, hash_in_hex},
    role::{Right, Role},
    scope::{Scope, ScopeError},
    secret::{BadSecret, Secret},
    token::{Kind, NAME_CHARS_MAX, Token, TokenId, Unusable},
    user::this_user,
};
