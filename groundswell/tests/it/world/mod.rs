//! A world in one thread: the production engine and store, a fleet, operators and a clock that are
//! thought up, and everything that may go wrong. All of it follows from one seed.
//!
//! After every step the invariants of [`groundswell::core::check`] are looked at, and what only a
//! world can see. docs/simulation.md says how to play a failure again.

mod agenda;
mod asleep;
mod checker;
mod courses;
mod dice;
mod division;
mod driver;
mod faults;
mod fleet;
mod looks;
mod operator;
mod rows;
mod runs;
mod shipments;
mod specs;
#[cfg(feature = "teeth")]
mod teeth;
mod trace;
mod turns;

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use groundswell::{
    core::{
        assignment::State,
        log::{DeviceStory, Entry, Record, Story},
        rollout::{Spec, State as RolloutState},
        time::Time,
        waiting::WaitingOn,
    },
    engine::fact::{Fact, Manner, Sending},
    operate::{prune, replay},
    store::{Batch, RolloutKey, SqliteStore, Store},
};

use self::{
    agenda::Agenda,
    asleep::Sleeper,
    checker::Checker,
    dice::Dice,
    division::Divisions,
    driver::{Driver, database},
    faults::{Faults, Mishap},
    fleet::Fleet,
    looks::Looks,
    operator::Operator,
    rows::Rows,
    shipments::Shipments,
    trace::Trace,
};

/// Days of clock changes in some zones, and one of none.
const DAYS: [&str; 5] = [
    "2026-03-07T20:00:00Z",
    "2026-03-28T12:00:00Z",
    "2026-06-10T08:00:00Z",
    "2026-10-24T18:00:00Z",
    "2026-10-31T12:00:00Z",
];

/// Steps between looks at every row.
const COMPARE_EVERY: u64 = 500;

/// How long everybody has, once nothing goes wrong any more.
const CALM: Duration = Duration::from_hours(5 * 24);

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
    /// This driver can send for a rollout, or cannot.
    Opened(u64, RolloutKey, bool),
    /// A lane of this driver begins a delivery.
    Begin(u64, u64, Box<Sending>),
    /// A delivery or question of this driver ends.
    Outcome(u64, u64, Box<Fact>),
    /// An update arrives at a device.
    Take(String, String),
    /// A device comes or goes.
    Flap(String),
    /// A device calls.
    CheckIn(String),
    /// More devices are imported.
    Grow,
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
    /// Nothing goes wrong any more.
    Calm,
}

struct World {
    seed: u64,
    dice: Dice,
    agenda: Agenda<Event>,
    driver: Option<Driver>,
    /// Drivers that were started.
    drivers: u64,
    /// When the driver wakes by itself, in true time: a timer does not follow a clock that is set.
    wake_at: Option<i64>,
    /// What the driver is to be told.
    facts: Vec<Fact>,
    /// What a driver could not write.
    kept: Vec<Batch>,
    /// A driver that was taken for dead.
    asleep: Option<Sleeper>,
    manner: Manner,
    /// The store as another process has it.
    desk: SqliteStore,
    fleet: Fleet,
    operator: Operator,
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
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    ends: BTreeMap<State, u64>,
    steps: u64,
    updates: u64,
    drivers: u64,
    trace: u64,
}

impl World {
    fn new(seed: u64, is_loud: bool) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut dice = Dice::new(seed);
        let day: jiff::Timestamp = dice.pick(&DAYS).parse().unwrap();
        let desk = SqliteStore::open(&database(dir.path())).unwrap();
        let rows = Rows::open(&database(dir.path()));
        let look_secs = *dice.pick(&[10, 30, 120, 300]);
        let manner = Manner {
            is_heard: dice.percent(50),
            gather: Duration::from_millis(*dice.pick(&[0, 5])),
            in_flight_max: *dice.pick(&[4, 20, 1_000]),
            look_every: Some(Duration::from_secs(look_secs)),
        };
        let count = *dice.pick(&[15, 60, 150, 300]);
        let calm_hours = dice.range(2, 40) as i64;
        let now = day.as_millisecond();
        let mut world = Self {
            seed,
            agenda: Agenda::new(now),
            driver: None,
            drivers: 0,
            wake_at: None,
            facts: vec![],
            kept: vec![],
            asleep: None,
            manner,
            desk,
            fleet: Fleet::new(dice.fork(), count),
            operator: Operator::new(dice.fork()),
            faults: Faults::draw(dice.fork()),
            checker: Checker::new(rows),
            divisions: Divisions::default(),
            shipments: Shipments::new(dir.path()),
            looks: Looks::default(),
            trace: Trace::new(is_loud),
            steps: 0,
            calm_at: now + calm_hours * 3_600_000,
            is_calm: false,
            dir,
            dice,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.trace.add(format!("{:?} {:?}", self.manner, self.faults));
        let ids: Vec<String> = self.fleet.devices.keys().cloned().collect();
        self.import(&ids);
        self.agenda.put(Duration::ZERO, Event::Start);
        self.agenda.put(Duration::from_millis(self.dice.roll(5_000)), Event::Create);
        self.agenda.put_at(self.calm_at, Event::Calm);
        for _ in 0..self.dice.roll(4) {
            let wait = Duration::from_secs(self.dice.roll(40_000));
            self.agenda.put(wait, Event::Grow);
        }
        if let Some(wait) = self.operator.next_act_in() {
            self.agenda.put(wait, Event::Act);
        }
        if let Some(wait) = self.faults.next_in() {
            self.agenda.put(wait, Event::Fault);
        }
    }

    /// Until everything has ended or says why not, or after so many steps.
    fn run(&mut self, steps_max: u64) -> Sum {
        self.go(steps_max);
        self.replay();
        let Self { steps, drivers, .. } = *self;
        let ends = self.checker.ends();
        Sum { ends, steps, updates: self.checker.updates, drivers, trace: self.trace.sum() }
    }

    /// The same, without a look at the logs.
    fn go(&mut self, steps_max: u64) {
        while self.steps < steps_max && !self.is_over() {
            self.turn();
        }
        if self.steps < steps_max {
            self.check_end();
        }
    }

    fn is_over(&self) -> bool {
        if !self.is_calm {
            return false;
        }
        if self.agenda.now > self.calm_at + CALM.as_millis() as i64 {
            return true;
        }
        let is_ended = |key: &RolloutKey| {
            let record = self.desk.rollout(*key).unwrap().unwrap();
            !record.progression.state.is_driven()
        };
        self.steps.is_multiple_of(50)
            && self.operator.to_create == 0
            && self.checker.oldest_wanted().is_none()
            && self.operator.rollouts.iter().all(is_ended)
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
        self.step();
    }

    fn happen(&mut self, event: Event) {
        let up = self.driver.as_ref().map(|driver| driver.no);
        match event {
            Event::StoreDone(no)
            | Event::Choose(no, ..)
            | Event::Opened(no, ..)
            | Event::Begin(no, ..)
            | Event::Outcome(no, ..)
                if up != Some(no) => {}
            Event::StoreDone(_) => self.store_done(),
            Event::Choose(_, key, spec) => self.chosen(key, &spec),
            Event::Opened(_, key, is_readable) => self.opened(key, is_readable),
            Event::Begin(_, errand, sending) => self.begin_errand(errand, sending),
            Event::Outcome(_, errand, fact) => self.outcome(errand, *fact),
            Event::Take(device, version) => {
                self.fleet.take(&device, &version, self.agenda.now);
                let wrong = self.shipments.end(&device);
                self.breached(wrong.as_slice());
            }
            Event::Flap(device) => self.flap(&device),
            Event::CheckIn(device) => self.check_in(&device),
            Event::Grow => {
                let count = self.dice.range(1, 20);
                let ids = self.fleet.grow(count);
                self.import(&ids);
            }
            Event::Create => self.create(),
            Event::Act => self.act(),
            Event::Care => self.care(),
            Event::Fault => self.fault(),
            Event::Start if up.is_none() => self.start(),
            Event::Start => {}
            Event::Calm => self.calm(),
        }
    }

    fn fault(&mut self) {
        let mishap = self.faults.mishap();
        self.trace.add(format!("{} {mishap:?}", self.stamp()));
        match mishap {
            Mishap::ClockJump(millis) => {
                self.agenda.offset += millis;
                self.checker.forget_rates();
                self.checker.turns.clock_set(self.agenda.clock());
            }
            Mishap::Crash => self.crash(),
            Mishap::Stop if self.driver.is_some() => self.facts.push(Fact::Stop),
            Mishap::Stop => {}
        }
        if let Some(wait) = self.faults.next_in() {
            self.agenda.put(wait, Event::Fault);
        }
    }

    fn calm(&mut self) {
        self.trace.add(format!("{} nothing goes wrong any more", self.stamp()));
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
        let Some(driver) = self.driver.as_mut() else { return };
        if driver.engine.wake_at().is_some_and(|(_, what)| what == "flush") {
            return;
        }
        let keys: Vec<RolloutKey> = driver.engine.rollouts().collect();
        let mut breaches = vec![];
        for key in keys {
            // What has ended in the driver's mind only waits to be written.
            if let Some(progress) = driver.engine.progress(key, now, 0)
                && progress.counts.waiting() + progress.counts.active() > 0
            {
                let idle = self.checker.idle(key, progress.waiting_on.len(), now).into_iter();
                breaches.extend(idle.map(|breach| format!("{breach}: {progress:?}")));
            }
        }
        self.breached(&breaches);
    }

    fn committed(&mut self, batch: &Batch, is_last: bool) {
        let breaches = self.checker.after_commit(&self.desk, batch, is_last);
        self.breached(&breaches);
        let key = batch.rollout;
        let wrong = match batch.progression.as_ref().map(|progression| progression.state) {
            None | Some(RolloutState::Draft | RolloutState::Preparing) => None,
            Some(RolloutState::Canceling | RolloutState::Aborting) => self.divisions.given_up(key),
            Some(_) => self.divisions.prepared(key, &self.checker.rows),
        };
        self.breached(wrong.as_slice());
        for (seq, answer) in &batch.answers {
            self.answered(*seq, answer);
        }
    }

    fn checker_compare(&self) {
        self.breached(&self.checker.compare());
    }

    fn check_step(&mut self) {
        self.look();
        if self.steps.is_multiple_of(COMPARE_EVERY) {
            self.checker_compare();
        }
        let Some(driver) = &self.driver else { return };
        if let Some((seq, put_at)) = self.checker.oldest_wanted() {
            let waited = self.agenda.now - put_at.max(driver.up_since);
            if waited > ANSWER_MAX.as_millis() as i64 {
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
            let Some(driver) = self.driver.as_mut() else { self.fail("no driver is up") };
            let Some(progress) = driver.engine.progress(key, now, 0) else {
                self.fail(&format!("rollout {} is not driven", key.0));
            };
            let can_wait = |reason: &WaitingOn| {
                matches!(
                    reason,
                    WaitingOn::Away { .. }
                        | WaitingOn::Joiners { .. }
                        | WaitingOn::Hours { .. }
                        | WaitingOn::StartAt { .. }
                        | WaitingOn::Rate { .. }
                )
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

    /// What is left of a log that was cut anywhere runs again, too.
    fn prune(&mut self) {
        for key in self.operator.rollouts.clone() {
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

    fn fail(&self, what: &str) -> ! {
        let mut text = String::new();
        let (seed, steps) = (self.seed, self.steps);
        let _ = writeln!(text, "{}\n{what}\n", self.trace);
        let _ = writeln!(text, "seed {seed}, step {steps}, at {}", self.now());
        panic!("{text}");
    }

    fn now(&self) -> Time {
        self.agenda.clock()
    }
}
