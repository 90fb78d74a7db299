//! Slots, by example.

use super::{Admission::*, *};
use crate::admit::Class::{self, Begun, Fresh};

/// Candidates are told by their devices.
type Slots = Domains<u64>;

/// A domain of so many devices, and the most of them that may be out of order.
fn max(text: &str, devices: u32, max: u32) -> Place {
    Place { domain: domain(text), devices, limit: Limit::Max(max), counts_down: false }
}

fn down(place: Place) -> Place {
    Place { counts_down: true, ..place }
}

fn admit(slots: &mut Slots, rollout: u64, device: u64, places: &[Place]) -> Admission<u64> {
    admit_as(slots, Fresh, rollout, device, places)
}

fn admit_as(
    slots: &mut Slots,
    class: Class,
    rollout: u64,
    device: u64,
    places: &[Place],
) -> Admission<u64> {
    slots.admit(Candidate { device, rollout, class, what: device }, places)
}

fn parked(text: &str) -> Admission<u64> {
    Parked(domain(text))
}

fn woken(slots: &mut Slots) -> Vec<u64> {
    std::iter::from_fn(|| slots.next_woken()).collect()
}

const NOBODY: [u64; 0] = [];

const S: &str = "tag.store=1";
const R: &str = "tag.region=west";

#[test]
fn a_full_domain_parks_and_wakes_in_order() {
    let mut slots = Slots::new();
    let store = [max(S, 9, 2)];
    assert_eq!(admit(&mut slots, 1, 1, &store), Claimed(1));
    assert_eq!(admit(&mut slots, 1, 2, &store), Claimed(2));
    assert_eq!(admit(&mut slots, 1, 3, &store), parked(S));
    assert_eq!(admit(&mut slots, 1, 4, &store), parked(S));
    assert_eq!(admit(&mut slots, 1, 5, &[max("tag.store=2", 9, 2)]), Claimed(5));
    assert_eq!(woken(&mut slots), NOBODY);
    slots.free(1);
    // A newcomer does not take the place of one that waits.
    assert_eq!(admit(&mut slots, 1, 6, &store), parked(S));
    assert_eq!(woken(&mut slots), [3]);
    slots.free(2);
    slots.free(3);
    assert_eq!(woken(&mut slots), [4, 6]);
    for device in 4..=6 {
        slots.free(device);
    }
    assert_eq!(slots.domain_count(), 0);
}

#[test]
fn a_slot_is_freed_by_nothing_but_health_and_operators() {
    let mut slots = Slots::new();
    let store = [max(S, 9, 1)];
    admit(&mut slots, 1, 1, &store);
    assert_eq!(admit(&mut slots, 1, 2, &store), parked(S));
    // To be tried again is not to wait, nor to free anything.
    assert_eq!(admit_as(&mut slots, Begun, 1, 1, &store), Claimed(1));
    assert_eq!(slots.release(1, &store[0].domain), Released::UnderWay);
    slots.fail(1);
    slots.set_down(1, &[domain(S)]);
    slots.set_up(1);
    assert_eq!(woken(&mut slots), NOBODY);
    assert_eq!(slots.release(2, &store[0].domain), Released::NotHeld);
    assert_eq!(slots.release(1, &domain("tag.store=2")), Released::NotHeld);
    assert_eq!(slots.release(1, &store[0].domain), Released::Freed);
    assert_eq!(slots.release(1, &store[0].domain), Released::NotHeld);
    assert_eq!(woken(&mut slots), [2]);
    slots.fail(2);
    // Its own slot does not stand in its way when another rollout mends it.
    assert_eq!(admit(&mut slots, 2, 2, &store), Claimed(2));
    slots.hand_back(2);
    assert_eq!(admit(&mut slots, 1, 3, &store), parked(S));
    slots.free(2);
    assert_eq!(woken(&mut slots), [3]);
}

#[test]
fn a_release_in_one_domain_is_none_in_the_others() {
    let mut slots = Slots::new();
    let both = [max(S, 9, 1), max(R, 99, 1)];
    admit(&mut slots, 1, 1, &both);
    slots.fail(1);
    assert_eq!(slots.release(1, &both[0].domain), Released::Freed);
    assert_eq!(admit(&mut slots, 1, 2, &both), parked(R));
    assert_eq!(slots.release(1, &both[1].domain), Released::Freed);
    assert_eq!(woken(&mut slots), [2]);
}

#[test]
fn narrow_domains_are_taken_first_and_kept() {
    let mut slots = Slots::new();
    admit(&mut slots, 1, 1, &[max(R, 99, 1)]);
    // Wherever they are written.
    assert_eq!(admit(&mut slots, 1, 2, &[max(R, 99, 1), max(S, 9, 1)]), parked(R));
    assert_eq!(admit(&mut slots, 1, 3, &[max(S, 9, 1)]), parked(S));
    let budgets = ["store", "region"].map(|key| Budget {
        per: per(key),
        limit: Limit::Max(1),
        counts_down: false,
    });
    insta::assert_debug_snapshot!(slots.standings(&budgets).iter().map(|s| {
        (s.domain.to_string(), &s.holders, s.reserved, s.waiting)
    }).collect::<Vec<_>>(), @r#"
    [
        (
            "tag.region=west",
            [
                (
                    1,
                    UnderWay,
                ),
            ],
            0,
            1,
        ),
        (
            "tag.store=1",
            [],
            1,
            1,
        ),
    ]
    "#);
    slots.free(1);
    assert_eq!(woken(&mut slots), [2]);
    slots.free(2);
    assert_eq!(woken(&mut slots), [3]);
}

#[test]
fn the_order_of_domains_stays_while_they_are_wanted() {
    let mut slots = Slots::new();
    admit(&mut slots, 1, 1, &[max(R, 99, 1)]);
    assert_eq!(admit(&mut slots, 1, 2, &[max(S, 9, 1), max(R, 99, 1)]), parked(R));
    // The store has more devices now than the region: taken the other way round, each of these
    // two would keep what the other one waits for.
    let other = [max(S, 200, 1), max(R, 99, 1)];
    assert_eq!(admit(&mut slots, 1, 3, &other), parked(S));
    slots.free(1);
    assert_eq!(woken(&mut slots), [2]);
    slots.free(2);
    assert_eq!(woken(&mut slots), [3]);
}

#[test]
fn those_down_count_where_asked_but_not_against_themselves() {
    let mut slots = Slots::new();
    let pair = "tag.pair=7";
    slots.set_down(2, &[domain(pair)]);
    assert_eq!(admit(&mut slots, 1, 1, &[down(max(pair, 2, 1))]), parked(pair));
    // The half that is down may be mended, whoever came before it.
    assert_eq!(admit(&mut slots, 1, 2, &[down(max(pair, 2, 1))]), Claimed(2));
    slots.set_up(2);
    assert_eq!(woken(&mut slots), NOBODY);
    slots.free(2);
    assert_eq!(woken(&mut slots), [1]);
    // Once more, where nobody asked for it.
    slots.set_down(1, &[domain(pair)]);
    slots.free(1);
    assert_eq!(admit(&mut slots, 1, 2, &[max(pair, 2, 1)]), Claimed(2));
}

#[test]
fn one_that_goes_down_while_it_waits_may_go() {
    let mut slots = Slots::new();
    let pair = [down(max("tag.pair=7", 2, 1))];
    slots.set_down(2, &[domain("tag.pair=7")]);
    assert_eq!(admit(&mut slots, 1, 1, &pair), parked("tag.pair=7"));
    slots.set_up(2);
    slots.set_down(1, &[domain("tag.pair=7")]);
    assert_eq!(woken(&mut slots), [1]);
}

#[test]
fn the_world_may_exceed_a_limit_and_then_nothing_is_begun() {
    let mut slots = Slots::new();
    for device in 1..=3 {
        slots.set_down(device, &[domain(S)]);
    }
    slots.hold(4, &[domain(S)], Why::Failed);
    let store = [down(max(S, 9, 2))];
    assert_eq!(admit(&mut slots, 1, 5, &store), parked(S));
    assert_eq!(admit(&mut slots, 1, 1, &store), parked(S));
    slots.set_up(2);
    assert_eq!(woken(&mut slots), NOBODY);
    slots.set_up(3);
    // The failed one and itself.
    assert_eq!(woken(&mut slots), [1]);
    slots.free(1);
    slots.set_up(1);
    assert_eq!(woken(&mut slots), [5]);
}

#[test]
fn several_that_failed_are_mended_one_after_the_other() {
    let mut slots = Slots::new();
    let store = [max(S, 9, 1)];
    for device in [1, 2] {
        slots.hold(device, &[domain(S)], Why::Failed);
    }
    assert_eq!(admit(&mut slots, 1, 3, &store), parked(S), "it is well");
    assert_eq!(admit(&mut slots, 1, 1, &store), Claimed(1));
    assert!(slots.may_go(1, &store), "it counted before");
    assert_eq!(admit(&mut slots, 1, 2, &store), parked(S), "the other one is being mended");
    slots.fail(1);
    assert_eq!(woken(&mut slots), [2]);
    // Another one that comes by itself is in its way no more than in that of others.
    slots.hold(4, &[domain(S)], Why::UnderWay);
    assert!(!slots.may_go(2, &store));
    slots.hand_back(2);
    assert_eq!(admit(&mut slots, 1, 2, &store), parked(S));
    slots.free(4);
    assert_eq!(woken(&mut slots), [2]);
    slots.free(2);
    slots.free(1);
    assert_eq!(woken(&mut slots), [3]);
}

#[test]
fn one_that_is_mended_waits_for_whoever_a_slot_is_kept_for() {
    let mut slots = Slots::new();
    admit(&mut slots, 1, 9, &[max(R, 99, 1)]);
    assert_eq!(admit(&mut slots, 1, 1, &[max(S, 9, 1), max(R, 99, 1)]), parked(R));
    for device in [2, 3] {
        slots.hold(device, &[domain(S)], Why::Failed);
    }
    assert_eq!(admit(&mut slots, 1, 2, &[max(S, 9, 1)]), parked(S));
    slots.free(9);
    // What was kept is beyond the limit by now; nothing is kept any more.
    assert_eq!(woken(&mut slots), [2]);
}

#[test]
fn what_was_reserved_is_looked_at_again_before_it_is_held() {
    let mut slots = Slots::new();
    let both = [down(max(S, 9, 1)), max(R, 99, 1)];
    admit(&mut slots, 1, 1, &[max(R, 99, 1)]);
    assert_eq!(admit(&mut slots, 1, 2, &both), parked(R));
    slots.set_down(3, &[domain(S)]);
    slots.free(1);
    assert_eq!(woken(&mut slots), NOBODY);
    // It keeps nothing of the region, which others may have.
    assert_eq!(admit(&mut slots, 1, 4, &[max(R, 99, 1)]), Claimed(4));
    slots.set_up(3);
    assert_eq!(woken(&mut slots), NOBODY);
    slots.free(4);
    assert_eq!(woken(&mut slots), [2]);
}

#[test]
fn one_that_is_down_counts_as_that_also_while_a_slot_is_kept_for_it() {
    let mut slots = Slots::new();
    let (region, site) = (down(max(R, 9, 2)), max("tag.site=1", 99, 1));
    let both = [region, site.clone()];
    admit(&mut slots, 1, 9, &[site]);
    assert_eq!(admit(&mut slots, 1, 3, &both), parked("tag.site=1"));
    slots.set_down(1, &[domain(R)]);
    assert_eq!(admit(&mut slots, 1, 1, &both), parked("tag.site=1"));
    slots.set_down(2, &[domain(R)]);
    slots.free(9);
    // Two are down: a third would be one too many, but one of these two may go.
    assert_eq!(woken(&mut slots), [1]);
}

#[test]
fn a_lower_limit_is_waited_for_while_there_is_hope() {
    let mut slots = Slots::new();
    let (low, high) = ([max(S, 9, 1)], [max(S, 9, 3)]);
    admit(&mut slots, 2, 1, &high);
    admit(&mut slots, 2, 2, &high);
    assert_eq!(admit(&mut slots, 1, 3, &low), parked(S));
    assert_eq!(admit(&mut slots, 2, 4, &high), parked(S));
    slots.free(1);
    assert_eq!(woken(&mut slots), NOBODY);
    // A failure takes the hope away, and lets the others go.
    slots.fail(2);
    assert_eq!(woken(&mut slots), [4]);
    assert_eq!(admit(&mut slots, 2, 5, &high), Claimed(5));
    // A recovery brings it back: what is under way ends, and nobody goes before.
    slots.free(2);
    assert_eq!(admit(&mut slots, 2, 6, &high), parked(S));
    slots.free(4);
    slots.free(5);
    assert_eq!(woken(&mut slots), [3, 6]);
}

/// However many others come, in each of its domains, and are allowed more.
#[test]
fn a_low_limit_has_its_turn_among_ever_new_others() {
    let mut slots = Slots::new();
    let mut open = std::collections::VecDeque::new();
    let (store, region) = ([max(S, 9, 5)], [max(R, 99, 5)]);
    for device in 100..200_u64 {
        let others = if device % 2 == 0 { &store } else { &region };
        if let Claimed(device) = admit(&mut slots, 2, device, others) {
            open.push_back(device);
        }
        if device == 120 {
            let low = [max(S, 9, 1), max(R, 99, 1)];
            assert_eq!(admit(&mut slots, 1, 1, &low), parked(S));
        }
        if device >= 120 {
            slots.free(open.pop_front().unwrap());
        }
        open.extend(woken(&mut slots));
        if open.contains(&1) {
            // Those that were before it in either, and no more.
            let younger = open.iter().filter(|device| **device > 120).count();
            assert_eq!((open.len() - younger, device < 150), (1, true), "{open:?}");
            return;
        }
    }
    panic!("it starves");
}

#[test]
fn who_waits_without_hope_keeps_nothing() {
    let mut slots = Slots::new();
    let both = [max(S, 9, 1), max(R, 99, 1)];
    admit(&mut slots, 1, 1, &[max(R, 99, 1)]);
    assert_eq!(admit(&mut slots, 1, 2, &both), parked(R));
    assert_eq!(admit(&mut slots, 2, 3, &[max(S, 9, 1)]), parked(S));
    slots.fail(1);
    assert_eq!(woken(&mut slots), [3]);
    slots.free(1);
    // Its turn in the region has come, but it has to have the store first.
    assert_eq!(woken(&mut slots), NOBODY);
    assert_eq!(slots.oldest(1).unwrap().domain, Some(domain(S)));
    slots.free(3);
    assert_eq!(woken(&mut slots), [2]);
}

#[test]
fn a_reservation_keeps_others_within_its_limit() {
    let mut slots = Slots::new();
    admit(&mut slots, 1, 1, &[max(R, 99, 1)]);
    assert_eq!(admit(&mut slots, 1, 2, &[max(S, 9, 1), max(R, 99, 1)]), parked(R));
    // With one more in the store, the first could not go when the region has room.
    assert_eq!(admit(&mut slots, 2, 3, &[max(S, 9, 5)]), parked(S));
    slots.free(1);
    assert_eq!(woken(&mut slots), [2, 3]);
}

#[test]
fn a_share_follows_the_size_of_its_domain() {
    let mut slots = Slots::new();
    let share = |devices| {
        [Place { domain: domain(R), devices, limit: Limit::Percent(2), counts_down: false }]
    };
    assert_eq!(admit(&mut slots, 1, 1, &share(49)), parked(R));
    slots.resize(&domain(R), 99);
    assert_eq!(woken(&mut slots), [1]);
    assert_eq!(admit(&mut slots, 1, 2, &share(99)), parked(R));
    slots.resize(&domain(R), 100);
    assert_eq!(woken(&mut slots), [2]);
    slots.resize(&domain("tag.region=nowhere"), 100);
    assert_eq!(slots.domain_count(), 1);
}

#[test]
fn a_device_that_several_rollouts_want_has_one_slot() {
    let mut slots = Slots::new();
    let store = [max(S, 9, 2)];
    admit(&mut slots, 1, 1, &store);
    admit(&mut slots, 1, 9, &store);
    assert_eq!(admit(&mut slots, 1, 2, &store), parked(S));
    assert_eq!(admit(&mut slots, 2, 2, &store), parked(S));
    assert_eq!(admit(&mut slots, 2, 1, &store), Busy);
    assert_eq!(admit(&mut slots, 2, 3, &store), parked(S));
    slots.free(9);
    // The other one waits for the device now, and holds nobody up.
    assert_eq!(woken(&mut slots), [2]);
    assert_eq!(slots.oldest(2).unwrap().domain, None);
    slots.free(1);
    assert_eq!(woken(&mut slots), [1]);
    slots.fail(2);
    // It has a slot.
    assert_eq!(woken(&mut slots), [2]);
    slots.free(1);
    assert_eq!(woken(&mut slots), [3]);
}

#[test]
fn candidates_are_withdrawn_by_rollout_and_keep_their_age() {
    let mut slots = Slots::new();
    let store = [max(S, 9, 1)];
    admit(&mut slots, 1, 1, &store);
    for (rollout, device) in [(1, 2), (2, 3), (1, 4), (2, 5)] {
        assert_eq!(admit(&mut slots, rollout, device, &store), parked(S));
    }
    // Said again, it is not younger.
    assert_eq!(admit(&mut slots, 2, 3, &store), parked(S));
    assert_eq!((slots.parked(1), slots.parked(2), slots.parked(3)), (2, 2, 0));
    assert_eq!(slots.waiting_at(&domain(S)), Some(WaitingAt { count: 4, oldest: &2 }));
    assert_eq!(slots.withdraw(1), [2, 4]);
    assert_eq!(slots.withdraw(1), NOBODY);
    assert_eq!(slots.waiting_at(&domain(S)), Some(WaitingAt { count: 2, oldest: &3 }));
    slots.free(1);
    assert_eq!(woken(&mut slots), [3]);
    assert_eq!(slots.withdraw_device(2, 5), Some(5));
    assert_eq!(slots.withdraw_device(2, 5), None);
    slots.hand_back(3);
    assert_eq!(slots.domain_count(), 0);
}

#[test]
fn withdrawn_candidates_give_back_what_they_kept() {
    let mut slots = Slots::new();
    admit(&mut slots, 1, 1, &[max(R, 99, 1)]);
    assert_eq!(admit(&mut slots, 1, 2, &[max(S, 9, 1), max(R, 99, 1)]), parked(R));
    assert_eq!(admit(&mut slots, 2, 3, &[max(S, 9, 1)]), parked(S));
    assert_eq!(slots.withdraw(1), [2]);
    assert_eq!(woken(&mut slots), [3]);
}
