//! `groundswell rollout explain`: what happened to a rollout, or to one device of it.

use std::fmt::Write as _;

use groundswell_core::{log::Line, time::Time};

use super::{
    super::{
        state::{self, Told},
        tell_line,
    },
    why::not_in,
};
use crate::{
    clock::Clock,
    operate::{Explained, Overview},
};

/// As wide as a terminal is that nobody has widened.
const WIDTH: usize = 80;

/// So wide is a time, with what is around it.
const INDENT: usize = 12;

pub(super) fn explain(on: &state::On, rollout: &str, device: Option<&str>) -> Result<(), Told> {
    let place = on.place()?;
    let of = place.overview(rollout, Clock::System.now())?;
    let explained = place.explain(rollout, device)?;
    on.show(&explained, || in_words(&of, &explained))?;
    if let Some(doubt) = &explained.doubt {
        tell_line(&format!("note: this may not be true, its log does not run again: {doubt}"));
    }
    Ok(())
}

fn in_words(of: &Overview, explained: &Explained) -> String {
    let Overview { number, release, state, .. } = of;
    let rollout = format!("rollout {number} ({} {})", release.name, release.version);
    let head = match &explained.device {
        Some(id) if !explained.is_in && explained.lines.is_empty() => return not_in(id, of),
        Some(id) => format!("{id} in {rollout}"),
        None => format!("{rollout}: {state}"),
    };
    if explained.lines.is_empty() {
        return format!("{head}\n\nnothing is written down of it any more");
    }
    let mut words = format!("{head}\n");
    let mut day = String::new();
    for Line { at, text } in &explained.lines {
        let (date, time) = split(*at);
        if date != day {
            let _ = write!(words, "\n{date} UTC\n");
            day = date;
        }
        let _ = writeln!(words, "  {time}  {}", wrapped(text));
    }
    words
}

/// The date and the time of day, in UTC.
fn split(at: Time) -> (String, String) {
    let stamp = jiff::Timestamp::from_millisecond(at.as_millis());
    stamp.map_or_else(
        |_| (at.to_string(), String::new()),
        |stamp| (stamp.strftime("%Y-%m-%d").to_string(), stamp.strftime("%H:%M:%S").to_string()),
    )
}

/// A text in lines that fit beside its time; one that is in it stays with its zone.
fn wrapped(text: &str) -> String {
    const WITH_ZONE: &str = "\u{a0}UTC";
    let text = text.replace(" UTC", WITH_ZONE);
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if width > 0 && width + 1 + len > WIDTH - INDENT {
            let _ = write!(lines, "\n{:INDENT$}", "");
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += len;
    }
    lines.replace(WITH_ZONE, " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_goes_on_below_itself() {
        let text = "waits: 2 devices are away, and due on any contact; their wave does not wait for 1 of them";
        let lines = wrapped(text);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(
            lines,
            [
                "waits: 2 devices are away, and due on any contact; their wave does",
                "            not wait for 1 of them"
            ]
        );
        let text = "attempt 1: accepted, HTTP 200; asked for its version until 17:55:32 UTC";
        let zoned =
            "attempt 1: accepted, HTTP 200; asked for its version until\n            17:55:32 UTC";
        assert_eq!(wrapped(text), zoned, "a time stays with its zone");
        assert_eq!(wrapped("sent"), "sent");
        let long = "x".repeat(200);
        assert_eq!(wrapped(&long), long, "what has no gaps is not broken");
    }
}
