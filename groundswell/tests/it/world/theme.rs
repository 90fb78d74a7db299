//! What a small world is about: what chance hardly ever brings together comes together in it.
//!
//! A draw of everything has a little of everything, and many a mistake needs much of one thing: two
//! rollouts that want all places, a night on which the clock is set back. A theme leaves most of a
//! world to chance, and sets the few draws that such a thing takes.

use std::time::Duration;

use groundswell::core::{
    budget::{Budget, Limit},
    hours::{Freeze, Hours, Window, Zone},
    retry::Policy,
    rollout::{
        Act, Deadline, Limits, Membership, Offline, Schedule, Spec, State, Strategy, WaveSize,
        WaveSpec, WhenClosed, ZoneRule,
    },
    time::Time,
    verify::Mode,
};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use super::{dice::Dice, rhythm::Rhythm};

/// Days of clock changes in some zones, and one of none.
const DAYS: [&str; 5] = [
    "2026-03-07T20:00:00Z",
    "2026-03-28T12:00:00Z",
    "2026-06-10T08:00:00Z",
    "2026-10-24T18:00:00Z",
    "2026-10-31T12:00:00Z",
];

/// A night on which clocks show a part of it twice.
#[derive(Debug)]
struct LongNight {
    /// When its world begins.
    evening: &'static str,
    zones: &'static [&'static str],
    /// Within what is shown twice; each is left before it comes again.
    windows: &'static [&'static str],
}

/// In the first zone of each; in others nothing happens, or it has another hour.
const LONG_NIGHTS: [LongNight; 4] = [
    LongNight {
        evening: "2026-04-04T06:00:00Z",
        zones: &["Australia/Lord_Howe", "Australia/Lord_Howe", "Pacific/Auckland"],
        windows: &["01:30-01:45", "01:35-01:55"],
    },
    LongNight {
        evening: "2026-04-04T06:00:00Z",
        zones: &["Pacific/Auckland", "Pacific/Auckland", "Australia/Lord_Howe"],
        windows: &["02:00-02:30", "02:10-02:50"],
    },
    LongNight {
        evening: "2026-10-24T18:00:00Z",
        zones: &["Europe/Berlin", "Europe/Berlin", "America/New_York"],
        windows: &["02:00-02:30", "02:10-02:50"],
    },
    LongNight {
        evening: "2026-10-31T20:00:00Z",
        zones: &["America/New_York", "America/New_York", "Europe/Berlin"],
        windows: &["01:00-01:30", "01:15-01:45"],
    },
];

/// Zones with whole, half and quarter hours, and with clock changes of an hour and of half an hour.
pub(crate) const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
];

/// What a small world is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Theme {
    /// Nothing: all is left to chance.
    Any,
    /// Few places, and rollouts that want all of them and that nothing else holds.
    Crowded,
    /// A clock that shows a part of a night twice, one of [`LONG_NIGHTS`], and rollouts that wait for
    /// it or for the end of a freeze.
    Night(usize),
    /// Operators who stop what is under way, with claims that wait for a place.
    Stops,
    /// Devices that join while a rate holds the others back.
    Joiners,
    /// Waves of few devices, many of which fail or are not there, and gates that judge by them.
    Gates,
    /// Many devices behind few hosts, each of which takes one or two at a time.
    Hosts,
    /// Devices of stores and sites of which only a few may be out of order at once, some of them
    /// updated by rollouts that no budget binds.
    Stores,
    /// A driver that dies again and again, while devices reboot, or wait to be tried again.
    Restarts,
}

impl Theme {
    /// So many of a hundred worlds are about each.
    const SHARES: [(Self, u64); 9] = [
        (Self::Any, 18),
        (Self::Crowded, 10),
        (Self::Night(0), 15),
        (Self::Stops, 12),
        (Self::Stores, 10),
        (Self::Joiners, 8),
        (Self::Gates, 10),
        (Self::Hosts, 8),
        (Self::Restarts, 9),
    ];

    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut left = dice.roll(100);
        for (theme, share) in Self::SHARES {
            if left < share {
                return match theme {
                    Self::Night(_) => Self::Night(dice.roll(LONG_NIGHTS.len() as u64) as usize),
                    theme => theme,
                };
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
            Self::Night(_) => "theme: night",
            Self::Stops => "theme: stops",
            Self::Joiners => "theme: joiners",
            Self::Gates => "theme: gates",
            Self::Hosts => "theme: hosts",
            Self::Stores => "theme: stores",
            Self::Restarts => "theme: restarts",
        }
    }

    /// Makes a rhythm one of such a world.
    pub(crate) fn set(self, rhythm: &mut Rhythm, dice: &mut Dice) {
        match self {
            Self::Any => {}
            Self::Crowded => {
                rhythm.devices = *dice.pick(&[150, 300, 300]);
                rhythm.in_flight_max = *dice.pick(&[1, 2, 4]);
                rhythm.rollouts = dice.range(3, 5);
            }
            Self::Night(_) => {
                rhythm.devices = *dice.pick(&[60, 150, 300]);
                rhythm.rollouts = dice.range(1, 3);
                rhythm.calm_hours = dice.range(20, 40);
            }
            Self::Stops => {
                rhythm.devices = *dice.pick(&[150, 300]);
                rhythm.in_flight_max = *dice.pick(&[2, 4, 20]);
                rhythm.look_secs = 10;
                rhythm.rollouts = dice.range(3, 5);
            }
            Self::Joiners => {
                rhythm.devices = *dice.pick(&[60, 150, 300]);
                rhythm.look_secs = *dice.pick(&[10, 30]);
                rhythm.rollouts = dice.range(1, 3);
            }
            Self::Gates | Self::Hosts | Self::Stores | Self::Restarts => {
                rhythm.devices = *dice.pick(&[60, 150]);
                rhythm.rollouts = dice.range(1, 3);
            }
        }
    }

    /// When such a world begins.
    pub(crate) fn begins_at(self, dice: &mut Dice) -> Time {
        let evening = match self {
            Self::Night(no) => LONG_NIGHTS[no].evening,
            _ => *dice.pick(&DAYS),
        };
        let day: jiff::Timestamp = evening.parse().unwrap();
        Time::from_millis(day.as_millisecond())
    }

    /// The zones that its devices are in.
    pub(crate) const fn zones(self) -> &'static [&'static str] {
        if let Self::Night(no) = self { LONG_NIGHTS[no].zones } else { &ZONES }
    }

    /// The longest times that its devices take to answer, in milliseconds.
    pub(crate) const fn latencies_ms(self) -> &'static [u64] {
        match self {
            Self::Crowded | Self::Stops => &[400, 3_000, 20_000],
            _ => &[1, 20, 400, 3_000, 20_000],
        }
    }

    /// How many of a hundred devices are never there.
    pub(crate) const fn never_there_percent(self) -> u64 {
        if matches!(self, Self::Gates) { 25 } else { 3 }
    }

    /// Hosts that its devices are behind, if those are few.
    pub(crate) const fn hosts_max(self) -> u64 {
        if matches!(self, Self::Hosts) { 6 } else { 40 }
    }

    /// How often the driver dies between two commands, if it must in such a world: one in so many.
    pub(crate) fn crash_one_in(self, dice: &mut Dice) -> Option<u64> {
        match self {
            Self::Restarts => Some(*dice.pick(&[60, 400])),
            Self::Stores => Some(*dice.pick(&[400, 4_000])),
            _ => None,
        }
    }

    /// How often more devices are imported.
    pub(crate) fn imports(self, dice: &mut Dice) -> u64 {
        if self == Self::Joiners { dice.range(10, 40) } else { dice.roll(4) }
    }

    /// When people act, if it is not left to chance: the longest time between two acts.
    pub(crate) fn acts_every_secs_max(self, dice: &mut Dice) -> Option<u64> {
        match self {
            Self::Stops => Some(*dice.pick(&[5, 20, 60])),
            Self::Gates => Some(*dice.pick(&[10, 60, 600])),
            _ => None,
        }
    }

    /// How often people act before they leave it alone, if it is not left to chance. Who is paused
    /// waits for nothing else.
    pub(crate) fn acts(self, dice: &mut Dice) -> Option<u64> {
        match self {
            Self::Stops => Some(120),
            Self::Night(_) | Self::Crowded | Self::Hosts => Some(*dice.pick(&[0, 0, 10])),
            _ => None,
        }
    }

    /// Whether the driver's clock may be set in such a world: a night is over at once then.
    pub(crate) const fn has_clock_jumps(self) -> bool {
        !matches!(self, Self::Night(_))
    }

    /// What somebody does in such a world to a rollout in this state.
    pub(crate) fn act(self, state: State, dice: &mut Dice) -> Act {
        if self == Self::Stops && dice.percent(80) {
            return match state {
                State::Running => *dice.pick(&[Act::Pause, Act::Cancel, Act::Abort]),
                State::Paused => *dice.pick(&[Act::Resume, Act::Resume, Act::Resume, Act::Cancel]),
                state if state.is_ended() => Act::Retry,
                _ => Act::Start,
            };
        }
        if self == Self::Gates {
            return *dice.pick(&[Act::Advance, Act::Approve, Act::Pause, Act::Resume]);
        }
        // What ends a rollout is rare, or there would be little to see.
        match dice.roll(120) {
            0 => Act::Cancel,
            1 => Act::Abort,
            2..=7 => Act::Start,
            8..=24 => Act::Retry,
            25..=36 => Act::Advance,
            37..=44 => Act::Approve,
            45..=74 => Act::Pause,
            _ => Act::Resume,
        }
    }

    /// So many of a hundred rollouts in waves have external gates.
    pub(crate) const fn gated_share(self) -> u64 {
        match self {
            Self::Gates => 60,
            Self::Any => 25,
            _ => 5,
        }
    }

    /// The longest times until the next rollout is created, in seconds.
    pub(crate) const fn gaps_secs(self) -> &'static [u64] {
        match self {
            Self::Crowded => &[0, 5, 30],
            Self::Stops => &[5, 600],
            Self::Night(_) => &[0, 5, 600],
            _ => &[0, 5, 600, 20_000],
        }
    }

    /// Makes what was drawn a rollout of such a world, its `no`th.
    pub(crate) fn shape(self, spec: &mut Spec, no: u64, now: Time, dice: &mut Dice) {
        match self {
            Self::Any => {}
            Self::Crowded => crowd(spec, no, dice),
            Self::Night(night) => wait_for_night(spec, no, &LONG_NIGHTS[night], now, dice),
            Self::Stops => queue_up(spec, no, dice),
            Self::Joiners => admit_joiners(spec, no, now, dice),
            Self::Gates => judge_waves(spec, no, dice),
            Self::Hosts => share_hosts(spec, no, dice),
            Self::Stores => keep_to_stores(spec, no, dice),
            Self::Restarts => wait_across_restarts(spec, no, dice),
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

/// More is claimed than may be open, so that a stop finds claims that nothing was sent for.
fn queue_up(spec: &mut Spec, no: u64, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    spec.limits = Limits {
        max_in_flight: *dice.pick(&[1, 3, 8]),
        max_unverified: 1_000,
        max_per_host: 10,
        per_minute: None,
    };
    spec.brake = None;
}

fn wait_for_night(spec: &mut Spec, no: u64, night: &LongNight, now: Time, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    let zone = |name| Zone::parse(name).unwrap();
    let own = zone(night.zones[0]);
    let (mut windows, mut freezes): (Vec<Window>, Vec<Freeze>) = (vec![], vec![]);
    if dice.percent(50) {
        windows.push(dice.pick(night.windows).parse().unwrap());
    } else {
        freezes.push(freeze(night.zones[0], now, dice));
    }
    spec.schedule = Schedule {
        hours: Hours::new(windows, freezes).unwrap(),
        zone: match dice.roll(3) {
            0 => ZoneRule::Fixed(own),
            _ => ZoneRule::Device { otherwise: own },
        },
        when_closed: WhenClosed::Wait,
    };
    // Nothing else holds it; few are done before the hour comes again, and some are left when a
    // freeze ends.
    (spec.strategy, spec.waves, spec.brake) = (Strategy::Immediate, vec![], None);
    spec.limits.per_minute = Some(1);
}

/// One that is on, or will be in some hours.
fn freeze(zone: &str, now: Time, dice: &mut Dice) -> Freeze {
    let at = Timestamp::from_millisecond(now.as_millis()).unwrap();
    let at = at.to_zoned(TimeZone::get(zone).unwrap()).datetime();
    let from = at + (dice.roll(4) as i64 - 2).hours();
    let to = from + (dice.range(3, 9) as i64).hours();
    let [from, to] = [from, to].map(|at| at.strftime("%Y-%m-%dT%H:%M").to_string());
    format!("{from}..{to}").parse().unwrap()
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

/// Many waves of few devices, so that one is worse than all of them, and some have nobody to judge by.
fn judge_waves(spec: &mut Spec, no: u64, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    let mut wave = |size| WaveSpec {
        size,
        soak: Duration::from_secs(*dice.pick(&[0, 5, 600])),
        min_success: Some(*dice.pick(&[20, 50, 80])),
    };
    let mut waves: Vec<WaveSpec> = (1..6).map(|no| wave(WaveSize::Count(no % 3 + 1))).collect();
    waves.extend([30, 60, 100].map(|percent| wave(WaveSize::Percent(percent))));
    (spec.strategy, spec.membership) = (Strategy::Progressive, Membership::Snapshot);
    (spec.waves, spec.brake) = (waves, None);
    spec.offline = *dice.pick(&[Offline::Skip, Offline::Try]);
}

fn share_hosts(spec: &mut Spec, no: u64, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    spec.limits = Limits {
        max_in_flight: 30,
        max_unverified: 1_000,
        max_per_host: *dice.pick(&[1, 2]),
        per_minute: None,
    };
    spec.brake = None;
}

fn keep_to_stores(spec: &mut Spec, no: u64, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    spec.limits = Limits {
        max_in_flight: 30,
        max_unverified: 1_000,
        max_per_host: *dice.pick(&[2, 10]),
        per_minute: None,
    };
    (spec.brake, spec.regression) = (None, None);
    spec.priority = 0;
    let budget = |per: &str, limit| Budget { per: per.parse().unwrap(), limit, counts_down: false };
    spec.budgets = match dice.roll(4) {
        // Bound by nothing, beside those that are.
        0 => vec![],
        1 => vec![budget("tag.store", Limit::Max(1))],
        2 => vec![budget("tag.site", Limit::Percent(dice.range(7, 30) as u8))],
        _ => vec![
            budget("tag.store", Limit::Max(1)),
            budget("tag.site", Limit::Max(*dice.pick(&[2, 5]))),
        ],
    };
    let initial = Duration::from_secs(*dice.pick(&[10, 60]));
    spec.retry = Policy::new(3, initial, 2.0, initial * 4, 0).unwrap();
}

fn wait_across_restarts(spec: &mut Spec, no: u64, dice: &mut Dice) {
    begin_at_once(spec, no, dice);
    spec.limits = Limits {
        max_in_flight: 30,
        max_unverified: *dice.pick(&[4, 15]),
        max_per_host: 10,
        per_minute: None,
    };
    spec.verify.mode = Mode::Version;
    spec.verify.timeout = Duration::from_secs(*dice.pick(&[60, 200]));
    let (initial, jitter) = (Duration::from_secs(*dice.pick(&[10, 60])), dice.roll(101) as u8);
    spec.retry = Policy::new(4, initial, 2.0, initial * 4, jitter).unwrap();
    spec.brake = None;
}
