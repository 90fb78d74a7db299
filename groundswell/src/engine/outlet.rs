//! How the deliveries of a rollout leave: its artifact, its connections, its lanes.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use groundswell_core::{
    event::Kind,
    ids::{AssignmentId, RolloutId},
};
use hashbrown::HashMap;
use http::HeaderMap;
use tokio::sync::mpsc;

use super::{
    fact::{Examination, Fact, Opening, Sending},
    lane::{Courier, Errand, Lanes},
    shell::{Sent, sent},
    watch::Question,
};
use crate::{
    artifacts::{payload::Payload, store::hash},
    causes::with_causes,
    delivery::http::{Client, Config, Shipment},
    store::{Candidate, RolloutKey},
    telemetry::Telemetry,
};

/// From this size on, single deliveries tell how far they are.
const DEVICE_PROGRESS_BYTES_MIN: u64 = 1 << 20;

/// Headers that some devices want, by device id. They are secrets: kept in memory only.
pub(crate) type DeviceHeaders = HashMap<Arc<str>, Arc<HeaderMap>>;

/// Where the bytes of rollouts come from, and how they are sent.
pub(crate) enum Outlets {
    /// One rollout, of which everything is there already.
    One(Option<Box<(Client, Arc<Shipment>, DeviceHeaders)>>),
    /// Any, by the artifacts of a state directory.
    Any {
        /// Where these are.
        artifacts: PathBuf,
        /// Headers, paths, time-outs, TLS, connections and the clock.
        http: Box<Config>,
    },
}

/// Everything there is to send with, for one rollout.
pub(super) struct Parts {
    opening: Opening,
    client: Client,
    shipment: Arc<Shipment>,
    headers: DeviceHeaders,
}

/// What came of getting ready: nothing can be sent for this rollout, for that reason.
pub(super) type Opened = Result<Box<Parts>, (RolloutKey, String)>;

impl Outlets {
    /// How devices are asked, if any rollout may be driven.
    pub(super) const fn http(&self) -> Option<&Config> {
        match self {
            Self::One(_) => None,
            Self::Any { http, .. } => Some(http),
        }
    }

    /// Gets ready to send for a rollout, and tells `opened` what came of it. An artifact is read
    /// whole before a byte of it is sent: it may have lain there for months.
    pub(super) fn open(&mut self, opening: Opening, opened: &mpsc::UnboundedSender<Opened>) {
        let opened = opened.clone();
        match self {
            Self::One(parts) => {
                let key = opening.rollout;
                let parts = parts.take().ok_or((key, "it was opened before".to_owned()));
                let _ = opened.send(parts.map(|parts| {
                    let (client, shipment, headers) = *parts;
                    Box::new(Parts { opening, client, shipment, headers })
                }));
            }
            Self::Any { artifacts, http } => {
                let (artifacts, http) = (artifacts.clone(), http.clone());
                tokio::task::spawn_blocking(move || {
                    let key = opening.rollout;
                    let parts = any(&artifacts, *http, opening);
                    let _ = opened.send(parts.map_err(|why| (key, why)));
                });
            }
        }
    }
}

fn any(artifacts: &Path, mut http: Config, opening: Opening) -> Result<Box<Parts>, String> {
    let release = &opening.spec.release;
    let path = artifacts.join(release.artifact.to_string());
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let found = File::open(&path).and_then(hash).map_err(|error| at(&error))?;
    if found != (release.artifact, release.artifact_bytes) {
        return Err(at(&"it is damaged: its bytes are not those of the release"));
    }
    let payload =
        Payload::from_hashed_file(&path, release.artifact.0).map_err(|error| at(&error))?;
    let shipment = Shipment::new(opening.id, &release.version, payload);
    let shipment = Arc::new(shipment.map_err(|error| with_causes(&error))?);
    http.timeouts.attempt = opening.spec.delivery_timeout.or(http.timeouts.attempt);
    let client = Client::new(http).map_err(|error| with_causes(&error))?;
    Ok(Box::new(Parts { opening, client, shipment, headers: DeviceHeaders::new() }))
}

/// The deliveries of one rollout.
pub(super) struct Outlet {
    id: RolloutId,
    shipment: Arc<Shipment>,
    lanes: Lanes,
    /// Bytes handed to connections by large deliveries that ended.
    sent_bytes: u64,
    /// Large deliveries that are open.
    large: HashMap<AssignmentId, (Arc<str>, Sent)>,
}

impl Outlet {
    pub(super) fn new(
        parts: Parts,
        facts: &mpsc::UnboundedSender<Fact>,
        telemetry: &Telemetry,
    ) -> (RolloutKey, Self) {
        let Parts { opening, client, shipment, headers } = parts;
        let courier = Courier {
            rollout: opening.rollout,
            client,
            shipment: shipment.clone(),
            headers,
            key_prefix: format!("{}-", opening.id).into_boxed_str(),
            facts: facts.clone(),
            sent_bytes: AtomicU64::new(0),
            is_halted: AtomicBool::new(false),
            telemetry: telemetry.is_on().then(|| telemetry.clone()),
        };
        let (id, lanes) = (opening.id, Lanes::new(courier));
        (opening.rollout, Self { id, shipment, lanes, sent_bytes: 0, large: HashMap::new() })
    }

    pub(super) const fn id(&self) -> RolloutId {
        self.id
    }

    pub(super) fn send(&mut self, sending: Sending) {
        let is_large = self.shipment.payload().len() >= DEVICE_PROGRESS_BYTES_MIN;
        let watched = is_large.then(|| {
            let Candidate { id, endpoint, .. } = &sending.candidate;
            let sent = Sent::default();
            self.large.insert(*id, (endpoint.id.clone(), sent.clone()));
            sent
        });
        self.lanes.give(Errand::Deliver { sending, watched });
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.lanes.give(Errand::Ask(question));
    }

    pub(super) fn examine(&mut self, examination: Examination) {
        self.lanes.give(Errand::Examine(examination));
    }

    /// A delivery ended.
    pub(super) fn ended(&mut self, id: AssignmentId) {
        if let Some((_, bytes)) = self.large.remove(&id) {
            self.sent_bytes += sent(&bytes);
        }
    }

    /// Whether deliveries that have not sent anything yet are handed back.
    pub(super) fn set_halted(&self, is_halted: bool) {
        self.lanes.courier().is_halted.store(is_halted, Ordering::Relaxed);
    }

    /// Body bytes handed to connections.
    pub(super) fn sent_bytes(&self) -> u64 {
        let large: u64 = self.large.values().map(|(_, bytes)| sent(bytes)).sum();
        let small = self.lanes.courier().sent_bytes.load(Ordering::Relaxed);
        self.sent_bytes + small + large
    }

    /// How far each large delivery is.
    pub(super) fn device_progress(&self) -> Vec<Kind> {
        let total_bytes = self.shipment.payload().len();
        let large = self.large.values().map(|(device, bytes)| Kind::DeviceProgress {
            device: device.clone(),
            sent_bytes: sent(bytes),
            total_bytes,
        });
        large.collect()
    }

    /// Ends every delivery and question, and returns when they have ended.
    pub(super) async fn shutdown(&mut self) {
        self.lanes.shutdown().await;
    }
}
