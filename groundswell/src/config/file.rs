//! The file of settings: TOML, each key known or refused with the one that was probably meant.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use groundswell_core::spelling::nearest;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError, Fault, Given,
    setting::{Kind, SETTINGS, Setting},
};

/// Largest file, in bytes; one with every setting has a tenth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) given: Vec<(&'static str, Given)>,
    pub(super) faults: Vec<Fault>,
}

/// Reads a file; one that is no TOML at all is an error, what is wrong within it is among the
/// faults.
pub(super) fn read(path: &Path) -> Result<Found, ConfigError> {
    let unread = |source| ConfigError::Read { path: path.to_owned(), source };
    let none = |why: &str| ConfigError::NoConfig { path: path.to_owned(), why: why.to_owned() };
    let mut bytes = vec![];
    let file = File::open(path).map_err(unread)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(none("it is larger than 1 MiB; is it a configuration?"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| none("it is not UTF-8 text; is it a configuration?"))?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Found, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let why = format!("line {line}: {}", error.message());
        ConfigError::NoConfig { path: path.to_owned(), why }
    })?;
    let mut reader = Reader { path, text, found: Found::default() };
    reader.table("", table.get_ref());
    Ok(reader.found)
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    found: Found,
}

impl Reader<'_> {
    fn table(&mut self, within: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let dot = if within.is_empty() { "" } else { "." };
            let key = format!("{within}{dot}{}", name.get_ref());
            let at = name.span().start;
            let below = format!("{key}.");
            if let Some(setting) = Setting::find(&key) {
                match self.given(setting, value.get_ref()) {
                    Ok(given) => self.found.given.push((setting.key, given)),
                    Err(what) => self.fault(at, format!("{key}: {what}")),
                }
            } else if SETTINGS.iter().any(|setting| setting.key.starts_with(&below)) {
                match value.get_ref() {
                    DeValue::Table(inner) => self.table(&key, inner),
                    _ => self.fault(at, format!("{key}: it is a table: [{key}]")),
                }
            } else {
                self.unknown(at, &key, value);
            }
        }
    }

    fn unknown(&mut self, at: usize, key: &str, value: &Spanned<DeValue<'_>>) {
        let tables = SETTINGS.iter().filter_map(|setting| setting.key.split_once('.'));
        let tables = tables.map(|(table, _)| table);
        let meant = match value.get_ref() {
            DeValue::Table(_) => nearest(key, tables),
            _ => nearest(key, SETTINGS.iter().map(|setting| setting.key)).or_else(|| {
                // In the wrong table, or in none.
                let bare = key.rsplit('.').next().unwrap_or(key);
                let same = |setting: &&Setting| setting.key.rsplit('.').next() == Some(bare);
                SETTINGS.iter().find(same).map(|setting| setting.key)
            }),
        };
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        self.fault(at, format!("there is no setting {key}{meant}"));
    }

    fn fault(&mut self, at: usize, what: String) {
        let line = line_of(self.text, at);
        self.found.faults.push(Fault { at: format!("{}: line {line}", self.path.display()), what });
    }

    fn given(&self, setting: &Setting, value: &DeValue<'_>) -> Result<Given, String> {
        let wrong = || format!("write {}", setting.kind.form());
        let given = match (setting.kind, value) {
            (Kind::Number(..), DeValue::Integer(number)) if number.radix() == 10 => {
                Given::Text(number.as_str().replace('_', ""))
            }
            (Kind::Switch, DeValue::Boolean(is_on)) => Given::Text(is_on.to_string()),
            (Kind::Number(..) | Kind::Switch, _) => return Err(wrong()),
            (Kind::Networks | Kind::Secrets, DeValue::Array(list)) => {
                let text =
                    |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(str::to_owned);
                Given::List(list.iter().map(text).collect::<Option<_>>().ok_or_else(wrong)?)
            }
            (Kind::Headers, DeValue::Table(table)) => {
                let pair = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                    let name: &std::borrow::Cow<'_, str> = name.get_ref();
                    Some((name.to_string(), self.beside(value.get_ref().as_str()?, "file:")))
                };
                Given::Pairs(table.iter().map(pair).collect::<Option<_>>().ok_or_else(wrong)?)
            }
            (Kind::File, DeValue::String(text)) => Given::Text(self.beside(text, "")),
            (_, DeValue::String(text)) => Given::Text(text.to_string()),
            _ => return Err(wrong()),
        };
        setting.kind.check(&given)?;
        Ok(given)
    }

    /// A path behind `prefix` that is relative begins beside the file, wherever the program is
    /// started from.
    fn beside(&self, text: &str, prefix: &str) -> String {
        let Some(path) = text.strip_prefix(prefix).filter(|path| !path.is_empty()) else {
            return text.to_owned();
        };
        let dir = self.path.parent().map(PathBuf::from).unwrap_or_default();
        format!("{prefix}{}", dir.join(path).display())
    }
}
