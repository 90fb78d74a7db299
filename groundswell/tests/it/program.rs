//! The real program against a simulated fleet on the system's clock: what its tests share.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use groundswell::sim::{Fleet, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A fleet in this process, and a directory with a file to send and a list of devices.
pub(crate) struct Ground {
    pub(crate) fleet: Fleet,
    pub(crate) dir: TempDir,
    _runtime: Runtime,
}

impl Ground {
    /// `count` devices `pos-0`, `pos-1`, ... each with an address of its own.
    pub(crate) fn new(count: usize, options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let fleet = {
            let _inside = runtime.enter();
            Fleet::start(options).unwrap()
        };
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pos.bin"), b"new software").unwrap();
        let devices = inventory(count, fleet.local_addr().port());
        fs::write(dir.path().join("devices.csv"), devices).unwrap();
        Self { fleet, dir, _runtime: runtime }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// `groundswell push` of version 2.0.0 to all devices, without its further arguments.
    pub(crate) fn push(&self) -> Command {
        self.push_of("pos.bin")
    }

    pub(crate) fn push_of(&self, file: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        command
            .current_dir(self.dir.path())
            .env_remove("GROUNDSWELL_STATE")
            .args(["push", file, "--devices", "devices.csv", "--version", "2.0.0"])
            .arg("--state")
            .arg(self.state())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end with further arguments.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.push().args(args).output().unwrap())
    }

    /// Waits until `holds`, which must come about: a test that hangs is broken.
    pub(crate) fn until(&self, mut holds: impl FnMut(&Fleet) -> bool) {
        while !holds(&self.fleet) {
            pause();
        }
    }
}

/// Between two looks at a condition.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

pub(crate) fn inventory(count: usize, port: u16) -> String {
    let mut text = "id,name,address,version\n".to_owned();
    for n in 0..count {
        let host = format!("127.{}.{}.{}", 70 + n / 62_500, n / 250 % 250, n % 250 + 1);
        writeln!(text, "pos-{n},Terminal {n},http://{host}:{port},1.0.0").unwrap();
    }
    text
}

/// What a process came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// All that a person sees, for snapshots.
    pub(crate) fn told(&self) -> String {
        let code = self.code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let mut told = format!("exit {code}\n");
        for (name, text) in [("out", &self.out), ("err", &self.err)] {
            if !text.is_empty() {
                write!(told, "--- {name}\n{text}").unwrap();
            }
        }
        told
    }
}

/// Starts it with what it prints going to a file, so that no pipe holds it up.
pub(crate) fn start_into(command: &mut Command, out: &Path) -> Child {
    let file = File::create(out).unwrap();
    command.stderr(file.try_clone().unwrap()).stdout(file).spawn().unwrap()
}

/// The events in what `--output events` printed; a killed process may leave half a line.
pub(crate) fn events(out: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(out).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
