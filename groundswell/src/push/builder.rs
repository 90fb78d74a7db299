//! What a push is to do, put together and checked before anything happens.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use groundswell_core::{
    brake::Brake,
    device::{Address, Device, check_label, check_path},
    event::Event,
    gate::Unreachable,
    presence::check_interval,
    release::{Digest, Release},
    retry,
    rollout::{Limits, Offline, Spec, Verify, WaveSize, WaveSpec},
    selector::Selector,
    verify::Mode,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Push, PushError, decision::Asked};
use crate::{
    clock::Clock,
    delivery::http,
    engine::{hub::Hub, outlet::DeviceHeaders},
    inventory::Entry,
    store::dir,
};

/// Builds a [`Push`]. Everything but the file, the version and the devices has a default.
#[derive(Debug)]
pub struct Builder {
    order: Order,
    given: usize,
    selector: Option<Selector>,
}

/// What was asked for. The release's digest and size are filled in when the file was kept.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) file: PathBuf,
    pub(super) state: PathBuf,
    pub(super) spec: Spec,
    pub(super) entries: Vec<Entry>,
    pub(super) headers: DeviceHeaders,
    pub(super) http: http::Config,
    /// So many devices go first.
    pub(super) canary: u32,
    pub(super) retry_failed: bool,
    pub(super) abandon: bool,
    /// What the audit log says where it came from.
    pub(super) from: String,
    /// What is to be told of rollouts that were given up for this one.
    pub(super) canceled: Vec<Event>,
}

impl Order {
    /// How many hosts the devices listen on.
    pub(super) fn hosts(&self) -> usize {
        let addresses = self.entries.iter().filter_map(|entry| entry.device.address.as_ref());
        addresses.map(Address::origin).collect::<HashSet<_>>().len()
    }

    pub(super) const fn asked(&self, identity: [u8; 32]) -> Asked {
        Asked {
            identity,
            has_canaries: self.canary > 0,
            retry_failed: self.retry_failed,
            abandon: self.abandon,
        }
    }
}

impl Builder {
    pub(super) fn new(file: PathBuf, version: String) -> Self {
        let name =
            file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let release = Release { name, version, artifact: Digest([0; 32]), artifact_bytes: 0 };
        // Whoever pushes has chosen the devices: what is known of them is no reason to leave one.
        let spec = Spec {
            offline: Offline::Try,
            allow_downgrade: true,
            unreachable: Unreachable::Fail,
            brake: Some(Brake::default()),
            ..Spec::immediate(release)
        };
        let order = Order {
            file,
            state: PathBuf::from(dir::DEFAULT),
            spec,
            entries: vec![],
            headers: DeviceHeaders::new(),
            http: http::Config::default(),
            canary: 0,
            retry_failed: false,
            abandon: false,
            from: "library".to_owned(),
            canceled: vec![],
        };
        Self { order, given: 0, selector: None }
    }

    /// The devices to send to.
    #[must_use]
    pub fn devices(mut self, entries: Vec<Entry>) -> Self {
        self.given = entries.len();
        self.order.entries = entries;
        self
    }

    /// Only the devices this chooses.
    #[must_use]
    pub fn select(mut self, selector: Selector) -> Self {
        self.order.spec.select = Some(selector.to_string());
        self.selector = Some(selector);
        self
    }

    /// What it is a release of; the file's name by default.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.order.spec.release.name = name.into();
        self
    }

    /// Where the state is kept; `groundswell-data` by default.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.order.state = path.into();
        self
    }

    /// How much may happen at once.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.order.spec.limits = limits;
        self
    }

    /// When a device is tried again.
    #[must_use]
    pub const fn retry(mut self, policy: retry::Policy) -> Self {
        self.order.spec.retry = policy;
        self
    }

    /// How a device shows that it runs the release.
    #[must_use]
    pub const fn verify(mut self, verify: Verify) -> Self {
        self.order.spec.verify = verify;
        self
    }

    /// How a device shows that it runs the release, and how long it has.
    #[must_use]
    pub const fn verify_by(mut self, mode: Mode, timeout: Duration) -> Self {
        self.order.spec.verify.mode = mode;
        self.order.spec.verify.timeout = timeout;
        self
    }

    /// How many failures are put up with.
    #[must_use]
    pub const fn max_failures(mut self, brake: Brake) -> Self {
        self.order.spec.brake = Some(brake);
        self
    }

    /// This many devices first, and the others only if all of these succeeded.
    #[must_use]
    pub fn canary(mut self, devices: u32) -> Self {
        self.order.canary = devices;
        self.order.spec.waves = if devices > 0 { canary_waves(devices) } else { vec![] };
        self
    }

    /// Headers, paths, time-outs, TLS, connections and the clock.
    #[must_use]
    pub fn http(mut self, config: http::Config) -> Self {
        self.order.http = config;
        self
    }

    /// The clock for every wait and time-out.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.order.http.clock = clock;
        self
    }

    /// Open the next round for the devices that failed in a finished rollout.
    #[must_use]
    pub const fn retry_failed(mut self, retry: bool) -> Self {
        self.order.retry_failed = retry;
        self
    }

    /// Give up what is unfinished in the state directory, and start this.
    #[must_use]
    pub const fn abandon(mut self, abandon: bool) -> Self {
        self.order.abandon = abandon;
        self
    }

    /// Where the audit log says that this came from, beside the user whose process it is; `library` by
    /// default.
    #[must_use]
    pub fn asked_from(mut self, place: impl Into<String>) -> Self {
        self.order.from = place.into();
        self
    }

    /// Checks everything and selects the devices.
    ///
    /// # Errors
    /// [`PushError`] for a value that cannot be used, a device without an address, two of one id,
    /// or when no device is selected.
    pub fn build(self) -> Result<Push, PushError> {
        let Self { mut order, given, selector } = self;
        order.spec.check()?;
        check_label("name", &order.spec.release.name)?;
        check_label("version", &order.spec.release.version)?;
        check_path(&order.http.update_path)?;
        check_path(&order.http.verify_path)?;
        if let Some(selector) = selector {
            let now = order.http.clock.now();
            order.entries.retain(|entry| selector.matches(&entry.device, now));
        }
        if order.entries.is_empty() {
            return Err(PushError::NothingSelected { given, select: order.spec.select });
        }
        check_devices(&order.entries)?;
        for entry in &order.entries {
            if let Some(headers) = &entry.headers {
                order.headers.insert(Arc::from(entry.device.id.as_str()), headers.clone());
            }
        }
        Ok(Push {
            order,
            hub: Hub::default(),
            progress: watch::Sender::default(),
            stop: CancellationToken::new(),
        })
    }
}

fn check_devices(entries: &[Entry]) -> Result<(), PushError> {
    let mut ids = hashbrown::HashSet::with_capacity(entries.len());
    for Entry { device, .. } in entries {
        check(device)?;
        if !ids.insert(device.id.as_str()) {
            return Err(PushError::DuplicateId(device.id.clone()));
        }
    }
    Ok(())
}

/// What the readers of inventories see to, and other programs may not have.
fn check(device: &Device) -> Result<(), PushError> {
    check_label("id", &device.id)?;
    if !device.name.is_empty() {
        check_label("name", &device.name)?;
    }
    if let Some(path) = &device.update_path {
        check_path(path)?;
    }
    if let Some(check_in) = device.check_in {
        check_interval(check_in)
            .map_err(|source| PushError::CheckIn { device: device.id.clone(), source })?;
    }
    match device.address {
        Some(_) => Ok(()),
        None => Err(PushError::NoAddress(device.id.clone())),
    }
}

/// So many first, of which every one must succeed, and then the others.
fn canary_waves(devices: u32) -> Vec<WaveSpec> {
    let wave = |size, min_success| WaveSpec { size, soak: Duration::ZERO, min_success };
    vec![wave(WaveSize::Count(devices), Some(100)), wave(WaveSize::Percent(100), None)]
}
