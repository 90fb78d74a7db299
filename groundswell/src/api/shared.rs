//! What all handlers share: the state behind them, the time, and the limits.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use groundswell_core::time::Time;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Caller, Live, Problem, driven::Driven, heard::Heard, moves::Moves, throttle::Throttle,
    uploads::Uploads,
};
use crate::{
    access::{Change, Kind, TokenId},
    clock::Clock,
    operate::{Borders, OperateError, State},
    store::{Attribution, Created},
};

/// Connections to the database that are kept open for the next request: more than can be busy on
/// the few cores of such a machine.
const IDLE_MAX: usize = 16;

/// In which time a source gets one more wrong token.
const GUESS_EVERY: Duration = Duration::from_secs(6);

/// In which time a source may enroll one more device.
const ENROLL_EVERY: Duration = Duration::from_secs(1);

/// How often a look that took too long is stopped until it ends.
const STOP_EVERY: Duration = Duration::from_millis(10);

/// Requests that change something at once, also while they wait for a driver's answer: fewer than
/// there are threads, so that looks go on.
const CHANGES_MAX: usize = 128;

/// What goes over all devices, or a whole log, at once, and how long each may take.
const SURVEYS_MAX: usize = 4;
const SURVEY_MAX: Duration = Duration::from_secs(30);

/// What a request may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest JSON body, in bytes: a spec of some hundred waves is a tenth of it.
    pub json_bytes_max: usize,
    /// Longest artifact, in bytes.
    pub artifact_bytes_max: u64,
    /// Uploads that are under way at once; as many again may come in one piece.
    pub uploads_max: usize,
    /// How long devices may be looked for by a selector.
    pub select_max: Duration,
    /// Wrong tokens that a source may show at once; they come back one in 6 s.
    pub guesses_max: u32,
    /// Devices that may enroll from a source at once; they come back one in a second.
    pub enrollments_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_bytes_max: 1 << 20,
            artifact_bytes_max: 64 << 30,
            // Each may hold as much of the disk as an artifact may have, for a day.
            uploads_max: 100,
            select_max: Duration::from_secs(2),
            guesses_max: 10,
            enrollments_max: 100,
        }
    }
}

/// What handlers work with. A clone is the same.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    clock: Clock,
    limits: Limits,
    throttle: Throttle,
    enrolling: Throttle,
    heard: Heard,
    moves: Moves,
    driven: Driven,
    uploads: Uploads,
    looking: Mutex<Vec<State>>,
    changing: Mutex<Vec<State>>,
    changes: Arc<Semaphore>,
    surveys: Arc<Semaphore>,
    used: Mutex<HashMap<TokenId, Time>>,
    borders: Borders,
    live: Live,
}

impl Inner {
    /// A state into which nothing is written that may not be connected to.
    fn limited(&self, opened: Result<State, OperateError>) -> Result<State, OperateError> {
        opened.map(|state| state.within(self.borders.clone()))
    }
}

impl Api {
    /// The API of the state directory at `path`, which is there.
    pub fn new(path: PathBuf, clock: Clock, limits: Limits, borders: Borders, live: Live) -> Self {
        let throttle = Throttle::new(limits.guesses_max, GUESS_EVERY);
        let uploads = Uploads::new(limits.uploads_max);
        let enrolling = Throttle::new(limits.enrollments_max, ENROLL_EVERY);
        let (heard, moves, driven) = Default::default();
        let (looking, changing, used) = Default::default();
        Self(Arc::new(Inner {
            path,
            clock,
            limits,
            throttle,
            enrolling,
            heard,
            moves,
            driven,
            uploads,
            looking,
            changing,
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
            surveys: Arc::new(Semaphore::new(SURVEYS_MAX)),
            used,
            borders,
            live,
        }))
    }

    /// How the server is.
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    /// What may be reached by what is written down.
    pub fn borders(&self) -> &Borders {
        &self.0.borders
    }

    /// The state directory.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The present time.
    pub fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// What a request may cost.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    pub(super) fn enrolling(&self) -> &Throttle {
        &self.0.enrolling
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.0.heard
    }

    pub(super) fn moves(&self) -> &Moves {
        &self.0.moves
    }

    pub(super) fn driven_now(&self) -> &Driven {
        &self.0.driven
    }

    pub(super) fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// Looks something up by its key, at once: some microseconds, which moving to another thread
    /// would double.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it.
    pub fn glance<T>(
        &self,
        look: impl FnOnce(&State, Time) -> Result<T, OperateError>,
    ) -> Result<T, Problem> {
        let now = self.now();
        let idle = self.0.looking.lock().pop();
        let state = idle.map_or_else(|| self.0.limited(State::look(&self.0.path)), Ok)?;
        let found = look(&state, now);
        give_back(&self.0.looking, state);
        Ok(found?)
    }

    /// Looks something up that may take its time, on a thread of its own.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        let api = self.clone();
        let looked = tokio::task::spawn_blocking(move || api.glance(look)).await;
        looked.unwrap_or_else(|died| {
            tracing::error!("a look died: {died}");
            Err(Problem::internal())
        })
    }

    /// Looks devices up by a selector, for at most [`Limits::select_max`], also if the caller does not
    /// wait for it.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it, or that it took too long.
    pub async fn look_within<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.look_for(self.limits().select_max, None, look).await
    }

    /// Goes over all devices, or a whole log: [`SURVEYS_MAX`] at once, and each for at most
    /// [`SURVEY_MAX`].
    ///
    /// # Errors
    /// A [`Problem`] as the state has it, or that it took too long.
    pub async fn survey<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.0.surveys).acquire_owned().await.ok();
        self.look_for(SURVEY_MAX, turn, look).await.map_err(Problem::of_survey)
    }

    /// Looks for so long, also if the caller does not wait for it; its turn ends then.
    async fn look_for<T: Send + 'static>(
        &self,
        max: Duration,
        turn: Option<OwnedSemaphorePermit>,
        look: impl FnOnce(&State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        let api = self.clone();
        let watched = tokio::spawn(async move {
            let _turn = turn;
            let looked_at = Arc::new(Mutex::new(None));
            let watched = Arc::clone(&looked_at);
            let looking = api.look(move |state, now| {
                *watched.lock() = Some(state.interrupt());
                let found = look(state, now);
                // From here on the handle may be somebody else's.
                *watched.lock() = None;
                found
            });
            tokio::pin!(looking);
            let mut wait = max;
            loop {
                tokio::select! {
                    found = &mut looking => return found,
                    () = tokio::time::sleep(wait) => {}
                }
                if let Some(interrupt) = &*looked_at.lock() {
                    interrupt.now();
                }
                // Between two statements nothing is stopped: then the next one is.
                wait = STOP_EVERY;
            }
        });
        watched.await.unwrap_or_else(|died| {
            tracing::error!("a look died: {died}");
            Err(Problem::internal())
        })
    }

    /// Changes something on behalf of the caller: what is done is in the audit log if, and only
    /// if, it is done.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it.
    pub async fn change<T: Send + 'static>(
        &self,
        change: Change,
        created: Option<Created>,
        act: impl FnOnce(&mut State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.write(Some(Attribution { change, created }), act).await
    }

    /// Writes something that the server does by itself, or by somebody if that is said.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        by: Option<Attribution>,
        act: impl FnOnce(&mut State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        // Without this, changes that wait for their turn would hold all threads that look.
        let turn = Arc::clone(&self.0.changes).acquire_owned().await.ok();
        let api = self.clone();
        let changed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let idle = api.0.changing.lock().pop();
            let mut state = idle.map_or_else(|| api.0.limited(State::open(&api.0.path)), Ok)?;
            if let Some(by) = by {
                state.attribute(by);
            }
            let done = act(&mut state, api.now());
            state.unattribute();
            give_back(&api.0.changing, state);
            Ok(done?)
        });
        changed.await.unwrap_or_else(|died| {
            tracing::error!("a change died: {died}");
            Err(Problem::internal())
        })
    }

    /// Notes that a token was shown. Not that of a device: the device is seen, which says the same,
    /// and there are as many as devices.
    pub(super) fn note_used(&self, caller: &Caller) {
        if matches!(caller.token.kind, Kind::Device { .. }) {
            return;
        }
        let mut used = self.0.used.lock();
        used.insert(caller.id().clone(), self.now());
    }

    /// The tokens that were shown since this was last asked, and when.
    pub fn take_used(&self) -> Vec<(TokenId, Time)> {
        self.0.used.lock().drain().collect()
    }
}

fn give_back(to: &Mutex<Vec<State>>, state: State) {
    let mut idle = to.lock();
    if idle.len() < IDLE_MAX {
        idle.push(state);
    }
}
