//! The chunks of one file that were read last, shared by everyone who pushes it.
//!
//! A chunk is read once however many wait for it, by one of a few blocking loaders. A loader does
//! not belong to the push that started it: that one may be canceled, the others still get their
//! bytes.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use groundswell_core::bites;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{CACHE_BYTES, CHUNK_BYTES};

/// Loaders at work at once per file: a disk gains nothing from more, and each costs a thread.
const LOADERS_MAX: usize = 4;

/// Buffers that wait to be read into: one for each loader, and one on its way to each.
const SPARE_MAX: usize = 2 * LOADERS_MAX;

const CHUNKS_MAX: usize = CACHE_BYTES / CHUNK_BYTES;

/// A file and its cached chunks.
pub(super) struct ChunkCache {
    file: File,
    len: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: HashMap<u64, Slot>,
    queue: VecDeque<(u64, Arc<Load>)>,
    loaders: usize,
    ready: usize,
    clock: u64,
    /// Buffers of chunks that were evicted.
    spare: Vec<BytesMut>,
}

enum Slot {
    Loading(Arc<Load>),
    Ready { bytes: Bytes, used: u64 },
}

/// One chunk on its way from the disk.
#[derive(Default)]
pub(super) struct Load(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    result: Option<Result<Bytes, (io::ErrorKind, String)>>,
    wakers: Vec<Waker>,
}

impl Load {
    /// The chunk, once it is there.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut progress = self.0.lock();
        match &progress.result {
            Some(Ok(bytes)) => Poll::Ready(Ok(bytes.clone())),
            Some(Err((kind, text))) => Poll::Ready(Err(io::Error::new(*kind, text.clone()))),
            None => {
                if !progress.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    progress.wakers.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn finish(&self, result: Result<Bytes, (io::ErrorKind, String)>) {
        let wakers = {
            let mut progress = self.0.lock();
            progress.result = Some(result);
            std::mem::take(&mut progress.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A chunk at hand, or one to wait for.
pub(super) enum Chunk {
    Ready(Bytes),
    Loading(Arc<Load>),
}

impl ChunkCache {
    pub(super) fn new(file: File, len: u64) -> Self {
        Self { file, len, state: Mutex::default() }
    }

    /// The chunk at `index`; on a miss its reading begins. Must be called on a tokio runtime.
    pub(super) fn chunk(self: &Arc<Self>, index: u64) -> Chunk {
        let mut state = self.state.lock();
        state.clock += 1;
        let now = state.clock;
        // With it: one place for all readers, and each goes on where another one has stopped.
        let index = if bites!(SharedCursor) {
            (now - 1) % self.len.div_ceil(CHUNK_BYTES as u64).max(1)
        } else {
            index
        };
        match state.slots.get_mut(&index) {
            Some(Slot::Ready { bytes, used }) => {
                *used = now;
                return Chunk::Ready(bytes.clone());
            }
            Some(Slot::Loading(load)) => return Chunk::Loading(load.clone()),
            None => {}
        }
        let load = Arc::new(Load::default());
        state.slots.insert(index, Slot::Loading(load.clone()));
        state.queue.push_back((index, load.clone()));
        if state.loaders < LOADERS_MAX {
            state.loaders += 1;
            let cache = self.clone();
            tokio::task::spawn_blocking(move || cache.load_queued());
        }
        Chunk::Loading(load)
    }

    fn load_queued(&self) {
        while let Some((index, load)) = self.next_queued() {
            let result = self.read(index).map_err(|error| (error.kind(), error.to_string()));
            self.settle(index, &result);
            load.finish(result);
        }
    }

    fn next_queued(&self) -> Option<(u64, Arc<Load>)> {
        let mut state = self.state.lock();
        let next = state.queue.pop_front();
        if next.is_none() {
            state.loaders -= 1;
        }
        next
    }

    fn read(&self, index: u64) -> io::Result<Bytes> {
        let start = index * CHUNK_BYTES as u64;
        let len = (self.len - start).min(CHUNK_BYTES as u64) as usize;
        let mut buffer = self.state.lock().spare.pop().unwrap_or_default();
        buffer.resize(len, 0);
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.freeze())
    }

    /// Keeps a chunk that was read; forgets one that could not be, so that the next attempt reads
    /// it again.
    fn settle(&self, index: u64, result: &Result<Bytes, (io::ErrorKind, String)>) {
        let mut state = self.state.lock();
        let Ok(bytes) = result else {
            state.slots.remove(&index);
            return;
        };
        let used = state.clock;
        state.slots.insert(index, Slot::Ready { bytes: bytes.clone(), used });
        state.ready += 1;
        if state.ready > CHUNKS_MAX {
            state.evict_oldest(index);
        }
    }
}

impl State {
    /// A walk over a hundred slots, next to a read of a whole chunk.
    fn evict_oldest(&mut self, except: u64) {
        let oldest = self
            .slots
            .iter()
            .filter_map(|(index, slot)| match slot {
                Slot::Ready { used, .. } if *index != except => Some((*used, *index)),
                _ => None,
            })
            .min();
        if let Some((_, index)) = oldest {
            let removed = self.slots.remove(&index);
            self.ready -= 1;
            // A buffer that nobody sends from any more is read into again: threads that allocate
            // what other threads free would have the allocator keep more and more back.
            if let Some(Slot::Ready { bytes, .. }) = removed
                && self.spare.len() < SPARE_MAX
                && let Ok(buffer) = bytes.try_into_mut()
            {
                self.spare.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::Write};

    use super::*;

    async fn read(cache: &Arc<ChunkCache>, index: u64) -> io::Result<Bytes> {
        match cache.chunk(index) {
            Chunk::Ready(bytes) => Ok(bytes),
            Chunk::Loading(load) => poll_fn(|cx| load.poll(cx)).await,
        }
    }

    fn cache_of(chunks: usize) -> Arc<ChunkCache> {
        let mut file = tempfile::tempfile().unwrap();
        for index in 0..chunks {
            file.write_all(&vec![index as u8; CHUNK_BYTES]).unwrap();
        }
        Arc::new(ChunkCache::new(file, (chunks * CHUNK_BYTES) as u64))
    }

    #[tokio::test]
    async fn holds_no_more_than_its_limit_and_drops_what_was_used_least_lately() {
        let cache = cache_of(CHUNKS_MAX + 2);
        for index in 0..CHUNKS_MAX as u64 {
            assert_eq!(read(&cache, index).await.unwrap()[0], index as u8);
        }
        read(&cache, 0).await.unwrap();
        read(&cache, CHUNKS_MAX as u64).await.unwrap();
        let state = cache.state.lock();
        assert_eq!((state.ready, state.slots.len()), (CHUNKS_MAX, CHUNKS_MAX));
        assert!(state.slots.contains_key(&0), "the one used again went");
        assert!(!state.slots.contains_key(&1), "the one used least lately stayed");
    }

    #[tokio::test]
    async fn one_read_serves_all_who_wait() {
        let cache = cache_of(1);
        let (Chunk::Loading(first), Chunk::Loading(second)) = (cache.chunk(0), cache.chunk(0))
        else {
            panic!("there before it was read");
        };
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(poll_fn(|cx| first.poll(cx)).await.unwrap().len(), CHUNK_BYTES);
        assert_eq!(poll_fn(|cx| second.poll(cx)).await.unwrap().len(), CHUNK_BYTES);
    }

    #[tokio::test]
    async fn a_failed_read_is_tried_again_next_time() {
        let cache = cache_of(1);
        cache.file.set_len(10).unwrap();
        assert_eq!(read(&cache, 0).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        cache.file.set_len(CHUNK_BYTES as u64).unwrap();
        assert!(read(&cache, 0).await.is_ok());
    }
}
