//! Releases and the files that they send.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use groundswell_core::{
    release::{Digest, Release},
    time::Time,
};
use http::{HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Client, ClientError, PAGE, Page};
use crate::{operate::Releases, store::RolloutKey};

/// Bytes that are sent at once: what a slow line takes in less than the time an answer is waited for,
/// and what is sent again after a cut.
const PART_BYTES: u64 = 8 << 20;

/// Cuts in a row, without a byte that got there, after which it is given up.
const CUTS_MAX: u32 = 5;

/// Bytes that are read at once to be hashed.
const READ_BYTES: usize = 256 << 10;

/// What a part is sent as.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Between two cuts.
const PAUSE: Duration = Duration::from_millis(200);

/// Before it is tried again while somebody else is at the upload: most likely the server is, which still
/// listens to a connection that was cut off.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// How often that is tried in a row: for longer than a server listens to nothing.
const BUSY_MAX: u32 = 90;

/// A release of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseShown {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// When it was made.
    pub created_at: Time,
    /// Whether the server still has its file.
    pub is_kept: bool,
    /// The rollouts that send it, of those that the token is shown.
    pub rollouts: Vec<RolloutKey>,
}

/// A file that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Its sha-256.
    pub digest: Digest,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A page of releases.
#[derive(Deserialize)]
struct Listed {
    releases: Vec<Kept>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Kept {
    #[serde(flatten)]
    release: Release,
    created_at: Time,
}

#[derive(Serialize)]
struct Opening {
    digest: String,
    bytes: u64,
}

/// An upload that was opened; none is named if the file is there already.
#[derive(Deserialize)]
struct Opened {
    #[serde(default)]
    upload: Option<String>,
    #[serde(default)]
    offset: u64,
}

#[derive(Deserialize)]
struct Offset {
    offset: u64,
}

#[derive(Serialize)]
struct Naming<'a> {
    name: &'a str,
    version: &'a str,
    artifact: String,
}

impl Client {
    /// All releases, or those of a name, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn releases(&self, name: Option<&str>) -> Result<Releases, ClientError> {
        let (mut all, mut page) = (vec![], Page { limit: Some(PAGE), cursor: None });
        loop {
            let ask = self.get(&["releases"]).query_if("name", name).page(&page);
            let Listed { releases, next } = ask.read().await?;
            all.extend(releases.into_iter().map(|kept| (kept.release, kept.created_at)));
            if next.is_none() {
                all.sort_by_key(|(_, created_at)| *created_at);
                return Ok(all);
            }
            page.cursor = next;
        }
    }

    /// A release, and which rollouts send it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release(&self, name: &str, version: &str) -> Result<ReleaseShown, ClientError> {
        self.get(&["releases", name, version]).read().await
    }

    /// Makes a release of a file that the server has, and says whether it is new.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_release(
        &self,
        name: &str,
        version: &str,
        artifact: Digest,
    ) -> Result<(ReleaseShown, bool), ClientError> {
        let naming = Naming { name, version, artifact: artifact.to_string() };
        let answer = self.post(&["releases"]).json(&naming).repeatable().answer().await?;
        let is_new = answer.status() == StatusCode::CREATED;
        Ok((self.read(answer).await?, is_new))
    }

    /// Sends a file, from where it was cut off if it was, also if that was another process, unless the
    /// server has it. What is in memory of it does not depend on how long it is
    /// (docs/protocol/artifact-upload.md).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload(&self, path: &Path) -> Result<Uploaded, ClientError> {
        let hashed = path.to_owned();
        let uploaded = blocking(path, move || hash(&hashed)).await?;
        let Uploaded { digest, bytes } = &uploaded;
        let opening = Opening { digest: digest.to_string(), bytes: *bytes };
        let mut key = format!("upload-{digest}");
        for is_last in [false, true] {
            let opened = self.open_upload(&opening, &key).await;
            let sent = match opened {
                Ok(Opened { upload: None, .. }) => return Ok(uploaded),
                Ok(Opened { upload: Some(upload), offset }) => {
                    self.send_parts(path, &upload, offset, *bytes).await
                }
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return Ok(uploaded),
                Err(error) if is_last || !has_ended(&error) => return Err(error),
                // It was given up, or ended well meanwhile, which whoever begins anew is told.
                Err(_) => key = uuid::Uuid::now_v7().to_string(),
            }
        }
        Ok(uploaded)
    }

    /// The same key opens the same upload: whoever was killed goes on by the file alone.
    async fn open_upload(&self, opening: &Opening, key: &str) -> Result<Opened, ClientError> {
        let ask = self.post(&["artifacts"]).json(opening);
        ask.header("idempotency-key", key).repeatable().read().await
    }

    async fn send_parts(
        &self,
        path: &Path,
        upload: &str,
        mut offset: u64,
        bytes: u64,
    ) -> Result<(), ClientError> {
        let (mut cuts, mut busy) = (0, 0);
        loop {
            let (read, from, path) = (path.to_owned(), offset, path.to_owned());
            let part = blocking(&path, move || part(&read, from)).await?;
            let len = part.len() as u64;
            let error = match self.send_part(upload, offset, part).await {
                Ok(false) if len > 0 => {
                    (offset, cuts, busy) = (offset + len, 0, 0);
                    continue;
                }
                Ok(false) if offset < bytes => {
                    let why = "it became shorter while it was sent".to_owned();
                    return Err(ClientError::File { path, why });
                }
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            // It is at another offset, busy with what it has, or was too slow to be listened to.
            let is_to_ask =
                error.problem().is_some_and(|problem| matches!(problem.status, 408 | 409));
            if is_busy(&error) && busy < BUSY_MAX {
                busy += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            } else if cuts == CUTS_MAX || !(error.is_of_connection() || is_to_ask) {
                return Err(error);
            } else {
                cuts += 1;
                tokio::time::sleep(PAUSE * cuts).await;
            }
            let known = self.get(&["artifacts", "uploads", upload]).read::<Offset>().await?.offset;
            if known > offset {
                (cuts, busy) = (0, 0);
            }
            offset = known;
        }
    }

    /// Sends a part, and says whether the server has all of it.
    async fn send_part(&self, upload: &str, offset: u64, part: Bytes) -> Result<bool, ClientError> {
        let ask = self.ask(Method::PATCH, &["artifacts", "uploads", upload]);
        let ask = ask.header("upload-offset", &offset.to_string()).body(BYTES, part);
        Ok(ask.answer().await?.status() == StatusCode::CREATED)
    }
}

/// Whether an upload is there no more.
fn has_ended(error: &ClientError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.status == 404 || problem.kind.ends_with(":upload-ended"))
}

/// Whether somebody else is at an upload.
fn is_busy(error: &ClientError) -> bool {
    error.problem().is_some_and(|problem| problem.kind.ends_with(":busy"))
}

/// Reads on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    path: &Path,
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ClientError> {
    let bad = |why: String| ClientError::File { path: PathBuf::from(path), why };
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read.map_err(|error| bad(error.to_string())),
        Err(died) => Err(bad(died.to_string())),
    }
}

fn hash(path: &Path) -> std::io::Result<Uploaded> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Uploaded { digest: Digest(hash.finalize().into()), bytes }),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

fn part(path: &Path, offset: u64) -> std::io::Result<Bytes> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut part = vec![];
    file.take(PART_BYTES).read_to_end(&mut part)?;
    Ok(part.into())
}
