//! Which answers are sent compressed.
//!
//! Compression tells the length of what it shortens, and with that, bit by bit, a secret that stands
//! beside something that an onlooker chose (BREACH, 2013). So nothing is compressed that could hold
//! a secret: tokens are in answers to POST alone, and of those none is compressed.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{Extensions, HeaderMap, Method, StatusCode, Version, header};
use tower_http::compression::{
    CompressionLayer, CompressionLevel,
    predicate::{And, Predicate as _, SizeAbove},
};

/// Shorter answers fit into a packet as they are.
const BYTES_MIN: u64 = 1_400;

type When = And<SizeAbove, fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool>;

/// Marks an answer that may be compressed.
#[derive(Clone, Copy, Debug)]
struct Readable;

/// Compresses answers that were marked. The quickest level: a page of devices is a tenth of its size
/// by it, and the thread that does it serves others, too.
pub(super) fn layer() -> CompressionLayer<When> {
    let when = SizeAbove::new(BYTES_MIN).and(is_fit as fn(_, _, &_, &_) -> bool);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(when)
}

/// Marks the answers that hold nothing secret: those to who only looks.
pub(super) async fn mark(request: Request, next: Next) -> Response {
    let is_look = request.method() == Method::GET;
    let mut response = next.run(request).await;
    if is_look {
        response.extensions_mut().insert(Readable);
    }
    response
}

fn is_fit(_: StatusCode, _: Version, headers: &HeaderMap, extensions: &Extensions) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    // A tag of state names the bytes of an answer: it would be another one of other bytes.
    let is_tagged = headers.contains_key(header::ETAG);
    // Neither event streams, of which nobody would see the end of a block, nor artifacts.
    let is_text = matches!(kind, "application/json" | "application/problem+json" | "text/html");
    is_text && !is_tagged && extensions.get::<Readable>().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_marked_and_has_no_tag_is_compressed() {
        let (mut headers, mut marked) = (HeaderMap::new(), Extensions::new());
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        let is_fit = |headers: &HeaderMap, extensions: &Extensions| {
            is_fit(StatusCode::OK, Version::HTTP_11, headers, extensions)
        };
        assert!(!is_fit(&headers, &marked), "an answer to a change may hold a token");
        marked.insert(Readable);
        assert!(is_fit(&headers, &marked));
        headers.insert(header::ETAG, header::HeaderValue::from_static("\"1\""));
        assert!(!is_fit(&headers, &marked));
        for kind in ["text/event-stream", "application/octet-stream"] {
            let headers =
                [(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect::<HeaderMap>();
            assert!(!is_fit(&headers, &marked), "{kind}");
        }
    }
}
