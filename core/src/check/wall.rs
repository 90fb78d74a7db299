//! Whether the clock on a device's wall shows a time at which it may be touched.
//!
//! Judges one instant by its civil time, minute by minute as people read it. The rule that a
//! window comes once on a date is not looked at: an hour that is repeated counts twice here, which
//! is more lenient and never a false alarm.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::{
    hours::{Edge, Freeze, Window, Zone},
    rollout::{Schedule, ZoneRule},
    time::Time,
};

/// The zone by whose clock a device of `device_zone` is judged.
pub(super) fn zone(schedule: &Schedule, device_zone: Option<&str>) -> TimeZone {
    let look_up = |name: &str| TimeZoneDatabase::bundled().get(name).ok();
    let named = |zone: &Zone| look_up(zone.name()).unwrap_or(TimeZone::UTC);
    match &schedule.zone {
        ZoneRule::Fixed(zone) => named(zone),
        ZoneRule::Device { otherwise } => device_zone
            .filter(|name| !name.eq_ignore_ascii_case("Etc/Unknown"))
            .and_then(look_up)
            .unwrap_or_else(|| named(otherwise)),
    }
}

/// Why a device of this zone may not be touched now; none if it may.
pub(super) fn closed(schedule: &Schedule, zone: &TimeZone, now: Time) -> Option<String> {
    let wall = Timestamp::from_millisecond(now.as_millis()).ok()?.to_zoned(zone.clone()).datetime();
    let hours = &schedule.hours;
    if let Some(freeze) = hours.freezes.iter().find(|freeze| is_frozen(freeze, wall)) {
        return Some(format!("at {wall} on its wall, in the freeze {freeze}"));
    }
    let is_in_window = hours.windows.is_empty() || hours.windows.iter().any(|w| is_in(*w, wall));
    (!is_in_window).then(|| format!("at {wall} on its wall, outside of its windows"))
}

fn is_frozen(freeze: &Freeze, wall: DateTime) -> bool {
    let has_begun = match freeze.from() {
        Edge::Date(date) => wall.date() >= date,
        Edge::Minute(at) => wall >= at,
    };
    let has_ended = match freeze.to() {
        Edge::Date(date) => wall.date() > date,
        Edge::Minute(at) => wall >= at,
    };
    has_begun && !has_ended
}

fn is_in(window: Window, wall: DateTime) -> bool {
    let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
    let (from, to) = (window.from().minutes(), window.to().minutes());
    let today = window.days().contains(wall.weekday());
    let yesterday = window.days().contains(wall.weekday().previous());
    if from < to {
        today && (from..to).contains(&minute)
    } else {
        today && minute >= from || yesterday && minute < to
    }
}
