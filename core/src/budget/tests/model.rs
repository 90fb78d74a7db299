//! A small fleet, and what is true of it, kept as plainly as can be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

pub(super) const DEVICES: u64 = 12;
pub(super) const ROLLOUTS: u64 = 3;

/// What may happen. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Admit { rollout: u64, device: u64 },
    Begin(usize),
    Free(usize),
    Fail(usize),
    HandBack(usize),
    Release { device: u64, domain: usize },
    Down(u64),
    Up(u64),
    Resize { domain: usize, devices: u32 },
    Withdraw { rollout: u64, device: Option<u64> },
    Restart,
    Wake(usize),
}

pub(super) fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    use Happening::*;
    let device = || 0..DEVICES;
    let any = || 0..64_usize;
    let one = prop_oneof![
        10 => (0..ROLLOUTS, device()).prop_map(|(rollout, device)| Admit { rollout, device }),
        1 => any().prop_map(Begin),
        5 => any().prop_map(Free),
        3 => any().prop_map(Fail),
        1 => any().prop_map(HandBack),
        1 => (device(), any()).prop_map(|(device, domain)| Release { device, domain }),
        1 => device().prop_map(Down),
        2 => device().prop_map(Up),
        1 => (any(), 0..120_u32).prop_map(|(domain, devices)| Resize { domain, devices }),
        1 => (0..ROLLOUTS, prop::option::of(device()))
            .prop_map(|(rollout, device)| Withdraw { rollout, device }),
        1 => Just(Restart),
        5 => any().prop_map(|times| Wake(times % 4)),
    ];
    prop::collection::vec(one, 0..120)
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        3 => (1..4_u32).prop_map(Limit::Max),
        1 => prop::sample::select(vec![1_u8, 10, 25, 50, 100]).prop_map(Limit::Percent),
    ]
}

/// The budgets of each rollout, of some of these kinds.
pub(super) fn budgets(keys: &'static [&'static str]) -> impl Strategy<Value = Vec<Vec<Budget>>> {
    let budget = move |key: &'static str| {
        (prop::bool::weighted(0.7), limit(), any::<bool>()).prop_map(
            move |(is_there, limit, counts_down)| {
                is_there.then(|| Budget { per: per(key), limit, counts_down })
            },
        )
    };
    let of_rollout = keys.iter().map(|key| budget(key)).collect::<Vec<_>>();
    let of_rollout = of_rollout.prop_map(|budgets| budgets.into_iter().flatten().collect());
    prop::collection::vec(of_rollout, ROLLOUTS as usize)
}

/// The domain of a device: stores of two, regions of six, and shelves that cut across both.
pub(super) fn domain_of(device: u64, per: &Per) -> Arc<Domain> {
    let value = match per {
        Per::Tag(key) if key == "store" => (device / 2 != 3).then_some(device / 2),
        Per::Tag(key) if key == "region" => Some(device / 6),
        Per::Tag(_) => Some(device % 3),
    };
    let value = value.map(|value| value.to_string());
    Arc::new(Domain { per: per.clone(), value })
}

/// A candidate that was not claimed yet: its rollout and its device.
pub(super) type Wish = (u64, u64);

/// What is true.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) budgets: Vec<Vec<Budget>>,
    /// In order of age.
    pub(super) parked: Vec<Wish>,
    pub(super) under_way: BTreeSet<u64>,
    /// By device and domain, and whether it was there before the device was claimed.
    pub(super) slots: BTreeMap<(u64, Arc<Domain>), bool>,
    pub(super) down: BTreeSet<u64>,
    pub(super) sizes: BTreeMap<Arc<Domain>, u32>,
}

impl Model {
    pub(super) fn new(budgets: Vec<Vec<Budget>>) -> Self {
        let mut model = Self { budgets, ..Self::default() };
        for domain in model.domains() {
            // Of different sizes, so that each kind is the narrowest somewhere.
            let devices = 20 + 7 * domain.to_string().bytes().map(u32::from).sum::<u32>() % 60;
            model.sizes.insert(domain, devices);
        }
        model
    }

    fn pers(&self) -> BTreeSet<Per> {
        self.budgets.iter().flatten().map(|budget| budget.per.clone()).collect()
    }

    pub(super) fn domains(&self) -> BTreeSet<Arc<Domain>> {
        let pers = self.pers();
        (0..DEVICES).flat_map(|device| pers.iter().map(move |per| domain_of(device, per))).collect()
    }

    pub(super) fn domains_of(&self, device: u64) -> Vec<Arc<Domain>> {
        self.pers().iter().map(|per| domain_of(device, per)).collect()
    }

    pub(super) fn places(&self, (rollout, device): Wish) -> Vec<Place> {
        let place = |budget: &Budget| {
            let domain = domain_of(device, &budget.per);
            let Budget { limit, counts_down, .. } = *budget;
            Place { devices: self.sizes[&domain], domain, limit, counts_down }
        };
        self.budgets[rollout as usize].iter().map(place).collect()
    }

    /// Devices other than this one that hold a slot there, and those of them that have failed.
    fn others(&self, device: u64, place: &Place) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let held =
            self.slots.keys().filter(|(other, domain)| *other != device && *domain == place.domain);
        let mut all: BTreeSet<u64> = held.map(|(other, _)| *other).collect();
        let mut lasting: BTreeSet<u64> =
            all.iter().copied().filter(|other| !self.under_way.contains(other)).collect();
        if place.counts_down {
            let is_in = |other: &&u64| {
                **other != device && domain_of(**other, &place.domain.per) == place.domain
            };
            all.extend(self.down.iter().filter(is_in));
            let is_idle = |other: &&u64| !self.under_way.contains(*other);
            lasting.extend(self.down.iter().filter(is_in).filter(is_idle));
        }
        (all, lasting)
    }

    /// Whether a claim of this device would be within the limit of this domain, or puts no more
    /// devices out of order: it has failed itself, and nobody else is under way there.
    pub(super) fn has_room(&self, device: u64, place: &Place) -> bool {
        let is_in = |other: &u64| self.slots.contains_key(&(*other, Arc::clone(&place.domain)));
        let is_mended = self.has_failed(device, place) && !self.under_way.iter().any(is_in);
        is_mended || self.others(device, place).0.len() < place.limit.of(place.devices) as usize
    }

    fn has_failed(&self, device: u64, place: &Place) -> bool {
        let slot = (device, Arc::clone(&place.domain));
        !self.under_way.contains(&device) && self.slots.contains_key(&slot)
    }

    /// Whether it would not be even if all that is under way had ended.
    pub(super) fn is_stuck(&self, device: u64, place: &Place) -> bool {
        !self.has_failed(device, place)
            && self.others(device, place).1.len() >= place.limit.of(place.devices) as usize
    }

    /// Writes a claim down.
    pub(super) fn claim(&mut self, wish: Wish) {
        self.parked.retain(|other| *other != wish);
        let places = self.places(wish);
        for place in &places {
            self.slots.entry((wish.1, Arc::clone(&place.domain))).or_insert(false);
        }
        if self.slots.keys().any(|(device, _)| *device == wish.1) && !places.is_empty() {
            self.under_way.insert(wish.1);
        }
    }

    /// The device is no longer under way, and keeps some of its slots.
    pub(super) fn settle(&mut self, device: u64, is_kept: impl Fn(bool) -> bool) {
        self.under_way.remove(&device);
        self.slots.retain(|(other, _), had_failed| *other != device || is_kept(*had_failed));
        for ((other, _), had_failed) in &mut self.slots {
            *had_failed |= *other == device;
        }
    }

    pub(super) fn slots_of(&self, device: u64) -> Vec<Arc<Domain>> {
        let of_device = self.slots.keys().filter(|(other, _)| *other == device);
        of_device.map(|(_, domain)| Arc::clone(domain)).collect()
    }
}
