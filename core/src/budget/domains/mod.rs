//! The slots of all domains: who holds them, who waits for them, and whose turn it is.
//!
//! # How a candidate gets its slots
//! It takes a slot in each of its domains, one after the other, the narrowest domain first. In the
//! first that has none for it, it waits, oldest first, and keeps those that it took: they are
//! *reserved*, which counts against limits and is not shown as held. Once it has all it holds them.
//!
//! - **Nobody waits for ever because two wait for each other.** The order of domains is the same
//!   for all: it is fixed while anybody wants a domain, whatever becomes of its size. Who waits for
//!   a domain has reserved only what comes before it, so along "waits for what that one has
//!   reserved" the order only rises, and at its end stands somebody who waits for devices that hold.
//! - **Nobody waits for ever because others go first.** Age is the order in which candidates came,
//!   and it is kept from domain to domain: nobody younger takes a slot that somebody older waits
//!   for.
//! - **A wide domain does not stand still.** Were wide taken before narrow, the slots of a region
//!   would go to devices that wait for their stores. As it is, who waits for a region could go at
//!   once if it had room.
//!
//! # Several limits on one domain
//! Limits are those of rollouts, slots those of all together. So one may wait where another, which
//! is allowed more, could go:
//! - While it can hope to go once what is under way has ended, nobody younger goes before it, or it
//!   might never find the domain as empty as it needs it. What is under way ends by itself.
//! - While it cannot (as many devices as it may have at all have failed or are down: it is
//!   *stuck*), those behind it go by their own limits. Only a recovery or an operator can help it,
//!   and who is stuck keeps nothing reserved elsewhere: what waits for it would be stuck as well.
//! - A device that has failed counts already, so that to mend it puts no more devices out of order:
//!   it goes as soon as nobody else is under way there or has reserved a slot, however many have
//!   failed, and is never stuck. Otherwise a domain of which more have failed than may could not be
//!   mended by anything that keeps to its budget.
//! - What is reserved stays within the limit of whoever reserved it: others do not go beyond that.
//!
//! So at any time when nothing is under way, whoever waits is stuck, and nothing is reserved.
//!
//! Types to read first: [`Domains`], [`Candidate`], [`Place`].

mod holders;
mod line;
mod list;
mod parked;
mod registry;
mod state;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use self::{
    holders::Holder,
    parked::{At, Parked, Ticket, Want},
    registry::{Key, Registry},
};
pub use self::{
    holders::{Released, Why},
    list::{Fullness, Standing, Waiting, WaitingAt},
};
use super::{Domain, Limit};
use crate::admit::Class;

/// The slots of all domains of one driver. `T` is whatever the caller needs of a candidate; nothing
/// here looks into it.
///
/// What is durable is the caller's: after a restart it tells who holds what ([`Domains::hold`]) and
/// who is down, and asks again for whoever waits. Nothing that only waits is a promise.
///
/// Memory is for each slot held or reserved, each device down and each candidate that waits; a
/// domain that has none of these is forgotten, and so is its size.
#[derive(Debug)]
pub struct Domains<T> {
    registry: Registry,
    holders: HashMap<u64, Holder>,
    /// The domains of each device that is down.
    down: HashMap<u64, Vec<Key>>,
    parked: HashMap<Ticket, Parked<T>>,
    of_device: HashMap<u64, Vec<Ticket>>,
    of_rollout: HashMap<u64, BTreeSet<Ticket>>,
    /// Domains of which something changed while somebody waits there.
    open: VecDeque<Key>,
    next_ticket: Ticket,
    /// How many domains were looked at or changed: what the cost of a claim is told by.
    #[cfg(test)]
    pub(super) steps: u64,
}

/// A device that a rollout wants to go.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<T> {
    /// Which device.
    pub device: u64,
    /// Which rollout wants it.
    pub rollout: u64,
    /// Whether it was begun before.
    pub class: Class,
    /// Whatever the caller needs of it.
    pub what: T,
}

/// A domain that a candidate has to have a slot in.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which one.
    pub domain: Arc<Domain>,
    /// How many devices of the inventory are in it.
    pub devices: u32,
    /// How many may be out of order at once, as its rollout has it.
    pub limit: Limit,
    /// Whether devices that are down count as well.
    pub counts_down: bool,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission<T> {
    /// It holds its slots; claim it.
    Claimed(T),
    /// It is kept here, and waits for this domain.
    Parked(Arc<Domain>),
    /// It is kept here until the device is done with what it is under way for.
    Busy,
}

impl<T> Default for Domains<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Domains<T> {
    /// Nobody holds anything, and nobody waits.
    pub fn new() -> Self {
        Self {
            registry: Registry::default(),
            holders: HashMap::new(),
            down: HashMap::new(),
            parked: HashMap::new(),
            of_device: HashMap::new(),
            of_rollout: HashMap::new(),
            open: VecDeque::new(),
            next_ticket: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Gives a candidate a slot in each of these domains, or parks it until it can have them all.
    /// One of the same rollout and device that waits already is taken back, and its age given to
    /// this one.
    ///
    /// A device that was begun before is claimed whatever the limits say: it holds its slots, and
    /// to send to it again is not to touch one more.
    ///
    /// Costs O(its domains), times the number of different limits on them.
    pub fn admit(&mut self, candidate: Candidate<T>, places: &[Place]) -> Admission<T> {
        let Candidate { device, rollout, class, what } = candidate;
        let before = self.ticket_of(rollout, device);
        if let Some(ticket) = before {
            self.remove(ticket);
        }
        if class == Class::Begun {
            let keys = places.iter().map(|place| self.registry.intern(&place.domain)).collect();
            self.take_hold(device, keys, Why::UnderWay);
            for place in places {
                self.resize(&place.domain, place.devices);
            }
            return Admission::Claimed(what);
        }
        if places.is_empty() {
            return Admission::Claimed(what);
        }
        let ticket = before.unwrap_or(self.next_ticket);
        self.next_ticket = self.next_ticket.max(ticket + 1);
        let wants = self.wants(places);
        self.insert(ticket, Parked { what, device, rollout, wants, taken: 0, at: At::Nowhere });
        if self.is_under_way(device) {
            return Admission::Busy;
        }
        if self.advance(ticket)
            && let Some(what) = self.claim(ticket)
        {
            return Admission::Claimed(what);
        }
        match self.parked.get(&ticket).and_then(Parked::waits_at) {
            Some(key) => Admission::Parked(self.registry[key].domain()),
            None => Admission::Busy,
        }
    }

    /// Whether a device that holds its slots may still go by these limits: others may have come that
    /// are not bound by them. Costs O(1) for each domain.
    pub fn may_go(&self, device: u64, places: &[Place]) -> bool {
        places.iter().all(|Place { domain, limit, counts_down, .. }| {
            let terms = line::Terms { limit: *limit, counts_down: *counts_down };
            let key = self.registry.find(domain);
            key.is_none_or(|key| {
                self.registry[key].may_hold(terms, device, self.had_failed(device, key))
            })
        })
    }

    /// Whether a candidate of this device that came now, and does not wait yet, could take a slot in
    /// this domain. If not, [`Domains::admit`] would not have it go whatever its other domains are:
    /// it need not be fetched to find that out. Costs O(different limits on the domain).
    pub fn lets_in(&self, device: u64, place: &Place) -> bool {
        let Place { domain, devices, limit, counts_down } = place;
        let Some(key) = self.registry.find(domain) else { return true };
        // It may be of another size than is known here: that is found out by whoever is admitted.
        self.registry[key].devices() != Some(*devices)
            || self.registry[key].lets_in(
                Ticket::MAX,
                line::Terms { limit: *limit, counts_down: *counts_down },
                device,
            )
    }

    /// The next candidate that waited and can go now; it holds its slots. Domains in the order in
    /// which something changed there, each oldest first. To be asked until there is none, after
    /// whatever may have freed a slot.
    ///
    /// One that cannot go after all is handed back by [`Domains::hand_back`]; rollouts that may not
    /// go for a while are better withdrawn before.
    ///
    /// Costs O(those that move on).
    pub fn next_woken(&mut self) -> Option<T> {
        if bites!(ParkedNeverWoken) {
            return None;
        }
        while let Some(&key) = self.open.front() {
            self.step();
            let Some(ticket) = self.registry[key].first_ready() else {
                self.open.pop_front();
                self.registry[key].is_open = false;
                continue;
            };
            self.leave_line(ticket);
            if self.advance(ticket) {
                return self.claim(ticket);
            }
        }
        None
    }

    /// Sets how many devices of the inventory are in a domain, if anybody holds a slot or waits
    /// there. Costs O(1).
    pub fn resize(&mut self, domain: &Domain, devices: u32) {
        if let Some(key) = self.registry.find(domain) {
            self.set_size(key, devices);
        }
    }

    /// Takes back every candidate of a rollout that waits, oldest first. What devices hold for it
    /// they go on holding. Costs O(those taken back).
    pub fn withdraw(&mut self, rollout: u64) -> Vec<T> {
        let tickets = self.of_rollout.get(&rollout).cloned().unwrap_or_default();
        tickets.into_iter().filter_map(|ticket| self.remove(ticket)).collect()
    }

    /// Takes back the candidate of a rollout that is this device, if it waits.
    pub fn withdraw_device(&mut self, rollout: u64, device: u64) -> Option<T> {
        self.remove(self.ticket_of(rollout, device)?)
    }

    /// The domains wanted, the one to be taken first in front; counted as wanted from now on.
    fn wants(&mut self, places: &[Place]) -> Box<[Want]> {
        let mut wants: Vec<Want> = Vec::with_capacity(places.len());
        for Place { domain, devices, limit, counts_down } in places {
            let key = self.registry.intern(domain);
            self.registry[key].want(*devices);
            self.set_size(key, *devices);
            wants.push(Want {
                key,
                terms: line::Terms { limit: *limit, counts_down: *counts_down },
            });
        }
        wants.sort_by_cached_key(|want| self.registry[want.key].rank());
        wants.into()
    }

    fn set_size(&mut self, key: Key, devices: u32) {
        if self.registry[key].set_devices(devices) {
            self.stir(key);
        }
    }

    /// Counts a look at a domain.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only tests count"))]
    const fn step(&mut self) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
    }
}
