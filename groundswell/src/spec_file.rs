//! Rollout specs in files.
//!
//! Owns the two notations, TOML and JSON, and where in a file they are broken. What the fields mean
//! is [`groundswell_core::document`]'s. Start with [`read`].

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use groundswell_core::{
    document::{Document, DocumentError, Tree},
    time::Time,
};

/// Largest spec, in bytes: room for a hundred waves with the longest selectors, twice. Anything
/// larger is a mistaken path.
pub const SPEC_BYTES_MAX: u64 = 1 << 20;

/// Why a file is no rollout spec.
#[derive(Debug, thiserror::Error)]
pub enum SpecFileError {
    /// It cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is far larger than a spec.
    #[error("{} is larger than {SPEC_BYTES_MAX} bytes; is it a rollout spec?", .0.display())]
    TooLarge(PathBuf),
    /// It is no text.
    #[error("{} is not UTF-8 text; is it a rollout spec?", .0.display())]
    NotText(PathBuf),
    /// It breaks the rules of its notation.
    #[error("{}: line {line}, column {column}: {message} (read as {notation})", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// As what it was read.
        notation: Notation,
        /// Where, counted from 1.
        line: usize,
        /// Where in the line, in characters, counted from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// It says what cannot be.
    #[error("{}: the spec cannot be used", .0.display())]
    Document(PathBuf, #[source] DocumentError),
}

/// How a spec is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// What people write.
    Toml,
    /// What programs write.
    Json,
}

impl std::fmt::Display for Notation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
        })
    }
}

/// Reads the spec in a file, to be started now or later.
///
/// # Errors
/// [`SpecFileError`] says where and why.
pub fn read(path: &Path, now: Time) -> Result<Document, SpecFileError> {
    parse(path, &text(path)?, now)
}

/// Reads what is written in a file, whatever it means.
///
/// # Errors
/// [`SpecFileError`] says where and why it cannot be read.
pub fn read_tree(path: &Path) -> Result<Tree, SpecFileError> {
    tree(path, &text(path)?)
}

fn text(path: &Path) -> Result<String, SpecFileError> {
    let unreadable = |error| SpecFileError::Read(path.to_owned(), error);
    let mut bytes = vec![];
    let file = File::open(path).map_err(unreadable)?;
    file.take(SPEC_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SPEC_BYTES_MAX {
        return Err(SpecFileError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| SpecFileError::NotText(path.to_owned()))
}

/// Reads the spec in a text; `path` is where it came from, and decides the notation together with
/// how it begins: `*.json`, or `{` as the first character, is JSON.
///
/// # Errors
/// [`SpecFileError`] says where and why.
pub fn parse(path: &Path, text: &str, now: Time) -> Result<Document, SpecFileError> {
    let tree = tree(path, text)?;
    Document::read_at(&tree, now).map_err(|error| SpecFileError::Document(path.to_owned(), error))
}

fn tree(path: &Path, text: &str) -> Result<Tree, SpecFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        || text.trim_start().starts_with('{');
    let tree = if is_json { json(text) } else { toml(text) };
    tree.map_err(|Broken { notation, line, column, message }| SpecFileError::Syntax {
        path: path.to_owned(),
        notation,
        line,
        column,
        message,
    })
}

struct Broken {
    notation: Notation,
    line: usize,
    column: usize,
    message: String,
}

fn json(text: &str) -> Result<Tree, Broken> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column().max(1));
        let place = format!(" at line {} column {}", error.line(), error.column());
        let whole = error.to_string();
        let message = whole.strip_suffix(&place).unwrap_or(&whole).to_owned();
        Broken { notation: Notation::Json, line, column, message }
    })
}

fn toml(text: &str) -> Result<Tree, Broken> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        let message = error.message().to_owned();
        Broken { notation: Notation::Toml, line, column, message }
    })
}

#[cfg(test)]
mod tests {
    use groundswell_core::{
        document::FIELDS,
        gate::baseline::Earlier,
        release::{Digest, Release},
        rollout::Spec,
    };

    use super::*;

    const PAGE: &str = include_str!("../../docs/rollout-spec.md");

    /// The blocks of the page in one notation.
    fn blocks(notation: &str) -> Vec<&'static str> {
        let fence = format!("```{notation}\n");
        PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
    }

    fn spec(text: &str) -> Spec {
        let document = parse(Path::new("page"), text, Time::ZERO).unwrap_or_else(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            panic!("{error}: {}\n{text}", source.unwrap_or_default())
        });
        let release = Release {
            name: document.release.name.clone(),
            version: document.release.version.clone(),
            artifact: Digest([7; 32]),
            artifact_bytes: 1,
        };
        document.into_spec(release, Earlier { failures: 9, results: 1_000 }).unwrap()
    }

    #[test]
    fn every_example_of_the_page_is_a_spec() {
        let examples = [blocks("toml"), blocks("json")].concat();
        assert!(examples.len() >= 8, "{}", examples.len());
        for example in examples {
            spec(example);
        }
    }

    #[test]
    fn the_complete_example_sets_every_field() {
        let complete = blocks("toml")[0];
        let Ok(Tree::Table(fields)) = toml(complete) else { panic!("no table") };
        for (table, names) in FIELDS {
            let tables: Vec<&Tree> = match fields.get(table) {
                None if table.is_empty() => vec![],
                Some(Tree::List(values)) => values.iter().collect(),
                Some(value) => vec![value],
                None => panic!("{table}"),
            };
            for name in names {
                let is_in = |tree: &&Tree| matches!(tree, Tree::Table(t) if t.contains_key(*name));
                let is_set = fields.contains_key(*name) && table.is_empty()
                    || tables.iter().any(is_in)
                    // The other forms of these two are in the table of fields.
                    || ["release", "time_zone"].contains(&table);
                assert!(is_set, "{table}.{name} is not in the complete example");
            }
        }
    }

    #[test]
    fn every_field_is_in_the_table_of_fields() {
        for (table, names) in FIELDS {
            let dot = if table.is_empty() { "" } else { "." };
            let is_table = |name: &&&str| FIELDS.iter().any(|(table, _)| *table == **name);
            for name in names.iter().filter(|name| !is_table(name)) {
                let row = format!("| `{table}{dot}{name}` |");
                assert!(PAGE.contains(&row), "no row {row}");
            }
        }
    }

    #[test]
    fn dates_without_quotes_are_as_good_as_texts() {
        let quoted = "release = 'a 1'\nstart_at = '2026-11-24T02:00:00-05:00'\n\
             freezes = [{ from = '2026-12-20', to = '2027-01-02T06:00' }]";
        assert_eq!(spec(quoted), spec(&quoted.replace("'2", "2").replace("0'", "0")));
    }

    fn refused(name: &str, text: &str) -> String {
        parse(Path::new(name), text, Time::ZERO).unwrap_err().to_string()
    }

    #[test]
    fn what_is_broken_is_told_with_its_place() {
        insta::assert_snapshot!(refused("a.toml", "release = 'a 1'\nselect = tag"), @"a.toml: line 2, column 10: invalid boolean, expected `true` (read as TOML)");
        insta::assert_snapshot!(refused("a.toml", "release = 'a 1'\nrelease = 'a 2'"), @"a.toml: line 2, column 1: duplicate key (read as TOML)");
        insta::assert_snapshot!(refused("a.json", "release = 'a 1'"), @"a.json: line 1, column 1: expected value (read as JSON)");
        insta::assert_snapshot!(refused("a", "\u{feff} {\"release\": \"a 1\",\n}"), @"a: line 2, column 1: trailing comma (read as JSON)");
        insta::assert_snapshot!(refused("a", "{\"salt\": \"a\", \"salt\": \"b\"}"), @r#"a: line 1, column 20: "salt" is written twice (read as JSON)"#);
        insta::assert_snapshot!(refused("a", ""), @"a: the spec cannot be used");
    }

    #[test]
    fn files_that_are_no_specs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spec.toml");
        assert!(matches!(read(&path, Time::ZERO), Err(SpecFileError::Read(..))));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read(&path, Time::ZERO), Err(SpecFileError::NotText(_))));
        std::fs::write(&path, vec![b' '; SPEC_BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(read(&path, Time::ZERO), Err(SpecFileError::TooLarge(_))));
        std::fs::write(&path, "release = 'a 1'").unwrap();
        assert_eq!(read(&path, Time::ZERO).unwrap().release.name, "a");
    }
}
