//! A comparison: what a value has to be.

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

use super::Value;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Equal.
    #[serde(rename = "==")]
    Eq,
    /// Not equal, and of the same type.
    #[serde(rename = "!=")]
    Ne,
    /// Less.
    #[serde(rename = "<")]
    Lt,
    /// Less or equal.
    #[serde(rename = "<=")]
    Le,
    /// More.
    #[serde(rename = ">")]
    Gt,
    /// More or equal.
    #[serde(rename = ">=")]
    Ge,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// Whether it asks for an order.
    pub const fn is_of_order(self) -> bool {
        !matches!(self, Self::Eq | Self::Ne)
    }

    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    op: Op,
    value: Value,
}

/// A comparison that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only numbers have an order; compare a text, true and false with == or !=")]
pub struct TestError;

impl Test {
    /// A comparison with a value.
    ///
    /// # Errors
    /// [`TestError`] if an order is asked of what has none.
    pub fn new(op: Op, value: Value) -> Result<Self, TestError> {
        let is_number = matches!(value, Value::Number(_));
        if is_number || !op.is_of_order() { Ok(Self { op, value }) } else { Err(TestError) }
    }

    /// How it is compared.
    pub const fn op(&self) -> Op {
        self.op
    }

    /// With what.
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// Whether it is numbers that are compared.
    pub const fn is_of_number(&self) -> bool {
        matches!(self.value, Value::Number(_))
    }

    /// Whether a value is what it has to be; none if it is of another type, which is neither equal
    /// nor unequal.
    pub fn holds(&self, is: &Value) -> Option<bool> {
        let order = match (is, &self.value) {
            (Value::Number(is), Value::Number(than)) => is.cmp(than),
            // A spec that was changed by hand may ask for their order: nothing follows from it.
            _ if self.op.is_of_order() => return None,
            (Value::Text(is), Value::Text(than)) => is.cmp(than),
            (Value::Bool(is), Value::Bool(than)) => is.cmp(than),
            _ => return None,
        };
        Some(self.op.holds(order))
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op.as_str(), self.value)
    }
}
