//! The one thread that writes to the store.
//!
//! Jobs are carried out in the order in which they were given; what comes of them is handed to a
//! callback on that thread. Dropping the writer lets it finish the job at hand. Should the thread
//! panic, every job it was given still comes to an end, a failed one: whoever waits for it is told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
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
                match catch_unwind(AssertUnwindSafe(|| carry_out(&mut store, &job))) {
                    Ok(came) => done(came.of(job)),
                    Err(panic) => {
                        done(failed(job));
                        for job in queue {
                            done(failed(job));
                        }
                        resume_unwind(panic);
                    }
                }
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

/// What came of a job that was never done.
fn failed(job: Job) -> Done {
    match job {
        Job::Fetch { .. } => Done::Fetched(Err(StoreError::WriterDied)),
        Job::Commit(batch) => Done::Committed(batch, Err(StoreError::WriterDied)),
    }
}

/// What came of a job, without the job.
enum Came {
    Fetched(Result<Page, StoreError>),
    Committed(Result<(), StoreError>),
}

impl Came {
    fn of(self, job: Job) -> Done {
        match (self, job) {
            (Self::Fetched(result), _) => Done::Fetched(result),
            (Self::Committed(result), Job::Commit(batch)) => Done::Committed(batch, result),
            (Self::Committed(_), fetch @ Job::Fetch { .. }) => failed(fetch),
        }
    }
}

fn carry_out(store: &mut impl Store, job: &Job) -> Came {
    match job {
        Job::Fetch { rollout, round, cursor, until, limit, fresh_limit } => {
            Came::Fetched(store.candidates(*rollout, *round, *cursor, *until, *limit, *fresh_limit))
        }
        Job::Commit(batch) => Came::Committed(store.commit(batch)),
    }
}

#[cfg(test)]
mod tests {
    use groundswell_core::{
        device::Device,
        ids::{Epoch, RolloutId},
        rollout::Spec,
        selector::Selector,
        snapshot::Counts,
    };

    use super::*;
    use crate::store::{Candidate, Contact, Put, RolloutRecord, Unfinished};

    /// A store whose every method is a defect.
    struct Defective;

    fn defect() -> ! {
        panic!("as this test wants it")
    }

    impl Store for Defective {
        fn raise_epoch(&mut self) -> Result<Epoch, StoreError> {
            defect()
        }
        fn find(&self, _: &[u8; 32]) -> Result<Option<RolloutRecord>, StoreError> {
            defect()
        }
        fn unfinished(&self) -> Result<Vec<RolloutRecord>, StoreError> {
            defect()
        }
        fn create(
            &mut self,
            _: RolloutId,
            _: &[u8; 32],
            _: &Spec,
            _: Time,
        ) -> Result<RolloutKey, StoreError> {
            defect()
        }
        fn add_devices(&mut self, _: RolloutKey, _: &[&Device]) -> Result<(), StoreError> {
            defect()
        }
        fn put_devices(&mut self, _: &[&Device]) -> Result<Put, StoreError> {
            defect()
        }
        fn device(&self, _: &str) -> Result<Option<Device>, StoreError> {
            defect()
        }
        fn devices(
            &self,
            _: Option<&Selector>,
            _: Option<&str>,
            _: usize,
            _: Time,
        ) -> Result<Vec<Device>, StoreError> {
            defect()
        }
        fn count_devices(&self, _: Option<&Selector>, _: Time) -> Result<u64, StoreError> {
            defect()
        }
        fn saw(&mut self, _: &[Contact<'_>]) -> Result<(), StoreError> {
            defect()
        }
        fn set_spec(&mut self, _: RolloutKey, _: &Spec) -> Result<(), StoreError> {
            defect()
        }
        fn discard(&mut self, _: RolloutKey) -> Result<(), StoreError> {
            defect()
        }
        fn cancel(&mut self, _: RolloutKey, _: Time) -> Result<Counts, StoreError> {
            defect()
        }
        fn open_round(&mut self, _: RolloutKey, _: Time) -> Result<u64, StoreError> {
            defect()
        }
        fn counts(&self, _: RolloutKey, _: u32) -> Result<Counts, StoreError> {
            defect()
        }
        fn counts_before(&self, _: RolloutKey, _: u32) -> Result<Counts, StoreError> {
            defect()
        }
        fn is_overtaken(&self, _: RolloutKey) -> Result<bool, StoreError> {
            defect()
        }
        fn open(&self, _: RolloutKey, _: u32) -> Result<Vec<Candidate>, StoreError> {
            defect()
        }
        fn candidates(
            &self,
            _: RolloutKey,
            _: u32,
            _: Cursor,
            _: Time,
            _: usize,
            _: usize,
        ) -> Result<Page, StoreError> {
            defect()
        }
        fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
            defect()
        }
        fn for_each_unfinished(
            &self,
            _: RolloutKey,
            _: u32,
            _: &mut dyn FnMut(Unfinished),
        ) -> Result<(), StoreError> {
            defect()
        }
    }

    #[test]
    fn every_job_comes_to_an_end_though_the_thread_panics() {
        let (done, came) = mpsc::channel();
        let writer = Writer::start(Defective, move |result| done.send(result).unwrap()).unwrap();
        let rollout = RolloutKey(1);
        let changes = vec![];
        let batch = Batch { rollout, epoch: Epoch(1), at: Time::ZERO, changes, progression: None };
        writer.give(Job::Commit(batch));
        let fetch = || Job::Fetch {
            rollout,
            round: 1,
            cursor: Cursor::default(),
            until: Time::ZERO,
            limit: 1,
            fresh_limit: 1,
        };
        writer.give(fetch());
        let first = came.recv().unwrap();
        assert!(matches!(first, Done::Committed(_, Err(StoreError::WriterDied))), "{first:?}");
        let given_before = came.recv().unwrap();
        assert!(matches!(given_before, Done::Fetched(Err(StoreError::WriterDied))));
        writer.give(fetch());
        let given_after = came.recv().unwrap();
        assert!(matches!(given_after, Done::Fetched(Err(StoreError::WriterDied))));
        assert!(writer.stop().is_none());
    }
}
