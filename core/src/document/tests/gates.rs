//! External gates, as they are written and as they are refused.

use super::{refusals::told, *};
use crate::gate::external::{By, Question, Test, Value as Wanted};

#[expect(clippy::needless_pass_by_value, reason = "written where it is used")]
fn gated(gate: Value) -> Value {
    json!({"waves": [{"count": 5}, {"percent": 50}, {"percent": 100}], "gates": [gate]})
}

#[expect(clippy::needless_pass_by_value, reason = "written where it is used")]
fn http(more: Value) -> Value {
    let mut gate = json!({"kind": "http", "url": "https://status.example/till"});
    for (name, value) in more.as_object().unwrap() {
        gate[name] = value.clone();
    }
    gated(gate)
}

#[test]
fn what_is_left_out_has_its_default() {
    let spec = spec(http(json!({})));
    insta::assert_debug_snapshot!(spec.gates);
}

/// As it is written, not as a double has it.
#[test]
fn numbers_are_exact() {
    let test = |value: Value| -> Test {
        let spec = spec(http(json!({"pointer": "/a", "op": "==", "value": value})));
        let By::Check(check) = &spec.gates[0].by else { panic!("{spec:?}") };
        let Question::Http { wanted: Some(wanted), .. } = &check.question else { panic!() };
        wanted.test.clone()
    };
    for (written, shown) in [
        (json!(0.1), "0.1"),
        (json!(1e-7), "1e-7"),
        (json!(100), "100"),
        (json!(9_007_199_254_740_993_i64), "9007199254740993"),
        (json!(-2.50), "-2.5"),
    ] {
        assert_eq!(test(written).value().to_string(), shown);
    }
    assert_eq!(test(json!("0.1")).value(), &Wanted::Text("0.1".to_owned()));
    assert_eq!(test(json!(true)).value(), &Wanted::Bool(true));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let prometheus = |more: Value| {
        let mut gate = json!({
            "kind": "prometheus", "url": "http://prom:9090", "query": "up", "op": "<", "value": 1,
        });
        for (name, value) in more.as_object().unwrap() {
            gate[name] = value.clone();
        }
        gated(gate)
    };
    insta::assert_snapshot!(told([
        json!({"gates": [{"kind": "approval"}]}),
        gated(json!({"kind": "aproval"})),
        gated(json!({})),
        gated(json!({"kind": "approval", "timeout": "10s", "waves": [3]})),
        gated(json!({"kind": "approval", "waves": [0, 1]})),
        gated(json!({"kind": "http"})),
        http(json!({"url": "https://bob:hunter2@status.example/"})),
        http(json!({"url": "status.example"})),
        http(json!({"pointer": "/a"})),
        http(json!({"pointer": "/a", "op": "=", "value": 1})),
        http(json!({"pointer": "/a", "op": "<", "value": "1"})),
        http(json!({"pointer": "/a", "op": "==", "value": [1]})),
        http(json!({"headers": {"Authorization": "Bearer hunter2"}})),
        http(json!({"headers": "env:TOKEN"})),
        http(json!({"timeout": "2m", "every": "0s", "on_false": "halt"})),
        http(json!({"query": "up"})),
        prometheus(json!({"query": null})),
        prometheus(json!({"url": "http://prom:9090/?x=1", "value": "1", "op": "=="})),
        prometheus(json!({"value": 1e300, "expect_status": 200})),
    ]));
}

/// Logs and states that are there already have none.
#[test]
fn a_spec_without_gates_is_stored_as_before() {
    let bare = serde_json::to_value(spec(json!({}))).unwrap();
    assert!(bare.get("gates").is_none());
    let complete = spec(complete());
    let stored = serde_json::to_value(&complete).unwrap();
    assert_eq!(serde_json::from_value::<Spec>(stored).unwrap(), complete);
}

/// Whoever mistypes the kind of a gate is told the rest at once, and so is who has another one wrong.
#[test]
fn a_gate_of_no_kind_hides_nothing() {
    let waves = json!([{"count": 5}, {"percent": 100}]);
    insta::assert_snapshot!(told([
        json!({"waves": waves, "gates": [{
            "kind": "htp", "url": "status.example", "timeout": "2m", "every": 5, "op": "=",
            "expect_status": 20, "headers": {"A": "b"}, "on_false": "halt", "waves": [0],
        }]}),
        json!({"waves": waves, "gates": [
            {"kind": "aproval", "waves": [9]},
            {"kind": "approval", "waves": [2]},
            {"kind": "approval"},
        ]}),
    ]), @r#"
    {"gates":[{"every":5,"expect_status":20,"headers":{"A":"b"},"kind":"htp","on_false":"halt","op":"=","timeout":"2m","url":"status.example","waves":[0]}],"waves":[{"count":5},{"percent":100}]}
      gates[1].kind: must be one of http, prometheus and approval, not "htp"; write "http"
      gates[1].waves[1]: must be a whole number from 1 to 100, not 0
      gates[1].timeout: must be from 100ms to 1m, not 2m
      gates[1].every: must be a duration in quotes, not 5; write one such as "30s"
      gates[1].on_false: must be one of wait and stop, not "halt"
      gates[1].headers.A: a spec holds no secrets; write where the value is: "env:NAME" or "file:PATH"
      gates[1].url: cannot be asked: write it in full, with https:// or http://
      gates[1].expect_status: must be a whole number from 100 to 599, not 20
      gates[1].op: must be one of ==, !=, <, <=, > and >=, not "="; write "=="
      gates[1].value: is missing; write one such as "ok"
    {"gates":[{"kind":"aproval","waves":[9]},{"kind":"approval","waves":[2]},{"kind":"approval"}],"waves":[{"count":5},{"percent":100}]}
      gates[1].kind: must be one of http, prometheus and approval, not "aproval"; write "approval"
      gates[2].waves: wave 2 has none behind it that a gate could hold back; the last that has is 1
    "#);
}
