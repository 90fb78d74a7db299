//! The one thread that writes to the store.
//!
//! Jobs are carried out in the order in which they were given; what comes of them is handed to a
//! callback on that thread. Dropping the writer lets it finish the job at hand. Should the thread
//! panic, every job it was given still comes to an end, a failed one: whoever waits for it is told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use groundswell_core::time::Time;
use metrics::Histogram;

use super::{
    Answer, Assign, Batch, Candidate, ChangeSeq, CohortName, CohortRecord, DeviceKey, FailedDevice,
    Intent, IntentSeq, Page, Patients, PatientsWant, Review, Reviewed, RolloutKey, RolloutRecord,
    RoundCursor, SlotsRead, SlotsWant, Store, StoreError, Want,
};

/// Rows taken back in one transaction: some 20 ms of it.
const DISCARD_MAX: usize = 10_000;

/// Rows of the next round written in one transaction: at most some 20 ms of it, with the look
/// whether each is there already.
const ROUND_MAX: usize = 1_000;

/// Changed devices looked at in one go.
const CHANGED_MAX: usize = 1_000;

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Job {
    /// Read candidates.
    Fetch(Want),
    /// Write a batch.
    Commit(Box<Batch>),
    /// Assign devices to the cohorts of a round.
    Assign(Assignment),
    /// Take back some of the rows of a rollout that is being prepared, now.
    Discard(RolloutKey, Time),
    /// Write some of the rows of the next round, from there on, now.
    OpenRound(RolloutKey, u32, Option<RoundCursor>, Time),
    /// Read a rollout and its cohorts.
    Read(RolloutKey),
    /// See whether others have written something that is for the driver.
    Look {
        /// What [`Looked::version`] was last; none to look in any case.
        seen: Option<i64>,
        /// Up to which change it is known what devices were written.
        after: ChangeSeq,
    },
    /// Find out which rollouts wait for a device.
    Waiting(IntentSeq, DeviceKey),
    /// Forget changes of devices up to this one.
    Forget(ChangeSeq),
    /// Hold devices that were written against a rollout.
    Review(Review),
    /// Read what is known of failure domains.
    Slots(SlotsWant),
    /// Read devices that were updated.
    Patients(PatientsWant),
    /// See whether it is still written down that a device keeps slots because it failed, and in which
    /// domains.
    HasFailed(DeviceKey),
    /// Read the rollouts that roll one back.
    Rollbacks(RolloutKey),
    /// Answer an intent that changes nothing.
    Answer(IntentSeq, Answer),
}

/// Devices to be assigned.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// To which rollout.
    pub rollout: RolloutKey,
    /// To which round.
    pub round: u32,
    /// The cohorts that the devices name by their places.
    pub cohorts: Arc<[CohortName]>,
    /// The devices.
    pub devices: Vec<Assign>,
    /// Whether the round cannot have any of them.
    pub all_new: bool,
    /// The time that it is.
    pub now: Time,
}

/// What others have written.
#[derive(Debug, Default)]
pub struct Looked {
    /// Tells the next look whether there is anything new.
    pub version: i64,
    /// What is wanted of the driver, with the rollout concerned where that is not known to it.
    pub intents: Vec<(IntentSeq, Intent)>,
    /// Devices that were written.
    pub changed: Vec<(ChangeSeq, DeviceKey)>,
    /// Whether there may be more of these.
    pub has_more: bool,
}

/// A rollout as it is written down.
#[derive(Debug)]
pub struct Found {
    /// The rollout.
    pub record: RolloutRecord,
    /// Its devices, counted.
    pub cohorts: Vec<CohortRecord>,
    /// Newer rollouts of the same release name that were started.
    pub rivals: Vec<RolloutKey>,
}

/// What came of a job.
#[expect(clippy::large_enum_variant, reason = "moved a few times for each commit, not kept")]
#[derive(Debug)]
pub enum Done {
    /// Candidates were read.
    Fetched(RolloutKey, Result<Page, StoreError>),
    /// The batch is durable, or nothing of it is; it comes back either way.
    Committed(Batch, Result<(), StoreError>),
    /// Devices were assigned to these cohorts, in which they alone are counted.
    Assigned(RolloutKey, Result<Vec<CohortRecord>, StoreError>),
    /// So many rows were taken back; fewer than could be if none are left.
    Discarded(RolloutKey, Result<bool, StoreError>),
    /// Rows of the next round were written; none to go on from if that were all.
    RoundOpened(RolloutKey, Result<Option<RoundCursor>, StoreError>),
    /// A rollout and its cohorts, if it is there.
    Read(RolloutKey, Result<Option<Box<Found>>, StoreError>),
    /// The rollouts that roll one back, as they are written down.
    Rollbacks(Result<Vec<Found>, StoreError>),
    /// What others have written; none if nothing.
    Looked(Result<Option<Looked>, StoreError>),
    /// The rollouts that wait for a device.
    Waiting(IntentSeq, Result<Vec<(RolloutKey, Candidate)>, StoreError>),
    /// Changes of devices were forgotten.
    Forgotten(Result<(), StoreError>),
    /// What devices that were written mean to a rollout.
    Reviewed(RolloutKey, Result<Reviewed, StoreError>),
    /// What is known of failure domains.
    Slots(Result<SlotsRead, StoreError>),
    /// Devices that were updated were read.
    Patients(RolloutKey, Result<Patients, StoreError>),
    /// Whether a device keeps slots because it failed.
    HasFailed(DeviceKey, Result<Option<FailedDevice>, StoreError>),
    /// An intent was answered.
    Answered(IntentSeq, Result<(), StoreError>),
}

/// A handle on the thread.
#[derive(Debug)]
pub struct Writer<S> {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<S>>,
}

impl<S: Store + 'static> Writer<S> {
    /// Starts the thread over `store`. How many seconds commits take is noted.
    ///
    /// # Errors
    /// An IO error if no thread can be started.
    pub fn start(
        store: S,
        commit_seconds: Histogram,
        done: impl Fn(Done) + Send + 'static,
    ) -> Result<Self, std::io::Error> {
        let timed = move |store: &mut S, job: &Job| {
            let begun = matches!(job, Job::Commit(_)).then(Instant::now);
            let came = carry_out(store, job);
            if let Some(begun) = begun {
                commit_seconds.record(begun.elapsed());
            }
            came
        };
        Self::start_with(store, timed, done)
    }
}

impl<S: Send + 'static> Writer<S> {
    fn start_with(
        mut store: S,
        carry_out: impl Fn(&mut S, &Job) -> Came + Send + 'static,
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

    /// Gives the thread a job.
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
    let died = || StoreError::WriterDied;
    match job {
        Job::Fetch(want) => Done::Fetched(want.rollout, Err(died())),
        Job::Commit(batch) => Done::Committed(*batch, Err(died())),
        Job::Assign(assignment) => Done::Assigned(assignment.rollout, Err(died())),
        Job::Discard(rollout, _) => Done::Discarded(rollout, Err(died())),
        Job::OpenRound(rollout, ..) => Done::RoundOpened(rollout, Err(died())),
        Job::Read(rollout) => Done::Read(rollout, Err(died())),
        Job::Rollbacks(_) => Done::Rollbacks(Err(died())),
        Job::Look { .. } => Done::Looked(Err(died())),
        Job::Waiting(seq, _) => Done::Waiting(seq, Err(died())),
        Job::Forget(_) => Done::Forgotten(Err(died())),
        Job::Review(review) => Done::Reviewed(review.rollout, Err(died())),
        Job::Slots(_) => Done::Slots(Err(died())),
        Job::Patients(want) => Done::Patients(want.rollout, Err(died())),
        Job::HasFailed(device) => Done::HasFailed(device, Err(died())),
        Job::Answer(seq, _) => Done::Answered(seq, Err(died())),
    }
}

/// What came of a job; a batch is handed back beside it.
#[expect(clippy::large_enum_variant, reason = "moved a few times for each commit, not kept")]
enum Came {
    Committed(Result<(), StoreError>),
    Other(Done),
}

impl Came {
    fn of(self, job: Job) -> Done {
        match (self, job) {
            (Self::Other(done), _) => done,
            (Self::Committed(result), Job::Commit(batch)) => Done::Committed(*batch, result),
            (Self::Committed(_), job) => failed(job),
        }
    }
}

/// Carries a job out; for those who write to a store of their own thread.
pub fn do_job<S: Store>(store: &mut S, job: Job) -> Done {
    carry_out(store, &job).of(job)
}

fn carry_out<S: Store>(store: &mut S, job: &Job) -> Came {
    Came::Other(match job {
        Job::Commit(batch) => return Came::Committed(store.commit(batch)),
        Job::Fetch(want) => Done::Fetched(want.rollout, store.candidates(want)),
        Job::Assign(Assignment { rollout, round, cohorts, devices, all_new, now }) => {
            let added = store.assign(*rollout, *round, cohorts, devices, *all_new, *now);
            Done::Assigned(*rollout, added)
        }
        Job::Discard(rollout, now) => {
            let removed = store.discard(*rollout, DISCARD_MAX, *now);
            Done::Discarded(*rollout, removed.map(|removed| removed < DISCARD_MAX))
        }
        Job::OpenRound(rollout, round, from, now) => {
            let next = store.extend_round(*rollout, *round, *from, ROUND_MAX, *now);
            Done::RoundOpened(*rollout, next)
        }
        Job::Read(rollout) => Done::Read(*rollout, read(store, *rollout)),
        Job::Rollbacks(of) => Done::Rollbacks(rollbacks(store, *of)),
        Job::Look { seen, after } => Done::Looked(look(store, *seen, *after)),
        Job::Waiting(seq, device) => Done::Waiting(*seq, store.waiting(*device)),
        Job::Forget(up_to) => Done::Forgotten(store.forget_changed(*up_to)),
        Job::Review(review) => Done::Reviewed(review.rollout, store.review(review)),
        Job::Slots(want) => Done::Slots(store.slots(want)),
        Job::Patients(want) => Done::Patients(want.rollout, store.patients(want)),
        Job::HasFailed(device) => {
            let failed = store.failed_devices(Some(*device));
            Done::HasFailed(*device, failed.map(|mut failed| failed.pop()))
        }
        Job::Answer(seq, answer) => Done::Answered(*seq, store.answer(*seq, answer)),
    })
}

fn read(store: &impl Store, rollout: RolloutKey) -> Result<Option<Box<Found>>, StoreError> {
    let Some(record) = store.rollout(rollout)? else { return Ok(None) };
    let cohorts = store.cohorts(rollout, record.progression.round)?;
    let rivals = store.rivals(rollout)?;
    Ok(Some(Box::new(Found { record, cohorts, rivals })))
}

fn rollbacks(store: &impl Store, of: RolloutKey) -> Result<Vec<Found>, StoreError> {
    let mut all = vec![];
    for record in store.rollbacks(of)? {
        all.extend(read(store, record.key)?.map(|found| *found));
    }
    Ok(all)
}

fn look(
    store: &impl Store,
    seen: Option<i64>,
    after: ChangeSeq,
) -> Result<Option<Looked>, StoreError> {
    let version = store.foreign_version()?;
    if seen == Some(version) {
        return Ok(None);
    }
    let intents = store.intents()?;
    let changed = store.changed_devices(after, CHANGED_MAX)?;
    let has_more = changed.len() == CHANGED_MAX;
    Ok(Some(Looked { version, intents, changed, has_more }))
}

#[cfg(test)]
mod tests {
    use groundswell_core::ids::Epoch;

    use super::*;

    #[test]
    fn every_job_comes_to_an_end_though_the_thread_panics() {
        let (done, came) = mpsc::channel();
        let panics = |(): &mut (), _: &Job| -> Came { panic!("as this test wants it") };
        let writer = Writer::start_with((), panics, move |did| done.send(did).unwrap()).unwrap();
        let batch = Batch::empty(RolloutKey(1), Epoch(1), Time::ZERO);
        writer.give(Job::Commit(Box::new(batch)));
        writer.give(Job::Read(RolloutKey(1)));
        let first = came.recv().unwrap();
        assert!(matches!(first, Done::Committed(_, Err(StoreError::WriterDied))), "{first:?}");
        let given_before = came.recv().unwrap();
        assert!(matches!(given_before, Done::Read(_, Err(StoreError::WriterDied))));
        writer.give(Job::Look { seen: None, after: ChangeSeq(0) });
        let given_after = came.recv().unwrap();
        assert!(matches!(given_after, Done::Looked(Err(StoreError::WriterDied))));
        assert!(writer.stop().is_none());
    }
}
