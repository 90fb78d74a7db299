//! The devices of a wave that soaks: who is asked how it is, and when.
//!
//! They are read from the store page by page, lap after lap, and asked evenly over the time that
//! one lap is to take. What is kept of them are those of a page, those that are asked just now, and
//! how often those who are not well were not; a restart begins anew. Type to read first: [`Patrol`].

use std::{collections::VecDeque, time::Duration};

use groundswell_core::{
    admit::{Admission, Class, Slots},
    health::Said,
    ids::AssignmentId,
    time::Time,
};
use hashbrown::{HashMap, HashSet};

use crate::store::{CohortKey, Patient, Patients, PatientsPage, Regression, SlotChange};

/// Assignments looked at in one read: a fraction of a millisecond of the thread that also writes.
const PAGE: usize = 256;

/// Most devices that are not well and have not been found to be regressed: a few megabytes. With
/// so many a lap ends where it is, and those come first who are in doubt.
const SUSPECTS_MAX: usize = 65_536;

/// Those due within this are asked together: a fleet of 100,000 wakes the driver no more often.
const TOGETHER: Duration = Duration::from_millis(20);

/// The devices of the wave that soaks.
#[derive(Debug)]
pub(crate) struct Patrol {
    /// The round and the wave that are looked after.
    ward: Option<(u32, usize)>,
    lap: Option<Lap>,
    /// Whole laps that have ended; those are told apart only until they are enough.
    laps: u32,
    /// Whether each device was asked, and who was not well was asked often enough since.
    is_heard: bool,
    page: VecDeque<Patient>,
    hosts: Slots<Patient>,
    parked: usize,
    open: HashMap<AssignmentId, Patient>,
    open_max: u32,
    is_reading: bool,
    /// Whether what is being read was asked for another wave.
    is_outdated: bool,
    /// Bad answers in a row, of those whose last one was bad.
    suspects: HashMap<AssignmentId, u32>,
    answers: Vec<(AssignmentId, Said)>,
    /// Those who are regressed unless it turns out that others have sent to them since.
    found: Vec<Found>,
    confirming: Vec<Found>,
    confirmed: Vec<(Patient, Found)>,
    /// Found to be regressed, or well again, in what is not durable.
    unwritten: HashSet<AssignmentId>,
    /// What of that waits for a commit: who is regressed, and what became of slots.
    pub(crate) regressed: Vec<Regression>,
    pub(crate) slots: Vec<SlotChange>,
    writing: HashSet<AssignmentId>,
}

/// A device that is not well.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: AssignmentId,
    pub(crate) said: Said,
    pub(crate) times: u32,
}

/// One time around.
#[derive(Debug)]
struct Lap {
    begun_at: Time,
    /// How many there are to be asked, and how many were.
    devices: u64,
    asked: u64,
    /// What is left to be read.
    cohorts: VecDeque<CohortKey>,
    after: i64,
    /// Whether it ends before each was asked.
    is_cut: bool,
    /// Whether of somebody it is not known that it is well, nor that it is regressed.
    is_in_doubt: bool,
    is_over: bool,
}

impl Patrol {
    /// At most `open_max` questions at once, and `per_host_max` to one host.
    pub(crate) fn new(open_max: u32, per_host_max: u32) -> Self {
        Self {
            ward: None,
            lap: None,
            laps: 0,
            is_heard: false,
            page: VecDeque::new(),
            hosts: Slots::new(per_host_max),
            parked: 0,
            open: HashMap::new(),
            open_max,
            is_reading: false,
            is_outdated: false,
            suspects: HashMap::new(),
            answers: vec![],
            found: vec![],
            confirming: vec![],
            confirmed: vec![],
            unwritten: HashSet::new(),
            regressed: vec![],
            slots: vec![],
            writing: HashSet::new(),
        }
    }

    /// Looks after this wave of this round from now on, and after no other.
    pub(crate) fn look_after(&mut self, ward: Option<(u32, usize)>) {
        if self.ward == ward {
            return;
        }
        self.ward = ward;
        self.lap = None;
        (self.laps, self.is_heard) = (0, false);
        self.page.clear();
        self.hosts.reset();
        self.parked = 0;
        self.open.clear();
        self.suspects.clear();
        self.answers.clear();
        self.found.clear();
        self.confirming.clear();
        self.confirmed.clear();
        self.is_outdated = self.is_reading;
    }

    /// Whether it has begun to go around.
    pub(crate) const fn has_begun(&self) -> bool {
        self.lap.is_some()
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.ward.is_some()
    }

    /// Whether somebody is about to be found regressed: nothing is judged before that is known.
    pub(crate) fn is_finding(&self) -> bool {
        !(self.found.is_empty() && self.confirming.is_empty() && self.confirmed.is_empty())
    }

    /// Begins the next lap over so many devices of these cohorts, if it is time.
    pub(crate) fn go_around(
        &mut self,
        now: Time,
        every: Duration,
        devices: u64,
        cohorts: impl Iterator<Item = CohortKey>,
    ) {
        let is_due = self.lap.as_ref().is_none_or(|lap| lap.next_at(every) <= now);
        if self.is_on() && devices > 0 && is_due && !self.is_in_lap() && !self.is_awaited() {
            self.lap = Some(Lap {
                begun_at: now,
                devices,
                asked: 0,
                cohorts: cohorts.collect(),
                after: 0,
                is_cut: false,
                is_in_doubt: false,
                is_over: false,
            });
        }
    }

    /// Whether a lap that is still counted waits for nothing but answers.
    fn is_awaited(&self) -> bool {
        !self.is_heard && !self.open.is_empty()
    }

    /// Takes note of a lap that has ended. So many bad answers in a row make a device regressed:
    /// after as many more laps nobody is in doubt any more who was in the first.
    pub(crate) fn end_lap(&mut self, failures: u32) {
        if self.is_heard || self.is_in_lap() || self.is_awaited() {
            return;
        }
        let Some(lap) = self.lap.as_mut().filter(|lap| !lap.is_over) else { return };
        lap.is_over = true;
        if !lap.is_cut {
            self.laps += 1;
            self.is_heard = !lap.is_in_doubt || self.laps > failures;
        }
    }

    /// Of a device it is not known that it is well, nor that it is regressed.
    pub(crate) const fn doubt(&mut self) {
        if let Some(lap) = &mut self.lap {
            lap.is_in_doubt = true;
        }
    }

    /// Whether each device of this wave was asked, and nobody is in doubt who was then.
    pub(crate) fn has_heard(&self, ward: (u32, usize)) -> bool {
        self.ward == Some(ward) && self.is_heard
    }

    fn is_in_lap(&self) -> bool {
        let is_left = self.lap.as_ref().is_some_and(|lap| !lap.cohorts.is_empty());
        is_left || self.is_reading || !self.page.is_empty() || self.parked > 0
    }

    /// Those to ask now, each with whether others on its host will be asked soon.
    pub(crate) fn patients(&mut self, now: Time, every: Duration) -> Vec<(Patient, bool)> {
        let mut patients = vec![];
        while self.open.len() < self.open_max as usize {
            let patient = if let Some(patient) = self.hosts.next_woken(Class::Begun) {
                self.parked -= 1;
                patient
            } else {
                let Some(patient) = self.next_due(now, every) else { break };
                let host = patient.candidate.endpoint.address.clone();
                match self.hosts.admit(patient, Class::Begun, host.origin()) {
                    Admission::Claimed(patient) => patient,
                    Admission::Parked => {
                        self.parked += 1;
                        continue;
                    }
                }
            };
            let is_shared = self.hosts.is_shared(patient.candidate.endpoint.address.origin());
            self.open.insert(patient.candidate.id, patient.clone());
            patients.push((patient, is_shared));
        }
        patients
    }

    /// The next of the page whose time has come.
    fn next_due(&mut self, now: Time, every: Duration) -> Option<Patient> {
        let lap = self.lap.as_mut()?;
        while lap.due_at(every) <= now + TOGETHER && self.parked < PAGE {
            let patient = self.page.pop_front()?;
            lap.asked += 1;
            let id = patient.candidate.id;
            let is_needless = patient.is_regressed && !patient.keeps_slots;
            let is_settling = self.unwritten.contains(&id) || self.writing.contains(&id);
            if !is_needless && !is_settling && !self.open.contains_key(&id) {
                return Some(patient);
            }
        }
        None
    }

    /// What is to be read now: the next page, and those who are to be confirmed.
    pub(crate) fn want(
        &mut self,
        now: Time,
        every: Duration,
    ) -> Option<(Option<PatientsPage>, Vec<AssignmentId>)> {
        if self.is_reading || !self.is_on() {
            return None;
        }
        let is_full = self.suspects.len() >= SUSPECTS_MAX;
        if let Some(lap) = self.lap.as_mut().filter(|_| is_full) {
            lap.is_cut |= !lap.cohorts.is_empty();
            lap.cohorts.clear();
        }
        let lap = self.lap.as_ref().filter(|lap| lap.due_at(every) <= now + TOGETHER);
        let page = lap.filter(|_| self.page.is_empty()).and_then(|lap| {
            let cohort = *lap.cohorts.front()?;
            Some(PatientsPage { cohort, after: lap.after, limit: PAGE })
        });
        if page.is_none() && self.found.is_empty() {
            return None;
        }
        self.confirming = std::mem::take(&mut self.found);
        self.is_reading = true;
        Some((page, self.confirming.iter().map(|found| found.id).collect()))
    }

    /// What was wanted was read.
    pub(crate) fn read(&mut self, read: Patients) {
        self.is_reading = false;
        if std::mem::take(&mut self.is_outdated) {
            return;
        }
        if let (Some((last, is_end)), Some(lap)) = (read.read, &mut self.lap) {
            lap.after = last;
            if is_end {
                lap.cohorts.pop_front();
                lap.after = 0;
            }
        }
        self.page.extend(read.page);
        let mut again: HashMap<AssignmentId, Patient> =
            read.again.into_iter().map(|patient| (patient.candidate.id, patient)).collect();
        for found in std::mem::take(&mut self.confirming) {
            if let Some(patient) = again.remove(&found.id) {
                self.confirmed.push((patient, found));
            }
        }
    }

    /// A device answered, or did not.
    pub(crate) fn examined(&mut self, id: AssignmentId, said: Said) {
        if self.open.contains_key(&id) {
            self.answers.push((id, said));
        }
    }

    /// The next answer: who gave it, and how many bad ones in a row there were before.
    pub(crate) fn next_answer(&mut self) -> Option<(Patient, Said, u32)> {
        loop {
            let (id, said) = self.answers.pop()?;
            // One that comes twice answers nothing.
            let Some(patient) = self.open.remove(&id) else { continue };
            self.hosts.free(patient.candidate.endpoint.address.origin());
            let before = self.suspects.get(&id).copied().unwrap_or(0);
            return Some((patient, said, before));
        }
    }

    /// So many bad answers in a row are known of a device.
    pub(crate) fn suspect(&mut self, id: AssignmentId, times: u32) {
        if times == 0 {
            self.suspects.remove(&id);
        } else {
            self.doubt();
            self.suspects.insert(id, times);
        }
    }

    /// A device is regressed, unless others have sent to it since.
    pub(crate) fn find(&mut self, found: Found) {
        self.suspects.remove(&found.id);
        self.found.push(found);
    }

    /// Those of whom it is known that they are regressed.
    pub(crate) fn take_confirmed(&mut self) -> Vec<(Patient, Found)> {
        std::mem::take(&mut self.confirmed)
    }

    /// What was found of a device is being written; what is read of it before is outdated.
    pub(crate) fn settled(&mut self, id: AssignmentId) {
        self.unwritten.insert(id);
    }

    /// Whether what was found of a device is not known to be written.
    pub(crate) fn is_settling(&self, id: AssignmentId) -> bool {
        self.unwritten.contains(&id) || self.writing.contains(&id)
    }

    pub(crate) fn committing(&mut self) {
        self.writing = std::mem::take(&mut self.unwritten);
    }

    pub(crate) fn committed(&mut self) {
        self.writing.clear();
    }

    /// The clock was set back: nothing waits longer than it would have.
    pub(crate) fn clock_set_back(&mut self, now: Time) {
        if let Some(lap) = &mut self.lap {
            lap.begun_at = lap.begun_at.min(now);
        }
    }

    /// When somebody is to be asked next, if anybody may be.
    pub(crate) fn wake_at(&self, every: Duration) -> Option<Time> {
        let lap = self.lap.as_ref()?;
        if self.is_reading || self.open.len() >= self.open_max as usize || self.parked >= PAGE {
            return None;
        }
        let is_left = !self.page.is_empty() || !lap.cohorts.is_empty();
        match (is_left, self.parked) {
            (true, _) => Some(lap.due_at(every)),
            (false, 0) if !self.is_awaited() => Some(lap.next_at(every)),
            _ => None,
        }
    }
}

impl Lap {
    /// When the next of them is due: they are spread evenly.
    fn due_at(&self, every: Duration) -> Time {
        let millis = every.as_millis() * u128::from(self.asked) / u128::from(self.devices.max(1));
        // More than were counted come at the end.
        let ahead = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).min(every);
        self.begun_at + ahead
    }

    fn next_at(&self, every: Duration) -> Time {
        self.begun_at + every
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
    use crate::store::{Candidate, DeviceKey};

    const EVERY: Duration = Duration::from_mins(1);
    const WARD: Option<(u32, usize)> = Some((1, 0));

    fn at(secs: i64) -> Time {
        Time::from_millis(1_000_000 + secs * 1_000)
    }

    fn patient(id: i64, host: i64) -> Patient {
        let assignment = Assignment { state: State::Succeeded, ..Assignment::queued() };
        let candidate = Candidate {
            id: AssignmentId(id),
            device: DeviceKey(id),
            cohort: CohortKey(1),
            assignment,
            endpoint: Arc::new(Endpoint {
                id: format!("pos-{id}").into(),
                name: "".into(),
                address: format!("http://10.0.0.{host}:80").parse().unwrap(),
                update_path: None,
            }),
            has_address: true,
            known: None,
            values: Box::default(),
            has_slots: false,
        };
        Patient { candidate, is_regressed: false, keeps_slots: false, own_word: None }
    }

    /// Asks until nothing more is to be asked now; who was asked.
    fn ask(patrol: &mut Patrol, devices: i64, now: Time) -> Vec<i64> {
        let mut asked = vec![];
        loop {
            patrol.go_around(now, EVERY, devices as u64, [CohortKey(1)].into_iter());
            let patients = patrol.patients(now, EVERY);
            asked.extend(patients.iter().map(|(patient, _)| patient.candidate.id.0));
            let Some((page, again)) = patrol.want(now, EVERY) else { return asked };
            let page = page.unwrap();
            let last = (page.after + page.limit as i64).min(devices);
            assert!(again.is_empty());
            patrol.read(Patients {
                page: (page.after + 1..=last).map(|id| patient(id, id % 200)).collect(),
                read: Some((last, last == devices)),
                again: vec![],
            });
        }
    }

    fn answer(patrol: &mut Patrol, ids: &[i64], status: u16) {
        for id in ids {
            patrol.examined(AssignmentId(*id), Said::Status(status));
        }
        while patrol.next_answer().is_some() {}
    }

    #[test]
    fn they_are_asked_evenly_each_once_in_a_lap_and_read_page_by_page() {
        let mut patrol = Patrol::new(10_000, 100);
        patrol.look_after(WARD);
        let mut asked = vec![];
        for secs in 0..=60 {
            let now = ask(&mut patrol, 6_000, at(secs));
            assert!(now.len() <= 110, "{} in one second", now.len());
            assert!(patrol.page.len() <= PAGE);
            answer(&mut patrol, &now, 200);
            asked.extend(now);
        }
        assert!(asked.iter().copied().eq(1..=6_000), "{} were asked", asked.len());
        assert_eq!(patrol.wake_at(EVERY), Some(at(60)));
        assert_eq!(ask(&mut patrol, 6_000, at(60)).first(), Some(&1), "the next lap");
    }

    #[test]
    fn no_more_are_open_than_may_be_and_a_lap_takes_longer_then() {
        let mut patrol = Patrol::new(4, 100);
        patrol.look_after(WARD);
        let first = ask(&mut patrol, 10, at(59));
        assert_eq!(first, [1], "evenly, from when it begins");
        let second = ask(&mut patrol, 10, at(119));
        assert_eq!(second, [2, 3, 4]);
        assert_eq!(patrol.wake_at(EVERY), None, "an answer comes first");
        answer(&mut patrol, &[1, 2], 200);
        assert_eq!(ask(&mut patrol, 10, at(119)), [5, 6]);
    }

    /// A lap of two devices, of which the second answers this; whether that is enough.
    fn go_round(patrol: &mut Patrol, from: i64, said: Option<Said>) -> bool {
        assert_eq!(ask(patrol, 2, at(from)), [1], "at {from}");
        assert_eq!(ask(patrol, 2, at(from + 59)), [2], "at {from}");
        for (id, said) in [(1, Some(Said::Status(200))), (2, said)] {
            if let Some(said) = said {
                patrol.examined(AssignmentId(id), said);
            }
        }
        while let Some((patient, said, before)) = patrol.next_answer() {
            let is_well = said == Said::Status(200);
            patrol.suspect(patient.candidate.id, if is_well { 0 } else { before + 1 });
        }
        patrol.end_lap(3);
        patrol.has_heard((1, 0))
    }

    #[test]
    fn a_wave_is_heard_once_each_answered_in_one_lap_and_nobody_is_in_doubt() {
        let mut patrol = Patrol::new(100, 10);
        patrol.look_after(WARD);
        patrol.end_lap(3);
        assert!(!patrol.has_heard((1, 0)), "nobody was asked");
        assert!(!go_round(&mut patrol, 0, None), "one has not answered");
        patrol.go_around(at(60), EVERY, 2, [CohortKey(1)].into_iter());
        assert_eq!(patrol.wake_at(EVERY), None, "the answer is waited for");
        answer(&mut patrol, &[2], 200);
        patrol.end_lap(3);
        assert!(patrol.has_heard((1, 0)) && !patrol.has_heard((1, 1)));
        // What comes later takes nothing back; another wave begins anew.
        assert!(go_round(&mut patrol, 60, Some(Said::Status(503))));
        patrol.look_after(Some((1, 1)));
        assert!(!patrol.has_heard((1, 1)));
    }

    #[test]
    fn whoever_is_not_well_is_asked_again_but_not_for_ever() {
        let ill = || Some(Said::Status(503));
        let mut patrol = Patrol::new(100, 10);
        patrol.look_after(WARD);
        assert!(!go_round(&mut patrol, 0, ill()));
        assert!(go_round(&mut patrol, 60, Some(Said::Status(200))));
        // In a large fleet somebody always is: each of the first lap was asked often enough since.
        patrol.look_after(None);
        patrol.look_after(WARD);
        let laps = [0, 60, 120, 180].map(|from| go_round(&mut patrol, from, ill()));
        assert_eq!(laps, [false, false, false, true]);
    }

    #[test]
    fn of_one_host_no_more_are_asked_than_may_be() {
        let mut patrol = Patrol::new(100, 1);
        patrol.look_after(WARD);
        patrol.go_around(at(0), EVERY, 3, [CohortKey(1)].into_iter());
        assert!(patrol.patients(at(0), EVERY).is_empty());
        patrol.want(at(0), EVERY).unwrap();
        let page = (1..=3).map(|id| patient(id, 7)).collect();
        patrol.read(Patients { page, read: Some((3, true)), again: vec![] });
        let ids = |patients: Vec<(Patient, bool)>| -> Vec<i64> {
            patients.iter().map(|(patient, _)| patient.candidate.id.0).collect()
        };
        assert_eq!(ids(patrol.patients(at(59), EVERY)), [1]);
        answer(&mut patrol, &[1], 200);
        assert_eq!(ids(patrol.patients(at(59), EVERY)), [2]);
        patrol.go_around(at(61), EVERY, 3, [CohortKey(1)].into_iter());
        assert!(patrol.want(at(61), EVERY).is_none(), "one of the lap before still waits");
    }

    #[test]
    fn an_answer_that_comes_twice_or_late_answers_nothing() {
        let mut patrol = Patrol::new(100, 10);
        patrol.look_after(WARD);
        assert_eq!(ask(&mut patrol, 2, at(0)), [1]);
        let said = || Said::Status(503);
        patrol.examined(AssignmentId(1), said());
        patrol.examined(AssignmentId(1), said());
        patrol.examined(AssignmentId(9), said());
        assert!(patrol.next_answer().is_some());
        assert!(patrol.next_answer().is_none());
        assert_eq!(ask(&mut patrol, 2, at(31)), [2]);
        patrol.look_after(Some((1, 1)));
        patrol.examined(AssignmentId(2), said());
        assert!(patrol.next_answer().is_none(), "its wave is not looked after any more");
    }

    #[test]
    fn with_too_many_in_doubt_those_are_asked_first() {
        let mut patrol = Patrol::new(10_000, 10_000);
        patrol.look_after(WARD);
        assert_eq!(ask(&mut patrol, 1_000, at(0)), [1]);
        (0..SUSPECTS_MAX as i64).for_each(|id| patrol.suspect(AssignmentId(id), 1));
        ask(&mut patrol, 1_000, at(59));
        assert!(patrol.lap.as_ref().unwrap().cohorts.is_empty(), "the lap is cut short");
        while !patrol.open.is_empty() {
            let open: Vec<i64> = patrol.open.keys().map(|id| id.0).collect();
            answer(&mut patrol, &open, 200);
            ask(&mut patrol, 1_000, at(59));
        }
        assert_eq!(patrol.wake_at(EVERY), Some(at(60)));
        (0..9).for_each(|_| patrol.end_lap(3));
        assert!(!patrol.has_heard((1, 0)), "not each was asked");
    }
}
