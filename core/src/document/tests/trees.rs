//! Whatever tree is read, the answer is a document or faults.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Texts that come near to what is meant, and some that do not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        "[0-9]{1,3}(ms|s|m|h|d|%)?",
        "(Mon|Sat,)? ?[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}",
        "20[0-9]{2}-[01][0-9]-[0-3][0-9](T0[0-9]:00:00Z)?(\\.\\.2027-01-01)?",
        prop::sample::select(vec![
            "immediate",
            "scheduled",
            "progressive",
            "on_connect",
            "wait",
            "end",
            "skip",
            "try",
            "pause",
            "abort",
            "snapshot",
            "dynamic",
            "version",
            "reachable",
            "none",
            "UTC",
            "pos-app 2.3.0",
            "tag.region==northeast",
            "id==(",
        ])
        .prop_map(str::to_owned),
    ]
}

fn key() -> impl Strategy<Value = String> {
    let names: Vec<&str> = FIELDS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    prop_oneof![9 => prop::sample::select(names).prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        prop_oneof![-2_i128..120, any::<i128>()].prop_map(Tree::Integer),
        any::<f64>().prop_map(Tree::Float),
        text().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(3, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            prop::collection::btree_map(key(), inner, 0..8).prop_map(Tree::Table),
        ]
    })
}

/// A table of our names, mostly with values where they belong.
fn document() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map(key(), tree(), 0..12).prop_map(|mut fields: BTreeMap<_, _>| {
        fields.entry("release".to_owned()).or_insert_with(|| Tree::Text("a 1".to_owned()));
        Tree::Table(fields)
    })
}

proptest! {
    #[test]
    fn no_tree_is_too_much(tree in prop_oneof![tree(), document()]) {
        match Document::read(&tree) {
            Ok(document) => {
                let ReleaseName { name, version } = document.release.clone();
                let release = Release { name, version, ..release() };
                let spec = document.into_spec(release, Earlier::default());
                prop_assert!(spec.is_ok(), "read, but no spec: {spec:?}");
            }
            Err(error) => {
                prop_assert!(!error.faults().is_empty());
                prop_assert!(error.faults().len() <= FAULTS_MAX);
                for fault in error.faults() {
                    prop_assert!(!fault.what.is_empty());
                    prop_assert!(!fault.to_string().contains(|c: char| c.is_control() && c != '\n'));
                }
            }
        }
    }
}

#[test]
fn many_faults_are_counted() {
    let fields = (0..1_000).map(|n| (format!("nonsense-{n:04}"), Tree::Null)).collect();
    let error = Document::read(&Tree::Table(fields)).unwrap_err();
    assert_eq!((error.faults().len(), error.more()), (FAULTS_MAX, 1_001 - FAULTS_MAX));
    assert!(error.to_string().ends_with("\nand 951 more"));
}

#[test]
fn a_name_written_twice_is_refused() {
    let error = serde_json::from_str::<Tree>("{\"salt\": \"a\",\n \"salt\": \"b\"}").unwrap_err();
    assert_eq!(error.to_string(), "\"salt\" is written twice at line 2 column 7");
}
