//! What rollouts that no budget binds do to those that one does, and devices that are seen to be well
//! while they are under way.

use super::{Admission::*, *};
use crate::admit::Class::Fresh;

const S: &str = "tag.store=1";

fn store(max: u32) -> [Place; 1] {
    [Place { domain: domain(S), devices: 9, limit: Limit::Max(max), counts_down: false }]
}

fn admit(slots: &mut Domains<u64>, device: u64, max: u32) -> Admission<u64> {
    let what = Candidate { device, rollout: 1, class: Fresh, what: device };
    slots.admit(what, &store(max))
}

#[test]
fn one_that_holds_its_slot_may_not_go_if_others_filled_its_domain_unasked() {
    let mut slots = Domains::new();
    assert_eq!(admit(&mut slots, 1, 2), Claimed(1));
    assert!(slots.may_go(1, &store(2)));
    slots.hold(2, &[domain(S)], Why::UnderWay);
    assert!(slots.may_go(1, &store(2)), "it is one of two");
    slots.hold(3, &[domain(S)], Why::Failed);
    assert!(!slots.may_go(1, &store(2)), "it would be one of three");
    slots.free(3);
    assert!(slots.may_go(1, &store(2)));
}

#[test]
fn one_that_was_seen_to_be_well_while_it_is_under_way_is_free_once_it_is_handed_back() {
    let mut slots = Domains::new();
    slots.hold(1, &[domain(S)], Why::Failed);
    assert_eq!(admit(&mut slots, 1, 1), Claimed(1), "its own slot is not in its way");
    assert_eq!(admit(&mut slots, 2, 1), Parked(domain(S)));
    slots.recover(1);
    assert_eq!(slots.next_woken(), None, "it is under way");
    slots.hand_back(1);
    assert_eq!(slots.next_woken(), Some(2));
    // One that is not is free at once.
    slots.fail(2);
    assert_eq!(admit(&mut slots, 3, 1), Parked(domain(S)));
    slots.recover(2);
    assert_eq!(slots.next_woken(), Some(3));
}

#[test]
fn one_that_is_released_while_it_is_under_way_is_free_once_it_is_handed_back() {
    let mut slots = Domains::new();
    slots.hold(1, &[domain(S)], Why::Failed);
    assert_eq!(admit(&mut slots, 1, 1), Claimed(1));
    assert_eq!(slots.release(1, &domain(S)), Released::UnderWay);
    assert_eq!(admit(&mut slots, 2, 1), Parked(domain(S)));
    slots.hand_back(1);
    assert_eq!(slots.next_woken(), Some(2));
}

#[test]
fn it_is_told_who_keeps_others_out() {
    let mut slots: Domains<u64> = Domains::new();
    let budget = |counts_down| Budget { per: per("store"), limit: Limit::Max(3), counts_down };
    assert!(
        slots.fullness(&domain(S), &budget(true)).is_none(),
        "nobody has anything to do with it"
    );
    slots.hold(1, &[domain(S)], Why::UnderWay);
    for device in [7, 4] {
        slots.hold(device, &[domain(S)], Why::Failed);
    }
    slots.set_down(5, &[domain(S)]);
    let told = |slots: &Domains<u64>, counts_down| {
        let told = slots.fullness(&domain(S), &budget(counts_down)).unwrap();
        (told.limit, told.under_way, told.down, told.failed.iter().copied().collect::<Vec<_>>())
    };
    assert_eq!(told(&slots, true), (3, 1, 1, vec![4, 7]));
    assert_eq!(told(&slots, false), (3, 1, 0, vec![4, 7]));
    slots.free(4);
    slots.hold(7, &[domain(S)], Why::UnderWay);
    assert_eq!(told(&slots, true), (3, 2, 1, vec![]));
}
