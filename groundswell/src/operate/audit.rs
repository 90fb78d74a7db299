//! The audit log: listed, and looked through for what was changed in it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OperateError, State};
use crate::{
    access::{Chain, Change, Entry, Hash, hash_in_hex},
    store::{AccessStore as _, AuditEnd},
};

/// Entries that are looked at for one page: some milliseconds.
const LOOKED_AT_MAX: usize = 10_000;

/// Entries verified in one read, so that none keeps the database's log from being put back for long.
const VERIFIED_AT_ONCE: usize = 10_000;

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub seq: i64,
    /// Who did what, when and from where.
    #[serde(flatten)]
    pub change: Change,
    /// Sha-256 over the hash of the entry before, the number and the entry, in hex.
    pub hash: String,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditWant {
    /// Those behind this number, oldest first.
    pub after: Option<i64>,
    /// Otherwise those before this one, newest first; none: from the newest on.
    pub before: Option<i64>,
    /// How many at the most.
    pub limit: usize,
    /// Whose name has this in it.
    pub who: Option<String>,
    /// Whose action is this, or begins with it up to a dot.
    pub action: Option<String>,
    /// Whose subject is this, or begins with it up to a space.
    pub subject: Option<String>,
}

/// Whether the audit log is as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerified {
    /// Whether every entry is there, in order, and what it was.
    pub is_whole: bool,
    /// How many entries are.
    pub entries: i64,
    /// The hash of the last of these, in hex. Kept elsewhere, it tells whether the end was cut off or
    /// all of it was written anew.
    pub hash: String,
    /// Where it is not whole, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Whether the entry that was asked about has the hash that it had; not told if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_as_kept: Option<bool>,
}

impl AuditVerified {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.is_whole && self.is_as_kept != Some(false)
    }
}

impl AuditWant {
    fn fits(&self, change: &Change) -> bool {
        let begins = |text: &str, wanted: &Option<String>, joint: char| match wanted {
            None => true,
            Some(wanted) => {
                let rest = text.strip_prefix(wanted.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(joint))
            }
        };
        self.who.as_ref().is_none_or(|who| change.who.contains(who.as_str()))
            && begins(&change.action, &self.action, '.')
            && begins(&change.subject, &self.subject, ' ')
    }
}

impl State {
    /// Entries of the audit log, and the number of the one behind which (or before which, newest
    /// first) there may be more. A page may be shorter than wanted, and not be the last.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn audit_page(
        &self,
        want: &AuditWant,
    ) -> Result<(Vec<AuditEntry>, Option<i64>), OperateError> {
        let (mut found, mut looked_at, mut last, mut is_cut) = (vec![], 0, None, false);
        let mut each = |entry: Entry| {
            if found.len() == want.limit || looked_at == LOOKED_AT_MAX {
                is_cut = true;
                return false;
            }
            looked_at += 1;
            last = Some(entry.seq);
            // What cannot be read any more is for `verify` to tell.
            if let Ok(change) = serde_json::from_str::<Change>(&entry.body)
                && want.fits(&change)
            {
                let hash = hash_in_hex(&entry.hash);
                found.push(AuditEntry { seq: entry.seq, change, hash });
            }
            true
        };
        match want.after {
            Some(after) => self.store.for_each_audited(after, &mut each)?,
            None => self.store.for_each_audited_back(want.before, &mut each)?,
        }
        Ok((found, last.filter(|_| is_cut)))
    }

    /// Looks through all of the audit log. `kept` is the number and hash of an entry as somebody kept
    /// it elsewhere.
    ///
    /// # Errors
    /// [`OperateError::Store`].
    pub fn verify_audit(&self, kept: Option<(i64, &str)>) -> Result<AuditVerified, OperateError> {
        let mut chain = Chain::default();
        let mut fault = None;
        let end = self.store.audit_end()?;
        let mut at_end = None;
        let mut is_as_kept = kept.map(|_| false);
        // Also what has a number that none can have.
        let mut after = i64::MIN;
        loop {
            let mut seen = 0;
            self.store.for_each_audited(after, &mut |entry| {
                if let Err(broken) = chain.see(&entry) {
                    fault = Some(broken.to_string());
                    return false;
                }
                if let Some((seq, hash)) = kept
                    && seq == entry.seq
                {
                    is_as_kept = Some(hash_in_hex(&entry.hash).eq_ignore_ascii_case(hash));
                }
                if end.noted.is_some_and(|(seq, _)| seq == entry.seq) {
                    at_end = Some((entry.seq, entry.hash));
                }
                seen += 1;
                seen < VERIFIED_AT_ONCE
            })?;
            after = chain.head().0;
            if fault.is_some() || seen < VERIFIED_AT_ONCE {
                break;
            }
        }
        let fault = fault.or_else(|| fault_of_end(end, at_end));
        let (entries, hash) = chain.head();
        let is_whole = fault.is_none();
        Ok(AuditVerified { is_whole, entries, hash: hash_in_hex(&hash), fault, is_as_kept })
    }
}

/// What is wrong with the end of a log whose entries are whole; `found` is the entry that was noted as
/// its last one.
fn fault_of_end(end: AuditEnd, found: Option<(i64, Hash)>) -> Option<String> {
    let AuditEnd { last, noted } = end;
    let written = noted.map_or(0, |(seq, _)| seq);
    if last < written {
        return Some(format!(
            "behind entry {last} the log was cut off: entry {written} was the last one"
        ));
    }
    if last > written {
        return Some(format!("entry {written} was the last one: what comes behind it was added"));
    }
    (found != noted).then(|| format!("entry {written} is not what was written: all was replaced"))
}
