//! The bytes of one release, readable by any number of pushes at once.
//!
//! Owns [`Payload`] and the cursor that every attempt gets for itself, so that no two devices ever
//! share a position in a file. What is read from a file is shared through a bounded cache of
//! chunks: a file pushed to a hundred devices side by side is read about once. Must not know of
//! HTTP or of devices.

mod cache;
mod reader;

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use self::cache::ChunkCache;
pub use self::reader::PayloadReader;

/// How much is read and handed on at a time: large enough that a system call is cheap beside the
/// copy, small enough that a hundred pushes at a hundred different places hold 13 MB.
pub const CHUNK_BYTES: usize = 128 * 1024;

/// How much of one file the cache keeps: a 10 MiB release stays whole.
pub const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// A source of bytes that can be read from its start again and again.
///
/// Functions that return a reader are sources.
pub trait Reopen: Send + Sync + 'static {
    /// A reader that stands at the first byte. Called once per attempt, on a thread where it may
    /// block.
    ///
    /// # Errors
    /// Fails the attempt with [`Fault::LocalRead`](groundswell_core::outcome::Fault::LocalRead).
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

impl<F> Reopen for F
where
    F: Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
{
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self()
    }
}

/// What is sent: a length, a sha-256 and a way to read the bytes. Clones share the source.
#[derive(Clone)]
pub struct Payload {
    inner: Arc<Inner>,
}

struct Inner {
    len: u64,
    sha256: [u8; 32],
    source: Source,
}

enum Source {
    Memory(Bytes),
    File(Arc<ChunkCache>),
    Reopened(Arc<dyn Reopen>),
}

impl Payload {
    /// Bytes in memory, hashed here.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = Sha256::digest(&bytes).into();
        Self::new(bytes.len() as u64, sha256, Source::Memory(bytes))
    }

    /// A file, read once here to learn its sha-256. Blocks while it reads.
    ///
    /// # Errors
    /// The file cannot be opened or read, or is not a regular file.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        let (mut file, len) = open_regular(path)?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut read_bytes = 0;
        while read_bytes < len {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            hasher.update(&chunk[..read]);
            read_bytes += read as u64;
        }
        let source = Source::File(Arc::new(ChunkCache::new(file, len)));
        Ok(Self::new(len, hasher.finalize().into(), source))
    }

    /// A file whose sha-256 is known, such as one the artifact store keeps. It must not change
    /// while it is pushed: a shorter one fails the attempt, another content is noticed only by
    /// devices that check `Repr-Digest`.
    ///
    /// # Errors
    /// The file cannot be opened, or is not a regular file.
    pub fn from_hashed_file(path: &Path, sha256: [u8; 32]) -> io::Result<Self> {
        let (file, len) = open_regular(path)?;
        Ok(Self::new(len, sha256, Source::File(Arc::new(ChunkCache::new(file, len)))))
    }

    /// Any source that can be opened again for every attempt; it must yield `len` bytes with this
    /// sha-256 every time. Fewer bytes fail the attempt, more are not sent.
    pub fn from_source(len: u64, sha256: [u8; 32], source: impl Reopen) -> Self {
        Self::new(len, sha256, Source::Reopened(Arc::new(source)))
    }

    fn new(len: u64, sha256: [u8; 32], source: Source) -> Self {
        Self { inner: Arc::new(Inner { len, sha256, source }) }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.inner.len
    }

    /// Whether there is nothing in it; such a payload can be sent all the same.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sha-256 of all its bytes.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.inner.sha256
    }

    /// A cursor of its own that stands at the first byte.
    pub fn reader(&self) -> PayloadReader {
        PayloadReader::new(self.len(), &self.inner.source)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("len", &self.len()).finish_non_exhaustive()
    }
}

fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, metadata.len()))
}
