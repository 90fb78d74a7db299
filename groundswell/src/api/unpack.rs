//! Bodies that come compressed, as `Content-Encoding` says.
//!
//! They are unpacked as they are read, so that a limit on what is read holds for what comes out, and
//! never by more than a window at once.

use std::io;

use async_compression::{
    tokio::bufread::{GzipDecoder, ZstdDecoder},
    zstd::DParameter,
};
use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::Limited;
use tokio::io::{AsyncRead, BufReader};
use tokio_util::io::{ReaderStream, StreamReader};

use super::Problem;

/// Largest window of zstd, as a power of two: RFC 9659 has no larger one for bodies.
const WINDOW_LOG_MAX: u32 = 23;

/// Most that one body is unpacked to, in bytes: an import of as many devices as are taken, each of
/// 1.6 KiB. What is sent for it may be a thousandth of that.
const UNPACKED_BYTES_MAX: usize = 8 << 30;

/// Unpacked at once.
const PIECE_BYTES: usize = 32 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952
    Gzip,
    /// RFC 8878
    Zstd,
}

/// What comes is not what `Content-Encoding` says, or ends too early.
#[derive(Debug, thiserror::Error)]
#[error("the body is not compressed as Content-Encoding says, or broke off")]
pub(super) struct Broken(#[source] io::Error);

/// Why no more of a body came. An IO error hides what it is made of from whoever looks at its causes.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
struct Ended(#[source] axum::Error);

/// Unpacks a body before anybody reads it. Bytes are left as they are: nothing that is uploaded is
/// unpacked.
///
/// # Errors
/// The answer to one that is compressed in another way.
pub(super) fn unpack(request: Request) -> Result<Request, Box<Response>> {
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind.is_some_and(|kind| kind.starts_with(b"application/octet-stream")) {
        return Ok(request);
    }
    match coding(request.headers()) {
        Ok(None) => Ok(request),
        Ok(Some(coding)) => {
            let (mut parts, body) = request.into_parts();
            // They are of the body as it came.
            parts.headers.remove(header::CONTENT_ENCODING);
            parts.headers.remove(header::CONTENT_LENGTH);
            Ok(Request::from_parts(parts, unpacked(body, coding)))
        }
        Err(problem) => {
            let mut response = problem.into_response();
            let taken = HeaderValue::from_static("gzip, zstd");
            response.headers_mut().insert(header::ACCEPT_ENCODING, taken);
            Err(Box::new(response))
        }
    }
}

/// How the body of a request is compressed, if it is.
///
/// # Errors
/// A [`Problem`] with status 415 if it is in another way, or more than once.
pub(super) fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Problem> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut found = None;
    for name in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" => Some(Coding::Gzip),
            b"zstd" => Some(Coding::Zstd),
            _ => None,
        };
        if coding.is_none() || found.is_some() {
            let told = "send the body as it is, or compress it once, by gzip or zstd";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unknown-encoding", told));
        }
        found = coding;
    }
    Ok(found)
}

fn unpacked(body: Body, coding: Coding) -> Body {
    let packed = body.into_data_stream().map_err(|error| io::Error::other(Ended(error)));
    let packed = BufReader::new(StreamReader::new(packed));
    match coding {
        Coding::Gzip => {
            let mut reader = GzipDecoder::new(packed);
            reader.multiple_members(true);
            limited(reader)
        }
        Coding::Zstd => {
            let params = [DParameter::window_log_max(WINDOW_LOG_MAX)];
            let mut reader = ZstdDecoder::with_params(packed, &params);
            reader.multiple_members(true);
            limited(reader)
        }
    }
}

fn limited(reader: impl AsyncRead + Send + 'static) -> Body {
    let pieces = ReaderStream::with_capacity(reader, PIECE_BYTES);
    let pieces = pieces.map(|piece: io::Result<Bytes>| piece.map_err(reason));
    Body::new(Limited::new(Body::from_stream(pieces), UNPACKED_BYTES_MAX))
}

fn reason(error: io::Error) -> axum::BoxError {
    match error.downcast::<Ended>() {
        Ok(ended) => ended.into(),
        Err(error) => Broken(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_coding_that_is_known_or_none() {
        let coding = |values: &[&'static str]| {
            let all = values
                .iter()
                .map(|value| (header::CONTENT_ENCODING, HeaderValue::from_static(value)));
            coding(&all.collect::<HeaderMap>()).map_err(|problem| problem.status)
        };
        for none in [&[][..], &["identity"], &[""], &["identity, Identity", "identity"]] {
            assert_eq!(coding(none), Ok(None), "{none:?}");
        }
        for gzip in [&["gzip"][..], &["X-GZIP"], &[" gzip , identity"], &["identity", "gzip"]] {
            assert_eq!(coding(gzip), Ok(Some(Coding::Gzip)), "{gzip:?}");
        }
        assert_eq!(coding(&["ZSTD"]), Ok(Some(Coding::Zstd)));
        for bad in [&["br"][..], &["gzip, gzip"], &["gzip", "zstd"], &["gzip;q=1"], &["deflate"]] {
            assert_eq!(coding(bad), Err(415), "{bad:?}");
        }
    }
}
