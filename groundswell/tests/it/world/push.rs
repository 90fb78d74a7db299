//! A world of one push: nobody else can want anything, it ends with its rollout or when that is
//! paused, and is run again by whoever wants it done, with other limits.

use std::time::Duration;

use groundswell::{
    core::{
        ids::{Epoch, RolloutId},
        rollout::{Limits, OnFailure, Spec, State, WaveSize, WaveSpec},
        time::Time,
    },
    engine::fact::Fact,
    push::{
        PushError,
        rollout::{Wanted, create, go_on, retry},
    },
    store::{Batch, RolloutRecord, SqliteStore, Store, StoreError},
};

use super::{Event, World, dice::Dice, specs, trace::tell};

/// What makes it the same push each time.
const IDENTITY: [u8; 32] = [3; 32];

/// Rows taken back in one transaction.
const DISCARD: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Push {
    dice: Dice,
    spec: Spec,
    canaries: u32,
    /// Rounds that are still tried for devices that failed.
    retries_left: u64,
    /// Times it was begun: what was begun and not written whole is taken back.
    begun: u64,
    /// Nobody runs it any more.
    pub(crate) is_over: bool,
}

impl Push {
    pub(crate) fn draw(mut dice: Dice, now: Time) -> Self {
        let drawn = specs::draw(&mut dice, now, None);
        let (canaries, retries_left) = (*dice.pick(&[0, 0, 1, 5]), dice.roll(4));
        let wave = |size, min_success| WaveSpec { size, soak: Duration::ZERO, min_success };
        let waves = match canaries {
            0 => vec![],
            devices => {
                vec![wave(WaveSize::Count(devices), Some(100)), wave(WaveSize::Percent(100), None)]
            }
        };
        let spec = Spec {
            select: Some(String::new()),
            waves,
            limits: drawn.limits,
            retry: drawn.retry,
            verify: drawn.verify,
            brake: drawn.brake,
            on_failure: OnFailure::Pause,
            ..Spec::immediate(drawn.release)
        };
        spec.check().unwrap();
        Self { dice, spec, canaries, retries_left, begun: 0, is_over: false }
    }

    /// Whoever runs it again has other ideas, and after a while no canaries and no brake.
    fn think_again(&mut self, is_calm: bool) {
        let limits = &mut self.spec.limits;
        *limits = Limits { max_in_flight: *self.dice.pick(&[1, 5, 40]), ..*limits };
        if is_calm || self.dice.percent(30) {
            self.canaries = 0;
            self.spec.brake = None;
        }
    }
}

impl World {
    /// Runs the push: begins its rollout, goes on with it, or tries again; none if it is done, or
    /// there is no room to.
    pub(crate) fn begin_push(&mut self, store: &mut SqliteStore) -> Option<RolloutRecord> {
        let mut push = self.push.take()?;
        push.think_again(self.is_calm);
        let ran = self.run_push(&mut push, store);
        push.is_over = matches!(ran, Ok(None));
        self.push = Some(push);
        match ran {
            Ok(Some((what, record))) => {
                self.note(what);
                self.tell_push(&record);
                Some(record)
            }
            Ok(None) => None,
            Err(PushError::Store(StoreError::Disk(_))) if self.is_disk_full() => {
                self.note("push: cut short by a full disk");
                self.agenda.put(Duration::from_mins(5), Event::Start);
                None
            }
            Err(error) => self.fail(&format!("the push cannot be run: {error:?}")),
        }
    }

    fn run_push(
        &self,
        push: &mut Push,
        store: &mut SqliteStore,
    ) -> Result<Option<(&'static str, RolloutRecord)>, PushError> {
        let now = self.agenda.clock();
        let devices = self.fleet.devices.iter().map(|device| &device.known);
        let devices: Vec<_> = devices.filter(|device| device.address.is_some()).collect();
        let (identity, canaries) = (IDENTITY, push.canaries);
        let wanted = Wanted { identity, spec: &push.spec, devices: &devices, canaries };
        let found = store.find(&IDENTITY, None)?;
        Ok(Some(match found {
            Some(record) if record.progression.state.is_ended() => {
                let counts = store.count(record.key, record.progression.round)?;
                if push.retries_left == 0 || counts.failures() + counts.canceled == 0 {
                    return Ok(None);
                }
                let record = retry(store, &wanted, record, now)?;
                push.retries_left -= 1;
                ("push: tried again", record)
            }
            Some(record) if record.progression.state != State::Preparing => {
                ("push: gone on with", go_on(store, &wanted, record, now)?)
            }
            found => {
                if let Some(record) = found {
                    while store.discard(record.key, DISCARD, now)? == DISCARD {}
                    store.remove(record.key)?;
                }
                push.begun += 1;
                let id = u128::from(self.scenario.seed) << 64 | u128::from(push.begun);
                let id = RolloutId(uuid::Uuid::from_u128(id));
                ("push: begun", create(store, id, &wanted, now)?)
            }
        }))
    }

    /// Canaries that were all left out say nothing about the others: whoever watches ends the run,
    /// and runs it again without.
    pub(crate) fn care_for_push(&mut self) {
        let mut rollouts = self.operator.rollouts.clone().into_iter();
        let is_stuck = rollouts.any(|key| self.has_nothing_to_judge(key));
        if is_stuck && self.driver.is_some() {
            self.note("push: stopped, for there was nothing to judge");
            self.facts.push(Fact::Stop);
        }
    }

    /// What was written before the run is durable.
    fn tell_push(&mut self, record: &RolloutRecord) {
        let RolloutRecord { key, id, spec, progression, .. } = record;
        tell!(self, "{} push {}: {spec:?}", self.stamp(), key.0);
        self.operator.rollouts = vec![*key];
        if !self.checker.respecify(*key, spec) {
            self.checker.rollout(*key, *id, spec);
        }
        let progression = Some(progression.clone());
        let at = self.agenda.clock();
        let batch = Batch { progression, ..Batch::empty(*key, Epoch(0), at) };
        self.committed(&batch, true);
    }
}
