//! The engine's step over a real database, a clock that is moved and a fleet that is thought up:
//! seeded, so that a failure can be played again.
//!
//! Here the driver is killed between any two commands; what it had not committed is lost.

mod choosing;
mod contacts;
mod gone;
mod opening;
mod refused;
mod regressed;
mod rounds;
mod sweeping;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use groundswell::{
    core::{
        assignment::State,
        brake::Brake,
        device::Device,
        ids::{AssignmentId, Epoch, RolloutId},
        outcome::{Answer, Fault, Outcome},
        release::{Digest, Release},
        retry,
        rollout::{self, Limits, Offline, Spec, Verify, WaveSize, WaveSpec},
        snapshot::Counts,
        time::Time,
        verify::Mode,
    },
    engine::{
        step::{Command, Ending, Engine, Fact, Manner},
        takeover,
    },
    store::{
        Batch, Candidate, CohortName, RolloutRecord, SqliteStore, Store, StoreError,
        writer::{Done, Job, do_job},
    },
};

/// xorshift64* (Marsaglia 2003, Vigna 2016): enough for a thought-up fleet.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

#[derive(Clone, Debug, Default)]
struct Simulated {
    version: String,
    receptions: u32,
    /// Answers that showed the old version since it last received the update.
    showed_old: bool,
    reboots_until: i64,
    is_dead: bool,
}

struct World {
    dice: Dice,
    now: i64,
    devices: BTreeMap<String, Simulated>,
    spec: Spec,
    store: SqliteStore,
    record: RolloutRecord,
    /// What is under way: when it comes back, and with what.
    coming: Vec<(i64, Fact, AssignmentId)>,
    open: HashMap<AssignmentId, String>,
    kill_every: u64,
    lost: u64,
    /// How long the store takes for a job at the most; 0 for at once.
    commit_max_ms: u64,
    /// What the store was asked to do, in order, and when each is done.
    jobs: VecDeque<(i64, Job)>,
    /// How many may be delivering, verifying or retrying at once.
    exposed_max: u64,
}

fn spec(mode: Mode) -> Spec {
    let release = Release {
        name: "pos".to_owned(),
        version: "2".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 12,
    };
    Spec {
        limits: Limits { max_in_flight: 8, max_unverified: 20, max_per_host: 3, per_minute: None },
        verify: Verify { mode, timeout: Duration::from_secs(20), first: false },
        brake: Some(Brake::Percent(100)),
        offline: Offline::Try,
        allow_downgrade: true,
        ..Spec::immediate(release)
    }
}

/// So many first, of which every one must succeed, and then the others.
fn with_canaries(devices: u32, spec: Spec) -> Spec {
    let wave = |size, min_success| WaveSpec { size, soak: Duration::ZERO, min_success };
    let waves = vec![wave(WaveSize::Count(devices), Some(100)), wave(WaveSize::Percent(100), None)];
    Spec { waves, ..spec }
}

impl World {
    fn new(seed: u64, count: usize, spec: Spec, dir: &std::path::Path) -> Self {
        let mut store = SqliteStore::open(&dir.join(format!("{seed}.db"))).unwrap();
        let identity = [1; 32];
        let now = Time::from_millis(1_000);
        let id = RolloutId(uuid::Uuid::from_u128(u128::from(seed)));
        let key = store.create(id, Some(&identity), &spec, now).unwrap();
        let devices: Vec<_> = (0..count)
            .map(|n| Device {
                id: format!("d{n}"),
                name: format!("d{n}"),
                address: Some(format!("http://10.0.0.{}", n % 7 + 1).parse().unwrap()),
                ..Device::default()
            })
            .collect();
        let waves = 0..spec.wave_count();
        let cohorts: Vec<_> = waves.map(|wave| CohortName { wave, zone: None }).collect();
        let canaries = match spec.waves.first() {
            Some(WaveSpec { size: WaveSize::Count(count), .. }) => *count as usize,
            _ => 0,
        };
        let cohort_of = |n| if n < canaries { 0 } else { cohorts.len() - 1 };
        let assigned: Vec<_> =
            devices.iter().enumerate().map(|(n, device)| (device, cohort_of(n))).collect();
        store.add_devices(key, &cohorts, &assigned, Time::ZERO).unwrap();
        let mut record = store.find(&identity, None).unwrap().unwrap();
        record.progression.state = rollout::State::Scheduled;
        let progression = Some(record.progression.clone());
        store.commit(&Batch { progression, ..Batch::empty(key, Epoch(0), now) }).unwrap();
        let devices = devices
            .into_iter()
            .map(|device| {
                (device.id, Simulated { version: "1".to_owned(), ..Simulated::default() })
            })
            .collect();
        Self {
            dice: Dice(seed.wrapping_mul(2) + 1),
            now: 1_000,
            devices,
            spec,
            store,
            record,
            coming: vec![],
            open: HashMap::new(),
            kill_every: 0,
            lost: 0,
            commit_max_ms: 0,
            jobs: VecDeque::new(),
            exposed_max: u64::MAX,
        }
    }

    fn now(&self) -> Time {
        Time::from_millis(self.now)
    }

    fn engine(&mut self) -> Engine {
        let epoch = self.store.raise_epoch().unwrap();
        self.record = self.store.rollout(self.record.key).unwrap().unwrap();
        let taken = takeover::take(&self.store, self.record.clone()).unwrap();
        let gather = Duration::from_millis(4);
        let manner = Manner { is_heard: true, gather, in_flight_max: u32::MAX, look_every: None };
        Engine::new(vec![taken], epoch, manner, self.now())
    }

    /// A delivery reaches the device, or does not.
    fn send(&mut self, candidate: &Candidate) {
        let id = candidate.endpoint.id.to_string();
        let fate = self.dice.roll(100);
        let device = self.devices.get_mut(&id).unwrap();
        let not_sent = |fault| Outcome::NotSent { fault, detail: String::new() };
        let is_received = fate < 80 && !device.is_dead;
        let outcome = match fate {
            _ if device.is_dead => not_sent(Fault::ConnectRefused),
            0..70 => Outcome::Accepted { status: 200 },
            70..80 => Outcome::Unknown { fault: Fault::Reset, detail: String::new() },
            80..90 => not_sent(Fault::Reset),
            90..98 => Outcome::Refused { status: 503, retry_after: None, detail: String::new() },
            _ => Outcome::Refused { status: 404, retry_after: None, detail: String::new() },
        };
        if is_received {
            if self.spec.verify.mode == Mode::Version && device.receptions > 0 {
                assert!(device.showed_old, "{id} was sent to again without having shown why");
            }
            device.receptions += 1;
            device.showed_old = false;
            device.reboots_until = self.now + self.dice.roll(6_000) as i64;
            // Some take the update and lose it.
            if self.dice.roll(10) > 0 {
                "2".clone_into(&mut device.version);
            }
        }
        self.open.insert(candidate.id, candidate.endpoint.address.origin().to_owned());
        assert!(self.open.len() <= self.spec.limits.max_in_flight as usize, "max_in_flight");
        let host = candidate.endpoint.address.origin();
        let on_host = self.open.values().filter(|open| *open == host).count();
        assert!(on_host <= self.spec.limits.max_per_host as usize, "max_per_host");
        let at = self.now + 1 + self.dice.roll(50) as i64;
        let fact = Fact::Delivered(self.record.key, candidate.id, outcome);
        self.coming.push((at, fact, candidate.id));
    }

    fn ask(&mut self, candidate: &Candidate) {
        let device = self.devices.get_mut(&*candidate.endpoint.id).unwrap();
        let is_silent =
            device.is_dead || device.reboots_until > self.now || self.dice.roll(20) == 0;
        let answer = if is_silent {
            Answer::Silent { fault: Fault::ConnectRefused, detail: String::new() }
        } else {
            device.showed_old |= device.version != "2";
            Answer::Version { version: device.version.clone() }
        };
        let at = self.now + 1 + self.dice.roll(10) as i64;
        let fact = Fact::Asked(self.record.key, candidate.id, answer);
        self.coming.push((at, fact, candidate.id));
    }

    /// Drives until the run ends; with kills, takes over again and again.
    fn run(&mut self) -> Ending {
        let mut engine = self.engine();
        let mut facts: Vec<Fact> = vec![];
        for steps in 0..200_000_u32 {
            for command in engine.step(self.now(), facts.drain(..)) {
                if self.kill_every > 0 && self.dice.roll(self.kill_every) == 0 {
                    return self.killed(steps);
                }
                if let Some(ending) = self.carry_out(command, &mut facts) {
                    return ending;
                }
            }
            self.check(&engine);
            if facts.is_empty() {
                self.wait(&mut engine, &mut facts);
            }
        }
        panic!("the run does not end: {:?}", engine.progress(self.record.key, self.now(), 0));
    }

    fn killed(&mut self, steps: u32) -> Ending {
        self.lost += 1;
        self.coming.clear();
        self.jobs.clear();
        self.open.clear();
        self.now += self.dice.roll(30_000) as i64;
        if u64::from(steps) > 0 && self.lost > 200 {
            self.kill_every = 0;
        }
        self.run()
    }

    fn carry_out(&mut self, command: Command, facts: &mut Vec<Fact>) -> Option<Ending> {
        match command {
            Command::Store(job) if self.commit_max_ms > 0 => {
                let took = 1 + self.dice.roll(self.commit_max_ms) as i64;
                let begins = self.jobs.back().map_or(self.now, |(at, _)| *at);
                self.jobs.push_back((begins + took, job));
            }
            Command::Store(job) => facts.push(self.store_does(job)),
            Command::Open(opening) => facts.push(Fact::Opened(opening.rollout)),
            Command::Send(sending) => self.send(&sending.candidate),
            Command::Ask(_, question) => self.ask(&question.candidate),
            Command::Tell(_) | Command::Keep(_) | Command::Close(..) => {}
            Command::End(ending) => return Some(ending),
            Command::Choose(..)
            | Command::LookBack(..)
            | Command::Halt(_)
            | Command::Check(..)
            | Command::Examine(..) => {
                panic!("nobody wanted that")
            }
        }
        None
    }

    fn store_does(&mut self, job: Job) -> Fact {
        let did = do_job(&mut self.store, job);
        if let Done::Committed(_, Err(error)) = &did {
            panic!("{error}");
        }
        self.check_store();
        Fact::Store(did)
    }

    /// What is counted in step with the commits is what is there.
    fn check_store(&self) {
        let (key, round) = (self.record.key, self.record.progression.round);
        let cohorts = self.store.cohorts(key, round).unwrap();
        let counted: Counts = cohorts.into_iter().map(|cohort| cohort.counts).sum();
        assert_eq!(counted, self.store.count(key, round).unwrap());
    }

    fn check(&self, engine: &Engine) {
        let counts = engine.counts(self.record.key).unwrap();
        assert_eq!(counts.total() as usize, self.devices.len(), "counts add up");
        if self.spec.verify.mode != Mode::None {
            let max = u64::from(self.spec.limits.max_unverified);
            // A driver that died leaves what it had begun to the next one, in whatever state.
            let taken_over = if self.lost > 0 { max } else { 0 };
            let begun = counts.delivering + counts.verifying;
            assert!(begun <= max + taken_over, "max_unverified: {counts:?}");
        }
        if self.lost == 0 {
            let exposed = counts.delivering + counts.verifying + counts.retrying;
            assert!(exposed <= self.exposed_max, "too many begun: {counts:?}");
        }
    }

    /// Nothing happens by itself: the time moves on to the next thing that does.
    fn wait(&mut self, engine: &mut Engine, facts: &mut Vec<Fact>) {
        let next =
            self.coming.iter().map(|(at, _, _)| *at).chain(self.jobs.front().map(|(at, _)| *at));
        let next = next.min();
        let wake = engine.wake_at().map(|(at, _)| at.as_millis());
        let Some(at) = next.into_iter().chain(wake).min() else {
            panic!("it waits for nothing: {:?}", engine.progress(self.record.key, self.now(), 0));
        };
        self.now = self.now.max(at);
        let now = self.now;
        let (due, later) =
            std::mem::take(&mut self.coming).into_iter().partition(|(at, _, _)| *at <= now);
        self.coming = later;
        let due: Vec<_> = due;
        while let Some((_, job)) = self.jobs.pop_front_if(|(at, _)| *at <= now) {
            facts.push(self.store_does(job));
        }
        for (_, fact, id) in due {
            if matches!(fact, Fact::Delivered(..)) {
                self.open.remove(&id);
            }
            facts.push(fact);
        }
    }

    fn counts(&self) -> Counts {
        self.store.count(self.record.key, 1).unwrap()
    }
}

#[test]
fn every_device_ends_whatever_happens() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for seed in 0..60 {
        let mode = [Mode::Version, Mode::None, Mode::Reachable][seed as usize % 3];
        let mut world = World::new(seed, 60, spec(mode), dir.path());
        world.devices.get_mut("d7").unwrap().is_dead = true;
        assert_eq!(world.run(), Ending::Ended, "seed {seed}");
        let counts = world.counts();
        assert_eq!(counts.ended(), 60, "seed {seed}: {counts:?}");
        assert!(counts.succeeded > 30 && counts.unreachable >= 1, "seed {seed}: {counts:?}");
    }
}

#[test]
fn kills_at_any_command_lose_nothing_and_send_nothing_twice() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for seed in 100..140 {
        let mode = [Mode::Version, Mode::None][seed as usize % 2];
        let mut world = World::new(seed, 40, spec(mode), dir.path());
        world.kill_every = 25;
        assert_eq!(world.run(), Ending::Ended, "seed {seed}");
        assert!(world.lost > 0, "seed {seed}: only {} kills", world.lost);
        let counts = world.counts();
        assert_eq!(counts.ended(), 40, "seed {seed}: {counts:?}");
        let updated = world.devices.values().filter(|device| device.version == "2").count();
        assert!(updated as u64 >= counts.succeeded || mode == Mode::None, "seed {seed}");
    }
}

#[test]
fn a_slow_store_loses_no_retry() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for seed in 500..560 {
        let mode = [Mode::Version, Mode::None][seed as usize % 2];
        let mut spec = spec(mode);
        let (wait, cap) = (Duration::from_millis(5), Duration::from_millis(40));
        spec.retry = retry::Policy::new(6, wait, 2.0, cap, 0).unwrap();
        let mut world = World::new(seed, 60, spec, dir.path());
        world.commit_max_ms = 40;
        world.kill_every = if seed % 3 == 0 { 60 } else { 0 };
        assert_eq!(world.run(), Ending::Ended, "seed {seed}");
        assert_eq!(world.counts().ended(), 60, "seed {seed}");
    }
}

#[test]
fn full_hosts_expose_no_more_devices_than_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    // Without verification those on their way are not counted, of which there is one a host.
    for (mode, exposed_max) in [(Mode::Version, 12), (Mode::None, 12 + 7)] {
        let mut spec = spec(mode);
        spec.limits = Limits { max_unverified: 12, max_per_host: 1, ..spec.limits };
        let mut world = World::new(600, 200, spec, dir.path());
        world.exposed_max = exposed_max;
        world.devices.values_mut().for_each(|device| device.is_dead = true);
        assert_eq!(world.run(), Ending::Ended);
        assert_eq!(world.counts().unreachable, 200);
        std::fs::remove_file(dir.path().join("600.db")).unwrap();
    }
}

#[test]
fn canaries_go_alone_even_when_their_host_is_full() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 200..240 {
        let mut spec = with_canaries(9, spec(Mode::Version));
        spec.limits.max_per_host = 1;
        let mut world = World::new(seed, 60, spec, dir.path());
        let ending = world.run();
        let counts = world.counts();
        let begun = world.devices.values().filter(|device| device.receptions > 0).count();
        match ending {
            Ending::Paused => assert!(begun <= 9, "seed {seed}: {begun} devices, {counts:?}"),
            Ending::Ended => assert_eq!(counts.ended(), 60, "seed {seed}"),
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

#[test]
fn the_brake_stops_and_hands_back_what_was_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec { brake: Some(Brake::Count(4)), ..spec(Mode::Version) };
    let mut world = World::new(300, 200, spec, dir.path());
    world.devices.values_mut().for_each(|device| device.is_dead = true);
    assert_eq!(world.run(), Ending::Paused);
    let counts = world.counts();
    assert_eq!(counts.delivering, 0, "{counts:?}");
    assert!(counts.unreachable >= 5 && counts.queued > 100, "{counts:?}");
    let open = world.store.active(world.record.key).unwrap();
    assert!(open.iter().all(|candidate| candidate.assignment.state != State::Delivering));
}

#[test]
fn a_device_that_lost_its_address_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(350, 20, spec(Mode::Version), dir.path());
    for id in ["d3", "d19"] {
        let device = world.store.device(id).unwrap().unwrap();
        world.store.put_devices(&[&Device { address: None, ..device }]).unwrap();
    }
    assert_eq!(world.run(), Ending::Ended);
    let counts = world.counts();
    assert_eq!((counts.skipped, counts.ended()), (2, 20), "{counts:?}");
    assert_eq!(world.devices["d3"].receptions + world.devices["d19"].receptions, 0);
}

#[test]
fn a_store_that_fails_ends_the_run_and_loses_no_outcome() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for seed in 400..440 {
        // Some are due again, and claimed, before their failure is durable.
        let wait = Duration::from_millis(1);
        let retry = retry::Policy::new(6, wait, 1.0, wait, 0).unwrap();
        let spec = Spec { retry, ..spec([Mode::None, Mode::Version][seed as usize % 2]) };
        let mut world = World::new(seed, 50, spec, dir.path());
        let kept = fail_after(&mut world, 3 + seed as u32 % 9);
        assert!(!kept.is_empty(), "seed {seed}: nothing was kept");
        assert_eq!(world.counts().delivering, 0, "seed {seed}: {:?}", world.counts());
        assert_eq!(world.run(), Ending::Ended, "seed {seed}");
        assert_eq!(world.counts().ended(), 50, "seed {seed}");
    }
}

/// Runs over a store that fails after so many commits, and writes what was kept once it can be.
fn fail_after(world: &mut World, commits_max: u32) -> Vec<Batch> {
    let mut engine = world.engine();
    let mut facts: Vec<Fact> = vec![];
    let mut commits = 0;
    let mut kept: Vec<Batch> = vec![];
    'run: for _ in 0..10_000 {
        for command in engine.step(world.now(), std::mem::take(&mut facts)) {
            match command {
                Command::Store(Job::Commit(batch)) if commits >= commits_max => {
                    let failed = Done::Committed(*batch, Err(StoreError::WriterDied));
                    facts.push(Fact::Store(failed));
                }
                Command::Keep(batches) => kept = batches,
                Command::End(ending) => {
                    assert_eq!(ending, Ending::StoreFailed);
                    break 'run;
                }
                command => {
                    commits += u32::from(matches!(command, Command::Store(Job::Commit(_))));
                    assert_eq!(world.carry_out(command, &mut facts), None);
                }
            }
        }
        if facts.is_empty() {
            world.wait(&mut engine, &mut facts);
        }
    }
    for batch in &kept {
        world.store.commit(batch).unwrap();
    }
    world.check_store();
    assert_eq!(Some(&world.counts()), engine.counts(world.record.key));
    kept
}
