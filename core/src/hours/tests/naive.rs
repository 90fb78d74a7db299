//! Hours as a stopwatch would find them: minute by minute, from nothing but what jiff says that
//! the clock on the wall shows.

use std::collections::{BTreeSet, HashMap};

use jiff::{
    Timestamp,
    civil::Weekday,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::{hours::*, time::Time};

pub(super) const DAY_MINUTES: i64 = 24 * 60;

/// A window as numbers: the weekdays it begins on, and minutes of the day.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) days: Vec<Weekday>,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Plain {
    pub(super) fn daily(from: i64, to: i64) -> Self {
        let days = Weekday::Monday.cycle_forward().take(7).collect();
        Self { days, from, to }
    }

    pub(super) fn real(&self) -> Window {
        let time = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let days: Vec<String> = self.days.iter().map(|day| format!("{day:?}")).collect();
        format!("{} {}-{}", days.join(","), time(self.from), time(self.to)).parse().unwrap()
    }

    fn shows(&self, begins: i64, minute: &Minute) -> bool {
        let next_day = minute.day == begins + 1;
        let from_on = minute.day == begins && minute.of_day >= self.from;
        if self.to > self.from {
            from_on && minute.of_day < self.to
        } else {
            from_on || next_day && minute.of_day < self.to
        }
    }
}

/// A freeze as two pairs of a day and a minute of it; the last one is not frozen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frozen(pub(super) (i64, i64), pub(super) (i64, i64));

impl Frozen {
    fn real(&self) -> Freeze {
        let edge = |(day, of_day): (i64, i64)| {
            let date = jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day);
            format!("{date}T{:02}:{:02}", of_day / 60, of_day % 60)
        };
        format!("{}..{}", edge(self.0), edge(self.1)).parse().unwrap()
    }
}

/// Hours, and what they ought to be in every minute of a film.
pub(super) struct Case {
    hours: Hours,
    open: Vec<bool>,
    frozen: Vec<bool>,
}

/// What the clock shows in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Minute {
    /// Days since some date.
    pub(super) day: i64,
    pub(super) of_day: i64,
    pub(super) weekday: Weekday,
}

/// Days before the time that is compared, so that windows which began earlier are known.
const BEFORE_MINUTES: i64 = 36 * 60;

/// The minutes around one change of the clock.
pub(super) struct Film {
    pub(super) zone: Zone,
    /// The minute of the change, since 1970.
    pub(super) change: i64,
    /// The first minute of the film, since 1970.
    pub(super) first: i64,
    pub(super) minutes: Vec<Minute>,
    /// For each minute where the clock showed the same for the first time, if it did before.
    shown_before: Vec<Option<usize>>,
}

impl Film {
    /// A day before and after the change can be compared.
    pub(super) fn shoot(name: &str, change: i64) -> Self {
        let rules = TimeZoneDatabase::bundled().get(name).unwrap();
        Self::of(Zone::parse(name).unwrap(), &rules, change)
    }

    /// The same of a zone and what jiff calls it.
    pub(super) fn of(zone: Zone, rules: &TimeZone, change: i64) -> Self {
        let first = change - DAY_MINUTES - BEFORE_MINUTES;
        let minutes: Vec<_> = (first..change + DAY_MINUTES).map(|at| minute(rules, at)).collect();
        let mut seen = HashMap::new();
        let first_shown = |(at, minute): (usize, &Minute)| {
            let first_at = *seen.entry((minute.day, minute.of_day)).or_insert(at);
            (first_at < at).then_some(first_at)
        };
        let shown_before = minutes.iter().enumerate().map(first_shown).collect();
        Self { zone, change, first, minutes, shown_before }
    }

    /// What the clock shows from the minute of the change on, and what it would have shown.
    pub(super) fn shown_at_change(&self) -> (Minute, i64) {
        let at = (self.change - self.first) as usize;
        (self.minutes[at], self.minutes[at - 1].of_day + 1)
    }

    /// Hours, and what they ought to be in every minute.
    pub(super) fn case(&self, windows: &[Plain], freeze: Option<Frozen>) -> Case {
        let is_frozen = |minute: &Minute| {
            freeze.is_some_and(|Frozen(from, to)| {
                let shown = (minute.day, minute.of_day);
                from <= shown && shown < to
            })
        };
        let frozen: Vec<bool> = self.minutes.iter().map(is_frozen).collect();
        let mut open = self.in_windows(windows);
        for (open, frozen) in open.iter_mut().zip(&frozen) {
            *open &= !frozen;
        }
        let hours = Hours {
            windows: windows.iter().map(Plain::real).collect(),
            freezes: freeze.iter().map(Frozen::real).collect(),
        };
        Case { hours, open, frozen }
    }

    /// For each minute whether a window is open.
    fn in_windows(&self, windows: &[Plain]) -> Vec<bool> {
        let mut open = vec![windows.is_empty(); self.minutes.len()];
        for window in windows {
            for (at, minute) in self.minutes.iter().enumerate() {
                for ago in [1, 0] {
                    let begins = minute.day - ago;
                    // What was shown since the clock showed the same is all that it repeats.
                    let holds_all_since = |first: usize| {
                        self.minutes[first..at].iter().all(|minute| window.shows(begins, minute))
                    };
                    open[at] |= window.shows(begins, minute)
                        && window.days.contains(&minute.weekday.wrapping_sub(ago))
                        && self.shown_before[at].is_none_or(holds_all_since);
                }
            }
        }
        open
    }

    /// Compares every minute of the two days around the change, and each time that is named.
    /// Asks every `stride` minutes, besides whenever something changes.
    pub(super) fn compare(&self, case: &Case, stride: usize) {
        let Case { hours, open, frozen } = case;
        let end = self.minutes.len();
        let mut at = BEFORE_MINUTES as usize;
        while at < end {
            let phase = hours.at(&self.zone, self.time(at));
            let context = || format!("{:?}, {hours:?}, {}: {phase:?}", self.zone, self.time(at));
            let changes = phase.changes_at().map_or(end, |time| self.index(time)).min(end);
            let wrong = open[at..changes].iter().position(|open| *open != phase.is_open());
            assert_eq!(wrong.map(|minute| self.time(at + minute)), None, "{}", context());
            if let Phase::Closed { by, .. } = phase {
                let wanted = if frozen[at] { ClosedBy::Freeze(0) } else { ClosedBy::Window };
                assert_eq!(by, wanted, "{}", context());
            }
            if changes < end {
                assert_ne!(open[changes], phase.is_open(), "{}", context());
                let before = Time::from_millis(self.time(changes).as_millis() - 1);
                let just_before = hours.at(&self.zone, before);
                assert_eq!(just_before.changes_at(), phase.changes_at(), "{}", context());
                assert_eq!(just_before.is_open(), phase.is_open(), "{}", context());
            }
            at = changes.min(at + stride);
        }
    }

    fn time(&self, index: usize) -> Time {
        Time::from_millis((self.first + index as i64) * 60_000)
    }

    /// Every change of hours is at a full minute, for every change of a clock is.
    fn index(&self, time: Time) -> usize {
        assert_eq!(time.as_millis() % 60_000, 0, "{time}");
        (time.as_millis() / 60_000 - self.first) as usize
    }
}

pub(super) fn minute(rules: &TimeZone, at: i64) -> Minute {
    let shown = rules.to_datetime(Timestamp::from_second(at * 60).unwrap());
    let epoch = jiff::civil::date(1970, 1, 1);
    Minute {
        day: shown.date().duration_since(epoch).as_secs() / 86_400,
        of_day: i64::from(shown.hour()) * 60 + i64::from(shown.minute()),
        weekday: shown.weekday(),
    }
}

/// Every zone of the database.
pub(super) fn zone_names() -> BTreeSet<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
}

/// The minutes (since 1970) at which a zone's clock is changed in the years from..to: found by
/// looking at it once a day, and halving the days on which it is not what it was.
pub(super) fn changes(name: &str, from: i64, to: i64) -> Vec<i64> {
    let rules = TimeZoneDatabase::bundled().get(name).unwrap();
    let ahead = |at: i64| {
        let minute = minute(&rules, at);
        minute.day * DAY_MINUTES + minute.of_day - at
    };
    let new_year = |year: i64| (year - 1970) * 1_461 / 4 * DAY_MINUTES;
    let mut changes = vec![];
    let mut day = (new_year(from), ahead(new_year(from)));
    while day.0 < new_year(to) {
        let next = (day.0 + DAY_MINUTES, ahead(day.0 + DAY_MINUTES));
        if next.1 != day.1 {
            let (mut before, mut after) = (day.0, next.0);
            while after - before > 1 {
                let middle = i64::midpoint(before, after);
                *if ahead(middle) == day.1 { &mut before } else { &mut after } = middle;
            }
            changes.push(after);
        }
        day = next;
    }
    changes
}
