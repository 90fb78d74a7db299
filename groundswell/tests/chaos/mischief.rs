//! What goes wrong, by chance, until it is enough.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use groundswell::{clock::Clock, core::time::Time, sim::Network};

use crate::{
    dice::Dice,
    driver::Driver,
    ground::{FleetProcess, Ground, pause},
    operator::Operator,
    scene::{self, Planned},
};

/// The longest that anything is kept back that comes through in the end.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(4);

/// How long a busy machine may keep a process from reading what has arrived, in milliseconds.
const BUSY_MS: u64 = 400;

/// How late what was sent may have arrived, and since when it was so.
#[derive(Debug, Default)]
pub(crate) struct Weather(Vec<(Time, Duration)>);

impl Weather {
    fn note(&mut self, network: &Network) {
        let Network { delay_ms, spread_ms, jitter_ms, stall_ms, bytes_per_sec, .. } = *network;
        // The beginning of a request comes in two pieces at most, and may wait for the one before.
        let line_ms = if bytes_per_sec > 0 { 300 } else { 0 };
        let late_ms = BUSY_MS + 2 * (delay_ms + spread_ms + jitter_ms + stall_ms) + line_ms;
        let late = Duration::from_millis(late_ms).min(LATE_MAX);
        self.0.push((Clock::System.now(), late));
    }

    /// How late what arrived at `at` may have been.
    pub(crate) fn late_at(&self, at: Time) -> Duration {
        let begun =
            self.0.partition_point(|(since, _)| *since <= at + Duration::from_millis(BUSY_MS));
        let still = self.0[..begun].iter().enumerate().filter(|(place, _)| {
            // What was under way when it changed comes by the rules of before.
            self.0.get(place + 1).is_none_or(|(until, _)| *until + LATE_MAX >= at)
        });
        still.map(|(_, (_, late))| *late).max().unwrap_or(Duration::from_millis(BUSY_MS))
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) kills: u32,
    pub(crate) ends: u32,
    pub(crate) stops: u32,
    pub(crate) full_disks: u32,
    pub(crate) refused_drivers: u32,
    pub(crate) networks: u32,
    pub(crate) cut_offs: u32,
    pub(crate) backups: u32,
}

pub(crate) struct Mischief<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) fleet: FleetProcess,
    pub(crate) driver: Driver<'a>,
    pub(crate) operator: Operator<'a>,
    pub(crate) dice: Dice,
    pub(crate) done: Done,
    pub(crate) backups: Vec<PathBuf>,
    pub(crate) weather: Weather,
}

impl Mischief<'_> {
    /// Lets things go wrong for `length`, while the rollouts are created and devices come.
    pub(crate) fn make(&mut self, length: Duration, planned: Vec<Planned>) -> Result<()> {
        let begun = Instant::now();
        let mut planned = planned.into_iter().peekable();
        let mut late = 0;
        while begun.elapsed() < length {
            let percent = (begun.elapsed().as_millis() * 100 / length.as_millis()) as u64;
            while let Some(next) = planned.next_if(|next| next.at_percent <= percent) {
                self.operator.create(&next.spec.text())?;
            }
            if late < scene::LATE_PARTS && percent >= 30 + u64::from(late) * 12 {
                self.import_late(late)?;
                late += 1;
            }
            self.driver.ensure_running()?;
            self.once()?;
            pause(Duration::from_millis(self.dice.range(20, 600)))?;
        }
        Ok(())
    }

    /// Brings everything back to order.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.set_network(&Network::default())?;
        self.driver.until_driving()
    }

    fn import_late(&self, part: u32) -> Result<()> {
        fs::write(self.ground.path("late.csv"), scene::late_devices(part, self.fleet.port))?;
        for _ in 0..50 {
            if self.ground.ask(&["device", "import", "late.csv"])?.0 == Some(0) {
                return Ok(());
            }
            pause(Duration::from_millis(200))?;
        }
        anyhow::bail!("late devices cannot be imported")
    }

    fn once(&mut self) -> Result<()> {
        match self.dice.roll(100) {
            0..20 => self.kill(),
            20..32 => self.hold(),
            32..39 if self.ground.has_disk => self.fill(),
            39..66 => self.operator.act_somehow(),
            66..71 => self.second_driver(),
            71..91 => self.change_network(),
            91..95 => self.back_up(),
            95..98 => self.end_driver(),
            _ => Ok(()),
        }
    }

    fn kill(&mut self) -> Result<()> {
        self.driver.kill()?;
        self.done.kills += 1;
        if self.dice.percent(40) {
            // What an operator does meanwhile is done without a driver.
            self.operator.act_somehow()?;
            pause(Duration::from_millis(self.dice.range(0, 1_000)))?;
        }
        self.driver.ensure_running()?;
        if self.dice.percent(20) {
            // Killed while it takes over.
            pause(Duration::from_millis(self.dice.range(1, 150)))?;
            self.driver.kill()?;
            self.done.kills += 1;
        }
        Ok(())
    }

    fn end_driver(&mut self) -> Result<()> {
        self.driver.until_driving()?;
        self.driver.stop()?;
        self.done.ends += 1;
        Ok(())
    }

    fn hold(&mut self) -> Result<()> {
        self.driver.signal("-STOP")?;
        self.done.stops += 1;
        let held = if self.dice.percent(15) {
            // Nobody answers, and says so in time.
            self.operator.act_somehow()
        } else {
            pause(Duration::from_millis(self.dice.range(50, 2_500)))
        };
        self.driver.signal("-CONT")?;
        held
    }

    fn fill(&mut self) -> Result<()> {
        self.driver.may_have_failed = true;
        self.ground.fill_disk()?;
        self.done.full_disks += 1;
        pause(Duration::from_millis(self.dice.range(100, 1_500)))?;
        if self.dice.percent(40) {
            self.operator.act_somehow()?;
        }
        if self.dice.percent(30) {
            self.driver.kill()?;
            self.done.kills += 1;
        }
        // It waits for room.
        self.driver.ensure_running()?;
        self.driver.may_have_failed = true;
        pause(Duration::from_millis(self.dice.range(0, 1_500)))?;
        self.ground.make_room()?;
        Ok(())
    }

    fn second_driver(&mut self) -> Result<()> {
        self.driver.until_driving()?;
        let (code, said) = self.ground.ask(&["run", "--output", "none"])?;
        let is_refused = code == Some(2) || code == Some(3);
        ensure!(
            is_refused && said.contains("driven by another process"),
            "a second driver ended with {code:?}: {said}"
        );
        self.done.refused_drivers += 1;
        Ok(())
    }

    fn back_up(&mut self) -> Result<()> {
        let number = self.done.backups;
        if self.operator.back_up(number)? {
            self.backups.push(self.ground.path(&format!("backup-{number}.db")));
            self.done.backups += 1;
        }
        Ok(())
    }

    fn change_network(&mut self) -> Result<()> {
        self.done.networks += 1;
        let dice = &mut self.dice;
        let [delay_ms, spread_ms, jitter_ms] = [0; 3].map(|_: u64| dice.range(0, 60));
        let late = Network { delay_ms, spread_ms, jitter_ms, ..Network::default() };
        let network = match dice.roll(6) {
            0 => Network::default(),
            1 => late,
            2 => Network { bytes_per_sec: dice.range(40_000, 400_000), ..late },
            3 => Network { resets_per_million: dice.range(1_000, 60_000) as u32, ..late },
            4 => Network {
                stalls_per_million: dice.range(5_000, 100_000) as u32,
                stall_ms: dice.range(100, 1_200),
                ..late
            },
            _ => {
                let site = |dice: &mut Dice| dice.roll(u64::from(scene::SITES)) as u32;
                let cut_off = vec![scene::network_of(site(dice)), scene::network_of(site(dice))];
                let apart = dice.range(300, 4_000);
                self.done.cut_offs += 1;
                self.set_network(&Network { cut_off, ..Network::default() })?;
                pause(Duration::from_millis(apart))?;
                late
            }
        };
        self.set_network(&network)
    }

    fn set_network(&mut self, network: &Network) -> Result<()> {
        self.weather.note(network);
        self.fleet.set_network(&serde_json::to_string(network)?)
    }
}
