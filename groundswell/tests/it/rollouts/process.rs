//! A state directory that real processes drive and operate on, on the machine's clock.

use std::{
    process::{Child, Command, Stdio},
    time::Instant,
};

use groundswell::{
    clock::Clock,
    core::{snapshot::Counts, time::Time},
    sim::Options,
    store::{RolloutKey, RolloutRecord, SqliteStore, Store, dir},
};

use super::site::{self, PATIENCE};
use crate::program::{Ground, Ran, pause, start_into};

/// A fleet in this process and a state directory with its devices and the release `pos-app 2.0.0`.
pub(crate) struct Town {
    pub(crate) ground: Ground,
    pub(crate) store: SqliteStore,
}

impl Town {
    /// With devices `pos-0`, `pos-1`, ...
    pub(crate) fn new(count: usize, options: Options) -> Self {
        let ground = Ground::new(count, options);
        dir::make(&ground.state()).unwrap();
        let store = SqliteStore::open(&dir::database(&ground.state())).unwrap();
        let town = Self { ground, store };
        town.tell(&["device", "import", "devices.csv"]);
        town.tell(&["release", "create", "pos-app", "2.0.0", "pos.bin"]);
        town
    }

    pub(crate) fn now() -> Time {
        Clock::System.now()
    }

    /// `groundswell` with these arguments.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        command
            .current_dir(self.ground.dir.path())
            .env("GROUNDSWELL_STATE", self.ground.state())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn ask(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Runs it to its end, which must be a good one.
    pub(crate) fn tell(&self, args: &[&str]) -> Ran {
        let ran = self.ask(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran
    }

    /// Writes a rollout down and starts it.
    pub(crate) fn begin(&self, spec: &str) -> RolloutKey {
        let key = self.create(spec);
        self.tell(&["rollout", "start", &key.0.to_string()]);
        key
    }

    /// Writes a rollout down.
    pub(crate) fn create(&self, spec: &str) -> RolloutKey {
        site::create(&self.ground.state(), spec, Self::now())
    }

    /// Starts `groundswell run`, and returns when it drives.
    pub(crate) fn run(&self) -> Running {
        let out = self.ground.dir.path().join("run-out");
        let child = start_into(&mut self.command(&["run", "--output", "none"]), &out);
        let mut running = Running { child, out };
        Self::until("it does not drive", || {
            running.check();
            dir::driver(&self.ground.state()).is_some()
        });
        running
    }

    /// Waits until `holds`, which must come about.
    pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
            pause();
        }
    }

    pub(crate) fn record(&self, key: RolloutKey) -> RolloutRecord {
        self.store.rollout(key).unwrap().unwrap()
    }

    /// Where a rollout stands, in one word.
    pub(crate) fn stands(&self, key: RolloutKey) -> &'static str {
        self.record(key).progression.state.as_str()
    }

    pub(crate) fn until_state(&self, key: RolloutKey, state: &str) {
        Self::until(&format!("rollout {} is not {state}", key.0), || self.stands(key) == state);
    }

    /// The devices of a rollout, counted one by one, which must be as they are counted by cohort.
    pub(crate) fn counts(&self, key: RolloutKey) -> Counts {
        site::counts(&self.store, &self.record(key))
    }

    /// Whole updates that devices took.
    pub(crate) fn received(&self) -> u64 {
        self.ground.fleet.summary().receptions.complete
    }

    /// The wave of a device, counted from 0.
    pub(crate) fn wave(&self, key: RolloutKey, device: &str) -> usize {
        let device = self.store.device_key(device).unwrap().unwrap();
        let standings = self.store.standings(device).unwrap();
        standings.iter().find(|standing| standing.rollout == key).unwrap().wave
    }
}

/// `groundswell run`; killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    out: std::path::PathBuf,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// It must not have ended by itself.
    pub(crate) fn check(&mut self) {
        let ended = self.child.try_wait().unwrap();
        let said = std::fs::read_to_string(&self.out).unwrap();
        assert!(ended.is_none(), "ended {ended:?}: {said}");
    }

    /// SIGKILL, which nothing can be done about.
    pub(crate) fn kill(mut self) {
        self.check();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
