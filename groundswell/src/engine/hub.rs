//! Who listens, and how they are told.
//!
//! What is durable is dropped for nobody: a reader who falls behind slows the run down once its
//! queue is full. Progress is dropped for those who are behind, and is not even put together where
//! nobody follows it.

use std::{sync::Arc, time::Duration};

use groundswell_core::event::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Batches of events that may wait for one reader.
const QUEUE_MAX: usize = 1_024;

/// How long a reader whose queue is full is waited for once the run is told to stop.
const STALL_MAX: Duration = Duration::from_secs(2);

/// Those who listen.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    readers: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    queue: mpsc::Sender<Arc<[Event]>>,
    /// Whether it wants progress, too.
    is_following: bool,
}

/// A reader's end.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Arc<[Event]>>,
    batch: Option<(Arc<[Event]>, usize)>,
}

impl Hub {
    /// For one who wants everything.
    pub(crate) fn subscribe(&mut self) -> Events {
        self.add(true)
    }

    /// For one who does without progress.
    pub(crate) fn subscribe_to_durable(&mut self) -> Events {
        self.add(false)
    }

    fn add(&mut self, is_following: bool) -> Events {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        self.readers.push(Reader { queue: sender, is_following });
        Events { queue, batch: None }
    }

    /// Whether somebody wants progress.
    pub(crate) fn is_followed(&self) -> bool {
        self.readers.iter().any(|reader| reader.is_following && !reader.queue.is_closed())
    }

    pub(crate) fn is_heard(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Tells everybody, waiting for those whose queue is full; but not for long once `stop` is
    /// canceled, so that nobody can keep a run from ending: who stalls then is told nothing more.
    pub(crate) async fn tell(
        &mut self,
        events: Vec<Event>,
        stop: &CancellationToken,
        clock: &Clock,
    ) {
        let events: Arc<[Event]> = events.into();
        let mut at = 0;
        while let Some(reader) = self.readers.get(at) {
            let given_up = async {
                stop.cancelled().await;
                clock.sleep(STALL_MAX, "stalled reader").await;
            };
            let is_told = tokio::select! {
                biased;
                told = reader.queue.send(events.clone()) => told.is_ok(),
                () = given_up => false,
            };
            if is_told {
                at += 1;
            } else {
                self.readers.remove(at);
            }
        }
    }

    /// Tells those who want progress and keep up.
    pub(crate) fn tell_if_room(&mut self, events: Vec<Event>) {
        let events: Arc<[Event]> = events.into();
        self.readers.retain(|reader| {
            if !reader.is_following {
                return true;
            }
            let told = reader.queue.try_send(events.clone());
            !matches!(told, Err(mpsc::error::TrySendError::Closed(_)))
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

#[cfg(test)]
mod tests {
    use groundswell_core::{event::Kind, ids::RolloutId, time::Time};

    use super::*;
    use crate::clock::ManualClock;

    fn event() -> Vec<Event> {
        let rollout = RolloutId(uuid::Uuid::nil());
        vec![Event { at: Time::ZERO, rollout, kind: Kind::RolloutBegan }]
    }

    #[tokio::test]
    async fn progress_is_for_those_who_want_it() {
        let (clock, stop) = (Clock::System, CancellationToken::new());
        let mut hub = Hub::default();
        let mut printing = hub.subscribe_to_durable();
        assert!(hub.is_heard() && !hub.is_followed());
        let mut following = hub.subscribe();
        assert!(hub.is_followed());
        hub.tell_if_room(event());
        assert!(following.recv().await.is_some());
        assert!(printing.queue.try_recv().is_err());
        hub.tell(event(), &stop, &clock).await;
        assert!(printing.recv().await.is_some());
        drop(following);
        assert!(!hub.is_followed(), "it is put together for nobody");
    }

    #[tokio::test]
    async fn a_reader_who_stalls_holds_a_run_up_until_it_is_told_to_stop() {
        let manual = ManualClock::new(Time::ZERO);
        let (clock, stop) = (Clock::Manual(manual.clone()), CancellationToken::new());
        let mut hub = Hub::default();
        let _stalled = hub.subscribe();
        for _ in 0..QUEUE_MAX {
            hub.tell(event(), &stop, &clock).await;
        }
        let held = tokio::spawn({
            let (stop, clock) = (stop.clone(), clock.clone());
            async move {
                hub.tell(event(), &stop, &clock).await;
                hub
            }
        });
        tokio::task::yield_now().await;
        assert!(!held.is_finished(), "what is durable was dropped");
        assert!(manual.waiting().is_empty());
        stop.cancel();
        while manual.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        manual.advance(STALL_MAX);
        assert!(!held.await.unwrap().is_heard(), "it is waited for again");
    }
}
