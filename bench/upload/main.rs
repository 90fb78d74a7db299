//! A large upload: how fast, and in how much memory.
//!
//! `cargo run --release --package groundswell --example upload [-- --gib 4 --runs 3]`
//!
//! Made-up bytes, which are nowhere on a disk, go to `PUT /api/v1/artifacts/{digest}` of a server in
//! another process, and in turn to a bare axum route in a third one that writes them to a file, makes
//! that durable, and hashes nothing. Then one upload in parts is cut in the middle and gone on with. The
//! server checks the digest of each; the sender made it before.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench: it prints, and stops where it fails"
)]

#[path = "../common/own.rs"]
mod own;

mod made_up;
mod sink;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use own::{Own, Wire, median};
use serde_json::{Value, json};

use self::made_up::{BLOCK, MadeUp};

/// Memory that the server may have beside what it had before: some buffers of each upload.
const MORE_MIB_MAX: u64 = 64;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", ..] => return groundswell::cli::main(),
        ["sink", port, dir] => sink::sink(port.parse().unwrap(), Path::new(dir)),
        _ => {}
    }
    let after = |flag| words.iter().skip_while(|word| **word != flag).nth(1).copied();
    let number = |flag, or| after(flag).map_or(or, |given| given.parse().unwrap());
    let (gib, runs) = (number("--gib", 4), number("--runs", 3));
    let dir = env::temp_dir().join(format!("groundswell-bench-upload-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let mut stage = Stage::new(&dir, MadeUp::new(gib << 30));
    let is_good = stage.compare(runs) && stage.cut();
    drop(stage);
    fs::remove_dir_all(&dir).unwrap();
    ExitCode::from(u8::from(!is_good))
}

struct Stage {
    data: PathBuf,
    port: u16,
    sink_port: u16,
    token: String,
    server: Own,
    _sink: Own,
    made_up: MadeUp,
    runtime: tokio::runtime::Runtime,
    /// Of the server, before anything was sent to it.
    idle_mib: u64,
}

impl Stage {
    fn new(dir: &Path, made_up: MadeUp) -> Self {
        let data = dir.join("data");
        let token = own::token(&data);
        let (port, sink_port) = (own::free_port(), own::free_port());
        let server = Own::serve(&data, port);
        let words = ["sink", &sink_port.to_string(), dir.to_str().unwrap()];
        let sink = Own::start(&words, Stdio::null());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(own::ready(port));
        let idle_mib = server.peak_mib();
        Self { data, port, sink_port, token, server, _sink: sink, made_up, runtime, idle_mib }
    }

    /// The server and the sink, in turn.
    fn compare(&mut self, runs: u64) -> bool {
        let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
        let megabytes = self.made_up.bytes() as f64 / 1e6;
        for run in 0..runs {
            let begun = Instant::now();
            let answer = self.send(self.sink_port, "PUT /", run, 0, None);
            assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
            theirs.push(megabytes / begun.elapsed().as_secs_f64());
            let digest = self.made_up.digest(run);
            let begun = Instant::now();
            let put = format!("PUT /api/v1/artifacts/{digest}");
            let answer = self.send(self.port, &put, run, 0, None);
            assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
            ours.push(megabytes / begun.elapsed().as_secs_f64());
            ratios.push(ours[run as usize] / theirs[run as usize]);
            self.forget(&digest);
        }
        let peak = self.server.peak_mib();
        println!("| {:.1} GB | MB/s: each | median |\n|---|---|---|", megabytes / 1e3);
        for (called, rates) in [("an axum route to a file", &theirs), ("the server", &ours)] {
            let each: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
            println!("| {called} | {} | {:.0} |", each.join(", "), median(rates));
        }
        println!("\nratio, median of the pairs: {:.2}", median(&ratios));
        println!(
            "memory of the server: {} MiB before, {peak} MiB at most (wanted: at most {} more)",
            self.idle_mib, MORE_MIB_MAX
        );
        peak <= self.idle_mib + MORE_MIB_MAX
    }

    /// An upload in parts, the first of which breaks off.
    fn cut(&mut self) -> bool {
        let (run, bytes) = (u64::MAX, self.made_up.bytes());
        let digest = self.made_up.digest(run);
        let wanted = json!({ "digest": digest, "bytes": bytes }).to_string();
        let upload = self.ask("POST", "/api/v1/artifacts", &wanted).1;
        let at = format!("/api/v1/artifacts/uploads/{}", upload["upload"].as_str().unwrap());
        let half = bytes / 2 + 12_345;
        let begun = Instant::now();
        self.send(self.port, &format!("PATCH {at}"), run, 0, Some(half));
        let offset = self.settled(&at);
        assert!(offset <= half && half - offset < 64 << 20, "{offset} of {half}");
        let answer = self.send(self.port, &format!("PATCH {at}"), run, offset, None);
        assert!(answer.starts_with("HTTP/1.1 201") && answer.contains(&digest), "{answer}");
        let peak = self.server.peak_mib();
        println!(
            "cut after {half} bytes, of which {offset} had arrived, and gone on with: the digest is right \
             after {:.1} s; {peak} MiB at most",
            begun.elapsed().as_secs_f64()
        );
        self.forget(&digest);
        peak <= self.idle_mib + MORE_MIB_MAX
    }

    /// How much has arrived, once nobody adds to it any more.
    fn settled(&self, at: &str) -> u64 {
        let mut known = None;
        loop {
            let offset = self.ask("GET", at, "").1["offset"].as_u64();
            match offset {
                Some(offset) if known == Some(offset) => return offset,
                _ => known = offset,
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.runtime.block_on(async {
            let mut wire = Wire::connect(self.port, &self.token).await.unwrap();
            let (status, body) = wire.ask(method, path, body).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    /// Sends from an offset on, to the end or until it is cut, and says what was answered.
    fn send(&self, port: u16, what: &str, run: u64, from: u64, cut: Option<u64>) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (token, length) = (&self.token, self.made_up.bytes() - from);
        let head = format!(
            "{what} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nupload-offset: {from}\r\n\
             content-type: application/octet-stream\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut block = vec![0; BLOCK as usize];
        let end = cut.unwrap_or(self.made_up.bytes());
        let mut at = from;
        while at < end {
            self.made_up.write(at / BLOCK, run, &mut block);
            let inside = at % BLOCK;
            let to = BLOCK.min(inside + end - at);
            stream.write_all(&block[inside as usize..to as usize]).unwrap();
            at += to - inside;
        }
        let mut answer = String::new();
        if cut.is_none() {
            stream.read_to_string(&mut answer).unwrap();
        }
        answer
    }

    /// Takes it off the disk, which need not have room for all of them.
    fn forget(&self, digest: &str) {
        fs::remove_file(self.data.join("artifacts").join(digest)).unwrap();
    }
}
