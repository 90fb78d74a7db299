//! `groundswell run`, which is killed, stopped and started again.

use std::{fs, path::PathBuf, process::Child, time::Duration};

use anyhow::{Result, ensure};
use groundswell::store::dir;

use crate::ground::{Ground, pause, signal, wait_for};

/// How often a driver may not be seen to drive before it is taken for dead: it may wait for its
/// turn on a machine that is busy, or for room on the disk.
const LOOKS_MAX: u32 = 1_500;

/// A driver, or the place of one. Killed when this is dropped.
pub(crate) struct Driver<'a> {
    ground: &'a Ground,
    child: Option<Child>,
    log: PathBuf,
    /// The disk was full since it was started, so it may end with 3.
    pub(crate) may_have_failed: bool,
    pub(crate) starts: u32,
    pub(crate) ended_by_full_disk: u32,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(ground: &'a Ground) -> Self {
        let log = ground.path("driver.log");
        let (starts, ended_by_full_disk) = (0, 0);
        Self { ground, child: None, log, may_have_failed: false, starts, ended_by_full_disk }
    }

    /// Starts it; it need not drive yet.
    pub(crate) fn start(&mut self) -> Result<()> {
        let args = ["run", "--output", "none", "--timeout", "3s", "--max-in-flight", "64"];
        self.child = Some(self.ground.start(&args, &self.log)?);
        self.starts += 1;
        Ok(())
    }

    /// It must not have ended by itself, unless the disk was full. One that is not there is started.
    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            let Some(status) = child.try_wait()? else { return Ok(()) };
            let is_of_disk = status.code() == Some(3) && self.may_have_failed;
            ensure!(is_of_disk, "the driver ended by itself, {status}: {}", self.last_words());
            self.ended_by_full_disk += 1;
            self.child = None;
        }
        self.may_have_failed = false;
        self.start()
    }

    /// Waits until it holds the directory.
    pub(crate) fn until_driving(&mut self) -> Result<()> {
        for _ in 0..LOOKS_MAX {
            self.ensure_running()?;
            if dir::driver(&self.ground.state()).is_some() {
                return Ok(());
            }
            pause(Duration::from_millis(20))?;
        }
        anyhow::bail!("the driver does not drive: {}", self.last_words());
    }

    /// SIGKILL, which nothing can be done about.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.ensure_running()?;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        self.may_have_failed = false;
        Ok(())
    }

    /// SIGTERM: it lets open deliveries end.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.ensure_running()?;
        if let Some(mut child) = self.child.take() {
            signal(&child, "-TERM")?;
            let code = wait_for(&mut child, "the driver")?;
            // One that was told before it listened for it dies of it.
            let is_fine = matches!(code, Some(0) | None) || code == Some(3) && self.may_have_failed;
            ensure!(
                is_fine,
                "the driver was stopped and ended with {code:?}: {}",
                self.last_words()
            );
        }
        self.may_have_failed = false;
        Ok(())
    }

    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        self.child.as_ref().map_or(Ok(()), |child| signal(child, name))
    }

    /// It never says this.
    pub(crate) fn has_panicked(&self) -> bool {
        fs::read_to_string(&self.log).is_ok_and(|log| log.contains("panicked"))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
