//! What is given where, and which of it holds.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use groundswell_core::spelling::nearest;
use serde::Serialize;

use super::{
    file,
    setting::{Kind, SETTINGS, Setting, is_elsewhere},
};

/// A value as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// One.
    Text(String),
    /// Several.
    List(Vec<String>),
    /// Several, by name.
    Pairs(Vec<(String, String)>),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Something that is wrong with what is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is said.
    pub at: String,
    /// What is wrong there.
    pub what: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is none that could be a configuration.
    #[error("{}: {why}", path.display())]
    NoConfig {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// All that is wrong.
    #[error("{}", told(.0))]
    Faults(Vec<Fault>),
}

fn told(faults: &[Fault]) -> String {
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{}: {}", fault.at, fault.what)).collect();
    lines.join("\n       ")
}

/// Every setting that has a value, and where it comes from.
#[derive(Clone, Debug)]
pub struct Settings {
    values: BTreeMap<&'static str, (Given, Origin)>,
}

/// A setting as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its name.
    pub key: &'static str,
    /// Its value, as it would stand in the file, secrets masked; none if it has none.
    pub value: Option<String>,
    /// Where it comes from.
    pub from: String,
}

impl Settings {
    /// What holds: flags before the environment, that before the file, that before defaults. One
    /// place has all of a list or of the headers; nothing is added to what another has.
    ///
    /// # Errors
    /// All that is wrong with what is given, also where something else is given instead.
    pub fn gather(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
        flags: Vec<(&'static str, Given)>,
    ) -> Result<Self, ConfigError> {
        let (mut values, mut faults) = (BTreeMap::new(), vec![]);
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                values.insert(setting.key, (Given::Text(default.to_owned()), Origin::Default));
            }
        }
        if let Some(path) = file {
            let found = file::read(path)?;
            faults.extend(found.faults);
            for (key, given) in found.given {
                values.insert(key, (given, Origin::File(path.to_owned())));
            }
        }
        for setting in SETTINGS {
            let name = setting.variable();
            if let Some(text) = variable(&name) {
                let given = split(setting.kind, &text);
                check(setting, &given, &name, &mut faults);
                values.insert(setting.key, (given, Origin::Variable(name)));
            }
        }
        for (key, given) in flags {
            let Some(setting) = Setting::find(key) else { continue };
            let flag = setting.flag.unwrap_or(key);
            check(setting, &given, flag, &mut faults);
            values.insert(setting.key, (given, Origin::Flag(flag)));
        }
        if faults.is_empty() { Ok(Self { values }) } else { Err(ConfigError::Faults(faults)) }
    }

    /// The value of a setting and where it comes from.
    pub(super) fn get(&self, key: &str) -> Option<&(Given, Origin)> {
        self.values.get(key)
    }

    /// Every setting, in the order of the documentation, with its value.
    pub fn shown(&self) -> Vec<Shown> {
        let one = |setting: &Setting| match self.get(setting.key) {
            Some((given, origin)) => Shown {
                key: setting.key,
                value: Some(given.masked(setting.kind)),
                from: origin.to_string(),
            },
            None => Shown { key: setting.key, value: None, from: Origin::Default.to_string() },
        };
        SETTINGS.iter().map(one).collect()
    }

    /// Whether a secret itself stands in the file, which others may read.
    pub fn has_secret_in_file(&self) -> bool {
        self.values.values().any(|(given, origin)| match given {
            Given::Pairs(pairs) => {
                matches!(origin, Origin::File(_))
                    && pairs.iter().any(|(_, value)| !is_elsewhere(value))
            }
            _ => false,
        })
    }
}

/// The variable that was probably meant by a name that is none of ours.
pub fn meant(name: &str) -> Option<String> {
    let all: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    if all.iter().any(|known| known == name) {
        return None;
    }
    nearest(name, all.iter().map(String::as_str)).map(str::to_owned)
}

fn check(setting: &Setting, given: &Given, at: &str, faults: &mut Vec<Fault>) {
    if let Err(what) = setting.kind.check(given) {
        faults.push(Fault { at: at.to_owned(), what });
    }
}

/// A value of the environment: commas between those of a list, a line for each header.
fn split(kind: Kind, text: &str) -> Given {
    if kind.is_list() {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        return Given::List(parts.map(str::to_owned).collect());
    }
    if kind != Kind::Headers {
        return Given::Text(text.to_owned());
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Given::Pairs(lines.map(pair).collect())
}

/// The name and the value of `Name: value`. Without a colon all of it may be a secret: it has no name
/// then, which no header may have.
pub(super) fn pair(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or(("", line));
    (name.trim().to_owned(), value.trim().to_owned())
}

impl Given {
    /// A list of headers, each written `Name: value`.
    pub fn headers(lines: &[String]) -> Self {
        Self::Pairs(lines.iter().map(|line| pair(line)).collect())
    }

    /// As it would stand in the file, without secrets.
    fn masked(&self, kind: Kind) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Text(text) if matches!(kind, Kind::Switch | Kind::Number(..)) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::List(list) => {
                let parts: Vec<String> = list.iter().map(|text| quoted(text)).collect();
                format!("[{}]", parts.join(", "))
            }
            Self::Pairs(pairs) => {
                let one = |(name, value): &(String, String)| {
                    let value = if is_elsewhere(value) { value } else { "***" };
                    format!("{} = {}", quoted(name), quoted(value))
                };
                let parts: Vec<String> = pairs.iter().map(one).collect();
                format!("{{ {} }}", parts.join(", "))
            }
        }
    }
}
