use std::{collections::BTreeMap, time::Duration};

use groundswell_core::device::Device;
use proptest::prelude::*;
use rusqlite::params_from_iter;

use super::*;
use crate::store::{
    Store,
    sqlite::{SqliteStore, device, listing},
};

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn store() -> SqliteStore {
    SqliteStore::in_memory()
}

/// How `SQLite` goes about counting the devices that are chosen.
fn plan(store: &SqliteStore, text: &str) -> String {
    let select: Selector = text.parse().unwrap();
    let (sql, params) = device::count_query(Some(&select), NOW);
    let mut explain = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = explain.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
    rows.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[test]
fn what_can_be_found_by_an_index_is() {
    let store = store();
    for (text, found_by) in [
        ("id==a", "SEARCH d USING COVERING INDEX sqlite_autoindex_device_1 (id=?)"),
        ("id=in=(a,b)", "SEARCH d USING COVERING INDEX sqlite_autoindex_device_1 (id=?)"),
        ("id==a*", "SEARCH d USING COVERING INDEX sqlite_autoindex_device_1 (id>? AND id<?)"),
        ("id==a*b", "SEARCH d USING COVERING INDEX sqlite_autoindex_device_1 (id>? AND id<?)"),
        ("id>=a", "SEARCH d USING COVERING INDEX sqlite_autoindex_device_1 (id>?)"),
        ("location==x", "SEARCH d USING COVERING INDEX device_location (location=?)"),
        (
            "time_zone==America/*",
            "SEARCH d USING COVERING INDEX device_time_zone (time_zone>? AND time_zone<?)",
        ),
        ("version==2.1", "SEARCH s USING INDEX seen_version (version_key=?)"),
        ("version<2.1", "SEARCH s USING COVERING INDEX seen_version (version_key<?)"),
        (
            "version>2.1 and version<3",
            "SEARCH s USING COVERING INDEX seen_version (version_key>? AND version_key<?)",
        ),
        ("last_seen<-3m", "SEARCH s USING COVERING INDEX seen_at (at<?)"),
        ("last_seen==*", "SEARCH s USING COVERING INDEX seen_at (at>?)"),
        ("tag.k==v", "SEARCH t USING PRIMARY KEY (key=? AND value=?)"),
        ("tag.k=in=(v,w)", "SEARCH t USING PRIMARY KEY (key=? AND value=?)"),
        ("tag.k==v*", "SEARCH t USING PRIMARY KEY (key=? AND value>? AND value<?)"),
        ("tag.k==*", "SEARCH t USING PRIMARY KEY (key=?)"),
        ("tag.k>v", "SEARCH t USING PRIMARY KEY (key=? AND value>?)"),
        ("tag.k==v and version<2", "SEARCH t USING PRIMARY KEY (key=? AND value=?)"),
        ("tag.k==v and status==offline", "SEARCH t USING PRIMARY KEY (key=? AND value=?)"),
        ("tag.k==v and tag.l!=w", "SEARCH t USING PRIMARY KEY (key=? AND value=?)"),
        ("tag.k==v or tag.l==w", "MULTI-INDEX OR"),
        ("tag.k==v or id==b", "MULTI-INDEX OR"),
        ("version<2 or last_seen<-3m", "MULTI-INDEX OR"),
    ] {
        let plan = plan(&store, text);
        assert!(plan.contains(found_by), "{text}: {plan}");
        assert!(!plan.contains("SCAN"), "{text}: {plan}");
    }
    // What only tells who is left out reads every device, and each of them by its key.
    let plan = plan(&store, "tag.k!=v");
    assert!(plan.contains("SEARCH t USING PRIMARY KEY (key=? AND value=? AND device=?)"), "{plan}");
}

#[test]
fn values_are_parameters() {
    let text = r#"id=="'; DROP TABLE device; --" and tag."x') or 1 --"==b*c and version>"b1'""#;
    let Condition { sql, params, .. } = condition(Some(&text.parse().unwrap()), NOW);
    insta::assert_snapshot!(sql, @"((d.id IN (?) AND d.key IN (SELECT t.device FROM tag t WHERE t.key = ? AND (t.value >= ? AND t.value < ? AND t.value GLOB ?)) AND s.version_key > ?)) AND d.key NOT IN (SELECT device FROM removed)");
    assert_eq!(sql.matches('?').count(), params.len());
}

#[test]
fn the_end_of_what_begins_alike() {
    for (prefix, end) in [
        ("a", Some("b")),
        ("az\u{10ffff}", Some("a{")),
        ("\u{d7ff}", Some("\u{e000}")),
        ("\u{7f}", Some("\u{80}")),
        ("\u{10ffff}\u{10ffff}", None),
    ] {
        assert_eq!(after_all_with(prefix).as_deref(), end, "{prefix:?}");
    }
}

/// The devices chosen by SQL, in the order of their ids.
fn chosen(store: &SqliteStore, select: &Selector) -> Vec<String> {
    let Condition { from, sql, params } = condition(Some(select), NOW);
    let sql = format!("SELECT d.id FROM {from} WHERE {sql} ORDER BY d.id");
    let mut statement = store.connection.prepare(&sql).unwrap();
    let rows = statement.query_map(params_from_iter(params), |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Texts that meet each other, among them every character that means something to SQL, to GLOB, to
/// LIKE or to the notation, and some that UTF-16 would order otherwise.
const POOL: [&str; 24] = [
    "",
    "a",
    "A",
    "ab",
    "a%b",
    "a_b",
    "a*b",
    "a?b",
    "[a]b",
    "a[b",
    "a]b",
    "[^a]",
    "'",
    "\"",
    "\\a",
    "a;--",
    "é a",
    "漢",
    "\u{e000}b",
    "a\u{fffd}b",
    "a\u{fffe}b",
    "a\u{ffff}b",
    "\u{1f600}",
    "b\u{10ffff}",
];

fn odd() -> impl Strategy<Value = String> {
    prop::sample::select(POOL.to_vec()).prop_map(str::to_owned)
}

/// A text, with wildcards in place of some of its characters and around it.
fn pattern() -> impl Strategy<Value = String> {
    let wild = || prop::collection::vec(prop::bool::weighted(0.3), 4);
    (odd(), wild(), wild()).prop_map(|(text, instead, around)| {
        let mut pattern = String::new();
        for (c, (instead, around)) in text.chars().zip(instead.iter().zip(&around)) {
            pattern.push_str(if *around { "*" } else { "" });
            if *instead { pattern.push('*') } else { pattern.push(c) }
        }
        if around[3] { pattern + "*" } else { pattern }
    })
}

fn any_version() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "v?[0-2](\\.(0|9|10)){0,2}(-(a|rc\\.(2|10)))?(\\+b)?".boxed(),
        1 => odd().boxed(),
        1 => "(unknown|build-[0-2]|1\\.|v|1\\.0\\.0-)".boxed(),
    ]
}

/// What may stand behind an order.
fn ordered_version() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "v?[0-2](\\.(0|9|10)){0,2}(-(a|rc\\.(2|10)))?(\\+b)?".boxed(),
        1 => "(build-[0-2]|v-1|x1)".boxed(),
    ]
}

fn any_device() -> impl Strategy<Value = Device> {
    let text = || proptest::option::of(odd());
    let check_in = proptest::option::of((1..4_u64).prop_map(Duration::from_secs));
    let seen = proptest::option::of((-2..12_i64).prop_map(|secs| NOW.as_millis() - secs * 1_000));
    let address = proptest::option::of("(https?://)?(10\\.0\\.0\\.[1-3]|gw)(:80)?(/[ab_%]{1,2})?");
    (
        ((odd(), "[ab]{0,2}"), odd(), text(), text(), text()),
        (proptest::option::of(any_version()), check_in, seen, address),
        prop::collection::btree_map("(k|k\\.1|K|é ')", odd(), 0..4),
    )
        .prop_map(|(texts, (version, check_in, seen, address), tags)| Device {
            id: format!("{}{}", texts.0.0, texts.0.1),
            name: texts.1,
            location: texts.2,
            time_zone: texts.3,
            update_path: texts.4,
            version,
            check_in,
            last_seen: seen.map(Time::from_millis),
            address: address.map(|address| address.parse().unwrap()),
            tags,
        })
}

fn any_devices() -> impl Strategy<Value = BTreeMap<String, Device>> {
    prop::collection::vec(any_device(), 1..24).prop_map(|devices| {
        let with_id = devices.into_iter().filter(|device| !device.id.is_empty());
        with_id.map(|device| (device.id.clone(), device)).collect()
    })
}

/// A value in quotes; a star in it is a wildcard if `wild` and one is allowed there.
fn quoted(text: &str, wild: bool) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') || (c == '*' && !wild) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

fn any_comparison() -> impl Strategy<Value = String> {
    let texts = vec![
        "id",
        "name",
        "location",
        "time_zone",
        "address",
        "version",
        "tag.k",
        "tag.k.1",
        "tag.\"é '\"",
        "tag.none",
    ];
    let field = prop::sample::select(texts);
    let order = || prop::sample::select(vec!["<", "<=", ">", ">="]);
    let words = vec!["online", "offline", "unknown", "never_seen", "o*", "*n", "*e*n*", "*"];
    let value = || prop_oneof![3 => odd().boxed(), 1 => any_version().boxed()];
    prop_oneof![
        4 => (field.clone(), "(==|!=)", value())
            .prop_map(|(field, operator, text)| format!("{field}{operator}{}", quoted(&text, false))),
        4 => (field.clone(), "(==|!=)", pattern())
            .prop_map(|(field, operator, text)| format!("{field}{operator}{}", quoted(&text, true))),
        2 => (field.clone(), prop::bool::ANY, prop::collection::vec(value(), 1..4)).prop_map(
            |(field, is_in, values)| {
                let operator = if is_in { "=in=" } else { "=out=" };
                let values: Vec<_> = values.iter().map(|value| quoted(value, false)).collect();
                format!("{field}{operator}({})", values.join(","))
            }
        ),
        2 => (field.prop_filter("has a rule of its own", |field| *field != "version"), order(), value())
            .prop_map(|(field, operator, value)| format!("{field}{operator}{}", quoted(&value, false))),
        2 => (order(), ordered_version())
            .prop_map(|(operator, value)| format!("version{operator}{}", quoted(&value, false))),
        1 => ("(<|<=|>|>=|==|!=)", 0..12_u64)
            .prop_map(|(operator, secs)| format!("last_seen{operator}-{secs}s")),
        1 => prop::sample::select(vec!["last_seen==*", "last_seen!=*", "last_seen=out=(-1s,-2s)"])
            .prop_map(str::to_owned),
        2 => ("(==|!=)", prop::sample::select(words)).prop_map(|(o, word)| format!("status{o}{word}")),
        1 => order().prop_map(|operator| format!("status{operator}online")),
        1 => "address(==|!=)(10\\.0\\.0\\.[1-3]|\\*gw\\*|https\\*|\\*/[ab]\\*)",
    ]
}

fn any_selector() -> impl Strategy<Value = String> {
    any_comparison().prop_recursive(4, 16, 3, |inner| {
        (prop::collection::vec(inner, 2..4), prop::bool::ANY).prop_map(|(parts, all)| {
            format!("({})", parts.join(if all { " and " } else { " or " }))
        })
    })
}

#[test]
fn a_pattern_does_not_end_at_a_nul() {
    let mut store = store();
    store.put_devices(&[&Device { id: "a".to_owned(), ..Device::default() }]).unwrap();
    for (text, expected) in [("id=='a*\0*'", 0), ("id!='a*\0*'", 1), ("id=='a*'", 1)] {
        assert_eq!(chosen(&store, &text.parse().unwrap()).len(), expected, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The promise: a database chooses the devices that memory would.
    #[test]
    fn sql_chooses_what_memory_chooses(
        devices in any_devices(),
        selectors in prop::collection::vec(any_selector(), 24),
    ) {
        let mut store = store();
        store.put_devices(&devices.values().collect::<Vec<_>>()).unwrap();
        for text in selectors {
            let select = Selector::parse(&text)
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            let expected = devices.values().filter(|device| select.matches(device, NOW));
            let expected: Vec<String> = expected.map(|device| device.id.clone()).collect();
            let count = store.count_devices(Some(&select), NOW).unwrap();
            prop_assert_eq!(count, expected.len() as u64, "{}", text);
            prop_assert_eq!(&chosen(&store, &select), &expected, "{}", text);
            for listed in listing::every_way(&store.connection, &select, NOW) {
                prop_assert_eq!(&listed, &expected, "{}", text);
            }
        }
    }
}
