//! What is wrong with an inventory, in words for the operator.
//!
//! No message holds the value of a header or the credentials of an address.

use std::{fmt, io};

use groundswell_core::{
    device::{TAGS_MAX, ValueError},
    moment::MomentError,
    presence::CheckInError,
    time::Time,
};

use super::{HEADER_BYTES_MAX, HEADERS_MAX, IgnoredFields, ROW_BYTES_MAX};

/// Most bad rows that are kept; nobody corrects more by hand before trying again.
pub const BAD_ROWS_KEPT: usize = 1_000;

/// Why an inventory was refused.
#[derive(Debug, thiserror::Error)]
pub enum BadInventory {
    /// The source could not be read to its end.
    #[error("{name}: cannot be read")]
    Unreadable {
        /// What the source is called.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Some of its rows are bad.
    #[error("{0}")]
    Rows(BadRows),
}

/// Every bad row of an inventory, in the order of their lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BadRows {
    /// What the source is called.
    pub name: String,
    /// How many there are.
    pub count: u64,
    /// The first [`BAD_ROWS_KEPT`] of them.
    pub first: Vec<BadRow>,
    /// Fields that mean nothing here: one of them may be the one that is missing.
    pub ignored: IgnoredFields,
}

/// A bad row.
#[derive(Clone, Debug, PartialEq)]
pub struct BadRow {
    /// Its line, counted from 1.
    pub line: u64,
    /// Its number among the rows, counted from 1, if another row began on the same line before.
    pub row: Option<usize>,
    /// All that is wrong with it.
    pub reasons: Vec<Reason>,
}

impl BadRows {
    pub(super) fn push(&mut self, line: u64, row: Option<usize>, reasons: Vec<Reason>) {
        self.count += 1;
        if self.first.len() < BAD_ROWS_KEPT {
            self.first.push(BadRow { line, row, reasons });
        }
    }
}

impl BadRows {
    /// All of it in words; `done` is what was not done, such as `sent`.
    pub fn in_words(&self, done: &'static str) -> impl fmt::Display {
        fmt::from_fn(move |f| self.write(f, done))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, done: &str) -> fmt::Result {
        let rows = if self.count == 1 { "row" } else { "rows" };
        writeln!(f, "{}: {} bad {rows}", self.name, self.count)?;
        for row in &self.first {
            match row.row {
                Some(number) => write!(f, "  line {}, row {number}: ", row.line)?,
                None => write!(f, "  line {}: ", row.line)?,
            }
            for (position, reason) in row.reasons.iter().enumerate() {
                write!(f, "{}{reason}", if position == 0 { "" } else { "; " })?;
            }
            writeln!(f)?;
        }
        let left = self.count - self.first.len() as u64;
        if left > 0 {
            writeln!(f, "  and {left} more")?;
        }
        if let Some(warning) = self.ignored.warning() {
            writeln!(f, "  {warning}")?;
        }
        let it = if self.count == 1 { "it" } else { "them" };
        write!(f, "Nothing was {done}. Correct {it} and run the same command again.")
    }
}

impl fmt::Display for BadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "sent")
    }
}

/// One thing that is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The whole source is UTF-16.
    #[error("the text is UTF-16; save it as UTF-8")]
    Utf16,
    /// A byte that UTF-8 does not have there.
    #[error("not UTF-8 from byte {0} of the row on")]
    NotUtf8(usize),
    /// A row over [`ROW_BYTES_MAX`].
    #[error("the row is longer than {ROW_BYTES_MAX} bytes")]
    RowTooLong,
    /// More rows than allowed; the rest was not read.
    #[error("more than {0} rows; the rest was not read")]
    TooManyRows(usize),
    /// Not JSON.
    #[error("not JSON: {what} (column {column})")]
    NotJson {
        /// What is wrong.
        what: String,
        /// Where on the line, in bytes from 1.
        column: u64,
    },
    /// JSON, but no object.
    #[error("expected a device, an object in {{ }}, found {0}")]
    NotObject(&'static str),
    /// Nothing before a comma or the end of a JSON array.
    #[error("a comma with no device beside it")]
    EmptyElement,
    /// A JSON array without its end.
    #[error("the list has no end: a ] is missing")]
    NoListEnd,
    /// Something after the end of a JSON array.
    #[error("something follows the end of the list")]
    AfterList,
    /// A source said to be a JSON array that does not begin as one.
    #[error("a JSON array begins with [")]
    NoListStart,
    /// A CSV file without a column that every device needs.
    #[error("the first line names no column `{0}`")]
    NoColumn(&'static str),
    /// Two CSV columns for one thing.
    #[error("column {} is there twice", quote(.0))]
    ColumnTwice(String),
    /// A CSV row of another length than the first line.
    #[error("{found} cells, but the first line names {expected} columns")]
    Cells {
        /// In this row.
        found: usize,
        /// In the first line.
        expected: usize,
    },
    /// A CSV quote without its end.
    #[error("a quote that opens in this row is not closed")]
    NoQuoteEnd,
    /// Text between a closing quote and the next comma in CSV.
    #[error("text follows a closing quote; write a quote inside quotes twice")]
    AfterQuote,
    /// A value of the wrong kind.
    #[error("{field} must be {expected}, not {found}")]
    WrongType {
        /// Which field.
        field: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A field twice in one row.
    #[error("{} is there twice", quote(.0))]
    Twice(String),
    /// Two names of one field with two values.
    #[error("`version` and `firmware_version` differ")]
    VersionsDiffer,
    /// A value that every device needs is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A bad value.
    #[error("{0}")]
    Value(ValueError),
    /// A bad tag.
    #[error("tag {}: {why}", quote(key))]
    Tag {
        /// Its key.
        key: String,
        /// What is wrong.
        why: ValueError,
    },
    /// More tags than allowed.
    #[error("more than {TAGS_MAX} tags")]
    TooManyTags,
    /// More columns than are taken.
    #[error("there are {0} columns, the most is 4096")]
    TooManyColumns(usize),
    /// No time zone of that name.
    #[error("there is no time zone {} (names are like America/Denver)", quote(.0))]
    TimeZone(String),
    /// No time.
    #[error("last_seen: {0}; a device that was never seen has `never` or nothing")]
    LastSeen(MomentError),
    /// A number that is no time of our days.
    #[error("last_seen: a number must be seconds or milliseconds since 1970, after 1973")]
    LastSeenNumber,
    /// A time that has not come.
    #[error("last_seen: {0} has not come yet; nobody was seen then")]
    LastSeenAhead(Time),
    /// Both are said, and cannot both be true.
    #[error("status is `never seen`, but last_seen has a time")]
    SeenAndNeverSeen,
    /// No interval of check-ins.
    #[error("check_in {}: write 60s, 5m or 1h, or a number of seconds", quote(.0))]
    CheckIn(String),
    /// An interval that no device may have.
    #[error("check_in {}: {why}", quote(given))]
    CheckInLength {
        /// As given.
        given: String,
        /// What is wrong.
        why: CheckInError,
    },
    /// An id that another row has.
    #[error("id {} is already on line {first_line}", quote(id))]
    DuplicateId {
        /// The id.
        id: String,
        /// The line it is first on.
        first_line: u64,
    },
    /// A header that may not be sent.
    #[error("header {}: {why}", quote(name))]
    Header {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// More headers than allowed.
    #[error("more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// A value of a header over [`HEADER_BYTES_MAX`].
    #[error("header {}: the value is longer than {HEADER_BYTES_MAX} bytes", quote(.0))]
    HeaderTooLong(String),
}

impl Reason {
    /// The field that is at fault; `row` if it is none alone.
    pub(crate) fn field(&self) -> String {
        match self {
            Self::WrongType { field, .. } | Self::Twice(field) => field.clone(),
            Self::Missing(field) => (*field).to_owned(),
            Self::Tag { key, .. } => format!("tags.{key}"),
            Self::TooManyTags => "tags".to_owned(),
            Self::TimeZone(_) => "time_zone".to_owned(),
            Self::LastSeen(_) | Self::LastSeenNumber | Self::LastSeenAhead(_) => {
                "last_seen".to_owned()
            }
            Self::CheckIn(_) | Self::CheckInLength { .. } => "check_in".to_owned(),
            Self::DuplicateId { .. } => "id".to_owned(),
            Self::Header { name, .. } => format!("headers.{name}"),
            Self::TooManyHeaders | Self::HeaderTooLong(_) => "headers".to_owned(),
            Self::Value(
                ValueError::Empty(what)
                | ValueError::TooLong { what, .. }
                | ValueError::Control { what, .. },
            ) => (*what).to_owned(),
            Self::Value(ValueError::Address { .. }) => "address".to_owned(),
            Self::Value(ValueError::Path { .. }) => "update_path".to_owned(),
            _ => "row".to_owned(),
        }
    }
}

/// A name from the inventory, short and without anything that moves a cursor.
pub(super) fn quote(text: &str) -> String {
    let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(64).is_some() { "..." } else { "" };
    format!("`{}{more}`", shown.replace("\\'", "'").replace("\\\"", "\""))
}
