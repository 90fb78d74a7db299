//! When: start, deadline, windows, freezes and their time zone.

use std::time::Duration;

use super::{
    Tree,
    reader::{Field, Table},
};
use crate::{
    hours::{Edge, Freeze, Hours, HoursError, Window, Zone, echo},
    moment::{Moment, MomentError},
    rollout::{Deadline, Schedule, WAIT_LIMIT, WhenClosed, ZoneRule},
    time::Time,
    units::parse_duration,
};

pub(super) const WHEN_CLOSED: [(&str, WhenClosed); 2] =
    [("wait", WhenClosed::Wait), ("end", WhenClosed::End)];

const TIME_EXAMPLE: &str = "2026-11-24T02:00:00-05:00";

pub(super) fn start_at(table: &Table<'_>) -> Option<Time> {
    let field = table.field("start_at")?;
    let text = field.text(TIME_EXAMPLE)?;
    let time = fixed_time(text);
    if time.is_none() && !refuse_far(&field, text) {
        field.refuse_kind(
            "a time with its offset from UTC",
            &format!("one such as \"{TIME_EXAMPLE}\" or \"2026-11-24T07:00:00Z\" (RFC 3339)"),
        );
    }
    time
}

/// A time, or a duration after the start.
pub(super) fn deadline(table: &Table<'_>) -> Option<Deadline> {
    let field = table.field("deadline")?;
    let text = field.text("14d")?;
    if parse_duration(text).is_ok() {
        let range = Duration::from_millis(1)..=WAIT_LIMIT;
        return field.duration(&range, "14d").map(Deadline::After);
    }
    let Some(time) = fixed_time(text) else {
        if refuse_far(&field, text) {
            return None;
        }
        field.refuse_kind(
            "a time with its offset from UTC, or a duration after the start",
            &format!("one such as \"{TIME_EXAMPLE}\" or \"14d\""),
        );
        return None;
    };
    let start_at = table.field("start_at").and_then(|field| match field.tree() {
        Tree::Text(text) => fixed_time(text),
        _ => None,
    });
    if start_at.is_some_and(|start_at| time <= start_at) {
        field.refuse("is not after start_at: nothing would ever be begun");
    }
    Some(Deadline::At(time))
}

/// Says of a time that is written well, but beyond any there is, just that.
fn refuse_far(field: &Field<'_>, text: &str) -> bool {
    let error = text.parse::<Moment>().err().filter(|error| *error == MomentError::Range);
    if let Some(error) = &error {
        field.refuse(format!("\"{}\" is {error}", echo(text)));
    }
    error.is_some()
}

/// An age is no time here: nobody knows from when on it would count.
fn fixed_time(text: &str) -> Option<Time> {
    match text.parse() {
        Ok(Moment::At(time)) => Some(time),
        Ok(Moment::Ago(_)) | Err(_) => None,
    }
}

pub(super) fn schedule(table: &Table<'_>) -> Schedule {
    let when_closed = table.field("when_closed").and_then(|field| field.word(&WHEN_CLOSED));
    Schedule {
        hours: hours(table),
        zone: table.field("time_zone").and_then(|field| zone(&field)).unwrap_or_default(),
        when_closed: when_closed.unwrap_or_default(),
    }
}

fn hours(table: &Table<'_>) -> Hours {
    let list = |name| table.field(name).map(|field| field.list()).unwrap_or_default();
    let windows: Vec<Window> =
        list("windows").iter().filter_map(|field| field.parsed("02:00-04:00")).collect();
    let freezes: Vec<Freeze> = list("freezes").iter().filter_map(freeze).collect();
    let hours = Hours::new(windows, freezes);
    hours.unwrap_or_else(|error| {
        let name = match error {
            HoursError::Windows(_) => "windows",
            HoursError::Freezes(_) => "freezes",
        };
        table.field(name).inspect(|field| field.refuse(error.to_string()));
        Hours::default()
    })
}

/// A text, or a table that has a reason as well.
fn freeze(field: &Field<'_>) -> Option<Freeze> {
    if !matches!(field.tree(), Tree::Table(_)) {
        return field.parsed("2026-12-20..2027-01-02");
    }
    let table = field.table("freezes")?;
    let edge = |name, example| -> Option<Edge> { table.required(name, example)?.parsed(example) };
    let (from, to) = (edge("from", "2026-12-20"), edge("to", "2027-01-02"));
    let reason = table.field("reason").and_then(|field| field.label("holiday season"));
    field.accept(Freeze::new(from?, to?, reason))
}

/// A name stands in for the zone that a device does not have; a table is for all.
fn zone(field: &Field<'_>) -> Option<ZoneRule> {
    let example = "Europe/Berlin";
    if !matches!(field.tree(), Tree::Table(_)) {
        return field.parsed(example).map(|otherwise| ZoneRule::Device { otherwise });
    }
    let fixed = field.table("time_zone")?.required("fixed", example)?;
    fixed.parsed::<Zone>(example).map(ZoneRule::Fixed)
}
