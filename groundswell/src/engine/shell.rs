//! Around the step: gathers facts and carries commands out.
//!
//! Deliveries and questions are the lanes' ([`super::lane`]); what comes of them, and of the
//! writer's jobs, meets here in one queue. Dropping the future of [`Shell::run`] ends every
//! delivery at once and loses nothing: the next run takes over what was open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use groundswell_core::{
    event::{Event, Kind},
    progress::Progress,
    time::Time,
};
use hashbrown::HashMap;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    hub::Hub,
    inquirer::Inquirer,
    outlet::{Opened, Outlet, Outlets},
    step::{Command, Ending, Engine, Fact},
};
use crate::{
    clock::{Clock, Sleep},
    store::{
        Batch, RolloutKey, SqliteStore, Store, StoreError,
        dir::StateDir,
        reserve::Reserve,
        writer::{Done, Job, Writer},
    },
    telemetry::{Attempts, Telemetry},
};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Facts taken into one step at the most, so that commands never wait long.
const FACTS_MAX: usize = 512;

/// What a run needs, apart from what it decides.
pub(crate) struct Shell {
    /// Where the bytes of rollouts come from, and how they are sent.
    pub(crate) outlets: Outlets,
    pub(crate) clock: Clock,
    pub(crate) hub: Hub,
    /// How far this rollout is, is told here.
    pub(crate) progress: Option<(RolloutKey, watch::Sender<Progress>)>,
    pub(crate) stop: CancellationToken,
    pub(crate) reserve: Reserve,
    pub(crate) dir: Arc<StateDir>,
    pub(crate) telemetry: Telemetry,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    /// Where the rollouts stand that it had at the end.
    pub(crate) engine: Engine,
    pub(crate) sent_bytes: u64,
    /// What the store said when it failed.
    pub(crate) error: Option<StoreError>,
    /// Whether what could not be written was kept in the reserve.
    pub(crate) is_kept: bool,
}

/// The parts of a run that change while it goes on.
struct Run {
    shell: Shell,
    engine: Engine,
    facts: mpsc::UnboundedSender<Fact>,
    outlets: HashMap<RolloutKey, Outlet>,
    inquirer: Inquirer,
    openings: mpsc::UnboundedSender<Opened>,
    /// Bytes handed to connections for rollouts that are done with.
    sent_bytes: u64,
    progress_due_at: Time,
    ended: Option<Ending>,
    errors: (mpsc::UnboundedSender<StoreError>, mpsc::UnboundedReceiver<StoreError>),
    error: Option<StoreError>,
    kept: Vec<Batch>,
    is_kept: bool,
    /// Deliveries that were given to lanes and have not ended.
    open_deliveries: u64,
    /// Jobs that were given to the store and are not done.
    store_jobs: u64,
}

impl Shell {
    /// Drives `engine` over `store` until it ends, and hands the store back (`None` if the thread
    /// that wrote to it died).
    pub(crate) async fn run<S: Store + 'static>(
        self,
        store: S,
        engine: Engine,
    ) -> std::io::Result<(Ended, Option<S>)> {
        // Bounded by what can be outstanding: deliveries, questions, and the store's jobs.
        let (facts, mut queue) = mpsc::unbounded_channel();
        let errors = mpsc::unbounded_channel();
        let (openings, mut opened) = mpsc::unbounded_channel();
        let writer = self.writer(store, facts.clone(), errors.0.clone())?;
        let mut run = Run {
            progress_due_at: self.clock.now(),
            inquirer: Inquirer::new(self.outlets.http(), &self.clock, &facts),
            shell: self,
            engine,
            facts,
            outlets: HashMap::new(),
            openings,
            sent_bytes: 0,
            ended: None,
            errors,
            error: None,
            kept: vec![],
            is_kept: false,
            open_deliveries: 0,
            store_jobs: 0,
        };
        let mut wait = Wait::new(&run.shell.clock);
        let mut batch = Vec::with_capacity(FACTS_MAX);
        let mut is_stopped = false;
        loop {
            run.error = run.error.take().or_else(|| run.errors.1.try_recv().ok());
            run.step(&mut batch, &writer).await;
            if let Some(ending) = run.ended {
                return Ok((run.end(ending).await, writer.stop()));
            }
            wait.until(&run.shell.clock, run.wake_at());
            tokio::select! {
                biased;
                () = run.shell.stop.cancelled(), if !is_stopped => {
                    is_stopped = true;
                    batch.push(Fact::Stop);
                }
                Some(opened) = opened.recv() => batch.push(run.opened(opened)),
                _ = queue.recv_many(&mut batch, FACTS_MAX) => {}
                () = &mut wait.sleep => wait.at = None,
            }
        }
    }

    fn writer<S: Store + 'static>(
        &self,
        store: S,
        facts: mpsc::UnboundedSender<Fact>,
        errors: mpsc::UnboundedSender<StoreError>,
    ) -> std::io::Result<Writer<S>> {
        let dir = self.dir.clone();
        Writer::start(store, self.telemetry.commit_seconds(), move |done| {
            // The directory stays ours until the last job is done, even if this run is dropped.
            let _held = &dir;
            let (done, error) = without_error(done);
            if let Some(error) = error {
                let _ = errors.send(error);
            }
            let _ = facts.send(Fact::Store(done));
        })
    }
}

/// The one timer of a run, set anew only when the time changes.
struct Wait {
    sleep: Sleep,
    at: Option<Time>,
}

/// How long a run sleeps when it waits for nothing but facts.
const IDLE: Duration = Duration::from_hours(1);

impl Wait {
    fn new(clock: &Clock) -> Self {
        Self { sleep: clock.sleep(IDLE, "idle"), at: None }
    }

    fn until(&mut self, clock: &Clock, wake: Option<(Time, &'static str)>) {
        let (at, label) = wake.unwrap_or((clock.now() + IDLE, "idle"));
        // A timer that is set a little early costs one more step; setting it anew costs more.
        if wake.is_some() && self.at.is_some_and(|set| set <= at && set > clock.now()) {
            return;
        }
        self.at = Some(at);
        self.sleep.reset(at.since(clock.now()), label);
    }
}

/// The step needs to know that something failed; what the store said is for the report.
pub(super) fn without_error(done: Done) -> (Done, Option<StoreError>) {
    fn part<T>(result: Result<T, StoreError>) -> (Result<T, StoreError>, Option<StoreError>) {
        match result {
            Ok(value) => (Ok(value), None),
            Err(error) => (Err(StoreError::WriterDied), Some(error)),
        }
    }
    macro_rules! parted {
        ($variant:path, $result:expr $(, $first:expr)?) => {{
            let (result, error) = part($result);
            ($variant($($first,)? result), error)
        }};
    }
    match done {
        Done::Fetched(key, result) => parted!(Done::Fetched, result, key),
        Done::Committed(batch, result) => parted!(Done::Committed, result, batch),
        Done::Assigned(key, result) => parted!(Done::Assigned, result, key),
        Done::Discarded(key, result) => parted!(Done::Discarded, result, key),
        Done::RoundOpened(key, result) => parted!(Done::RoundOpened, result, key),
        Done::Read(key, result) => parted!(Done::Read, result, key),
        Done::Rollbacks(result) => parted!(Done::Rollbacks, result),
        Done::Looked(result) => parted!(Done::Looked, result),
        Done::Waiting(seq, result) => parted!(Done::Waiting, result, seq),
        Done::Forgotten(result) => parted!(Done::Forgotten, result),
        Done::Reviewed(key, result) => parted!(Done::Reviewed, result, key),
        Done::Slots(result) => parted!(Done::Slots, result),
        Done::Patients(key, result) => parted!(Done::Patients, result, key),
        Done::HasFailed(device, result) => parted!(Done::HasFailed, result, device),
        Done::Answered(seq, result) => parted!(Done::Answered, result, seq),
    }
}

impl Run {
    async fn step<S: Store + 'static>(&mut self, facts: &mut Vec<Fact>, writer: &Writer<S>) {
        let now = self.shell.clock.now();
        self.count(facts);
        let commands = self.engine.step(now, facts.drain(..));
        for (key, outlet) in &self.outlets {
            outlet.set_halted(!self.engine.may_send(*key));
        }
        for command in commands {
            self.carry_out(command, writer).await;
        }
        if now >= self.progress_due_at || self.ended.is_some() {
            self.progress_due_at = now + PROGRESS_EVERY;
            self.tell_progress(now);
        }
        self.shell.telemetry.depths(self.open_deliveries, self.store_jobs);
    }

    /// Takes note of what ended.
    fn count(&mut self, facts: &[Fact]) {
        let mut attempts = Attempts::default();
        for fact in facts {
            if let Fact::Delivered(key, id, _) | Fact::Returned(key, id) = fact {
                self.open_deliveries = self.open_deliveries.saturating_sub(1);
                if let Some(outlet) = self.outlets.get_mut(key) {
                    outlet.ended(*id);
                }
            }
            match fact {
                Fact::Delivered(_, _, outcome) => attempts.add(outcome),
                Fact::Store(_) => self.store_jobs = self.store_jobs.saturating_sub(1),
                _ => {}
            }
        }
        self.shell.telemetry.attempts(&attempts);
    }

    async fn carry_out<S: Store + 'static>(&mut self, command: Command, writer: &Writer<S>) {
        match command {
            Command::Store(job) => {
                if matches!(job, Job::Look { .. }) {
                    self.shell.clock.follow_wall();
                }
                self.store_jobs += 1;
                writer.give(job);
            }
            Command::Choose(key, spec) => self.choose(key, *spec),
            Command::LookBack(key, release) => self.look_back(key, *release),
            Command::Open(opening) => self.shell.outlets.open(*opening, &self.openings),
            Command::Send(sending) => {
                self.open_deliveries += 1;
                if let Some(outlet) = self.outlets.get_mut(&sending.rollout) {
                    outlet.send(sending);
                } else {
                    let (rollout, id) = (sending.rollout, sending.candidate.id);
                    let _ = self.facts.send(Fact::Returned(rollout, id));
                }
            }
            Command::Ask(key, question) => {
                if let Some(outlet) = self.outlets.get_mut(&key) {
                    outlet.ask(question);
                }
            }
            Command::Examine(key, examination) => {
                if let Some(outlet) = self.outlets.get_mut(&key) {
                    outlet.examine(*examination);
                }
            }
            Command::Check(key, inquiry) => self.inquirer.ask(key, *inquiry),
            Command::Halt(key) => {
                if let Some(outlet) = self.outlets.get_mut(&key) {
                    outlet.shutdown().await;
                }
            }
            Command::Tell(events) => {
                let Shell { hub, stop, clock, .. } = &mut self.shell;
                hub.tell(events, stop, clock).await;
            }
            Command::Keep(batches) => self.keep(batches),
            Command::Close(key, _) => self.close(key).await,
            Command::End(ending) => self.ended = Some(ending),
        }
    }

    fn keep(&mut self, batches: Vec<Batch>) {
        self.shell.reserve.show_idle();
        if let Some(error @ StoreError::Stale { .. }) = &self.error {
            // The reserve is that of the driver that took over, and so is what became of devices.
            return tracing::error!("the last outcomes are not kept: {error}");
        }
        self.kept.extend(batches);
        self.is_kept = match self.shell.reserve.keep(&self.kept) {
            Ok(()) => true,
            Err(error) => {
                let path = self.shell.reserve.path().display();
                tracing::error!("the last outcomes could not be kept in {path}: {error}");
                false
            }
        };
    }

    /// Reads and divides on a thread and a connection of its own, beside the writer.
    fn choose(&self, key: RolloutKey, spec: groundswell_core::rollout::Spec) {
        let now = self.shell.clock.now();
        self.read_beside(
            move |store| super::choose::choose(store, &spec, now),
            move |division| Fact::Chosen(key, division),
        );
    }

    /// The same, to look up where the devices of a rollout go back to.
    fn look_back(&self, key: RolloutKey, release: groundswell_core::release::Release) {
        self.read_beside(
            move |store| super::choose::look_back(store, key, &release),
            move |found| Fact::LookedBack(key, found),
        );
    }

    /// Tells what is read by a connection of its own, or that it cannot be.
    fn read_beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&SqliteStore) -> Result<T, StoreError> + Send + 'static,
        told: impl FnOnce(Option<Box<T>>) -> Fact + Send + 'static,
    ) {
        let (facts, path) = (self.facts.clone(), self.shell.dir.database());
        let reading = tokio::task::spawn_blocking(move || {
            SqliteStore::open_to_read(&path).and_then(|store| match store {
                Some(store) => read(&store),
                None => Err(StoreError::Damaged("the database is gone".to_owned())),
            })
        });
        tokio::spawn(async move {
            let found = match reading.await {
                Ok(Ok(found)) => Some(Box::new(found)),
                Ok(Err(error)) => {
                    tracing::error!("the devices of a rollout cannot be read: {error}");
                    None
                }
                Err(died) => {
                    tracing::error!("reading the devices of a rollout died: {died}");
                    None
                }
            };
            let _ = facts.send(told(found));
        });
    }

    /// A rollout can be sent for, or cannot.
    fn opened(&mut self, opened: Opened) -> Fact {
        match opened {
            Ok(parts) => {
                let (key, outlet) = Outlet::new(*parts, &self.facts, &self.shell.telemetry);
                // It may have ended while its artifact was read, and have been tried again: then it
                // was read twice, and deliveries may leave by the first.
                if self.engine.progression(key).is_some() {
                    self.outlets.entry(key).or_insert(outlet);
                }
                Fact::Opened(key)
            }
            Err((key, why)) => {
                tracing::error!(rollout = key.0, "its artifact cannot be sent: {why}");
                Fact::Unsendable(key, why)
            }
        }
    }

    async fn close(&mut self, key: RolloutKey) {
        self.inquirer.close(key);
        if let Some(outlet) = self.outlets.get_mut(&key) {
            outlet.shutdown().await;
        }
        // What a run of one rollout has sent is told with its last progress.
        if self.shell.progress.is_none()
            && let Some(outlet) = self.outlets.remove(&key)
        {
            self.sent_bytes += outlet.sent_bytes();
        }
    }

    async fn end(mut self, ending: Ending) -> Ended {
        for outlet in self.outlets.values_mut() {
            outlet.shutdown().await;
        }
        Ended {
            ending,
            sent_bytes: self.sent_bytes(),
            engine: self.engine,
            error: self.error.take(),
            is_kept: self.is_kept,
        }
    }

    fn sent_bytes(&self) -> u64 {
        self.sent_bytes + self.outlets.values().map(Outlet::sent_bytes).sum::<u64>()
    }

    fn wake_at(&self) -> Option<(Time, &'static str)> {
        // A clock that is moved by hand is not to be moved for the sake of a display.
        let is_told = self.shell.hub.is_followed() && !self.outlets.is_empty();
        let is_shown = self.shell.progress.as_ref().is_some_and(|(_, p)| p.receiver_count() > 0);
        let is_watched = matches!(self.shell.clock, Clock::System) && (is_told || is_shown);
        let progress = is_watched.then_some((self.progress_due_at, "progress"));
        self.engine.wake_at().into_iter().chain(progress).min_by_key(|(at, _)| *at)
    }

    fn tell_progress(&mut self, now: Time) {
        if self.shell.hub.is_followed() {
            for (key, outlet) in &self.outlets {
                let rollout = outlet.id();
                let kinds = outlet.device_progress();
                let sent_bytes = outlet.sent_bytes();
                let progress = self.engine.progress(*key, now, sent_bytes).map(Kind::Progress);
                let events = kinds.into_iter().chain(progress);
                let events = events.map(|kind| Event { at: now, rollout, kind }).collect();
                self.shell.hub.tell_if_room(events);
            }
        }
        if let Some((key, told)) = &self.shell.progress
            && told.receiver_count() > 0
            && let Some(progress) = self.engine.progress(*key, now, self.sent_bytes())
        {
            told.send_replace(progress);
        }
    }
}

/// How many bytes a delivery has handed to its connection, for those who follow it.
pub(super) type Sent = Arc<AtomicU64>;

/// Reads it.
pub(super) fn sent(bytes: &Sent) -> u64 {
    bytes.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
