//! A body that goes into a file as it arrives, in constant memory.

use std::{io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;

use super::Problem;
use crate::artifacts::{arriving::Arriving, store::ArtifactError};

/// What is gathered of a body before it is written: large enough that going to another thread for it
/// costs nothing beside the copy.
const GATHERED_BYTES: usize = 1 << 20;

/// How long a body may send nothing.
const STALL_MAX: Duration = Duration::from_secs(30);

/// What is read and thrown away of a body that is refused, so that whoever sends it gets to read why.
const DRAINED_BYTES_MAX: usize = 1 << 20;

/// How long that may take.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Something that goes with a file to wherever it is written, and is let go of only after that.
pub(super) struct Receiving<T> {
    pub(super) file: Arriving,
    pub(super) with: T,
}

/// Has a body follow what has arrived, up to `bytes_max` in all, as long as whoever sends it may:
/// `is_allowed` is asked before each write. If it does not end well, what came of it by then stays.
///
/// # Errors
/// A [`Problem`] that says why no more was taken. The file is none only if the thread that wrote it
/// died.
pub(super) async fn receive<T: Send + 'static>(
    into: Receiving<T>,
    mut body: Body,
    bytes_max: u64,
    is_allowed: impl Fn() -> Result<(), Problem>,
) -> (Option<Receiving<T>>, Result<(), Problem>) {
    let mut into = into;
    let mut room = bytes_max.saturating_sub(into.file.bytes());
    loop {
        let (gathered, end) = gather(&mut body, &mut room).await;
        if !gathered.is_empty() {
            if let Err(problem) = is_allowed() {
                drain(body).await;
                return (Some(into), Err(problem));
            }
            let (written, result) = write(into, gathered).await;
            let Some(written) = written else { return (None, Err(Problem::internal())) };
            into = written;
            if let Err(problem) = result {
                drain(body).await;
                return (Some(into), Err(problem));
            }
        }
        match end {
            None => {}
            Some(Ok(())) => return (Some(into), Ok(())),
            Some(Err(problem)) => {
                drain(body).await;
                return (Some(into), Err(problem));
            }
        }
    }
}

/// Some of a body, and how it ended if it did.
async fn gather(body: &mut Body, room: &mut u64) -> (Vec<Bytes>, Option<Result<(), Problem>>) {
    let (mut parts, mut bytes) = (vec![], 0);
    while bytes < GATHERED_BYTES {
        let frame = match tokio::time::timeout(STALL_MAX, body.frame()).await {
            Ok(None) => return (parts, Some(Ok(()))),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return (parts, Some(Err(Problem::bad_request("the body broke off"))));
            }
            Err(_) => {
                let told =
                    format!("nothing came for {} s; go on from where it is", STALL_MAX.as_secs());
                let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "stalled", told);
                return (parts, Some(Err(problem)));
            }
        };
        let Ok(mut data) = frame.into_data() else { continue };
        let is_too_long = data.len() as u64 > *room;
        data.truncate(usize::try_from(*room).unwrap_or(usize::MAX));
        *room -= data.len() as u64;
        bytes += data.len();
        if !data.is_empty() {
            parts.push(data);
        }
        if is_too_long {
            let told = "there is more of the body than of the artifact";
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", told);
            return (parts, Some(Err(problem)));
        }
    }
    (parts, None)
}

async fn write<T: Send + 'static>(
    mut into: Receiving<T>,
    parts: Vec<Bytes>,
) -> (Option<Receiving<T>>, Result<(), Problem>) {
    let written = tokio::task::spawn_blocking(move || {
        let result = parts.iter().try_for_each(|part| into.file.append(part));
        (into, result)
    });
    match written.await {
        Ok((into, result)) => (Some(into), result.map_err(|error| failed(&error))),
        Err(died) => {
            tracing::error!("what wrote an upload died: {died}");
            (None, Err(Problem::internal()))
        }
    }
}

/// Why a file of an artifact could not be written or read.
pub(super) fn failed(error: &io::Error) -> Problem {
    let source = io::Error::from(error.kind());
    let is_full = ArtifactError::Keep { path: std::path::PathBuf::new(), source }.is_of_full_disk();
    if is_full {
        return Problem::disk_full();
    }
    tracing::error!("an artifact cannot be written or read: {error}");
    Problem::unavailable("store", "the artifact cannot be written or read; try again later", 5)
}

/// Reads some more of a body that is refused.
pub(super) async fn drain(mut body: Body) {
    let drained = async {
        let mut bytes = 0;
        while bytes < DRAINED_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    let _ = tokio::time::timeout(DRAIN_MAX, drained).await;
}
