//! The one thread that writes to the store.
//!
//! Jobs are carried out in the order in which they were given; what comes of them is handed to a
//! callback on that thread. Dropping the writer lets it finish the job at hand.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
};

use groundswell_core::time::Time;

use super::{Batch, Cursor, Page, RolloutKey, Store, StoreError};

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Job {
    /// Read candidates.
    Fetch {
        /// Of which rollout.
        rollout: RolloutKey,
        /// Of which round.
        round: u32,
        /// From where on.
        cursor: Cursor,
        /// Due by then.
        until: Time,
        /// How many at the most.
        limit: usize,
        /// Of these, how many that were not begun before.
        fresh_limit: usize,
    },
    /// Write a batch.
    Commit(Batch),
}

/// What came of a job.
#[derive(Debug)]
pub enum Done {
    /// Candidates were read.
    Fetched(Result<Page, StoreError>),
    /// The batch is durable, or nothing of it is; it comes back either way.
    Committed(Batch, Result<(), StoreError>),
}

/// A handle on the thread.
#[derive(Debug)]
pub struct Writer<S> {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<S>>,
}

impl<S: Store + 'static> Writer<S> {
    /// Starts the thread over `store`.
    ///
    /// # Errors
    /// An IO error if no thread can be started.
    pub fn start(
        mut store: S,
        done: impl Fn(Done) + Send + 'static,
    ) -> Result<Self, std::io::Error> {
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            while let Ok(job) = queue.recv() {
                done(carry_out(&mut store, job));
            }
            store
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Gives the thread a job. There are never more than two outstanding, one of each kind.
    pub fn give(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after this sender is dropped.
            let _ = jobs.send(job);
        }
    }

    /// Ends the thread after the jobs it was given, and returns the store; `None` if the thread
    /// died of a panic.
    pub fn stop(mut self) -> Option<S> {
        self.jobs = None;
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

fn carry_out(store: &mut impl Store, job: Job) -> Done {
    match job {
        Job::Fetch { rollout, round, cursor, until, limit, fresh_limit } => {
            Done::Fetched(store.candidates(rollout, round, cursor, until, limit, fresh_limit))
        }
        Job::Commit(batch) => {
            let result = store.commit(&batch);
            Done::Committed(batch, result)
        }
    }
}
