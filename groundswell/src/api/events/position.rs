//! Where in the log a reader is.

use std::{fmt, str::FromStr};

/// How far events were told: up to this row, and in it up to this event, counted from 1. With 0 none
/// of the row was told, and all rows before were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) seq: i64,
    pub(crate) index: u32,
}

impl Position {
    pub(crate) const fn new(seq: i64, index: u32) -> Self {
        Self { seq, index }
    }

    /// Behind a row.
    pub(crate) const fn behind(seq: i64) -> Self {
        Self { seq: seq.saturating_add(1), index: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.index)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (seq, index) = text.split_once('.').ok_or(())?;
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(seq) || !is_number(index) {
            return Err(());
        }
        Ok(Self { seq: seq.parse().map_err(|_| ())?, index: index.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        for position in [Position::default(), Position::new(17, 3), Position::behind(i64::MAX)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for bad in ["", "17", "17.", ".3", "-1.0", "+1.0", "1.+2", "1.2.3", "9223372036854775808.0"]
        {
            assert_eq!(bad.parse::<Position>(), Err(()), "{bad}");
        }
        assert!(Position::new(17, 3) < Position::behind(17));
    }
}
