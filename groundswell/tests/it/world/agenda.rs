//! What is to come, in the order of time; and the two times of a world.
//!
//! The true time only goes on, and devices live in it. The clock of the driver's machine is the
//! true time and an offset, which a fault moves in either direction.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use groundswell::core::time::Time;

/// What is to come. Events of the same time come in the order in which they were put down.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    due: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<u64, T>,
    next: u64,
    /// The true time, in milliseconds since the epoch.
    pub(crate) now: i64,
    /// What the clock of the driver's machine is ahead, in milliseconds.
    pub(crate) offset: i64,
}

impl<T> Agenda<T> {
    pub(crate) fn new(now: i64) -> Self {
        let (due, events) = (BinaryHeap::new(), BTreeMap::new());
        Self { due, events, next: 0, now, offset: 0 }
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
        self.put_at(self.now + wait.as_millis() as i64, event);
    }

    pub(crate) fn put_at(&mut self, at: i64, event: T) {
        self.next += 1;
        self.due.push(Reverse((at, self.next)));
        self.events.insert(self.next, event);
    }

    pub(crate) fn next_at(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// The next event that is due.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let Reverse((at, no)) = *self.due.peek()?;
        if at > self.now {
            return None;
        }
        self.due.pop();
        self.events.remove(&no)
    }
}
