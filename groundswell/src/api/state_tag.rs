//! `ETag`: a change goes ahead only if the caller saw what is there.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::Problem;
use crate::access::hash_in_hex;

/// Bytes of the hash that make a tag: two states never share one by chance.
const TAG_BYTES: usize = 16;

/// The tag of a state, as long as it serializes to the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateTag(String);

impl StateTag {
    /// The tag of what `value` says.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_default();
        let hex = hash_in_hex(&Sha256::digest(json).into());
        Self(format!("\"{}\"", &hex[..2 * TAG_BYTES]))
    }

    /// As a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// Whether the caller already has this state.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        named(headers, &header::IF_NONE_MATCH).is_some_and(|tags| is_among(&self.0, &tags, true))
    }

    /// Refuses a change by somebody who saw another state.
    ///
    /// # Errors
    /// A [`Problem`] with status 412.
    pub(crate) fn require(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match named(headers, &header::IF_MATCH) {
            Some(tags) if !is_among(&self.0, &tags, false) => Err(changed_meanwhile()),
            _ => Ok(()),
        }
    }
}

/// Whether a tag is among those of a header (RFC 9110 section 8.8.3), or any is fine. A comma or a star
/// within quotes is a part of a tag. A weak tag is as good as a strong one only to who reads.
pub(super) fn is_among(tag: &str, tags: &[u8], is_weak_fine: bool) -> bool {
    let mut is_quoted = false;
    let mut listed = tags.split(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    });
    tags.trim_ascii() == b"*"
        || listed.any(|known| {
            let known = known.trim_ascii();
            let strong = known.strip_prefix(b"W/").filter(|_| is_weak_fine);
            strong.unwrap_or(known) == tag.as_bytes()
        })
}

/// Refuses to create what is gone, if the caller saw it (`If-Match`).
///
/// # Errors
/// A [`Problem`] with status 412.
pub(crate) fn require_there(headers: &HeaderMap) -> Result<(), Problem> {
    match named(headers, &header::IF_MATCH) {
        Some(_) => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "changed-meanwhile",
            "it is not there any more, and If-Match asked for what you saw",
        )),
        None => Ok(()),
    }
}

/// It is not what the caller saw.
pub(crate) fn changed_meanwhile() -> Problem {
    let told = "it is not what you saw any more: read it again, and decide again";
    Problem::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", told)
}

/// What a change is bound to.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is read as a header, and described here")]
pub(crate) struct IfMatch {
    /// The `ETag` of what was seen: otherwise nothing is done, and 412 answered.
    #[param(rename = "If-Match", max_length = 1024)]
    if_match: Option<String>,
}

/// Refuses to create what is there, if the caller asked for that by `If-None-Match: *`.
///
/// # Errors
/// A [`Problem`] with status 412.
pub(crate) fn require_new(headers: &HeaderMap, is_there: bool) -> Result<(), Problem> {
    let only_new =
        named(headers, &header::IF_NONE_MATCH).is_some_and(|tags| tags.trim_ascii() == b"*");
    if only_new && is_there {
        let told = "it is there already, and If-None-Match: * asked for it only if it is not";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", told));
    }
    Ok(())
}

/// All that headers of a name say, in one; none if there is no such header. One that is no text is not
/// passed over: whoever sent it asked for something.
pub(super) fn named(headers: &HeaderMap, name: &header::HeaderName) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    (!values.is_empty()).then(|| values.join(&b","[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_change_goes_ahead_only_for_who_saw_what_is_there() {
        let (tag, other) = (StateTag::of(&1), StateTag::of(&2));
        assert_ne!(tag, other);
        assert_eq!(tag, StateTag::of(&1));
        let require = |value: &str| tag.require(&with(header::IF_MATCH, value)).is_ok();
        assert!(tag.require(&HeaderMap::new()).is_ok());
        assert!(require(&tag.0) && require("*") && require(&format!("{}, {}", other.0, tag.0)));
        assert!(require(&format!("\"a,b\" ,{}", tag.0)));
        // What is within quotes is a tag of somebody else.
        assert!(!require("\"a,*,b\"") && !require("\"a\", *") && !require("\"*\""));
        assert!(!require(&format!("\"a,{},b\"", tag.0)));
        assert!(!require(&other.0) && !require(&format!("W/{}", tag.0)) && !require("nonsense"));
        assert!(tag.is_known(&with(header::IF_NONE_MATCH, &format!("W/{}", tag.0))));
        assert!(!tag.is_known(&HeaderMap::new()));
        let bytes = HeaderValue::from_bytes(b"\"\xe4\"").unwrap();
        let no_text = HeaderMap::from_iter([(header::IF_MATCH, bytes)]);
        assert!(tag.require(&no_text).is_err(), "what was asked for does not hold");
        assert!(require_new(&with(header::IF_NONE_MATCH, "*"), true).is_err());
        assert!(require_new(&with(header::IF_NONE_MATCH, "*"), false).is_ok());
        assert!(require_new(&HeaderMap::new(), true).is_ok());
        assert!(require_there(&with(header::IF_MATCH, &tag.0)).is_err());
        assert!(require_there(&with(header::IF_MATCH, "*")).is_err());
        assert!(require_there(&HeaderMap::new()).is_ok());
    }
}
