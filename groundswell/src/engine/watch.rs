//! The devices that were sent to and are asked for their version, and when each is asked next.
//!
//! Deadlines are durable; the times of the questions in between live here only, and after a
//! restart everybody is asked again, paced by the limits.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use groundswell_core::{
    admit::{Admission, Class, Slots},
    ids::AssignmentId,
    time::Time,
    verify,
};
use hashbrown::HashMap;

use crate::store::{Candidate, DeviceKey};

/// How long a question may take at least, even beyond the deadline: the one that is open then
/// decides, so it is given some time. What begins just before the deadline is no proof of silence.
const QUESTION_MIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Watched {
    candidate: Candidate,
    asked: u32,
    /// Whether a question is open: an answer that comes twice answers nothing.
    is_asked: bool,
}

/// The devices that are being verified.
#[derive(Debug)]
pub(crate) struct Watch {
    devices: HashMap<AssignmentId, Watched>,
    due: BinaryHeap<Reverse<(Time, AssignmentId)>>,
    hosts: Slots<AssignmentId>,
    open: u32,
    open_max: u32,
}

/// One question to be asked.
#[derive(Debug)]
pub struct Question {
    /// Whom.
    pub candidate: Candidate,
    /// How long it may take.
    pub within: Duration,
    /// Whether others on this host will be talked to soon.
    pub is_host_shared: bool,
}

impl Watch {
    /// At most `open_max` questions at once, and `per_host_max` to one host.
    pub(crate) fn new(open_max: u32, per_host_max: u32) -> Self {
        Self {
            devices: HashMap::new(),
            due: BinaryHeap::new(),
            hosts: Slots::new(per_host_max),
            open: 0,
            open_max,
        }
    }

    /// Begins to ask a device, whose deadline is its `due_at`.
    pub(crate) fn add(&mut self, candidate: Candidate, now: Time) {
        self.due.push(Reverse((now, candidate.id)));
        self.devices.insert(candidate.id, Watched { candidate, asked: 0, is_asked: false });
    }

    /// The questions to ask now.
    pub(crate) fn questions(&mut self, now: Time) -> Vec<Question> {
        let mut questions = vec![];
        while self.open < self.open_max {
            let (id, is_woken) = match self.hosts.next_woken(Class::Begun) {
                Some(id) => (id, true),
                None => match self.due.peek() {
                    Some(Reverse((at, id))) if *at <= now => (*id, false),
                    _ => break,
                },
            };
            if !is_woken {
                self.due.pop();
            }
            let Some(watched) = self.devices.get_mut(&id) else { continue };
            let host = watched.candidate.endpoint.address.origin();
            if !is_woken && self.hosts.admit(id, Class::Begun, host) == Admission::Parked {
                continue;
            }
            watched.asked += 1;
            watched.is_asked = true;
            self.open += 1;
            let left = watched.candidate.assignment.due_at.since(now);
            questions.push(Question {
                within: left.max(QUESTION_MIN),
                is_host_shared: self.hosts.is_shared(host),
                candidate: watched.candidate.clone(),
            });
        }
        questions
    }

    /// Takes note that a question was answered, and returns the device as it is known; none if
    /// there was no question.
    pub(crate) fn answered(&mut self, id: AssignmentId) -> Option<&Candidate> {
        let watched = self.devices.get_mut(&id)?;
        if !std::mem::take(&mut watched.is_asked) {
            return None;
        }
        self.open = self.open.saturating_sub(1);
        self.hosts.free(watched.candidate.endpoint.address.origin());
        Some(&watched.candidate)
    }

    /// Asks again after the next wait.
    pub(crate) fn again(&mut self, id: AssignmentId, now: Time) {
        if let Some(watched) = self.devices.get(&id) {
            let deadline = watched.candidate.assignment.due_at;
            self.due.push(Reverse((verify::next_question(watched.asked, now, deadline), id)));
        }
    }

    /// How many devices are asked.
    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether this one is.
    pub(crate) fn has(&self, id: AssignmentId) -> bool {
        self.devices.contains_key(&id)
    }

    /// The devices that are asked.
    pub(crate) fn devices(&self) -> impl Iterator<Item = DeviceKey> {
        self.devices.values().map(|watched| watched.candidate.device)
    }

    /// Stops asking, and hands all devices back. Answers that come later are of no interest.
    pub(crate) fn drain(&mut self) -> Vec<Candidate> {
        self.due.clear();
        let open = std::mem::take(&mut self.devices).into_values();
        self.hosts.reset();
        self.open = 0;
        let mut drained: Vec<Candidate> = open.map(|watched| watched.candidate).collect();
        drained.sort_unstable_by_key(|candidate| candidate.id);
        drained
    }

    /// The clock was set back: nothing waits longer than it would have.
    pub(crate) fn clock_set_back(&mut self, before: Time, now: Time) {
        let due = std::mem::take(&mut self.due).into_iter();
        self.due = due.map(|Reverse((at, id))| Reverse((now + at.since(before), id))).collect();
        for watched in self.devices.values_mut() {
            let assignment = &mut watched.candidate.assignment;
            *assignment = assignment.set_back(before, now);
        }
    }

    /// Stops asking a device, and hands it back.
    pub(crate) fn remove(&mut self, id: AssignmentId) -> Option<Candidate> {
        self.devices.remove(&id).map(|watched| watched.candidate)
    }

    /// When the next question falls due, if one may be asked.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        if self.open >= self.open_max {
            return None;
        }
        self.due.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use groundswell_core::{
        assignment::{Assignment, State},
        device::Endpoint,
    };

    use super::*;
    use crate::store::CohortKey;

    /// One that is verified, on a host that all share.
    fn candidate(id: i64) -> Candidate {
        let assignment = Assignment { state: State::Verifying, ..Assignment::queued() };
        Candidate {
            id: AssignmentId(id),
            device: DeviceKey(id),
            cohort: CohortKey(1),
            assignment,
            endpoint: Arc::new(Endpoint {
                id: format!("pos-{id}").into(),
                name: "".into(),
                address: "http://10.0.0.1:80".parse().unwrap(),
                update_path: None,
            }),
            has_address: true,
            known: None,
            values: Box::default(),
            has_slots: false,
        }
    }

    #[test]
    fn an_answer_that_comes_twice_frees_no_place_twice() {
        let now = Time::from_millis(1_000);
        let mut watch = Watch::new(1, 1);
        (1..=3).for_each(|id| watch.add(candidate(id), now));
        assert_eq!(watch.questions(now).len(), 1);
        assert!(watch.answered(AssignmentId(1)).is_some());
        assert!(watch.answered(AssignmentId(1)).is_none(), "there was no other question");
        watch.remove(AssignmentId(1));
        assert_eq!(watch.questions(now).len(), 1);
        assert!(watch.answered(AssignmentId(3)).is_none(), "it was not asked yet");
        assert_eq!(watch.questions(now).len(), 0, "one may be open, and is");
        assert!(watch.answered(AssignmentId(2)).is_some());
        assert_eq!(watch.questions(now)[0].candidate.id, AssignmentId(3));
    }
}
