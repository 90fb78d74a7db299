//! What a request's headers say that matters to a device.
//!
//! Owns their reading and limits. Start with [`Told`].

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;

/// Longer than any id, key or version that makes sense, and short enough to be kept per device.
const TEXT_BYTES_MAX: usize = 256;

/// The headers that a device looks at.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    pub(super) device: Option<Cow<'a, str>>,
    pub(super) key: Option<&'a str>,
    pub(super) version: Option<Cow<'a, str>>,
    pub(super) update_id: Option<&'a str>,
    pub(super) sha256: Option<[u8; 32]>,
}

/// A header that is there twice, too long, or not readable; names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadHeader(pub(super) &'static str);

impl<'a> Told<'a> {
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, BadHeader> {
        let mut told = Self::default();
        // One walk over all is cheaper than a search for each.
        for (name, value) in headers {
            match name.as_str() {
                "x-device-id" => set(&mut told.device, "X-Device-ID", label(value))?,
                "idempotency-key" => set(&mut told.key, "Idempotency-Key", text(value))?,
                "x-firmware-version" => set(&mut told.version, "X-Firmware-Version", label(value))?,
                "x-update-id" => set(&mut told.update_id, "X-Update-ID", text(value))?,
                "repr-digest" => {
                    let bad = BadHeader("Repr-Digest");
                    told.sha256 = sha256(value.to_str().map_err(|_| bad)?)?;
                }
                _ => {}
            }
        }
        Ok(told)
    }
}

fn set<T>(place: &mut Option<T>, name: &'static str, read: Option<T>) -> Result<(), BadHeader> {
    match (place.is_some(), read) {
        (false, Some(read)) => {
            *place = Some(read);
            Ok(())
        }
        _ => Err(BadHeader(name)),
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    (!text.is_empty() && text.len() <= TEXT_BYTES_MAX).then_some(text)
}

/// An id or a version: percent-encoded where it is not printable ASCII.
fn label(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let id = percent_decode_str(value.to_str().ok()?).decode_utf8().ok()?;
    let is_sane = !id.is_empty() && id.len() <= TEXT_BYTES_MAX && !id.contains(char::is_control);
    is_sane.then_some(id)
}

/// The sha-256 of a Repr-Digest (RFC 9530), if it has one.
fn sha256(digests: &str) -> Result<Option<[u8; 32]>, BadHeader> {
    let bad = BadHeader("Repr-Digest");
    for digest in digests.split(',') {
        let (algorithm, value) = digest.trim().split_once('=').ok_or(bad)?;
        if algorithm == "sha-256" {
            let value = value.strip_prefix(':').and_then(|value| value.strip_suffix(':'));
            let bytes = value.and_then(|value| STANDARD.decode(value).ok()).ok_or(bad)?;
            return bytes.try_into().map(Some).map_err(|_| bad);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        list.iter().map(|(name, text)| (name.parse().unwrap(), value(text))).fold(
            HeaderMap::new(),
            |mut map, (name, value): (http::HeaderName, _)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn ids_and_versions_are_decoded() {
        let map = headers(&[
            ("x-device-id", "caf%C3%A9%201"),
            ("x-firmware-version", "2.0 50%25 %C3%9F"),
        ]);
        let told = Told::read(&map).unwrap();
        assert_eq!(told.device.unwrap(), "café 1");
        assert_eq!(told.version.unwrap(), "2.0 50% ß");
    }

    #[test]
    fn what_is_absurd_is_named() {
        let long = "x".repeat(257);
        for (list, name) in [
            (vec![("x-device-id", "a"), ("x-device-id", "a")], "X-Device-ID"),
            (vec![("x-device-id", "")], "X-Device-ID"),
            (vec![("x-device-id", "a%0Ab")], "X-Device-ID"),
            (vec![("x-device-id", "%ff")], "X-Device-ID"),
            (vec![("x-device-id", "é")], "X-Device-ID"),
            (vec![("x-device-id", &long)], "X-Device-ID"),
            (vec![("idempotency-key", &long)], "Idempotency-Key"),
            (vec![("x-firmware-version", "1"), ("x-firmware-version", "2")], "X-Firmware-Version"),
            (vec![("x-firmware-version", "a%0Ab")], "X-Firmware-Version"),
            (vec![("repr-digest", "sha-256=abc")], "Repr-Digest"),
            (vec![("repr-digest", "sha-256=:AAAA:")], "Repr-Digest"),
        ] {
            assert_eq!(Told::read(&headers(&list)).unwrap_err(), BadHeader(name), "{list:?}");
        }
    }

    #[test]
    fn only_a_sha_256_is_compared() {
        let digest = format!("sha-512=:AA==:, sha-256=:{}:", STANDARD.encode([7; 32]));
        assert_eq!(
            Told::read(&headers(&[("repr-digest", &digest)])).unwrap().sha256,
            Some([7; 32])
        );
        let other = headers(&[("repr-digest", "sha-512=:AA==:")]);
        assert_eq!(Told::read(&other).unwrap().sha256, None);
    }
}
