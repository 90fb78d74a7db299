//! The last lines of what happened, and a sum over all of them.

use std::io::Write as _;
use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Lines that are shown when something failed.
const LINES_MAX: usize = 80;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    sum: DefaultHasher,
    is_loud: bool,
}

impl Trace {
    /// One that is printed as it grows, to look for where a run goes apart.
    pub(crate) fn new(is_loud: bool) -> Self {
        Self { is_loud, ..Self::default() }
    }

    pub(crate) fn add(&mut self, line: String) {
        line.hash(&mut self.sum);
        if self.is_loud {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The same for two runs in which the same happened.
    pub(crate) fn sum(&self) -> u64 {
        self.sum.finish()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
