//! `groundswell release`: named versions and their files.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use groundswell_core::{release::Release, time::Time};
use serde::Serialize;

use super::{
    place::ReleaseKept,
    state::{self, Told},
    text::{date, fields, number, table, text, when, whole},
};
use crate::{client::ReleaseShown, clock::Clock, operate::ReleaseView, units::Bytes};

/// Arguments of `groundswell release`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    on: state::On,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep a file as a version of something; it never changes afterwards
    Create {
        /// What it is a release of
        name: String,
        /// The version that devices report once they run it
        version: String,
        /// The file to send
        file: PathBuf,
    },
    /// List releases
    List {
        /// Only the releases of this name
        name: Option<String>,
    },
    /// Show a release: its file, and which rollouts send it
    Show {
        /// What it is a release of
        name: String,
        /// Its version
        version: String,
    },
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(try_run(args))
}

fn try_run(Args { verb, on }: &Args) -> Result<u8, Told> {
    let now = Clock::System.now();
    match verb {
        Verb::Create { name, version, file } => {
            let (release, is_new) = on.place()?.create_release(name, version, file, now)?;
            on.show(&Created { release: &release, is_new }, || created(&release, is_new))?;
        }
        Verb::List { name } => {
            let place = on.place()?;
            let releases = place.releases(name.as_deref())?;
            let listed: Vec<_> = releases
                .iter()
                .map(|(release, created_at)| Listed { release, created_at: *created_at })
                .collect();
            let note = match (&listed[..], name) {
                ([_, ..], _) => None,
                ([], Some(name)) => Some(none_of(name, place.release_name_like(name)?.as_deref())),
                ([], None) => Some(none_yet(on)),
            };
            on.show_list(&listed, note, || list(&listed))?;
        }
        Verb::Show { name, version } => {
            let release = on.place()?.release(name, version)?;
            on.show(&release, || show(&release, now))?;
        }
    }
    Ok(0)
}

#[derive(Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    release: &'a Release,
    is_new: bool,
}

fn created(release: &Release, is_new: bool) -> String {
    let Release { name, version, artifact, artifact_bytes } = release;
    let known = if is_new { "" } else { ", kept before" };
    format!("{name} {version}: {}{known}, sha-256 {artifact}", Bytes(*artifact_bytes))
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    release: &'a Release,
    created_at: Time,
}

fn none_yet(on: &state::On) -> String {
    format!("no release yet: {} makes one", on.command("release create NAME VERSION FILE"))
}

fn none_of(name: &str, meant: Option<&str>) -> String {
    let meant = meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    format!("there is no release of {name}{meant}")
}

fn list(listed: &[Listed<'_>]) -> String {
    let columns =
        [text("name"), text("version"), number("size"), whole("created"), text("sha-256")];
    let row = |Listed { release, created_at }: &Listed<'_>| {
        vec![
            release.name.clone(),
            release.version.clone(),
            Bytes(release.artifact_bytes).to_string(),
            date(*created_at),
            release.artifact.to_string(),
        ]
    };
    table(&columns, &listed.iter().map(row).collect::<Vec<_>>())
}

fn show(kept: &ReleaseKept, now: Time) -> String {
    let (release, created_at, rollouts, file) = match kept {
        ReleaseKept::Here(ReleaseView { release, created_at, path, rollouts }) => {
            let path = path.as_ref().map(|path| path.display().to_string());
            (release, created_at, rollouts, path)
        }
        ReleaseKept::There(ReleaseShown { release, created_at, is_kept, rollouts }) => {
            (release, created_at, rollouts, is_kept.then(|| "kept by the server".to_owned()))
        }
    };
    let numbers: Vec<String> = rollouts.iter().map(|key| key.0.to_string()).collect();
    let kept = file.unwrap_or_else(|| "not kept here any more: it cannot be sent".to_owned());
    let shown = fields([
        ("size", Some(Bytes(release.artifact_bytes).to_string())),
        ("sha-256", Some(release.artifact.to_string())),
        ("created", Some(when(*created_at, now))),
        ("file", Some(kept)),
        ("rollouts", Some(numbers.join(", ")).filter(|numbers| !numbers.is_empty())),
    ]);
    format!("{} {}\n{shown}", release.name, release.version)
}
