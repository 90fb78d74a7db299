//! The fleet as a whole: one listener, every connection, all counts.
//!
//! Owns starting, stopping and what can be asked or told from outside. What a request gets is
//! [`super::serve`]'s. Start with [`Fleet::start`].

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use groundswell_core::time::Time;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    device::{DEVICES_MAX, Devices},
    fault::{Fault, Name},
    network::{Network, Weather},
    report::{DeviceReport, Report, Summary},
    serve,
    visits::Visits,
};
use crate::clock::Clock;

/// What a driver opens at once must find room; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Out of file descriptors: others will be freed, but not within microseconds.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How a fleet behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one. The default is `0.0.0.0:0`.
    pub listen: SocketAddr,
    /// The version that every device has at first; `1.0.0` by default.
    pub version: String,
    /// The delay before each answer of a device.
    pub latency: Duration,
    /// How long a device is down after an update.
    pub reboot: Duration,
    /// What goes wrong; of several, the first that hits an update wins.
    pub faults: Vec<Fault>,
    /// Which bodies are hashed.
    pub digest: Digest,
    /// What faults are chosen by.
    pub seed: u64,
    /// Serve connections to addresses other than loopback, too.
    pub expose: bool,
    /// Where time comes from.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            version: "1.0.0".to_owned(),
            latency: Duration::ZERO,
            reboot: Duration::ZERO,
            faults: vec![],
            digest: Digest::All,
            seed: 0,
            expose: false,
            clock: Clock::System,
        }
    }
}

/// Which bodies are hashed, and compared with the Repr-Digest that came along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// Every one.
    #[default]
    All,
    /// Every sixteenth.
    Sample,
    /// None: bodies are only counted.
    None,
}

/// A running fleet. It ends when this is dropped.
pub struct Fleet {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Fleet {
    /// Listens and serves on the present tokio runtime.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = listen(options.listen)?;
        let local_addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accepting = accept(listener, shared.clone(), tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
        tasks.close();
        Ok(Self { shared, local_addr, tasks, _stop_on_drop: stop.clone().drop_guard(), stop })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// When it started: what reports count their milliseconds from.
    pub fn started_at(&self) -> Time {
        self.shared.started
    }

    /// Everything that happened so far.
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    /// The counts so far.
    pub fn summary(&self) -> Summary {
        self.shared.summary()
    }

    /// What happened to one device, if it was heard of.
    pub fn device(&self, id: &str) -> Option<DeviceReport> {
        self.shared.device(id)
    }

    /// Gives a device its first version. Devices are named by X-Device-ID or local address.
    pub fn seed_device(&self, id: &str, version: &str) {
        self.shared.devices.with(id, |device| device.set_version(version.into()));
    }

    /// From now on the update to `version` breaks a device: it takes it, and answers an error when it
    /// is asked for its version, until another update comes. Among the faults it is not counted.
    pub fn break_by(&self, id: &str, version: &str) {
        self.shared.devices.with(id, |device| device.break_by(version.into()));
    }

    /// Takes a device offline, where it resets whatever reaches it, or back.
    pub fn set_offline(&self, id: &str, offline: bool) {
        let changed = self.shared.devices.with(id, |device| device.set_offline(offline));
        match (changed, offline) {
            (Some(true), true) => drop(self.shared.offline.fetch_add(1, Relaxed)),
            (Some(true), false) => drop(self.shared.offline.fetch_sub(1, Relaxed)),
            _ => {}
        }
    }

    /// Makes the network between the fleet and whoever sends to it as bad as this.
    pub fn set_network(&self, network: Network) {
        self.shared.weather.set(network);
    }

    /// Closes the listener and every connection, and returns when they are closed. What was
    /// recorded can still be asked.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

/// What every connection sees.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) devices: Devices,
    pub(super) counts: Counts,
    pub(super) visits: Visits,
    pub(super) weather: Weather,
    /// How many devices are offline, so that nobody asks while it is none.
    offline: AtomicUsize,
    started: Time,
    /// What was sent last, so that devices share its text.
    last_sent: Mutex<LastSent>,
}

/// The version and the X-Update-ID that were sent last.
struct LastSent {
    version: Arc<str>,
    update_id: Arc<str>,
}

/// Counts that belong to no device.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) hashable: AtomicU64,
    faults: [AtomicU64; Name::ALL.len()],
    opened: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    pub(super) fn add_fault(&self, name: Name) {
        self.faults[name as usize].fetch_add(1, Relaxed);
    }
}

impl Shared {
    fn new(options: Options) -> Self {
        let version: Arc<str> = options.version.as_str().into();
        Self {
            devices: Devices::new(version.clone(), DEVICES_MAX),
            counts: Counts::default(),
            visits: Visits::default(),
            weather: Weather::default(),
            offline: AtomicUsize::new(0),
            started: options.clock.now(),
            last_sent: Mutex::new(LastSent { version, update_id: "".into() }),
            options,
        }
    }

    pub(super) fn now(&self) -> Time {
        self.options.clock.now()
    }

    pub(super) fn at_ms(&self, now: Time) -> u64 {
        now.since(self.started).as_millis() as u64
    }

    /// A version and an X-Update-ID, shared with whoever else was sent them.
    pub(super) fn share(
        &self,
        version: Option<&str>,
        update_id: Option<&str>,
    ) -> (Option<Arc<str>>, Option<Arc<str>>) {
        fn share(last: &mut Arc<str>, text: &str) -> Arc<str> {
            if **last != *text {
                *last = text.into();
            }
            last.clone()
        }
        let mut last = self.last_sent.lock();
        (
            version.map(|text| share(&mut last.version, text)),
            update_id.map(|text| share(&mut last.update_id, text)),
        )
    }

    pub(super) fn device(&self, id: &str) -> Option<DeviceReport> {
        let now = self.now();
        self.devices.find(id, |device| device.report(now))
    }

    pub(super) fn report(&self) -> Report {
        let now = self.now();
        let mut report = Report { fleet: self.summary(), ..Report::default() };
        self.devices.each(|device| {
            report.devices.insert(device.id().to_owned(), device.report(now));
        });
        report
    }

    pub(super) fn summary(&self) -> Summary {
        let counts = &self.counts;
        let mut summary = Summary {
            started_at_ms: self.started.as_millis(),
            requests: counts.requests.load(Relaxed),
            requests_per_address_peak: self.visits.requests_peak(),
            turned_away: counts.turned_away.load(Relaxed),
            ..Summary::default()
        };
        self.devices.each(|device| {
            let (receptions, bytes, repeated, has_several_keys) = device.counts();
            summary.devices += 1;
            summary.bytes += bytes;
            summary.repeated += repeated;
            summary.several_keys += u64::from(has_several_keys);
            summary.receptions.count += receptions.count;
            summary.receptions.complete += receptions.complete;
            summary.receptions.cut += receptions.cut;
            summary.receptions.refused += receptions.refused;
        });
        // Closed first: between the two loads one may only appear open for too long.
        let closed = counts.closed.load(Relaxed);
        summary.connections.opened = counts.opened.load(Relaxed);
        summary.connections.open = summary.connections.opened.saturating_sub(closed);
        summary.connections.peak = self.visits.open_peak();
        summary.connections.refused = counts.refused.load(Relaxed);
        for name in Name::ALL {
            let hits = counts.faults[name as usize].load(Relaxed);
            if hits > 0 {
                summary.faults.insert(name, hits);
            }
        }
        summary
    }

    /// Whether the device at this address is known to be down, for connections that say so before
    /// any request.
    fn is_down(&self, local: IpAddr) -> bool {
        if self.options.reboot.is_zero() && self.offline.load(Relaxed) == 0 {
            return false;
        }
        let now = self.now();
        self.devices.find(&local.to_string(), |device| device.is_down(now)).unwrap_or(false)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it, which spares a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let talk = talk(shared.clone(), stream);
                tasks.spawn(stop.clone().run_until_cancelled_owned(talk));
            }
            // Gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => Clock::System.sleep(ACCEPT_PAUSE, "sim accept").await,
        }
    }
}

/// One connection from its beginning to its end.
async fn talk(shared: Arc<Shared>, stream: TcpStream) {
    let Ok(local) = stream.local_addr().map(|local| local.ip().to_canonical()) else {
        return;
    };
    if !(shared.options.expose || local.is_loopback()) {
        shared.counts.refused.fetch_add(1, Relaxed);
        return;
    }
    let number = shared.counts.opened.fetch_add(1, Relaxed) + 1;
    let _closed = Closed(&shared.counts);
    if shared.is_down(local) {
        shared.counts.turned_away.fetch_add(1, Relaxed);
        let _ = stream.set_zero_linger();
        return;
    }
    serve::connection(&shared, local, number, stream).await;
}

/// Counts the end of a connection, however it comes.
struct Closed<'a>(&'a Counts);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}
