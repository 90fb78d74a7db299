//! What a small world is about: what chance hardly ever brings together comes together in it.
//!
//! A draw of everything has a little of everything, and many a mistake needs much of one thing: two
//! rollouts that want all places, a night on which the clock is set back. A theme leaves most of a
//! world to chance, and sets the few draws that such a thing takes.

use std::time::Duration;

use groundswell::core::{
    hours::{Freeze, Hours, Window, Zone},
    rollout::{
        Act, Deadline, Limits, Membership, Offline, Schedule, Spec, Strategy, WhenClosed, ZoneRule,
    },
    time::Time,
};

use super::{dice::Dice, rhythm::Rhythm};

/// Days of clock changes in some zones, and one of none.
const DAYS: [&str; 5] = [
    "2026-03-07T20:00:00Z",
    "2026-03-28T12:00:00Z",
    "2026-06-10T08:00:00Z",
    "2026-10-24T18:00:00Z",
    "2026-10-31T12:00:00Z",
];

/// Evenings before a night on which clocks show an hour twice.
const LONG_NIGHTS: [&str; 3] =
    ["2026-04-04T06:00:00Z", "2026-10-24T18:00:00Z", "2026-10-31T20:00:00Z"];

/// Zones with whole, half and quarter hours, and with clock changes of an hour and of half an hour.
const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
];

/// Those of them whose clocks change.
const CHANGING: [&str; 4] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland"];

/// Within the hours that these clocks repeat; each is left before it comes again.
const REPEATED: [&str; 5] =
    ["01:00-01:30", "01:15-01:45", "01:35-01:55", "02:00-02:30", "02:10-02:50"];

/// What a small world is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Theme {
    /// Nothing: all is left to chance.
    Any,
    /// Few places, and rollouts that want all of them and that nothing else holds.
    Crowded,
    /// A clock that shows an hour twice, and rollouts that wait for it.
    Nights,
    /// Operators who stop what is under way, with claims that wait for a place.
    Stops,
    /// Devices that join while a rate holds the others back.
    Joiners,
}

impl Theme {
    /// So many of a hundred worlds are about each.
    const SHARES: [(Self, u64); 5] = [
        (Self::Any, 44),
        (Self::Crowded, 14),
        (Self::Nights, 14),
        (Self::Stops, 14),
        (Self::Joiners, 14),
    ];

    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut left = dice.roll(100);
        for (theme, share) in Self::SHARES {
            if left < share {
                return theme;
            }
            left -= share;
        }
        Self::Any
    }

    /// What is counted of the worlds about it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Any => "theme: none",
            Self::Crowded => "theme: crowded",
            Self::Nights => "theme: nights",
            Self::Stops => "theme: stops",
            Self::Joiners => "theme: joiners",
        }
    }

    /// Makes a rhythm one of such a world.
    pub(crate) fn set(self, rhythm: &mut Rhythm, dice: &mut Dice) {
        match self {
            Self::Any => {}
            Self::Crowded => {
                rhythm.devices = *dice.pick(&[150, 300]);
                rhythm.in_flight_max = *dice.pick(&[1, 2, 4]);
                rhythm.rollouts = dice.range(3, 5);
            }
            Self::Nights => {
                rhythm.devices = *dice.pick(&[60, 150, 300]);
                rhythm.rollouts = dice.range(1, 3);
                rhythm.calm_hours = dice.range(20, 40);
            }
            Self::Stops => {
                rhythm.devices = *dice.pick(&[60, 150, 300]);
                rhythm.in_flight_max = *dice.pick(&[2, 4, 20]);
                rhythm.look_secs = 10;
                rhythm.rollouts = dice.range(3, 5);
            }
            Self::Joiners => {
                rhythm.devices = *dice.pick(&[60, 150, 300]);
                rhythm.look_secs = *dice.pick(&[10, 30]);
                rhythm.rollouts = dice.range(1, 3);
            }
        }
    }

    /// When such a world begins.
    pub(crate) fn begins_at(self, dice: &mut Dice) -> Time {
        let days: &[&str] = if self == Self::Nights { &LONG_NIGHTS } else { &DAYS };
        let day: jiff::Timestamp = dice.pick(days).parse().unwrap();
        Time::from_millis(day.as_millisecond())
    }

    /// The zones that its devices are in.
    pub(crate) const fn zones(self) -> &'static [&'static str] {
        if matches!(self, Self::Nights) { &CHANGING } else { &ZONES }
    }

    /// The longest times that its devices take to answer, in milliseconds.
    pub(crate) const fn latencies_ms(self) -> &'static [u64] {
        match self {
            Self::Crowded | Self::Stops => &[400, 3_000, 20_000],
            _ => &[1, 20, 400, 3_000, 20_000],
        }
    }

    /// How often more devices are imported.
    pub(crate) fn imports(self, dice: &mut Dice) -> u64 {
        if self == Self::Joiners { dice.range(10, 40) } else { dice.roll(4) }
    }

    /// When people act, if they must in such a world: the longest time between two acts.
    pub(crate) fn acts_every_secs_max(self, dice: &mut Dice) -> Option<u64> {
        (self == Self::Stops).then(|| *dice.pick(&[10, 60, 600]))
    }

    /// What somebody does in such a world.
    pub(crate) fn act(self, dice: &mut Dice) -> Act {
        if self == Self::Stops {
            return match dice.roll(20) {
                0..=2 => Act::Cancel,
                3..=5 => Act::Abort,
                6..=9 => Act::Retry,
                10..=13 => Act::Pause,
                _ => Act::Resume,
            };
        }
        // What ends a rollout is rare, or there would be little to see.
        match dice.roll(120) {
            0 => Act::Cancel,
            1 => Act::Abort,
            2..=7 => Act::Start,
            8..=24 => Act::Retry,
            25..=44 => Act::Advance,
            45..=74 => Act::Pause,
            _ => Act::Resume,
        }
    }

    /// The longest times until the next rollout is created, in seconds.
    pub(crate) const fn gaps_secs(self) -> &'static [u64] {
        match self {
            Self::Crowded => &[0, 5, 30],
            Self::Stops => &[5, 600],
            _ => &[0, 5, 600, 20_000],
        }
    }

    /// Makes what was drawn a rollout of such a world, its `no`th.
    pub(crate) fn shape(self, spec: &mut Spec, no: u64, now: Time, dice: &mut Dice) {
        match self {
            Self::Any => {}
            Self::Crowded => crowd(spec, no, dice),
            Self::Nights => wait_for_night(spec, no, dice),
            Self::Stops => begin_at_once(spec, no, dice),
            Self::Joiners => admit_joiners(spec, no, now, dice),
        }
    }
}

/// Begins at once, with something to do for everybody, and goes on until all is done.
fn begin_at_once(spec: &mut Spec, no: u64, dice: &mut Dice) {
    spec.release.version = format!("{}.0.0", no + 4);
    spec.start_at = None;
    spec.deadline = None;
    spec.schedule = Schedule::default();
    spec.select = None;
    if dice.percent(70) {
        (spec.strategy, spec.waves) = (Strategy::Immediate, vec![]);
    }
    if spec.strategy == Strategy::OnConnect || spec.strategy == Strategy::Scheduled {
        spec.strategy = Strategy::Immediate;
    }
    spec.limits.per_minute = None;
}

/// The first one, which goes last, shares no device with others: only places can hold it.
fn crowd(spec: &mut Spec, no: u64, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    (spec.strategy, spec.waves, spec.membership) =
        (Strategy::Immediate, vec![], Membership::Snapshot);
    spec.select = Some(if no == 0 { "tag.ring==r0" } else { "tag.ring!=r0" }.to_owned());
    spec.priority = if no == 0 { -1 } else { dice.roll(3) as i32 };
    spec.limits =
        Limits { max_in_flight: 30, max_unverified: 1_000, max_per_host: 1_000, per_minute: None };
    spec.offline = Offline::Skip;
    spec.brake = None;
}

fn wait_for_night(spec: &mut Spec, no: u64, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    let windows = [dice.pick(&REPEATED), dice.pick(&REPEATED)];
    let windows: Vec<Window> = windows.map(|window| window.parse().unwrap()).into();
    let freezes: Vec<Freeze> = vec![];
    let zone = |name| Zone::parse(name).unwrap();
    spec.schedule = Schedule {
        hours: Hours::new(windows, freezes).unwrap(),
        zone: match dice.roll(3) {
            0 => ZoneRule::Fixed(zone(*dice.pick(&CHANGING))),
            _ => ZoneRule::Device { otherwise: zone(*dice.pick(&CHANGING)) },
        },
        when_closed: WhenClosed::Wait,
    };
    // Few are done before the hour comes again.
    spec.limits.per_minute = Some(1);
}

fn admit_joiners(spec: &mut Spec, no: u64, now: Time, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    (spec.strategy, spec.waves, spec.membership) =
        (Strategy::Immediate, vec![], Membership::Dynamic);
    spec.deadline = Some(Deadline::At(now + Duration::from_hours(dice.range(10, 40))));
    spec.limits = Limits {
        max_in_flight: *dice.pick(&[8, 30]),
        max_unverified: 1_000,
        max_per_host: 10,
        per_minute: Some(*dice.pick(&[1, 2, 7])),
    };
    spec.brake = None;
}
