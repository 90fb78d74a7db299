//! What a claim costs does not grow with the fleet: looks at domains are counted, not time.

use std::collections::VecDeque;

use super::*;
use crate::admit::Class::Fresh;

const IN_FLIGHT: usize = 1_000;

/// Looks per claim, for each tenth of the claims of devices in these stores, ten in each, and in
/// one of ten regions if those have budgets.
fn looks_per_claim(stores: u64, has_regions: bool, store_of: impl Fn(u64) -> u64) -> Vec<u64> {
    let place = |text: String, devices, limit| Place {
        domain: domain(&text),
        devices,
        limit,
        counts_down: true,
    };
    let store = |store| place(format!("tag.store={store}"), 10, Limit::Max(1));
    let region = |region| place(format!("tag.region={region}"), 100_000, Limit::Percent(2));
    let (stores, regions): (Vec<Place>, Vec<Place>) =
        ((0..stores).map(store).collect(), (0..10).map(region).collect());
    let devices = stores.len() as u64 * 10;
    let mut slots = Domains::new();
    let (mut open, mut coming) = (VecDeque::new(), 0..devices);
    let (mut looks, mut claims, mut steps_before) = (vec![], 0, 0);
    loop {
        while open.len() < IN_FLIGHT {
            if let Some(device) = slots.next_woken() {
                open.push_back(device);
                continue;
            }
            let Some(device) = coming.next() else { break };
            let store = store_of(device) as usize;
            let places = [regions[store % 10].clone(), stores[store].clone()];
            let candidate = Candidate { device, rollout: 1, class: Fresh, what: device };
            let places = &places[usize::from(!has_regions)..];
            if let Admission::Claimed(device) = slots.admit(candidate, places) {
                open.push_back(device);
            }
        }
        let Some(device) = open.pop_front() else { break };
        slots.free(device);
        claims += 1;
        if claims % (devices / 10) == 0 {
            looks.push((slots.steps - steps_before) * 10 / devices);
            steps_before = slots.steps;
        }
    }
    assert_eq!((claims, slots.domain_count()), (devices, 0));
    looks
}

#[test]
fn a_claim_costs_the_same_in_a_large_fleet() {
    // Store by store, so that nine of ten wait.
    let looks = looks_per_claim(100_000, false, |device| device / 10);
    assert!(looks.len() == 10 && looks.iter().all(|looks| *looks <= 8), "{looks:?}");
}

#[test]
fn a_second_budget_costs_as_much_again() {
    let in_order = looks_per_claim(5_000, true, |device| device / 10);
    // Scattered over the stores, so that few wait.
    let scattered = looks_per_claim(5_000, true, |device| device * 7_919 % 5_000);
    for looks in [in_order, scattered] {
        assert!(looks.len() == 10 && looks.iter().all(|looks| *looks <= 16), "{looks:?}");
    }
}

/// Waking one looks at what is first of each kind of those who wait, not at all of them.
#[test]
fn waking_does_not_look_at_those_who_go_on_waiting() {
    let mut slots = Domains::new();
    let place = |max| {
        [Place {
            domain: domain("tag.store=1"),
            devices: 9,
            limit: Limit::Max(max),
            counts_down: true,
        }]
    };
    let admit = |slots: &mut Domains<u64>, device, max| {
        let candidate = Candidate { device, rollout: u64::from(max), class: Fresh, what: device };
        slots.admit(candidate, &place(max))
    };
    slots.hold(0, &[domain("tag.store=1")], Why::Failed);
    // They can go only after a recovery; the others pass them one by one.
    for device in 1..5_000 {
        admit(&mut slots, device, 1);
    }
    for device in 5_000..10_000 {
        admit(&mut slots, device, 2);
    }
    let before = slots.steps;
    for device in 5_000..9_999 {
        slots.free(device);
        assert_eq!(slots.next_woken(), Some(device + 1));
    }
    assert!(slots.steps - before <= 8 * 5_000, "{}", slots.steps - before);
}
