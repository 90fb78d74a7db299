//! A world in one thread: the production engine and store, a fleet, operators and a clock that are
//! thought up, and everything that may go wrong. All of it follows from one seed.
//!
//! After every step the invariants of [`groundswell::core::check`] are looked at, and what only a
//! world can see. docs/simulation.md says how to play a failure again.

mod agenda;
mod ahead;
mod alone;
mod back;
mod checker;
mod courses;
mod coverage;
mod dice;
mod division;
mod domains;
mod driver;
mod faults;
mod fleet;
mod health;
mod intents;
mod long;
mod looks;
mod operator;
mod outcomes;
mod outside;
mod push;
mod quarantine;
mod rhythm;
mod rows;
mod runs;
mod scenario;
mod shipments;
mod shrink;
mod specs;
mod stale;
mod storage;
#[cfg(feature = "teeth")]
mod teeth;
mod theme;
mod time_left;
mod trace;
mod turns;
mod wal;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use groundswell::{
    core::{
        assignment::State,
        log::{DeviceStory, Entry, Record, Story},
        release::Release,
        rollout::{Spec, State as RolloutState},
        snapshot::Counts,
        time::Time,
        waiting::WaitingOn,
    },
    engine::fact::{Fact, Manner, Sending},
    operate::{prune, replay},
    store::{Batch, RolloutKey, SqliteStore, Store},
};

use self::{
    agenda::Agenda,
    checker::Checker,
    coverage::Coverage,
    dice::Dice,
    division::Divisions,
    driver::{Driver, database},
    faults::{Faults, Mishap},
    fleet::Fleet,
    looks::Looks,
    operator::Operator,
    push::Push,
    rhythm::Rhythm,
    rows::Rows,
    scenario::Scenario,
    shipments::Shipments,
    stale::Frozen,
    storage::Storage,
    theme::Theme,
    trace::{Telling, Trace, tell},
};

/// Worlds of a push, of a hundred small ones without a theme.
const PUSH_PERCENT: u64 = 25;

/// Logs of a large world that are cut at its end, of a hundred.
const LARGE_PRUNED_PERCENT: u64 = 25;

/// How long everybody has, once nothing goes wrong any more.
const CALM: Duration = Duration::from_hours(5 * 24);

/// A large world is not run on for those who are never there, once it was calm for so long.
const LULL: Duration = Duration::from_hours(8);

/// An intent is answered within this, while a driver is up: some looks, and what claims a slow
/// store needs to write.
const ANSWER_MAX: Duration = Duration::from_mins(15);

/// What is to come.
#[derive(Debug)]
enum Event {
    /// The store of this driver comes to the end of a job.
    StoreDone(u64),
    /// This driver chooses the devices of a rollout.
    Choose(u64, RolloutKey, Box<Spec>),
    /// This driver looks where the devices of a rollout go back to.
    LookBack(u64, RolloutKey, Box<Release>),
    /// This driver can send for a rollout, or cannot.
    Opened(u64, RolloutKey, bool),
    /// A lane of this driver begins a delivery.
    Begin(u64, u64, Box<Sending>),
    /// A delivery or question of this driver ends.
    Outcome(u64, u64, Box<Fact>),
    /// A server behind a gate answers this driver.
    Replied(u64, Box<outside::Reply>),
    /// An outcome is told again, to whoever drives.
    Echo(Box<Fact>),
    /// An update arrives at a device.
    Take(usize, RolloutKey),
    /// A device comes or goes.
    Flap(usize),
    /// A device calls.
    CheckIn(usize),
    /// More devices are imported.
    Grow,
    /// Devices are imported again, in other zones.
    Travel,
    /// A rollout is created.
    Create,
    /// An operator does something.
    Act,
    /// An operator looks after what is paused.
    Care,
    /// Something goes wrong.
    Fault,
    /// A driver is started.
    Start,
    /// A driver that stood still wakes up.
    Thaw,
    /// Nothing goes wrong any more.
    Calm,
}

impl Event {
    /// The driver that it is for, which may be gone.
    const fn driver(&self) -> Option<u64> {
        match self {
            Self::StoreDone(no)
            | Self::Choose(no, ..)
            | Self::Replied(no, _)
            | Self::LookBack(no, ..)
            | Self::Opened(no, ..)
            | Self::Begin(no, ..)
            | Self::Outcome(no, ..) => Some(*no),
            _ => None,
        }
    }
}

struct World {
    scenario: Scenario,
    rhythm: Rhythm,
    dice: Dice,
    agenda: Agenda<Event>,
    driver: Option<Driver>,
    /// Drivers that were started.
    drivers: u64,
    /// When the driver wakes by itself, in true time: a timer does not follow a clock that is set.
    wake_at: Option<i64>,
    /// What the driver is to be told.
    facts: Vec<Fact>,
    /// A driver that stands still.
    frozen: Option<Frozen>,
    storage: Storage,
    /// The one push that this world is about, if it is.
    push: Option<Push>,
    manner: Manner,
    /// The store as another process has it.
    desk: SqliteStore,
    fleet: Fleet,
    operator: Operator,
    /// What servers behind external gates do.
    outside: Dice,
    /// Devices that call at this time.
    callers: Vec<usize>,
    faults: Faults,
    checker: Checker,
    divisions: Divisions,
    shipments: Shipments,
    looks: Looks,
    trace: Trace,
    steps: u64,
    calm_at: i64,
    is_calm: bool,
    dir: tempfile::TempDir,
    /// Where in it the state lies now.
    place: PathBuf,
    /// What has happened, and how often: proof that it does.
    happened: BTreeMap<&'static str, u64>,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    ends: BTreeMap<State, u64>,
    steps: u64,
    updates: u64,
    drivers: u64,
    trace: u64,
    coverage: Coverage,
    /// Whether it came to its end, or was left as it was.
    is_whole: bool,
    happened: BTreeMap<&'static str, u64>,
}

impl Sum {
    /// In a few lines.
    fn text(&self) -> String {
        let Self { steps, updates, drivers, trace, coverage, .. } = self;
        let mut text = format!(
            "{updates} device-updates, {steps} steps, {drivers} drivers, trace {trace:x}\n{coverage}"
        );
        for (state, count) in &self.ends {
            let _ = writeln!(text, "{count:>8} {state}");
        }
        for (what, count) in &self.happened {
            let _ = writeln!(text, "{count:>8} {what}");
        }
        text
    }
}

impl World {
    fn new(scenario: &Scenario, telling: Telling) -> Self {
        let scenario = scenario.clone();
        let rhythm = scenario.rhythm();
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut dice = Dice::new(scenario.seed);
        let place = dir.path().join("state");
        std::fs::create_dir(&place).unwrap();
        // Who starts a rollout looks whether there is something to send.
        std::fs::create_dir(place.join("artifacts")).unwrap();
        std::fs::write(specs::file_in(&place), "a release").unwrap();
        let desk = SqliteStore::open(&database(&place)).unwrap();
        let rows = Rows::open(&database(&place));
        let begins_at = rhythm.theme.begins_at(&mut dice);
        let now = begins_at.as_millis();
        let may_push = rhythm.theme == Theme::Any && !rhythm.is_large;
        let is_push = dice.percent(PUSH_PERCENT) && may_push;
        let push = is_push.then(|| Push::draw(dice.fork(), begins_at));
        let manner = Manner {
            is_heard: dice.percent(50),
            gather: Duration::from_millis(*dice.pick(&[0, 5])),
            in_flight_max: rhythm.in_flight_max,
            look_every: (!is_push).then(|| Duration::from_secs(rhythm.look_secs)),
        };
        let mut world = Self {
            agenda: Agenda::new(now, rhythm.beat_ms),
            driver: None,
            drivers: 0,
            wake_at: None,
            facts: vec![],
            frozen: None,
            storage: Storage::default(),
            push,
            manner,
            desk,
            fleet: Fleet::new(dice.fork(), &rhythm, Dice::new(scenario.seed ^ 0x7761_7264)),
            outside: Dice::new(scenario.seed ^ 0x0067_6174_6573),
            operator: Operator::new(dice.fork(), &rhythm, &scenario),
            callers: vec![],
            faults: Faults::draw(dice.fork(), &scenario, &rhythm),
            checker: Checker::new(rows),
            divisions: Divisions::default(),
            shipments: Shipments::new(dir.path()),
            looks: Looks::default(),
            trace: Trace::new(telling),
            steps: 0,
            calm_at: now + rhythm.calm_hours as i64 * 3_600_000,
            is_calm: false,
            dir,
            place,
            happened: BTreeMap::new(),
            scenario,
            rhythm,
            dice,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        tell!(self, "{:?} {:?}", self.manner, self.faults);
        tell!(self, "{:?}", self.rhythm);
        if !self.rhythm.is_large {
            self.note(self.rhythm.theme.text());
        }
        self.import(0..self.fleet.devices.len());
        self.agenda.put(Duration::ZERO, Event::Start);
        self.agenda.put_at(self.calm_at, Event::Calm);
        if let Some(wait) = self.faults.next_in() {
            self.agenda.put(wait, Event::Fault);
        }
        if self.push.is_some() {
            self.operator.to_create = 0;
            return;
        }
        self.agenda.put(Duration::from_millis(self.dice.roll(5_000)), Event::Create);
        for _ in 0..self.rhythm.theme.imports(&mut self.dice) {
            let wait = Duration::from_secs(self.dice.roll(40_000));
            self.agenda.put(wait, Event::Grow);
        }
        let often = *self.dice.pick(&[0, 3, 30]);
        for _ in 0..often {
            let wait = Duration::from_secs(self.dice.roll(60_000));
            self.agenda.put(wait, Event::Travel);
        }
        if let Some(wait) = self.operator.next_act_in() {
            self.agenda.put(wait, Event::Act);
        }
    }

    /// Until everything has ended or says why not, or after so many steps, or until told to stop.
    fn run(&mut self, steps_max: u64, stop: &AtomicBool) -> Sum {
        let is_whole = self.go(steps_max, stop);
        if !stop.load(Ordering::Relaxed) {
            self.replay();
        }
        let Self { steps, drivers, .. } = *self;
        let coverage = std::mem::take(&mut self.checker.coverage);
        let happened = std::mem::take(&mut self.happened);
        Sum {
            ends: self.checker.ends(),
            steps,
            updates: self.checker.updates,
            drivers,
            trace: self.trace.sum(),
            coverage,
            is_whole,
            happened,
        }
    }

    /// The same, without a look at the logs; says whether it came to its end.
    fn go(&mut self, steps_max: u64, stop: &AtomicBool) -> bool {
        let mut is_over = false;
        while self.steps < steps_max && !is_over && !stop.load(Ordering::Relaxed) {
            self.turn();
            is_over = self.is_over();
        }
        if is_over {
            self.check_end();
        }
        is_over
    }

    fn is_over(&mut self) -> bool {
        if !self.is_calm {
            return false;
        }
        if self.agenda.now > self.calm_at + CALM.as_millis() as i64 {
            return true;
        }
        if let Some(push) = &self.push {
            return push.is_over;
        }
        if !self.steps.is_multiple_of(50)
            || self.operator.to_create > 0
            || self.checker.intents.oldest().is_some()
        {
            return false;
        }
        let is_late = self.agenda.now > self.calm_at + LULL.as_millis() as i64;
        let may_wait = self.rhythm.is_large && is_late;
        let keys = self.operator.rollouts.clone();
        keys.into_iter().all(|key| self.is_done(key, may_wait))
    }

    /// Whether a rollout has ended; or, if it `may_wait`, goes on only for devices that are not there.
    fn is_done(&mut self, key: RolloutKey, may_wait: bool) -> bool {
        let now = self.agenda.clock();
        if let Some(driver) = self.driver.as_mut()
            && let Some(progress) = driver.engine.progress(key, now, 0)
        {
            let is_it = |reason: &WaitingOn| {
                matches!(reason, WaitingOn::Away { .. } | WaitingOn::Joiners { .. })
                    || is_of_others(reason)
            };
            return may_wait && progress.waiting_on.iter().any(is_it);
        }
        let record = self.desk.rollout(key).unwrap().unwrap();
        !record.progression.state.is_driven()
    }

    /// The time goes on to whatever is next, and that happens.
    fn turn(&mut self) {
        let wake = self.wake_at.filter(|_| self.driver.is_some());
        let next = self.agenda.next_at().into_iter().chain(wake).min();
        if self.facts.is_empty() {
            let Some(next) = next else { self.fail("nothing will ever happen") };
            self.idle(next);
            self.agenda.now = self.agenda.now.max(next);
        }
        while let Some(event) = self.agenda.pop() {
            self.happen(event);
        }
        self.heard();
        self.step();
    }

    fn happen(&mut self, event: Event) {
        let up = self.driver.as_ref().map(|driver| driver.no);
        if let Some(no) = event.driver()
            && up != Some(no)
        {
            return self.hold(no, event);
        }
        match event {
            Event::StoreDone(_) => self.store_done(),
            Event::Choose(_, key, spec) => self.chosen(key, &spec),
            Event::LookBack(_, key, release) => self.looked_back(key, &release),
            Event::Opened(_, key, is_readable) => self.opened(key, is_readable),
            Event::Begin(_, errand, sending) => self.begin_errand(errand, sending),
            Event::Outcome(_, errand, fact) => self.outcome(errand, *fact),
            Event::Replied(_, reply) => self.replied(*reply),
            Event::Echo(fact) => self.echo(*fact),
            Event::Take(no, key) => {
                let version = &self.checker.spec(key).release.version;
                self.fleet.take(no, version, self.agenda.now);
                let wrong = self.shipments.end(no);
                self.breached(wrong.as_slice());
            }
            Event::Flap(no) => self.flap(no),
            Event::CheckIn(no) => self.check_in(no),
            Event::Grow => {
                let count = self.dice.range(1, 20);
                let room = self.scenario.devices_max.unwrap_or(u64::MAX);
                let count = count.min(room.saturating_sub(self.fleet.devices.len() as u64));
                let numbers = self.fleet.grow(count);
                self.import(numbers);
            }
            Event::Travel => self.travel(),
            Event::Create => self.create(),
            Event::Act => self.act(),
            Event::Care => self.care(),
            Event::Fault => self.fault(),
            Event::Start if up.is_none() => self.start(),
            Event::Start => {}
            Event::Thaw => self.thaw(),
            Event::Calm => self.calm(),
        }
    }

    fn fault(&mut self) {
        let mishap = self.faults.mishap();
        tell!(self, "{} {mishap:?}", self.stamp());
        match mishap {
            Mishap::ClockJump(millis) => {
                self.agenda.offset += millis;
                self.checker.forget_rates();
                self.checker.turns.clock_set(self.agenda.clock());
                self.checker.unsettled(self.agenda.clock());
            }
            Mishap::Crash => self.crash(),
            Mishap::Stop if self.driver.is_some() => self.facts.push(Fact::Stop),
            Mishap::Stop => {}
            Mishap::Freeze(wait) => self.freeze(wait),
        }
        if let Some(wait) = self.faults.next_in() {
            self.agenda.put(wait, Event::Fault);
        }
    }

    fn calm(&mut self) {
        tell!(self, "{} nothing goes wrong any more", self.stamp());
        self.is_calm = true;
        self.faults.calm();
        self.fleet.calm();
        self.calm_operator();
    }

    /// The true time since the start, and what the driver's clock says.
    fn stamp(&self) -> String {
        format!("{:>7} {}", self.steps, self.agenda.clock())
    }

    fn breached(&self, breaches: &[String]) {
        if !breaches.is_empty() {
            self.fail(&breaches.join("\n"));
        }
    }

    /// Nothing happens until `next`: whatever is open says why.
    fn idle(&mut self, next: i64) {
        let now = self.agenda.clock();
        if next <= self.agenda.now || self.faults.open_max_ms + self.faults.store_max_ms > 0 {
            return;
        }
        let Some(driver) = &self.driver else { return };
        // A timer that only the beat holds back may be about to say more.
        let is_held = |at: Time| self.agenda.when(at) < next;
        if driver.engine.wake_at().is_some_and(|(at, what)| what == "flush" || is_held(at)) {
            return;
        }
        let mut breaches = vec![];
        for key in driver.engine.rollouts() {
            // What has ended in the driver's mind only waits to be written.
            let is_open = |counts: &Counts| counts.waiting() + counts.active() > 0;
            if driver.engine.counts(key).is_some_and(is_open)
                && let Some(waiting_on) = driver.engine.waiting_on(key)
            {
                let idle = self.checker.idle(key, waiting_on.len(), now).into_iter();
                let wake = driver.engine.wake_at();
                let counts = driver.engine.counts(key);
                let told = || format!("{counts:?}, {} jobs, awake at {wake:?}", driver.jobs.len());
                breaches.extend(idle.map(|breach| format!("{breach}: {}", told())));
                let state = driver.engine.progression(key).map(|of| of.state);
                let counts = driver.engine.counts(key);
                let held = state
                    .zip(counts)
                    .and_then(|(state, counts)| looks::host_fault(waiting_on, state, counts));
                // Of who has called since the driver looked it does not know.
                let is_looked = self.checker.intents.oldest().is_none();
                let domain = self.checker.domain_fault(waiting_on).filter(|_| is_looked);
                let held = held.into_iter().chain(domain);
                breaches.extend(held.map(|why| format!("rollout {}: {why}", key.0)));
            }
        }
        self.breached(&breaches);
    }

    fn committed(&mut self, batch: &Batch, is_last: bool) {
        for change in &batch.changes {
            self.trace.mark((change.id, change.to.state));
        }
        let breaches = self.checker.after_commit(&self.desk, batch, is_last);
        self.breached(&breaches);
        self.note_left_out(batch);
        let key = batch.rollout;
        let wrong = match batch.progression.as_ref().map(|progression| progression.state) {
            None | Some(RolloutState::Draft | RolloutState::Preparing) => None,
            Some(
                RolloutState::Canceling
                | RolloutState::Canceled
                | RolloutState::Aborting
                | RolloutState::Aborted,
            ) => self.divisions.given_up(key),
            Some(_) => self.divisions.prepared(key, &self.checker.rows),
        };
        self.breached(wrong.as_slice());
        if batch.rollback.is_some() {
            self.rolled_back(key, None);
        }
        for (seq, answer) in &batch.answers {
            self.answered(*seq, answer);
        }
    }

    fn checker_compare(&self) {
        self.breached(&self.checker.compare());
    }

    fn check_step(&mut self) {
        self.look();
        if self.steps.is_multiple_of(self.rhythm.compare_every) {
            self.checker_compare();
        }
        if let Some(updates) = self.scenario.plant
            && self.checker.updates >= updates
            && self.drivers > 1
        {
            self.fail(&format!("a planted failure, behind {updates} updates and a restart"));
        }
        let Some(driver) = &self.driver else { return };
        if let Some((seq, put_at)) = self.checker.intents.oldest() {
            let waited = self.agenda.now - put_at.max(driver.up_since);
            // A slow store takes seconds for each of thousands of devices that called or were released
            // while nobody drove, one by one.
            let is_slow = self.faults.store_max_ms >= 1_000;
            let max = if is_slow { ANSWER_MAX * 32 } else { ANSWER_MAX };
            if waited > max.as_millis() as i64 {
                self.fail(&format!("nobody answers intent {}", seq.0));
            }
        }
    }

    /// Everything has ended, or says what it waits for, which is nothing that anybody could do.
    fn check_end(&mut self) {
        self.checker_compare();
        let now = self.agenda.clock();
        for key in self.operator.rollouts.clone() {
            let record = self.desk.rollout(key).unwrap().unwrap();
            if !record.progression.state.is_driven() {
                continue;
            }
            let Some(driver) = self.driver.as_mut() else {
                // A push that is paused or was killed is run again by and by.
                match self.push {
                    Some(_) => continue,
                    None => self.fail("no driver is up"),
                }
            };
            let Some(progress) = driver.engine.progress(key, now, 0) else {
                self.fail(&format!("rollout {} is not driven", key.0));
            };
            let can_wait = |reason: &WaitingOn| match reason {
                WaitingOn::Soak { until, .. } => *until > now,
                WaitingOn::Away { .. }
                | WaitingOn::Joiners { .. }
                | WaitingOn::Hours { .. }
                | WaitingOn::StartAt { .. }
                | WaitingOn::Rate { .. } => true,
                // Nobody has seen them come back.
                reason => is_of_others(reason),
            };
            if !progress.waiting_on.iter().any(can_wait) {
                let state = record.progression;
                self.fail(&format!("rollout {} is stuck: {progress:?} {state:?}", key.0));
            }
        }
    }

    /// Every log runs again as it was written.
    fn replay(&mut self) {
        for key in self.operator.rollouts.clone() {
            let report = replay(&self.desk, key).unwrap();
            if let Some(first) = report.mismatches.first() {
                let mut rows = vec![];
                let mut entry = 0;
                self.desk
                    .for_each_log_row(key, &mut |row| {
                        entry += 1;
                        if (first.entry.saturating_sub(8)..=first.entry).contains(&entry) {
                            rows.push(format!("{entry}: {} {:.900}", row.at, row.body));
                        }
                        Ok(())
                    })
                    .unwrap();
                let rows = rows.join("\n");
                self.fail(&format!("the log of rollout {}: {first:#?}\n{rows}", key.0));
            }
        }
        if let Some(key) = self.operator.rollouts.last() {
            self.explain(*key);
        }
        self.prune();
    }

    /// A log tells its rollout, and a device that was claimed by its name.
    fn explain(&self, key: RolloutKey) {
        let (mut story, mut name) = (Story::default(), None);
        let mut entries = vec![];
        self.desk
            .for_each_log_row(key, &mut |row| {
                let records = serde_json::from_str(&row.body).unwrap();
                entries.push(Entry { at: row.at, records });
                Ok(())
            })
            .unwrap();
        for entry in &entries {
            story.entry(entry);
            let met = entry.records.iter().find_map(|record| match record {
                Record::Met(met) => met.first(),
                _ => None,
            });
            name = name.or_else(|| met.map(|met| met.1.clone()));
        }
        let (lines, report) = story.finish();
        if lines.is_empty() || !report.mismatches.is_empty() {
            self.fail(&format!("rollout {} is told as {lines:#?}\n{report:?}", key.0));
        }
        if let Some(name) = name {
            let mut story = DeviceStory::new(&name, []);
            for entry in &entries {
                story.entry(entry);
            }
            let (lines, _) = story.finish();
            if !lines.iter().any(|line| line.text.starts_with("claimed")) {
                self.fail(&format!("{name} is told as {lines:#?}"));
            }
        }
    }

    /// What is left of a log that was cut anywhere runs again, too; of a large world, whose logs are
    /// long, that of some rollouts.
    fn prune(&mut self) {
        for key in self.operator.rollouts.clone() {
            if self.rhythm.is_large && !self.dice.percent(LARGE_PRUNED_PERCENT) {
                continue;
            }
            let mut times = vec![];
            self.desk
                .for_each_log_row(key, &mut |row| {
                    times.push(row.at);
                    Ok(())
                })
                .unwrap();
            let before = *self.dice.pick(&times);
            let pruned = prune(&mut self.desk, key, before).unwrap();
            let report = replay(&self.desk, key).unwrap();
            if let Some(first) = report.mismatches.first() {
                self.fail(&format!("log {} pruned by {pruned:?}: {first:#?}\n{report:?}", key.0));
            }
        }
    }

    /// Something of what may go wrong has.
    fn note(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
        tell!(self, "{} {what}", self.stamp());
    }

    fn fail(&self, what: &str) -> ! {
        let mut text = String::new();
        let (seed, steps) = (self.scenario.seed, self.steps);
        let _ = writeln!(text, "{}\n{what}\n", self.trace);
        let theme = self.rhythm.theme.text();
        let _ = writeln!(text, "seed {seed}, step {steps}, at {}, {theme}", self.now());
        panic!("{text}");
    }

    fn now(&self) -> Time {
        self.agenda.clock()
    }
}

/// Whether a failure domain is waited for of which others are out of order.
const fn is_of_others(reason: &WaitingOn) -> bool {
    matches!(reason, WaitingOn::Domain { full, .. } if full.down + full.failed + full.under_way > 0)
}
