//! Who one is to a server.

use serde::Deserialize;

use super::{Client, ClientError};
use crate::api::operator::whoami::WhoAmI;

/// All that is read of a server whose other answers are not understood.
#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Client {
    /// Who the token is of, what it may, and which version the server has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.get(&["whoami"]).read().await
    }

    /// The version of the server, if it tells that.
    pub(super) async fn version(&self) -> Option<String> {
        let url = self.base.join("api/v1/whoami").ok()?;
        let answer = self.request(http::Method::GET, url).send().await.ok()?;
        let told = answer.error_for_status().ok()?.json::<Version>().await;
        told.ok().map(|told| told.version)
    }
}
