//! Whether the clock on a device's wall shows a time at which it may be touched.
//!
//! Judges one instant by its civil time, minute by minute as people read it. What the clock shows a
//! second time is in a window only if that was never left since the first time.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
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
    let now = Timestamp::from_millisecond(now.as_millis()).ok()?;
    let wall = zone.to_datetime(now);
    let hours = &schedule.hours;
    if let Some(freeze) = hours.freezes.iter().find(|freeze| is_frozen(freeze, wall)) {
        return Some(format!("at {wall} on its wall, in the freeze {freeze}"));
    }
    let is_on = |window: &Window| is_in(*window, zone, now);
    let is_in_window = hours.windows.is_empty() || hours.windows.iter().any(is_on);
    (!is_in_window).then(|| format!("at {wall} on its wall, outside of its windows"))
}

/// When the first time at which a device of this zone may be touched, from then on, is over: looked
/// for minute by minute, and for no longer than so many.
pub(super) fn first_end(
    schedule: &Schedule,
    zone: &TimeZone,
    from: Time,
    minutes_max: u32,
) -> Option<Time> {
    let next = |at: Time| Time::from_millis((at.as_millis() / 60_000 + 1) * 60_000);
    let mut minutes =
        std::iter::successors(Some(from), |at| Some(next(*at))).take(minutes_max as usize);
    minutes.find(|at| closed(schedule, zone, *at).is_none())?;
    minutes.find(|at| closed(schedule, zone, *at).is_some())
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

fn is_in(window: Window, zone: &TimeZone, now: Timestamp) -> bool {
    let wall = zone.to_datetime(now);
    let Some(date) = date_of(window, wall) else { return false };
    let offset = zone.to_ambiguous_timestamp(wall).offset();
    let AmbiguousOffset::Fold { before, after } = offset else { return true };
    if zone.to_offset(now) != after {
        return true;
    }
    let mut at = now - (before.seconds() - after.seconds()).seconds();
    while at < now {
        if date_of(window, zone.to_datetime(at)) != Some(date) {
            return false;
        }
        at += 1.minute();
    }
    true
}

/// The date on which the window began in which this clock stands; none if it is in none.
fn date_of(window: Window, wall: DateTime) -> Option<Date> {
    let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
    let (from, to) = (window.from().minutes(), window.to().minutes());
    let is_today = window.days().contains(wall.weekday());
    let is_of_yesterday = window.days().contains(wall.weekday().previous());
    match from < to {
        true => (is_today && (from..to).contains(&minute)).then_some(wall.date()),
        false if is_today && minute >= from => Some(wall.date()),
        false if is_of_yesterday && minute < to => wall.date().yesterday().ok(),
        false => None,
    }
}
