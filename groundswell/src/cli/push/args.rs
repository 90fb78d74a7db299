//! What `groundswell push` takes.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use groundswell_core::{brake::Brake, rollout::IN_FLIGHT_LIMIT, verify::Mode};

use crate::{cli::wire::Wire, units::parse_duration};

/// Arguments of `groundswell push`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Run the same command again after it was interrupted or killed: it goes on where it was.

Exit status: 0 every device has the release, 1 some failed or were not sent to, 2 bad input or \
nothing selected, 3 the state or the disk failed, 130 interrupted.")]
pub struct Args {
    /// The file to send
    pub file: PathBuf,

    /// Devices to send to: a file of JSON, JSON lines or CSV; - for standard input
    #[arg(long, value_name = "FILE|-", help_heading = "What and to whom")]
    pub devices: PathBuf,

    /// The version that devices report once they run it
    #[arg(long, value_name = "V", help_heading = "What and to whom")]
    pub version: String,

    /// What it is a release of [default: the file's name]
    #[arg(long, value_name = "N", help_heading = "What and to whom")]
    pub name: Option<String>,

    /// Only the devices this selects, such as 'tag.region==west and version<2.2.0'
    #[arg(long, value_name = "EXPR", help_heading = "What and to whom")]
    pub select: Option<String>,

    /// Deliveries open at once
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Pace",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(IN_FLIGHT_LIMIT)))]
    pub max_in_flight: u32,

    /// Devices sent to and not yet verified; they may all be rebooting
    #[arg(long, value_name = "N", default_value_t = 1_000, help_heading = "Pace",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_unverified: u32,

    /// Deliveries open to one host; gateways front many devices
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Pace",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(IN_FLIGHT_LIMIT)))]
    pub max_per_host: u32,

    /// Attempts for each device, the first one included
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Retries")]
    pub attempts: u32,

    /// Wait before the second attempt
    #[arg(long, value_name = "D", default_value = "1s", value_parser = parse_duration,
          help_heading = "Retries")]
    pub backoff: Duration,

    /// Each further wait is this many times the one before
    #[arg(long, value_name = "F", default_value_t = 2.0, help_heading = "Retries")]
    pub backoff_multiplier: f64,

    /// The longest of these waits [default: 30s, or --backoff if that is longer]
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "Retries")]
    pub backoff_max: Option<Duration>,

    /// What counts as updated: the device reports the version, it answers at all, or it accepted
    /// the update
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Verify::Version,
          help_heading = "Device")]
    pub verify: Verify,

    /// Time a device has to show the version; it may reboot
    #[arg(long, value_name = "D", default_value = "60s", value_parser = parse_duration,
          help_heading = "Time-outs")]
    pub verify_timeout: Duration,

    /// Ask before sending, and leave devices alone that run the version already
    #[arg(long, help_heading = "Device")]
    pub verify_first: bool,

    /// Stop when more devices than this failed: a number, or a percentage of those that ended
    /// (judged from 10 failures on)
    #[arg(long, value_name = "N|P%", default_value = "10%", help_heading = "Safety")]
    pub max_failures: Brake,

    /// Send to this many devices first, and to the others only if all of these succeeded
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Safety"
    )]
    pub canary: u32,

    /// Say what would happen, and send nothing
    #[arg(long, help_heading = "Safety")]
    pub dry_run: bool,

    /// Do not ask before sending to more than 100 devices
    #[arg(long, short, help_heading = "Safety")]
    pub yes: bool,

    /// Try the devices again that failed in the finished rollout
    #[arg(long, help_heading = "State")]
    pub retry_failed: bool,

    /// Give up the unfinished rollout in the state directory, and start this one
    #[arg(long, help_heading = "State")]
    pub abandon: bool,

    /// How devices are talked to.
    #[command(flatten)]
    pub wire: Wire,

    /// Where the state is kept
    #[arg(
        long,
        value_name = "DIR",
        default_value = crate::store::dir::DEFAULT,
        env = "GROUNDSWELL_STATE",
        help_heading = "State"
    )]
    pub state: PathBuf,

    /// What to print: text for people, one JSON object at the end, or events as JSON lines
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object at the end.
    Json,
    /// Events as JSON lines.
    Events,
}

/// What counts as updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// The device reports the version.
    Version,
    /// It answers at all.
    Reachable,
    /// It accepted the update.
    None,
}

impl From<Verify> for Mode {
    fn from(verify: Verify) -> Self {
        match verify {
            Verify::Version => Self::Version,
            Verify::Reachable => Self::Reachable,
            Verify::None => Self::None,
        }
    }
}
