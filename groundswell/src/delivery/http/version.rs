//! The version in a device's answer.

use groundswell_core::device::LABEL_BYTES_MAX;
use serde_json::Value;

use super::escape::is_unprintable;

/// Reads the version from the body of a 200: a line of plain text, a JSON string, the member
/// `version` or `firmware_version` of a JSON object, or whatever the operator's JSON pointer
/// (RFC 6901) leads to. Without white space around it, at most 256 bytes, printable.
///
/// # Errors
/// Says why there is none, without quoting the body.
pub(super) fn read_version(body: &[u8], pointer: Option<&str>) -> Result<String, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let version = match pointer {
        Some(pointer) => {
            let value = parse(text)?;
            let found = value.pointer(pointer);
            string(found.ok_or_else(|| format!("nothing at {pointer} in the answer"))?)?
        }
        None if text.starts_with('{') => {
            let value = parse(text)?;
            let found = value.get("version").or_else(|| value.get("firmware_version"));
            string(found.ok_or("neither version nor firmware_version in the answer")?)?
        }
        None if text.starts_with('"') => string(&parse(text)?)?,
        // A captive portal or a log-in page answers 200 to everything.
        None if text.starts_with('<') => return Err("the answer is a page, not a version".into()),
        None => text.lines().next().unwrap_or_default().to_owned(),
    };
    check(version.trim())
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| "the answer is not JSON".to_owned())
}

fn string(value: &Value) -> Result<String, String> {
    match value {
        Value::String(version) => Ok(version.clone()),
        // As a number 1.10 and 1.1 would be the same.
        _ => Err("the version in the answer is not a string".to_owned()),
    }
}

fn check(version: &str) -> Result<String, String> {
    if version.is_empty() {
        return Err("the answer is empty".to_owned());
    }
    if version.len() > LABEL_BYTES_MAX {
        return Err(format!("the version is longer than {LABEL_BYTES_MAX} bytes"));
    }
    if version.chars().any(is_unprintable) {
        return Err("the version holds characters that cannot be printed".to_owned());
    }
    Ok(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (body, pointer, version) in [
            ("1.2.3", None, Some("1.2.3")),
            (" 1.2.3\r\nbuild 7\n", None, Some("1.2.3")),
            ("\u{feff}2.0", None, Some("2.0")),
            ("\"1.2.3\"", None, Some("1.2.3")),
            (r#"{"version":" 1.2.3 "}"#, None, Some("1.2.3")),
            (r#"{"firmware_version":"1.2.3"}"#, None, Some("1.2.3")),
            (r#"{"version":"1","firmware_version":"2"}"#, None, Some("1")),
            (r#"{"a":[{"v":"9"}]}"#, Some("/a/0/v"), Some("9")),
            (r#""7""#, Some(""), Some("7")),
            ("1.2.3", Some("/a"), None),
            (r#"{"a":{}}"#, Some("/b"), None),
            (r#"{"version":2}"#, None, None),
            (r#"{"other":"1"}"#, None, None),
            ("{", None, None),
            ("", None, None),
            (" \n", None, None),
            ("<html>", None, None),
            ("1.2\u{1b}[2J", None, None),
            ("1.2\u{202e}3", None, None),
        ] {
            assert_eq!(read_version(body.as_bytes(), pointer).ok().as_deref(), version, "{body:?}");
        }
        assert!(read_version(b"1.2\xff", None).is_err());
        assert!(read_version("x".repeat(257).as_bytes(), None).is_err());
        assert_eq!(read_version("x".repeat(256).as_bytes(), None).unwrap().len(), 256);
    }
}
