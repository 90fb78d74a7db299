//! A time zone by its IANA name.
//!
//! Owns the look-up in the database that is built in, so that every machine decides alike. Knows
//! neither the system's zone nor its database.

use std::{cmp::Ordering, fmt, hash, str::FromStr};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::echo;
use crate::spelling;

/// A time zone; clones share its rules.
///
/// Two are equal if their names are: `US/Mountain` is not `America/Denver`, though their clocks
/// agree.
#[derive(Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of an IANA name such as `America/Denver`; upper and lower case are alike.
    ///
    /// # Errors
    /// [`ZoneError`] repeats the text and names the zone that was probably meant.
    pub fn parse(name: &str) -> Result<Self, ZoneError> {
        Self::find(name).ok_or_else(|| ZoneError { text: name.to_owned(), meant: meant(name) })
    }

    /// The zone of that name, where nobody is told which one was meant: looking for it takes a
    /// thousand times as long.
    pub(crate) fn find(name: &str) -> Option<Self> {
        TimeZoneDatabase::bundled()
            .get(name)
            .ok()
            // The database answers to `Etc/Unknown`, which is no place.
            .filter(|zone| !zone.is_unknown() && zone.iana_name().is_some())
            .map(Self)
    }

    /// Coordinated universal time.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The IANA name, as the database writes it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// A zone that no database has.
    #[cfg(test)]
    pub(super) const fn of_rules(rules: TimeZone) -> Self {
        Self(rules)
    }

    /// The rules of its clock.
    pub(super) const fn rules(&self) -> &TimeZone {
        &self.0
    }
}

/// The zone whose name, or the place in it, is nearest to what was written.
fn meant(text: &str) -> Option<String> {
    let names: Vec<String> =
        TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
    let place = text.replace(' ', "_");
    let same_place = names.iter().find(|name| {
        name.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(&place))
    });
    same_place
        .map(String::as_str)
        .or_else(|| spelling::nearest(&place, names.iter().map(String::as_str)))
        .map(str::to_owned)
}

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no time zone; {}", echo(.text), hint(.meant.as_deref()))]
pub struct ZoneError {
    /// What was written.
    pub text: String,
    /// The name that was probably meant.
    pub meant: Option<String>,
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(
        || "write an IANA name such as America/Denver".to_owned(),
        |name| format!("did you mean {name}?"),
    )
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        Self::parse(name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name()).finish()
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl hash::Hash for Zone {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).map_err(serde::de::Error::custom)
    }
}
