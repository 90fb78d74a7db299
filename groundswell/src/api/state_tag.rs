//! `ETag`: a change goes ahead only if the caller saw what is there.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::Problem;

/// Bytes of the hash that make a tag: two states never share one by chance.
const TAG_BYTES: usize = 16;

/// The tag of a state, as long as it serializes to the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateTag(String);

impl StateTag {
    /// The tag of what `value` says.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_default();
        let hash = Sha256::digest(json);
        let hex = hash.iter().take(TAG_BYTES).fold(String::new(), |mut hex, byte| {
            use std::fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self(format!("\"{hex}\""))
    }

    /// As a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// Whether the caller already has this state.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        named(headers, &header::IF_NONE_MATCH).is_some_and(|tags| self.is_among(&tags, true))
    }

    /// Refuses a change by somebody who saw another state.
    ///
    /// # Errors
    /// A [`Problem`] with status 412.
    pub(crate) fn require(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match named(headers, &header::IF_MATCH) {
            Some(tags) if !self.is_among(&tags, false) => Err(changed_meanwhile()),
            _ => Ok(()),
        }
    }

    fn is_among(&self, tags: &str, weak: bool) -> bool {
        tags.split(',').map(str::trim).any(|tag| {
            let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
            tag == "*" || tag == self.0
        })
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
    let only_new = named(headers, &header::IF_NONE_MATCH).is_some_and(|tags| tags.trim() == "*");
    if only_new && is_there {
        let told = "it is there already, and If-None-Match: * asked for it only if it is not";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", told));
    }
    Ok(())
}

fn named(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let values: Vec<&str> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
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
        assert!(!require(&other.0) && !require(&format!("W/{}", tag.0)) && !require("nonsense"));
        assert!(tag.is_known(&with(header::IF_NONE_MATCH, &format!("W/{}", tag.0))));
        assert!(!tag.is_known(&HeaderMap::new()));
        assert!(require_new(&with(header::IF_NONE_MATCH, "*"), true).is_err());
        assert!(require_new(&with(header::IF_NONE_MATCH, "*"), false).is_ok());
        assert!(require_new(&HeaderMap::new(), true).is_ok());
    }
}
