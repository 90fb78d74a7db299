//! Devices that are ended without being sent to: given up, too late, or out of their hours.
//!
//! Those in memory first; then cohort by cohort those in the store. What changes while they are read
//! is passed over: it is in memory, or ended. So a cohort that is never quiet is swept, too.

use groundswell_core::{
    assignment::{self, SkipReason, State},
    ids::AssignmentId,
    plan::{Sweep, SweepReason},
    time::Time,
};
use hashbrown::HashSet;

use super::Course;
use crate::store::{Candidate, CohortKey, QueueRead, QueueWant};

/// Devices ended in one go: some 20 ms of the writer's time.
const SWEEP_MAX: usize = 4_000;

const fn fact_of(why: SweepReason) -> assignment::Fact {
    match why {
        SweepReason::Canceled | SweepReason::Aborted => assignment::Fact::Canceled,
        SweepReason::Deadline => assignment::Fact::Expired(SkipReason::Deadline),
        SweepReason::WindowClosed => assignment::Fact::Expired(SkipReason::WindowClosed),
    }
}

/// Whether a sweep ends devices in `state`.
const fn ends(why: SweepReason, state: State) -> bool {
    match why {
        SweepReason::Aborted => !state.is_terminal(),
        SweepReason::Canceled => state.is_waiting() || matches!(state, State::Retrying),
        SweepReason::Deadline | SweepReason::WindowClosed => state.is_waiting(),
    }
}

/// A read of devices that are to be ended, while it is under way.
#[derive(Debug)]
pub(super) struct SweepRead {
    cohort: CohortKey,
    /// Who changed since it was asked for.
    pub(super) changed: HashSet<AssignmentId>,
    /// Nobody behind this is known to be read: somebody there went away since, or is not written
    /// down as away yet.
    back_to: i64,
}

impl SweepRead {
    fn go_back(&mut self, cohort: CohortKey, id: AssignmentId) {
        if cohort == self.cohort {
            self.back_to = self.back_to.min(id.0 - 1);
        }
    }
}

impl Course {
    fn is_swept(&self, cohort: CohortKey) -> bool {
        let at = self.cohort_at.get(&cohort);
        let sweep = self.sweep.as_ref();
        at.zip(sweep).is_some_and(|(at, sweep)| sweep.cohorts.contains(at))
    }

    /// Ends those in memory that are to be ended.
    pub(super) fn sweep_now(&mut self, now: Time) {
        let Some(Sweep { why, cohorts }) = self.sweep.clone() else { return };
        let fact = fact_of(why);
        if why == SweepReason::Aborted {
            self.stop_open(now);
        }
        let mut swept: Vec<Candidate> = vec![];
        let mut parked = self.slots.drain();
        parked.sort_unstable_by_key(|candidate| candidate.id);
        for candidate in parked {
            match candidate.assignment.state {
                State::Retrying => self.begun.push_back(candidate),
                _ => self.keep_fresh(candidate),
            }
        }
        for at in cohorts {
            let cohort = &mut self.cohorts[at];
            cohort.expire();
            swept.extend(cohort.stale.drain(..));
        }
        if ends(why, State::Retrying) {
            swept.extend(self.begun.drain(..));
            swept.extend(std::mem::take(&mut self.later).into_values());
        }
        for mut candidate in swept {
            if ends(why, candidate.assignment.state) {
                self.is_sweep_unwritten = true;
                self.change(&mut candidate, &fact, now);
            } else {
                self.keep(candidate, now);
            }
        }
    }

    /// Whether those of a cohort that are in `state` are to be ended by now.
    pub(super) fn is_to_be_ended(&self, cohort: CohortKey, state: State) -> bool {
        let is_meant = |sweep: &Sweep| !state.is_terminal() && ends(sweep.why, state);
        self.sweep.as_ref().is_some_and(is_meant) && self.is_swept(cohort)
    }

    /// One that is to be ended by now comes back to waiting: it is ended.
    pub(super) fn sweep_again(&mut self, candidate: &mut Candidate, now: Time) {
        if let Some(why) = self.sweep.as_ref().map(|sweep| sweep.why)
            && self.is_to_be_ended(self.cohort_of(candidate), candidate.assignment.state)
        {
            self.is_sweep_unwritten = true;
            self.change(candidate, &fact_of(why), now);
        }
    }

    /// From now on it is known who changes: rows of those are read as they were.
    pub(super) fn begin_sweep_read(&mut self, cohort: CohortKey) {
        let changed = self.pending.iter().map(|change| change.id).collect();
        let mut read = SweepRead { cohort, changed, back_to: i64::MAX };
        for (cohort, id) in &self.pending_away {
            read.go_back(*cohort, *id);
        }
        self.sweep_read = Some(read);
    }

    /// Leaves out those that changed since they were asked for; the next read begins before the
    /// first of them that is away now. If nobody there is to be ended any more, nothing was read.
    pub(super) fn end_sweep_read(&mut self, queue: &QueueRead, found: &mut Vec<Candidate>) {
        let read = self.sweep_read.take().filter(|_| self.is_swept(queue.cohort));
        let Some(read) = read else { return found.clear() };
        found.retain(|candidate| !read.changed.contains(&candidate.id));
        if let Some(at) = self.cohort_at.get(&queue.cohort) {
            let cohort = &mut self.cohorts[*at];
            cohort.swept_to = queue.last.min(read.back_to);
            cohort.is_swept = queue.is_end && read.back_to == i64::MAX;
        }
    }

    /// One that goes away in a cohort that was swept is found by the next sweep.
    pub(super) fn sweep_anew(&mut self, candidate: &Candidate) {
        let cohort = self.cohort_of(candidate);
        if let Some(at) = self.cohort_at.get(&cohort) {
            let cohort = &mut self.cohorts[*at];
            cohort.is_swept = false;
            cohort.swept_to = cohort.swept_to.min(candidate.id.0 - 1);
        }
        if let Some(read) = &mut self.sweep_read {
            read.go_back(cohort, candidate.id);
        }
    }

    /// What is to be read next to be ended: once for each commit, so that none grows without bound.
    pub(super) fn sweep_want(&self) -> Option<QueueWant> {
        if self.is_committing {
            return None;
        }
        let sweep = self.sweep.as_ref()?;
        sweep.cohorts.iter().map(|at| &self.cohorts[*at]).find_map(|cohort| {
            (!cohort.is_swept).then_some(QueueWant {
                cohort: cohort.record.key,
                after: cohort.swept_to,
                limit: SWEEP_MAX,
                is_sweep: true,
            })
        })
    }
}
