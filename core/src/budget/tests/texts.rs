//! Kinds of domains, domains and limits as people write them.

use proptest::prelude::*;

use super::*;

#[test]
fn domains_read_and_print() {
    for (text, key, value) in [
        ("tag.store=0042", "store", Some("0042")),
        ("tag.store: none", "store", None),
        ("tag.store=", "store", Some("")),
        ("tag.store=: none", "store", Some(": none")),
        ("tag.store=a=b c", "store", Some("a=b c")),
        ("tag.\"opened in\"=2024", "opened in", Some("2024")),
        ("tag.\"a=b\"=c", "a=b", Some("c")),
        ("tag.\"a=b\": none", "a=b", None),
    ] {
        let domain: Domain = text.parse().unwrap();
        assert_eq!(domain, Domain { per: per(key), value: value.map(str::to_owned) }, "{text}");
        assert_eq!(domain.to_string(), text);
    }
}

#[test]
fn what_names_no_domain() {
    let refused = |text: &str| text.parse::<Domain>().unwrap_err().to_string();
    insta::assert_snapshot!(refused("tag.store"), @r#"`tag.store` names no failure domain; write one such as tag.store=0042 or "tag.store: none""#);
    for text in ["store=1", "tag.=1", "=1", "", ": none", "version=2", "tag.\"a=1"] {
        assert!(text.parse::<Domain>().is_err(), "{text}");
    }
}

#[test]
fn a_share_is_rounded_down() {
    for (percent, devices, limit) in [
        (2, 120, 2),
        (2, 149, 2),
        (2, 150, 3),
        (2, 40, 0),
        (100, 7, 7),
        (99, 100, 99),
        (50, 1, 0),
        (50, 3, 1),
        (1, 0, 0),
        (100, u32::MAX, u32::MAX),
    ] {
        assert_eq!(Limit::Percent(percent).of(devices), limit, "{percent} % of {devices}");
    }
    assert_eq!(Limit::Max(3).of(0), 3);
}

proptest! {
    #[test]
    fn every_domain_printed_reads_back(key in "\\PC{1,8}", value in prop::option::of("\\PC{0,8}")) {
        prop_assume!(!key.trim().is_empty());
        let domain = Domain { per: per(&key), value };
        prop_assert_eq!(domain.to_string().parse(), Ok(domain.clone()));
    }

    #[test]
    fn every_kind_printed_reads_back(key in "[a-z.*\"'\\\\ =:]{1,6}") {
        prop_assume!(!key.trim().is_empty());
        prop_assert_eq!(per(&key).to_string().parse(), Ok(per(&key)));
    }
}
