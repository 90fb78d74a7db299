//! How things look to people: tables, times, counts.

use std::fmt::Write as _;

use groundswell_core::{snapshot::Counts, time::Time, waiting::span};

/// A column of texts that does not fit is cut no shorter than this, in characters.
const CELL_CHARS_MIN: usize = 8;

/// A column: its heading, what it holds.
pub(super) struct Column(pub &'static str, Cells);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cells {
    Text,
    Whole,
    Number,
}

/// A column of texts, which may be cut.
pub(super) const fn text(heading: &'static str) -> Column {
    Column(heading, Cells::Text)
}

/// A column of texts that would say nothing if they were cut: times, and words of ours.
pub(super) const fn whole(heading: &'static str) -> Column {
    Column(heading, Cells::Whole)
}

/// A column of numbers, which stand at its right.
pub(super) const fn number(heading: &'static str) -> Column {
    Column(heading, Cells::Number)
}

/// Rows below their headings, each column as wide as it has to be; two blanks before each. On a
/// terminal it fits, and texts may be cut for that; elsewhere they are whole.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    table_within(super::terminal_width(), columns, rows)
}

fn table_within(width: Option<usize>, columns: &[Column], rows: &[Vec<String>]) -> String {
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([columns[at].0.len()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    if let Some(width) = width {
        shrink(&mut widths, columns, width.saturating_sub(2 * columns.len()));
    }
    let headings: Vec<String> = columns.iter().map(|column| column.0.to_owned()).collect();
    let mut table = String::new();
    for row in [&headings].into_iter().chain(rows) {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(columns).zip(&widths) {
            let (cell, width) = (cut(cell, *width), *width);
            let _ = if column.1 == Cells::Number {
                write!(line, "  {cell:>width$}")
            } else {
                write!(line, "  {cell:<width$}")
            };
        }
        let _ = writeln!(table, "{}", line.trim_end());
    }
    table
}

/// Takes from the widest columns of texts until all of them are no wider than `room` together, or
/// none can be cut any further. Only texts are cut.
fn shrink(widths: &mut [usize], columns: &[Column], room: usize) {
    while widths.iter().sum::<usize>() > room {
        let texts = widths.iter_mut().zip(columns).filter(|(_, column)| column.1 == Cells::Text);
        let widest = texts.map(|(width, _)| width).max();
        match widest {
            Some(width) if *width > CELL_CHARS_MIN => *width -= 1,
            _ => return,
        }
    }
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let kept: String = cell.chars().take(width - 1).collect();
    format!("{kept}\u{2026}")
}

/// Names and values below each other, those without a value left out.
pub(super) fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let fields: Vec<(&str, String)> =
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut lines = String::new();
    for (name, value) in fields {
        let _ = writeln!(lines, "  {name:<width$}  {value}");
    }
    lines
}

/// A time, and how far it is away: `2026-11-26 02:00 UTC (in 5 h 12 min)`.
pub(super) fn when(at: Time, now: Time) -> String {
    format!("{} ({})", date(at), apart(at, now))
}

/// A time: `2026-11-26 02:00 UTC`.
pub(super) fn date(at: Time) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at.as_millis());
    stamp.map_or_else(|_| at.to_string(), |stamp| stamp.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// How far a time is away: `in 5 h 12 min`, `3 min ago`.
pub(super) fn apart(at: Time, now: Time) -> String {
    match (at.since(now), now.since(at)) {
        (later, _) if later.as_secs() > 0 => format!("in {}", span(later)),
        (_, ago) if ago.as_secs() > 0 => format!("{} ago", span(ago)),
        _ => "now".to_owned(),
    }
}

/// A count with what it counts: `1 device`, `12 devices`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Devices in words, those that are none left out: `4 succeeded, 1 failed, 5 queued`.
pub(super) fn counts(counts: &Counts) -> String {
    let words: Vec<String> = [
        (counts.succeeded, "succeeded"),
        (counts.current, "had it already"),
        (counts.failed, "failed"),
        (counts.unreachable, "unreachable"),
        (counts.timed_out, "timed out"),
        (counts.skipped, "skipped"),
        (counts.canceled, "canceled"),
        (counts.delivering, "claimed or being sent to"),
        (counts.verifying, "to show their version"),
        (counts.retrying, "to be tried again"),
        (counts.queued, "queued"),
        (counts.away, "away"),
        (counts.absent, "absent"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_in_line() {
        let rows = [vec!["a".to_owned(), "5".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&[text("id"), number("n")], &rows), "  id    n\n  a     5\n  long\n");
        assert_eq!(table_within(None, &[text("id")], &[vec!["ä".repeat(200)]]).lines().count(), 2);
    }

    #[test]
    fn a_table_is_cut_to_fit_a_terminal() {
        let columns = [text("id"), number("devices"), text("release"), text("address")];
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let rows = [
            row([
                "pos-1",
                "1000",
                "pos-terminal-firmware 2.1.0-rc.1",
                "https://gateway-1.example.com/a",
            ]),
            row(["b", "2", "p 1", "-"]),
        ];
        insta::assert_snapshot!(table_within(Some(60), &columns, &rows), @"
        id     devices  release               address
        pos-1     1000  pos-terminal-firmwa…  https://gateway-1.e…
        b            2  p 1                   -
        ");
        let narrow = table_within(Some(10), &columns, &rows);
        assert!(narrow.contains("  1000  pos-ter\u{2026}  https:/\u{2026}\n"), "{narrow}");
        let whole = table_within(None, &columns, &rows);
        assert!(
            whole.contains("pos-terminal-firmware 2.1.0-rc.1  https://gateway-1.example.com/a\n")
        );
    }

    #[test]
    fn times_are_told_with_how_far_they_are() {
        let now = Time::from_millis(1_764_036_000_000);
        let at = |secs: i64| Time::from_millis(now.as_millis() + secs * 1_000);
        assert_eq!(when(at(18_720), now), "2025-11-25 07:12 UTC (in 5 h 12 min)");
        assert_eq!(when(at(-180), now), "2025-11-25 01:57 UTC (3 min ago)");
        assert_eq!(apart(at(0), now), "now");
    }
}
