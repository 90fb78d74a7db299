//! The search for the next change of hours.
//!
//! Owns the walk from window to window and freeze to freeze. It goes by whole occurrences and
//! whole freezes, never by minutes, and looks no further than the horizon.

use std::ops::Range;

use super::{
    Freeze, HORIZON, Hours, Zone,
    wall::{DAY_MILLIS, OFFSET_MILLIS_MAX, Wall},
};
use crate::time::Time;

/// The first instant jiff can name, and the last one from which the horizon can still be named:
/// beyond them times count as these.
const INSTANTS: Range<i64> = -377_705_023_201_000..253_300_000_000_000;

/// A search that begins at one instant.
pub(super) struct Sweep<'a> {
    hours: &'a Hours,
    wall: Wall<'a>,
    asked: Time,
    now: i64,
    horizon: i64,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(hours: &'a Hours, zone: &'a Zone, asked: Time) -> Self {
        let now = asked.as_millis().clamp(INSTANTS.start, INSTANTS.end);
        let horizon = now + HORIZON.as_millis() as i64;
        Self { hours, wall: Wall::new(zone, now, horizon), asked, now, horizon }
    }

    /// The first freeze in the list that holds now.
    pub(super) fn frozen_by(&mut self) -> Option<usize> {
        if bites!(FreezeForgotten) {
            return None;
        }
        let local = self.wall.local(self.now);
        self.hours.freezes.iter().position(|freeze| freeze.local().contains(&local))
    }

    /// Whether a window is open now, or none is needed.
    pub(super) fn is_in_window(&mut self) -> bool {
        self.hours.windows.is_empty() || self.windows_end(self.now).is_some()
    }

    /// When it closes; asked when it is open now.
    pub(super) fn closing(&mut self) -> Option<Time> {
        let bound = self.freeze_start().unwrap_or(self.horizon);
        let closing = if self.hours.windows.is_empty() { bound } else { self.union_end(bound) };
        self.named(closing)
    }

    /// When it opens; asked when it is closed now.
    pub(super) fn opening(&mut self) -> Option<Time> {
        let mut at = self.now;
        while at < self.horizon {
            if let Some(end) = self.freezes_end(at) {
                at = end;
            } else if self.hours.windows.is_empty() || self.windows_end(at).is_some() {
                return self.named(at);
            } else {
                at = self.window_start(at)?;
            }
        }
        None
    }

    /// A change as the answer names it: in the future, and not beyond the horizon.
    fn named(&self, instant: i64) -> Option<Time> {
        let time = Time::from_millis(instant);
        (instant < self.horizon && time > self.asked).then_some(time)
    }

    /// The latest end of the freezes that hold at an instant, each by its present run.
    fn freezes_end(&mut self, at: i64) -> Option<i64> {
        let local = self.wall.local(at);
        let holding = self.hours.freezes.iter().map(Freeze::local);
        holding
            .filter(|range| range.contains(&local))
            .filter_map(|range| self.wall.first_run(&range, at))
            .map(|run| run.end)
            .max()
    }

    /// When the next freeze begins; asked when none holds now.
    fn freeze_start(&mut self) -> Option<i64> {
        let mut earliest = None;
        for freeze in &self.hours.freezes {
            let local = freeze.local();
            let bound = earliest.unwrap_or(self.horizon);
            if local.end + OFFSET_MILLIS_MAX <= self.now || local.start - OFFSET_MILLIS_MAX >= bound
            {
                continue;
            }
            if let Some(run) = self.wall.first_run(&local, self.now) {
                earliest = Some(run.start.min(bound));
            }
        }
        earliest
    }

    /// The latest end of the windows that are open at an instant.
    fn windows_end(&mut self, at: i64) -> Option<i64> {
        let local = self.wall.local(at);
        let today = local.div_euclid(DAY_MILLIS);
        let mut latest = None;
        // What is open now began on this local date or, over midnight, on the one before.
        for day in [today - 1, today] {
            for window in &self.hours.windows {
                let Some(range) = window.on(day).filter(|range| range.contains(&local)) else {
                    continue;
                };
                let pieces = self.wall.pieces(&range);
                let end = pieces.iter().find(|piece| piece.contains(&at)).map(|piece| piece.end);
                latest = latest.max(end);
            }
        }
        latest
    }

    /// The end of the windows open now and of all that follow without a gap, or `bound` if that
    /// comes first.
    fn union_end(&mut self, bound: i64) -> i64 {
        let mut end = self.now;
        while end < bound
            && let Some(next) = self.windows_end(end)
        {
            end = next;
            let span = self.wall.span(end);
            // A week without a gap and without a change: windows leave no gap in any week until
            // the clock is changed, for only what comes within a day of a change is ever cut.
            if end >= span.from.max(self.now) + 7 * DAY_MILLIS {
                end = end.max(span.until.min(bound));
            }
        }
        end.min(bound)
    }

    /// When the next window opens; asked when none is open at this instant.
    fn window_start(&mut self, after: i64) -> Option<i64> {
        // A clock set back may show a date that began before: two days cover any change.
        let mut day = self.wall.local(after).div_euclid(DAY_MILLIS) - 2;
        let mut earliest: Option<i64> = None;
        // No later date can begin earlier than this one might.
        while day * DAY_MILLIS - OFFSET_MILLIS_MAX < earliest.unwrap_or(self.horizon) {
            for window in &self.hours.windows {
                let Some(range) = window.on(day) else { continue };
                let pieces = self.wall.pieces(&range);
                let start = pieces.iter().map(|piece| piece.start).find(|start| *start > after);
                earliest = earliest.into_iter().chain(start).min();
            }
            day += 1;
        }
        earliest
    }
}
