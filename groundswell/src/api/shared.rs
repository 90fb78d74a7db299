//! What all handlers share: the state behind them, the time, and the limits.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::extract::FromRequestParts;
use groundswell_core::{device::Device, time::Time};
use http::request::Parts;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tracing::{Instrument as _, Span};

use super::{
    Caller, Live, Problem,
    driven::Driven,
    heard::Heard,
    lately::Lately,
    moves::Moves,
    throttle::{Guess, Throttle},
    uploads::Uploads,
};
use crate::{
    access::{Change, Kind, Scope, TokenId},
    clock::Clock,
    operate::{Borders, OperateError, State},
    store::{Attribution, Created, StoreError},
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
///
/// A handler that takes one as an argument has the one of its caller, which tells nothing of what is
/// out of the caller's scope; `State<Api>` is for what the server does for itself.
#[derive(Clone, Debug)]
pub struct Api {
    inner: Arc<Inner>,
    scope: Option<Arc<Scope>>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    clock: Clock,
    limits: Limits,
    guesses: Throttle<Guess>,
    enrolling: Throttle<IpAddr>,
    heard: Heard,
    lately: Lately,
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
        let guesses = Throttle::new(limits.guesses_max, GUESS_EVERY);
        let uploads = Uploads::new(limits.uploads_max);
        let enrolling = Throttle::new(limits.enrollments_max, ENROLL_EVERY);
        let (heard, lately, moves, driven) = Default::default();
        let (looking, changing, used) = Default::default();
        let inner = Arc::new(Inner {
            path,
            clock,
            limits,
            guesses,
            enrolling,
            heard,
            lately,
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
        });
        Self { inner, scope: None }
    }

    /// The same, which tells what somebody with this scope may know; none: everything.
    #[must_use]
    pub fn seen_by(&self, scope: Option<&Scope>) -> Self {
        Self { inner: self.inner.clone(), scope: scope.cloned().map(Arc::new) }
    }

    fn sight(&self) -> Option<Scope> {
        self.scope.as_deref().cloned()
    }

    /// How the server is.
    pub fn live(&self) -> &Live {
        &self.inner.live
    }

    /// What may be reached by what is written down.
    pub fn borders(&self) -> &Borders {
        &self.inner.borders
    }

    /// The state directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The present time.
    pub fn now(&self) -> Time {
        self.inner.clock.now()
    }

    /// What a request may cost.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(super) fn guesses(&self) -> &Throttle<Guess> {
        &self.inner.guesses
    }

    pub(super) fn enrolling(&self) -> &Throttle<IpAddr> {
        &self.inner.enrolling
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.inner.heard
    }

    pub(super) fn lately(&self) -> &Lately {
        &self.inner.lately
    }

    pub(super) fn moves(&self) -> &Moves {
        &self.inner.moves
    }

    pub(super) fn driven_now(&self) -> &Driven {
        &self.inner.driven
    }

    pub(super) fn uploads(&self) -> &Uploads {
        &self.inner.uploads
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
        let idle = self.inner.looking.lock().pop();
        let mut state =
            idle.map_or_else(|| self.inner.limited(State::look(&self.inner.path)), Ok)?;
        state.see_as(self.sight());
        let found = look(&state, now);
        give_back(&self.inner.looking, state);
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
        let looked = blocking(move || api.glance(look)).await;
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

    /// Goes over all devices, or a whole log: four at once, and each for at most 30 s.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it, or that it took too long.
    pub async fn survey<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.inner.surveys).acquire_owned().await.ok();
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
        let watching = async move {
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
        };
        tokio::spawn(watching.in_current_span()).await.unwrap_or_else(|died| {
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

    /// The same, if operators still say of a device what they did when the caller looked at it; none, and
    /// nothing is written, if they do not.
    ///
    /// # Errors
    /// A [`Problem`] as the state has it.
    pub async fn change_as_seen<T: Send + 'static>(
        &self,
        seen: Device,
        change: Change,
        act: impl FnOnce(&mut State, Time) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<Option<T>, Problem> {
        let act = move |state: &mut State, now| {
            state.expect_device(seen);
            match act(state, now) {
                Err(OperateError::Store(StoreError::ChangedMeanwhile)) => Ok(None),
                done => done.map(Some),
            }
        };
        self.change(change, None, act).await
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
        let turn = Arc::clone(&self.inner.changes).acquire_owned().await.ok();
        let api = self.clone();
        let changed = blocking(move || {
            let _turn = turn;
            let idle = api.inner.changing.lock().pop();
            let mut state =
                idle.map_or_else(|| api.inner.limited(State::open(&api.inner.path)), Ok)?;
            state.see_as(api.sight());
            if let Some(by) = by {
                state.attribute(by);
            }
            let done = act(&mut state, api.now());
            api.lately().written();
            state.unattribute();
            give_back(&api.inner.changing, state);
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
        let mut used = self.inner.used.lock();
        used.insert(caller.id().clone(), self.now());
    }

    /// The tokens that were shown since this was last asked, and when.
    pub fn take_used(&self) -> Vec<(TokenId, Time)> {
        self.inner.used.lock().drain().collect()
    }
}

impl FromRequestParts<Self> for Api {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Self) -> Result<Self, Infallible> {
        Ok(api.seen_by(parts.extensions.get::<Caller>().and_then(Caller::scope)))
    }
}

/// Does something on a thread that may wait. What it says in the log is said of the same request.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

fn give_back(to: &Mutex<Vec<State>>, state: State) {
    let mut idle = to.lock();
    if idle.len() < IDLE_MAX {
        idle.push(state);
    }
}
