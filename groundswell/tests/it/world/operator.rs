//! People: they import devices, create rollouts and act on them, at bad moments, from another
//! process than the driver's.

use std::{ops::Range, time::Duration};

use groundswell::{
    core::{
        ids::RolloutId,
        rollback::Otherwise,
        rollout::{Act, PauseReason, State},
        waiting::WaitingOn,
    },
    store::{Answer, Contact, Intent, IntentSeq, RolloutKey, Store},
};

use super::{
    Event, World, dice::Dice, domains, health, outside, quarantine, rhythm::Rhythm,
    scenario::Scenario, specs, trace::tell,
};

/// How often somebody looks after what is paused, once nothing goes wrong any more.
const CARE_EVERY: Duration = Duration::from_mins(20);

/// Acts, of a hundred, with which somebody rolls something back; and how often somebody does when nothing
/// goes wrong any more.
const ROLLED_BACK_PERCENT: u64 = 15;
const CALM_ROLLED_BACK_PERCENT: u64 = 60;

/// Times a gate is overridden before somebody gives up.
const ADVANCES_MAX: u32 = 12;

/// What several people want of a rollout at once, each of whom thinks to be alone.
const BURSTS: [&[Act]; 9] = [
    &[Act::Advance, Act::Advance],
    &[Act::Retry, Act::Retry, Act::Pause],
    &[Act::Pause, Act::Resume, Act::Pause],
    &[Act::Pause, Act::Advance, Act::Resume],
    &[Act::Resume, Act::Retry],
    &[Act::Start, Act::Start],
    &[Act::Pause, Act::Retry, Act::Advance],
    &[Act::Advance, Act::Pause, Act::Advance],
    &[Act::Retry, Act::Advance, Act::Resume],
];

/// The same with something that ends it.
const LAST_BURSTS: [&[Act]; 3] = [
    &[Act::Cancel, Act::Retry, Act::Resume],
    &[Act::Cancel, Act::Abort, Act::Retry],
    &[Act::Abort, Act::Advance, Act::Cancel],
];

#[derive(Debug)]
pub(crate) struct Operator {
    dice: Dice,
    /// What decides of rollbacks and of devices that are released, apart from all else.
    pub(crate) apart: Dice,
    /// Times that something is rolled back until nobody does that any more.
    pub(crate) rollbacks_left: u32,
    pub(crate) rollouts: Vec<RolloutKey>,
    /// Rollouts still to be created.
    pub(crate) to_create: u64,
    /// Longest time between two acts; none if nobody does anything.
    act_every_secs_max: Option<u64>,
    /// Acts that are left to them.
    acts_left: u64,
    advances: u32,
}

impl Operator {
    pub(crate) fn new(mut dice: Dice, rhythm: &Rhythm, scenario: &Scenario) -> Self {
        let often = if rhythm.is_large { 60 } else { 2 };
        let act_every_secs_max = dice.percent(75).then(|| *dice.pick(&[often, 60, 1_800, 20_000]));
        let acts_every = rhythm.theme.acts_every_secs_max(&mut dice);
        let act_every_secs_max = acts_every.or(act_every_secs_max);
        let to_create = rhythm.rollouts;
        let acts_left = *dice.pick(&[10, 60, 1_200]);
        let acts_left = rhythm.theme.acts(&mut dice).unwrap_or(acts_left);
        let acts_left = scenario.acts_max.map_or(acts_left, |max| max.min(acts_left));
        Self {
            dice,
            apart: Dice::new(scenario.seed ^ 0x6261_636b),
            // What a large world does again costs thousands of updates.
            rollbacks_left: if rhythm.is_large { 1 } else { 4 },
            rollouts: vec![],
            to_create,
            act_every_secs_max,
            acts_left,
            advances: 0,
        }
    }

    pub(crate) fn next_act_in(&mut self) -> Option<Duration> {
        let max = self.act_every_secs_max?;
        self.acts_left = self.acts_left.checked_sub(1)?;
        Some(Duration::from_millis(self.dice.range(1, max * 1_000)))
    }
}

impl World {
    /// Puts devices into the inventory, as they are known.
    pub(crate) fn import(&mut self, numbers: Range<usize>) {
        for no in numbers.clone() {
            let device = &self.fleet.devices[no].known;
            self.checker.device(device);
            if let Some(wait) = device.check_in {
                self.calls_in(wait / 2, no);
            }
            if let Some(wait) = self.fleet.flaps_in(no) {
                self.agenda.put(wait, Event::Flap(no));
            }
        }
        let devices: Vec<_> = self.fleet.devices[numbers].iter().map(|d| &d.known).collect();
        self.desk.put_devices(&devices).unwrap();
        tell!(self, "{} {} devices imported", self.stamp(), devices.len());
    }

    fn calls_in(&mut self, wait: Duration, no: usize) {
        self.agenda.put_in_beat(self.rhythm.calls_ms, wait, Event::CheckIn(no));
    }

    /// Devices are imported again, in other zones; the driver will see when it looks.
    pub(crate) fn travel(&mut self) {
        let numbers = self.fleet.travel();
        let devices: Vec<_> = numbers.iter().map(|no| &self.fleet.devices[*no].known).collect();
        for device in &devices {
            self.checker.moved(device);
        }
        self.desk.put_devices(&devices).unwrap();
        tell!(self, "{} {numbers:?} are in other zones", self.stamp());
    }

    /// A device comes or goes.
    pub(crate) fn flap(&mut self, no: usize) {
        let Some(wait) = self.fleet.flaps_in(no) else {
            return;
        };
        let device = &mut self.fleet.devices[no];
        device.is_online = !device.is_online;
        self.agenda.put(wait, Event::Flap(no));
    }

    /// A device calls, if it is there.
    pub(crate) fn check_in(&mut self, no: usize) {
        let device = &self.fleet.devices[no];
        let Some(wait) = device.known.check_in else {
            return;
        };
        if device.is_there(self.agenda.now) {
            self.callers.push(no);
        }
        self.calls_in(wait, no);
    }

    /// Those who called were heard of; rollouts that wait for them are told.
    pub(crate) fn heard(&mut self) {
        if self.callers.is_empty() {
            return;
        }
        let clock = self.agenda.clock();
        let callers = std::mem::take(&mut self.callers);
        let devices = &self.fleet.devices;
        let contact = |no: &usize| Contact {
            device: &devices[*no].known.id,
            at: clock,
            version: Some(&devices[*no].version),
        };
        let contacts: Vec<_> = callers.iter().map(contact).collect();
        let had_failed = |no: &usize| self.checker.has_failed(&devices[*no].known.id);
        let failed: Vec<usize> = callers.iter().copied().filter(had_failed).collect();
        self.desk.saw(&contacts).unwrap();
        for no in &failed {
            let id = self.fleet.devices[*no].known.id.clone();
            let breaches = self.checker.called(&id, clock);
            self.breached(&breaches);
        }
        if self.push.is_some() {
            // It listens to nobody, and nobody asks it.
            return;
        }
        for no in callers {
            let key = self.desk.device_key(&self.fleet.devices[no].known.id).unwrap().unwrap();
            if failed.contains(&no) || !self.desk.waiting(key).unwrap().is_empty() {
                let seq = self.desk.put_intent(&Intent::Contact { device: key }, clock).unwrap();
                self.checker.intents.put(seq, None, (self.agenda.now, clock));
            }
        }
    }

    /// Somebody creates a rollout, and mostly starts it.
    pub(crate) fn create(&mut self) {
        let clock = self.agenda.clock();
        let operator = &mut self.operator;
        operator.to_create -= 1;
        let no = operator.rollouts.len() as u64;
        let mut spec = specs::draw(&mut operator.dice, clock, self.rhythm.is_large.then_some(no));
        self.rhythm.theme.shape(&mut spec, no, clock, &mut operator.dice);
        domains::keep_meetable(&mut spec, &self.fleet);
        outside::add_gates(&mut spec, self.rhythm.theme.gated_share(), clock);
        health::add_health(&mut spec, if self.rhythm.is_large { 5 } else { 40 }, clock);
        quarantine::add_quarantine(&mut spec, if self.rhythm.is_large { 30 } else { 75 }, clock);
        spec.check().unwrap();
        let id = u128::from(self.scenario.seed) << 64 | operator.rollouts.len() as u128;
        let id = RolloutId(uuid::Uuid::from_u128(id));
        for release in specs::releases(&spec) {
            self.desk.put_release(&release, clock).unwrap();
        }
        let key = self.desk.create(id, None, &spec, clock).unwrap();
        self.operator.rollouts.push(key);
        self.checker.rollout(key, id, &spec);
        tell!(self, "{} rollout {} created: {spec:?}", self.stamp(), key.0);
        // Some are left as drafts, until somebody acts on them.
        if !self.operator.dice.percent(8) {
            self.want(key, Act::Start);
        }
        if self.operator.to_create > 0 {
            let theme = self.rhythm.theme;
            let gaps: &[u64] =
                if self.rhythm.is_large { &[0, 5, 600, 3_000] } else { theme.gaps_secs() };
            let max_secs = *self.operator.dice.pick(gaps);
            let wait = Duration::from_millis(self.operator.dice.roll(max_secs * 1_000 + 1));
            self.agenda.put(wait, Event::Create);
        }
    }

    /// Others that roll a rollout back were written down: with its end, because it went wrong, or by
    /// somebody who wants this of them.
    pub(crate) fn rolled_back(&mut self, of: RolloutKey, wanted: Option<&Otherwise>) {
        for record in self.desk.rollbacks(of).unwrap() {
            if self.operator.rollouts.contains(&record.key) {
                continue;
            }
            tell!(self, "{} rollout {} rolls back {}", self.stamp(), record.key.0, of.0);
            self.note("a rollback");
            self.operator.rollouts.push(record.key);
            let wrong = self.checker.rollback(of, &record, wanted);
            self.breached(wrong.as_slice());
        }
    }

    pub(crate) fn want(&mut self, rollout: RolloutKey, act: Act) {
        // Or it is asked of a driver that has just gone.
        if self.is_alone() && self.operator.dice.percent(80) {
            return self.act_alone(rollout, act);
        }
        let clock = self.agenda.clock();
        // As the command does: whoever advances means what was seen, and not what comes next.
        let generation = (matches!(act, Act::Advance | Act::Approve)
            && self.operator.dice.percent(50))
        .then(|| self.desk.rollout(rollout).unwrap().unwrap().progression.generation);
        let intent = Intent::Act { rollout, act, generation, reason: None };
        let seq = self.desk.put_intent(&intent, clock).unwrap();
        tell!(self, "{} intent {}: {act} {}", self.stamp(), seq.0, rollout.0);
        self.checker.intents.put(seq, Some((rollout, act)), (self.agenda.now, clock));
    }

    /// Somebody does something to some rollout, sensible or not.
    pub(crate) fn act(&mut self) {
        let dice = &mut self.operator.dice;
        if !self.operator.rollouts.is_empty() {
            let key = *dice.pick(&self.operator.rollouts);
            let state = self.desk.rollout(key).unwrap().unwrap().progression.state;
            let mut act = self.rhythm.theme.act(state, dice);
            // What ends a rollout costs a large world thousands of updates.
            if self.rhythm.is_large && matches!(act, Act::Cancel | Act::Abort) && dice.percent(75) {
                act = Act::Resume;
            }
            self.want(key, act);
            // Several acts before the driver has looked, by people who do not know of each other.
            if self.operator.dice.percent(15) {
                self.note("operator: several at once");
                let dice = &mut self.operator.dice;
                let is_last = dice.percent(5);
                let acts = if is_last { dice.pick(&LAST_BURSTS) } else { dice.pick(&BURSTS) };
                for act in *acts {
                    self.want(key, *act);
                }
            }
        }
        if !self.operator.rollouts.is_empty() {
            self.roll_back(ROLLED_BACK_PERCENT);
            self.release_devices();
        }
        if self.operator.dice.percent(10) {
            self.mend(false);
        }
        if let Some(wait) = self.operator.next_act_in() {
            self.agenda.put(wait, Event::Act);
        }
    }

    /// From now on people only look after what is paused.
    pub(crate) fn calm_operator(&mut self) {
        self.operator.act_every_secs_max = None;
        self.agenda.put(CARE_EVERY, Event::Care);
        // By then most have come to something that can be taken back.
        if !self.rhythm.is_large && !self.operator.rollouts.is_empty() {
            self.roll_back(CALM_ROLLED_BACK_PERCENT);
        }
    }

    /// Somebody goes on with what is paused.
    pub(crate) fn care(&mut self) {
        self.agenda.put(CARE_EVERY, Event::Care);
        if self.push.is_some() {
            return self.care_for_push();
        }
        self.mend(true);
        let mut is_stuck = false;
        for key in self.operator.rollouts.clone() {
            let progression = self.desk.rollout(key).unwrap().unwrap().progression;
            if self.has_nothing_to_judge(key) {
                self.want(key, Act::Advance);
            }
            if self.waits_for_approval(key) {
                self.want(key, Act::Approve);
            }
            if progression.state != State::Paused {
                continue;
            }
            let is_held = progression.paused.contains(&PauseReason::Operator)
                || progression.paused.contains(&PauseReason::Artifact);
            is_stuck |= !is_held;
            let act = match is_held {
                true => Act::Resume,
                false if self.operator.advances > ADVANCES_MAX => Act::Cancel,
                false => Act::Advance,
            };
            self.want(key, act);
        }
        self.operator.advances += u32::from(is_stuck);
    }

    fn waits_for_approval(&self, key: RolloutKey) -> bool {
        let waiting_on = self.driver.as_ref().and_then(|driver| driver.engine.waiting_on(key));
        let is_it = |reason: &WaitingOn| matches!(reason, WaitingOn::Approval { .. });
        waiting_on.is_some_and(|reasons| reasons.iter().any(is_it))
    }

    pub(crate) fn has_nothing_to_judge(&mut self, key: RolloutKey) -> bool {
        let now = self.agenda.clock();
        let driver = self.driver.as_mut();
        let progress = driver.and_then(|driver| driver.engine.progress(key, now, 0));
        let is_it = |reason: &WaitingOn| matches!(reason, WaitingOn::NothingToJudge { .. });
        progress.is_some_and(|progress| progress.waiting_on.iter().any(is_it))
    }

    pub(crate) fn answered(&mut self, seq: IntentSeq, answer: &Answer) {
        let act = self.checker.intents.act_of(seq);
        if let (Some((key, act)), Answer::Done { .. }) = (act, answer) {
            self.acknowledged(key, act);
        }
        let desk = &self.desk;
        if let Err(why) = self.checker.intents.answered(desk, seq, answer) {
            self.fail(&why);
        }
        tell!(self, "{} intent {}: {answer:?}", self.stamp(), seq.0);
    }
}
