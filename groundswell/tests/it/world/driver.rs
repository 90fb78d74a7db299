//! The driver of a world: the production engine over the production store, and around it what the
//! shell would be.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use groundswell::{
    core::{
        ids::AssignmentId,
        outcome::{Answer, Fault, Outcome},
        release::Release,
        time::Time,
    },
    engine::{
        choose::{choose, look_back},
        fact::{Command, Ending, Fact, Opening, Sending},
        step::Engine,
        takeover,
        watch::Question,
    },
    store::{
        Batch, RolloutKey, SqliteStore, Store, TroubleStore as _, Which,
        writer::{Done, Job, do_job},
    },
};

use super::{Event, World, checker::job_text, fleet::Fleet, trace::tell};

/// Steps in a row that change nothing and that the clock does not move for.
const SPINS_MAX: u32 = 20;

/// Of a large world, the bytes for one in so many devices are looked at.
const SHIPPED_EVERY: usize = 64;

/// A driver that is up.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Which one: what an earlier one had under way dies with it.
    pub(crate) no: u64,
    pub(crate) engine: Engine,
    pub(crate) store: SqliteStore,
    pub(crate) jobs: VecDeque<Job>,
    busy_until: i64,
    /// Rollouts for which something can be sent.
    pub(crate) outlets: BTreeSet<RolloutKey>,
    /// Deliveries and questions under way.
    errands: BTreeMap<u64, Errand>,
    next_errand: u64,
    /// Deliveries among them.
    open: usize,
    /// Whether the database may grow no more.
    pub(crate) is_disk_full: bool,
    /// What it kept, having failed to write it.
    pub(crate) kept: Vec<Batch>,
    /// When it was started, in true time.
    pub(crate) up_since: i64,
    spins: u32,
}

#[derive(Clone, Debug)]
struct Errand {
    rollout: RolloutKey,
    id: AssignmentId,
    is_question: bool,
    /// Whether it is asked how it is, which is a question, too.
    is_examination: bool,
    has_begun: bool,
    /// What the clock said when it was asked for: what is open may end, whatever it says later.
    asked_at: Time,
}

impl Driver {
    /// An errand is over; false if it was cut off before.
    fn over(&mut self, errand: u64) -> bool {
        let Some(errand) = self.errands.remove(&errand) else {
            return false;
        };
        self.open -= usize::from(!errand.is_question);
        true
    }

    /// Whether a delivery to a device, or a question, is under way.
    pub(crate) fn is_open(&self, id: Option<AssignmentId>) -> bool {
        self.errands.values().any(|errand| Some(errand.id) == id)
    }

    /// Deliveries of a rollout that were handed out and have not ended.
    pub(crate) fn open_to(&self, key: RolloutKey) -> u64 {
        let errands = self.errands.values();
        errands.filter(|errand| errand.rollout == key && !errand.is_question).count() as u64
    }
}

/// Where the database of a world is.
pub(crate) fn database(dir: &std::path::Path) -> PathBuf {
    dir.join("state.db")
}

impl World {
    /// Starts a driver, which takes over what is there.
    pub(crate) fn start(&mut self) {
        let now = self.agenda.clock();
        let Some((mut store, epoch)) = self.open_store() else { return };
        let driven = if self.push.is_some() {
            let Some(record) = self.begin_push(&mut store) else { return };
            vec![record]
        } else {
            store.rollouts(Which::Driven).unwrap()
        };
        let taken =
            driven.into_iter().map(|record| takeover::take(&store, record).unwrap()).collect();
        let mut engine = Engine::new(taken, epoch, self.manner, now);
        engine.know_failed(store.failed_devices(None).unwrap());
        engine.park_at_most(self.rhythm.parked_max);
        self.drivers += 1;
        tell!(self, "{} driver {} starts", self.stamp(), self.drivers);
        self.driver = Some(Driver {
            no: self.drivers,
            engine,
            store,
            jobs: VecDeque::new(),
            busy_until: self.agenda.now,
            outlets: BTreeSet::new(),
            errands: BTreeMap::new(),
            next_errand: 0,
            open: 0,
            is_disk_full: self.is_disk_full(),
            kept: vec![],
            up_since: self.agenda.now,
            spins: 0,
        });
        self.wake_at = Some(self.agenda.now);
        let breaches = self.checker.restarted(now);
        self.breached(&breaches);
        self.looks.began();
        self.checker_compare();
    }

    /// The driver dies: what the store was given may have been carried out, or not.
    pub(crate) fn crash(&mut self) {
        let Some(mut driver) = self.driver.take() else {
            return;
        };
        tell!(self, "{} driver {} dies", self.stamp(), driver.no);
        let done = self.faults.dice.roll(driver.jobs.len() as u64 + 1);
        for job in driver.jobs.drain(..).take(done as usize) {
            self.carry_out_job(&mut driver.store, job);
        }
        self.start_later();
    }

    /// One step, and what it wants done.
    pub(crate) fn step(&mut self) {
        let now = self.agenda.clock();
        let Some(driver) = self.driver.as_mut() else {
            return self.facts.clear();
        };
        let is_due = self.wake_at.is_some_and(|at| at <= self.agenda.now);
        if self.facts.is_empty() && !is_due {
            return;
        }
        self.steps += 1;
        let facts = shuffled(std::mem::take(&mut self.facts), &mut self.dice);
        let had_facts = !facts.is_empty();
        let commands = driver.engine.step(now, facts);
        self.trace.mark((now.as_millis(), commands.len()));
        let wake = driver.engine.wake_at();
        let wake = wake.map(|(at, _)| self.agenda.timer(self.agenda.when(at)));
        self.wake_at = wake;
        let is_idle = commands.is_empty() && !had_facts && wake <= Some(self.agenda.now);
        driver.spins = if is_idle { driver.spins + 1 } else { 0 };
        if driver.spins > SPINS_MAX {
            let wake = driver.engine.wake_at();
            self.fail(&format!("it wakes again and again for nothing: {wake:?}, it is {now:?}"));
        }
        for command in commands {
            if self.faults.crash.comes() {
                self.note("crash: between two commands");
                return self.crash();
            }
            self.carry_out(command);
            if self.driver.is_none() {
                return;
            }
        }
        self.check_step();
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Store(job) => {
                if !matches!(job, Job::Look { .. }) {
                    tell!(self, "{} store: {}", self.stamp(), job_text(&job));
                }
                if let Job::Commit(batch) = &job {
                    self.checker.given(batch.rollout);
                }
                self.give(job);
            }
            Command::Choose(key, spec) => {
                tell!(self, "{} choose for {}", self.stamp(), key.0);
                let wait = self.faults.opening_takes();
                self.later(wait, |no| Event::Choose(no, key, spec));
            }
            Command::LookBack(key, release) => {
                tell!(self, "{} look back for {}", self.stamp(), key.0);
                let wait = self.faults.opening_takes();
                self.later(wait, |no| Event::LookBack(no, key, release));
            }
            Command::Open(opening) => self.open(&opening),
            Command::Send(sending) => {
                self.checker.handed_out(sending.rollout, self.agenda.clock());
                self.send(sending);
            }
            Command::Ask(key, question) => self.ask(key, &question),
            Command::Examine(key, examination) => self.examine(key, &examination),
            Command::Check(key, inquiry) => self.inquire(key, &inquiry),
            Command::Halt(key) => self.cut(key, "halt"),
            Command::Tell(_) => {}
            Command::Keep(batches) => self.keep(batches),
            Command::Close(key, ending) => {
                tell!(self, "{} closed {}: {ending:?}", self.stamp(), key.0);
                self.cut(key, "close");
                self.running().outlets.remove(&key);
            }
            Command::End(ending) => self.ended(ending),
        }
    }

    fn ended(&mut self, ending: Ending) {
        tell!(self, "{} the run ended: {ending:?}", self.stamp());
        let Some(driver) = self.driver.take() else {
            return;
        };
        let is_lost = driver.jobs.iter().any(|job| matches!(job, Job::Commit(_)));
        if is_lost && ending != Ending::StoreFailed {
            self.fail(&format!("it ended with jobs open: {:?}", driver.jobs));
        }
        self.start_later();
    }

    pub(crate) fn running(&mut self) -> &mut Driver {
        self.driver.as_mut().unwrap()
    }

    pub(crate) fn later(&mut self, wait: Duration, event: impl FnOnce(u64) -> Event) {
        let no = self.drivers;
        self.agenda.put(wait, event(no));
    }

    fn give(&mut self, job: Job) {
        let takes = self.faults.store_takes().as_millis() as i64;
        let now = self.agenda.now;
        let driver = self.running();
        driver.jobs.push_back(job);
        driver.busy_until = driver.busy_until.max(now) + takes;
        let (at, no) = (driver.busy_until, driver.no);
        self.agenda.put_at(at, Event::StoreDone(no));
    }

    pub(crate) fn carry_out_job(&mut self, store: &mut SqliteStore, job: Job) -> Done {
        if let Job::Commit(batch) = &job {
            let breaches = self.checker.before_commit(&self.desk, batch);
            self.breached(&breaches);
        }
        let seq = match &job {
            Job::Answer(seq, answer) => Some((*seq, answer.clone())),
            _ => None,
        };
        let done = do_job(store, job);
        match &done {
            Done::Committed(batch, Ok(())) => {
                let batch = batch.clone();
                self.committed(&batch, true);
            }
            Done::Assigned(key, Ok(_)) => {
                let breaches = self.checker.assigned(&self.desk, *key, self.agenda.clock());
                self.breached(&breaches);
            }
            Done::Answered(_, Ok(())) => {
                if let Some((seq, answer)) = seq {
                    self.checker.answered_apart(seq);
                    self.answered(seq, &answer);
                }
            }
            Done::Discarded(key, Ok(_)) | Done::RoundOpened(key, Ok(_)) => {
                self.checker.rows_moved(*key);
            }
            Done::Fetched(_, Ok(_))
            | Done::Read(_, Ok(_))
            | Done::Rollbacks(Ok(_))
            | Done::Looked(Ok(_))
            | Done::Waiting(_, Ok(_))
            | Done::Reviewed(_, Ok(_))
            | Done::Forgotten(Ok(()))
            | Done::Slots(Ok(_))
            | Done::HasFailed(_, Ok(_))
            | Done::Patients(_, Ok(_)) => {}
            failed => self.refused(failed),
        }
        done
    }

    /// The devices of a rollout are chosen, by a connection of its own.
    pub(crate) fn chosen(&mut self, key: RolloutKey, spec: &groundswell::core::rollout::Spec) {
        let store = SqliteStore::open_to_read(&database(&self.place)).unwrap().unwrap();
        let division = choose(&store, spec, self.agenda.clock()).unwrap();
        tell!(self, "{} chose {} devices", self.stamp(), division.devices.len());
        // Counted out device by device, which takes too long for thousands every time.
        if spec.rolls_back.is_none() && (!self.rhythm.is_large || self.divisions.is_first(key)) {
            let devices = self.fleet.devices.iter().map(|device| &device.known);
            self.divisions.chosen(key, spec, devices);
        }
        self.facts.push(Fact::Chosen(key, Some(Box::new(division))));
    }

    pub(crate) fn looked_back(&mut self, key: RolloutKey, release: &Release) {
        let store = SqliteStore::open_to_read(&database(&self.place)).unwrap().unwrap();
        let found = look_back(&store, key, release).unwrap();
        self.facts.push(Fact::LookedBack(key, Some(Box::new(found))));
    }

    fn open(&mut self, opening: &Opening) {
        let key = opening.rollout;
        let is_readable = !self.faults.dice.percent(self.faults.unsendable);
        tell!(self, "{} open {}, readable: {is_readable}", self.stamp(), key.0);
        let wait = self.faults.opening_takes();
        self.later(wait, |no| Event::Opened(no, key, is_readable));
    }

    pub(crate) fn opened(&mut self, key: RolloutKey, is_readable: bool) {
        if is_readable {
            self.running().outlets.insert(key);
            self.facts.push(Fact::Opened(key));
        } else {
            self.facts.push(Fact::Unsendable(key, "it cannot be read".to_owned()));
        }
    }

    fn errand(&mut self, rollout: RolloutKey, id: AssignmentId, is_question: bool) -> u64 {
        let asked_at = self.agenda.clock();
        let driver = self.running();
        driver.next_errand += 1;
        let errand =
            Errand { rollout, id, is_question, is_examination: false, has_begun: false, asked_at };
        driver.errands.insert(driver.next_errand, errand);
        driver.open += usize::from(!is_question);
        driver.next_errand
    }

    pub(crate) fn examination(&mut self, rollout: RolloutKey, id: AssignmentId) -> u64 {
        let errand = self.errand(rollout, id, true);
        if let Some(errand) = self.running().errands.get_mut(&errand) {
            errand.is_examination = true;
        }
        errand
    }

    /// A delivery is handed to a lane, which begins a little later.
    fn send(&mut self, sending: Sending) {
        let (key, id) = (sending.rollout, sending.candidate.id);
        let (device, attempt) =
            (&sending.candidate.endpoint.id, sending.candidate.assignment.attempt);
        tell!(self, "{} {}: send {id} to {device}, attempt {attempt}", self.stamp(), key.0);
        if !self.running().outlets.contains(&key) {
            return self.facts.push(Fact::Returned(key, id));
        }
        let errand = self.errand(key, id, false);
        self.check_open();
        let wait = Duration::from_millis(if self.dice.percent(80) { 0 } else { self.dice.roll(5) });
        self.later(wait, |no| Event::Begin(no, errand, Box::new(sending)));
    }

    /// A lane begins a delivery: it may ask first, and looks whether it still may send.
    pub(crate) fn begin_errand(&mut self, errand: u64, sending: Box<Sending>) {
        let now = self.agenda.now;
        let (key, id) = (sending.rollout, sending.candidate.id);
        let device = &sending.candidate.endpoint.id;
        let no = Fleet::number(device);
        let driver = self.driver.as_mut().unwrap();
        let Some(open) = driver.errands.get_mut(&errand) else {
            return;
        };
        let has_asked = std::mem::replace(&mut open.has_begun, true);
        let asked_at = open.asked_at;
        if sending.ask_first && !has_asked {
            let (wait, answer) = self.fleet.ask(no, Duration::from_mins(1), now);
            let version = &self.checker.spec(key).release.version;
            if matches!(&answer, Answer::Version { version: shown } if shown == version) {
                let fact = Fact::Delivered(key, id, Outcome::AlreadyCurrent);
                return self.later(wait, |no| Event::Outcome(no, errand, Box::new(fact)));
            }
            return self.later(wait, |no| Event::Begin(no, errand, sending));
        }
        if !driver.engine.may_send(key) {
            driver.over(errand);
            return self.facts.push(Fact::Returned(key, id));
        }
        let breaches = self.checker.sent(key, no, asked_at);
        self.breached(&breaches);
        let fate = self.fleet.deliver(no, now);
        let fate = self.disturb(fate);
        self.trace.mark((no, fate.answered_in));
        tell!(self, "{} {}: {device} {fate:?}", self.stamp(), key.0);
        self.looks.sent(key);
        if let Some(wait) = fate.taken_in {
            if !self.rhythm.is_large || no.is_multiple_of(SHIPPED_EVERY) {
                self.shipments.begin(no);
            }
            self.agenda.put(wait, Event::Take(no, key));
        }
        let fact = Fact::Delivered(key, id, fate.outcome);
        self.later(fate.answered_in, |no| Event::Outcome(no, errand, Box::new(fact)));
    }

    fn ask(&mut self, key: RolloutKey, question: &Question) {
        if !self.running().outlets.contains(&key) {
            self.fail(&format!("rollout {} asks without being opened", key.0));
        }
        let id = question.candidate.id;
        let errand = self.errand(key, id, true);
        let device = &question.candidate.endpoint.id;
        let no = Fleet::number(device);
        let (wait, answer) = self.fleet.ask(no, question.within, self.agenda.now);
        self.trace.mark((no, wait));
        tell!(self, "{} {}: ask {device}: {answer:?}", self.stamp(), key.0);
        let fact = Fact::Asked(key, id, answer);
        self.later(wait, |no| Event::Outcome(no, errand, Box::new(fact)));
    }

    /// A delivery or a question ended, unless it was cut off before.
    pub(crate) fn outcome(&mut self, errand: u64, fact: Fact) {
        let now = self.agenda.clock();
        if !self.running().over(errand) {
            return;
        }
        let breaches = match &fact {
            Fact::Delivered(key, id, outcome) => self.checker.delivered(*key, *id, outcome, now),
            Fact::Asked(_, id, Answer::Version { version }) => {
                self.checker.showed(*id, version, now)
            }
            _ => vec![],
        };
        self.breached(&breaches);
        self.echo_later(&fact);
        self.facts.push(fact);
    }

    /// Every delivery and question of a rollout is cut off; what has left may still arrive.
    fn cut(&mut self, key: RolloutKey, why: &str) {
        let driver = self.running();
        let (cut, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut driver.errands)
            .into_iter()
            .partition(|(_, errand)| errand.rollout == key);
        driver.errands = kept;
        if !cut.is_empty() {
            tell!(self, "{} {why} {}: {} cut off", self.stamp(), key.0, cut.len());
        }
        let (fault, detail) = (Fault::Canceled, "cut short".to_owned());
        for errand in cut.into_values() {
            self.running().open -= usize::from(!errand.is_question);
            let detail = detail.clone();
            self.facts.push(if errand.is_examination {
                Fact::Examined(key, errand.id, Self::unexamined())
            } else if errand.is_question {
                Fact::Asked(key, errand.id, Answer::Silent { fault, detail })
            } else {
                Fact::Delivered(key, errand.id, Outcome::Unknown { fault, detail })
            });
        }
    }

    /// No more deliveries are open than the driver may have, of all rollouts.
    fn check_open(&mut self) {
        let (open, max) = (self.running().open, self.manner.in_flight_max as usize);
        if open > max {
            self.fail(&format!("{open} deliveries are open, the driver's limit is {max}"));
        }
    }
}

/// Facts that did not come from the store may come in any order.
fn shuffled(facts: Vec<Fact>, dice: &mut super::dice::Dice) -> Vec<Fact> {
    let (stored, mut others): (Vec<Fact>, Vec<Fact>) =
        facts.into_iter().partition(|fact| matches!(fact, Fact::Store(_)));
    for at in (1..others.len()).rev() {
        others.swap(at, dice.roll(at as u64 + 1) as usize);
    }
    let (mut stored, mut others) = (stored.into_iter(), others.into_iter());
    let mut facts = Vec::with_capacity(stored.len() + others.len());
    while stored.len() + others.len() > 0 {
        let is_stored = dice.roll((stored.len() + others.len()) as u64) < stored.len() as u64;
        facts.extend(if is_stored { stored.next() } else { others.next() });
    }
    facts
}
