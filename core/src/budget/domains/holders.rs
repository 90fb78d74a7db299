//! Devices that hold slots, and those that are down.

use std::sync::Arc;

use super::{
    Domains,
    parked::{At, Ticket},
    registry::Key,
};
use crate::budget::Domain;

/// Why a device holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was claimed, and is not known to be well; also while it waits to be tried again.
    UnderWay,
    /// It has failed, and was not seen to recover.
    Failed,
}

/// What became of a release by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The slot is free.
    Freed,
    /// Nothing: the device is being updated, and counts whatever anybody says.
    UnderWay,
    /// Nothing: the device holds no slot there.
    NotHeld,
}

/// What a device holds.
#[derive(Debug, Default)]
pub(super) struct Holder {
    is_under_way: bool,
    slots: Vec<Held>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) key: Key,
    /// Whether it held it before it was claimed.
    pub(super) had_failed: bool,
}

impl Holder {
    pub(super) fn add(&mut self, held: Held) {
        if self.slots.iter().all(|slot| slot.key != held.key) {
            self.slots.push(held);
        }
    }
}

impl<T> Domains<T> {
    /// Has a device hold a slot in each of these domains, whatever the limits say: for what is
    /// known to be so, as after a restart. A slot that one under way held before its claim, as one
    /// that had failed, is told first as that, and then again. Costs O(domains).
    pub fn hold(&mut self, device: u64, domains: &[Arc<Domain>], why: Why) {
        let keys = domains.iter().map(|domain| self.registry.intern(domain)).collect();
        self.take_hold(device, keys, why);
    }

    /// The device has failed: it keeps its slots, and is no longer under way. Costs O(its slots).
    pub fn fail(&mut self, device: u64) {
        self.settle(device, |_| Some(Why::Failed));
    }

    /// The device is well, or was seen to recover: its slots are free. Costs O(its slots).
    pub fn free(&mut self, device: u64) {
        self.settle(device, |_| None);
    }

    /// Takes back a claim that nothing was sent for: slots that the device held before, as one that
    /// had failed, it holds so again, the others are free. Costs O(its slots).
    pub fn hand_back(&mut self, device: u64) {
        self.settle(device, |held| held.had_failed.then_some(Why::Failed));
    }

    /// A device that had failed was seen to be well: it is freed, or once it is not under way any
    /// more if that is handed back. Costs O(its slots).
    pub fn recover(&mut self, device: u64) {
        match self.holders.get_mut(&device) {
            Some(holder) if holder.is_under_way => {
                holder.slots.iter_mut().for_each(|slot| slot.had_failed = false);
            }
            _ => self.free(device),
        }
    }

    /// Frees the slot that a device which has failed holds in one domain: an operator says so. One
    /// that is under way keeps it until that has ended.
    pub fn release(&mut self, device: u64, domain: &Domain) -> Released {
        let Some(key) = self.registry.find(domain) else { return Released::NotHeld };
        let Some(holder) = self.holders.get_mut(&device) else { return Released::NotHeld };
        if holder.slots.iter().all(|slot| slot.key != key) {
            return Released::NotHeld;
        }
        if holder.is_under_way {
            let slots = holder.slots.iter_mut().filter(|slot| slot.key == key);
            slots.for_each(|slot| slot.had_failed = false);
            return Released::UnderWay;
        }
        holder.slots.retain(|slot| slot.key != key);
        if holder.slots.is_empty() {
            self.holders.remove(&device);
        }
        self.set_mark(key, device, |mark| mark.held = None);
        Released::Freed
    }

    /// The device is known to be down; these are all of its domains. Costs O(domains).
    pub fn set_down(&mut self, device: u64, domains: &[Arc<Domain>]) {
        let keys: Vec<Key> = domains.iter().map(|domain| self.registry.intern(domain)).collect();
        let before = self.down.insert(device, keys.clone()).unwrap_or_default();
        for key in &keys {
            self.set_mark(*key, device, |mark| mark.is_down = true);
        }
        for key in before.into_iter().filter(|key| !keys.contains(key)) {
            self.set_mark(key, device, |mark| mark.is_down = false);
        }
    }

    /// The device is no longer known to be down. Its slots it keeps until [`Domains::free`]. Costs
    /// O(its domains).
    pub fn set_up(&mut self, device: u64) {
        for key in self.down.remove(&device).unwrap_or_default() {
            self.set_mark(key, device, |mark| mark.is_down = false);
        }
    }

    /// Whether a device held its slot in a domain, as one that had failed, before it was claimed.
    pub(super) fn had_failed(&self, device: u64, key: Key) -> bool {
        let slots = self.holders.get(&device).into_iter().flat_map(|holder| &holder.slots);
        slots.into_iter().any(|slot| slot.key == key && slot.had_failed)
    }

    pub(super) fn is_under_way(&self, device: u64) -> bool {
        self.holders.get(&device).is_some_and(|holder| holder.is_under_way)
    }

    pub(super) fn take_hold(&mut self, device: u64, keys: Vec<Key>, why: Why) {
        if keys.is_empty() {
            return;
        }
        let had_failed = why == Why::Failed;
        let holder = self.holders.entry(device).or_default();
        // One that is under way anyhow is not made out to have failed by what else it holds.
        let why = if holder.is_under_way { Why::UnderWay } else { why };
        for key in keys {
            self.holders.entry(device).or_default().add(Held { key, had_failed });
            self.set_mark(key, device, |mark| mark.held = Some(why));
        }
        if why == Why::UnderWay {
            self.set_under_way(device);
        }
    }

    /// Whatever the device holds it holds as one that is under way; who else wants it waits.
    pub(super) fn set_under_way(&mut self, device: u64) {
        let Some(holder) = self.holders.get_mut(&device) else { return };
        holder.is_under_way = true;
        let keys: Vec<Key> = holder.slots.iter().map(|slot| slot.key).collect();
        for key in keys {
            if self.registry[key].mark(device).held != Some(Why::UnderWay) {
                self.set_mark(key, device, |mark| mark.held = Some(Why::UnderWay));
            }
        }
        for ticket in self.tickets_of(device) {
            self.leave_line(ticket);
            self.give_back_from(ticket, 0);
        }
    }

    /// Has a device hold on to slots, or not, for these reasons; who else wants it comes in line.
    fn settle(&mut self, device: u64, why: impl Fn(Held) -> Option<Why>) {
        let Some(mut holder) = self.holders.remove(&device) else { return };
        for slot in &mut holder.slots {
            let why = why(*slot);
            self.set_mark(slot.key, device, |mark| mark.held = why);
            slot.had_failed = why.is_some();
        }
        holder.slots.retain(|slot| slot.had_failed);
        holder.is_under_way = false;
        if !holder.slots.is_empty() {
            self.holders.insert(device, holder);
        }
        for ticket in self.tickets_of(device) {
            self.come_in_line(ticket);
        }
    }

    /// Has one whose device was under way wait for the first of its domains, and that looked at.
    fn come_in_line(&mut self, ticket: Ticket) {
        let Some(parked) = self.parked.get(&ticket) else { return };
        let (At::Nowhere, Some(want)) = (parked.at, parked.wants.first()) else { return };
        let key = want.key;
        self.wait(ticket, 0);
        self.stir(key);
    }
}
