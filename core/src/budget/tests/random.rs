//! Whatever happens, no claim goes beyond a limit, and nobody waits for ever.

use proptest::prelude::*;

use super::{
    model::{Happening, Model, Wish, budgets, happenings},
    *,
};
use crate::admit::Class::{Begun, Fresh};

/// The slots, and what is true of them.
pub(super) struct World {
    pub(super) slots: Domains<Wish>,
    pub(super) model: Model,
    /// Claims since somebody looked.
    pub(super) claims: Vec<Wish>,
}

impl World {
    pub(super) fn new(budgets: Vec<Vec<Budget>>) -> Self {
        Self { slots: Domains::new(), model: Model::new(budgets), claims: vec![] }
    }

    /// A claim that was made: within every limit, and of no device that is under way.
    fn claimed(&mut self, wish: Wish) {
        assert!(!self.model.under_way.contains(&wish.1), "{wish:?} is under way");
        for place in self.model.places(wish) {
            assert!(self.model.has_room(wish.1, &place), "{wish:?} goes beyond {place:?}");
        }
        self.model.claim(wish);
        self.claims.push(wish);
    }

    fn admit(&mut self, wish: Wish) {
        let (rollout, device) = wish;
        let places = self.model.places(wish);
        let is_new = !self.model.parked.contains(&wish);
        if is_new {
            self.model.parked.push(wish);
        }
        let is_in = places.iter().all(|place| self.slots.lets_in(device, place));
        let candidate = Candidate { device, rollout, class: Fresh, what: wish };
        if let Admission::Claimed(wish) = self.slots.admit(candidate, &places) {
            // Whoever is not called because it would not be let in could not have gone.
            assert!(is_in || !is_new, "{wish:?} was claimed where it is not let in");
            if self.model.places(wish).is_empty() {
                self.model.parked.retain(|other| *other != wish);
            } else {
                self.claimed(wish);
            }
        }
    }

    pub(super) fn wake(&mut self, times: usize) {
        for _ in 0..times {
            let Some(wish) = self.slots.next_woken() else { break };
            self.claimed(wish);
        }
    }

    fn restart(&mut self) {
        self.slots = Domains::new();
        for ((device, domain), had_failed) in &self.model.slots {
            let domain = [Arc::clone(domain)];
            if *had_failed {
                self.slots.hold(*device, &domain, Why::Failed);
            }
            if self.model.under_way.contains(device) {
                self.slots.hold(*device, &domain, Why::UnderWay);
            }
        }
        for device in &self.model.down {
            self.slots.set_down(*device, &self.model.domains_of(*device));
        }
        for wish in self.model.parked.clone() {
            self.admit(wish);
        }
    }

    fn nth_under_way(&self, n: usize) -> Option<u64> {
        let count = self.model.under_way.len();
        self.model.under_way.iter().nth(n.checked_rem(count)?).copied()
    }

    fn nth_holder(&self, n: usize) -> Option<u64> {
        let count = self.model.slots.len();
        self.model.slots.keys().nth(n.checked_rem(count)?).map(|(device, _)| *device)
    }

    fn free(&mut self, device: u64) {
        self.slots.free(device);
        self.model.settle(device, |_| false);
    }

    fn fail(&mut self, device: u64) {
        self.slots.fail(device);
        self.model.settle(device, |_| true);
    }

    pub(super) fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Admit { rollout, device } => self.admit((rollout, device)),
            Happening::Begin(n) => {
                if let Some(device) = self.nth_under_way(n) {
                    let candidate =
                        Candidate { device, rollout: 9, class: Begun, what: (9, device) };
                    let admission = self.slots.admit(candidate, &[]);
                    assert_eq!(admission, Admission::Claimed((9, device)));
                }
            }
            Happening::Free(n) => self.nth_holder(n).into_iter().for_each(|d| self.free(d)),
            Happening::Fail(n) => self.nth_under_way(n).into_iter().for_each(|d| self.fail(d)),
            Happening::HandBack(n) => {
                if let Some(device) = self.nth_under_way(n) {
                    self.slots.hand_back(device);
                    self.model.settle(device, |had_failed| had_failed);
                }
            }
            Happening::Release { device, domain } => self.release(device, domain),
            Happening::Down(device) => {
                self.model.down.insert(device);
                self.slots.set_down(device, &self.model.domains_of(device));
            }
            Happening::Up(device) => {
                self.model.down.remove(&device);
                self.slots.set_up(device);
            }
            Happening::Resize { domain, devices } => self.resize(domain, devices),
            Happening::Withdraw { rollout, device } => self.withdraw(rollout, device),
            Happening::Restart => self.restart(),
            Happening::Wake(times) => self.wake(times),
        }
    }

    fn release(&mut self, device: u64, domain: usize) {
        let held = self.model.slots_of(device);
        let Some(at) = domain.checked_rem(held.len()) else { return };
        let is_under_way = self.model.under_way.contains(&device);
        let expected = if is_under_way { Released::UnderWay } else { Released::Freed };
        assert_eq!(self.slots.release(device, &held[at]), expected);
        let slot = (device, Arc::clone(&held[at]));
        if is_under_way {
            // It is as if it had not failed there.
            self.model.slots.insert(slot, false);
        } else {
            self.model.slots.remove(&slot);
        }
    }

    fn resize(&mut self, domain: usize, devices: u32) {
        let domains: Vec<Arc<Domain>> = self.model.domains().into_iter().collect();
        let Some(at) = domain.checked_rem(domains.len()) else { return };
        self.model.sizes.insert(Arc::clone(&domains[at]), devices);
        self.slots.resize(&domains[at], devices);
    }

    fn withdraw(&mut self, rollout: u64, device: Option<u64>) {
        let is_meant =
            |wish: &Wish| wish.0 == rollout && device.is_none_or(|device| wish.1 == device);
        let mut taken_back: Vec<Wish> = match device {
            Some(device) => self.slots.withdraw_device(rollout, device).into_iter().collect(),
            None => self.slots.withdraw(rollout),
        };
        let mut meant: Vec<Wish> = self.model.parked.iter().copied().filter(is_meant).collect();
        taken_back.sort_unstable();
        meant.sort_unstable();
        assert_eq!(taken_back, meant);
        self.model.parked.retain(|wish| !is_meant(wish));
    }

    /// Lets everything under way end, and whoever is woken go, until nothing moves any more.
    fn come_to_rest(&mut self, fails: impl Fn(u64) -> bool) {
        for _ in 0..1_000 {
            self.wake(usize::MAX);
            let Some(device) = self.nth_under_way(0) else { return };
            if fails(device) { self.fail(device) } else { self.free(device) }
        }
        panic!("it does not come to rest");
    }

    /// Nothing is under way: whoever waits does so for what only others can give, and nothing is
    /// kept for anybody.
    fn check_rest(&self) {
        for rollout in 0..model::ROLLOUTS {
            for waiting in self.slots.waiting(rollout) {
                let wish = *waiting.what;
                let domain = waiting.domain.unwrap_or_else(|| panic!("{wish:?} waits for nothing"));
                let places = self.model.places(wish);
                let place = places.iter().find(|place| place.domain == domain).unwrap();
                assert!(self.model.is_stuck(wish.1, place), "{wish:?} could go in {place:?}");
            }
        }
        let reserved = |standing: &Standing| standing.reserved;
        let budgets: Vec<Budget> = self.model.budgets.concat();
        assert_eq!(self.slots.standings(&budgets).iter().map(reserved).sum::<usize>(), 0);
    }

    /// What is told is what is true.
    fn check_told(&self) {
        for rollout in 0..model::ROLLOUTS {
            let told: Vec<Wish> =
                self.slots.waiting(rollout).map(|waiting| *waiting.what).collect();
            let is_of = |wish: &&Wish| wish.0 == rollout;
            let mut parked: Vec<Wish> = self.model.parked.iter().filter(is_of).copied().collect();
            assert_eq!(self.slots.parked(rollout), parked.len());
            parked.retain(|wish| !told.contains(wish));
            assert_eq!(parked, []);
        }
        let budgets: Vec<Budget> = self.model.budgets.concat();
        let holders = self.slots.standings(&budgets).into_iter().flat_map(|standing| {
            let domain = standing.domain;
            standing
                .holders
                .into_iter()
                .map(move |(device, why)| (device, Arc::clone(&domain), why))
        });
        let mut holders: Vec<(u64, Arc<Domain>, Why)> = holders.collect();
        holders.sort();
        let held = self.model.slots.keys().map(|(device, domain)| {
            let is_under_way = self.model.under_way.contains(device);
            let why = if is_under_way { Why::UnderWay } else { Why::Failed };
            (*device, Arc::clone(domain), why)
        });
        assert_eq!(holders, held.collect::<Vec<_>>());
    }

    /// Everybody recovers: everybody who waits has a turn, and nothing is left.
    fn check_nobody_starves(&mut self) {
        for domain in self.model.domains() {
            self.model.sizes.insert(Arc::clone(&domain), 100);
            self.slots.resize(&domain, 100);
        }
        for device in 0..model::DEVICES {
            self.happens(&Happening::Up(device));
            self.free(device);
        }
        self.come_to_rest(|_| false);
        assert_eq!(self.model.parked, [], "they starve");
        assert_eq!(self.slots.domain_count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 3_000, ..ProptestConfig::default()
    })]

    #[test]
    fn never_over_a_limit_and_nobody_starves(
        budgets in budgets(&["store", "region", "shelf"]),
        happenings in happenings(),
        fails in any::<u16>(),
    ) {
        let mut world = World::new(budgets);
        for happening in &happenings {
            world.happens(happening);
            world.check_told();
        }
        world.come_to_rest(|device| fails >> device & 1 == 1);
        world.check_rest();
        world.check_nobody_starves();
    }
}
