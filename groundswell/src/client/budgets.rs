//! Failure domains of which devices are out of order.

use serde::Serialize;

use super::{Client, ClientError, PAGE, Page};
use crate::operate::{DomainView, SlotReleased};

/// A page of failure domains.
#[derive(serde::Deserialize)]
struct Domains {
    domains: Vec<DomainView>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Serialize)]
struct Freed<'a> {
    domain: &'a str,
    device: &'a str,
    reason: &'a str,
}

impl Client {
    /// The failure domains of which a device is out of order, in order.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn budgets(&self) -> Result<Vec<DomainView>, ClientError> {
        let (mut all, mut page) = (vec![], Page { limit: Some(PAGE), cursor: None });
        loop {
            let Domains { domains, next } = self.get(&["budgets"]).page(&page).read().await?;
            all.extend(domains);
            if next.is_none() {
                return Ok(all);
            }
            page.cursor = next;
        }
    }

    /// Frees the slot that a device which failed keeps in a domain.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release_slot(
        &self,
        domain: &str,
        device: &str,
        reason: &str,
    ) -> Result<SlotReleased, ClientError> {
        let freed = Freed { domain, device, reason };
        // One that was released before stays so.
        self.post(&["budgets", "release"]).json(&freed).repeatable().read().await
    }
}
