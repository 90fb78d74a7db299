//! Devices that were written while a rollout goes on that they may join.

use groundswell::{
    core::{
        assignment::{Assignment, State},
        device::Device,
        hours::{Hours, Zone},
        ids::{AssignmentId, Epoch},
        rollout::{self, Membership, Schedule, Spec, ZoneRule},
        snapshot::Counts,
    },
    store::{
        Batch, Change, ChangeSeq, CohortName, Contact, DeviceKey, Misplaced, Move, Review,
        SqliteStore, Store,
    },
};

use super::{NOW, devices, draft, each, set_state, spec};

fn changed(store: &SqliteStore) -> Vec<String> {
    let changed = store.changed_devices(ChangeSeq(0), 100).unwrap();
    changed.into_iter().map(|(_, key)| id_of(store, key)).collect()
}

fn id_of(store: &SqliteStore, key: DeviceKey) -> String {
    let all = store.devices(None, None, 1_000, NOW).unwrap().into_iter();
    let mut own = all.filter(|device| store.device_key(&device.id).unwrap() == Some(key));
    own.next().unwrap().id
}

fn put(store: &mut SqliteStore, devices: &[Device]) {
    store.put_devices(&devices.iter().collect::<Vec<_>>()).unwrap();
}

#[test]
fn devices_are_noted_only_while_a_rollout_goes_on_that_they_may_join() {
    each(|store| {
        let fleet = devices(6);
        put(store, &fleet[..1]);
        assert!(changed(store).is_empty(), "there is no rollout");
        let snapshot = draft(store, None, &spec());
        set_state(store, snapshot, rollout::State::Running);
        put(store, &fleet[..2]);
        assert!(changed(store).is_empty(), "its devices are those that matched then");
        let dynamic = Spec { membership: Membership::Dynamic, ..spec() };
        let key = draft(store, None, &dynamic);
        put(store, &fleet[..3]);
        assert!(changed(store).is_empty(), "it was not started");
        for (at, state) in rollout::State::ALL.into_iter().enumerate() {
            set_state(store, key, state);
            let new = Device { id: format!("new-{at}"), ..Device::default() };
            put(store, std::slice::from_ref(&new));
            assert_eq!(changed(store).contains(&new.id), state.is_driven(), "{state}");
        }
    });
}

#[test]
fn what_changed_is_noted_once_and_forgotten_when_it_was_looked_at() {
    each(|store| {
        let mut fleet = devices(4);
        put(store, &fleet[..2]);
        let key = draft(store, None, &Spec { membership: Membership::Dynamic, ..spec() });
        set_state(store, key, rollout::State::Paused);
        put(store, &fleet);
        assert_eq!(changed(store), ["pos-2", "pos-3"], "the others are as they were");
        fleet[0].location = Some("Oslo".to_owned());
        fleet[2].tags.insert("lane".to_owned(), "7".to_owned());
        put(store, &fleet);
        assert_eq!(changed(store), ["pos-3", "pos-0", "pos-2"], "as they were written last");
        // A contact is noted if it says something else.
        store.saw(&[Contact { device: "pos-1", at: NOW, version: None }]).unwrap();
        assert_eq!(changed(store).len(), 3);
        store.saw(&[Contact { device: "pos-2", at: NOW, version: Some("3") }]).unwrap();
        assert_eq!(changed(store).len(), 3);

        let first = store.changed_devices(ChangeSeq(0), 1).unwrap();
        let behind = store.changed_devices(first[0].0, 100).unwrap();
        let ids: Vec<_> = behind.iter().map(|(_, key)| id_of(store, *key)).collect();
        assert_eq!(ids, ["pos-0", "pos-2"]);
        // It is written again after it was read.
        fleet[0].location = None;
        put(store, &fleet);
        store.forget_changed(behind[0].0).unwrap();
        assert_eq!(changed(store), ["pos-2", "pos-0"]);
        store.forget_changed(behind[1].0).unwrap();
        assert_eq!(changed(store), ["pos-0"]);
    });
}

#[test]
fn devices_that_change_are_noted_while_hours_are_those_of_devices() {
    each(|store| {
        let mut fleet = devices(3);
        put(store, &fleet);
        let hours = Hours { windows: vec!["02:00-04:00".parse().unwrap()], freezes: vec![] };
        let schedule = Schedule { hours, ..Schedule::default() };
        let fixed = Schedule { zone: ZoneRule::Fixed(Zone::utc()), ..schedule.clone() };
        for (at, (schedule, is_noted)) in
            [(fixed, false), (Schedule::default(), false), (schedule, true)].into_iter().enumerate()
        {
            let key = draft(store, None, &Spec { schedule, ..spec() });
            set_state(store, key, rollout::State::Running);
            fleet[0].time_zone = Some(["Asia/Tokyo", "Asia/Kolkata", "Europe/Oslo"][at].to_owned());
            fleet.push(Device { id: format!("new-{at}"), ..Device::default() });
            put(store, &fleet);
            let noted: &[&str] = if is_noted { &["pos-0"] } else { &[] };
            assert_eq!(changed(store), noted, "{at}");
        }
    });
}

#[test]
fn open_devices_in_the_cohort_of_another_zone_are_found_and_moved() {
    each(|store| {
        let hours = Hours { windows: vec!["02:00-04:00".parse().unwrap()], freezes: vec![] };
        let schedule = Schedule { hours, ..Schedule::default() };
        let key = draft(store, None, &Spec { schedule: schedule.clone(), ..spec() });
        let mut fleet = devices(4);
        let utc = [CohortName { wave: 0, zone: Some(Zone::utc()) }];
        let assigned: Vec<_> = fleet.iter().map(|device| (device, 0)).collect();
        store.add_devices(key, &utc, &assigned, NOW).unwrap();
        let ended = Assignment { state: State::Succeeded, attempt: 1, ..Assignment::queued() };
        let from = store.cohorts(key, 1).unwrap()[0].key;
        let counts = |queued, succeeded| Counts { queued, succeeded, ..Counts::default() };
        store
            .commit(&Batch {
                changes: vec![Change { id: AssignmentId(1), to: ended, detail: None }],
                cohorts: vec![(from, counts(3, 1))],
                ..Batch::empty(key, Epoch(0), NOW)
            })
            .unwrap();
        for device in &mut fleet[..2] {
            device.time_zone = Some("Asia/Tokyo".to_owned());
        }
        put(store, &fleet);
        let devices = fleet.iter().map(|device| store.device_key(&device.id).unwrap().unwrap());
        let devices: Vec<_> = devices.collect();
        let mut review = Review {
            rollout: key,
            round: 1,
            devices,
            schedule: Some(schedule),
            is_device_wanted: false,
        };
        let found = store.review(&review).unwrap();
        assert!(found.devices.is_empty());
        let [Misplaced { candidate, to }] = &found.misplaced[..] else { panic!("{found:?}") };
        assert_eq!((candidate.id, candidate.cohort), (AssignmentId(2), from), "the first ended");
        assert_eq!(found.cohorts[0].zone.as_ref().map(Zone::name), Some("Asia/Tokyo"));
        assert_eq!((found.cohorts[0].key, found.cohorts[0].wave), (*to, 0));
        store
            .commit(&Batch {
                moves: vec![Move { id: candidate.id, to: *to }],
                cohorts: vec![(from, counts(2, 1)), (*to, counts(1, 0))],
                ..Batch::empty(key, Epoch(0), NOW)
            })
            .unwrap();
        assert!(store.review(&review).unwrap().misplaced.is_empty(), "it is where it belongs");
        assert_eq!(store.count(key, 1).unwrap(), counts(3, 1));
        (review.schedule, review.is_device_wanted) = (None, true);
        let found = store.review(&review).unwrap();
        assert_eq!((found.devices.len(), found.misplaced.len()), (4, 0));
        assert_eq!(found.devices[1].1.time_zone.as_deref(), Some("Asia/Tokyo"));
    });
}
