//! The driver of a state directory: every rollout in it, until it is told to stop.
//!
//! [`Driver`] is what `groundswell run` is made of, for use from another program. What is to be
//! driven is written by others, or by the same program through the store.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    delivery::http::{Client, Config, ConfigError},
    engine::{
        hub::{Events, Hub},
        outlet::Outlets,
        shell::Shell,
        step::{Ending, Engine, GATHER, LOOK_EVERY, Manner},
        takeover::{TakeoverError, recover, take},
    },
    networks::Networks,
    store::{
        DeviceKey, FailedDevice, RolloutRecord, SqliteStore, Store, StoreError, TroubleStore as _,
        Which,
        dir::{self, DirError, StateDir},
    },
    telemetry::Telemetry,
};

/// Most deliveries that are open at once, of all rollouts, unless another number is asked for.
pub const IN_FLIGHT_MAX: u32 = 1_000;

/// Between two looks whether a full disk has room again.
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(1);

/// Why a state directory cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// It cannot be used, or another process drives it.
    #[error(transparent)]
    State(#[from] DirError),
    /// The state database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What an earlier driver left cannot be taken over.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// A header, path, certificate or key that cannot be used.
    #[error(transparent)]
    Http(#[from] ConfigError),
    /// The run could not be started, or died.
    #[error("the run could not be carried out")]
    Run(#[source] io::Error),
}

impl DriveError {
    /// Whether room on the disk is all that is missing to drive the directory at `path`.
    fn is_of_full_disk(&self, path: &Path) -> bool {
        let is_full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::State(DirError::Io { source, .. })
            | Self::Takeover(TakeoverError::Reserve(source)) => is_full(source),
            // There may be room for less than the database needs.
            Self::Store(error) | Self::Takeover(TakeoverError::Store(error))
                if error.is_of_full_disk() =>
            {
                true
            }
            // The database calls it by several names.
            Self::Store(StoreError::Disk(_))
            | Self::Takeover(TakeoverError::Store(StoreError::Disk(_))) => {
                let obstacle = dir::obstacle(path);
                matches!(obstacle, Some(DirError::Io { source, .. }) if is_full(&source))
            }
            _ => false,
        }
    }
}

/// Drives the rollouts of a state directory.
#[derive(Debug)]
pub struct Driver {
    path: PathBuf,
    http: Config,
    in_flight_max: u32,
    hub: Hub,
    stop: CancellationToken,
    called: &'static str,
    begun: Option<oneshot::Sender<()>>,
    telemetry: Telemetry,
}

impl Driver {
    /// A driver of the state directory at `path`, which is made if it is not there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            http: Config::default(),
            in_flight_max: IN_FLIGHT_MAX,
            hub: Hub::default(),
            stop: CancellationToken::new(),
            called: "run",
            begun: None,
            telemetry: Telemetry::default(),
        }
    }

    /// Headers, paths, time-outs, TLS, connections and the clock.
    #[must_use]
    pub fn http(mut self, config: Config) -> Self {
        self.http = config;
        self
    }

    /// The clock for every wait, window and time-out.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.http.clock = clock;
        self
    }

    /// What may be connected to; everything, unless this says otherwise.
    #[must_use]
    pub fn networks(mut self, networks: Networks) -> Self {
        self.http.networks = Some(networks);
        self
    }

    /// Most deliveries that are open at once, of all rollouts.
    #[must_use]
    pub const fn in_flight_max(mut self, max: u32) -> Self {
        self.in_flight_max = max;
        self
    }

    /// What it is called, for those who find the directory taken: the command it is part of.
    #[must_use]
    pub const fn called(mut self, command: &'static str) -> Self {
        self.called = command;
        self
    }

    /// Where it is counted what it does.
    #[must_use]
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = telemetry;
        self
    }

    /// Events from now on, of all rollouts.
    pub fn subscribe(&mut self) -> Events {
        self.hub.subscribe()
    }

    /// The same without progress, which is not put together unless somebody wants it.
    pub fn subscribe_to_durable(&mut self) -> Events {
        self.hub.subscribe_to_durable()
    }

    /// Cancel it to stop claiming and let open deliveries end (at most 30 s).
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Told once the directory is taken and what an earlier driver left is taken over; never if
    /// that fails.
    pub fn begun(&mut self) -> oneshot::Receiver<()> {
        let (begun, told) = oneshot::channel();
        self.begun = Some(begun);
        told
    }

    /// Drives until it is told to stop, or the state can no longer be written.
    ///
    /// # Errors
    /// [`DriveError`], also if the state failed meanwhile.
    pub async fn run(self) -> Result<(), DriveError> {
        let Self { path, http, in_flight_max, hub, stop, called, begun: told, telemetry } = self;
        // What cannot be used is told before the directory is touched.
        Client::new(http.clone())?;
        let clock = http.clock.clone();
        let Some(begun) = begin_with_room(path, called, &stop).await? else { return Ok(()) };
        let Begun { dir, store, reserve, taken, kept, failed, epoch } = begun;
        if let Some(told) = told {
            // Whoever asked may be gone.
            let _ = told.send(());
        }
        let gather = match clock {
            Clock::System | Clock::Scaled(_) => GATHER,
            Clock::Manual(_) => Duration::ZERO,
        };
        // Operators are as fast as they are: a clock that runs ahead is no reason to look without
        // a pause.
        let look_every = match clock {
            Clock::Scaled(scaled) => LOOK_EVERY * scaled.speed(),
            Clock::System | Clock::Manual(_) => LOOK_EVERY,
        };
        let is_heard = hub.is_heard();
        let manner = Manner { is_heard, gather, in_flight_max, look_every: Some(look_every) };
        clock.follow_wall();
        let mut engine = Engine::new(taken, epoch, manner, clock.now());
        engine.know_failed(failed);
        for (push, devices) in &kept {
            engine.keep_from(push, devices);
        }
        let shell = Shell {
            outlets: Outlets::Any { artifacts: dir.artifacts(), http: Box::new(http) },
            clock,
            hub,
            progress: None,
            stop,
            reserve,
            dir,
            telemetry,
        };
        let (ended, _store) = shell.run(store, engine).await.map_err(DriveError::Run)?;
        match ended.ending {
            Ending::StoreFailed => Err(ended.error.unwrap_or(StoreError::WriterDied).into()),
            _ => Ok(()),
        }
    }
}

struct Begun {
    dir: Arc<StateDir>,
    store: SqliteStore,
    reserve: crate::store::reserve::Reserve,
    taken: Vec<crate::engine::step::Taken>,
    /// Pushes that are left to their commands, and the devices they have active.
    kept: Vec<(RolloutRecord, Vec<DeviceKey>)>,
    /// Devices that keep their slots because they failed.
    failed: Vec<FailedDevice>,
    epoch: groundswell_core::ids::Epoch,
}

/// Begins as soon as there is room on the disk; none if it is told to stop before. What an earlier
/// driver kept in the reserve stays there until then, and the lock is held.
async fn begin_with_room(
    path: PathBuf,
    called: &'static str,
    stop: &CancellationToken,
) -> Result<Option<Begun>, DriveError> {
    let mut dir = None;
    let mut is_told = false;
    loop {
        let (state, held) = (path.clone(), dir.take());
        let tried = tokio::task::spawn_blocking(move || {
            let locked = held.map_or_else(|| StateDir::lock(&state, called).map(Arc::new), Ok);
            match locked {
                Ok(dir) => (begin(dir.clone()), Some(dir)),
                Err(error) => (Err(error.into()), None),
            }
        });
        let (begun, held) = tried.await.map_err(|error| DriveError::Run(error.into()))?;
        dir = held;
        match begun {
            Err(error) if error.is_of_full_disk(&path) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(
                        "the disk of {} is full: nothing is begun before there is room, and then \
                         it goes on by itself",
                        path.display()
                    );
                }
            }
            begun => return begun.map(Some),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = Clock::System.sleep(LOOK_FOR_ROOM_EVERY, "room on the disk") => {}
        }
    }
}

fn begin(dir: Arc<StateDir>) -> Result<Begun, DriveError> {
    let reserve = dir.reserve()?;
    let mut store = SqliteStore::open(&dir.database())?;
    recover(&mut store, &reserve)?;
    let epoch = store.raise_epoch()?;
    // The headers, paths and certificates of a push are known to its own command alone.
    let (pushes, rollouts): (Vec<_>, Vec<_>) =
        store.rollouts(Which::Driven)?.into_iter().partition(|record| record.identity.is_some());
    let mut kept = vec![];
    for record in pushes {
        let number = record.key.0;
        tracing::warn!("rollout {number} is a push that has not ended: it is left to its command");
        let active = store.active(record.key)?;
        kept.push((record, active.into_iter().map(|candidate| candidate.device).collect()));
    }
    let taken: Result<Vec<_>, StoreError> =
        rollouts.into_iter().map(|record| take(&store, record)).collect();
    let taken = taken?;
    let failed = store.failed_devices(None)?;
    reserve.show_driving();
    Ok(Begun { dir, store, reserve, taken, kept, failed, epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_too_little_room_for_the_database_is_waited_for() {
        // There is room for what is tried here, as there is where a little is left.
        let dir = tempfile::tempdir().unwrap();
        let store = |code| {
            let error = rusqlite::ffi::Error::new(code);
            StoreError::from(rusqlite::Error::SqliteFailure(error, None))
        };
        let full = || store(rusqlite::ffi::SQLITE_FULL);
        assert!(DriveError::from(full()).is_of_full_disk(dir.path()));
        assert!(DriveError::from(TakeoverError::from(full())).is_of_full_disk(dir.path()));
        for code in [rusqlite::ffi::SQLITE_IOERR, rusqlite::ffi::SQLITE_BUSY] {
            assert!(!DriveError::from(store(code)).is_of_full_disk(dir.path()), "{code}");
        }
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = DirError::Io { path: dir.path().to_owned(), source: kind.into() };
            assert!(DriveError::from(error).is_of_full_disk(dir.path()), "{kind}");
        }
        let source = io::ErrorKind::PermissionDenied.into();
        let error = DirError::Io { path: dir.path().to_owned(), source };
        assert!(!DriveError::from(error).is_of_full_disk(dir.path()));
    }
}
