//! Rollouts as they might be written: every field drawn, nothing that a check would refuse.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use groundswell::core::{
    brake::Brake,
    budget::{Budget, Limit},
    gate::{
        Unreachable,
        baseline::Baseline,
        rate::Rate,
        regression::{Alpha, Regression},
    },
    hours::{Freeze, Hours, Window, Zone},
    release::{Digest, Release},
    retry::Policy,
    rollout::{
        Deadline, Limits, Membership, Offline, OnFailure, Schedule, Spec, Strategy, Verify,
        WaveSize, WaveSpec, WhenClosed, ZoneRule,
    },
    time::Time,
    verify::Mode,
};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use super::dice::Dice;

/// What all of them send.
pub(crate) const ARTIFACT: Digest = Digest([7; 32]);

/// Releases: few names, so that rollouts supersede each other, and versions in both directions.
const NAMES: [&str; 2] = ["pos", "fw"];
/// Of a large world, where most rollouts have devices of their own release to see to.
const LARGE_NAMES: [&str; 10] =
    ["pos", "fw", "os", "kiosk", "sign", "scanner", "gateway", "modem", "agent", "till"];
const VERSIONS: [&str; 4] = ["1.0.5", "2.0.0", "2.1.0", "3.0.0"];

/// What devices run before anything is sent to them.
pub(crate) const BEFORE: [&str; 3] = ["0.9.0", "1.0.0", "1.1.0"];

/// Where its bytes are kept in the state that lies there.
pub(crate) fn file_in(place: &Path) -> PathBuf {
    place.join("artifacts").join(ARTIFACT.to_string())
}

/// The releases that the devices of a rollout may go back to: some versions are none.
pub(crate) fn releases(spec: &Spec) -> impl Iterator<Item = Release> {
    let versions = BEFORE[1..].iter().chain(&VERSIONS);
    let named =
        versions.map(|version| Release { version: (*version).to_owned(), ..spec.release.clone() });
    named.chain([spec.release.clone()])
}

/// A spec that is created when it is `now`; in a large world it is the `large`th and for many.
pub(crate) fn draw(dice: &mut Dice, now: Time, large: Option<u64>) -> Spec {
    let mut version = (*dice.pick(&VERSIONS)).to_owned();
    if let Some(no) = large
        && dice.percent(80)
    {
        // Newer than what is there, or few would have anything to do.
        version = format!("{}.0.0", no + 4);
    }
    let release = Release {
        name: dice.pick(if large.is_some() { &LARGE_NAMES[..] } else { &NAMES }).to_string(),
        version,
        artifact: ARTIFACT,
        artifact_bytes: 12,
    };
    let is_slow = large.is_none() || dice.percent(10);
    let strategy = *dice.pick(&[
        Strategy::Immediate,
        Strategy::Scheduled,
        Strategy::Progressive,
        Strategy::Progressive,
        if is_slow { Strategy::OnConnect } else { Strategy::Immediate },
    ]);
    let membership = if dice.percent(if is_slow { 30 } else { 5 }) {
        Membership::Dynamic
    } else {
        Membership::Snapshot
    };
    let waves = match strategy {
        Strategy::Progressive => waves(dice, membership),
        _ => vec![],
    };
    let offline = match strategy {
        Strategy::OnConnect => Offline::Wait,
        // Many who are never there are tried for days, which a few show as well.
        _ if !is_slow => *dice.pick(&[Offline::Skip, Offline::Try]),
        _ => *dice.pick(&[Offline::Skip, Offline::Wait, Offline::Try]),
    };
    let is_timed = strategy == Strategy::Scheduled || dice.percent(30);
    let is_endless = strategy == Strategy::OnConnect || membership == Membership::Dynamic;
    let spec = Spec {
        select: select(dice),
        strategy,
        start_at: (strategy == Strategy::Scheduled && dice.percent(60))
            .then(|| now + hours(dice, 6)),
        deadline: match large {
            Some(_) if !is_endless && dice.percent(70) => None,
            _ => deadline(dice, now, is_endless, if is_slow { 40 } else { 8 }),
        },
        schedule: if is_timed { schedule(dice, now) } else { Schedule::default() },
        waves,
        membership,
        salt: format!("salt-{}", dice.roll(1_000)),
        offline,
        wait_absent: *dice.pick(&[Duration::from_mins(1), Duration::from_hours(3)]),
        limits: if large.is_some() { large_limits(dice) } else { limits(dice) },
        retry: retry(dice),
        verify: Verify {
            mode: *dice.pick(&[Mode::Version, Mode::Version, Mode::Reachable, Mode::None]),
            timeout: Duration::from_secs(*dice.pick(&[1, 20, 60, 200])),
            first: dice.percent(30),
        },
        brake: match dice.roll(if large.is_some() { 24 } else { 6 }) {
            0 => Some(Brake::Count(dice.roll(12) as u32)),
            1 => Some(Brake::Percent(dice.range(1, 50) as u8)),
            _ => None,
        },
        regression: dice.percent(if large.is_some() { 5 } else { 25 }).then(|| regression(dice)),
        budgets: budgets(dice),
        unreachable: unreachable(dice),
        on_failure: match dice.roll(100) {
            0..=9 => OnFailure::Abort,
            10..=24 => OnFailure::Rollback,
            _ => OnFailure::Pause,
        },
        priority: dice.roll(3) as i32 - 1,
        // Versions of releases by different names are judged against each other, too.
        allow_downgrade: dice.percent(if large.is_some() { 85 } else { 50 }),
        ..Spec::immediate(release)
    };
    spec.check().unwrap();
    spec
}

fn select(dice: &mut Dice) -> Option<String> {
    match dice.roll(4) {
        0 => Some(format!("tag.site==s{}", dice.roll(4))),
        1 => Some("tag.ring!=r0".to_owned()),
        _ => None,
    }
}

fn hours(dice: &mut Dice, max: u64) -> Duration {
    Duration::from_secs(dice.range(1, max * 3_600))
}

fn deadline(dice: &mut Dice, now: Time, is_needed: bool, max: u64) -> Option<Deadline> {
    match dice.roll(if is_needed { 2 } else { 4 }) {
        0 => Some(Deadline::After(hours(dice, max))),
        1 => Some(Deadline::At(now + hours(dice, max * 3 / 2))),
        _ => None,
    }
}

fn waves(dice: &mut Dice, membership: Membership) -> Vec<WaveSpec> {
    let mut sizes = vec![];
    if membership == Membership::Snapshot {
        if dice.percent(30) {
            sizes.push(WaveSize::Select(format!("tag.ring==r{}", dice.roll(3))));
        }
        if dice.percent(40) {
            sizes.push(WaveSize::Count(dice.range(1, 10) as u32));
        }
    }
    let mut percent = 0;
    while percent < 100 {
        percent = (percent + dice.range(1, 60)).min(100);
        sizes.push(WaveSize::Percent(percent as u8));
    }
    sizes.into_iter().map(|size| wave(dice, size)).collect()
}

/// Devices here fail often: a baseline that is near to that is noticed late, or never.
fn regression(dice: &mut Dice) -> Regression {
    let percent = *dice.pick(&[1_u32, 5, 20, 40]);
    let rate = Rate::from_ppm(percent * 10_000).unwrap();
    let alpha = Alpha::from_percent(*dice.pick(&[1, 5, 20])).unwrap();
    Regression { baseline: Baseline::given(rate).unwrap(), alpha }
}

/// Sites, rings and pairs; shares that leave room for one at the least.
fn budgets(dice: &mut Dice) -> Vec<Budget> {
    let mut budgets = vec![];
    for (tag, percent_least) in [("tag.store", None), ("tag.site", Some(10)), ("tag.ring", Some(5))]
    {
        if !dice.percent(18) {
            continue;
        }
        let limit = match percent_least {
            Some(least) if dice.percent(50) => Limit::Percent(dice.range(least, 60) as u8),
            _ => Limit::Max(*dice.pick(&[1, 1, 2, 7])),
        };
        let counts_down = dice.percent(20);
        budgets.push(Budget { per: tag.parse().unwrap(), limit, counts_down });
    }
    budgets
}

/// Most gates leave devices that could not be reached apart, as most operators do.
fn unreachable(dice: &mut Dice) -> Unreachable {
    match dice.roll(10) {
        0..=6 => Unreachable::Ignore,
        7..=8 => Unreachable::Fail,
        _ => Unreachable::Wait,
    }
}

fn wave(dice: &mut Dice, size: WaveSize) -> WaveSpec {
    let soak_secs = *dice.pick(&[0, 0, 5, 600, 7_200]);
    let min_success = dice.percent(60).then(|| *dice.pick(&[0, 20, 50, 80, 100]));
    WaveSpec { size, soak: Duration::from_secs(soak_secs), min_success }
}

fn limits(dice: &mut Dice) -> Limits {
    Limits {
        max_in_flight: *dice.pick(&[1, 3, 8, 30]),
        max_unverified: *dice.pick(&[1, 4, 15, 1_000]),
        max_per_host: *dice.pick(&[1, 2, 10]),
        per_minute: dice.percent(30).then(|| *dice.pick(&[1, 7, 60, 1_000])),
    }
}

fn large_limits(dice: &mut Dice) -> Limits {
    Limits {
        max_in_flight: *dice.pick(&[300, 1_000, 5_000]),
        max_unverified: *dice.pick(&[1_000, 5_000, 20_000]),
        max_per_host: *dice.pick(&[5, 50, 1_000]),
        per_minute: dice.percent(10).then(|| *dice.pick(&[5_000, 60_000])),
    }
}

fn retry(dice: &mut Dice) -> Policy {
    let initial = Duration::from_millis(*dice.pick(&[5, 1_000, 60_000]));
    let cap = initial * dice.range(1, 20) as u32;
    Policy::new(dice.range(1, 5) as u32, initial, 2.0, cap, dice.roll(101) as u8).unwrap()
}

/// Short windows, several a day, and freezes of some hours, so that a run crosses many.
fn schedule(dice: &mut Dice, now: Time) -> Schedule {
    let mut windows: Vec<Window> = vec![];
    for _ in 0..dice.range(1, 4) {
        let (hour, minute) = (dice.roll(24), *dice.pick(&[0, 15, 30, 45]));
        let to = (hour * 60 + minute + dice.range(5, 150)) % (24 * 60);
        let text = format!("{hour:02}:{minute:02}-{:02}:{:02}", to / 60, to % 60);
        windows.extend(text.parse::<Window>());
    }
    if dice.percent(20) {
        windows.clear();
    }
    let mut freezes: Vec<Freeze> = vec![];
    for _ in 0..dice.roll(3) {
        let at = Timestamp::from_millisecond(now.as_millis()).unwrap();
        let from = at.to_zoned(TimeZone::UTC).datetime() + (dice.roll(48) as i64).hours();
        let to = from + (dice.range(1, 9) as i64).hours();
        let text =
            format!("{}..{}", from.strftime("%Y-%m-%dT%H:%M"), to.strftime("%Y-%m-%dT%H:%M"));
        freezes.push(text.parse().unwrap());
    }
    let zone = |name| Zone::parse(name).unwrap();
    Schedule {
        hours: Hours::new(windows, freezes).unwrap(),
        zone: match dice.roll(4) {
            0 => ZoneRule::Fixed(zone("America/New_York")),
            _ => ZoneRule::Device { otherwise: zone(*dice.pick(&["UTC", "Europe/Berlin"])) },
        },
        when_closed: if dice.percent(25) { WhenClosed::End } else { WhenClosed::Wait },
    }
}
