//! What an answer's head and body say.

use std::time::{Duration, UNIX_EPOCH};

use groundswell_core::time::Time;
use http::{HeaderMap, header::RETRY_AFTER};

use super::exchange::Appetite;

/// Most of an answer's body that is read: a version and its surroundings, an error page.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Most of an error's body that is kept.
pub(super) const DETAIL_BYTES_MAX: usize = 1_024;

/// The body of a success is read to its end, so that the connection can be used again.
pub(super) const SUCCESS: Appetite = Appetite { keep: 0, most: BODY_BYTES_MAX, ends_upload: false };

/// Of a refusal only what is kept is read.
pub(super) const REFUSAL: Appetite =
    Appetite { keep: DETAIL_BYTES_MAX, most: DETAIL_BYTES_MAX, ends_upload: true };

/// A version may stand anywhere in a document.
pub(super) const VERSION: Appetite =
    Appetite { keep: BODY_BYTES_MAX, most: BODY_BYTES_MAX, ends_upload: false };

/// How long a device asks us to wait: seconds, or a date less the present time (RFC 9110 section
/// 10.2.3). Anything else is ignored.
pub(super) fn read_retry_after(headers: &HeaderMap, now: Time) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // So many digits that they do not fit mean "very long" all the same.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    let at = Time::from_millis(i64::try_from(since_epoch.as_millis()).ok()?);
    Some(at.since(now))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_in_seconds_or_as_a_date() {
        // 2026-11-24T02:00:00Z
        let now = Time::from_millis(1_795_485_600_000);
        for (text, secs) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Tue, 24 Nov 2026 02:01:30 GMT", Some(90)),
            ("Tuesday, 24-Nov-26 02:01:30 GMT", Some(90)),
            ("Tue, 24 Nov 2026 01:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(read_retry_after(&headers, now), secs.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(read_retry_after(&HeaderMap::new(), now), None);
    }
}
