//! What happened, taken in.

use groundswell_core::{
    assignment::{self, State},
    bites,
    ids::AssignmentId,
    log::Record,
    outcome::{Answer, Outcome},
    time::Time,
    verify,
};

use super::Course;
use crate::store::{Candidate, Cursor, Heard, IntentSeq, Page};

impl Course {
    pub(in crate::engine) fn fetched(&mut self, now: Time, mut page: Page) {
        self.is_fetching = false;
        if !std::mem::take(&mut self.is_cursor_outdated) {
            self.cursor = page.cursor;
            self.next_away_at = page.next_due_at;
        }
        // What was asked for before something else became known is asked for again.
        let is_outdated = std::mem::take(&mut self.is_page_outdated);
        let mut read_on = None;
        if let Some(queue) = page.queue {
            if queue.is_sweep {
                self.end_sweep_read(&queue, &mut page.candidates);
            } else if let Some(at) = self.cohort_at.get(&queue.cohort) {
                read_on = Some((*at, queue.last, queue.is_end));
            }
        }
        let mut came: Vec<Candidate> = vec![];
        let is_known_asked = self.spec.asks_what_is_known() || !self.rivals.is_empty();
        for (id, known, values) in page.refreshed {
            if let Some(mut candidate) = self.refreshing.remove(&id) {
                candidate.known = is_known_asked.then(|| Box::new(known));
                candidate.values = values;
                came.push(candidate);
            }
        }
        let mut left: Vec<Candidate> = std::mem::take(&mut self.refreshing).into_values().collect();
        left.sort_unstable_by_key(|candidate| candidate.id);
        came.append(&mut left);
        for candidate in page.candidates {
            // One that was moved here from another cohort is here.
            let is_queued = candidate.assignment.state == State::Queued;
            if is_queued && self.changes.has_moved(candidate.id) {
                continue;
            }
            // One that was read as it was is read again, and must count as new then.
            let is_new = is_queued && self.takes_queued(&candidate, read_on.is_some())
                || !is_queued
                    && !self.is_outdated(&candidate)
                    && self.missing_here.insert(candidate.id);
            if is_new {
                came.push(candidate);
            }
        }
        came.extend(self.take_recalled(page.recalled));
        if let Some((at, last, is_end)) = read_on {
            self.cohorts[at].read_on(last, is_end);
        }
        for candidate in came {
            if self.is_outdated(&candidate) {
                continue;
            }
            if let Some(at) = self.place_of(&candidate) {
                let cohort = &mut self.cohorts[at];
                let queue = if is_outdated { &mut cohort.stale } else { &mut cohort.fresh };
                if self.failures.is_doubted(candidate.device) {
                    // While what was read of it is new.
                    queue.push_front(candidate);
                } else {
                    queue.push_back(candidate);
                }
            }
        }
        self.sweep_now(now);
    }

    /// Those who were left in the store and are queued still.
    fn take_recalled(
        &mut self,
        recalled: Vec<(AssignmentId, Option<Candidate>)>,
    ) -> Vec<Candidate> {
        let mut came = vec![];
        for (id, found) in recalled {
            let is_wanted = self.cohorts.iter_mut().any(|cohort| cohort.takes_called(id));
            if is_wanted && !self.changes.has_moved(id) {
                came.extend(found);
            }
        }
        came
    }

    /// Whether one that was read as queued is not in memory; all that a sweep reads are to be ended.
    fn takes_queued(&mut self, candidate: &Candidate, is_of_queue: bool) -> bool {
        let at = self.cohort_at.get(&candidate.cohort);
        !is_of_queue || at.is_none_or(|at| self.cohorts[*at].takes(candidate.id))
    }

    pub(in crate::engine) fn committed(&mut self) -> Vec<groundswell_core::event::Event> {
        self.is_committing = false;
        self.changes.committed();
        self.patrol.committed();
        self.ready.extend(self.claiming.drain(..).map(|(_, candidate)| candidate));
        self.committing_missing.clear();
        self.durably_freed.append(&mut self.committing_freed);
        self.failures.committed();
        let away_at = self.committing_away_at.take();
        self.next_away_at = self.next_away_at.into_iter().chain(away_at).min();
        std::mem::take(&mut self.committing_events)
    }

    pub(in crate::engine) fn delivered(&mut self, now: Time, id: AssignmentId, outcome: Outcome) {
        let Some(mut candidate) = self.open.remove(&id) else { return };
        self.slots.free(candidate.endpoint.address.origin());
        if bites!(OutcomeLost) && self.is_committing {
            return;
        }
        let is_answer = matches!(&outcome, Outcome::Accepted { .. } | Outcome::Refused { .. });
        let is_success = matches!(&outcome, Outcome::Accepted { .. });
        if is_answer && self.manner.look_every.is_some() {
            self.heard_of.push(candidate.device);
        }
        if is_answer && !(is_success && self.spec.verify.mode == verify::Mode::None) {
            self.heard.push(Heard { device: candidate.device, version: None });
        }
        self.change(&mut candidate, &assignment::Fact::Delivered(outcome), now);
        self.keep(candidate, now);
    }

    pub(in crate::engine) fn returned(&mut self, now: Time, id: AssignmentId) {
        let Some(mut candidate) = self.open.remove(&id) else { return };
        self.hand_back_one(&mut candidate, now);
        self.keep(candidate, now);
    }

    pub(super) fn hand_back_one(&mut self, candidate: &mut Candidate, now: Time) {
        self.slots.free(candidate.endpoint.address.origin());
        self.change(candidate, &assignment::Fact::Returned, now);
    }

    /// Keeps a device where it will be found when something is to be done with it. Those that are
    /// away are in the store.
    pub(super) fn keep(&mut self, candidate: Candidate, now: Time) {
        match candidate.assignment.state {
            State::Verifying => self.watch.add(candidate, now),
            State::Retrying => self.try_later(candidate, now),
            State::Queued => self.keep_fresh(candidate),
            _ => {}
        }
    }

    pub(in crate::engine) fn asked(&mut self, now: Time, id: AssignmentId, answer: Answer) {
        let Some(candidate) = self.watch.answered(id) else { return };
        let mut candidate = candidate.clone();
        let shown = match &answer {
            Answer::Version { version } => Some(Some(version.as_str().into())),
            Answer::Unreadable { .. } => Some(None),
            Answer::Silent { .. } => None,
        };
        self.change(&mut candidate, &assignment::Fact::Asked(answer), now);
        match (candidate.assignment.state, shown) {
            (State::Verifying, shown) => {
                let device = candidate.device;
                if let Some(version) = shown {
                    self.heard.push(Heard { device, version });
                    self.pending_since.get_or_insert(now);
                }
                return self.watch.again(id, now);
            }
            (State::Succeeded, _) | (_, None) => {}
            (_, Some(version)) => self.heard.push(Heard { device: candidate.device, version }),
        }
        self.watch.remove(id);
        self.keep(candidate, now);
    }

    /// Whether one that waits was read before what became of it was written.
    fn is_outdated(&self, candidate: &Candidate) -> bool {
        let id = candidate.id;
        self.pending_missing.contains(&id) || self.committing_missing.contains(&id)
    }

    /// A device was heard of that is away here: it is due at once, unless it is dealt with already.
    /// Says whether that changed anything.
    pub(in crate::engine) fn contacted(&mut self, now: Time, mut candidate: Candidate) -> bool {
        let id = candidate.id;
        let is_known = self.is_outdated(&candidate)
            || self.missing_here.contains(&id)
            || self.open.contains_key(&id)
            || self.watch.has(id)
            || self.claiming.iter().any(|(_, claimed)| claimed.id == id)
            || self.ready.iter().chain(&self.begun).any(|c| c.id == id)
            || self.refreshing.contains_key(&id)
            || self
                .cohorts
                .iter()
                .any(|cohort| cohort.fresh.iter().chain(&cohort.stale).any(|c| c.id == id));
        if !is_known {
            self.change(&mut candidate, &assignment::Fact::Contacted, now);
            return true;
        }
        // It is known to be there now; what was read of it before says otherwise.
        if let Some(at) = self.place_of(&candidate) {
            self.cohorts[at].expire();
        }
        self.is_page_outdated |= self.is_fetching;
        false
    }

    /// A candidate whose device was busy with another rollout.
    pub(in crate::engine) fn woken(&mut self, candidate: Candidate) {
        self.busy.remove(&candidate.device);
        // It may run something else by now.
        self.keep_stale(candidate);
    }

    /// Answers an intent with the next commit.
    pub(in crate::engine) fn answer(
        &mut self,
        now: Time,
        seq: IntentSeq,
        answer: crate::store::Answer,
    ) {
        self.answers.push((seq, answer));
        self.pending_since.get_or_insert(now);
    }

    /// The clock was set back: nothing waits longer than it would have.
    pub(in crate::engine) fn clock_set_back(&mut self, before: Time, now: Time) {
        self.log.at(now);
        self.log.push(Record::SetBack(before));
        let later = std::mem::take(&mut self.later);
        for ((due_at, id), candidate) in later {
            self.later.insert((now + due_at.since(before), id), candidate);
        }
        self.watch.clock_set_back(before, now);
        self.patrol.clock_set_back(now);
        self.read_away_anew();
        self.slotting.clock_set_back(now);
        self.be_prepared_by(now);
        self.told.0 = self.told.0.min(now);
        self.pending_since = self.pending_since.map(|_| now);
    }

    /// Those that are away were read up to a time that has still to come: whoever is heard of until
    /// then would fall due behind it.
    fn read_away_anew(&mut self) {
        (self.cursor, self.away_floor) = (Cursor::default(), Time::ZERO);
        self.is_cursor_outdated = self.is_fetching;
        if self.counts.away + self.counts.absent > 0 {
            self.next_away_at = Some(Time::ZERO);
        }
    }
}
