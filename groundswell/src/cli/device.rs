//! `groundswell device`: the inventory of a state directory.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use groundswell_core::{presence::Presence, time::Time, waiting::span};
use serde::Serialize;

use super::{
    Failure,
    place::DeviceShown,
    rollout::why,
    state::{self, Told},
    tell_line,
    text::{apart, count, fields, table, text, when, whole},
};
use crate::{
    clock::Clock,
    inventory::{self, BadInventory, Inventory},
    operate::{DeviceView, DeviceWhy, FailingView, Import, PAGE_MAX, Part, SlotReleaseView},
};

/// Arguments of `groundswell device`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    on: state::On,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put the devices of a file into the inventory, or bring them up to date
    Import {
        /// JSON, JSON lines or CSV; - for standard input
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// List devices in the order of their ids
    List {
        /// Only the devices this selects, such as 'tag.region==west and version<2.2.0'
        #[arg(long, value_name = "EXPR")]
        select: Option<String>,
        /// How many at the most
        #[arg(long, value_name = "N", default_value_t = 100,
              value_parser = clap::value_parser!(u32).range(1..=PAGE_MAX as i64))]
        limit: u32,
        /// Begin behind this id: the next page
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Show a device: what is known of it, and where it stands in every rollout
    Show {
        /// Its id
        id: String,
    },
    /// Let a device that failed rollouts in a row take part again
    Release {
        /// Its id
        id: String,
        /// Why it may; kept
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Note that a device was heard of: it is there, and rollouts that wait for it go on
    CheckIn {
        /// Its id
        id: String,
        /// The version it runs, if it said so
        #[arg(long, value_name = "V")]
        version: Option<String>,
    },
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(try_run(args))
}

fn try_run(Args { verb, on }: &Args) -> Result<u8, Told> {
    let now = Clock::System.now();
    match verb {
        Verb::Import { file } => import(on, file, now)?,
        Verb::List { select, limit, after } => {
            let (place, limit) = (on.place()?, *limit as usize);
            let part = place.devices(select.as_deref(), after.as_deref(), limit, now)?;
            let note = part.devices.is_empty().then(|| none(&part, select.as_deref()));
            on.show_list(&part, note, || list(&part, now))?;
        }
        Verb::Show { id } => {
            let DeviceShown { device, failing, slots_released, rollouts } =
                on.place()?.device(id, now)?;
            let shown = Shown {
                device: &device,
                failing: &failing,
                slots_released: &slots_released,
                rollouts: &rollouts,
            };
            on.show(&shown, || show(on, &shown, now))?;
        }
        Verb::Release { id, reason } => {
            let failed = on.place()?.release_device(id, reason, now)?;
            on.show(&Released { device: id, failed_in_row: failed }, || {
                let rollouts = count(failed, "rollout");
                format!("{id} takes part again; that it failed {rollouts} in a row is forgotten")
            })?;
        }
        Verb::CheckIn { id, version } => {
            let (waiting, driver) = on.place()?.check_in(id, version.as_deref(), now)?;
            let noted = Noted { device: id, version: version.as_deref(), waiting, driver };
            on.show(&noted, || checked_in(on, &noted))?;
        }
    }
    Ok(0)
}

fn import(on: &state::On, file: &Path, now: Time) -> Result<(), Told> {
    let (name, inventory) = read(file, now).map_err(Failure::input)?;
    let import = on.place()?.import(&name, &inventory, now)?;
    let Import { put, with_headers } = import;
    if with_headers > 0 {
        let whose = match with_headers {
            1 => "1 device has headers of its own".to_owned(),
            many => format!("{many} devices have headers of their own"),
        };
        tell_line(&format!(
            "note: {name}: {whose}. They may be secrets and are not kept: what every device is to \
             be sent is given to the run, with --header"
        ));
    }
    on.show(&import, || {
        let devices = count(inventory.entries.len() as u64, "device");
        format!("{devices}: {} new, {} changed, {} as known", put.new, put.changed, put.same)
    })?;
    Ok(())
}

fn read(path: &Path, now: Time) -> anyhow::Result<(String, Inventory)> {
    let (name, source): (_, Box<dyn Read>) = if path == Path::new("-") {
        ("standard input".to_owned(), Box::new(io::stdin().lock()))
    } else {
        let file = fs::File::open(path)
            .with_context(|| format!("devices cannot be read from {}", path.display()))?;
        (path.display().to_string(), Box::new(file))
    };
    let inventory = inventory::read(source, &inventory::Options::new(&name, now));
    let inventory = inventory.map_err(|error| match error {
        BadInventory::Rows(rows) => anyhow!("{}", rows.in_words("imported")),
        error @ BadInventory::Unreadable { .. } => error.into(),
    })?;
    if let Some(warning) = inventory.ignored.warning() {
        tell_line(&format!("note: {name}: {warning}"));
    }
    if inventory.entries.is_empty() {
        return Err(anyhow!("{name} has no device in it"));
    }
    Ok((name, inventory))
}

fn none(part: &Part, select: Option<&str>) -> String {
    match (part.of, select) {
        (0, Some(select)) => format!("no device matches {select:?}"),
        (0, None) => "no device yet".to_owned(),
        _ => "no device behind that id".to_owned(),
    }
}

fn list(part: &Part, now: Time) -> String {
    let columns = [
        text("id"),
        text("version"),
        whole("status"),
        whole("last seen"),
        text("location"),
        text("address"),
    ];
    let row = |device: &DeviceView| {
        let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            device.id.clone(),
            or_dash(&device.version),
            status(device, now).to_string(),
            device.last_seen.map_or_else(|| "never".to_owned(), |at| apart(at, now)),
            or_dash(&device.location),
            device.address.as_ref().map_or("-", |address| address.as_str()).to_owned(),
        ]
    };
    let rows: Vec<_> = part.devices.iter().map(row).collect();
    let shown = part.devices.len() as u64;
    let mut lines = table(&columns, &rows);
    let more = if part.is_of_more { "more than " } else { "" };
    let devices = format!("{more}{}", count(part.of, "device"));
    let _ = match &part.next {
        Some(next) => write!(lines, "{shown} of {devices}; the next: --after {next}"),
        None if shown == part.of => write!(lines, "{devices}"),
        None => write!(lines, "the last {shown} of {devices}"),
    };
    lines
}

fn status(device: &DeviceView, now: Time) -> Presence {
    groundswell_core::presence::presence(device.check_in, device.last_seen, now)
}

#[derive(Serialize)]
struct Released<'a> {
    device: &'a str,
    failed_in_row: u64,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    device: &'a DeviceView,
    #[serde(flatten)]
    failing: &'a FailingView,
    /// Slots in failure domains that operators released.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    slots_released: &'a [SlotReleaseView],
    rollouts: &'a [DeviceWhy],
}

fn show(on: &state::On, shown: &Shown<'_>, now: Time) -> String {
    let Shown { device, failing, slots_released, rollouts } = shown;
    let tags: Vec<String> =
        device.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut lines = format!("{}\n", device.id);
    let told =
        [
            ("name", Some(device.name.clone()).filter(|name| *name != device.id)),
            (
                "address",
                Some(device.address.as_ref().map_or_else(
                    || "none: nothing can be sent to it".to_owned(),
                    ToString::to_string,
                )),
            ),
            ("update path", device.update_path.clone()),
            ("version", Some(device.version.clone().unwrap_or_else(|| "not known".to_owned()))),
            ("location", device.location.clone()),
            ("time zone", device.time_zone.clone()),
            ("tags", Some(tags.join(", ")).filter(|tags| !tags.is_empty())),
            ("checks in", device.check_in.map(|every| format!("every {}", span(every)))),
            (
                "last seen",
                Some(device.last_seen.map_or_else(|| "never".to_owned(), |at| when(at, now))),
            ),
            ("status", Some(status(device, now).to_string())),
            ("failed", why::failed_in_row(&failing.failed_in_row)),
            ("released", released(failing, now)),
        ];
    let slots = slots_released.iter().map(|slot| ("slot freed", Some(slot_freed(slot, now))));
    lines.push_str(&fields(told.into_iter().chain(slots)));
    for standing in *rollouts {
        lines.push('\n');
        lines.push_str(&why::of_rollout(on, &device.id, standing, now));
    }
    lines
}

fn released(failing: &FailingView, now: Time) -> Option<String> {
    let (at, why) = failing.released_at.zip(failing.released_because.as_ref())?;
    Some(format!("{}: {why}", when(at, now)))
}

fn slot_freed(slot: &SlotReleaseView, now: Time) -> String {
    let SlotReleaseView { domain, rollout, at, reason } = slot;
    format!("{domain}, after rollout {rollout}, {}: {reason}", when(*at, now))
}

#[derive(Serialize)]
struct Noted<'a> {
    device: &'a str,
    version: Option<&'a str>,
    /// Rollouts that wait for it.
    waiting: usize,
    driver: Option<String>,
}

fn checked_in(on: &state::On, noted: &Noted<'_>) -> String {
    let mut line = format!("{}: seen now", noted.device);
    if let Some(version) = noted.version {
        let _ = write!(line, ", runs {version}");
    }
    match (noted.waiting, &noted.driver) {
        (0, _) => {}
        (waiting, driver) => {
            let waits = if waiting == 1 { "waits" } else { "wait" };
            let _ = write!(line, "; {} {waits} for it", count(waiting as u64, "rollout"));
            if driver.is_none() {
                let _ = write!(line, ", and nothing drives: {} does", on.command("run"));
            }
        }
    }
    line
}
