//! What those who listen cost a rollout: 1,000 readers of one rollout's and its waves' events, and 10
//! of everything.
//!
//! `cargo run --release --package groundswell --example readers [-- --runs 3 --only paced|full]`
//!
//! The same rollout goes out without and with them, in turn: at 500 devices a second, and as fast as
//! it can. Server, simulated fleet and readers are a process each; they share the cores, so it is said
//! how much each of them had. A rate counts from the first result to the last, by the times that the
//! engine wrote down; a commit's time is that of `/metrics`. Every reader checks that the ids rise, and
//! what it was told is compared with what the log tells afterwards: count and hash of all the ids.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench: it prints, and stops where it fails"
)]

#[path = "../common/own.rs"]
mod own;

mod commits;
mod listen;

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use groundswell::{
    clock::Clock,
    core::{
        device::Device,
        rollout::{self, Act},
    },
    inventory::{Entry, Inventory},
    operate::State,
    store::{RolloutKey, SqliteStore, Store as _, dir},
};
use own::{Own, Wire, median};

use self::{commits::Commits, listen::Heard};

/// Devices of a rollout as fast as it can.
const FULL: usize = 200_000;

/// Devices of one at 500 a second: 30 s.
const PACED: usize = 15_000;

/// A run that takes longer stands still.
const RUN_MAX: Duration = Duration::from_mins(10);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve" | "sim", ..] => return groundswell::cli::main(),
        ["listen", port, token, rollout] => {
            listen::listen(port.parse().unwrap(), token, rollout);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let after = |flag| words.iter().skip_while(|word| **word != flag).nth(1).copied();
    let runs = after("--runs").map_or(3, |runs| runs.parse().unwrap());
    let dir = env::temp_dir().join(format!("groundswell-bench-readers-{}", std::process::id()));
    let mut stage = Stage::new(&dir);
    println!(
        "| rollout | readers | devices/s | ratio | commits: mean, p99 at most | server, fleet, readers: \
         cores | server: CPU for each device | last told after the end |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (called, devices, per_minute) in
        [("500 a second", PACED, Some(30_000)), ("full speed", FULL, None)]
    {
        let is_meant = |only: &str| only.starts_with("paced") == per_minute.is_some();
        if after("--only").is_none_or(is_meant) {
            stage.compare(called, devices, per_minute, runs);
        }
    }
    let (told, peak) = (stage.told, stage.server.peak_mib());
    drop(stage);
    fs::remove_dir_all(&dir).unwrap();
    println!("\neach reader was told each event once and in order: {told} events in all");
    println!("the server had at most {peak} MiB");
    ExitCode::SUCCESS
}

/// A server with its fleet.
struct Stage {
    data: PathBuf,
    port: u16,
    token: String,
    server: Own,
    fleet: Own,
    runtime: tokio::runtime::Runtime,
    releases: usize,
    told: u64,
}

/// What one run came to.
#[derive(Default)]
struct Ran {
    per_sec: f64,
    commit_mean: f64,
    commit_p99: f64,
    cores: [f64; 3],
    server_micros: f64,
    told_after: f64,
}

impl Stage {
    fn new(dir: &Path) -> Self {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).unwrap();
        let data = dir.join("data");
        let (port, devices_port) = (own::free_port(), own::free_port());
        import(&data, devices_port);
        let token = own::token(&data);
        let listen = format!("0.0.0.0:{devices_port}");
        let words = ["sim", "--listen", &listen, "--latency", "5ms", "--digest", "sample"];
        let fleet = Own::start(&words, Stdio::null());
        let server = Own::serve(&data, port);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(own::ready(port));
        Self { data, port, token, server, fleet, runtime, releases: 0, told: 0 }
    }

    /// Without and with readers, in turn.
    fn compare(&mut self, called: &str, devices: usize, per_minute: Option<u32>, runs: usize) {
        let (mut without, mut with) = (vec![], vec![]);
        for _ in 0..runs {
            without.push(self.run(devices, per_minute, false));
            with.push(self.run(devices, per_minute, true));
        }
        let ratios: Vec<f64> = with
            .iter()
            .zip(&without)
            .map(|(with, without)| with.per_sec / without.per_sec)
            .collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let ratio = format!("{:.3} ({least:.3} to {most:.3})", median(&ratios));
        for (readers, ran, ratio) in [("none", &without, "1"), ("1,010", &with, &*ratio)] {
            let of = |what: fn(&Ran) -> f64| median(&ran.iter().map(what).collect::<Vec<_>>());
            println!(
                "| {called} | {readers} | {:.0} | {ratio} | {:.2}, {:.0} ms | {:.2}, {:.2}, {:.2} | {:.0} \
                 us | {:.2} s |",
                of(|ran| ran.per_sec),
                of(|ran| ran.commit_mean),
                of(|ran| ran.commit_p99),
                of(|ran| ran.cores[0]),
                of(|ran| ran.cores[1]),
                of(|ran| ran.cores[2]),
                of(|ran| ran.server_micros),
                of(|ran| ran.told_after),
            );
        }
    }

    fn run(&mut self, devices: usize, per_minute: Option<u32>, is_heard: bool) -> Ran {
        let key = self.draft(devices, per_minute);
        let mut listeners = is_heard.then(|| {
            let (port, rollout) = (self.port.to_string(), key.0.to_string());
            let mut own = Own::start(&["listen", &port, &self.token, &rollout], Stdio::piped());
            let mut lines = BufReader::new(own.0.stdout.take().unwrap());
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            (own, lines)
        });
        thread::sleep(Duration::from_secs(1));
        let commits = self.commits();
        let pids = [self.server.0.id(), self.fleet.0.id()];
        let cpu_of = |own: &mut Option<(Own, _)>| {
            own.as_mut().map_or(0.0, |(own, _): &mut (Own, BufReader<_>)| cpu(own.0.id()))
        };
        let before = [cpu(pids[0]), cpu(pids[1]), cpu_of(&mut listeners)];
        let begun = Instant::now();
        State::open(&self.data).unwrap().act(key, Act::Start, Clock::System.now()).unwrap();
        self.until_completed(key);
        let took = begun.elapsed().as_secs_f64();
        let after = [cpu(pids[0]), cpu(pids[1]), cpu_of(&mut listeners)];
        let since = self.commits().since(&commits);
        let mut ran = Ran {
            per_sec: self.rate(key, devices),
            commit_mean: since.mean_millis(),
            commit_p99: since.millis_of(0.99),
            cores: std::array::from_fn(|at| (after[at] - before[at]) / took),
            server_micros: (after[0] - before[0]) * 1e6 / devices as f64,
            told_after: 0.0,
        };
        if let Some((_own, mut lines)) = listeners {
            let (mut line, ended) = (String::new(), Instant::now());
            lines.read_line(&mut line).unwrap();
            ran.told_after = ended.elapsed().as_secs_f64();
            assert_eq!(line, "told\n");
            line.clear();
            lines.read_line(&mut line).unwrap();
            let heard: Heard = serde_json::from_str(&line).unwrap();
            assert_eq!(heard.wrong, Vec::<String>::new());
            // Each device is claimed, and comes to its end.
            assert!(heard.events >= 10 * 2 * devices as u64, "{heard:?}");
            self.told += heard.events;
            eprintln!("{heard:?}");
        }
        ran
    }

    /// A rollout in ten waves, that nothing is in the way of.
    fn draft(&mut self, devices: usize, per_minute: Option<u32>) -> RolloutKey {
        self.releases += 1;
        let (now, version) = (Clock::System.now(), format!("2.0.{}", self.releases));
        let mut state = State::open(&self.data).unwrap();
        let file = self.data.join("app.bin");
        fs::write(&file, format!("twelve {version}")).unwrap();
        state.create_release("app", &version, &file, now).unwrap();
        let pace = per_minute.map_or(String::new(), |pace| format!("per_minute = {pace}\n"));
        let mut waves = String::new();
        for percent in (10..=100).step_by(10) {
            let _ = write!(waves, "[[waves]]\npercent = {percent}\n");
        }
        let text = format!(
            "release = \"app {version}\"\nselect = \"id=lt=pos-{devices:07}\"\n\
             [limits]\nmax_in_flight = 100\nmax_per_host = 100\n{pace}\
             [verify]\nmode = \"none\"\n{waves}"
        );
        let spec = self.data.join("spec.toml");
        fs::write(&spec, text).unwrap();
        let spec = state.read_spec(&spec, now).unwrap();
        state.create_rollout(&spec, now).unwrap().0
    }

    fn until_completed(&self, key: RolloutKey) {
        let store = SqliteStore::open_to_read(&dir::database(&self.data)).unwrap().unwrap();
        let begun = Instant::now();
        loop {
            let stands = store.rollout(key).unwrap().unwrap().progression.state;
            if stands == rollout::State::Completed {
                return;
            }
            assert!(!stands.is_ended() && begun.elapsed() < RUN_MAX, "it stands at {stands:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Devices a second, from the first result to the last.
    fn rate(&self, key: RolloutKey, devices: usize) -> f64 {
        let database = rusqlite::Connection::open(dir::database(&self.data)).unwrap();
        let sql =
            "SELECT count(*), max(changed_at) - min(changed_at) FROM assignment WHERE rollout = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (count, millis): (i64, i64) = database.query_row(sql, [key.0], read).unwrap();
        assert_eq!(count, devices as i64, "every device is in it");
        (count - 1) as f64 / millis as f64 * 1e3
    }

    fn commits(&self) -> Commits {
        self.runtime.block_on(async {
            let mut wire = Wire::connect(self.port, &self.token).await.unwrap();
            let (status, body) = wire.ask("GET", "/metrics", "").await.unwrap();
            assert_eq!(status, 200);
            Commits::read(&String::from_utf8(body).unwrap())
        })
    }
}

/// Devices on ten addresses.
fn import(data: &Path, port: u16) {
    let entry = |n: usize| {
        let id = format!("pos-{n:07}");
        let address = format!("http://127.80.0.{}:{port}", n % 10 + 1).parse().unwrap();
        let device = Device { name: id.clone(), id, address: Some(address), ..Device::default() };
        Entry { device, headers: None }
    };
    let inventory = Inventory { entries: (0..FULL).map(entry).collect(), ..Inventory::default() };
    State::open(data).unwrap().import(&inventory).unwrap();
}

/// Seconds that a process has had a core for.
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
