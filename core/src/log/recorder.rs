//! Writing the log as things happen.

use super::{
    Acted, Becomes, CohortCounts, Happened, Ids, Judged, KnownOf, Met, Moved, Record, Regressed,
    Relative, Taken, fact,
};
use crate::{
    admit::Known,
    assignment::{Assignment, Fact},
    health::Said,
    hours::Zone,
    ids::AssignmentId,
    log::step::Frame,
    plan::Plan,
    rollout::{Progression, Wish},
    snapshot::Snapshot,
    time::Time,
};

/// So many records back it is looked whether a device went the same way as others: outcomes of a
/// few kinds come mixed.
const LOOK_BACK: usize = 4;

/// What devices said takes so many bytes of the log for each claim, on average: with 16, a device
/// that is given up after three attempts, and says something else each time, stays below 400.
const TEXT_BYTES_EACH: usize = 16;

/// So many bytes of it may be ahead of that: the first of many who say something else, and all of a
/// few, are written down at length.
const TEXT_BYTES_AHEAD: usize = 4_096;

/// What records are told from as long as nobody has said what time it is.
const UNSAID: Time = Time::ZERO;

/// Collects the records of a rollout between two commits.
///
/// A decision on counts is written down when something comes of it: it changes the rollout, ends
/// devices, waits for something else than the one before, or devices are claimed, judged or handed
/// back by it. One that nothing comes of is that of the same input again.
#[derive(Debug, Default)]
pub struct Recorder {
    records: Vec<Record>,
    at: Option<Time>,
    frame: Frame,
    /// Where the rollout stood last, as far as that was written down here.
    stood: Option<Box<Progression>>,
    /// A decision that nothing has come of yet.
    held: Option<Box<(Snapshot, Plan)>>,
    /// What was known of devices when their turn came, and those seen first: put in front of what
    /// was decided on them.
    judged: Vec<Judged>,
    met: Vec<Met>,
    /// Where that is.
    front: usize,
    /// Bytes of what devices said that no claim has made up for yet.
    text_bytes: usize,
}

impl Recorder {
    /// It is this time for all that follows.
    pub fn at(&mut self, now: Time) {
        if self.at != Some(now) {
            self.at = Some(now);
            // A time at which nothing happened says nothing.
            // A time of its own, until it is known when the entry is written.
            let millis = now.as_millis();
            if let Some(Record::At(last)) = self.records.last_mut() {
                *last = millis;
            } else {
                self.records.push(Record::At(millis));
            }
        }
    }

    fn now(&self) -> Time {
        self.at.unwrap_or(UNSAID)
    }

    /// Whether nothing was written down since [`Recorder::take`].
    pub fn is_empty(&self) -> bool {
        matches!(self.records[..], [] | [Record::At(_)]) && self.judged.is_empty()
    }

    /// What was written down since this was last asked, for an entry that is written now.
    pub fn take(&mut self, now: Time) -> Vec<Record> {
        self.over();
        self.front = 0;
        if let Some(Record::At(_)) = self.records.last() {
            self.records.pop();
        }
        self.at = None;
        let mut records = std::mem::take(&mut self.records);
        // What was written down before it was said what time it is, is of the entry's.
        let mut is_timed = false;
        for record in &mut records {
            match record {
                Record::At(millis) => {
                    *millis = now.as_millis() - *millis;
                    is_timed = true;
                }
                Record::Step(step) if !is_timed => **step = Relative::to(step.at(UNSAID), now),
                Record::Stands(is) if !is_timed => **is = Relative::to(is.at(UNSAID), now),
                _ => {}
            }
        }
        if let Some(Record::At(0)) = records.first() {
            records.remove(0);
        }
        records
    }

    /// A driver took the rollout over.
    pub fn taken(&mut self, taken: Taken) {
        self.frame = Frame::default();
        self.stood = None;
        self.records.push(Record::Taken(taken));
    }

    /// Another record, of something that is not decided here.
    pub fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// The rollout stands there since.
    pub fn stands(&mut self, progression: &Progression) {
        let stood = self.stood.take();
        self.records.push(Record::stands_since(stood.as_deref(), progression, self.now()));
        self.stood = Some(Box::new(progression.clone()));
    }

    /// The driver counts these, too.
    pub fn added(&mut self, cohorts: Vec<CohortCounts>) {
        self.records.push(Record::Added(cohorts));
    }

    /// The hours of a device are judged in another zone since.
    pub fn moved(&mut self, id: AssignmentId, zone: &Zone) {
        if let Some(Record::Moved(last)) = self.records.last_mut()
            && last.zone == *zone
        {
            return last.ids.push(id);
        }
        self.records.push(Record::Moved(Moved { zone: zone.clone(), ids: Ids::one(id) }));
    }

    /// A device that was updated is not well since.
    pub fn regressed(
        &mut self,
        id: AssignmentId,
        of: (usize, Option<&Zone>),
        said: &Said,
        times: u32,
    ) {
        let (wave, zone) = (of.0, of.1.cloned());
        let one = Regressed { wave, zone, said: said.clone(), times, ids: Ids::one(id) };
        for record in self.records.iter_mut().rev().take(LOOK_BACK) {
            let Record::Regressed(last) = record else { break };
            if last.is_like(&one) {
                return last.ids.push(id);
            }
        }
        self.records.push(Record::Regressed(one));
    }

    /// What was decided on counts; it is kept until something comes of it.
    pub fn planned(&mut self, snapshot: Snapshot, plan: &Plan) {
        self.over();
        let before = &self.frame.plan;
        let is_worth_it = plan.change.is_some()
            || plan.sweep != before.sweep
            || !is_same_wait(&plan.waiting_on, &before.waiting_on);
        self.held = Some(Box::new((snapshot, plan.clone())));
        if is_worth_it {
            self.decided();
        }
    }

    /// Something comes of what was decided on counts.
    pub fn decided(&mut self) {
        if let Some(held) = self.held.take() {
            let (snapshot, plan) = *held;
            let step = Relative::to(self.frame.record(snapshot, &plan), self.now());
            self.records.push(Record::Step(Box::new(step)));
            self.front = self.records.len();
        }
    }

    /// Nothing more comes of it.
    pub fn over(&mut self) {
        self.held = None;
        let met = std::mem::take(&mut self.met);
        let judged = self.judged.drain(..).map(|mut judged| {
            let len = judged.seen.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            judged.seen.truncate(len);
            Record::Judged(judged)
        });
        let met = (!met.is_empty()).then_some(Record::Met(met));
        self.records.splice(self.front..self.front, judged.chain(met));
        self.front = self.records.len();
    }

    /// A device was judged when its turn had come.
    pub fn judged(
        &mut self,
        id: AssignmentId,
        has_address: bool,
        known: Option<&Known>,
        becomes: Becomes,
    ) {
        if known.is_none() && has_address && becomes == Becomes::Claimed {
            return;
        }
        self.decided();
        let now = self.now().as_millis();
        let seen = known.map(|known| known.last_seen.map(|at| now - at.as_millis()));
        let of = known.map(|known| KnownOf {
            check_in: known.check_in.map(|every| every.as_secs()),
            version: known.version.clone(),
            superseded: known.is_superseded,
            failed: known.failed_in_row,
        });
        let alike = self.judged.iter_mut().rev().take(LOOK_BACK).find(|judged| {
            judged.becomes == becomes && judged.no_address != has_address && judged.known == of
        });
        if let Some(judged) = alike {
            judged.ids.push(id);
            judged.seen.extend(seen);
            return;
        }
        self.judged.push(Judged {
            ids: Ids::one(id),
            no_address: !has_address,
            known: of,
            seen: seen.into_iter().collect(),
            becomes,
        });
    }

    /// A device was claimed for the first time.
    pub fn met(&mut self, id: AssignmentId, device: &str, host: &str) {
        self.decided();
        self.met.push(Met(id.0, device.to_owned(), host.to_owned()));
    }

    /// Something happened to a device, and it stands there since. What is decided, and not only
    /// heard of, is said by the caller: see [`Recorder::decided`].
    pub fn happened(&mut self, id: AssignmentId, fact: &Fact, to: &Assignment, floor: Time) {
        if *fact == Fact::Claimed {
            self.text_bytes = self.text_bytes.saturating_sub(TEXT_BYTES_EACH);
        }
        let mut fact = fact.clone();
        fact::shorten(&mut fact, fact::TEXT_BYTES_MAX);
        let now = self.now();
        let mut happened = Happened::to_one(id, fact, to, floor, now);
        if self.has_joined(&happened) {
            return;
        }
        let ahead = TEXT_BYTES_AHEAD.saturating_sub(self.text_bytes);
        self.text_bytes += fact::shorten(&mut happened.fact, ahead);
        // Without its text it may be like others.
        if !self.has_joined(&happened) {
            self.records.push(Record::Happened(happened));
        }
    }

    /// Whether the same happened to others just before, whom it was written down with.
    fn has_joined(&mut self, happened: &Happened) -> bool {
        for record in self.records.iter_mut().rev().take(LOOK_BACK) {
            let Record::Happened(last) = record else { break };
            if last.is_like(happened) {
                happened.ids.iter().for_each(|id| last.ids.push(id));
                return true;
            }
            // What happened to a device before stays before.
            if happened.ids.iter().any(|id| last.ids.has(id)) {
                break;
            }
        }
        false
    }

    /// An operator wanted something.
    pub fn acted(&mut self, wish: Wish<'_>, refused: Option<String>) {
        self.records.push(Record::Acted(Acted::of(wish, refused)));
    }
}

/// Whether what is waited for is of the same kinds: their numbers change with every device.
fn is_same_wait(
    waiting_on: &[crate::waiting::WaitingOn],
    before: &[crate::waiting::WaitingOn],
) -> bool {
    use crate::{gate::external::Answer, waiting::WaitingOn};
    // What a check answers is news, unless it is the same once more.
    let kind = |reason: &WaitingOn| {
        let gist = match reason {
            WaitingOn::Check { answer, .. } => answer.as_ref().map(Answer::gist),
            _ => None,
        };
        (std::mem::discriminant(reason), gist)
    };
    waiting_on.iter().map(kind).eq(before.iter().map(kind))
}
