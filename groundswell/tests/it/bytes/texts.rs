//! What the core reads of texts: selectors, addresses, times and documents.

use groundswell_core::{
    device::{Address, Device, check_label, check_path},
    document::{Document, Tree},
    gate::external::{SecretSource, Url},
    hours::Zone,
    moment::Moment,
    selector::{Selector, TEXT_BYTES_MAX},
    units::{parse_bytes, parse_duration},
    version::VersionKey,
};
use proptest::{collection::vec, prelude::*};

use super::{NOW, bounded};

/// Everything that reads a text from outside.
fn read_all(text: &str) {
    if let Ok(selector) = Selector::parse(text) {
        let shown = selector.to_string();
        assert_eq!(Selector::parse(&shown).unwrap().to_string(), shown, "it reads back");
        let _ = selector.matches(&Device::default(), NOW);
    }
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.as_str().parse::<Address>().unwrap(), address);
        assert!(!address.authority().contains('@'));
    }
    if let Ok(url) = text.parse::<Url>() {
        assert!(!url.server().as_str().contains('@'));
    }
    let _ = text.parse::<SecretSource>();
    let _ = text.parse::<Moment>().map(|moment| moment.resolve(NOW));
    let _ = (parse_duration(text), parse_bytes(text), Zone::parse(text));
    let _ = VersionKey::of(text).is_version();
    let _ = (check_label("id", text), check_path(text));
}

fn read_document(bytes: &[u8]) {
    if let Ok(tree) = serde_json::from_slice::<Tree>(bytes) {
        let read = Document::read_at(&tree, NOW);
        if let Err(error) = read {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Bytes as texts that selectors, addresses and times are made of.
fn near_texts() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "tag.",
        "region",
        "==",
        "!=",
        "<=",
        ">",
        "=in=",
        "=out=",
        "=exists=",
        "(",
        ")",
        ",",
        ";",
        " and ",
        " or ",
        " not ",
        "'",
        "\"",
        "\\",
        "*",
        "a",
        "1.2.0",
        "2.0.0-rc.1",
        "http://",
        "https://",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        ":",
        "80",
        "@",
        "/",
        "?",
        "#",
        "%",
        "%2f",
        "..",
        "-90d",
        "5m",
        "1e9",
        "KiB",
        "2026-11-01T00:00:00Z",
        "T",
        "+",
        "env:",
        "file:",
        "\0",
        "\n",
        "\u{202e}",
        "ä",
        "\u{1f600}",
        "99999999999999999999",
    ]);
    vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// JSON that is like a spec.
fn near_documents() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        near_texts().prop_map(Value::from),
        prop::sample::select(vec![
            json!("pos 2.0.0"),
            json!("progressive"),
            json!("immediate"),
            json!("50%"),
            json!("1h"),
            json!(0),
            json!(-1),
            json!(101),
            json!(1e300),
            json!("all"),
        ]),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let name = prop::sample::select(vec![
            "release",
            "select",
            "strategy",
            "waves",
            "count",
            "percent",
            "soak",
            "min_success",
            "gates",
            "kind",
            "url",
            "query",
            "op",
            "value",
            "headers",
            "schedule",
            "windows",
            "days",
            "from",
            "to",
            "zone",
            "freezes",
            "limits",
            "max_in_flight",
            "budgets",
            "per",
            "max",
            "retry",
            "attempts",
            "health",
            "every",
            "regression",
            "baseline",
            "salt",
            "deadline",
            "start_at",
            "on_failure",
            "delivery",
            "verify",
            "x",
        ]);
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name, inner), 0..8).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        bounded(|| {
            read_all(&String::from_utf8_lossy(&bytes));
            read_document(&bytes);
        });
    }

    #[test]
    fn texts_that_are_near(text in near_texts()) {
        bounded(|| read_all(&text));
    }

    #[test]
    fn documents_that_are_near(mut document in near_documents(), has_release in any::<bool>()) {
        if let (true, Some(fields)) = (has_release, document.as_object_mut()) {
            fields.insert("release".to_owned(), "pos 2.0.0".into());
        }
        bounded(|| read_document(document.to_string().as_bytes()));
    }
}

/// What grows with depth or with every pair is found out by the longest of its kind.
#[test]
fn the_longest_and_the_deepest() {
    let most = TEXT_BYTES_MAX;
    for text in [
        "(".repeat(most),
        "not ".repeat(most / 4),
        "(a==".repeat(most / 4),
        "a==b and ".repeat(most / 9),
        "a==b,".repeat(most / 5),
        format!("a=={}", "*a".repeat(most / 2 - 2)),
        format!("a=in=({})", "b,".repeat(most / 2 - 4)),
        "'".repeat(most),
        "\\".repeat(most),
        "9".repeat(1 << 20),
        "a".repeat(1 << 20),
        "http://".repeat(1 << 17),
        "-".repeat(1 << 20),
    ] {
        bounded(|| read_all(&text));
    }
    for depth in [100, 127, 10_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        bounded(|| read_document(deep.as_bytes()));
        bounded(|| read_document(format!("{{\"waves\":{deep}}}").as_bytes()));
    }
    let wide = format!("{{\"waves\":[{}{{}}]}}", "{\"count\":1},".repeat(50_000));
    bounded(|| read_document(wide.as_bytes()));
}
