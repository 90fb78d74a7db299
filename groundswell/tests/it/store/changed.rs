//! Devices that were written while a rollout goes on that they may join.

use groundswell::{
    core::{
        device::Device,
        rollout::{self, Membership, Spec},
    },
    store::{Contact, DeviceKey, SqliteStore, Store},
};

use super::{NOW, devices, draft, each, set_state, spec};

fn changed(store: &SqliteStore) -> Vec<String> {
    let devices = store.changed_devices(100).unwrap();
    devices.into_iter().map(|(_, device)| device.id).collect()
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
        assert_eq!(changed(store), ["pos-0", "pos-2", "pos-3"]);
        // A contact is noted if it says something else.
        store.saw(&[Contact { device: "pos-1", at: NOW, version: None }]).unwrap();
        assert_eq!(changed(store).len(), 3);
        store.saw(&[Contact { device: "pos-2", at: NOW, version: Some("3") }]).unwrap();
        assert_eq!(changed(store).len(), 3);

        let first = store.changed_devices(2).unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(first[0].1.location.as_deref(), Some("Oslo"));
        assert_eq!(first[0].0, store.device_key("pos-0").unwrap().unwrap());
        let looked_at: Vec<DeviceKey> = first.into_iter().map(|(key, _)| key).collect();
        store.forget_changed(&looked_at).unwrap();
        assert_eq!(changed(store), ["pos-3"]);
        store.forget_changed(&looked_at).unwrap();
        fleet[0].location = None;
        put(store, &fleet);
        assert_eq!(changed(store), ["pos-0", "pos-3"], "it changed again");
    });
}
