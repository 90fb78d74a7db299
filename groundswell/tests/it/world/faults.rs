//! What goes wrong apart from devices, and how often; drawn once for each world.

use std::time::Duration;

use super::{
    dice::Dice,
    rhythm::Rhythm,
    scenario::{Kind, Scenario},
};

#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) dice: Dice,
    /// The driver dies before a command.
    pub(crate) crash: Chance,
    /// The driver dies in the middle of a job of the store.
    pub(crate) job: Chance,
    /// The power is cut in the middle of a job of the store.
    pub(crate) torn: Chance,
    /// The disk is full before a job of the store, for a while.
    pub(crate) disk: Chance,
    /// What is told of a delivery is lost, or late, or told twice.
    pub(crate) outcome: Chance,
    /// Longest time between faults that come by the clock; none if there are none.
    pub(crate) every_secs_max: Option<u64>,
    /// What these may be.
    mishaps: Vec<Kind>,
    /// How long the store takes for a job, at the most; 0 for at once.
    pub(crate) store_max_ms: u64,
    /// Artifacts that turn out not to be readable, in percent.
    pub(crate) unsendable: u64,
    /// How long it takes to open an artifact or to choose devices, at the most.
    pub(crate) open_max_ms: u64,
}

/// Something that happens one in so many times. It has dice of its own, so that leaving it out
/// shifts nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    pub(crate) dice: Dice,
    /// 0 for never.
    pub(crate) one_in: u64,
}

impl Chance {
    pub(crate) const fn comes(&mut self) -> bool {
        self.dice.one_in(self.one_in)
    }
}

/// What goes wrong by the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// The driver's machine has its clock set, by so many milliseconds.
    ClockJump(i64),
    /// The driver dies.
    Crash,
    /// The driver is told to stop, and is started again later.
    Stop,
    /// The driver stands still for this long, and meanwhile another one may take over.
    Freeze(Duration),
}

impl Faults {
    pub(crate) fn draw(mut dice: Dice, scenario: &Scenario, rhythm: &Rhythm) -> Self {
        let Rhythm { is_large, theme, .. } = *rhythm;
        let crash_always = theme.crash_one_in(&mut dice);
        let is_calm = dice.percent(25);
        let mut some = |kind: Kind, percent: u64, values: &[u64]| {
            let value = *dice.pick(values);
            let is_drawn = dice.percent(percent);
            if is_calm || !is_drawn || !scenario.has(kind) { 0 } else { value }
        };
        // A large world has a hundred commands where a small one has one.
        let scarcity = if is_large { 200 } else { 1 };
        let crash = some(Kind::Crash, 50, &[60, 400, 3_000]) * scarcity;
        let crash = crash_always.filter(|_| scenario.has(Kind::Crash)).unwrap_or(crash);
        let store_max_ms = some(Kind::Slow, 50, &[3, 40, 2_000]);
        let unsendable = some(Kind::Artifact, 20, &[10, 50]);
        let open_max_ms = some(Kind::Opening, 50, &[30, 5_000, 90_000]);
        let disk = some(Kind::Disk, 25, &[100, 1_000]);
        let job = some(Kind::Job, 30, &[100, 1_500]);
        let torn = some(Kind::Torn, 25, &[150, 1_500]);
        let outcome = some(Kind::Outcome, 30, &[3, 30]) * scarcity.min(20);
        let every_secs_max = *dice.pick(&[600, 7_200, 40_000]);
        let has_mishaps = dice.percent(60) && !is_calm;
        let mishaps = [Kind::Crash, Kind::Clock, Kind::Stop, Kind::Stale];
        let may_come = |kind: &Kind| *kind != Kind::Clock || theme.has_clock_jumps();
        let mishaps = mishaps.into_iter().filter(|kind| scenario.has(*kind));
        let mishaps: Vec<Kind> = mishaps.filter(may_come).collect();
        let mut chance = |one_in| Chance { dice: dice.fork(), one_in };
        Self {
            crash: chance(crash),
            job: chance(job),
            torn: chance(torn),
            disk: chance(disk),
            outcome: chance(outcome),
            every_secs_max: (has_mishaps && !mishaps.is_empty()).then_some(every_secs_max),
            mishaps,
            store_max_ms,
            unsendable,
            open_max_ms,
            dice,
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) const fn calm(&mut self) {
        self.every_secs_max = None;
        self.unsendable = 0;
        self.crash.one_in = 0;
        self.job.one_in = 0;
        self.torn.one_in = 0;
        self.disk.one_in = 0;
        self.outcome.one_in = 0;
    }

    /// When something goes wrong next, if anything does.
    pub(crate) fn next_in(&mut self) -> Option<Duration> {
        let max = self.every_secs_max?;
        Some(Duration::from_millis(self.dice.range(1, max * 1_000)))
    }

    pub(crate) fn mishap(&mut self) -> Mishap {
        match *self.dice.pick(&self.mishaps) {
            Kind::Clock => Mishap::ClockJump(match self.dice.roll(3) {
                0 => self.dice.range(1, 90_000_000) as i64,
                1 => -(self.dice.range(1, 20_000_000) as i64),
                _ => self.dice.range(0, 4_000) as i64 - 2_000,
            }),
            Kind::Stop => Mishap::Stop,
            Kind::Stale => {
                let max_ms = *self.dice.pick(&[100, 60_000, 7_200_000]);
                Mishap::Freeze(Duration::from_millis(self.dice.range(1, max_ms)))
            }
            _ => Mishap::Crash,
        }
    }

    /// How long a driver is down: often no time at all, sometimes through a night.
    pub(crate) fn downtime(&mut self) -> Duration {
        let max_ms = *self.dice.pick(&[1, 1_000, 30_000, 30_000, 30_000_000]);
        Duration::from_millis(self.dice.roll(max_ms))
    }

    pub(crate) fn store_takes(&mut self) -> Duration {
        Duration::from_millis(self.dice.roll(self.store_max_ms + 1))
    }

    pub(crate) fn opening_takes(&mut self) -> Duration {
        Duration::from_millis(self.dice.roll(self.open_max_ms + 1))
    }
}
