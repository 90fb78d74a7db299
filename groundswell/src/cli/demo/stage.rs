//! Where the demo takes place: the simulated terminals, a state directory, and what drives it.
//!
//! Owns the one driver that runs all along, the check-ins of the terminals, and what an operator
//! would do from another process: releases and rollouts are created, and steered by way of the
//! driver, as the commands of the same names do. Type to read first: [`Stage`].

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use groundswell_core::{
    assignment::State, device::Device, hours::Zone, ids::RolloutId, rollout::Act, time::Time,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    scenario::{REBOOT_MINUTES, SCENARIOS, Scenario},
    tell::Teller,
};
use crate::{
    Driver,
    clock::{Clock, ScaledClock},
    delivery::http::{Config, Timeouts},
    drive::DriveError,
    engine::hub::Events,
    inventory::{self, Inventory},
    operate,
    sim::{DeviceReport, Digest, Fleet, Options},
    store::{Contact, RolloutKey, SqliteStore, Store, dir},
};

/// The inventory of the chain; its addresses get the port that the fleet happens to have.
const DEVICES: &str = include_str!("../../../../examples/pos/devices.json");

/// The port that the inventory names.
const PORT: u16 = 9100;

/// Tuesday, 2026-11-24, 23:30 in New York: late enough not to wait long for the night.
pub(super) const BEGINS_AT: Time = Time::from_millis(1_795_581_000_000);

/// How often the terminals check in: three silent intervals make one offline, and on a fast clock
/// even a busy machine has to keep up with that.
const CHECK_IN: Duration = Duration::from_mins(20);

/// Size of a release: enough to see bytes go by.
const ARTIFACT_BYTES: usize = 256 << 10;

/// How long one step of a delivery may take by the clock of whoever watches: generous, because
/// the machine may be busy.
const STEP_MAX: Duration = Duration::from_secs(20);

/// How often it is looked how things stand, by the same clock.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long the driver may take to start or to stop, by the same clock.
const START_MAX: Duration = Duration::from_secs(20);

/// A simulated terminal.
pub(super) struct Terminal {
    /// As the inventory has it.
    pub(super) device: Device,
    pub(super) zone: Zone,
    pub(super) is_online: bool,
}

/// The terminals, the state directory and its driver.
pub(super) struct Stage {
    pub(super) clock: Clock,
    pub(super) fleet: Fleet,
    pub(super) terminals: Vec<Terminal>,
    pub(super) store: SqliteStore,
    operator: operate::State,
    events: Events,
    check_in_at: Time,
    driver: JoinHandle<Result<(), DriveError>>,
    stopper: CancellationToken,
}

impl Stage {
    /// Starts the terminals, and a driver of a new state directory at `state`.
    pub(super) fn set(state: &Path, speed: u32) -> anyhow::Result<Self> {
        let mut operator = operate::State::open(state)?;
        releases(&mut operator)?;
        // From here on time goes by.
        let clock = Clock::Scaled(ScaledClock::new(BEGINS_AT, speed));
        let fleet = Fleet::start(Options {
            reboot: Duration::from_mins(REBOOT_MINUTES),
            digest: Digest::All,
            clock: clock.clone(),
            ..Options::default()
        })
        .context("the simulated terminals cannot listen")?;
        let inventory = inventory(fleet.local_addr().port())?;
        operator.import(&inventory)?;
        let terminals = terminals(inventory)?;
        for terminal in &terminals {
            let Device { id, version, .. } = &terminal.device;
            fleet.seed_device(id, version.as_deref().unwrap_or_default());
            fleet.set_offline(id, !terminal.is_online);
        }
        let http = Config { timeouts: Timeouts::all(STEP_MAX * speed), ..Config::default() };
        let mut driver = Driver::new(state).http(http).clock(clock.clone());
        let (events, stopper) = (driver.subscribe(), driver.stopper());
        let driver = tokio::spawn(driver.run());
        let store = SqliteStore::open(&dir::database(state))?;
        let check_in_at = BEGINS_AT;
        Ok(Self { clock, fleet, terminals, store, operator, events, check_in_at, driver, stopper })
    }

    /// Creates the rollout of a scenario as an operator would: from a file, as a draft.
    pub(super) fn create(
        &mut self,
        scenario: &Scenario,
    ) -> anyhow::Result<(RolloutKey, RolloutId)> {
        let file = self.operator.path().join(format!("{}.toml", scenario.name));
        fs::write(&file, scenario.spec).context("a spec cannot be written")?;
        let spec = self.operator.read_spec(&file, self.clock.now())?;
        Ok(self.operator.create_rollout(&spec, self.clock.now())?)
    }

    /// Does something to a rollout by way of the driver, once that drives.
    pub(super) async fn act(
        &mut self,
        rollout: RolloutKey,
        act: Act,
        teller: &mut Teller,
    ) -> anyhow::Result<()> {
        let asked_at = Clock::System.now();
        while self.operator.driver().is_none() {
            ensure!(Clock::System.now().since(asked_at) < START_MAX, "the driver does not start");
            self.go_on(teller).await?;
        }
        let acting = self.operator.act(rollout, act, self.clock.now())?;
        ensure!(acting.driver.is_some(), "the driver ended");
        Ok(())
    }

    /// Lets time pass until it is enough, for at most so long by the demo's clock; says whether it
    /// was enough.
    pub(super) async fn until(
        &mut self,
        most: Duration,
        teller: &mut Teller,
        is_enough: impl Fn(&Self, &Teller) -> bool,
    ) -> anyhow::Result<bool> {
        let end = self.clock.now() + most;
        loop {
            if is_enough(self, teller) {
                return Ok(true);
            }
            if self.clock.now() >= end {
                return Ok(false);
            }
            self.go_on(teller).await?;
        }
    }

    /// Lets a little time pass: tells what happens, and has the terminals check in.
    async fn go_on(&mut self, teller: &mut Teller) -> anyhow::Result<()> {
        self.check_in()?;
        teller.show_clock(self.clock.now());
        tokio::select! {
            event = self.events.recv() => {
                if let Some(event) = event {
                    teller.event(&event, &self.terminals);
                    return Ok(());
                }
                (&mut self.driver).await.context("the driver died")??;
                bail!("the driver ended");
            }
            () = Clock::System.sleep(LOOK_EVERY, "look") => {}
        }
        Ok(())
    }

    /// The terminals that are online check in, when it is time for that.
    fn check_in(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        if now < self.check_in_at {
            return Ok(());
        }
        self.check_in_at = now + CHECK_IN / 2;
        let online = self.terminals.iter().filter(|terminal| terminal.is_online);
        let seen = online.filter_map(|Terminal { device, .. }| {
            // A check-in would say that it is well.
            let is_well = |report: &DeviceReport| !report.rebooting && !report.broken;
            let report = self.fleet.device(&device.id).filter(is_well)?;
            Some((device.id.as_str(), report.version))
        });
        let seen: Vec<(&str, String)> = seen.collect();
        let contacts = seen.iter().map(|(device, version)| Contact {
            device,
            at: now,
            version: Some(version),
        });
        Ok(self.store.saw(&contacts.collect::<Vec<_>>())?)
    }

    /// A terminal comes online, and checks in; says when.
    pub(super) fn come_online(&mut self, at: usize) -> anyhow::Result<Time> {
        let terminal = self.terminals.get_mut(at).context("no such terminal")?;
        terminal.is_online = true;
        let now = self.clock.now();
        let id = terminal.device.id.clone();
        self.fleet.set_offline(&id, false);
        let version = self.fleet.device(&id).map(|report| report.version);
        self.operator.check_in(&id, version.as_deref(), now)?;
        Ok(now)
    }

    /// In which wave of a rollout a terminal is, and where it stands; none if it was not chosen.
    pub(super) fn standing(
        &self,
        device: &str,
        rollout: RolloutKey,
    ) -> anyhow::Result<Option<(usize, State)>> {
        let key = self.store.device_key(device)?.context("a terminal is not in the inventory")?;
        let standings = self.store.standings(key)?.into_iter();
        let mut own = standings.filter(|standing| standing.rollout == rollout);
        Ok(own.next_back().map(|standing| (standing.wave, standing.assignment.state)))
    }

    /// Ends everything.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.stopper.cancel();
        drop(self.events);
        let stopped = tokio::time::timeout(START_MAX, self.driver).await;
        stopped.context("the driver does not stop")?.context("the driver died")??;
        self.fleet.stop().await;
        Ok(())
    }
}

/// The inventory as the fleet happens to listen, with the check-ins of the demo.
fn inventory(port: u16) -> anyhow::Result<Inventory> {
    let devices = DEVICES.replace(&format!(":{PORT}"), &format!(":{port}"));
    let options = inventory::Options::new("examples/pos/devices.json", BEGINS_AT);
    let mut inventory = inventory::read(devices.as_bytes(), &options)?;
    for entry in &mut inventory.entries {
        entry.device.check_in = Some(CHECK_IN);
    }
    Ok(inventory)
}

fn terminals(inventory: Inventory) -> anyhow::Result<Vec<Terminal>> {
    let each = inventory.entries.into_iter().map(|entry| {
        let device = entry.device;
        let zone = Zone::parse(device.time_zone.as_deref().unwrap_or("UTC"))?;
        Ok(Terminal { is_online: !device.presence(BEGINS_AT).is_away(), zone, device })
    });
    each.collect()
}

/// Makes and writes down what the scenarios send.
fn releases(operator: &mut operate::State) -> anyhow::Result<()> {
    for Scenario { version, .. } in &SCENARIOS {
        let file = operator.path().join(format!("pos-app-{version}.bin"));
        let bytes: Vec<u8> = version.bytes().cycle().take(ARTIFACT_BYTES).collect();
        fs::write(&file, bytes).context("an artifact cannot be written")?;
        operator.create_release("pos-app", version, &file, BEGINS_AT)?;
    }
    Ok(())
}
