//! Expressions that choose devices, in the RSQL notation that fleet operators know.
//!
//! Owns the notation, its canonical text and its meaning in memory. Knows no database: a store
//! compiles [`Expr`] to a query with the same meaning. Types to read first: [`Selector`], [`Test`].
//!
//! The meaning, in short (docs/selector.md has it at length):
//! - Texts compare byte by byte, upper and lower case differ. Only versions and times have an
//!   order of their own ([`crate::version`], [`crate::moment`]).
//! - A value that a device does not have makes `!=` and `=out=` true and everything else false, so
//!   `x!=y` is always the opposite of `x==y`.

mod error;
mod eval;
mod expr;
mod parse;
mod pattern;
mod text;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::{
    error::SelectorError,
    expr::{Comparison, Expr, Field, Order, Test, Value},
    pattern::Pattern,
};
use crate::{device::Device, time::Time};

/// Longest expression, in bytes, as given and in its canonical form: far beyond what people write,
/// short enough to be stored with every rollout.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// Deepest nesting of parentheses: bounds the stack of whoever walks an expression.
pub const DEPTH_MAX: usize = 32;

/// Most comparisons in one expression, each value of a list counted: bounds the work per device
/// and the parameters of a query.
pub const COMPARISONS_MAX: usize = 256;

/// An expression that was read and found sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    expr: Expr,
}

impl Selector {
    /// Reads an expression such as `tag.region==northeast and version<2.2.0`.
    ///
    /// # Errors
    /// [`SelectorError`] shows the place, what was expected there and what was probably meant.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let selector = Self { expr: parse::parse(text)? };
        let bytes = selector.to_string().len();
        if bytes > TEXT_BYTES_MAX {
            return Err(SelectorError::canonical_too_long(text, bytes));
        }
        Ok(selector)
    }

    /// What chooses the devices whose tag of this key is this value, or that have none.
    pub fn of_tag(key: &str, value: Option<&str>) -> Self {
        let test = match value {
            Some(value) => Test::In(vec![Value::Text(value.into())]),
            None => Test::Absent,
        };
        Self { expr: Expr::Compare(Comparison { field: Field::Tag(key.into()), test }) }
    }

    /// Whether it chooses this device, when it is `now`.
    pub fn matches(&self, device: &Device, now: Time) -> bool {
        eval::matches(&self.expr, device, now)
    }

    /// What this one and another both choose. It need not be as short as one that is read.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { expr: Expr::all(vec![self.expr, other.expr]) }
    }

    /// What this one or another chooses. It need not be as short as one that is read.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { expr: Expr::any(vec![self.expr, other.expr]) }
    }

    /// What was read, for whoever translates it.
    pub const fn expr(&self) -> &Expr {
        &self.expr
    }

    /// The tag keys it asks about, so that a caller can say which of them no device has.
    pub fn tag_keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        self.expr.visit(&mut |comparison| {
            if let Field::Tag(key) = &comparison.field {
                keys.insert(&**key);
            }
        });
        keys
    }

    /// Whether the devices it chooses depend on the present time.
    pub fn depends_on_now(&self) -> bool {
        let mut found = false;
        self.expr.visit(&mut |comparison| found |= comparison.depends_on_now());
        found
    }
}

impl Field {
    /// Reads a field that stands alone, such as `tag.region`, by the rules that it has in an
    /// expression.
    ///
    /// # Errors
    /// [`SelectorError`] as for an expression.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse_field(text)
    }
}

impl fmt::Display for Selector {
    /// The canonical text: reads back as an equal selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_expr(f, &self.expr)
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
