//! Candidates that wait, and how they move on.

use super::{
    Domains,
    holders::{Held, Why},
    line::{Kind, Terms},
    registry::Key,
    state::Mark,
};

/// When a candidate came: the lower, the older.
pub(super) type Ticket = u64;

/// A candidate that waits.
#[derive(Debug)]
pub(super) struct Parked<T> {
    pub(super) what: T,
    pub(super) device: u64,
    pub(super) rollout: u64,
    /// The domains in the order in which it takes slots in them.
    pub(super) wants: Box<[Want]>,
    /// In how many of them it has reserved one.
    pub(super) taken: usize,
    pub(super) at: At,
}

/// A domain that a candidate wants a slot in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) key: Key,
    pub(super) terms: Terms,
}

/// Where a candidate waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// For the domain of this index among those it wants, in the line of those counted so.
    Line(usize, Kind),
    /// In no line: it is on its way, or its device is.
    Nowhere,
}

impl<T> Parked<T> {
    pub(super) fn waits_at(&self) -> Option<Key> {
        match self.at {
            At::Line(index, _) => self.wants.get(index).map(|want| want.key),
            At::Nowhere => None,
        }
    }
}

impl<T> Domains<T> {
    pub(super) fn insert(&mut self, ticket: Ticket, parked: Parked<T>) {
        self.of_device.entry(parked.device).or_default().push(ticket);
        self.of_rollout.entry(parked.rollout).or_default().insert(ticket);
        self.parked.insert(ticket, parked);
    }

    pub(super) fn ticket_of(&self, rollout: u64, device: u64) -> Option<Ticket> {
        let is_of = |ticket: &&Ticket| {
            self.parked.get(ticket).is_some_and(|parked| parked.rollout == rollout)
        };
        self.of_device.get(&device)?.iter().find(is_of).copied()
    }

    pub(super) fn tickets_of(&self, device: u64) -> Vec<Ticket> {
        self.of_device.get(&device).cloned().unwrap_or_default()
    }

    /// Forgets a candidate, and whatever it kept.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.leave_line(ticket);
        self.give_back_from(ticket, 0);
        self.unlist(ticket).map(|parked| parked.what)
    }

    /// Forgets a candidate that is in no line and keeps nothing.
    fn unlist(&mut self, ticket: Ticket) -> Option<Parked<T>> {
        let parked = self.parked.remove(&ticket)?;
        if let Some(tickets) = self.of_device.get_mut(&parked.device) {
            tickets.retain(|other| *other != ticket);
            if tickets.is_empty() {
                self.of_device.remove(&parked.device);
            }
        }
        if let Some(tickets) = self.of_rollout.get_mut(&parked.rollout) {
            tickets.remove(&ticket);
            if tickets.is_empty() {
                self.of_rollout.remove(&parked.rollout);
            }
        }
        for want in &parked.wants {
            self.registry[want.key].want_no_more();
            self.registry.forget_idle(want.key);
        }
        Some(parked)
    }

    /// Takes what it can, from where it stands; whether it has all now and may hold it.
    pub(super) fn advance(&mut self, ticket: Ticket) -> bool {
        loop {
            self.step();
            let Some(parked) = self.parked.get(&ticket) else { return false };
            let (device, index) = (parked.device, parked.taken);
            let Some(Want { key, terms }) = parked.wants.get(index).copied() else {
                return self.is_within(ticket);
            };
            if !self.registry[key].lets_in(ticket, terms, device) {
                self.wait(ticket, index);
                return false;
            }
            if let Some(parked) = self.parked.get_mut(&ticket) {
                parked.taken += 1;
            }
            self.registry[key].promise(terms, true);
            self.set_mark(key, device, |mark| mark.reserved += 1);
        }
    }

    /// Whether one that has reserved all may hold it. While it waited, devices may have gone down
    /// or a domain may have shrunk: then it goes back to wait there, and gives back what comes
    /// after.
    fn is_within(&mut self, ticket: Ticket) -> bool {
        let Some(parked) = self.parked.get(&ticket) else { return false };
        let device = parked.device;
        let may_hold = |want: &Want| self.registry[want.key].may_hold(want.terms, device, false);
        let Some(beyond) = parked.wants.iter().position(|want| !may_hold(want)) else {
            return true;
        };
        self.give_back_from(ticket, beyond);
        self.wait(ticket, beyond);
        false
    }

    /// Has one that reserved all its slots hold them: what the caller needs of it.
    pub(super) fn claim(&mut self, ticket: Ticket) -> Option<T> {
        let parked = self.parked.get(&ticket)?;
        let (device, wants) = (parked.device, parked.wants.clone());
        for Want { key, terms } in &wants {
            self.step();
            self.registry[*key].promise(*terms, false);
            let held = self.registry[*key].mark(device).held;
            self.set_mark(*key, device, |mark| {
                mark.reserved -= 1;
                mark.held = Some(Why::UnderWay);
            });
            self.holders
                .entry(device)
                .or_default()
                .add(Held { key: *key, had_failed: held.is_some() });
        }
        if let Some(parked) = self.parked.get_mut(&ticket) {
            parked.taken = 0;
        }
        let what = self.unlist(ticket).map(|parked| parked.what);
        self.set_under_way(device);
        what
    }

    /// Has it wait in one of its domains; who waits for what it cannot have keeps nothing else.
    pub(super) fn wait(&mut self, ticket: Ticket, index: usize) {
        let Some(parked) = self.parked.get_mut(&ticket) else { return };
        let Some(Want { key, terms }) = parked.wants.get(index).copied() else { return };
        let kind = self.registry[key].mark(parked.device).kind();
        parked.at = At::Line(index, kind);
        if self.registry[key].join(ticket, terms, kind) {
            self.give_back_from(ticket, 0);
        }
    }

    /// Takes it out of the line it waits in.
    pub(super) fn leave_line(&mut self, ticket: Ticket) {
        let Some(parked) = self.parked.get_mut(&ticket) else { return };
        if let At::Line(index, kind) = std::mem::replace(&mut parked.at, At::Nowhere)
            && let Some(Want { key, terms }) = parked.wants.get(index).copied()
        {
            self.registry[key].leave(ticket, terms, kind);
            self.stir(key);
        }
    }

    /// Gives back what it has reserved in its domains, but for so many of the first.
    pub(super) fn give_back_from(&mut self, ticket: Ticket, kept: usize) {
        let Some(parked) = self.parked.get_mut(&ticket) else { return };
        let taken = parked.taken;
        parked.taken = taken.min(kept);
        let device = parked.device;
        let wants: Vec<Want> = parked.wants.get(kept..taken).unwrap_or_default().to_vec();
        for Want { key, terms } in wants {
            self.registry[key].promise(terms, false);
            self.set_mark(key, device, |mark| mark.reserved -= 1);
        }
    }

    /// Changes what a device has to do with a domain, and whatever follows for those who wait.
    pub(super) fn set_mark(&mut self, key: Key, device: u64, change: impl FnOnce(&mut Mark)) {
        self.step();
        let (before, after) = self.registry[key].set_mark(device, change);
        if before != after {
            for ticket in self.tickets_of(device) {
                self.change_line(ticket, key, after);
            }
        }
        self.stir(key);
        self.registry.forget_idle(key);
    }

    /// Moves one that waits for this domain to the line of those counted as its device is now.
    fn change_line(&mut self, ticket: Ticket, key: Key, kind: Kind) {
        let Some(parked) = self.parked.get_mut(&ticket) else { return };
        let At::Line(index, before) = parked.at else { return };
        let Some(want) = parked.wants.get(index).filter(|want| want.key == key) else { return };
        let terms = want.terms;
        parked.at = At::Line(index, kind);
        self.registry[key].leave(ticket, terms, before);
        if self.registry[key].join(ticket, terms, kind) {
            self.give_back_from(ticket, 0);
        }
    }

    /// Has a domain looked at: something changed there. Who has become stuck gives back what it
    /// keeps in domains before this one, so that this ends, however one follows from another.
    pub(super) fn stir(&mut self, key: Key) {
        let state = &mut self.registry[key];
        if state.lines().next().is_none() {
            return;
        }
        if !state.is_open {
            state.is_open = true;
            self.open.push_back(key);
        }
        for ticket in self.registry[key].newly_stuck() {
            self.step();
            self.give_back_from(ticket, 0);
        }
    }
}
