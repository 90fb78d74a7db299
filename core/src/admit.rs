//! Which of the candidates go, and which wait for what.
//!
//! Owns the places of each host. A candidate whose host has no place is parked there and woken,
//! oldest first, when one is freed: nobody is starved by a neighbor, and nobody is looked at twice.

use std::collections::{HashMap, VecDeque};

/// The places of every host that has something open, and who waits for them.
///
/// `T` is whatever the caller needs of a candidate; nothing here looks into it.
#[derive(Debug)]
pub struct Slots<T> {
    per_host_max: u32,
    hosts: HashMap<Box<str>, Host<T>>,
    woken: VecDeque<T>,
    parked: usize,
}

#[derive(Debug)]
struct Host<T> {
    used: u32,
    /// Places that were freed for a woken candidate that has not come back yet.
    promised: u32,
    parked: VecDeque<T>,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission<T> {
    /// It holds a place; claim it.
    Claimed(T),
    /// Its host is full; it is kept here until woken.
    Parked,
}

impl<T> Slots<T> {
    /// Places for `per_host_max` open deliveries to any one host.
    pub fn new(per_host_max: u32) -> Self {
        Self { per_host_max, hosts: HashMap::new(), woken: VecDeque::new(), parked: 0 }
    }

    /// Gives `candidate` a place on `host`, or parks it behind those who wait there already.
    pub fn admit(&mut self, candidate: T, host: &str) -> Admission<T> {
        let Some(entry) = self.hosts.get_mut(host) else {
            let entry = Host { used: 1, promised: 0, parked: VecDeque::new() };
            self.hosts.insert(host.into(), entry);
            return Admission::Claimed(candidate);
        };
        if entry.used + entry.promised < self.per_host_max {
            entry.used += 1;
            return Admission::Claimed(candidate);
        }
        entry.parked.push_back(candidate);
        self.parked += 1;
        Admission::Parked
    }

    /// Gives a woken candidate the place that was kept for it.
    pub fn admit_woken(&mut self, host: &str) {
        if let Some(entry) = self.hosts.get_mut(host) {
            entry.promised = entry.promised.saturating_sub(1);
            entry.used += 1;
        }
    }

    /// Frees one place on `host` and wakes the oldest that waits for it.
    pub fn free(&mut self, host: &str) {
        let Some(entry) = self.hosts.get_mut(host) else { return };
        entry.used = entry.used.saturating_sub(1);
        if let Some(candidate) = entry.parked.pop_front() {
            entry.promised += 1;
            self.parked -= 1;
            self.woken.push_back(candidate);
        } else if entry.used + entry.promised == 0 {
            self.hosts.remove(host);
        }
    }

    /// The oldest woken candidate; [`Slots::admit_woken`] gives it its place.
    pub fn next_woken(&mut self) -> Option<T> {
        self.woken.pop_front()
    }

    /// Whether somebody was woken.
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// How many candidates wait for a host.
    pub const fn parked(&self) -> usize {
        self.parked
    }

    /// Whether something else is open on this host, or waits for it.
    pub fn is_shared(&self, host: &str) -> bool {
        self.hosts
            .get(host)
            .is_some_and(|entry| entry.used + entry.promised > 1 || !entry.parked.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_host_parks_and_wakes_in_order() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.admit(1, "a"), Admission::Claimed(1));
        assert_eq!(slots.admit(2, "a"), Admission::Claimed(2));
        assert_eq!(slots.admit(3, "a"), Admission::Parked);
        assert_eq!(slots.admit(4, "a"), Admission::Parked);
        assert_eq!(slots.admit(5, "b"), Admission::Claimed(5));
        assert_eq!(slots.parked(), 2);

        slots.free("a");
        assert_eq!(slots.next_woken(), Some(3));
        // The place is promised: a newcomer does not take it.
        assert_eq!(slots.admit(6, "a"), Admission::Parked);
        slots.admit_woken("a");
        slots.free("a");
        slots.free("a");
        assert_eq!((slots.next_woken(), slots.next_woken()), (Some(4), Some(6)));
        assert_eq!(slots.next_woken(), None);
    }

    #[test]
    fn hosts_with_nothing_open_are_forgotten() {
        let mut slots = Slots::new(1);
        for n in 0..1_000 {
            let host = n.to_string();
            slots.admit(n, &host);
            assert!(!slots.is_shared(&host));
            slots.free(&host);
        }
        assert!(slots.hosts.is_empty());
    }

    /// A host never has more open than its limit, whatever the order of events, and everybody
    /// gets a turn.
    #[test]
    fn never_over_the_limit_and_nobody_is_lost() {
        use proptest::prelude::*;
        proptest!(|(limit in 1_u32..4, hosts in proptest::collection::vec(0_usize..3, 0..60))| {
            let names = ["a", "b", "c"];
            let mut slots = Slots::new(limit);
            let mut open = vec![];
            let mut served = 0;
            for (n, host) in hosts.iter().enumerate() {
                if let Admission::Claimed((_, host)) = slots.admit((n, *host), names[*host]) {
                    open.push(host);
                }
                for name in 0..3 {
                    let used = open.iter().filter(|host| **host == name).count();
                    prop_assert!(used <= limit as usize);
                }
            }
            while let Some(host) = open.pop() {
                served += 1;
                slots.free(names[host]);
                while let Some((_, host)) = slots.next_woken() {
                    slots.admit_woken(names[host]);
                    open.insert(0, host);
                }
            }
            prop_assert_eq!(served, hosts.len());
            prop_assert!(slots.hosts.is_empty() && slots.parked() == 0);
        });
    }
}
