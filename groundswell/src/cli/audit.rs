//! `groundswell audit`: who did what to a state directory.

use std::{fmt::Write as _, process::ExitCode};

use clap::Subcommand;
use groundswell_core::time::Time;

use super::{
    Failure,
    place::Place,
    remote::Remote,
    state::{self, Told},
    text::{count, number, table, text, when, whole},
};
use crate::{
    client::{AuditWanted, PAGE, Page},
    clock::Clock,
    operate::{AuditEntry, AuditVerified, AuditWant},
};

/// Arguments of `groundswell audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    on: state::On,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List who did what, newest first
    List(List),
    /// Look whether an entry was edited, removed or moved
    ///
    /// What it prints, kept elsewhere, is what --seq and --hash are for: they find a log
    /// that was cut off at its end, or written anew as a whole.
    #[command(after_help = "\
Exit status: 0 whole, 1 not whole, 2 bad input, 3 the state or the disk failed.")]
    Verify {
        /// The number of an entry as it was printed before
        #[arg(long, value_name = "N", requires = "hash",
              value_parser = clap::value_parser!(i64).range(1..))]
        seq: Option<i64>,
        /// Its hash
        #[arg(long, value_name = "HASH", requires = "seq")]
        hash: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only what was done by whoever has this in the name
    #[arg(long, value_name = "TEXT")]
    who: Option<String>,
    /// Only this, such as device.change, or device for all that is done to devices
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what was done to this, such as 'device pos-1'
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Begin before this number: the next page
    #[arg(long, value_name = "N", conflicts_with = "after")]
    before: Option<i64>,
    /// Begin behind this number, oldest first
    #[arg(long, value_name = "N")]
    after: Option<i64>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(try_run(args))
}

fn try_run(Args { verb, on }: &Args) -> Result<u8, Told> {
    let place = on.place()?;
    match verb {
        Verb::List(List { who, action, subject, limit, before, after }) => {
            let want = AuditWant {
                after: *after,
                before: *before,
                limit: *limit as usize,
                who: who.clone(),
                action: action.clone(),
                subject: subject.clone(),
            };
            let now = Clock::System.now();
            let (entries, next) = match &place {
                Place::Dir(dir) => dir.look()?.audit_page(&want)?,
                Place::Server(remote) => audited_there(remote, &want)?,
            };
            let more = next.map(|next| match after {
                Some(_) => format!("there may be more: --after {next}"),
                None => format!("there may be more: --before {next}"),
            });
            let note = entries.is_empty().then(|| {
                let nothing = "nothing of that is in the audit log";
                more.as_ref().map_or_else(
                    || nothing.to_owned(),
                    |more| format!("{nothing} as far as was looked; {more}"),
                )
            });
            on.show_list(&entries, note, || list(&entries, more.as_deref(), now))?;
            Ok(0)
        }
        Verb::Verify { seq, hash } => {
            let kept = seq.zip(hash.as_deref());
            if kept.is_some_and(|(_, hash)| hash.len() != 64) {
                let told = "--hash: give the 64 digits that `audit verify` printed";
                return Err(Failure::input(anyhow::anyhow!(told)).into());
            }
            let verified = match &place {
                Place::Dir(dir) => dir.look()?.verify_audit(kept)?,
                Place::Server(remote) => remote.wait(remote.client.verify_audit(kept))?,
            };
            on.show(&verified, || told(&verified, *seq))?;
            Ok(u8::from(!verified.is_well()))
        }
    }
}

/// A page of a server's audit log, and the number that the next one goes on from.
fn audited_there(
    remote: &Remote,
    want: &AuditWant,
) -> Result<(Vec<AuditEntry>, Option<i64>), Told> {
    let AuditWant { after, before, limit, who, action, subject } = want.clone();
    let wanted = AuditWanted { after, before, who, action, subject };
    let mut page = Page { limit: Some(limit.min(PAGE)), cursor: None };
    let mut entries = vec![];
    loop {
        let more = remote.wait(remote.client.audit(&wanted, &page))?;
        entries.extend(more.entries);
        if more.next.is_none() || entries.len() >= limit {
            return Ok((entries, more.up_to));
        }
        page = Page { limit: Some((limit - entries.len()).min(PAGE)), cursor: more.next };
    }
}

fn list(entries: &[AuditEntry], more: Option<&str>, now: Time) -> String {
    let columns =
        [number("no."), whole("when"), text("who"), text("from"), whole("what"), text("to what")];
    let row = |AuditEntry { seq, change, .. }: &AuditEntry| {
        vec![
            seq.to_string(),
            when(change.at, now),
            change.who.clone(),
            change.from.clone(),
            change.action.clone(),
            change.subject.clone(),
        ]
    };
    let mut lines = table(&columns, &entries.iter().map(row).collect::<Vec<_>>());
    lines.push_str(more.unwrap_or_default());
    lines
}

fn told(verified: &AuditVerified, seq: Option<i64>) -> String {
    let AuditVerified { entries, hash, fault, is_as_kept, .. } = verified;
    let entries = count(entries.unsigned_abs(), "entry").replace("entrys", "entries");
    let mut words = match fault {
        None => format!("whole: {entries}, the last with hash\n  {hash}"),
        Some(fault) => {
            format!("NOT WHOLE: {fault}\n{entries} before that are, the last with hash\n  {hash}")
        }
    };
    let seq = seq.unwrap_or_default();
    let kept = match is_as_kept {
        None => "",
        Some(true) => " is the one that was kept",
        Some(false) => {
            " is NOT AS KEPT: it is not there, or is another one: the log was cut off or written anew"
        }
    };
    if !kept.is_empty() {
        let _ = write!(words, "\nentry {seq}{kept}");
    }
    words
}
