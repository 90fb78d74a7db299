//! What goes wrong, by chance, until it is enough.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    dice::Dice,
    driver::Driver,
    ground::{FleetProcess, Ground, pause},
    operator::Operator,
    scene::{self, Planned},
};

/// The longest that the network keeps back what it lets through in the end: a stall, the delays, and
/// the way of the largest release through the narrowest line.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(4_000);

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
    pub(crate) backups: Vec<std::path::PathBuf>,
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
            pause(Duration::from_millis(self.dice.range(50, 900)))?;
        }
        Ok(())
    }

    /// Brings everything back to order.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.fleet.set_network("{}")?;
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
            0..22 => self.kill(),
            22..36 => self.hold(),
            36..44 if self.ground.has_disk => self.fill(),
            44..66 => self.operator.act_somehow(),
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
        let (delay, spread, jitter) = (dice.range(0, 60), dice.range(0, 60), dice.range(0, 60));
        let late = format!("\"delay_ms\":{delay},\"spread_ms\":{spread},\"jitter_ms\":{jitter}");
        let network = match dice.roll(6) {
            0 => String::new(),
            1 => late,
            2 => format!("{late},\"bytes_per_sec\":{}", dice.range(40_000, 400_000)),
            3 => format!("{late},\"resets_per_million\":{}", dice.range(1_000, 60_000)),
            4 => format!(
                "{late},\"stalls_per_million\":{},\"stall_ms\":{}",
                dice.range(5_000, 100_000),
                dice.range(100, 1_200)
            ),
            _ => {
                let site = scene::network_of(dice.roll(u64::from(scene::SITES)) as u32);
                let other = scene::network_of(dice.roll(u64::from(scene::SITES)) as u32);
                self.fleet.set_network(&format!("{{\"cut_off\":[\"{site}\",\"{other}\"]}}"))?;
                self.done.cut_offs += 1;
                pause(Duration::from_millis(self.dice.range(300, 4_000)))?;
                late
            }
        };
        self.fleet.set_network(&format!("{{{network}}}"))
    }
}
