//! Which answers are sent compressed.
//!
//! Compression tells the length of what it shortens, and with that, bit by bit, a secret that stands
//! beside something that an onlooker chose (BREACH, 2013). So nothing is compressed that could hold
//! a secret: tokens are in answers to POST alone, and only answers to GET are compressed.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::compression::{
    CompressionLayer, CompressionLevel,
    predicate::{Predicate as _, SizeAbove},
};

use super::Problem;

/// Shorter answers fit into a packet as they are.
const BYTES_MIN: u64 = 1_400;

/// Compresses an answer to who only looks, as `accepted` has it: what the request said in
/// `Accept-Encoding`. The quickest level: a page of devices is a tenth of its size by it, and the thread
/// that does it serves others, too.
pub(super) async fn squeeze(accepted: &HeaderValue, response: Response) -> Response {
    let mut asked = Request::new(Body::empty());
    asked.headers_mut().insert(header::ACCEPT_ENCODING, accepted.clone());
    let mut ready = Some(response);
    let answer = move |_: Request| std::future::ready(ready.take().ok_or(Gone));
    let when = SizeAbove::new(BYTES_MIN).and(is_fit as fn(_, _, &_, &_) -> bool);
    let layer = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(when);
    match layer.layer(service_fn(answer)).oneshot(asked).await {
        Ok(response) => response.map(Body::new),
        Err(Gone) => Problem::internal().into_response(),
    }
}

/// An answer is taken once.
#[derive(Debug)]
struct Gone;

fn is_fit(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    // A tag of state names the bytes of an answer: it would be another one of other bytes.
    let is_tagged = headers.contains_key(header::ETAG);
    // Neither event streams, of which nobody would see the end of a block, nor artifacts.
    let is_text = matches!(kind, "application/json" | "application/problem+json" | "text/html");
    is_text && !is_tagged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_has_no_tag_is_compressed() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let is_fit = |headers: &HeaderMap| {
            is_fit(StatusCode::OK, Version::HTTP_11, headers, &Extensions::new())
        };
        assert!(is_fit(&headers));
        headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
        assert!(!is_fit(&headers));
        for kind in ["text/event-stream", "application/octet-stream"] {
            let headers =
                [(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect::<HeaderMap>();
            assert!(!is_fit(&headers), "{kind}");
        }
    }
}
