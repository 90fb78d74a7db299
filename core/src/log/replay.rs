//! Running a log again: every decision is made anew on its recorded input, and what follows from
//! the records is held against the input of the next.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    Acted, Base, DECISIONS, Entry, Listed, Output, Record, Relative, Stands, Step, Taken,
    book::{Book, Kept},
    difference::{self, Differences},
    hold::Claims,
    step::Frame,
};
use crate::{
    assignment::{Assignment, State},
    ids::AssignmentId,
    plan, rollback,
    rollout::{self, Numbers, Progression, Spec},
    snapshot::Counts,
    time::Time,
};

/// Most mismatches that are told; one is enough to look.
const MISMATCHES_MAX: usize = 50;

/// Something that did not come out as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// In which entry, counted from 1.
    pub entry: u64,
    /// When that was.
    pub at: Time,
    /// What.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}, {}: {}", self.entry, self.at, self.what)
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// Decisions on counts that were made again.
    pub steps: u64,
    /// Decisions, facts and acts that were followed for the states they led to, and not made again:
    /// other decisions than this program's made them, or it is not known which.
    pub followed: u64,
    /// Devices that were judged again.
    pub judged: u64,
    /// Things that happened to devices, applied again.
    pub facts: u64,
    /// Operators' acts, done again.
    pub acts: u64,
    /// Drivers that took the rollout over.
    pub drivers: u64,
    /// Assignments there are.
    pub devices: u64,
    /// Versions of decisions other than this program's: what these decided was not made again.
    pub other_decisions: BTreeSet<u32>,
    /// Versions of the time zone database other than this program's: hours were not judged again.
    pub other_zones: BTreeSet<String>,
    /// What did not come out as recorded, the first ones.
    pub mismatches: Vec<Mismatch>,
    /// How many there are.
    pub mismatches_in_all: u64,
}

/// A replay of one rollout.
#[derive(Debug)]
pub struct Replay {
    zones: String,
    pub(super) spec: Option<Spec>,
    progression: Option<Progression>,
    /// Where it stood when that was written down last.
    stood: Option<Progression>,
    pub(super) now: Time,
    entry_at: Time,
    pub(super) frame: Frame,
    pub(super) book: Book,
    /// Claims since the last decision on counts.
    pub(super) claims: Claims,
    /// The decisions and the time zone database of whoever writes, as far as that is known.
    by: Option<(u32, String)>,
    /// Whether the log is one of these decisions, and of this time zone database.
    pub(super) is_same_decisions: bool,
    pub(super) is_same_zones: bool,
    pub(super) report: Report,
}

impl Replay {
    /// A replay by a program whose time zone database has the version `zones`.
    pub fn new(zones: &str) -> Self {
        Self {
            zones: zones.to_owned(),
            spec: None,
            progression: None,
            stood: None,
            now: Time::ZERO,
            entry_at: Time::ZERO,
            frame: Frame::default(),
            book: Book::default(),
            claims: Claims::default(),
            by: None,
            is_same_decisions: false,
            is_same_zones: false,
            report: Report::default(),
        }
    }

    /// Runs an entry again, and gives it back as it would be written now: its bytes must be the
    /// same.
    pub fn entry(&mut self, entry: &Entry) -> Entry {
        self.begin(entry);
        let records = entry.records.iter().map(|record| self.record(record)).collect();
        Entry { at: entry.at, records }
    }

    /// The records of an entry follow.
    pub(super) const fn begin(&mut self, entry: &Entry) {
        self.report.entries += 1;
        (self.now, self.entry_at) = (entry.at, entry.at);
    }

    /// What it came to.
    pub fn report(&self) -> Report {
        Report { devices: self.book.len(), ..self.report.clone() }
    }

    /// Where the rollout stands at the end.
    pub const fn progression(&self) -> Option<&Progression> {
        self.progression.as_ref()
    }

    /// How much did not come out as recorded, so far.
    pub const fn mismatches(&self) -> u64 {
        self.report.mismatches_in_all
    }

    /// What is to happen, at the end.
    pub const fn spec(&self) -> Option<&Spec> {
        self.spec.as_ref()
    }

    /// The id of the device of an assignment that was claimed, as it was then.
    pub fn device(&self, id: AssignmentId) -> Option<&str> {
        self.book.device(id)
    }

    /// The devices of a round at the end, counted.
    pub fn counts(&self, round: u32) -> Counts {
        self.book.states(round)
    }

    /// Where an assignment stands at the end.
    pub fn assignment(&self, id: AssignmentId) -> Option<Assignment> {
        self.book.get(id)
    }

    /// Says that something did not come out as recorded.
    pub fn mismatch(&mut self, what: impl Into<String>) {
        self.report.mismatches_in_all += 1;
        if self.report.mismatches.len() < MISMATCHES_MAX {
            let (entry, at, what) = (self.report.entries, self.now, what.into());
            self.report.mismatches.push(Mismatch { entry, at, what });
        }
    }

    /// Runs one record again.
    pub(super) fn record(&mut self, record: &Record) -> Record {
        match record {
            Record::At(before) => {
                let at = self.entry_at.as_millis().saturating_sub(*before);
                self.now = Time::from_millis(at);
            }
            Record::Spec(spec) => self.take_spec(spec),
            Record::Base(base) => self.restore(base),
            Record::Taken(taken) => self.taken(taken),
            Record::Beside(beside) => self.made_by(beside.decisions, &beside.zones),
            Record::Chosen(digest) => {
                self.with_progression(|progression| progression.prepared.clone_from(digest));
            }
            Record::Listed(listed) => self.listed(listed),
            Record::Unlisted(ids) => self.book.unlist(ids.iter()),
            Record::Added(cohorts) => self.book.add(cohorts),
            Record::Counted(cohorts) => {
                self.hold_counts(cohorts, "the driver counted");
                self.book.count(self.round(), cohorts);
            }
            Record::Moved(moved) => {
                if let Some(id) = self.book.relocate(moved).first() {
                    self.mismatch(format!("assignment {id} changed its zone, and is not there"));
                }
            }
            Record::Prepared => self.with_progression(rollout::end_preparing),
            Record::Met(met) => self.book.meet(met),
            Record::Step(step) => return Record::Step(Box::new(self.step_at(step))),
            Record::Judged(judged) => return Record::Judged(self.judged(judged)),
            Record::Happened(happened) => return Record::Happened(self.happened(happened)),
            Record::Regressed(regressed) => self.regressed(regressed),
            Record::Acted(acted) => return Record::Acted(self.acted(acted)),
            Record::TakenUp { waives_gate } => self.take_up(*waives_gate),
            Record::Unsendable(_) => {
                self.progression = self
                    .progression
                    .take()
                    .map(|before| rollout::unsendable(&before).unwrap_or(before));
            }
            Record::StartedBy(_) => {
                let now = self.now;
                self.with_progression(|progression| rollback::start(progression, now));
            }
            // Told, and nothing follows from it here.
            Record::RolledBack(_) | Record::Warned(_) => {}
            Record::SetBack(before) => {
                let now = self.now;
                self.book.adjust(State::Verifying, |row| row.set_back(*before, now));
            }
            Record::Unclaimed(rows) => {
                for (id, stood) in rows {
                    self.book.set(*id, *stood);
                }
            }
            Record::Stands(stands) => return Record::Stands(Box::new(self.stands(stands))),
        }
        record.clone()
    }

    fn with_progression(&mut self, change: impl FnOnce(&mut Progression)) {
        match &mut self.progression {
            Some(progression) => change(progression),
            None => self.mismatch("something happened before there was a spec"),
        }
    }

    fn take_spec(&mut self, spec: &Spec) {
        self.progression.get_or_insert_with(|| Progression::draft(spec));
        self.spec = Some(spec.clone());
    }

    pub(super) fn round(&self) -> u32 {
        self.progression.as_ref().map_or(1, |progression| progression.round)
    }

    /// What stands for the entries up to here when they are pruned, as the one record of an entry of
    /// the time of the last; `None` if there were none.
    pub fn base(&self) -> Option<Record> {
        let (spec, progression) = (self.spec.clone()?, self.progression.clone()?);
        let step = Relative::to(self.frame.whole(progression.clone()), self.entry_at);
        let stood = self.stood.as_ref().map(|stood| Stands::between(Some(&progression), stood));
        let stood = stood.filter(|stood| *stood != Stands::default());
        let may_go = may_be_taken_back(&progression);
        let Kept { open, ended, counted, met, adjusted } = self.book.to_base(may_go);
        let by = self.by.clone();
        let base = Base { spec, progression, stood, by, step, open, ended, counted, met, adjusted };
        Some(Record::Base(Box::new(base)))
    }

    fn restore(&mut self, base: &Base) {
        self.spec = Some(base.spec.clone());
        self.progression = Some(base.progression.clone());
        if let Some((decisions, zones)) = &base.by {
            self.made_by(*decisions, zones);
        }
        let stood = base.stood.clone().unwrap_or_default().after(Some(&base.progression));
        let step = base.step.at(self.now);
        self.frame = Frame::default();
        let snapshot = self.frame.restore(&step.input, base.progression.clone());
        if let (Ok(stood), Some(snapshot)) = (stood, snapshot) {
            self.stood = Some(stood);
            self.frame.follow(&step.output, snapshot.allowance.next_at);
        } else {
            self.mismatch("what was kept of entries that were pruned makes no sense");
        }
        self.claims = Claims::default();
        self.book = Book::of_base(base);
    }

    fn made_by(&mut self, decisions: u32, zones: &str) {
        self.by = Some((decisions, zones.to_owned()));
        self.is_same_decisions = decisions == DECISIONS;
        self.is_same_zones = zones == self.zones;
        if !self.is_same_decisions {
            self.report.other_decisions.insert(decisions);
        }
        if !self.is_same_zones {
            self.report.other_zones.insert(zones.to_owned());
        }
    }

    fn taken(&mut self, taken: &Taken) {
        self.report.drivers += 1;
        self.made_by(taken.decisions, &taken.zones);
        self.frame = Frame::default();
        self.claims = Claims::default();
        self.hold_counts(&taken.cohorts, "a driver found");
        self.book.count(self.round(), &taken.cohorts);
        // What the driver before had in memory only is gone.
        self.book.forget_adjusted();
        if let Some(spec) = &self.spec {
            let now = self.now;
            self.book.adjust(State::Verifying, |row| row.taken_over(spec, now));
        }
    }

    fn listed(&mut self, listed: &Listed) {
        if listed.round != self.round() {
            self.mismatch(format!("devices of round {} were written down", listed.round));
        }
        self.book.list(listed);
    }

    fn step_at(&mut self, recorded: &Relative<Step>) -> Relative<Step> {
        let step = recorded.at(self.now);
        self.step(&step).map_or_else(|| recorded.clone(), |again| Relative::to(again, self.now))
    }

    /// What is decided on the recorded input; none if it makes no sense.
    fn step(&mut self, step: &Step) -> Option<Step> {
        let (Some(progression), Some(spec)) = (self.progression.clone(), self.spec.clone()) else {
            self.mismatch("something was decided before there was a spec");
            return None;
        };
        let before = self.frame.plan.clone();
        let Some(snapshot) = self.frame.restore(&step.input, progression) else {
            self.mismatch("the input of a decision makes no sense");
            return None;
        };
        let next_at = snapshot.allowance.next_at;
        self.frame.follow(&step.output, next_at);
        self.hold_input(&snapshot, &spec);
        self.claims = Claims::default();
        let (change, evidence) = (step.output.change, &step.output.evidence);
        let output = if self.is_same_decisions {
            self.report.steps += 1;
            let plan = plan::plan(&snapshot, &spec, self.now);
            self.differs(difference::plan(&self.frame.plan, &plan, &snapshot.cohorts, self.now));
            Output::between(&before, &plan, next_at)
        } else {
            self.report.followed += 1;
            step.output.clone()
        };
        if let (Some(change), Some(progression)) = (change, &mut self.progression) {
            change.apply_with(evidence, progression, self.now);
        }
        Some(Step { input: step.input.clone(), output })
    }

    fn acted(&mut self, acted: &Acted) -> Acted {
        let (Some(progression), Some(spec)) = (&self.progression, &self.spec) else {
            self.mismatch("an operator acted before there was a spec");
            return acted.clone();
        };
        if !self.is_same_decisions {
            self.report.followed += 1;
            return acted.clone();
        }
        self.report.acts += 1;
        let numbers = self.numbers(progression);
        let act = acted.act;
        let (after, refused) =
            match rollout::act_seen(progression, spec, &numbers, acted.wish(), self.now) {
                Ok(rollout::Acted::Changed(after)) => (Some(*after), None),
                Ok(rollout::Acted::Already(why)) => (None, Some(why.to_owned())),
                Err(why) => (None, Some(why)),
            };
        let mut fields = Differences::follows();
        let answer = |why: &Option<String>| {
            why.as_ref().map_or_else(|| "done".to_owned(), |why| format!("\"{why}\""))
        };
        fields.field("answer", (&acted.refused, &refused), answer);
        self.differs(fields.sentence(&format!("the operator said {act}")));
        if let Some(after) = after {
            let has_begun_round = after.round > self.round();
            self.progression = Some(after);
            if has_begun_round {
                self.book.count(self.round(), &[]);
            }
        }
        Acted { refused, ..acted.clone() }
    }

    /// What an act is judged by.
    fn numbers(&self, progression: &Progression) -> Numbers {
        let current = progression.current();
        let of_driver = self.book.driver();
        let all = of_driver.values().copied().sum();
        let of_current = of_driver.iter().filter(|((wave, _), _)| Some(*wave) == current);
        Numbers { all, current: of_current.map(|(_, counts)| *counts).sum() }
    }

    fn take_up(&mut self, waives_gate: bool) {
        let (Some(progression), Some(spec)) = (&self.progression, &self.spec) else {
            return self.mismatch("it was taken up before there was a spec");
        };
        let numbers = self.numbers(progression);
        match rollout::judge_anew(progression, spec, &numbers, waives_gate, self.now) {
            Ok(rollout::Acted::Changed(after)) => self.progression = Some(*after),
            Ok(rollout::Acted::Already(why)) => {
                self.mismatch(format!("it was taken up again, which changes nothing: {why}"));
            }
            Err(refusal) => {
                self.mismatch(format!("it was taken up again, which is refused: {refusal}"));
            }
        }
    }

    fn stands(&mut self, recorded: &Relative<Stands>) -> Relative<Stands> {
        let now = self.now;
        let stands = recorded.at(now);
        let was = self.stood.take();
        let is = match stands.after(was.as_ref()) {
            Ok(is) => is,
            Err(why) => {
                self.mismatch(format!("where it stood makes no sense: {why}"));
                self.stood = was;
                return recorded.clone();
            }
        };
        let Some(follows) = &mut self.progression else {
            self.mismatch("it stood somewhere before there was a spec");
            return recorded.clone();
        };
        // Rounds that ended are not written down again.
        let earlier = std::mem::take(&mut follows.earlier);
        let again = follows.clone();
        *follows = Progression { earlier, ..is.clone() };
        self.stood = Some(is.clone());
        if !self.is_same_decisions {
            return recorded.clone();
        }
        let fields = difference::progression(Differences::follows(), &is, &again);
        self.differs(fields.sentence("where it stands"));
        let was = was.filter(|_| !stands.is_whole());
        Relative::to(Stands::between(was.as_ref(), &again), now)
    }
}

/// Whether rows may be taken back yet: devices of the first round are chosen anew until all are
/// written down, and whoever gives the rollout up before that takes back what is of no choice.
const fn may_be_taken_back(progression: &Progression) -> bool {
    let Progression { state, round, started_at, .. } = progression;
    *round == 1
        && started_at.is_none()
        && matches!(
            state,
            rollout::State::Preparing | rollout::State::Canceling | rollout::State::Aborting
        )
}
