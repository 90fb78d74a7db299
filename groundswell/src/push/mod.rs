//! One release to a whole fleet, durably: what `groundswell push` does, for use from Rust.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let devices = std::fs::File::open("devices.json")?;
//! let now = groundswell::clock::Clock::System.now();
//! let options = groundswell::inventory::Options::new("devices.json", now);
//! let inventory = groundswell::inventory::read(devices, &options)?;
//! let mut push = groundswell::Push::builder("pos-2.4.0.bin", "2.4.0")
//!     .devices(inventory.entries)
//!     .state_dir("groundswell-data")
//!     .build()?;
//! let mut events = push.subscribe();
//! tokio::spawn(async move {
//!     while let Some(event) = events.recv().await {
//!         tracing::info!("{event}");
//!     }
//! });
//! let summary = push.run().await?;
//! assert_eq!(summary.counts.failures(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! Type to read first: [`Push`].

mod begin;
mod builder;
mod decision;
mod dry_run;
mod identity;
pub mod rollout;
mod summary;

use std::{io, path::PathBuf, sync::Arc};

use groundswell_core::{presence::CheckInError, progress::Progress, rollout::SpecError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::{
    builder::Builder,
    dry_run::{DryRun, Would},
    summary::{FailureGroup, Result as PushResult, Summary},
};
use crate::{
    artifacts::store::ArtifactError,
    delivery::http::{Client, ConfigError, Shipment, ShipmentError},
    engine::{
        hub::{Events, Hub},
        outlet::Outlets,
        shell::Shell,
        step::{Engine, GATHER, Manner},
        takeover,
    },
    store::{
        StoreError, TroubleStore as _,
        dir::{self, DirError},
    },
};

/// A push that is ready to run.
///
/// Dropping the future of [`Push::run`] ends every delivery at once; a later run of the same push
/// takes over where it was. To end it in order, cancel [`Push::stopper`].
#[derive(Debug)]
pub struct Push {
    order: builder::Order,
    hub: Hub,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
}

/// Why a push did not run, or did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The state directory cannot be used, or another process drives it.
    #[error(transparent)]
    State(#[from] DirError),
    /// The state database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What an earlier run left cannot be taken over.
    #[error(transparent)]
    Takeover(#[from] takeover::TakeoverError),
    /// The file cannot be read or kept.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A limit that cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A header, path, certificate or key that cannot be used.
    #[error(transparent)]
    Http(#[from] ConfigError),
    /// A version that cannot be sent.
    #[error(transparent)]
    Shipment(#[from] ShipmentError),
    /// A name, version or path that cannot be used.
    #[error(transparent)]
    Value(#[from] groundswell_core::device::ValueError),
    /// There is no device to send to.
    #[error("no device is selected: {given} devices were given{}", selected_by(.select.as_ref()))]
    NothingSelected {
        /// Devices before the selector.
        given: usize,
        /// The selector.
        select: Option<String>,
    },
    /// A device that cannot be sent to.
    #[error("device {0} has no address: push sends only to devices that listen")]
    NoAddress(String),
    /// A device with an interval of check-ins that no device may have.
    #[error("device {device} cannot be taken")]
    CheckIn {
        /// Its id.
        device: String,
        /// Why not.
        #[source]
        source: CheckInError,
    },
    /// Two devices of one id.
    #[error("device {0} is there twice: an id names one device")]
    DuplicateId(String),
    /// Another push is not finished.
    #[error(
        "another rollout in {} is not finished: {name} {version} ({rollout}), {ended} of {devices} \
         devices ended; it differs in {differs}; run the same command as then to go on with it, or \
         add --abandon to give it up and start this one", state.display()
    )]
    OtherUnfinished {
        /// The state directory.
        state: PathBuf,
        /// Its release.
        name: String,
        /// Its version.
        version: String,
        /// Its id.
        rollout: Box<str>,
        /// Devices that ended.
        ended: u64,
        /// Its devices.
        devices: u64,
        /// What makes it another one.
        differs: Box<str>,
    },
    /// A rollout that an operator has made is not finished.
    #[error(
        "rollout {number} ({name} {version}) in {} is not finished, and is no push: {} drives it \
         and {} gives it up; or use another directory with --state", state.display(),
        dir::command(.state, "run"), dir::command(.state, &format!("rollout cancel {number}"))
    )]
    OtherRollout {
        /// The state directory.
        state: PathBuf,
        /// Its number.
        number: i64,
        /// Its release.
        name: String,
        /// Its version.
        version: String,
    },
    /// A push goes on with canaries that it began without.
    #[error(
        "this push began without --canary, and devices were sent to: go on without it, or give it \
         up with --abandon"
    )]
    NoCanaries,
    /// `retry_failed` without failures.
    #[error("nothing to retry: {0}")]
    NothingToRetry(&'static str),
    /// The run itself could not be started, or died.
    #[error("the run could not be carried out")]
    Run(#[source] io::Error),
}

fn selected_by(select: Option<&String>) -> String {
    select.map(|text| format!(", none of them matches {text:?}")).unwrap_or_default()
}

impl Push {
    /// A push of the file at `file` as release version `version`.
    pub fn builder(file: impl Into<PathBuf>, version: impl Into<String>) -> Builder {
        Builder::new(file.into(), version.into())
    }

    /// Events from now on. What is durable is never dropped: a reader who stops reading without
    /// dropping its end stops the push, too.
    pub fn subscribe(&mut self) -> Events {
        self.hub.subscribe()
    }

    /// How far it is, a few times a second.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Cancel it to stop claiming and let open deliveries end (at most 30 s).
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// How many devices are selected.
    pub fn devices(&self) -> usize {
        self.order.entries.len()
    }

    /// How many hosts (scheme, name and port) these listen on.
    pub fn hosts(&self) -> usize {
        self.order.hosts()
    }

    /// What a run would do. Nothing is sent or written.
    ///
    /// # Errors
    /// What would keep the run from starting.
    pub fn dry_run(&self) -> Result<DryRun, PushError> {
        dry_run::dry_run(&self.order)
    }

    /// Runs to the end: every device ended, the rollout stopped itself, or it was told to stop.
    ///
    /// # Errors
    /// [`PushError`]; a rollout that failed is no error but told by the [`Summary`].
    pub async fn run(self) -> Result<Summary, PushError> {
        let Self { mut order, mut hub, progress, stop } = self;
        let clock = order.http.clock.clone();
        let client = Client::new(order.http.clone())?;
        let beginning = begin::begin(&mut order).await;
        if !order.canceled.is_empty() {
            hub.tell(std::mem::take(&mut order.canceled), &stop, &clock).await;
        }
        let started_at = clock.now();
        let begun = match beginning? {
            begin::Beginning::AlreadyDone(summary) => return Ok(*summary),
            begin::Beginning::Begun(begun) => *begun,
        };
        let payload = begun.payload()?;
        let shipment = Shipment::new(begun.record.id, &begun.record.spec.release.version, payload)?;
        let begin::Begun { dir, record, store, epoch, reserve, .. } = begun;
        let key = record.key;
        let taken = takeover::take(&store, record.clone())?;
        let ended_before = taken.cohorts.iter().map(|cohort| cohort.counts.ended()).sum();
        let gather = match clock {
            crate::clock::Clock::System | crate::clock::Clock::Scaled(_) => GATHER,
            crate::clock::Clock::Manual(_) => std::time::Duration::ZERO,
        };
        let is_heard = hub.is_heard();
        let manner = Manner { is_heard, gather, in_flight_max: u32::MAX, look_every: None };
        let mut engine = Engine::new(vec![taken], epoch, manner, clock.now());
        engine.know_failed(store.failed_devices(None)?);
        let parts = Box::new((client, Arc::new(shipment), order.headers));
        let shell = Shell {
            outlets: Outlets::One(Some(parts)),
            clock: clock.clone(),
            hub,
            progress: Some((key, progress)),
            stop,
            reserve,
            dir: Arc::new(dir),
            telemetry: crate::telemetry::Telemetry::default(),
        };
        let (ended, store) = shell.run(store, engine).await.map_err(PushError::Run)?;
        let store = store.ok_or_else(|| {
            PushError::Run(io::Error::other("the thread that writes the state died"))
        })?;
        let run = summary::Run { ended_before, duration: clock.now().since(started_at) };
        Ok(summary::summarize(&store, &record, ended, run))
    }
}
