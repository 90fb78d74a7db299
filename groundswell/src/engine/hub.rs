//! Who listens, and how they are told.
//!
//! What is durable is dropped for nobody: a reader who falls behind slows the run down once its
//! queue is full. Progress is dropped for those who are behind.

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
                told = reader.send(events.clone()) => told.is_ok(),
                () = given_up => false,
            };
            if is_told {
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
