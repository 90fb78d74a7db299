//! What a run stands on: a small disk for the state, a fleet in a process of its own, and the
//! program by its command line. All of it is gone when the values are.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use groundswell::sim::Report;
use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_groundswell");

/// Room for the state, in MiB: the reserve, some releases, and a log of tens of thousands of rows.
const DISK_MIB: u32 = 96;

/// A process that takes longer to end than this hangs. A driver lets open deliveries end for 30 s.
const ENDING_MAX: Duration = Duration::from_mins(1);

/// Somebody said that it is enough.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Sleeps, unless it is interrupted.
pub(crate) fn pause(wait: Duration) -> Result<()> {
    let until = Instant::now() + wait;
    loop {
        ensure!(!INTERRUPTED.load(Relaxed), "interrupted");
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(20)));
    }
}

/// Sends a signal to a process that was started here.
pub(crate) fn signal(child: &Child, name: &str) -> Result<()> {
    let status = Command::new("kill").arg(name).arg(child.id().to_string()).status()?;
    ensure!(status.success(), "kill {name} {} failed", child.id());
    Ok(())
}

/// Waits for the end of a process; it is killed if that does not come.
pub(crate) fn wait_for(child: &mut Child, what: &str) -> Result<Option<i32>> {
    let until = Instant::now() + ENDING_MAX;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() > until || INTERRUPTED.load(Relaxed) {
            child.kill()?;
            child.wait()?;
            bail!("{what} did not end and was killed");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A directory, and in it the state on a disk of its own.
pub(crate) struct Ground {
    dir: TempDir,
    pub(crate) has_disk: bool,
}

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("groundswell-chaos-").tempdir()?;
        let mut ground = Self { dir, has_disk: false };
        fs::create_dir(ground.state())?;
        let size = format!("size={DISK_MIB}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(ground.state());
        ground.has_disk = mount.output().is_ok_and(|output| output.status.success());
        Ok(ground)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Takes what room there is, to the last byte.
    pub(crate) fn fill_disk(&self) -> Result<()> {
        let mut file = File::create(self.state().join("ballast"))?;
        let zeros = vec![0; 64 << 10];
        let mut part = zeros.len();
        while part > 0 {
            match file.write(&zeros[..part]) {
                Ok(written) if written > 0 => {}
                _ => part /= 2,
            }
        }
        Ok(())
    }

    pub(crate) fn make_room(&self) -> Result<()> {
        Ok(fs::remove_file(self.state().join("ballast"))?)
    }

    /// `groundswell` with these arguments, in a process group of its own: who interrupts us does not
    /// interrupt it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.dir.path()).env("GROUNDSWELL_STATE", self.state()).args(args);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).process_group(0);
        command
    }

    /// Runs it to its end: the exit code and what it said.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<(Option<i32>, String)> {
        let output = self.command(args).output()?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.code(), said))
    }

    /// Runs it to its end, which must be a good one.
    pub(crate) fn tell(&self, args: &[&str]) -> Result<String> {
        let (code, said) = self.ask(args)?;
        ensure!(code == Some(0), "{args:?} ended with {code:?}: {said}");
        Ok(said)
    }

    /// Starts a process whose words go to the end of a file.
    pub(crate) fn start(&self, args: &[&str], log: &Path) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = self.command(args);
        Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
    }

    /// Copies what tells what happened to where it stays.
    pub(crate) fn keep_evidence(&self, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        for name in ["state/state.db", "state/state.db-wal", "report.json", "driver.log"] {
            let from = self.path(name);
            if from.exists() {
                fs::copy(&from, to.join(from.file_name().unwrap_or_default()))?;
            }
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.has_disk {
            let _ = Command::new("umount").arg("-l").arg(self.state()).output();
        }
    }
}

/// `groundswell sim`; ended when this is dropped.
pub(crate) struct FleetProcess {
    child: Child,
    /// It would be told if nobody read any more.
    _out: BufReader<ChildStdout>,
    pub(crate) port: u16,
    report: PathBuf,
}

impl FleetProcess {
    pub(crate) fn start(ground: &Ground, seed: u64, faults: &[&str]) -> Result<Self> {
        let report = ground.path("report.json");
        let seed = seed.to_string();
        let mut args =
            vec!["sim", "--listen", "0.0.0.0:0", "--latency", "5ms", "--reboot", "300ms"];
        args.extend(["--seed", &seed]);
        args.extend(faults.iter().flat_map(|fault| ["--fault", fault]));
        let mut command = ground.command(&args);
        command.arg("--report").arg(&report).stdout(Stdio::piped());
        let mut child = command.spawn().context("the fleet does not start")?;
        let out = child.stdout.take().context("the fleet has no output")?;
        let mut out = BufReader::new(out);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let Some(port) = port else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the fleet says {line:?}");
        };
        Ok(Self { child, _out: out, port, report })
    }

    /// Makes the network as bad as `json` says.
    pub(crate) fn set_network(&self, json: &str) -> Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(ENDING_MAX))?;
        let length = json.len();
        let head = "PUT /sim/network HTTP/1.1\r\nhost: fleet\r\nconnection: close\r\n";
        write!(stream, "{head}content-length: {length}\r\n\r\n{json}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{json}: {answer}");
        Ok(())
    }

    /// Ends it, and reads what its devices report.
    pub(crate) fn end(mut self) -> Result<Report> {
        signal(&self.child, "-TERM")?;
        let code = wait_for(&mut self.child, "the fleet")?;
        ensure!(code == Some(0), "the fleet ended with {code:?}");
        let report = fs::read(&self.report).context("the fleet left no report")?;
        Ok(serde_json::from_slice(&report)?)
    }
}

impl Drop for FleetProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
