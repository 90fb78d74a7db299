//! What is told of domains: who holds, who waits.

use std::{collections::BTreeSet, sync::Arc};

use super::{Domains, holders::Why, parked::Parked, state::State};
use crate::budget::{Budget, Domain};

/// Where a domain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub domain: Arc<Domain>,
    /// How many devices of the inventory are in it, if that was told.
    pub devices: Option<u32>,
    /// How many may be out of order at once; unknown for a share of devices that nobody counted.
    pub limit: Option<u32>,
    /// Devices that hold a slot, in order, and why.
    pub holders: Vec<(u64, Why)>,
    /// Devices known to be down that hold none. They count where the budget says so.
    pub down: usize,
    /// Slots kept for candidates that wait for another domain.
    pub reserved: usize,
    /// Candidates that wait for it.
    pub waiting: usize,
}

/// Who waits for a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingAt<'a, T> {
    /// How many.
    pub count: usize,
    /// The one that came first.
    pub oldest: &'a T,
}

/// One that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<'a, T> {
    /// For which domain; none if for its own device, which is under way for another rollout.
    pub domain: Option<Arc<Domain>>,
    /// Which candidate.
    pub what: &'a T,
}

/// Who keeps others out of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Fullness<'a> {
    /// How many may be out of order at once.
    pub limit: u32,
    /// Devices that are under way.
    pub under_way: u32,
    /// Devices that are down and hold no slot, where they count.
    pub down: u32,
    /// Devices that have failed, in order.
    pub failed: &'a BTreeSet<u64>,
}

impl<T> Domains<T> {
    /// Every domain of the kinds of these budgets that somebody holds a slot in, is down in or
    /// waits for, in order, with the limits of these budgets. Costs O(all that is told and holds).
    pub fn standings(&self, budgets: &[Budget]) -> Vec<Standing> {
        let of_state = |state: &State| {
            let domain = state.domain();
            let budget = budgets.iter().find(|budget| budget.per == domain.per)?;
            Some(standing(state, domain, budget))
        };
        self.registry.sorted().into_iter().filter_map(of_state).collect()
    }

    /// Who keeps others out of a domain, by this budget, and which devices failed there; none if
    /// nobody holds a slot in it, is down in it or waits for it. Costs O(1).
    pub fn fullness(&self, domain: &Domain, budget: &Budget) -> Option<Fullness<'_>> {
        let state = &self.registry[self.registry.find(domain)?];
        let (under_way, down) = state.busy();
        let limit = budget.limit.of(state.devices().unwrap_or(0));
        let down = if budget.counts_down { down } else { 0 };
        Some(Fullness { limit, under_way, down, failed: state.failed() })
    }

    /// Whether a device holds a slot in a domain. Costs O(log of its devices).
    pub fn holds(&self, device: u64, domain: &Domain) -> bool {
        let key = self.registry.find(domain);
        key.is_some_and(|key| self.registry[key].mark(device).held.is_some())
    }

    /// How many domains are remembered.
    pub fn domain_count(&self) -> usize {
        self.registry.len()
    }

    /// How many candidates of a rollout wait. Costs O(1).
    pub fn parked(&self, rollout: u64) -> usize {
        self.of_rollout.get(&rollout).map_or(0, std::collections::BTreeSet::len)
    }

    /// The candidate of a rollout that has waited for the longest time. Costs O(1).
    pub fn oldest(&self, rollout: u64) -> Option<Waiting<'_, T>> {
        self.waiting(rollout).next()
    }

    /// All candidates of a rollout that wait, oldest first, and for which domain.
    pub fn waiting(&self, rollout: u64) -> impl Iterator<Item = Waiting<'_, T>> {
        let parked = self.of_rollout.get(&rollout).into_iter().flatten();
        parked.filter_map(|ticket| {
            let parked = self.parked.get(ticket)?;
            let domain = parked.waits_at().map(|key| self.registry[key].domain());
            Some(Waiting { domain, what: &parked.what })
        })
    }

    /// Who waits for a domain, of all rollouts; none if nobody does. Costs O(1).
    pub fn waiting_at(&self, domain: &Domain) -> Option<WaitingAt<'_, T>> {
        let state = &self.registry[self.registry.find(domain)?];
        let count = state.lines().map(|line| line.waiting.len()).sum();
        let first = state.lines().filter_map(|line| line.waiting.first()).min()?;
        let oldest = self.parked.get(first).map(|Parked { what, .. }| what)?;
        Some(WaitingAt { count, oldest })
    }
}

fn standing(state: &State, domain: Arc<Domain>, budget: &Budget) -> Standing {
    let devices = state.devices();
    let limit = match (budget.limit, devices) {
        (limit @ crate::budget::Limit::Max(_), _) => Some(limit.of(0)),
        (limit, devices) => devices.map(|devices| limit.of(devices)),
    };
    let holders: Vec<(u64, Why)> = state
        .marks()
        .iter()
        .filter_map(|(device, mark)| mark.held.map(|why| (*device, why)))
        .collect();
    let unheld = || state.marks().values().filter(|mark| mark.held.is_none());
    Standing {
        domain,
        devices,
        limit,
        holders,
        down: unheld().filter(|mark| mark.is_down).count(),
        reserved: unheld().filter(|mark| mark.reserved > 0).count(),
        waiting: state.lines().map(|line| line.waiting.len()).sum(),
    }
}
