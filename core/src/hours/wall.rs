//! A zone's wall clock as spans of constant offset.
//!
//! Owns the arithmetic between instants (UTC milliseconds) and what the wall clock shows (the same
//! milliseconds plus the offset). Knows neither windows nor freezes.

use std::ops::Range;

use jiff::{Timestamp, tz::TimeZoneFollowingTransitions};

use super::Zone;

pub(super) const MINUTE_MILLIS: i64 = 60_000;
pub(super) const DAY_MILLIS: i64 = 24 * 60 * MINUTE_MILLIS;

/// No offset is larger: a wall clock that shows a time at all does so within this of UTC.
pub(super) const OFFSET_MILLIS_MAX: i64 = 26 * 60 * MINUTE_MILLIS;

/// How far before the present the spans begin: beyond the start of any window that may matter (two
/// days before the local date, and two offsets).
const BEFORE_MILLIS: i64 = 6 * DAY_MILLIS;

/// A time during which the offset is constant; the last one known may end at a change that is
/// not looked at yet.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) offset: i64,
}

impl Span {
    /// The instants of this span at which the clock shows a time in this range; may be empty.
    fn showing(&self, local: &Range<i64>) -> Range<i64> {
        let start = (local.start - self.offset).max(self.from);
        let end = (local.end - self.offset).min(self.until);
        start..end
    }
}

/// The wall clock of a zone, from a little before an instant on.
pub(super) struct Wall<'z> {
    spans: Vec<Span>,
    /// The offset from the end of the last span on.
    next_offset: i64,
    changes: TimeZoneFollowingTransitions<'z>,
    /// Changes after this instant are not looked at.
    horizon: i64,
}

impl<'z> Wall<'z> {
    /// The clock from [`BEFORE_MILLIS`] before an instant to the horizon; beyond that it goes on
    /// as if it were never changed again.
    pub(super) fn new(zone: &'z Zone, instant: i64, horizon: i64) -> Self {
        let from = instant.saturating_sub(BEFORE_MILLIS);
        let timestamp = timestamp(from);
        let offset = i64::from(zone.rules().to_offset(timestamp).seconds()) * 1_000;
        let changes = zone.rules().following(timestamp);
        let spans = Vec::with_capacity(4);
        let mut wall = Self { spans, next_offset: offset, changes, horizon };
        wall.push(from);
        wall
    }

    /// Appends the span that begins at an instant.
    fn push(&mut self, from: i64) {
        let offset = self.next_offset;
        let change = if from < self.horizon { self.changes.next() } else { None };
        let until = change.map_or(i64::MAX, |change| {
            self.next_offset = i64::from(change.offset().seconds()) * 1_000;
            change.timestamp().as_millisecond()
        });
        self.spans.push(Span { from, until, offset });
    }

    /// Sees to it that the spans reach beyond an instant.
    fn reach(&mut self, instant: i64) {
        while let Some(last) = self.spans.last()
            && last.until <= instant
        {
            self.push(last.until);
        }
    }

    /// The span an instant lies in.
    pub(super) fn span(&mut self, instant: i64) -> Span {
        self.reach(instant);
        let at = self.spans.partition_point(|span| span.until <= instant);
        self.spans[at.min(self.spans.len() - 1)]
    }

    /// What the clock shows at an instant.
    pub(super) fn local(&mut self, instant: i64) -> i64 {
        instant + self.span(instant).offset
    }

    /// The first unbroken run of instants at which the clock shows a time in this range, of those
    /// at or after `earliest`.
    pub(super) fn first_run(&mut self, local: &Range<i64>, earliest: i64) -> Option<Range<i64>> {
        self.reach(local.end + OFFSET_MILLIS_MAX);
        let mut run: Option<Range<i64>> = None;
        for span in &self.spans {
            let mut showing = span.showing(local);
            showing.start = showing.start.max(earliest);
            let is_empty = showing.start >= showing.end;
            match &mut run {
                Some(run) if !is_empty && run.end == showing.start => run.end = showing.end,
                Some(_) => break,
                None if !is_empty => run = Some(showing),
                None => {}
            }
        }
        run
    }

    /// The instants at which the clock shows a time in this range that counts, in order: each
    /// reading counts once, when it is first shown. It counts again only within the same unbroken
    /// run, which is so if the range holds all that the clock repeats.
    pub(super) fn pieces(&mut self, local: &Range<i64>) -> Vec<Range<i64>> {
        self.reach(local.end + OFFSET_MILLIS_MAX);
        let mut pieces = vec![];
        let mut shown: Vec<Range<i64>> = vec![];
        // How many of the readings shown belong to runs that are over, and when this one is.
        let mut over = 0;
        let mut run_end = i64::MIN;
        for span in &self.spans {
            let showing = span.showing(local);
            if showing.is_empty() {
                continue;
            }
            if showing.start != run_end && !bites!(DstHourTwice) {
                over = shown.len();
            }
            run_end = showing.end;
            let readings = showing.start + span.offset..showing.end + span.offset;
            for fresh in without(&readings, &shown[..over]) {
                append(&mut pieces, fresh.start - span.offset..fresh.end - span.offset);
            }
            shown.push(readings);
        }
        pieces
    }
}

/// What is left of a range without others, in order.
fn without(range: &Range<i64>, others: &[Range<i64>]) -> impl Iterator<Item = Range<i64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        while let Some(other) = others.iter().find(|other| other.contains(&at)) {
            at = other.end;
        }
        let start = at;
        let later = others.iter().map(|other| other.start).filter(|other| *other > start);
        at = later.fold(range.end, i64::min);
        (start < at).then_some(start..at)
    })
}

/// Adds a range behind all others, to the last one if that ends where it begins.
fn append(ranges: &mut Vec<Range<i64>>, next: Range<i64>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

fn timestamp(instant: i64) -> Timestamp {
    let nearest = if instant < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(instant).unwrap_or(nearest)
}
