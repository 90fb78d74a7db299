//! The list of devices as an operator hands it over: JSON array, JSON lines or CSV.
//!
//! Owns the three formats and every check on what they hold: nothing unchecked leaves here, and
//! whoever has a bad list is told of all its bad rows at once. Knows nothing of where devices are
//! kept or what is sent to them. Function to read first: [`read`].

mod array;
mod cell;
mod draft;
mod fault;
mod field;
mod identity;
mod input;
mod lines;
mod rows;
mod table;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, io::Read, sync::Arc};

use groundswell_core::{device::Device, spelling::nearest, time::Time};
use http::{HeaderMap, HeaderName, HeaderValue};

use self::{fault::quote, field::FIELD_NAMES, input::Input, rows::Rows};
pub use self::{
    fault::{BAD_ROWS_KEPT, BadInventory, BadRow, BadRows, Reason},
    identity::identity_digest,
};

/// Most rows of an inventory: five times the largest fleet this is built for. A longer file is
/// taken for a mistake.
pub const ROWS_MAX: usize = 5_000_000;

/// Longest row, in bytes: a device with every tag and header at its limit fits.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// Most headers of one device; a request with more is refused by most servers.
pub const HEADERS_MAX: usize = 32;

/// Longest value of a header, in bytes: what servers commonly take for all headers together.
pub const HEADER_BYTES_MAX: usize = 8_192;

/// Most names of ignored fields that are kept: a line of warning, not a second inventory.
pub const IGNORED_MAX: usize = 100;

/// Turns a name and a value into a header, or says why not, without the value: it may be a secret.
pub type CheckHeader = fn(&str, &str) -> Result<(HeaderName, HeaderValue), String>;

/// How the rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON array of objects.
    JsonArray,
    /// One JSON object per line.
    JsonLines,
    /// Comma-separated values (RFC 4180), the first line naming the columns; `;` and tab are
    /// understood too.
    Csv,
}

/// What a reader needs to know besides the bytes.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// What messages call the source, such as its file name.
    pub name: &'a str,
    /// The format; told from the first byte if `None`.
    pub format: Option<Format>,
    /// Whether a device without an address is a bad row.
    pub require_address: bool,
    /// Decides which headers may be sent.
    pub check_header: CheckHeader,
    /// The present time, which ages count back from.
    pub now: Time,
    /// Most rows.
    pub rows_max: usize,
}

impl<'a> Options<'a> {
    /// Any format, addresses optional, headers as HTTP allows.
    pub fn new(name: &'a str, now: Time) -> Self {
        Self {
            name,
            format: None,
            require_address: false,
            check_header: parse_header,
            now,
            rows_max: ROWS_MAX,
        }
    }
}

/// A device, and the headers that only it is sent. Header values are marked sensitive: `Debug`
/// does not show them.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The device.
    pub device: Device,
    /// Its own headers; devices that follow each other with equal headers share them.
    pub headers: Option<Arc<HeaderMap>>,
}

/// A whole inventory without a bad row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// One per row, in the order of the source.
    pub entries: Vec<Entry>,
    /// What was not taken from it.
    pub ignored: IgnoredFields,
}

/// Names of fields or columns that mean nothing here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoredFields(BTreeSet<String>);

impl IgnoredFields {
    /// The names; at most [`IGNORED_MAX`] of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// One line for the operator; `None` if nothing was ignored.
    pub fn warning(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let names = self.0.iter().map(|name| match nearest(name, FIELD_NAMES) {
            Some(meant) => format!("{} (did you mean `{meant}`?)", quote(name)),
            None => quote(name),
        });
        let more = if self.0.len() < IGNORED_MAX { "" } else { " and possibly more" };
        Some(format!("ignored fields: {}{more}", names.collect::<Vec<_>>().join(", ")))
    }

    fn insert(&mut self, name: &str) {
        if self.0.len() < IGNORED_MAX && !self.0.contains(name) {
            self.0.insert(name.chars().take(64).collect());
        }
    }
}

/// Reads a whole inventory.
///
/// # Errors
/// [`BadInventory`] names every bad row with its line and all that is wrong with it, or says why
/// the source could not be read.
pub fn read(source: impl Read, options: &Options<'_>) -> Result<Inventory, BadInventory> {
    let mut entries = vec![];
    let ignored = read_each(source, options, |entry| entries.push(entry))?;
    Ok(Inventory { entries, ignored })
}

/// Reads an inventory row by row, in memory that does not grow with the size of a device. Good
/// rows go to `take` as they are read: whoever keeps them must let go of them again if the result
/// is an error.
///
/// # Errors
/// As [`read`].
pub fn read_each(
    source: impl Read,
    options: &Options<'_>,
    mut take: impl FnMut(Entry),
) -> Result<IgnoredFields, BadInventory> {
    let mut input = Input::new(source);
    let mut rows = Rows::new(options, &mut take);
    read_rows(&mut input, options.format, &mut rows)
        .map_err(|source| BadInventory::Unreadable { name: options.name.to_owned(), source })?;
    rows.finish()
}

fn read_rows<R: Read>(
    input: &mut Input<R>,
    format: Option<Format>,
    rows: &mut Rows<'_>,
) -> std::io::Result<()> {
    if input.skip_mark()? {
        rows.refuse(1, Reason::Utf16);
        return Ok(());
    }
    let first = input.skip_blank()?;
    let format = format.unwrap_or(match first {
        Some(b'[') => Format::JsonArray,
        Some(b'{') => Format::JsonLines,
        _ => Format::Csv,
    });
    match (first, format) {
        (None, _) => Ok(()),
        (_, Format::JsonArray) => array::read(input, rows),
        (_, Format::JsonLines) => lines::read(input, rows),
        (_, Format::Csv) => table::read(input, rows),
    }
}

/// A header as HTTP allows it (RFC 9110 section 5): the name a token, the value without control
/// characters.
///
/// # Errors
/// Says which of the two is wrong, without the value.
pub fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name: HeaderName =
        name.parse().map_err(|_| "the name is no HTTP header name".to_owned())?;
    let value = HeaderValue::from_str(value)
        .map_err(|_| "the value has a character that no header may have".to_owned())?;
    Ok((name, value))
}
