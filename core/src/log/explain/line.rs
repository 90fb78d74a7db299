//! Lines, each with its time, and not more of them than anybody reads.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// So many lines are kept from the beginning and as many from the end: a screenful of each, ten
/// times over.
const KEPT: usize = 300;

/// A sentence of a story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it happened.
    pub at: Time,
    /// What.
    pub text: String,
}

/// The lines of a story.
#[derive(Debug, Default)]
pub(super) struct Lines {
    first: Vec<Line>,
    last: VecDeque<Line>,
    left_out: u64,
    /// What the last line tells that may happen again and again, and how often in a row it did.
    repeated: Option<(String, u32)>,
}

impl Lines {
    pub(super) fn push(&mut self, at: Time, text: String) {
        self.repeated = None;
        self.add(Line { at, text });
    }

    /// Adds a line that takes the place of the last if that told of `what`, too; `text` is told how
    /// many these are in a row.
    pub(super) fn push_again(&mut self, at: Time, what: &str, text: impl Fn(u32) -> String) {
        let mut times = 1;
        if let Some((_, before)) = self.repeated.take().filter(|(last, _)| last == what) {
            times += before;
            if self.last.pop_back().is_none() {
                self.first.pop();
            }
        }
        self.add(Line { at, text: text(times) });
        self.repeated = Some((what.to_owned(), times));
    }

    fn add(&mut self, line: Line) {
        if self.first.len() < KEPT {
            self.first.push(line);
            return;
        }
        self.last.push_back(line);
        if self.last.len() > KEPT {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Vec<Line> {
        if self.left_out > 0
            && let Some(Line { at, .. }) = self.last.front()
        {
            let text = format!("({} lines before this are left out)", self.left_out);
            self.first.push(Line { at: *at, text });
        }
        self.first.extend(self.last);
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let mut lines = Lines::default();
        for at in 0..10_000 {
            lines.push(Time::from_millis(at), format!("line {at}"));
        }
        let lines = lines.finish();
        assert_eq!(lines.len(), 2 * KEPT + 1);
        assert_eq!(lines[KEPT - 1].text, "line 299");
        assert_eq!(lines[KEPT].text, "(9400 lines before this are left out)");
        assert_eq!(lines[KEPT].at, lines[KEPT + 1].at);
        assert_eq!(lines[KEPT + 1].text, "line 9700");
    }

    #[test]
    fn what_happens_again_and_again_is_one_line() {
        let mut lines = Lines::default();
        let mut taken = |times: usize| {
            for _ in 0..times {
                lines.push_again(Time::ZERO, "taken", |times| format!("taken {times}"));
            }
            lines.push_again(Time::ZERO, "lost", |times| format!("lost {times}"));
            lines.push(Time::ZERO, "sent".to_owned());
        };
        taken(1);
        taken(3);
        let texts: Vec<String> = lines.finish().into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["taken 1", "lost 1", "sent", "taken 3", "lost 1", "sent"]);
    }
}
