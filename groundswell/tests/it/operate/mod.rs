//! What an operator types on a state directory: whole output, exit codes, and what it did.

mod acts;
mod blast;
mod budgets;
mod check;
mod devices;
mod drafts;
mod driven;
mod ended;
mod explained;
mod gates;
mod health;
mod kept;
mod output;
mod quarantine;
mod regression;
mod releases;
mod restored;
mod rollback;
mod superseded;
mod tokens;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::program::Ran;

/// A snapshot of what was told, without what differs from run to run.
macro_rules! assert_told {
    ($told:expr, @$snapshot:literal) => {
        crate::operate::filters().bind(|| insta::assert_snapshot!($told, @$snapshot))
    };
}
pub(crate) use assert_told;

/// Where an operator sits: a directory with a list of devices, files and specs.
pub(crate) struct Desk {
    dir: TempDir,
}

/// Ten devices in two regions; one has no address, one is away, one has said which version it runs.
const DEVICES: &str = r#"[
    {"id": "pos-01", "address": "10.4.0.1", "version": "1.0.0", "tags": {"region": "north"},
     "location": "Oslo", "time_zone": "Europe/Oslo", "last_seen": "2020-02-01T10:00:00Z"},
    {"id": "pos-02", "address": "10.4.0.2", "version": "1.0.0", "tags": {"region": "north"},
     "check_in": "60s", "last_seen": "2020-02-01T10:00:00Z"},
    {"id": "pos-03", "address": "10.4.0.3", "version": "1.0.0", "tags": {"region": "north"}},
    {"id": "pos-04", "address": "10.4.0.4", "version": "3.0.0", "tags": {"region": "north"}},
    {"id": "pos-05", "address": "10.4.0.5", "version": "1.0.0", "tags": {"region": "north"}},
    {"id": "pos-06", "version": "1.0.0", "tags": {"region": "north"}},
    {"id": "pos-07", "address": "10.4.0.7", "version": "1.0.0", "tags": {"region": "south"}},
    {"id": "pos-08", "address": "10.4.0.8", "version": "1.0.0", "tags": {"region": "south"}},
    {"id": "pos-09", "address": "10.4.0.9", "version": "1.0.0", "tags": {"region": "south"}},
    {"id": "pos-10", "address": "10.4.0.10", "name": "The last one"}
]"#;

const SPEC: &str = r#"
release = "pos-app 2.0.0"
select = "tag.region==north"
salt = "fixed"

[[waves]]
count = 1
soak = "1h"
min_success = 100

[[waves]]
percent = 100
min_success = 95
"#;

impl Desk {
    /// With the files, and no state yet.
    pub(crate) fn empty() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        desk.keep("devices.json", DEVICES);
        desk.keep("pos.bin", "new software");
        desk.keep("spec.toml", SPEC);
        desk
    }

    /// With devices and a release, and no rollout yet.
    pub(crate) fn set() -> Self {
        let desk = Self::empty();
        desk.well(&["device", "import", "devices.json"]);
        desk.well(&["release", "create", "pos-app", "2.0.0", "pos.bin"]);
        desk
    }

    /// With a rollout that is a draft, too.
    pub(crate) fn drafted() -> Self {
        let desk = Self::set();
        desk.well(&["rollout", "create", "spec.toml"]);
        desk
    }

    pub(crate) fn keep(&self, name: &str, content: &str) {
        fs::write(self.dir.path().join(name), content).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("groundswell-data")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(self.dir.path(), args)
    }

    pub(crate) fn told(&self, args: &[&str]) -> String {
        self.run(args).told()
    }

    /// Must go well.
    pub(crate) fn well(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran
    }
}

pub(crate) fn groundswell(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command.env_remove("GROUNDSWELL_STATE").env_remove("GROUNDSWELL_TOKEN");
    // Whoever runs the tests may be logged in somewhere.
    command.env("XDG_CONFIG_HOME", dir);
    command
}

fn run(dir: &Path, args: &[&str]) -> Ran {
    Ran::from(groundswell(dir, args).output().unwrap())
}

/// A process that ends with the test.
pub(crate) struct Ending(pub(crate) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn filters() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    for (pattern, to) in [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC \([^)]*\)", "TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME"),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
        (r"\d+ d( \d+ h)? ago", "DAYS ago"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r"process \d+", "process PID"),
        (r"\b\d{13}\b", "MILLIS"),
    ] {
        settings.add_filter(pattern, to);
    }
    settings
}
