//! The canonical text of an expression.

use std::fmt::{self, Write};

use crate::selector::{
    Comparison, Expr, Field, Order, Pattern, Test, Value,
    parse::{is_bare_key, is_bare_value_char},
};

pub(super) fn write_expr(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::All(parts) => write_joined(f, parts, " and "),
        Expr::Any(parts) => write_joined(f, parts, " or "),
        Expr::Compare(comparison) => write_comparison(f, comparison),
    }
}

/// `and` binds tighter than `or`, so only an `or` inside an `and` needs parentheses.
fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Expr], joint: &str) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            f.write_str(joint)?;
        }
        if matches!(part, Expr::Any(_)) {
            f.write_char('(')?;
            write_expr(f, part)?;
            f.write_char(')')?;
        } else {
            write_expr(f, part)?;
        }
    }
    Ok(())
}

fn write_comparison(f: &mut fmt::Formatter<'_>, comparison: &Comparison) -> fmt::Result {
    write!(f, "{}", comparison.field)?;
    match &comparison.test {
        Test::Present => f.write_str("==*"),
        Test::Absent => f.write_str("!=*"),
        Test::In(values) => write_list(f, "==", "=in=", values),
        Test::Out(values) => write_list(f, "!=", "=out=", values),
        Test::Like(pattern) => write_pattern(f, "==", pattern),
        Test::Unlike(pattern) => write_pattern(f, "!=", pattern),
        Test::Order(order, value) => {
            f.write_str(match order {
                Order::Less => "<",
                Order::LessOrEqual => "<=",
                Order::Greater => ">",
                Order::GreaterOrEqual => ">=",
            })?;
            write_value(f, value)
        }
    }
}

impl fmt::Display for Field {
    /// As written in an expression; [`Field::parse`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Tag(key) = self {
            f.write_str("tag.")?;
            return if is_bare_key(key) { f.write_str(key) } else { write_quoted(f, [&**key]) };
        }
        let name = Self::NAMED.iter().find(|(_, named)| named == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, one: &str, many: &str, values: &[Value]) -> fmt::Result {
    if let [value] = values {
        f.write_str(one)?;
        return write_value(f, value);
    }
    f.write_str(many)?;
    for (position, value) in values.iter().enumerate() {
        f.write_char(if position == 0 { '(' } else { ',' })?;
        write_value(f, value)?;
    }
    f.write_char(')')
}

fn write_pattern(f: &mut fmt::Formatter<'_>, operator: &str, pattern: &Pattern) -> fmt::Result {
    f.write_str(operator)?;
    write_pieces(f, pattern.pieces())
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Text(text) | Value::Version { text, .. } => {
            write_pieces(f, std::iter::once(&**text))
        }
        Value::Moment(moment) => write!(f, "{moment}"),
    }
}

/// Writes texts with a wildcard between each two: bare where that reads back the same.
fn write_pieces<'a>(
    f: &mut fmt::Formatter<'_>,
    pieces: impl Iterator<Item = &'a str> + Clone,
) -> fmt::Result {
    let is_bare =
        |piece: &str| piece.chars().all(|c| is_bare_value_char(c) && !matches!(c, '\\' | '*'));
    let is_empty = pieces.clone().all(str::is_empty) && pieces.clone().count() == 1;
    if is_empty || !pieces.clone().all(is_bare) {
        return write_quoted(f, pieces);
    }
    for (position, piece) in pieces.enumerate() {
        if position > 0 {
            f.write_char('*')?;
        }
        f.write_str(piece)?;
    }
    Ok(())
}

fn write_quoted<'a>(
    f: &mut fmt::Formatter<'_>,
    pieces: impl IntoIterator<Item = &'a str>,
) -> fmt::Result {
    f.write_char('"')?;
    for (position, piece) in pieces.into_iter().enumerate() {
        if position > 0 {
            f.write_char('*')?;
        }
        for c in piece.chars() {
            if matches!(c, '"' | '\\' | '*') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
    }
    f.write_char('"')
}
