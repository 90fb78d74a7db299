//! What an expression says about one device.

use std::cmp::Ordering;

use crate::{
    device::{Address, Device},
    selector::{Expr, Field, Test, Value},
    time::Time,
    version::VersionKey,
};

/// A value of a device.
#[derive(Clone, Copy)]
enum Actual<'a> {
    Text(&'a str),
    Time(Time),
}

pub(super) fn matches(expr: &Expr, device: &Device, now: Time) -> bool {
    match expr {
        Expr::All(parts) => parts.iter().all(|part| matches(part, device, now)),
        Expr::Any(parts) => parts.iter().any(|part| matches(part, device, now)),
        Expr::Compare(comparison) => {
            holds(&comparison.test, value_of(device, &comparison.field, now), now)
        }
    }
}

impl Test {
    /// Whether it holds for a field of this text; an order is that of texts, not of versions.
    pub fn allows(&self, text: &str) -> bool {
        holds(self, Some(Actual::Text(text)), Time::ZERO)
    }
}

fn value_of<'a>(device: &'a Device, field: &Field, now: Time) -> Option<Actual<'a>> {
    let text = match field {
        Field::Id => Some(&*device.id),
        Field::Name => Some(&*device.name),
        Field::Version => device.version.as_deref(),
        Field::Location => device.location.as_deref(),
        Field::Status => Some(device.presence(now).as_str()),
        Field::TimeZone => device.time_zone.as_deref(),
        Field::Address => device.address.as_ref().map(Address::as_str),
        Field::Tag(key) => device.tags.get(&**key).map(|value| &**value),
        Field::LastSeen => return device.last_seen.map(Actual::Time),
    };
    text.map(Actual::Text)
}

fn holds(asked: &Test, actual: Option<Actual<'_>>, now: Time) -> bool {
    let Some(actual) = actual else {
        return matches!(asked, Test::Absent | Test::Out(_) | Test::Unlike(_));
    };
    let is_one_of = |values: &[Value]| {
        values.iter().any(|value| compare(actual, value, now) == Some(Ordering::Equal))
    };
    match asked {
        Test::Present => true,
        Test::Absent => false,
        Test::In(values) => is_one_of(values),
        Test::Out(values) => !is_one_of(values),
        Test::Like(pattern) => matches!(actual, Actual::Text(given) if pattern.fits(given)),
        Test::Unlike(pattern) => !matches!(actual, Actual::Text(given) if pattern.fits(given)),
        Test::Order(order, value) => {
            compare(actual, value, now).is_some_and(|ordering| order.allows(ordering))
        }
    }
}

/// `None` if the two are of different kinds, which no expression that was read contains.
fn compare(actual: Actual<'_>, value: &Value, now: Time) -> Option<Ordering> {
    match (actual, value) {
        (Actual::Text(actual), Value::Text(text)) => Some(actual.cmp(text)),
        (Actual::Text(actual), Value::Version { key, .. }) => Some(VersionKey::of(actual).cmp(key)),
        (Actual::Time(actual), Value::Moment(moment)) => Some(actual.cmp(&moment.resolve(now))),
        _ => None,
    }
}
