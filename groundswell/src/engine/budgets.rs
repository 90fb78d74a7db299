//! The slots of failure domains that all rollouts of one driver share.
//!
//! Who holds what is durable: whoever is under way holds a slot in each of its domains, and so does
//! whoever failed and was not seen to be well since. Who waits is not; after a restart it is read
//! again. A device counts in the domains of everybody's budgets, whichever rollout updates it. Which
//! device is in which domain is known of candidates as they are read; of all that hold slots already
//! it is asked when the first rollout comes that has budgets of a kind.
//!
//! Type to read first: [`Budgets`].

mod waiting;

use std::{sync::Arc, time::Duration};

use groundswell_core::{
    admit::Class,
    bites,
    budget::{self, Budget, Domain, Domains, Fate, Per, Place, Why},
    ids::AssignmentId,
    time::Time,
};
use hashbrown::{HashMap, HashSet};

use crate::store::{
    Candidate, DeviceKey, FailedDevice, Member, RolloutKey, SlotsRead, SlotsWant, Values,
};

/// How often domains are counted again while devices are written: a share of a domain is a matter
/// of days, and counting reads as much as the fleet is large.
const COUNT_EVERY: Duration = Duration::from_mins(1);

/// How often it is asked which devices are down: a fraction of the time after which a device that
/// checks in every minute counts as offline, and no more often, because it is read who is silent.
const DOWN_EVERY: Duration = Duration::from_mins(1);

/// Candidates of one rollout that wait for slots in memory, at some 700 bytes each.
const PARKED_MAX: usize = 50_000;

/// Slots, and who waits for them.
#[derive(Debug)]
pub(super) struct Budgets {
    /// The kinds of domains that any rollout has a budget for, in the order in which they came.
    pers: Arc<[Per]>,
    domains: Domains<(RolloutKey, Candidate)>,
    /// Devices that keep their slots because they failed.
    failed: HashMap<DeviceKey, FailedDevice>,
    /// Their ids, as far as they were told.
    ids: HashMap<DeviceKey, Box<str>>,
    /// For each kind: the devices of the inventory with each value.
    sizes: Vec<HashMap<Option<Box<str>>, u32>>,
    /// Devices that are known to be down, as was told last.
    down: HashSet<DeviceKey>,
    /// The same by their domains, with their ids: they are named to whoever waits.
    down_in: HashMap<Arc<Domain>, Vec<(DeviceKey, Box<str>)>>,
    /// How many kinds are known of all that hold slots.
    known: usize,
    is_asking: bool,
    /// Whether any rollout counts devices that are down.
    counts_down: bool,
    is_down_known: bool,
    /// When it is asked again how large domains are.
    count_at: Option<Time>,
    down_at: Time,
    counted_at: Time,
    /// How many of a rollout may wait in memory; others are left in the store.
    pub(super) parked_max: usize,
    /// How often slots were freed.
    frees: u64,
    /// How often domains were counted: devices may be in other ones since.
    recounts: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            pers: Arc::from([]),
            domains: Domains::new(),
            failed: HashMap::new(),
            ids: HashMap::new(),
            sizes: vec![],
            down: HashSet::new(),
            down_in: HashMap::new(),
            known: 0,
            is_asking: false,
            counts_down: false,
            is_down_known: false,
            count_at: None,
            down_at: Time::ZERO,
            counted_at: Time::ZERO,
            parked_max: PARKED_MAX,
            frees: 0,
            recounts: 0,
        }
    }
}

/// A device that was left in the store because too many wait already.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) device: DeviceKey,
    /// The domain that had no slot for it; none if it was not looked at.
    pub(super) full: Option<Arc<Domain>>,
}

/// A device that is not under way any more.
#[derive(Clone, Debug)]
pub(super) struct Freed {
    pub(super) device: DeviceKey,
    /// Its id, if it is to be named.
    pub(super) name: Option<Box<str>>,
    /// What it was under way for.
    pub(super) id: AssignmentId,
    pub(super) fate: Fate,
    /// Whether it was claimed, or had only been given its slots.
    pub(super) was_claimed: bool,
}

const fn raw(device: DeviceKey) -> u64 {
    device.0.cast_unsigned()
}

impl Budgets {
    /// The kinds of domains that are asked about with every candidate.
    pub(super) fn pers(&self) -> Arc<[Per]> {
        Arc::clone(&self.pers)
    }

    /// Devices that failed before, as they are written down.
    pub(super) fn know_failed(&mut self, failed: Vec<FailedDevice>) {
        self.failed.extend(failed.into_iter().map(|failed| (failed.device, failed)));
    }

    pub(super) fn has_failed(&self, device: DeviceKey) -> bool {
        self.failed.contains_key(&device)
    }

    /// In what it failed because of which it keeps slots.
    pub(super) fn failed_in(&self, device: DeviceKey) -> Option<AssignmentId> {
        self.failed.get(&device).map(|failed| failed.assignment)
    }

    /// Whether it keeps slots because it failed in this.
    pub(super) fn has_failed_in(&self, device: DeviceKey, assignment: AssignmentId) -> bool {
        self.failed_in(device) == Some(assignment)
    }

    /// A device that was updated is not well since: it counts in its domains like one that failed.
    pub(super) fn regressed(&mut self, candidate: &Candidate) {
        let (device, assignment) = (candidate.device, candidate.id);
        let failed = FailedDevice { device, assignment, at: Time::ZERO, released: vec![] };
        self.failed.insert(device, failed);
        if self.pers.is_empty() {
            return;
        }
        self.ids.insert(device, candidate.endpoint.id.as_ref().into());
        if self.knows(candidate) {
            let domains = domains_of(&self.pers, &candidate.values);
            self.domains.hold(raw(device), &domains, Why::Failed);
        } else {
            // Kinds of domains came since it was read: who is in them is asked anew.
            self.known = 0;
        }
    }

    /// There are these budgets from now on; says whether any is of a new kind.
    pub(super) fn add(&mut self, budgets: &[Budget]) -> bool {
        let mut pers = self.pers.to_vec();
        for Budget { per, .. } in budgets {
            if !pers.contains(per) {
                pers.push(per.clone());
            }
        }
        let is_more = pers.len() > self.pers.len();
        if is_more {
            self.pers = pers.into();
        }
        is_more
    }

    /// Whether any rollout goes on, with devices that wait, which counts those that are down.
    pub(super) const fn count_down(&mut self, is_wanted: bool) {
        self.counts_down = is_wanted;
        self.is_down_known &= is_wanted;
    }

    /// What is to be asked now, after everything that was claimed is being written.
    pub(super) fn ask(&mut self, now: Time) -> Option<SlotsWant> {
        let is_unknown = self.known < self.pers.len();
        let is_down_due = self.counts_down && (!self.is_down_known || now >= self.down_at);
        let is_count_due = self.count_at.is_some_and(|at| now >= at);
        if self.is_asking || !(is_unknown || is_down_due || is_count_due) {
            return None;
        }
        self.is_asking = true;
        self.down_at = now + DOWN_EVERY;
        if is_unknown || is_count_due {
            self.count_at = None;
            self.counted_at = now;
        }
        Some(SlotsWant {
            pers: self.pers(),
            is_held_wanted: is_unknown,
            is_size_wanted: is_unknown || is_count_due,
            down_at: is_down_due.then_some(now),
        })
    }

    /// When that is due next; nothing if it is being asked.
    pub(super) fn wake_at(&self) -> Option<Time> {
        if self.is_asking {
            return None;
        }
        let is_new = self.known < self.pers.len() || self.counts_down && !self.is_down_known;
        let down_at = self.counts_down.then_some(self.down_at);
        let new_at = is_new.then_some(Time::ZERO);
        [new_at, down_at, self.count_at].into_iter().flatten().min()
    }

    /// The clock was set back: nothing waits longer than it would have.
    pub(super) fn clock_set_back(&mut self, now: Time) {
        self.down_at = self.down_at.min(now + DOWN_EVERY);
        self.count_at = self.count_at.map(|at| at.min(now + COUNT_EVERY));
        self.counted_at = self.counted_at.min(now);
    }

    /// Devices of the inventory were written: domains may be larger or smaller.
    pub(super) fn devices_written(&mut self, now: Time) {
        if !self.pers.is_empty() {
            let at = (self.counted_at + COUNT_EVERY).max(now);
            self.count_at = Some(self.count_at.map_or(at, |due| due.min(at)));
        }
    }

    /// Takes in what was read. `active` are all that are under way; should one of them not have been
    /// read, because it was claimed since, it is asked again.
    pub(super) fn told<'a>(
        &mut self,
        read: SlotsRead,
        active: impl Iterator<Item = &'a DeviceKey>,
    ) {
        self.is_asking = false;
        if read.pers < self.pers.len() {
            // Others came since.
            return;
        }
        if let Some(sizes) = read.sizes {
            self.sizes = sizes.into_iter().map(|sizes| sizes.into_iter().collect()).collect();
            self.resize();
        }
        if let Some(down) = read.down {
            self.tell_down(&down);
        }
        let Some(held) = read.held else { return };
        let held: HashMap<DeviceKey, Member> =
            held.into_iter().map(|member| (member.device, member)).collect();
        let active: Vec<DeviceKey> = active.copied().collect();
        let all = active.iter().chain(self.failed.keys());
        if !all.clone().all(|device| held.contains_key(device)) {
            return;
        }
        self.known = self.pers.len();
        if bites!(SlotsLostAtRestart) {
            return;
        }
        for (device, failed) in &self.failed {
            let Some(member) = held.get(device) else { continue };
            let domains = domains_of(&self.pers, &member.values);
            let kept: Vec<_> =
                domains.into_iter().filter(|domain| !failed.released.contains(domain)).collect();
            self.domains.hold(raw(*device), &kept, Why::Failed);
            self.ids.insert(*device, member.id.clone());
        }
        for device in active {
            let Some(member) = held.get(&device) else { continue };
            self.domains.hold(raw(device), &domains_of(&self.pers, &member.values), Why::UnderWay);
        }
    }

    fn resize(&mut self) {
        self.frees += 1;
        self.recounts += 1;
        for (per, sizes) in self.pers.iter().zip(&self.sizes) {
            for (value, devices) in sizes {
                let value = value.as_deref().map(str::to_owned);
                self.domains.resize(&Domain { per: per.clone(), value }, *devices);
            }
        }
    }

    fn tell_down(&mut self, members: &[Member]) {
        self.is_down_known = true;
        self.frees += 1;
        let down: HashSet<DeviceKey> = members.iter().map(|member| member.device).collect();
        let mut up: Vec<DeviceKey> = self.down.difference(&down).copied().collect();
        up.sort_unstable();
        for device in up {
            self.domains.set_up(raw(device));
        }
        self.down_in.clear();
        for member in members {
            let domains = domains_of(&self.pers, &member.values);
            self.domains.set_down(raw(member.device), &domains);
            for domain in domains {
                let down = self.down_in.entry(domain).or_default();
                down.push((member.device, member.id.clone()));
            }
        }
        self.down = down;
    }

    /// Whether it is not known yet who holds slots that these budgets are about.
    pub(super) fn is_unsure(&self, budgets: &[Budget]) -> bool {
        let is_down_unknown =
            !self.is_down_known && budgets.iter().any(|budget| budget.counts_down);
        !budgets.is_empty() && (self.known < self.pers.len() || is_down_unknown)
    }

    /// Whether it is known in which domains a candidate is.
    pub(super) fn knows(&self, candidate: &Candidate) -> bool {
        candidate.values.len() >= self.pers.len()
    }

    /// Gives a candidate its slots, or keeps it until it can have them, and says what it waits for.
    pub(super) fn admit(
        &mut self,
        rollout: RolloutKey,
        candidate: Candidate,
        budgets: &[Budget],
    ) -> Result<Candidate, Left> {
        if budgets.is_empty() {
            return Ok(candidate);
        }
        let key = candidate.device;
        let places = self.places(&candidate.values, budgets);
        let device = raw(candidate.device);
        let what = budget::Candidate {
            device,
            rollout: raw_rollout(rollout),
            class: Class::Fresh,
            what: (rollout, candidate),
        };
        match self.domains.admit(what, &places) {
            budget::Admission::Claimed((_, candidate)) => Ok(candidate),
            budget::Admission::Parked(full) => Err(Left { device: key, full: Some(full) }),
            budget::Admission::Busy => Err(Left { device: key, full: None }),
        }
    }

    /// Whether one that was left in the store may find a slot where there was none. It is not asked
    /// what its other domains are: that is known once it is read.
    pub(super) fn may_return(&self, left: &Left, budgets: &[Budget]) -> bool {
        let Some(domain) = &left.full else { return true };
        let Some(at) = self.pers.iter().position(|per| *per == domain.per) else { return true };
        let value = domain.value.as_deref().map(Box::from);
        // The same size that it would be admitted with.
        let devices = self.sizes.get(at).and_then(|sizes| sizes.get(&value)).copied().unwrap_or(1);
        budgets.iter().filter(|budget| budget.per == domain.per).all(|budget| {
            let Budget { limit, counts_down, .. } = *budget;
            let domain = Arc::clone(domain);
            self.domains.lets_in(raw(left.device), &Place { domain, devices, limit, counts_down })
        })
    }

    /// Whether a candidate that was given its slots may still go by these budgets.
    pub(super) fn may_go(&self, candidate: &Candidate, budgets: &[Budget]) -> bool {
        self.domains.may_go(raw(candidate.device), &self.places(&candidate.values, budgets))
    }

    fn places(&self, values: &Values, budgets: &[Budget]) -> Vec<Place> {
        let place = |budget: &Budget| {
            let at = self.pers.iter().position(|per| *per == budget.per)?;
            let value = values.get(at)?;
            // One that is new since they were counted is the first of its domain.
            let devices = self.sizes.get(at).and_then(|sizes| sizes.get(value)).copied();
            let domain =
                Domain { per: budget.per.clone(), value: value.as_deref().map(str::to_owned) };
            Some(Place {
                domain: Arc::new(domain),
                devices: devices.unwrap_or(1),
                limit: budget.limit,
                counts_down: budget.counts_down,
            })
        };
        budgets.iter().filter_map(place).collect()
    }

    /// A candidate was claimed: it counts in every domain that it is in.
    pub(super) fn claimed(&mut self, candidate: &Candidate, budgets: &[Budget]) {
        if self.pers.is_empty() || bites!(OthersForgotten) && budgets.is_empty() {
            return;
        }
        let domains = domains_of(&self.pers, &candidate.values);
        self.domains.hold(raw(candidate.device), &domains, Why::UnderWay);
    }

    /// Whether more of a rollout wait than may.
    pub(super) fn is_crowded(&self, rollout: RolloutKey) -> bool {
        self.parked(rollout) > self.parked_max
    }

    /// One that waits waits no more.
    pub(super) fn leave(&mut self, rollout: RolloutKey, device: DeviceKey) {
        drop(self.domains.withdraw_device(raw_rollout(rollout), raw(device)));
    }

    /// Counts how often slots were freed.
    pub(super) const fn frees(&self) -> u64 {
        self.frees
    }

    /// Counts how often domains were counted.
    pub(super) const fn recounts(&self) -> u64 {
        self.recounts
    }

    /// What became of the slots of a device, which is durable; `is_claimed` says whether it is
    /// claimed again.
    pub(super) fn settle(&mut self, freed: &Freed, is_claimed: bool) {
        let Freed { device, id: assignment, fate, .. } = *freed;
        match fate {
            Fate::Freed => {
                self.failed.remove(&device);
                self.ids.remove(&device);
            }
            Fate::Kept => {
                let at = Time::ZERO;
                let failed = FailedDevice { device, assignment, at, released: vec![] };
                self.failed.insert(device, failed);
                self.ids.extend(freed.name.clone().map(|name| (device, name)));
            }
            Fate::Recovered if self.has_failed_in(device, assignment) => {
                return self.recovered(device);
            }
            Fate::Recovered => return,
            Fate::HandedBack => {}
        }
        if is_claimed {
            return;
        }
        self.frees += u64::from(fate != Fate::Kept);
        match fate {
            Fate::Freed => self.domains.free(raw(device)),
            Fate::Kept => self.domains.fail(raw(device)),
            Fate::HandedBack | Fate::Recovered => self.domains.hand_back(raw(device)),
        }
    }

    /// A device that failed is durably known to be well.
    pub(super) fn recovered(&mut self, device: DeviceKey) {
        if self.failed.remove(&device).is_some() {
            self.ids.remove(&device);
            self.frees += 1;
            self.domains.recover(raw(device));
        }
    }

    /// It was looked at what is written down of a device: that it was heard of, or released, may have
    /// been seen before it was known that it failed.
    pub(super) fn stands(&mut self, device: DeviceKey, written: Option<FailedDevice>) {
        let Some(written) = written else { return self.recovered(device) };
        let Some(failed) = self.failed.get_mut(&device) else { return };
        if failed.assignment != written.assignment {
            return;
        }
        for domain in written.released {
            if !failed.released.contains(&domain) {
                self.frees += 1;
                self.domains.release(raw(device), &domain);
                failed.released.push(domain);
            }
        }
    }
}

const fn raw_rollout(rollout: RolloutKey) -> u64 {
    rollout.0.cast_unsigned()
}

/// The domains of the kinds that are known of a device.
fn domains_of(pers: &[Per], values: &Values) -> Vec<Arc<Domain>> {
    let domain = |(per, value): (&Per, &Option<Box<str>>)| {
        Arc::new(Domain { per: per.clone(), value: value.as_deref().map(str::to_owned) })
    };
    pers.iter().zip(values).map(domain).collect()
}
