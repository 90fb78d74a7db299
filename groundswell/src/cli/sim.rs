//! `groundswell sim`: the simulated fleet as a program of its own.

use std::{
    fs, io,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::ValueEnum;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

use super::Failure;
use crate::{
    clock::Clock,
    sim::{Digest, Fault, Fleet, Options, Report, Summary},
    units::{Bytes, parse_duration},
};

/// Options of `groundswell sim`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one. Any 127.x.y.z then answers as a device
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9100")]
    listen: SocketAddr,
    /// The version that every device has at first
    #[arg(long, default_value = "1.0.0")]
    version: String,
    /// Delay before each answer of a device
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    latency: Duration,
    /// How long a device is down after an update
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    reboot: Duration,
    /// What goes wrong with updates, and for which share of them (1 if not said): status:N,
    /// flaky:N, hang, reset, slow, truncated, malformed, endless, wrong-version, twice, sickens
    /// (GET /healthz answers 503 from 10 s after the update on). May be given several times; the
    /// first that hits wins
    #[arg(long = "fault", value_name = "KIND[:RATE]")]
    faults: Vec<Fault>,
    /// Which bodies are hashed, and compared with their Repr-Digest
    #[arg(long, value_enum, default_value = "all")]
    digest: Hashed,
    /// What faults are chosen by: the same seed, the same faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Where to write the report at the end (SIGINT or SIGTERM)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Serve other addresses of this machine, too; otherwise only loopback is
    #[arg(long)]
    expose: bool,
    /// Threads that serve; one leaves the other processors to whatever is rehearsed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
}

/// Which bodies are hashed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hashed {
    /// Every one
    All,
    /// Every sixteenth
    Sample,
    /// None: bodies are only counted
    None,
}

/// Runs the fleet until it is told to end.
pub fn run(args: &Args) -> ExitCode {
    match try_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn try_run(args: &Args) -> Result<(), Failure> {
    if let Some(report) = &args.report {
        check_place(report).map_err(Failure::input)?;
    }
    // Without it there are fewer connections at once; accepting copes with that.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = runtime(args.threads).context("cannot start threads").map_err(Failure::disk)?;
    let report = runtime.block_on(serve(args.options(), args.report.is_some()));
    // What still hangs is nothing to wait for.
    runtime.shutdown_background();
    let report = report?;
    if let (Some(path), Some(report)) = (&args.report, report) {
        let written = write(path, &report);
        let told = || format!("cannot write the report to {}", path.display());
        written.with_context(told).map_err(Failure::disk)?;
    }
    Ok(())
}

impl Args {
    fn options(&self) -> Options {
        Options {
            listen: self.listen,
            version: self.version.clone(),
            latency: self.latency,
            reboot: self.reboot,
            faults: self.faults.clone(),
            digest: match self.digest {
                Hashed::All => Digest::All,
                Hashed::Sample => Digest::Sample,
                Hashed::None => Digest::None,
            },
            seed: self.seed,
            expose: self.expose,
            clock: Clock::System,
        }
    }
}

fn runtime(threads: u16) -> io::Result<Runtime> {
    // One thread is a scheduler of its own, without the cost of others that might help.
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(usize::from(threads)).enable_all().build()
}

async fn serve(options: Options, with_report: bool) -> Result<Option<Report>, Failure> {
    let address = options.listen;
    let (mut interrupt, mut terminate) =
        signals().context("cannot listen for signals").map_err(Failure::disk)?;
    let fleet = Fleet::start(options)
        .with_context(|| format!("cannot listen on {address}; choose another with --listen"))
        .map_err(Failure::input)?;
    say(&format!("simulated fleet listening on {}", fleet.local_addr()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    // Stopping cuts what was under way; afterwards the counts are final.
    fleet.stop().await;
    say(&in_a_line(&fleet.summary()));
    Ok(with_report.then(|| fleet.report()))
}

fn signals() -> io::Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)> {
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

/// Whoever reads may have gone; the fleet serves on.
fn say(line: &str) {
    super::print_line(line);
}

fn in_a_line(summary: &Summary) -> String {
    let Summary { devices, requests, receptions, bytes, repeated, connections, faults, .. } =
        summary;
    let mut line = format!(
        "devices {devices}, requests {requests}, updates {} ({} complete, {} cut, {} refused, \
         {repeated} repeated), {}, connections {}, faults {}",
        receptions.count,
        receptions.complete,
        receptions.cut,
        receptions.refused,
        Bytes(*bytes),
        connections.opened,
        faults.values().sum::<u64>(),
    );
    for (place, (name, hits)) in faults.iter().enumerate() {
        let before = if place == 0 { " (" } else { ", " };
        for part in [before, name.as_str(), " ", &hits.to_string()] {
            line.push_str(part);
        }
    }
    if !faults.is_empty() {
        line.push(')');
    }
    line
}

/// Found out now rather than when the report is lost.
fn check_place(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!path.is_dir(), "--report {} is a directory", path.display());
    let folder = folder(path);
    anyhow::ensure!(
        folder.is_dir(),
        "there is no directory {} for --report; create it first",
        folder.display()
    );
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes beside the place and renames, so that nobody reads half a report.
fn write(path: &Path, report: &Report) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder(path).join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_to(&beside, report).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_to(path: &Path, report: &Report) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    serde_json::to_writer_pretty(&mut file, report)?;
    file.write_all(b"\n")?;
    file.into_inner()?.sync_all()
}
