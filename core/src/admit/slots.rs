//! The places of each host.
//!
//! A candidate whose host has no place is parked there and let in, oldest first, when one is free:
//! nobody is starved by a neighbor, and nobody is looked at twice. Devices that were begun before
//! go in front of those that were not, which may also have to wait for reasons that are not their
//! host's.

use std::collections::{HashMap, VecDeque};

/// The places of every host that has something open, and who waits for them.
///
/// `T` is whatever the caller needs of a candidate; nothing here looks into it.
#[derive(Debug)]
pub struct Slots<T> {
    per_host_max: u32,
    hosts: HashMap<Box<str>, Host<T>>,
    /// Hosts with a place and somebody parked, of each [`Class`], in the order in which they got
    /// the place.
    open: [VecDeque<Box<str>>; 2],
    parked: [usize; 2],
}

/// Whether a device was begun before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It was, and is to be tried again.
    Begun,
    /// It was not.
    Fresh,
}

#[derive(Debug)]
struct Host<T> {
    used: u32,
    parked: [VecDeque<T>; 2],
    /// Whether it is among the open hosts of each class.
    is_open: [bool; 2],
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission<T> {
    /// It holds a place; claim it.
    Claimed(T),
    /// Its host is full, or others wait there; it is kept here until its turn.
    Parked,
}

impl<T> Host<T> {
    const fn new() -> Self {
        Self { used: 0, parked: [VecDeque::new(), VecDeque::new()], is_open: [false; 2] }
    }

    /// Whether a newcomer would have a place: not in front of those of its class who wait.
    fn has_place(&self, class: Class, per_host_max: u32) -> bool {
        let is_first = match class {
            Class::Begun => self.parked[Class::Begun as usize].is_empty(),
            Class::Fresh => !self.is_waited_for(),
        };
        is_first && (self.used < per_host_max || bites!(MaxPerHostForgotten))
    }

    fn is_waited_for(&self) -> bool {
        self.parked.iter().any(|parked| !parked.is_empty())
    }
}

impl<T> Slots<T> {
    /// Places for `per_host_max` open deliveries to any one host.
    pub fn new(per_host_max: u32) -> Self {
        Self {
            per_host_max,
            hosts: HashMap::new(),
            open: [VecDeque::new(), VecDeque::new()],
            parked: [0; 2],
        }
    }

    /// Gives `candidate` a place on `host`, or parks it behind those of its class who wait there.
    pub fn admit(&mut self, candidate: T, class: Class, host: &str) -> Admission<T> {
        let Some(entry) = self.hosts.get_mut(host) else {
            self.hosts.insert(host.into(), Host { used: 1, ..Host::new() });
            return Admission::Claimed(candidate);
        };
        if entry.has_place(class, self.per_host_max) {
            entry.used += 1;
            return Admission::Claimed(candidate);
        }
        entry.parked[class as usize].push_back(candidate);
        self.parked[class as usize] += 1;
        Admission::Parked
    }

    /// Whether a candidate that came now would have a place on `host`.
    pub fn has_place(&self, class: Class, host: &str) -> bool {
        self.hosts.get(host).is_none_or(|entry| entry.has_place(class, self.per_host_max))
    }

    /// Frees one place on `host`.
    pub fn free(&mut self, host: &str) {
        let Some(entry) = self.hosts.get_mut(host) else { return };
        entry.used = entry.used.saturating_sub(1);
        if entry.used == 0 && !entry.is_waited_for() {
            self.hosts.remove(host);
            return;
        }
        if bites!(HostNeverWoken) {
            return;
        }
        for class in [Class::Begun, Class::Fresh] {
            if !entry.parked[class as usize].is_empty() && !entry.is_open[class as usize] {
                entry.is_open[class as usize] = true;
                self.open[class as usize].push_back(host.into());
            }
        }
    }

    /// The oldest of a class that was parked and whose host has a place now; it holds that place.
    pub fn next_woken(&mut self, class: Class) -> Option<T> {
        while let Some(host) = self.open[class as usize].pop_front() {
            let Some(entry) = self.hosts.get_mut(&host) else { continue };
            entry.is_open[class as usize] = false;
            if entry.used >= self.per_host_max {
                continue;
            }
            let Some(candidate) = entry.parked[class as usize].pop_front() else { continue };
            entry.used += 1;
            self.parked[class as usize] -= 1;
            if entry.used < self.per_host_max && !entry.parked[class as usize].is_empty() {
                entry.is_open[class as usize] = true;
                self.open[class as usize].push_back(host);
            }
            return Some(candidate);
        }
        None
    }

    /// Everybody who waits for a host, of both classes; nobody waits afterwards.
    pub fn drain(&mut self) -> Vec<T> {
        let mut drained = vec![];
        for entry in self.hosts.values_mut() {
            drained.extend(entry.parked.iter_mut().flat_map(|parked| parked.drain(..)));
            entry.is_open = [false; 2];
        }
        self.hosts.retain(|_, entry| entry.used > 0);
        self.open.iter_mut().for_each(VecDeque::clear);
        self.parked = [0; 2];
        drained
    }

    /// Everybody who waits for a host, of both classes.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.hosts.values().flat_map(|entry| entry.parked.iter().flatten())
    }

    /// Frees every place, and forgets who waits.
    pub fn reset(&mut self) {
        *self = Self::new(self.per_host_max);
    }

    /// How many candidates of a class wait for a host.
    pub const fn parked(&self, class: Class) -> usize {
        self.parked[class as usize]
    }

    /// Whether something else is open on this host, or waits for it.
    pub fn is_shared(&self, host: &str) -> bool {
        self.hosts.get(host).is_some_and(|entry| entry.used > 1 || entry.is_waited_for())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Class::{Begun, Fresh},
        *,
    };

    #[test]
    fn a_full_host_parks_and_wakes_in_order() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.admit(1, Fresh, "a"), Admission::Claimed(1));
        assert_eq!(slots.admit(2, Fresh, "a"), Admission::Claimed(2));
        assert_eq!(slots.admit(3, Fresh, "a"), Admission::Parked);
        assert_eq!(slots.admit(4, Fresh, "a"), Admission::Parked);
        assert_eq!(slots.admit(5, Fresh, "b"), Admission::Claimed(5));
        assert_eq!((slots.parked(Fresh), slots.parked(Begun)), (2, 0));
        assert_eq!(slots.next_woken(Fresh), None);

        slots.free("a");
        // A newcomer does not take the place of one that waits.
        assert_eq!(slots.admit(6, Fresh, "a"), Admission::Parked);
        assert_eq!(slots.next_woken(Fresh), Some(3));
        slots.free("a");
        slots.free("a");
        let woken = [(); 3].map(|()| slots.next_woken(Fresh));
        assert_eq!(woken, [Some(4), Some(6), None]);
    }

    #[test]
    fn those_begun_before_go_in_front_of_those_that_may_not_go_yet() {
        let mut slots = Slots::new(1);
        slots.admit(1, Fresh, "a");
        assert_eq!(slots.admit(2, Fresh, "a"), Admission::Parked);
        assert_eq!(slots.admit(3, Begun, "a"), Admission::Parked);
        slots.free("a");
        // Nobody asks for the fresh one: its host is not held for it.
        assert_eq!(slots.next_woken(Begun), Some(3));
        assert_eq!(slots.next_woken(Fresh), None);
        slots.free("a");
        assert_eq!(slots.admit(4, Begun, "a"), Admission::Claimed(4));
        slots.free("a");
        assert_eq!(slots.next_woken(Fresh), Some(2));
    }

    #[test]
    fn hosts_with_nothing_open_are_forgotten() {
        let mut slots = Slots::new(1);
        for n in 0..1_000 {
            let host = n.to_string();
            slots.admit(n, Fresh, &host);
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
        let arrivals = proptest::collection::vec((0_usize..3, any::<bool>()), 0..60);
        proptest!(|(limit in 1_u32..4, arrivals in arrivals)| {
            let names = ["a", "b", "c"];
            let mut slots = Slots::new(limit);
            let mut open = vec![];
            let mut served = 0;
            for (n, (host, is_begun)) in arrivals.iter().enumerate() {
                let class = if *is_begun { Begun } else { Fresh };
                if let Admission::Claimed((_, host)) = slots.admit((n, *host), class, names[*host]) {
                    open.push(host);
                }
            }
            while let Some(host) = open.pop() {
                served += 1;
                slots.free(names[host]);
                for class in [Begun, Fresh] {
                    while let Some((_, host)) = slots.next_woken(class) {
                        open.insert(0, host);
                    }
                }
                for name in 0..3 {
                    let used = open.iter().filter(|host| **host == name).count();
                    prop_assert!(used <= limit as usize);
                }
            }
            prop_assert_eq!(served, arrivals.len());
            prop_assert!(slots.hosts.is_empty() && slots.parked == [0, 0]);
        });
    }
}
