//! Headers that the server reads by itself, for whoever makes them up.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    Problem, body,
    created::Key,
    download::{Asked, asked},
    guard,
    operator::{events::asked_after, uploads},
    page::{Paging, cursor},
    state_tag::{StateTag, require_new},
    unpack,
};
use crate::{access::Secret, fuzzed::is_plain};

/// Longest sentence about a header, in bytes.
const TOLD_BYTES_MAX: usize = 1_000;

/// Lengths of files of which a range is asked.
const LENGTHS: [u64; 5] = [0, 1, 10, 1 << 40, u64::MAX];

/// Holds bytes, a header a line, against what is promised of the headers that are read.
///
/// # Panics
/// If that is broken.
pub fn headers(given: &[u8]) {
    let headers = read(given);
    for value in headers.get_all(header::AUTHORIZATION).iter().filter_map(|it| it.to_str().ok()) {
        token(value);
    }
    for value in headers.get_all("x-request-id").iter().filter_map(|it| it.to_str().ok()) {
        let is_fine = (1..=64).contains(&value.len())
            && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        assert_eq!(guard::is_request_id(value), is_fine, "{value}");
    }
    for value in headers.get_all(header::RANGE).iter().filter_map(|it| it.to_str().ok()) {
        for bytes in LENGTHS {
            range(value, bytes);
        }
    }
    tags(&headers);
    positions(&headers);
    uploads(&headers);
    bodies(&headers);
}

fn read(given: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in given.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let (name, value) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn token(value: &str) {
    let Some(token) = guard::bearer(value) else { return };
    assert!(value.ends_with(token) || value.trim_end().ends_with(token), "{token}");
    let Ok(secret) = Secret::parse(token) else { return };
    assert_eq!(secret.reveal(), token, "a token is written in two ways");
    assert!(secret.is_of(&secret.hash()));
}

/// A range as RFC 9110 has it, read in the plainest way.
fn range(value: &str, bytes: u64) {
    let got = asked(Some(value), bytes);
    if let Asked::Part(from, to) = got {
        assert!(from < to && to <= bytes, "{value} of {bytes}: {from}..{to}");
    }
    let bytes = u128::from(bytes);
    let Some((unit, rest)) = value.split_once('=') else {
        return assert_eq!(got, Asked::Whole, "{value}");
    };
    let is_range = unit.trim().eq_ignore_ascii_case("bytes")
        && rest.matches('-').count() == 1
        && rest.trim().chars().all(|c| c.is_ascii_digit() || c == '-')
        && rest.trim() != "-";
    if !is_range {
        return assert_eq!(got, Asked::Whole, "{value}");
    }
    // Larger than any length, however many digits there are.
    let number = |text: &str| match text.trim_start_matches('0') {
        text if text.len() > 25 => u128::MAX / 2,
        text => text.parse().unwrap_or(0),
    };
    let (first, last) = rest.trim().split_once('-').unwrap_or_default();
    let wanted = match (first, last) {
        ("", last) => match number(last).min(bytes) {
            0 => None,
            length => Some((bytes - length, bytes)),
        },
        (first, "") => Some((number(first), bytes)),
        (first, last) if number(first) > number(last) => {
            return assert_eq!(got, Asked::Whole, "{value}");
        }
        (first, last) => Some((number(first), bytes.min(number(last) + 1))),
    };
    match wanted.filter(|(from, to)| from < to) {
        Some((from, to)) => {
            let part = (u64::try_from(from).ok(), u64::try_from(to).ok());
            assert!(
                matches!(got, Asked::Part(from, to) if part == (Some(from), Some(to))),
                "{value}"
            );
        }
        None => assert_eq!(got, Asked::Nothing, "{value} of {bytes}"),
    }
}

/// A list of tags as RFC 9110 section 8.8.3 writes it; none if it is not written so.
fn listed(value: &[u8]) -> Option<Vec<(bool, Vec<u8>)>> {
    let mut tags = vec![];
    let mut rest = value;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(tags);
        }
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind;
            continue;
        }
        let (is_weak, opaque) = match rest.strip_prefix(b"W/") {
            Some(opaque) => (true, opaque),
            None => (false, rest),
        };
        let inner = opaque.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| *byte == b'"')?;
        let is_tag = |byte: &u8| *byte == 0x21 || (0x23..=0x7e).contains(byte) || *byte >= 0x80;
        if !inner[..end].iter().all(is_tag) {
            return None;
        }
        tags.push((is_weak, opaque[..end + 2].to_vec()));
        rest = inner[end + 1..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
}

/// The values of all headers of a name, as one; none if there is no such header.
fn whole(headers: &HeaderMap, name: HeaderName) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    (!values.is_empty()).then(|| values.join(&b","[..]))
}

fn tags(headers: &HeaderMap) {
    // What a line of a seed names, and what no line does.
    for state in ["1", "2"] {
        let tag = StateTag::of(&state);
        let own = tag.header().as_bytes().to_vec();
        let passes = tag.require(headers).is_ok();
        match whole(headers, header::IF_MATCH) {
            None => assert!(passes, "nobody asked"),
            Some(value) if value.trim_ascii() == b"*" => assert!(passes, "anything is fine"),
            Some(value) => match listed(&value) {
                Some(tags) => assert_eq!(passes, tags.contains(&(false, own.clone()))),
                None => assert!(!passes || holds(&value, &own), "{:?}", value.escape_ascii()),
            },
        }
        let is_known = tag.is_known(headers);
        match whole(headers, header::IF_NONE_MATCH) {
            None => assert!(!is_known, "nobody said so"),
            Some(value) if value.trim_ascii() == b"*" => {
                assert!(is_known && require_new(headers, true).is_err());
            }
            Some(value) => match listed(&value) {
                Some(tags) => assert_eq!(is_known, tags.iter().any(|(_, tag)| *tag == own)),
                None => assert!(!is_known || holds(&value, &own), "{:?}", value.escape_ascii()),
            },
        }
    }
    assert!(require_new(headers, false).is_ok());
}

fn holds(value: &[u8], tag: &[u8]) -> bool {
    value.windows(tag.len()).any(|part| part == tag)
}

fn positions(headers: &HeaderMap) {
    for query in ["", "after=1.1"] {
        match asked_after(query, headers) {
            Ok(Some(position)) => {
                assert_eq!(position.to_string().parse(), Ok(position.clone()), "{position}");
                let last = headers.get("last-event-id").and_then(|last| last.to_str().ok());
                let unpadded = |part: &str| part.trim_start_matches('0').len();
                let sum = |text: &str| text.split(['.', '-']).map(unpadded).sum::<usize>();
                assert!(last.is_none_or(|last| sum(last) == sum(&position.to_string())));
            }
            Ok(None) => assert!(query.is_empty() && !headers.contains_key("last-event-id")),
            Err(problem) => at_fault(&problem, &["Last-Event-ID"]),
        }
    }
    // A query is as much made by strangers.
    for query in headers.get_all("query").iter().filter_map(|query| query.to_str().ok()) {
        if let Err(problem) = asked_after(query, &HeaderMap::new()) {
            assert!(is_bounded(&problem), "{problem:?}");
        }
        let paging = Paging { limit: None, cursor: Some(query.to_owned()) };
        match paging.after() {
            Ok(after) => assert_eq!(after.as_deref().map(cursor).as_deref(), Some(query)),
            Err(problem) => at_fault(&problem, &["cursor"]),
        }
        if let Ok(Some(number)) = paging.after_number() {
            let again = Paging { limit: None, cursor: Some(cursor(&number.to_string())) };
            assert_eq!(again.after_number(), Ok(Some(number)));
        }
    }
}

fn uploads(headers: &HeaderMap) {
    match uploads::given_offset(headers) {
        Ok(offset) => {
            let given =
                whole(headers, HeaderName::from_static("upload-offset")).unwrap_or_default();
            let given = String::from_utf8_lossy(&given).into_owned();
            let digits = given.trim_start_matches('0');
            assert_eq!(digits, offset.to_string().trim_start_matches('0'), "{given}");
        }
        Err(problem) => at_fault(&problem, &["Upload-Offset"]),
    }
    match Key::of(headers, "test", &1) {
        Ok(key) => assert_eq!(key.is_some(), headers.contains_key("idempotency-key")),
        Err(problem) => at_fault(&problem, &["Idempotency-Key"]),
    }
    if let Err(problem) = uploads::require_bytes(headers) {
        assert_eq!(problem.status, 415);
    }
}

fn bodies(headers: &HeaderMap) {
    let _ = body::is_json(headers);
    match unpack::coding(headers) {
        Ok(Some(_)) => {
            let value = whole(headers, header::CONTENT_ENCODING).unwrap_or_default();
            let value = String::from_utf8_lossy(&value).to_ascii_lowercase();
            assert!(["gzip", "x-gzip", "zstd"].iter().any(|it| value.contains(it)), "{value}");
        }
        Ok(None) => {}
        Err(problem) => assert_eq!(problem.status, 415),
    }
}

/// A problem that names one of these.
fn at_fault(problem: &Problem, fields: &[&str]) {
    let fields_found: Vec<&str> = problem.errors.iter().map(|fault| &*fault.field).collect();
    assert!(fields_found.iter().all(|field| fields.contains(field)), "{problem:?}");
    assert!(!fields_found.is_empty() && is_bounded(problem), "{problem:?}");
}

fn is_bounded(problem: &Problem) -> bool {
    is_plain(&problem.detail, TOLD_BYTES_MAX)
}
