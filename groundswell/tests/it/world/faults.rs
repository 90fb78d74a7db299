//! What goes wrong apart from devices, and how often; drawn once for each world.

use std::time::Duration;

use super::dice::Dice;

#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) dice: Dice,
    /// The driver dies before one in so many commands; 0 for never.
    pub(crate) crash_one_in: u64,
    /// Longest time between faults that come by the clock; none if there are none.
    pub(crate) every_secs_max: Option<u64>,
    /// How long the store takes for a job, at the most; 0 for at once.
    pub(crate) store_max_ms: u64,
    /// Artifacts that turn out not to be readable, in percent.
    pub(crate) unsendable: u64,
    /// How long it takes to open an artifact or to choose devices, at the most.
    pub(crate) open_max_ms: u64,
    /// Jobs of the store that fail, one in so many; 0 for never. Then none is done any more.
    pub(crate) disk_full_one_in: u64,
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
}

impl Faults {
    pub(crate) fn draw(mut dice: Dice, is_large: bool) -> Self {
        let is_calm = dice.percent(25);
        let mut some = |percent: u64, values: &[u64]| {
            let value = *dice.pick(values);
            if is_calm || !dice.percent(percent) { 0 } else { value }
        };
        // A large world has a hundred commands where a small one has one.
        let scarcity = if is_large { 200 } else { 1 };
        let crash_one_in = some(50, &[60, 400, 3_000]) * scarcity;
        let every_secs_max = some(60, &[600, 7_200, 40_000]);
        let store_max_ms = some(50, &[3, 40, 2_000]);
        let unsendable = some(20, &[10, 50]);
        let open_max_ms = some(50, &[30, 5_000, 90_000]);
        let disk_full_one_in = some(15, &[300, 3_000]);
        let every_secs_max = (every_secs_max > 0).then_some(every_secs_max);
        Self {
            dice,
            crash_one_in,
            every_secs_max,
            store_max_ms,
            unsendable,
            open_max_ms,
            disk_full_one_in,
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) const fn calm(&mut self) {
        self.crash_one_in = 0;
        self.every_secs_max = None;
        self.unsendable = 0;
        self.disk_full_one_in = 0;
    }

    /// When something goes wrong next, if anything does.
    pub(crate) fn next_in(&mut self) -> Option<Duration> {
        let max = self.every_secs_max?;
        Some(Duration::from_millis(self.dice.range(1, max * 1_000)))
    }

    pub(crate) fn mishap(&mut self) -> Mishap {
        match self.dice.roll(6) {
            0 => Mishap::ClockJump(self.dice.range(1, 90_000_000) as i64),
            1 => Mishap::ClockJump(-(self.dice.range(1, 20_000_000) as i64)),
            2 => Mishap::ClockJump(self.dice.range(0, 4_000) as i64 - 2_000),
            3 => Mishap::Stop,
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
