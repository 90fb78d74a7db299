//! The cursor of one attempt.

use std::{
    future::Future,
    io::{self, Read},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use groundswell_core::bites;
use tokio::task::JoinHandle;

use super::{
    CHUNK_BYTES, Reopen, Source,
    cache::{Chunk, ChunkCache, Load},
};

/// Reads a payload from its first byte to its last, chunk by chunk, apart from all other readers.
///
/// Dropping it at any time leaves nothing behind; a read that has begun ends by itself.
pub struct PayloadReader {
    left: u64,
    place: Place,
}

enum Place {
    Memory(Bytes),
    File { cache: Arc<ChunkCache>, index: u64, load: Option<Arc<Load>> },
    Reopened(Reopened),
}

enum Reopened {
    Closed(Arc<dyn Reopen>),
    Open(Box<dyn Read + Send>),
    Reading(JoinHandle<io::Result<(Box<dyn Read + Send>, Bytes)>>),
    Failed,
}

impl PayloadReader {
    pub(super) fn new(len: u64, source: &Source) -> Self {
        let place = match source {
            Source::Memory(bytes) => Place::Memory(bytes.clone()),
            Source::File(cache) => Place::File { cache: cache.clone(), index: 0, load: None },
            Source::Reopened(source) => Place::Reopened(Reopened::Closed(source.clone())),
        };
        Self { left: len, place }
    }

    /// How many bytes are still to come.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes, at most [`CHUNK_BYTES`]; `None` after the last. Must be polled on a tokio
    /// runtime.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = self.left.min(CHUNK_BYTES as u64) as usize;
        let chunk = ready!(match &mut self.place {
            Place::Memory(bytes) => Poll::Ready(Ok(bytes.split_to(most))),
            Place::File { cache, index, load } => poll_file(cache, index, load, cx),
            Place::Reopened(reopened) => reopened.poll(most, cx),
        });
        // What is read from a place that is not its own may be of any length.
        let chunk = if bites!(SharedCursor) {
            chunk.map(|bytes| bytes.slice(..bytes.len().min(most)))
        } else {
            chunk
        };
        if let Ok(bytes) = &chunk {
            self.left -= bytes.len() as u64;
        }
        Poll::Ready(Some(chunk))
    }
}

fn poll_file(
    cache: &Arc<ChunkCache>,
    index: &mut u64,
    load: &mut Option<Arc<Load>>,
    cx: &Context<'_>,
) -> Poll<io::Result<Bytes>> {
    let waiting = match load.take() {
        Some(load) => load,
        None => match cache.chunk(*index) {
            Chunk::Ready(bytes) => {
                *index += 1;
                return Poll::Ready(Ok(bytes));
            }
            Chunk::Loading(load) => load,
        },
    };
    match waiting.poll(cx) {
        Poll::Ready(result) => {
            *index += 1;
            Poll::Ready(result)
        }
        Poll::Pending => {
            *load = Some(waiting);
            Poll::Pending
        }
    }
}

impl Reopened {
    fn poll(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if !matches!(self, Self::Reading(_)) {
            *self = match std::mem::replace(self, Self::Failed) {
                Self::Closed(source) => Self::read_on(move || source.open(), most),
                Self::Open(reader) => Self::read_on(move || Ok(reader), most),
                Self::Reading(_) | Self::Failed => {
                    return Poll::Ready(Err(io::Error::other("reading failed before")));
                }
            };
        }
        let Self::Reading(reading) = self else { return Poll::Pending };
        let result = match ready!(Pin::new(reading).poll(cx)) {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        };
        Poll::Ready(match result {
            Ok((reader, bytes)) => {
                *self = Self::Open(reader);
                Ok(bytes)
            }
            Err(error) => {
                *self = Self::Failed;
                Err(error)
            }
        })
    }

    fn read_on(
        open: impl FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
        most: usize,
    ) -> Self {
        Self::Reading(tokio::task::spawn_blocking(move || {
            let mut reader = open()?;
            let mut buffer = vec![0; most];
            reader.read_exact(&mut buffer)?;
            Ok((reader, buffer.into()))
        }))
    }
}
