//! The grammar.
//!
//! ```text
//! any        = all *( ("," / "or") all )
//! all        = unit *( (";" / "and") unit )
//! unit       = "(" any ")" / comparison
//! comparison = field operator ( value / "(" value *( "," value ) ")" )
//! ```
//! It follows RSQL (<https://github.com/jirutka/rsql-parser>), with wildcards in values.

use std::ops::Range;

use winnow::{
    LocatingSlice, Parser, Stateful,
    ascii::Caseless,
    combinator::{alt, opt, peek},
    stream::{Location, Stream},
    token::{any, take_while},
};

use crate::{
    device::Address,
    moment::Moment,
    presence::Presence,
    selector::{
        COMPARISONS_MAX, Comparison, DEPTH_MAX, Expr, Field, Order, Pattern, SelectorError,
        TEXT_BYTES_MAX, Test, Value,
        error::{Fault, Problem, printable},
    },
    version::{VersionKey, is_build_name},
};

type Input<'i> = Stateful<LocatingSlice<&'i str>, Counts>;
type Parsed<T> = Result<T, Fault>;

const FIELD: &str = "a field such as id, version or tag.region";
const NO_NOT: &str = "; there is no `not`, use != or =out=";

/// What has been used of the limits.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    depth: usize,
    comparisons: usize,
}

/// Stands between two conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
}

#[derive(Clone, Copy)]
enum Operator {
    Equal,
    NotEqual,
    Order(Order, &'static str),
    In,
    Out,
}

pub(super) fn parse(text: &str) -> Result<Expr, SelectorError> {
    let whole = |problem| SelectorError::new(text, Fault { at: 0..0, problem });
    if text.len() > TEXT_BYTES_MAX {
        return Err(whole(Problem::TooLong(text.len())));
    }
    if text.trim().is_empty() {
        return Err(whole(Problem::Empty));
    }
    let mut input = Input { input: LocatingSlice::new(text), state: Counts::default() };
    let parsed = any_of(&mut input).and_then(|expr| match rest(&input) {
        "" => Ok(expr),
        _ => Err(expected(&input, "`and`, `or` or the end", hint_after_value(&input))),
    });
    parsed.map_err(|fault| SelectorError::new(text, fault))
}

/// A field that stands alone.
pub(super) fn parse_field(text: &str) -> Result<Field, SelectorError> {
    if text.len() > TEXT_BYTES_MAX {
        let problem = Problem::TooLong(text.len());
        return Err(SelectorError::new(text, Fault { at: 0..0, problem }));
    }
    let mut input = Input { input: LocatingSlice::new(text), state: Counts::default() };
    let parsed = field(&mut input).and_then(|field| match rest(&input) {
        "" => Ok(field),
        _ => Err(expected(&input, "the end", "")),
    });
    parsed.map_err(|fault| SelectorError::new(text, fault))
}

/// Whether a key can be written without quotes.
pub(super) fn is_bare_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(is_name_char)
}

/// Whether a value may hold this without quotes; `\` and `*` have a meaning of their own.
pub(super) fn is_bare_value_char(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '"' | '\'' | '(' | ')' | ';' | ',' | '=' | '!' | '<' | '>')
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

fn any_of(input: &mut Input<'_>) -> Parsed<Expr> {
    let mut parts = vec![all_of(input)?];
    while take_joint(input, Joint::Or)? {
        parts.push(all_of(input)?);
    }
    Ok(Expr::any(parts))
}

fn all_of(input: &mut Input<'_>) -> Parsed<Expr> {
    let mut parts = vec![unit(input)?];
    while take_joint(input, Joint::And)? {
        parts.push(unit(input)?);
    }
    Ok(Expr::all(parts))
}

fn unit(input: &mut Input<'_>) -> Parsed<Expr> {
    skip_blanks(input)?;
    let open_at = input.current_token_start();
    if opt('(').parse_next(input)?.is_none() {
        return comparison(input).map(Expr::Compare);
    }
    input.state.depth += 1;
    if input.state.depth > DEPTH_MAX {
        return Err(Fault { at: open_at..open_at + 1, problem: Problem::TooDeep });
    }
    let expr = any_of(input)?;
    if opt(')').parse_next(input)?.is_none() {
        return Err(expected(input, "`and`, `or` or `)`", hint_after_value(input)));
    }
    input.state.depth -= 1;
    Ok(expr)
}

/// Takes a joint if it is the one wanted; leaves any other.
fn take_joint(input: &mut Input<'_>, wanted: Joint) -> Parsed<bool> {
    skip_blanks(input)?;
    let before = input.checkpoint();
    let word = take_while(1.., is_name_char).verify_map(|word: &str| match word {
        _ if word.eq_ignore_ascii_case("and") => Some(Joint::And),
        _ if word.eq_ignore_ascii_case("or") => Some(Joint::Or),
        _ => None,
    });
    let found = opt(alt((';'.value(Joint::And), ','.value(Joint::Or), word))).parse_next(input)?;
    if found != Some(wanted) {
        input.reset(&before);
    }
    Ok(found == Some(wanted))
}

fn comparison(input: &mut Input<'_>) -> Parsed<Comparison> {
    let field = field(input)?;
    skip_blanks(input)?;
    let operator = operator(input)?;
    skip_blanks(input)?;
    let test = match operator {
        Operator::In => Test::In(values(input, &field, "=in=")?),
        Operator::Out => Test::Out(values(input, &field, "=out=")?),
        Operator::Order(order, name) => {
            let (pieces, at) = value(input)?;
            let value = whole_value(&field, pieces, at.clone(), name)?;
            let value = match (&field, value) {
                (Field::Version, Value::Text(text)) => version(text, at)?,
                (_, value) => value,
            };
            Test::Order(order, value)
        }
        Operator::Equal | Operator::NotEqual => {
            let (pieces, at) = value(input)?;
            equality(&field, pieces, at, matches!(operator, Operator::Equal))?
        }
    };
    Ok(Comparison { field, test })
}

/// A version to be compared by its order, or a name that such devices may report instead.
fn version(text: Box<str>, at: Range<usize>) -> Parsed<Value> {
    let key = VersionKey::of(&text);
    if key.is_version() || is_build_name(&text) {
        return Ok(Value::Version { key, text });
    }
    Err(Fault { at, problem: Problem::Version(text.into()) })
}

fn field(input: &mut Input<'_>) -> Parsed<Field> {
    let before = input.checkpoint();
    let start = input.current_token_start();
    let name: &str = take_while(0.., is_name_char).parse_next(input)?;
    let at = start..input.current_token_start();
    if name.is_empty() {
        let hint = match rest(input).chars().next() {
            Some('!') => NO_NOT,
            Some('"' | '\'') => "; only values and tag keys go in quotes",
            _ => "",
        };
        return Err(expected(input, FIELD, hint));
    }
    if let Some((_, field)) = Field::NAMED.iter().find(|(named, _)| *named == name) {
        return Ok(field.clone());
    }
    match name.strip_prefix("tag.") {
        Some("") if rest(input).starts_with(['"', '\'']) => quoted_key(input),
        Some("") => Err(Fault { at, problem: Problem::NoKey }),
        Some(key) => Ok(Field::Tag(key.into())),
        None if name.eq_ignore_ascii_case("not") => {
            input.reset(&before);
            Err(expected(input, FIELD, NO_NOT))
        }
        None if name == "tag" => Err(Fault { at, problem: Problem::NoKey }),
        None => {
            let name = name.to_owned();
            Err(Fault { at, problem: Problem::UnknownField { name, meant: None } })
        }
    }
}

fn quoted_key(input: &mut Input<'_>) -> Parsed<Field> {
    let start = input.current_token_start();
    let pieces = quoted(input, "the key")?;
    let at = start..input.current_token_start();
    match <[String; 1]>::try_from(pieces) {
        Ok([key]) if key.is_empty() => Err(Fault { at, problem: Problem::NoKey }),
        Ok([key]) => Ok(Field::Tag(key.into_boxed_str())),
        Err(_) => Err(Fault { at, problem: Problem::WildcardKey }),
    }
}

fn operator(input: &mut Input<'_>) -> Parsed<Operator> {
    const fn order(order: Order, name: &'static str) -> Operator {
        Operator::Order(order, name)
    }
    let found = opt(alt((
        alt(("==".value(Operator::Equal), "!=".value(Operator::NotEqual))),
        alt((Caseless("=in=").value(Operator::In), Caseless("=out=").value(Operator::Out))),
        alt(("<=", Caseless("=le="))).value(order(Order::LessOrEqual, "<=")),
        alt((">=", Caseless("=ge="))).value(order(Order::GreaterOrEqual, ">=")),
        alt(("<", Caseless("=lt="))).value(order(Order::Less, "<")),
        alt((">", Caseless("=gt="))).value(order(Order::Greater, ">")),
    )))
    .parse_next(input)?;
    found.ok_or_else(|| {
        let is_equals = rest(input).starts_with('=') && !rest(input).starts_with("=>");
        let hint = if is_equals { "; equals is written ==" } else { "" };
        expected(input, "one of == != < <= > >= =in= =out=", hint)
    })
}

/// The values of a list, in parentheses.
fn values(input: &mut Input<'_>, field: &Field, operator: &'static str) -> Parsed<Vec<Value>> {
    if opt('(').parse_next(input)?.is_none() {
        return Err(expected(input, "a list of values, such as (a,b)", ""));
    }
    let mut values = vec![];
    loop {
        skip_blanks(input)?;
        let (pieces, at) = value(input)?;
        values.push(whole_value(field, pieces, at, operator)?);
        skip_blanks(input)?;
        match opt(alt((',', ')'))).parse_next(input)? {
            Some(',') => {}
            Some(_) => return Ok(values),
            None => return Err(expected(input, "`,` or `)`", hint_after_value(input))),
        }
    }
}

/// One value: its pieces between wildcards, and where it stands.
fn value(input: &mut Input<'_>) -> Parsed<(Vec<String>, Range<usize>)> {
    let start = input.current_token_start();
    input.state.comparisons += 1;
    let pieces = match peek(opt(any)).parse_next(input)? {
        Some('"' | '\'') => quoted(input, "the value")?,
        Some(c) if is_bare_value_char(c) => bare(input)?,
        Some('(') => {
            let hint = "; lists go with =in= and =out=";
            return Err(expected(input, "a value", hint));
        }
        _ => return Err(expected(input, "a value", "")),
    };
    let at = start..input.current_token_start();
    if input.state.comparisons > COMPARISONS_MAX {
        return Err(Fault { at, problem: Problem::TooMany });
    }
    Ok((pieces, at))
}

fn bare(input: &mut Input<'_>) -> Parsed<Vec<String>> {
    let mut pieces = vec![String::new()];
    while let Some(c) = opt(any.verify(|c| is_bare_value_char(*c))).parse_next(input)? {
        take_char(input, &mut pieces, c)?;
    }
    Ok(pieces)
}

fn quoted(input: &mut Input<'_>, what: &'static str) -> Parsed<Vec<String>> {
    let start = input.current_token_start();
    let quote: char = any.parse_next(input)?;
    let mut pieces = vec![String::new()];
    loop {
        match opt(any).parse_next(input)? {
            Some(c) if c == quote => return Ok(pieces),
            Some(c) => take_char(input, &mut pieces, c)?,
            None => {
                let problem = Problem::Unclosed { what, quote };
                return Err(Fault { at: start..start + 1, problem });
            }
        }
    }
}

/// Adds a character of a value: `*` starts the next piece, `\` takes what follows as itself.
fn take_char(input: &mut Input<'_>, pieces: &mut Vec<String>, c: char) -> Parsed<()> {
    let literal = match c {
        '*' => {
            pieces.push(String::new());
            return Ok(());
        }
        '\\' => opt(any).parse_next(input)?.ok_or_else(|| {
            let end = input.current_token_start();
            Fault { at: end - 1..end, problem: Problem::LoneBackslash }
        })?,
        c => c,
    };
    if let Some(piece) = pieces.last_mut() {
        piece.push(literal);
    }
    Ok(())
}

fn equality(field: &Field, pieces: Vec<String>, at: Range<usize>, equal: bool) -> Parsed<Test> {
    let has_wildcard = pieces.len() > 1;
    let is_wildcard_only = has_wildcard && pieces.iter().all(String::is_empty);
    match (equal, is_wildcard_only) {
        (true, true) => return Ok(Test::Present),
        (false, true) => return Ok(Test::Absent),
        (_, false) => {}
    }
    if has_wildcard {
        if *field == Field::LastSeen {
            return Err(Fault { at, problem: Problem::WildcardTime });
        }
        let pattern = Pattern::of(pieces);
        return Ok(if equal { Test::Like(pattern) } else { Test::Unlike(pattern) });
    }
    let values = vec![whole_value(field, pieces, at, "==")?];
    Ok(if equal { Test::In(values) } else { Test::Out(values) })
}

/// A value without wildcards, as the field needs it.
fn whole_value(
    field: &Field,
    pieces: Vec<String>,
    at: Range<usize>,
    operator: &'static str,
) -> Parsed<Value> {
    let Ok([text]) = <[String; 1]>::try_from(pieces) else {
        return Err(Fault { at, problem: Problem::Wildcard(operator) });
    };
    match field {
        Field::LastSeen if text == "never" => Err(Fault { at, problem: Problem::Never }),
        Field::LastSeen => text
            .parse::<Moment>()
            .map(Value::Moment)
            .map_err(|error| Fault { at, problem: Problem::Moment(error) }),
        Field::Status if !Presence::WORDS.contains(&&*text) => {
            Err(Fault { at, problem: Problem::Status(text) })
        }
        Field::Address => Ok(Value::Text(match text.parse::<Address>() {
            Ok(address) => address.as_str().into(),
            Err(_) => text.into_boxed_str(),
        })),
        _ => Ok(Value::Text(text.into_boxed_str())),
    }
}

fn skip_blanks(input: &mut Input<'_>) -> Parsed<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

fn rest<'i>(input: &Input<'i>) -> &'i str {
    input.input.peek_finish()
}

/// A fault at what comes next.
fn expected(input: &Input<'_>, expected: &'static str, hint: &'static str) -> Fault {
    let start = input.current_token_start();
    let rest = rest(input);
    let word_end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
    let found_end =
        if word_end > 0 { word_end } else { rest.chars().next().map_or(0, char::len_utf8) };
    let found = match &rest[..found_end] {
        "" => "the end".to_owned(),
        word => format!("`{}`", word.chars().take(32).map(printable).collect::<String>()),
    };
    Fault { at: start..start + found_end, problem: Problem::Expected { expected, found, hint } }
}

/// What to say of something that stands after a value and does not belong there.
fn hint_after_value(input: &Input<'_>) -> &'static str {
    match rest(input).chars().next() {
        None => "",
        Some(')') => "; no ( belongs to it",
        Some('&') => "; both is written `and` or ;",
        Some('|') => "; either is written `or` or ,",
        Some(_) => "; a value with blanks or one of \" ' ( ) ; , = ! < > goes in quotes",
    }
}
