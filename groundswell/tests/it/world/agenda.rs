//! What is to come, in the order of time; and the two times of a world.
//!
//! The true time only goes on, and devices live in it. The clock of the driver's machine is the
//! true time and an offset, which a fault moves in either direction.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};

use groundswell::core::time::Time;

/// What is to come. Events of the same time come in the order in which they were put down.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    due: BinaryHeap<Reverse<Due<T>>>,
    next: u64,
    /// What waits ends at a multiple of this, in milliseconds.
    beat: i64,
    /// The true time, in milliseconds since the epoch.
    pub(crate) now: i64,
    /// What the clock of the driver's machine is ahead, in milliseconds.
    pub(crate) offset: i64,
}

#[derive(Debug)]
struct Due<T> {
    at: i64,
    no: u64,
    event: T,
}

impl<T> Due<T> {
    const fn rank(&self) -> (i64, u64) {
        (self.at, self.no)
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<T> Agenda<T> {
    pub(crate) const fn new(now: i64, beat: i64) -> Self {
        Self { due: BinaryHeap::new(), next: 0, beat, now, offset: 0 }
    }

    /// What the driver's clock says.
    pub(crate) const fn clock(&self) -> Time {
        Time::from_millis(self.now + self.offset)
    }

    /// The true time at which the driver's clock says `at`, if nobody moves it.
    pub(crate) const fn when(&self, at: Time) -> i64 {
        at.as_millis().saturating_sub(self.offset)
    }

    pub(crate) fn put(&mut self, wait: Duration, event: T) {
        self.put_in_beat(self.beat, wait, event);
    }

    /// After some wait, at a multiple of so many milliseconds.
    pub(crate) fn put_in_beat(&mut self, beat: i64, wait: Duration, event: T) {
        let at = self.now + wait.as_millis() as i64;
        self.put_at(if wait.is_zero() { at } else { in_beat(beat, at) }, event);
    }

    pub(crate) fn put_at(&mut self, at: i64, event: T) {
        self.next += 1;
        self.due.push(Reverse(Due { at, no: self.next, event }));
    }

    /// The next time at which the driver looks at its timers, at `at` or behind it.
    pub(crate) const fn timer(&self, at: i64) -> i64 {
        if at <= self.now { at } else { in_beat(self.beat, at) }
    }

    pub(crate) fn next_at(&self) -> Option<i64> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    /// The next event that is due.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.next_at()? > self.now {
            return None;
        }
        self.due.pop().map(|Reverse(due)| due.event)
    }
}

/// The first multiple of `beat` that is not before `at`.
const fn in_beat(beat: i64, at: i64) -> i64 {
    let over = at.rem_euclid(beat);
    if over == 0 { at } else { at.saturating_add(beat - over) }
}
