//! How long a server takes until it is ready, over a large state.
//!
//! `cargo run --release --package groundswell --example restart [-- --devices 1000000 --runs 5]`
//!
//! 20 rollouts, each to a twentieth of the devices: five that are done, five whose window is closed,
//! five whose devices are all away, three that send slowly, one that also parks devices on
//! budgets, and one that is paused. Counted from the start of the process to the first 200 of
//! `GET /readyz`, and to the first device that one of those that send is done with; the server before was
//! killed, or told to end. The pages of the database are in the
//! cache of the system. Memory is the most until 5 s after that.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench: it prints, sleeps, and stops where it fails"
)]

#[path = "../common/fleet.rs"]
mod fleet;
#[path = "../common/own.rs"]
mod own;

use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use groundswell::{
    clock::Clock,
    core::rollout::{self, Act},
    operate::State,
    store::{RolloutKey, SqliteStore, Store as _, Which, dir},
};
use own::{Own, Wire, median};

/// Rollouts, each with as large a part of the devices.
const ROLLOUTS: usize = 20;

/// How long the state may take to come to be.
const PREPARING_MAX: Duration = Duration::from_mins(20);

/// How long a server goes on before it is ended.
const GOING_ON: Duration = Duration::from_secs(5);

/// Wanted, in seconds.
const WANTED: f64 = 5.0;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if matches!(words.first(), Some(&("serve" | "sim"))) {
        return groundswell::cli::main();
    }
    let after = |flag| words.iter().skip_while(|word| **word != flag).nth(1).copied();
    let number = |flag, or| after(flag).map_or(or, |given| given.parse().unwrap());
    let (devices, runs) = (number("--devices", 1_000_000), number("--runs", 5));
    let data = fleet::copied(devices, "restart");
    let (port, token) = (own::free_port(), own::token(&data));
    let listen = format!("0.0.0.0:{}", fleet::PORT);
    let sim = Own::start(&["sim", "--listen", &listen, "--digest", "none"], Stdio::null());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    prepare(&data, port, &runtime);
    println!(
        "| the server before was | ready after: median, least, most | sends after: median, most | memory at most |"
    );
    println!("|---|---|---|---|");
    let mut is_good = true;
    for is_killed in [true, false] {
        let (mut secs, mut sent, mut peak) = (vec![], vec![], 0);
        for _ in 0..runs {
            let done = done(&data);
            let begun = Instant::now();
            let server = Own::serve(&data, port);
            runtime.block_on(own::ready(port));
            secs.push(begun.elapsed().as_secs_f64());
            while self::done(&data) == done {
                assert!(begun.elapsed() < PREPARING_MAX, "it does not go on");
                thread::sleep(Duration::from_millis(10));
            }
            sent.push(begun.elapsed().as_secs_f64());
            thread::sleep(GOING_ON);
            peak = peak.max(server.peak_mib());
            runtime.block_on(look(port, &token));
            end(server, is_killed);
        }
        secs.sort_by(f64::total_cmp);
        sent.sort_by(f64::total_cmp);
        is_good &= median(&sent) <= WANTED;
        println!(
            "| {} | {:.2}, {:.2}, {:.2} s | {:.2}, {:.2} s | {peak} MiB |",
            if is_killed { "killed" } else { "told to end" },
            median(&secs),
            secs[0],
            secs[secs.len() - 1],
            median(&sent),
            sent[sent.len() - 1],
        );
    }
    drop(sim);
    println!("\nwanted: both within {WANTED} s; {ROLLOUTS} rollouts, {devices} devices");
    fs::remove_dir_all(&data).unwrap();
    ExitCode::from(u8::from(!is_good))
}

/// Lets a server bring the rollouts to where they are to stand.
fn prepare(data: &Path, port: u16, runtime: &tokio::runtime::Runtime) {
    let begun = Instant::now();
    let server = Own::serve(data, port);
    runtime.block_on(own::ready(port));
    let keys: Vec<RolloutKey> = (0..ROLLOUTS).map(|part| start(data, part)).collect();
    let store = SqliteStore::open_to_read(&dir::database(data)).unwrap().unwrap();
    let state_of = |key| store.rollout(key).unwrap().unwrap().progression.state;
    let is_there = |part: usize| match part {
        0..5 => state_of(keys[part]) == rollout::State::Completed,
        _ => state_of(keys[part]) == rollout::State::Running,
    };
    while !(0..ROLLOUTS).all(is_there) {
        assert!(begun.elapsed() < PREPARING_MAX, "it stands still; groundswell-bench.log has why");
        thread::sleep(Duration::from_millis(200));
    }
    drop(store);
    let mut state = State::open(data).unwrap();
    state.act(keys[ROLLOUTS - 1], Act::Pause, Clock::System.now()).unwrap();
    // Those that send have begun to, and others were parked.
    thread::sleep(GOING_ON);
    drop(server);
    let store = SqliteStore::open_to_read(&dir::database(data)).unwrap().unwrap();
    for (at, key) in keys.iter().enumerate() {
        eprintln!("{at}: {:?}", store.count(*key, 1).unwrap());
    }
    let driven = store.rollouts(Which::Driven).unwrap().len();
    assert_eq!(driven, ROLLOUTS - 5, "they go on");
    eprintln!("prepared in {:.0} s", begun.elapsed().as_secs_f64());
}

fn start(data: &Path, part: usize) -> RolloutKey {
    let (now, version) = (Clock::System.now(), format!("3.0.{part}"));
    let mut state = State::open(data).unwrap();
    let file = data.join("app.bin");
    fs::write(&file, format!("an update to {version}")).unwrap();
    state.create_release("app", &version, &file, now).unwrap();
    let hour = now.as_millis() / 3_600_000 % 24;
    let closed = (hour + 22) % 24;
    let how = match part {
        0..5 => String::new(),
        5..10 => format!(
            "windows = [\"{closed:02}:00-{closed:02}:30\"]\ntime_zone = {{ fixed = \"UTC\" }}\n\
             [[waves]]\npercent = 10\n[[waves]]\npercent = 100\n"
        ),
        10..15 => "strategy = \"on_connect\"\n".to_owned(),
        15..18 => "[limits]\nper_minute = 600\n".to_owned(),
        18 => {
            "budgets = [{ per = \"tag.region\", max = 5 }]\n[limits]\nper_minute = 600\n".to_owned()
        }
        _ => "[limits]\nper_minute = 60\n".to_owned(),
    };
    let text = format!(
        "release = \"app {version}\"\nselect = \"tag.part=={part}\"\nverify = {{ mode = \"none\" }}\n{how}"
    );
    let spec = data.join("spec.toml");
    fs::write(&spec, text).unwrap();
    let spec = state.read_spec(&spec, now).unwrap();
    let key = state.create_rollout(&spec, now).unwrap().0;
    state.act(key, Act::Start, now).unwrap();
    key
}

/// How many devices those that send are done with.
fn done(data: &Path) -> u64 {
    let store = SqliteStore::open_to_read(&dir::database(data)).unwrap().unwrap();
    // The first was created first.
    let sending = (16..=18).map(|number| store.count(RolloutKey(number), 1).unwrap().succeeded);
    sending.sum()
}

/// It is the state that was left, and it is driven.
async fn look(port: u16, token: &str) {
    let mut wire = Wire::connect(port, token).await.unwrap();
    let (status, body) = wire.ask("GET", "/api/v1/rollouts?limit=100", "").await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, body["rollouts"].as_array().map(Vec::len)),
        (200, Some(ROLLOUTS)),
        "{body}"
    );
}

fn end(mut server: Own, is_killed: bool) {
    if !is_killed {
        let pid = server.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = server.0.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}
