//! Tokens, and who did what.

use http::Method;
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, PAGE, Page};
use crate::{
    access::Kind,
    operate::{AuditEntry, AuditVerified, NewToken, TokenView},
};

/// The token that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenWanted {
    /// Whose it is, or what for.
    pub name: String,
    /// Who has it, and what it may.
    #[serde(flatten)]
    pub kind: Kind,
    /// In how many seconds it ends; none: it never does by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<u64>,
}

/// Which entries of the audit log are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditWanted {
    /// Those behind this number, oldest first; otherwise newest first.
    pub after: Option<i64>,
    /// Those before this number, newest first.
    pub before: Option<i64>,
    /// By whom: a part of the name.
    pub who: Option<String>,
    /// What was done, such as `device.change`, or `device` for all that is done to devices.
    pub action: Option<String>,
    /// To what, such as `device till-17`.
    pub subject: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<TokenView>,
    #[serde(default)]
    next: Option<String>,
}

/// A page of the audit log.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditPage {
    /// The entries. There may be fewer than asked for, and more on the next page.
    pub entries: Vec<AuditEntry>,
    /// The cursor of the next page; none if this is the last.
    #[serde(default)]
    pub next: Option<String>,
    /// The number of the last entry that was looked at, if this is not the last page.
    #[serde(default)]
    pub up_to: Option<i64>,
}

impl Client {
    /// All tokens in the order of their ids, those of devices if they are wanted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tokens(&self, with_devices: bool) -> Result<Vec<TokenView>, ClientError> {
        let (mut all, mut page) = (vec![], Page { limit: Some(PAGE), cursor: None });
        loop {
            let ask = self.get(&["tokens"]).query("devices", with_devices.to_string());
            let Tokens { tokens, next } = ask.page(&page).read().await?;
            all.extend(tokens);
            if next.is_none() {
                return Ok(all);
            }
            page.cursor = next;
        }
    }

    /// A token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn token(&self, id: &str) -> Result<TokenView, ClientError> {
        self.get(&["tokens", id]).read().await
    }

    /// Makes a token. It is asked once: the secret of one that was made is told once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_token(&self, wanted: &TokenWanted) -> Result<NewToken, ClientError> {
        self.post(&["tokens"]).json(wanted).read().await
    }

    /// Revokes a token: it is no good from the next request on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_token(&self, id: &str) -> Result<TokenView, ClientError> {
        self.ask(Method::DELETE, &["tokens", id]).repeatable().read().await
    }

    /// A page of the audit log, and the cursor of the next one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self, wanted: &AuditWanted, page: &Page) -> Result<AuditPage, ClientError> {
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        let ask = self.get(&["audit"]).query_if("after", number(wanted.after));
        let ask = ask.query_if("before", number(wanted.before));
        let ask = ask.query_if("who", wanted.who.as_ref());
        let ask = ask.query_if("action", wanted.action.as_ref());
        let ask = ask.query_if("subject", wanted.subject.as_ref());
        ask.page(page).read().await
    }

    /// Whether the audit log is as it was written; of an entry that was kept, its number and its hash
    /// in hex.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn verify_audit(
        &self,
        kept: Option<(i64, &str)>,
    ) -> Result<AuditVerified, ClientError> {
        let ask = self.get(&["audit", "verify"]);
        let ask = ask.query_if("seq", kept.map(|(seq, _)| seq.to_string()));
        ask.query_if("hash", kept.map(|(_, hash)| hash)).read().await
    }
}
