//! One domain: which devices count in it, and who waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    holders::Why,
    line::{Kind, Line, Terms},
    parked::Ticket,
};
use crate::budget::Domain;

/// What a device has to do with a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) held: Option<Why>,
    /// How many candidates keep a slot for it: several rollouts may want the device.
    pub(super) reserved: u32,
    pub(super) is_down: bool,
}

impl Mark {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self { held: Some(Why::UnderWay), .. } => Kind::UnderWay,
            Self { held: Some(Why::Failed), .. } => Kind::Failed,
            Self { reserved: 1.., is_down: true, .. } => Kind::ReservedDown,
            Self { reserved: 1.., .. } => Kind::Reserved,
            Self { is_down: true, .. } => Kind::Down,
            _ => Kind::Absent,
        }
    }
}

/// How many devices are counted as what.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    under_way: u32,
    failed: u32,
    reserved: u32,
    reserved_down: u32,
    down: u32,
}

impl Tally {
    const fn of(&mut self, kind: Kind) -> Option<&mut u32> {
        match kind {
            Kind::UnderWay => Some(&mut self.under_way),
            Kind::Failed => Some(&mut self.failed),
            Kind::Reserved => Some(&mut self.reserved),
            Kind::ReservedDown => Some(&mut self.reserved_down),
            Kind::Down => Some(&mut self.down),
            Kind::Absent => None,
        }
    }

    /// Those down that hold no slot, if they count.
    const fn down(&self, counts_down: bool) -> u32 {
        if counts_down { self.down + self.reserved_down } else { 0 }
    }
}

/// One domain.
#[derive(Debug)]
pub(super) struct State {
    domain: Arc<Domain>,
    /// How many devices of the inventory are in it; unknown until somebody says.
    devices: Option<u32>,
    /// How many candidates that wait want it, here or elsewhere.
    wanted: u32,
    /// Its size when the first of these came: its place in the order in which slots are taken,
    /// which must not change while they wait.
    width: u32,
    marks: BTreeMap<u64, Mark>,
    /// Those of them that have failed: few, and named.
    failed: BTreeSet<u64>,
    tally: Tally,
    /// By which terms slots are reserved, and how many by each.
    promised: Vec<(Terms, u32)>,
    lines: Vec<Line>,
    /// Whether it is among those where something changed.
    pub(super) is_open: bool,
}

impl State {
    pub(super) fn new(domain: Arc<Domain>) -> Self {
        Self {
            domain,
            devices: None,
            wanted: 0,
            width: 0,
            marks: BTreeMap::new(),
            failed: BTreeSet::new(),
            tally: Tally::default(),
            promised: vec![],
            lines: vec![],
            is_open: false,
        }
    }

    pub(super) fn domain(&self) -> Arc<Domain> {
        Arc::clone(&self.domain)
    }

    pub(super) const fn devices(&self) -> Option<u32> {
        self.devices
    }

    /// Whether the size is another one now.
    pub(super) fn set_devices(&mut self, devices: u32) -> bool {
        self.devices.replace(devices) != Some(devices)
    }

    pub(super) const fn want(&mut self, devices: u32) {
        if self.wanted == 0 {
            self.width = devices;
        }
        self.wanted += 1;
    }

    pub(super) const fn want_no_more(&mut self) {
        self.wanted -= 1;
    }

    pub(super) fn rank(&self) -> (u32, Arc<Domain>) {
        (self.width, self.domain())
    }

    /// Whether there is nothing to be remembered.
    pub(super) fn is_idle(&self) -> bool {
        self.wanted == 0 && self.marks.is_empty()
    }

    pub(super) fn mark(&self, device: u64) -> Mark {
        self.marks.get(&device).copied().unwrap_or_default()
    }

    pub(super) const fn marks(&self) -> &BTreeMap<u64, Mark> {
        &self.marks
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// Changes what a device has to do with it: as what it was counted, and is now.
    pub(super) fn set_mark(&mut self, device: u64, change: impl FnOnce(&mut Mark)) -> (Kind, Kind) {
        let mut mark = self.mark(device);
        let before = mark.kind();
        change(&mut mark);
        let after = mark.kind();
        if mark == Mark::default() {
            self.marks.remove(&device);
        } else {
            self.marks.insert(device, mark);
        }
        match (before, after) {
            (Kind::Failed, Kind::Failed) => {}
            (Kind::Failed, _) => drop(self.failed.remove(&device)),
            (_, Kind::Failed) => drop(self.failed.insert(device)),
            _ => {}
        }
        if let Some(count) = self.tally.of(before) {
            *count -= 1;
        }
        if let Some(count) = self.tally.of(after) {
            *count += 1;
        }
        (before, after)
    }

    /// Reserves a slot by these terms, or gives one back.
    pub(super) fn promise(&mut self, terms: Terms, is_made: bool) {
        let at = self.promised.iter().position(|(other, _)| *other == terms);
        match (at, is_made) {
            (Some(at), true) => self.promised[at].1 += 1,
            (None, true) => self.promised.push((terms, 1)),
            (Some(at), false) => {
                self.promised[at].1 -= 1;
                if self.promised[at].1 == 0 {
                    self.promised.swap_remove(at);
                }
            }
            (None, false) => {}
        }
    }

    /// How many are under way, and how many down hold no slot.
    pub(super) const fn busy(&self) -> (u32, u32) {
        (self.tally.under_way, self.tally.down(true))
    }

    /// Those that have failed, in order.
    pub(super) const fn failed(&self) -> &BTreeSet<u64> {
        &self.failed
    }

    fn limit(&self, terms: Terms) -> u32 {
        terms.limit.of(self.devices.unwrap_or(0))
    }

    /// How many devices count if one that is counted as `kind` now has a slot.
    const fn with(&self, kind: Kind, counts_down: bool) -> u32 {
        let Tally { under_way, failed, reserved, reserved_down, down } = self.tally;
        let all =
            under_way + failed + reserved + reserved_down + if counts_down { down } else { 0 };
        if kind.counts(counts_down) { all } else { all + 1 }
    }

    /// Whether a device counted as `kind` may have a slot: by its own terms, and by those of
    /// whoever has reserved one and would go beyond its limit otherwise.
    fn has_room(&self, terms: Terms, kind: Kind) -> bool {
        let is_within = |terms: Terms| self.with(kind, terms.counts_down) <= self.limit(terms);
        self.is_mending(kind)
            || is_within(terms) && self.promised.iter().all(|(terms, _)| is_within(*terms))
    }

    /// Whether a device counted as `kind` has failed, and nobody else is under way here or has
    /// reserved a slot: it counts already, so that to send to it puts no more devices out of order.
    fn is_mending(&self, kind: Kind) -> bool {
        kind == Kind::Failed && self.tally.under_way == 0 && self.promised.is_empty()
    }

    /// Whether it could have none even if all that is under way had ended. One that has failed
    /// could be mended then, however many others have failed.
    fn is_stuck(&self, terms: Terms, kind: Kind) -> bool {
        if kind == Kind::Failed {
            return false;
        }
        let own = u32::from(kind.lasts(terms.counts_down));
        let lasting = self.tally.failed + self.tally.down(terms.counts_down);
        lasting.saturating_sub(own) >= self.limit(terms)
    }

    /// Whether one that has reserved a slot here may hold it now, or go on holding it, if it
    /// `had_failed` before it was under way. What others have reserved does not stand in its way:
    /// whoever of them comes later waits again.
    pub(super) fn may_hold(&self, terms: Terms, device: u64, had_failed: bool) -> bool {
        let kind = self.mark(device).kind();
        let is_under_way = kind == Kind::UnderWay;
        let own = is_under_way || kind.lasts(terms.counts_down);
        let Tally { under_way, failed, .. } = self.tally;
        if under_way == u32::from(is_under_way) && (had_failed || kind == Kind::Failed) {
            return true;
        }
        let all = under_way + failed + self.tally.down(terms.counts_down);
        all.saturating_sub(u32::from(own)) < self.limit(terms)
    }

    /// Whether a candidate that comes now may have a slot: nobody older waits, but for the stuck.
    pub(super) fn lets_in(&self, ticket: Ticket, terms: Terms, device: u64) -> bool {
        let is_in_front = |line: &Line| line.waiting.first().is_some_and(|first| *first < ticket);
        let is_passed = |line: &Line| !is_in_front(line) || self.is_stuck(line.terms, line.kind);
        self.has_room(terms, self.mark(device).kind()) && self.lines.iter().all(is_passed)
    }

    /// The oldest who waits and may have a slot, if nobody older waits for what will come to it.
    pub(super) fn first_ready(&self) -> Option<Ticket> {
        let first = |is_wanted: &dyn Fn(&Line) -> bool| {
            let lines = self.lines.iter().filter(|line| is_wanted(line));
            lines.filter_map(|line| line.waiting.first().copied()).min()
        };
        let ready = first(&|line| self.has_room(line.terms, line.kind))?;
        let waits = |line: &Line| {
            !self.has_room(line.terms, line.kind) && !self.is_stuck(line.terms, line.kind)
        };
        first(&waits).is_none_or(|ahead| ready < ahead).then_some(ready)
    }

    /// Puts somebody in line; whether that line is stuck.
    pub(super) fn join(&mut self, ticket: Ticket, terms: Terms, kind: Kind) -> bool {
        let is_stuck = self.is_stuck(terms, kind);
        let is_like = |line: &&mut Line| line.terms == terms && line.kind == kind;
        if let Some(line) = self.lines.iter_mut().find(is_like) {
            line.waiting.insert(ticket);
            return is_stuck;
        }
        let waiting = BTreeSet::from([ticket]);
        self.lines.push(Line { terms, kind, waiting, is_stuck });
        is_stuck
    }

    pub(super) fn leave(&mut self, ticket: Ticket, terms: Terms, kind: Kind) {
        let is_like = |line: &Line| line.terms == terms && line.kind == kind;
        let Some(at) = self.lines.iter().position(is_like) else { return };
        self.lines[at].waiting.remove(&ticket);
        if self.lines[at].waiting.is_empty() {
            self.lines.swap_remove(at);
        }
    }

    /// Those who have become stuck since this was last asked.
    pub(super) fn newly_stuck(&mut self) -> Vec<Ticket> {
        let mut tickets = vec![];
        for index in 0..self.lines.len() {
            let Line { terms, kind, is_stuck: was_stuck, .. } = self.lines[index];
            let is_stuck = self.is_stuck(terms, kind);
            self.lines[index].is_stuck = is_stuck;
            if is_stuck && !was_stuck {
                tickets.extend(self.lines[index].waiting.iter().copied());
            }
        }
        tickets
    }
}
