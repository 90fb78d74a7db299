//! Rollouts that people roll back: what may come of that, and who goes back to what, worked out from
//! what was known of each device when its turn came.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use groundswell::{
    core::{
        assignment::State,
        release::Release,
        rollback::{Otherwise, Refusal},
        rollout::{Act, State as RolloutState},
    },
    operate::{self, Extent, OperateError, RolledBack},
    store::{Change, RolloutKey, Store},
};

use super::{World, specs, trace::tell};

/// A rollout of a device, by its number.
type Place = (RolloutKey, usize);

/// What devices ran before they were changed, and who brings them back.
#[derive(Debug, Default)]
pub(crate) struct Back {
    /// What each device was known to run before a rollout changed it.
    before: BTreeMap<Place, String>,
    /// The same, of what is about to be written.
    reading: BTreeMap<Place, String>,
    /// Devices that came to an end in a rollout through an attempt.
    sent_to: BTreeSet<Place>,
    rollbacks: BTreeMap<RolloutKey, Rollback>,
}

#[derive(Debug)]
struct Rollback {
    of: RolloutKey,
    /// The round of that one which it rolls back.
    round: u32,
    version: String,
    /// Those that rolled the same round back, and were not given up, when it or they were written
    /// down.
    beside: Vec<RolloutKey>,
    devices: BTreeSet<usize>,
}

impl Back {
    /// Rows are about to be written; `version_of` says what a device is known to run until then,
    /// and `place_of` what it must not be: the version that it is sent, if somebody looks at that.
    pub(crate) fn before_commit(
        &mut self,
        changes: &[Change],
        place_of: impl Fn(&Change) -> Option<(Place, Option<String>)>,
        version_of: impl Fn(usize) -> Option<String>,
    ) {
        for change in last_of_each(changes).filter(|change| may_change(change)) {
            let Some((place, own)) = place_of(change) else { continue };
            if !self.before.contains_key(&place)
                && let Some(ran) = version_of(place.1)
                && own.as_ref() != Some(&ran)
            {
                self.reading.insert(place, ran);
            }
        }
    }

    /// They are durable.
    pub(crate) fn after_commit(
        &mut self,
        changes: &[Change],
        place_of: impl Fn(&Change) -> Option<(Place, Option<String>)>,
    ) {
        for change in last_of_each(changes).filter(|change| may_change(change)) {
            let Some((place, _)) = place_of(change) else { continue };
            if let Some(ran) = self.reading.remove(&place) {
                self.before.entry(place).or_insert(ran);
            }
            if change.to.state != State::Delivering {
                self.sent_to.insert(place);
            }
        }
    }

    /// They were not written.
    pub(crate) fn refused(&mut self) {
        self.reading.clear();
    }

    /// A rollout rolls back a round of another one; `is_given_up` says whether one brings nobody back.
    pub(crate) fn rolls_back(
        &mut self,
        key: RolloutKey,
        (of, round): (RolloutKey, u32),
        version: &str,
        is_given_up: impl Fn(RolloutKey) -> bool,
    ) {
        let mut beside = vec![];
        for (other, rollback) in &mut self.rollbacks {
            if (rollback.of, rollback.round) == (of, round) && !is_given_up(*other) {
                rollback.beside.push(key);
                beside.push(*other);
            }
        }
        let (version, devices) = (version.to_owned(), BTreeSet::new());
        self.rollbacks.insert(key, Rollback { of, round, version, beside, devices });
    }

    /// A device is in a rollout: why it should not be, if that rolls another one back.
    pub(crate) fn listed(&mut self, key: RolloutKey, device: usize) -> Option<String> {
        let Rollback { of, version, beside, .. } = self.rollbacks.get(&key)?;
        let before = self.before.get(&(*of, device));
        let other = beside.iter().find(|other| {
            self.rollbacks.get(other).is_some_and(|other| other.devices.contains(&device))
        });
        let why = match (before, other) {
            (Some(before), None) if before == version => None,
            (Some(_), Some(other)) => Some(format!("and rollout {} has it, too", other.0)),
            (before, _) => Some(format!("it ran {before:?} before")),
        };
        let why = why.map(|why| {
            format!("d{device:03} goes back to {version} from rollout {} by {}: {why}", of.0, key.0)
        });
        self.rollbacks.get_mut(&key)?.devices.insert(device);
        why
    }

    /// The devices that were sent to in a rollout, and what they ran before.
    fn sent_to(&self, key: RolloutKey) -> impl Iterator<Item = (usize, Option<&String>)> {
        let sent_to = self.sent_to.range((key, 0)..=(key, usize::MAX));
        sent_to.map(|place| (place.1, self.before.get(place)))
    }

    /// Whether any rollout rolls this one back.
    fn is_rolled_back(&self, key: RolloutKey) -> bool {
        self.rollbacks.values().any(|rollback| rollback.of == key)
    }

    /// What is wrong with what is told of devices that go back, or are left as they are.
    fn fault(&self, key: RolloutKey, told: &RolledBack) -> Option<String> {
        let mut before: BTreeMap<&str, u64> = BTreeMap::new();
        let mut all = 0;
        for (_, ran) in self.sent_to(key) {
            all += 1;
            if let Some(ran) = ran {
                *before.entry(ran).or_default() += 1;
            }
        }
        let go: u64 = told.by.iter().map(|by| by.devices).sum();
        let stay = told.unknown + told.moved_on + told.is_back + told.untouched + told.in_hand;
        if go + stay != all {
            return Some(format!("{go} go back and {stay} do not, {all} were sent to"));
        }
        told.by.iter().find_map(|by| {
            let version = by.release.version.as_str();
            let most = before.get(version).copied().unwrap_or(0);
            (by.devices == 0 || by.devices > most)
                .then(|| format!("{} go back to {version}, {most} ran it", by.devices))
        })
    }
}

/// The last change of each row in a batch: only that is written.
fn last_of_each(changes: &[Change]) -> impl Iterator<Item = &Change> {
    let last: BTreeMap<_, _> = changes.iter().map(|change| (change.id, change)).collect();
    last.into_values()
}

/// Whether a device may have been changed by what a row comes to, or may be from then on.
const fn may_change(change: &Change) -> bool {
    match change.to.state {
        State::Delivering => true,
        State::Succeeded | State::Failed(_) | State::TimedOut(_) | State::Canceled => {
            change.to.attempt > 0
        }
        _ => false,
    }
}

impl World {
    /// Somebody rolls a rollout back, sensible or not.
    pub(crate) fn roll_back(&mut self, percent: u64) {
        if self.operator.rollbacks_left == 0 || !self.operator.apart.percent(percent) {
            return;
        }
        let key = self.pick_for_rollback();
        let dice = &mut self.operator.apart;
        let otherwise = Otherwise {
            at_any_hour: dice.percent(15),
            max_in_flight: dice.percent(20).then(|| *dice.pick(&[1, 8])),
        };
        let (is_file_gone, is_twice) = (dice.percent(12), dice.percent(15));
        let mut missing = self.roll_back_by_hand(key, &otherwise, is_file_gone);
        if !missing.is_empty() && self.operator.apart.percent(60) {
            // Somebody writes down what devices ran that nobody ever rolled out.
            for version in &missing {
                let release = self.checker.spec(key).release.clone();
                let release = Release { version: version.clone(), ..release };
                self.desk.put_release(&release, self.agenda.clock()).unwrap();
            }
            missing = self.roll_back_by_hand(key, &otherwise, false);
            if !missing.is_empty() {
                self.fail(&format!("{missing:?} are releases by now"));
            }
        }
        if is_twice {
            // Somebody else, who does not know of it.
            self.roll_back_by_hand(key, &Otherwise::default(), false);
        }
    }

    /// Mostly one that may be; sometimes any.
    fn pick_for_rollback(&mut self) -> RolloutKey {
        let may_be = |key: &RolloutKey| {
            let state = self.desk.rollout(*key).unwrap().unwrap().progression.state;
            state == RolloutState::Paused || state.is_ended()
        };
        let all = &self.operator.rollouts;
        let likely: Vec<RolloutKey> = all.iter().copied().filter(may_be).collect();
        let dice = &mut self.operator.apart;
        let from = if likely.is_empty() || dice.percent(25) { all } else { &likely };
        *dice.pick(from)
    }

    /// Says which versions are no release, if that is what keeps it from being rolled back.
    fn roll_back_by_hand(
        &mut self,
        key: RolloutKey,
        otherwise: &Otherwise,
        is_file_gone: bool,
    ) -> Vec<String> {
        let clock = self.agenda.clock();
        let (file, aside) = (specs::file_in(&self.place), self.place.join("aside"));
        if is_file_gone {
            fs::rename(&file, &aside).unwrap();
        }
        let mut state = operate::State::open(&self.place).unwrap();
        let record = self.desk.rollout(key).unwrap().unwrap();
        let (logged, was) = (self.checker.rows.logged_to(key), self.desk.rollbacks(key).unwrap());
        let done = state.roll_back(&record, otherwise, Extent::Draft, clock);
        if is_file_gone {
            fs::rename(&aside, &file).unwrap();
        }
        tell!(self, "{} rollout {} rolled back by hand: {done:?}", self.stamp(), key.0);
        let wrong = match &done {
            Ok(told) => self.fault_of_rollback(key, record.progression.state, told, is_file_gone),
            Err(OperateError::NotRolledBack { refusal, .. }) => {
                self.note("rollback: refused");
                let is_as_it_was = self.desk.rollbacks(key).unwrap().len() == was.len()
                    && self.checker.rows.logged_to(key) == logged;
                if is_as_it_was {
                    self.fault_of_refusal(key, refusal, is_file_gone)
                } else {
                    Some("it is refused, and something was written".to_owned())
                }
            }
            Err(error) => Some(format!("{error:?}")),
        };
        if let Some(wrong) = wrong {
            self.fail(&format!("rolling back rollout {}: {wrong}: {done:?}", key.0));
        }
        let told = match done {
            Ok(told) => told,
            Err(OperateError::NotRolledBack {
                refusal: Refusal::NoRelease { versions, .. },
                ..
            }) => return versions,
            Err(_) => return vec![],
        };
        self.note("rollback: by hand");
        self.operator.rollbacks_left -= 1;
        self.rolled_back(key, Some(otherwise));
        let is_whole = told.by.len() as u64
            == self.desk.rollbacks(key).unwrap().len() as u64 - was.len() as u64;
        if !is_whole {
            self.fail(&format!("rollout {} is not rolled back by {:?}", key.0, told.by));
        }
        for by in told.by {
            // Some are left as drafts, until somebody acts on them.
            if !self.operator.apart.percent(12) {
                self.want(RolloutKey(by.number.unwrap()), Act::Start);
            }
        }
        vec![]
    }

    fn fault_of_rollback(
        &self,
        key: RolloutKey,
        state: RolloutState,
        told: &RolledBack,
        is_file_gone: bool,
    ) -> Option<String> {
        let may_be = state == RolloutState::Paused || state.is_ended();
        let active = self.checker.active(key);
        if !may_be || active > 0 || is_file_gone {
            return Some(format!("it is {state}, with {active} open, no file: {is_file_gone}"));
        }
        self.checker.back.fault(key, told)
    }

    /// Why what is said against rolling a rollout back is not so.
    fn fault_of_refusal(
        &self,
        key: RolloutKey,
        refusal: &Refusal,
        is_file_gone: bool,
    ) -> Option<String> {
        let progression = self.desk.rollout(key).unwrap().unwrap().progression;
        let (state, is_first) = (progression.state, progression.round == 1);
        let back = &self.checker.back;
        let is_so = match refusal {
            Refusal::GoesOn(said) => {
                let is_prepared = matches!(said, RolloutState::Preparing | RolloutState::Scheduled);
                *said == state && (state == RolloutState::Running || is_prepared && !is_first)
            }
            Refusal::Ending(said) => {
                *said == state && matches!(state, RolloutState::Canceling | RolloutState::Aborting)
            }
            Refusal::NeverBegan => back.sent_to(key).next().is_none(),
            Refusal::Open(said) => *said > 0 && *said == self.checker.active(key),
            Refusal::Already(_) => back.is_rolled_back(key),
            Refusal::Nobody(_) => !self.has_what_it_sent(key),
            Refusal::NoRelease { versions, .. } => {
                let mut ran = back.sent_to(key).filter_map(|(_, ran)| ran);
                ran.any(|ran| versions.contains(ran))
            }
            Refusal::NoArtifact { .. } => is_file_gone,
            Refusal::Push => self.push.is_some(),
            Refusal::Unseen(_) => false,
        };
        (!is_so).then(|| format!("that is not so: it is {state}"))
    }

    /// Whether a device is known to run what a rollout sent, and what it ran before.
    fn has_what_it_sent(&self, key: RolloutKey) -> bool {
        let version = &self.checker.spec(key).release.version;
        let sent_to = self.checker.back.sent_to(key);
        let mut changed = sent_to.filter(|(_, ran)| ran.is_some_and(|ran| ran != version));
        changed.any(|(device, _)| self.checker.version_of(device).as_ref() == Some(version))
    }
}
