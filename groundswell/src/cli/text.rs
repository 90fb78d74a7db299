//! How things look to people: tables, times, counts.

use std::fmt::Write as _;

use groundswell_core::{snapshot::Counts, time::Time, waiting::span};

/// A column of texts that does not fit is cut no shorter than this, in characters.
const CELL_CHARS_MIN: usize = 8;

/// A column: its heading, what it holds, and whether it goes before texts are cut (the least first).
pub(super) struct Column(pub &'static str, Cells, Option<u8>);

impl Column {
    /// One that a narrow terminal does without, before others of a higher rank.
    pub(super) const fn spare(self, rank: u8) -> Self {
        Self(self.0, self.1, Some(rank))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cells {
    Text,
    Whole,
    Number,
}

/// A column of texts, which may be cut.
pub(super) const fn text(heading: &'static str) -> Column {
    Column(heading, Cells::Text, None)
}

/// A column of texts that would say nothing if they were cut: times, and words of ours.
pub(super) const fn whole(heading: &'static str) -> Column {
    Column(heading, Cells::Whole, None)
}

/// A column of numbers, which stand at its right.
pub(super) const fn number(heading: &'static str) -> Column {
    Column(heading, Cells::Number, None)
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
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    if let Some(width) = width {
        do_without(&mut kept, &widths, columns, width);
        shrink(&mut widths, &kept, columns, width.saturating_sub(2 * kept.len()));
    }
    let headings: Vec<String> = columns.iter().map(|column| column.0.to_owned()).collect();
    let mut table = String::new();
    for row in [&headings].into_iter().chain(rows) {
        let mut line = String::new();
        for at in &kept {
            let (Some(cell), column, width) = (row.get(*at), &columns[*at], &widths[*at]) else {
                continue;
            };
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

/// Leaves out the columns that can be spared, the least first, until the others fit.
fn do_without(kept: &mut Vec<usize>, widths: &[usize], columns: &[Column], width: usize) {
    while kept.iter().map(|at| 2 + widths[*at]).sum::<usize>() > width {
        let spare = kept.iter().filter(|at| columns[**at].2.is_some());
        let Some(least) = spare.min_by_key(|at| columns[**at].2).copied() else { return };
        kept.retain(|at| *at != least);
    }
}

/// Takes from the widest columns of texts until those that are kept are no wider than `room`
/// together, or none can be cut any further. Only texts are cut.
fn shrink(widths: &mut [usize], kept: &[usize], columns: &[Column], room: usize) {
    while kept.iter().map(|at| widths[*at]).sum::<usize>() > room {
        let texts = kept.iter().filter(|at| columns[**at].1 == Cells::Text);
        match texts.max_by_key(|at| widths[**at]) {
            Some(widest) if widths[*widest] > CELL_CHARS_MIN => widths[*widest] -= 1,
            _ => return,
        }
    }
}

/// A text on lines of at most `width` characters: cut between words where there are any, and gone on
/// with further in than it began.
pub(super) fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::new();
    for line in text.lines() {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        // Nothing would be left of a line that goes on there.
        let indent = if indent + 2 * CELL_CHARS_MIN < width { indent + 2 } else { 0 };
        let mut rest = line.to_owned();
        while rest.chars().count() > width.max(1) {
            let (end, _) = rest.char_indices().nth(width.max(1)).unwrap_or((rest.len(), ' '));
            let begins = rest.len() - rest.trim_start().len();
            let blank = rest[..end].rfind(' ').filter(|at| *at > begins);
            let at = blank.filter(|_| !rest[end..].starts_with(' ')).unwrap_or(end);
            let _ = writeln!(wrapped, "{}", rest[..at].trim_end());
            rest = format!("{:indent$}{}", "", rest[at..].trim_start());
        }
        let _ = writeln!(wrapped, "{rest}");
    }
    wrapped
}

/// The first lines of a text, as many as fit, and how many more there are.
pub(super) fn first_lines(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= lines_max {
        return text.to_owned();
    }
    let shown = lines_max.saturating_sub(1);
    let more = lines.len() - shown;
    let mut cut: String = lines[..shown].iter().flat_map(|line| [line, "\n"]).collect();
    let _ = writeln!(cut, "... {}", count(more as u64, "more line"));
    cut
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
        (counts.succeeded.saturating_sub(counts.regressed), "succeeded"),
        (counts.regressed, "regressed after their update"),
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
    fn what_can_be_spared_goes_before_anything_is_cut() {
        let columns = [
            number("n"),
            text("release"),
            whole("strategy").spare(2),
            whole("state"),
            whole("created").spare(1),
        ];
        let row = |release: &str| {
            ["1", release, "immediate", "running", "2026-11-25 17:54 UTC"]
                .map(str::to_owned)
                .to_vec()
        };
        let rows = [row("pos-terminal-firmware 2.0.0")];
        let within = |width| table_within(Some(width), &columns, &rows);
        insta::assert_snapshot!(within(80), @"
        n  release                      strategy   state    created
        1  pos-terminal-firmware 2.0.0  immediate  running  2026-11-25 17:54 UTC
        ");
        insta::assert_snapshot!(within(60), @"
        n  release                      strategy   state
        1  pos-terminal-firmware 2.0.0  immediate  running
        ");
        insta::assert_snapshot!(within(45), @"
        n  release                      state
        1  pos-terminal-firmware 2.0.0  running
        ");
        insta::assert_snapshot!(within(30), @"
        n  release           state
        1  pos-terminal-fi…  running
        ");
    }

    #[test]
    fn long_sentences_go_on_in_the_next_line_and_many_lines_are_cut() {
        let text = "one two three\n  window opens 17:00 in Denver\nabcdefghijklmnopqrstuvwxyz\n";
        insta::assert_snapshot!(wrap(text, 20), @"
        one two three
          window opens 17:00
            in Denver
        abcdefghijklmnopqrst
          uvwxyz
        ");
        for width in 0..60 {
            let wrapped = wrap(text, width);
            assert!(wrapped.lines().all(|line| line.chars().count() <= width.max(1)), "{wrapped}");
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
            assert_eq!(letters(&wrapped), letters(text));
        }
        assert_eq!(first_lines("a\nb\nc\n", 3), "a\nb\nc\n");
        assert_eq!(first_lines("a\nb\nc\nd\n", 3), "a\nb\n... 2 more lines\n");
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
