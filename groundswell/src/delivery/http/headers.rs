//! Which headers an operator may set, and how labels become header values.
//!
//! Everything that ends up in a head goes through here, so that no name or value can forge
//! another header or a request (RFC 9110 section 5.5).

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Longest value of one header, in bytes: bearer tokens reach a few thousand, common servers
/// refuse heads over 8 KiB.
pub(super) const HEADER_BYTES_MAX: usize = 8 * 1024;

/// What frames a message or belongs to the connection: set by us alone.
const FRAMING: [&str; 10] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "te",
    "upgrade",
    "trailer",
    "expect",
    "keep-alive",
    "proxy-connection",
];

/// What says which device, release and attempt a request is for: set by us alone.
const OURS: [&str; 7] = [
    "x-device-id",
    "x-device-name",
    "x-update-id",
    "x-firmware-version",
    "repr-digest",
    "idempotency-key",
    "content-type",
];

/// Why a header was refused. Never shows a value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No header has such a name.
    #[error("no header has this name (it begins with {0:?}): letters, digits and - only")]
    Name(String),
    /// It would change how the message is framed.
    #[error("header {0} belongs to the connection and cannot be set")]
    Framing(HeaderName),
    /// It says which device, release and attempt a request is for.
    #[error("header {0} is set for every device and cannot be replaced")]
    Ours(HeaderName),
    /// A line feed, another control character or one beyond ASCII.
    #[error(
        "the value of header {name} has a character that no header may have, at byte {at}: \
         printable ASCII only"
    )]
    Value {
        /// Which header.
        name: HeaderName,
        /// Where in the value.
        at: usize,
    },
    /// Longer than servers take.
    #[error("the value of header {name} is {bytes} bytes long, the most is {HEADER_BYTES_MAX}")]
    TooLong {
        /// Which header.
        name: HeaderName,
        /// Its length.
        bytes: usize,
    },
}

/// Checks a header that an operator or an inventory wants sent. Blanks around the value are
/// dropped; the value is marked sensitive, so that it is never shown.
///
/// # Errors
/// The name or value cannot stand in a head, or the name is one that only we may set.
pub fn check_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderError> {
    // Behind the first wrong character may stand the value of who forgot a colon.
    let is_of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let refused = || HeaderError::Name(name.chars().take(80).take_while(is_of_name).collect());
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
    check_name_free(&name)?;
    let value = value.trim_matches([' ', '\t']);
    if value.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong { name, bytes: value.len() });
    }
    if let Some(at) = value.bytes().position(|byte| !matches!(byte, b' '..=b'~' | b'\t')) {
        return Err(HeaderError::Value { name, at });
    }
    match HeaderValue::from_str(value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok((name, value))
        }
        Err(_) => Err(HeaderError::Value { name, at: 0 }),
    }
}

/// Checks that a header's name is not one that only we may set.
pub(super) fn check_name_free(name: &HeaderName) -> Result<(), HeaderError> {
    if FRAMING.contains(&name.as_str()) {
        return Err(HeaderError::Framing(name.clone()));
    }
    if OURS.contains(&name.as_str()) {
        return Err(HeaderError::Ours(name.clone()));
    }
    Ok(())
}

/// Everything but printable ASCII, and the percent sign itself, so that decoding is unambiguous.
const LABEL: &AsciiSet = &CONTROLS.add(b'%');

/// As [`LABEL`], and blanks, which would be lost at either end of a value.
const PADDED_LABEL: &AsciiSet = &LABEL.add(b' ');

/// An id, name or version as a header value: printable ASCII as it is, the rest percent-encoded
/// as UTF-8.
pub(super) fn encode_label(text: &str) -> HeaderValue {
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let set = if padded { PADDED_LABEL } else { LABEL };
    let encoded: Cow<'_, str> = utf8_percent_encode(text, set).into();
    // Only printable ASCII is left, which every header may hold.
    HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn injection_and_reserved_names_are_refused() {
        for name in FRAMING.iter().chain(&OURS) {
            let upper = name.to_ascii_uppercase();
            assert!(check_header(&upper, "x").is_err(), "{name} was taken");
        }
        for name in ["", "a b", "a:", "a\r\nb", "ä", "a\0"] {
            assert!(matches!(check_header(name, "x"), Err(HeaderError::Name(_))), "{name:?}");
        }
        for value in ["a\r\nX-Device-ID: 2", "a\nb", "a\0", "a\x7f", "ä"] {
            let refused = check_header("x-site", value);
            assert!(matches!(refused, Err(HeaderError::Value { at: 0 | 1, .. })), "{value:?}");
        }
        let long = "x".repeat(HEADER_BYTES_MAX + 1);
        assert!(matches!(check_header("x-site", &long), Err(HeaderError::TooLong { .. })));
    }

    #[test]
    fn what_is_taken_is_trimmed_and_hidden() {
        let (name, value) = check_header("Authorization", " Bearer s3cret\t").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Bearer s3cret"[..]));
        assert!(!format!("{value:?}").contains("s3cret"));
    }

    #[test]
    fn labels_are_printable_and_can_be_decoded() {
        for (text, encoded) in [
            ("pos 1/a", "pos 1/a"),
            ("50%", "50%25"),
            ("Kasse Köln", "Kasse K%C3%B6ln"),
            ("a\r\nX-Evil: 1", "a%0D%0AX-Evil: 1"),
            (" a ", "%20a%20"),
        ] {
            assert_eq!(encode_label(text), encoded);
            let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap();
            assert_eq!(decoded, text);
        }
    }
}
