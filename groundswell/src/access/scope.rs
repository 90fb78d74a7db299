//! The part of a fleet that a token is limited to.

use std::{collections::BTreeMap, fmt, str::FromStr};

use groundswell_core::{
    device::Device,
    selector::{Comparison, Expr, Field, Selector, SelectorError},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// A selector over `id` and `tag.*`: what operators say of a device, not what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Selector);

/// Why a text is no scope.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// It is no selector.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// It asks about what devices say of themselves, or what changes by itself.
    #[error("a scope is over `id` and `tag.*`; `{0}` may change without an operator")]
    Field(Field),
}

impl Scope {
    /// Reads a scope such as `tag.region==northeast`.
    ///
    /// # Errors
    /// [`ScopeError`] if it is no selector, or asks about more than `id` and tags.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let selector = Selector::parse(text)?;
        match other_field(selector.expr()) {
            Some(field) => Err(ScopeError::Field(field.clone())),
            None => Ok(Self(selector)),
        }
    }

    /// The devices in it.
    pub const fn selector(&self) -> &Selector {
        &self.0
    }

    /// Whether a device is in it.
    pub fn contains(&self, device: &Device) -> bool {
        self.0.matches(device, Time::ZERO)
    }

    /// Whether every device that has these tags is in it, whatever its id and its other tags are.
    pub fn holds_by_tags(&self, tags: &BTreeMap<String, String>) -> bool {
        holds(self.0.expr(), tags)
    }

    /// The devices in it that `select` chooses.
    #[must_use]
    pub fn narrow(&self, select: Option<Selector>) -> Selector {
        match select {
            Some(select) => self.0.clone().and(select),
            None => self.0.clone(),
        }
    }

    /// Whether whatever `select` chooses is in it, as far as that can be seen from the words: each of
    /// its conditions is a condition of `select`. One that says the same in other words is not seen.
    pub fn covers(&self, select: Option<&Selector>) -> bool {
        let Some(select) = select else { return false };
        let asked = conditions(select.expr());
        conditions(self.0.expr()).iter().all(|own| asked.contains(own))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

fn holds(expr: &Expr, tags: &BTreeMap<String, String>) -> bool {
    match expr {
        Expr::All(parts) => parts.iter().all(|part| holds(part, tags)),
        Expr::Any(parts) => parts.iter().any(|part| holds(part, tags)),
        Expr::Compare(Comparison { field: Field::Tag(key), test }) => {
            tags.get(&**key).is_some_and(|value| test.allows(value))
        }
        Expr::Compare(_) => false,
    }
}

/// What has to hold, each for itself.
fn conditions(expr: &Expr) -> &[Expr] {
    match expr {
        Expr::All(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

fn other_field(expr: &Expr) -> Option<&Field> {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().find_map(other_field),
        Expr::Compare(comparison) => match &comparison.field {
            Field::Id | Field::Tag(_) => None,
            field => Some(field),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_operators_say_of_a_device_is_a_scope() {
        for good in ["id==till-*", "tag.region==west", "(tag.a==1 or id==x) and tag.b!=*"] {
            Scope::parse(good).unwrap();
        }
        for bad in ["version<2.0.0", "tag.a==1 and status==online", "name==x", "location==here"] {
            let error = Scope::parse(bad).unwrap_err().to_string();
            assert!(error.contains("a scope is over `id` and `tag.*`"), "{error}");
        }
        Scope::parse("tag.region=").unwrap_err();
    }

    #[test]
    fn what_it_covers_is_seen_from_the_words() {
        let covers = |scope: &str, select: &str| {
            Scope::parse(scope).unwrap().covers(Some(&Selector::parse(select).unwrap()))
        };
        assert!(covers("tag.region==west", "tag.region==west"));
        assert!(covers("tag.region==west", "version<2.0.0 and tag.region==west"));
        assert!(covers("tag.a==1 and tag.b==2", "tag.b==2 and tag.a==1 and id==x"));
        assert!(covers("tag.a==1 or tag.a==2", "(tag.a==1 or tag.a==2) and id==x"));
        assert!(!covers("tag.region==west", "tag.region==west or id==x"));
        assert!(!covers("tag.region==west", "tag.region==east"));
        assert!(!covers("tag.a==1 and tag.b==2", "tag.a==1"));
        assert!(!Scope::parse("tag.a==1").unwrap().covers(None));
    }

    #[test]
    fn tags_hold_it_whatever_the_device_says_besides() {
        let holds = |scope: &str| {
            let tags = [("region", "west"), ("ring", "1")];
            let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
            Scope::parse(scope).unwrap().holds_by_tags(&tags.into())
        };
        for yes in [
            "tag.region==west",
            "tag.region==w*",
            "tag.region==* and tag.ring!=2",
            "id==x or tag.ring==1",
        ] {
            assert!(holds(yes), "{yes}");
        }
        // The device may choose its id, and tags that the token does not name.
        for no in ["tag.region==east", "id==x", "id!=x", "tag.other!=1", "tag.other!=*"] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn what_is_narrowed_is_covered() {
        let scope = Scope::parse("tag.a==1 or tag.b==2").unwrap();
        let select = Selector::parse("id==x or id==y").unwrap();
        assert!(scope.covers(Some(&scope.narrow(Some(select)))));
        assert!(scope.covers(Some(&scope.narrow(None))));
        let written = scope.narrow(None).to_string();
        assert!(scope.covers(Some(&Selector::parse(&written).unwrap())));
    }
}
