//! The salt that follows from a spec.

use super::*;

/// A salt that changed draws other devices than the dry run before an upgrade of this program did.
#[test]
fn it_is_fixed_for_good() {
    // The first by another program, written from the description of the form.
    assert_eq!(
        salt_of(&spec(json!({}))),
        "b363f4acecf0dd183ce37949da8d393422535683f10743e5c0dff36265476e1b"
    );
    // Of a spec as it was before there were external gates and checks of health.
    let mut before = complete();
    (before["gates"], before["health"]) = (json!(null), json!(null));
    assert_eq!(
        salt_of(&spec(before)),
        "617c6dc115596286d58ad83b69126004e3d3aea2deefbded3a65adeb9dd9e0e7"
    );
}

#[test]
fn it_is_the_default_and_follows_from_the_canonical_form() {
    let written = spec(json!({"select": "id == a", "wait_absent": "1d"}));
    assert_eq!(written.salt, salt_of(&written));
    assert_eq!(written.salt, spec(json!({"select": "id==a"})).salt);
    assert_eq!(spec(json!({"salt": "mine"})).salt, "mine");
}

/// Each field on its own makes another salt, but for those that a running rollout may be given.
#[test]
fn it_follows_from_every_field_but_five() {
    let all = complete();
    let salt = |document: Value| salt_of(&spec(document));
    let whole = salt(all.clone());
    for name in FIELDS[0].1 {
        let mut document = all.clone();
        // What stands in the way of leaving it out.
        let other = match *name {
            "release" => continue,
            "strategy" => {
                document["waves"] = json!(null);
                document["health"] = json!(null);
                document["gates"] = json!(null);
                json!("immediate")
            }
            "waves" => {
                document["gates"] = json!([{"kind": "approval"}]);
                json!([{"percent": 10, "soak": "1d"}, {"percent": 100}])
            }
            "membership" => {
                document["waves"] = json!([{"percent": 100, "soak": "1d"}]);
                document["gates"] = json!(null);
                json!("dynamic")
            }
            _ => json!(null),
        };
        document[*name] = other;
        let is_left_out =
            ["salt", "limits", "budgets", "priority", "quarantine_after"].contains(name);
        assert_eq!(salt(document) == whole, is_left_out, "{name}");
    }
}

#[test]
fn values_do_not_run_together() {
    let salt = |document: Value| salt_of(&spec(document));
    let freeze = |reason: &str| json!({"freezes": [{"from": "2026-12-20", "to": "2026-12-21", "reason": reason}]});
    assert_ne!(salt(freeze("a")), salt(freeze("b")));
    assert_ne!(
        salt(json!({"waves": [{"percent": 1, "soak": "1s"}, {"percent": 100}]})),
        salt(json!({"waves": [{"percent": 1}, {"percent": 100, "soak": "1s"}]})),
    );
    assert_ne!(
        salt(json!({"time_zone": "Europe/Berlin"})),
        salt(json!({"time_zone": {"fixed": "Europe/Berlin"}}))
    );
}
