//! Who notices what should not happen: the ledger of the core, told what became durable, and what
//! only this world can see (the rows themselves, intents, rates).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use groundswell::{
    core::{
        assignment::{Fact, State},
        check::{Ledger, Observation},
        device::{Address, Device},
        ids::{AssignmentId, RolloutId},
        log::{Happened, Record},
        outcome::Outcome,
        rollback::Otherwise,
        rollout::{OnFailure, Progression, Schedule, Spec, State as RolloutState, WhenClosed},
        snapshot::Counts,
        time::Time,
        verify::Mode,
        waiting::WaitingOn,
    },
    store::{
        Batch, Change, CohortKey, IntentSeq, RolloutKey, RolloutRecord, SqliteStore, Store,
        writer::Job,
    },
};

use super::{
    ahead::Ahead,
    back::Back,
    courses,
    coverage::Coverage,
    fleet::Fleet,
    intents::Intents,
    rows::{CohortCounts, Rows},
    time_left::all_zones,
    turns::Turns,
};

pub(crate) type Breaches = Vec<String>;

/// A rollout, as the checker knows it.
#[derive(Debug)]
struct Watched {
    id: RolloutId,
    spec: Spec,
    progression: Progression,
    /// The last row that was listed.
    listed_to: i64,
    /// Whether there may be more rows.
    is_behind: bool,
    /// What the cohorts of its round say they have.
    cohorts: BTreeMap<CohortKey, Counts>,
    claims: VecDeque<Time>,
    ahead: Ahead,
}

/// An assignment, as what became durable made it.
#[derive(Debug)]
struct Row {
    rollout: RolloutKey,
    device: usize,
    state: State,
    /// The state in which the log left it.
    logged: State,
}

pub(crate) struct Checker {
    ledger: Ledger,
    /// Read past the store, wherever the state lies.
    pub(crate) rows: Rows,
    pub(crate) turns: Turns,
    pub(crate) back: Back,
    rollouts: BTreeMap<RolloutKey, Watched>,
    /// By their ids.
    assignments: Vec<Option<Row>>,
    /// The ids of devices, by their numbers.
    devices: Vec<String>,
    /// The time zones of devices, by their numbers.
    zones: Vec<Option<String>>,
    /// Whether any device ever was in another one.
    has_any_moved: bool,
    pub(crate) intents: Intents,
    /// Devices in other zones since the driver looked last.
    moved: BTreeSet<String>,
    /// Assignments that came to an end through an attempt, in all.
    pub(crate) updates: u64,
    pub(crate) coverage: Coverage,
}

impl Checker {
    pub(crate) fn new(rows: Rows) -> Self {
        Self {
            ledger: Ledger::default(),
            rows,
            turns: Turns::default(),
            back: Back::default(),
            rollouts: BTreeMap::new(),
            assignments: vec![],
            devices: vec![],
            zones: vec![],
            has_any_moved: false,
            intents: Intents::default(),
            moved: BTreeSet::new(),
            updates: 0,
            coverage: Coverage::default(),
        }
    }

    pub(crate) fn device(&mut self, device: &Device) {
        let no = Fleet::number(&device.id);
        self.devices.resize(self.devices.len().max(no + 1), String::new());
        self.devices[no].clone_from(&device.id);
        self.zones.resize(self.devices.len(), None);
        self.zones[no].clone_from(&device.time_zone);
        let host = device.address.as_ref().map(Address::as_str);
        self.ledger.device(&device.id, device.time_zone.as_deref(), host);
        self.ledger.device_tags(&device.id, &device.tags);
    }

    /// A device is in another zone, and the driver does not know that yet.
    pub(crate) fn moved(&mut self, device: &Device) {
        self.ledger.device_moved(&device.id, device.time_zone.as_deref());
        self.moved.insert(device.id.clone());
        self.has_any_moved = true;
    }

    /// The time zones in which devices of a rollout have not ended; all that there are, if some may
    /// be known to be in one they have left.
    pub(crate) fn zones_left(&self, key: RolloutKey) -> BTreeSet<Option<String>> {
        if self.has_any_moved {
            return all_zones();
        }
        let rows = self.assignments.iter().flatten();
        let left = rows.filter(|row| row.rollout == key && !is_end(row.state));
        left.map(|row| self.zones[row.device].clone()).collect()
    }

    /// The driver has looked what was written.
    pub(crate) fn looked(&mut self, now: Time) {
        for id in std::mem::take(&mut self.moved) {
            self.ledger.zones_known(&id, now);
        }
    }

    pub(crate) fn rollout(&mut self, key: RolloutKey, id: RolloutId, spec: &Spec) {
        let mut ahead = Ahead::default();
        self.ledger.rollout(id, spec, ahead.most(&spec.limits));
        self.turns.rollout(key, spec);
        let progression = Progression::draft(spec);
        let watched = Watched {
            id,
            spec: spec.clone(),
            progression,
            listed_to: 0,
            is_behind: true,
            cohorts: BTreeMap::new(),
            claims: VecDeque::new(),
            ahead,
        };
        self.rollouts.insert(key, watched);
    }

    /// A rollout that rolls another one back, by itself or as somebody wants it. It is held against
    /// the hours of that one, unless it need not keep to them, whatever its own spec says of them.
    pub(crate) fn rollback(
        &mut self,
        of: RolloutKey,
        record: &RolloutRecord,
        wanted: Option<&Otherwise>,
    ) -> Option<String> {
        let otherwise = wanted.copied().unwrap_or_default();
        let Watched { spec: rolled_back, progression, id, .. } = self.rollouts.get(&of)?;
        let (rolled_back, round, id) = (rolled_back.clone(), progression.round, *id);
        let schedule = if otherwise.at_any_hour {
            Schedule::default()
        } else {
            Schedule { when_closed: WhenClosed::Wait, ..rolled_back.schedule.clone() }
        };
        let spec = Spec { schedule, ..record.spec.clone() };
        self.rollout(record.key, record.id, &spec);
        self.rollouts.get_mut(&record.key)?.progression = record.progression.clone();
        let given_up: BTreeSet<RolloutKey> = self
            .rollouts
            .iter()
            .filter(|(_, of)| is_given_up(of.progression.state))
            .map(|(key, _)| *key)
            .collect();
        let version = &spec.release.version;
        self.back.rolls_back(record.key, (of, round), version, |key| given_up.contains(&key));
        let mut limits = rolled_back.limits;
        limits.max_in_flight = otherwise.max_in_flight.unwrap_or(limits.max_in_flight);
        let state = if wanted.is_some() { RolloutState::Draft } else { RolloutState::Preparing };
        let is_linked = record.spec.rolls_back.as_ref().is_some_and(|name| {
            (name.number, name.id, &name.version) == (of.0, id, &rolled_back.release.version)
        }) && self.rows.rolled_back_by(of).contains(&record.key.0);
        let is_bound = spec.release.name == rolled_back.release.name
            && spec.release.version != rolled_back.release.version
            && spec.limits == limits
            && spec.budgets == rolled_back.budgets
            && spec.quarantine_after.is_none()
            && spec.on_failure == OnFailure::Pause
            && record.progression.state == state
            && is_linked;
        (!is_bound).then(|| format!("{} is no rollback of {}: {spec:?}", record.key.0, of.0))
    }

    /// A rollout that is known goes on by another spec; false if it is not known.
    pub(crate) fn respecify(&mut self, key: RolloutKey, spec: &Spec) -> bool {
        let Some(watched) = self.rollouts.get_mut(&key) else { return false };
        watched.spec = spec.clone();
        self.ledger.rollout(watched.id, spec, watched.ahead.most(&spec.limits));
        true
    }

    /// The driver handed a delivery out.
    pub(crate) fn handed_out(&mut self, key: RolloutKey, at: Time) {
        if let Some(watched) = self.rollouts.get_mut(&key) {
            watched.ahead.handed_out(at);
        }
    }

    /// The driver gave a batch to the store: how far its claims may be ahead is known by now.
    pub(crate) fn given(&mut self, key: RolloutKey) {
        if let Some(watched) = self.rollouts.get_mut(&key) {
            self.ledger.ahead(watched.id, watched.ahead.most(&watched.spec.limits));
        }
    }

    /// A server behind a gate answered.
    pub(crate) fn answered_outside(
        &mut self,
        key: RolloutKey,
        gate: usize,
        asked_at: Time,
        is_go: bool,
        at: Time,
    ) -> Breaches {
        let rollout = self.rollouts[&key].id;
        self.observe(&Observation::Answered { rollout, gate, asked_at, is_go }, at)
    }

    pub(crate) fn spec(&self, key: RolloutKey) -> &Spec {
        &self.rollouts[&key].spec
    }

    fn observe(&mut self, seen: &Observation<'_>, at: Time) -> Breaches {
        observe(&mut self.ledger, seen, at)
    }

    fn row(&self, id: AssignmentId) -> Option<&Row> {
        self.assignments.get(id.0 as usize)?.as_ref()
    }

    /// Rows of a rollout came or went without a batch.
    pub(crate) fn rows_moved(&mut self, key: RolloutKey) {
        if let Some(watched) = self.rollouts.get_mut(&key) {
            watched.is_behind = true;
        }
    }

    /// Rows that are there and were not seen before.
    fn list(&mut self, desk: &SqliteStore, key: RolloutKey, at: Time) -> Breaches {
        let Some(watched) = self.rollouts.get_mut(&key) else {
            return vec![format!("rollout {} is not known", key.0)];
        };
        let id = watched.id;
        watched.is_behind = false;
        let cohorts = desk.cohorts(key, watched.progression.round).unwrap();
        watched.cohorts = cohorts.iter().map(|cohort| (cohort.key, cohort.counts)).collect();
        let found = self.rows.behind(key, watched.progression.round, watched.listed_to);
        watched.listed_to = found.last().map_or(watched.listed_to, |row| row.id);
        let mut breaches = vec![];
        for row in found {
            breaches.extend(self.back.listed(key, Fleet::number(&row.device)));
            let listed = Observation::Listed { rollout: id, device: &row.device, wave: row.wave };
            breaches.extend(self.observe(&listed, at));
            if row.state != State::Queued {
                let (from, to) = (State::Queued, row.state);
                let state = Observation::State { rollout: id, device: &row.device, from, to };
                breaches.extend(self.observe(&state, at));
            }
            let (rollout, device, state) = (key, Fleet::number(&row.device), row.state);
            self.turns.listed(row.id, key, device, state);
            let at = row.id as usize;
            if self.assignments.len() <= at {
                self.assignments.resize_with(at + 1, || None);
            }
            self.assignments[at] = Some(Row { rollout, device, state, logged: state });
        }
        breaches
    }

    /// Devices were assigned.
    pub(crate) fn assigned(&mut self, desk: &SqliteStore, key: RolloutKey, at: Time) -> Breaches {
        let state = self.rollouts.get(&key).map(|watched| watched.progression.state);
        // What is being prepared may be taken back.
        if state == Some(RolloutState::Preparing) { vec![] } else { self.list(desk, key, at) }
    }

    /// A batch is about to be written: what it changes must have been there.
    pub(crate) fn before_commit(&mut self, desk: &SqliteStore, batch: &Batch) -> Breaches {
        let mut breaches = vec![];
        if batch.changes.iter().any(|change| self.row(change.id).is_none()) {
            breaches = self.list(desk, batch.rollout, batch.at);
        }
        let mut back = std::mem::take(&mut self.back);
        back.before_commit(
            &batch.changes,
            |change| self.place_of(change),
            |device| self.version_of(device),
        );
        self.back = back;
        breaches
    }

    /// Of which rollout and device a change is, and the version that this one is sent, if it is to show
    /// that.
    fn place_of(&self, change: &Change) -> Option<((RolloutKey, usize), Option<String>)> {
        let row = self.row(change.id)?;
        let spec = self.spec(row.rollout);
        let own = (spec.verify.mode == Mode::Version).then(|| spec.release.version.clone());
        Some(((row.rollout, row.device), own))
    }

    /// What a device is known to run.
    pub(crate) fn version_of(&self, device: usize) -> Option<String> {
        self.rows.version(&self.devices[device])
    }

    /// A batch is durable; unless it `is_last`, another one of this rollout follows at once, and the
    /// counts are those of that one.
    pub(crate) fn after_commit(
        &mut self,
        desk: &SqliteStore,
        batch: &Batch,
        is_last: bool,
    ) -> Breaches {
        let Some(watched) = self.rollouts.get_mut(&batch.rollout) else {
            return vec!["a batch of a rollout that nobody created".to_owned()];
        };
        let id = watched.id;
        let was = watched.progression.state;
        let goes_back = batch.progression.as_ref().is_some_and(|progression| {
            progression.is_to_roll_back && progression.state == RolloutState::Aborted
        });
        if goes_back && was != RolloutState::Aborted && batch.rollback.is_none() {
            return vec![format!("{} went wrong, and nothing rolls it back", batch.rollout.0)];
        }
        let mut back = std::mem::take(&mut self.back);
        back.after_commit(&batch.changes, |change| self.place_of(change));
        self.back = back;
        let Some(watched) = self.rollouts.get_mut(&batch.rollout) else { return vec![] };
        let mut courses = vec![];
        if let Some(after) = &batch.progression {
            let before = std::mem::replace(&mut watched.progression, after.clone());
            if after.round > before.round {
                (watched.listed_to, watched.is_behind) = (0, true);
            }
            courses = courses_within(id, before, batch, after);
        }
        let is = watched.progression.state;
        watched.cohorts.extend(batch.cohorts.iter().copied());
        // Of a draft acts may be refused, long before anybody is listed.
        let may_list = !matches!(is, RolloutState::Draft | RolloutState::Preparing);
        let is_behind = watched.is_behind && may_list;
        self.cover(batch, was);
        let mut breaches = vec![];
        // Claims come last: what is decided before them in the same step comes before them here.
        let first_claim = batch.changes.iter().position(|change| {
            let was = self.row(change.id).map(|row| row.state);
            is_begun(change.to.state) && was.is_some_and(|was| !is_begun(was))
        });
        let (first, claims) = batch.changes.split_at(first_claim.unwrap_or(batch.changes.len()));
        breaches.extend(self.seen_well(batch));
        for change in first {
            breaches.extend(self.changed(change, batch.at));
        }
        let (found, found_late) = regressed(batch);
        breaches.extend(self.regressed(id, &found, batch.at));
        for (seen, at) in courses {
            breaches.extend(self.observe(&seen, at));
        }
        for change in claims {
            breaches.extend(self.changed(change, batch.at));
        }
        breaches.extend(self.regressed(id, &found_late, batch.at));
        if is != RolloutState::Running {
            breaches.extend(self.observe(&Observation::Stopped { rollout: id }, batch.at));
        }
        if is_behind {
            breaches.extend(self.list(desk, batch.rollout, batch.at));
        }
        // Those who are listed by now were there before it began.
        let progression = &self.rollouts[&batch.rollout].progression;
        self.turns.stands(batch.rollout, progression, batch.at);
        if may_list && is_last {
            let counts = self.rollouts[&batch.rollout].cohorts.values().copied().sum();
            let counted = Observation::Counted { rollout: id, counts: &counts };
            breaches.extend(self.observe(&counted, batch.at));
        }
        if is.is_ended() && !was.is_ended() {
            breaches.extend(self.observe(&Observation::Ended { rollout: id }, batch.at));
        }
        breaches
    }

    /// Devices that were updated are not well since.
    fn regressed(&mut self, rollout: RolloutId, ids: &[AssignmentId], at: Time) -> Breaches {
        let mut breaches = vec![];
        for id in ids {
            let Some(device) = self.row(*id).map(|row| self.devices[row.device].clone()) else {
                breaches.push(format!("assignment {id} regressed, and was not listed"));
                continue;
            };
            let unwell = Observation::Unwell { rollout, device: &device };
            breaches.extend(self.observe(&unwell, at));
        }
        breaches
    }

    /// Devices that were not well were seen to be: not those that another end frees.
    fn seen_well(&mut self, batch: &Batch) -> Breaches {
        let mut breaches = vec![];
        for slot in batch.slots.iter().filter(|slot| !slot.is_kept) {
            let is_ended = batch.changes.iter().any(|change| change.id == slot.id);
            if let Some(row) = self.row(slot.id).filter(|_| !is_ended) {
                let device = self.devices[row.device].clone();
                let seen = Observation::Recovered { device: &device };
                breaches.extend(self.observe(&seen, batch.at));
            }
        }
        breaches
    }

    /// What the log says that happened, and to whom.
    fn cover(&mut self, batch: &Batch, mut state: RolloutState) {
        for record in &batch.records {
            match record {
                Record::Stands(stands) => state = stands.timeless().state.unwrap_or(state),
                Record::Acted(acted) => self.coverage.act(state, acted.act),
                Record::Happened(happened) => {
                    for id in happened.ids.iter() {
                        self.logged(id, happened);
                    }
                }
                Record::Unclaimed(back) => {
                    for (id, assignment) in back {
                        if let Some(Some(row)) = self.assignments.get_mut(id.0 as usize) {
                            row.logged = assignment.state;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn logged(&mut self, id: AssignmentId, happened: &Happened) {
        if let Some(Some(row)) = self.assignments.get_mut(id.0 as usize) {
            let state = std::mem::replace(&mut row.logged, happened.to);
            self.coverage.fact(state, &happened.fact, 1);
        }
    }

    fn changed(&mut self, change: &Change, at: Time) -> Breaches {
        let (id, to) = (change.id, change.to.state);
        let Some(Some(row)) = self.assignments.get_mut(id.0 as usize) else {
            return vec![format!("assignment {id} was changed, and is not there")];
        };
        let from = std::mem::replace(&mut row.state, to);
        let turn = self.turns.changed(id.0, &self.devices[row.device], &change.to, at);
        if from == to {
            return turn.into_iter().collect();
        }
        let has_ended = matches!(to, State::Succeeded | State::Failed(_) | State::TimedOut(_));
        self.updates += u64::from(has_ended && change.to.attempt > 0);
        let (device, key) = (&self.devices[row.device], row.rollout);
        let rollout = self.rollouts[&key].id;
        let seen = Observation::State { rollout, device, from, to };
        let mut breaches = observe(&mut self.ledger, &seen, at);
        breaches.extend(turn);
        if is_begun(to) && !is_begun(from) {
            breaches.extend(self.claimed(key, at));
        }
        breaches
    }

    /// Over any minute of the driver's clock no more is claimed than the rate allows.
    fn claimed(&mut self, key: RolloutKey, at: Time) -> Breaches {
        let Some(watched) = self.rollouts.get_mut(&key) else {
            return vec![];
        };
        let Some(per_minute) = watched.spec.limits.per_minute else {
            return vec![];
        };
        let minute = std::time::Duration::from_mins(1);
        watched.claims.push_back(at);
        while watched.claims.front().is_some_and(|first| *first + minute <= at) {
            watched.claims.pop_front();
        }
        // A second's worth may have been saved up, and one is under way at each end.
        let max = u64::from(per_minute) + u64::from(per_minute).div_ceil(60) + 1;
        let claims = watched.claims.len() as u64;
        if claims > max {
            return vec![format!("{claims} claims within a minute, {per_minute} allowed")];
        }
        vec![]
    }

    /// The clock was set, or the driver started anew: rates begin anew.
    pub(crate) fn forget_rates(&mut self) {
        self.rollouts.values_mut().for_each(|watched| watched.claims.clear());
    }

    pub(crate) fn sent(&mut self, key: RolloutKey, device: usize, at: Time) -> Breaches {
        let (rollout, device) = (self.rollouts[&key].id, &self.devices[device]);
        observe(&mut self.ledger, &Observation::Sent { rollout, device }, at)
    }

    /// A delivery ended as it did.
    pub(crate) fn delivered(
        &mut self,
        key: RolloutKey,
        id: AssignmentId,
        outcome: &Outcome,
        at: Time,
    ) -> Breaches {
        let rollout = self.rollouts[&key].id;
        let device = &self.devices[self.row(id).unwrap().device];
        let ledger = &mut self.ledger;
        let mut breaches = observe(ledger, &Observation::Over { rollout, device }, at);
        if matches!(outcome, Outcome::NotSent { .. } | Outcome::Refused { .. }) {
            breaches.extend(observe(ledger, &Observation::NotTaken { rollout, device }, at));
        }
        breaches
    }

    pub(crate) fn showed(&mut self, id: AssignmentId, version: &str, at: Time) -> Breaches {
        let device = &self.devices[self.row(id).unwrap().device];
        observe(&mut self.ledger, &Observation::Showed { device, version }, at)
    }

    pub(crate) fn idle(&mut self, key: RolloutKey, reasons: usize, at: Time) -> Breaches {
        let rollout = self.rollouts[&key].id;
        self.observe(&Observation::Idle { rollout, reasons }, at)
    }

    pub(crate) fn restarted(&mut self, at: Time) -> Breaches {
        self.forget_rates();
        for watched in self.rollouts.values_mut() {
            watched.is_behind = true;
            watched.ahead.forget();
        }
        self.observe(&Observation::Restarted, at)
    }

    /// Whether a device keeps its slots because it failed.
    pub(crate) fn has_failed(&self, device: &str) -> bool {
        self.ledger.has_failed(device)
    }

    /// A device called.
    pub(crate) fn called(&mut self, device: &str, at: Time) -> Breaches {
        self.observe(&Observation::Called { device }, at)
    }

    /// An operator released a slot of a device.
    pub(crate) fn released(&mut self, device: &str, key: &str, at: Time) -> Breaches {
        self.observe(&Observation::Released { device, key }, at)
    }

    /// An operator released a device that failed rollouts in a row.
    pub(crate) fn takes_part(&mut self, device: &str, at: Time) -> Breaches {
        self.observe(&Observation::TakesPart { device }, at)
    }

    /// What was known before may be gone by for a while.
    pub(crate) fn unsettled(&mut self, now: Time) {
        self.ledger.unsettled(now);
    }

    /// Somebody waits for a failure domain though nobody is out of order anywhere.
    pub(crate) fn domain_fault(&self, waiting_on: &[WaitingOn]) -> Option<String> {
        let domain = waiting_on.iter().find_map(|reason| match reason {
            WaitingOn::Domain { full, .. } if full.down == 0 => Some(full),
            _ => None,
        })?;
        let is_free = !self.ledger.is_any_out_of_order();
        is_free.then(|| format!("somebody waits for {domain}, and nobody is out of order"))
    }

    /// Devices of a rollout that are being sent to, or asked for their version.
    pub(crate) fn open(&self, key: RolloutKey) -> u64 {
        let rows = self.assignments.iter().flatten();
        rows.filter(|row| row.rollout == key && is_begun(row.state)).count() as u64
    }

    /// Devices of a rollout that were begun and have not ended.
    pub(crate) fn active(&self, key: RolloutKey) -> u64 {
        let rows = self.assignments.iter().flatten().filter(|row| row.rollout == key);
        rows.filter(|row| row.state.is_active()).count() as u64
    }

    /// An intent is answered apart from any batch.
    pub(crate) fn answered_apart(&mut self, seq: IntentSeq) {
        if let Some((key, act)) = self.intents.act_of(seq) {
            self.coverage.act(self.rollouts[&key].progression.state, act);
        }
    }

    /// Where all assignments stand, counted.
    pub(crate) fn ends(&self) -> BTreeMap<State, u64> {
        let mut ends = BTreeMap::new();
        for row in self.assignments.iter().flatten() {
            *ends.entry(row.state).or_default() += 1;
        }
        ends
    }

    /// What is in the rows is what became durable, and the counts are those of the rows.
    pub(crate) fn compare(&self) -> Breaches {
        let mut breaches = vec![];
        let (states, cohorts) = self.rows.whole();
        let (failed, failing) = (self.rows.failed(), self.rows.failing());
        for (id, state) in states {
            if let Some(row) = self.row(AssignmentId(id))
                && row.state != state
            {
                let (device, key, was) = (&self.devices[row.device], row.rollout.0, row.state);
                let what = format!("{device} of rollout {key} is {state}, was {was}");
                breaches.push(what);
            }
        }
        let is_settled = |key: &RolloutKey| {
            self.rollouts.get(key).is_some_and(|w| w.progression.state != RolloutState::Preparing)
        };
        for device in self.devices.iter().filter(|id| !id.is_empty()) {
            let (kept, is_kept) = (self.ledger.has_failed(device), failed.contains(device));
            if kept != is_kept {
                breaches.push(format!("{device} keeps slots: {is_kept}, should: {kept}"));
            }
            let (should, is) = (self.ledger.failed_in_row(device), failing.get(device));
            if should != is.copied().unwrap_or(0) {
                breaches
                    .push(format!("{device} failed {is:?} rollouts in a row, should: {should}"));
            }
        }
        for CohortCounts { rollout, key, said, counted } in cohorts {
            if said != counted && is_settled(&rollout) {
                breaches.push(format!("cohort {key} has {counted:?}, and says {said:?}"));
            }
        }
        breaches
    }
}

/// What happened within a batch, and when: a slow store may write several states at once.
fn courses_within(
    rollout: RolloutId,
    before: Progression,
    batch: &Batch,
    after: &Progression,
) -> Vec<(Observation<'static>, Time)> {
    let (mut stood, mut now) = (vec![before], batch.at);
    for record in &batch.records {
        match record {
            Record::At(ms) => now = Time::from_millis(batch.at.as_millis() - ms),
            Record::Stands(stands) => stood.push(stands.at(now).after(stood.last()).unwrap()),
            _ => {}
        }
    }
    stood.push(after.clone());
    let between = stood.windows(2);
    between.flat_map(|two| courses::observations(rollout, &two[0], &two[1], batch.at)).collect()
}

fn observe(ledger: &mut Ledger, seen: &Observation<'_>, at: Time) -> Breaches {
    let breaches = ledger.observe(seen, at);
    breaches.into_iter().map(|breach| format!("{breach} ({seen:?})")).collect()
}

/// Whether a rollback brings nobody back any more that it has not.
const fn is_given_up(state: RolloutState) -> bool {
    matches!(state, RolloutState::Canceled | RolloutState::Aborted)
}

const fn is_begun(state: State) -> bool {
    matches!(state, State::Delivering | State::Verifying)
}

const fn is_end(state: State) -> bool {
    match state {
        State::Queued
        | State::Away
        | State::Absent
        | State::Delivering
        | State::Verifying
        | State::Retrying => false,
        State::Succeeded
        | State::Failed(_)
        | State::TimedOut(_)
        | State::Canceled
        | State::Skipped(_) => true,
    }
}

/// A job in one line.
pub(crate) fn job_text(job: &Job) -> String {
    match job {
        Job::Commit(batch) => {
            let changes: Vec<String> = batch
                .changes
                .iter()
                .map(|change| format!("{} {}", change.id, change.to.state))
                .collect();
            let state = batch.progression.as_ref().map(|progression| {
                let waves: Vec<_> = progression.waves.iter().map(|w| w.state.as_str()).collect();
                format!("{} {:?} {waves:?}", progression.state, progression.paused)
            });
            let key = batch.rollout.0;
            format!("{key}: commit {changes:?} {state:?} answers {:?}", batch.answers)
        }
        Job::Fetch(want) => {
            let (until, queue) = (want.until, want.queue);
            format!("{}: fetch until {until} {queue:?}", want.rollout.0)
        }
        other => format!("{other:?}").chars().take(300).collect(),
    }
}

/// Who is not well since its update by a batch: found before the first of its claims, and after.
fn regressed(batch: &Batch) -> (Vec<AssignmentId>, Vec<AssignmentId>) {
    let (mut before, mut after) = (vec![], vec![]);
    let mut has_claimed = false;
    for record in &batch.records {
        match record {
            Record::Happened(happened) => has_claimed |= happened.fact == Fact::Claimed,
            Record::Regressed(regressed) if has_claimed => after.extend(regressed.ids.iter()),
            Record::Regressed(regressed) => before.extend(regressed.ids.iter()),
            _ => {}
        }
    }
    assert_eq!(before.len() + after.len(), batch.regressed.len(), "the log tells of all");
    (before, after)
}
