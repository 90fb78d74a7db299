//! The one value that is wanted of an answer.

use groundswell_core::gate::external::{Decimal, Kind, VALUE_BYTES_MAX, Value};
use serde_json::Value as Json;

pub(super) use groundswell_core::gate::external::Unread;

/// The value in a JSON document that a pointer leads to (RFC 6901).
///
/// Numbers with a fraction come with the 15 to 17 digits that JSON readers agree on, whole ones
/// exact up to 64 bits; larger ones are no value.
pub(super) fn value_at(body: &[u8], pointer: &str) -> Result<Value, Unread> {
    let document = parse(body)?;
    match document.pointer(pointer).ok_or(Unread::Missing)? {
        Json::Bool(is) => Ok(Value::Bool(*is)),
        Json::Number(number) if is_rounded(number) => Err(Unread::Number),
        Json::Number(number) => {
            number.to_string().parse().map(Value::Number).map_err(|_| Unread::Number)
        }
        Json::String(text) => {
            let is_long = text.len() > VALUE_BYTES_MAX;
            let is_odd = text.chars().any(|c| c.is_control() || is_reordering(c));
            if is_long || is_odd { Err(Unread::Text) } else { Ok(Value::Text(text.clone())) }
        }
        Json::Null => Err(Unread::Kind(Kind::Null)),
        Json::Array(_) => Err(Unread::Kind(Kind::List)),
        Json::Object(_) => Err(Unread::Kind(Kind::Object)),
    }
}

/// Whether so much of a number was rounded away that it may be another whole number.
fn is_rounded(number: &serde_json::Number) -> bool {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    number.is_f64() && number.as_f64().is_none_or(|is| is.abs() >= WHOLE_MAX)
}

/// The one number that an instant query has as its result: a scalar, or a vector of one element.
/// See "HTTP API" in the documentation of Prometheus.
pub(super) fn result_of_query(body: &[u8]) -> Result<Value, Unread> {
    let document = parse(body)?;
    if document["status"] != "success" {
        return Err(Unread::NotPrometheus);
    }
    let data = &document["data"];
    let sample = match (data["resultType"].as_str(), &data["result"]) {
        (Some("scalar"), sample) => sample,
        (Some("vector"), Json::Array(elements)) => match &elements[..] {
            [] => return Err(Unread::Empty),
            [only] => &only["value"],
            several => return Err(Unread::Several(several.len() as u32)),
        },
        _ => return Err(Unread::NotPrometheus),
    };
    let text = match sample {
        Json::Array(pair) if pair.len() == 2 => pair[1].as_str(),
        _ => None,
    };
    let number = text.ok_or(Unread::NotPrometheus)?.parse::<Decimal>();
    number.map(Value::Number).map_err(|_| Unread::Number)
}

fn parse(body: &[u8]) -> Result<Json, Unread> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).map_err(|_| Unread::NotJson)
}

const fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside what cannot be read")]
    fn number(text: &str) -> Result<Value, Unread> {
        Ok(Value::Number(text.parse().unwrap()))
    }

    #[test]
    fn values_where_a_pointer_leads() {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        let long = format!("\"{}\"", "x".repeat(257));
        for (body, pointer, is) in [
            (r#"{"a":{"b":[1,0.01]}}"#, "/a/b/1", number("0.01")),
            (r#"{"a":{"b":[1,0.01]}}"#, "/a/b/0", number("1")),
            (r#"{"a/b":true}"#, "/a~1b", Ok(Value::Bool(true))),
            ("\u{feff}\"ok\"", "", text("ok")),
            ("-18446744073709551615", "", Err(Unread::Number)),
            ("9007199254740993.5", "", Err(Unread::Number)),
            ("-9223372036854775808", "", number("-9223372036854775808")),
            ("18446744073709551615", "", number("18446744073709551615")),
            ("1e-7", "", number("0.0000001")),
            ("1e400", "", Err(Unread::NotJson)),
            (r#"{"a":null}"#, "/a", Err(Unread::Kind(Kind::Null))),
            (r#"{"a":[]}"#, "/a", Err(Unread::Kind(Kind::List))),
            (r#"{"a":{}}"#, "/a", Err(Unread::Kind(Kind::Object))),
            (r#"{"a":1}"#, "/b", Err(Unread::Missing)),
            (r#"{"a":"\u001b[2J"}"#, "/a", Err(Unread::Text)),
            (r#"{"a":"\u202e"}"#, "/a", Err(Unread::Text)),
            (&long, "", Err(Unread::Text)),
            ("<html>", "/a", Err(Unread::NotJson)),
            ("", "", Err(Unread::NotJson)),
            (r#"{"a":1"#, "/a", Err(Unread::NotJson)),
        ] {
            assert_eq!(value_at(body.as_bytes(), pointer), is, "{body} {pointer}");
        }
        let deep = "[".repeat(60_000);
        assert_eq!(value_at(deep.as_bytes(), ""), Err(Unread::NotJson));
        assert_eq!(value_at(b"\"\xff\"", ""), Err(Unread::NotJson));
    }

    #[test]
    fn the_one_result_of_a_query() {
        let of = |kind: &str, result: &str| {
            let data = format!(r#"{{"resultType":"{kind}","result":{result}}}"#);
            result_of_query(format!(r#"{{"status":"success","data":{data}}}"#).as_bytes())
        };
        let element =
            |value: &str| format!(r#"{{"metric":{{}},"value":[1435781451.781,{value}]}}"#);
        assert_eq!(of("scalar", r#"[1435781451.781,"0.25"]"#), number("0.25"));
        assert_eq!(of("vector", &format!("[{}]", element("\"1.5e-05\""))), number("0.000015"));
        assert_eq!(of("vector", "[]"), Err(Unread::Empty));
        let two = format!("[{},{}]", element("\"0\""), element("\"0\""));
        assert_eq!(of("vector", &two), Err(Unread::Several(2)));
        for value in ["\"NaN\"", "\"+Inf\"", "\"-Inf\"", "\"\"", "\"high\""] {
            let result = format!("[{}]", element(value));
            assert_eq!(of("vector", &result), Err(Unread::Number), "{value}");
        }
        for (kind, result) in [
            ("matrix", "[]"),
            ("string", r#"[1,"0"]"#),
            ("vector", "{}"),
            ("vector", "[1]"),
            ("scalar", "0"),
            ("scalar", "[1]"),
            ("scalar", "[1,0]"),
            ("vector", &format!("[{}]", element("0"))),
        ] {
            assert_eq!(of(kind, result), Err(Unread::NotPrometheus), "{kind} {result}");
        }
        let failed = br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(result_of_query(failed), Err(Unread::NotPrometheus));
        assert_eq!(result_of_query(b"[]"), Err(Unread::NotPrometheus));
        assert_eq!(result_of_query(b"no"), Err(Unread::NotJson));
    }
}
