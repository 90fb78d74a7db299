//! Who is at which upload, and the hashes over what has arrived so far.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::artifacts::arriving::Hashed;

/// The uploads that this process has seen parts of. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    /// By id: somebody is at it, or the hash over what arrived.
    seen: Arc<Mutex<HashMap<String, Seen>>>,
    /// Places for those that come whole.
    whole: Arc<Semaphore>,
}

#[derive(Debug)]
enum Seen {
    Busy,
    Idle(Hashed),
}

/// The right to add to an upload, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    of: Uploads,
    id: String,
    /// What the next one may go on with.
    pub(super) hashed: Option<Hashed>,
}

impl Uploads {
    /// As many places as these for uploads that come whole.
    pub(super) fn new(uploads_max: usize) -> Self {
        let places = uploads_max.min(Semaphore::MAX_PERMITS);
        Self { seen: Arc::default(), whole: Arc::new(Semaphore::new(places)) }
    }

    /// The right to add to an upload; none while somebody else has it.
    pub(super) fn turn(&self, id: &str) -> Option<Turn> {
        let mut seen = self.seen.lock();
        let hashed = match seen.insert(id.to_owned(), Seen::Busy) {
            Some(Seen::Busy) => return None,
            Some(Seen::Idle(hashed)) => Some(hashed),
            None => None,
        };
        Some(Turn { of: self.clone(), id: id.to_owned(), hashed })
    }

    /// A place for one that comes whole; none if all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.whole).try_acquire_owned().ok()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut seen = self.of.seen.lock();
        match self.hashed.take() {
            Some(hashed) => seen.insert(self.id.clone(), Seen::Idle(hashed)),
            None => seen.remove(&self.id),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_is_at_an_upload() {
        let uploads = Uploads::new(1);
        let first = uploads.turn("a").unwrap();
        assert!(uploads.turn("a").is_none());
        assert!(uploads.turn("b").is_some());
        drop(first);
        assert!(uploads.turn("a").is_some());
        assert!(uploads.seen.lock().is_empty(), "nothing is kept of what has no hash");
        let place = uploads.place();
        assert!(place.is_some() && uploads.place().is_none());
    }
}
