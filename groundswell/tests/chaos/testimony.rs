//! What the logs and the devices say happened, told to the ledger in one order.
//!
//! The logs are in the order of their commits. What a device reports is placed between them by its
//! time, as early as it may have been sent: so much later than it was sent may it have arrived that
//! the network and a busy machine held it back. Start with [`Testimony::judge`].

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use anyhow::{Context as _, Result};
use groundswell::{
    clock::zone_database,
    core::{
        assignment::{Fact, State},
        check::{Ledger, Observation},
        device::{Address, Device},
        ids::{AssignmentId, RolloutId},
        log::{Acted, Entry, Record, Replay},
        rollout::{Progression, State as Stands},
        time::Time,
    },
    sim::{Event, EventKind, Report},
    store::{RolloutKey, RolloutRecord, SqliteStore, Store, Which, dir},
};
use rusqlite::{Connection, OpenFlags};

use crate::{courses, ground::Ground, mischief::Weather};

/// The least number of claims that a driver may make ahead; no run here is fast enough for more.
const AHEAD_MAX: u32 = 64;

/// Two processes read the time in milliseconds, each rounded.
const ROUNDING: i64 = 2;

/// A row of a log.
struct Row {
    seq: i64,
    at: Time,
    rollout: RolloutKey,
    records: Vec<Record>,
}

/// A delivery, from its claim to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) from: Time,
    /// The places of its claim and of its end among all rows.
    first_row: usize,
    last_row: usize,
    pub(crate) to: Time,
    pub(crate) is_handed_back: bool,
}

/// Something that a device reports, where it is told.
struct Placed {
    row: usize,
    at: Time,
    device: String,
    what: What,
}

enum What {
    Sent { rollout: RolloutId, is_taken: bool },
    Showed(String),
}

/// What a rollout's log says, as far as it is read.
struct Course {
    id: RolloutId,
    replay: Replay,
    /// Written down, and may be taken back.
    preparing: BTreeMap<AssignmentId, (usize, State)>,
    now: Time,
    /// When the row was written that is read.
    written_at: Time,
}

/// Everything that is known after a run.
pub(crate) struct Testimony {
    rows: Vec<Row>,
    pub(crate) rollouts: BTreeMap<RolloutKey, RolloutRecord>,
    /// The rollout and the device of each assignment.
    pub(crate) assignments: HashMap<i64, (RolloutKey, String)>,
    pub(crate) deliveries: HashMap<AssignmentId, Vec<Delivery>>,
    pub(crate) acts: Vec<(RolloutKey, Time, Acted)>,
    /// Where each assignment stands at the end of its log.
    pub(crate) states: BTreeMap<AssignmentId, State>,
    pub(crate) breaches: Vec<String>,
    pub(crate) sent: u64,
}

impl Testimony {
    /// Reads all logs of a state directory that nobody drives any more.
    pub(crate) fn read(ground: &Ground, store: &SqliteStore) -> Result<Self> {
        let mut testimony = Self {
            rows: vec![],
            rollouts: BTreeMap::new(),
            assignments: assignments(ground)?,
            deliveries: HashMap::new(),
            acts: vec![],
            states: BTreeMap::new(),
            breaches: vec![],
            sent: 0,
        };
        for record in store.rollouts(Which::All)? {
            let rollout = record.key;
            store.for_each_log_row(rollout, &mut |row| {
                let records = serde_json::from_str(&row.body).unwrap_or_default();
                testimony.rows.push(Row { seq: row.seq, at: row.at, rollout, records });
                Ok(())
            })?;
            testimony.rollouts.insert(rollout, record);
        }
        testimony.rows.sort_by_key(|row| row.seq);
        testimony.find_deliveries();
        Ok(testimony)
    }

    fn find_deliveries(&mut self) {
        for (number, row) in self.rows.iter().enumerate() {
            let mut now = row.at;
            for record in &row.records {
                match record {
                    Record::At(before) => now = time_before(row.at, *before),
                    Record::Acted(acted) => self.acts.push((row.rollout, now, acted.clone())),
                    Record::Happened(happened) => {
                        for id in happened.ids.iter() {
                            self.states.insert(id, happened.to);
                            let known = self.deliveries.entry(id).or_default();
                            let is_returned = happened.fact == Fact::Returned;
                            go(known, happened.to, number, now, is_returned);
                        }
                    }
                    Record::Unclaimed(rows) => {
                        for (id, stood) in rows {
                            self.states.insert(*id, stood.state);
                            let known = self.deliveries.entry(*id).or_default();
                            go(known, stood.state, number, now, true);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn breach(&mut self, what: String) {
        self.breaches.push(what);
    }

    /// Tells the ledger everything in order.
    pub(crate) fn judge(&mut self, report: &Report, devices: &[Device], weather: &Weather) {
        let mut ledger = Ledger::default();
        for device in devices {
            let host = device.address.as_ref().map(Address::origin);
            ledger.device(&device.id, device.time_zone.as_deref(), host);
        }
        let mut placed = self.place(report, weather);
        placed.sort_by_key(|placed| placed.row);
        let mut placed = placed.into_iter().peekable();
        let mut courses: BTreeMap<RolloutKey, Course> = BTreeMap::new();
        let rows = std::mem::take(&mut self.rows);
        for (number, row) in rows.iter().enumerate() {
            let id = self.rollouts[&row.rollout].id;
            let course = courses.entry(row.rollout).or_insert_with(|| Course::new(id));
            self.row(course, row, &mut ledger);
            while let Some(next) = placed.next_if(|next| next.row <= number) {
                self.told(&next, &mut ledger);
            }
        }
        self.rows = rows;
    }

    fn observe(&mut self, ledger: &mut Ledger, seen: &Observation<'_>, at: Time) {
        for breach in ledger.observe(seen, at) {
            self.breach(format!("{breach} ({at}, {seen:?})"));
        }
    }

    fn told(&mut self, placed: &Placed, ledger: &mut Ledger) {
        let (device, at) = (placed.device.as_str(), placed.at);
        match &placed.what {
            What::Showed(version) => {
                self.observe(ledger, &Observation::Showed { device, version }, at);
            }
            What::Sent { rollout, is_taken } => {
                let rollout = *rollout;
                self.sent += 1;
                self.observe(ledger, &Observation::Sent { rollout, device }, at);
                // How long it took is not known so well that open deliveries could be counted.
                self.observe(ledger, &Observation::Over { rollout, device }, at);
                if !is_taken {
                    self.observe(ledger, &Observation::NotTaken { rollout, device }, at);
                }
            }
        }
    }

    fn row(&mut self, course: &mut Course, row: &Row, ledger: &mut Ledger) {
        (course.now, course.written_at) = (row.at, row.at);
        for record in &row.records {
            self.record(course, record, ledger);
        }
        let state = course.state();
        if state != Some(Stands::Running) && state.is_some() {
            self.observe(ledger, &Observation::Stopped { rollout: course.id }, row.at);
        }
    }

    fn record(&mut self, course: &mut Course, record: &Record, ledger: &mut Ledger) {
        let (rollout, before) = (course.id, course.replay.progression().cloned());
        match record {
            Record::At(before) => course.now = time_before(course.written_at, *before),
            Record::Spec(spec) => ledger.rollout(rollout, spec, AHEAD_MAX),
            Record::Taken(_) => self.observe(ledger, &Observation::Restarted, course.now),
            Record::Listed(listed) => {
                let rows = listed.ids.iter().map(|id| (id, (listed.wave, listed.state)));
                course.preparing.extend(rows);
            }
            Record::Unlisted(ids) => {
                course.preparing.retain(|id, _| !ids.has(*id));
            }
            _ => {}
        }
        let now = course.now;
        let moved = course.moves(record);
        course.replay.entry(&Entry { at: now, records: vec![record.clone()] });
        let after = course.replay.progression().cloned();
        if let (Some(before), Some(after)) = (&before, &after) {
            for (seen, at) in courses::observations(rollout, before, after, now) {
                self.observe(ledger, &seen, at);
            }
        }
        if after.as_ref().is_some_and(|after| after.state != Stands::Preparing) {
            self.list(course, ledger);
        }
        for (id, from, to) in moved {
            let device = self.name(id);
            let seen = Observation::State { rollout, device: &device, from, to };
            self.observe(ledger, &seen, now);
        }
        let has_ended = |progression: &Option<Progression>| {
            progression.as_ref().is_some_and(|progression| progression.state.is_ended())
        };
        if has_ended(&after) && !has_ended(&before) {
            self.observe(ledger, &Observation::Ended { rollout }, now);
        }
    }

    fn list(&mut self, course: &mut Course, ledger: &mut Ledger) {
        let rollout = course.id;
        for (id, (wave, state)) in std::mem::take(&mut course.preparing) {
            let device = self.name(id);
            let device = device.as_str();
            self.observe(ledger, &Observation::Listed { rollout, device, wave }, course.now);
            if state != State::Queued {
                let seen = Observation::State { rollout, device, from: State::Queued, to: state };
                self.observe(ledger, &seen, course.now);
            }
            self.states.entry(id).or_insert(state);
        }
    }

    fn name(&self, id: AssignmentId) -> String {
        let known = self.assignments.get(&id.0);
        known.map_or_else(|| format!("assignment {id}"), |(_, device)| device.clone())
    }

    /// Where what devices report belongs among the rows.
    fn place(&mut self, report: &Report, weather: &Weather) -> Vec<Placed> {
        let started = Time::from_millis(report.fleet.started_at_ms);
        let mut placed = vec![];
        for (device, told) in &report.devices {
            if told.events_left_out > 0 {
                self.breach(format!("{device} has forgotten {} events", told.events_left_out));
            }
            let mut last = (0, Time::ZERO);
            for event in &told.events {
                let began_ms = event.at_ms.saturating_sub(event.took_ms.into());
                let began = started + Duration::from_millis(began_ms);
                let late = weather.late_at(began);
                let Some((row, at, what)) = self.place_event(device, event, began, late) else {
                    continue;
                };
                // A device tells in order.
                last = last.max((row, at));
                placed.push(Placed { row: last.0, at: last.1, device: device.clone(), what });
            }
        }
        placed
    }

    fn place_event(
        &mut self,
        device: &str,
        event: &Event,
        began: Time,
        late: Duration,
    ) -> Option<(usize, Time, What)> {
        let early = Time::from_millis(began.as_millis() - late.as_millis() as i64);
        if event.kind == EventKind::AnsweredVersion {
            let version = event.version.clone()?;
            return Some((self.row_at(early), early, What::Showed(version)));
        }
        let found = self.delivery_of(device, event, began, late);
        let (rollout, delivery) = match found {
            Ok(found) => found,
            Err(what) => {
                self.breach(format!("{device} took part in what nobody sent: {what} ({event:?})"));
                return None;
            }
        };
        let at = early.max(delivery.from);
        let last = delivery.last_row.saturating_sub(1).max(delivery.first_row);
        let row = self.row_at(at).clamp(delivery.first_row, last);
        let is_refused = event.status.is_some_and(|status| status >= 300);
        let is_taken = event.kind == EventKind::Received && !is_refused;
        Some((row, at, What::Sent { rollout, is_taken }))
    }

    /// The delivery that a body came with, by its key and its time.
    fn delivery_of(
        &self,
        device: &str,
        event: &Event,
        began: Time,
        late: Duration,
    ) -> Result<(RolloutId, Delivery), String> {
        let key = event.key.as_deref().ok_or("it has no key")?;
        let (rollout, assignment) = key.rsplit_once('-').ok_or("its key is none of ours")?;
        let assignment: i64 = assignment.parse().map_err(|_| "its key has no number")?;
        let (of, whose) = self.assignments.get(&assignment).ok_or("nobody knows its number")?;
        let record = &self.rollouts[of];
        if whose != device || record.id.to_string() != rollout {
            return Err(format!("the key is that of {whose} in rollout {}", of.0));
        }
        if event.version.as_deref() != Some(&*record.spec.release.version) {
            return Err("the version is not that of its rollout".to_owned());
        }
        let known = self.deliveries.get(&AssignmentId(assignment));
        let is_begun =
            |delivery: &&Delivery| delivery.from.as_millis() <= began.as_millis() + ROUNDING;
        let delivery = known.into_iter().flatten().rev().find(is_begun);
        let delivery = *delivery.ok_or("it was not claimed by then")?;
        if delivery.is_handed_back {
            return Err(format!("its claim was handed back unsent: {delivery:?}"));
        }
        if began > delivery.to + late {
            return Err(format!("its delivery was over: {delivery:?}"));
        }
        Ok((record.id, delivery))
    }

    /// The last row written by then.
    fn row_at(&self, at: Time) -> usize {
        self.rows.partition_point(|row| row.at <= at).saturating_sub(1)
    }
}

/// So many milliseconds before a row was written.
fn time_before(written_at: Time, millis: i64) -> Time {
    Time::from_millis(written_at.as_millis().saturating_sub(millis))
}

/// An assignment comes to a state.
fn go(known: &mut Vec<Delivery>, to: State, row: usize, now: Time, is_handed_back: bool) {
    let never = Time::from_millis(i64::MAX / 2);
    if let Some(last) = known.last_mut().filter(|last| last.to == never) {
        (last.last_row, last.to, last.is_handed_back) = (row, now, is_handed_back);
    }
    if to == State::Delivering {
        let (first_row, last_row) = (row, usize::MAX);
        known.push(Delivery { from: now, first_row, last_row, to: never, is_handed_back: false });
    }
}

impl Course {
    fn new(id: RolloutId) -> Self {
        let replay = Replay::new(zone_database());
        let (now, written_at) = (Time::ZERO, Time::ZERO);
        Self { id, replay, preparing: BTreeMap::new(), now, written_at }
    }

    fn state(&self) -> Option<Stands> {
        self.replay.progression().map(|progression| progression.state)
    }

    /// Which assignments a record takes from where to where.
    fn moves(&self, record: &Record) -> Vec<(AssignmentId, State, State)> {
        let ids: Vec<(AssignmentId, State)> = match record {
            Record::Happened(happened) => happened.ids.iter().map(|id| (id, happened.to)).collect(),
            Record::Unclaimed(rows) => rows.iter().map(|(id, stood)| (*id, stood.state)).collect(),
            _ => vec![],
        };
        let from = |id| self.replay.assignment(id).map(|assignment| assignment.state);
        let moves = ids.into_iter().filter_map(|(id, to)| Some((id, from(id)?, to)));
        moves.filter(|(_, from, to)| from != to).collect()
    }
}

/// Whose each assignment is, read past the store.
fn assignments(ground: &Ground) -> Result<HashMap<i64, (RolloutKey, String)>> {
    let path = dir::database(&ground.state());
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql = "SELECT a.id, c.rollout, d.id FROM assignment a \
               JOIN cohort c ON c.key = a.cohort JOIN device d ON d.key = a.device";
    let mut statement = database.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, (RolloutKey(row.get(1)?), row.get::<_, String>(2)?)))
    })?;
    rows.collect::<Result<_, _>>().context("the assignments cannot be read")
}
