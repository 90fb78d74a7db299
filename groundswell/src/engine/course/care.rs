//! Health during soak: who is asked, what their answers make of them, and what is written of it.

use groundswell_core::{
    bites,
    budget::Fate,
    event::Kind,
    health::{Checkup, Finding, Said, in_words},
    ids::AssignmentId,
    rollout::{State, WaveState},
    time::Time,
};

use super::Course;
use crate::{
    engine::{
        budgets::{Budgets, Freed},
        fact::{Command, Examination},
        patrol::Found,
        shared::Shared,
    },
    store::{
        DeviceKey, Heard, Patient, Patients, PatientsWant, Regression, SlotChange, writer::Job,
    },
};

impl Course {
    /// The round and the wave whose devices are to be looked after.
    pub(super) fn ward(&self) -> Option<(u32, usize)> {
        self.spec.health.as_ref()?;
        let is_going_on = matches!(self.progression.state, State::Running | State::Paused);
        let wave = self.progression.current().filter(|_| is_going_on && !self.is_stopping())?;
        let is_soaking = matches!(self.progression.waves[wave].state, WaveState::Soaking { .. });
        is_soaking.then_some((self.progression.round, wave))
    }

    /// Takes in what devices said of themselves.
    pub(super) fn take_pulses(&mut self, now: Time, shared: &mut Shared) {
        self.patrol.look_after(self.ward());
        let Some(health) = self.spec.health.clone() else { return };
        while let Some((patient, said, before)) = self.patrol.next_answer() {
            let id = patient.candidate.id;
            self.hear(&patient, &said, now);
            // What it says by itself is worth more than an answer that is as it should be.
            let said = patient.own_word.clone().map_or(said, Said::Ill);
            match health.judge(&said, &self.spec.release.version, before) {
                Finding::Nothing => self.patrol.doubt(),
                Finding::Well => {
                    self.patrol.suspect(id, 0);
                    self.recover(&patient, shared, now);
                }
                // What is known is not found again.
                _ if patient.is_regressed => {}
                Finding::Unwell(times) => self.patrol.suspect(id, times),
                Finding::Regressed(times) => self.patrol.find(Found { id, said, times }),
            }
        }
        self.patrol.end_lap(health.failures);
        for (patient, found) in self.patrol.take_confirmed() {
            let is_busy = shared.busy_with(patient.candidate.device, self.key).is_some();
            if !patient.is_regressed && !is_busy {
                self.regress(&patient, &found, shared, now);
            }
        }
    }

    /// How far it is known how the devices of the wave that soaks are. Whoever stops or cannot
    /// write asks nobody, and so knows nothing.
    pub(super) fn checkup(&self) -> Checkup {
        let Some(wave) = self.progression.current().filter(|_| self.spec.health.is_some()) else {
            return Checkup::Done;
        };
        if self.patrol.is_finding() {
            Checkup::Confirming
        } else if self.patrol.has_heard((self.progression.round, wave)) {
            Checkup::Done
        } else {
            Checkup::Asking
        }
    }

    /// Whether a device was found to be regressed, or well again, and that is not written yet.
    pub(in crate::engine) fn is_settling(&self, device: DeviceKey, budgets: &Budgets) -> bool {
        budgets.failed_in(device).is_some_and(|id| self.patrol.is_settling(id))
    }

    /// An answer is a contact, whatever it says.
    fn hear(&mut self, Patient { candidate, .. }: &Patient, said: &Said, now: Time) {
        let version = match said {
            Said::Silent(_) => return,
            Said::Version(version) => Some(version.clone()),
            Said::Status(_) | Said::Unreadable | Said::Ill(_) => None,
        };
        let device = candidate.device;
        self.heard.push(Heard { device, version });
        self.pending_since.get_or_insert(now);
        if self.manner.look_every.is_some() {
            self.heard_of.push(device);
        }
    }

    /// A device that was updated is not well since.
    fn regress(&mut self, patient: &Patient, found: &Found, shared: &mut Shared, now: Time) {
        let Patient { candidate, .. } = patient;
        let Some(at) = self.place_of(candidate) else { return };
        let Found { id, said, times } = found;
        let text = in_words(said, *times);
        let cohort = &mut self.cohorts[at];
        cohort.record.counts.regressed += 1;
        cohort.is_changed = true;
        self.counts.regressed += 1;
        let record = &self.cohorts[at].record;
        self.log.decided();
        self.log.regressed(*id, (record.wave, record.zone.as_ref()), said, *times);
        if !bites!(FailedFreed) {
            shared.budgets.regressed(candidate);
            self.patrol.slots.push(SlotChange { id: *id, is_kept: true });
        }
        self.failures.note(candidate.device);
        self.patrol.settled(*id);
        self.patrol.regressed.push(Regression { id: *id, text: text.as_str().into() });
        self.pending_since.get_or_insert(now);
        let device = candidate.endpoint.id.clone();
        self.tell(now, || Kind::DeviceRegressed { device, detail: text });
    }

    /// One that keeps slots because it was not well is: they are free. Its mark stays.
    fn recover(&mut self, patient: &Patient, shared: &Shared, now: Time) {
        let Patient { candidate, is_regressed, keeps_slots, .. } = patient;
        let (device, id) = (candidate.device, candidate.id);
        if !is_regressed || !keeps_slots || !shared.budgets.has_failed_in(device, id) {
            return;
        }
        self.patrol.settled(id);
        let (fate, was_claimed) = (Fate::Recovered, false);
        self.freed.push(Freed { device, name: None, id, fate, was_claimed });
        self.patrol.slots.push(SlotChange { id, is_kept: false });
        self.pending_since.get_or_insert(now);
    }

    /// Asks those whose time has come, and has the next of them read.
    pub(super) fn care(&mut self, now: Time, commands: &mut Vec<Command>) {
        self.patrol.look_after(self.ward());
        let Some(health) = self.spec.health.clone().filter(|_| self.may_care()) else { return };
        let Some((_, wave)) = self.ward() else { return };
        let cohorts = self.cohorts.iter().filter(|cohort| cohort.record.wave == wave);
        let devices = cohorts.clone().map(|cohort| cohort.record.counts.succeeded).sum();
        let keys = cohorts.map(|cohort| cohort.record.key);
        // Those who were updated last are found once that is durable.
        if self.patrol.has_begun() || self.pending.is_empty() && !self.is_committing {
            self.patrol.go_around(now, health.every, devices, keys);
        }
        for (patient, is_host_shared) in self.patrol.patients(now, health.every) {
            let (candidate, check) = (patient.candidate, health.check.clone());
            let within = health.answer_timeout();
            let examination = Examination { candidate, check, within, is_host_shared };
            commands.push(Command::Examine(self.key, Box::new(examination)));
        }
        if let Some((page, again)) = self.patrol.want(now, health.every) {
            let want =
                PatientsWant { rollout: self.key, page, again, pers: self.slotting.pers.clone() };
            commands.push(Command::Store(Job::Patients(want)));
        }
    }

    fn may_care(&self) -> bool {
        self.may_ask() && !self.has_store_failed
    }

    /// When somebody is to be asked next.
    pub(super) fn care_at(&self) -> Option<Time> {
        let health = self.spec.health.as_ref().filter(|_| self.may_care())?;
        self.patrol.wake_at(health.every)
    }

    /// A device was asked how it is.
    pub(in crate::engine) fn examined(&mut self, id: AssignmentId, said: Said) {
        self.patrol.examined(id, said);
    }

    /// Devices that were updated were read.
    pub(in crate::engine) fn patients_read(&mut self, read: Patients) {
        self.patrol.read(read);
    }
}
