//! What an expression says, once it was read.

use crate::{moment::Moment, selector::Pattern, version::VersionKey};

/// A condition on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// All of these; at least two, none of them an `All`.
    All(Vec<Expr>),
    /// Any of these; at least two, none of them an `Any`.
    Any(Vec<Expr>),
    /// A single comparison.
    Compare(Comparison),
}

impl Expr {
    /// All of `parts`, flattened.
    pub(super) fn all(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::All, |part| match part {
            Self::All(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// Any of `parts`, flattened.
    pub(super) fn any(parts: Vec<Self>) -> Self {
        Self::join(parts, Self::Any, |part| match part {
            Self::Any(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn join(
        mut parts: Vec<Self>,
        make: fn(Vec<Self>) -> Self,
        open: fn(Self) -> Result<Vec<Self>, Self>,
    ) -> Self {
        if parts.len() == 1 {
            return parts.swap_remove(0);
        }
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match open(part) {
                Ok(inner) => flat.extend(inner),
                Err(part) => flat.push(part),
            }
        }
        make(flat)
    }

    /// Shows every comparison to `see`, from left to right.
    pub(super) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Comparison)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit(see)),
            Self::Compare(comparison) => see(comparison),
        }
    }
}

/// A field and what is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The field.
    pub field: Field,
    /// What is asked.
    pub test: Test,
}

impl Comparison {
    /// Whether the answer changes with the present time alone.
    pub(super) fn depends_on_now(&self) -> bool {
        self.field == Field::Status || self.test.has_age()
    }
}

/// A value of a device that can be asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `id`
    Id,
    /// `name`
    Name,
    /// `version`
    Version,
    /// `location`
    Location,
    /// `status`: the word for its [`crate::presence::Presence`]
    Status,
    /// `time_zone`
    TimeZone,
    /// `last_seen`
    LastSeen,
    /// `address`, in its normalized form
    Address,
    /// `tag.<key>`
    Tag(Box<str>),
}

impl Field {
    /// The fields with a fixed name.
    pub(super) const NAMED: [(&'static str, Self); 8] = [
        ("id", Self::Id),
        ("name", Self::Name),
        ("version", Self::Version),
        ("location", Self::Location),
        ("status", Self::Status),
        ("time_zone", Self::TimeZone),
        ("last_seen", Self::LastSeen),
        ("address", Self::Address),
    ];
}

/// What is asked about a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `==*`: there is a value.
    Present,
    /// `!=*`: there is none.
    Absent,
    /// `==` or `=in=`: there is a value and it is one of these.
    In(Vec<Value>),
    /// `!=` or `=out=`: there is none, or it is none of these.
    Out(Vec<Value>),
    /// `==` with a wildcard: there is a value and it fits.
    Like(Pattern),
    /// `!=` with a wildcard: there is none, or it does not fit.
    Unlike(Pattern),
    /// There is a value and it stands in this order to the one given.
    Order(Order, Value),
}

impl Test {
    /// Whether an age, counted back from the present time, is part of it.
    fn has_age(&self) -> bool {
        let values = match self {
            Self::In(values) | Self::Out(values) => values.as_slice(),
            Self::Order(_, value) => std::slice::from_ref(value),
            Self::Present | Self::Absent | Self::Like(_) | Self::Unlike(_) => &[],
        };
        values.iter().any(|value| matches!(value, Value::Moment(Moment::Ago(_))))
    }
}

/// One of the four orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `<` or `=lt=`
    Less,
    /// `<=` or `=le=`
    LessOrEqual,
    /// `>` or `=gt=`
    Greater,
    /// `>=` or `=ge=`
    GreaterOrEqual,
}

impl Order {
    /// Whether a value that compares so to the one given is chosen.
    pub const fn allows(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// A value that was written in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Compared byte by byte: every field but `last_seen`, and `version` by `==`, `!=`, `=in=` and
    /// `=out=`. An address is normalized if it is a whole one; of `status`, it is one of
    /// [`crate::presence::Presence::WORDS`].
    Text(Box<str>),
    /// The `version` field by an order.
    Version {
        /// As written.
        text: Box<str>,
        /// What is compared.
        key: VersionKey,
    },
    /// The `last_seen` field.
    Moment(Moment),
}
