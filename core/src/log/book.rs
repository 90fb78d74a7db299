//! The assignments of a rollout as the log tells them.

use std::collections::{BTreeMap, HashMap};

use super::{CohortCounts, Happened, Listed, Met};
use crate::{
    assignment::{Assignment, State},
    hours::Zone,
    ids::AssignmentId,
    snapshot::Counts,
};

/// A cohort: round, wave, and the name of its zone.
type Name = (u32, usize, String);

/// Every assignment that was written down, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: BTreeMap<AssignmentId, Row>,
    /// Those that the driver has in memory otherwise than they are written down.
    adjusted: BTreeMap<AssignmentId, Assignment>,
    cohorts: Vec<Name>,
    /// The rows of each cohort, counted.
    counts: Vec<Counts>,
    /// What the driver counts: rows that it has not heard of are not in it.
    driver: BTreeMap<(usize, String), Counts>,
    round: u32,
    hosts: HashMap<Box<str>, usize>,
    /// Deliveries open on each host.
    used: Vec<u32>,
    met: HashMap<AssignmentId, usize>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    cohort: usize,
    assignment: Assignment,
}

fn zone_name(zone: Option<&Zone>) -> String {
    zone.map_or("", Zone::name).to_owned()
}

impl Book {
    pub(super) fn list(&mut self, listed: &Listed) {
        let name = (listed.round, listed.wave, zone_name(listed.zone.as_ref()));
        let cohort = self.cohorts.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.cohorts.push(name);
            self.counts.push(Counts::default());
            self.cohorts.len() - 1
        });
        for id in listed.ids.iter() {
            let assignment = Assignment { state: listed.state, ..Assignment::queued() };
            if self.rows.insert(id, Row { cohort, assignment }).is_none() {
                *self.counts[cohort].of_mut(listed.state) += 1;
            }
        }
    }

    pub(super) fn unlist(&mut self, ids: impl Iterator<Item = AssignmentId>) {
        for id in ids {
            if let Some(Row { cohort, assignment }) = self.rows.remove(&id) {
                let counted = self.counts[cohort].of_mut(assignment.state);
                *counted = counted.saturating_sub(1);
            }
        }
    }

    pub(super) fn meet(&mut self, met: &[Met]) {
        for Met(id, _, host) in met {
            let next = self.used.len();
            let place = *self.hosts.entry(host.as_str().into()).or_insert(next);
            if place == next {
                self.used.push(0);
            }
            self.met.insert(AssignmentId(*id), place);
        }
    }

    pub(super) fn get(&self, id: AssignmentId) -> Option<Assignment> {
        let row = self.rows.get(&id)?;
        Some(self.adjusted.get(&id).copied().unwrap_or(row.assignment))
    }

    /// Deliveries that are open on the host of a device, if that is known.
    pub(super) fn open_on_host(&self, id: AssignmentId) -> Option<u32> {
        self.met.get(&id).map(|host| self.used[*host])
    }

    pub(super) fn set(&mut self, id: AssignmentId, to: Assignment) {
        self.adjusted.remove(&id);
        let Some(row) = self.rows.get_mut(&id) else { return };
        let from = std::mem::replace(&mut row.assignment, to).state;
        self.counts[row.cohort].shift(from, to.state);
        let (round, wave, zone) = &self.cohorts[row.cohort];
        if *round == self.round
            && let Some(counts) = self.driver.get_mut(&(*wave, zone.clone()))
        {
            counts.shift(from, to.state);
        }
        if let Some(host) = self.met.get(&id) {
            let is_open = |state: State| u32::from(state == State::Delivering);
            let used = &mut self.used[*host];
            *used = used.saturating_sub(is_open(from)) + is_open(to.state);
        }
    }

    pub(super) fn happened(&mut self, happened: &Happened) {
        for id in happened.ids.iter() {
            self.set(id, happened.assignment());
        }
    }

    /// Lets `change` adjust every assignment in `state`, in the memory of the driver only.
    pub(super) fn adjust(&mut self, state: State, change: impl Fn(Assignment) -> Assignment) {
        let in_state = self.rows.iter().filter(|(_, row)| row.assignment.state == state);
        let adjusted: Vec<_> = in_state
            .map(|(id, row)| (*id, self.adjusted.get(id).copied().unwrap_or(row.assignment)))
            .map(|(id, assignment)| (id, change(assignment)))
            .collect();
        self.adjusted.extend(adjusted);
    }

    /// The memory of a driver is gone.
    pub(super) fn forget_adjusted(&mut self) {
        self.adjusted.clear();
    }

    /// The rows of a round, counted: those cohorts that have any.
    pub(super) fn counted(&self, round: u32) -> Vec<((usize, String), Counts)> {
        let cohorts = self.cohorts.iter().zip(&self.counts);
        let mut counted: Vec<_> = cohorts
            .filter(|((of, ..), counts)| *of == round && counts.total() > 0)
            .map(|((_, wave, zone), counts)| ((*wave, zone.clone()), *counts))
            .collect();
        counted.sort_by(|(a, _), (b, _)| a.cmp(b));
        counted
    }

    /// The driver counts these from now on, and no others.
    pub(super) fn count(&mut self, round: u32, cohorts: &[CohortCounts]) {
        self.round = round;
        self.driver = named(cohorts).collect();
    }

    /// The driver counts these, too.
    pub(super) fn add(&mut self, cohorts: &[CohortCounts]) {
        for (name, counts) in named(cohorts) {
            *self.driver.entry(name).or_default() += counts;
        }
    }

    /// What the driver counts.
    pub(super) const fn driver(&self) -> &BTreeMap<(usize, String), Counts> {
        &self.driver
    }

    /// How many assignments are in which state, of a round.
    pub(super) fn states(&self, round: u32) -> Counts {
        self.counted(round).into_iter().map(|(_, counts)| counts).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

pub(super) fn named(
    cohorts: &[CohortCounts],
) -> impl Iterator<Item = ((usize, String), Counts)> + '_ {
    cohorts
        .iter()
        .map(|CohortCounts { wave, zone, counts }| ((*wave, zone_name(zone.as_ref())), *counts))
}
