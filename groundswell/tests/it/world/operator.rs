//! People: they import devices, create rollouts and act on them, at bad moments, from another
//! process than the driver's.

use std::time::Duration;

use groundswell::{
    core::{
        ids::RolloutId,
        rollout::{Act, PauseReason, State},
        waiting::WaitingOn,
    },
    store::{Answer, Contact, Intent, IntentSeq, RolloutKey, Store},
};

use super::{Event, World, dice::Dice, specs};

/// How often somebody looks after what is paused, once nothing goes wrong any more.
const CARE_EVERY: Duration = Duration::from_mins(20);

/// Times a gate is overridden before somebody gives up.
const ADVANCES_MAX: u32 = 12;

#[derive(Debug)]
pub(crate) struct Operator {
    dice: Dice,
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
    pub(crate) fn new(mut dice: Dice) -> Self {
        let act_every_secs_max = dice.percent(75).then(|| *dice.pick(&[2, 60, 1_800, 20_000]));
        let to_create = dice.range(1, 5);
        let acts_left = *dice.pick(&[10, 60, 1_200]);
        Self { dice, rollouts: vec![], to_create, act_every_secs_max, acts_left, advances: 0 }
    }

    pub(crate) fn next_act_in(&mut self) -> Option<Duration> {
        let max = self.act_every_secs_max?;
        self.acts_left = self.acts_left.checked_sub(1)?;
        Some(Duration::from_millis(self.dice.range(1, max * 1_000)))
    }
}

impl World {
    /// Puts devices into the inventory, as they are known.
    pub(crate) fn import(&mut self, ids: &[String]) {
        let devices: Vec<_> = ids.iter().map(|id| self.fleet.get(id).known.clone()).collect();
        for device in &devices {
            self.checker.device(device);
            if let Some(wait) = device.check_in {
                self.agenda.put(wait / 2, Event::CheckIn(device.id.clone()));
            }
            if let Some(wait) = self.fleet.flaps_in(&device.id) {
                self.agenda.put(wait, Event::Flap(device.id.clone()));
            }
        }
        let devices: Vec<_> = devices.iter().collect();
        self.desk.put_devices(&devices).unwrap();
        self.trace.add(format!("{} {} devices imported", self.stamp(), devices.len()));
    }

    /// A device comes or goes.
    pub(crate) fn flap(&mut self, id: &str) {
        let Some(wait) = self.fleet.flaps_in(id) else { return };
        let device = self.fleet.get(id);
        device.is_online = !device.is_online;
        self.agenda.put(wait, Event::Flap(id.to_owned()));
    }

    /// A device calls, if it is there; rollouts that wait for it are told.
    pub(crate) fn check_in(&mut self, id: &str) {
        let (now, clock) = (self.agenda.now, self.agenda.clock());
        let device = self.fleet.get(id);
        let Some(wait) = device.known.check_in else { return };
        let version = device.is_there(now).then(|| device.version.clone());
        self.agenda.put(wait, Event::CheckIn(id.to_owned()));
        let Some(version) = version else { return };
        let contact = Contact { device: id, at: clock, version: Some(&version) };
        self.desk.saw(&[contact]).unwrap();
        let key = self.desk.device_key(id).unwrap().unwrap();
        if !self.desk.waiting(key).unwrap().is_empty() {
            let seq = self.desk.put_intent(&Intent::Contact { device: key }, clock).unwrap();
            self.checker.wanted(seq, None, self.agenda.now);
        }
    }

    /// Somebody creates a rollout, and mostly starts it.
    pub(crate) fn create(&mut self) {
        let clock = self.agenda.clock();
        let operator = &mut self.operator;
        operator.to_create -= 1;
        let spec = specs::draw(&mut operator.dice, clock);
        let id = u128::from(self.seed) << 64 | operator.rollouts.len() as u128;
        let id = RolloutId(uuid::Uuid::from_u128(id));
        let key = self.desk.create(id, None, &spec, clock).unwrap();
        self.operator.rollouts.push(key);
        self.checker.rollout(key, id, &spec);
        self.trace.add(format!("{} rollout {} created: {spec:?}", self.stamp(), key.0));
        self.want(key, Act::Start);
        if self.operator.to_create > 0 {
            let max_secs = *self.operator.dice.pick(&[5, 600, 20_000]);
            let wait = Duration::from_millis(self.operator.dice.range(1, max_secs * 1_000));
            self.agenda.put(wait, Event::Create);
        }
    }

    fn want(&mut self, rollout: RolloutKey, act: Act) {
        let clock = self.agenda.clock();
        let seq =
            self.desk.put_intent(&Intent::Act { rollout, act, generation: None }, clock).unwrap();
        self.trace.add(format!("{} intent {}: {act} {}", self.stamp(), seq.0, rollout.0));
        self.checker.wanted(seq, Some((rollout, act)), self.agenda.now);
    }

    /// Somebody does something to some rollout, sensible or not.
    pub(crate) fn act(&mut self) {
        let dice = &mut self.operator.dice;
        if !self.operator.rollouts.is_empty() {
            let key = *dice.pick(&self.operator.rollouts);
            // What ends a rollout is rare, or there would be little to see.
            let act = match dice.roll(120) {
                0 => Act::Cancel,
                1 => Act::Abort,
                2..=7 => Act::Start,
                8..=24 => Act::Retry,
                25..=44 => Act::Advance,
                45..=74 => Act::Pause,
                _ => Act::Resume,
            };
            self.want(key, act);
            // Two acts before the driver has looked.
            if self.operator.dice.percent(10) {
                let acts = [Act::Start, Act::Pause, Act::Resume, Act::Advance, Act::Retry];
                let act = *self.operator.dice.pick(&acts);
                self.want(key, act);
            }
        }
        if let Some(wait) = self.operator.next_act_in() {
            self.agenda.put(wait, Event::Act);
        }
    }

    /// From now on people only look after what is paused.
    pub(crate) fn calm_operator(&mut self) {
        self.operator.act_every_secs_max = None;
        self.agenda.put(CARE_EVERY, Event::Care);
    }

    /// Somebody goes on with what is paused.
    pub(crate) fn care(&mut self) {
        let mut is_stuck = false;
        for key in self.operator.rollouts.clone() {
            let progression = self.desk.rollout(key).unwrap().unwrap().progression;
            if self.has_nothing_to_judge(key) {
                self.want(key, Act::Advance);
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
        self.agenda.put(CARE_EVERY, Event::Care);
    }

    fn has_nothing_to_judge(&mut self, key: RolloutKey) -> bool {
        let now = self.agenda.clock();
        let driver = self.driver.as_mut();
        let progress = driver.and_then(|driver| driver.engine.progress(key, now, 0));
        let is_it = |reason: &WaitingOn| matches!(reason, WaitingOn::NothingToJudge { .. });
        progress.is_some_and(|progress| progress.waiting_on.iter().any(is_it))
    }

    pub(crate) fn answered(&mut self, seq: IntentSeq, answer: &Answer) {
        let act = self.checker.act_of(seq);
        if let (Some((key, act)), Answer::Done { .. }) = (act, answer) {
            self.acknowledged(key, act);
        }
        let desk = &self.desk;
        if let Err(why) = self.checker.answered(desk, seq, answer) {
            self.fail(&why);
        }
        self.trace.add(format!("{} intent {}: {answer:?}", self.stamp(), seq.0));
    }
}
