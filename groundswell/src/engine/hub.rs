//! Who listens, and how they are told.
//!
//! What is durable is dropped for nobody: a reader who falls behind slows the run down once its
//! queue is full. Progress is dropped for those who are behind.

use std::sync::Arc;

use groundswell_core::event::Event;
use tokio::sync::mpsc;

/// Batches of events that may wait for one reader.
const QUEUE_MAX: usize = 1_024;

/// Those who listen.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    readers: Vec<mpsc::Sender<Arc<[Event]>>>,
}

/// A reader's end.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Arc<[Event]>>,
    batch: Option<(Arc<[Event]>, usize)>,
}

impl Hub {
    pub(crate) fn subscribe(&mut self) -> Events {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        self.readers.push(sender);
        Events { queue, batch: None }
    }

    pub(crate) fn is_heard(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Tells everybody, waiting for those whose queue is full.
    pub(crate) async fn tell(&mut self, events: Vec<Event>) {
        let events: Arc<[Event]> = events.into();
        let mut at = 0;
        while let Some(reader) = self.readers.get(at) {
            if reader.send(events.clone()).await.is_ok() {
                at += 1;
            } else {
                self.readers.remove(at);
            }
        }
    }

    /// Tells those who keep up.
    pub(crate) fn tell_if_room(&mut self, events: Vec<Event>) {
        let events: Arc<[Event]> = events.into();
        self.readers.retain(|reader| {
            !matches!(reader.try_send(events.clone()), Err(mpsc::error::TrySendError::Closed(_)))
        });
    }
}

impl Events {
    /// The next event; `None` after the last one of a run.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            if let Some((batch, at)) = &mut self.batch
                && let Some(event) = batch.get(*at)
            {
                *at += 1;
                return Some(event.clone());
            }
            self.batch = Some((self.queue.recv().await?, 0));
        }
    }
}
