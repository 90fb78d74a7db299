//! A spec in the words of a document reads back as the same spec.

use super::*;

#[test]
fn what_is_spelled_reads_back_as_the_same() {
    let documents = [
        json!({}),
        complete(),
        json!({
            "deadline": "2026-12-24T02:00:00-05:00", "time_zone": {"fixed": "Europe/Berlin"},
            "windows": ["22:00-04:00"], "max_failures": 3, "priority": -7, "salt": "a",
        }),
        json!({"strategy": "on_connect", "membership": "dynamic", "deadline": "90s"}),
    ];
    for document in documents {
        let spec = spec(document);
        let spelled = serde_json::to_value(spelled(&spec)).unwrap();
        let again = read(&spelled).unwrap().into_spec(release(), Earlier::default()).unwrap();
        assert_eq!(again, spec, "{spelled}");
    }
}

#[test]
fn durations_and_names_are_those_that_people_write() {
    let spelled = serde_json::to_value(spelled(&spec(complete()))).unwrap();
    assert_eq!(spelled["release"], "pos-app 2.3.0");
    assert_eq!(spelled["waves"][0]["soak"], "30m");
    assert_eq!(spelled["max_failures"], "5%");
    assert_eq!(spelled["retry"]["attempts"], 5);
    assert_eq!(spelled["timeouts"], json!({"delivering": "10m", "verifying": "5m"}));
}
