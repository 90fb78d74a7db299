//! Whole pushes against a simulated fleet, over real sockets, with a clock that is moved.

mod abandon;
mod outcomes;
mod resume;
mod scale;

use std::{fmt::Write as _, path::Path, time::Duration};

use groundswell::{
    Push,
    clock::{Clock, ManualClock},
    core::{device::Device, event::Event, time::Time},
    inventory::Entry,
    push::{Builder, Summary},
    sim::{Fleet, Options},
};
use tempfile::TempDir;

/// What a test plays with: a fleet, a file, a state directory and a clock.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) dir: TempDir,
    pub(crate) clock: ManualClock,
    pilot: Pilot,
}

impl Stage {
    pub(crate) fn new(options: Options) -> Self {
        let clock = ManualClock::new(Time::from_millis(1_700_000_000_000));
        let options = Options { clock: Clock::Manual(clock.clone()), ..options };
        let fleet = Fleet::start(options).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pos.bin"), b"new software").unwrap();
        Self { fleet, dir, pilot: Pilot::start(clock.clone()), clock }
    }

    /// `count` devices, each with an address of its own.
    pub(crate) fn entries(&self, count: usize) -> Vec<Entry> {
        entries(count, self.fleet.local_addr().port())
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("pos.bin")
    }

    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn push(&self, count: usize) -> Builder {
        self.push_version("2.0.0", count)
    }

    pub(crate) fn push_version(&self, version: &str, count: usize) -> Builder {
        Push::builder(self.file(), version)
            .name("pos")
            .devices(self.entries(count))
            .state_dir(self.state())
            .clock(Clock::Manual(self.clock.clone()))
    }

    /// From now on the test moves the clock itself.
    pub(crate) fn take_clock(&self) {
        self.pilot.0.abort();
    }

    /// Runs a push and collects its events, progress apart.
    pub(crate) async fn run(&self, builder: Builder) -> (Summary, Vec<Event>) {
        let mut push = builder.build().unwrap();
        let mut events = push.subscribe();
        let told = tokio::spawn(async move {
            let mut told = vec![];
            while let Some(event) = events.recv().await {
                if !event.kind.is_droppable() {
                    told.push(event);
                }
            }
            told
        });
        let summary = push.run().await.unwrap();
        (summary, told.await.unwrap())
    }
}

/// A push that is dropped while deliveries are open, as by a second Ctrl-C.
async fn cut_short(stage: &Stage, devices: usize, after: u64) {
    let push = stage.push(devices).build().unwrap();
    let running = tokio::spawn(push.run());
    while stage.fleet.summary().receptions.count < after {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // The thread that writes lets go of the directory once its last job is done.
    while matches!(
        groundswell::store::dir::StateDir::lock(&stage.state(), "test"),
        Err(groundswell::store::dir::DirError::Locked { .. })
    ) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Devices `pos-0`, `pos-1`, ... each with an address of its own.
pub(crate) fn entries(count: usize, port: u16) -> Vec<Entry> {
    let entry = |n: usize| {
        let address =
            format!("http://127.{}.{}.{}:{port}", 60 + n / 62_500, n / 250 % 250, n % 250 + 1);
        let device = Device {
            id: format!("pos-{n}"),
            name: format!("Terminal {n}"),
            address: Some(address.parse().unwrap()),
            version: Some("1.0.0".to_owned()),
            ..Device::default()
        };
        Entry { device, headers: None }
    };
    (0..count).map(entry).collect()
}

/// Moves the clock whenever everybody waits for it and nothing is on the wire.
struct Pilot(tokio::task::JoinHandle<()>);

/// Waits of a request that is on the wire: time stands still until it is through.
const ON_THE_WIRE: [&str; 6] =
    ["connect", "upload", "response", "response-body", "attempt", "question"];

impl Pilot {
    fn start(clock: ManualClock) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_micros(300)).await;
                let waiting = clock.waiting();
                let count = |labels: &[&str]| {
                    waiting.iter().filter(|(label, _)| labels.contains(label)).count()
                };
                // A device that hangs keeps its request on the wire for good.
                let is_on_the_wire = count(&ON_THE_WIRE) > count(&["hanging"]);
                let next = waiting.iter().find(|(label, _)| {
                    // What a device does takes its time even while we wait for its answer.
                    label.starts_with("sim ")
                        || (!is_on_the_wire && !["idle", "hanging"].contains(label))
                });
                if let Some((_, left)) = next {
                    clock.advance(*left);
                }
            }
        }))
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The events of one device, one line each, without times.
pub(crate) fn story(events: &[Event], device: &str) -> String {
    let start = events.first().map(|event| event.at).unwrap_or_default();
    let prefix = format!("{device}: ");
    events.iter().filter(|event| event.to_string().starts_with(&prefix)).fold(
        String::new(),
        |mut story, event| {
            let after = event.at.since(start).as_millis();
            let _ = writeln!(story, "+{after} ms {event}");
            story
        },
    )
}

/// Files below a directory, for tests that look whether something was left behind.
pub(crate) fn files_below(path: &Path) -> Vec<String> {
    let mut found: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}
