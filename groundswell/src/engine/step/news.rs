//! What others want of a driver: it is looked for, taken up, and answered.

use groundswell_core::{rollout::Wish, time::Time};

use super::{Command, Course, Engine, LOOK_EVERY};
use crate::store::{
    Answer, Candidate, INTENTS_MAX, Intent, IntentSeq, RolloutKey,
    writer::{Found, Job, Looked},
};

/// Why acts on a push are refused: its headers, paths and certificates are known to its own command
/// alone.
pub const PUSH_ACTS: &str = "it is a push: the same command goes on with it, and another push with --abandon \
                    gives it up";

/// Stands for an intent where the driver itself wants to know who waits for a device.
pub(super) const OWN: IntentSeq = IntentSeq(0);

impl Engine {
    /// What others want: acts on rollouts, news of devices, devices that may join.
    pub(super) fn take_up(&mut self, now: Time, looked: Looked, commands: &mut Vec<Command>) {
        if self.has_store_failed() {
            // The next driver is told.
            return;
        }
        // There may be more than were read at once.
        let is_all = looked.intents.len() < INTENTS_MAX && !looked.has_more;
        self.looked.version = is_all.then_some(looked.version);
        if !is_all {
            // Soon, and not at once: those that are not answered yet would be read again.
            self.looked.due_at = self.looked.due_at.min(now + LOOK_EVERY);
        }
        for (seq, intent) in looked.intents {
            if !self.taken_up.insert(seq) {
                continue;
            }
            match intent {
                Intent::Act { rollout, act, generation, ref reason } => {
                    match self.courses.get_mut(&rollout) {
                        Some(course) if course.ending.is_none() => {
                            course.is_dirty = true;
                            let wish = Wish { act, seen: generation, reason: reason.as_deref() };
                            if !course.act(now, seq, wish) {
                                self.put_back(seq);
                            }
                        }
                        _ => {
                            let wanted = self.wanted.entry(rollout).or_default();
                            if wanted.is_empty() {
                                commands.push(Command::Store(Job::Read(rollout)));
                            }
                            wanted.push((seq, intent));
                        }
                    }
                }
                Intent::Contact { device } => {
                    commands.push(Command::Store(Job::HasFailed(device)));
                    commands.push(Command::Store(Job::Waiting(seq, device)));
                }
                Intent::Released { device } => {
                    commands.push(Command::Store(Job::HasFailed(device)));
                    let answer = Answer::Already(String::new());
                    commands.push(Command::Store(Job::Answer(seq, answer)));
                }
            }
        }
        if let Some((last, _)) = looked.changed.last() {
            self.looked.read_to = *last;
        }
        self.looked.is_all_read = !looked.has_more;
        if !looked.changed.is_empty() {
            self.shared.budgets.devices_written(now);
        }
        if looked.has_more {
            // Nobody is claimed by hours that may be others.
            self.looked.due_at = now;
        }
        for course in self.courses.values_mut() {
            let devices = looked.changed.iter().map(|(_, device)| *device);
            course.devices_written(devices, !looked.has_more);
        }
    }

    /// What cannot be done yet is looked at again.
    fn put_back(&mut self, seq: IntentSeq) {
        self.taken_up.remove(&seq);
        self.looked.version = None;
    }

    /// A rollout was read: because somebody wants something of it, or because it is prepared.
    pub(super) fn read(
        &mut self,
        now: Time,
        key: RolloutKey,
        found: Option<Box<Found>>,
        commands: &mut Vec<Command>,
    ) {
        let Some(wanted) = self.wanted.remove(&key) else {
            let cohorts = found.map(|found| found.cohorts);
            self.with(key, |course| course.read(now, cohorts));
            return;
        };
        if self.has_store_failed() {
            // What was read may be older than what is kept of it.
            return;
        }
        let Some(found) = found else {
            for (seq, _) in wanted {
                let why = format!("there is no rollout {}", key.0);
                commands.push(Command::Store(Job::Answer(seq, Answer::Refused(why))));
            }
            return;
        };
        let Found { record, cohorts, rivals } = *found;
        if record.identity.is_some() {
            for (seq, _) in wanted {
                let answer = Answer::Refused(PUSH_ACTS.to_owned());
                commands.push(Command::Store(Job::Answer(seq, answer)));
            }
            return;
        }
        let mut course = Course::new(&record, cohorts, vec![], self.epoch, self.manner, now);
        course.add_rivals(rivals, &mut self.shared);
        for (seq, intent) in wanted {
            if let Intent::Act { act, generation, reason, .. } = intent
                && !course.act(now, seq, Wish { act, seen: generation, reason: reason.as_deref() })
            {
                self.put_back(seq);
            }
        }
        if self.stop {
            course.stop(now);
        }
        self.add(course);
    }

    /// Rollouts were started with the end of another one.
    pub(super) fn take_over(&mut self, now: Time, all: Vec<Found>) {
        for Found { record, cohorts, rivals } in all {
            let is_new =
                !self.courses.contains_key(&record.key) && !self.wanted.contains_key(&record.key);
            // Somebody may have acted on one before: then it is read for that.
            if !is_new || !record.progression.state.is_driven() || self.has_store_failed() {
                continue;
            }
            let mut course = Course::new(&record, cohorts, vec![], self.epoch, self.manner, now);
            course.add_rivals(rivals, &mut self.shared);
            if self.stop {
                course.stop(now);
            }
            self.add(course);
        }
    }

    pub(super) fn contacted(
        &mut self,
        now: Time,
        seq: IntentSeq,
        waiting: Vec<(RolloutKey, Candidate)>,
        commands: &mut Vec<Command>,
    ) {
        let mut changed = None;
        for (key, candidate) in waiting {
            self.with(key, |course| {
                if course.contacted(now, candidate) {
                    changed = Some(key);
                }
            });
        }
        let answer = Answer::Already(String::new());
        match changed {
            _ if seq == OWN => {}
            // Answered with what follows from it, so that a kill loses neither or both.
            Some(key) => self.with(key, |course| course.answer(now, seq, answer)),
            None => commands.push(Command::Store(Job::Answer(seq, answer))),
        }
    }

    pub(super) fn look(&mut self, now: Time, commands: &mut Vec<Command>) {
        let Some(every) = self.manner.look_every else { return };
        if self.looked.forgotten_to < self.looked.read_to
            && !self.looked.is_forgetting
            && self.courses.values().all(Course::is_settled)
        {
            self.looked.forgotten_to = self.looked.read_to;
            self.looked.is_forgetting = true;
            commands.push(Command::Store(Job::Forget(self.looked.read_to)));
        }
        if self.may_look() && now >= self.looked.due_at {
            self.looked.is_looking = true;
            self.looked.due_at = now + every;
            commands.push(Command::Store(Job::Look {
                seen: self.looked.version,
                after: self.looked.read_to,
            }));
        }
    }
}
