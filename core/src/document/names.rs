//! The names of the fields, and which one a wrong name was probably meant for.

use crate::{hours::echo, spelling::nearest};

/// The tables of a document, by the field that holds them, with the names of their fields. The
/// first is the document itself.
pub const FIELDS: [(&str, &[&str]); 13] = [
    (
        "",
        &[
            "release",
            "select",
            "strategy",
            "start_at",
            "deadline",
            "windows",
            "freezes",
            "time_zone",
            "when_closed",
            "waves",
            "gates",
            "limits",
            "budgets",
            "retry",
            "verify",
            "timeouts",
            "membership",
            "salt",
            "offline",
            "wait_absent",
            "max_failures",
            "regression",
            "health",
            "on_failure",
            "unreachable",
            "quarantine_after",
            "priority",
            "allow_downgrade",
        ],
    ),
    ("release", &["name", "version"]),
    ("freezes", &["from", "to", "reason"]),
    ("time_zone", &["fixed"]),
    ("waves", &["percent", "count", "select", "soak", "min_success"]),
    (
        "gates",
        &[
            "kind",
            "url",
            "expect_status",
            "pointer",
            "query",
            "op",
            "value",
            "on_false",
            "headers",
            "timeout",
            "every",
            "waves",
        ],
    ),
    ("limits", &["max_in_flight", "max_unverified", "max_per_host", "per_minute"]),
    ("budgets", &["per", "max", "max_percent", "count_down"]),
    ("retry", &["attempts", "backoff", "multiplier", "max_backoff", "jitter_percent"]),
    ("verify", &["mode", "first"]),
    ("timeouts", &["delivering", "verifying"]),
    ("regression", &["baseline", "alpha_percent"]),
    ("health", &["check", "path", "every", "failures"]),
];

/// Names that other systems have for our fields.
const SYNONYMS: [(&str, &str); 17] = [
    ("filter", "select"),
    ("query", "select"),
    ("targets", "select"),
    ("devices", "select"),
    ("phases", "waves"),
    ("groups", "waves"),
    ("batches", "waves"),
    ("canary", "waves"),
    ("concurrency", "limits.max_in_flight"),
    ("parallel", "limits.max_in_flight"),
    ("rate", "limits.per_minute"),
    ("max_unavailable", "budgets.max"),
    ("domains", "budgets"),
    ("schedule", "windows"),
    ("blackout", "freezes"),
    ("error_threshold", "max_failures"),
    ("success_threshold", "min_success"),
];

/// The names of the fields of a table.
pub(super) fn names_of(table: &str) -> &'static [&'static str] {
    FIELDS.iter().find(|(name, _)| *name == table).map_or(&[], |(_, names)| names)
}

/// What is said of a name that the fields of `table` do not have.
pub(super) fn unknown(table: &str, name: &str) -> String {
    let own = names_of(table);
    let hint = if names_of("").contains(&name) {
        "it belongs to the document itself; in TOML write it above the first [table]".to_owned()
    } else if let Some(table) = elsewhere(name) {
        format!("it belongs to \"{table}\"")
    } else if let Some(meant) = nearest(name, own.iter().copied()).or_else(|| synonym(name)) {
        format!("did you mean \"{meant}\"?")
    } else if let [only] = own {
        format!("the only field is {only}")
    } else {
        format!("the fields are {}", listed(own))
    };
    format!("unknown field \"{}\"; {hint}", echo(name))
}

/// The field whose table has one of this very name.
fn elsewhere(name: &str) -> Option<&'static str> {
    FIELDS[1..].iter().find(|(_, names)| names.contains(&name)).map(|(table, _)| *table)
}

fn synonym(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    SYNONYMS.iter().find(|(theirs, _)| *theirs == lower).map(|(_, ours)| *ours)
}

/// `a, b and c`
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
