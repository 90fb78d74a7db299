//! Random expressions against a plain evaluator, and random texts against the parser.

use proptest::prelude::*;

use super::*;

/// The same notation, evaluated in the plainest way: nothing is shared with the real one but the
/// reading of ages, which the test writes itself.
#[derive(Clone, Debug)]
enum Naive {
    Both(Box<Naive>, Box<Naive>),
    Either(Box<Naive>, Box<Naive>),
    /// Field, operator, values; a `*` in a value is a wildcard unless the operator takes none.
    Compare(String, &'static str, Vec<String>),
    /// Operator and seconds.
    Seen(&'static str, u64),
}

impl Naive {
    fn write(&self, quotes: usize) -> String {
        let operand = |naive: &Self| match naive {
            Self::Both(..) | Self::Either(..) => format!("( {} )", naive.write(quotes + 1)),
            _ => naive.write(quotes + 1),
        };
        let spell = |value: &str| match quotes % 3 {
            0 if !value.is_empty() && !value.contains([' ', ',']) => value.to_owned(),
            1 => format!("'{value}'"),
            _ => format!("\"{value}\""),
        };
        match self {
            Self::Both(left, right) => {
                let joint = [";", " and ", " ; "][quotes % 3];
                format!("{}{joint}{}", operand(left), operand(right))
            }
            Self::Either(left, right) => {
                let joint = [",", " or ", " , "][quotes % 3];
                format!("{}{joint}{}", operand(left), operand(right))
            }
            Self::Compare(field, operator @ ("=in=" | "=out="), values) => {
                let values: Vec<_> = values.iter().map(|value| spell(value)).collect();
                format!("{field}{operator}({})", values.join(", "))
            }
            Self::Compare(field, operator, values) => {
                format!("{field} {operator} {}", spell(&values[0]))
            }
            Self::Seen(operator, secs) => format!("last_seen{operator}-{secs}s"),
        }
    }

    fn holds(&self, device: &Device) -> bool {
        match self {
            Self::Both(left, right) => left.holds(device) && right.holds(device),
            Self::Either(left, right) => left.holds(device) || right.holds(device),
            Self::Seen(operator, secs) => {
                let bound = NOW.as_millis() - (*secs as i64) * 1_000;
                naive_order(operator, device.last_seen.map(|seen| seen.as_millis().cmp(&bound)))
            }
            Self::Compare(field, operator, values) => {
                let actual = match field.as_str() {
                    "id" => Some(device.id.clone()),
                    "version" => device.version.clone(),
                    "location" => device.location.clone(),
                    "status" => Some(naive_status(device).to_owned()),
                    tag => device.tags.get(tag.strip_prefix("tag.").unwrap()).cloned(),
                };
                let order = |actual: String| match field.as_str() {
                    "version" => semver::Version::parse(&actual)
                        .unwrap()
                        .cmp_precedence(&semver::Version::parse(&values[0]).unwrap()),
                    _ => actual.as_bytes().cmp(values[0].as_bytes()),
                };
                match *operator {
                    "==" => actual.is_some_and(|actual| naive_fits(&values[0], &actual)),
                    "!=" => !actual.is_some_and(|actual| naive_fits(&values[0], &actual)),
                    "=in=" => actual.is_some_and(|actual| values.contains(&actual)),
                    "=out=" => !actual.is_some_and(|actual| values.contains(&actual)),
                    operator => naive_order(operator, actual.map(order)),
                }
            }
        }
    }
}

fn naive_status(device: &Device) -> &'static str {
    match (device.check_in, device.last_seen) {
        (_, None) => "never_seen",
        (None, Some(_)) => "unknown",
        (Some(every), Some(seen)) => {
            let silent_secs = (NOW.as_millis() - seen.as_millis()) / 1_000;
            if silent_secs > 3 * every.as_secs() as i64 { "offline" } else { "online" }
        }
    }
}

fn naive_order(operator: &str, ordering: Option<std::cmp::Ordering>) -> bool {
    ordering.is_some_and(|ordering| match operator {
        "<" | "=lt=" => ordering.is_lt(),
        "<=" | "=le=" => ordering.is_le(),
        ">" | "=gt=" => ordering.is_gt(),
        ">=" | "=ge=" => ordering.is_ge(),
        _ => unreachable!("{operator}"),
    })
}

fn naive_fits(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), first) => {
            naive_fits(&pattern[1..], text)
                || first.is_some_and(|first| naive_fits(pattern, &text[first.len_utf8()..]))
        }
        (Some(wanted), Some(found)) if wanted == found => {
            naive_fits(&pattern[wanted.len_utf8()..], &text[found.len_utf8()..])
        }
        _ => false,
    }
}

fn any_device() -> impl Strategy<Value = Device> {
    let text = || proptest::option::of("[ab, é]{1,4}");
    let version = proptest::option::of("[0-2]\\.(9|10)\\.0(-rc\\.(2|10))?");
    let check_in = proptest::option::of((1..3_u64).prop_map(Duration::from_secs));
    ("[ab]{1,4}", version, text(), text(), proptest::option::of(0..8_i64), check_in).prop_map(
        |(id, version, location, tag, seen, check_in)| Device {
            id,
            version,
            location,
            check_in,
            last_seen: seen.map(|secs| Time::from_millis(NOW.as_millis() - secs * 1_000)),
            tags: tag.into_iter().map(|tag| ("k.1".to_owned(), tag)).collect(),
            ..Device::default()
        },
    )
}

fn any_naive() -> impl Strategy<Value = Naive> {
    let order = || prop::sample::select(vec!["<", "<=", ">", ">=", "=lt=", "=le=", "=gt=", "=ge="]);
    let words = vec!["online", "offline", "unknown", "never_seen"];
    let status = move || prop::sample::select(words.clone()).prop_map(str::to_owned);
    let field = || prop::sample::select(vec!["id", "location", "tag.k.1", "tag.none"]);
    let leaf = prop_oneof![
        (field(), prop::sample::select(vec!["==", "!="]), "[ab, é*]{0,6}").prop_map(
            |(field, operator, value)| Naive::Compare(field.into(), operator, vec![value])
        ),
        (
            field(),
            prop::sample::select(vec!["=in=", "=out="]),
            prop::collection::vec("[ab, é]{0,2}", 1..4)
        )
            .prop_map(|(field, operator, values)| Naive::Compare(
                field.into(),
                operator,
                values
            )),
        (field(), order(), "[ab, é]{0,3}").prop_map(|(field, operator, value)| Naive::Compare(
            field.into(),
            operator,
            vec![value]
        )),
        (order(), "[0-2]\\.(9|10)\\.0(-rc\\.(2|10))?")
            .prop_map(|(operator, value)| Naive::Compare("version".into(), operator, vec![value])),
        (prop::sample::select(vec!["==", "!=", "<", ">="]), status())
            .prop_map(|(operator, value)| Naive::Compare("status".into(), operator, vec![value])),
        (prop::sample::select(vec!["==", "!="]), "[nline*]{0,4}\\*")
            .prop_map(|(operator, value)| Naive::Compare("status".into(), operator, vec![value])),
        (order(), 0..8_u64).prop_map(|(operator, secs)| Naive::Seen(operator, secs)),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Naive::Both(l.into(), r.into())),
            (inner.clone(), inner).prop_map(|(l, r)| Naive::Either(l.into(), r.into())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn means_what_the_plainest_reading_means(
        naive in any_naive(), quotes in 0..3_usize, devices in prop::collection::vec(any_device(), 8)
    ) {
        let text = naive.write(quotes);
        let selector = Selector::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let shown = selector.to_string();
        prop_assert!(Selector::parse(&shown).is_ok_and(|again| again == selector), "{}", shown);
        for device in &devices {
            prop_assert_eq!(selector.matches(device, NOW), naive.holds(device), "{} {:?}", text, device);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Err(error) = Selector::parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn near_misses_are_read_or_refused(
        text in "(id|tag\\.|tag.'|\"|x\\.|==|!=|=in=|<|=|\\(|\\)|,|;|and|or|\\*|\\\\|a|é| |-3m|last_seen|version|address){0,24}"
    ) {
        match Selector::parse(&text) {
            Ok(selector) => {
                let shown = selector.to_string();
                prop_assert!(Selector::parse(&shown).is_ok_and(|again| again == selector), "{}", shown);
            }
            Err(error) => {
                let place = error.place();
                prop_assert!(text.get(place).is_some());
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
