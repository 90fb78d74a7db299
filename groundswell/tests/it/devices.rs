//! The inventory in the store: what is put there, heard of, found and counted.

use std::{collections::BTreeMap, time::Duration};

use groundswell::{
    core::{device::Device, presence::Presence, selector::Selector, time::Time},
    store::{Contact, Put, SqliteStore, Store},
};
use proptest::prelude::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);

/// Runs a check against a fresh store of every kind.
fn each(check: impl Fn(&mut SqliteStore)) {
    let dir = tempfile::tempdir().unwrap();
    check(&mut SqliteStore::open(&dir.path().join("state.db")).unwrap());
}

fn ago(secs: i64) -> Time {
    Time::from_millis(NOW.as_millis() - secs * 1_000)
}

fn tags(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn terminal(id: &str) -> Device {
    Device {
        id: id.to_owned(),
        name: format!("Terminal {id}"),
        address: Some("10.0.0.1:9100".parse().unwrap()),
        version: Some("2.1.0".to_owned()),
        location: Some("New York".to_owned()),
        time_zone: Some("America/New_York".to_owned()),
        check_in: Some(Duration::from_mins(1)),
        last_seen: Some(ago(30)),
        tags: tags(&[("region", "northeast"), ("lane", "1")]),
        update_path: Some("/ota".to_owned()),
    }
}

fn put(store: &mut impl Store, devices: &[Device]) -> Put {
    store.put_devices(&devices.iter().collect::<Vec<_>>()).unwrap()
}

fn load(store: &impl Store, id: &str) -> Device {
    store.device(id).unwrap().unwrap()
}

fn ids(store: &impl Store, select: &str) -> Vec<String> {
    let select: Selector = select.parse().unwrap();
    let devices = store.devices(Some(&select), None, 1_000, NOW).unwrap();
    assert_eq!(store.count_devices(Some(&select), NOW).unwrap(), devices.len() as u64, "{select}");
    devices.into_iter().map(|device| device.id).collect()
}

#[test]
fn a_device_comes_back_as_it_was_put() {
    each(|store| {
        let bare = Device { id: "b".to_owned(), name: "b".to_owned(), ..Device::default() };
        let given = [terminal("a"), bare];
        assert_eq!(put(store, &given), Put { new: 2, ..Put::default() });
        assert_eq!(store.devices(None, None, 10, NOW).unwrap(), given);
        assert_eq!(load(store, "a"), given[0]);
        assert_eq!(load(store, "b"), given[1]);
        assert_eq!(store.device("c").unwrap(), None);
        assert_eq!(store.count_devices(None, NOW).unwrap(), 2);
    });
}

#[test]
fn what_changed_is_told_and_found_and_the_rest_stays() {
    each(|store| {
        let before = [terminal("a"), terminal("b"), terminal("c")];
        put(store, &before);
        let moved = Device { tags: tags(&[("region", "west")]), ..before[0].clone() };
        let seen_again = Device { last_seen: Some(ago(1)), ..before[1].clone() };
        let given = [moved, seen_again, terminal("d")];
        assert_eq!(put(store, &given), Put { new: 1, changed: 1, same: 1 });
        assert_eq!(load(store, "a"), given[0]);
        assert_eq!(load(store, "b"), given[1]);
        assert_eq!(load(store, "c"), before[2]);
        assert_eq!(ids(store, "tag.region==west"), ["a"]);
        assert_eq!(ids(store, "tag.region==northeast"), ["b", "c", "d"]);
        assert_eq!(ids(store, "tag.lane!=*"), ["a"]);
        let cleared = Device { tags: BTreeMap::new(), check_in: None, ..given[0].clone() };
        assert_eq!(put(store, &[cleared]), Put { changed: 1, ..Put::default() });
        assert_eq!(ids(store, "tag.region!=*"), ["a"]);
        assert_eq!(ids(store, "status==unknown"), ["a"]);
    });
}

#[test]
fn an_import_gives_way_to_what_is_later() {
    // Known, imported, and what is known then: last seen so many seconds ago, with a version.
    type Seen = (Option<i64>, Option<&'static str>);
    let table: [(Seen, Seen, Seen); 12] = [
        ((None, None), (Some(9), Some("1")), (Some(9), Some("1"))),
        ((Some(9), Some("1")), (Some(5), Some("2")), (Some(5), Some("2"))),
        ((Some(5), Some("1")), (Some(9), Some("2")), (Some(5), Some("1"))),
        ((Some(5), Some("1")), (Some(5), Some("2")), (Some(5), Some("2"))),
        ((Some(5), Some("1")), (Some(5), None), (Some(5), Some("1"))),
        ((Some(5), Some("1")), (Some(1), None), (Some(1), Some("1"))),
        ((Some(5), None), (Some(9), Some("2")), (Some(5), Some("2"))),
        ((Some(5), Some("1")), (None, Some("2")), (Some(5), Some("1"))),
        ((Some(5), None), (None, Some("2")), (Some(5), Some("2"))),
        ((None, Some("1")), (None, Some("2")), (None, Some("2"))),
        ((None, Some("1")), (Some(9), None), (Some(9), Some("1"))),
        ((Some(5), Some("1")), (None, None), (Some(5), Some("1"))),
    ];
    let device = |(seen, version): Seen| Device {
        last_seen: seen.map(ago),
        version: version.map(str::to_owned),
        ..terminal("a")
    };
    for (known, imported, then) in table {
        each(|store| {
            put(store, &[device(known)]);
            let same = Put { same: 1, ..Put::default() };
            assert_eq!(put(store, &[device(imported)]), same, "{known:?} {imported:?}");
            assert_eq!(load(store, "a"), device(then), "{known:?} {imported:?}");
            let found = then.1.map_or(vec![], |version| ids(store, &format!("version<={version}")));
            assert_eq!(found.len(), usize::from(then.1.is_some()), "{known:?} {imported:?}");
        });
    }
}

#[test]
fn the_last_contact_counts() {
    each(|store| {
        put(store, &[Device { last_seen: Some(ago(-86_400)), ..terminal("a") }, terminal("b")]);
        let contact = |device, secs, version| Contact { device, at: ago(secs), version };
        // The inventory's time lay a day ahead, and one device is of no inventory.
        let contacts = [contact("a", 300, None), contact("x", 1, Some("9"))];
        store.saw(&contacts).unwrap();
        assert_eq!(load(store, "a").last_seen, Some(ago(300)));
        assert_eq!(load(store, "a").version.as_deref(), Some("2.1.0"));
        assert_eq!(load(store, "a").presence(NOW), Presence::Offline { since: ago(300) });
        assert_eq!(ids(store, "status==offline"), ["a"]);
        let contacts = [contact("a", 5, Some("2.2.0")), contact("a", 4, Some("2.2.0"))];
        store.saw(&contacts).unwrap();
        assert_eq!(load(store, "a").last_seen, Some(ago(4)));
        assert_eq!(ids(store, "version>2.1.0"), ["a"]);
        assert_eq!(ids(store, "status==online"), ["a", "b"]);
        assert_eq!(store.count_devices(None, NOW).unwrap(), 2);
        // An older file is read again.
        put(store, &[Device { last_seen: Some(ago(60)), ..terminal("a") }]);
        assert_eq!(load(store, "a").version.as_deref(), Some("2.2.0"));
    });
}

#[test]
fn a_contact_is_the_first_that_is_known_of_a_device() {
    each(|store| {
        put(store, &[Device { last_seen: None, version: None, ..terminal("a") }]);
        assert_eq!(ids(store, "status==never_seen and version!=*"), ["a"]);
        store.saw(&[Contact { device: "a", at: NOW, version: None }]).unwrap();
        assert_eq!(ids(store, "status==online and version!=*"), ["a"]);
    });
}

/// More devices than are looked at one by one for a page.
fn crowd(count: usize) -> Vec<Device> {
    (0..count)
        .map(|n| Device {
            id: format!("pos-{n:05}"),
            name: format!("Terminal {n}"),
            version: Some(format!("1.{}.0", n % 3)),
            tags: tags(&[("rare", &(n / 3_000).to_string()), ("third", &(n % 3).to_string())]),
            ..Device::default()
        })
        .collect()
}

#[test]
fn pages_are_whole_wherever_they_begin() {
    each(|store| {
        let devices = crowd(5_000);
        put(store, &devices);
        for text in ["tag.third==1", "tag.rare==1", "version<1.1", "id!=x", "id==pos-049*", "id==x"]
        {
            let select: Selector = text.parse().unwrap();
            let expected: Vec<&Device> =
                devices.iter().filter(|device| select.matches(device, NOW)).collect();
            for limit in [700, 5_000] {
                let mut found: Vec<Device> = vec![];
                loop {
                    let after = found.last().map(|device| device.id.clone());
                    let page = store.devices(Some(&select), after.as_deref(), limit, NOW).unwrap();
                    assert!(page.len() <= limit);
                    let is_last = page.len() < limit;
                    found.extend(page);
                    assert!(found.len() <= expected.len(), "{text} by {limit}");
                    if is_last {
                        break;
                    }
                }
                assert!(found.iter().eq(expected.iter().copied()), "{text} by {limit}");
            }
            assert_eq!(store.devices(Some(&select), None, 0, NOW).unwrap(), []);
        }
        assert_eq!(store.devices(None, Some("pos-04998"), 9, NOW).unwrap(), devices[4_999..]);
        assert_eq!(store.devices(None, None, 2, NOW).unwrap(), devices[..2]);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is put in whatever order, tags are found as they were put last.
    #[test]
    fn tags_keep_in_step(
        puts in prop::collection::vec(("[ab]", prop::collection::btree_map("[kl]", "[xy]", 0..3)), 1..12)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
        let mut last: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (id, tags) in puts {
            put(&mut store, &[Device { tags: tags.clone(), ..terminal(&id) }]);
            last.insert(id, tags);
        }
        for (key, value) in ["k", "l"].into_iter().flat_map(|key| [(key, "x"), (key, "y")]) {
            let has = |tags: &BTreeMap<String, String>| tags.get(key).is_some_and(|has| has == value);
            let expected = last.iter().filter(|(_, tags)| has(tags)).count();
            let select: Selector = format!("tag.{key}=={value}").parse().unwrap();
            prop_assert_eq!(store.count_devices(Some(&select), NOW).unwrap(), expected as u64);
        }
    }
}
