//! `groundswell demo`: ten terminals of a retail chain, updated in six ways before your eyes.
//!
//! The terminals are simulated on loopback and time goes faster; the HTTP, the state directory and
//! its driver are those of `groundswell run`. Each scenario is checked by what the terminals
//! report. Start with [`scenario::SCENARIOS`].

mod check;
mod paint;
mod played;
mod scenario;
mod stage;
mod table;
mod tell;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use groundswell_core::{hours::Zone, ids::RolloutId, rollout::Act, time::Time, waiting::span};

use self::{
    paint::Paint,
    played::{Part, Played},
    scenario::{REBOOT_MINUTES, SCENARIOS, Scenario, Script},
    stage::{BEGINS_AT, Stage},
    tell::Teller,
};
use super::{Failure, print_line};
use crate::{
    clock::Clock,
    sim::{DeviceReport, EventKind},
    store::{RolloutKey, Store},
};

/// The fastest that HTTP on a busy machine can keep up with: windows of two hours last two seconds.
const SPEED_MAX: u32 = 3_600;

/// How long a scenario may take by the demo's clock: the night, and some more.
const SCENARIO_MAX: Duration = Duration::from_hours(10);

/// How long a terminal that came online may take to run the new version.
const HOMECOMING_MAX: Duration = Duration::from_hours(3);

/// What lies between two scenarios, and between two terminals that come online.
const BREATH: Duration = Duration::from_mins(20);

/// Where the head office is: by its clock the demo is told.
const HEAD_OFFICE: &str = "America/New_York";

/// Arguments of `groundswell demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 every scenario did what it says, 1 one did not (it is named), 130 interrupted.")]
pub struct Args {
    /// Print without colors, also to a terminal
    #[arg(long)]
    headless: bool,

    /// How many times faster than the clock on the wall time goes
    #[arg(long, value_name = "N", default_value_t = 600,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(SPEED_MAX)))]
    speed: u32,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let played = runtime.context("no runtime").and_then(|runtime| {
        let played = runtime.block_on(async {
            tokio::select! {
                played = play(args) => played,
                _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(super::follow::EXIT_INTERRUPTED)),
            }
        });
        // What still hangs is nothing to wait for.
        runtime.shutdown_background();
        played
    });
    match played {
        Ok(code) => code,
        Err(error) => Failure { code: 1, error }.tell(),
    }
}

async fn play(args: &Args) -> anyhow::Result<ExitCode> {
    let paint = Paint { is_plain: args.headless || !super::is_terminal() };
    let begun_at = Clock::System.now();
    let dir = Scratch::new()?;
    let mut stage = Stage::set(&dir.0.join("state"), args.speed)?;
    introduce(&stage, args.speed, paint);
    let mut all = vec![];
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let played =
            Performance { stage: &mut stage, scenario, number: number + 1, paint }.play().await;
        all.push(played.with_context(|| format!("{}: FAILED", scenario.name))?);
    }
    let over_at = stage.clock.now();
    stage.end().await?;
    Ok(conclude(&all, Clock::System.now().since(begun_at), over_at, paint))
}

fn introduce(stage: &Stage, speed: u32, paint: Paint) {
    let second = span(Duration::from_secs(u64::from(speed)));
    print_line(&format!(
        "Ten point-of-sale terminals of a retail chain, simulated on loopback, are updated in six \
         ways over\nreal HTTP. A second here is {second} there (--speed {speed}); a terminal takes \
         {REBOOT_MINUTES} minutes to install\nand reboot. It is Tuesday, 23:30 in New York.\n"
    ));
    let devices: Vec<_> = stage.terminals.iter().map(|terminal| &terminal.device).collect();
    print_line(&table::inventory(&devices, BEGINS_AT, paint));
}

/// The tables, and how it ends.
fn conclude(
    all: &[(Played, Vec<String>)],
    took: Duration,
    over_at: Time,
    paint: Paint,
) -> ExitCode {
    let played: Vec<Played> = all.iter().map(|(played, _)| played.clone()).collect();
    print_line(&paint.bold("What each terminal went through\n"));
    print_line(&table::outcomes(&played, paint));
    print_line("  02:00: when it came, by the terminal's own clock   w2: in the second wave");
    print_line("  offline: skipped, as it was known to be offline    late: it was waited for");
    print_line("  -: it was not chosen\n");
    print_line(&paint.bold("How long each scenario took\n"));
    print_line(&table::durations(all, paint));
    let (took, told) = (took.as_secs_f64(), span(over_at.since(BEGINS_AT)));
    let failed = SCENARIOS.iter().zip(all).filter(|(_, (_, wrong))| !wrong.is_empty());
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() {
        print_line(&format!("All six did what they say: {told} in {took:.0} s."));
        return ExitCode::SUCCESS;
    }
    print_line(&format!("{} of {} did not do what they say.", failed.len(), all.len()));
    for (scenario, (_, wrong)) in failed {
        for wrong in wrong {
            super::tell_line(&format!("FAILED {}: {wrong}", scenario.name));
        }
    }
    ExitCode::from(1)
}

/// One scenario on its stage.
struct Performance<'a> {
    stage: &'a mut Stage,
    scenario: &'a Scenario,
    number: usize,
    paint: Paint,
}

/// What was before a scenario began, for each terminal.
struct Before {
    reports: Vec<DeviceReport>,
    was_online: Vec<bool>,
    came_online_at: Vec<Option<Time>>,
}

impl Performance<'_> {
    async fn play(mut self) -> anyhow::Result<(Played, Vec<String>)> {
        self.headline();
        let mut before = self.before()?;
        let (key, id) = self.stage.create(self.scenario)?;
        let mut teller = self.teller(id)?;
        let (from, begun_at) = (self.stage.clock.now(), Clock::System.now());
        self.stage.act(key, Act::Start, &mut teller).await?;
        if self.scenario.script == Script::Homecoming {
            self.homecoming(&mut before, &mut teller).await?;
        }
        let is_ended = self.stage.until(SCENARIO_MAX, &mut teller, |_, teller| teller.is_ended);
        if !is_ended.await? {
            self.stage.act(key, Act::Abort, &mut teller).await?;
        }
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
            terminals,
        })
    }

    /// When the scenario's version had arrived.
    fn received_at(&self, report: &DeviceReport) -> Vec<Time> {
        let started_at = self.stage.fleet.started_at();
        let is_it = |event: &&crate::sim::Event| {
            event.kind == EventKind::Received
                && event.version.as_deref() == Some(self.scenario.version)
        };
        let received = report.events.iter().filter(is_it);
        received.map(|event| started_at + Duration::from_millis(event.at_ms)).collect()
    }

    fn verdict(&self, played: &Played, wrong: &[String]) {
        let paint = self.paint;
        let told = span(played.to.since(played.from));
        let (updated, skipped) = (played.updated(), played.skipped());
        let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        let took = played.took.as_secs_f64();
        let ending = if wrong.is_empty() { paint.green("ok") } else { paint.red("FAILED") };
        print_line(&format!("\n  {ending}: {updated} updated{skipped}; {told}, in {took:.1} s"));
        for wrong in wrong {
            print_line(&paint.red(&format!("    {wrong}")));
        }
        print_line("");
    }
}

/// A directory that is removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let name = format!("groundswell-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).context("no temporary directory can be made")?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
