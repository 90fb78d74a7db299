//! The simulated devices: what they are, where they stand, and how they behave.

use std::time::Duration;

use groundswell::core::{
    device::Device,
    outcome::{Answer, Fault, Outcome},
};

use super::{dice::Dice, rhythm::Rhythm, specs, theme::Theme};

/// Of a hundred devices of a large world, so many do what they should: most of what is done is then
/// what is done in a fleet that is well.
const WELL_PERCENT: u64 = 80;

/// How a device behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habit {
    latency_max_ms: u64,
    /// Deliveries and questions that get lost, in percent.
    loss: u64,
    /// Answers with 503, and with 404, in percent.
    busy: u64,
    rejects: u64,
    reboot_max_ms: u64,
    /// Updates that it accepts and does not install, in percent.
    lies: u64,
    /// Updates it does not come back from, in percent.
    bricks: u64,
    /// Questions it answers without a version, in percent.
    mute: u64,
    /// Longest time online and offline, for one that comes and goes.
    pub(crate) flaps_max_secs: Option<(u64, u64)>,
    is_never_there: bool,
}

/// A device.
#[derive(Clone, Debug)]
pub(crate) struct Simulated {
    pub(crate) known: Device,
    pub(crate) habit: Habit,
    pub(crate) version: String,
    pub(crate) is_online: bool,
    reboots_until: i64,
    is_dead: bool,
    /// From when on it is not well.
    sick_at: Option<i64>,
    pub(crate) receptions: u32,
}

/// What comes of a delivery: when the device has taken it, if it does, and what is seen of it.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) taken_in: Option<Duration>,
    pub(crate) answered_in: Duration,
    pub(crate) outcome: Outcome,
}

/// All devices, by their numbers, and those that are not imported yet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) devices: Vec<Simulated>,
    dice: Dice,
    /// What decides who sickens of an update, apart from all else.
    ward: Dice,
    hosts: u64,
    gentle: bool,
    is_large: bool,
    theme: Theme,
}

impl Habit {
    fn draw(dice: &mut Dice, gentle: bool, theme: Theme) -> Self {
        let mut share = |max| {
            if gentle || dice.percent(60) { 0 } else { dice.roll(max) }
        };
        let (loss, busy, rejects) = (share(40), share(60), share(20));
        let (lies, bricks, mute) = (share(50), share(10), share(30));
        let flaps_max_secs =
            (!gentle && dice.percent(25)).then(|| (dice.range(60, 20_000), dice.range(60, 30_000)));
        Self {
            latency_max_ms: *dice.pick(theme.latencies_ms()),
            loss,
            busy,
            rejects,
            reboot_max_ms: *dice.pick(&[1, 1_000, 10_000, 90_000]),
            lies,
            bricks,
            mute,
            flaps_max_secs,
            is_never_there: !gentle && dice.percent(theme.never_there_percent()),
        }
    }
}

impl Fleet {
    pub(crate) fn new(mut dice: Dice, rhythm: &Rhythm, ward: Dice) -> Self {
        let (count, gentle) = (rhythm.devices, dice.percent(15));
        let hosts = if rhythm.is_large {
            dice.range(count / 20 + 1, count + 1)
        } else {
            dice.range(3, rhythm.theme.hosts_max())
        };
        let Rhythm { is_large, theme, .. } = *rhythm;
        let mut fleet = Self { devices: vec![], dice, ward, hosts, gentle, is_large, theme };
        fleet.grow(count);
        fleet
    }

    /// More devices; returns their numbers.
    pub(crate) fn grow(&mut self, count: u64) -> std::ops::Range<usize> {
        let from = self.devices.len();
        let to = from + count as usize;
        for no in from..to {
            let device = self.draw(&format!("d{no:03}"));
            self.devices.push(device);
        }
        from..to
    }

    /// Some devices are in other zones from now on; returns their numbers.
    pub(crate) fn travel(&mut self) -> Vec<usize> {
        let (count, all) = (self.dice.range(1, 40), self.devices.len() as u64);
        let numbers: Vec<usize> = (0..count).map(|_| self.dice.roll(all) as usize).collect();
        for no in &numbers {
            let zone =
                self.dice.percent(90).then(|| (*self.dice.pick(self.theme.zones())).to_owned());
            self.devices[*no].known.time_zone = zone;
        }
        numbers
    }

    fn draw(&mut self, id: &str) -> Simulated {
        let dice = &mut self.dice;
        let is_well = self.gentle || self.is_large && dice.percent(WELL_PERCENT);
        let habit = Habit::draw(dice, is_well, self.theme);
        let site = dice.roll(4);
        let host = dice.roll(self.hosts);
        // Some are behind a gateway, and some poll.
        let address = match dice.roll(20) {
            0 => None,
            1..=8 => Some(format!("http://gateway-{}.test:8080", dice.roll(self.hosts / 3 + 1))),
            _ => Some(format!("http://10.{}.{site}.{}:80", host / 250, host % 250 + 1)),
        };
        let check_in = dice
            .percent(if self.is_large { 4 } else { 30 })
            .then(|| Duration::from_secs(*dice.pick(&[1_800, 3_600, 14_400])));
        let zone = dice.percent(85).then(|| (*dice.pick(self.theme.zones())).to_owned());
        let version = dice.pick(&specs::BEFORE).to_string();
        // Two to four devices each; some are in none.
        let store = self.devices.len() / 3;
        let mut tags = vec![("site", format!("s{site}")), ("ring", format!("r{}", dice.roll(3)))];
        if !dice.percent(3) {
            tags.push(("store", format!("{store:04}")));
        }
        let known = Device {
            id: id.to_owned(),
            name: id.to_owned(),
            address: address.map(|address| address.parse().unwrap()),
            version: dice.percent(50).then(|| version.clone()),
            location: Some(format!("site-{site}")),
            time_zone: zone,
            check_in,
            tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            ..Device::default()
        };
        let is_online = dice.percent(90);
        Simulated {
            known,
            habit,
            version,
            is_online,
            reboots_until: 0,
            is_dead: habit.is_never_there,
            sick_at: None,
            receptions: 0,
        }
    }

    /// The number of a device that is known by its id.
    pub(crate) fn number(id: &str) -> usize {
        id[1..].parse().unwrap()
    }

    /// How long until a device that comes and goes does so next.
    pub(crate) fn flaps_in(&mut self, no: usize) -> Option<Duration> {
        let device = &self.devices[no];
        let (online, offline) = device.habit.flaps_max_secs?;
        let max = if device.is_online { online } else { offline };
        Some(Duration::from_millis(self.dice.range(1_000, max * 1_000)))
    }

    /// From now on everybody is there for good, or never again.
    pub(crate) fn calm(&mut self) {
        for device in &mut self.devices {
            device.is_online |= self.dice.percent(80);
            device.habit.flaps_max_secs = None;
        }
    }

    /// A delivery begins at `now`.
    pub(crate) fn deliver(&mut self, no: usize, now: i64) -> Fate {
        let dice = &mut self.dice;
        let device = &mut self.devices[no];
        let habit = device.habit;
        let answered_in = Duration::from_millis(dice.range(1, habit.latency_max_ms));
        let not_sent = |fault| Outcome::NotSent { fault, detail: String::new() };
        if !device.is_there(now) {
            let fault = *dice.pick(&[
                Fault::ConnectRefused,
                Fault::ConnectTimeout,
                Fault::Unreachable,
                Fault::DnsFailed,
            ]);
            return Fate { taken_in: None, answered_in, outcome: not_sent(fault) };
        }
        if dice.percent(habit.loss) {
            return Self::lost(dice, answered_in);
        }
        let refused = |status, retry_after| Outcome::Refused {
            status,
            retry_after,
            detail: "as it is".to_owned(),
        };
        if dice.percent(habit.busy) {
            let after = dice.percent(30).then(|| Duration::from_secs(dice.roll(600)));
            let status = *dice.pick(&[503, 500, 429]);
            return Fate { taken_in: None, answered_in, outcome: refused(status, after) };
        }
        if dice.percent(habit.rejects) {
            let status = *dice.pick(&[404, 409, 301]);
            return Fate { taken_in: None, answered_in, outcome: refused(status, None) };
        }
        let taken_in = Some(Duration::from_millis(dice.roll(answered_in.as_millis() as u64 + 1)));
        Fate { taken_in, answered_in, outcome: Outcome::Accepted { status: 200 } }
    }

    fn lost(dice: &mut Dice, answered_in: Duration) -> Fate {
        let detail = String::new();
        if dice.percent(40) {
            let fault = *dice.pick(&[Fault::Reset, Fault::UploadStalled, Fault::TlsHandshake]);
            let outcome = Outcome::NotSent { fault, detail };
            return Fate { taken_in: None, answered_in, outcome };
        }
        let fault = *dice.pick(&[Fault::Reset, Fault::ResponseTimeout, Fault::Malformed]);
        // It may take the update long after we have given up waiting for the answer.
        let wait_ms = answered_in.as_millis() as u64 * 2 + dice.roll(2_000);
        let taken_in = dice.percent(60).then(|| Duration::from_millis(wait_ms));
        Fate { taken_in, answered_in, outcome: Outcome::Unknown { fault, detail } }
    }

    /// The bytes of an update have arrived, whatever became of those who sent them.
    pub(crate) fn take(&mut self, no: usize, version: &str, now: i64) {
        let dice = &mut self.dice;
        let device = &mut self.devices[no];
        if !device.is_there(now) {
            return;
        }
        device.receptions += 1;
        let sickens = !self.gentle && self.ward.percent(30);
        let after_ms = *self.ward.pick(&[0, 3_000, 60_000, 1_800_000]);
        device.sick_at = sickens.then_some(now + after_ms);
        device.reboots_until = now + dice.range(1, device.habit.reboot_max_ms) as i64;
        device.is_dead |= dice.percent(device.habit.bricks);
        if !dice.percent(device.habit.lies) {
            version.clone_into(&mut device.version);
        }
    }

    /// A device is asked for its version.
    pub(crate) fn ask(&mut self, no: usize, within: Duration, now: i64) -> (Duration, Answer) {
        let dice = &mut self.dice;
        let device = &mut self.devices[no];
        let wait = Duration::from_millis(dice.range(1, device.habit.latency_max_ms)).min(within);
        if !device.is_there(now) || dice.percent(device.habit.loss) {
            let fault = *dice.pick(&[Fault::ConnectRefused, Fault::ResponseTimeout]);
            return (wait, Answer::Silent { fault, detail: String::new() });
        }
        if dice.percent(device.habit.mute) {
            return (wait, Answer::Unreadable { status: 404, detail: "no such page".to_owned() });
        }
        (wait, Answer::Version { version: device.version.clone() })
    }
}

impl Fleet {
    /// Whether a device is not well since its update.
    pub(crate) fn is_sick(&self, no: usize, now: i64) -> bool {
        self.devices[no].sick_at.is_some_and(|at| at <= now)
    }
}

impl Simulated {
    pub(crate) const fn is_there(&self, now: i64) -> bool {
        self.is_online && !self.is_dead && self.reboots_until <= now
    }
}
