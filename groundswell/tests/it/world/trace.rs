//! What happened, in lines for whoever asks, and in a sum over all of it.
//!
//! Nobody asks of a world that goes well, so its lines are never written: one that failed is run
//! again, which its seed makes the same world, and tells then.

use std::io::Write as _;
use std::{
    collections::VecDeque,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Lines that are shown when something failed.
const LINES_MAX: usize = 80;

/// Who is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Nobody.
    #[default]
    Nothing,
    /// The last lines are kept.
    Kept,
    /// Every line is printed, to look for where a run goes apart.
    Loud,
}

#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    sum: DefaultHasher,
    telling: Telling,
}

/// Adds a line to the trace of a world, if anybody is told.
macro_rules! tell {
    ($world:expr, $($what:tt)*) => {
        if $world.trace.is_told() {
            let line = format!($($what)*);
            $world.trace.add(line);
        }
    };
}
pub(crate) use tell;

impl Trace {
    pub(crate) fn new(telling: Telling) -> Self {
        Self { telling, ..Self::default() }
    }

    pub(crate) const fn is_told(&self) -> bool {
        !matches!(self.telling, Telling::Nothing)
    }

    pub(crate) fn add(&mut self, line: String) {
        if self.telling == Telling::Loud {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Takes something that happened into the sum.
    pub(crate) fn mark(&mut self, what: impl Hash) {
        what.hash(&mut self.sum);
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
