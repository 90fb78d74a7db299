//! Around the step: gathers facts and carries commands out.
//!
//! Deliveries and questions are the lanes' ([`super::lane`]); what comes of them, and of the
//! writer's jobs, meets here in one queue. Dropping the future of [`Shell::run`] ends every delivery at once and loses nothing:
//! the next run takes over what was open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use groundswell_core::{
    event::{Event, Kind},
    ids::AssignmentId,
    progress::Progress,
    rollout::PauseReason,
    snapshot::Counts,
    time::Time,
};
use hashbrown::HashMap;
use http::HeaderMap;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    hub::Hub,
    lane::{Courier, Errand, Lanes},
    step::{Command, Ending, Engine, Fact, Sending},
};
use crate::{
    clock::{Clock, Sleep},
    delivery::http::{Client, Shipment},
    store::{
        Candidate, RolloutRecord, Store, StoreError,
        dir::StateDir,
        reserve::Reserve,
        writer::{Done, Job, Writer},
    },
};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Facts taken into one step at the most, so that commands never wait long.
const FACTS_MAX: usize = 512;

/// From this size on, single deliveries tell how far they are.
const DEVICE_PROGRESS_BYTES_MIN: u64 = 1 << 20;

/// Headers that some devices want, by device id. They are secrets: kept in memory only.
pub(crate) type DeviceHeaders = HashMap<Arc<str>, Arc<HeaderMap>>;

/// What a run needs, apart from what it decides.
pub(crate) struct Shell {
    pub(crate) record: RolloutRecord,
    pub(crate) client: Client,
    pub(crate) shipment: Arc<Shipment>,
    pub(crate) headers: DeviceHeaders,
    pub(crate) clock: Clock,
    pub(crate) hub: Hub,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) stop: CancellationToken,
    pub(crate) reserve: Reserve,
    pub(crate) dir: Arc<StateDir>,
}

/// How a run ended, and where the rollout stands.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    pub(crate) counts: Counts,
    pub(crate) sent_bytes: u64,
    /// Why it is paused, if it is.
    pub(crate) paused: Vec<PauseReason>,
    /// What the store said when it failed.
    pub(crate) error: Option<StoreError>,
    /// Whether what could not be written was kept in the reserve.
    pub(crate) is_kept: bool,
}

/// The parts of a run that change while it goes on.
struct Run {
    shell: Shell,
    engine: Engine,
    lanes: Lanes,
    /// Bytes handed to connections by large deliveries that ended.
    sent_bytes: u64,
    /// Large deliveries that are open.
    large: HashMap<AssignmentId, (Arc<str>, Arc<AtomicU64>)>,
    progress_due_at: Time,
    ended: Option<Ended>,
    error: Option<StoreError>,
    is_kept: bool,
}

impl Shell {
    /// Drives `engine` over `store` until it ends, and hands the store back (`None` if the thread
    /// that wrote to it died).
    pub(crate) async fn run<S: Store + 'static>(
        mut self,
        store: S,
        engine: Engine,
    ) -> std::io::Result<(Ended, Option<S>)> {
        // Bounded by what can be outstanding: deliveries, questions, one commit, one fetch.
        let (facts, mut queue) = mpsc::unbounded_channel();
        let (errors, mut errors_queue) = mpsc::unbounded_channel();
        let done = facts.clone();
        let dir = self.dir.clone();
        let writer = Writer::start(store, move |result| {
            // The directory stays ours until the last job is done, even if this run is dropped.
            let _held = &dir;
            let (fact, error) = fact_of(result);
            if let Some(error) = error {
                let _ = errors.send(error);
            }
            let _ = done.send(fact);
        })?;
        let lanes = Lanes::new(self.courier(facts));
        let mut run = Run {
            progress_due_at: self.clock.now(),
            shell: self,
            engine,
            lanes,
            sent_bytes: 0,
            large: HashMap::new(),
            ended: None,
            error: None,
            is_kept: false,
        };
        let mut wait = Wait::new(&run.shell.clock);
        let mut batch = Vec::with_capacity(FACTS_MAX);
        let mut is_stopped = false;
        loop {
            run.error = run.error.take().or_else(|| errors_queue.try_recv().ok());
            run.step(&mut batch, &writer).await;
            if let Some(ended) = run.ended.take() {
                run.lanes.shutdown().await;
                return Ok((ended, writer.stop()));
            }
            wait.until(&run.shell.clock, run.wake_at());
            tokio::select! {
                biased;
                () = run.shell.stop.cancelled(), if !is_stopped => {
                    is_stopped = true;
                    batch.push(Fact::Stop);
                }
                _ = queue.recv_many(&mut batch, FACTS_MAX) => {}
                () = &mut wait.sleep => wait.at = None,
            }
        }
    }
}

impl Shell {
    fn courier(&mut self, facts: mpsc::UnboundedSender<Fact>) -> Courier {
        Courier {
            client: self.client.clone(),
            shipment: self.shipment.clone(),
            headers: std::mem::take(&mut self.headers),
            key_prefix: format!("{}-", self.record.id).into_boxed_str(),
            facts,
            sent_bytes: AtomicU64::new(0),
            is_halted: AtomicBool::new(false),
        }
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

fn fact_of(done: Done) -> (Fact, Option<StoreError>) {
    match done {
        Done::Fetched(Ok(page)) => (Fact::Fetched(page), None),
        Done::Fetched(Err(error)) => (Fact::NotFetched, Some(error)),
        Done::Committed(_, Ok(())) => (Fact::Committed, None),
        Done::Committed(batch, Err(error)) => (Fact::NotCommitted(batch), Some(error)),
    }
}

impl Run {
    async fn step<S: Store + 'static>(&mut self, facts: &mut Vec<Fact>, writer: &Writer<S>) {
        let now = self.shell.clock.now();
        for fact in &*facts {
            if let Fact::Delivered(id, _) | Fact::Returned(id) = fact
                && let Some((_, sent)) = self.large.remove(id)
            {
                self.sent_bytes += sent.load(Ordering::Relaxed);
            }
        }
        let commands = self.engine.step(now, facts.drain(..));
        let is_halted = !self.engine.may_send();
        self.lanes.courier().is_halted.store(is_halted, Ordering::Relaxed);
        for command in commands {
            self.carry_out(command, writer).await;
        }
        if now >= self.progress_due_at || self.ended.is_some() {
            self.progress_due_at = now + PROGRESS_EVERY;
            self.tell_progress(now);
        }
    }

    async fn carry_out<S: Store + 'static>(&mut self, command: Command, writer: &Writer<S>) {
        let record = &self.shell.record;
        match command {
            Command::Fetch { cursor, limit, fresh_limit, until } => writer.give(Job::Fetch {
                rollout: record.key,
                round: self.engine.progression().round,
                cursor,
                until,
                limit,
                fresh_limit,
            }),
            Command::Commit(batch) => writer.give(Job::Commit(batch)),
            Command::Send(sending) => self.send(sending),
            Command::Ask(question) => self.lanes.give(Errand::Ask(question)),
            Command::Tell(events) => {
                let Shell { hub, stop, clock, .. } = &mut self.shell;
                hub.tell(events, stop, clock).await;
            }
            Command::Keep(batches) => {
                self.is_kept = match self.shell.reserve.keep(&batches) {
                    Ok(()) => true,
                    Err(error) => {
                        let path = self.shell.reserve.path().display();
                        tracing::error!("the last outcomes could not be kept in {path}: {error}");
                        false
                    }
                };
            }
            Command::End(ending) => {
                self.ended = Some(Ended {
                    ending,
                    counts: *self.engine.counts(),
                    sent_bytes: self.sent_bytes(),
                    paused: self.engine.progression().paused.iter().copied().collect(),
                    error: self.error.take(),
                    is_kept: self.is_kept,
                });
            }
        }
    }

    fn wake_at(&self) -> Option<(Time, &'static str)> {
        // A clock that is moved by hand is not to be moved for the sake of a display.
        let is_watched = matches!(self.shell.clock, Clock::System)
            && (self.shell.hub.is_heard() || self.shell.progress.receiver_count() > 0);
        let progress = is_watched.then_some((self.progress_due_at, "progress"));
        self.engine.wake_at().into_iter().chain(progress).min_by_key(|(at, _)| *at)
    }

    fn send(&mut self, sending: Sending) {
        let is_large = self.shell.shipment.payload().len() >= DEVICE_PROGRESS_BYTES_MIN;
        let watched = is_large.then(|| {
            let Candidate { id, endpoint, .. } = &sending.candidate;
            let sent = Arc::new(AtomicU64::new(0));
            self.large.insert(*id, (endpoint.id.clone(), sent.clone()));
            sent
        });
        self.lanes.give(Errand::Deliver { sending, watched });
    }

    fn sent_bytes(&self) -> u64 {
        let large: u64 = self.large.values().map(|(_, sent)| sent.load(Ordering::Relaxed)).sum();
        let small = self.lanes.courier().sent_bytes.load(Ordering::Relaxed);
        self.sent_bytes + small + large
    }

    fn tell_progress(&mut self, now: Time) {
        let progress = self.engine.progress(now, self.sent_bytes());
        if self.shell.hub.is_heard() {
            let rollout = self.shell.record.id;
            let total_bytes = self.shell.shipment.payload().len();
            let mut events: Vec<_> = self
                .large
                .values()
                .map(|(device, sent)| Kind::DeviceProgress {
                    device: device.clone(),
                    sent_bytes: sent.load(Ordering::Relaxed),
                    total_bytes,
                })
                .map(|kind| Event { at: now, rollout, kind })
                .collect();
            let kind = Kind::Progress(progress.clone());
            events.push(Event { at: now, rollout, kind });
            self.shell.hub.tell_if_room(events);
        }
        self.shell.progress.send_replace(progress);
    }
}
