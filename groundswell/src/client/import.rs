//! Many devices at once: a line each, and a result for each line while others are still sent.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::{Method, header};
use serde::Deserialize;

use super::{Client, ClientError};

/// What lines of JSON are sent and answered as.
const MEDIA_TYPE: &str = "application/x-ndjson";

/// Longest line of an answer: a device's id and why it was refused.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What came of a line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportedLine {
    /// Which line, counted from 1.
    pub line: u64,
    /// The device; none if the line says none.
    #[serde(default)]
    pub id: Option<String>,
    /// What it did.
    pub result: LineResult,
    /// What is wrong with it, or was left out.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What a line did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineResult {
    /// The device is new.
    Created,
    /// Something else was known of it.
    Changed,
    /// The same was known of it.
    Same,
    /// Nothing was written; `detail` says why.
    Error,
}

/// An import that goes on.
#[derive(Debug)]
pub struct Importing {
    client: Client,
    response: reqwest::Response,
    /// What was received of a line that is not whole yet.
    begun: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
}

impl Client {
    /// Puts devices into the inventory: `lines` are objects as in an inventory of JSON lines, each with
    /// its end, in pieces of any size. What was written stays if it breaks off, and the same may be sent
    /// again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn import<E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static>(
        &self,
        lines: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<Importing, ClientError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", "devices", "import"]);
        }
        let body = reqwest::Body::wrap_stream(lines.map_err(Into::into));
        let request = self.request(Method::POST, url).header(header::CONTENT_TYPE, MEDIA_TYPE);
        let response = request.body(body).send().await.map_err(|error| self.failed(&error))?;
        let response = self.taken(response).await?;
        let (begun, lines) = (vec![], VecDeque::new());
        Ok(Importing { client: self.clone(), response, begun, lines })
    }
}

impl Importing {
    /// What came of the next line; none once all are told.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<ImportedLine>, ClientError> {
        while self.lines.is_empty() {
            let part = self.response.chunk().await;
            let Some(part) = part.map_err(|error| self.client.failed(&error))? else {
                return if self.begun.is_empty() { Ok(None) } else { Err(self.broken("a line")) };
            };
            self.take(&part)?;
        }
        let line = self.lines.pop_front().unwrap_or_default();
        match serde_json::from_slice(&line) {
            Ok(told) => Ok(Some(told)),
            Err(error) => Err(self.broken(&error.to_string())),
        }
    }

    fn take(&mut self, part: &[u8]) -> Result<(), ClientError> {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.lines.push_back(std::mem::take(&mut self.begun));
            } else if self.begun.len() > LINE_BYTES_MAX {
                return Err(self.broken("a line without an end"));
            }
        }
        Ok(())
    }

    fn broken(&self, why: &str) -> ClientError {
        ClientError::Broken { url: self.client.url().to_owned(), why: why.to_owned() }
    }
}
