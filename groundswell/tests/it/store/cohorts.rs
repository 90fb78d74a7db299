//! Cohorts: who is assigned to which, and their devices, counted in step.

use groundswell::{
    core::{
        assignment::{FailReason, SkipReason, State},
        device::Device,
        rollout,
        snapshot::Counts,
    },
    store::{
        Assign, Batch, CohortName, CohortRecord, RolloutRecord, SqliteStore, Store, StoreError,
    },
};

use super::{
    NOW, batch, cohort, devices, draft, each, ids, names, open_round, queued, rollout_of,
    set_state, spec, sum, to, waiting_of, write_round,
};

const NO_ADDRESS: State = State::Skipped(SkipReason::NoAddress);

/// Devices of the inventory, each to be assigned to the cohort of this place.
fn assigns(store: &mut SqliteStore, cohorts: &[usize]) -> Vec<Assign> {
    let fleet = devices(cohorts.len());
    store.put_devices(&fleet.iter().collect::<Vec<_>>()).unwrap();
    fleet
        .iter()
        .zip(cohorts)
        .map(|(Device { id, .. }, cohort)| Assign {
            device: store.device_key(id).unwrap().unwrap(),
            cohort: *cohort,
            state: State::Queued,
        })
        .collect()
}

/// Wave, zone and counts.
fn told(cohorts: &[CohortRecord]) -> Vec<(usize, Option<&str>, Counts)> {
    let told = |cohort: &CohortRecord| (cohort.wave, cohort.counts);
    cohorts
        .iter()
        .map(|cohort| {
            let (wave, counts) = told(cohort);
            (wave, cohort.zone.as_ref().map(groundswell::core::hours::Zone::name), counts)
        })
        .collect()
}

#[test]
fn devices_of_a_push_are_written_down_and_assigned_at_once() {
    each(|store| {
        let key = draft(store, None, &spec());
        let fleet = devices(5);
        let names = [cohort(0, None), cohort(1, None)];
        let first: Vec<_> = fleet[..3].iter().map(|device| (device, 0)).collect();
        store.add_devices(key, &names, &first, NOW).unwrap();
        let rest: Vec<_> = fleet[3..].iter().map(|device| (device, 1)).collect();
        store.add_devices(key, &names, &rest, NOW).unwrap();
        let cohorts = store.cohorts(key, 1).unwrap();
        assert_eq!(told(&cohorts), [(0, None, queued(3)), (1, None, queued(2))]);
        assert_eq!(store.rollout(key).unwrap().unwrap().devices, 5);
        assert_eq!(store.device("pos-4").unwrap().as_ref(), Some(&fleet[4]));
        assert_eq!(store.cohorts(key, 2).unwrap(), []);
    });
}

#[test]
fn what_is_assigned_comes_back_counted_and_alone() {
    each(|store| {
        let key = draft(store, None, &spec());
        let mut all = assigns(store, &[0, 0, 1, 2, 2, 2]);
        all[1].state = NO_ADDRESS;
        let names =
            [cohort(0, Some("Europe/Oslo")), cohort(0, Some("Asia/Tokyo")), cohort(1, None)];
        let added = store.assign(key, 1, &names, &all[..4], true, NOW).unwrap();
        let one = Counts { queued: 1, skipped: 1, ..Counts::default() };
        let (oslo, tokyo) = (Some("Europe/Oslo"), Some("Asia/Tokyo"));
        assert_eq!(told(&added), [(0, oslo, one), (0, tokyo, queued(1)), (1, None, queued(1))]);
        // Only those that were added are counted, and cohorts that got nobody are not told.
        let more = store.assign(key, 1, &names, &all[4..], true, NOW).unwrap();
        assert_eq!(told(&more), [(1, None, queued(2))]);
        assert_eq!(more[0].key, added[2].key);
        let cohorts = store.cohorts(key, 1).unwrap();
        assert_eq!(told(&cohorts), [(0, tokyo, queued(1)), (0, oslo, one), (1, None, queued(3))]);
        assert_eq!(sum(&cohorts), store.count(key, 1).unwrap());
        assert_eq!(store.rollout(key).unwrap().unwrap().devices, 6);
    });
}

#[test]
fn a_device_joins_a_round_once() {
    each(|store| {
        let key = draft(store, None, &spec());
        let names = [cohort(0, None), cohort(1, None)];
        let mut all = assigns(store, &[0, 0, 1]);
        store.assign(key, 1, &names, &all[..2], true, NOW).unwrap();
        // Another wave makes no difference, nor does being in another rollout.
        all[0].cohort = 1;
        let other = draft(store, None, &spec());
        store.assign(other, 1, &names, &all, false, NOW).unwrap();
        let joined = store.assign(key, 1, &names, &all, false, NOW).unwrap();
        assert_eq!(told(&joined), [(1, None, queued(1))]);
        assert_eq!(store.assign(key, 1, &names, &all, false, NOW).unwrap(), []);
        let cohorts = store.cohorts(key, 1).unwrap();
        assert_eq!(told(&cohorts), [(0, None, queued(2)), (1, None, queued(1))]);
        assert_eq!(store.rollout(key).unwrap().unwrap().devices, 3);
        // Nor does another round: what the rollout has had does not join again.
        assert_eq!(store.assign(key, 2, &names, &all, false, NOW).unwrap(), []);
        assert_eq!(store.rollout(key).unwrap().unwrap().devices, 3);
    });
}

#[test]
fn a_cohort_that_nobody_named_is_refused_and_nothing_is_written() {
    each(|store| {
        let key = draft(store, None, &spec());
        let all = assigns(store, &[0, 1]);
        let refused = store.assign(key, 1, &[cohort(0, None)], &all, true, NOW);
        assert!(matches!(refused, Err(StoreError::Damaged(_))), "{refused:?}");
        assert_eq!(store.cohorts(key, 1).unwrap(), []);
        assert_eq!(store.count(key, 1).unwrap(), Counts::default());
    });
}

#[test]
fn counts_are_written_with_the_batch_they_belong_to() {
    each(|store| {
        let key = rollout_of(store, 4);
        let all = ids(store, key, 1);
        let cohorts = store.cohorts(key, 1).unwrap();
        let mut counts = cohorts[0].counts;
        counts.shift(State::Queued, State::Delivering);
        let change = to(all[0], State::Delivering, 1, 0);
        let cohorts = vec![(cohorts[0].key, counts)];
        let claimed = groundswell::store::Batch { cohorts, ..batch(key, vec![change]) };
        let missing = to(groundswell::core::ids::AssignmentId(99), State::Queued, 0, 0);
        let mut refused = claimed.clone();
        refused.changes.push(missing);
        assert!(store.commit(&refused).is_err());
        assert_eq!(sum(&store.cohorts(key, 1).unwrap()), queued(4));
        store.commit(&claimed).unwrap();
        let counted = store.cohorts(key, 1).unwrap();
        assert_eq!(sum(&counted), Counts { queued: 3, delivering: 1, ..Counts::default() });
        assert_eq!(sum(&counted), store.count(key, 1).unwrap());
    });
}

/// Five devices in two waves and zones: one succeeded, the others did not.
fn failed(store: &mut SqliteStore) -> groundswell::store::RolloutKey {
    let key = draft(store, None, &spec());
    let names = [cohort(0, None), cohort(1, Some("Asia/Tokyo")), cohort(1, Some("Europe/Oslo"))];
    let all = assigns(store, &[0, 0, 1, 2, 2]);
    store.assign(key, 1, &names, &all, true, NOW).unwrap();
    let all = ids(store, key, 1);
    let ends = [
        State::Succeeded,
        State::Failed(FailReason::Transfer),
        State::Canceled,
        State::TimedOut(groundswell::core::assignment::Step::Verifying),
        State::Failed(FailReason::Unreachable),
    ];
    let changes = all.iter().zip(ends).map(|(id, end)| to(*id, end, 1, 0)).collect();
    store.commit(&batch(key, changes)).unwrap();
    set_state(store, key, rollout::State::Failed);
    key
}

#[test]
fn the_next_round_has_those_that_failed_in_their_waves() {
    each(|store| {
        let key = failed(store);
        assert_eq!(write_round(store, key, 2, 100), 1);
        let (oslo, tokyo) = (Some("Europe/Oslo"), Some("Asia/Tokyo"));
        let cohorts = store.cohorts(key, 2).unwrap();
        let expected = [(0, None, queued(1)), (1, tokyo, queued(1)), (1, oslo, queued(2))];
        assert_eq!(told(&cohorts), expected);
        let of = |at: usize| {
            let waiting = waiting_of(store, key, cohorts[at].key);
            names(&waiting).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            (of(0), of(1), of(2)),
            (
                vec!["pos-1".to_owned()],
                vec!["pos-2".to_owned()],
                vec!["pos-3".to_owned(), "pos-4".to_owned()],
            )
        );
        // The round before stays as it ended, and the rollout has no device more.
        let before = store.count(key, 1).unwrap();
        assert_eq!((before.succeeded, before.failed, before.unreachable), (1, 1, 1));
        let well = Counts { succeeded: 1, ..Counts::default() };
        assert_eq!(store.counts_before(key, 2).unwrap(), well);
        assert_eq!(store.counts_before(key, 1).unwrap(), Counts::default());
        assert_eq!(store.rollout(key).unwrap().unwrap().devices, 5);
        // A driver that died meanwhile does it again.
        assert!(write_round(store, key, 2, 1) > 1);
        assert_eq!(told(&store.cohorts(key, 2).unwrap()), expected);
        assert_eq!(store.count(key, 2).unwrap(), queued(4));
        // Of those of the second round, nobody failed yet.
        write_round(store, key, 3, 100);
        assert_eq!(store.cohorts(key, 3).unwrap(), []);
    });
}

#[test]
fn a_round_that_was_cut_short_is_written_to_its_end() {
    for (limit, goes_before) in [(1, 1), (1, 3), (2, 1), (3, 1)] {
        each(|store| {
            let key = failed(store);
            let mut from = None;
            for _ in 0..goes_before {
                from = store.extend_round(key, 2, from, limit, NOW).unwrap();
                assert!(from.is_some());
            }
            let some = store.count(key, 2).unwrap();
            assert!((1..4).contains(&some.queued), "{some:?}");
            write_round(store, key, 2, limit);
            assert_eq!(store.count(key, 2).unwrap(), queued(4), "{limit}");
            assert_eq!(sum(&store.cohorts(key, 2).unwrap()), queued(4));
        });
    }
}

#[test]
fn a_round_of_a_push_is_there_whole_or_not_at_all() {
    each(|store| {
        let key = failed(store);
        let RolloutRecord { spec, mut progression, .. } = store.rollout(key).unwrap().unwrap();
        progression.round = 2;
        let stands = Batch { progression: Some(progression), ..batch(key, vec![]) };
        let missing = to(groundswell::core::ids::AssignmentId(99), State::Queued, 0, 0);
        let refused = Batch { changes: vec![missing], ..stands.clone() };
        assert!(store.open_round(&spec, &refused, 1).is_err());
        assert_eq!(store.count(key, 2).unwrap(), Counts::default());
        assert_eq!(store.rollout(key).unwrap().unwrap().progression.round, 1);
        assert_eq!(store.open_round(&spec, &stands, 1).unwrap(), 4);
        assert_eq!(store.rollout(key).unwrap().unwrap().progression.round, 2);
        // Of those of the second round, nobody failed yet.
        assert_eq!(open_round(store, key, 1), 0);
        assert_eq!(store.rollout(key).unwrap().unwrap().progression.round, 2);
    });
}

#[test]
fn canaries_of_the_next_round_are_the_first_that_failed() {
    for (canaries, first, rest) in [(0, 4, 0), (1, 1, 3), (3, 3, 1), (9, 4, 0)] {
        each(|store| {
            let key = failed(store);
            assert_eq!(open_round(store, key, canaries), 4);
            let cohorts = store.cohorts(key, 2).unwrap();
            let of = |wave| {
                let own = cohorts.iter().filter(|cohort| cohort.wave == wave);
                own.map(|cohort| cohort.counts.queued).sum::<u64>()
            };
            assert_eq!((of(0), of(1)), (first, rest), "{canaries}");
            assert_eq!(sum(&cohorts), store.count(key, 2).unwrap());
            let begun: Vec<_> = cohorts
                .iter()
                .filter(|cohort| cohort.wave == 0)
                .flat_map(|cohort| waiting_of(store, key, cohort.key))
                .map(|candidate| candidate.endpoint.id.to_string())
                .collect();
            let wanted: Vec<_> = (1..=first).map(|n| format!("pos-{n}")).collect();
            assert_eq!(begun, wanted, "in the order of the inventory");
        });
    }
}

#[test]
fn a_selector_chooses_what_a_division_is_made_of() {
    each(|store| {
        let mut fleet = devices(3);
        fleet[1].address = None;
        fleet[2].time_zone = Some("Asia/Tokyo".to_owned());
        store.put_devices(&fleet.iter().collect::<Vec<_>>()).unwrap();
        let chosen = |select: Option<&str>| {
            let select = select.map(|text| text.parse().unwrap());
            let mut chosen = vec![];
            store
                .for_each_chosen(select.as_ref(), NOW, &mut |device| {
                    let zone = device.time_zone.map(str::to_owned);
                    chosen.push((device.key, device.id.to_owned(), zone, device.has_address));
                })
                .unwrap();
            chosen
        };
        let key = |id: &str| store.device_key(id).unwrap().unwrap();
        let zone = Some("Asia/Tokyo".to_owned());
        let all = [
            (key("pos-0"), "pos-0".to_owned(), None, true),
            (key("pos-1"), "pos-1".to_owned(), None, false),
            (key("pos-2"), "pos-2".to_owned(), zone, true),
        ];
        assert_eq!(chosen(None), all);
        assert_eq!(chosen(Some("id==pos-1")), all[1..2]);
        assert_eq!(chosen(Some("id==nobody")), []);
    });
}

#[test]
fn names_of_cohorts_are_told_apart() {
    assert_ne!(cohort(0, Some("UTC")), CohortName { wave: 0, zone: None });
}
