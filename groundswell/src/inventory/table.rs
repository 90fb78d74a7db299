//! Comma-separated values (RFC 4180).
//!
//! Cut into cells here, because every row must have its line, a row must have a limit, and a
//! quote that is never closed must not swallow the devices after it unnoticed.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use groundswell_core::spelling::nearest;

use super::{
    ROW_BYTES_MAX, Reason,
    cell::Cell,
    field::{FIELD_NAMES, Field, Single},
    input::Input,
    rows::Rows,
};

/// Most columns: tags, headers and fields at their limits, and ten times as many that mean nothing
/// here. Each is compared with all others.
const COLUMNS_MAX: usize = 4_096;

/// The cells of a row, one after the other.
#[derive(Default)]
struct Record {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    fn cells<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| text.get(start..*end).unwrap_or("").trim())
    }

    fn end_cell(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Where in a cell we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Bare,
    Quoted,
    Closed,
}

pub(super) fn read<R: Read>(input: &mut Input<R>, rows: &mut Rows<'_>) -> io::Result<()> {
    let mut record = Record::default();
    let line = input.line();
    let head = match take_head(input, &mut record)? {
        Ok(head) => head,
        Err(reason) => {
            rows.refuse(line, reason);
            return Ok(());
        }
    };
    if head.names.len() > COLUMNS_MAX {
        rows.refuse(line, Reason::TooManyColumns(head.names.len()));
        return Ok(());
    }
    let Some(columns) = resolve(&head.names, line, rows) else {
        return Ok(());
    };
    while input.skip_line_ends()? {
        let line = input.line();
        let cut = take_record(input, head.separator, &mut record)?;
        let text = str::from_utf8(&record.bytes);
        if text.is_ok_and(|text| record.cells(text).all(str::is_empty)) && cut.is_ok() {
            continue;
        }
        if rows.is_full(line) {
            return Ok(());
        }
        let expected = columns.len();
        let found = record.ends.len();
        match (cut, text) {
            (Err(reason), _) => rows.refuse(line, reason),
            (_, Err(error)) => rows.refuse(line, Reason::NotUtf8(error.valid_up_to() + 1)),
            _ if found != expected => rows.refuse(line, Reason::Cells { found, expected }),
            (_, Ok(text)) => {
                rows.begin(line);
                for (column, cell) in columns.iter().zip(record.cells(text)) {
                    if let Some(field) = column {
                        rows.set_field(*field, &Cell::Text(Cow::Borrowed(cell)));
                    }
                }
                rows.end();
            }
        }
    }
    Ok(())
}

/// The first line.
struct Head {
    names: Vec<String>,
    separator: u8,
}

/// Reads the first line; what separates its names separates the cells of all rows.
fn take_head<R: Read>(
    input: &mut Input<R>,
    record: &mut Record,
) -> io::Result<Result<Head, Reason>> {
    let mut first = vec![];
    input.take_line(&mut first)?;
    if first.len() > ROW_BYTES_MAX {
        return Ok(Err(Reason::RowTooLong));
    }
    let count =
        |separator: u8| first.iter().map(|byte| usize::from(*byte == separator)).sum::<usize>();
    let separator = [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator));
    let separator = separator.unwrap_or(b',');
    if let Err(reason) = take_record(&mut Input::new(&*first), separator, record)? {
        return Ok(Err(reason));
    }
    Ok(match str::from_utf8(&record.bytes) {
        Ok(text) => Ok(Head { names: record.cells(text).map(str::to_owned).collect(), separator }),
        Err(error) => Err(Reason::NotUtf8(error.valid_up_to() + 1)),
    })
}

/// What the columns mean; `None`, and the reason among the bad rows, if they cannot be used.
fn resolve<'a>(
    names: &'a [String],
    line: u64,
    rows: &mut Rows<'_>,
) -> Option<Vec<Option<Field<'a>>>> {
    let mut reasons = vec![];
    let mut columns = vec![];
    for name in names {
        let field = Field::of(name);
        match field {
            Some(field) if columns.contains(&Some(field)) => {
                reasons.push(Reason::ColumnTwice(name.clone()));
            }
            _ => {}
        }
        columns.push(field);
    }
    let has = |single| columns.contains(&Some(Field::Single(single)));
    for (name, _) in names.iter().zip(&columns).filter(|(_, field)| field.is_none()) {
        // Without an id column this may be a device and no line of names: then its values, of
        // which some may be secrets, are not told.
        if !name.is_empty() && (has(Single::Id) || nearest(name, FIELD_NAMES).is_some()) {
            rows.ignore(name);
        }
    }
    if !has(Single::Id) {
        reasons.push(Reason::NoColumn("id"));
    }
    if rows.requires_address() && !has(Single::Address) {
        reasons.push(Reason::NoColumn("address"));
    }
    if reasons.is_empty() {
        return Some(columns);
    }
    rows.refuse_for(line, reasons);
    None
}

/// Takes one row apart. A row that breaks the rules is skipped to the end of its line.
fn take_record<R: Read>(
    input: &mut Input<R>,
    separator: u8,
    record: &mut Record,
) -> io::Result<Result<(), Reason>> {
    record.clear();
    let mut state = State::Start;
    loop {
        if record.bytes.len() + record.ends.len() > ROW_BYTES_MAX {
            input.take_line(&mut vec![])?;
            let is_quoted = state == State::Quoted;
            return Ok(Err(if is_quoted { Reason::NoQuoteEnd } else { Reason::RowTooLong }));
        }
        let byte = input.next()?;
        state = match (state, byte) {
            (State::Quoted, None) => return Ok(Err(Reason::NoQuoteEnd)),
            (State::Quoted, Some(b'"')) if input.peek()? == Some(b'"') => {
                input.next()?;
                record.bytes.push(b'"');
                State::Quoted
            }
            (State::Quoted, Some(b'"')) => State::Closed,
            (State::Quoted, Some(byte)) => {
                record.bytes.push(byte);
                State::Quoted
            }
            (_, None | Some(b'\n')) => {
                record.end_cell();
                return Ok(Ok(()));
            }
            (_, Some(byte)) if byte == separator => {
                record.end_cell();
                State::Start
            }
            (State::Start, Some(b'"')) => State::Quoted,
            (State::Start | State::Closed, Some(b' ' | b'\t' | b'\r')) => state,
            (State::Closed, Some(_)) => {
                input.take_line(&mut vec![])?;
                return Ok(Err(Reason::AfterQuote));
            }
            (State::Start | State::Bare, Some(byte)) => {
                record.bytes.push(byte);
                State::Bare
            }
        };
    }
}
