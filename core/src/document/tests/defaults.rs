//! What a field is that nobody wrote.

use super::*;
use crate::rollout::{Offline, Strategy};

#[test]
fn the_least_that_can_be_written() {
    let spec = spec(json!({}));
    let salt = salt_of(&spec);
    let quarantine_after = Some(3);
    assert_eq!(spec, Spec { salt, quarantine_after, ..Spec::immediate(release()) });
}

#[test]
fn nobody_is_left_out_where_that_is_said() {
    let after = |value: Value| spec(json!({"quarantine_after": value})).quarantine_after;
    assert_eq!(
        [after(json!(1)), after(json!(100)), after(json!("off"))],
        [Some(1), Some(100), None]
    );
    for (wrong, told) in [
        (json!(0), "quarantine_after: must be a whole number from 1 to 100, not 0"),
        (json!(101), "quarantine_after: must be a whole number from 1 to 100, not 101"),
        (
            json!("never"),
            "quarantine_after: must be a number of rollouts from 1 to 100, or \"off\", not \"never\"; \
             write 3, or \"off\"",
        ),
    ] {
        assert_eq!(refused(json!({"quarantine_after": wrong})), told);
    }
}

#[test]
fn each_strategy_has_its_own() {
    let all = || json!([{"percent": 100}]);
    let start = "2026-11-24T07:00:00Z";
    for (written, strategy, offline) in [
        (json!({}), Strategy::Immediate, Offline::Skip),
        (json!({"strategy": "immediate"}), Strategy::Immediate, Offline::Skip),
        (json!({"strategy": "scheduled", "start_at": start}), Strategy::Scheduled, Offline::Wait),
        (
            json!({"strategy": "scheduled", "windows": ["02:00-04:00"]}),
            Strategy::Scheduled,
            Offline::Wait,
        ),
        (json!({"waves": all()}), Strategy::Progressive, Offline::Wait),
        (json!({"strategy": "progressive", "waves": all()}), Strategy::Progressive, Offline::Wait),
        (json!({"strategy": "on_connect"}), Strategy::OnConnect, Offline::Wait),
        (json!({"strategy": "on_connect", "offline": "wait"}), Strategy::OnConnect, Offline::Wait),
        (json!({"offline": "try"}), Strategy::Immediate, Offline::Try),
        (json!({"waves": all(), "offline": "skip"}), Strategy::Progressive, Offline::Skip),
    ] {
        let spec = spec(written.clone());
        assert_eq!((spec.strategy, spec.offline), (strategy, offline), "{written}");
    }
}

#[test]
fn a_wave_is_not_watched_unless_somebody_says_so() {
    let spec = spec(json!({"waves": [{"percent": 10}, {"percent": 100}]}));
    assert_eq!(spec.gate(0), (std::time::Duration::ZERO, None));
}

#[test]
fn the_longest_wait_is_not_shorter_than_the_first() {
    let cap = |retry: Value| spec(json!({ "retry": retry })).retry.cap().as_secs();
    assert_eq!(cap(json!({})), 30);
    assert_eq!(cap(json!({"backoff": "1m"})), 60);
    assert_eq!(cap(json!({"backoff": "1m", "max_backoff": "2m"})), 120);
}
