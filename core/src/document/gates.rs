//! The external gates.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use super::{
    Tree,
    reader::{Field, Table},
};
use crate::{
    gate::external::{
        By, Check, Decimal, EVERY, External, GATES_MAX, INTERVALS, Op, Question, SecretError,
        SecretSource, TIMEOUT, TIMEOUTS, Test, Url, Value, Wanted, gate_faults,
    },
    rollout::{SpecError, WAVES_LIMIT},
};

/// The status of an answer that counts, unless another one is wanted.
pub(super) const STATUS: u16 = 200;

const OPS: [(&str, Op); 6] = [
    (Op::Eq.as_str(), Op::Eq),
    (Op::Ne.as_str(), Op::Ne),
    (Op::Lt.as_str(), Op::Lt),
    (Op::Le.as_str(), Op::Le),
    (Op::Gt.as_str(), Op::Gt),
    (Op::Ge.as_str(), Op::Ge),
];

/// Whether a comparison that is false stops the rollout.
pub(super) const ON_FALSE: [(&str, bool); 2] = [("wait", false), ("stop", true)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Prometheus,
    Approval,
}

const KINDS: [(&str, Kind); 3] =
    [("http", Kind::Http), ("prometheus", Kind::Prometheus), ("approval", Kind::Approval)];

/// Which fields a kind of gate has, beside `kind` and `waves`.
const fn fields_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Http => &[
            "url",
            "expect_status",
            "pointer",
            "op",
            "value",
            "on_false",
            "headers",
            "timeout",
            "every",
        ],
        Kind::Prometheus => {
            &["url", "query", "op", "value", "on_false", "headers", "timeout", "every"]
        }
        Kind::Approval => &[],
    }
}

/// Gates that were read, for a document of which so many waves were.
pub(super) fn gates(table: &Table<'_>, waves_read: usize) -> Vec<External> {
    let Some(field) = table.field("gates") else { return vec![] };
    let fields = field.list();
    if fields.len() > GATES_MAX {
        table.refuse_spec(&SpecError::TooManyGates(fields.len()));
        return vec![];
    }
    let gates = fields.iter().enumerate().filter_map(|(at, field)| Some((at, gate(field)?)));
    let (places, gates): (Vec<usize>, Vec<External>) = gates.unzip();
    // Where a wave could not be read nobody knows how many there are.
    let wave_count = table.field("waves").map_or(Some(1), |waves| waves.count_read(waves_read));
    for fault in wave_count.map(|count| gate_faults(&gates, count)).unwrap_or_default() {
        // Those that could not be read are not among them.
        table.refuse_spec(&match fault {
            SpecError::Gate { gate, field, why } => {
                let place = places.get(gate - 1).copied().unwrap_or_default();
                SpecError::Gate { gate: place + 1, field, why }
            }
            other => other,
        });
    }
    gates
}

fn gate(field: &Field<'_>) -> Option<External> {
    let table = field.table("gates")?;
    let Some(kind) = table.required("kind", "http").and_then(|field| field.word(&KINDS)) else {
        look_over(&table);
        return None;
    };
    let mut is_all_of_kind = true;
    for name in super::names::names_of("gates") {
        let is_of_kind = matches!(*name, "kind" | "waves") || fields_of(kind).contains(name);
        if !is_of_kind && let Some(field) = table.field(name) {
            let (word, _) = KINDS.iter().find(|(_, other)| *other == kind)?;
            field.refuse(format!("kind = \"{word}\" has no such field; leave it out"));
            is_all_of_kind = false;
        }
    }
    let waves = waves(&table);
    let by = match kind {
        Kind::Approval => By::Approval,
        Kind::Http => By::Check(Box::new(check(&table, http(&table))?)),
        Kind::Prometheus => By::Check(Box::new(check(&table, prometheus(&table))?)),
    };
    is_all_of_kind.then_some(External { by, waves: waves? })
}

/// Looks for mistakes in the fields that are there, whatever kind of gate they are for.
fn look_over(table: &Table<'_>) {
    waves(table);
    check(table, None);
    let has = |name| table.field(name).is_some();
    if has("url") {
        url(table, "https://status.example/till");
    }
    if has("expect_status") {
        status(table);
    }
    for name in ["pointer", "query"] {
        table.field(name).and_then(|field| field.text(name));
    }
    if has("op") || has("value") {
        test(table);
    }
}

fn status(table: &Table<'_>) -> Option<u16> {
    let Some(field) = table.field("expect_status") else { return Some(STATUS) };
    field.whole(100..=599_u32).map(|status| status as u16)
}

/// Counted from 1 as they are written, and from 0 as they are kept.
fn waves(table: &Table<'_>) -> Option<Vec<usize>> {
    let Some(field) = table.field("waves") else { return Some(vec![]) };
    let fields = field.list();
    let numbers = fields.iter().map(|field| field.whole(1..=WAVES_LIMIT as u32));
    let mut waves: Vec<usize> =
        numbers.map(|wave| Some(wave? as usize - 1)).collect::<Option<_>>()?;
    waves.sort_unstable();
    (!waves.is_empty()).then_some(waves)
}

/// What all checks have. Everything is read, so that all that is wrong is told.
fn check(table: &Table<'_>, question: Option<Question>) -> Option<Check> {
    let timeout = match table.field("timeout") {
        Some(field) => field.duration(&TIMEOUTS, "10s"),
        None => Some(TIMEOUT),
    };
    let every = match table.field("every") {
        Some(field) => field.duration(&INTERVALS, "30s"),
        None => Some(EVERY),
    };
    let stops = match table.field("on_false") {
        Some(field) => field.word(&ON_FALSE),
        None => Some(false),
    };
    let headers = headers(table);
    Some(Check {
        question: question?,
        headers: headers?,
        timeout: timeout?,
        every: every?,
        stops: stops?,
    })
}

fn http(table: &Table<'_>) -> Option<Question> {
    let url = url(table, "https://status.example/till");
    let status = status(table);
    let is_compared = ["pointer", "op", "value"].iter().any(|name| table.field(name).is_some());
    let wanted = if is_compared {
        let pointer =
            table.required("pointer", "/status/level").and_then(|f| f.text("/status/level"));
        let test = test(table);
        Some(Wanted { pointer: pointer?.to_owned(), test: test? })
    } else {
        None
    };
    Some(Question::Http { url: url?, status: status?, wanted })
}

fn prometheus(table: &Table<'_>) -> Option<Question> {
    let url = url(table, "https://prometheus.example:9090");
    let example = "sum(rate(errors_total[5m]))";
    let query = table.required("query", example).and_then(|field| field.text(example));
    let test = test(table);
    Some(Question::Prometheus { url: url?, query: query?.to_owned(), test: test? })
}

/// What was written is not repeated: it may hold a password.
fn url(table: &Table<'_>, example: &str) -> Option<Url> {
    let field = table.required("url", example)?;
    read(&field, field.text(example)?, |error| format!("cannot be asked: {error}"))
}

fn read<T: FromStr>(field: &Field<'_>, text: &str, words: impl Fn(T::Err) -> String) -> Option<T> {
    text.parse().map_err(|error| field.refuse(words(error))).ok()
}

fn test(table: &Table<'_>) -> Option<Test> {
    let op = table.required("op", "<").and_then(|field| field.word(&OPS));
    let field = table.required("value", "ok");
    let value = field.as_ref().and_then(value);
    let test = Test::new(op?, value?);
    test.map_err(|error| table.refuse_in("op", &error)).ok()
}

fn value(field: &Field<'_>) -> Option<Value> {
    let number = |text: String| text.parse::<Decimal>().map(Value::Number);
    let number = match field.tree() {
        Tree::Bool(is) => return Some(Value::Bool(*is)),
        Tree::Text(_) => return field.label("ok").map(Value::Text),
        Tree::Integer(whole) => number(whole.to_string()),
        // As short as it is the same number again: what was written, up to 15 digits.
        Tree::Float(part) => number(format!("{part:?}")),
        _ => {
            field.refuse_kind("a number, a text in quotes, true or false", "");
            return None;
        }
    };
    field.accept(number)
}

fn headers(table: &Table<'_>) -> Option<BTreeMap<String, SecretSource>> {
    let Some(field) = table.field("headers") else { return Some(BTreeMap::new()) };
    let entries =
        field.free_table("a table of headers, such as { Authorization = \"env:TOKEN\" }")?;
    let header = |(name, field): (&str, Field<'_>)| {
        let source = if let Tree::Text(text) = field.tree() {
            read(&field, text, |error: SecretError| error.to_string())
        } else {
            field.refuse(SecretError.to_string());
            None
        };
        Some((name.to_owned(), source?))
    };
    let headers: Vec<Option<_>> = entries.into_iter().map(header).collect();
    headers.into_iter().collect()
}

/// A gate in the words of a document.
pub(super) fn spelled(gate: &External) -> Tree {
    let text = |text: &dyn Display| Tree::Text(text.to_string());
    let mut fields: Vec<(&str, Tree)> = vec![];
    match &gate.by {
        By::Approval => fields.push(("kind", text(&"approval"))),
        By::Check(check) => {
            match &check.question {
                Question::Http { url, status, wanted } => {
                    fields.push(("kind", text(&"http")));
                    fields.push(("url", text(url)));
                    fields.push(("expect_status", Tree::Integer((*status).into())));
                    if let Some(Wanted { pointer, test }) = wanted {
                        fields.push(("pointer", text(pointer)));
                        fields.extend(spelled_test(test));
                    }
                }
                Question::Prometheus { url, query, test } => {
                    fields.push(("kind", text(&"prometheus")));
                    fields.push(("url", text(url)));
                    fields.push(("query", text(query)));
                    fields.extend(spelled_test(test));
                }
            }
            if check.stops {
                fields.push(("on_false", text(&"stop")));
            }
            if !check.headers.is_empty() {
                let headers = check.headers.iter();
                let headers = headers.map(|(name, source)| (name.clone(), text(source)));
                fields.push(("headers", Tree::Table(headers.collect())));
            }
            fields.push(("timeout", text(&crate::units::Span(check.timeout))));
            fields.push(("every", text(&crate::units::Span(check.every))));
        }
    }
    if !gate.waves.is_empty() {
        let numbers = gate.waves.iter().map(|wave| Tree::Integer(*wave as i128 + 1));
        fields.push(("waves", Tree::List(numbers.collect())));
    }
    Tree::Table(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn spelled_test(test: &Test) -> [(&'static str, Tree); 2] {
    let value = match test.value() {
        Value::Text(words) => Tree::Text(words.clone()),
        Value::Bool(is) => Tree::Bool(*is),
        Value::Number(number) => {
            let digits = number.to_string();
            match (digits.parse(), digits.parse()) {
                (Ok(whole), _) => Tree::Integer(whole),
                (_, Ok(part)) => Tree::Float(part),
                _ => Tree::Text(digits),
            }
        }
    };
    [("op", Tree::Text(test.op().as_str().to_owned())), ("value", value)]
}
