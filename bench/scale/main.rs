//! What size costs: the inventory, the creation of a rollout, and a driver that waits.
//!
//! ```text
//! cargo run --release --package groundswell --example scale -- all [--devices 1000,10000,100000,1000000]
//! cargo run --release --package groundswell --example scale -- round DIR DEVICES
//! ```
//!
//! Every figure comes from a process of its own, so that what one allocates does not count for the
//! next. The production step, writer and store run; in `create` the deliveries are thought up, and
//! in `idle` nothing is due. `round` is the next round of a push of which every device failed: one
//! transaction, in which nobody else writes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench: it prints, sleeps, and stops where it fails"
)]

#[path = "../common/zones.rs"]
mod zones;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command as Process, ExitCode},
    sync::mpsc,
    time::{Duration, Instant},
};

use groundswell::{
    Driver,
    artifacts::store::Artifacts,
    clock::Clock,
    core::{
        assignment::{Assignment, State, Step},
        device::Device,
        hours::{Hours, Zone},
        ids::{AssignmentId, RolloutId},
        outcome::Outcome,
        release::Release,
        rollout::{self, Act, Schedule, Spec, WaveSize, WaveSpec, ZoneRule},
        selector::Selector,
        time::Time,
        verify::Mode,
    },
    engine::{
        choose::choose,
        giving_up::give_up,
        step::{Command, Engine, Fact, GATHER, LOOK_EVERY, Manner},
        takeover::take,
    },
    store::{
        Batch, Change, CohortName, Intent, RolloutKey, SqliteStore, Store, Which,
        writer::{Job, Writer},
    },
};

use zones::ZONES;

/// Rollouts that wait while a driver is watched.
const ROLLOUTS: usize = 20;

/// How long it is watched.
const IDLE: Duration = Duration::from_secs(30);

/// Devices written in one transaction.
const CHUNK: usize = 4_000;

/// Devices of the rollout that goes on while another one is created.
const BESIDE: usize = 20_000;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["all", rest @ ..] => all(rest),
        ["fill", dir, devices] => fill(Path::new(dir), devices.parse().unwrap()),
        ["create", dir] => create(Path::new(dir)),
        ["idle", dir] => idle(Path::new(dir)),
        ["round", dir, devices] => round(Path::new(dir), devices.parse().unwrap()),
        _ => {
            eprintln!("scale all [--devices N,N,...] | scale round DIR DEVICES");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn all(rest: &[&str]) {
    let sizes = match rest {
        ["--devices", sizes] => (*sizes).to_owned(),
        _ => "1000,10000,100000,1000000".to_owned(),
    };
    println!(
        "| devices | import | create | commits beside: p50, p99, most | idle, 20 rollouts: CPU | memory |"
    );
    println!("|---|---|---|---|---|---|");
    for devices in sizes.split(',') {
        let dir = env::temp_dir().join(format!("groundswell-scale-{devices}"));
        let _ = fs::remove_dir_all(&dir);
        let own = |what: &str, more: &[&str]| {
            let output = Process::new(env::current_exe().unwrap())
                .args([what, dir.to_str().unwrap()])
                .args(more)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{what}: {errors}");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let filled = own("fill", &[devices]);
        let created = own("create", &[]);
        let idle = own("idle", &[]);
        println!("| {devices} | {filled} | {created} | {idle} |");
        let _ = fs::remove_dir_all(&dir);
    }
}

fn open(dir: &Path) -> SqliteStore {
    fs::create_dir_all(dir).unwrap();
    SqliteStore::open(&groundswell::store::dir::database(dir)).unwrap()
}

/// Devices in several zones, each in one of as many parts as there are rollouts.
fn fill(dir: &Path, count: usize) {
    let mut store = open(dir);
    let started = Instant::now();
    for first in (0..count).step_by(CHUNK) {
        let devices: Vec<Device> = (first..count.min(first + CHUNK)).map(device).collect();
        store.put_devices(&devices.iter().collect::<Vec<_>>()).unwrap();
    }
    print!("{:.1} s", started.elapsed().as_secs_f64());
}

fn device(n: usize) -> Device {
    let id = format!("pos-{n:07}");
    let tags = [("part", n % ROLLOUTS), ("store", n / 10)];
    Device {
        name: id.clone(),
        id,
        address: Some(
            format!("http://10.{}.{}.{}:8080", n >> 16, n >> 8 & 255, n & 255).parse().unwrap(),
        ),
        version: Some("2.1.4".to_owned()),
        time_zone: Some(ZONES[n % ZONES.len()].to_owned()),
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_string())).into(),
        ..Device::default()
    }
}

/// The release of a rollout, with an artifact that is there.
fn release(dir: &Path, version: &str) -> Release {
    let file = dir.join("artifact.bin");
    fs::write(&file, b"twelve bytes").unwrap();
    let kept = Artifacts::open(dir.join("artifacts")).unwrap().keep(&file).unwrap();
    Release {
        name: format!("pos-{version}"),
        version: version.to_owned(),
        artifact: kept.digest,
        artifact_bytes: kept.bytes,
    }
}

/// Waves and windows, as an operator would have them.
fn spec(release: Release, select: Option<&str>) -> Spec {
    let wave = |percent| WaveSpec {
        size: WaveSize::Percent(percent),
        soak: Duration::from_mins(30),
        min_success: Some(95),
    };
    let hours = Hours { windows: vec!["02:00-04:00".parse().unwrap()], freezes: vec![] };
    let zone = ZoneRule::Device { otherwise: Zone::utc() };
    Spec {
        select: select.map(|text| Selector::parse(text).unwrap().to_string()),
        schedule: Schedule { hours, zone, ..Schedule::default() },
        waves: vec![wave(1), wave(10), wave(100)],
        strategy: rollout::Strategy::Progressive,
        offline: rollout::Offline::Wait,
        ..Spec::immediate(release)
    }
}

fn add(store: &mut SqliteStore, spec: &Spec) -> RolloutKey {
    let now = Clock::System.now();
    let key = store.create(RolloutId(uuid::Uuid::now_v7()), None, spec, now).unwrap();
    store
        .put_intent(
            &Intent::Act { rollout: key, act: Act::Start, generation: None, reason: None },
            now,
        )
        .unwrap();
    key
}

/// The production step over the production writer; every delivery succeeds at once.
fn create(dir: &Path) {
    let mut other = open(dir);
    let total = other.count_devices(None, Clock::System.now()).unwrap() as usize;
    // Something goes on beside it: as fast as it can, in commits like those of any rollout.
    let mut beside = Spec::immediate(release(dir, "9.1"));
    beside.select = Some(format!("id=lt=pos-{:07}", BESIDE.min(total / 2)));
    beside.verify.mode = Mode::None;
    beside.limits.per_minute = Some(60_000);
    add(&mut other, &beside);
    let key = add(&mut other, &spec(release(dir, "9.2"), None));
    let mut world = World::new(dir);
    let mut created = None;
    let started = Instant::now();
    while created.is_none() {
        world.step();
        if world.engine.progression(key).is_some_and(|p| p.state == rollout::State::Running) {
            created = Some(started.elapsed());
        }
    }
    let rows = other.count(key, 1).unwrap().total() as usize;
    assert_eq!(rows, total, "every device is in it");
    let mut times = std::mem::take(&mut world.times);
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    print!(
        "{:.1} s | {:.1}, {:.1}, {:.1} ms of {}",
        created.unwrap().as_secs_f64(),
        ms(at(50)),
        ms(at(99)),
        ms(times.last().copied().unwrap_or_default()),
        times.len()
    );
    world.writer.stop();
    let epoch = other.raise_epoch().unwrap();
    for record in other.rollouts(Which::Driven).unwrap() {
        // They would go on in what is measured next.
        give_up(&mut other, record, epoch, Clock::System.now()).unwrap();
    }
}

/// How long the next round takes to be opened, in a new database.
fn round(dir: &Path, count: usize) {
    let mut store = open(dir);
    let now = Clock::System.now();
    let spec = Spec::immediate(release(dir, "9.3"));
    let key = store.create(RolloutId(uuid::Uuid::now_v7()), Some(&[1; 32]), &spec, now).unwrap();
    let (cohort, epoch) = (CohortName { wave: 0, zone: None }, store.raise_epoch().unwrap());
    let to = Assignment { state: State::TimedOut(Step::Verifying), ..Assignment::queued() };
    for first in (0..count).step_by(CHUNK) {
        let chunk = first..count.min(first + CHUNK);
        let devices: Vec<Device> = chunk.clone().map(device).collect();
        let assigned: Vec<_> = devices.iter().map(|device| (device, 0)).collect();
        store.add_devices(key, std::slice::from_ref(&cohort), &assigned, Time::ZERO).unwrap();
        let ids = chunk.map(|n| AssignmentId(n as i64 + 1));
        let changes = ids.map(|id| Change { id, to, detail: None }).collect();
        store.commit(&Batch { changes, ..Batch::empty(key, epoch, now) }).unwrap();
    }
    let mut progression = store.rollout(key).unwrap().unwrap().progression;
    progression.round += 1;
    let batch = Batch { progression: Some(progression), ..Batch::empty(key, epoch, now) };
    let started = Instant::now();
    let opened = store.open_round(&spec, &batch, 0).unwrap();
    assert_eq!(opened as usize, count, "every device is in it");
    println!("{:.2} s for {opened} devices", started.elapsed().as_secs_f64());
}

struct World {
    engine: Engine,
    writer: Writer<SqliteStore>,
    facts: mpsc::Receiver<Fact>,
    give: mpsc::Sender<Fact>,
    reader: PathBuf,
    /// When the commit of each rollout was given.
    given: BTreeMap<RolloutKey, Instant>,
    times: Vec<Duration>,
}

impl World {
    fn new(dir: &Path) -> Self {
        let (give, facts) = mpsc::channel();
        let done = give.clone();
        let mut store = open(dir);
        let epoch = store.raise_epoch().unwrap();
        let driven = store.rollouts(Which::Driven).unwrap();
        let taken = driven.into_iter().map(|record| take(&store, record).unwrap()).collect();
        let writer = Writer::start(store, metrics::Histogram::noop(), move |did| {
            let _ = done.send(Fact::Store(did));
        })
        .unwrap();
        let look_every = Some(LOOK_EVERY);
        let manner = Manner { is_heard: false, gather: GATHER, in_flight_max: 1_000, look_every };
        let engine = Engine::new(taken, epoch, manner, Clock::System.now());
        let reader = groundswell::store::dir::database(dir);
        Self { engine, writer, facts, give, reader, given: BTreeMap::new(), times: vec![] }
    }

    fn step(&mut self) {
        let mut facts = vec![];
        let wait = Duration::from_millis(1);
        facts.extend(self.facts.recv_timeout(wait).ok());
        facts.extend(self.facts.try_iter().take(500));
        for fact in &facts {
            if let Fact::Store(groundswell::store::writer::Done::Committed(batch, _)) = fact
                && let Some(given) = self.given.remove(&batch.rollout)
            {
                self.times.push(given.elapsed());
            }
        }
        for command in self.engine.step(Clock::System.now(), facts) {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Store(job) => {
                if let Job::Commit(batch) = &job {
                    self.given.insert(batch.rollout, Instant::now());
                }
                self.writer.give(job);
            }
            Command::Choose(key, spec) => {
                let (give, path) = (self.give.clone(), self.reader.clone());
                std::thread::spawn(move || {
                    let store = SqliteStore::open_to_read(&path).unwrap().unwrap();
                    let division = choose(&store, &spec, Clock::System.now()).unwrap();
                    let _ = give.send(Fact::Chosen(key, Some(Box::new(division))));
                });
            }
            Command::LookBack(..) => unreachable!("nothing is rolled back here"),
            Command::Open(opening) => {
                let _ = self.give.send(Fact::Opened(opening.rollout));
            }
            Command::Send(sending) => {
                assert!(matches!(sending.candidate.assignment.state, State::Delivering));
                let accepted = Outcome::Accepted { status: 200 };
                let fact = Fact::Delivered(sending.rollout, sending.candidate.id, accepted);
                let _ = self.give.send(fact);
            }
            _ => {}
        }
    }
}

/// The real driver with rollouts that wait for their windows, watched from outside itself.
fn idle(dir: &Path) {
    let mut store = open(dir);
    for part in 0..ROLLOUTS {
        let mut spec =
            spec(release(dir, &format!("9.3.{part}")), Some(&format!("tag.part=={part}")));
        // No window opens while it is watched, wherever in the world: one an hour ago.
        let hour = Clock::System.now().as_millis() / 3_600_000 % 24;
        let closed = (hour + 22) % 24;
        let window = format!("{closed:02}:00-{closed:02}:30");
        spec.schedule.hours.windows = vec![window.parse().unwrap()];
        spec.schedule.zone = ZoneRule::Fixed(Zone::utc());
        add(&mut store, &spec);
    }
    let driver = Driver::new(dir);
    let stop = driver.stopper();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let run = runtime.spawn(driver.run());
    let running = |store: &SqliteStore| {
        let rollouts = store.rollouts(Which::Driven).unwrap();
        rollouts.iter().filter(|r| r.progression.state == rollout::State::Running).count()
    };
    while running(&store) < ROLLOUTS {
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(store);
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu();
    let started = Instant::now();
    std::thread::sleep(IDLE);
    let share = cpu().saturating_sub(before).as_secs_f64() / started.elapsed().as_secs_f64();
    let kib = status_kib("VmRSS:");
    stop.cancel();
    runtime.block_on(run).unwrap().unwrap();
    print!(
        "{:.2} % of a core | {} MiB (most {} MiB)",
        share * 100.0,
        kib / 1_024,
        status_kib("VmHWM:") / 1_024
    );
}

/// Time this process has had a core for.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn status_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
