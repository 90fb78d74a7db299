//! `groundswell events`: what happens in the rollouts of a server, while it happens.

use std::{fmt::Write as _, process::ExitCode};

use groundswell_core::time::Time;
use serde_json::{Map, Value, json};

use super::{
    print,
    state::{self, Output, Told},
    text::date,
};
use crate::client::{Event, EventsWant};

/// What stands in a line without its name, or not at all.
const TOLD_APART: [&str; 4] = ["at", "kind", "rollout", "rollout_id"];

/// Arguments of `groundswell events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It goes on by itself where it was cut off, also when the server is started anew: nothing is missed, and \
nothing told twice. Ctrl-C ends it.

Exit status: 0 nobody reads on, 2 bad input or refused, 3 the server does not answer.")]
pub struct Args {
    /// Print what happens, as it happens
    #[arg(long, required = true)]
    follow: bool,
    /// Only of this rollout: its number, its id, or the beginning of its id (may be repeated)
    #[arg(long, value_name = "N")]
    rollout: Vec<String>,
    #[arg(
        long,
        value_name = "KIND",
        help = "Only of this kind, such as wave_opened (may be repeated)"
    )]
    kind: Vec<String>,
    /// From the beginning, and not from now on
    #[arg(long, conflicts_with = "after")]
    from_begin: bool,
    /// Behind the event of this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    #[command(flatten)]
    on: state::On,
}

pub(super) fn run(args: &Args) -> ExitCode {
    args.on.end(follow(args))
}

fn follow(args: &Args) -> Result<u8, Told> {
    let Args { on, .. } = args;
    let remote = on.at.server(on.print, "events are told by a server")?;
    let want = EventsWant {
        rollouts: args.rollout.clone(),
        kinds: args.kind.clone(),
        from_begin: args.from_begin,
        after: args.after.clone(),
    };
    let mut listening = remote.client.listen(want);
    loop {
        let event = remote.wait(listening.next())?;
        let line = match on.output() {
            Output::Text => words(&event),
            Output::Json => as_json(event),
        };
        if !print(&format!("{line}\n")) {
            return Ok(0);
        }
    }
}

/// An event on a line, with its id to go on from.
fn as_json(Event { id, kind, data }: Event) -> String {
    let mut all = Map::new();
    all.insert("id".to_owned(), id.into());
    all.insert("kind".to_owned(), kind.into());
    match data {
        Value::Object(data) => all.extend(data),
        other => drop(all.insert("data".to_owned(), other)),
    }
    json!(all).to_string()
}

/// Such as `2026-11-25 14:00 UTC  rollout 7  wave_opened  wave 1`.
fn words(Event { kind, data, .. }: &Event) -> String {
    let Value::Object(data) = data else { return format!("{kind}  {data}") };
    let at = data.get("at").and_then(Value::as_i64).map(Time::from_millis);
    let mut line = at.map_or_else(|| "-".to_owned(), date);
    if let Some(rollout) = data.get("rollout") {
        let _ = write!(line, "  rollout {rollout}");
    }
    let _ = write!(line, "  {kind}");
    for (name, value) in data.iter().filter(|(name, _)| !TOLD_APART.contains(&name.as_str())) {
        let name = name.replace('_', " ");
        let _ = match value {
            Value::Null => continue,
            Value::String(text) => write!(line, "  {name} {}", one_line(text)),
            other => write!(line, "  {name} {other}"),
        };
    }
    line
}

/// What a device said may be anything: a line stays one, and no cursor is moved.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let event = Event {
            id: "41.2".to_owned(),
            kind: "device_changed".to_owned(),
            data: json!({
                "at": 1_795_615_200_000_i64, "rollout": 7, "rollout_id": "0199", "kind": "x",
                "device": "pos-1", "state": "failed: rejected", "attempt": 2,
                "detail": "a\n\u{1b}[2Jb", "of": null,
            }),
        };
        assert_eq!(
            words(&event),
            "2026-11-25 14:00 UTC  rollout 7  device_changed  attempt 2  detail a  [2Jb  \
             device pos-1  state failed: rejected"
        );
        let line = as_json(event);
        assert!(line.starts_with('{') && !line.contains('\n'), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["id"], &read["kind"]), (&json!("41.2"), &json!("x")));
    }
}
