//! Writing down the devices of a rollout: chosen once, written in chunks, gone on with after a kill.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use groundswell_core::{
    bites,
    log::Record,
    rollout::{self, State},
    time::Time,
};

use super::Course;
use crate::{
    engine::{choose::Division, fact::Command},
    store::{
        Assign, CohortRecord, RoundCursor,
        writer::{Assignment, Job},
    },
};

/// Devices written down in one transaction: some 10 ms of it, so that others get their commits in
/// 50 ms even while the log is written back.
const CHUNK: usize = 1_500;

/// The wait after devices could not be chosen.
const CHOOSE_AGAIN: Duration = Duration::from_secs(10);

/// How far the devices of a rollout are written down.
#[derive(Debug, Default)]
pub(super) struct Preparation {
    stage: Stage,
    division: Option<Box<Division>>,
    next: usize,
    is_waiting: bool,
    /// After a choice that failed.
    not_before: Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing is known yet.
    #[default]
    Begin,
    /// Rows of other devices, chosen before a kill, are taken back.
    Discard,
    /// Rows are written.
    Write,
    /// Rows of a later round are written, for those that failed in the one before.
    Round(Option<RoundCursor>),
    /// All are written, and read back as they are counted.
    Read,
}

impl Course {
    /// The next step of the preparation, if it waits for none.
    pub(super) fn prepare(&mut self, now: Time, commands: &mut Vec<Command>) {
        let is_due = self.progression.state == State::Preparing || self.is_preparation_cut_short();
        if !is_due || !self.may_prepare || self.preparation.is_waiting {
            return;
        }
        // What was decided is durable before anything is written on it.
        if self.is_committing || self.has_pending() {
            return;
        }
        if self.is_stopping() || self.has_store_failed || now < self.preparation.not_before {
            return;
        }
        let is_whole = matches!(self.preparation.stage, Stage::Discard | Stage::Round(_));
        if self.is_preparation_cut_short() && !is_whole {
            // Nobody but the store knows which rows there are.
            self.preparation.stage = Stage::Read;
        }
        let command = match self.preparation.stage {
            Stage::Begin => Command::Choose(self.key, Box::new(self.spec.clone())),
            Stage::Discard => Command::Store(Job::Discard(self.key, now)),
            Stage::Round(from) => {
                let round = self.progression.round;
                Command::Store(Job::OpenRound(self.key, round, from, now))
            }
            Stage::Write => {
                if let Some(chunk) = self.next_chunk(now) {
                    self.is_joining = true;
                    Command::Store(Job::Assign(chunk))
                } else {
                    self.preparation.stage = Stage::Read;
                    Command::Store(Job::Read(self.key))
                }
            }
            Stage::Read => Command::Store(Job::Read(self.key)),
        };
        self.preparation.is_waiting = true;
        commands.push(command);
    }

    /// Whether it was given up while its devices were being written down.
    pub(super) fn is_preparation_cut_short(&self) -> bool {
        matches!(self.progression.state, State::Canceling | State::Aborting)
            && (self.preparation.is_waiting || self.preparation.stage != Stage::Begin)
    }

    /// Whether its devices are being chosen or written down; one whose choice failed lets others go
    /// first until it is its time again.
    pub(in crate::engine) fn is_preparing(&self, now: Time) -> bool {
        let is_due = self.preparation.is_waiting || now >= self.preparation.not_before;
        is_due && (self.progression.state == State::Preparing || self.is_preparation_cut_short())
    }

    /// Whether devices may be written down that are not counted.
    pub(super) fn is_being_written(&self) -> bool {
        !self.has_joined() || self.is_preparation_cut_short()
    }

    fn next_chunk(&self, now: Time) -> Option<Assignment> {
        let division = self.preparation.division.as_ref()?;
        let len = division.devices.len().saturating_sub(usize::from(bites!(TailLost)));
        let from = self.preparation.next.min(len);
        let chunk = &division.devices[from..len.min(from + CHUNK)];
        (!chunk.is_empty()).then(|| Assignment {
            rollout: self.key,
            round: self.progression.round,
            cohorts: Arc::from(division.cohorts.as_slice()),
            devices: by_cohort(chunk),
            all_new: true,
            now,
        })
    }

    /// The devices were chosen. Rows that were written before a kill count if they are the same
    /// devices in the same order, and are taken back otherwise.
    pub(in crate::engine) fn chosen(&mut self, now: Time, division: Option<Box<Division>>) {
        self.preparation.is_waiting = false;
        let Some(division) = division else {
            let secs = CHOOSE_AGAIN.as_secs();
            tracing::error!(
                rollout = self.key.0,
                "its devices cannot be chosen; it is tried again in {secs} s"
            );
            self.preparation.not_before = now + CHOOSE_AGAIN;
            return;
        };
        let written = self.counts.total() as usize;
        let digest = hex(&division.digest);
        let is_same = self.progression.prepared.as_deref() == Some(&digest);
        self.preparation.division = Some(division);
        (self.preparation.stage, self.preparation.next) = match written {
            0 => (Stage::Write, 0),
            _ if is_same => (Stage::Write, written),
            _ => (Stage::Discard, 0),
        };
        match self.preparation.stage {
            // While rows are taken back, those that are left are of no choice.
            Stage::Discard => self.set_prepared(now, None),
            _ => self.set_prepared(now, Some(digest)),
        }
    }

    fn set_prepared(&mut self, now: Time, digest: Option<String>) {
        if self.progression.prepared != digest {
            self.log.push(Record::Chosen(digest.clone()));
            self.progression.prepared = digest;
            self.pending_progression = true;
            self.pending_since.get_or_insert(now);
        }
    }

    pub(in crate::engine) fn discarded(&mut self, now: Time, is_done: bool) {
        self.preparation.is_waiting = false;
        if !is_done {
            return;
        }
        self.set_cohorts(vec![]);
        self.log.push(Record::Counted(vec![]));
        let division = self.preparation.division.as_ref();
        match division.map(|division| hex(&division.digest)) {
            Some(digest) if self.progression.state == State::Preparing => {
                self.preparation.stage = Stage::Write;
                self.set_prepared(now, Some(digest));
            }
            _ => self.preparation = Preparation::default(),
        }
    }

    /// Rows were being written or taken back before a kill, and how many there are is not known. A
    /// later round is written to its end even if it was given up: whoever tries it again tries all.
    pub(super) fn resume_preparation(&mut self) {
        let is_given_up = matches!(self.progression.state, State::Canceling | State::Aborting);
        let is_unwritten = is_given_up || self.progression.state == State::Preparing;
        if is_unwritten && self.progression.started_at.is_none() && self.progression.round > 1 {
            self.preparation.stage = Stage::Round(None);
        }
        let is_of_no_choice = self.progression.prepared.is_none()
            && self.progression.started_at.is_none()
            && self.progression.round == 1;
        if is_given_up && is_of_no_choice && self.counts.total() > 0 {
            self.preparation.stage = Stage::Discard;
        }
    }

    /// When devices that could not be chosen are chosen again; later than that it is told when it is
    /// its turn.
    pub(super) fn choose_at(&self) -> Option<Time> {
        let at = Some(self.preparation.not_before).filter(|at| *at > self.decided_at);
        at.filter(|_| !self.preparation.is_waiting)
    }

    /// The clock was set back: nobody waits longer for being chosen again than until `now`.
    pub(super) fn be_prepared_by(&mut self, now: Time) {
        self.preparation.not_before = self.preparation.not_before.min(now);
    }

    /// Devices were assigned: those of a chunk, or those that joined.
    pub(in crate::engine) fn assigned(&mut self, now: Time, added: Vec<CohortRecord>) {
        self.is_joining = false;
        self.preparation.is_waiting = false;
        self.log.added(added.iter().map(super::counted).collect());
        if bites!(JoinersSkipRate) && self.progression.state == State::Running {
            self.rate = None;
        }
        for record in added {
            self.preparation.next += record.counts.total() as usize;
            self.counts += record.counts;
            if let Some(at) = self.cohort_at.get(&record.key) {
                let cohort = &mut self.cohorts[*at];
                cohort.record.counts += record.counts;
                cohort.is_read = false;
                cohort.is_swept = false;
            } else {
                self.cohort_at.insert(record.key, self.cohorts.len());
                self.cohorts.push(super::Cohort::new(record));
            }
        }
        self.pending_since.get_or_insert(now);
    }

    /// Rows of a later round were written, up to there; all of them if there is no `next`.
    pub(in crate::engine) fn round_opened(&mut self, next: Option<RoundCursor>) {
        self.preparation.is_waiting = false;
        self.preparation.stage = next.map_or(Stage::Read, |next| Stage::Round(Some(next)));
    }

    /// The next round begins with nothing known of it.
    pub(super) fn begin_round(&mut self) {
        self.preparation = Preparation { stage: Stage::Round(None), ..Preparation::default() };
        // The last of the round before may not be written yet.
        let changed = self.cohorts.iter().filter(|cohort| cohort.is_changed);
        self.cohorts_before.extend(changed.map(|cohort| (cohort.record.key, cohort.record.counts)));
        self.set_cohorts(vec![]);
        self.changes.begin_round();
        self.forget_back();
    }

    /// The rollout as it is written down: with its devices, if these were being prepared.
    pub(in crate::engine) fn read(&mut self, now: Time, cohorts: Option<Vec<CohortRecord>>) {
        let Some(cohorts) = cohorts else { return };
        if self.preparation.stage != Stage::Read {
            return;
        }
        self.preparation = Preparation::default();
        self.set_cohorts(cohorts);
        self.log.push(Record::Counted(self.cohort_counts()));
        if self.progression.state != State::Preparing {
            return;
        }
        self.log.push(Record::Prepared);
        rollout::end_preparing(&mut self.progression);
        self.log.stands(&self.progression);
        self.pending_progression = true;
        self.pending_since.get_or_insert(now);
        let devices = self.counts.total();
        let kind = groundswell_core::event::Kind::RolloutPrepared { devices };
        self.tell(now, || kind);
    }
}

/// Cohort by cohort, so that the rows of each stand side by side.
fn by_cohort(chunk: &[Assign]) -> Vec<Assign> {
    let mut devices = chunk.to_vec();
    devices.sort_by_key(|device| device.cohort);
    devices
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
