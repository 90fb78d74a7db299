//! A file that goes out, or a range of it, in constant memory.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::stream;
use groundswell_core::release::Digest;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    Problem,
    receive::failed,
    state_tag::{is_among, named},
};
use crate::artifacts::store::Kept;

/// Read at once: as much as a connection takes in some milliseconds.
const CHUNK_BYTES: u64 = 256 << 10;

/// What is asked of a file of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it.
    Whole,
    /// From here to before there.
    Part(u64, u64),
    /// What is behind its end.
    Nothing,
}

/// What a Range header asks for, as RFC 9110 has it. Several ranges, other units and what cannot be
/// read ask for nothing in particular: then all of it is sent.
pub(super) fn asked(range: Option<&str>, bytes: u64) -> Asked {
    let Some(range) = range else { return Asked::Whole };
    let Some((unit, range)) = range.split_once('=') else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Asked::Whole };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // One that does not fit is larger than any file.
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (first.is_empty(), number(first), last.is_empty(), number(last)) {
        (true, _, _, Some(0)) => Asked::Nothing,
        (true, _, _, Some(_)) if bytes == 0 => Asked::Nothing,
        (true, _, _, Some(length)) => Asked::Part(bytes.saturating_sub(length), bytes),
        (_, Some(first), true, _) if first < bytes => Asked::Part(first, bytes),
        (_, Some(first), true, _) if first >= bytes => Asked::Nothing,
        (_, Some(first), _, Some(last)) if first > last => Asked::Whole,
        (_, Some(first), _, Some(_)) if first >= bytes => Asked::Nothing,
        (_, Some(first), _, Some(last)) => Asked::Part(first, last.saturating_add(1).min(bytes)),
        _ => Asked::Whole,
    }
}

/// The answer with an artifact in it, or with what is asked of it.
///
/// # Errors
/// A [`Problem`] if it cannot be read.
pub(super) async fn answer(kept: Kept, headers: &HeaderMap) -> Result<Response, Problem> {
    let tag = format!("\"{}\"", kept.digest);
    if named(headers, &header::IF_NONE_MATCH).is_some_and(|known| is_among(&tag, &known, true)) {
        return Ok(described(StatusCode::NOT_MODIFIED, &tag, kept.digest, Body::empty()));
    }
    let path = kept.path.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok::<_, io::Error>((file, bytes))
    });
    let (file, bytes) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Problem::not_found(format!("there is no artifact {}", kept.digest)));
        }
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => return Err(Problem::internal()),
    };
    let range = text(headers, &header::RANGE);
    // A part is of use only beside the rest of the same file.
    let is_same = text(headers, &header::IF_RANGE).is_none_or(|seen| seen.trim() == tag);
    let (status, from, to) = match asked(range.filter(|_| is_same), bytes) {
        Asked::Whole => (StatusCode::OK, 0, bytes),
        Asked::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Asked::Nothing => return Ok(behind_the_end(bytes)),
    };
    let mut response = described(status, &tag, kept.digest, stream_of(file, from, to));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(range) = format!("bytes {from}-{}/{bytes}", to - 1).parse()
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

fn described(status: StatusCode, tag: &str, digest: Digest, body: Body) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let hash = format!("sha-256=:{}:", BASE64_STANDARD.encode(digest.0));
    for (name, value) in [
        (header::ETAG, tag),
        (header::HeaderName::from_static("repr-digest"), &hash),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
    ] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    response
}

fn behind_the_end(bytes: u64) -> Response {
    let told = format!("the artifact has {bytes} bytes, and nothing of the range is in it");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "no-such-range", told);
    let mut response = problem.into_response();
    if let Ok(range) = format!("bytes */{bytes}").parse() {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// The bytes of a file, a chunk at a time, each read when the one before has been taken.
fn stream_of(file: File, from: u64, to: u64) -> Body {
    let file = Arc::new(file);
    Body::from_stream(stream::try_unfold(from, move |at| {
        let file = Arc::clone(&file);
        async move {
            if at >= to {
                return Ok::<_, io::Error>(None);
            }
            let length = (to - at).min(CHUNK_BYTES) as usize;
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; length];
                file.read_exact_at(&mut chunk, at).map(|()| Bytes::from(chunk))
            });
            let chunk = read.await.map_err(io::Error::other)??;
            Ok(Some((chunk, at + length as u64)))
        }
    }))
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        let all = |first| Asked::Part(first, 10);
        for (range, wanted) in [
            ("bytes=0-", all(0)),
            ("bytes=0-9", all(0)),
            ("bytes=0-0", Asked::Part(0, 1)),
            ("bytes=9-9", all(9)),
            ("bytes=3-5", Asked::Part(3, 6)),
            ("bytes=3-99", all(3)),
            ("BYTES = 3-5", Asked::Part(3, 6)),
            ("bytes=-1", all(9)),
            ("bytes=-10", all(0)),
            ("bytes=-99", all(0)),
            ("bytes=0-18446744073709551615", all(0)),
            ("bytes=0-99999999999999999999999", all(0)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-11", Asked::Nothing),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=5-3", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=1", Asked::Whole),
            ("bytes", Asked::Whole),
            ("lines=1-2", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(asked(Some(range), 10), wanted, "{range}");
        }
        assert_eq!(asked(None, 10), Asked::Whole);
        for range in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
            assert_eq!(asked(Some(range), 0), Asked::Nothing, "{range} of nothing");
        }
    }
}
