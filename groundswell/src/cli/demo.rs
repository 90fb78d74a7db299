//! `groundswell demo`: ten terminals of a retail chain, and a real push to those that answer.
//!
//! The terminals are simulated on loopback; the push is the one of `groundswell push`, with its
//! state in a directory that is removed at the end.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use groundswell_core::{
    device::Device, event::Kind, presence::Presence, selector::Selector, time::Time,
};

use super::Failure;
use crate::{
    Push,
    clock::Clock,
    engine::hub::Events,
    inventory::{self, Entry},
    push::{PushResult, Summary},
    sim::{Digest, Fleet, Options},
};

/// The inventory of the chain; its addresses get the port that the fleet happens to have.
const DEVICES: &str = include_str!("../../../examples/pos/devices.json");

/// What the terminals are updated to.
const VERSION: &str = "2.4.0";

/// The port that the inventory names.
const PORT: u16 = 9100;

/// Which terminals are known to answer.
const SELECT: &str = "status==online";

/// Size of the software: enough to see bytes go by.
const ARTIFACT_BYTES: usize = 256 << 10;

/// How long a terminal takes to come back.
const REBOOT: Duration = Duration::from_millis(1_200);

/// Arguments of `groundswell demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print without colors, and exit with 1 if anything went otherwise than told
    #[arg(long)]
    headless: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let played = runtime.context("no runtime").and_then(|runtime| {
        let played = runtime.block_on(play(args));
        // What still hangs is nothing to wait for.
        runtime.shutdown_background();
        played
    });
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure { code: 1, error }.tell(),
    }
}

async fn play(args: &Args) -> anyhow::Result<()> {
    let paint = Paint { is_plain: args.headless || !super::is_terminal() };
    let fleet = Fleet::start(Options {
        listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        reboot: REBOOT,
        latency: Duration::from_millis(40),
        digest: Digest::All,
        ..Options::default()
    })
    .context("the simulated fleet cannot listen")?;
    let now = Clock::System.now();
    let entries = terminals(fleet.local_addr().port(), now)?;
    for entry in &entries {
        let device = &entry.device;
        fleet.seed_device(&device.id, device.version.as_deref().unwrap_or_default());
        fleet.set_offline(&device.id, !is_online(device, now));
    }
    super::print_line("Ten point-of-sale terminals of a retail chain, simulated on loopback:\n");
    super::print_line(&table(&entries, |_| None, now, &paint));

    let dir = Scratch::new()?;
    let file = dir.0.join("pos-2.4.0.bin");
    std::fs::write(&file, vec![0x5a; ARTIFACT_BYTES]).context("the artifact cannot be written")?;
    super::print_line(&format!(
        "Pushing version {VERSION} ({} KiB) over HTTP to those that answer ({SELECT}); each one \
         reboots\nand is asked until it reports the new version:\n",
        ARTIFACT_BYTES >> 10
    ));
    let mut push = Push::builder(&file, VERSION)
        .name("pos")
        .devices(entries.clone())
        .select(Selector::parse(SELECT)?)
        .state_dir(dir.0.join("state"))
        .build()?;
    let told = tokio::spawn(tell(push.subscribe()));
    let summary = push.run().await?;
    told.await?;

    let runs = |device: &Device| fleet.device(&device.id).map(|seen| seen.version.clone());
    super::print_line("\nNow:\n");
    super::print_line(&table(&entries, runs, now, &paint));
    super::print_line(&format!(
        "{} of {} terminals that answer run {VERSION}, after {:.1} s; {} others were left alone.",
        summary.counts.succeeded,
        summary.counts.total(),
        Duration::from_millis(summary.duration_ms).as_secs_f64(),
        entries.len() as u64 - summary.counts.total(),
    ));
    check(&fleet, &entries, now, &summary)?;
    fleet.stop().await;
    Ok(())
}

/// What was told is what happened, by the terminals' own account.
fn check(fleet: &Fleet, entries: &[Entry], now: Time, summary: &Summary) -> anyhow::Result<()> {
    ensure!(summary.result == PushResult::Completed, "the push ended as {:?}", summary.result);
    for Entry { device, .. } in entries {
        let seen = fleet.device(&device.id).context("a terminal was never heard of")?;
        let (version, receptions) = if is_online(device, now) {
            (VERSION, 1)
        } else {
            (device.version.as_deref().unwrap_or_default(), 0)
        };
        ensure!(
            seen.version == version && seen.receptions.count == receptions,
            "{} has version {} after {} receptions",
            device.id,
            seen.version,
            seen.receptions.count
        );
    }
    Ok(())
}

fn is_online(device: &Device, now: Time) -> bool {
    device.presence(now) == Presence::Online
}

fn terminals(port: u16, now: Time) -> anyhow::Result<Vec<Entry>> {
    let devices = DEVICES.replace(&format!(":{PORT}"), &format!(":{port}"));
    let options = inventory::Options::new("examples/pos/devices.json", now);
    Ok(inventory::read(devices.as_bytes(), &options)?.entries)
}

async fn tell(mut events: Events) {
    while let Some(event) = events.recv().await {
        match &event.kind {
            Kind::Progress(_) | Kind::DeviceProgress { .. } => {}
            _ => super::print_line(&format!("  {event}")),
        }
    }
}

/// The terminals, with the versions they run now where that is known.
fn table(
    entries: &[Entry],
    runs: impl Fn(&Device) -> Option<String>,
    now: Time,
    paint: &Paint,
) -> String {
    let mut table = format!(
        "  {:<20} {:<18} {:<10} {:<29} {:<8} {}\n",
        "id", "location", "region", "time zone", "version", "status"
    );
    for Entry { device, .. } in entries {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let before = text(&device.version);
        let version = runs(device).unwrap_or_else(|| before.clone());
        let shown = format!("{version:<8}");
        let shown = if version == before { shown } else { paint.green(&shown) };
        let status = device.presence(now).to_string();
        let region = device.tags.get("region").cloned();
        let _ = writeln!(
            table,
            "  {:<20} {:<18} {:<10} {:<29} {shown} {}",
            device.id,
            text(&device.location),
            text(&region),
            text(&device.time_zone),
            if is_online(device, now) { status } else { paint.dim(&status) },
        );
    }
    table
}

struct Paint {
    is_plain: bool,
}

impl Paint {
    fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.is_plain { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
    }
}

/// A directory that is removed when this is dropped.
struct Scratch(std::path::PathBuf);

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
