//! A tree read field by field.
//!
//! Owns the kinds of values and what is said where another kind was written. A fault is kept with
//! its path, and reading goes on; what could not be read is `None`.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use super::{
    Tree,
    error::Faults,
    names::{listed, names_of, unknown},
};
use crate::{
    device::check_label,
    hours::echo,
    rollout::SpecError,
    spelling::nearest,
    units::{Span, parse_duration},
};

/// No duration that makes sense is longer than this many bytes; a message repeats it.
const DURATION_BYTES_MAX: usize = 64;

/// A table whose fields are read one by one.
pub(super) struct Table<'a> {
    path: String,
    entries: &'a BTreeMap<String, Tree>,
    faults: &'a Faults,
}

impl<'a> Table<'a> {
    /// The document itself; `None` if it is no table.
    pub(super) fn document(tree: &'a Tree, faults: &'a Faults) -> Option<Self> {
        Field { path: String::new(), tree, faults }.table("")
    }

    /// A field that was written. `null` and an empty list, as programs write them, are not there.
    pub(super) fn field(&self, name: &str) -> Option<Field<'a>> {
        let is_there = |tree: &&Tree| match tree {
            Tree::Null => false,
            Tree::List(values) => !values.is_empty(),
            _ => true,
        };
        let tree = self.entries.get(name).filter(is_there)?;
        let dot = if self.path.is_empty() { "" } else { "." };
        Some(Field { path: format!("{}{dot}{name}", self.path), tree, faults: self.faults })
    }

    /// A field that has to be there.
    pub(super) fn required(&self, name: &str, example: &str) -> Option<Field<'a>> {
        let field = self.field(name);
        if field.is_none() {
            let dot = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{name}", self.path);
            self.faults.push(path, format!("is missing; write one such as \"{example}\""));
        }
        field
    }

    pub(super) fn refuse(&self, what: impl Into<String>) {
        self.faults.push(self.path.clone(), what);
    }

    /// Refuses one of its fields.
    pub(super) fn refuse_in(&self, name: &str, error: &dyn Display) {
        self.faults.push(format!("{}.{name}", self.path), error.to_string());
    }

    pub(super) fn refuse_spec(&self, error: &SpecError) {
        self.faults.push_spec(error);
    }
}

/// A value and where it is.
pub(super) struct Field<'a> {
    path: String,
    tree: &'a Tree,
    faults: &'a Faults,
}

impl<'a> Field<'a> {
    pub(super) const fn tree(&self) -> &'a Tree {
        self.tree
    }

    pub(super) fn refuse(&self, what: impl Into<String>) {
        self.faults.push(self.path.clone(), what);
    }

    /// Says what was expected in place of this value.
    pub(super) fn refuse_kind(&self, expected: &str, hint: &str) {
        let hint = if hint.is_empty() { String::new() } else { format!("; write {hint}") };
        self.refuse(format!("must be {expected}, not {}{hint}", described(self.tree)));
    }

    /// `None` and a fault, or the value.
    pub(super) fn accept<T, E: Display>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.refuse(error.to_string())).ok()
    }

    /// A table with the fields that [`super::FIELDS`] has under `name`; every other is refused.
    pub(super) fn table(&self, name: &str) -> Option<Table<'a>> {
        let Tree::Table(entries) = self.tree else {
            let names = listed(names_of(name));
            self.refuse_kind(&format!("a table of {names}"), "");
            return None;
        };
        for key in entries.keys().filter(|key| !names_of(name).contains(&key.as_str())) {
            self.refuse(unknown(name, key));
        }
        Some(Table { path: self.path.clone(), entries, faults: self.faults })
    }

    /// The fields of a table that may have any names.
    pub(super) fn free_table(&self, expected: &str) -> Option<Vec<(&'a str, Self)>> {
        let Tree::Table(entries) = self.tree else {
            // What was written instead may be a secret: it is not repeated.
            self.refuse(format!("must be {expected}"));
            return None;
        };
        let field = |(name, tree): (&'a String, &'a Tree)| {
            let path = format!("{}.{}", self.path, echo(name));
            (name.as_str(), Self { path, tree, faults: self.faults })
        };
        Some(entries.iter().map(field).collect())
    }

    /// The values of a list.
    pub(super) fn list(&self) -> Vec<Self> {
        let Tree::List(values) = self.tree else {
            let hint = match self.tree {
                Tree::Text(text) => format!("[\"{}\"]", echo(text)),
                Tree::Table(_) => format!("[[{}]] in TOML, [{{...}}] in JSON", self.path),
                _ => String::new(),
            };
            self.refuse_kind("a list", &hint);
            return vec![];
        };
        let place = |index| format!("{}[{}]", self.path, index + 1);
        let field = |(index, tree)| Self { path: place(index), tree, faults: self.faults };
        values.iter().enumerate().map(field).collect()
    }

    /// How many values a list has, if all of them were read.
    pub(super) fn count_read(&self, read: usize) -> Option<usize> {
        matches!(self.tree, Tree::List(values) if values.len() == read).then_some(read)
    }

    /// A text, such as `example`.
    pub(super) fn text(&self, example: &str) -> Option<&'a str> {
        let Tree::Text(text) = self.tree else {
            self.refuse_kind("a text in quotes", &format!("one such as \"{example}\""));
            return None;
        };
        Some(text)
    }

    /// A text that something reads, such as `example`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, example: &str) -> Option<T> {
        self.accept(self.text(example)?.parse())
    }

    /// A name or another short text for people.
    pub(super) fn label(&self, example: &str) -> Option<String> {
        let text = self.text(example)?;
        let checked = check_label("the text", text)
            .map_err(|error| format!("{error}; write one such as \"{example}\""));
        self.accept(checked)?;
        Some(text.to_owned())
    }

    pub(super) fn bool(&self) -> Option<bool> {
        let Tree::Bool(value) = self.tree else {
            self.refuse_kind("true or false, without quotes", "");
            return None;
        };
        Some(*value)
    }

    pub(super) fn whole<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Into<i128> + TryFrom<i128>,
    {
        self.number("a whole number", range)
    }

    pub(super) fn percentage(&self, range: RangeInclusive<u8>) -> Option<u8> {
        self.number("a whole percentage", range)
    }

    fn number<T>(&self, kind: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Into<i128> + TryFrom<i128>,
    {
        let (least, most) = ((*range.start()).into(), (*range.end()).into());
        match self.tree {
            Tree::Integer(number) if (least..=most).contains(number) => T::try_from(*number).ok(),
            tree => {
                let meant = meant_number(tree).filter(|number| (least..=most).contains(number));
                let hint = meant.map(|number| number.to_string()).unwrap_or_default();
                self.refuse_kind(&format!("{kind} from {least} to {most}"), &hint);
                None
            }
        }
    }

    /// A number that may have a fraction.
    pub(super) fn float(&self) -> Option<f64> {
        match self.tree {
            Tree::Float(number) => Some(*number),
            Tree::Integer(number) => Some(*number as f64),
            _ => {
                self.refuse_kind("a number", "one such as 1.5, without quotes");
                None
            }
        }
    }

    /// A duration within a range, such as `example`.
    pub(super) fn duration(
        &self,
        range: &RangeInclusive<Duration>,
        example: &str,
    ) -> Option<Duration> {
        let expected = "a duration in quotes";
        let is_span = |text: &str| {
            text.len() <= DURATION_BYTES_MAX && !text.contains(|c: char| c.is_control())
        };
        let text = match self.tree {
            Tree::Text(text) if is_span(text) => text,
            _ => {
                self.refuse_kind(expected, &format!("one such as \"{example}\""));
                return None;
            }
        };
        let span = self.accept(parse_duration(text))?;
        if !range.contains(&span) {
            let (least, most) = (Span(*range.start()), Span(*range.end()));
            self.refuse(format!("must be from {least} to {most}, not {}", Span(span)));
            return None;
        }
        Some(span)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let written = match self.tree {
            Tree::Text(text) => text.as_str(),
            _ => "",
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let meant = nearest(written, names.iter().copied());
        let hint = meant.map(|word| format!("\"{word}\"")).unwrap_or_default();
        self.refuse_kind(&format!("one of {}", listed(&names)), &hint);
        None
    }
}

/// The word that stands for a value.
pub(super) fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, other)| other == value).map_or("", |(word, _)| word)
}

/// The whole number that was meant by `"95"`, `"95%"`, `95.0` or, as a share, `0.95`.
fn meant_number(tree: &Tree) -> Option<i128> {
    match tree {
        Tree::Text(text) => text.trim().trim_end_matches('%').trim_end().parse().ok(),
        Tree::Float(share) if (0.0..1.0).contains(share) => Some((share * 100.0).round() as i128),
        Tree::Float(number) if number.fract() == 0.0 => Some(*number as i128),
        _ => None,
    }
}

/// A value as a message shows it.
fn described(tree: &Tree) -> String {
    match tree {
        Tree::Null => "nothing".to_owned(),
        Tree::Bool(value) => value.to_string(),
        Tree::Integer(number) => number.to_string(),
        Tree::Float(number) => number.to_string(),
        Tree::Text(text) => format!("\"{}\"", echo(text)),
        Tree::List(_) => "a list".to_owned(),
        Tree::Table(_) => "a table".to_owned(),
    }
}
