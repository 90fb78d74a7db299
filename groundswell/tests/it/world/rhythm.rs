//! How large a world is, and in which rhythm it goes.
//!
//! A small one is busy with faults: everything that may go wrong does, between any two commands. A
//! large one has thousands of devices that answer together, in beats, so that a step takes in
//! hundreds of facts and a commit changes hundreds of rows: what a small one never does.

use super::{dice::Dice, theme::Theme};

/// So many of a hundred worlds are large.
const LARGE_PERCENT: u64 = 60;

/// Sets the dice of a rhythm apart from those of its world, so that it is known before there is one.
const APART: u64 = 0x5eed_0f0f_5ca1_ab1e;

#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    pub(crate) is_large: bool,
    /// What it is about, if it is small.
    pub(crate) theme: Theme,
    /// Devices at the beginning.
    pub(crate) devices: u64,
    /// What devices and deliveries do, they do at multiples of this; 1 for at any time.
    pub(crate) beat_ms: i64,
    /// When devices call.
    pub(crate) calls_ms: i64,
    /// Deliveries that the driver may have open.
    pub(crate) in_flight_max: u32,
    pub(crate) look_secs: u64,
    /// Rollouts that people create.
    pub(crate) rollouts: u64,
    /// Until nothing goes wrong any more.
    pub(crate) calm_hours: u64,
    /// Devices of a rollout that may wait for slots in memory.
    pub(crate) parked_max: usize,
    /// Steps between looks at every row.
    pub(crate) compare_every: u64,
}

impl Rhythm {
    /// That of the world of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ APART);
        if dice.percent(LARGE_PERCENT) { Self::large(&mut dice) } else { Self::small(&mut dice) }
    }

    fn small(dice: &mut Dice) -> Self {
        let mut rhythm = Self {
            is_large: false,
            theme: Theme::draw(dice),
            devices: *dice.pick(&[15, 60, 150, 300]),
            beat_ms: 1,
            calls_ms: 1,
            in_flight_max: *dice.pick(&[4, 20, 1_000]),
            look_secs: *dice.pick(&[10, 30, 120, 300]),
            rollouts: dice.range(1, 5),
            calm_hours: dice.range(2, 40),
            parked_max: *dice.pick(&[2, 10, 50_000]),
            compare_every: 500,
        };
        rhythm.theme.set(&mut rhythm, dice);
        rhythm
    }

    fn large(dice: &mut Dice) -> Self {
        Self {
            is_large: true,
            theme: Theme::Any,
            devices: *dice.pick(&[2_000, 6_000, 10_000, 20_000]),
            beat_ms: *dice.pick(&[1_000, 5_000, 10_000, 10_000]),
            calls_ms: 60_000,
            in_flight_max: *dice.pick(&[1_000, 5_000]),
            look_secs: *dice.pick(&[120, 300]),
            rollouts: dice.range(8, 24),
            calm_hours: dice.range(3, 12),
            parked_max: *dice.pick(&[2_000, 50_000]),
            compare_every: 3_000,
        }
    }
}
