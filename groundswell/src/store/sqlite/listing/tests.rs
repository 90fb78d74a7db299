use std::collections::BTreeMap;

use super::*;
use crate::store::{Store, sqlite::SqliteStore};

const NOW: Time = Time::from_millis(1_800_000_000_000);

/// More than are looked at one by one, by whomever.
const DEVICES: usize = 34_000;

fn device_of(n: usize) -> Device {
    let mut tags = BTreeMap::new();
    let mut tag = |key: &str, is_there| {
        if is_there {
            tags.insert(key.to_owned(), "yes".to_owned());
        }
    };
    // Many have each of the two; both have some soon, some late, and some at the very end.
    let both = (6_000..6_010).contains(&n) || (24_000..24_010).contains(&n) || n == DEVICES - 1;
    tag("a", n < 11_000 || both);
    tag("b", (12_000..23_500).contains(&n) || both);
    tag("rare", n % 5_000 == 4_999);
    Device {
        id: format!("pos-{n:05}"),
        name: format!("Till {}", n % 1_000),
        location: n.is_multiple_of(3).then(|| "here".to_owned()),
        time_zone: n.is_multiple_of(2).then(|| "UTC".to_owned()),
        version: Some(if n % 4_000 == 3_999 { "1.0.0" } else { "2.0.0" }.to_owned()),
        tags,
        ..Device::default()
    }
}

/// All ids, page by page.
fn paged(store: &SqliteStore, select: &Selector, limit: usize) -> Vec<String> {
    let mut ids: Vec<String> = vec![];
    loop {
        let after = ids.last().cloned();
        let page = store.devices(Some(select), after.as_deref(), limit, NOW).unwrap();
        let is_last = page.len() < limit;
        ids.extend(page.into_iter().map(|device| device.id));
        if is_last {
            return ids;
        }
    }
}

#[test]
fn pages_have_everybody_once_however_few_are_chosen() {
    let mut store = SqliteStore::in_memory();
    let devices: Vec<Device> = (0..DEVICES).map(device_of).collect();
    store.put_devices(&devices.iter().collect::<Vec<_>>()).unwrap();
    for (text, is_of_few) in [
        ("tag.a==yes and tag.b==yes", false),
        ("tag.rare==yes", true),
        ("tag.rare==yes and tag.a!=yes", true),
        ("version<2", true),
        ("version==1.0.0 and location==here", true),
        ("time_zone==UTC and version==1.0.0 and location==here", true),
        ("version==2.0.0 and name=='Till 999'", false),
        ("id>pos-31000 and tag.b==yes", true),
        ("tag.rare==yes or id==pos-20000", false),
        ("name==nobody", false),
        ("tag.rare==no", true),
    ] {
        let select: Selector = text.parse().unwrap();
        let expected: Vec<&str> = devices
            .iter()
            .filter(|device| select.matches(device, NOW))
            .map(|device| &*device.id)
            .collect();
        for limit in [3, 100] {
            assert_eq!(paged(&store, &select, limit), expected, "{text}, {limit} each");
        }
        let by = selector::found(&select, NOW);
        let few_max = if select.tag_keys().is_empty() { FEW_MAX } else { FEW_WITH_TAGS_MAX };
        let few = fewest(&store.connection, &by, few_max).unwrap();
        assert_eq!(few.is_some(), is_of_few, "{text}");
    }
}

/// How `SQLite` goes about a condition.
fn plan(store: &SqliteStore, condition: &Condition, order: &str) -> String {
    let sql = format!("EXPLAIN QUERY PLAN {}", sql(condition, order));
    let mut explain = store.connection.prepare(&sql).unwrap();
    let mut params = condition.params.clone();
    params.extend([text("a"), Value::Integer(1)]);
    let rows = explain.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
    rows.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[test]
fn who_is_looked_at_one_by_one_is_found_by_nothing_else() {
    let store = SqliteStore::in_memory();
    for text in [
        "tag.a==b and tag.c==d",
        "version==2.0.0 and time_zone==UTC",
        "version<2 and last_seen<-3m",
        "location==a and status==unknown",
        "id=in=(a,b) and tag.a!=b",
        "tag.a==b or location==a*",
    ] {
        let select: Selector = text.parse().unwrap();
        let plan = plan(&store, &selector::looked_at(&select, NOW), ORDERED);
        let by_id = "SEARCH d USING INDEX sqlite_autoindex_device_1 (id>?)";
        assert!(plan.starts_with(by_id), "{text}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{text}: {plan}");
    }
}
