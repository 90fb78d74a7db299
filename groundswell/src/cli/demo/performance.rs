//! One scenario from its headline to its verdict.
//!
//! Owns the order of things: the rollout is created and started, terminals come online, time
//! passes until it has ended, and the evidence is taken. Type to read first: [`Performance`].

use std::time::Duration;

use anyhow::Context as _;
use groundswell_core::{hours::Zone, ids::RolloutId, rollout::Act, time::Time, waiting::span};

use super::{
    check,
    paint::Paint,
    played::{Outage, Part, Played},
    scenario::{BROKEN, SCENARIOS, Scenario, Script},
    stage::Stage,
    tell::Teller,
};
use crate::{
    cli::print_line,
    clock::Clock,
    sim::{DeviceReport, Event, EventKind},
    store::{RolloutKey, Store},
};

/// How long a scenario may take by the demo's clock: the night, and some more.
const SCENARIO_MAX: Duration = Duration::from_hours(10);

/// How long a terminal that came online may take to run the new version.
const HOMECOMING_MAX: Duration = Duration::from_hours(3);

/// What lies between two scenarios, and between two terminals that come online.
const BREATH: Duration = Duration::from_mins(20);

/// Where the head office is: by its clock the demo is told.
const HEAD_OFFICE: &str = "America/New_York";

/// One scenario on its stage.
pub(super) struct Performance<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) scenario: &'a Scenario,
    pub(super) number: usize,
    pub(super) paint: Paint,
}

/// What was before a scenario began, for each terminal.
struct Before {
    reports: Vec<DeviceReport>,
    was_online: Vec<bool>,
    came_online_at: Vec<Option<Time>>,
}

impl Performance<'_> {
    /// Plays it, and says what came about and all that is wrong with that.
    pub(super) async fn play(mut self) -> anyhow::Result<(Played, Vec<String>)> {
        self.headline();
        let mut before = self.before()?;
        let (key, id) = self.stage.create(self.scenario)?;
        let mut teller = self.teller(id)?;
        let (from, begun_at) = (self.stage.clock.now(), Clock::System.now());
        if self.scenario.script == Script::Undoing {
            for id in BROKEN {
                self.stage.fleet.break_by(id, self.scenario.version);
            }
        }
        self.stage.act(key, Act::Start, &mut teller).await?;
        if self.scenario.script == Script::Homecoming {
            self.homecoming(&mut before, &mut teller).await?;
        }
        let is_ended = self.stage.until(SCENARIO_MAX, &mut teller, |_, teller| teller.is_ended());
        if !is_ended.await? {
            self.stage.act(key, Act::Abort, &mut teller).await?;
        }
        self.way_back(key, &mut teller).await?;
        let (to, took) = (self.stage.clock.now(), Clock::System.now().since(begun_at));
        let played = self.played(key, &before, (from, to), took)?;
        let wrong = check::check(self.scenario, &played);
        teller.hide_clock();
        self.verdict(&played, &wrong);
        self.stage.until(BREATH, &mut teller, |_, _| false).await?;
        teller.hide_clock();
        Ok((played, wrong))
    }

    fn headline(&self) {
        let Scenario { name, title, story, spec, .. } = self.scenario;
        let (number, paint) = (self.number, self.paint);
        print_line(&paint.bold(&format!("{number} of {}  {name}: {title}\n", SCENARIOS.len())));
        for line in *story {
            print_line(&format!("  {line}"));
        }
        print_line("");
        for line in spec.lines() {
            let line = if line.is_empty() { String::new() } else { format!("      {line}") };
            print_line(&paint.dim(&line));
        }
        print_line("");
    }

    fn teller(&self, id: RolloutId) -> anyhow::Result<Teller> {
        let Scenario { version, script, .. } = self.scenario;
        Ok(Teller::new(id, version, *script, Zone::parse(HEAD_OFFICE)?, self.paint))
    }

    fn before(&self) -> anyhow::Result<Before> {
        let terminals = &self.stage.terminals;
        Ok(Before {
            reports: self.reports()?,
            was_online: terminals.iter().map(|terminal| terminal.is_online).collect(),
            came_online_at: vec![None; terminals.len()],
        })
    }

    fn reports(&self) -> anyhow::Result<Vec<DeviceReport>> {
        let Stage { fleet, terminals, .. } = &*self.stage;
        let each = terminals.iter().map(|terminal| fleet.device(&terminal.device.id));
        each.collect::<Option<_>>().context("a terminal was never heard of")
    }

    /// The terminals that are offline come online, each when the one before runs the version.
    async fn homecoming(&mut self, before: &mut Before, teller: &mut Teller) -> anyhow::Result<()> {
        let version = self.scenario.version;
        let runs = |stage: &Stage, at: usize| {
            let id = &stage.terminals[at].device.id;
            stage.fleet.device(id).is_some_and(|report| report.version == version)
        };
        let count = self.stage.terminals.len();
        let (online, offline): (Vec<usize>, Vec<usize>) =
            (0..count).partition(|at| self.stage.terminals[*at].is_online);
        let all = |stage: &Stage, _: &Teller| online.iter().all(|at| runs(stage, *at));
        self.stage.until(HOMECOMING_MAX, teller, all).await?;
        for at in offline {
            self.stage.until(BREATH, teller, |_, _| false).await?;
            let now = self.stage.come_online(at)?;
            before.came_online_at[at] = Some(now);
            teller.comes_online(now, &self.stage.terminals[at]);
            self.stage.until(HOMECOMING_MAX, teller, |stage, _| runs(stage, at)).await?;
        }
        Ok(())
    }

    /// The rollouts that roll this one back take their course, if there are any.
    async fn way_back(&mut self, key: RolloutKey, teller: &mut Teller) -> anyhow::Result<()> {
        for record in self.stage.store.rollbacks(key)? {
            teller.follow_back(record.id, &record.spec.release.version);
        }
        self.stage.until(SCENARIO_MAX, teller, |_, teller| teller.is_ended()).await?;
        Ok(())
    }

    /// What came about, by the terminals' reports and the store.
    fn played(
        &self,
        key: RolloutKey,
        before: &Before,
        (from, to): (Time, Time),
        took: Duration,
    ) -> anyhow::Result<Played> {
        let stage = &*self.stage;
        let record = stage.store.rollout(key)?.context("a rollout vanished")?;
        let release = record.spec.release;
        let rollbacks = stage.store.rollbacks(key)?.into_iter();
        let rollbacks = rollbacks.map(|by| (by.spec.release.version, by.progression.state));
        let mut terminals = vec![];
        for (at, after) in self.reports()?.into_iter().enumerate() {
            let (device, earlier) = (&stage.terminals[at].device, &before.reports[at]);
            terminals.push(Part {
                standing: stage.standing(&device.id, key)?,
                device: device.clone(),
                zone: stage.terminals[at].zone.clone(),
                was_online: before.was_online[at],
                came_online_at: before.came_online_at[at],
                before: earlier.version.clone(),
                requests: after.updates - earlier.updates,
                received_at: self.received_at(&after),
                outages: Outage::all(&after.events, stage.fleet.started_at(), from),
                sha256_before: earlier.sha256.clone(),
                sha256: after.sha256,
                after: after.version,
            });
        }
        Ok(Played {
            version: release.version.clone(),
            sha256: release.artifact.to_string(),
            from,
            to,
            took,
            state: record.progression.state,
            waves: record.progression.waves,
            rollbacks: rollbacks.collect(),
            terminals,
        })
    }

    /// When the scenario's version had arrived.
    fn received_at(&self, report: &DeviceReport) -> Vec<Time> {
        let started_at = self.stage.fleet.started_at();
        let is_it = |event: &&Event| {
            event.kind == EventKind::Received
                && event.version.as_deref() == Some(self.scenario.version)
        };
        let received = report.events.iter().filter(is_it);
        received.map(|event| started_at + Duration::from_millis(event.at_ms)).collect()
    }

    fn numbers(&self, played: &Played) -> String {
        match (self.scenario.script, played.skipped()) {
            (Script::Undoing, _) => {
                let broken = played.taken().filter(|part| part.broke()).count();
                let back = played.taken().filter(|part| part.after == part.before).count();
                let (taken, all) = (played.taken().count(), played.terminals.len());
                format!("{taken} of {all} took it, {broken} broke, {back} are back")
            }
            (_, 0) => format!("{} updated", played.updated()),
            (_, skipped) => format!("{} updated, {skipped} skipped", played.updated()),
        }
    }

    fn verdict(&self, played: &Played, wrong: &[String]) {
        let paint = self.paint;
        let told = span(played.to.since(played.from));
        let took = played.took.as_secs_f64();
        let ending = if wrong.is_empty() { paint.green("ok") } else { paint.red("FAILED") };
        print_line(&format!("\n  {ending}: {}; {told}, in {took:.1} s here", self.numbers(played)));
        for wrong in wrong {
            print_line(&paint.red(&format!("    {wrong}")));
        }
        print_line("");
    }
}
