//! `groundswell serve` as a process of its own, which can be killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use reqwest::{Method, RequestBuilder};

use crate::program::{pause, start_into};

/// A server that runs beside the test.
pub(super) struct Program {
    child: Child,
    /// Where it listens, as `127.0.0.1:8080`.
    pub(super) address: String,
    /// The token of its first admin.
    pub(super) admin: String,
    out: PathBuf,
}

impl Program {
    /// Starts one over this data directory, and waits until it answers.
    pub(super) fn start(data: &Path, admin: Option<&str>) -> Self {
        let out = data.with_extension("out");
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        let mut child = start_into(&mut command, &out);
        loop {
            let told = fs::read_to_string(&out).unwrap();
            let address = told.split_once(" at http://").and_then(|(_, rest)| rest.split_once(';'));
            let printed = told.lines().find(|line| line.starts_with("gsw_")).map(str::to_owned);
            let admin = admin.map(str::to_owned).or(printed.filter(|_| told.ends_with('\n')));
            if let (Some((address, _)), Some(admin)) = (address, admin) {
                return Self { child, address: address.to_owned(), admin, out };
            }
            assert_eq!(child.try_wait().unwrap(), None, "{told}");
            pause();
        }
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        reqwest::Client::new().request(method, url).bearer_auth(&self.admin)
    }

    /// Waits for a line of what it says that holds this.
    pub(super) fn line_with(&self, text: &str) -> String {
        loop {
            let told = fs::read_to_string(&self.out).unwrap();
            let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            pause();
        }
    }

    /// The most memory that it has had, in KiB.
    pub(super) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Kills it, at once.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.out);
    }
}
