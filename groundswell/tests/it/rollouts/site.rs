//! A state directory, a fleet, and a driver in this process on a clock that is moved by hand.
//!
//! The clock goes on only when nothing can happen any more at the time it shows, so a test may
//! jump over days and still see everything happen at its time. Start with [`Site::pass_to`].

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use groundswell::{
    Driver,
    clock::{Clock, ManualClock},
    core::{rollout::Act, snapshot::Counts, time::Time},
    drive::DriveError,
    engine::step::LOOK_EVERY,
    inventory,
    operate::{Acting, OperateError, Overview, State},
    sim::{EventKind, Fleet, Options},
    store::{RolloutKey, RolloutRecord, SqliteStore, Store, dir},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Waits of a request that is on the wire: time stands still until it is through.
const ON_THE_WIRE: [&str; 6] =
    ["connect", "upload", "response", "response-body", "attempt", "question"];

/// Looks of the driver that must find nothing new: the store does its jobs in order, so whatever
/// follows from one has begun by the next.
const STILL_LOOKS: u32 = 3;

/// What takes longer than this on a loaded machine does not happen at all.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at something that another thread does.
const PAUSE: Duration = Duration::from_micros(200);

/// Everything a test needs.
pub(crate) struct Site {
    pub(crate) fleet: Fleet,
    pub(crate) dir: TempDir,
    pub(crate) clock: ManualClock,
    /// A connection of its own that notices what others write.
    store: SqliteStore,
}

impl Site {
    /// A site where it is `at`, an RFC 3339 time.
    pub(crate) fn new(at: &str, options: Options) -> Self {
        let clock = ManualClock::new(time(at));
        let fleet = Fleet::start(Options { clock: Clock::Manual(clock.clone()), ..options });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        dir::make(&path).unwrap();
        let store = SqliteStore::open(&dir::database(&path)).unwrap();
        Self { fleet: fleet.unwrap(), dir, clock, store }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The state directory as another process opens it.
    pub(crate) fn state(&self) -> State {
        State::open(&self.path()).unwrap()
    }

    /// Imports devices from CSV, where `@` stands for the address of the fleet.
    pub(crate) fn import(&self, csv: &str) {
        import(&self.path(), &self.fleet, csv, self.now());
    }

    /// Makes a release `pos-app` of this version.
    pub(crate) fn release(&self, version: &str) {
        self.release_of("pos-app", version);
    }

    /// Makes a release.
    pub(crate) fn release_of(&self, name: &str, version: &str) {
        release(&self.path(), name, version, self.now());
    }

    /// Writes a rollout down by its spec.
    pub(crate) fn create(&self, spec: &str) -> RolloutKey {
        create(&self.path(), spec, self.now())
    }

    /// The same, and starts it.
    pub(crate) async fn begin(&self, spec: &str) -> RolloutKey {
        let key = self.create(spec);
        self.act(key, Act::Start).await.unwrap();
        key
    }

    /// Does what an operator does, from another thread and connection.
    pub(crate) async fn act(&self, key: RolloutKey, act: Act) -> Result<Acting, OperateError> {
        let (path, now) = (self.path(), self.now());
        let acting = tokio::task::spawn_blocking(move || {
            State::open_existing(&path).unwrap().act(key, act, now)
        });
        while !acting.is_finished() {
            // The driver looks when the clock goes on.
            self.tick(LOOK_EVERY);
            tokio::time::sleep(PAUSE).await;
        }
        acting.await.unwrap()
    }

    /// Starts a driver.
    pub(crate) async fn drive(&self) -> Driving {
        self.drive_with(|driver| driver).await
    }

    /// Starts a driver that is set up otherwise.
    pub(crate) async fn drive_with(&self, set_up: impl FnOnce(Driver) -> Driver) -> Driving {
        let mut patience = Patience::new();
        // One that was killed holds the directory until its last write is done.
        while let Some(driver) = dir::driver(&self.path()) {
            patience.pause(|| format!("{driver} holds the directory")).await;
        }
        let driver = Driver::new(self.path()).clock(Clock::Manual(self.clock.clone()));
        let driver = set_up(driver);
        let stop = driver.stopper();
        let task = tokio::spawn(driver.run());
        // An act before it holds the directory would be done by whoever asks.
        while self.clock.waiting().is_empty() {
            assert!(!task.is_finished(), "{:?}", task.await);
            patience.pause(|| "the driver does not begin".to_owned()).await;
        }
        Driving { task, stop }
    }

    /// Moves the clock on to what is waited for next, by `most` at the most, unless something is on
    /// the wire.
    pub(crate) fn tick(&self, most: Duration) {
        let waiting = self.clock.waiting();
        let is_on_the_wire = is_on_the_wire(&waiting);
        let next = waiting.iter().find(|(label, left)| {
            // What a device does takes its time even while its answer is waited for.
            !left.is_zero() && (label.starts_with("sim ") || !is_on_the_wire)
        });
        if let Some((_, left)) = next {
            self.clock.advance((*left).min(most));
        }
    }

    /// Returns when nothing more happens at this time, give or take a few looks of the driver.
    pub(crate) async fn settle(&self) {
        let mut patience = Patience::new();
        let mut before = None;
        let mut still = 0;
        while still < STILL_LOOKS {
            self.until_looked(&mut patience).await;
            let now = (self.store.foreign_version().unwrap(), self.fleet.summary().requests);
            still = if before == Some(now) && !is_on_the_wire(&self.clock.waiting()) {
                still + 1
            } else {
                0
            };
            before = Some(now);
        }
    }

    /// Has the driver look for what others want, and returns when it has done what the store was
    /// to do before.
    async fn until_looked(&self, patience: &mut Patience) {
        let looks_in = |waiting: &[(&str, Duration)]| {
            waiting.iter().find(|(label, left)| *label == "look" && !left.is_zero()).map(|w| w.1)
        };
        loop {
            let waiting = self.clock.waiting();
            match looks_in(&waiting) {
                Some(left) if !is_on_the_wire(&waiting) => {
                    self.clock.advance(left);
                    break;
                }
                _ => self.tick(LOOK_EVERY),
            }
            patience.pause(|| format!("no look, but {waiting:?}")).await;
        }
        // The next look is waited for once this one is done.
        while looks_in(&self.clock.waiting()).is_none() {
            if !is_on_the_wire(&self.clock.waiting()) {
                // Something else may be due before.
                self.tick_before_look();
            }
            patience.pause(|| format!("no next look, but {:?}", self.clock.waiting())).await;
        }
    }

    fn tick_before_look(&self) {
        let waiting = self.clock.waiting();
        let soon = waiting.iter().find(|(_, left)| !left.is_zero() && *left <= LOOK_EVERY);
        if let Some((_, left)) = soon {
            self.clock.advance(*left);
        }
    }

    /// Jumps to a time, after all that happens now and before all that happens then.
    pub(crate) async fn jump_to(&self, at: Time) {
        self.settle().await;
        let now = self.now();
        assert!(now <= at, "it is {now} already, later than {at}");
        self.clock.advance(at.since(now));
    }

    /// Lets it become a time, and everything happen that happens then.
    pub(crate) async fn pass_to(&self, at: Time) {
        self.jump_to(at).await;
        self.settle().await;
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, by: Duration) {
        self.pass_to(self.now() + by + LOOK_EVERY * 20).await;
    }

    /// Lets time pass in small steps until `holds`, which must come about.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let mut patience = Patience::new();
        while !holds() {
            self.tick(LOOK_EVERY);
            patience.pause(|| format!("{what}: {:?}", self.clock.waiting())).await;
        }
    }

    /// Lets time pass in small steps until a rollout is in this state.
    pub(crate) async fn until_state(&self, key: RolloutKey, state: &str) {
        let mut patience = Patience::new();
        while self.stands(key) != state {
            self.tick(LOOK_EVERY);
            let why = || {
                let Overview { state: is, counts, waiting_on, .. } = self.overview(key);
                format!("{state}, but rollout {} is {is}: {counts:?} {waiting_on:?}", key.0)
            };
            patience.pause(why).await;
        }
    }

    pub(crate) fn record(&self, key: RolloutKey) -> RolloutRecord {
        self.store.rollout(key).unwrap().unwrap()
    }

    pub(crate) fn overview(&self, key: RolloutKey) -> Overview {
        let state = State::look(&self.path()).unwrap();
        state.overview(&self.record(key), 0.0, self.now()).unwrap()
    }

    /// Where a rollout stands, in one word.
    pub(crate) fn stands(&self, key: RolloutKey) -> &'static str {
        self.record(key).progression.state.as_str()
    }

    /// The devices of a rollout, counted one by one, which must be as they are counted by cohort.
    pub(crate) fn counts(&self, key: RolloutKey) -> Counts {
        let record = self.record(key);
        counts(&self.store, &record)
    }

    /// The devices that earlier rounds of a rollout ended well with, counted.
    pub(crate) fn before(&self, key: RolloutKey) -> Counts {
        let round = self.record(key).progression.round;
        self.store.counts_before(key, round).unwrap()
    }

    /// Whether it has a device that stands there, by its word, and why.
    pub(crate) fn standing(&self, key: RolloutKey, device: &str) -> (String, Option<String>) {
        let state = State::look(&self.path()).unwrap();
        let why = state.why(&self.record(key), device, self.now()).unwrap();
        let text = why.state.map_or_else(|| "not in it".to_owned(), |state| state.to_string());
        (text, why.detail)
    }

    /// What a device waits for in a rollout, in words.
    pub(crate) fn waits_for(&self, key: RolloutKey, device: &str) -> String {
        let state = State::look(&self.path()).unwrap();
        let why = state.why(&self.record(key), device, self.now()).unwrap();
        let words: Vec<_> = why.waiting_on.iter().map(|on| on.in_words(self.now())).collect();
        words.join("; ")
    }

    /// Whole updates that devices took, in the order in which they did: when, who, which version.
    pub(crate) fn received(&self) -> Vec<(Time, String, String)> {
        received(&self.fleet)
    }

    /// The ids of those who took an update, in the order in which they did.
    pub(crate) fn receivers(&self) -> Vec<String> {
        self.received().into_iter().map(|(_, device, _)| device).collect()
    }
}

/// A driver in this process.
pub(crate) struct Driving {
    task: JoinHandle<Result<(), DriveError>>,
    stop: CancellationToken,
}

impl Driving {
    /// As a kill does: nothing more is done, whatever was under way.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "it had ended by itself");
    }

    /// As Ctrl-C does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// How long a test waits for something that another thread or process does.
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) async fn pause(&mut self, what: impl FnOnce() -> String) {
        self.check(what);
        tokio::time::sleep(PAUSE).await;
    }

    pub(crate) fn check(&self, what: impl FnOnce() -> String) {
        assert!(self.0.elapsed() < PATIENCE, "in vain: {}", what());
    }
}

/// Whether a request is on the wire; that of a device which hangs is there for good.
fn is_on_the_wire(waiting: &[(&str, Duration)]) -> bool {
    let count =
        |labels: &[&str]| waiting.iter().filter(|(label, _)| labels.contains(label)).count();
    count(&ON_THE_WIRE) > count(&["hanging"])
}

/// The counts of a round, which are the same by device and by cohort.
pub(crate) fn counts(store: &impl Store, record: &RolloutRecord) -> Counts {
    let round = record.progression.round;
    loop {
        let version = store.foreign_version().unwrap();
        let counts = store.count(record.key, round).unwrap();
        let cohorts = store.cohorts(record.key, round).unwrap();
        // Nobody has written between the two looks.
        if store.foreign_version().unwrap() == version {
            assert_eq!(counts, cohorts.iter().map(|cohort| cohort.counts).sum(), "cohorts");
            return counts;
        }
    }
}

/// Imports devices from CSV, where `@` stands for the address of the fleet.
pub(crate) fn import(path: &Path, fleet: &Fleet, csv: &str, now: Time) {
    let address = format!("http://127.80.0.1:{}", fleet.local_addr().port());
    let csv = csv.replace('@', &address);
    let options = inventory::Options::new("devices.csv", now);
    let inventory = inventory::read(csv.as_bytes(), &options).unwrap();
    for entry in &inventory.entries {
        if let Some(version) = &entry.device.version
            && fleet.device(&entry.device.id).is_none()
        {
            fleet.seed_device(&entry.device.id, version);
        }
    }
    State::open(path).unwrap().import(&inventory).unwrap();
}

/// Makes a release.
pub(crate) fn release(path: &Path, name: &str, version: &str, now: Time) {
    let file = path.with_file_name(format!("{name}-{version}.bin"));
    std::fs::write(&file, format!("{name} {version}")).unwrap();
    State::open(path).unwrap().create_release(name, version, &file, now).unwrap();
}

/// Writes a rollout down by its spec.
pub(crate) fn create(path: &Path, spec: &str, now: Time) -> RolloutKey {
    let file = path.with_file_name("spec.toml");
    std::fs::write(&file, spec).unwrap();
    let mut state = State::open_existing(path).unwrap();
    let spec = state.read_spec(&file, now).unwrap_or_else(|error| panic!("{error:?}\n{spec}"));
    state.create_rollout(&spec, now).unwrap().0
}

/// Whole updates that devices took, in the order in which they did: when, who, which version.
pub(crate) fn received(fleet: &Fleet) -> Vec<(Time, String, String)> {
    let mut received = vec![];
    for (id, device) in fleet.report().devices {
        assert_eq!(device.events_left_out, 0, "{id}");
        for event in device.events {
            if event.kind == EventKind::Received {
                let at = fleet.started_at() + Duration::from_millis(event.at_ms);
                received.push((at, id.clone(), event.version.unwrap()));
            }
        }
    }
    received.sort();
    received
}

/// Reads an RFC 3339 time.
pub(crate) fn time(text: &str) -> Time {
    let timestamp: jiff::Timestamp = text.parse().unwrap();
    Time::from_millis(timestamp.as_millisecond())
}
