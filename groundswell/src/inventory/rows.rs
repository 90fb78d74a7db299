//! The rows read so far: good ones are handed on, bad ones are kept for the report.

use std::{
    collections::{HashMap, hash_map},
    hash::{BuildHasher, RandomState},
};

use super::{
    BadInventory, BadRows, Entry, IgnoredFields, Options, Reason,
    cell::Cell,
    draft::{Draft, Shared},
    field::Field,
};

pub(super) struct Rows<'o> {
    options: &'o Options<'o>,
    take: &'o mut dyn FnMut(Entry),
    count: usize,
    /// Where the last row began, and whether one began on that line before.
    line: (u64, bool),
    seen: Seen,
    draft: Draft,
    shared: Shared,
    bad: BadRows,
    ignored: IgnoredFields,
}

impl<'o> Rows<'o> {
    pub(super) fn new(options: &'o Options<'o>, take: &'o mut dyn FnMut(Entry)) -> Self {
        Self {
            options,
            take,
            count: 0,
            line: (0, false),
            seen: Seen::default(),
            draft: Draft::default(),
            shared: Shared::default(),
            bad: BadRows { name: options.name.to_owned(), ..BadRows::default() },
            ignored: IgnoredFields::default(),
        }
    }

    /// Whether no further row is taken; the row on this line is the one too many.
    pub(super) fn is_full(&mut self, line: u64) -> bool {
        let is_full = self.count >= self.options.rows_max;
        if is_full {
            self.bad.push(line, None, vec![Reason::TooManyRows(self.options.rows_max)]);
        }
        is_full
    }

    pub(super) const fn requires_address(&self) -> bool {
        self.options.require_address
    }

    /// A row that could not be read at all.
    pub(super) fn refuse(&mut self, line: u64, reason: Reason) {
        self.refuse_for(line, vec![reason]);
    }

    /// Something is wrong between rows.
    pub(super) fn refuse_list(&mut self, line: u64, reason: Reason) {
        self.bad.push(line, None, vec![reason]);
    }

    pub(super) fn refuse_for(&mut self, line: u64, reasons: Vec<Reason>) {
        self.number(line);
        self.bad.push(line, self.row(), reasons);
    }

    /// A name that means nothing.
    pub(super) fn ignore(&mut self, name: &str) {
        self.ignored.insert(name);
    }

    pub(super) fn begin(&mut self, line: u64) {
        self.number(line);
        self.draft.begin(line);
    }

    fn number(&mut self, line: u64) {
        self.count += 1;
        self.line = (line, self.line.0 == line);
    }

    /// The number of the row that was begun last, where its line does not tell it from others.
    fn row(&self) -> Option<usize> {
        self.line.1.then_some(self.count)
    }

    /// A named value of the row that was begun.
    pub(super) fn set(&mut self, name: &str, cell: &Cell<'_>) {
        match Field::of(name) {
            Some(field) => self.set_field(field, cell),
            None => self.ignore(name),
        }
    }

    pub(super) fn set_field(&mut self, field: Field<'_>, cell: &Cell<'_>) {
        self.draft.set(field, cell, self.options, &mut self.shared);
    }

    /// Ends the row that was begun.
    pub(super) fn end(&mut self) {
        let line = self.draft.line();
        let id = self.draft.id();
        if let Some(first_line) = self.seen.insert(id, line) {
            let reason = Reason::DuplicateId { id: id.to_owned(), first_line };
            self.draft.refuse(reason);
        }
        match self.draft.finish(self.options, &mut self.shared) {
            Ok(entry) => (self.take)(entry),
            Err(reasons) => self.bad.push(line, self.row(), reasons),
        }
    }

    pub(super) fn finish(mut self) -> Result<IgnoredFields, BadInventory> {
        if self.bad.count == 0 {
            return Ok(self.ignored);
        }
        self.bad.ignored = self.ignored;
        Err(BadInventory::Rows(self.bad))
    }
}

/// The ids seen so far and their lines. Holds 128 bits of a keyed hash instead of each id: two ids
/// of five million share one with a chance of 1 in 2^83.
#[derive(Default)]
struct Seen {
    keys: (RandomState, RandomState),
    lines: HashMap<u128, u32>,
}

impl Seen {
    /// The line that has this id already. An empty one is nobody's.
    fn insert(&mut self, id: &str, line: u64) -> Option<u64> {
        if id.is_empty() {
            return None;
        }
        let [high, low] = [&self.keys.0, &self.keys.1].map(|key| key.hash_one(id));
        let key = (u128::from(high) << 64) | u128::from(low);
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        match self.lines.entry(key) {
            hash_map::Entry::Occupied(first) => Some(u64::from(*first.get())),
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(line);
                None
            }
        }
    }
}
