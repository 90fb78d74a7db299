//! A document read from a tree: the fields, their defaults, and which of them go together.

use std::time::Duration;

use super::{
    Document, DocumentError, ReleaseName, Tree, budgets, delivery,
    error::Faults,
    gates, health,
    reader::{Field, Table},
    regression, schedule, waves,
};
use crate::{
    gate::Unreachable,
    rollout::{
        Deadline, Membership, Offline, OnFailure, QUARANTINE_AFTER, QUARANTINE_AFTER_MAX, Strategy,
        Times, WAIT_ABSENT, WAIT_LIMIT,
    },
    selector::Selector,
    time::Time,
};

pub(super) const STRATEGIES: [(&str, Strategy); 4] = [
    (Strategy::Immediate.as_str(), Strategy::Immediate),
    (Strategy::Scheduled.as_str(), Strategy::Scheduled),
    (Strategy::Progressive.as_str(), Strategy::Progressive),
    (Strategy::OnConnect.as_str(), Strategy::OnConnect),
];

pub(super) const MEMBERSHIPS: [(&str, Membership); 2] =
    [("snapshot", Membership::Snapshot), ("dynamic", Membership::Dynamic)];

pub(super) const OFFLINES: [(&str, Offline); 3] =
    [("skip", Offline::Skip), ("wait", Offline::Wait), ("try", Offline::Try)];

pub(super) const ON_FAILURES: [(&str, OnFailure); 3] =
    [("pause", OnFailure::Pause), ("abort", OnFailure::Abort), ("rollback", OnFailure::Rollback)];

pub(super) const UNREACHABLES: [(&str, Unreachable); 3] =
    [("ignore", Unreachable::Ignore), ("fail", Unreachable::Fail), ("wait", Unreachable::Wait)];

/// Nobody is left out.
pub(super) const QUARANTINE_OFF: &str = "off";

const RELEASE_EXAMPLE: &str = "pos-app 2.3.0";

impl Document {
    /// Reads what was written.
    ///
    /// # Errors
    /// [`DocumentError`] has every fault that was found.
    pub fn read(tree: &Tree) -> Result<Self, DocumentError> {
        Self::read_with(tree, |_, _| {})
    }

    /// Reads what was written, and refuses as well what would never send anything if it were
    /// started now or later.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read_at(tree: &Tree, now: Time) -> Result<Self, DocumentError> {
        Self::read_with(tree, |document, faults| document.look_ahead(now, faults))
    }

    fn read_with(tree: &Tree, check: impl FnOnce(&Self, &Faults)) -> Result<Self, DocumentError> {
        let faults = Faults::default();
        let document = Table::document(tree, &faults).map(|table| {
            let document = read(&table);
            let gates = gates::gates(&table, document.waves.len());
            let health = health::health(&table, &document.waves);
            Self { gates, health, ..document }
        });
        if let Some(document) = &document {
            check(document, &faults);
        }
        faults.finish(document)
    }

    /// Times of which one could not be read are not judged: it would be by a default.
    fn look_ahead(&self, now: Time, faults: &Faults) {
        if faults.is_any_in(&["start_at", "deadline", "windows", "freezes", "time_zone"]) {
            return;
        }
        let Self { start_at, deadline, ref schedule, .. } = *self;
        if let Some(never) = (Times { start_at, deadline, schedule }).never(now) {
            let is_bounded = matches!(deadline, Some(Deadline::At(_)));
            let (field, what) = never.field(is_bounded);
            faults.push(field, what);
        }
    }
}

/// What could not be read has its default; it has left a fault.
fn read(table: &Table<'_>) -> Document {
    let field = |name| table.field(name);
    let strategy = strategy(table);
    let membership = field("membership").and_then(|field| field.word(&MEMBERSHIPS));
    let membership = membership.unwrap_or_default();
    let delivery = delivery::delivery(table);
    Document {
        release: release(table),
        select: field("select").and_then(|field| selector(&field)),
        strategy,
        start_at: schedule::start_at(table),
        deadline: schedule::deadline(table),
        schedule: schedule::schedule(table),
        waves: waves::waves(table, membership),
        gates: vec![],
        membership,
        salt: field("salt").and_then(|field| field.label("pilot-2026")),
        offline: offline(table, strategy),
        wait_absent: wait_absent(table),
        limits: delivery.limits,
        budgets: budgets::budgets(table),
        retry: delivery.retry,
        verify: delivery.verify,
        delivery_timeout: delivery.timeout,
        brake: delivery.brake,
        regression: regression::regression(table),
        health: None,
        on_failure: field("on_failure").and_then(|f| f.word(&ON_FAILURES)).unwrap_or_default(),
        unreachable: field("unreachable").and_then(|f| f.word(&UNREACHABLES)).unwrap_or_default(),
        quarantine_after: quarantine_after(table),
        priority: field("priority").and_then(|f| f.whole(i32::MIN..=i32::MAX)).unwrap_or(0),
        allow_downgrade: field("allow_downgrade").and_then(|f| f.bool()).unwrap_or(false),
    }
}

/// A number of rollouts, or `"off"`.
fn quarantine_after(table: &Table<'_>) -> Option<u8> {
    let Some(field) = table.field("quarantine_after") else { return Some(QUARANTINE_AFTER) };
    match field.tree() {
        Tree::Text(text) if text == QUARANTINE_OFF => None,
        Tree::Integer(_) => field.whole(1..=QUARANTINE_AFTER_MAX),
        _ => {
            let most = QUARANTINE_AFTER_MAX;
            let expected =
                format!("a number of rollouts from 1 to {most}, or \"{QUARANTINE_OFF}\"");
            field.refuse_kind(&expected, &format!("3, or \"{QUARANTINE_OFF}\""));
            None
        }
    }
}

/// `"name version"`, or a table of both.
fn release(table: &Table<'_>) -> ReleaseName {
    let nameless = ReleaseName { name: String::new(), version: String::new() };
    let Some(field) = table.required("release", RELEASE_EXAMPLE) else { return nameless };
    if let Tree::Table(_) = field.tree() {
        let Some(table) = field.table("release") else { return nameless };
        let label = |name, example| {
            table.required(name, example).and_then(|field| field.label(example)).unwrap_or_default()
        };
        return ReleaseName { name: label("name", "pos-app"), version: label("version", "2.3.0") };
    }
    let Some(text) = field.label(RELEASE_EXAMPLE) else { return nameless };
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [name, version] = words[..] {
        ReleaseName { name: name.to_owned(), version: version.to_owned() }
    } else {
        field.refuse_kind(
            "a name and a version",
            "one such as \"pos-app 2.3.0\", or a table of name and version where either has blanks",
        );
        nameless
    }
}

/// An expression in its canonical text.
pub(super) fn selector(field: &Field<'_>) -> Option<String> {
    field.parsed::<Selector>("tag.region==northeast").map(|selector| selector.to_string())
}

/// The strategy, and whether the fields that go with it are there.
fn strategy(table: &Table<'_>) -> Strategy {
    let has = |name| table.field(name).is_some();
    let Some(field) = table.field("strategy") else {
        return if has("waves") { Strategy::Progressive } else { Strategy::Immediate };
    };
    let Some(strategy) = field.word(&STRATEGIES) else { return Strategy::default() };
    match (strategy, table.field("waves")) {
        (Strategy::Progressive, None) => field.refuse(
            "progressive goes by waves, and there are none; write [[waves]], the last with \
             percent = 100, or strategy = \"immediate\"",
        ),
        (Strategy::Progressive, Some(_)) | (_, None) => {}
        (other, Some(waves)) => waves.refuse(format!(
            "strategy = \"{other}\" has no waves; write strategy = \"progressive\", or leave the \
             waves out"
        )),
    }
    if strategy == Strategy::Scheduled && !has("start_at") && !has("windows") {
        field.refuse(
            "scheduled goes by start_at or windows, and there is neither; write one, or strategy = \
             \"immediate\"",
        );
    }
    strategy
}

fn offline(table: &Table<'_>, strategy: Strategy) -> Offline {
    let default = match strategy {
        Strategy::Immediate => Offline::Skip,
        Strategy::Scheduled | Strategy::Progressive | Strategy::OnConnect => Offline::Wait,
    };
    let Some(field) = table.field("offline") else { return default };
    let Some(offline) = field.word(&OFFLINES) else { return default };
    if strategy == Strategy::OnConnect && offline != Offline::Wait {
        field.refuse(
            "strategy = \"on_connect\" waits for devices that are away; write \"wait\", or leave it \
             out",
        );
    }
    offline
}

fn wait_absent(table: &Table<'_>) -> Duration {
    let field = table.field("wait_absent");
    field
        .and_then(|field| field.duration(&(Duration::ZERO..=WAIT_LIMIT), "24h"))
        .unwrap_or(WAIT_ABSENT)
}
