//! Whether the times of a rollout leave any in which something can be begun.
//!
//! Owns the question that is asked when a rollout is written down and again when it is started. The
//! answer is doubtful in favor of the rollout: what some device somewhere might still be begun in
//! is enough. Type to read first: [`Never`].

use std::time::Duration;

use super::{Deadline, Schedule, Spec, ZoneRule};
use crate::{
    hours::{HORIZON, Zone},
    time::Time,
};

/// No place is further behind UTC than this.
const BEHIND_MAX: Duration = Duration::from_hours(12);

/// No place is further ahead of UTC than this.
const AHEAD_MAX: Duration = Duration::from_hours(14);

/// Why nothing can ever be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {
    /// The deadline is a time that has passed.
    Passed,
    /// No window opens before the deadline, or ever.
    NoWindow,
    /// The freezes hold until the deadline, or forever.
    Frozen,
    /// The freezes hold whenever a window would open before the deadline, or ever.
    FrozenWindows,
}

impl Never {
    /// The field that is to be changed, and what is wrong with it.
    pub const fn field(self, has_deadline: bool) -> (&'static str, &'static str) {
        match (self, has_deadline) {
            (Self::Passed, _) => {
                ("deadline", "has passed: nothing would ever be sent; write a later one")
            }
            (Self::NoWindow, true) => (
                "windows",
                "none opens before the deadline: nothing would ever be sent; write a later \
                 deadline, or other windows",
            ),
            (Self::NoWindow, false) => {
                ("windows", "none ever opens: nothing would ever be sent; write other windows")
            }
            (Self::Frozen, true) => (
                "freezes",
                "hold all the time until the deadline: nothing would ever be sent; write a later \
                 deadline, or shorter freezes",
            ),
            (Self::Frozen, false) => (
                "freezes",
                "hold for two years and longer: nothing would ever be sent; write shorter ones",
            ),
            (Self::FrozenWindows, true) => (
                "windows",
                "none opens outside of the freezes before the deadline: nothing would ever be \
                 sent; write a later deadline, other windows or shorter freezes",
            ),
            (Self::FrozenWindows, false) => (
                "windows",
                "none opens outside of the freezes: nothing would ever be sent; write other \
                 windows or shorter freezes",
            ),
        }
    }
}

/// The times of a rollout.
#[derive(Clone, Copy, Debug)]
pub struct Times<'a> {
    /// Nothing happens before.
    pub start_at: Option<Time>,
    /// Nothing is begun afterwards.
    pub deadline: Option<Deadline>,
    /// Windows and freezes.
    pub schedule: &'a Schedule,
}

impl Spec {
    /// When it may do something.
    pub const fn times(&self) -> Times<'_> {
        Times { start_at: self.start_at, deadline: self.deadline, schedule: &self.schedule }
    }
}

impl Times<'_> {
    /// Why nothing can ever be begun, if the rollout is started now or later.
    pub fn never(&self, now: Time) -> Option<Never> {
        // A deadline that counts from the start moves with it.
        self.never_before(now, self.deadline.filter(|deadline| matches!(deadline, Deadline::At(_))))
    }

    /// Why nothing can ever be begun, if the rollout is started now.
    pub fn never_if_started(&self, now: Time) -> Option<Never> {
        self.never_before(now, self.deadline)
    }

    fn never_before(&self, now: Time, deadline: Option<Deadline>) -> Option<Never> {
        let begins_at = self.start_at.map_or(now, |at| at.max(now));
        let ends_at = deadline.map(|deadline| deadline.resolve(begins_at));
        if matches!(deadline, Some(Deadline::At(at)) if at <= now) {
            return Some(Never::Passed);
        }
        let hours = &self.schedule.hours;
        if hours.is_always_open() || self.opens(begins_at, ends_at) {
            return None;
        }
        Some(match (hours.windows.is_empty(), hours.freezes.is_empty()) {
            (true, _) => Never::Frozen,
            (false, true) => Never::NoWindow,
            (false, false) => Never::FrozenWindows,
        })
    }

    /// Whether a device may be touched in this time, wherever it may stand.
    fn opens(&self, begins_at: Time, ends_at: Option<Time>) -> bool {
        let ends_at = ends_at.unwrap_or(begins_at + HORIZON);
        let (zone, from, until) = match &self.schedule.zone {
            ZoneRule::Fixed(zone) => (zone.clone(), begins_at, ends_at),
            // All that a wall clock somewhere shows meanwhile is what one in UTC shows in this time.
            ZoneRule::Device { .. } => (Zone::utc(), begins_at - BEHIND_MAX, ends_at + AHEAD_MAX),
        };
        self.schedule.hours.next_opening(&zone, from).is_some_and(|opens_at| opens_at < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hours::Hours;

    /// The first millisecond of a day of December 2026, and so many hours.
    fn december(day: i64, hour: i64) -> Time {
        let first = 1_796_083_200_000;
        Time::from_millis(first + ((day - 1) * 24 + hour) * 3_600_000)
    }

    fn schedule(windows: &[&str], freezes: &[&str], zone: Option<&str>) -> Schedule {
        let windows = windows.iter().map(|window| window.parse().unwrap()).collect();
        let freezes = freezes.iter().map(|freeze| freeze.parse().unwrap()).collect();
        let zone = zone.map(|zone| ZoneRule::Fixed(zone.parse().unwrap())).unwrap_or_default();
        Schedule { hours: Hours::new(windows, freezes).unwrap(), zone, ..Schedule::default() }
    }

    #[test]
    fn what_leaves_no_time_is_found_and_nothing_else() {
        let now = december(10, 12);
        let (utc, freeze) = (Some("UTC"), &["2026-12-10..2026-12-20"]);
        let at = |day, hour| Some(Deadline::At(december(day, hour)));
        let after = |hours| Some(Deadline::After(Duration::from_hours(hours)));
        let night = &["02:00-04:00"];
        for (start_at, deadline, schedule, never, if_started) in [
            (None, None, schedule(&[], &[], None), None, None),
            (None, at(10, 12), schedule(&[], &[], None), Some(Never::Passed), Some(Never::Passed)),
            (None, at(11, 12), schedule(&[], &[], None), None, None),
            // Opens tonight.
            (
                None,
                at(11, 1),
                schedule(night, &[], utc),
                Some(Never::NoWindow),
                Some(Never::NoWindow),
            ),
            (None, at(11, 3), schedule(night, &[], utc), None, None),
            // Somewhere it is night.
            (None, at(11, 1), schedule(night, &[], None), None, None),
            // Counted from the start, which may be later.
            (None, after(6), schedule(night, &[], utc), None, Some(Never::NoWindow)),
            (Some(december(11, 3)), after(1), schedule(night, &[], utc), None, None),
            // Frozen.
            (
                None,
                at(20, 23),
                schedule(&[], freeze, utc),
                Some(Never::Frozen),
                Some(Never::Frozen),
            ),
            (None, at(21, 1), schedule(&[], freeze, utc), None, None),
            (None, at(20, 12), schedule(&[], freeze, None), None, None),
            (
                Some(december(12, 0)),
                at(18, 0),
                schedule(&[], freeze, None),
                Some(Never::Frozen),
                Some(Never::Frozen),
            ),
            (
                None,
                at(21, 1),
                schedule(night, freeze, utc),
                Some(Never::FrozenWindows),
                Some(Never::FrozenWindows),
            ),
            (
                None,
                None,
                schedule(&[], &["2026-12-01..2031-01-01"], None),
                Some(Never::Frozen),
                Some(Never::Frozen),
            ),
        ] {
            let times = Times { start_at, deadline, schedule: &schedule };
            assert_eq!(times.never(now), never, "{times:?}");
            assert_eq!(times.never_if_started(now), if_started, "{times:?}");
        }
    }
}
