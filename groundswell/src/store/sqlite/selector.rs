//! Selectors as conditions of a query, with the same meaning as in memory.
//!
//! Owns the translation, and which index a comparison can be found by. Values only ever travel as
//! parameters. The meaning is that of the core's `selector::eval`; a property test holds the two
//! against each other.
//!
//! - A value that a device does not have is NULL, or a row that is not there. A condition may be
//!   NULL where it does not hold: it belongs into a WHERE, and under no NOT.
//! - Texts compare by their bytes, as the collation BINARY does for UTF-8.
//! - The presence of a device is no column; each of its four words is a condition of its own.

use std::borrow::Cow;

use groundswell_core::{
    presence::{INTERVALS_MISSED_MAX, Presence},
    selector::{Comparison, Expr, Field, Order, Pattern, Selector, Test, Value as Written},
    time::Time,
    version::VersionKey,
};
use rusqlite::types::Value;

/// Devices and when they were seen: every column of a device, by the names `d` and `s`.
pub(super) const FROM: &str = "device d LEFT JOIN seen s ON s.device = d.key";

/// Devices without that: a count that asks for no more is spared a look-up for each of them.
const FROM_DEVICE: &str = "device d";

/// A device `d` that was not taken out of the inventory.
pub(super) const IS_THERE: &str = "d.key NOT IN (SELECT device FROM removed)";

/// A condition of a query, under which a device is chosen.
pub(super) struct Condition {
    /// The least that the query is over; it may be over [`FROM`] instead.
    pub(super) from: &'static str,
    /// The condition. Its placeholders have no numbers, so that other parameters can stand before
    /// and after them.
    pub(super) sql: String,
    /// Its parameters, in order.
    pub(super) params: Vec<Value>,
}

/// What a comparison finds by an index.
pub(super) struct Found {
    /// A query for the keys of devices; some of them may have been taken out, and some may be others'.
    pub(super) sql: String,
    /// Its parameters, in order.
    pub(super) params: Vec<Value>,
    /// Whether the device with the key `k.key` is among them, where the index says so by itself.
    pub(super) has: Option<(String, Vec<Value>)>,
}

/// The condition under which a device is chosen when it is `now`; none chooses every device.
pub(super) fn condition(select: Option<&Selector>, now: Time) -> Condition {
    let mut query = Query::new(now);
    if let Some(select) = select {
        query.push("(");
        query.expr(select.expr());
        query.push(") AND ");
    }
    query.push(IS_THERE);
    query.condition
}

/// The same for devices that are looked at one by one: no index is used for it.
pub(super) fn looked_at(select: &Selector, now: Time) -> Condition {
    let mut query = Query { is_looked_at: true, ..Query::new(now) };
    query.push("(");
    query.expr(select.expr());
    query.push(") AND ");
    query.push(IS_THERE);
    query.condition
}

/// What is found by an index for each comparison that has to hold, and that an index serves. A device
/// that is chosen is among those of every one.
pub(super) fn found(select: &Selector, now: Time) -> Vec<Found> {
    let parts = match select.expr() {
        Expr::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    parts.iter().filter_map(|part| found_by(part, now)).collect()
}

fn found_by(part: &Expr, now: Time) -> Option<Found> {
    let Expr::Compare(Comparison { field, test }) = part else { return None };
    let is_served = match test {
        Test::In(_) | Test::Order(..) => true,
        // Of versions only the keys are in an index, and these have no beginnings.
        Test::Like(pattern) => {
            *field != Field::Version
                && pattern.pieces().next().is_some_and(|first| !first.is_empty())
        }
        _ => false,
    };
    let from = match field {
        Field::Id | Field::Location | Field::TimeZone => "SELECT d.key AS key FROM device d WHERE ",
        Field::Version | Field::LastSeen => "SELECT s.device AS key FROM seen s WHERE ",
        Field::Tag(_) => "SELECT t.device AS key FROM tag t WHERE ",
        Field::Name | Field::Address | Field::Status => return None,
    };
    if !is_served {
        return None;
    }
    let mut query = Query::new(now);
    query.push(from);
    match field {
        Field::Tag(key) => {
            query.push("t.key = ");
            query.param(Value::Text(key.to_string()));
            query.push(" AND ");
            query.column("t.value", test);
        }
        // Of those with the same key as a version a few are another text: they are looked at anyway.
        Field::Version => query.version_key(test),
        field => query.comparison(field, test),
    }
    let Condition { sql, params, .. } = query.condition;
    let of = &sql[from.len()..];
    let is_one_value = matches!(test, Test::In(_));
    let from = match field {
        Field::Location => "device d INDEXED BY device_location WHERE d.key",
        Field::TimeZone => "device d INDEXED BY device_time_zone WHERE d.key",
        Field::Version => "seen s INDEXED BY seen_version WHERE s.device",
        Field::Tag(_) => "tag t WHERE t.device",
        _ => "",
    };
    let has = (is_one_value && !from.is_empty())
        .then(|| (format!("EXISTS (SELECT 1 FROM {from} = k.key AND {of})"), params.clone()));
    Some(Found { sql, params, has })
}

/// A condition being written.
struct Query {
    condition: Condition,
    now: Time,
    /// Whether no index is to be used.
    is_looked_at: bool,
}

impl Query {
    fn new(now: Time) -> Self {
        let condition = Condition { from: FROM_DEVICE, sql: String::new(), params: vec![] };
        Self { condition, now, is_looked_at: false }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::All(parts) => self.joined(parts, " AND ", Self::expr),
            Expr::Any(parts) => self.joined(parts, " OR ", Self::expr),
            Expr::Compare(Comparison { field, test }) => self.comparison(field, test),
        }
    }

    /// Conditions in parentheses, with a joint between each two.
    fn joined<T>(&mut self, parts: &[T], joint: &str, write: impl Fn(&mut Self, &T)) {
        self.condition.sql.push('(');
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                self.condition.sql.push_str(joint);
            }
            write(self, part);
        }
        self.condition.sql.push(')');
    }

    fn push(&mut self, sql: &str) {
        self.condition.sql.push_str(sql);
    }

    /// A placeholder and what it stands for.
    fn param(&mut self, value: Value) {
        self.condition.sql.push('?');
        self.condition.params.push(value);
    }

    fn comparison(&mut self, field: &Field, test: &Test) {
        if matches!(field, Field::Version | Field::LastSeen | Field::Status) {
            self.condition.from = FROM;
        }
        match field {
            Field::Id => self.column("d.id", test),
            Field::Name => self.column("d.name", test),
            Field::Location => self.column("d.location", test),
            Field::TimeZone => self.column("d.time_zone", test),
            Field::Address => self.column("d.address", test),
            Field::LastSeen => self.column("s.at", test),
            Field::Version => self.version(test),
            Field::Tag(key) => self.tag(key, test),
            Field::Status => self.status(test),
        }
    }

    fn column(&mut self, column: &str, test: &Test) {
        let column = &*self.named(column);
        match test {
            Test::Present => self.push(&format!("{column} IS NOT NULL")),
            Test::Absent => self.push(&format!("{column} IS NULL")),
            Test::In(values) => self.is_one_of(column, values),
            Test::Out(values) => {
                self.push(&format!("({column} IS NULL OR NOT "));
                self.is_one_of(column, values);
                self.push(")");
            }
            Test::Like(pattern) => self.fits(column, pattern),
            Test::Unlike(pattern) => {
                self.push(&format!("({column} IS NULL OR NOT "));
                self.fits(column, pattern);
                self.push(")");
            }
            Test::Order(order, value) => {
                self.push(&format!("{column} {} ", sign(*order)));
                let value = self.value(value);
                self.param(value);
            }
        }
    }

    /// A column; of a device that is looked at in a way that is in no index. What is asked of `seen` is
    /// also nothing that lets it come before the device: its rows are far between, and most of them
    /// were not asked for if the device is not.
    fn named<'a>(&self, column: &'a str) -> Cow<'a, str> {
        if !self.is_looked_at {
            return column.into();
        }
        if column.starts_with("s.") {
            return format!("ifnull({column}, NULL)").into();
        }
        format!("+{column}").into()
    }

    fn is_one_of(&mut self, column: &str, values: &[Written]) {
        self.push(column);
        self.push(" IN (");
        for (position, value) in values.iter().enumerate() {
            if position > 0 {
                self.push(", ");
            }
            let value = self.value(value);
            self.param(value);
        }
        self.push(")");
    }

    fn value(&self, value: &Written) -> Value {
        match value {
            Written::Text(text) => Value::Text(text.to_string()),
            Written::Version { key, .. } => Value::Blob(key.as_bytes().to_vec()),
            Written::Moment(moment) => Value::Integer(moment.resolve(self.now).as_millis()),
        }
    }

    /// Whether a text fits a pattern. What stands before the first wildcard bounds it on both
    /// sides, which an index can use and which is all there is to ask of `abc*`.
    fn fits(&mut self, column: &str, pattern: &Pattern) {
        let pieces: Vec<&str> = pattern.pieces().collect();
        let mut joint = "(";
        if let [first, ..] = *pieces
            && !first.is_empty()
        {
            self.push(&format!("({column} >= "));
            self.param(Value::Text(first.to_owned()));
            if let Some(end) = after_all_with(first) {
                self.push(&format!(" AND {column} < "));
                self.param(Value::Text(end));
            }
            joint = " AND ";
        }
        if !matches!(*pieces, [_, ""]) {
            self.push(&format!("{joint}{column} GLOB "));
            self.param(Value::Text(glob(&pieces)));
            // GLOB reads no further than a NUL.
            for piece in pieces.iter().filter(|piece| piece.contains('\0')) {
                self.push(&format!(" AND instr({column}, "));
                self.param(Value::Text((*piece).to_owned()));
                self.push(") > 0");
            }
        }
        self.push(")");
    }

    /// Versions that are equal as texts have equal keys, so the index of keys finds them, too.
    fn version(&mut self, test: &Test) {
        match test {
            Test::In(_) => {
                self.push("(");
                self.version_key(test);
                self.push(" AND ");
                self.column("s.version", test);
                self.push(")");
            }
            Test::Order(..) => self.version_key(test),
            _ => self.column("s.version", test),
        }
    }

    fn version_key(&mut self, test: &Test) {
        match test {
            Test::In(values) => {
                let keys: Vec<Written> = values.iter().map(with_key).collect();
                self.column("s.version_key", &Test::In(keys));
            }
            test => self.column("s.version_key", test),
        }
    }

    fn tag(&mut self, key: &str, test: &Test) {
        // A device has one value of a key at the most: what is false of it, is true of no row.
        let (is_there, asked) = match test {
            Test::Present => (true, None),
            Test::Absent => (false, None),
            Test::Out(values) => (false, Some(Test::In(values.clone()))),
            Test::Unlike(pattern) => (false, Some(Test::Like(pattern.clone()))),
            other => (true, Some(other.clone())),
        };
        // Of a device that is looked at the tags are: by its key, whatever it is that they are to be.
        let by_key = !is_there || self.is_looked_at;
        self.push(match (is_there, by_key) {
            (true, true) => "0 < (SELECT count(*) FROM tag t WHERE t.key = ",
            (true, false) => "d.key IN (SELECT t.device FROM tag t WHERE t.key = ",
            (false, _) => "NOT EXISTS (SELECT t.device FROM tag t WHERE t.key = ",
        });
        self.param(Value::Text(key.to_owned()));
        if let Some(asked) = asked {
            self.push(" AND ");
            self.column("t.value", &asked);
        }
        if by_key {
            self.push(" AND t.device = d.key");
        }
        self.push(")");
    }

    fn status(&mut self, test: &Test) {
        let words: Vec<&str> =
            Presence::WORDS.into_iter().filter(|word| test.allows(word)).collect();
        match words.len() {
            0 => self.push("0"),
            len if len == Presence::WORDS.len() => self.push("1"),
            _ => self.joined(&words, " OR ", |query, word| query.is_word(word)),
        }
    }

    /// Whether a device is what one of [`Presence::WORDS`] says.
    fn is_word(&mut self, word: &str) {
        let at = &*self.named("s.at");
        match word {
            "never_seen" => self.push(&format!("{at} IS NULL")),
            "unknown" => self.push(&format!("({at} IS NOT NULL AND d.check_in_secs IS NULL)")),
            _ => {
                let sign = if word == "offline" { "<" } else { ">=" };
                self.push(&format!("{at} {sign} "));
                self.param(Value::Integer(self.now.as_millis()));
                let silent_millis = 1_000 * INTERVALS_MISSED_MAX;
                self.push(&format!(" - {silent_millis} * d.check_in_secs"));
            }
        }
    }
}

/// A version that was written to be compared as a text, with its place in the order.
fn with_key(value: &Written) -> Written {
    match value {
        Written::Text(text) => Written::Version { text: text.clone(), key: VersionKey::of(text) },
        other => other.clone(),
    }
}

const fn sign(order: Order) -> &'static str {
    match order {
        Order::Less => "<",
        Order::LessOrEqual => "<=",
        Order::Greater => ">",
        Order::GreaterOrEqual => ">=",
    }
}

/// The pattern as GLOB writes it: a character with a meaning is the only one of a class.
fn glob(pieces: &[&str]) -> String {
    let mut glob = String::new();
    for (position, piece) in pieces.iter().enumerate() {
        if position > 0 {
            glob.push('*');
        }
        for c in piece.chars() {
            match c {
                '*' | '?' | '[' => glob.extend(['[', c, ']']),
                c => glob.push(c),
            }
        }
    }
    glob
}

/// The least text that comes after all that begin with `prefix`; `None` if there is none.
fn after_all_with(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // The characters are a range with a gap, which this steps over.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests;
