//! Documents, as they are written and as they are refused.

use serde_json::{Value, json};

use super::*;
use crate::{
    gate::baseline::Earlier,
    release::{Digest, Release},
    rollout::Spec,
};

mod defaults;
mod gates;
mod refusals;
mod salt;
mod spelled;
mod trees;

fn read(document: &Value) -> Result<Document, DocumentError> {
    let tree: Tree = serde_json::from_str(&document.to_string()).unwrap();
    Document::read(&tree)
}

/// With a release, unless the document says itself.
fn with_release(mut document: Value) -> Value {
    let fields = document.as_object_mut().unwrap();
    fields.entry("release").or_insert_with(|| json!("pos-app 2.3.0"));
    document
}

fn release() -> Release {
    Release {
        name: "pos-app".to_owned(),
        version: "2.3.0".to_owned(),
        artifact: Digest([7; 32]),
        artifact_bytes: 1_048_576,
    }
}

fn spec(document: Value) -> Spec {
    read(&with_release(document)).unwrap().into_spec(release(), Earlier::default()).unwrap()
}

/// What is said of a document that cannot be used.
fn refused(document: Value) -> String {
    read(&with_release(document)).unwrap_err().to_string()
}

/// Every field, with a value that is not its default.
fn complete() -> Value {
    json!({
        "release": "pos-app 2.3.0",
        "select": "tag.region == northeast ; version =lt= 2.3.0",
        "strategy": "progressive",
        "start_at": "2026-11-24T02:00:00-05:00",
        "deadline": "14d",
        "windows": ["02:00-04:00", "Sat,Sun 01:00-05:00"],
        "freezes": [
            "2026-11-26..2026-11-29",
            {"from": "2026-12-20", "to": "2027-01-02T06:00", "reason": "holiday season"},
        ],
        "time_zone": "America/New_York",
        "when_closed": "end",
        "waves": [
            {"select": "tag.lab == yes", "soak": "30m", "min_success": 100},
            {"count": 20, "soak": "2h", "min_success": 95},
            {"percent": 50, "soak": "1d", "min_success": 95},
            {"percent": 100},
        ],
        "gates": [
            {
                "kind": "http", "url": "https://status.example/till?site=3", "expect_status": 201,
                "pointer": "/status/level", "op": "!=", "value": "red", "on_false": "stop",
                "headers": {"Authorization": "env:STATUS_TOKEN"}, "timeout": "5s", "every": "1m",
                "waves": [1, 3],
            },
            {
                "kind": "prometheus", "url": "http://prometheus.example:9090",
                "query": "sum(rate(errors_total[5m]))", "op": "<", "value": 0.01,
            },
            {"kind": "approval", "waves": [3]},
        ],
        "limits": {
            "max_in_flight": 200, "max_unverified": 500, "max_per_host": 5, "per_minute": 600,
        },
        "budgets": [
            {"per": "tag.store", "max": 1},
            {"per": "tag.\"sales region\"", "max_percent": 2, "count_down": true},
        ],
        "retry": {
            "attempts": 5, "backoff": "2s", "multiplier": 1.5, "max_backoff": "5m",
            "jitter_percent": 20,
        },
        "verify": {"mode": "reachable", "first": true},
        "timeouts": {"delivering": "10m", "verifying": "5m"},
        "membership": "snapshot",
        "salt": "pilot-2026",
        "offline": "try",
        "wait_absent": "12h",
        "max_failures": "5%",
        "regression": {"baseline": "0.5%", "alpha_percent": 5},
        "health": {"check": "url", "path": "/health?deep=1", "every": "5m", "failures": 2},
        "on_failure": "abort",
        "unreachable": "wait",
        "quarantine_after": 5,
        "priority": -10,
        "allow_downgrade": true,
    })
}

#[test]
#[expect(clippy::too_many_lines, reason = "the golden text is the whole spec")]
fn the_complete_document_has_every_field() {
    let complete = complete();
    for (table, names) in FIELDS {
        let value = match table {
            "" => &complete,
            // Their tables are among other forms.
            "release" | "time_zone" => continue,
            "freezes" => &complete[table][1],
            _ => &complete[table],
        };
        let written = |name| match value {
            Value::Array(values) => values.iter().any(|value| value.get(name).is_some()),
            value => value.get(name).is_some(),
        };
        for name in names {
            assert!(written(name), "{table}.{name}");
        }
    }
    insta::assert_debug_snapshot!(spec(complete), @r#"
    Spec {
        release: Release {
            name: "pos-app",
            version: "2.3.0",
            artifact: 0707070707070707070707070707070707070707070707070707070707070707,
            artifact_bytes: 1048576,
        },
        rolls_back: None,
        select: Some(
            "tag.region==northeast and version<2.3.0",
        ),
        strategy: Progressive,
        start_at: Some(
            Time(
                1795503600000,
            ),
        ),
        deadline: Some(
            After(
                1209600s,
            ),
        ),
        schedule: Schedule {
            hours: Hours {
                windows: [
                    Window {
                        days: Days(
                            127,
                        ),
                        from: TimeOfDay(
                            120,
                        ),
                        to: TimeOfDay(
                            240,
                        ),
                    },
                    Window {
                        days: Days(
                            96,
                        ),
                        from: TimeOfDay(
                            60,
                        ),
                        to: TimeOfDay(
                            300,
                        ),
                    },
                ],
                freezes: [
                    Freeze {
                        from: Date(
                            2026-11-26,
                        ),
                        to: Date(
                            2026-11-29,
                        ),
                        reason: None,
                        local: (
                            1795651200000,
                            1795996800000,
                        ),
                    },
                    Freeze {
                        from: Date(
                            2026-12-20,
                        ),
                        to: Minute(
                            2027-01-02T06:00:00,
                        ),
                        reason: Some(
                            "holiday season",
                        ),
                        local: (
                            1797724800000,
                            1798869600000,
                        ),
                    },
                ],
            },
            zone: Device {
                otherwise: Zone(
                    "America/New_York",
                ),
            },
            when_closed: End,
        },
        waves: [
            WaveSpec {
                size: Select(
                    "tag.lab==yes",
                ),
                soak: 1800s,
                min_success: Some(
                    100,
                ),
            },
            WaveSpec {
                size: Count(
                    20,
                ),
                soak: 7200s,
                min_success: Some(
                    95,
                ),
            },
            WaveSpec {
                size: Percent(
                    50,
                ),
                soak: 86400s,
                min_success: Some(
                    95,
                ),
            },
            WaveSpec {
                size: Percent(
                    100,
                ),
                soak: 0ns,
                min_success: None,
            },
        ],
        gates: [
            External {
                by: Check(
                    Check {
                        question: Http {
                            url: "https://status.example/till?site=3",
                            status: 201,
                            wanted: Some(
                                Wanted {
                                    pointer: "/status/level",
                                    test: Test {
                                        op: Ne,
                                        value: Text(
                                            "red",
                                        ),
                                    },
                                },
                            ),
                        },
                        headers: {
                            "Authorization": Env(
                                "STATUS_TOKEN",
                            ),
                        },
                        timeout: 5s,
                        every: 60s,
                        stops: true,
                    },
                ),
                waves: [
                    0,
                    2,
                ],
            },
            External {
                by: Check(
                    Check {
                        question: Prometheus {
                            url: "http://prometheus.example:9090",
                            query: "sum(rate(errors_total[5m]))",
                            test: Test {
                                op: Lt,
                                value: Number(
                                    0.01,
                                ),
                            },
                        },
                        headers: {},
                        timeout: 10s,
                        every: 30s,
                        stops: false,
                    },
                ),
                waves: [],
            },
            External {
                by: Approval,
                waves: [
                    2,
                ],
            },
        ],
        membership: Snapshot,
        salt: "pilot-2026",
        offline: Try,
        wait_absent: 43200s,
        limits: Limits {
            max_in_flight: 200,
            max_unverified: 500,
            max_per_host: 5,
            per_minute: Some(
                600,
            ),
        },
        budgets: [
            Budget {
                per: Tag(
                    "store",
                ),
                limit: Max(
                    1,
                ),
                counts_down: false,
            },
            Budget {
                per: Tag(
                    "sales region",
                ),
                limit: Percent(
                    2,
                ),
                counts_down: true,
            },
        ],
        retry: Policy {
            attempts_max: 5,
            initial: 2s,
            multiplier: 1.5,
            cap: 300s,
            jitter_percent: 20,
        },
        verify: Verify {
            mode: Reachable,
            timeout: 300s,
            first: true,
        },
        delivery_timeout: Some(
            600s,
        ),
        brake: Some(
            Percent(
                5,
            ),
        ),
        regression: Some(
            Regression {
                baseline: Baseline {
                    rate: Rate(
                        5000,
                    ),
                    of: None,
                },
                alpha: Alpha(
                    5,
                ),
            },
        ),
        health: Some(
            Health {
                check: Url(
                    "/health?deep=1",
                ),
                every: 300s,
                failures: 2,
            },
        ),
        on_failure: Abort,
        unreachable: Wait,
        quarantine_after: Some(
            5,
        ),
        priority: -10,
        allow_downgrade: true,
    }
    "#);
}

#[test]
fn the_other_forms_mean_the_same() {
    let same = |one: Value, other: Value| assert_eq!(spec(one), spec(other));
    same(json!({}), json!({"release": {"name": "pos-app", "version": "2.3.0"}}));
    same(json!({}), json!({"release": " pos-app  2.3.0 "}));
    same(json!({"max_failures": "10%"}), json!({"max_failures": "10 %"}));
    same(json!({"retry": {"multiplier": 3}}), json!({"retry": {"multiplier": 3.0}}));
    same(
        json!({"start_at": "2026-11-24T07:00:00Z"}),
        json!({"start_at": "2026-11-24T02:00:00-05:00"}),
    );
    same(json!({"wait_absent": "24h"}), json!({"wait_absent": "1d"}));
    same(json!({"time_zone": "UTC"}), json!({}));
    same(
        json!({"budgets": [{"per": " tag.'store' ", "max": 1, "max_percent": null}]}),
        json!({"budgets": [{"per": "tag.store", "max": 1, "count_down": false}]}),
    );
    same(
        json!({"freezes": [{"from": "2026-12-20", "to": "2027-01-02"}]}),
        json!({"freezes": ["2026-12-20..2027-01-02"]}),
    );
    same(
        json!({"windows": [], "waves": [], "freezes": null, "salt": null, "limits": {}, "budgets": []}),
        json!({}),
    );
}

#[test]
fn another_release_than_the_one_named_is_refused() {
    let document = read(&with_release(json!({}))).unwrap();
    let other = Release { version: "2.4.0".to_owned(), ..release() };
    insta::assert_snapshot!(document.into_spec(other, Earlier::default()).unwrap_err(), @"release: is pos-app 2.3.0, but pos-app 2.4.0 was looked up");
}

#[test]
fn what_was_set_since_is_checked_again() {
    let mut document = read(&with_release(json!({}))).unwrap();
    document.limits.max_in_flight = 0;
    insta::assert_snapshot!(document.into_spec(release(), Earlier::default()).unwrap_err(), @"limits.max_in_flight: must be a whole number from 1 to 10000, not 0");
}

#[test]
fn budgets_set_since_are_checked_again() {
    use crate::budget::{Budget, Limit, Per};
    let refused = |budgets: &[(&str, Limit)]| {
        let mut document = read(&with_release(json!({}))).unwrap();
        let budget = |&(key, limit): &(&str, Limit)| Budget {
            per: Per::Tag(key.to_owned()),
            limit,
            counts_down: false,
        };
        document.budgets = budgets.iter().map(budget).collect();
        document.into_spec(release(), Earlier::default()).unwrap_err().to_string()
    };
    insta::assert_snapshot!(refused(&[("a", Limit::Max(1)), ("b", Limit::Max(0))]), @"budgets[2].max: must be at least 1");
    insta::assert_snapshot!(refused(&[("a", Limit::Percent(101))]), @"budgets[1].max_percent: must be between 1 and 100");
    insta::assert_snapshot!(refused(&[("a", Limit::Max(1)), ("a", Limit::Max(2))]), @"budgets[2].per: budgets[1] has tag.a already; keep the one that is meant, or write another tag");
    insta::assert_snapshot!(refused(&[("a", Limit::Max(1)); 17]), @"budgets: there are 17, the most is 16");
}

/// Logs and states that are there already have none.
#[test]
fn a_spec_without_budgets_is_stored_as_before() {
    let bare = serde_json::to_value(spec(json!({}))).unwrap();
    assert!(bare.get("budgets").is_none());
    assert!(serde_json::from_value::<Spec>(bare).unwrap().budgets.is_empty());
    let complete = spec(complete());
    let stored = serde_json::to_value(&complete).unwrap();
    assert_eq!(stored["budgets"][1]["per"], "tag.\"sales region\"");
    assert_eq!(serde_json::from_value::<Spec>(stored).unwrap(), complete);
}

#[test]
fn deserialized_it_says_the_same() {
    let error =
        serde_json::from_str::<Document>("{\"limits\": {\"max_in_flight\": 0}}").unwrap_err();
    insta::assert_snapshot!(error, @r#"
    limits.max_in_flight: must be a whole number from 1 to 10000, not 0
    release: is missing; write one such as "pos-app 2.3.0"
    "#);
    let written = json!({"release": "pos-app 2.3.0"});
    assert_eq!(
        serde_json::from_value::<Document>(written.clone()).unwrap(),
        read(&written).unwrap()
    );
}
