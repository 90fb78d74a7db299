//! Where in the log a reader is.

use std::{fmt, str::FromStr};

/// Longest name of a driver in an id: twice as long as those that are given.
const TERM_BYTES_MAX: usize = 16;

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

    /// The last row of which something was told.
    pub(crate) const fn row(self) -> i64 {
        if self.index == 0 { self.seq.saturating_sub(1) } else { self.seq }
    }
}

/// An id of an event as it is sent: a position, and which driver's state it is of, if one ever drove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) position: Position,
    pub(crate) term: Option<String>,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, term } = self;
        match term {
            Some(term) => write!(f, "{position}-{term}"),
            None => position.fmt(f),
        }
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (position, term) = match text.split_once('-') {
            Some((position, term)) => (position, Some(term)),
            None => (text, None),
        };
        let is_term = |term: &str| {
            let is_plain = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
            (1..=TERM_BYTES_MAX).contains(&term.len()) && term.bytes().all(is_plain)
        };
        if !term.is_none_or(is_term) {
            return Err(());
        }
        Ok(Self { position: position.parse()?, term: term.map(str::to_owned) })
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
        assert_eq!((Position::new(17, 3).row(), Position::behind(17).row()), (17, 17));
        for (text, term) in [("17.3-0a1b2c3d", Some("0a1b2c3d")), ("17.3", None)] {
            let id: Id = text.parse().unwrap();
            assert_eq!((id.position, id.term.as_deref()), (Position::new(17, 3), term));
            assert_eq!(id.to_string(), text);
        }
        for bad in ["17.3-", "17.3-A", "17.3-0a-1", "-0a", &format!("17.3-{}", "a".repeat(17))] {
            assert_eq!(bad.parse::<Id>(), Err(()), "{bad}");
        }
    }
}
