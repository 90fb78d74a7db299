//! Who may do what, and who did what.

use groundswell_core::time::Time;

use super::StoreError;
use crate::access::{Change, Entry, Hash, Token, TokenId};

/// Something that was created under a key that the caller chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The token of the caller.
    pub token: TokenId,
    /// The key.
    pub key: String,
    /// Sha-256 of what was asked.
    pub request: [u8; 32],
    /// What was created, by its id.
    pub subject: String,
    /// When.
    pub at: Time,
}

/// Where the audit log ends, as two tables say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditEnd {
    /// The number of the last entry that is there; 0 if none is.
    pub last: i64,
    /// The last that was written, which is noted with each.
    pub noted: Option<(i64, Hash)>,
}

/// What is written with the next transaction of a store, if it has one.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// Who changes what.
    pub change: Change,
    /// The key that it is created under.
    pub created: Option<Created>,
}

/// The part of a store that knows of tokens and of the audit log. Every method is one transaction.
pub trait AccessStore {
    /// Says by whom the next change through this handle is made: it is written with the first
    /// transaction that follows, and not without it.
    fn attribute(&mut self, by: Attribution);

    /// By whom the next change through this handle is made, if that was said and none followed yet.
    fn attribution(&self) -> Option<&Attribution>;

    /// Forgets what was said of the next change.
    fn unattribute(&mut self);

    /// Writes a token down; one of this id is never there.
    fn put_token(&mut self, token: &Token) -> Result<(), StoreError>;

    /// The token of this id.
    fn token(&self, id: &TokenId) -> Result<Option<Token>, StoreError>;

    /// At most `limit` tokens behind the id `after`, by id; those of devices only if they are wanted.
    fn tokens(
        &self,
        after: Option<&TokenId>,
        limit: usize,
        with_devices: bool,
    ) -> Result<Vec<Token>, StoreError>;

    /// Notes when tokens were last shown.
    fn note_used(&mut self, used: &[(TokenId, Time)]) -> Result<(), StoreError>;

    /// What was created under a key within the last day: longer it is not remembered.
    fn created(&self, token: &TokenId, key: &str, now: Time)
    -> Result<Option<Created>, StoreError>;

    /// Writes a change down that nothing else is written with.
    fn note_change(&mut self, change: &Change) -> Result<(), StoreError>;

    /// Hands the entries of the audit log before this number to `each`, or all of them, newest first,
    /// until it says no.
    fn for_each_audited_back(
        &self,
        before: Option<i64>,
        each: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), StoreError>;

    /// Where the audit log ends, at one moment.
    fn audit_end(&self) -> Result<AuditEnd, StoreError>;

    /// Hands the entries of the audit log behind this number to `each`, in order, until it says no.
    fn for_each_audited(
        &self,
        after: i64,
        each: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), StoreError>;
}
